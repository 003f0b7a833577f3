"""Docstrings as reST: they are written to be read in an editor, where `*`, `_` and `|` mean nothing but themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_CODE = re.compile(r":[\w:]+:`[^`]+`|``.+?``|`[^`]+`", re.S)
_NAME = re.compile(r"[A-Za-z_]\w*(\.\w+)*(\(\))?")
_SECTION = re.compile(r"(Args|Attributes|Examples?|Notes?|Raises|References|Returns|See also|Warning|Yields):")


def process(_app: Any, _what: str, _name: str, _object: Any, _options: Any, lines: list[str]) -> None:
    """The event `autodoc-process-docstring`."""
    lines[:] = "\n\n".join(converted("\n".join(lines).split("\n\n"))).split("\n")


def converted(paragraphs: list[str]) -> Iterator[str]:
    """The paragraphs of a docstring as reST.

    Args:
        paragraphs: the paragraphs, between which empty lines are.
    """
    literal = None  # the indentation of the paragraph before a literal block
    for i, paragraph in enumerate(paragraphs):
        indentation = _indentation(paragraph)
        if literal is not None and (indentation > literal or not paragraph.strip()):
            yield paragraph
            continue
        literal = None
        text = _paragraph(paragraph)
        last = paragraph.rstrip().rpartition("\n")[2]
        following = paragraphs[i + 1] if i + 1 < len(paragraphs) else ""
        if (
            last.endswith(":")
            and not _SECTION.fullmatch(last.strip())
            and not following.lstrip().startswith((">>>", "- "))
        ):
            inner = len(last) - len(last.lstrip())
            if _indentation(following) > inner:
                text, literal = text.rstrip() + ("" if last.endswith("::") else ":"), inner
        yield text


def _indentation(paragraph: str) -> int:
    """The columns in front of the first line that is not empty; -1 where there is none."""
    return next((len(line) - len(line.lstrip()) for line in paragraph.split("\n") if line.strip()), -1)


def _paragraph(text: str) -> str:
    """A paragraph, of which lines from a `>>>` on are an example."""
    lines = text.split("\n")
    first = next((i for i, line in enumerate(lines) if line.lstrip().startswith(">>>")), len(lines))
    return "\n".join([*_inline("\n".join(lines[:first])).split("\n")[: first or None], *lines[first:]][not first :])


def _inline(text: str) -> str:
    """Code as references or literals, and the rest without markup."""
    found, at = [], 0
    for code in _CODE.finditer(text):
        found += [_escaped(text[at : code.start()]), _code(code[0])]
        at = code.end()
        if text[at : at + 1].isalnum():  # `Callback`s
            found.append("\\ ")
    return "".join([*found, _escaped(text[at:])])


def _code(text: str) -> str:
    if text.startswith((":", "``")):
        return text
    inner = " ".join(text[1:-1].split())
    return f":py:obj:`{inner}`" if _NAME.fullmatch(inner) else f"``{inner}``"


def _escaped(text: str) -> str:
    return re.sub(r"([\\*|]|(?<=\w)_(?!\w))", r"\\\1", text)

"""What the build of the site rests on: docstrings as reST, dead links, and that no source of a page is left out."""

from __future__ import annotations

import doctest
import importlib.util
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[1] / "docs"


def module_of(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def docstrings():
    return module_of(DOCS / "_ext" / "lamella_site" / "docstrings.py")


@pytest.fixture(scope="module")
def check_links():
    return module_of(DOCS / "check_links.py")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("y = a * b, |x|, x_", r"y = a \* b, \|x\|, x\_"),
        ("val_loss and *args", r"val_loss and \*args"),
        ("`Dense` and `ops.tanh`s", r":py:obj:`Dense` and :py:obj:`ops.tanh`\ s"),
        ("shape `(batch, *rest)`", "shape ``(batch, *rest)``"),
        (":class:`Dense` and ``x_``", ":class:`Dense` and ``x_``"),
        ("Text.\n>>> a * b\n2", "Text.\n>>> a * b\n2"),
        ("It computes:\n\n    m = b * m\n\nand more", "It computes::\n\n    m = b * m\n\nand more"),
        ("Args:\n    x: a * b.", "Args:\n    x: a \\* b."),
    ],
)
def test_a_docstring_becomes_rest(docstrings, text, expected):
    lines = text.split("\n")
    docstrings.process(None, "", "", None, None, lines)
    assert "\n".join(lines) == expected


def test_dead_links_are_found(check_links, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "index.html").write_text(
        '<a href="a/b.html#here">b</a><img src="a/p.png"><a href="https://x.org">x</a>'
    )
    (tmp_path / "a" / "b.html").write_text('<h1 id="here"></h1><a href="../index.html#gone">i</a><a href="#here">h</a>')
    assert list(check_links.dead(tmp_path)) == [
        "a/b.html: ../index.html#gone: index.html has no id 'gone'",
        "index.html: a/p.png: there is no a/p.png",
    ]
    assert doctest.testmod(check_links).failed == 0


def test_every_example_has_a_title():
    for script in [*(DOCS.parent / "examples").glob("*.py"), *(DOCS / "tutorials").glob("*.py")]:
        title = re.match(r'"""\n(.+)\n(=+)\n\n', script.read_text(encoding="utf-8"))
        assert title and len(title[1]) == len(title[2]), script.name


def test_every_page_is_in_a_table_of_contents():
    tables = "\n".join(
        (DOCS / name).read_text(encoding="utf-8") for name in ("index.md", "howto/index.md", "concepts/index.md")
    )
    left_out = {"ops", "names"}  # those of the reference
    for page in DOCS.glob("*.md"):
        if page.stem not in {"index", *left_out}:
            assert re.search(rf"(^|<|/){re.escape(page.stem)}(>|\*|$)", tables, re.M), page.name

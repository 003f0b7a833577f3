"""Find wording that the project avoids, in its docs, docstrings, comments and messages; `make lint` runs this file.

It reads Markdown outside of code, and of Python the docstrings, comments and other strings. Text in backquotes is quoted and
not read. A line that has to quote a phrase ends in `prose: allow`.
"""

from __future__ import annotations

import argparse
import collections
import io
import re
import sys
import tokenize
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PLACES = ("README.md", "CHANGELOG.md", "SECURITY.md", "CONTRIBUTING.md", "docs", "frontend", "backends", "examples",
          "benchmarks")  # fmt: skip
SKIPPED = ("docs/_build", "docs/gallery", "docs/learn", "docs/reference", "docs/check_prose.py")

# What may follow a phrase that ends a clause.
_NEXT = "after|and|as|at|before|but|by|for|from|has|if|in|is|may|on|or|that|to|when|where|which|while|with"
_END = rf"(?=[.,;:)\"']|$| (?:{_NEXT})\b)"
# "is no array" for "is not an array"; "there is no array" and these are fine.
_FINE = r"(?:better|less|longer|more|need|other|reason|smaller|slower|such|way|worse)\b"
_COUNT = r"(?:once|twice|one [a-z]+|three [a-z]+|four [a-z]+|ten [a-z]+|seconds?|ms|ns|us|bytes?|MB|KB)"
_UNIT = r"(?:batch|call|channel|device|entry|epoch|equation|file|layer|line|name|process|row|second|step|thread|value|weight)"
_AMERICAN = "American spelling"

PHRASES = {
    r"nobody|somebody|whoever|anybody|no one|everybody": "the caller, the user, no consumer, unused",
    rf"of (?:its|their) own{_END}|of one's own": "separate, its own X",
    r"anew": "again",
    r"go(?:es)? on|went on|going on": "continue",
    r"stands(?! for)": "is, appears",
    r"lies?": "is, is stored",
    r"broken off|breaks? off": "interrupted",
    r"to the bit|bit for bit|the same bits": "bitwise identical",
    r"slopes|slope of (?:the|a far) (?:logits?|loss)": "gradients, cotangents",
    r"kinks?(?!/)": "non-differentiable points",
    rf"(?<!there )(?:is|are|was|were) no (?!{_FINE})[a-z]+": "is not a",
    rf"(?<!at ){_COUNT} an? {_UNIT}(?! (?:has|is|of|that))": "per",
    r"(?:Keras's|today's|old|own|their|those|these) words?": "arguments, keywords, spelling, names",
    r"a stranger(?:'s)?": "a third party",
    r"(?<!that )is (?:an? )?[a-z][a-z -]{2,30}, got": "X must be Y, got Z",
    r"at hand|in one go": "available; in one call",
    r"(?:every|each|a) turn": "iteration",
    r"told (?:of|apart)": "given, distinguished",
    r"(?:behaviour|colour|favour|honour|labour|neighbour)[a-z]*": _AMERICAN,
    r"(?:general|initial|maxim|minim|normal|optim|parallel|quant|real|recogn|regular|serial|standard|vector)"
    r"is(?:e[drs]?|ing|ations?|ers?)": _AMERICAN,
    r"(?:cancell|labell|modell|travell)(?:ed|ing)|analyse[ds]?|artefacts?|centred?|grey|licence": _AMERICAN,
}  # fmt: skip
"""Patterns and what to write instead. Letter case does not matter."""

_COMPILED = [
    (re.compile(rf"(?<![\w`-])(?:{pattern})(?![\w`])", re.IGNORECASE), better) for pattern, better in PHRASES.items()
]


def prose_of_python(text: str) -> Iterator[tuple[int, str]]:
    """The lines of comments and strings of Python code, each with its number."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", -1)):
            without_examples = re.sub(r"(?m)^\s*(?:>>>|\.\.\.) .*$", "", token.string)
            yield from enumerate(without_examples.split("\n"), token.start[0])


def prose_of_markdown(text: str) -> Iterator[tuple[int, str]]:
    """The lines of a Markdown text outside of code blocks, each with its number."""
    fenced = False
    for number, line in enumerate(text.split("\n"), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced:
            yield number, line


def findings(path: Path) -> Iterator[tuple[int, str, str]]:
    """Line, phrase and replacement for every phrase of the list in a file."""
    text = path.read_text(encoding="utf-8")
    allowed = {number for number, line in enumerate(text.split("\n"), 1) if line.rstrip().endswith("prose: allow")}
    for number, line in prose_of_python(text) if path.suffix == ".py" else prose_of_markdown(text):
        if number not in allowed:
            unquoted = re.sub(r"`[^`]*`|https?://\S+|\{[^{}]*\}", "`", line)
            for pattern, better in _COMPILED:
                for found in pattern.finditer(unquoted):
                    yield number, found[0], better


def files(places: Sequence[str]) -> Iterator[Path]:
    """The Python and Markdown files at or below these places."""
    for place in places:
        path = ROOT / place
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.suffix in (".py", ".md") and not file.relative_to(ROOT).as_posix().startswith(SKIPPED):
                yield file


def main() -> int:
    """Print every finding; the exit status is 1 if there is one."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("places", nargs="*", default=PLACES, help="files or folders, relative to the repository")
    parser.add_argument("--count", action="store_true", help="print the number of findings for each phrase")
    arguments = parser.parse_args()
    counts: collections.Counter[str] = collections.Counter()
    for file in files([place for place in arguments.places if (ROOT / place).exists()]):
        for number, phrase, better in findings(file):
            counts[phrase.lower()] += 1
            if not arguments.count:
                print(f"{file.relative_to(ROOT)}:{number}: {phrase!r} (write: {better})")
    if arguments.count:
        for phrase, count in counts.most_common():
            print(f"{count:6} {phrase}")
    print(f"{counts.total()} phrases to replace", file=sys.stderr)
    return int(counts.total() > 0)


if __name__ == "__main__":
    sys.exit(main())

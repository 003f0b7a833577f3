"""Write docs/names.md: every public name of Keras, and what `lamella` answers to it.

`python docs/make_names.py` rewrites the page; a test requires that it is up to date. The names are those that
tests/oracle/record_names.py wrote down.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lamella
from lamella.absent import reason

PAGE = Path(__file__).with_name("names.md")
NAMES = Path(__file__).resolve().parents[1] / "tests" / "oracle" / "data" / "keras_names.txt"

WORDS = """# The public names of Keras

`keras.` {version} has {all} public names, and keeps {old} more of Keras 2. `lamella.` has {present} of them, with the same
meaning but for what [differences.md](differences.md) lists. Each of the others answers with an `AttributeError` (or an
`ImportError`, where it is imported) that says in one sentence what it is in Keras and what to write instead: the sentences
of the second table, which `lamella.absent` holds. A module in that table answers for every name in it.

`ops.numpy`, `ops.nn` and `ops.linalg` hold functions of `ops` a second time; [ops.md](ops.md) describes them. Names of
Keras 2 are in *italics*.

## Present

| module | names |
|---|---|
{present_table}

## Absent

| name | what it is, and what to write |
|---|---|
{absent_table}
"""

ANOTHER_MEANING = {"tree.flatten": "`lamella.tree.flatten` returns the leaves and the structure"}
"""Names that lamella has with another meaning."""


def names() -> dict[str, bool]:
    """The public names of Keras, and whether a name is one of Keras 2 alone."""
    lines = NAMES.read_text(encoding="utf-8").splitlines()
    return {line.removesuffix(" *"): line.endswith(" *") for line in lines}


def looked_up(name: str) -> Any:
    """What lamella has under a name of Keras.

    Raises:
        AttributeError: nothing; the message says what to write.
    """
    found: Any = lamella
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # names of Keras 2
        for part in name.split("."):
            found = getattr(found, part)
    return found


def is_present(name: str) -> bool:
    """Whether lamella has the name."""
    try:
        looked_up(name)
    except AttributeError:
        return False
    return name not in ANOTHER_MEANING


def _spelled(name: str, old: bool) -> str:
    return f"*`{name}`*" if old else f"`{name}`"


def _modules(found: dict[str, bool]) -> Iterator[tuple[str, str]]:
    modules: dict[str, list[str]] = {}
    spaces = {name.rpartition(".")[0] for name in names()}
    for name, old in found.items():
        module, _, last = name.rpartition(".")
        if name not in spaces:
            modules.setdefault(module, []).append(_spelled(last, old))
    for module, entries in sorted(modules.items()):
        yield f"lamella.{module}".rstrip("."), ", ".join(entries)


def _sentences(absent: dict[str, bool]) -> Iterator[tuple[str, str]]:
    """The absent names, but for those in an absent module, and what is said of them."""
    told: dict[str, list[str]] = {}
    for name, old in absent.items():
        if name.rpartition(".")[0] not in absent:
            why = ANOTHER_MEANING.get(name) or reason(name) or ""
            told.setdefault(why, []).append(_spelled(name, old))
    for why, entries in told.items():
        yield ", ".join(entries), why


def page() -> str:
    """The text of docs/names.md.

    Raises:
        ValueError: a name is neither present nor has a reason.
    """
    every = names()
    present = {name: old for name, old in every.items() if is_present(name)}
    absent = {name: old for name, old in every.items() if name not in present}
    if unanswered := [name for name in absent if reason(name) is None]:
        raise ValueError(f"names without a sentence in lamella.absent: {unanswered}")
    return WORDS.format(
        version="3.15.1",
        all=len(every) - sum(every.values()),
        old=sum(every.values()),
        present=len(present),
        present_table="\n".join(f"| `{module}` | {entries} |" for module, entries in _modules(present)),
        absent_table="\n".join(
            f"| {entries} | {why.replace('|', chr(92) + '|')} |" for entries, why in _sentences(absent)
        ),
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE}")

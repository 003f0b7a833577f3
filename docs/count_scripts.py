"""Count how many scripts find every name of Keras that they use: the number of docs/scripts.md.

`python docs/count_scripts.py FILE` reads a file with one script per line: its kind ("seq" where it uses `Sequential` alone),
a colon, and the names of Keras that it uses, without "keras." It prints the shares and the names that are missing.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from lamella.cli.scripts import is_there, place


def read(text: str) -> list[tuple[str, list[str]]]:
    r"""The kind and the names of each script.

    >>> read("seq: Sequential layers.Dense\n")
    [('seq', ['Sequential', 'layers.Dense'])]
    """
    lines = [line.partition(":") for line in text.splitlines() if line.strip()]
    return [(kind.strip(), names.split()) for kind, _, names in lines]


def missing(names: list[str]) -> list[str]:
    """Those of the names that lamella lacks; the version is that of the names answered.

    >>> missing(["layers.core.Dense", "layers.Dens", "__version__"])
    ['layers.Dens']
    """
    return [name for name in names if name != "__version__" and not is_there((place(f"keras.{name}") or ("", ""))[1])]


def main(arguments: list[str]) -> int:
    """Print the counts."""
    found = [(kind, missing(names)) for kind, names in read(Path(arguments[0]).read_text(encoding="utf-8"))]
    for label, kinds in (("Sequential alone", {"seq"}), ("all", {kind for kind, _ in found})):
        lacking = [names for kind, names in found if kind in kinds]
        whole = sum(not names for names in lacking)
        print(f"{label}: {whole} of {len(lacking)} scripts find every name ({whole / len(lacking):.1%})")
    print("\nmissing, by the scripts that use it, and by those that lack nothing else:")
    uses = Counter(name for _, names in found for name in {*names})
    alone = Counter(names[0] for _, names in found if len({*names}) == 1)
    for name, count in uses.most_common():
        print(f"{count:4d} {alone[name]:4d}  {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

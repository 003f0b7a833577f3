"""Records the public names of Keras. Needs Keras.

`python tests/oracle/record_names.py` writes data/keras_names.txt, one name per line without the "keras." in front: those of
Keras 3, then, marked with an asterisk, those that only its second face, `keras._tf_keras.keras`, keeps of Keras 2. With
`--check` it walks again and compares.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras

PAGE = Path(__file__).resolve().parent / "data" / "keras_names.txt"


def walked(module: ModuleType, prefix: str = "") -> Iterator[str]:
    """The names of a module and, each behind its own, of the public modules in it."""
    for name in sorted(dir(module)):
        held = getattr(module, name)
        if name.startswith("_") or (isinstance(held, ModuleType) and not _is_public(held)):
            continue
        yield prefix + name
        if isinstance(held, ModuleType):
            yield from walked(held, f"{prefix}{name}.")


def _is_public(module: ModuleType) -> bool:
    return module.__name__.startswith("keras.") and not module.__name__.startswith("keras.src")


def main() -> int:
    """Record, or with `--check` compare with what was recorded and write nothing."""
    today = list(walked(keras))
    old = [name for name in walked(importlib.import_module("keras._tf_keras.keras")) if name not in set(today)]
    text = "".join(f"{name}\n" for name in [*today, *(f"{name} *" for name in old)])
    same = PAGE.exists() and PAGE.read_text(encoding="utf-8") == text
    if sys.argv[1:] != ["--check"]:
        PAGE.write_text(text, encoding="utf-8")
    elif not same:
        print("keras_names.txt")
    print(f"names: {len(today)} of Keras {keras.__version__}, {len(old)} that it keeps of Keras 2")
    return 1 if sys.argv[1:] == ["--check"] and not same else 0


if __name__ == "__main__":
    sys.exit(main())

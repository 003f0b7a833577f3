"""Find what the docstrings of lamella's public names lack; `python tests/documented.py layers losses` prints it.

A public class or function has a docstring, with every parameter that it takes in the section `Args`, and an example
that the tests run. A class that hands `**kwargs` to its base documents the base's parameters as well; several parameters
may share one entry (`name, trainable, dtype: as in `Layer`.`).
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "docs" / "_ext"))
from public_modules import DATASETS, public_names
from public_modules import MODULES as HEADINGS

MODULES = tuple(name.removeprefix("lamella").removeprefix(".") for name in HEADINGS)
"""The public modules, without "lamella."; one is "", lamella itself."""

EXEMPT: dict[str, str] = {"backend.Distributes": "a protocol: never called"}
"""{"module.name": why nothing is required of it}."""

WITHOUT_EXAMPLE: dict[str, str] = {
    **{f"datasets.{name}.load_data": "downloads a file" for name in DATASETS if name != "digits"},
    **{f"datasets.{name}.get_word_index": "downloads a file" for name in ("imdb", "reuters")},
}
"""{"module.name": why it has no example}; a docstring and its parameters are required."""

GIVEN_BY_CLASS: dict[str, set[str]] = {
    "layers.ActivityRegularization": {"activity_regularizer"},
    "layers.SpatialDropout1D": {"data_format", "noise_shape"},
    "layers.SpatialDropout2D": {"noise_shape"},
    "layers.SpatialDropout3D": {"noise_shape"},
}
"""{"module.class": parameters of a base class that the class itself gives, so that a call cannot}."""

DOCSTRING_ONLY = "an exception, which lamella raises, or a primitive op, which only backends call"
"""What is required of exception classes and of callable instances: a docstring, but no parameters and no example."""

_ENTRY = re.compile(r"(\*{0,2}\w+(?: \([^)]*\))?(?:, \*{0,2}\w+(?: \([^)]*\))?)*):(?:\s|$)")


def module_of(name: str) -> ModuleType:
    """The module that `MODULES` has under a name."""
    return importlib.import_module(f"lamella.{name}".rstrip("."))


def parameters(made: Any) -> list[str]:
    """The names of the parameters that a call of `made` takes, with those of base classes that `**kwargs` reaches."""
    try:
        own = list(inspect.signature(made).parameters.values())
    except (TypeError, ValueError):
        return []
    names = [p.name for p in own if p.kind is not p.VAR_KEYWORD]
    rest = [p.name for p in own if p.kind is p.VAR_KEYWORD]
    if rest and isinstance(made, type):
        for base in made.__mro__[1:]:
            init = vars(base).get("__init__")
            if init is None or not base.__module__.startswith("lamella"):
                continue
            taken = list(inspect.signature(init).parameters.values())[1:]
            # one without a default is an argument that the subclass gives
            names += [p.name for p in taken if p.kind is p.KEYWORD_ONLY or p.default is not p.empty]
            rest = [p.name for p in taken if p.kind is p.VAR_KEYWORD]
            if not rest:
                break
    return [name for name in dict.fromkeys([*names, *rest]) if not name.startswith("_")]


def described(docstring: str, sections: tuple[str, ...] = ("Args",)) -> set[str]:
    """The names that have an entry in the section `Args` of a docstring."""
    found: set[str] = set()
    for section in sections:
        for block in re.findall(rf"(?m)^{section}:\n((?:[ \t]+.*\n|\n)*)", inspect.cleandoc(docstring) + "\n"):
            for line in textwrap.dedent(block).splitlines():
                entry = _ENTRY.match(line)
                if entry:
                    found |= {re.sub(r" \(.*", "", name).lstrip("*") for name in entry[1].split(", ")}
    return found


def missing(module_name: str) -> Iterator[str]:
    """One line for each public name of a module whose docstring lacks something."""
    module = module_of(module_name)
    for name in public_names(module):
        full = f"{module_name}.{name}".lstrip(".")
        made = getattr(module, name)
        if not callable(made) or full in EXEMPT:
            continue
        docstring = vars(made).get("__doc__") if isinstance(made, type) else made.__doc__
        if not docstring:
            yield f"{full}: no docstring"
        elif not _only_needs_docstring(made):
            is_record = isinstance(made, type) and (dataclasses.is_dataclass(made) or hasattr(made, "_fields"))
            known = described(docstring, ("Args", "Attributes") if is_record else ("Args",))
            lacking = [p for p in parameters(made) if p not in known | GIVEN_BY_CLASS.get(full, set())]
            if lacking:
                yield f"{full}: no entry in Args for {', '.join(lacking)}"
            if ">>>" not in docstring and full not in WITHOUT_EXAMPLE:
                yield f"{full}: no example"


def _only_needs_docstring(made: Any) -> bool:
    """Whether `made` is of the kinds that `DOCSTRING_ONLY` names."""
    if isinstance(made, type):
        return issubclass(made, BaseException)
    return not inspect.isroutine(made)


if __name__ == "__main__":
    for wanted in sys.argv[1:] or MODULES:
        for line in missing("" if wanted == "lamella" else wanted.removeprefix("lamella.")):
            print(line)

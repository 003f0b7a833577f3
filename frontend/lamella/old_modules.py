"""The modules that scripts for Keras 1 and 2 import from, and where their names are today.

`import lamella.objectives` and `from lamella.layers.convolutional import Convolution2D` work, with a `DeprecationWarning`.
A module that is not there any more is made when it is first imported, by a finder that Python asks last; the modules that
still exist (`lamella.layers.core`) hand on what has moved out of them.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from lamella.names import deprecated

_LAYERS = "advanced_activations convolutional convolutional_recurrent embeddings local merge noise wrappers"

GONE: dict[str, str] = {
    **{f"lamella.layers.{module}": "lamella.layers" for module in _LAYERS.split()},
    "lamella.engine": "lamella.layers",
    "lamella.engine.topology": "lamella.layers",
    "lamella.engine.base_layer": "lamella.layers",
    "lamella.engine.training": "lamella.models",
    "lamella.layers.containers": "lamella.models",
    "lamella.initializations": "lamella.initializers",
    "lamella.objectives": "lamella.losses",
    "lamella.preprocessing": "lamella.utils",
    "lamella.preprocessing.sequence": "lamella.utils",
    "lamella.utils.data_utils": "lamella.utils",
    "lamella.utils.np_utils": "lamella.utils",
}
"""For each module that is gone the one that has its names today."""

MOVED = {f"lamella.layers.{module}": "lamella.layers" for module in ("core", "normalization", "pooling", "recurrent")}
"""For each module that once had more names the one that has all of them."""


def names_of_today(module: str) -> Callable[[str], Any]:
    """The `__getattr__` of a module in `MOVED`: a name that has left it, with a warning."""

    def find(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        found = getattr(importlib.import_module(MOVED[module]), name)
        deprecated(f"{module}.{name}", f"{MOVED[module]}.{name}", stacklevel=3)
        return found

    return find


class _Finder:
    """Finds and makes the modules of `GONE`."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """What to import under an old name, or None."""
        if name not in GONE:
            return None
        package = any(other.startswith(f"{name}.") for other in GONE)
        return importlib.machinery.ModuleSpec(name, self, is_package=package)  # type: ignore[arg-type]

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> None:
        """An ordinary module."""

    def exec_module(self, module: ModuleType) -> None:
        """Give the module its names; a package warns when it is asked for one, not when a module within it is.

        Frames of the import system do not count for the warning.
        """
        name = module.__name__
        today, package = GONE[name], hasattr(module, "__path__")

        def find(attribute: str) -> Any:
            if attribute.startswith("__"):
                raise AttributeError(f"module {name!r} has no attribute {attribute!r}")
            found = getattr(importlib.import_module(today), attribute)
            if package:
                deprecated(name, today, stacklevel=3)
            return found

        module.__doc__ = f"What an earlier Keras called a module of its own; its names are in `{today}`."
        module.__getattr__ = find  # type: ignore[method-assign]
        if not package:
            deprecated(name, today, stacklevel=3)


def install() -> None:
    """Let Python find the modules that are gone, after everything that is there."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())

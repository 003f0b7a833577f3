"""The modules that scripts for Keras 1 and 2 import from, and the current modules of their names.

`import lamella.objectives` and `from lamella.layers.convolutional import Convolution2D` work, with a `DeprecationWarning`.
A removed module is created when it is first imported, by the last finder in `sys.meta_path`; modules that
still exist (`lamella.layers.core`) forward the names that have moved out of them.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import sys
import warnings
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from lamella.absent import no_attribute, sentence
from lamella.names import deprecated

_LAYERS = "advanced_activations convolutional convolutional_recurrent embeddings local merge noise wrappers"
_UTILS = "conv_utils data_utils generic_utils io_utils layer_utils np_utils vis_utils visualize_util"

GONE: dict[str, str] = {
    **{f"lamella.layers.{module}": "lamella.layers" for module in _LAYERS.split()},
    "lamella.engine": "lamella.layers",
    "lamella.engine.topology": "lamella.layers",
    "lamella.engine.base_layer": "lamella.layers",
    "lamella.engine.training": "lamella.models",
    "lamella.layers.containers": "lamella.models",
    "lamella.layers.experimental": "lamella.layers",
    "lamella.layers.experimental.preprocessing": "lamella.layers",
    "lamella.initializations": "lamella.initializers",
    "lamella.objectives": "lamella.losses",
    "lamella.optimizers.legacy": "lamella.optimizers",
    **{f"lamella.utils.{module}": "lamella.utils" for module in _UTILS.split()},
}
"""For each removed module the one that has its names today."""

RENAMED: dict[str, str] = {
    "lamella.callbacks.progress": "lamella.training.progress",
    "lamella.ir.builder": "lamella.ir.trace",
    "lamella.layers.legacy": "lamella.compat.layers",
    "lamella.layers.policy": "lamella.core.dtype_policy",
    "lamella.layers.scope": "lamella.core.context",
    "lamella.layers.variable": "lamella.core.variable",
    "lamella.models.lowering": "lamella.lowering",
    "lamella.ops.tree": "lamella.tree",
    "lamella.old_modules": "lamella.compat.modules",
    "lamella.saving.atomic": "lamella.files.atomic",
    "lamella.saving.broadcasts": "lamella.export.broadcasts",
    "lamella.saving.cli": "lamella.cli",
    "lamella.saving.container": "lamella.files.container",
    "lamella.saving.errors": "lamella.errors",
    "lamella.saving.export": "lamella.export",
    "lamella.saving.export_numpy": "lamella.export.to_numpy",
    "lamella.saving.export_onnx": "lamella.export.to_onnx",
    "lamella.saving.export_stablehlo": "lamella.export.to_stablehlo",
    "lamella.saving.hdf5": "lamella.files.hdf5",
    "lamella.saving.inference": "lamella.export.symbolic",
    "lamella.saving.kernel_source": "lamella.export.kernel_source",
    "lamella.saving.onnx_graph": "lamella.export.onnx_graph",
    "lamella.saving.onnx_ops": "lamella.export.onnx_ops",
    "lamella.saving.onnx_windows": "lamella.export.onnx_windows",
    "lamella.saving.python_writer": "lamella.export.python_writer",
    "lamella.saving.text": "lamella.files.text",
    "lamella.saving.tree": "lamella.files.tree",
    "lamella.training.compiled": "lamella.training.configuration",
    "lamella.training.custom": "lamella.training.train_step",
    "lamella.training.legacy": "lamella.compat.training",
    "lamella.training.model": "lamella.models.trainer",
    "lamella.training.old_names": "lamella.models.old_names",
    "lamella.training.running": "lamella.training.entry",
    "lamella.training.taking": "lamella.training.inputs",
    "lamella.training.watched": "lamella.training.eager_runner",
}
"""For each renamed module of lamella its current name."""

MOVED = {f"lamella.layers.{module}": "lamella.layers" for module in ("core", "normalization", "pooling", "recurrent")}
"""For each module that formerly had more names the one that has all of them."""


def names_of_today(module: str) -> Callable[[str], Any]:
    """Return the `__getattr__` of a module in `MOVED`, which warns and returns a name that has moved."""

    def find(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        found = getattr(importlib.import_module(MOVED[module]), name)
        deprecated(f"{module}.{name}", f"{MOVED[module]}.{name}", stacklevel=3)
        return found

    return find


def _forwarding(name: str, today: str) -> Callable[[str], Any]:
    def find(attribute: str) -> Any:
        if attribute.startswith("__"):
            raise AttributeError(f"module {name!r} has no attribute {attribute!r}")
        return getattr(importlib.import_module(today), attribute)

    return find


def look_up(name: str) -> Any:
    """Return the module or the attribute that a dotted name refers to.

    Args:
        name: the name, which starts with "lamella".

    Returns:
        The object.

    Raises:
        ImportError: there is no such module; for a module of Keras the message says why.
        AttributeError: a class or a function has no such attribute.

    Example:
        >>> look_up("lamella.layers.Dense").__name__
        'Dense'
    """
    package, *parts = name.split(".")
    found: Any = importlib.import_module(package)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # looking a name up does not use it
        for end, part in enumerate(parts, 1):
            try:
                found = getattr(found, part)
            except AttributeError as error:
                if not isinstance(found, ModuleType):
                    raise
                path = ".".join([package, *parts[:end]])
                if not hasattr(found, "__path__"):
                    raise ImportError(str(error), name=path) from None
                try:
                    found = importlib.import_module(path)
                except ModuleNotFoundError as missing:
                    # the more informative of the two errors
                    told = str(missing) if path not in str(missing).split("'") else str(error)
                    raise ImportError(told, name=path) from None
    return found


class _Finder:
    """Finds and creates the modules of `GONE` and of `RENAMED`."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return the spec of a module with a former name, or None."""
        if name not in GONE and name not in RENAMED:
            within, _, rest = name.rpartition(".")
            told = sentence(within, rest) if within else None  # `tree` alone is another distribution's
            if told is not None:
                raise ModuleNotFoundError(told, name=name)
            return None
        package = any(other.startswith(f"{name}.") for other in (*GONE, *RENAMED))
        return importlib.machinery.ModuleSpec(name, self, is_package=package)  # type: ignore[arg-type]

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> None:
        """An ordinary module."""

    def exec_module(self, module: ModuleType) -> None:
        """Set the `__getattr__` of the module; a package warns on access to a name, not to a module within it.

        Frames of the import system are skipped for the warning.
        """
        name = module.__name__
        if name in RENAMED:
            module.__doc__ = f"The former name of `{RENAMED[name]}`."
            warnings.warn(f"{name} is {RENAMED[name]} today.", DeprecationWarning, stacklevel=2)
            module.__getattr__ = _forwarding(name, RENAMED[name])  # type: ignore[method-assign]
            return
        today, package = GONE[name], hasattr(module, "__path__")

        def find(attribute: str) -> Any:
            if attribute.startswith("__"):
                raise AttributeError(f"module {name!r} has no attribute {attribute!r}")
            if f"{name}.{attribute}" in GONE:
                return importlib.import_module(f"{name}.{attribute}")
            others = importlib.import_module(today)
            if not hasattr(others, attribute):
                raise no_attribute(today if sentence(name, attribute) is None else name, attribute, dir(others))
            found = getattr(others, attribute)
            if package:
                deprecated(name, today, stacklevel=3)
            return found

        module.__doc__ = f"A module of earlier Keras releases; its names are in `{today}`."
        module.__getattr__ = find  # type: ignore[method-assign]
        if not package:
            deprecated(name, today, stacklevel=3)


def install() -> None:
    """Install the finder of removed modules after all others."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())

"""lamella's public modules and names: what the reference describes, and what `tests/documented.py` requires docstrings of."""

from __future__ import annotations

import ast
import inspect
from types import ModuleType

MODULES = {
    "lamella.models": "Models",
    "lamella.layers": "Models",
    "lamella.activations": "Models",
    "lamella.initializers": "Models",
    "lamella.regularizers": "Models",
    "lamella.constraints": "Models",
    "lamella.losses": "Training",
    "lamella.metrics": "Training",
    "lamella.optimizers": "Training",
    "lamella.optimizers.schedules": "Training",
    "lamella.callbacks": "Training",
    "lamella.distribution": "Training",
    "lamella.wrappers": "Training",
    "lamella.debug": "Training",
    "lamella.ops": "Operations",
    "lamella.ops.image": "Operations",
    "lamella.ops.linalg": "Operations",
    "lamella.ops.nn": "Operations",
    "lamella.ops.numpy": "Operations",
    "lamella.random": "Operations",
    "lamella.tree": "Operations",
    "lamella.backend": "Operations",
    "lamella.datasets": "Data and files",
    "lamella.preprocessing": "Data and files",
    "lamella.preprocessing.image": "Data and files",
    "lamella.preprocessing.sequence": "Data and files",
    "lamella.preprocessing.text": "Data and files",
    "lamella.saving": "Data and files",
    "lamella.export": "Data and files",
    "lamella.utils": "Data and files",
    "lamella.config": "Settings and tools",
    "lamella.dtype_policies": "Settings and tools",
    "lamella.mixed_precision": "Settings and tools",
    "lamella.testing": "Settings and tools",
    "lamella": "Settings and tools",
}
"""The public modules, and under which heading they are listed. A class or function is described in the first that has it."""

DATASETS = "boston_housing california_housing cifar10 cifar100 digits fashion_mnist imdb mnist reuters".split()
MODULES |= {f"lamella.datasets.{name}": "Data sets" for name in DATASETS}


def public_names(module: ModuleType) -> list[str]:
    """`__all__`; without one what the module defines, and what it imports in the form `X as X`."""
    if hasattr(module, "__all__"):
        return sorted(name for name in module.__all__ if not name.startswith("_"))
    tree = ast.parse(inspect.getsource(module))
    found = {alias.asname for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return sorted(name for name in found if name and not name.startswith("_"))

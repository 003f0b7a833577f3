"""Who may import whom: one way only, counted in the source, imports inside functions included."""

from __future__ import annotations

import ast
import importlib
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = {
    "lamella": ROOT / "frontend" / "lamella",
    "lamella_numpy": ROOT / "backends" / "lamella_numpy",
    "lamella_jax": ROOT / "backends" / "lamella_jax",
}

# the longest prefix counts; a module may import its own level and the ones below
LEVELS = {
    "lamella.errors": 0,
    "lamella.old_modules": 0,  # needs names only: modules that are no longer there
    "lamella.names": 0,  # needs errors only: strings to things
    "lamella.notebook": 0,  # needs the standard library only: the same in a cell
    "lamella.console": 0,  # needs the standard library only: tables and progress as text
    "lamella.ir": 1,
    "lamella.ir.spec": 1,
    "lamella.ir.settings": 1,
    "lamella.ir.program": 1,
    "lamella.ir.builder": 2,
    "lamella.ir.check": 2,
    "lamella.ir.limits": 2,
    "lamella.ir.interpret": 2,
    "lamella.ops": 3,
    "lamella.passes": 4,
    "lamella.backend": 4,
    # ----- a backend may import everything above this line and nothing below -----
    "lamella.layers.base": 5,
    "lamella.initializers": 5,
    "lamella.activations": 5,
    "lamella.regularizers": 5,
    "lamella.constraints": 5,
    "lamella.losses": 5,
    "lamella.metrics": 5,
    "lamella.optimizers": 5,
    "lamella.random": 5,
    "lamella.config": 5,
    "lamella.mixed_precision": 5,
    # what layers.base is made of
    "lamella.layers.building": 5,
    "lamella.layers.making": 5,
    "lamella.layers.checks": 5,
    "lamella.layers.eager": 5,
    "lamella.layers.legacy": 5,
    "lamella.layers.policy": 5,
    "lamella.layers.scope": 5,
    "lamella.layers.variable": 5,
    "lamella.layers": 6,
    "lamella.models": 7,
    "lamella.training": 7,
    "lamella.callbacks": 7,
    "lamella.saving": 7,
    "lamella.utils": 7,
    "lamella.testing": 8,
    "lamella": 9,  # the table of contents
}
BACKEND_LEVEL = 4

# importer, imported, reason
EXCEPTIONS = {
    ("lamella.ir.program", "lamella.ir.builder"): "an op builds an equation when it is called",
    ("lamella.ir.program", "lamella.ops"): "the operators of a value are the friendly ops",
    ("lamella.layers.base", "lamella.layers.configuration"): "a configuration may hold any other layer",
}

# outside the standard library: everyone may import NumPy; these only inside functions, at their first use
OPTIONAL = {
    "lamella": {"rich", "h5py", "matplotlib", "onnx", "pandas", "tensorboardX", "IPython"},
    "lamella_numpy": set(),
    "lamella_jax": {"optax"},
}
NEEDED = {"lamella": {"numpy"}, "lamella_numpy": {"numpy"}, "lamella_jax": {"numpy", "jax"}}


class Import(NamedTuple):
    importer: str
    imported: str
    line: int
    inside: bool  # a function
    typing: bool  # under TYPE_CHECKING


def modules(package, root):
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        yield ".".join([package, *(parts[:-1] if parts[-1] == "__init__" else parts)]), path


KNOWN = {name: path for package, root in SOURCES.items() for name, path in modules(package, root)}


def imports_of(name, text, known=KNOWN):
    """Every import of a module, each name resolved to the module that it is."""
    found = []

    def visit(node, inside, typing):
        if isinstance(node, ast.Import):
            found.extend(Import(name, alias.name, node.lineno, inside, typing) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}:{node.lineno}: a relative import"
            for alias in node.names:
                module = f"{node.module}.{alias.name}"
                found.append(Import(name, module if module in known else node.module, node.lineno, inside, typing))
        guarded = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        inside = inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            visit(child, inside, typing or guarded)

    visit(ast.parse(text), False, False)
    return found


def level(module):
    parts = module.split(".")
    for n in range(len(parts), 0, -1):
        if (found := LEVELS.get(".".join(parts[:n]))) is not None:
            return found
    raise AssertionError(f"{module} has no level")


def fault(i):
    """What is wrong with an import, or None."""
    importer, imported = i.importer.split(".")[0], i.imported.split(".")[0]
    if imported not in SOURCES:
        if imported in sys.stdlib_module_names or imported in NEEDED[importer]:
            return None
        if imported in OPTIONAL[importer] and (i.inside or i.typing):
            return None
        return f"{i.importer}:{i.line} imports {i.imported} from outside"
    if importer == "lamella":
        if imported != "lamella":
            return f"{i.importer}:{i.line}: the frontend imports the backend {i.imported}"
        if level(i.imported) <= level(i.importer) or (i.importer, i.imported) in EXCEPTIONS:
            return None
        return f"{i.importer} (level {level(i.importer)}):{i.line} imports {i.imported} (level {level(i.imported)})"
    if imported == importer:
        return None
    if imported == "lamella" and level(i.imported) <= BACKEND_LEVEL:
        return None
    return f"{i.importer}:{i.line}: a backend imports {i.imported}"


EVERY = [i for name, path in KNOWN.items() for i in imports_of(name, path.read_text(encoding="utf-8"))]


def test_imports_go_one_way():
    faults = [text for i in EVERY if not i.typing and (text := fault(i))]
    assert not faults, "\n".join(faults)


def test_imports_for_types_go_one_way_too():
    faults = [text for i in EVERY if i.typing and (text := fault(i))]
    assert not faults, "\n".join(faults)


def test_every_exception_is_still_needed():
    assert set(EXCEPTIONS) - {(i.importer, i.imported) for i in EVERY} == set()
    assert all(i.inside for i in EVERY if (i.importer, i.imported) in EXCEPTIONS)


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("lamella.ops.elementwise", "from lamella import passes"),
        ("lamella.ops.elementwise", "from lamella.layers.base import Layer"),
        ("lamella.ops.elementwise", "def f():\n    from lamella.layers import base"),
        ("lamella.ops.elementwise", "if TYPE_CHECKING:\n    import lamella.models"),
        ("lamella.ir.spec", "import lamella.ir.builder"),
        ("lamella.errors", "from lamella.ir.spec import Spec"),
        ("lamella.layers.core", "import lamella.testing"),
        ("lamella.models.sequential", "import lamella_numpy"),
        ("lamella.models.sequential", "import lamella"),
        ("lamella.models.sequential", "import jax"),
        ("lamella.models.sequential", "def f():\n    import jax"),
        ("lamella.models.sequential", "def f():\n    import optax"),
        ("lamella.console", "import rich"),
        ("lamella.training.fit", "import scipy"),
        ("lamella_numpy.kernels", "import jax"),
        ("lamella_numpy.kernels", "def f():\n    import scipy.special"),
        ("lamella_numpy.kernels", "from lamella.layers.base import Layer"),
        ("lamella_jax.lowerings", "from lamella_numpy import kernels"),
        ("lamella_jax.lowerings", "import optax"),
        ("lamella_jax.lowerings", "from lamella.testing import REFERENCE"),
    ],
)
def test_a_planted_import_is_found(module, text):
    assert [t for i in imports_of(module, text) if (t := fault(i))], f"{module}: {text}"


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("lamella.ops.elementwise", "from lamella.ops import comparison"),
        ("lamella.console", "def f():\n    import rich.table"),
        ("lamella.models.sequential", "from lamella.layers import Dense"),
        ("lamella_numpy.kernels", "from lamella.passes import simplify"),
        ("lamella_jax.runner", "import jax.numpy as jnp"),
    ],
)
def test_an_allowed_import_is_not(module, text):
    assert not [t for i in imports_of(module, text) if (t := fault(i))]


def test_no_module_hides_an_import():
    """`__import__` and `import_module` would slip past the table: the seam loads a backend by name, and it alone.

    A package's own modules may be imported late: the NumPy kernels of a family, what `names.lazily` has a table of, and
    the modules of lamella that describing a model needs none of.
    """
    users = set()
    for name, path in KNOWN.items():
        text = path.read_text(encoding="utf-8").replace('import_module(f"lamella_numpy.{module}")', "")
        if "import_module(" in text or "__import__(" in text:
            users.add(name)
    assert users == {"lamella", "lamella.backend", "lamella.names", "lamella.old_modules"}


def loaded_by(run_python, statement):
    code = f"import sys; before = set(sys.modules); {statement}; print(*sorted(set(sys.modules) - before))"
    return run_python(code=code).stdout.split()


def test_import_lamella_loads_numpy_and_itself_only(run_python):
    loaded = {name.split(".")[0] for name in loaded_by(run_python, "import lamella")}
    foreign = {n for n in loaded if n not in sys.stdlib_module_names and n not in ("lamella", "numpy")}
    # NumPy's own compiled helpers have no package name
    assert not {n for n in foreign if not n.startswith(("_", "cython_runtime"))}, foreign


def test_the_numpy_backend_loads_nothing_else(run_python):
    statement = "import lamella; lamella.set_backend('numpy'); lamella.ops.tanh(1.0)"
    loaded = {name.split(".")[0] for name in loaded_by(run_python, statement)}
    assert not loaded & {"jax", "jaxlib", "scipy", "rich", "h5py", "optax", "lamella_jax"}


@pytest.mark.parametrize("package", ["layers", "losses", "metrics", "optimizers"])
def test_what_is_imported_late_is_what_type_checkers_read(package):
    tree = ast.parse((SOURCES["lamella"] / package / "__init__.py").read_text())
    block = next(n for n in tree.body if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING")
    declared = {(n.module, a.name) for n in block.body if isinstance(n, ast.ImportFrom) for a in n.names}
    modules = importlib.import_module(f"lamella.{package}")._MODULES
    assert declared == {(f"lamella.{package}.{m}", name) for m, names in modules.items() for name in names.split()}

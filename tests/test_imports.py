"""Who may import whom: one way only, and no cycle between packages of any kind.

Counted are imports at the top of a module, inside functions and under `TYPE_CHECKING`, the modules that `importlib` is asked
for, and the strings from which lazy tables and module `__getattr__` functions import.
"""

from __future__ import annotations

import ast
import importlib
import re
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

# A package imports from the levels above its own in this list and never from its own; docs/design.md draws it.
LEVELS = (
    "errors stacks tracebacks notebook",
    "absent processes",
    "tree",
    "names console files ir compiling",
    "compat ops drawing",
    "passes host_random",
    "backend_api",
    # ----- a backend may import everything above this line and nothing below -----
    "backend core",
    "graph distribution",
    "activations initializers regularizers constraints losses config",
    "layers optimizers metrics random",
    "lowering mixed_precision dtype_policies",
    "training export",
    "saving debug",
    "models callbacks",
    "testing utils",
    "backend_functions",
    "cli datasets preprocessing wrappers",
    "__main__",
)
LEVEL = {f"lamella.{name}": i for i, names in enumerate(LEVELS) for name in names.split()}
LEVEL["lamella"] = len(LEVELS)  # the table of contents, which nothing imports
BACKEND_LEVEL = LEVEL["lamella.backend_api"]

# importer and what it may import by name at run time, upwards too: reason
FACADES = {
    ("lamella.backend_api.registry", "lamella_jax"): "a backend is loaded by name when it is first used",
    ("lamella.backend_api.registry", "lamella_numpy"): "a backend is loaded by name when it is first used",
    (
        "lamella.backend",
        "lamella",
    ): "Keras 2's functions need layers and models, and are loaded when a script asks for one",
    ("lamella.compat.modules", "lamella"): "a module that has gone or moved is made when a script imports it",
}

# outside the standard library: everyone may import NumPy; these only inside functions, at their first use
OPTIONAL = {
    "lamella": {"rich", "h5py", "matplotlib", "onnx", "pandas", "PIL", "tensorboardX", "IPython"},
    "lamella_numpy": {"threadpoolctl"},
    "lamella_jax": {"optax"},
}
# packages that nothing imports by itself, and the library that they are for: they import it at the top
MADE_FOR = {"lamella.wrappers": "sklearn"}
NEEDED = {"lamella": {"numpy"}, "lamella_numpy": {"numpy"}, "lamella_jax": {"numpy", "jax"}}

_MODULE = re.compile(r"lamella(_\w+)?(\.\w+)*(:\w+)?")


class Import(NamedTuple):
    importer: str
    imported: str
    line: int
    kind: str  # "top", "function", "typing", "by name"


def modules(package, root):
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        yield ".".join([package, *(parts[:-1] if parts[-1] == "__init__" else parts)]), path


KNOWN = {name: path for package, root in SOURCES.items() for name, path in modules(package, root)}


def imports_of(name, text, known=KNOWN):
    """Every import of a module, each name resolved to the module that it is."""
    tree = ast.parse(text)
    found = []

    def visit(node, kind):
        if isinstance(node, ast.Import):
            found.extend(Import(name, alias.name, node.lineno, kind) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}:{node.lineno}: a relative import"
            for alias in node.names:
                module = f"{node.module}.{alias.name}"
                found.append(Import(name, module if module in known else node.module, node.lineno, kind))
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            kind = "typing"
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and kind == "top":
            kind = "function"
        for child in ast.iter_child_nodes(node):
            visit(child, kind)

    visit(tree, "top")
    return found + list(_imports_by_name(name, tree, known))


def _imports_by_name(name, tree, known):
    """What a module may import through `importlib`, directly or through the lazy tables of `lamella.names`.

    A string that is the whole name of a module ("lamella.models", "lamella.models.sequential:Sequential") counts wherever it
    is; behind `import_module(f"lamella.{name}")` every string of the module that completes a known name does.
    """
    strings = [n for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    for node in strings:
        module = node.value.partition(":")[0]
        if module != "lamella" and _MODULE.fullmatch(node.value) and module in known and module != name:
            yield Import(name, module, node.lineno, "by name")
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call) or not call.args:
            continue
        function = ast.unparse(call.func).rpartition(".")[2]
        argument = call.args[0]
        if function not in ("import_module", "__import__"):
            continue
        if isinstance(argument, ast.Constant):
            yield Import(name, argument.value, call.lineno, "by name")
        elif isinstance(argument, ast.JoinedStr) and isinstance(argument.values[0], ast.Constant):
            prefix = argument.values[0].value
            for node in strings:
                for word in node.value.split():
                    if prefix + word in known and prefix + word != name:
                        yield Import(name, prefix + word, call.lineno, "by name")


def package_of(module):
    """The package, or the single module at the top level, that a module belongs to."""
    first, *rest = module.split(".")
    return f"{first}.{rest[0]}" if first == "lamella" and rest else first


def is_facade(i):
    """Whether an import is one of a listed lazy facade."""
    return i.kind == "by name" and any(
        i.importer == importer and i.imported.partition(".")[0] == top for importer, top in FACADES
    )


def fault(i):
    """What is wrong with an import, or None."""
    importer, imported = package_of(i.importer), package_of(i.imported)
    top, of = importer.split(".")[0], imported.split(".")[0]
    if of not in SOURCES:
        if of in sys.stdlib_module_names or of in NEEDED[top]:
            return None
        if (of in OPTIONAL[top] and i.kind != "top") or MADE_FOR.get(importer) == of:
            return None
        return f"{i.importer}:{i.line} imports {i.imported} from outside"
    if importer == imported or is_facade(i):
        return None
    if top == "lamella":
        if of != "lamella":
            return f"{i.importer}:{i.line}: the frontend imports the backend {i.imported}"
        assert importer in LEVEL, f"{importer} has no level"
        if LEVEL[imported] < LEVEL[importer]:
            return None
        return f"{i.importer} (level {LEVEL[importer]}):{i.line} imports {i.imported} (level {LEVEL[imported]})"
    if of == "lamella" and LEVEL[imported] <= BACKEND_LEVEL:
        return None
    return f"{i.importer}:{i.line}: a backend imports {i.imported}"


def cycles(imports):
    """The sets of packages that import each other, directly or around a circle; listed facades do not count."""
    graph = {}
    for i in imports:
        importer, imported = package_of(i.importer), package_of(i.imported)
        if imported.split(".")[0] in SOURCES and importer != imported and not is_facade(i):
            graph.setdefault(importer, set()).add(imported)

    def reached(start):
        seen, waiting = set(), [start]
        while waiting:
            for package in graph.get(waiting.pop(), ()):
                if package not in seen:
                    seen.add(package)
                    waiting.append(package)
        return seen

    reach = {package: reached(package) for package in graph}
    return {frozenset(o for o in seen if p in reach.get(o, ())) for p, seen in reach.items() if p in seen}


EVERY = [i for name, path in KNOWN.items() for i in imports_of(name, path.read_text(encoding="utf-8"))]


def planted(module, text):
    """All imports, with a line more in one module."""
    return [*EVERY, *imports_of(module, text)]


def test_imports_go_one_way():
    faults = [text for i in EVERY if (text := fault(i))]
    assert not faults, "\n".join(faults)


def test_no_packages_import_each_other():
    assert not cycles(EVERY)


def test_every_package_has_a_level():
    assert {package_of(name) for name in KNOWN if name.startswith("lamella.")} | {"lamella"} == set(LEVEL)


def test_every_facade_is_still_needed():
    upwards = {(i.importer, i.imported.partition(".")[0]) for i in EVERY if is_facade(i)}
    assert set(FACADES) == upwards


def test_the_design_page_draws_these_levels():
    page = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    drawn = re.search(r"```\n(errors.*?)```", page, re.DOTALL).group(1)
    names = {word for line in drawn.splitlines() for word in line.partition("  ")[0].replace(",", " ").split()}
    assert {f"lamella.{name}" for name in names} >= set(LEVEL) - {"lamella", "lamella.__main__"}


CYCLES = {
    "at the top": "from lamella.layers.base import Layer",
    "in a function": "def f():\n    from lamella.layers import base",
    "in a method": "class A:\n    def f(self):\n        import lamella.layers.base",
    "for types": "if TYPE_CHECKING:\n    from lamella.layers.base import Layer",
    "importlib with a name": "def f():\n    return importlib.import_module('lamella.layers')",
    "importlib with a table": "PLACES = {'Dense': 'lamella.layers.core:Dense'}\nT = LazyTable(PLACES)",
    "importlib with a pattern": "NAMES = 'layers models'\ndef f(n):\n    return import_module(f'lamella.{n}')",
    "module __getattr__": "def __getattr__(name):\n    return getattr(importlib.import_module('lamella.layers'), name)",
    "__import__": "L = __import__('lamella.layers')",
    "the table of contents": "from lamella import Sequential",
}


@pytest.mark.parametrize("text", CYCLES.values(), ids=CYCLES.keys())
def test_a_planted_cycle_is_found(text):
    imports = planted("lamella.optimizers.base", text)
    assert cycles(planted("lamella.core.context", text)), "layers import core"
    assert [t for i in imports if (t := fault(i))], "optimizers and layers stand side by side"


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("lamella.ops.elementwise", "from lamella import passes"),
        ("lamella.ops.elementwise", "from lamella.layers.base import Layer"),
        ("lamella.ops.elementwise", "def f():\n    from lamella.layers import base"),
        ("lamella.ops.elementwise", "if TYPE_CHECKING:\n    import lamella.models"),
        ("lamella.ir.spec", "from lamella import ops"),
        ("lamella.errors", "from lamella.ir.spec import Spec"),
        ("lamella.layers.core", "import lamella.testing"),
        ("lamella.training.fit", "from lamella.models.sequential import Sequential"),
        ("lamella.saving.checking", "from lamella.callbacks import Callback"),
        ("lamella.models.sequential", "import lamella_numpy"),
        ("lamella.models.sequential", "import lamella"),
        ("lamella.models.sequential", "import jax"),
        ("lamella.models.sequential", "def f():\n    import jax"),
        ("lamella.models.sequential", "def f():\n    import optax"),
        ("lamella.console", "import rich"),
        ("lamella.training.fit", "import scipy"),
        ("lamella.utils", "import sklearn.base"),
        ("lamella.wrappers.estimators", "import pandas"),
        ("lamella_numpy.kernels", "import jax"),
        ("lamella_numpy.kernels", "def f():\n    import scipy.special"),
        ("lamella_numpy.kernels", "from lamella.layers.base import Layer"),
        ("lamella_numpy.kernels", "from lamella.backend import Backend"),
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
        ("lamella.wrappers.estimators", "from sklearn.base import BaseEstimator"),
        ("lamella_numpy.kernels", "from lamella.passes import simplify"),
        ("lamella_jax.runner", "import jax.numpy as jnp"),
    ],
)
def test_an_allowed_import_is_not(module, text):
    assert not [t for i in imports_of(module, text) if (t := fault(i))]


def test_imports_by_variable_are_known():
    """`import_module(variable)` takes its names from strings that `_imports_by_name` finds, in these modules alone."""
    users = set()
    for name, path in KNOWN.items():
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and ast.unparse(call.func).rpartition(".")[2] in (
                "import_module",
                "__import__",
            ):
                if not isinstance(call.args[0], ast.Constant | ast.JoinedStr):
                    users.add(name)
    assert users == {"lamella.backend_api.registry", "lamella.names", "lamella.compat.modules"}


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
    imported = [n for n in block.body if isinstance(n, ast.ImportFrom) and n.module != "lamella.ir.types"]
    declared = {(n.module, a.name) for n in imported for a in n.names}
    modules = importlib.import_module(f"lamella.{package}")._MODULES
    assert declared == {(f"lamella.{package}.{m}", name) for m, names in modules.items() for name in names.split()}


# ---- what a model is, is asked of the model ----


def asks_for_a_sequential(source):
    """The lines that ask whether an object or a class is a `Sequential`."""
    lines = []
    for node in ast.walk(ast.parse(source)):
        asks = isinstance(node, ast.MatchClass)
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func).rpartition(".")[2]
            asks = called in ("isinstance", "issubclass", "class_named", "getattr", "hasattr")
        elif isinstance(node, ast.Compare):  # a name in a file is data
            asks = not any(isinstance(part, ast.Constant) for part in ast.walk(node))
        if asks and re.search(r"\b_?sequential\b", ast.unparse(node), re.IGNORECASE):
            lines.append(node.lineno)
    return lines


def test_only_a_sequential_knows_that_it_is_one():
    found = {
        module: lines
        for package, root in SOURCES.items()
        for module, path in modules(package, root)
        if module != "lamella.models.sequential" and (lines := asks_for_a_sequential(path.read_text("utf-8")))
    }
    assert not found, "ask the model instead (`Model._graph`, `described_by_layers`, `shown_parts`)"


@pytest.mark.parametrize(
    "line",
    [
        "isinstance(model, Sequential)",
        "isinstance(model, (Model, models.Sequential))",
        "issubclass(given, _sequential())",
        'issubclass(given, serialization.class_named("Sequential", CONTAINERS))',
        "type(model) is Sequential",
        "match model:\n    case Sequential():\n        pass",
    ],
)
def test_a_question_for_a_sequential_is_found(line):
    assert asks_for_a_sequential(line)
    assert not asks_for_a_sequential(
        'Sequential([layer]) if entry["class_name"] == "Sequential" else isinstance(x, Model)'
    )

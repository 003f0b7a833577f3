"""Scripts for Keras and tf.keras, rewritten to import lamella, and the names that they use.

The syntax tree of a script is changed, not its text, so that tracebacks show the script's own lines. `ROOTS`,
`FLAT` and `PLACES` say which module answers for one of Keras, of any age.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any, NamedTuple

from lamella.compat.modules import look_up

ROOTS: Mapping[str, str] = {
    **dict.fromkeys(
        (
            "keras", "keras.api", "keras.src", "keras.api._v1.keras", "keras.api._v2.keras", "keras._tf_keras.keras",
            "keras_core", "tf_keras", "tf_keras.api", "tf_keras.src",
            "tensorflow.keras", "tensorflow.keras._tf_keras.keras", "tensorflow.python.keras", "tensorflow.python.keras.api",
            "tensorflow.python.keras.api._v1.keras", "tensorflow.python.keras.api._v2.keras", "tensorflow_core.python.keras",
            "tensorflow.compat.v1.keras", "tensorflow.compat.v2.keras", "tensorflow.contrib.keras",
            "tensorflow.contrib.keras.api.keras", "tensorflow.contrib.keras.python.keras",
        ),
        "keras",
    ),
    "keras_preprocessing": "keras.preprocessing",
    "scikeras.wrappers": "keras.wrappers",
    **dict.fromkeys(("tensorflow", "tensorflow.compat.v1", "tensorflow.compat.v2"), "tensorflow"),
}  # fmt: skip
"""For each package, or module of one, what it is today: a module of Keras, which lamella answers for, or TensorFlow."""

VERSIONS: Mapping[str, str] = {
    f"{root}.__version__": "2.16.0+lamella" if today == "tensorflow" else "3.15.1+lamella"
    for root, today in ROOTS.items()
    if today in ("keras", "tensorflow")
}
"""What `__version__` of each package is in a script: the release whose names lamella answers for."""

FLAT = frozenset(
    "activations backend callbacks constraints initializers layers losses metrics models optimizers regularizers saving "
    "utils".split()
)
"""Modules of which every module within has its public names in the module itself, today."""

_KEPT = ("optimizers.schedules", "wrappers.scikit_learn")
"""Modules within these that still exist as separate modules."""

PLACES: Mapping[str, tuple[str, ...]] = {
    "engine": ("lamella.layers", "lamella.models", "lamella.utils"),
    "legacy": ("lamella.layers", "lamella.models"),
    "initializations": ("lamella.initializers",),
    "objectives": ("lamella.losses",),
}
"""For each module that is gone the modules that share its names today."""


class Use(NamedTuple):
    """A name of Keras or TensorFlow in a script.

    Attributes:
        name: as it is in Keras, without "keras." ("layers.Dense"), or with "tf." in front of a name of TensorFlow.
        where: what answers for it ("lamella.layers.Dense").
        line: the first line that uses it.
    """

    name: str
    where: str
    line: int


def place(name: str, *, module: bool = False) -> tuple[str, str] | None:
    """What a dotted name of a script is without its package, and where it is looked for.

    >>> place("tensorflow.keras.layers.Dense")
    ('layers.Dense', 'lamella.layers.Dense')
    >>> place("keras.layers.core", module=True)
    ('layers.core', 'lamella.layers')
    >>> place("keras.engine.topology.Model")
    ('engine.topology.Model', 'lamella.models.Model')
    >>> place("tensorflow.random.set_seed")
    ('tf.random.set_seed', 'tensorflow.random.set_seed')

    Args:
        name: the name.
        module: whether all of it is the path of a module, as in `from keras.layers.core import Dense`.

    Returns:
        None for a name of another package.
    """
    root = next((name[:end] for end in _ends(name) if name[:end] in ROOTS), None)
    if root is None:
        return None
    package, _, shown = f"{ROOTS[root]}{name[len(root) :]}".partition(".")
    if package == "tensorflow":
        return f"tf.{shown}".rstrip("."), f"tensorflow.{shown}".rstrip(".")
    family, *parts = shown.split(".")
    if family in PLACES:
        last = [] if module else parts[-1:]
        return shown, ".".join([_having(PLACES[family], last), *last])
    if family in FLAT:
        ends = len(parts) - (not module)
        parts = [part for i, part in enumerate(parts) if not _is_module_within(family, part, surely=i >= ends)]
    return shown, ".".join(["lamella", family, *parts]).rstrip(".")


def _ends(name: str) -> Iterator[int]:
    """Where the leading parts of a dotted name end, the longest first."""
    end = len(name)
    while end > 0:
        yield end
        end = name.rfind(".", 0, end)


def _having(modules: tuple[str, ...], names: list[str]) -> str:
    """The first of the modules that has the name, or the first of all."""
    return next((module for module in modules if names and is_there(f"{module}.{names[0]}")), modules[0])


def _is_module_within(family: str, part: str, *, surely: bool) -> bool:
    """Whether a part of a path is a module of an earlier Keras whose names are those of its family today.

    Args:
        family: the module that the path begins with.
        part: the part.
        surely: whether a name that is not there is not taken for one.
    """
    if not part.islower() or f"{family}.{part}" in _KEPT:
        return False
    try:
        return isinstance(look_up(f"lamella.{family}.{part}"), ModuleType)
    except (ImportError, AttributeError):
        return not surely


def is_there(where: str) -> bool:
    """Whether lamella has what `place` named.

    >>> is_there("lamella.layers.Dense"), is_there("lamella.layers.Dens")
    (True, False)
    """
    return problem(where) is None


def problem(where: str) -> str | None:
    """The explanation for a name that lamella does not have; None if it has it."""
    try:
        if where.partition(".")[0] == "tensorflow":
            from lamella.cli import tensorflow

            tensorflow.found(where.partition(".")[2])
        else:
            look_up(where)
    except (ImportError, AttributeError) as error:
        return str(error)
    return None


def rewritten(source: bytes | str, filename: str) -> tuple[ast.Module, list[Use]]:
    """The syntax tree of a script with lamella in the place of Keras, and the names of Keras that the script uses.

    >>> tree, uses = rewritten("import keras as k; k.layers.core.Dense(2)", "script.py")
    >>> print(ast.unparse(tree))
    import lamella as k
    k.layers.Dense(2)
    >>> [use.where for use in uses]
    ['lamella.layers.Dense']

    Args:
        source: the text, or its bytes with the encoding that they declare.
        filename: what tracebacks call it.

    Raises:
        SyntaxError: the text is not Python.
    """
    tree = ast.parse(source, filename)
    rewriter = _Rewriter(tree)
    changed = ast.fix_missing_locations(rewriter.visit(tree))
    uses: dict[str, Use] = {}
    for use in rewriter.uses:
        uses.setdefault(use.name, use)
    return changed, [*uses.values()]


_INNER: Mapping[type[ast.AST], tuple[str, ...]] = {
    **dict.fromkeys((ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda), ("body",)),
    **dict.fromkeys((ast.ListComp, ast.SetComp, ast.GeneratorExp), ("elt", "generators")),
    ast.DictComp: ("key", "value", "generators"),
}
"""For each kind of node that opens a scope the fields in which its names are visible."""


def _within(scope: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a scope in the order of the text, without those of the scopes within."""
    for node in ast.iter_child_nodes(scope):
        yield node
        if type(node) not in _INNER:
            yield from _within(node)


def _names_given(node: ast.AST) -> list[str | None]:
    """The names that a node, other than an import, gives something to."""
    match node:
        case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name) | ast.MatchMapping(rest=name):
            return [name]
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return [node.name]
        case ast.ExceptHandler() | ast.MatchAs() | ast.MatchStar():
            return [node.name]
    return []


def _declared(scope: ast.AST) -> set[str]:
    """The names of a scope that it says are those of one outside of it."""
    return {name for node in _within(scope) if isinstance(node, ast.Global | ast.Nonlocal) for name in node.names}


class _Scope:
    """What the names of a scope are in Keras, and whether it is that of a class, which functions within do not see."""

    def __init__(self, node: ast.AST) -> None:
        self.is_class = isinstance(node, ast.ClassDef)
        self.names: dict[str, str | None] = {}
        self._others: set[str] = set()

    def bind(self, name: str, meaning: str | None) -> None:
        """Give a name its dotted name in Keras, unless it is something else as well; None for one that may be either."""
        if meaning is None:
            self.names.setdefault(name, None)
        elif name not in self._others:
            self.names[name] = meaning

    def spoil(self, name: str) -> None:
        """Let a name be nothing of Keras."""
        self._others.add(name)
        self.names[name] = None


class _Rewriter(ast.NodeTransformer):
    """Replaces imports of Keras and TensorFlow, and the modules that are gone in chains of attributes of these."""

    def __init__(self, tree: ast.Module) -> None:
        self.uses: list[Use] = []
        self._scopes = [_Scope(tree)]
        """Those whose names are seen, from the module to the innermost."""
        self._bind_all(tree)
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                self._bind_all(function, outside=True)

    def _bind_all(self, scope: ast.AST, *, outside: bool = False) -> None:
        """Note what the names of a scope are, in the innermost one that is seen; or those that it has from outside."""
        declared, inner, aliases = _declared(scope), self._scopes[-1], set[int]()
        if outside and not declared:
            return

        def seen(name: str) -> bool:
            return (name in declared) == outside

        for node in _within(scope):
            for name, meaning in self._meanings(node):
                if seen(name):
                    inner.bind(name, meaning)
            if isinstance(node, ast.Import | ast.ImportFrom):
                for alias in node.names:
                    name = alias.asname or alias.name.partition(".")[0]
                    if not _is_of_keras(node, alias) and seen(name):
                        inner.spoil(name)
            elif isinstance(node, ast.Assign) and [*self._meanings(node)]:
                aliases |= set(map(id, node.targets))
            for given in _names_given(node):
                if given and id(node) not in aliases and seen(given):
                    inner.spoil(given)

    def _meanings(self, node: ast.AST) -> Iterator[tuple[str, str | None]]:
        """The names that a statement gives something of Keras to, with what it is, or None."""
        if isinstance(node, ast.Import):
            for alias in node.names:
                if _is_of_keras(node, alias):
                    first = alias.name.partition(".")[0]
                    yield alias.asname or first, alias.name if alias.asname else first
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if _is_of_keras(node, alias):
                    yield alias.asname or alias.name, f"{node.module}.{alias.name}"
        elif isinstance(node, ast.Assign):
            chain = self._chain(node.value) if isinstance(node.value, ast.Attribute) else None
            nothing = isinstance(node.value, ast.Constant) and node.value.value is None
            if chain is not None or nothing:  # keras = tf.keras, or keras = None
                for target in node.targets:
                    if isinstance(target, ast.Name):
                        yield target.id, chain

    def _meaning(self, name: str) -> str | None:
        """The dotted name in Keras of a name, where it is seen; None where it is something else there."""
        return next((scope.names[name] for scope in reversed(self._scopes) if name in scope.names), None)

    def visit(self, node: ast.AST) -> Any:
        """Visit a node with the names that it sees."""
        if type(node) not in _INNER:
            return super().visit(node)
        inner = {name: getattr(node, name) for name in _INNER[type(node)]}
        for name in inner:
            setattr(node, name, [])
        first, iterated = next(iter(inner.get("generators", ())), None), None
        if first is not None:  # what is gone through first is looked up outside
            first.iter, iterated = ast.Constant(None), self.visit(first.iter)
        self.generic_visit(node)
        outside = self._scopes
        self._scopes = [*(scope for scope in outside if not scope.is_class), _Scope(node)]
        for name, value in inner.items():
            setattr(node, name, value)
        self._bind_all(node)
        for name, value in inner.items():
            holder = ast.Module(value if isinstance(value, list) else [value], [])
            self.generic_visit(holder)
            setattr(node, name, holder.body if isinstance(value, list) else holder.body[0])
        if first is not None:
            first.iter = iterated
        self._scopes = outside
        return node

    def _chain(self, node: ast.AST) -> str | None:
        """The dotted name in Keras of an expression that begins with an imported name."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        meaning = self._meaning(node.id) if isinstance(node, ast.Name) else None
        return None if meaning is None else ".".join([meaning, *reversed(parts)])

    def _used(self, name: str, line: int, *, module: bool = False) -> str:
        """Note a name, without the attributes of a class or function, and return where it is."""
        found = place(name, module=module)
        assert found is not None  # noqa: S101 - callers look first
        shown, where = found
        beyond = len(where) - _end_of_modules(where)
        if "." in where:
            self.uses.append(Use(shown[: len(shown) - beyond], where[: len(where) - beyond], line))
        return where

    def visit_Import(self, node: ast.Import) -> list[ast.stmt]:
        statements: list[ast.stmt] = []
        for alias in node.names:
            if place(alias.name) is None:
                statements.append(ast.Import([alias]))
                continue
            first = alias.name.partition(".")[0]
            where = self._used(alias.name, node.lineno, module=True)
            statements += _binding(alias.asname or first, where)
            if not alias.asname and "." in alias.name and first in ROOTS:
                statements += _binding(first, ROOTS[first].replace("keras", "lamella"))
        return [ast.copy_location(statement, node) for statement in statements]

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.stmt | list[ast.stmt]:
        if node.level or not node.module or place(node.module) is None:
            return node
        statements: list[ast.stmt] = []
        for alias in node.names:
            name, bound = f"{node.module}.{alias.name}", alias.asname or alias.name
            if alias.name == "*":
                where = self._used(node.module, node.lineno, module=True)
                statements.append(ast.ImportFrom(where.replace("tensorflow", "lamella.cli.tensorflow"), [alias], 0))
            elif name in VERSIONS:
                statements.append(_assigned(bound, ast.Constant(VERSIONS[name])))
            else:
                statements += _binding(bound, self._used(name, node.lineno))
        return [ast.copy_location(statement, node) for statement in statements]

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        chain = self._chain(node)
        if chain is None or place(chain) is None:
            self.generic_visit(node)
            return node
        if chain in VERSIONS:
            return ast.copy_location(ast.Constant(VERSIONS[chain]), node)
        where = self._used(chain, node.lineno)
        root: ast.expr = node
        while isinstance(root, ast.Attribute):
            root = root.value
        assert isinstance(root, ast.Name)  # noqa: S101 - `_chain` found it
        meaning = self._meaning(root.id)
        start = None if meaning is None else place(meaning, module=True)
        base = "" if start is None else start[1]
        if base == "tensorflow" and not where.startswith(base):
            base, root = "lamella", ast.Attribute(root, "keras", ast.Load())
        elif not f"{where}.".startswith(f"{base}."):  # in another module than the name that the chain begins with
            base = where.rpartition(".")[0]
            root = ast.parse(f"__import__({base!r}, fromlist=['*'])", mode="eval").body
        for name in where.split(".")[len(base.split(".")) :]:
            root = ast.Attribute(root, name, ast.Load())
        if isinstance(root, ast.Attribute):
            root.ctx = node.ctx
        return ast.copy_location(root, node)


def _is_of_keras(node: ast.Import | ast.ImportFrom, alias: ast.alias) -> bool:
    """Whether a name is imported from Keras or TensorFlow."""
    if isinstance(node, ast.Import):
        return place(alias.name) is not None
    return not node.level and bool(node.module) and place(node.module or "") is not None


def _end_of_modules(where: str) -> int:
    """Where the part of a dotted name ends that is a module, or the first class or function after it."""
    for end in reversed([*_ends(where)]):
        try:
            if not isinstance(look_up(where[:end]), ModuleType):
                return end
        except (ImportError, AttributeError):
            break
    return len(where)


def _assigned(name: str, value: ast.expr) -> ast.stmt:
    return ast.Assign([ast.Name(name, ast.Store())], value)


def _binding(bound: str, where: str) -> list[ast.stmt]:
    """The statement that gives a name of the script what `where` is."""
    package, _, rest = where.partition(".")
    if package == "tensorflow" and rest:
        load = ast.parse(f"__import__('lamella.cli.tensorflow', fromlist=['found']).found({rest!r})", mode="eval").body
        return [_assigned(bound, load)]
    if package == "tensorflow":
        return [ast.Import([ast.alias("lamella.cli.tensorflow", bound)])]
    base, _, last = where.rpartition(".")
    if base:
        return [ast.ImportFrom(base, [ast.alias(last, None if bound == last else bound)], 0)]
    return [ast.Import([ast.alias(where, bound)])]

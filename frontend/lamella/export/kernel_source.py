"""The source of functions and of everything they use, as one text that needs only NumPy and the standard library.

An exported file contains the functions of the NumPy backend. They are copied from their modules together with what they
call and read; annotations, which would need a newer Python, are omitted, and so is `strict=True` of `zip`. If two modules
use one name for different things, the later one is prefixed with its module's name.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable, Iterator
from typing import Any

Edit = tuple[int, int, str]


class _Module:
    """The source of a module, and the definitions of its names."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.text = inspect.getsource(sys.modules[name]).encode()
        self.starts = [0]
        for line in self.text.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))
        self.nodes: dict[str, ast.stmt] = {}
        self.order: dict[str, int] = {}
        for node in ast.parse(self.text).body:
            for defined in _defines(node):
                self.nodes[defined] = node
                self.order[defined] = node.lineno

    def begin(self, node: Any) -> int:
        return self.starts[node.lineno - 1] + node.col_offset

    def end(self, node: Any) -> int:
        return self.starts[node.end_lineno - 1] + node.end_col_offset


def _defines(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Assign):
        for target in node.targets:
            yield from (n.id for n in ast.walk(target) if isinstance(n, ast.Name))
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        yield node.target.id
    elif isinstance(node, ast.Import | ast.ImportFrom):
        for alias in node.names:
            yield alias.asname or alias.name.partition(".")[0]


class KernelSource:
    """Collects functions, and writes them with what they need.

    Args:
        reserved: names that are taken in the finished file; collected definitions get other names.
    """

    def __init__(self, reserved: set[str]) -> None:
        self._modules: dict[str, _Module] = {}
        self._names: dict[tuple[str, str], str] = {}  # what a module calls something: its name in the text
        self._taken = set(reserved)
        self._imports: set[str] = set()
        self._pieces: list[tuple[_Module, str]] = []

    def add(self, function: Callable[..., Any]) -> str:
        """Return the name of `function` in the text.

        Raises:
            ValueError: there is no source, or it reads something besides NumPy, the standard library, and modules with a
                source.
        """
        inner = inspect.unwrap(function)
        name = getattr(inner, "__name__", "")
        module = getattr(inner, "__module__", None)
        if getattr(inner, "__qualname__", "") != name or module not in sys.modules or inner.__closure__:
            raise ValueError(f"{function!r} is not a plain function of a module.")
        return self._collect(module, name)

    def text(self) -> tuple[list[str], list[str]]:
        """Return the import lines, and the functions, classes and constants, each after what it needs."""
        return sorted(self._imports), [self._piece(module, name) for module, name in self._pieces]

    def _collect(self, module_name: str, name: str) -> str:
        key = (module_name, name)
        if key in self._names:
            return self._names[key]
        if module_name not in self._modules:
            self._modules[module_name] = _Module(module_name)
        module = self._modules[module_name]
        node = module.nodes.get(name)
        if node is None:
            raise ValueError(f"{module_name} does not define {name!r} itself.")
        if isinstance(node, ast.Import | ast.ImportFrom):
            self._names[key] = self._import(module, node, name)
            return self._names[key]
        if isinstance(node, ast.Assign) and len(list(_defines(node))) > 1:
            raise ValueError(f"{module_name}.{name} is assigned together with others.")
        short = module_name.rpartition(".")[2]
        chosen = name if name not in self._taken else f"{short}_{name}"
        self._taken.add(chosen)
        self._names[key] = chosen
        for other in sorted(_reads(node) & set(module.nodes), key=lambda n: module.order[n]):
            self._collect(module_name, other)
        self._pieces.append((module, name))
        return chosen

    def _import(self, module: _Module, node: ast.Import | ast.ImportFrom, name: str) -> str:
        alias = next(a for a in node.names if (a.asname or a.name.partition(".")[0]) == name)
        source = node.module or "" if isinstance(node, ast.ImportFrom) else alias.name
        root = source.partition(".")[0]
        if root != "numpy" and root not in sys.stdlib_module_names:
            if isinstance(node, ast.Import):
                raise ValueError(f"{module.name} uses the module {alias.name!r}.")
            return self._collect(source, alias.name)
        renamed = f" as {alias.asname}" if alias.asname else ""
        self._imports.add(
            f"import {alias.name}{renamed}"
            if isinstance(node, ast.Import)
            else f"from {source} import {alias.name}{renamed}"
        )
        return name

    def _piece(self, module: _Module, name: str) -> str:
        node = module.nodes[name]
        first = min([node, *getattr(node, "decorator_list", [])], key=lambda n: n.lineno)
        begin = module.starts[first.lineno - 1]
        edits = sorted([*_modernisms(module, node), *self._renames(module, node)])
        parts, at = [], begin
        for start, stop, replacement in edits:
            if start < at:  # inside an annotation that is removed already
                continue
            parts += [module.text[at:start].decode(), replacement]
            at = stop
        parts.append(module.text[at : module.end(node)].decode())
        return "".join(parts)

    def _renames(self, module: _Module, node: ast.AST) -> Iterator[Edit]:
        for inner in ast.walk(node):
            if isinstance(inner, ast.Name):
                new = self._names.get((module.name, inner.id))
                if new is not None and new != inner.id:
                    yield module.begin(inner), module.end(inner), new
            elif isinstance(inner, ast.FunctionDef | ast.ClassDef):
                new = self._names.get((module.name, inner.name)) if inner is node else None
                if new is not None and new != inner.name:
                    word = b"def " if isinstance(inner, ast.FunctionDef) else b"class "
                    start = module.text.index(word, module.begin(inner)) + len(word)
                    yield start, start + len(inner.name), new


def _reads(node: ast.AST) -> set[str]:
    """The names that a definition reads, except in annotations."""
    found: set[str] = set()

    def visit(inner: ast.AST) -> None:
        if isinstance(inner, ast.Name):
            found.add(inner.id)
        passed = {id(getattr(inner, field, None)) for field in ("annotation", "returns")}
        for child in ast.iter_child_nodes(inner):
            if id(child) not in passed:
                visit(child)

    visit(node)
    return found


def _modernisms(module: _Module, node: ast.AST) -> Iterator[Edit]:
    """What to remove for older Pythons: annotations, and `strict=True`."""
    fields = {id(s) for c in ast.walk(node) if isinstance(c, ast.ClassDef) for s in c.body}
    for inner in ast.walk(node):
        if isinstance(inner, ast.arg) and inner.annotation is not None:
            yield module.begin(inner) + len(inner.arg), module.end(inner.annotation), ""
        elif isinstance(inner, ast.FunctionDef) and inner.returns is not None:
            start = module.text.rindex(b"->", 0, module.begin(inner.returns))
            while module.text[start - 1 : start] == b" ":
                start -= 1
            yield start, module.end(inner.returns), ""
        elif isinstance(inner, ast.AnnAssign):
            if id(inner) in fields:  # a field of a named tuple has to have an annotation
                yield module.begin(inner.annotation), module.end(inner.annotation), "object"
            else:
                yield module.end(inner.target), module.end(inner.annotation), ""
        elif isinstance(inner, ast.Call):
            for keyword in inner.keywords:
                if keyword.arg == "strict" and isinstance(inner.func, ast.Name) and inner.func.id == "zip":
                    yield module.text.rindex(b",", 0, module.begin(keyword)), module.end(keyword), ""

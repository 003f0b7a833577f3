"""An ONNX graph under construction: nodes, constants, shapes that depend on free dimensions, and two layouts."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from lamella.export.symbolic import ExportError
from lamella.ir.dim import Dim, Dimension, at
from lamella.ir.program import Equation, Value

ELEMENTS = {
    "float32": 1,
    "uint8": 2,
    "int8": 3,
    "uint16": 4,
    "int16": 5,
    "int32": 6,
    "int64": 7,
    "bool": 9,
    "float16": 10,
    "float64": 11,
    "uint32": 12,
    "uint64": 13,
}
"""ONNX's codes of the element types."""


Names = Sequence[str]


class Size:
    """The size of a dimension, known when the graph runs: a tensor int64[1], with the arithmetic of a number."""

    def __init__(self, graph: Graph, name: str) -> None:
        self.graph, self.name = graph, name

    def _with(self, kind: str, left: Any, right: Any) -> Size:
        names = [x.name if isinstance(x, Size) else self.graph.constant([x], np.int64) for x in (left, right)]
        return Size(self.graph, self.graph.node(kind, *names))

    def __add__(self, other: Any) -> Size:
        return self._with("Add", self, other)

    def __sub__(self, other: Any) -> Size:
        return self._with("Sub", self, other)

    def __mul__(self, other: Any) -> Size:
        return self._with("Mul", self, other)

    __radd__, __rmul__ = __add__, __mul__

    def __mod__(self, other: Any) -> Size:
        return self._with("Mod", self, other)

    def __floordiv__(self, other: Any) -> Size:
        # ONNX divides towards zero
        return self._with("Div", self._with("Sub", self, self % other), other)

    @staticmethod
    def largest(a: Any, b: Any) -> Any:
        """The larger of two sizes, one of them a `Size`."""
        return (a if isinstance(a, Size) else b)._with("Max", a, b)

    @staticmethod
    def least(a: Any, b: Any) -> Any:
        """The smaller of two sizes, one of them a `Size`."""
        return (a if isinstance(a, Size) else b)._with("Min", a, b)


class Graph:
    """Collects nodes; bodies of loops are graphs inside it, which may read what is outside.

    ONNX's windows want channels in front. A value may therefore exist in two layouts: as the program has it (`name_of`)
    and with channels first (`first_of`); each is made from the other on demand.
    """

    def __init__(self) -> None:
        self.sizes: dict[str, Any] = {}
        self.initializers: list[Any] = []
        self.nodes: list[Any] = []
        self.known: dict[str, np.ndarray] = {}
        self.where = ""
        self._names: ChainMap[Value, str] = ChainMap()
        self._first: ChainMap[Value, str] = ChainMap()
        self._tensors: ChainMap[tuple[Dimension, ...], str] = ChainMap()
        self._constants: dict[Any, str] = {}
        self._count = 0

    # ---- nodes and constants ----

    def fresh(self, hint: str) -> str:
        """A unique name."""
        self._count += 1
        return f"{self.where}/{hint}_{self._count}" if self.where else f"{hint}_{self._count}"

    def node(self, kind: str, *operands: str, outputs: int = 1, **attributes: Any) -> Any:
        """Add a node; returns the name of its result, or a list of them."""
        from onnx import helper

        results = [self.fresh(kind) for _ in range(outputs)]
        self.nodes.append(helper.make_node(kind, operands, results, name=results[0], **attributes))
        return results[0] if outputs == 1 else results

    def constant(self, array: Any, dtype: Any = None, name: str | None = None) -> str:
        """The name of an initializer; small equal ones are shared."""
        from onnx import numpy_helper

        array = np.asarray(array, dtype)
        key = (array.dtype.str, array.shape, array.tobytes()) if array.size <= 64 and name is None else None
        if key is not None and key in self._constants:
            return self._constants[key]
        name = name or self.fresh("constant")
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name))
        self.known[name] = array
        if key is not None:
            self._constants[key] = name
        return name

    @contextmanager
    def body(self) -> Iterator[list[Any]]:
        """Context manager in which added nodes belong to a separate body: the list that is yielded."""
        outside, self.nodes = self.nodes, []
        scopes = self._names, self._first, self._tensors
        self._names, self._first, self._tensors = scopes[0].new_child(), scopes[1].new_child(), scopes[2].new_child()
        try:
            yield self.nodes
        finally:
            self.nodes = outside
            self._names, self._first, self._tensors = scopes

    # ---- shapes ----

    def dims(self, dims: Sequence[Any]) -> str:
        """The int64 vector of `dims`."""
        key = tuple(dims)
        if all(isinstance(d, int) for d in key):
            return self.constant(np.array(key, np.int64))
        if key not in self._tensors:
            sizes = [at(d, self.sizes, Size.largest, Size.least) for d in key]
            parts = [self.constant([d], np.int64) if isinstance(d, int) else d.name for d in sizes]
            self._tensors[key] = parts[0] if len(parts) == 1 else self.node("Concat", *parts, axis=0)
        return self._tensors[key]

    def reshape(self, x: str, dims: Sequence[Any]) -> str:
        """`x` with another shape; one free dimension is computed at run time."""
        if x in self.known and all(isinstance(d, int) for d in dims):
            return self.constant(self.known[x].reshape(tuple(dims)))
        free = [d for d in dims if isinstance(d, Dim)]
        if len(free) == 1 and 0 not in dims:
            return self.node("Reshape", x, self.constant([-1 if isinstance(d, Dim) else d for d in dims], np.int64))
        return self.node("Reshape", x, self.dims(dims), allowzero=1)

    def transpose(self, x: str, order: Sequence[int]) -> str:
        """`x` with its axes in another order."""
        if tuple(order) == tuple(range(len(order))):
            return x
        if x in self.known:
            return self.constant(self.known[x].transpose(order))
        return self.node("Transpose", x, perm=list(order))

    def reverse(self, x: str, axes: Sequence[int]) -> str:
        """`x` with the order along `axes` reversed."""
        last, before_first = ([place] * len(axes) for place in (-1, -(2**62)))
        bounds = [self.constant(part, np.int64) for part in (last, before_first, axes, last)]
        return self.node("Slice", x, *bounds)

    def cast(self, x: str, dtype: str) -> str:
        """`x` in another dtype."""
        return self.node("Cast", x, to=ELEMENTS[dtype])

    # ---- values in two layouts ----

    def bind(self, value: Value, name: str) -> None:
        """Let `name` be `value`."""
        if value.dtype not in ELEMENTS:
            where = f" (layer {self.where!r})" if self.where else ""
            raise ExportError(f"ONNX files are written without {value.dtype}{where}: use float32 or float16.")
        self._names[value] = name

    def bind_first(self, value: Value, name: str) -> None:
        """Let `name` be `value` with its last axis moved behind the first."""
        self._first[value] = name

    def name_of(self, value: Value) -> str:
        """The name of `value`."""
        if value not in self._names:
            n = value.ndim
            self._names[value] = self.transpose(self._first[value], (0, *range(2, n), 1))
        return self._names[value]

    def first_of(self, value: Value) -> str:
        """The name of `value` with channels first."""
        if value not in self._first:
            n = value.ndim
            self._first[value] = self.transpose(self.name_of(value), (0, n - 1, *range(1, n - 1)))
        return self._first[value]

    def is_first(self, value: Value) -> bool:
        """Whether `value` exists with channels first."""
        return value in self._first

    def only_first(self, value: Value) -> bool:
        """Whether `value` exists with channels first alone."""
        return value in self._first and value not in self._names


class Translation:
    """How one op is written: `rule(graph, equation, names of the operands) -> name of the result`, or several names."""

    def __init__(self, rule: Callable[[Graph, Equation, Names], Any]) -> None:
        self.rule = rule

    def __call__(self, graph: Graph, equation: Equation, names: Names) -> Any:
        """The name of the result."""
        return self.rule(graph, equation, names)

    def emit(self, graph: Graph, equation: Equation) -> None:
        """Add the nodes for `equation`."""
        results = self.rule(graph, equation, [graph.name_of(v) for v in equation.inputs])
        for value, name in zip(equation.outputs, [results] if isinstance(results, str) else results, strict=True):
            graph.bind(value, name)


class Window(Translation):
    """An op over windows: its rule gets the first operand with channels first, and gives its result so."""

    def emit(self, graph: Graph, equation: Equation) -> None:
        """Add the nodes for `equation`."""
        rest = [graph.name_of(v) for v in equation.inputs[1:]]
        result = self.rule(graph, equation, [graph.first_of(equation.inputs[0]), *rest])
        graph.bind_first(equation.outputs[0], result)

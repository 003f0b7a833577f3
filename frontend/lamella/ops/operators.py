"""The operators of a symbolic value: `x + y` is `ops.add(x, y)`, `x[0]` is `ops.getitem(x, 0)`.

A value is plain data of `ir.program`, which knows no ops. Importing `lamella.ops` attaches the operators to the class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from lamella.ir.program import Value
from lamella.ops import comparison, contraction, elementwise, shapes

_BINARY: dict[str, Callable[..., Any]] = {
    "add": elementwise.add,
    "sub": elementwise.subtract,
    "mul": elementwise.multiply,
    "truediv": elementwise.divide,
    "floordiv": elementwise.floor_divide,
    "mod": elementwise.remainder,
    "pow": elementwise.power,
    "matmul": contraction.matmul,
    "and": comparison.logical_and,
    "or": comparison.logical_or,
    "xor": comparison.logical_xor,
}
_COMPARISON: dict[str, Callable[..., Any]] = {
    "eq": comparison.equal,
    "ne": comparison.not_equal,
    "lt": comparison.less,
    "le": comparison.less_equal,
    "gt": comparison.greater,
    "ge": comparison.greater_equal,
}
_UNARY: dict[str, Callable[..., Any]] = {
    "neg": elementwise.negative,
    "abs": elementwise.abs_,
    "invert": comparison.logical_not,
}
_OF_UFUNC: dict[str, Callable[..., Any]] = {
    "add": elementwise.add,
    "subtract": elementwise.subtract,
    "multiply": elementwise.multiply,
    "divide": elementwise.divide,
    "true_divide": elementwise.divide,
    "floor_divide": elementwise.floor_divide,
    "remainder": elementwise.remainder,
    "power": elementwise.power,
    "matmul": contraction.matmul,
    "equal": comparison.equal,
    "not_equal": comparison.not_equal,
    "less": comparison.less,
    "less_equal": comparison.less_equal,
    "greater": comparison.greater,
    "greater_equal": comparison.greater_equal,
}


def _method(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, *others: function(self, *others)


def _swapped(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, other: function(other, self)


def _iterate(self: Value) -> Iterator[Any]:
    return (shapes.getitem(self, i) for i in range(len(self)))


def _array_ufunc(self: Value, ufunc: Any, method: str, *inputs: Any, **_: Any) -> Any:
    # `array + value` arrives here as the ufunc behind the operator
    function = _OF_UFUNC.get(ufunc.__name__)
    return Value.__array__(self) if method != "__call__" or function is None else function(*inputs)


def attach() -> None:
    """Give `Value` its operators."""
    for name, function in {**_BINARY, **_COMPARISON, **_UNARY}.items():
        setattr(Value, f"__{name}__", _method(function))
    for name, function in _BINARY.items():
        setattr(Value, f"__r{name}__", _swapped(function))
    methods: dict[str, Any] = {
        "__getitem__": _method(shapes.getitem),
        "__iter__": _iterate,
        "__array_ufunc__": _array_ufunc,
        "T": property(_method(shapes.transpose), doc="The value with its axes in reverse order."),
    }
    for name, method in methods.items():
        setattr(Value, name, method)

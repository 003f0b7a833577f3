"""The operators of a symbolic value: `x + y` is `ops.add(x, y)`, `x[0]` is `ops.getitem(x, 0)`.

A value is plain data of `ir.program`, which knows no ops. Importing `lamella.ops` attaches the operators to the class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from lamella.errors import TraceError
from lamella.ir.program import Value
from lamella.ops import comparison, contraction, elementwise, shapes
from lamella.stacks import ThreadStack

if TYPE_CHECKING:
    from lamella.ir.types import Tensor

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


_NUMPY_FUNCTIONS: ThreadStack[bool] = ThreadStack()


def numpy_functions(allowed: bool) -> AbstractContextManager[Any]:
    """Inside the `with` block NumPy's functions of values are lamella's of the same names, if `allowed`.

    For losses and metrics under `run_eagerly=True`: their derivative is that of lamella's function.
    """
    return _NUMPY_FUNCTIONS.pushed(True) if allowed else nullcontext()


def _counterpart(name: str) -> Callable[..., Any]:
    from lamella import ops

    found = getattr(ops, name, None)
    if found is None:
        raise TraceError(f"np.{name} has no counterpart in `lamella.ops`, so that its derivative is not known.")
    return found


def _array_ufunc(self: Value, ufunc: Any, method: str, *inputs: Any, **_: Any) -> Tensor:
    # `array + value` arrives here as the ufunc behind the operator
    function = _OF_UFUNC.get(ufunc.__name__)
    if function is None and method == "__call__" and _NUMPY_FUNCTIONS.top:
        function = _counterpart(ufunc.__name__)
    return Value.__array__(self) if method != "__call__" or function is None else function(*inputs)


def _array_function(self: Value, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
    if _NUMPY_FUNCTIONS.top:
        return _counterpart(function.__name__)(*args, **kwargs)
    return function._implementation(*args, **kwargs)  # as if there were no such method


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
        "__array_function__": _array_function,
        "T": property(_method(shapes.transpose), doc="The value with its axes in reverse order."),
    }
    for name, method in methods.items():
        setattr(Value, name, method)

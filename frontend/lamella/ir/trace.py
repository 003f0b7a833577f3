"""Tracing: run Python code once with symbolic values and write down what it does.

A `Trace` collects equations. Traces nest: the body of a `scan` is a separate trace, and a value of the enclosing trace
used inside it becomes an extra input of the body by itself (`captures`).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella.errors import TraceError
from lamella.ir import interpret, limits
from lamella.ir.declared import Declared, declared_by, has_free_size, refuse_variables
from lamella.ir.program import ConcreteValue, Equation, Op, Place, Program, Value, as_tuple, op
from lamella.ir.spec import DTYPES, Spec, dtype_name, spec_of
from lamella.stacks import ThreadStack
from lamella.tracebacks import user_line

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, Tensor

_TRACES: ThreadStack[Trace] = ThreadStack()
_LINES: ThreadStack[str] = ThreadStack()


class Trace:
    """A program under construction.

    Attributes:
        equations: what was emitted so far.
        where: the path of the layer being traced; every equation is stamped with it.
        captures: values of enclosing traces used here, each with the input that stands for it; in a trace without a
            parent also arrays that are not NumPy's (a tracer must not become a constant).
        parent: the enclosing trace, or None.

    Given `concrete_inputs`, an array for every input in the order in which they are made, the trace computes each equation as
    it is written down: its values are `ConcreteValue`s.
    """

    def __init__(self, *, captures_arrays: bool = False, concrete_inputs: Iterable[Tensor] | None = None) -> None:
        self.captures_arrays = captures_arrays
        self._arrays = None if concrete_inputs is None else iter(concrete_inputs)
        self.equations: list[Equation] = []
        self.inputs: list[Value] = []
        self.captures: list[tuple[Any, Value]] = []
        self._captured: dict[int, Value] = {}
        self.parent: Trace | None = None
        self.where = ""

    def __enter__(self) -> Trace:
        if _TRACES.items:
            self.parent = _TRACES.items[-1]
            self.where = self.parent.where
        _TRACES.items.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        _TRACES.items.pop()

    def input(self, spec: Spec) -> Value:
        """A new input of the program."""
        value = Value(spec, self) if self._arrays is None else ConcreteValue(spec, self, next(self._arrays))
        self.inputs.append(value)
        return value

    def local(self, value: Value) -> Value:
        """`value` itself where it belongs to this trace, else the input that captures it.

        Raises:
            TraceError: it belongs to a trace that has ended.
        """
        if value.trace is self:
            return value
        if isinstance(value, Declared):
            if self._declares():
                return self.capture(value, value.spec)
            raise TraceError(
                f"{value!r} was used while {f'layer {self.where!r}' if self.where else 'a function'} is traced: what a layer "
                "computes with reaches its `call` as an argument."
            )
        if id(value) in self._captured:
            return self._captured[id(value)]
        ancestor = self.parent
        while ancestor is not None and ancestor is not value.trace:
            ancestor = ancestor.parent
        if ancestor is None or ancestor not in _TRACES.items:
            raise TraceError(
                f"A symbolic value ({value.spec}) of an earlier trace was used in a new one"
                + (f" in layer {self.where!r}" if self.where else "")
                + ". A value made in `call` lives only until that call's trace ends: do not keep it on `self`; recompute it, "
                "or keep state in a variable made with `add_weight` and `assign`."
            )
        return self.capture(value, value.spec)

    def _declares(self) -> bool:
        """Whether it is the body of an op between layers, which may compute with declared values around it."""
        return self.captures_arrays and (self.parent is None or self.parent._declares())

    def capture(self, outer: Any, spec: Spec) -> Value:
        """The input that stands for `outer`, a value or an array from outside this trace."""
        if id(outer) not in self._captured:
            concrete = self._arrays is not None and isinstance(outer, ConcreteValue)
            self._captured[id(outer)] = inner = ConcreteValue(spec, self, outer.data) if concrete else Value(spec, self)
            self.captures.append((outer, inner))
        return self._captured[id(outer)]

    def emit(self, op: Op, inputs: Sequence[Value], attrs: dict[str, Any]) -> tuple[Value, ...]:
        """Add `op(inputs, **attrs)`, type-checked by its shape rule, and return its outputs."""
        limits.count_equation()
        operands = tuple(self.local(v) for v in inputs)
        specs = op.result_specs([v.spec for v in operands], attrs)
        if self._arrays is None:
            outputs = tuple(Value(spec, self) for spec in specs)
        else:
            known = [v.data for v in operands if isinstance(v, ConcreteValue)]
            with eagerly():
                arrays = [attrs["value"]] if op is constant else interpret.evaluate(op, known, attrs)
            outputs = tuple(ConcreteValue(spec, self, array) for spec, array in zip(specs, arrays, strict=True))
        where = self.where
        if _LINES.items and not isinstance(where, Place):
            where = Place(where, user_line(_LINES.items[-1]))
        self.equations.append(Equation(op, operands, attrs, outputs, where))
        return outputs

    def program(
        self, outputs: Sequence[Value], input_names: Sequence[str] = (), output_names: Sequence[str] = ()
    ) -> Program:
        """The finished program; captured values come after the declared inputs."""
        results = [self.local(v) for v in outputs]
        inputs = [*self.inputs, *[inner for _, inner in self.captures]]
        names = [*input_names, *[""] * (len(inputs) - len(input_names))] if input_names else ()
        return Program(inputs, self.equations, results, names, output_names)


def current_trace() -> Trace | None:
    """The innermost running trace of this thread, or None when code runs eagerly."""
    return _TRACES.top


@contextmanager
def at(where: str) -> Generator[None]:
    """Stamp the equations emitted inside with the path `where`."""
    trace = current_trace()
    if trace is None:
        yield
        return
    before, trace.where = trace.where, where
    try:
        yield
    finally:
        trace.where = before


@contextmanager
def recording_lines(until: str) -> Generator[None]:
    """Let equations say the user's line that they come from, looked for up to the module `until`; it slows tracing down."""
    with _LINES.pushed(until):
        yield


@contextmanager
def eagerly() -> Generator[None]:
    """Compute at once inside, as if no trace were running."""
    with _TRACES.emptied():
        yield


@op(mandatory=True, differentiable=False)
def constant(*, value: np.ndarray, dtype: str) -> Spec:
    """An array known when the program is built; runners bind it instead of computing it."""
    return Spec(tuple(value.shape), dtype)


def constant_value(trace: Trace, array: ArrayLike, dtype: str) -> Value:
    """An equation that holds `array` (a NumPy array that is never changed afterwards)."""
    return trace.emit(constant, (), {"value": array, "dtype": dtype})[0]


def operand(x: Any) -> Any:
    """What a variable-like object stands for now (a symbolic value or an array); anything else is itself.

    In the body of an op a variable that stands for an array is captured as a variable.
    """
    read = getattr(x, "__lamella_operand__", None)
    if read is None:
        return x
    value = read()
    trace = current_trace()
    if trace is not None and trace.captures_arrays and not isinstance(value, Value):
        return trace.capture(x, spec_of(value))
    return value


def bind(op: Op, operands: tuple[Any, ...], attrs: dict[str, Any]) -> Any:
    """Apply `op`: an equation where a symbolic operand (or a running trace without operands) asks for it, else eagerly."""
    trace = _TRACES.items[-1] if _TRACES.items else None
    items = [operand(x) for x in operands]
    if any(isinstance(x, Value) for x in items):
        if trace is None:
            outputs = _declared(op, operands, items, attrs)
        else:
            values = [x if isinstance(x, Value) else _constant_operand(trace, x) for x in items]
            outputs = trace.emit(op, values, attrs)
    elif not items and trace is not None:
        outputs = trace.emit(op, (), attrs)
    elif attrs and has_free_size(attrs.values()):
        if trace is None:
            outputs = _declared(op, operands, items, attrs)
        else:
            outputs = trace.emit(op, [_constant_operand(trace, x) for x in items], attrs)
    else:
        if trace is None and limits.limiting():  # an array between the layers of a graph that a file describes
            for spec in op.result_specs([spec_of(x) for x in items], attrs):
                limits.reserve(spec.shape)
        outputs = interpret.evaluate(op, items, attrs)
    return outputs[0] if len(outputs) == 1 else tuple(outputs)


Op.binder = staticmethod(bind)


def _declared(op: Op, operands: Sequence[Any], items: Sequence[Any], attrs: dict[str, Any]) -> tuple[Value, ...]:
    """An equation of a model that is being declared; `items` are what the operands stand for.

    Raises:
        TraceError: an operand is a value of a trace that has ended, or a variable, which only a layer can own.
    """
    inputs: list[Declared] = []
    for given, item in zip(operands, items, strict=True):
        if isinstance(item, Declared):
            inputs.append(item)
        elif isinstance(item, Value):
            raise TraceError(
                f"A symbolic value ({item.spec}) was used after its trace ended. A value made in `call` lives only until "
                "that call's trace ends: do not keep it on `self`."
            )
        else:
            refuse_variables([given], [item])
            array = np.array(interpret.to_numpy(item))
            known = {"value": array, "dtype": _dtype_of(item, array)}
            inputs += declared_by(constant, (), known, constant.result_specs((), known))
    return declared_by(op, inputs, attrs, op.result_specs([v.spec for v in inputs], attrs))


def _constant_operand(trace: Trace, x: Any) -> Value:
    if not isinstance(x, np.ndarray | np.generic):
        if trace.captures_arrays and not isinstance(x, bool | int | float | list | tuple):
            return trace.capture(x, spec_of(x))
    array = np.array(interpret.to_numpy(x))
    return constant_value(trace, array, _dtype_of(x, array))


def _dtype_of(x: Any, array: np.ndarray) -> str:
    """The dtype of an operand with the numbers of `array`, in which bfloat16 is float32."""
    return dtype_name(x.dtype if hasattr(x, "dtype") else array.dtype)


def apply_equation(equation: Equation, operands: Sequence[Any], attrs: dict[str, Any] | None = None) -> tuple[Any, ...]:
    """The outputs of `equation` applied to other operands, and to other attributes where `attrs` is given.

    In a trace the new equation carries the name of the layer that the old one came from.
    """
    with at(equation.where) if equation.where else nullcontext():
        return as_tuple(bind(equation.op, tuple(operands), equation.attrs if attrs is None else attrs))


def replay(program: Program, arguments: Sequence[Tensor]) -> list[Any]:
    """The outputs of `program` for other arguments: its equations are recorded in the running trace, or computed at once."""
    return interpret.run(program, arguments, apply_equation)


def trace(function: Callable[..., Any], *specs: Spec, where: str = "") -> Program:
    """The program of `function` applied to symbolic inputs of `specs`.

    The function returns one value or a flat sequence of them.
    """
    with Trace() as running:
        running.where = where or running.where
        outputs: Tensor | Sequence[Any] = function(*[running.input(spec) for spec in specs])
        flat = list(outputs) if isinstance(outputs, tuple | list) else [outputs]
        return running.program([as_value(v) for v in flat])


def as_value(x: ArrayLike) -> Value:
    """`x` as a value of the running trace: a value, a variable, an array or a scalar."""
    x = operand(x)
    if isinstance(x, Value):
        return x
    running = current_trace()
    if running is None:
        raise TraceError("as_value needs a running trace.")
    return _constant_operand(running, x)


__all__ = [
    "DTYPES",
    "Trace",
    "apply_equation",
    "as_value",
    "at",
    "bind",
    "constant",
    "constant_value",
    "current_trace",
    "eagerly",
    "operand",
    "recording_lines",
    "replay",
    "spec_of",
    "trace",
]

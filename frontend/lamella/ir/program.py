"""The program: a straight list of typed equations. Plain data, with its printer.

A `Program` has inputs, equations in an order in which every operand is defined before it is used, and outputs. An
`Equation` applies an `Op` to values, with static attributes, and names the layer it came from in `where`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, overload

import numpy as np

from lamella.errors import LamellaError, TraceError
from lamella.ir.dim import at
from lamella.ir.spec import Shape, Spec
from lamella.tracebacks import Line, shorten_within

if TYPE_CHECKING:
    from lamella.ir.types import Attribute, Tensor

ShapeRule = Callable[..., "Spec | tuple[Spec, ...]"]


class Op:
    """One operation: its name, its shape rule and how it is differentiated and taken apart.

    Attributes:
        name: the name a program prints.
        shape: the shape rule: `(*specs, **attributes) -> Spec` or a tuple of them. It raises on operands that do not fit.
        mandatory: a backend must have a kernel for it; every other op has a `definition`.
        definition: `(*operands, **attributes) -> value(s)`: the op written in other ops.
        vjp: `(g, y, *inputs, **attributes) -> gradient(s)`: one entry an input, `None` for one without gradient. `g` and
            `y` are tuples for an op with several outputs. An op without a rule is differentiated by its definition.
        linearize: for ops whose derivative needs more than their outputs (`scan`):
            `(*inputs, **attributes) -> (outputs, pullback)` with `pullback(gs) -> gradients`.
        mixed_axes: `(spec, attributes) -> axes` of the first operand along which entries influence each other though
            the output keeps the dimension (a reversal, a softmax); reductions need not say so, their dimension goes.
        prepare: what a direct call `op(*operands)` does to its operands first (promotion, broadcasting).
        differentiable: False for comparisons, integers, random bits: nothing flows back.
        binder: `(op, operands, attributes) -> result`, applies any op; `ir.trace` sets it, so that an op stays plain data.
    """

    binder: ClassVar[Callable[[Op, tuple[Any, ...], dict[str, Any]], Any]]

    def __init__(
        self,
        name: str,
        shape: ShapeRule,
        *,
        mandatory: bool = False,
        differentiable: bool = True,
        prepare: Callable[..., Sequence[Any]] | None = None,
        mixed_axes: Callable[[Spec, Mapping[str, Any]], Sequence[int]] | None = None,
    ) -> None:
        self.name = name
        self.shape = shape
        self.mandatory = mandatory
        self.differentiable = differentiable
        self.prepare = prepare
        self.mixed_axes = mixed_axes
        self.definition: Callable[..., Any] | None = None
        self.vjp: Callable[..., Any] | None = None
        self.linearize: Callable[..., Any] | None = None
        self.__doc__ = shape.__doc__
        self.__module__ = shape.__module__  # help() and pickles look here

    def def_vjp(self, rule: Callable[..., Any]) -> Callable[..., Any]:
        """Register `rule(g, y, *inputs, **attributes)` as the derivative; usable as a decorator."""
        self.vjp = rule
        return rule

    def define(self, definition: Callable[..., Any]) -> Callable[..., Any]:
        """Register the op's definition in other ops; usable as a decorator."""
        self.definition = definition
        return definition

    def def_linearize(self, rule: Callable[..., Any]) -> Callable[..., Any]:
        """Register a derivative that extends the forward equation; usable as a decorator."""
        self.linearize = rule
        return rule

    @property
    def operand_names(self) -> tuple[str, ...]:
        """The names of the operands; none for an op that takes any number of them."""
        code = self.shape.__code__
        return code.co_varnames[: code.co_argcount]

    def result_specs(self, specs: Sequence[Spec], attrs: Mapping[str, Any]) -> tuple[Spec, ...]:
        """The specs of the outputs for operands of `specs`, always as a tuple."""
        return as_tuple(self.shape(*specs, **attrs))

    def bind(self, *operands: Any, **attrs: Any) -> Any:
        """Apply the op strictly: operands must already have the dtypes and shapes its shape rule asks for.

        Symbolic operands add an equation to the running trace; arrays are computed at once by the backend that owns
        them. One output comes alone, several as a tuple.
        """
        try:
            return Op.binder(self, operands, attrs)
        except Exception as error:
            shorten_within(error)
            raise

    def __call__(self, *operands: Any, **attrs: Any) -> Tensor:
        """Apply the op after promoting and broadcasting its operands as `keras.ops` does.

        Operands may be given by the names of the shape rule's parameters.
        """
        try:
            if attrs:
                rest = self.operand_names[len(operands) :]
                named = [attrs.pop(name) for name in rest if name in attrs]
                if named and len(named) < len(rest):
                    missing = ", ".join(self.operand_names)
                    raise TypeError(
                        f"{self.name} takes the operands {missing}; got {len(operands) + len(named)} of them."
                    )
                operands = (*operands, *named)
            if self.prepare is not None:
                operands = tuple(self.prepare(*operands))
            return Op.binder(self, operands, attrs)
        except Exception as error:
            shorten_within(error)
            raise

    def __repr__(self) -> str:
        return f"ops.{self.name}"

    def __reduce__(self) -> tuple[Any, ...]:
        return (op_named, (self.name,))


def as_tuple(results: Spec | Tensor | tuple[Any, ...]) -> tuple[Any, ...]:
    """The results of an op, a definition or a rule as a tuple: a single one comes without."""
    return results if isinstance(results, tuple) else (results,)


OPS: dict[str, Op] = {}


def op_named(name: str) -> Op:
    """The registered op called `name`."""
    return OPS[name]


@overload
def op(function: ShapeRule, /) -> Op: ...
@overload
def op(**options: Any) -> Callable[[ShapeRule], Op]: ...
def op(function: ShapeRule | None = None, /, **options: Any) -> Op | Callable[[ShapeRule], Op]:
    """Make an `Op` of a function whose body is the shape rule; usable with or without options."""

    def make(rule: ShapeRule) -> Op:
        name = rule.__name__.rstrip("_")
        if name in OPS:
            raise ValueError(f"an op named {name!r} exists already")
        OPS[name] = made = Op(name, rule, **options)
        return made

    return make if function is None else make(function)


class ForeignCallError(LamellaError, ValueError):
    """A JAX function was called on a symbolic value. Not a TypeError: JAX replaces the message of those."""


class Value:
    """A symbolic array: what a layer's `call` sees while it is traced. It has a spec and no numbers.

    Its operators (`+`, `==`, indexing, `.T`) are the functions of `lamella.ops`; `ops.operators` attaches them.

    Attributes:
        spec: shape and dtype.
        trace: the trace the value belongs to.
    """

    __slots__ = ("__weakref__", "spec", "trace")

    def __init__(self, spec: Spec, trace: Any = None) -> None:
        self.spec = spec
        self.trace = trace

    @property
    def shape(self) -> Shape:
        """The shape: for each dimension its size, or a `Dim` where it is left free."""
        return self.spec.shape

    @property
    def dtype(self) -> str:
        """The dtype's name."""
        return self.spec.dtype

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self.spec.shape)

    @property
    def size(self) -> Any:
        """The number of elements."""
        return self.spec.size

    if TYPE_CHECKING:
        T: Any

        # what `Tensor` asks for
        def __add__(self, other: Any, /) -> Any: ...

        __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __add__
        __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = __pow__ = __rpow__ = __matmul__ = __rmatmul__ = __add__
        __lt__ = __le__ = __gt__ = __ge__ = __and__ = __or__ = __getitem__ = __add__

        def __neg__(self) -> Any: ...

        __abs__ = __invert__ = __neg__

        def __iter__(self) -> Iterator[Any]: ...

    def __repr__(self) -> str:
        return f"<lamella value {self.spec}>"

    def __len__(self) -> int:
        if not self.spec.shape:
            raise TypeError("a scalar value has no length.")
        return int(self.spec.shape[0])

    def __bool__(self) -> bool:
        raise TraceError(
            f"A symbolic value ({self.spec}) has no truth value while a layer is traced: `if` and `while` on it cannot be "
            "decided. Use `lamella.ops.where(condition, a, b)` instead."
        )

    def __float__(self) -> float:
        raise TraceError(
            f"A symbolic value ({self.spec}) has no number while a layer is traced; keep computing with `lamella.ops`, or "
            "`compile(run_eagerly=True)` to look at numbers."
        )

    __int__ = __index__ = __float__

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        where = self._place()
        eagerly = "" if where.endswith("`call`") else " Under compile(run_eagerly=True) NumPy's function stands for it."
        raise TraceError(
            f"A NumPy function was called on a symbolic value ({self.spec}). Inside {where} use the function of "
            f"the same name in `lamella.ops`, for instance `ops.tanh(x)` for `np.tanh(x)`.{eagerly}"
        )

    def _place(self) -> str:
        """Whose code computes with the value, for a message."""
        where = getattr(self.trace, "where", "")
        if where.startswith("metrics/"):
            return f"the metric {where.partition('/')[2]!r}"
        return "the loss" if where == "loss" else "a layer's `call`"

    @property
    def __jax_array__(self) -> Any:
        # a property, because JAX asks whether there is one before it does anything else with an operand
        raise ForeignCallError(
            f"A JAX function was called on a symbolic value ({self.spec}). Inside {self._place()} use the function of the "
            "same name in `lamella.ops`, for instance `ops.tanh(x)` for `jnp.tanh(x)`."
        )

    def __hash__(self) -> int:
        return id(self)


class ConcreteValue(Value):
    """A value of a trace that computes while it records (`compile(run_eagerly=True)`): `print` shows its numbers.

    Attributes:
        data: the array.
    """

    __slots__ = ("data",)

    def __init__(self, spec: Spec, trace: Any, data: Any) -> None:
        super().__init__(spec, trace)
        self.data = data

    def numpy(self) -> np.ndarray:
        """The numbers as a NumPy array."""
        return np.asarray(self.data)

    def __repr__(self) -> str:
        return f"<lamella value {self.spec} =\n{self.numpy()}>"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.numpy() if dtype is None else self.numpy().astype(dtype)

    def __bool__(self) -> bool:
        return bool(self.numpy())

    def __float__(self) -> float:
        return float(self.numpy())

    def __int__(self) -> int:
        return int(self.numpy())

    __index__ = Value.__index__
    __hash__ = Value.__hash__


class Place(str):
    """The path of a layer, with the line of the user's that an equation comes from.

    Attributes:
        line: the line.
    """

    line: Line | None

    def __new__(cls, path: str, line: Line | None) -> Place:
        """The path as text, with the line."""
        place = super().__new__(cls, path)
        place.line = line
        return place


def gradient_of(where: str) -> str:
    """Where the gradient of an equation comes from."""
    path = f"{where} (gradient)" if where else "(gradient)"
    return Place(path, where.line) if isinstance(where, Place) else path


class Equation:
    """`outputs = op(inputs, **attrs)`, coming from the layer at path `where`, a `Place` where lines are recorded."""

    __slots__ = ("attrs", "inputs", "op", "outputs", "where")

    def __init__(
        self, op: Op, inputs: tuple[Value, ...], attrs: dict[str, Any], outputs: tuple[Value, ...], where: str = ""
    ) -> None:
        self.op = op
        self.inputs = inputs
        self.attrs = attrs
        self.outputs = outputs
        self.where = where

    @property
    def line(self) -> Line | None:
        """The user's line that it comes from, where lines were recorded; see `ir.trace.recording_lines`."""
        return self.where.line if isinstance(self.where, Place) else None

    @property
    def bodies(self) -> dict[str, Program]:
        """The programs that the attributes hold, each under the name the printer gives it."""
        return bodies_of(self.attrs)


def bodies_of(attrs: Mapping[str, Any]) -> dict[str, Program]:
    """The programs among `attrs`: an attribute is one, or a tuple of them.

    This and `with_bodies` are how everything that walks a program finds the programs within it.
    """
    found: dict[str, Program] = {}
    for key, value in attrs.items():
        if isinstance(value, Program):
            found[key] = value
        elif _holds_programs(value):
            found.update((f"{key}[{i}]", program) for i, program in enumerate(value))
    return found


def with_bodies(attrs: Mapping[str, Any], change: Callable[[Program], Program]) -> dict[str, Any]:
    """`attrs` with `change(program)` in the place of every program."""
    return {
        key: change(value)
        if isinstance(value, Program)
        else tuple(map(change, value))
        if _holds_programs(value)
        else value
        for key, value in attrs.items()
    }


def for_sizes(
    value: Attribute,
    sizes: Mapping[str, Any],
    largest: Callable[..., Any] | None = None,
    least: Callable[..., Any] | None = None,
) -> Any:
    """An attribute with its dimensions worked out for the sizes of free dimensions; of a program, all that are in it.

    Args:
        value: an attribute of an equation.
        sizes: see `Dim.at`, as for the others.
        largest: the larger of two sizes.
        least: the smaller of two sizes.
    """

    def sized(item: Attribute) -> Any:
        return for_sizes(item, sizes, largest, least)

    if isinstance(value, tuple):
        return tuple(map(sized, value))
    if isinstance(value, Program):
        values: dict[Value, Value] = {}

        def among(olds: Sequence[Value]) -> tuple[Value, ...]:
            for old in olds:
                if old not in values:
                    values[old] = Value(Spec(sized(old.shape), old.dtype))
            return tuple(values[old] for old in olds)

        inputs = among(value.inputs)
        equations = [
            Equation(e.op, among(e.inputs), {k: sized(v) for k, v in e.attrs.items()}, among(e.outputs), e.where)
            for e in value.equations
        ]
        return Program(inputs, equations, among(value.outputs), value.input_names, value.output_names)
    return at(value, sizes, largest, least)


def _holds_programs(value: Attribute) -> bool:
    return isinstance(value, tuple) and bool(value) and isinstance(value[0], Program)


class Program:
    """A list of equations with named inputs and outputs; `print(program)` shows it.

    Attributes:
        inputs: the values to be given.
        equations: in an order in which every operand comes before its use.
        outputs: the values returned; one may appear twice, and an input may be an output.
        input_names: a name an input, for the printer and for errors (`"dense/kernel"`).
        output_names: the same for the outputs.
    """

    __slots__ = ("__weakref__", "equations", "input_names", "inputs", "output_names", "outputs")

    def __init__(
        self,
        inputs: Sequence[Value],
        equations: Sequence[Equation],
        outputs: Sequence[Value],
        input_names: Sequence[str] = (),
        output_names: Sequence[str] = (),
    ) -> None:
        self.inputs = tuple(inputs)
        self.equations = tuple(equations)
        self.outputs = tuple(outputs)
        self.input_names = tuple(input_names) or ("",) * len(self.inputs)
        self.output_names = tuple(output_names) or ("",) * len(self.outputs)

    @property
    def input_specs(self) -> tuple[Spec, ...]:
        """The specs of the inputs."""
        return tuple(v.spec for v in self.inputs)

    @property
    def output_specs(self) -> tuple[Spec, ...]:
        """The specs of the outputs."""
        return tuple(v.spec for v in self.outputs)

    def __str__(self) -> str:
        return "\n".join(_lines(self))

    def __repr__(self) -> str:
        return f"<Program: {len(self.inputs)} inputs, {len(self.equations)} equations, {len(self.outputs)} outputs>"

    def _repr_html_(self) -> str:
        """What a notebook shows of the program: its text."""
        from lamella.notebook import block, html_text

        return block("Program", repr(self)[len("<Program: ") : -1], html_text(_lines(self)))


def _typed(value: Value) -> str:
    """The spec of a value, with the names of its free dimensions."""
    return f"{value.dtype}[{','.join(map(str, value.shape))}]"


def _lines(program: Program, indent: str = "", prefix: str = "%") -> Iterator[str]:
    names: dict[Value, str] = {}

    def name(value: Value) -> str:
        return names.setdefault(value, f"{prefix}{len(names)}")

    yield f"{indent}program("
    for value, label in zip(program.inputs, program.input_names, strict=True):
        yield f"{indent}    {name(value)}: {_typed(value)}" + (f"  # {label}" if label else "")
    yield f"{indent}) {{"
    where = ""
    for equation in program.equations:
        if equation.where != where:
            where = equation.where
            yield f"{indent}  # {where}" if where else f"{indent}  #"
        operands = ", ".join(name(v) for v in equation.inputs)
        left = ", ".join(f"{name(v)}: {_typed(v)}" for v in equation.outputs)
        bodies = equation.bodies
        attrs = [
            f"{key}={_attribute(value)}"
            for key, value in equation.attrs.items()
            if not isinstance(value, Program) and not _holds_programs(value)
        ]
        yield f"{indent}    {left} = {equation.op.name}({', '.join(([operands] if operands else []) + attrs)})"
        for key, body in bodies.items():
            yield f"{indent}      {key}:"
            yield from _lines(body, indent + "        ", f"{name(equation.outputs[0])}.")
    results = ", ".join(
        name(v) + (f" ({label})" if label else "")
        for v, label in zip(program.outputs, program.output_names, strict=True)
    )
    yield f"{indent}    return {results}"
    yield f"{indent}}}"


def _attribute(value: Attribute) -> str:
    if isinstance(value, np.ndarray):
        if value.size == 1:
            return str(value.reshape(())[()])
        return f"<{value.dtype.name}{list(value.shape)}>"
    if isinstance(value, tuple):
        inner = ", ".join(_attribute(v) for v in value)
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    return str(int(value)) if isinstance(value, int) and not isinstance(value, bool) else str(value)

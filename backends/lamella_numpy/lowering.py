"""From a program to lines of Python: what every rule of `rules_*` builds on.

Equations are visited once, in order. Each finds its operands as `View`s (views of memory) or `Scalar`s (NumPy scalars in
local variables: arithmetic on them costs a tenth of that on 0-d arrays and rounds the same), decides where its result goes
(the memory of an operand that dies here, a buffer that was already requested, or a new buffer) and writes its line. The
clock counts lines; a buffer lives from the first line that names it to the last, and `memory` lays buffers whose lives do
not meet over each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from lamella.ir.program import Equation, Op, Program, Value
from lamella.ir.spec import numpy_dtype
from lamella.ir.trace import constant
from lamella_numpy import views
from lamella_numpy.kernels import constant_array
from lamella_numpy.views import Block, Ints, Storage, View
from lamella_numpy.writing import FOREVER, Writer, comment

Rule = Callable[["Lowering", Equation], None]
Pin = Callable[[], View]


class Scalar:
    """A value that is one number, repeated or not: a local variable that holds a NumPy scalar, or a constant.

    Attributes:
        text: the variable's name; None for a constant not yet used as one.
        block: where it is set.
        dtype: of the number.
        array: a constant's value.
        place: the 0-d array that holds the number too, once one was requested.
    """

    __slots__ = ("array", "block", "dtype", "place", "text")

    def __init__(
        self, text: str | None, block: Block, dtype: np.dtype[Any], array: np.ndarray[Any, Any] | None = None
    ) -> None:
        self.text = text
        self.block = block
        self.dtype = dtype
        self.array = array
        self.place: View | None = None


class Lowering(Writer):
    """The state of one compilation.

    Attributes:
        rules: for every op who writes its lines.
        environment: where every value visited so far is.
        pins: values that a consumer needs in a separate row-major buffer.
        slots: the places of values that an optimizer wants end to end.
        parts: values that may be computed into a part, with gaps, of something larger.
        last: the index of the equation of a value's block that reads it last.
        index: that of the running equation in its block.
        before_block: called with the equations of a block before their lines are written.
        compiled: makes a function of a prepared program, for the branches of a `switch`.
        updates: for every result of a `foreach` the equation, its place, and the operands that may be in the same place.
    """

    def __init__(self, rules: Mapping[Op, Rule], reserved: Iterable[str]) -> None:
        super().__init__(reserved)
        self.rules = rules
        self.environment: dict[Value, View | Scalar] = {}
        self.pins: dict[Value, Pin] = {}
        self.slots: dict[Value, View] = {}
        self.parts: dict[Value, Pin] = {}
        self.last: dict[Value, int] = {}
        self.index = 0
        self.before_block: Callable[[Lowering, Sequence[Equation]], None] = lambda low, equations: None
        self.compiled: Callable[[Program], Callable[..., Any]] = lambda program: lambda *arrays: ()
        self.updates: list[tuple[Equation, View, list[View]]] = []
        self._full: dict[Value, tuple[Any, View]] = {}
        self._moved: dict[Value, dict[tuple[Ints, Ints], tuple[Any, View]]] = {}
        self._runs: dict[Value | Scalar, dict[int, tuple[Any, View]]] = {}

    # ---- where values are ----

    def bind(self, value: Value, place: View | Scalar) -> None:
        """`value` lives at `place` from now on."""
        self.environment[value] = place
        if isinstance(place, View) and place.storage.scope is self.scope:
            place.storage.values.append(value)

    def place(self, value: Value) -> View:
        """Where `value` is, in its stored shape."""
        found = self.environment[value]
        return found if isinstance(found, View) else self.place_of(found)

    def place_of(self, scalar: Scalar) -> View:
        """The 0-d array that holds a scalar."""
        if scalar.place is None:
            if scalar.array is not None:
                scalar.place = self.known(scalar.array, self._constant_hint(scalar.array))
            else:
                assert scalar.text is not None  # noqa: S101 - only constants have no variable
                storage = Storage(1, scalar.dtype)
                scalar.place = View(storage, (), (), 0, self.static, f"{scalar.text}_array")
                scalar.block.lines.append(f"{self.use(scalar.place)}[()] = {scalar.text}")
        return scalar.place

    def scalar(self, value: Value) -> str:
        """The source of a value as a NumPy scalar."""
        found = self.environment[value]
        if isinstance(found, View):
            return f"{self.use(found)}[()]"
        if found.text is None:
            place = self.place_of(found)
            found.text = self.fresh(f"{place.hint}_scalar")
            self.static.lines.append(f"{found.text} = {self.use(place)}[()]")
        elif found.block is self.once and self.block is not self.once:
            return f"{self.use(self.place_of(found))}[()]"
        return found.text

    def is_scalar(self, value: Value) -> bool:
        """Whether `value` is one number, repeated or not."""
        found = self.environment[value]
        return isinstance(found, Scalar) or found.shape == ()

    def constant_of(self, value: Value) -> Any:
        """The number a value is everywhere if that is known now, else None."""
        found = self.environment.get(value)
        return found.array[()] if isinstance(found, Scalar) and found.array is not None else None

    def result(self, value: Value, shape: Ints | None = None, over: Sequence[View] = ()) -> View:
        """Where `value` of stored `shape` goes: a place asked for, one of `over` whose values all die here, a new buffer."""
        dtype = numpy_dtype(value.spec.dtype)
        full = dims(value)
        shape = full if shape is None else shape
        if value in self.pins and shape == full:
            place = self.pins[value]()
            if value in self.slots and place.name is None:
                place.hint = self._hint
            self.bind(value, place)
            return place
        if value in self.parts and over and shape == full:
            place = self.parts[value]()
            if all(o.storage is not place.storage for o in over):
                self.bind(value, place)
                return place
        for candidate in over:
            storage = candidate.storage
            if (
                storage.pooled
                and storage.scope is self.scope
                and storage.dtype == dtype
                and candidate.shape == shape
                and candidate.contiguous
                and storage.values
                and all(self.last[v] <= self.index for v in storage.values)
                and all(p is candidate or p.storage is not storage for p in over)
            ):
                self.bind(value, candidate)
                return candidate
        place = self.buffer(shape, dtype)
        self.bind(value, place)
        return place

    # ---- shapes that are stored smaller than they are ----

    def expanded(self, value: Value) -> View:
        """The place of `value` with as many axes as the value has; repeated ones have size 1."""
        place = self.place(value)
        missing = len(value.spec.shape) - len(place.shape)
        if not missing:
            return place
        shape = (1,) * missing + place.shape
        strides = (0,) * missing + place.strides
        return views.derive(place, f"{{}}.reshape{views.written(shape)}", shape, strides, place.offset)

    def full(self, value: Value) -> View:
        """`value` as an array of its own shape, copied out where it is stored smaller."""
        place, shape = self.place(value), dims(value)
        if place.shape == shape:
            return place
        have = self._full.get(value)
        if have is not None and self._is_seen(have[0]):
            return have[1]
        found = self.environment[value]
        if isinstance(found, Scalar) and found.array is not None and views.size(shape) <= 65536:
            result = self.known(np.full(shape, found.array), place.hint)
            self._full[value] = (self.static, result)
        else:
            result = self.buffer(shape, place.storage.dtype, place.hint)
            self.copy(result, value)
            self._full[value] = (self.block, result)
        return result

    def _is_seen(self, block: Any) -> bool:
        """Whether what was written in `block` has run wherever the next line does."""
        return block in (self.block, self.static) or any(block is o.around for o in self.loops)

    def has_moved(self, value: Value, place: View, order: Ints) -> bool:
        """Whether `moved` has made that copy before."""
        have = self._moved.get(value, {}).get((order, place.shape))
        return have is not None and self._is_seen(have[0])

    def moved(self, value: Value, place: View, order: Ints) -> View:
        """A row-major copy of `value` with its axes in `order`, to be read only; asked for twice, it is made once.

        `place` is where `value` is, with all its axes: some may have size 1 where the value repeats.
        """
        if not self.has_moved(value, place, order):
            copy = self.contiguous(views.transpose(place, order))
            self._moved.setdefault(value, {})[order, place.shape] = (self.block, copy)
        return self._moved[value][order, place.shape][1]

    def run(self, value: Value | Scalar, times: int) -> View:
        """A vector of `value`, which is contiguous, repeated; to be read only; asked for twice, it is made once."""
        found = value if isinstance(value, Scalar) else self.environment[value]
        if isinstance(found, Scalar) and found.array is not None:
            return self.vector(found.array.item(), times, found.dtype)
        place = found if isinstance(found, View) else self.place_of(found)
        runs = self._runs.setdefault(value, {})
        if times not in runs or not self._is_seen(runs[times][0]):
            whole = self.buffer((times, place.size), place.storage.dtype, place.hint)
            self.emit(f"{self.use(whole)}[...] = {self.use(views.shaped(place, (place.size,)))}")
            runs[times] = (self.block, views.shaped(whole, (times * place.size,)))
        return runs[times][1]

    def compact(self, value: Value) -> View:
        """`value` as a contiguous array of its own shape, copied where it is not one."""
        place = self.full(value)
        return place if place.contiguous else self.contiguous(place)

    def contiguous(self, place: View) -> View:
        """A row-major copy of a view."""
        result = self.buffer(place.shape, place.storage.dtype, place.hint)
        self.emit(f"{self.use(result)}[...] = {self.use(place)}")
        return result

    def copy(self, target: View, value: Value) -> None:
        """Write `value` into `target`."""
        found = self.environment[value]
        source = self.scalar(value) if isinstance(found, Scalar) else self.use(found)
        self.emit(f"{self.use(target)}[{'...' if target.shape else '()'}] = {source}")

    # ---- equations ----

    def number_uses(self, program: Program) -> None:
        """Note for every value of `program` the index of the equation that reads it last."""
        for index, equation in enumerate(program.equations):
            for value in equation.outputs:
                self.last[value] = index
            for value in equation.inputs:
                self.last[value] = index
        for value in program.outputs:
            self.last[value] = FOREVER

    def equation(self, index: int, equation: Equation) -> None:
        """Write the lines of one equation."""
        self.index = index
        if equation.op is constant:
            self._constant(equation)
            return
        where = self._where = equation.where or self._where
        self._comment = comment(f"{where}: {equation.op.name}" if where else equation.op.name)
        self._hint = hint_of(where, equation.op)
        self.rules[equation.op](self, equation)

    def _constant(self, equation: Equation) -> None:
        array, value = constant_array(equation), equation.outputs[0]
        if array.shape == ():
            self.environment[value] = Scalar(None, self.static, array.dtype, array)
        else:
            self.environment[value] = self.known(array, "table")

    def body(self, program: Program, invariant: set[Value], loop: Callable[[], None] | None = None) -> None:
        """Write a nested program whose inputs are bound; what depends on `invariant` values only comes first.

        Args:
            program: the body.
            invariant: its inputs that no turn of the loop changes; extended by what depends on them alone.
            loop: called between the two parts, to open the loop.
        """
        note, index, scope = (self._where, self._comment, self._hint), self.index, self.scope
        self._forget(program)
        self.number_uses(program)
        late: list[tuple[int, Equation]] = []
        # lines before the loop must not overwrite anything: later turns read it
        self.scope = object()
        for i, equation in enumerate(program.equations):
            if loop is not None and all(v in invariant for v in equation.inputs):
                invariant.update(equation.outputs)
                self.pins_apart(equation.outputs)
                self._where = note[0]
                self.equation(-1, equation)
            else:
                late.append((i, equation))
        if loop is not None:
            self._where, self._comment, self._hint = note
            loop()
        self.scope = object()
        self.before_block(self, [e for _, e in late])
        for i, equation in late:
            self._where = note[0]
            self.equation(i, equation)
        self._where, self._comment, self._hint = note
        self.index, self.scope = index, scope

    def _forget(self, program: Program) -> None:
        """Drop what an earlier visit noted: two loops may share one body."""
        for equation in program.equations:
            for value in equation.outputs:
                for table in (self.environment, self.pins, self.parts, self.slots, self._full, self._moved, self._runs):
                    table.pop(value, None)

    def pins_apart(self, values: Iterable[Value]) -> None:
        """Forget where `values` were asked to be."""
        for value in values:
            self.pins.pop(value, None)


def dims(value: Value) -> Ints:
    """The shape of a value in plain integers."""
    return tuple(map(int, value.spec.shape))


def hint_of(where: str, op: Op) -> str:
    """A short name for what an equation computes, after its layer and op."""
    layer = where.rsplit("/", 1)[-1]
    if "(gradient)" in layer:
        layer = "d_" + layer.replace("(gradient)", "")
    layer = layer.strip(" _")
    return f"{layer}_{op.name}" if layer else f"{op.name}_y"

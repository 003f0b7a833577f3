"""The compiler: a program becomes one Python function over planned buffers.

The generated text is a function `frame(...)` that makes buffers, constants and views once and returns the function `step`
of straight-line NumPy calls. A frame is one set of buffers; a call takes a frame from a list, or makes one, and puts it
back, so a compiled program may run in several threads at once and be called from within itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lamella.errors import ShapeError
from lamella.ir.program import Op, Program, Value
from lamella.ir.spec import numpy_dtype
from lamella.ir.trace import constant
from lamella.ops import primitives as p
from lamella_numpy import blas, memory, pieces, rules_control, rules_elementwise, rules_shape, views
from lamella_numpy.elementwise import bfloat16, whole
from lamella_numpy.kernels import KERNELS
from lamella_numpy.lookahead import random_bits_ahead
from lamella_numpy.lowering import Lowering, Rule, dims
from lamella_numpy.rules_control import flat_buffer, laid_out
from lamella_numpy.updates import in_place
from lamella_numpy.views import Storage, Thing, View

RULES: dict[Op, Rule] = {**rules_elementwise.RULES, **rules_shape.RULES, **rules_control.RULES}
"""How each op is written; ops without a rule (softmax and the like) are written as their definitions."""

_VIEWS = {p.reshape, p.transpose, p.slice, p.split, p.reverse, p.broadcast, p.iota, constant}


def _turns(stack: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    """The views of the slices along the leading axis (0-d arrays, not scalars, of a vector)."""
    return [stack[t, ...] for t in range(len(stack))]


def _pieces(vector: np.ndarray[Any, Any], length: int) -> list[np.ndarray[Any, Any]]:
    """The views of consecutive stretches of `length`; the last may be shorter."""
    return [vector[i : i + length] for i in range(0, len(vector), length)]


def _cut(buffer: np.ndarray[Any, Any], total: int, length: int) -> list[np.ndarray[Any, Any]]:
    """One buffer for every piece of a vector of `total` elements, as long as the piece."""
    return [buffer[: min(length, total - i)] for i in range(0, total, length)]


_DTYPES = ("bool", *(f"{s}int{b}" for s in ("u", "") for b in (8, 16, 32, 64)), "float16", "float32", "float64")
NAMESPACE: dict[str, Any] = {
    **{ufunc.__name__: ufunc for ufunc in vars(np).values() if isinstance(ufunc, np.ufunc)},
    **{op.name: kernel for op, kernel in KERNELS.items() if not isinstance(kernel, np.ufunc)},
    **{name: np.dtype(name) for name in _DTYPES},
    "bfloat16": bfloat16,
    "whole": whole,
    "cut": _cut,
    "empty": np.empty,
    "inf": float("inf"),
    "nan": float("nan"),
    "pieces": _pieces,
    "random_bits": random_bits_ahead,
    **pieces.KERNELS,
    "turns": _turns,
}
"""What generated code may name."""

_RESERVED = {
    *NAMESPACE,
    "range",
    "list",
    "zip",
    "frame",
    "once",
    "step",
    "room",
    "constants",
    "scratches",
    "given",
    "new",
}


@dataclass(frozen=True)
class Flat:
    """A stretch of one of the vectors that a runner hands to a frame.

    Attributes:
        vector: which one.
        offset: where the stretch begins, in elements.
        size: the length of the whole vector.
    """

    vector: int
    offset: int
    size: int


@dataclass(frozen=True)
class Bindings:
    """Which inputs and outputs are arrays known when a frame is made, instead of arguments and fresh results.

    Attributes:
        inputs: for every input a stretch of the vectors `given`, or None for an argument of the call.
        outputs: for every output a stretch of the vectors `new`, None for a fresh array, or False to leave it out.
        invariant: the inputs that stay the same over many calls: what depends on them alone moves to the function `once`.
    """

    inputs: tuple[Flat | None, ...]
    outputs: tuple[Flat | bool | None, ...]
    invariant: frozenset[int] = frozenset()


@dataclass
class Generated:
    """The text of a compiled program and what it needs.

    Attributes:
        source: the function `frame(room, constants, scratches, given, new)`; it returns `(once, step)`.
        arena: bytes of buffers.
        scratches: how many dictionaries kernels keep temporary arrays in.
        constants: the arrays (and lists of compiled branches) that the text names `constants[i]`.
        make: the function `frame`.
        in_place: the vectors of which a frame may be given one array as `given` and as `new`.
    """

    source: str
    arena: int
    scratches: int
    constants: list[Any]
    make: Callable[..., Any]
    in_place: frozenset[int]


def generate(program: Program, bindings: Bindings) -> Generated:
    """Write the source for a prepared program and compile it."""
    low = Lowering(RULES, _RESERVED)
    low.before_block = rules_shape.aim_at_parts
    low.compiled = Compiled
    made = _Compilation(low, program, bindings)
    parameters, results = made.lower()
    low.storages = [s for s in low.storages if s.pooled]
    size = memory.lay_out(low.storages)
    lines = ["def frame(room, constants, scratches, given, new):", *low.static.text("    ")]
    if low.once.lines:
        lines += ["    def once():", *low.once.text("        ")]
    lines += [f"    def step({', '.join(parameters)}):", *low.main.text("        ")]
    lines += [f"        return {results}", f"    return {'once' if low.once.lines else None}, step", ""]
    source = "\n".join(lines)
    namespace = dict(NAMESPACE)
    exec(compile(source, "<lamella program>", "exec"), namespace)
    return Generated(
        source, size, low.scratches, low.constants, namespace["frame"], in_place(low, program, made.vectors)
    )


class _Compilation:
    """The parts of a program's lowering that only the outermost level has: arguments, results, what is asked for where."""

    def __init__(self, low: Lowering, program: Program, bindings: Bindings) -> None:
        self.low = low
        self.program = program
        self.bindings = bindings
        self.made_by = {v: e for e in program.equations for v in e.outputs}
        self.targets: dict[int, View] = {}  # output number: where it is wanted
        self.vectors: dict[tuple[str, int], View] = {}  # ("given" or "new", number): the whole of it

    def lower(self) -> tuple[list[str], str]:
        """Write every line; returns the parameters of `step` and what it returns."""
        low, program = self.low, self.program
        parameters = self._arguments()
        low.number_uses(program)
        self._want_outputs()
        self._want_groups()
        steady = {program.inputs[i] for i in self.bindings.invariant}
        first, rest = [], []
        for i, equation in enumerate(program.equations):
            early = bool(steady) and all(v in steady for v in equation.inputs)
            if early:
                steady.update(equation.outputs)
            (first if early else rest).append((i, equation))
        low.block, scope, low.scope = low.once, low.scope, object()
        for _, equation in first:
            low.pins_apart(equation.outputs)
            low.note("")
            low.equation(-1, equation)
        low.block, low.scope = low.main, scope
        low.before_block(low, [e for _, e in rest])
        for i, equation in rest:
            low.note("")
            low.equation(i, equation)
        return parameters, self._results()

    def _arguments(self) -> list[str]:
        low, parameters = self.low, []
        for i, (value, bound) in enumerate(zip(self.program.inputs, self.bindings.inputs, strict=True)):
            dtype, shape = numpy_dtype(value.spec.dtype), dims(value)
            hint = self.program.input_names[i] or f"x{i}"
            if bound is None:
                name = low.fresh(hint)
                parameters.append(name)
                storage = Storage(views.size(shape), dtype)
                place = View(storage, shape, views.row_major(shape), 0, low.main, name, name=name)
            else:
                place = self._stretch("given", bound, value, hint)
            low.environment[value] = place
        return parameters

    def _stretch(self, side: str, flat: Flat, value: Value, hint: str) -> View:
        """The view of a part of one of the runner's vectors."""
        low, key = self.low, (side, flat.vector)
        if key not in self.vectors:
            whole = Thing(low.static, side, name=side)
            storage = Storage(flat.size, numpy_dtype(value.spec.dtype))
            root = View(
                storage,
                (flat.size,),
                (1,),
                0,
                low.static,
                f"{side}_{flat.vector}",
                parents=(whole,),
                template=f"{{}}[{flat.vector}]",
            )
            storage.root = self.vectors[key] = root
        shape = dims(value)
        part = views.sliced(self.vectors[key], (flat.offset,), (flat.offset + views.size(shape),), (1,))
        view = views.shaped(part, shape)
        if view.name is None and view is not self.vectors[key]:
            view.hint = hint
        return view

    # ---- what is asked for where ----

    def _aim(self, value: Value, place: View) -> bool:
        """Ask for `value` to be computed into `place`; reshapes on the way are looked through."""
        equation = self.made_by.get(value)
        while equation is not None and equation.op is p.reshape:
            value = equation.inputs[0]
            inner = views.reshape(place, dims(value))
            if inner is None:
                return False
            place, equation = inner, self.made_by.get(value)
        if equation is None or equation.op in _VIEWS or value in self.low.pins:
            return False
        self.low.pins[value] = lambda: place
        return True

    def _want_outputs(self) -> None:
        program, low = self.program, self.low
        groups = self._fresh_groups()
        for i, (value, bound) in enumerate(zip(program.outputs, self.bindings.outputs, strict=True)):
            if bound is False:
                continue
            shape = dims(value)
            name = program.output_names[i] or f"y{i}"
            if isinstance(bound, Flat):
                place = self._stretch("new", bound, value, f"new_{name}")
            elif value in groups:
                place = groups.pop(value)
            else:
                storage = Storage(views.size(shape), numpy_dtype(value.spec.dtype))
                place = View(storage, shape, views.row_major(shape), 0, low.main, name)
            self.targets[i] = place
            self._aim(value, place)

    def _fresh_groups(self) -> dict[Value, View]:
        """Results of a `foreach` that are all fresh outputs are views of one fresh vector."""
        fresh = {v for v, b in zip(self.program.outputs, self.bindings.outputs, strict=True) if b is None}
        found: dict[Value, View] = {}
        for equation in self.program.equations:
            if equation.op is not p.foreach:
                continue
            tensors = equation.attrs["tensors"]
            for r in range(len(equation.outputs) // tensors):
                values = equation.outputs[r * tensors : (r + 1) * tensors]
                if tensors > 1 and all(v in fresh for v in values):
                    storage = Storage(sum(int(v.spec.size) for v in values), numpy_dtype(values[0].spec.dtype))
                    root = View(storage, (storage.items,), (1,), 0, self.low.main, "results")
                    storage.root = root
                    found |= zip(values, laid_out(root, values), strict=True)
        return found

    def _want_groups(self) -> None:
        """Operands of a `foreach` are computed where they are stored end to end, so that nothing is copied together."""
        for equation in self.program.equations:
            if equation.op is not p.foreach:
                continue
            tensors = equation.attrs["tensors"]
            for g in range(equation.attrs["groups"]):
                values = equation.inputs[g * tensors : (g + 1) * tensors]
                made = {v for v in values if v in self.made_by and self.made_by[v].op is not p.foreach}
                if tensors == 1 or not made or len(set(values)) < tensors or any(v in self.low.slots for v in values):
                    continue
                root = flat_buffer(self.low, values, "end_to_end")
                for value, place in zip(values, laid_out(root, values), strict=True):
                    self.low.slots[value] = place
                    if value in made:
                        self._aim(value, place)

    def _results(self) -> str:
        """Copy what is not where it is wanted, and write what `step` returns."""
        low, names = self.low, []
        low.index = len(self.program.equations)
        for i, value in enumerate(self.program.outputs):
            target = self.targets.get(i)
            if target is None:
                continue
            found = low.environment[value]
            there = (
                isinstance(found, View)
                and found.storage is target.storage
                and (found.offset, found.shape) == (target.offset, target.shape)
                and found.contiguous
            )
            low.note(self.program.output_names[i])
            if not there:
                low.copy(target, value)
            if self.bindings.outputs[i] is None:
                names.append(low.use(target))
        return "(" + "".join(f"{name}, " for name in names).rstrip() + ")"


def is_written(op: Op, kernels: Mapping[Op, Any]) -> bool:
    """Whether the compiler writes `op` itself, for a backend with these kernels; others are written as their definitions."""
    return op is constant or (op in RULES and (op in kernels or op not in KERNELS))


class Compiled:
    """A prepared program, compiled: `compiled(*arrays) -> tuple of arrays`, which share no memory.

    Attributes:
        program: what it computes.
        source: the generated text.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        everything = Bindings((None,) * len(program.inputs), (None,) * len(program.outputs))
        self._generated = generate(program, everything)
        self._large = pieces.is_large(program)
        self._frames: list[Callable[..., tuple[Any, ...]]] = []
        self._inputs = [(numpy_dtype(s.dtype), tuple(map(int, s.shape)), s.dtype) for s in program.input_specs]

    @property
    def source(self) -> str:
        """The generated Python text."""
        return self._generated.source

    def _frame(self) -> Callable[..., tuple[Any, ...]]:
        made = self._generated
        scratches: list[dict[Any, Any]] = [{} for _ in range(made.scratches)]
        step = made.make(memory.arena(made.arena), made.constants, scratches, (), ())[1]
        return np.errstate(all="ignore")(step)  # as a decorator it costs half of what a `with` does

    def __call__(self, *arrays: Any) -> tuple[Any, ...]:
        """The outputs for `arrays`, one for every input of the program."""
        checked: Sequence[Any] = arrays if self._fit(arrays) else self._converted(arrays)
        try:
            step = self._frames.pop()
        except IndexError:
            step = self._frame()
        try:
            if not self._large:
                return step(*checked)
            with blas.one_thread():
                return step(*checked)
        finally:
            self._frames.append(step)

    def _fit(self, arrays: Sequence[Any]) -> bool:
        """Whether the arguments may be used as they are."""
        if len(arrays) != len(self._inputs):
            return False
        for a, (dtype, shape, name) in zip(arrays, self._inputs, strict=True):
            if a.__class__ is not np.ndarray or a.dtype is not dtype or a.shape != shape or name == "bfloat16":
                return False
            if not a.flags.c_contiguous:
                return False
        return True

    def _converted(self, arrays: Sequence[Any]) -> list[np.ndarray[Any, Any]]:
        """The arguments as row-major arrays of the program's dtypes.

        Raises:
            ShapeError: their number or a shape is not the program's.
        """
        if len(arrays) != len(self._inputs):
            raise ShapeError(f"the program takes {len(self._inputs)} arrays, got {len(arrays)}.")
        result = []
        for i, (given, (dtype, shape, name)) in enumerate(zip(arrays, self._inputs, strict=True)):
            array = np.asarray(given, dtype, order="C")
            if array.shape != shape:
                label = self.program.input_names[i]
                raise ShapeError(
                    f"input {i}{f' ({label})' if label else ''} has shape {array.shape}, expected {shape}."
                )
            result.append(bfloat16(array) if name == "bfloat16" else array)
        return result

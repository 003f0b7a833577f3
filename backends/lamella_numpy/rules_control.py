"""Lowering rules of the ops that hold programs.

`scan` becomes a loop, `foreach` passes over flat vectors, `switch` a call of the compiled branch.
"""

from __future__ import annotations

from collections.abc import Sequence

from lamella.ir.program import Equation, Op, Program, Value
from lamella.ir.spec import Spec, numpy_dtype
from lamella.ir.trace import trace
from lamella.ops import primitives as p
from lamella.ops.control import elementwise_replay
from lamella.passes import simplify
from lamella_numpy import views
from lamella_numpy.lowering import Lowering, Rule, dims
from lamella_numpy.updates import read_before
from lamella_numpy.views import Loop, Thing, View

CHUNK = 32768
"""Elements: longer vectors are passed over in pieces of this length, which stay in the caches between two lines."""


_MANY_TURNS = 16
"""From so many turns on it pays to copy a matrix that each of them multiplies by."""


def _column(loop: Loop, like: View, items: Thing) -> View:
    """The loop's variable over `items`, views laid out like `like`."""
    return View(like.storage, like.shape, like.strides, like.offset, loop, like.hint, source=items)


class _Scan:
    """One scan while it is lowered: the body's lines in a loop over premade views of the stacks.

    A changing carry is read from one place and written to another: to the next entry of a stack where it is stacked
    anyway, else to two buffers in turn. A carry that is stacked as it was before each iteration (backward loops read that)
    has one buffer with an entry more: each iteration reads one entry and writes the next, and nothing is copied. What no turn
    changes is computed before the loop.
    """

    def __init__(self, low: Lowering, equation: Equation) -> None:
        attrs = equation.attrs
        self.low = low
        self.program: Program = attrs["body"]
        self.length = int(attrs["length"])
        self.backwards = bool(attrs["reverse"])
        consts, carries = attrs["consts"], attrs["carries"]
        changing = consts + carries
        outputs, operands, inputs = self.program.outputs, equation.inputs, self.program.inputs
        self.fixed = list(zip(inputs[:consts], operands[:consts], strict=True))
        self.carries = list(
            zip(
                inputs[consts:changing],
                operands[consts:changing],
                outputs[:carries],
                equation.outputs[:carries],
                strict=True,
            )
        )
        self.slices = list(zip(inputs[changing:], operands[changing:], strict=True))
        self.stacked = list(zip(outputs[carries:], equation.outputs[carries:], strict=True))
        self.invariant: set[Value] = set()
        self.starts: dict[Value, View] = {}
        self.stacks: list[View] = []
        self.writes: list[tuple[View, Value]] = []
        self.finals: list[tuple[Value, View]] = []
        self.histories: dict[Value, View] = {}  # a carry's value after an iteration: the stack of them
        self.recorded: set[int] = set()  # numbers of the stacked outputs that need no writing
        self.loop: Loop | None = None

    def lower(self) -> None:
        low = self.low
        self.fixed += [(inner, start) for inner, start, new, _ in self.carries if new is inner]
        for inner, operand in self.fixed:
            low.environment[inner] = low.environment[operand]
            self.invariant.add(inner)
        for inner, operand in self.slices:
            self._fix_repeated(inner, operand)
        self.starts = {inner: low.compact(start) for inner, start, new, _ in self.carries if new is not inner}
        shared = self._shared_stacks()
        self.stacks = [shared[k] if k in shared else low.result(stack) for k, (_, stack) in enumerate(self.stacked)]
        for stack in self.stacks:
            low.touch(stack.storage)
        low.body(self.program, self.invariant, self._open)
        for target, value in self.writes:
            if low.environment[value] is not target:
                low.copy(target, value)
        assert self.loop is not None  # noqa: S101 - `body` opened it
        low.close_loop(self.loop)
        for value, place in [*self.finals, *zip([y for _, y in self.stacked], self.stacks, strict=True)]:
            low.touch(place.storage)
            low.bind(value, place)
        for inner, start, new, final in self.carries:
            if new is inner:
                low.bind(final, low.environment[start])

    def _shared_stacks(self) -> dict[int, View]:
        """For carries stacked as they were before each iteration: the stacks of that, in one buffer with what comes after."""
        low, found = self.low, {}
        inputs = set(self.program.inputs)
        for inner, _, new, _ in self.carries:
            numbers = [k for k, (v, outer) in enumerate(self.stacked) if v is inner and outer not in low.pins]
            if new in inputs or new in self.histories or not numbers or not self.length:
                continue
            start_place, outer = self.starts[inner], self.stacked[numbers[0]][1]
            shape = (self.length + 1, *start_place.shape)
            whole = low.buffer(shape, start_place.storage.dtype, start_place.hint)
            low.touch(whole.storage)
            low.emit(
                f"{low.use(views.entry(whole, self.length if self.backwards else 0))}[...] = {low.use(start_place)}"
            )
            zeros, ones = (0,) * (len(shape) - 1), (1,) * len(shape)
            lower = views.sliced(whole, (0, *zeros), (self.length, *shape[1:]), ones)
            upper = views.sliced(whole, (1, *zeros), shape, ones)
            before, after = (upper, lower) if self.backwards else (lower, upper)
            self.histories[new] = after
            self.recorded.add(numbers[0])
            found[numbers[0]] = before
            low.bind(outer, before)
            for k, (v, other) in enumerate(self.stacked):
                if v is new and other not in low.pins:
                    found[k] = after
                    low.bind(other, after)
                    break
        return found

    def _fix_repeated(self, inner: Value, operand: Value) -> None:
        """A stack whose slices are all the same is not sliced."""
        low = self.low
        if low.is_scalar(operand):
            low.environment[inner] = low.environment[operand]
        elif low.expanded(operand).shape[0] != operand.spec.shape[0]:
            low.environment[inner] = views.entry(low.expanded(operand), 0)
        else:
            return
        self.invariant.add(inner)

    def _turns(self, stack: View) -> Thing:
        """The list of the slices of `stack`, in the order of the turns."""
        return views.derive_thing(stack, "turns({})" + "[::-1]" * self.backwards, f"{stack.hint}_turns")

    def _open(self) -> None:
        """Open the loop and give every changing input and every output its place in an iteration."""
        low = self.low
        self._lay_in_rows()
        pairs = {
            inner: [low.buffer(s.shape, s.storage.dtype, s.hint) for _ in "ab"] for inner, s in self.starts.items()
        }
        for place in [buffer for pair in pairs.values() for buffer in pair]:
            low.touch(place.storage)
        loop = self.loop = low.open_loop(self.length)
        for inner, operand in self.slices:
            if inner not in self.invariant:
                stack = low.expanded(operand)
                low.environment[inner] = _column(loop, views.entry(stack, 0), self._turns(stack))
        aimed: dict[Value, View] = {}
        for k, ((value, _), stack) in enumerate(zip(self.stacked, self.stacks, strict=True)):
            if k in self.recorded:
                continue
            self._aim(aimed, value, _column(loop, views.entry(stack, 0), self._turns(stack)), stack)
        for inner, _, value, final in self.carries:
            start = self.starts.get(inner)
            if start is None:
                continue
            stack = aimed.get(value)
            if stack is None and value in self.histories:
                stack = self.histories[value]
                self._aim({}, value, _column(loop, views.entry(stack, 0), self._turns(stack)), stack)
            elif value in self.histories and stack is not self.histories[value]:
                stack = self.histories[value]
                self.writes.append((_column(loop, views.entry(stack, 0), self._turns(stack)), value))
            if stack is not None:
                after = self._turns(stack)
                last = views.entry(stack, 0 if self.backwards else self.length - 1)
            else:
                first, second = pairs[inner]
                count = (self.length + 1) // 2
                after = views.combine(f"([{{}}, {{}}] * {count})[:{self.length}]", f"{first.hint}_turns", first, second)
                last = (second, first)[self.length % 2]
                self._aim({}, value, _column(loop, first, after), first, only_if_free=value in low.pins)
            before = views.combine("[{}, *{}[:-1]]", f"{start.hint}_before", start, after)
            low.environment[inner] = _column(loop, start, before)
            self.finals.append((final, last if self.length else start))

    def _lay_in_rows(self) -> None:
        """Make row-major what every iteration multiplies by: BLAS takes up to twice the time otherwise."""
        low = self.low
        products = [e for e in self.program.equations if e.op is p.contract and e.attrs["contracting"][1] == (1,)]
        matrices = [e.inputs[1] for e in products if e.inputs[1].spec.ndim == 2 and not e.attrs["batch"][1]]
        for value in matrices if self.length >= _MANY_TURNS else ():
            if value not in self.invariant or value.spec.dtype not in ("float32", "float64"):
                continue
            place = low.full(value)
            if place.contiguous:
                low.environment[value] = views.transpose(low.contiguous(views.transpose(place, (1, 0))), (1, 0))

    def _aim(
        self, aimed: dict[Value, View], value: Value, place: View, stack: View, *, only_if_free: bool = False
    ) -> None:
        """Let `value` be computed into `place`, or be copied there at the end of an iteration."""
        free = value not in aimed and value not in self.invariant and value not in set(self.program.inputs)
        if free and not only_if_free:
            aimed[value] = stack
            self.low.pins[value] = lambda: place
        self.writes.append((place, value))


def _scan(low: Lowering, equation: Equation) -> None:
    _Scan(low, equation).lower()


# ---- foreach --------------------------------------------------------------------------------------------------------


def together(low: Lowering, found: Sequence[View]) -> View | None:
    """The vector that places laid end to end in one storage make up, or None where they are not."""
    storage, offset = found[0].storage, found[0].offset
    for place in found:
        if place.storage is not storage or place.offset != offset or not place.contiguous:
            return None
        offset += place.size
    if len(found) == 1:
        return views.reshape(found[0], (found[0].size,))
    root = storage.root
    if root is None:
        return None
    return views.sliced(root, (found[0].offset,), (offset,), (1,))


def laid_out(root: View, values: Sequence[Value]) -> list[View]:
    """A place for every value, end to end in the vector `root`."""
    result, offset = [], 0
    for value in values:
        shape = dims(value)
        end = offset + views.size(shape)
        result.append(views.shaped(views.sliced(root, (offset,), (end,), (1,)), shape))
        offset = end
    return result


def flat_buffer(low: Lowering, values: Sequence[Value], hint: str) -> View:
    """A buffer with room for all values end to end."""
    root = low.buffer((sum(v.spec.size for v in values),), numpy_dtype(values[0].spec.dtype), hint)
    root.storage.root = root
    return root


def _gathered(low: Lowering, values: Sequence[Value]) -> View:
    """The values of a group end to end: where they are, or copied to where they should be."""
    found = [low.place(v) for v in values]
    if all(place.shape == dims(v) for place, v in zip(found, values, strict=True)):
        flat = together(low, found)
        if flat is not None:
            return flat
    if all(v in low.slots for v in values):
        targets = [low.slots[v] for v in values]
        flat = together(low, targets)
        if flat is not None:
            return _copy_missing(low, values, targets, flat)
    root = flat_buffer(low, values, f"{low.hint}_operand")
    return _copy_missing(low, values, laid_out(root, values), root)


def _copy_missing(low: Lowering, values: Sequence[Value], targets: Sequence[View], flat: View) -> View:
    for value, target in zip(values, targets, strict=True):
        place = low.environment[value]
        same = isinstance(place, View) and place.storage is target.storage and place.offset == target.offset
        if not same and target.size:
            low.copy(target, value)
    return flat


def _foreach(low: Lowering, equation: Equation) -> None:
    """The rule over vectors: every group end to end, in pieces where they are long."""
    body, tensors, groups = equation.attrs["body"], equation.attrs["tensors"], equation.attrs["groups"]
    grouped = [equation.inputs[g * tensors : (g + 1) * tensors] for g in range(groups)]
    scalars = equation.inputs[groups * tensors :]
    operands = [_gathered(low, group) for group in grouped]
    results = []
    for r in range(len(body.outputs)):
        values = equation.outputs[r * tensors : (r + 1) * tensors]
        wanted = [low.pins[v]() for v in values] if all(v in low.pins for v in values) else []
        flat = together(low, wanted) if wanted else None
        if flat is None:
            flat = flat_buffer(low, values, low.hint)
            wanted = laid_out(flat, values)
        results.append((flat, values, wanted))
    total, flats = operands[0].size, [r[0] for r in results]
    program = _flat_program(body, groups, min(total, CHUNK))
    _over(low, program, operands, scalars, flats, total)
    for r, flat in enumerate(flats):
        low.updates.append((equation, flat, [x for g, x in enumerate(operands) if read_before(program, g, r)]))
    for _, values, wanted in results:
        for value, place in zip(values, wanted, strict=True):
            low.touch(place.storage)
            low.bind(value, place)


def _flat_program(body: Program, groups: int, length: int) -> Program:
    """The scalar rule as a program over vectors of `length`."""
    specs = [Spec((length,) if i < groups else (), s.dtype) for i, s in enumerate(body.input_specs)]

    def rule(*arguments: Value) -> list[Value]:
        replayed = elementwise_replay(body, arguments)
        return [y if y.spec.shape == (length,) else p.broadcast.bind(y, shape=(length,), axes=()) for y in replayed]

    return simplify(trace(rule, *specs))


def _over(
    low: Lowering,
    program: Program,
    operands: Sequence[View],
    scalars: Sequence[Value],
    results: Sequence[View],
    total: int,
) -> None:
    """Write `program` over whole vectors, or in a loop over pieces of `CHUNK` elements."""
    inputs, given, chunked = program.inputs, set(program.inputs), total > CHUNK
    shared = inputs[len(operands) :]
    for value, operand in zip(shared, scalars, strict=True):
        low.environment[value] = low.environment[operand]
    opened: list[Loop] = []
    targets: list[View] = []

    def piece(place: View) -> View:
        if not chunked:
            return place
        items = views.derive_thing(place, f"pieces({{}}, {CHUNK})", f"{place.hint}_pieces")
        return View(place.storage, (CHUNK,), (1,), place.offset, opened[0], place.hint, source=items)

    def start() -> None:
        if chunked:
            opened.append(low.open_loop(-(-total // CHUNK)))
            low.chunk = (opened[0], total, CHUNK)
        for value, place in zip(inputs[: len(operands)], operands, strict=True):
            low.environment[value] = piece(place)
        for value, place in zip(program.outputs, results, strict=True):
            target = piece(place)
            targets.append(target)
            if value not in given and value not in invariant and value not in low.pins:
                low.pins[value] = lambda target=target: target

    invariant = set(shared)
    for place in results:
        low.touch(place.storage)
    if total:
        low.clock += 1
        low.body(program, invariant, start)
        for value, target in zip(program.outputs, targets, strict=True):
            if low.environment[value] is not target:
                low.copy(target, value)
        if chunked:
            low.chunk = None
            low.close_loop(opened[0])


# ---- switch ---------------------------------------------------------------------------------------------------------


def _switch(low: Lowering, equation: Equation) -> None:
    """A call of the compiled function of one branch, which allocates its buffers; copies where it only returns operands."""
    index, *operands = equation.inputs
    branches = equation.attrs["branches"]
    if len(branches) == 1 and not branches[0].equations:
        given = dict(zip(branches[0].inputs, operands, strict=True))
        for value, source in zip(equation.outputs, branches[0].outputs, strict=True):
            place = low.result(value)
            low.emit(f"{low.use(place)}[{'...' if place.shape else '()'}] = {low.use(low.compact(given[source]))}")
        return
    functions = low.fresh("branches")
    low.static.lines.append(f"{functions} = constants[{len(low.constants)}]")
    low.constants.append([low.compiled(branch) for branch in equation.attrs["branches"]])
    arguments = "".join(f"{low.use(low.compact(v))}, " for v in operands)
    results = [low.result(value) for value in equation.outputs]
    made, last = low.fresh("results"), len(equation.attrs["branches"]) - 1
    low.emit(f"{made} = {functions}[min(max({low.scalar(index)}, 0), {last})]({arguments.rstrip(', ')})")
    for i, place in enumerate(results):
        low.emit(f"{low.use(place)}[{'...' if place.shape else '()'}] = {made}[{i}]")


RULES: dict[Op, Rule] = {p.scan: _scan, p.foreach: _foreach, p.switch: _switch}

"""Questions asked of a program: where a value is computed, how often it is read, what mixes the examples of a batch."""

from __future__ import annotations

import itertools
import math
from collections import Counter

from lamella.ir.dim import BATCH, Dim, Dimension, assumptions, at, symbol, symbols_of
from lamella.ir.program import Equation, Program, Value, for_sizes
from lamella.ir.spec import Spec, size_of


def makers_of(program: Program) -> dict[Value, Equation]:
    """The equation that computes each value; the program's inputs have none."""
    return {value: e for e in program.equations for value in e.outputs}


def uses_of(program: Program) -> Counter[Value]:
    """How often each value is read; being an output of the program counts as one read."""
    return Counter(itertools.chain(program.outputs, *[e.inputs for e in program.equations]))


def numbers_computed(program: Program) -> Counter[str]:
    """How many numbers a run of `program` computes, by the path of the layer: an estimate of its time and memory.

    The inputs count under "". A pooled number counts as the numbers of its window, and every equation as 100 numbers more,
    which is what the call of a kernel costs.
    """
    found = Counter({"": sum(size_of(v.shape) for v in program.inputs)})
    for equation in program.equations:
        window = math.prod(equation.attrs.get("window", ()))
        found[equation.where] += 100 + window * sum(size_of(v.shape) for v in equation.outputs)
        for body in equation.bodies.values():
            inner = numbers_computed(body).total()
            found[equation.where] += inner * equation.attrs.get("length", 1)
    return found


_LARGEST_MULTIPLE = 64


def multiples_needed(program: Program) -> dict[str, int]:
    """Of which number each free dimension must be a multiple, that the sizes that `program` takes to be equal be equal.

    A shortcut around a pooling by 2 takes `height` and `height // 2 * 2` to be equal: {"height": 2}. Dimensions that may have
    any size are left out; all are where no multiples suffice.
    """
    found: dict[str, int] = {}
    while max(found.values(), default=1) <= _LARGEST_MULTIPLE:
        with assumptions() as pairs:
            _check_shapes(for_sizes(program, {name: factor * symbol(name) for name, factor in found.items()}))
        pairs = [pair for pair in pairs if _differ_somewhere(*pair)]
        free = symbols_of(itertools.chain.from_iterable(pairs)) - {BATCH}
        if not free:
            return {} if pairs else found
        found.update((name, found.get(name, 1) + 1) for name in sorted(free))
    return {}


def _differ_somewhere(a: Dimension, b: Dimension) -> bool:
    """Whether two expressions give different sizes for some sizes of their symbols, all of which are large.

    The expressions are sums of quotients, maxima and minima, so that a period of them says it. `max(1, time - 1) - 1` and
    `max(time - 2, 0)` are equal, whatever their form.
    """
    names = sorted(symbols_of([a, b]))
    grid = (
        {name: n + 7 * i for i, name in enumerate(names)} for n in range(4 * _LARGEST_MULTIPLE, 6 * _LARGEST_MULTIPLE)
    )
    return any(at(a, sizes) != at(b, sizes) for sizes in grid)


def _check_shapes(program: Program) -> None:
    for equation in program.equations:
        equation.op.result_specs([v.spec for v in equation.inputs], equation.attrs)
        for body in equation.bodies.values():
            _check_shapes(body)


def find_cross_batch_op(program: Program) -> Equation | None:
    """The first equation in which entries of one example of the batch reach the results of another, or None.

    The program is traced with the batch dimension left free. An equation is per example where every output has exactly
    one dimension that counts examples: a reduction or contraction over the batch loses it, an outer product has two, and
    ops that mix entries along an axis declare it (`Op.mixed_axes`). What cannot be decided counts as mixing. Where the
    answer is None, a short batch may be padded with repeated examples and the results truncated.
    """
    return _first_mixing(program, {})


def _first_mixing(program: Program, outer: dict[Value, Dimension]) -> Equation | None:
    """`find_cross_batch_op`, given how often the batch is counted along the batch axis of the values where not once.

    A reshape of (time, batch, ...) to (time * batch, ...) makes an axis along which the examples are counted `time` times.
    """
    for equation in program.equations:
        if equation.op.name == "dimension_value" and BATCH in symbols_of([equation.attrs["dim"]]):
            return equation
        batched = [v for v in equation.inputs if _batch_axes(v.spec)]
        if not batched:
            continue
        counts = {outer.get(v, 1) for v in batched}
        count = counts.pop()
        if equation.op.name == "reshape":
            count = _count_after_reshape(equation, count)
        if counts or count is None or _mixes_examples(equation):
            return equation
        # a body's inputs have the specs of the operands, batch dimensions included
        for body in equation.bodies.values():
            inner = _first_mixing(body, {v: count for v in body.inputs if _batch_axes(v.spec)})
            if inner is not None:
                return inner
        outer.update((v, count) for v in equation.outputs)
    return None


def _mixes_examples(equation: Equation) -> bool:
    """Whether the equation, apart from the programs in its attributes, mixes the examples of its operands."""
    op, attrs, operands = equation.op, equation.attrs, [v.spec for v in equation.inputs]
    for value in equation.outputs:
        axes = _batch_axes(value.spec)
        if len(axes) != 1 or not _is_multiple_of_batch(value.spec.shape[axes[0]]):
            return True
    first = operands[0]
    if op.mixed_axes is not None and not set(_batch_axes(first)).isdisjoint(op.mixed_axes(first, attrs)):
        return True
    if op.name in ("take", "scatter_add", "concatenate", "pad"):
        # any example may look up a table that has no batch dimension
        along = first if op.name == "take" else next(spec for spec in operands if _batch_axes(spec))
        return _batch_axes(along) == [attrs.get("axis")]
    if op.name == "scan":
        return any(_batch_axes(Spec(s.shape[:1], s.dtype)) for s in operands[attrs["consts"] + attrs["carries"] :])
    return False


def _count_after_reshape(equation: Equation, count: Dimension) -> Dimension | None:
    """How often the batch is counted along the batch axis of a reshape, or None where the axis holds no whole batches."""
    before, after = equation.inputs[0].spec, equation.outputs[0].spec
    if len(_batch_axes(after)) != 1:
        return None
    (old,), (new,) = _batch_axes(before), _batch_axes(after)
    passed, skipped = size_of(before.shape[:old]) * count, size_of(after.shape[:new])
    inside = passed // skipped
    whole = inside * skipped == passed and after.shape[new] % (inside * symbol(BATCH)) == 0
    return inside if whole else None


def _batch_axes(spec: Spec) -> list[int]:
    return [i for i, d in enumerate(spec.shape) if isinstance(d, Dim) and BATCH in d.symbols]


def _is_multiple_of_batch(dim: Dimension) -> bool:
    return isinstance(dim, Dim) and dim.is_multiple_of(BATCH)

"""Every op as a function of JAX arrays: `LOWERINGS`, and the loop that applies such a table to a program.

The operands of an equation already agree in dtype and shape, so `jax.lax` is enough: nothing here promotes, and the
result has exactly the dtype of the program. An op missing from the table is applied by its definition. Nothing here depends
on a platform.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from lamella.ir import interpret
from lamella.ir.program import Equation, Op, Program
from lamella.ops import primitives as p
from lamella.ops.framework import framework_call
from lamella.ops.ordering import lowest
from lamella_jax import elementwise as e
from lamella_jax import pooling
from lamella_jax import random_bits as r
from lamella_jax import windows as w
from lamella_jax.barrier import barrier
from lamella_jax.precision import precision_for

Array = Any
Ints = tuple[int, ...]
Kernels = dict[Op, Callable[..., Any]]


def integers(dims: Sequence[int]) -> Ints:
    """Plain integers: a dimension of a program may remember that it counts batch rows. JAX's symbolic ones stay."""
    return tuple(int(d) if isinstance(d, int | np.integer) else d for d in dims)


# ---- contraction and reductions ---------------------------------------------------------------------------------------


def contract(x: Array, y: Array, *, contracting: Any, batch: Any) -> Array:
    """Products summed over the contracting axes; batch axes come first"""
    return lax.dot_general(x, y, (contracting, batch), precision_for(x.dtype), preferred_element_type=x.dtype)


def reduce_sum(x: Array, *, axes: Ints) -> Array:
    """The sum over `axes`; 16-bit floats are added up in float32 and rounded once"""
    if x.dtype.itemsize == 2 and e.is_float(x):
        return lax.convert_element_type(lax.reduce_sum(lax.convert_element_type(x, np.float32), axes), x.dtype)
    return lax.reduce_sum(x, axes)


def argmax(x: Array, *, axis: int) -> Array:
    """The int32 index of the first maximum"""
    if x.dtype == np.bool_:
        x = lax.convert_element_type(x, np.uint8)
    return lax.argmax(x, axis, np.int32)


# ---- shapes -----------------------------------------------------------------------------------------------------------


def reshape(x: Array, *, shape: Ints) -> Array:
    """The same elements under another shape"""
    return lax.reshape(x, integers(shape))


def transpose(x: Array, *, permutation: Ints) -> Array:
    """Axis i of the result is axis permutation[i] of x"""
    return lax.transpose(x, permutation)


def broadcast(x: Array, *, shape: Ints, axes: Ints) -> Array:
    """Axis i of x becomes axis axes[i]"""
    return lax.broadcast_in_dim(x, integers(shape), axes)


def slice_(x: Array, *, start: Ints, stop: Ints, strides: Ints) -> Array:
    """Entries start, start + stride, ... below stop of every axis"""
    return lax.slice(x, integers(start), integers(stop), integers(strides))


def pad(x: Array, *, low: Ints, high: Ints, interior: Ints, value: float) -> Array:
    """Entries of `value` before, after and between"""
    return lax.pad(x, e.like(x, value), list(zip(*map(integers, (low, high, interior)), strict=True)))


def concatenate(*xs: Array, axis: int) -> Array:
    """The operands one after the other"""
    return lax.concatenate(xs, axis)


def split(x: Array, *, sizes: Ints, axis: int) -> tuple[Array, ...]:
    """Consecutive parts along `axis`"""
    return tuple(lax.split(x, integers(sizes), axis))


def reverse(x: Array, *, axes: Ints) -> Array:
    """The order along `axes` reversed"""
    return lax.rev(x, axes)


def dimension_value(*, dim: Any, dtype: str) -> Array:
    """The size of a dimension as a number"""
    return jnp.asarray(dim).astype(dtype)


def iota(*, shape: Ints, dtype: str, axis: int) -> Array:
    """Every entry is its index along `axis`"""
    return lax.broadcasted_iota(np.dtype(dtype), integers(shape), axis)


def _keeping_nan(reduce: Callable[[Array, Ints], Array]) -> Callable[..., Array]:
    """A maximum or minimum that is NaN where an operand is: XLA's own loses NaNs of large arrays on a CPU (jaxlib 0.12.0)."""

    def lowered(x: Array, *, axes: Ints) -> Array:
        y = reduce(x, axes)
        if not jnp.issubdtype(x.dtype, jnp.floating):
            return y
        return lax.select(lax.reduce_or(lax.ne(x, x), axes), lax.full_like(y, np.nan), y)

    return lowered


# ---- indexing ---------------------------------------------------------------------------------------------------------


def _clamped(indices: Array, size: int) -> Array:
    """int32 indices within [0, size)."""
    if not isinstance(size, int | np.integer):
        # a symbolic number of rows, which nothing can be compared with before it is known
        indices = lax.convert_element_type(indices, np.int32)
        return lax.max(lax.min(indices, jnp.asarray(size - 1, np.int32)), e.like(indices, 0))
    if size - 1 <= np.iinfo(indices.dtype).max:
        indices = lax.min(indices, e.like(indices, size - 1))
    return lax.convert_element_type(lax.max(indices, e.like(indices, 0)), np.int32)


def take(x: Array, indices: Array, *, axis: int) -> Array:
    """Entries at `indices` along `axis`, moved to the nearest end where they are outside"""
    n, rank = indices.ndim, x.ndim
    start = lax.expand_dims(_clamped(indices, x.shape[axis]), (n,))
    numbers = lax.GatherDimensionNumbers(
        offset_dims=(*range(axis), *range(axis + n, rank + n - 1)),
        collapsed_slice_dims=(axis,),
        start_index_map=(axis,),
    )
    sizes = tuple(1 if i == axis else d for i, d in enumerate(x.shape))
    return lax.gather(x, start, numbers, sizes, mode=lax.GatherScatterMode.PROMISE_IN_BOUNDS)


def scatter_add(updates: Array, indices: Array, *, axis: int, size: int) -> Array:
    """Zeros to which each update is added at its index: the transpose of take"""
    return _scattered(lax.scatter_add, 0, updates, indices, axis, size)


def scatter_max(updates: Array, indices: Array, *, axis: int, size: int) -> Array:
    """The maxima of the updates at each index"""
    return _scattered(lax.scatter_max, lowest(updates.dtype.name), updates, indices, axis, size)


def _scattered(scatter: Callable[..., Array], fill: Any, updates: Array, indices: Array, axis: int, size: int) -> Array:
    n, rank = indices.ndim, updates.ndim
    shape = (*updates.shape[:axis], *integers((size,)), *updates.shape[axis + n :])
    numbers = lax.ScatterDimensionNumbers(
        update_window_dims=(*range(axis), *range(axis + n, rank)),
        inserted_window_dims=(axis,),
        scatter_dims_to_operand_dims=(axis,),
    )
    return scatter(
        lax.full(shape, fill, updates.dtype),
        lax.expand_dims(_clamped(indices, size), (n,)),
        updates,
        numbers,
        mode=lax.GatherScatterMode.PROMISE_IN_BOUNDS,
    )


def argsort(x: Array, *, axis: int) -> Array:
    """The int32 positions that put x in ascending order, equal entries in their own"""
    positions = lax.broadcasted_iota(np.int32, x.shape, axis)
    return lax.sort((lax.stop_gradient(x), positions), dimension=axis, is_stable=True, num_keys=1)[1]


def cumsum(x: Array, *, axis: int) -> Array:
    """The running sums; 16-bit floats are added up in float32 and rounded once each"""
    if x.dtype.itemsize == 2 and e.is_float(x):
        return lax.convert_element_type(lax.cumsum(lax.convert_element_type(x, np.float32), axis), x.dtype)
    return lax.cumsum(x, axis)


# ---- softmax ----------------------------------------------------------------------------------------------------------


def _spread(x: Array, shape: Ints, axis: int) -> Array:
    return lax.broadcast_in_dim(x, shape, [i for i in range(len(shape)) if i != axis])


def softmax(x: Array, *, axis: int) -> Array:
    """exp(x) / sum(exp(x)), shifted by the maximum"""

    @jax.custom_jvp
    def value(x: Array) -> Array:
        shifted = lax.exp(lax.sub(x, _spread(lax.reduce_max(x, (axis,)), x.shape, axis)))
        return lax.div(shifted, _spread(reduce_sum(shifted, axes=(axis,)), x.shape, axis))

    @value.defjvp
    def _(primals: Any, tangents: Any) -> Any:
        y, (t,) = value(*primals), tangents
        return y, lax.mul(y, lax.sub(t, _spread(reduce_sum(lax.mul(t, y), axes=(axis,)), y.shape, axis)))

    return value(x)


def log_softmax(x: Array, *, axis: int) -> Array:
    """x - log(sum(exp(x))), shifted by the maximum"""

    @jax.custom_jvp
    def value(x: Array) -> Array:
        shifted = lax.sub(x, _spread(lax.reduce_max(x, (axis,)), x.shape, axis))
        return lax.sub(shifted, _spread(lax.log(reduce_sum(lax.exp(shifted), axes=(axis,))), x.shape, axis))

    @value.defjvp
    def _(primals: Any, tangents: Any) -> Any:
        y, (t,) = value(*primals), tangents
        return y, lax.sub(t, _spread(reduce_sum(lax.mul(lax.exp(y), t), axes=(axis,)), y.shape, axis))

    return value(x)


# ---- ops that hold a program ------------------------------------------------------------------------------------------


def scan(
    kernels: Kernels, *operands: Array, body: Program, consts: int, carries: int, length: int, reverse: bool
) -> tuple[Array, ...]:
    """A loop over time: `jax.lax.scan`, with the loop-invariant operands outside the carry"""
    # inside `shard_map` a carry that starts the same everywhere (zeros) differs after the first step
    operands = e.aligned(*operands)
    fixed = operands[:consts]

    def step(carry: Sequence[Array], slices: Sequence[Array]) -> tuple[Any, Any]:
        results = run(kernels, body, [*fixed, *carry, *slices])
        return tuple(results[:carries]), tuple(results[carries:])

    start, slices = tuple(operands[consts : consts + carries]), tuple(operands[consts + carries :])
    if not isinstance(length, int) and not slices:  # `lax.scan` counts symbolic steps by what it scans
        slices = (lax.iota(np.int32, length),)
        counted, stacked = lax.scan(lambda carry, _: step(carry, ()), start, slices, reverse=reverse)
        return (*counted, *stacked)
    number = length if isinstance(length, int) else None
    carry, stacked = lax.scan(step, start, slices, length=number, reverse=reverse)
    return (*carry, *stacked)


def foreach(kernels: Kernels, *operands: Array, body: Program, tensors: int, groups: int) -> tuple[Array, ...]:
    """The elementwise rule tensor by tensor: XLA makes one loop of it for each"""
    scalars = operands[groups * tensors :]
    columns = [
        _elementwise(kernels, body, [*[operands[g * tensors + i] for g in range(groups)], *scalars])
        for i in range(tensors)
    ]
    return tuple(column[result] for result in range(len(body.outputs)) for column in columns)


def switch(kernels: Kernels, index: Array, *operands: Array, branches: Sequence[Program]) -> tuple[Array, ...]:
    """One branch: `jax.lax.switch`, which moves an index outside to the nearest end; XLA shares nothing with a single one"""
    # inside `shard_map` a branch that returns a constant must vary as the others do
    operands = e.aligned(*operands) if operands else ()
    if len(branches) == 1:
        return outputs(kernels, branches[0], *barrier(*operands))
    functions = [partial(outputs, kernels, branch) for branch in branches]
    return tuple(lax.switch(index, functions, *operands))


def custom_gradient(kernels: Kernels, *operands: Array, body: Program, gradient: Program) -> tuple[Array, ...]:
    """The body, with the other program for its derivative in reverse mode"""

    @jax.custom_vjp
    def value(*arrays: Array) -> tuple[Array, ...]:
        return outputs(kernels, body, *arrays)

    def backward(arrays: Sequence[Array], gs: Sequence[Array]) -> tuple[Any, ...]:
        found = run(kernels, gradient, [*arrays, *gs])
        return (*found, *[None] * (len(arrays) - len(found)))

    value.defvjp(lambda *arrays: (value(*arrays), arrays), backward)
    return value(*operands)


def call(x: Array, *, function: Callable[[Any], Any], dtype: str) -> Array:
    """function(x), traced along"""
    return lax.convert_element_type(function(x), np.dtype(dtype))


def _elementwise(kernels: Kernels, body: Program, arguments: Sequence[Array]) -> list[Array]:
    """A program of scalars on tensors of one shape and scalars, which are spread where they meet a tensor."""
    full = max((np.shape(x) for x in arguments), key=len)

    def spread(x: Array, shape: Ints) -> Array:
        return x if np.shape(x) == shape else lax.broadcast(x, shape)

    def on_one_shape(equation: Equation, arrays: Sequence[Array]) -> Sequence[Array]:
        shape = max((np.shape(x) for x in arrays), key=len, default=())
        return apply(kernels, equation, [spread(x, shape) for x in arrays])

    return [spread(y, full) for y in interpret.run(body, arguments, on_one_shape)]


# ---- the table --------------------------------------------------------------------------------------------------------

_PLAIN: Kernels = {
    # elementwise
    p.add: lax.add,
    p.subtract: lax.sub,
    p.multiply: lax.mul,
    p.divide: lax.div,
    p.remainder: e.remainder,
    p.floor_divide: e.floor_divide,
    p.power: e.power,
    p.maximum: lax.max,
    p.minimum: lax.min,
    p.negative: lax.neg,
    p.exp: lax.exp,
    p.expm1: lax.expm1,
    p.log: lax.log,
    p.log1p: lax.log1p,
    p.sqrt: lax.sqrt,
    p.tanh: lax.tanh,
    p.sin: lax.sin,
    p.tan: lax.tan,
    p.sinh: lax.sinh,
    p.cosh: lax.cosh,
    p.arcsin: lax.asin,
    p.arccos: lax.acos,
    p.arctan: lax.atan,
    p.arctan2: lax.atan2,
    p.arcsinh: lax.asinh,
    p.arccosh: lax.acosh,
    p.arctanh: lax.atanh,
    p.cos: lax.cos,
    p.abs: e.absolute,
    p.sign: lax.sign,
    p.floor: lax.floor,
    p.round: e.round_half_even,
    p.stop_gradient: lax.stop_gradient,
    p.convert: e.convert,
    p.clip: e.clip,
    p.clip_gradient: e.clip_gradient,
    p.relu: e.relu,
    p.relu_gradient: e.relu_gradient,
    p.sigmoid: e.sigmoid,
    p.softplus: e.softplus,
    p.erf: lax.erf,
    p.erfc: lax.erfc,
    p.erfinv: lax.erf_inv,
    # comparisons and bits
    p.equal: lax.eq,
    p.less: lax.lt,
    p.less_equal: lax.le,
    p.bitwise_and: lax.bitwise_and,
    p.bitwise_or: lax.bitwise_or,
    p.bitwise_xor: lax.bitwise_xor,
    p.bitwise_not: lax.bitwise_not,
    p.left_shift: e.left_shift,
    p.right_shift: e.right_shift,
    p.select: lax.select,
    # contraction and reductions
    p.contract: contract,
    p.reduce_sum: reduce_sum,
    p.reduce_max: _keeping_nan(lax.reduce_max),
    p.reduce_min: _keeping_nan(lax.reduce_min),
    p.argmax: argmax,
    p.softmax: softmax,
    p.log_softmax: log_softmax,
    # shapes
    p.dimension_value: dimension_value,
    p.reshape: reshape,
    p.transpose: transpose,
    p.broadcast: broadcast,
    p.slice: slice_,
    p.pad: pad,
    p.concatenate: concatenate,
    p.split: split,
    p.reverse: reverse,
    p.iota: iota,
    # indexing and random bits
    p.take: take,
    p.scatter_add: scatter_add,
    p.scatter_max: scatter_max,
    p.argsort: argsort,
    p.cumsum: cumsum,
    p.random_bits: r.random_bits,
    p.fold_in: r.fold_in,
    # windows
    p.convolve: w.convolve,
    p.convolve_input_gradient: w.convolve_input_gradient,
    p.convolve_kernel_gradient: w.convolve_kernel_gradient,
    p.max_pool: pooling.max_pool,
    p.max_pool_gradient: pooling.max_pool_gradient,
    p.average_pool: pooling.average_pool,
    p.average_pool_gradient: pooling.average_pool_gradient,
    framework_call: call,
}

_CONTROL = {p.scan: scan, p.foreach: foreach, p.switch: switch, p.custom_gradient: custom_gradient}


def table(others: Mapping[Op, Callable[..., Any]]) -> Kernels:
    """`LOWERINGS` with `others` in the places of their ops, in the programs that loops and branches hold too."""
    kernels = {**_PLAIN, **others}
    kernels |= {op: partial(lowering, kernels) for op, lowering in _CONTROL.items()}
    return kernels


LOWERINGS: Kernels = table({})
"""What computes each op: `(*operands, **attributes) -> array`, or a tuple of them for an op with several outputs."""


def constant(value: np.ndarray, dtype: str) -> Array:
    """The array of a `constant` equation. It stays NumPy's: inside `jit` it becomes a literal of the jaxpr."""
    return np.asarray(value, np.dtype(dtype))


def apply(kernels: Mapping[Op, Callable[..., Any]], equation: Equation, operands: Sequence[Array]) -> Sequence[Array]:
    """The outputs of one equation, under the name of the layer it came from."""
    if equation.op is p.constant:
        return (constant(equation.attrs["value"], equation.attrs["dtype"]),)
    lowering = kernels.get(equation.op) or equation.op.definition
    assert lowering is not None  # noqa: S101 - `prepare` has refused mandatory ops without a lowering
    if equation.where:
        with jax.named_scope(equation.where):
            result = lowering(*operands, **equation.attrs)
    else:
        result = lowering(*operands, **equation.attrs)
    return result if isinstance(result, tuple) else (result,)


def run(kernels: Kernels, program: Program, arguments: Sequence[Array]) -> list[Array]:
    """The outputs of `program`, equation by equation."""
    return interpret.run(program, arguments, partial(apply, kernels))


def outputs(kernels: Kernels, program: Program, *arguments: Array) -> tuple[Array, ...]:
    """The same as JAX arrays: a constant that is an output is a NumPy array until here."""
    return tuple(map(jnp.asarray, run(kernels, program, arguments)))


_WIDE: weakref.WeakKeyDictionary[Program, bool] = weakref.WeakKeyDictionary()
"""What `holds_64_bits` found: it is asked at every call."""


def holds_64_bits(program: Program) -> bool:
    """Whether a value of `program` needs JAX's 64-bit types."""
    found = _WIDE.get(program)
    if found is None:
        values = itertools.chain(program.inputs, *[e.outputs for e in program.equations])
        bodies = (body for e in program.equations for body in e.bodies.values())
        found = any(v.spec.dtype.endswith("64") for v in values) or any(map(holds_64_bits, bodies))
        _WIDE[program] = found
    return found


__all__ = ["LOWERINGS", "apply", "constant", "holds_64_bits", "outputs", "run", "table"]

"""What every op means, in the plainest NumPy: the backend that the others are held against.

Floats are computed in float64 and rounded once to the dtype of the result; every op that is not mandatory runs by its
definition, loops unrolled. Nothing here is fast, and nothing is shared with `lamella_numpy`.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella.backend_api import Backend, Compiled
from lamella.ir.program import Equation, Program
from lamella.ir.spec import Spec, is_float, numpy_dtype, spec_of
from lamella.ir.trace import constant
from lamella.ops import primitives as p
from lamella.passes import expand

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike

Ints = tuple[int, ...]


def rounded(array: ArrayLike, dtype: str) -> np.ndarray:
    """`array` in `dtype`; bfloat16, which NumPy lacks, is float32 with 8 significant bits, halves to even."""
    result = np.array(array, numpy_dtype(dtype))
    if dtype != "bfloat16":
        return result
    bits = result.view(np.uint32)
    cut = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) & np.uint32(0xFFFF0000)
    return np.where(np.isfinite(result), cut.view(np.float32), result)


def _convert(x: np.ndarray, *, dtype: str) -> np.ndarray:
    if dtype == "bool":
        return x != 0
    if is_float(dtype):
        return x
    if x.dtype.kind != "f":
        return x.astype(dtype)
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    inside = np.where((x > low) & (x < high), x, 0).astype(dtype)
    return np.where(x >= high, np.asarray(high, dtype), np.where(x <= low, np.asarray(low, dtype), inside))


def _broadcast(x: np.ndarray, *, shape: Ints, axes: Ints) -> np.ndarray:
    return np.broadcast_to(x.reshape([shape[i] if i in axes else 1 for i in range(len(shape))]), shape)


def _slice(x: np.ndarray, *, start: Ints, stop: Ints, strides: Ints) -> np.ndarray:
    return x[tuple(slice(a, b, s) for a, b, s in zip(start, stop, strides, strict=True))]


def _pad(x: np.ndarray, *, low: Ints, high: Ints, interior: Ints, value: float) -> np.ndarray:
    spread = [max(0, d + (d - 1) * i) for d, i in zip(x.shape, interior, strict=True)]
    result = np.full([a + n + b for a, n, b in zip(low, spread, high, strict=True)], value, x.dtype)
    result[tuple(slice(a, a + n, i + 1) for a, n, i in zip(low, spread, interior, strict=True))] = x
    return result


def _iota(*, shape: Ints, dtype: str, axis: int) -> np.ndarray:
    return np.indices(shape)[axis].astype(numpy_dtype(dtype))


def _contract(x: np.ndarray, y: np.ndarray, *, contracting: Any, batch: Any) -> np.ndarray:
    letters = iter(string.ascii_letters)
    left, right = [next(letters) for _ in x.shape], [next(letters) for _ in y.shape]
    for a, b in zip((*contracting[0], *batch[0]), (*contracting[1], *batch[1]), strict=True):
        right[b] = left[a]
    ours = {*contracting[0], *batch[0]}
    theirs = {*contracting[1], *batch[1]}
    out = [left[a] for a in batch[0]] + [c for i, c in enumerate(left) if i not in ours]
    out += [c for i, c in enumerate(right) if i not in theirs]
    return np.einsum(f"{''.join(left)},{''.join(right)}->{''.join(out)}", x, y)


def _inside(indices: np.ndarray, size: int) -> np.ndarray:
    return np.clip(indices.astype(np.int64), 0, size - 1)


def _take(x: np.ndarray, indices: np.ndarray, *, axis: int) -> np.ndarray:
    return np.take(x, _inside(indices, x.shape[axis]), axis)


def _scatter_add(updates: np.ndarray, indices: np.ndarray, *, axis: int, size: int) -> np.ndarray:
    result = np.zeros((*updates.shape[:axis], size, *updates.shape[axis + indices.ndim :]), updates.dtype)
    for at in np.ndindex(indices.shape):
        where = (slice(None),) * axis
        result[(*where, _inside(indices[at], size))] += updates[where + at]
    return result


KERNELS = {
    p.equal: np.equal,
    p.less: np.less,
    p.less_equal: np.less_equal,
    p.bitwise_and: np.bitwise_and,
    p.bitwise_or: np.bitwise_or,
    p.bitwise_xor: np.bitwise_xor,
    p.bitwise_not: np.invert,
    p.left_shift: np.left_shift,
    p.right_shift: np.right_shift,
    p.select: np.where,
    p.add: np.add,
    p.subtract: np.subtract,
    p.multiply: np.multiply,
    p.divide: np.divide,
    p.remainder: np.remainder,
    p.power: np.power,
    p.maximum: np.maximum,
    p.minimum: np.minimum,
    p.negative: np.negative,
    p.exp: np.exp,
    p.expm1: np.expm1,
    p.log: np.log,
    p.log1p: np.log1p,
    p.sqrt: np.sqrt,
    p.tanh: np.tanh,
    p.sin: np.sin,
    p.cos: np.cos,
    p.abs: np.abs,
    p.sign: np.sign,
    p.floor: np.floor,
    p.round: np.rint,
    p.convert: _convert,
    p.reshape: lambda x, *, shape: np.reshape(x, shape),
    p.transpose: lambda x, *, permutation: np.transpose(x, permutation),
    p.broadcast: _broadcast,
    p.slice: _slice,
    p.pad: _pad,
    p.concatenate: lambda *xs, axis: np.concatenate(xs, axis),
    p.reverse: lambda x, *, axes: np.flip(x, axes),
    p.dimension_value: lambda *, dim, dtype: np.asarray(dim, dtype),
    p.iota: _iota,
    p.reduce_sum: lambda x, *, axes: np.sum(x, axes),
    p.reduce_max: lambda x, *, axes: np.max(x, axes),
    p.reduce_min: lambda x, *, axes: np.min(x, axes),
    p.argmax: lambda x, *, axis: np.argmax(x, axis),
    p.contract: _contract,
    p.take: _take,
    p.scatter_add: _scatter_add,
}


class Reference(Backend):
    """Programs interpreted one equation at a time, as they stand: nothing simplified, nothing kept."""

    name = "reference"
    kernels = KERNELS

    def prepare(self, program: Program) -> Program:
        """The program with every op that has a definition taken apart."""
        return expand(program, self.has, self.name)

    def compile(self, program: Program) -> Compiled:
        """`program` as a function; its results are the caller's own, an operand returned as it came is copied."""
        run = super().compile(program)
        return lambda *arrays: [np.array(y) for y in run(*arrays)]

    def apply(self, equation: Equation, operands: Sequence[Any]) -> Sequence[Any]:
        """The outputs of one equation, computed in float64."""
        if equation.op is constant:
            return (rounded(equation.attrs["value"], equation.attrs["dtype"]),)
        return self._compute(equation.op, operands, equation.attrs, [v.spec for v in equation.outputs])

    def evaluate(self, op: p.Op, arrays: Sequence[Any], attrs: dict[str, Any]) -> Sequence[Any]:
        """The outputs of one op on arrays."""
        if op not in self.kernels:
            return super().evaluate(op, arrays, attrs)
        return self._compute(op, arrays, attrs, op.result_specs([spec_of(a) for a in arrays], attrs))

    def _compute(self, op: p.Op, operands: Sequence[Any], attrs: Any, specs: Sequence[Spec]) -> Sequence[np.ndarray]:
        wide = [np.asarray(x, np.float64) if x.dtype.kind == "f" else np.asarray(x) for x in operands]
        with np.errstate(all="ignore"):
            result = self.kernels[op](*wide, **attrs)
            results = result if isinstance(result, tuple) else (result,)
            return tuple(rounded(r, s.dtype) for r, s in zip(results, specs, strict=True))


REFERENCE = Reference()

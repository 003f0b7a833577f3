"""A PyTorch backend in one file, written from docs/backends.md: eager kernels for the mandatory ops, nothing else.

Ops with a definition run by it, and training by the default runner.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from lamella.backend import Backend
from lamella.ops import primitives as p

Ints = tuple[int, ...]
Kernel = Callable[..., Tensor]

NAMES = (
    *("bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"),
    *("float16", "bfloat16", "float32", "float64"),
)
DTYPES: dict[str, torch.dtype] = {name: getattr(torch, name) for name in NAMES}
LOWEST = -(2**63)


def unsigned(kernel: Kernel, ordered: bool = False) -> Kernel:
    """`kernel` on int64 where the first operand is an unsigned integer for which PyTorch has no arithmetic.

    The low bits of sums and products are the same. Where the order matters, uint64 is shifted to int64's range.
    """

    def run(*operands: Tensor, **attributes: Any) -> Tensor:
        dtype = operands[0].dtype
        if dtype not in (torch.uint16, torch.uint32, torch.uint64):
            return kernel(*operands, **attributes)
        offset = LOWEST if ordered and dtype == torch.uint64 else 0
        wide = [x.to(torch.int64) ^ offset if x.dtype == dtype else x for x in operands]
        result = kernel(*wide, **attributes)
        return (result ^ offset).to(dtype) if result.dtype == torch.int64 else result

    return run


def right_shift(x: Tensor, y: Tensor) -> Tensor:
    if x.dtype != torch.uint64:
        return unsigned(torch.bitwise_right_shift)(x, y)
    half, count = (x.to(torch.int64) >> 1) & ~LOWEST, y.to(torch.int64)
    return torch.where(count == 0, x, (half >> (count - 1).clamp(min=0)).to(torch.uint64))


def remainder(x: Tensor, y: Tensor) -> Tensor:
    if x.dtype.is_floating_point:
        return torch.remainder(x, y)
    y = torch.where(y == 0, torch.ones_like(y), y)  # PyTorch raises on an integer divided by zero
    if x.dtype != torch.uint64:
        return unsigned(torch.remainder)(x, y)
    # at most one y too many, unless y is above 2**63: then the quotient is 0 or 1
    a, b = x.to(torch.int64), y.to(torch.int64)
    half = (a >> 1) & ~LOWEST
    rest = torch.where(b > 0, a - (half // b.clamp(min=1) << 1) * b, a)
    return torch.where((rest ^ LOWEST) >= (b ^ LOWEST), rest - b, rest).to(torch.uint64)


def magnitude(x: Tensor) -> Tensor:
    return x.abs() if x.dtype.is_signed else x


def sign(x: Tensor) -> Tensor:
    if not x.dtype.is_signed:
        return (x != 0).to(x.dtype)
    return torch.where(x.isnan(), x, x.sign())


def convert(x: Tensor, *, dtype: str) -> Tensor:
    wanted = DTYPES[dtype]
    if not x.dtype.is_floating_point or wanted.is_floating_point or wanted == torch.bool:
        return x.to(wanted)
    low, high = (torch.tensor(end, dtype=wanted) for end in (torch.iinfo(wanted).min, torch.iinfo(wanted).max))
    x, least, most = x.double(), low.double(), high.double()
    inside = torch.where((x > least) & (x < most), x, 0.0).to(wanted)
    return torch.where(x >= most, high, torch.where(x <= least, low, inside))


def broadcast(x: Tensor, *, shape: Ints, axes: Ints) -> Tensor:
    return x.reshape([size if i in axes else 1 for i, size in enumerate(shape)]).expand(shape).contiguous()


def strided(x: Tensor, *, start: Ints, stop: Ints, strides: Ints) -> Tensor:
    return x[tuple(map(slice, start, stop, strides))]


def pad(x: Tensor, *, low: Ints, high: Ints, interior: Ints, value: float) -> Tensor:
    inner = [max(0, n + (n - 1) * i) for n, i in zip(x.shape, interior, strict=True)]
    result = torch.full([a + n + b for a, n, b in zip(low, inner, high, strict=True)], value, dtype=x.dtype)
    result[tuple(slice(a, a + n, i + 1) for a, n, i in zip(low, inner, interior, strict=True))] = x
    return result


def iota(*, shape: Ints, dtype: str, axis: int) -> Tensor:
    line = torch.arange(shape[axis]).to(DTYPES[dtype])
    return broadcast(line, shape=shape, axes=(axis,))


def reduced(reduction: Callable[..., Tensor]) -> Kernel:
    """A reduction over `axes`; PyTorch takes no axes for all of them."""
    return lambda x, *, axes: reduction(x, axes) if axes else x


def argmax(x: Tensor, *, axis: int) -> Tensor:
    return torch.argmax(x.to(torch.uint8) if x.dtype == torch.bool else x, axis).to(torch.int32)


def contract(x: Tensor, y: Tensor, *, contracting: tuple[Ints, Ints], batch: tuple[Ints, Ints]) -> Tensor:
    left, right = list(range(x.ndim)), list(range(x.ndim, x.ndim + y.ndim))
    for i, j in zip((*contracting[0], *batch[0]), (*contracting[1], *batch[1]), strict=True):
        right[j] = left[i]
    free = [n for n in left + right if (n in left) != (n in right)]
    return torch.einsum(x, left, y, right, [left[i] for i in batch[0]] + free)


def inside(indices: Tensor, size: int) -> Tensor:
    return indices.to(torch.int64).clamp(0, size - 1)


def take(x: Tensor, indices: Tensor, *, axis: int) -> Tensor:
    return x[(*[slice(None)] * axis, inside(indices, x.shape[axis]))]


def scatter_add(updates: Tensor, indices: Tensor, *, axis: int, size: int) -> Tensor:
    before, after = updates.shape[:axis], updates.shape[axis + indices.ndim :]
    lines = updates.reshape(*before, indices.numel(), *after)
    return updates.new_zeros(*before, size, *after).index_add(axis, inside(indices, size).reshape(-1), lines)


KERNELS: dict[p.Op, Kernel] = {
    p.equal: torch.eq,
    p.less: unsigned(torch.lt, ordered=True),
    p.less_equal: unsigned(torch.le, ordered=True),
    p.bitwise_and: torch.bitwise_and,
    p.bitwise_or: torch.bitwise_or,
    p.bitwise_xor: torch.bitwise_xor,
    p.bitwise_not: unsigned(torch.bitwise_not),
    p.left_shift: unsigned(torch.bitwise_left_shift),
    p.right_shift: right_shift,
    p.select: torch.where,
    p.add: unsigned(torch.add),
    p.subtract: unsigned(torch.subtract),
    p.multiply: unsigned(torch.multiply),
    p.divide: torch.divide,
    p.remainder: remainder,
    p.power: torch.pow,
    p.maximum: unsigned(torch.maximum, ordered=True),
    p.minimum: unsigned(torch.minimum, ordered=True),
    p.negative: unsigned(torch.negative),
    p.exp: torch.exp,
    p.expm1: torch.expm1,
    p.log: torch.log,
    p.log1p: torch.log1p,
    p.sqrt: torch.sqrt,
    p.tanh: torch.tanh,
    p.sin: torch.sin,
    p.cos: torch.cos,
    p.abs: magnitude,
    p.sign: sign,
    p.floor: torch.floor,
    p.round: torch.round,
    p.convert: convert,
    p.reshape: lambda x, *, shape: x.reshape(shape),
    p.transpose: lambda x, *, permutation: x.permute(permutation),
    p.broadcast: broadcast,
    p.slice: strided,
    p.pad: pad,
    p.concatenate: lambda *xs, axis: torch.cat(xs, axis),
    p.reverse: unsigned(lambda x, *, axes: x.flip(axes)),
    p.iota: iota,
    p.reduce_sum: unsigned(reduced(lambda x, axes: x.sum(axes, dtype=x.dtype))),
    p.reduce_max: unsigned(reduced(torch.amax), ordered=True),
    p.reduce_min: unsigned(reduced(torch.amin), ordered=True),
    p.argmax: unsigned(argmax, ordered=True),
    p.contract: unsigned(contract),
    p.take: take,
    p.scatter_add: unsigned(scatter_add),
}


class TorchBackend(Backend):
    """PyTorch on the CPU, one equation at a time."""

    name = "torch"
    kernels = KERNELS
    dtypes: ClassVar[dict[torch.dtype, str]] = {dtype: name for name, dtype in DTYPES.items()}

    def asarray(self, array: Any, dtype: str | None = None) -> Tensor:
        """A tensor with the numbers of `array`; it shares no memory with a NumPy array."""
        wanted = None if dtype is None else DTYPES[dtype]
        return (array if isinstance(array, Tensor) else torch.from_numpy(np.array(array, order="C"))).to(wanted)

    def numpy(self, array: Tensor) -> np.ndarray:
        """The numbers of a tensor; bfloat16, which NumPy lacks, comes as float32."""
        return (array.float() if array.dtype == torch.bfloat16 else array).numpy(force=True)

    def fresh(self, array: Any, dtype: str) -> Tensor:
        """A new tensor with the numbers of `array`."""
        return self.asarray(array, dtype).clone()

    def shares_memory(self, array: Any, other: Any) -> bool:
        """Whether both are tensors of one storage; those of torch.func's transformations have none."""
        try:
            return array.numel() > 0 and array.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()
        except NotImplementedError:
            return False

    def owns(self, array: Any) -> bool:
        """Whether `array` is a tensor."""
        return isinstance(array, Tensor)


BACKEND = TorchBackend()

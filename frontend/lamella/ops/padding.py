"""Padding computed from the array: repeated entries, statistics of an axis, ramps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lamella import ops
from lamella.errors import ShapeError
from lamella.ir import limits
from lamella.ir.spec import is_float, spec_of
from lamella.tracebacks import filter_functions

if TYPE_CHECKING:
    from lamella.ir.types import Tensor

_REPEATED: dict[str, Any] = {
    "edge": "edge",
    "reflect": "reflect",
    "symmetric": "symmetric",
    "wrap": "wrap",
    "circular": "wrap",
}
_STATISTICS = ("maximum", "mean", "median", "minimum")


def padded(x: Any, pad_width: Any, mode: str) -> Any:
    """`x` padded, one axis at a time; see `pad`."""
    if mode not in (*_REPEATED, *_STATISTICS, "linear_ramp", "empty"):
        known = ", ".join(sorted({"constant", "linear_ramp", "empty", *_REPEATED, *_STATISTICS}))
        raise ValueError(f"mode must be one of {known}, got {mode!r}.")
    x = ops.convert_to_tensor(x)
    widths = np.broadcast_to(np.asarray(pad_width, int), (spec_of(x).ndim, 2))
    if mode == "empty":
        return ops.pad(x, widths)
    for axis, (low, high) in enumerate(widths.tolist()):
        if not low and not high:
            continue
        size = spec_of(x).shape[axis]
        if not size:
            raise ShapeError(f"mode {mode!r} cannot pad axis {axis} of {spec_of(x)}, which has no entries.")
        if mode in _REPEATED:
            limits.reserve((size + low + high,))
            places = np.pad(np.arange(size, dtype=np.int32), (low, high), _REPEATED[mode])
            x = ops.take(x, places, axis)
        elif mode == "linear_ramp":
            x = _ramp(x, axis, low, high)
        else:
            x = ops.concatenate(_with_statistic(x, axis, low, high, mode), axis)
    return x


def _with_statistic(x: Tensor, axis: int, low: int, high: int, mode: str) -> list[Any]:
    reduce = {"maximum": ops.max, "mean": ops.mean, "median": ops.median, "minimum": ops.min}[mode]
    y = reduce(x, axis, keepdims=True)
    y = ops.round(y) if not is_float(spec_of(x).dtype) and is_float(spec_of(y).dtype) else y
    y = ops.cast(y, spec_of(x).dtype)
    return [*[y] * low, x, *[y] * high]


def _ramp(x: Tensor, axis: int, low: int, high: int) -> Tensor:
    """`x` with linear ramps from 0 to its first and from its last entry along `axis`."""
    shape = [1] * spec_of(x).ndim
    before = (slice(None),) * axis

    def slope(edge: Tensor, parts: np.ndarray) -> Tensor:
        shape[axis] = len(parts)
        y = ops.multiply(ops.cast(edge, "float32") if not is_float(spec_of(x).dtype) else edge, np.float32(1.0))
        y = ops.multiply(y, ops.cast(parts.reshape(shape), spec_of(y).dtype))
        return ops.cast(ops.trunc(y), spec_of(x).dtype) if not is_float(spec_of(x).dtype) else y

    first, last = x[(*before, slice(0, 1))], x[(*before, slice(-1, None))]
    return ops.concatenate(
        [slope(first, np.arange(low) / max(low, 1)), x, slope(last, np.arange(high)[::-1] / max(high, 1))], axis
    )


filter_functions(__name__)

"""Layers over several inputs, for the `call` of a layer of your own: sums, products, and the like."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lamella import ops
from lamella.core import context
from lamella.errors import ArgumentError, ShapeError
from lamella.ir.dim import differ, public_shape
from lamella.ir.spec import size_of, spec_of
from lamella.layers.base import Layer


class SeveralInputs(Layer):
    """A layer called with a list of inputs, whose masks travel with them.

    Attributes:
        exactly: the number of inputs, or None for any.
    """

    supports_masking = True
    exactly: int | None = None

    def __call__(self, inputs: Any, *args: Any, mask: Any = None, **kwargs: Any) -> Any:
        """Apply the layer to a list of symbolic values or arrays."""
        if not isinstance(inputs, list | tuple) or not inputs or not all(hasattr(x, "shape") for x in inputs):
            raise ArgumentError(f"Layer {self.name!r} ({type(self).__name__}) is called with a list of inputs.")
        if self.exactly is not None and len(inputs) != self.exactly:
            raise ArgumentError(
                f"Layer {self.name!r} ({type(self).__name__}) takes {self.exactly} inputs, got {len(inputs)}."
            )
        running = context.current()
        if mask is None and running is not None:
            mask = [running.mask_of(x) for x in inputs]
        if mask is not None and all(m is None for m in mask):
            mask = None
        if mask is not None and len(mask) != len(inputs):
            raise ArgumentError(f"Layer {self.name!r}: {len(mask)} masks for {len(inputs)} inputs.")
        return super().__call__(inputs, *args, mask=mask, **kwargs)


class Merge(SeveralInputs):
    """An elementwise function of inputs that broadcast: the base of the layers below.

    Inputs of fewer dimensions get theirs after the batch. The output's mask is true where one of the inputs' is; it has
    none where one of them has none.
    """

    def call(self, inputs: Sequence[Any], mask: Any = None) -> Any:
        """The merged inputs."""
        if any(differ(x.shape[0], inputs[0].shape[0]) for x in inputs):
            raise ShapeError(f"inputs of different batch sizes: {_shapes(inputs)}.")
        rank = max(len(x.shape) for x in inputs)
        spread = [ops.reshape(x, (x.shape[0], *[1] * (rank - len(x.shape)), *x.shape[1:])) for x in inputs]
        for axis, dims in enumerate(zip(*[x.shape for x in spread], strict=True)):
            wider = [d for d in dims if d != 1]
            if any(differ(d, wider[0]) for d in wider):
                raise ShapeError(f"inputs of shapes {_shapes(inputs)} do not broadcast: they differ along axis {axis}.")
        wide = None if mask is None else [None if m is None else ops.expand_dims(m, -1) for m in mask]
        return self.merge(spread, wide or [None] * len(spread))

    def merge(self, inputs: list[Any], masks: list[Any]) -> Any:
        """The function of inputs of one rank; `masks` have a last axis of size one."""
        raise NotImplementedError

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """True where one of the masks is; none where an input has none."""
        if mask is None or any(m is None for m in mask):
            return None
        result = mask[0]
        for m in mask[1:]:
            result = ops.logical_or(result, m)
        return result


class Add(Merge):
    """y = x[0] + x[1] + ..."""

    def merge(self, inputs: list[Any], masks: list[Any]) -> Any:
        """The sum."""
        return _folded(ops.add, inputs)


class Subtract(Merge):
    """y = x[0] - x[1]"""

    exactly = 2

    def merge(self, inputs: list[Any], masks: list[Any]) -> Any:
        """The difference."""
        return ops.subtract(*inputs)


class Average(Merge):
    """y = (x[0] + x[1] + ...) / n"""

    def merge(self, inputs: list[Any], masks: list[Any]) -> Any:
        """The mean."""
        return ops.divide(_folded(ops.add, inputs), float(len(inputs)))


class Multiply(Merge):
    """y = x[0] * x[1] * ...; masked entries count as 1, and as 0 where every input is masked"""

    def merge(self, inputs: list[Any], masks: list[Any]) -> Any:
        """The product."""
        factors = [x if m is None else ops.where(m, x, 1.0) for x, m in zip(inputs, masks, strict=True)]
        product = _folded(ops.multiply, factors)
        if any(m is None for m in masks):
            return product
        return ops.where(_folded(ops.logical_or, masks), product, 0.0)


class _Extreme(Merge):
    """The greater or the smaller entry; where one of two is masked, the other."""

    @staticmethod
    def pick(x: Any, y: Any) -> Any:
        """The one of two that is kept."""
        raise NotImplementedError

    def merge(self, inputs: list[Any], masks: list[Any]) -> Any:
        """The extreme of all inputs."""
        output, known = inputs[0], masks[0]
        for x, mask in zip(inputs[1:], masks[1:], strict=True):
            other = x if mask is None else ops.where(mask, x, output)
            kept = output if known is None else ops.where(known, output, other)
            known = None if known is None or mask is None else ops.logical_or(known, mask)
            output = self.pick(kept, other)
        return output


class Maximum(_Extreme):
    """y = max(x[0], x[1], ...), entry by entry; where one of two entries is masked, the other"""

    pick = staticmethod(ops.maximum)


class Minimum(_Extreme):
    """y = min(x[0], x[1], ...), entry by entry; where one of two entries is masked, the other"""

    pick = staticmethod(ops.minimum)


class Concatenate(SeveralInputs):
    """The inputs one after another along `axis`.

    Args:
        axis: the axis; the inputs have the same size in the others.

    The output's mask is the concatenation of the inputs', true where an input has none.
    """

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, inputs: Sequence[Any]) -> Any:
        """The inputs side by side."""
        rank = len(inputs[0].shape)
        if any(len(x.shape) != rank for x in inputs) or not -rank <= self.axis < rank:
            raise ShapeError(f"inputs of shapes {_shapes(inputs)} cannot be joined along axis {self.axis}.")
        axis = self.axis % rank
        for i, dims in enumerate(zip(*[x.shape for x in inputs], strict=True)):
            if i != axis and any(differ(d, dims[0]) for d in dims):
                raise ShapeError(
                    f"inputs of shapes {_shapes(inputs)} differ in more than axis {axis}: along axis {i} as well."
                )
        return ops.concatenate(inputs, axis)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The masks side by side."""
        if mask is None:
            return None
        wide = []
        for x, m in zip(inputs, mask, strict=True):
            if m is None:
                wide.append(ops.ones(x.shape, "bool"))
            else:
                m = ops.expand_dims(m, -1) if len(m.shape) < len(x.shape) else m
                wide.append(ops.broadcast_to(m, x.shape))
        return ops.any(ops.concatenate(wide, self.axis), -1)


class Dot(SeveralInputs):
    """y[b, i, j] = sum over k of x[0][b, i, k] * x[1][b, k, j], over an axis of each of two inputs

    Args:
        axes: the axis of both inputs, or one for each, that is summed over; not 0, the batch.
        normalize: scale both to length 1 along that axis first, so that y is the cosine of the angle between them.

    Output shape: the first input's without its axis, then the second's without batch and axis; `(batch, 1)` where
    nothing is left.
    """

    exactly = 2

    def __init__(self, axes: int | Sequence[int], normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if isinstance(axes, list | tuple):
            if len(axes) != 2 or not all(isinstance(a, int) for a in axes):
                raise ValueError(f"Dot: axes must be an integer or two of them, got {axes!r}.")
        elif not isinstance(axes, int):
            raise TypeError(f"Dot: axes must be an integer or two of them, got {axes!r}.")
        self.axes = axes
        self.normalize = bool(normalize)

    def call(self, inputs: Sequence[Any]) -> Any:
        """The sums of products."""
        x, y = inputs
        given = (self.axes, self.axes) if isinstance(self.axes, int) else tuple(self.axes)
        ranks = len(x.shape), len(y.shape)
        if any(not -rank <= axis < rank or axis % rank == 0 for axis, rank in zip(given, ranks, strict=True)):
            raise ShapeError(f"axes {self.axes} are no axes behind the batch of inputs of shapes {_shapes(inputs)}.")
        a, b = given[0] % ranks[0], given[1] % ranks[1]
        if differ(x.shape[a], y.shape[b]):
            raise ShapeError(
                f"axis {a} of {_shapes(inputs)[0]} and axis {b} of {_shapes(inputs)[1]} have different sizes."
            )
        if self.normalize:
            x, y = _unit(x, a), _unit(y, b)
        rows = (x.shape[0], *[d for i, d in enumerate(x.shape) if i not in (0, a)])
        columns = tuple(d for i, d in enumerate(y.shape) if i not in (0, b))
        left = ops.moveaxis(x, a, -1)
        right = ops.moveaxis(y, b, 1)
        left = ops.reshape(left, (x.shape[0], size_of(rows[1:]), x.shape[a]))
        right = ops.reshape(right, (y.shape[0], y.shape[b], size_of(columns)))
        return ops.reshape(ops.matmul(left, right), (*rows, *columns) if len(rows) + len(columns) > 1 else (rows[0], 1))

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """None."""
        return None


def _folded(function: Any, items: Sequence[Any]) -> Any:
    result = items[0]
    for item in items[1:]:
        result = function(result, item)
    return result


def _shapes(inputs: Sequence[Any]) -> list[tuple[int | None, ...]]:
    return [public_shape(spec_of(x).shape) for x in inputs]


def _unit(x: Any, axis: int) -> Any:
    """x / sqrt(sum(x**2)) along an axis, at most 1e7 times x"""
    squares = ops.sum(ops.square(x), axis, keepdims=True)
    return ops.multiply(x, ops.rsqrt(ops.maximum(squares, 1e-14)))

"""Layers of several inputs: sums, products, maxima, concatenation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lamella import ops
from lamella.core import context
from lamella.errors import ArgumentError, ShapeError
from lamella.ir.dim import differ, public_shape
from lamella.ir.spec import size_of, spec_of
from lamella.layers.base import Layer

if TYPE_CHECKING:
    from lamella.ir.types import Tensor


class SeveralInputs(Layer):
    """A layer called with a list of inputs, and a list of their masks.

    Attributes:
        exactly: the number of inputs, or None for any.
    """

    supports_masking = True
    exactly: int | None = None

    def __call__(self, inputs: Any, *args: Any, mask: Any = None, **kwargs: Any) -> Any:
        """Apply the layer to a list of symbolic values or arrays."""
        if not isinstance(inputs, list | tuple) or not inputs or not all(hasattr(x, "shape") for x in inputs):
            raise ArgumentError(f"Layer {self.name!r} ({type(self).__name__}) must be called with a list of inputs.")
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
            raise ArgumentError(f"Layer {self.name!r}: expected {len(inputs)} masks, one per input, got {len(mask)}.")
        return super().__call__(inputs, *args, mask=mask, **kwargs)


class Merge(SeveralInputs):
    """An elementwise function of inputs that broadcast: the base of the layers below.

    Inputs with fewer axes get axes of size 1 after the batch. The mask of the output is True where the mask of one of
    the inputs is; it has none if one of the inputs has none.
    """

    def call(self, inputs: Sequence[Any], mask: Sequence[Tensor] | None = None) -> Tensor:
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
        """Merge inputs of equal rank; `masks` have a last axis of size 1."""
        raise NotImplementedError

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """True where one of the masks is; None if an input has no mask."""
        if mask is None or any(m is None for m in mask):
            return None
        result = mask[0]
        for m in mask[1:]:
            result = ops.logical_or(result, m)
        return result


class Add(Merge):
    """y = x[0] + x[1] + ..., elementwise.

    Called with a list of inputs whose shapes are equal or broadcast; inputs with fewer axes get axes of size 1 after
    the batch. The output has the broadcast shape. Its mask is True where the mask of one of the inputs is.

    Args:
        name, trainable, dtype, activity_regularizer: as in `Layer`.

    Raises:
        ArgumentError: in a call, if it is not given a list of inputs.
        ShapeError: in a call, if the shapes do not broadcast.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import Add
        >>> Add()([np.array([[1.0, 2.0]]), np.array([[10.0, 20.0]])])
        array([[11., 22.]], dtype=float32)
    """

    def merge(self, inputs: list[Any], masks: list[Any]) -> Tensor:
        """The sum."""
        return _folded(ops.add, inputs)


class Subtract(Merge):
    """y = x[0] - x[1], elementwise, of two inputs.

    Called with a list of inputs whose shapes are equal or broadcast; inputs with fewer axes get axes of size 1 after
    the batch. The output has the broadcast shape. Its mask is True where the mask of one of the inputs is.

    Args:
        name, trainable, dtype, activity_regularizer: as in `Layer`.

    Raises:
        ArgumentError: in a call, if it is not given a list of two inputs.
        ShapeError: in a call, if the shapes do not broadcast.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import Subtract
        >>> Subtract()([np.array([[1.0, 2.0]]), np.array([[10.0, 20.0]])])
        array([[ -9., -18.]], dtype=float32)
    """

    exactly = 2

    def merge(self, inputs: list[Any], masks: list[Any]) -> Tensor:
        """The difference."""
        return ops.subtract(*inputs)


class Average(Merge):
    """y = (x[0] + x[1] + ... + x[n - 1]) / n, elementwise.

    Called with a list of inputs whose shapes are equal or broadcast; inputs with fewer axes get axes of size 1 after
    the batch. The output has the broadcast shape. Its mask is True where the mask of one of the inputs is.

    Args:
        name, trainable, dtype, activity_regularizer: as in `Layer`.

    Raises:
        ArgumentError: in a call, if it is not given a list of inputs.
        ShapeError: in a call, if the shapes do not broadcast.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import Average
        >>> Average()([np.array([[1.0, 2.0]]), np.array([[3.0, 6.0]])])
        array([[2., 4.]], dtype=float32)
    """

    def merge(self, inputs: list[Any], masks: list[Any]) -> Tensor:
        """The mean."""
        return ops.divide(_folded(ops.add, inputs), float(len(inputs)))


class Multiply(Merge):
    """y = x[0] * x[1] * ..., elementwise.

    Called with a list of inputs whose shapes are equal or broadcast; inputs with fewer axes get axes of size 1 after
    the batch. The output has the broadcast shape. Its mask is True where the mask of one of the inputs is. Masked
    entries count as 1, and the output is 0 where all inputs are masked.

    Args:
        name, trainable, dtype, activity_regularizer: as in `Layer`.

    Raises:
        ArgumentError: in a call, if it is not given a list of inputs.
        ShapeError: in a call, if the shapes do not broadcast.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import Multiply
        >>> Multiply()([np.array([[1.0, 2.0]]), np.array([[10.0, 20.0]])])
        array([[10., 40.]], dtype=float32)
    """

    def merge(self, inputs: list[Any], masks: list[Any]) -> Tensor:
        """The product."""
        factors = [x if m is None else ops.where(m, x, 1.0) for x, m in zip(inputs, masks, strict=True)]
        product = _folded(ops.multiply, factors)
        if any(m is None for m in masks):
            return product
        return ops.where(_folded(ops.logical_or, masks), product, 0.0)


class _Extreme(Merge):
    """The maximum or the minimum; masked entries are ignored where another input is not masked."""

    @staticmethod
    def pick(x: Any, y: Any) -> Any:
        """The entries of two inputs that are kept."""
        raise NotImplementedError

    def merge(self, inputs: list[Any], masks: list[Any]) -> Tensor:
        """The maximum or minimum of all inputs."""
        output, known = inputs[0], masks[0]
        for x, mask in zip(inputs[1:], masks[1:], strict=True):
            other = x if mask is None else ops.where(mask, x, output)
            kept = output if known is None else ops.where(known, output, other)
            known = None if known is None or mask is None else ops.logical_or(known, mask)
            output = self.pick(kept, other)
        return output


class Maximum(_Extreme):
    """y = max(x[0], x[1], ...), elementwise.

    Called with a list of inputs whose shapes are equal or broadcast; inputs with fewer axes get axes of size 1 after
    the batch. The output has the broadcast shape. Its mask is True where the mask of one of the inputs is; masked
    entries are ignored where another input is not masked.

    Args:
        name, trainable, dtype, activity_regularizer: as in `Layer`.

    Raises:
        ArgumentError: in a call, if it is not given a list of inputs.
        ShapeError: in a call, if the shapes do not broadcast.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import Maximum
        >>> Maximum()([np.array([[1.0, 20.0]]), np.array([[10.0, 2.0]])])
        array([[10., 20.]], dtype=float32)
    """

    pick = staticmethod(ops.maximum)


class Minimum(_Extreme):
    """y = min(x[0], x[1], ...), elementwise.

    Called with a list of inputs whose shapes are equal or broadcast; inputs with fewer axes get axes of size 1 after
    the batch. The output has the broadcast shape. Its mask is True where the mask of one of the inputs is; masked
    entries are ignored where another input is not masked.

    Args:
        name, trainable, dtype, activity_regularizer: as in `Layer`.

    Raises:
        ArgumentError: in a call, if it is not given a list of inputs.
        ShapeError: in a call, if the shapes do not broadcast.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import Minimum
        >>> Minimum()([np.array([[1.0, 20.0]]), np.array([[10.0, 2.0]])])
        array([[1., 2.]], dtype=float32)
    """

    pick = staticmethod(ops.minimum)


class Concatenate(SeveralInputs):
    """Concatenate the inputs along `axis`.

    Called with a list of inputs that have the same shape except along `axis`. The mask of the output is the
    concatenation of the masks; an input without a mask counts as not masked.

    Args:
        axis: the axis to join along.
        name, trainable, dtype, activity_regularizer: as in `Layer`.

    Raises:
        ArgumentError: in a call, if it is not given a list of inputs.
        ShapeError: in a call, if the shapes differ along another axis, or have no such axis.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import Concatenate
        >>> Concatenate()([np.ones((1, 2)), np.zeros((1, 1))])
        array([[1., 1., 0.]], dtype=float32)
    """

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, inputs: Sequence[Any]) -> Tensor:
        """The concatenated inputs."""
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
        """The concatenated masks."""
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
    """y[b, i, j] = sum over k of x[0][b, i, k] * x[1][b, k, j]: a product of two inputs, summed over an axis of each.

    Called with a list of two inputs. The output has the axes of the first input without the summed one, then those of
    the second without batch and the summed one; `(batch, 1)` for two inputs `(batch, features)`. It has no mask.

    Args:
        axes: the axis of both inputs to sum over, or a pair of one axis per input; not 0, the batch axis.
        normalize: whether to scale both inputs to norm 1 along that axis first, so that y is the cosine similarity.
        name, trainable, dtype, activity_regularizer: as in `Layer`.

    Raises:
        ValueError: `axes` is a list that does not hold two integers.
        TypeError: `axes` is neither an integer nor a list.
        ShapeError: in a call, if the sizes along the axes differ.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import Dot
        >>> Dot(axes=1)([np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]])])
        array([[11.]], dtype=float32)
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

    def call(self, inputs: Sequence[Any]) -> Tensor:
        """The sums of products."""
        x, y = inputs
        given = (self.axes, self.axes) if isinstance(self.axes, int) else tuple(self.axes)
        ranks = len(x.shape), len(y.shape)
        if any(not -rank <= axis < rank or axis % rank == 0 for axis, rank in zip(given, ranks, strict=True)):
            raise ShapeError(
                f"axes must be axes after the batch of inputs of shapes {_shapes(inputs)}, got {self.axes}."
            )
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


def _folded(function: Any, items: Sequence[Any]) -> Tensor:
    result = items[0]
    for item in items[1:]:
        result = function(result, item)
    return result


def _shapes(inputs: Sequence[Any]) -> list[tuple[int | None, ...]]:
    return [public_shape(spec_of(x).shape) for x in inputs]


def _unit(x: Tensor, axis: int) -> Tensor:
    """x / sqrt(sum(x**2)) along an axis, at most 1e7 times x"""
    squares = ops.sum(ops.square(x), axis, keepdims=True)
    return ops.multiply(x, ops.rsqrt(ops.maximum(squares, 1e-14)))

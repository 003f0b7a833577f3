"""Layers that move, repeat, cut or pad entries and compute nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lamella import ops
from lamella.errors import ShapeError
from lamella.ir.dim import exceeds, public_shape
from lamella.ir.spec import Spec
from lamella.layers.base import Layer
from lamella.layers.checks import choice, integers, layout, pairs, positive_integer
from lamella.layers.pooling import check_rank
from lamella.ops.resizing import INTERPOLATIONS


class Permute(Layer):
    """The axes of each row in another order: axis i of a row of the output is axis `dims[i - 1]` of the input's.

    Args:
        dims: the axes, counted from 1 (the batch is axis 0 and stays): `(2, 1)` exchanges the two axes of a matrix.
    """

    def __init__(self, dims: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dims = integers("dims", tuple(dims), len(tuple(dims)), self)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ValueError(f"Permute: dims must be the numbers from 1 to {len(self.dims)} in some order, got {dims}.")

    def check_input(self, spec: Spec) -> None:
        """As many axes as `dims` names."""
        if spec.ndim != len(self.dims) + 1:
            raise ShapeError(f"expected {len(self.dims) + 1} dimensions, got shape {public_shape(spec.shape)}.")

    def call(self, inputs: Any) -> Any:
        """The inputs with their axes in the order (0, *dims)."""
        return ops.transpose(inputs, (0, *self.dims))


class RepeatVector(Layer):
    """Each row `n` times in a row: `(batch, features)` to `(batch, n, features)`."""

    def __init__(self, n: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.n = positive_integer("n", n, self)

    def check_input(self, spec: Spec) -> None:
        """Two dimensions."""
        if spec.ndim != 2:
            raise ShapeError(f"expected inputs of shape (batch, features), got {public_shape(spec.shape)}.")

    def call(self, inputs: Any) -> Any:
        """The repeated rows."""
        return ops.repeat(ops.expand_dims(inputs, 1), self.n, axis=1)


class Spatial(Layer):
    """The base of what follows: inputs with `spatial` dimensions between batch and channels, or after both."""

    spatial = 2
    data_format = "channels_last"

    @property
    def first_axis(self) -> int:
        """The first spatial axis."""
        return 1 if self.data_format == "channels_last" else 2

    def check_input(self, spec: Spec) -> None:
        """The right rank."""
        check_rank(spec, self.spatial)


class Cropping(Spatial):
    """Inputs without `cropping` cells at the (low, high) ends of each spatial dimension."""

    cropping: tuple[tuple[int, int], ...]

    def call(self, inputs: Any) -> Any:
        """The cells that are left."""
        key = [slice(None)] * (self.spatial + 2)
        for axis, (low, high) in enumerate(self.cropping, start=self.first_axis):
            size = inputs.shape[axis]
            if exceeds(low + high + 1, size):
                shape = public_shape(inputs.shape)
                raise ShapeError(f"cropping {self.cropping} leaves nothing of axis {axis} of inputs of shape {shape}.")
            key[axis] = slice(low, size - high)
        return ops.getitem(inputs, tuple(key))


class Cropping1D(Cropping):
    """`(batch, steps, channels)` without the first and the last steps.

    Args:
        cropping: how many steps to drop: (first, last), or one number for both.
    """

    spatial = 1

    def __init__(self, cropping: int | Sequence[int] = (1, 1), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cropping = (ends("cropping", cropping, self),)


class Cropping2D(Cropping):
    """Images without the outermost rows and columns.

    Args:
        cropping: a number, one for each dimension, or (low, high) for each: ((top, bottom), (left, right)).
        data_format: "channels_last" (default) or "channels_first".
    """

    spatial = 2

    def __init__(
        self, cropping: int | Sequence[Any] = ((0, 0), (0, 0)), data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.data_format = layout(data_format, self)
        self.cropping = pairs("cropping", cropping, 2, self)


class Cropping3D(Cropping):
    """Volumes without the outermost cells.

    Args:
        cropping: a number, one for each dimension, or (low, high) for each.
        data_format: "channels_last" (default) or "channels_first".
    """

    spatial = 3

    def __init__(
        self, cropping: int | Sequence[Any] = ((1, 1), (1, 1), (1, 1)), data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.data_format = layout(data_format, self)
        self.cropping = pairs("cropping", cropping, 3, self)


def ends(name: str, value: Any, layer: Layer) -> tuple[int, int]:
    """A (low, high) pair, or one number for both."""
    low, high = integers(name, value, 2, layer, minimum=0)
    return low, high


class ZeroPadding(Spatial):
    """Inputs with zeros at the (low, high) ends of each spatial dimension."""

    padding: tuple[tuple[int, int], ...]

    def call(self, inputs: Any) -> Any:
        """The padded inputs."""
        widths = [(0, 0)] * (self.spatial + 2)
        widths[self.first_axis : self.first_axis + self.spatial] = self.padding
        return ops.pad(inputs, widths)


class ZeroPadding1D(ZeroPadding):
    """Sequences with zeros before and after.

    Args:
        padding: how many: (before, after), or one number for both.
        data_format: "channels_last" (default) or "channels_first".
    """

    spatial = 1

    def __init__(self, padding: int | Sequence[int] = 1, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = layout(data_format, self)
        self.padding = (ends("padding", padding, self),)


class ZeroPadding2D(ZeroPadding):
    """Images with zeros around them.

    Args:
        padding: a number, one for each dimension, or (low, high) for each: ((top, bottom), (left, right)).
        data_format: "channels_last" (default) or "channels_first".
    """

    spatial = 2

    def __init__(self, padding: int | Sequence[Any] = (1, 1), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = layout(data_format, self)
        self.padding = pairs("padding", padding, 2, self)


class ZeroPadding3D(ZeroPadding):
    """Volumes with zeros around them.

    Args:
        padding: a number, one for each dimension, or (low, high) for each.
        data_format: "channels_last" (default) or "channels_first".
    """

    spatial = 3

    def __init__(
        self, padding: int | Sequence[Any] = ((1, 1), (1, 1), (1, 1)), data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.data_format = layout(data_format, self)
        self.padding = pairs("padding", padding, 3, self)


class UpSampling1D(Layer):
    """Each step `size` times in a row: `(batch, steps, channels)` to `(batch, steps * size, channels)`."""

    def __init__(self, size: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = positive_integer("size", size, self)

    def check_input(self, spec: Spec) -> None:
        """Three dimensions."""
        check_rank(spec, 1)

    def call(self, inputs: Any) -> Any:
        """The repeated steps."""
        return ops.repeat(inputs, self.size, axis=1)


class UpSampling2D(Spatial):
    """Images at `size` times their height and width.

    Args:
        size: the factor, a number or one for each dimension.
        data_format: "channels_last" (default) or "channels_first".
        interpolation: "nearest" (each cell repeated), "bilinear", "bicubic", "lanczos3" or "lanczos5".
    """

    spatial = 2

    def __init__(
        self,
        size: int | Sequence[int] = (2, 2),
        data_format: str | None = None,
        interpolation: str = "nearest",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.data_format = layout(data_format, self)
        self.size = integers("size", size, 2, self)
        self.interpolation = choice("interpolation", interpolation, INTERPOLATIONS, self)

    def call(self, inputs: Any) -> Any:
        """The enlarged images."""
        axis = self.first_axis
        if self.interpolation == "nearest":
            return repeated(inputs, self.size, axis)
        height, width = (d * n for d, n in zip(inputs.shape[axis : axis + 2], self.size, strict=True))
        return ops.resize(inputs, (height, width), self.interpolation, data_format=self.data_format)


class UpSampling3D(Spatial):
    """Volumes with each cell repeated `size` times along each spatial dimension.

    Args:
        size: the factor, a number or one for each dimension.
        data_format: "channels_last" (default) or "channels_first".
    """

    spatial = 3

    def __init__(self, size: int | Sequence[int] = (2, 2, 2), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = layout(data_format, self)
        self.size = integers("size", size, 3, self)

    def call(self, inputs: Any) -> Any:
        """The enlarged volumes."""
        return repeated(inputs, self.size, self.first_axis)


def repeated(x: Any, factors: Sequence[int], first_axis: int) -> Any:
    """`x` with every entry repeated along consecutive axes."""
    for axis, factor in enumerate(factors, start=first_axis):
        x = x if factor == 1 else ops.repeat(x, factor, axis=axis)
    return x

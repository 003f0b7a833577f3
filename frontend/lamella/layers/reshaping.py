"""Layers that permute, repeat, crop and pad entries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lamella import ops
from lamella.errors import ShapeError
from lamella.ir.dim import exceeds, public_shape
from lamella.ir.spec import Spec
from lamella.layers.base import Layer
from lamella.layers.checks import choice, integers, layout, pairs, positive_integer
from lamella.layers.pooling import check_rank
from lamella.ops.resizing import INTERPOLATIONS

if TYPE_CHECKING:
    from lamella.ir.types import Tensor


class Permute(Layer):
    """Permute the axes of each example: axis i of the output is axis `dims[i - 1]` of the input.

    Input shape `(batch, ...)` with one axis per entry of `dims`.

    Args:
        dims: the axes in their new order, counted from 1; the batch is axis 0 and stays. `(2, 1)` transposes matrices.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: `dims` is not a permutation of 1 to n.
        ShapeError: in a call, if the input does not have as many axes.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import Permute
        >>> Permute((2, 1))(np.array([[[1.0, 2.0, 3.0]]]))
        array([[[1.],
                [2.],
                [3.]]], dtype=float32)
    """

    def __init__(self, dims: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dims = integers("dims", tuple(dims), len(tuple(dims)), self)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ValueError(f"Permute: dims must be the numbers from 1 to {len(self.dims)} in some order, got {dims}.")

    def check_input(self, spec: Spec) -> None:
        """Check that there are as many axes as `dims` has entries."""
        if spec.ndim != len(self.dims) + 1:
            raise ShapeError(f"expected {len(self.dims) + 1} dimensions, got shape {public_shape(spec.shape)}.")

    def call(self, inputs: Tensor) -> Tensor:
        """The inputs with their axes in the order (0, *dims)."""
        return ops.transpose(inputs, (0, *self.dims))


class RepeatVector(Layer):
    """Repeat each vector `n` times along a new axis.

    Input shape `(batch, features)`, output shape `(batch, n, features)`.

    Args:
        n: number of repetitions.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: `n` is not positive.
        ShapeError: in a call, if the input does not have two axes.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import RepeatVector
        >>> RepeatVector(2)(np.array([[1.0, 2.0]]))
        array([[[1., 2.],
                [1., 2.]]], dtype=float32)
    """

    def __init__(self, n: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.n = positive_integer("n", n, self)

    def check_input(self, spec: Spec) -> None:
        """Check for two dimensions."""
        if spec.ndim != 2:
            raise ShapeError(f"expected inputs of shape (batch, features), got {public_shape(spec.shape)}.")

    def call(self, inputs: Tensor) -> Tensor:
        """The repeated vectors."""
        return ops.repeat(ops.expand_dims(inputs, 1), self.n, axis=1)


class Spatial(Layer):
    """The base of the layers below: inputs with `spatial` dimensions between batch and channels, or after both."""

    spatial = 2
    data_format = "channels_last"

    @property
    def first_axis(self) -> int:
        """The first spatial axis."""
        return 1 if self.data_format == "channels_last" else 2

    def check_input(self, spec: Spec) -> None:
        """Check the rank."""
        check_rank(spec, self.spatial)


class Cropping(Spatial):
    """Remove `cropping` entries at the (low, high) ends of each spatial dimension."""

    cropping: tuple[tuple[int, int], ...]

    def call(self, inputs: Tensor) -> Tensor:
        """The entries that remain."""
        key = [slice(None)] * (self.spatial + 2)
        for axis, (low, high) in enumerate(self.cropping, start=self.first_axis):
            size = inputs.shape[axis]
            if exceeds(low + high + 1, size):
                shape = public_shape(inputs.shape)
                raise ShapeError(f"cropping {self.cropping} leaves nothing of axis {axis} of inputs of shape {shape}.")
            key[axis] = slice(low, size - high)
        return ops.getitem(inputs, tuple(key))


class Cropping1D(Cropping):
    """Remove entries at the ends of sequences.

    Input shape `(batch, steps, channels)`, output shape `(batch, new_steps, channels)`.

    Args:
        cropping: number of steps to remove: a pair (first, last), or one integer for both.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: `cropping` does not have this form, or is negative.
        ShapeError: in a call, if the rank does not match or nothing would be left.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import Cropping1D
        >>> Cropping1D((1, 0))(np.array([[[1.0], [2.0], [3.0]]]))[0, :, 0]
        array([2., 3.], dtype=float32)
    """

    spatial = 1

    def __init__(self, cropping: int | Sequence[int] = (1, 1), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cropping = (ends("cropping", cropping, self),)


class Cropping2D(Cropping):
    """Remove entries at the ends of images.

    Input shape `(batch, height, width, channels)`, output shape `(batch, new_height, new_width, channels)`.

    Args:
        cropping: number of entries to remove: an integer for all sides, one integer per dimension, or a pair (low,
            high) per dimension: ((top, bottom), (left, right)).
        data_format: "channels_last" for `(batch, height, width, channels)` or "channels_first" for
            `(batch, channels, height, width)`; None for `config.image_data_format()`.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: `cropping` does not have this form, or is negative.
        ShapeError: in a call, if the rank does not match or nothing would be left.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import Cropping2D
        >>> Cropping2D(((1, 0), (0, 2)))(np.arange(12.0).reshape(1, 3, 4, 1))[0, :, :, 0]
        array([[4., 5.],
               [8., 9.]], dtype=float32)
    """

    spatial = 2

    def __init__(
        self, cropping: int | Sequence[Any] = ((0, 0), (0, 0)), data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.data_format = layout(data_format, self)
        self.cropping = pairs("cropping", cropping, 2, self)


class Cropping3D(Cropping):
    """Remove entries at the ends of volumes.

    Input shape `(batch, depth, height, width, channels)`, output shape
    `(batch, new_depth, new_height, new_width, channels)`.

    Args:
        cropping: number of entries to remove: an integer for all sides, one integer per dimension, or a pair (low,
            high) per dimension.
        data_format: "channels_last" for `(batch, depth, height, width, channels)` or "channels_first" for
            `(batch, channels, depth, height, width)`; None for `config.image_data_format()`.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: `cropping` does not have this form, or is negative.
        ShapeError: in a call, if the rank does not match or nothing would be left.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import Cropping3D
        >>> Cropping3D(1)(np.arange(27.0).reshape(1, 3, 3, 3, 1)).ravel()
        array([13.], dtype=float32)
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
    """Add zeros at the (low, high) ends of each spatial dimension."""

    padding: tuple[tuple[int, int], ...]

    def call(self, inputs: Tensor) -> Tensor:
        """The padded inputs."""
        widths = [(0, 0)] * (self.spatial + 2)
        widths[self.first_axis : self.first_axis + self.spatial] = self.padding
        return ops.pad(inputs, widths)


class ZeroPadding1D(ZeroPadding):
    """Pad sequences with zeros.

    Input shape `(batch, steps, channels)`, output shape `(batch, new_steps, channels)`.

    Args:
        padding: number of zeros: a pair (before, after), or one integer for both.
        data_format: "channels_last" for `(batch, steps, channels)` or "channels_first" for `(batch, channels, steps)`;
            None for `config.image_data_format()`.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: `padding` does not have this form, or is negative.
        ShapeError: in a call, if the rank does not match.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import ZeroPadding1D
        >>> ZeroPadding1D((1, 2))(np.array([[[1.0], [2.0]]]))[0, :, 0]
        array([0., 1., 2., 0., 0.], dtype=float32)
    """

    spatial = 1

    def __init__(self, padding: int | Sequence[int] = 1, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = layout(data_format, self)
        self.padding = (ends("padding", padding, self),)


class ZeroPadding2D(ZeroPadding):
    """Pad images with zeros.

    Input shape `(batch, height, width, channels)`, output shape `(batch, new_height, new_width, channels)`.

    Args:
        padding: number of zeros: an integer for all sides, one integer per dimension, or a pair (low, high) per
            dimension: ((top, bottom), (left, right)).
        data_format: "channels_last" for `(batch, height, width, channels)` or "channels_first" for
            `(batch, channels, height, width)`; None for `config.image_data_format()`.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: `padding` does not have this form, or is negative.
        ShapeError: in a call, if the rank does not match.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import ZeroPadding2D
        >>> ZeroPadding2D(((1, 0), (0, 2)))(np.ones((1, 2, 2, 1)))[0, :, :, 0]
        array([[0., 0., 0., 0.],
               [1., 1., 0., 0.],
               [1., 1., 0., 0.]], dtype=float32)
    """

    spatial = 2

    def __init__(self, padding: int | Sequence[Any] = (1, 1), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = layout(data_format, self)
        self.padding = pairs("padding", padding, 2, self)


class ZeroPadding3D(ZeroPadding):
    """Pad volumes with zeros.

    Input shape `(batch, depth, height, width, channels)`, output shape
    `(batch, new_depth, new_height, new_width, channels)`.

    Args:
        padding: number of zeros: an integer for all sides, one integer per dimension, or a pair (low, high) per
            dimension.
        data_format: "channels_last" for `(batch, depth, height, width, channels)` or "channels_first" for
            `(batch, channels, depth, height, width)`; None for `config.image_data_format()`.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: `padding` does not have this form, or is negative.
        ShapeError: in a call, if the rank does not match.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import ZeroPadding3D
        >>> ZeroPadding3D((0, 1, 2))(np.ones((1, 2, 2, 2, 1))).shape
        (1, 2, 4, 6, 1)
    """

    spatial = 3

    def __init__(
        self, padding: int | Sequence[Any] = ((1, 1), (1, 1), (1, 1)), data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.data_format = layout(data_format, self)
        self.padding = pairs("padding", padding, 3, self)


class UpSampling1D(Layer):
    """Repeat each step of sequences `size` times.

    Input shape `(batch, steps, channels)`, output shape `(batch, steps * size, channels)`.

    Args:
        size: number of repetitions.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: `size` is not positive.
        ShapeError: in a call, if the rank does not match.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import UpSampling1D
        >>> UpSampling1D(2)(np.array([[[1.0], [2.0]]]))[0, :, 0]
        array([1., 1., 2., 2.], dtype=float32)
    """

    def __init__(self, size: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = positive_integer("size", size, self)

    def check_input(self, spec: Spec) -> None:
        """Check for three dimensions."""
        check_rank(spec, 1)

    def call(self, inputs: Tensor) -> Tensor:
        """The repeated steps."""
        return ops.repeat(inputs, self.size, axis=1)


class UpSampling2D(Spatial):
    """Enlarge images by the factors `size`.

    Input shape `(batch, height, width, channels)`, output shape `(batch, height * size[0], width * size[1], channels)`.

    Args:
        size: the factor, an integer, or two of them for height and width.
        data_format: "channels_last" for `(batch, height, width, channels)` or "channels_first" for
            `(batch, channels, height, width)`; None for `config.image_data_format()`.
        interpolation: "nearest" (repeated pixels), "bilinear", "bicubic", "lanczos3" or "lanczos5".
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: `size` is not positive.
        ShapeError: in a call, if the rank does not match.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import UpSampling2D
        >>> UpSampling2D((1, 2))(np.array([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 2, 2, 1))[0, :, :, 0]
        array([[1., 1., 2., 2.],
               [3., 3., 4., 4.]], dtype=float32)
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

    def call(self, inputs: Tensor) -> Tensor:
        """The enlarged images."""
        axis = self.first_axis
        if self.interpolation == "nearest":
            return repeated(inputs, self.size, axis)
        height, width = (d * n for d, n in zip(inputs.shape[axis : axis + 2], self.size, strict=True))
        return ops.resize(inputs, (height, width), self.interpolation, data_format=self.data_format)


class UpSampling3D(Spatial):
    """Repeat the entries of volumes `size` times along each spatial dimension.

    Input shape `(batch, depth, height, width, channels)`, output shape
    `(batch, depth * size[0], height * size[1], width * size[2], channels)`.

    Args:
        size: number of repetitions, an integer, or three of them, one per spatial dimension.
        data_format: "channels_last" for `(batch, depth, height, width, channels)` or "channels_first" for
            `(batch, channels, depth, height, width)`; None for `config.image_data_format()`.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: `size` is not positive.
        ShapeError: in a call, if the rank does not match.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import UpSampling3D
        >>> UpSampling3D((1, 2, 3))(np.ones((1, 2, 2, 2, 1))).shape
        (1, 2, 4, 6, 1)
    """

    spatial = 3

    def __init__(self, size: int | Sequence[int] = (2, 2, 2), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = layout(data_format, self)
        self.size = integers("size", size, 3, self)

    def call(self, inputs: Tensor) -> Tensor:
        """The enlarged volumes."""
        return repeated(inputs, self.size, self.first_axis)


def repeated(x: Tensor, factors: Sequence[int], first_axis: int) -> Tensor:
    """`x` with every entry repeated along consecutive axes."""
    for axis, factor in enumerate(factors, start=first_axis):
        x = x if factor == 1 else ops.repeat(x, factor, axis=axis)
    return x

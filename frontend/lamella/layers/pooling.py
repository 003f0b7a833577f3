"""Pooling layers: maxima and means of windows, and of whole sequences, images and volumes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lamella import ops
from lamella.compat import modules
from lamella.errors import ShapeError
from lamella.ir.dim import public_shape
from lamella.ir.spec import Spec, promote
from lamella.layers.base import Layer
from lamella.layers.checks import choice, integers, layout
from lamella.layers.convolution import channels_first_to_last, channels_last_to_first
from lamella.ops.spatial import window_padding

if TYPE_CHECKING:
    from lamella.ir.types import Tensor


class Pooling(Layer):
    """A reduction of sliding windows: the base of the layers over `spatial` dimensions.

    The arguments are those of `MaxPooling2D`.
    """

    casts_integers = True
    spatial = 2

    def __init__(
        self,
        pool_size: int | Sequence[int] = 2,
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pool_size = integers("pool_size", pool_size, self.spatial, self)
        self.strides = integers("strides", self.pool_size if strides is None else strides, self.spatial, self)
        self.padding = choice("padding", padding, ["valid", "same"], self)
        self.data_format = layout(data_format, self)

    def check_input(self, spec: Spec) -> None:
        """Check the rank."""
        check_rank(spec, self.spatial)

    def pool(self, x: Any, **window: Any) -> Any:
        """The reduction itself."""
        raise NotImplementedError

    def call(self, inputs: Tensor) -> Tensor:
        """One entry per window and channel."""
        first = self.data_format == "channels_first"
        x = channels_first_to_last(inputs) if first else inputs
        ones = (1,) * self.spatial
        padding = window_padding(self.padding, x.shape[1:-1], self.pool_size, self.strides, ones)
        y = self.pool(x, window=self.pool_size, strides=self.strides, padding=padding)
        return channels_last_to_first(y) if first else y


def check_rank(spec: Spec, spatial: int) -> None:
    """Raise a `ShapeError` if the rank is not that of batch, channels and `spatial` dimensions."""
    if spec.ndim != spatial + 2:
        raise ShapeError(
            f"expected inputs with {spatial + 2} dimensions (batch, {spatial} spatial, channels), got shape "
            f"{public_shape(spec.shape)}."
        )


class MaxPooling(Pooling):
    """The maximum of each window; of equal maxima the first receives the whole gradient."""

    def pool(self, x: Tensor, **window: Any) -> Tensor:
        """The maximum of each window."""
        return ops.primitives.max_pool.bind(x, **window)


class AveragePooling(Pooling):
    """The mean of each window; padding is not counted."""

    def __init__(
        self,
        pool_size: int | Sequence[int],
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(pool_size, strides, padding, data_format, **kwargs)

    def pool(self, x: Tensor, **window: Any) -> Tensor:
        """The mean of each window."""
        return ops.primitives.average_pool.bind(x, **window)


class MaxPooling1D(MaxPooling):
    """The maximum of each window of sequences.

    Input shape `(batch, steps, channels)`, output shape `(batch, new_steps, channels)`. Of equal maxima in a window the
    first receives the whole gradient.

    Args:
        pool_size: size of the window, an integer.
        strides: step of the window, an integer; None for `pool_size`.
        padding: "valid" (only whole windows) or "same" (ceil(size / stride) outputs).
        data_format: "channels_last" for `(batch, steps, channels)` or "channels_first" for `(batch, channels, steps)`;
            None for `config.image_data_format()`.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: `pool_size` or `strides` is not positive.
        ShapeError: in a call, if the rank does not match or the window does not fit into the input.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import MaxPooling1D
        >>> MaxPooling1D(2)(np.array([[[1.0], [3.0], [2.0], [5.0]]]))[0, :, 0]
        array([3., 5.], dtype=float32)
    """

    spatial = 1


class MaxPooling2D(MaxPooling):
    """The maximum of each window of images.

    Input shape `(batch, height, width, channels)`, output shape `(batch, new_height, new_width, channels)`. Of equal
    maxima in a window the first receives the whole gradient.

    Args:
        pool_size: size of the window, an integer, or two of them, one per spatial dimension.
        strides: step of the window, an integer, or two of them, one per spatial dimension; None for `pool_size`.
        padding: "valid" (only whole windows) or "same" (ceil(size / stride) outputs).
        data_format: "channels_last" for `(batch, height, width, channels)` or "channels_first" for
            `(batch, channels, height, width)`; None for `config.image_data_format()`.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: `pool_size` or `strides` is not positive.
        ShapeError: in a call, if the rank does not match or the window does not fit into the input.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import MaxPooling2D
        >>> MaxPooling2D(2)(np.arange(16.0).reshape(1, 4, 4, 1))[0, :, :, 0]
        array([[ 5.,  7.],
               [13., 15.]], dtype=float32)
    """

    spatial = 2


class MaxPooling3D(MaxPooling):
    """The maximum of each window of volumes.

    Input shape `(batch, depth, height, width, channels)`, output shape
    `(batch, new_depth, new_height, new_width, channels)`. Of equal maxima in a window the first receives the whole
    gradient.

    Args:
        pool_size: size of the window, an integer, or three of them, one per spatial dimension.
        strides: step of the window, an integer, or three of them, one per spatial dimension; None for `pool_size`.
        padding: "valid" (only whole windows) or "same" (ceil(size / stride) outputs).
        data_format: "channels_last" for `(batch, depth, height, width, channels)` or "channels_first" for
            `(batch, channels, depth, height, width)`; None for `config.image_data_format()`.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: `pool_size` or `strides` is not positive.
        ShapeError: in a call, if the rank does not match or the window does not fit into the input.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import MaxPooling3D
        >>> MaxPooling3D(2)(np.arange(8.0).reshape(1, 2, 2, 2, 1))[0, :, :, :, 0]
        array([[[7.]]], dtype=float32)
    """

    spatial = 3


class AveragePooling1D(AveragePooling):
    """The mean of each window of sequences.

    Input shape `(batch, steps, channels)`, output shape `(batch, new_steps, channels)`. Padding is not counted: a
    window at the border is averaged over its real entries.

    Args:
        pool_size: size of the window, an integer.
        strides: step of the window, an integer; None for `pool_size`.
        padding: "valid" (only whole windows) or "same" (ceil(size / stride) outputs).
        data_format: "channels_last" for `(batch, steps, channels)` or "channels_first" for `(batch, channels, steps)`;
            None for `config.image_data_format()`.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: `pool_size` or `strides` is not positive.
        ShapeError: in a call, if the rank does not match or the window does not fit into the input.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import AveragePooling1D
        >>> AveragePooling1D(2)(np.array([[[1.0], [3.0], [2.0], [5.0]]]))[0, :, 0]
        array([2. , 3.5], dtype=float32)
    """

    spatial = 1


class AveragePooling2D(AveragePooling):
    """The mean of each window of images.

    Input shape `(batch, height, width, channels)`, output shape `(batch, new_height, new_width, channels)`. Padding is
    not counted: a window at the border is averaged over its real entries.

    Args:
        pool_size: size of the window, an integer, or two of them, one per spatial dimension.
        strides: step of the window, an integer, or two of them, one per spatial dimension; None for `pool_size`.
        padding: "valid" (only whole windows) or "same" (ceil(size / stride) outputs).
        data_format: "channels_last" for `(batch, height, width, channels)` or "channels_first" for
            `(batch, channels, height, width)`; None for `config.image_data_format()`.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: `pool_size` or `strides` is not positive.
        ShapeError: in a call, if the rank does not match or the window does not fit into the input.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import AveragePooling2D
        >>> AveragePooling2D(2)(np.arange(16.0).reshape(1, 4, 4, 1))[0, :, :, 0]
        array([[ 2.5,  4.5],
               [10.5, 12.5]], dtype=float32)
    """

    spatial = 2


class AveragePooling3D(AveragePooling):
    """The mean of each window of volumes.

    Input shape `(batch, depth, height, width, channels)`, output shape
    `(batch, new_depth, new_height, new_width, channels)`. Padding is not counted: a window at the border is averaged
    over its real entries.

    Args:
        pool_size: size of the window, an integer, or three of them, one per spatial dimension.
        strides: step of the window, an integer, or three of them, one per spatial dimension; None for `pool_size`.
        padding: "valid" (only whole windows) or "same" (ceil(size / stride) outputs).
        data_format: "channels_last" for `(batch, depth, height, width, channels)` or "channels_first" for
            `(batch, channels, depth, height, width)`; None for `config.image_data_format()`.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: `pool_size` or `strides` is not positive.
        ShapeError: in a call, if the rank does not match or the window does not fit into the input.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import AveragePooling3D
        >>> AveragePooling3D(2)(np.arange(8.0).reshape(1, 2, 2, 2, 1))[0, :, :, :, 0]
        array([[[3.5]]], dtype=float32)
    """

    spatial = 3


class GlobalPooling(Layer):
    """A reduction over all spatial dimensions; the arguments are those of `GlobalMaxPooling2D`."""

    spatial = 2

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = layout(data_format, self)
        self.keepdims = bool(keepdims)

    def check_input(self, spec: Spec) -> None:
        """Check the rank."""
        check_rank(spec, self.spatial)

    @property
    def axes(self) -> tuple[int, ...]:
        """The spatial axes."""
        start = 1 if self.data_format == "channels_last" else 2
        return tuple(range(start, start + self.spatial))


class GlobalAveragePooling(GlobalPooling):
    """The mean over the spatial dimensions."""

    casts_integers = True

    def call(self, inputs: Tensor) -> Tensor:
        """The mean over the spatial axes."""
        return ops.mean(inputs, self.axes, keepdims=self.keepdims)


class GlobalMaxPooling(GlobalPooling):
    """The maximum over the spatial dimensions; equal maxima share the gradient."""

    def call(self, inputs: Tensor) -> Tensor:
        """The maximum over the spatial axes."""
        return ops.max(inputs, self.axes, keepdims=self.keepdims)


class GlobalAveragePooling1D(GlobalPooling):
    """The mean over the steps of sequences.

    Input shape `(batch, steps, channels)`, output shape `(batch, channels)`. Masked steps are not counted; an example
    whose steps are all masked has no mean, its outputs are NaN. The output has no mask.

    Args:
        data_format: "channels_last" for `(batch, steps, channels)` or "channels_first" for `(batch, channels, steps)`;
            None for `config.image_data_format()`.
        keepdims: whether to keep the reduced axes with size 1, `(batch, 1, channels)` with the channels last.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ShapeError: in a call, if the rank does not match.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import GlobalAveragePooling1D
        >>> GlobalAveragePooling1D()(np.array([[[1.0], [3.0], [2.0], [5.0]]]))
        array([[2.75]], dtype=float32)
    """

    casts_integers = True
    spatial = 1
    supports_masking = True

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """None: there are no steps left to mask."""
        return None

    def call(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        """The mean over the steps."""
        (axis,) = self.axes
        if mask is None:
            return ops.mean(inputs, axis, keepdims=self.keepdims)
        counted = ops.expand_dims(mask, 3 - axis)
        x = ops.cast(
            inputs, promote(inputs.dtype, "float32")
        )  # in float16 the sum would overflow where the mean does not
        total = ops.sum(ops.where(counted, x, 0.0), axis, keepdims=self.keepdims)
        mean = ops.divide(total, ops.sum(ops.cast(counted, x.dtype), axis, keepdims=self.keepdims))
        return ops.cast(mean, inputs.dtype)


class GlobalAveragePooling2D(GlobalAveragePooling):
    """The mean over height and width of images.

    Input shape `(batch, height, width, channels)`, output shape `(batch, channels)`.

    Args:
        data_format: "channels_last" for `(batch, height, width, channels)` or "channels_first" for
            `(batch, channels, height, width)`; None for `config.image_data_format()`.
        keepdims: whether to keep the reduced axes with size 1, `(batch, 1, 1, channels)` with the channels last.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ShapeError: in a call, if the rank does not match.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import GlobalAveragePooling2D
        >>> GlobalAveragePooling2D()(np.arange(16.0).reshape(1, 4, 4, 1))
        array([[7.5]], dtype=float32)
    """

    spatial = 2


class GlobalAveragePooling3D(GlobalAveragePooling):
    """The mean over depth, height and width of volumes.

    Input shape `(batch, depth, height, width, channels)`, output shape `(batch, channels)`.

    Args:
        data_format: "channels_last" for `(batch, depth, height, width, channels)` or "channels_first" for
            `(batch, channels, depth, height, width)`; None for `config.image_data_format()`.
        keepdims: whether to keep the reduced axes with size 1, `(batch, 1, 1, 1, channels)` with the channels last.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ShapeError: in a call, if the rank does not match.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import GlobalAveragePooling3D
        >>> GlobalAveragePooling3D()(np.arange(8.0).reshape(1, 2, 2, 2, 1))
        array([[3.5]], dtype=float32)
    """

    spatial = 3


class GlobalMaxPooling1D(GlobalMaxPooling):
    """The maximum over the steps of sequences.

    Input shape `(batch, steps, channels)`, output shape `(batch, channels)`. Equal maxima share the gradient.

    Args:
        data_format: "channels_last" for `(batch, steps, channels)` or "channels_first" for `(batch, channels, steps)`;
            None for `config.image_data_format()`.
        keepdims: whether to keep the reduced axes with size 1, `(batch, 1, channels)` with the channels last.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ShapeError: in a call, if the rank does not match.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import GlobalMaxPooling1D
        >>> GlobalMaxPooling1D()(np.array([[[1.0], [3.0], [2.0], [5.0]]]))
        array([[5.]], dtype=float32)
    """

    spatial = 1


class GlobalMaxPooling2D(GlobalMaxPooling):
    """The maximum over height and width of images.

    Input shape `(batch, height, width, channels)`, output shape `(batch, channels)`. Equal maxima share the gradient.

    Args:
        data_format: "channels_last" for `(batch, height, width, channels)` or "channels_first" for
            `(batch, channels, height, width)`; None for `config.image_data_format()`.
        keepdims: whether to keep the reduced axes with size 1, `(batch, 1, 1, channels)` with the channels last.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ShapeError: in a call, if the rank does not match.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import GlobalMaxPooling2D
        >>> GlobalMaxPooling2D()(np.arange(16.0).reshape(1, 4, 4, 1))
        array([[15.]], dtype=float32)
    """

    spatial = 2


class GlobalMaxPooling3D(GlobalMaxPooling):
    """The maximum over depth, height and width of volumes.

    Input shape `(batch, depth, height, width, channels)`, output shape `(batch, channels)`. Equal maxima share the
    gradient.

    Args:
        data_format: "channels_last" for `(batch, depth, height, width, channels)` or "channels_first" for
            `(batch, channels, depth, height, width)`; None for `config.image_data_format()`.
        keepdims: whether to keep the reduced axes with size 1, `(batch, 1, 1, 1, channels)` with the channels last.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ShapeError: in a call, if the rank does not match.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import GlobalMaxPooling3D
        >>> GlobalMaxPooling3D()(np.arange(8.0).reshape(1, 2, 2, 2, 1))
        array([[7.]], dtype=float32)
    """

    spatial = 3


if not TYPE_CHECKING:
    __getattr__ = modules.names_of_today(__name__)

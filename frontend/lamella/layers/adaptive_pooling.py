"""Adaptive pooling: a given number of windows that divide the input as evenly as possible."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lamella.ir import limits
from lamella.ir.spec import Spec
from lamella.layers.base import Layer
from lamella.layers.checks import integers, layout
from lamella.layers.convolution import channels_first_to_last, channels_last_to_first
from lamella.layers.pooling import check_rank
from lamella.ops.spatial import adaptive_maximum, adaptive_mean, adaptive_windows

if TYPE_CHECKING:
    from lamella.ir.types import Tensor


class AdaptivePooling(Layer):
    """A reduction to `output_size` windows per dimension: the base of the layers over `spatial` dimensions.

    The dimensions are reduced one after the other; the arguments are those of `AdaptiveMaxPooling2D`.
    """

    casts_integers = True
    spatial = 2

    def __init__(self, output_size: int | Sequence[int], data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.output_size = integers("output_size", output_size, self.spatial, self)
        self.data_format = layout(data_format, self)

    def check_input(self, spec: Spec) -> None:
        """Check the rank."""
        check_rank(spec, self.spatial)

    def reduce(self, x: Any, axis: int, windows: list[tuple[int, int]]) -> Any:
        """Reduce every window of `x`, channels last, along `axis` to one entry."""
        raise NotImplementedError

    def call(self, inputs: Tensor) -> Tensor:
        """One entry per window and channel."""
        first = self.data_format == "channels_first"
        y = channels_first_to_last(inputs) if first else inputs
        for axis, count in enumerate(self.output_size, start=1):
            limits.reserve((y.shape[axis], count))
            y = self.reduce(y, axis, adaptive_windows(y.shape[axis], count))
        return channels_last_to_first(y) if first else y


class AdaptiveAveragePooling(AdaptivePooling):
    """The mean of each window."""

    def reduce(self, x: Tensor, axis: int, windows: list[tuple[int, int]]) -> Tensor:
        """The mean of each window along `axis`."""
        return adaptive_mean(x, axis, windows)


class AdaptiveMaxPooling(AdaptivePooling):
    """The maximum of each window; of equal maxima the first receives the whole gradient."""

    def reduce(self, x: Tensor, axis: int, windows: list[tuple[int, int]]) -> Tensor:
        """The maximum of each window along `axis`."""
        return adaptive_maximum(x, axis, windows)


class AdaptiveAveragePooling1D(AdaptiveAveragePooling):
    """The mean of each of `output_size` windows of sequences.

    Input shape `(batch, steps, channels)`, output shape `(batch, output_size, channels)`. Along an axis of `size`
    entries, window i covers the entries from floor(i * size / output_size) up to, not including, ceil((i + 1) * size /
    output_size): neighboring windows may overlap by an entry.

    Args:
        output_size: number of windows, an integer.
        data_format: "channels_last" for `(batch, steps, channels)` or "channels_first" for `(batch, channels, steps)`;
            None for `config.image_data_format()`.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: `output_size` is not positive.
        ShapeError: in a call, if the rank does not match.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import AdaptiveAveragePooling1D
        >>> AdaptiveAveragePooling1D(2)(np.array([[[1.0], [3.0], [2.0], [5.0]]]))[0, :, 0]
        array([2. , 3.5], dtype=float32)
    """

    spatial = 1


class AdaptiveAveragePooling2D(AdaptiveAveragePooling):
    """The mean of each of `output_size` windows of images.

    Input shape `(batch, height, width, channels)`, output shape `(batch, *output_size, channels)`. Along an axis of
    `size` entries, window i covers the entries from floor(i * size / output_size) up to, not including, ceil((i + 1) *
    size / output_size): neighboring windows may overlap by an entry.

    Args:
        output_size: number of windows, an integer, or two of them, one per spatial dimension.
        data_format: "channels_last" for `(batch, height, width, channels)` or "channels_first" for
            `(batch, channels, height, width)`; None for `config.image_data_format()`.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: `output_size` is not positive.
        ShapeError: in a call, if the rank does not match.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import AdaptiveAveragePooling2D
        >>> AdaptiveAveragePooling2D(2)(np.arange(9.0).reshape(1, 3, 3, 1))[0, :, :, 0]
        array([[2., 3.],
               [5., 6.]], dtype=float32)
    """

    spatial = 2


class AdaptiveAveragePooling3D(AdaptiveAveragePooling):
    """The mean of each of `output_size` windows of volumes.

    Input shape `(batch, depth, height, width, channels)`, output shape `(batch, *output_size, channels)`. Along an axis
    of `size` entries, window i covers the entries from floor(i * size / output_size) up to, not including, ceil((i + 1)
    * size / output_size): neighboring windows may overlap by an entry.

    Args:
        output_size: number of windows, an integer, or three of them, one per spatial dimension.
        data_format: "channels_last" for `(batch, depth, height, width, channels)` or "channels_first" for
            `(batch, channels, depth, height, width)`; None for `config.image_data_format()`.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: `output_size` is not positive.
        ShapeError: in a call, if the rank does not match.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import AdaptiveAveragePooling3D
        >>> AdaptiveAveragePooling3D((1, 2, 1))(np.arange(8.0).reshape(1, 2, 2, 2, 1))[0, :, :, :, 0]
        array([[[2.5],
                [4.5]]], dtype=float32)
    """

    spatial = 3


class AdaptiveMaxPooling1D(AdaptiveMaxPooling):
    """The maximum of each of `output_size` windows of sequences.

    Input shape `(batch, steps, channels)`, output shape `(batch, output_size, channels)`. Along an axis of `size`
    entries, window i covers the entries from floor(i * size / output_size) up to, not including, ceil((i + 1) * size /
    output_size): neighboring windows may overlap by an entry. Of equal maxima in a window the first receives the whole
    gradient.

    Args:
        output_size: number of windows, an integer.
        data_format: "channels_last" for `(batch, steps, channels)` or "channels_first" for `(batch, channels, steps)`;
            None for `config.image_data_format()`.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: `output_size` is not positive.
        ShapeError: in a call, if the rank does not match.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import AdaptiveMaxPooling1D
        >>> AdaptiveMaxPooling1D(2)(np.array([[[1.0], [3.0], [2.0], [5.0]]]))[0, :, 0]
        array([3., 5.], dtype=float32)
    """

    spatial = 1


class AdaptiveMaxPooling2D(AdaptiveMaxPooling):
    """The maximum of each of `output_size` windows of images.

    Input shape `(batch, height, width, channels)`, output shape `(batch, *output_size, channels)`. Along an axis of
    `size` entries, window i covers the entries from floor(i * size / output_size) up to, not including, ceil((i + 1) *
    size / output_size): neighboring windows may overlap by an entry. Of equal maxima in a window the first receives the
    whole gradient.

    Args:
        output_size: number of windows, an integer, or two of them, one per spatial dimension.
        data_format: "channels_last" for `(batch, height, width, channels)` or "channels_first" for
            `(batch, channels, height, width)`; None for `config.image_data_format()`.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: `output_size` is not positive.
        ShapeError: in a call, if the rank does not match.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import AdaptiveMaxPooling2D
        >>> AdaptiveMaxPooling2D(2)(np.arange(9.0).reshape(1, 3, 3, 1))[0, :, :, 0]
        array([[4., 5.],
               [7., 8.]], dtype=float32)
    """

    spatial = 2


class AdaptiveMaxPooling3D(AdaptiveMaxPooling):
    """The maximum of each of `output_size` windows of volumes.

    Input shape `(batch, depth, height, width, channels)`, output shape `(batch, *output_size, channels)`. Along an axis
    of `size` entries, window i covers the entries from floor(i * size / output_size) up to, not including, ceil((i + 1)
    * size / output_size): neighboring windows may overlap by an entry. Of equal maxima in a window the first receives
    the whole gradient.

    Args:
        output_size: number of windows, an integer, or three of them, one per spatial dimension.
        data_format: "channels_last" for `(batch, depth, height, width, channels)` or "channels_first" for
            `(batch, channels, depth, height, width)`; None for `config.image_data_format()`.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: `output_size` is not positive.
        ShapeError: in a call, if the rank does not match.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import AdaptiveMaxPooling3D
        >>> AdaptiveMaxPooling3D((1, 2, 1))(np.arange(8.0).reshape(1, 2, 2, 2, 1))[0, :, :, :, 0]
        array([[[5.],
                [7.]]], dtype=float32)
    """

    spatial = 3

"""Convolution layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lamella import ops
from lamella.errors import ShapeError
from lamella.ir.dim import differ, public_shape
from lamella.ir.spec import Shape, Spec
from lamella.layers.attributes import ActivationAttribute
from lamella.layers.base import Layer
from lamella.layers.checks import choice, integers, layout, positive_integer
from lamella.layers.making import WeightFields
from lamella.ops.spatial import window_padding

if TYPE_CHECKING:
    from lamella.ir.types import Tensor


def channels_first_to_last(x: Tensor) -> Tensor:
    """(batch, channels, spatial ...) as (batch, spatial ..., channels)."""
    return ops.moveaxis(x, 1, -1)


def channels_last_to_first(x: Tensor) -> Tensor:
    """(batch, spatial ..., channels) as (batch, channels, spatial ...)."""
    return ops.moveaxis(x, -1, 1)


def channels_of(spec: Spec, spatial: int, data_format: str) -> Any:
    """The number of channels of inputs of `spec`.

    Raises:
        ShapeError: the rank is not `spatial` + 2.
    """
    if spec.ndim != spatial + 2:
        axes = "(batch, *spatial, channels)" if data_format == "channels_last" else "(batch, channels, *spatial)"
        raise ShapeError(
            f"expected inputs with {spatial + 2} dimensions, {axes}, got shape {public_shape(spec.shape)}."
        )
    return spec.shape[-1 if data_format == "channels_last" else 1]


def known_channels(input_shape: Shape, data_format: str) -> int:
    """The number of channels that a kernel is made for.

    Raises:
        ShapeError: it is None.
    """
    axis = len(input_shape) - 1 if data_format == "channels_last" else 1
    if input_shape[axis] is None:
        raise ShapeError(
            f"the kernel needs the number of channels, axis {axis} of inputs of shape {tuple(input_shape)}, which is "
            "None: give it in `Input(...)`."
        )
    return input_shape[axis]


class Conv(Layer):
    """y = activation(convolution(x, kernel) + bias) over `spatial` dimensions: the base of the layers below.

    Kernel `(*kernel_size, channels // groups, filters)`, bias `(filters,)`. The arguments are those of `Conv2D`.
    """

    activation = ActivationAttribute()
    casts_integers = True
    spatial = 2
    weight_fields = WeightFields(kernel="glorot_uniform", bias="zeros", activity_regularizer=True)

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        n = self.spatial
        self.filters = positive_integer("filters", filters, self)
        self.kernel_size = integers("kernel_size", kernel_size, n, self)
        self.strides = integers("strides", strides, n, self)
        self.dilation_rate = integers("dilation_rate", dilation_rate, n, self)
        self.padding = choice("padding", padding, ["valid", "same", *(["causal"] if n == 1 else [])], self)
        self.data_format = layout(data_format, self)
        self.groups = positive_integer("groups", groups, self)
        if self.filters % self.groups:
            raise ValueError(f"{type(self).__name__}: {self.filters} filters do not divide into {self.groups} groups.")
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                f"{type(self).__name__}: strides {self.strides} or dilation_rate {self.dilation_rate} must be 1."
            )
        self.activation = activation
        self.use_bias = bool(use_bias)

    def check_input(self, spec: Spec) -> None:
        """Check the rank and the number of channels."""
        channels = channels_of(spec, self.spatial, self.data_format)
        if channels % self.groups:
            raise ShapeError(f"{channels} input channels do not divide into {self.groups} groups.")
        if self.built and differ(channels, self.kernel.shape[-2] * self.groups):
            raise ShapeError(
                f"expected {self.kernel.shape[-2] * self.groups} channels, got {channels} "
                f"(input shape {public_shape(spec.shape)})."
            )

    def build(self, input_shape: Shape) -> None:
        """Make kernel and bias."""
        channels = known_channels(input_shape, self.data_format)
        self.kernel = self.add_field("kernel", (*self.kernel_size, channels // self.groups, self.filters))
        if self.use_bias:
            self.bias = self.add_field("bias", (self.filters,))

    def convolution_op(self, inputs: Tensor, kernel: Any) -> Tensor:
        """The convolution of the inputs with a kernel; inputs and result are in the layer's `data_format`.

        Args:
            inputs: the inputs.
            kernel: the kernel, `(*kernel_size, channels // groups, filters)`.
        """
        first = self.data_format == "channels_first"
        x = channels_first_to_last(inputs) if first else inputs
        y = ops.convolve(
            x,
            kernel,
            strides=self.strides,
            padding=window_padding(self.padding, x.shape[1:-1], self.kernel_size, self.strides, self.dilation_rate),
            dilation=self.dilation_rate,
            groups=self.groups,
        )
        return channels_last_to_first(y) if first else y

    def call(self, inputs: Any) -> Any:
        """activation(convolution_op(inputs, kernel) + bias)"""
        first = self.data_format == "channels_first"
        y = self.convolution_op(inputs, self.kernel)
        if self.use_bias:  # added with the channels last, so that `simplify` removes both transpositions
            y = ops.add(channels_first_to_last(y) if first else y, self.bias)
            y = channels_last_to_first(y) if first else y
        return self.activation(y)


class Conv2D(Conv):
    """y = activation(convolution(x, kernel) + bias): a convolution over images.

    Input shape `(batch, height, width, channels)`, output shape `(batch, new_height, new_width, filters)`; kernel
    `(*kernel_size, channels // groups, filters)`, bias `(filters,)`. The kernel is not flipped: it is a
    cross-correlation.

    Args:
        filters: number of output channels.
        kernel_size: size of the window, an integer, or two of them, one per spatial dimension.
        strides: step of the window, an integer, or two of them, one per spatial dimension.
        padding: "valid" (no padding), "same" (zeros, for ceil(size / stride) outputs; an odd one is added at the end).
        data_format: "channels_last" for `(batch, height, width, channels)` or "channels_first" for
            `(batch, channels, height, width)`; None for `config.image_data_format()`.
        dilation_rate: distance between the kernel's entries in the input, an integer, or two of them, one per spatial
            dimension.
        groups: number of groups that channels and filters are split into; each group sees only its own channels.
        activation: function applied to the output, or its name; None for none.
        use_bias: whether a bias is added.
        kernel_initializer, bias_initializer: initializers of the weights, or their names.
        kernel_regularizer, bias_regularizer: penalties on the weights, added to the loss.
        kernel_constraint, bias_constraint: constraints applied to the weights after each optimizer step.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: an argument is out of range, or strides and dilation_rate are both above 1.
        ShapeError: in a call, if rank or channels do not match, or the window does not fit into the input.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import Conv2D
        >>> layer = Conv2D(1, 2, strides=2, kernel_initializer="ones", use_bias=False)
        >>> layer(np.arange(16.0).reshape(1, 4, 4, 1))[0, :, :, 0]
        array([[10., 18.],
               [42., 50.]], dtype=float32)
    """

    spatial = 2


class Conv1D(Conv):
    """y = activation(convolution(x, kernel) + bias): a convolution over sequences.

    Input shape `(batch, steps, channels)`, output shape `(batch, new_steps, filters)`; kernel
    `(kernel_size, channels // groups, filters)`, bias `(filters,)`. The kernel is not flipped: it is a
    cross-correlation.

    Args:
        filters: number of output channels.
        kernel_size: size of the window, an integer.
        strides: step of the window, an integer.
        padding: "valid" (no padding), "same" (zeros, for ceil(size / stride) outputs; an odd one is added at the end),
            or "causal" (left padding only, so that output t sees inputs up to t).
        data_format: "channels_last" for `(batch, steps, channels)` or "channels_first" for `(batch, channels, steps)`;
            None for `config.image_data_format()`.
        dilation_rate: distance between the kernel's entries in the input, an integer.
        groups: number of groups that channels and filters are split into; each group sees only its own channels.
        activation: function applied to the output, or its name; None for none.
        use_bias: whether a bias is added.
        kernel_initializer, bias_initializer: initializers of the weights, or their names.
        kernel_regularizer, bias_regularizer: penalties on the weights, added to the loss.
        kernel_constraint, bias_constraint: constraints applied to the weights after each optimizer step.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: an argument is out of range, or strides and dilation_rate are both above 1.
        ShapeError: in a call, if rank or channels do not match, or the window does not fit into the input.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import Conv1D
        >>> layer = Conv1D(1, 2, kernel_initializer="ones", use_bias=False)
        >>> layer(np.arange(4.0).reshape(1, 4, 1)).ravel()
        array([1., 3., 5.], dtype=float32)
    """

    spatial = 1


class Conv3D(Conv):
    """y = activation(convolution(x, kernel) + bias): a convolution over volumes.

    Input shape `(batch, depth, height, width, channels)`, output shape
    `(batch, new_depth, new_height, new_width, filters)`; kernel `(*kernel_size, channels // groups, filters)`, bias
    `(filters,)`. The kernel is not flipped: it is a cross-correlation.

    Args:
        filters: number of output channels.
        kernel_size: size of the window, an integer, or three of them, one per spatial dimension.
        strides: step of the window, an integer, or three of them, one per spatial dimension.
        padding: "valid" (no padding), "same" (zeros, for ceil(size / stride) outputs; an odd one is added at the end).
        data_format: "channels_last" for `(batch, depth, height, width, channels)` or "channels_first" for
            `(batch, channels, depth, height, width)`; None for `config.image_data_format()`.
        dilation_rate: distance between the kernel's entries in the input, an integer, or three of them, one per spatial
            dimension.
        groups: number of groups that channels and filters are split into; each group sees only its own channels.
        activation: function applied to the output, or its name; None for none.
        use_bias: whether a bias is added.
        kernel_initializer, bias_initializer: initializers of the weights, or their names.
        kernel_regularizer, bias_regularizer: penalties on the weights, added to the loss.
        kernel_constraint, bias_constraint: constraints applied to the weights after each optimizer step.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: an argument is out of range, or strides and dilation_rate are both above 1.
        ShapeError: in a call, if rank or channels do not match, or the window does not fit into the input.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import Conv3D
        >>> layer = Conv3D(2, (1, 2, 2), padding="same")
        >>> layer(np.ones((1, 3, 4, 4, 1))).shape, layer.kernel.shape
        ((1, 3, 4, 4, 2), (1, 2, 2, 1, 2))
    """

    spatial = 3

"""Convolution layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lamella import ops
from lamella.errors import ShapeError
from lamella.ir.dim import differ, public_shape
from lamella.ir.spec import Shape, Spec
from lamella.layers.attributes import ActivationAttribute
from lamella.layers.base import Layer
from lamella.layers.checks import choice, integers, layout, positive_integer
from lamella.layers.making import WeightFields
from lamella.ops.spatial import window_padding


def channels_first_to_last(x: Any) -> Any:
    """(batch, channels, spatial ...) as (batch, spatial ..., channels)."""
    return ops.moveaxis(x, 1, -1)


def channels_last_to_first(x: Any) -> Any:
    """(batch, spatial ..., channels) as (batch, channels, spatial ...)."""
    return ops.moveaxis(x, -1, 1)


def channels_of(spec: Spec, spatial: int, data_format: str) -> Any:
    """The number of channels of inputs of `spec`.

    Raises:
        ShapeError: they do not have a batch, a channel and `spatial` spatial dimensions.
    """
    if spec.ndim != spatial + 2:
        words = "(batch, *spatial, channels)" if data_format == "channels_last" else "(batch, channels, *spatial)"
        raise ShapeError(
            f"expected inputs with {spatial + 2} dimensions, {words}, got shape {public_shape(spec.shape)}."
        )
    return spec.shape[-1 if data_format == "channels_last" else 1]


def known_channels(input_shape: Shape, data_format: str) -> int:
    """The number of channels that a kernel is made for.

    Raises:
        ShapeError: it is left free.
    """
    axis = len(input_shape) - 1 if data_format == "channels_last" else 1
    if input_shape[axis] is None:
        raise ShapeError(
            f"the kernel needs the number of channels, axis {axis} of inputs of shape {tuple(input_shape)}, which is left "
            "free (None): give it in `Input(...)`."
        )
    return input_shape[axis]


class Conv(Layer):
    """y = activation(convolution of x with kernel + bias): the base of the layers over `spatial` dimensions.

    Args:
        filters: the number of output channels.
        kernel_size: the window, a number or one for each spatial dimension.
        strides: the steps of the window.
        padding: "valid" (no padding) or "same" (ceil(size / stride) outputs; an odd cell is added on the high side); over
            one dimension also "causal" (as many cells before as the window reaches back, so that no output sees later
            inputs).
        data_format: "channels_last" (default) or "channels_first".
        dilation_rate: the distance between the kernel's taps.
        groups: input and output channels are split into so many groups that do not see each other.

    Input shape `(batch, *spatial, channels)`, kernel `(*kernel_size, channels // groups, filters)`, bias `(filters,)`.
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
        """The right rank and channels, and spatial dimensions the window fits into."""
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

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """The convolution of the inputs with the kernel, both and the result in the layer's `data_format`.

        Args:
            inputs: the inputs.
            kernel: the kernel, (*window, channels / groups, filters).
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
        if self.use_bias:  # with the channels last, so that `simplify` removes both transpositions
            y = ops.add(channels_first_to_last(y) if first else y, self.bias)
            y = channels_last_to_first(y) if first else y
        return self.activation(y)


class Conv2D(Conv):
    """A convolution over images: y = activation(convolution of x with kernel + bias).

    Input shape `(batch, height, width, channels)`, or `(batch, channels, height, width)` with
    `data_format="channels_first"`; kernel `(*kernel_size, channels // groups, filters)`, bias `(filters,)`.
    """

    spatial = 2


class Conv1D(Conv):
    """A convolution over sequences: y = activation(convolution of x with kernel + bias).

    Input shape `(batch, steps, channels)`, or `(batch, channels, steps)` with `data_format="channels_first"`; kernel
    `(kernel_size, channels // groups, filters)`, bias `(filters,)`. With `padding="causal"` output t sees inputs up to t.
    """

    spatial = 1


class Conv3D(Conv):
    """A convolution over volumes: y = activation(convolution of x with kernel + bias).

    Input shape `(batch, depth, height, width, channels)`, or `(batch, channels, depth, height, width)` with
    `data_format="channels_first"`; kernel `(*kernel_size, channels // groups, filters)`, bias `(filters,)`.
    """

    spatial = 3

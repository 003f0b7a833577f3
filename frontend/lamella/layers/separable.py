"""Convolutions that treat each channel by itself: depthwise, and separable (depthwise, then mixing the channels)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lamella import ops
from lamella.core.variable import Variable
from lamella.errors import ShapeError
from lamella.ir.dim import differ, public_shape
from lamella.ir.spec import Shape, Spec
from lamella.layers.attributes import ActivationAttribute
from lamella.layers.base import Layer
from lamella.layers.checks import choice, integers, layout, positive_integer
from lamella.layers.convolution import (
    channels_first_to_last,
    channels_last_to_first,
    channels_of,
    known_channels,
)
from lamella.layers.making import WeightFields
from lamella.ops.spatial import window_padding


class Depthwise(Layer):
    """What depthwise and separable convolutions share: the window, and the kernel a channel.

    Each channel is convolved with `depth_multiplier` windows of its own; output channel `c * depth_multiplier + m` comes
    from input channel c.
    """

    activation = ActivationAttribute()
    casts_integers = True
    spatial = 2
    bias: Variable

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int],
        padding: str,
        depth_multiplier: int,
        data_format: str | None,
        dilation_rate: int | Sequence[int],
        activation: Any,
        use_bias: bool,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        n = self.spatial
        self.kernel_size = integers("kernel_size", kernel_size, n, self)
        self.strides = integers("strides", strides, n, self)
        self.dilation_rate = integers("dilation_rate", dilation_rate, n, self)
        self.padding = choice("padding", padding, ["valid", "same"], self)
        self.depth_multiplier = positive_integer("depth_multiplier", depth_multiplier, self)
        self.data_format = layout(data_format, self)
        self.activation = activation
        self.use_bias = bool(use_bias)

    def depthwise_weight(self) -> Any:
        """The kernel of the depthwise step, `(*kernel_size, channels, depth_multiplier)`."""
        raise NotImplementedError

    def check_input(self, spec: Spec) -> None:
        """The right rank and channels."""
        channels = channels_of(spec, self.spatial, self.data_format)
        if self.built and differ(channels, self.depthwise_weight().shape[-2]):
            raise ShapeError(
                f"expected {self.depthwise_weight().shape[-2]} channels, got {channels} "
                f"(input shape {public_shape(spec.shape)})."
            )

    def add_depthwise(self, input_shape: Shape, name: str) -> Any:
        """A new kernel for inputs of `input_shape`."""
        channels = known_channels(input_shape, self.data_format)
        return self.add_field("depthwise", (*self.kernel_size, channels, self.depth_multiplier), name=name)

    def depthwise(self, x: Any) -> Any:
        """Each channel of x, channels last, convolved with its own windows."""
        kernel = ops.convert_to_tensor(self.depthwise_weight())
        *window, channels, multiplier = (int(d) for d in kernel.shape)
        return ops.convolve(
            x,
            ops.reshape(kernel, (*window, 1, channels * multiplier)),
            strides=self.strides,
            padding=window_padding(self.padding, x.shape[1:-1], self.kernel_size, self.strides, self.dilation_rate),
            dilation=self.dilation_rate,
            groups=channels,
        )

    def mixed(self, x: Any) -> Any:
        """What happens between the depthwise step and the bias."""
        return x

    def call(self, inputs: Any) -> Any:
        """activation(convolution of the inputs + bias)"""
        first = self.data_format == "channels_first"
        y = self.mixed(self.depthwise(channels_first_to_last(inputs) if first else inputs))
        if self.use_bias:
            y = ops.add(y, self.bias)
        return self.activation(channels_last_to_first(y) if first else y)


class DepthwiseConv(Depthwise):
    """y = activation(each channel of x convolved with windows of its own + bias): over `spatial` dimensions.

    Args:
        kernel_size: the window, a number or one for each spatial dimension.
        strides: the steps of the window.
        padding: "valid" or "same".
        depth_multiplier: the output channels of each input channel.
        data_format: "channels_last" (default) or "channels_first".
        dilation_rate: the distance between the kernel's taps.

    Input shape `(batch, *spatial, channels)`, kernel `(*kernel_size, channels, depth_multiplier)`, bias
    `(channels * depth_multiplier,)`.
    """

    weight_fields = WeightFields(depthwise="glorot_uniform", bias="zeros", activity_regularizer=True)

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        activation: Any = None,
        use_bias: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            kernel_size, strides, padding, depth_multiplier, data_format, dilation_rate, activation, use_bias, **kwargs
        )

    def depthwise_weight(self) -> Any:
        """The kernel."""
        return self.kernel

    def build(self, input_shape: Shape) -> None:
        """Make kernel and bias."""
        self.kernel = self.add_depthwise(input_shape, "kernel")
        if self.use_bias:
            self.bias = self.add_field("bias", (self.kernel.shape[-2] * self.depth_multiplier,))


class SeparableConv(Depthwise):
    """y = activation((depthwise convolution of x) @ pointwise_kernel + bias): over `spatial` dimensions.

    Args:
        filters: the number of output channels.
        kernel_size: the window of the depthwise step, a number or one for each spatial dimension.
        strides: the steps of that window.
        padding: "valid" or "same".
        data_format: "channels_last" (default) or "channels_first".
        dilation_rate: the distance between the kernel's taps.
        depth_multiplier: the channels that the depthwise step makes of each input channel.

    Input shape `(batch, *spatial, channels)`, depthwise_kernel `(*kernel_size, channels, depth_multiplier)`,
    pointwise_kernel `(1, ..., channels * depth_multiplier, filters)`, bias `(filters,)`.

    References:
        F. Chollet, "Xception: deep learning with depthwise separable convolutions", 2016, https://arxiv.org/abs/1610.02357
    """

    weight_fields = WeightFields(
        depthwise="glorot_uniform", pointwise="glorot_uniform", bias="zeros", activity_regularizer=True
    )

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            kernel_size, strides, padding, depth_multiplier, data_format, dilation_rate, activation, use_bias, **kwargs
        )
        self.filters = positive_integer("filters", filters, self)

    def depthwise_weight(self) -> Any:
        """The kernel of the first step."""
        return self.depthwise_kernel

    def build(self, input_shape: Shape) -> None:
        """Make both kernels and the bias."""
        self.depthwise_kernel = self.add_depthwise(input_shape, "depthwise_kernel")
        self.pointwise_kernel = self.add_field(
            "pointwise",
            (*[1] * self.spatial, self.depthwise_kernel.shape[-2] * self.depth_multiplier, self.filters),
            name="pointwise_kernel",
        )
        if self.use_bias:
            self.bias = self.add_field("bias", (self.filters,))

    def mixed(self, x: Any) -> Any:
        """The channels mixed at every place: x @ pointwise_kernel."""
        kernel = ops.convert_to_tensor(self.pointwise_kernel)
        return ops.matmul(x, ops.reshape(kernel, kernel.shape[-2:]))


class DepthwiseConv1D(DepthwiseConv):
    """A depthwise convolution over sequences: `(batch, steps, channels)`, channels_first `(batch, channels, steps)`."""

    spatial = 1


class DepthwiseConv2D(DepthwiseConv):
    """A depthwise convolution over images, `(batch, height, width, channels)`.

    With `data_format="channels_first"`: `(batch, channels, height, width)`.
    """

    spatial = 2


class SeparableConv1D(SeparableConv):
    """A separable convolution over sequences: `(batch, steps, channels)`, channels_first `(batch, channels, steps)`."""

    spatial = 1


class SeparableConv2D(SeparableConv):
    """A separable convolution over images, `(batch, height, width, channels)`.

    With `data_format="channels_first"`: `(batch, channels, height, width)`.
    """

    spatial = 2

"""Transposed convolutions: what a strided convolution's gradient does, learned as a layer of its own."""

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
from lamella.layers.convolution import (
    channels_first_to_last,
    channels_last_to_first,
    channels_of,
    known_channels,
)
from lamella.layers.making import WeightFields
from lamella.ops.spatial import transposed_convolution


class ConvTranspose(Layer):
    """y = activation(transpose of a convolution applied to x + bias): the base of the layers over `spatial` dimensions.

    Each input scales the kernel, laid into the output `strides` apart; where copies overlap they add up. So it is the
    gradient of a convolution of `filters` channels in its input.

    Args:
        filters: the number of output channels.
        kernel_size: the window, a number or one for each spatial dimension.
        strides: the distance of two inputs in the output.
        padding: "valid" ((size - 1) * stride + max(kernel_size, stride) outputs) or "same" (size * stride).
        output_padding: cells added on the high side, below the stride; the outputs are then
            (size - 1) * stride + kernel_size + output_padding ("valid") or
            (size - 1) * stride + kernel_size % 2 + output_padding ("same").
        data_format: "channels_last" (default) or "channels_first".
        dilation_rate: the distance between the kernel's taps.

    Input shape `(batch, *spatial, channels)`, kernel `(*kernel_size, filters, channels)`, bias `(filters,)`.

    References:
        V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep learning", 2016,
        https://arxiv.org/abs/1603.07285
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
        output_padding: int | Sequence[int] | None = None,
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
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
        self.padding = choice("padding", padding, ["valid", "same"], self)
        self.output_padding = (
            None if output_padding is None else integers("output_padding", output_padding, n, self, minimum=0)
        )
        if self.output_padding is not None and any(
            o >= s for o, s in zip(self.output_padding, self.strides, strict=True)
        ):
            raise ValueError(
                f"{type(self).__name__}: output_padding {self.output_padding} must be below strides {self.strides}."
            )
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                f"{type(self).__name__}: strides {self.strides} or dilation_rate {self.dilation_rate} must be 1."
            )
        self.data_format = layout(data_format, self)
        self.activation = activation
        self.use_bias = bool(use_bias)

    def check_input(self, spec: Spec) -> None:
        """The right rank and channels."""
        channels = channels_of(spec, self.spatial, self.data_format)
        if self.built and differ(channels, self.kernel.shape[-1]):
            raise ShapeError(
                f"expected {self.kernel.shape[-1]} channels, got {channels} (input shape {public_shape(spec.shape)})."
            )

    def build(self, input_shape: Shape) -> None:
        """Make kernel and bias."""
        self.kernel = self.add_field(
            "kernel", (*self.kernel_size, self.filters, known_channels(input_shape, self.data_format))
        )
        if self.use_bias:
            self.bias = self.add_field("bias", (self.filters,))

    def call(self, inputs: Any) -> Any:
        """activation(transposed convolution of the inputs + bias)"""
        first = self.data_format == "channels_first"
        x = channels_first_to_last(inputs) if first else inputs
        extra = self.output_padding or (None,) * self.spatial
        y = transposed_convolution(x, self.kernel, self.strides, self.padding, extra, self.dilation_rate)
        if self.use_bias:
            y = ops.add(y, self.bias)
        return self.activation(channels_last_to_first(y) if first else y)


class Conv1DTranspose(ConvTranspose):
    """A transposed convolution over sequences: `(batch, steps, channels)` to `(batch, new_steps, filters)`.

    With `data_format="channels_first"`: `(batch, channels, steps)`. Kernel `(kernel_size, filters, channels)`.
    """

    spatial = 1


class Conv2DTranspose(ConvTranspose):
    """A transposed convolution over images: `(batch, height, width, channels)` to `(batch, rows, columns, filters)`.

    With `data_format="channels_first"`: `(batch, channels, height, width)`. Kernel `(*kernel_size, filters, channels)`.
    """

    spatial = 2


class Conv3DTranspose(ConvTranspose):
    """A transposed convolution over volumes, `(batch, depth, height, width, channels)`.

    With `data_format="channels_first"`: `(batch, channels, depth, height, width)`. Kernel
    `(*kernel_size, filters, channels)`.
    """

    spatial = 3

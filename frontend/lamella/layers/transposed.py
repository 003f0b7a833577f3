"""Transposed convolutions: the gradient of a strided convolution with respect to its input, as a layer."""

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
    """y = activation(transposed_convolution(x, kernel) + bias) over `spatial` dimensions: the base of the layers below.

    The arguments are those of `Conv2DTranspose`.
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
        """Check the rank and the number of channels."""
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
    """y = activation(transposed_convolution(x, kernel) + bias): a transposed convolution over sequences.

    Every input adds a copy of the kernel, scaled by it, to the output; copies of neighboring inputs are `strides`
    apart. This is the gradient of a convolution with respect to its input.

    Input shape `(batch, steps, channels)`, output shape `(batch, new_steps, filters)`; kernel
    `(kernel_size, filters, channels)`, bias `(filters,)`.

    Args:
        filters: number of output channels.
        kernel_size: size of the window, an integer.
        strides: distance in the output between two neighboring inputs, an integer.
        padding: "valid" for (size - 1) * stride + max(kernel_size, stride) outputs, or "same" for size * stride.
        output_padding: number of outputs added at the end, below the stride; the outputs are then (size - 1) * stride +
            kernel_size + output_padding ("valid") or (size - 1) * stride + kernel_size % 2 + output_padding ("same").
            None for the sizes above.
        data_format: "channels_last" for `(batch, steps, channels)` or "channels_first" for `(batch, channels, steps)`;
            None for `config.image_data_format()`.
        dilation_rate: distance between the kernel's entries in the output, an integer.
        activation: function applied to the output, or its name; None for none.
        use_bias: whether a bias is added.
        kernel_initializer, bias_initializer: initializers of the weights, or their names.
        kernel_regularizer, bias_regularizer: penalties on the weights, added to the loss.
        kernel_constraint, bias_constraint: constraints applied to the weights after each optimizer step.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: an argument is out of range, output_padding is not below strides, or strides and dilation_rate are
            both above 1.
        ShapeError: in a call, if rank or channels do not match.

    References:
        V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep learning", 2016,
        https://arxiv.org/abs/1603.07285

    Example:
        >>> import numpy as np
        >>> from lamella.layers import Conv1DTranspose
        >>> layer = Conv1DTranspose(1, 2, strides=2, kernel_initializer="ones", use_bias=False)
        >>> layer(np.array([[[1.0], [2.0], [3.0]]])).ravel()
        array([1., 1., 2., 2., 3., 3.], dtype=float32)
    """

    spatial = 1


class Conv2DTranspose(ConvTranspose):
    """y = activation(transposed_convolution(x, kernel) + bias): a transposed convolution over images.

    Every input adds a copy of the kernel, scaled by it, to the output; copies of neighboring inputs are `strides`
    apart. This is the gradient of a convolution with respect to its input.

    Input shape `(batch, height, width, channels)`, output shape `(batch, new_height, new_width, filters)`; kernel
    `(*kernel_size, filters, channels)`, bias `(filters,)`.

    Args:
        filters: number of output channels.
        kernel_size: size of the window, an integer, or two of them, one per spatial dimension.
        strides: distance in the output between two neighboring inputs, an integer, or two of them, one per spatial
            dimension.
        padding: "valid" for (size - 1) * stride + max(kernel_size, stride) outputs, or "same" for size * stride.
        output_padding: number of outputs added at the end, below the stride; the outputs are then (size - 1) * stride +
            kernel_size + output_padding ("valid") or (size - 1) * stride + kernel_size % 2 + output_padding ("same").
            None for the sizes above.
        data_format: "channels_last" for `(batch, height, width, channels)` or "channels_first" for
            `(batch, channels, height, width)`; None for `config.image_data_format()`.
        dilation_rate: distance between the kernel's entries in the output, an integer, or two of them, one per spatial
            dimension.
        activation: function applied to the output, or its name; None for none.
        use_bias: whether a bias is added.
        kernel_initializer, bias_initializer: initializers of the weights, or their names.
        kernel_regularizer, bias_regularizer: penalties on the weights, added to the loss.
        kernel_constraint, bias_constraint: constraints applied to the weights after each optimizer step.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: an argument is out of range, output_padding is not below strides, or strides and dilation_rate are
            both above 1.
        ShapeError: in a call, if rank or channels do not match.

    References:
        V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep learning", 2016,
        https://arxiv.org/abs/1603.07285

    Example:
        >>> import numpy as np
        >>> from lamella.layers import Conv2DTranspose
        >>> layer = Conv2DTranspose(8, 3, strides=2, padding="same")
        >>> layer(np.ones((1, 4, 4, 16))).shape, layer.kernel.shape
        ((1, 8, 8, 8), (3, 3, 8, 16))
    """

    spatial = 2


class Conv3DTranspose(ConvTranspose):
    """y = activation(transposed_convolution(x, kernel) + bias): a transposed convolution over volumes.

    Every input adds a copy of the kernel, scaled by it, to the output; copies of neighboring inputs are `strides`
    apart. This is the gradient of a convolution with respect to its input.

    Input shape `(batch, depth, height, width, channels)`, output shape
    `(batch, new_depth, new_height, new_width, filters)`; kernel `(*kernel_size, filters, channels)`, bias `(filters,)`.

    Args:
        filters: number of output channels.
        kernel_size: size of the window, an integer, or three of them, one per spatial dimension.
        strides: distance in the output between two neighboring inputs, an integer, or three of them, one per spatial
            dimension.
        padding: "valid" for (size - 1) * stride + max(kernel_size, stride) outputs, or "same" for size * stride.
        output_padding: number of outputs added at the end, below the stride; the outputs are then (size - 1) * stride +
            kernel_size + output_padding ("valid") or (size - 1) * stride + kernel_size % 2 + output_padding ("same").
            None for the sizes above.
        data_format: "channels_last" for `(batch, depth, height, width, channels)` or "channels_first" for
            `(batch, channels, depth, height, width)`; None for `config.image_data_format()`.
        dilation_rate: distance between the kernel's entries in the output, an integer, or three of them, one per
            spatial dimension.
        activation: function applied to the output, or its name; None for none.
        use_bias: whether a bias is added.
        kernel_initializer, bias_initializer: initializers of the weights, or their names.
        kernel_regularizer, bias_regularizer: penalties on the weights, added to the loss.
        kernel_constraint, bias_constraint: constraints applied to the weights after each optimizer step.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: an argument is out of range, output_padding is not below strides, or strides and dilation_rate are
            both above 1.
        ShapeError: in a call, if rank or channels do not match.

    References:
        V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep learning", 2016,
        https://arxiv.org/abs/1603.07285

    Example:
        >>> import numpy as np
        >>> from lamella.layers import Conv3DTranspose
        >>> Conv3DTranspose(2, 2, strides=2)(np.ones((1, 2, 3, 3, 1))).shape
        (1, 4, 6, 6, 2)
    """

    spatial = 3

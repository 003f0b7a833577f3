"""Depthwise convolutions, and separable ones (depthwise, then a product over the channels)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from lamella.ir.types import Tensor


class Depthwise(Layer):
    """The base of depthwise and separable convolutions: the window, and one kernel per input channel.

    Each channel is convolved with `depth_multiplier` windows; output channel `c * depth_multiplier + m` belongs to
    input channel c.
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
        """Check the rank and the number of channels."""
        channels = channels_of(spec, self.spatial, self.data_format)
        if self.built and differ(channels, self.depthwise_weight().shape[-2]):
            raise ShapeError(
                f"expected {self.depthwise_weight().shape[-2]} channels, got {channels} "
                f"(input shape {public_shape(spec.shape)})."
            )

    def add_depthwise(self, input_shape: Shape, name: str) -> Any:
        """Make the depthwise kernel for inputs of `input_shape`."""
        channels = known_channels(input_shape, self.data_format)
        return self.add_field("depthwise", (*self.kernel_size, channels, self.depth_multiplier), name=name)

    def depthwise(self, x: Tensor) -> Tensor:
        """Each channel of x, channels last, convolved with its windows."""
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

    def mixed(self, x: Tensor) -> Tensor:
        """The step between the depthwise convolution and the bias."""
        return x

    def call(self, inputs: Tensor) -> Tensor:
        """activation(convolution of the inputs + bias)"""
        first = self.data_format == "channels_first"
        y = self.mixed(self.depthwise(channels_first_to_last(inputs) if first else inputs))
        if self.use_bias:
            y = ops.add(y, self.bias)
        return self.activation(channels_last_to_first(y) if first else y)


class DepthwiseConv(Depthwise):
    """y = activation(depthwise_convolution(x, kernel) + bias) over `spatial` dimensions: the base of two layers.

    Kernel `(*kernel_size, channels, depth_multiplier)`, bias `(channels * depth_multiplier,)`. The arguments are those
    of `DepthwiseConv2D`.
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

    def depthwise_weight(self) -> Tensor:
        """The kernel."""
        return self.kernel

    def build(self, input_shape: Shape) -> None:
        """Make kernel and bias."""
        self.kernel = self.add_depthwise(input_shape, "kernel")
        if self.use_bias:
            self.bias = self.add_field("bias", (self.kernel.shape[-2] * self.depth_multiplier,))


class SeparableConv(Depthwise):
    """y = activation(depthwise_convolution(x) @ pointwise_kernel + bias): the base of the two layers below.

    The arguments are those of `SeparableConv2D`.
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

    def depthwise_weight(self) -> Tensor:
        """The kernel of the depthwise step."""
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

    def mixed(self, x: Tensor) -> Tensor:
        """x @ pointwise_kernel, over the channels."""
        kernel = ops.convert_to_tensor(self.pointwise_kernel)
        return ops.matmul(x, ops.reshape(kernel, kernel.shape[-2:]))


class DepthwiseConv1D(DepthwiseConv):
    """y = activation(depthwise_convolution(x, kernel) + bias): each channel of sequences convolved separately.

    Input shape `(batch, steps, channels)`, output shape `(batch, new_steps, channels * depth_multiplier)`; kernel
    `(kernel_size, channels, depth_multiplier)`, bias `(channels * depth_multiplier,)`. Output channel
    `c * depth_multiplier + m` belongs to input channel c.

    Args:
        kernel_size: size of the window, an integer.
        strides: step of the window, an integer.
        padding: "valid" (no padding) or "same" (zeros, for ceil(size / stride) outputs).
        depth_multiplier: number of output channels per input channel.
        data_format: "channels_last" for `(batch, steps, channels)` or "channels_first" for `(batch, channels, steps)`;
            None for `config.image_data_format()`.
        dilation_rate: distance between the kernel's entries in the input, an integer.
        activation: function applied to the output, or its name; None for none.
        use_bias: whether a bias is added.
        depthwise_initializer, bias_initializer: initializers of the weights, or their names.
        depthwise_regularizer, bias_regularizer: penalties on the weights, added to the loss.
        depthwise_constraint, bias_constraint: constraints applied to the weights after each optimizer step.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: an argument is out of range.
        ShapeError: in a call, if rank or channels do not match, or the window does not fit into the input.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import DepthwiseConv1D
        >>> layer = DepthwiseConv1D(2, depthwise_initializer="ones")
        >>> layer(np.array([[[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]]])).tolist()
        [[[3.0, 30.0], [5.0, 50.0]]]
    """

    spatial = 1


class DepthwiseConv2D(DepthwiseConv):
    """y = activation(depthwise_convolution(x, kernel) + bias): each channel of images convolved separately.

    Input shape `(batch, height, width, channels)`, output shape
    `(batch, new_height, new_width, channels * depth_multiplier)`; kernel `(*kernel_size, channels, depth_multiplier)`,
    bias `(channels * depth_multiplier,)`. Output channel `c * depth_multiplier + m` belongs to input channel c.

    Args:
        kernel_size: size of the window, an integer, or two of them, one per spatial dimension.
        strides: step of the window, an integer, or two of them, one per spatial dimension.
        padding: "valid" (no padding) or "same" (zeros, for ceil(size / stride) outputs).
        depth_multiplier: number of output channels per input channel.
        data_format: "channels_last" for `(batch, height, width, channels)` or "channels_first" for
            `(batch, channels, height, width)`; None for `config.image_data_format()`.
        dilation_rate: distance between the kernel's entries in the input, an integer, or two of them, one per spatial
            dimension.
        activation: function applied to the output, or its name; None for none.
        use_bias: whether a bias is added.
        depthwise_initializer, bias_initializer: initializers of the weights, or their names.
        depthwise_regularizer, bias_regularizer: penalties on the weights, added to the loss.
        depthwise_constraint, bias_constraint: constraints applied to the weights after each optimizer step.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: an argument is out of range.
        ShapeError: in a call, if rank or channels do not match, or the window does not fit into the input.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import DepthwiseConv2D
        >>> layer = DepthwiseConv2D(3, depth_multiplier=2)
        >>> layer(np.ones((1, 5, 5, 4))).shape, layer.kernel.shape
        ((1, 3, 3, 8), (3, 3, 4, 2))
    """

    spatial = 2


class SeparableConv1D(SeparableConv):
    """y = activation(depthwise_convolution(x) @ pointwise_kernel + bias): a separable convolution over sequences.

    Input shape `(batch, steps, channels)`, output shape `(batch, new_steps, filters)`; depthwise_kernel
    `(kernel_size, channels, depth_multiplier)`, pointwise_kernel `(1, channels * depth_multiplier, filters)`, bias
    `(filters,)`.

    Args:
        filters: number of output channels.
        kernel_size: size of the window of the depthwise step, an integer.
        strides: step of that window, an integer.
        padding: "valid" (no padding) or "same" (zeros, for ceil(size / stride) outputs).
        data_format: "channels_last" for `(batch, steps, channels)` or "channels_first" for `(batch, channels, steps)`;
            None for `config.image_data_format()`.
        dilation_rate: distance between the entries of the depthwise kernel in the input, an integer.
        depth_multiplier: number of channels that the depthwise step makes per input channel.
        activation: function applied to the output, or its name; None for none.
        use_bias: whether a bias is added.
        depthwise_initializer, pointwise_initializer, bias_initializer: initializers of the weights, or their names.
        depthwise_regularizer, pointwise_regularizer, bias_regularizer: penalties on the weights, added to the loss.
        depthwise_constraint, pointwise_constraint, bias_constraint: constraints applied to the weights after each
            optimizer step.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: an argument is out of range.
        ShapeError: in a call, if rank or channels do not match, or the window does not fit into the input.

    References:
        F. Chollet, "Xception: deep learning with depthwise separable convolutions", 2016,
        https://arxiv.org/abs/1610.02357

    Example:
        >>> import numpy as np
        >>> from lamella.layers import SeparableConv1D
        >>> layer = SeparableConv1D(1, 2, depthwise_initializer="ones", pointwise_initializer="ones")
        >>> layer(np.array([[[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]]])).ravel()
        array([33., 55.], dtype=float32)
    """

    spatial = 1


class SeparableConv2D(SeparableConv):
    """y = activation(depthwise_convolution(x) @ pointwise_kernel + bias): a separable convolution over images.

    Input shape `(batch, height, width, channels)`, output shape `(batch, new_height, new_width, filters)`;
    depthwise_kernel `(*kernel_size, channels, depth_multiplier)`, pointwise_kernel
    `(1, 1, channels * depth_multiplier, filters)`, bias `(filters,)`.

    Args:
        filters: number of output channels.
        kernel_size: size of the window of the depthwise step, an integer, or two of them, one per spatial dimension.
        strides: step of that window, an integer, or two of them, one per spatial dimension.
        padding: "valid" (no padding) or "same" (zeros, for ceil(size / stride) outputs).
        data_format: "channels_last" for `(batch, height, width, channels)` or "channels_first" for
            `(batch, channels, height, width)`; None for `config.image_data_format()`.
        dilation_rate: distance between the entries of the depthwise kernel in the input, an integer, or two of them,
            one per spatial dimension.
        depth_multiplier: number of channels that the depthwise step makes per input channel.
        activation: function applied to the output, or its name; None for none.
        use_bias: whether a bias is added.
        depthwise_initializer, pointwise_initializer, bias_initializer: initializers of the weights, or their names.
        depthwise_regularizer, pointwise_regularizer, bias_regularizer: penalties on the weights, added to the loss.
        depthwise_constraint, pointwise_constraint, bias_constraint: constraints applied to the weights after each
            optimizer step.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: an argument is out of range.
        ShapeError: in a call, if rank or channels do not match, or the window does not fit into the input.

    References:
        F. Chollet, "Xception: deep learning with depthwise separable convolutions", 2016,
        https://arxiv.org/abs/1610.02357

    Example:
        >>> import numpy as np
        >>> from lamella.layers import SeparableConv2D
        >>> layer = SeparableConv2D(8, 3)
        >>> layer(np.ones((1, 5, 5, 4))).shape, [w.shape for w in layer.weights]
        ((1, 3, 3, 8), [(3, 3, 4, 1), (1, 1, 4, 8), (8,)])
    """

    spatial = 2

"""Further names of layers that Keras keeps.

The convolutions among them come from Keras 1, where the second and third arguments were the rows and columns of the kernel:
`Convolution2D(32, 3, 3)` makes a `Conv2D(32, (3, 3))`, with a `DeprecationWarning`. `CuDNNLSTM` and `CuDNNGRU` of Keras 2
were recurrent layers computed by one GPU kernel: they make an `LSTM`, and a `GRU` with `reset_after=True`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lamella.errors import ArgumentError
from lamella.layers.convolution import (
    Conv1D,
    Conv2D,
    Conv3D,
)
from lamella.layers.pooling import (
    AveragePooling1D,
    AveragePooling2D,
    AveragePooling3D,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalAveragePooling3D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    GlobalMaxPooling3D,
    MaxPooling1D,
    MaxPooling2D,
    MaxPooling3D,
)
from lamella.layers.recurrent import GRU, LSTM
from lamella.layers.separable import (
    SeparableConv1D,
    SeparableConv2D,
)
from lamella.layers.transposed import (
    Conv1DTranspose,
    Conv2DTranspose,
    Conv3DTranspose,
)
from lamella.names import deprecated

if TYPE_CHECKING:
    from lamella.ir.types import Identifier

AvgPool1D = AveragePooling1D
AvgPool2D = AveragePooling2D
AvgPool3D = AveragePooling3D
Convolution1D = Conv1D
Convolution1DTranspose = Conv1DTranspose
Convolution3DTranspose = Conv3DTranspose
GlobalAvgPool1D = GlobalAveragePooling1D
GlobalAvgPool2D = GlobalAveragePooling2D
GlobalAvgPool3D = GlobalAveragePooling3D
GlobalMaxPool1D = GlobalMaxPooling1D
GlobalMaxPool2D = GlobalMaxPooling2D
GlobalMaxPool3D = GlobalMaxPooling3D
MaxPool1D = MaxPooling1D
MaxPool2D = MaxPooling2D
MaxPool3D = MaxPooling3D
SeparableConvolution1D = SeparableConv1D


class Convolution2D(Conv2D):
    """`Conv2D` under its name in Keras 1: a call makes a `Conv2D`.

    `Convolution2D(filters, rows, columns)` still works, with a `DeprecationWarning`.

    Input and output shapes, errors and formula are those of `Conv2D`.

    Args:
        filters: number of output channels.
        kernel_size, strides, padding, data_format, dilation_rate, groups, activation, use_bias: as in `Conv2D`.
        kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer: as in `Conv2D`.
        kernel_constraint, bias_constraint: as in `Conv2D`.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Example:
        >>> from lamella.layers import Convolution2D
        >>> layer = Convolution2D(8, (3, 3))
        >>> type(layer).__name__, layer.kernel_size
        ('Conv2D', (3, 3))
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """A `Conv2D`."""
        return Conv2D(*args, **kwargs)


class Convolution3D(Conv3D):
    """`Conv3D` under its name in Keras 1: a call makes a `Conv3D`.

    `Convolution3D(filters, depth, rows, columns)` still works, with a `DeprecationWarning`.

    Input and output shapes, errors and formula are those of `Conv3D`.

    Args:
        filters: number of output channels.
        kernel_size, strides, padding, data_format, dilation_rate, groups, activation, use_bias: as in `Conv3D`.
        kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer: as in `Conv3D`.
        kernel_constraint, bias_constraint: as in `Conv3D`.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Example:
        >>> from lamella.layers import Convolution3D
        >>> layer = Convolution3D(8, (1, 3, 3))
        >>> type(layer).__name__, layer.kernel_size
        ('Conv3D', (1, 3, 3))
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """A `Conv3D`."""
        return Conv3D(*args, **kwargs)


class Convolution2DTranspose(Conv2DTranspose):
    """`Conv2DTranspose` under its name in Keras 1: a call makes a `Conv2DTranspose`.

    `Convolution2DTranspose(filters, rows, columns)` still works, with a `DeprecationWarning`.

    Input and output shapes, errors and formula are those of `Conv2DTranspose`.

    Args:
        filters: number of output channels.
        kernel_size, strides, padding, output_padding, data_format, dilation_rate, activation, use_bias: as in
            `Conv2DTranspose`.
        kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer: as in `Conv2DTranspose`.
        kernel_constraint, bias_constraint: as in `Conv2DTranspose`.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Example:
        >>> from lamella.layers import Convolution2DTranspose
        >>> layer = Convolution2DTranspose(8, (3, 3), strides=2)
        >>> type(layer).__name__, layer.kernel_size
        ('Conv2DTranspose', (3, 3))
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """A `Conv2DTranspose`."""
        return Conv2DTranspose(*args, **kwargs)


class Deconvolution2D(Conv2DTranspose):
    """`Conv2DTranspose` under its name in Keras 1: a call makes a `Conv2DTranspose`.

    `Deconvolution2D(filters, rows, columns, output_shape)` still works, with a `DeprecationWarning`.

    Input and output shapes, errors and formula are those of `Conv2DTranspose`.

    Args:
        filters: number of output channels.
        kernel_size, strides, padding, output_padding, data_format, dilation_rate, activation, use_bias: as in
            `Conv2DTranspose`.
        kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer: as in `Conv2DTranspose`.
        kernel_constraint, bias_constraint: as in `Conv2DTranspose`.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Example:
        >>> from lamella.layers import Deconvolution2D
        >>> layer = Deconvolution2D(8, (3, 3), strides=2)
        >>> type(layer).__name__, layer.kernel_size
        ('Conv2DTranspose', (3, 3))
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """A `Conv2DTranspose`."""
        return Conv2DTranspose(*args, **kwargs)


class SeparableConvolution2D(SeparableConv2D):
    """`SeparableConv2D` under its name in Keras 1: a call makes a `SeparableConv2D`.

    `SeparableConvolution2D(filters, rows, columns)` still works, with a `DeprecationWarning`.

    Input and output shapes, errors and formula are those of `SeparableConv2D`.

    Args:
        filters: number of output channels.
        kernel_size, strides, padding, data_format, dilation_rate, depth_multiplier, activation, use_bias: as in
            `SeparableConv2D`.
        depthwise_initializer, pointwise_initializer, bias_initializer: as in `SeparableConv2D`.
        depthwise_regularizer, pointwise_regularizer, bias_regularizer: as in `SeparableConv2D`.
        depthwise_constraint, pointwise_constraint, bias_constraint: as in `SeparableConv2D`.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Example:
        >>> from lamella.layers import SeparableConvolution2D
        >>> layer = SeparableConvolution2D(8, (3, 3))
        >>> type(layer).__name__, layer.kernel_size
        ('SeparableConv2D', (3, 3))
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """A `SeparableConv2D`."""
        return SeparableConv2D(*args, **kwargs)


class AtrousConvolution1D(Conv1D):
    """`Conv1D` under its name in Keras 1: a call makes a `Conv1D`.

    `atrous_rate=` means `dilation_rate=` and still works, with a `DeprecationWarning`.

    Input and output shapes, errors and formula are those of `Conv1D`.

    Args:
        filters: number of output channels.
        kernel_size, strides, padding, data_format, dilation_rate, groups, activation, use_bias: as in `Conv1D`.
        kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer: as in `Conv1D`.
        kernel_constraint, bias_constraint: as in `Conv1D`.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Example:
        >>> from lamella.layers import AtrousConvolution1D
        >>> layer = AtrousConvolution1D(8, 3, dilation_rate=2)
        >>> type(layer).__name__, layer.kernel_size
        ('Conv1D', (3,))
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """A `Conv1D`."""
        return Conv1D(*args, **kwargs)


class AtrousConvolution2D(Conv2D):
    """`Conv2D` under its name in Keras 1: a call makes a `Conv2D`.

    `AtrousConvolution2D(filters, rows, columns)` and `atrous_rate=` for `dilation_rate=` still work, with a
    `DeprecationWarning`.

    Input and output shapes, errors and formula are those of `Conv2D`.

    Args:
        filters: number of output channels.
        kernel_size, strides, padding, data_format, dilation_rate, groups, activation, use_bias: as in `Conv2D`.
        kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer: as in `Conv2D`.
        kernel_constraint, bias_constraint: as in `Conv2D`.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Example:
        >>> from lamella.layers import AtrousConvolution2D
        >>> layer = AtrousConvolution2D(8, (3, 3), dilation_rate=2)
        >>> type(layer).__name__, layer.kernel_size
        ('Conv2D', (3, 3))
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """A `Conv2D`."""
        return Conv2D(*args, **kwargs)


def CuDNNLSTM(  # noqa: N802 - a class in Keras 2
    units: int,
    kernel_initializer: Identifier = "glorot_uniform",
    recurrent_initializer: Identifier = "orthogonal",
    bias_initializer: Identifier = "zeros",
    unit_forget_bias: bool = True,
    kernel_regularizer: Identifier | None = None,
    recurrent_regularizer: Identifier | None = None,
    bias_regularizer: Identifier | None = None,
    activity_regularizer: Identifier | None = None,
    kernel_constraint: Identifier | None = None,
    recurrent_constraint: Identifier | None = None,
    bias_constraint: Identifier | None = None,
    return_sequences: bool = False,
    return_state: bool = False,
    go_backwards: bool = False,
    stateful: bool = False,
    time_major: bool = False,
    **kwargs: Any,
) -> LSTM:
    """Make an `LSTM`: the layer of Keras 2 for cuDNN, without dropout.

    Deprecated: write `LSTM`, whose shapes, formula and results are the same.

    Args:
        units: size of the states h and c and of the output.
        kernel_initializer: initializer of the kernel, or its name.
        recurrent_initializer: initializer of the recurrent kernel, or its name.
        bias_initializer: initializer of the bias, or its name.
        unit_forget_bias: whether the bias of the forget gate is initialized to 1.
        kernel_regularizer: penalty on the kernel, added to the loss.
        recurrent_regularizer: penalty on the recurrent kernel, added to the loss.
        bias_regularizer: penalty on the bias, added to the loss.
        activity_regularizer: penalty on the output, as in `Layer`.
        kernel_constraint: constraint applied to the kernel after each optimizer step.
        recurrent_constraint: constraint applied to the recurrent kernel after each optimizer step.
        bias_constraint: constraint applied to the bias after each optimizer step.
        return_sequences: whether to return the output of every step instead of the last.
        return_state: whether to return the last states h and c as well.
        go_backwards: whether to process the sequence in reverse.
        stateful: whether each batch starts with the states that the previous batch ended with.
        time_major: must be False: the batch is the first axis.
        **kwargs: `name`, `trainable`, `dtype` and `input_shape`, as in `Layer`.

    Returns:
        An `LSTM` layer.

    Raises:
        ArgumentError: `time_major` is True, or an argument is given that the cuDNN layer did not have, such as
            `dropout`.

    Example:
        >>> import warnings
        >>> from lamella.layers import CuDNNLSTM
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore", DeprecationWarning)
        ...     CuDNNLSTM(4, return_sequences=True).compute_output_shape((None, 3, 5))
        (None, 3, 4)
    """
    _check_cudnn("CuDNNLSTM", time_major, kwargs)
    return LSTM(
        units,
        kernel_initializer=kernel_initializer,
        recurrent_initializer=recurrent_initializer,
        bias_initializer=bias_initializer,
        unit_forget_bias=unit_forget_bias,
        kernel_regularizer=kernel_regularizer,
        recurrent_regularizer=recurrent_regularizer,
        bias_regularizer=bias_regularizer,
        activity_regularizer=activity_regularizer,
        kernel_constraint=kernel_constraint,
        recurrent_constraint=recurrent_constraint,
        bias_constraint=bias_constraint,
        return_sequences=return_sequences,
        return_state=return_state,
        go_backwards=go_backwards,
        stateful=stateful,
        **kwargs,
    )


def CuDNNGRU(  # noqa: N802 - a class in Keras 2
    units: int,
    kernel_initializer: Identifier = "glorot_uniform",
    recurrent_initializer: Identifier = "orthogonal",
    bias_initializer: Identifier = "zeros",
    kernel_regularizer: Identifier | None = None,
    recurrent_regularizer: Identifier | None = None,
    bias_regularizer: Identifier | None = None,
    activity_regularizer: Identifier | None = None,
    kernel_constraint: Identifier | None = None,
    recurrent_constraint: Identifier | None = None,
    bias_constraint: Identifier | None = None,
    return_sequences: bool = False,
    return_state: bool = False,
    go_backwards: bool = False,
    stateful: bool = False,
    time_major: bool = False,
    **kwargs: Any,
) -> GRU:
    """Make a `GRU` with `reset_after=True`: the layer of Keras 2 for cuDNN, without dropout.

    Deprecated: write `GRU`, whose shapes, formula and results are the same.

    Args:
        units: size of the state and of the output.
        kernel_initializer: initializer of the kernel, or its name.
        recurrent_initializer: initializer of the recurrent kernel, or its name.
        bias_initializer: initializer of the bias, or its name.
        kernel_regularizer: penalty on the kernel, added to the loss.
        recurrent_regularizer: penalty on the recurrent kernel, added to the loss.
        bias_regularizer: penalty on the bias, added to the loss.
        activity_regularizer: penalty on the output, as in `Layer`.
        kernel_constraint: constraint applied to the kernel after each optimizer step.
        recurrent_constraint: constraint applied to the recurrent kernel after each optimizer step.
        bias_constraint: constraint applied to the bias after each optimizer step.
        return_sequences: whether to return the output of every step instead of the last.
        return_state: whether to return the last state h as well.
        go_backwards: whether to process the sequence in reverse.
        stateful: whether each batch starts with the states that the previous batch ended with.
        time_major: must be False: the batch is the first axis.
        **kwargs: `name`, `trainable`, `dtype` and `input_shape`, as in `Layer`.

    Returns:
        A `GRU` layer.

    Raises:
        ArgumentError: `time_major` is True, or an argument is given that the cuDNN layer did not have, such as
            `dropout`.

    Example:
        >>> import warnings
        >>> from lamella.layers import CuDNNGRU
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore", DeprecationWarning)
        ...     CuDNNGRU(4, return_sequences=True).compute_output_shape((None, 3, 5))
        (None, 3, 4)
    """
    _check_cudnn("CuDNNGRU", time_major, kwargs)
    return GRU(
        units,
        kernel_initializer=kernel_initializer,
        recurrent_initializer=recurrent_initializer,
        bias_initializer=bias_initializer,
        kernel_regularizer=kernel_regularizer,
        recurrent_regularizer=recurrent_regularizer,
        bias_regularizer=bias_regularizer,
        activity_regularizer=activity_regularizer,
        kernel_constraint=kernel_constraint,
        recurrent_constraint=recurrent_constraint,
        bias_constraint=bias_constraint,
        return_sequences=return_sequences,
        return_state=return_state,
        go_backwards=go_backwards,
        stateful=stateful,
        reset_after=True,
        **kwargs,
    )


_NOT_IN_CUDNN = ("activation", "recurrent_activation", "use_bias", "dropout", "recurrent_dropout", "unroll")


def _check_cudnn(name: str, time_major: bool, kwargs: dict[str, Any]) -> None:
    """Warn that a layer of CuDNN is an alias, and refuse what CuDNN's one function did not have.

    Raises:
        ArgumentError: an argument is one of the layer that replaces it, or `time_major` is True.
    """
    today = name.removeprefix("CuDNN")
    for word in _NOT_IN_CUDNN:
        if word in kwargs:
            raise ArgumentError(f"{name}: it has no argument {word!r}; write {today}(units, {word}=...).")
    if time_major:
        raise ArgumentError(f"{name}: time_major must be False; put a Permute((2, 1)) before and after the layer.")
    deprecated(name, f"{today}, which is the same layer")

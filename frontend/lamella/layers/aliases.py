"""Other names of layers.

Keras keeps a second name of some layers. The convolutions among them are those of Keras 1, whose second and third
arguments were the rows and columns of the kernel: they make the layer of today, `Convolution2D(32, 3, 3)` a
`Conv2D(32, (3, 3))`, with a `DeprecationWarning`. `CuDNNLSTM` and `CuDNNGRU` of Keras 2 were the recurrent layers
as one kernel of GPUs computed them: they make an `LSTM`, and a `GRU` with `reset_after`.
"""

from __future__ import annotations

from typing import Any

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
    """`Conv2D`; `Convolution2D(filters, rows, columns)` keeps its meaning."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """A `Conv2D`."""
        return Conv2D(*args, **kwargs)


class Convolution3D(Conv3D):
    """`Conv3D`; `Convolution3D(filters, depth, rows, columns)` keeps its meaning."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """A `Conv3D`."""
        return Conv3D(*args, **kwargs)


class Convolution2DTranspose(Conv2DTranspose):
    """`Conv2DTranspose`; `Convolution2DTranspose(filters, rows, columns)` means a kernel of rows x columns."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """A `Conv2DTranspose`."""
        return Conv2DTranspose(*args, **kwargs)


class Deconvolution2D(Conv2DTranspose):
    """`Conv2DTranspose`; `Deconvolution2D(filters, rows, columns, output_shape)` keeps its meaning."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """A `Conv2DTranspose`."""
        return Conv2DTranspose(*args, **kwargs)


class SeparableConvolution2D(SeparableConv2D):
    """`SeparableConv2D`; `SeparableConvolution2D(filters, rows, columns)` keeps its meaning."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """A `SeparableConv2D`."""
        return SeparableConv2D(*args, **kwargs)


class AtrousConvolution1D(Conv1D):
    """`Conv1D`, with `atrous_rate` for `dilation_rate`."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """A `Conv1D`."""
        return Conv1D(*args, **kwargs)


class AtrousConvolution2D(Conv2D):
    """`Conv2D`, with `atrous_rate` for `dilation_rate`; `AtrousConvolution2D(filters, rows, columns)` is understood."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """A `Conv2D`."""
        return Conv2D(*args, **kwargs)


_CUDNN = (
    "kernel_initializer recurrent_initializer bias_initializer{} kernel_regularizer recurrent_regularizer bias_regularizer "
    "activity_regularizer kernel_constraint recurrent_constraint bias_constraint return_sequences return_state "
    "go_backwards stateful time_major"
)
_REFUSED = ("activation", "recurrent_activation", "use_bias", "dropout", "recurrent_dropout", "unroll")


def _cudnn(name: str, args: tuple[Any, ...], kwargs: dict[str, Any], more: str = "") -> dict[str, Any]:
    """The arguments of a layer of CuDNN by name, and a warning.

    Raises:
        TypeError: there are more than it takes.
        ArgumentError: one is none of that layer, which computed one function alone.
    """
    words = _CUDNN.format(more).split()
    if len(args) > len(words):
        raise TypeError(f"{name} takes at most {len(words) + 1} positional arguments, got {len(args) + 1}.")
    given = {**dict(zip(words, args, strict=False)), **kwargs}
    for word in _REFUSED:
        if word in given:
            raise ArgumentError(
                f"{name}: it has no argument {word!r}; write {name.removeprefix('CuDNN')}(units, {word}=...)."
            )
    if given.pop("time_major", False):
        raise ArgumentError(f"{name}: time_major must be False; put a Permute((2, 1)) before and after the layer.")
    deprecated(name, f"{name.removeprefix('CuDNN')}, which is the same layer")
    return given


def CuDNNLSTM(units: int, *args: Any, **kwargs: Any) -> LSTM:  # noqa: N802 - it was a class
    """An `LSTM`, as one kernel of GPUs computed it: with tanh, sigmoid and biases, and without dropout."""
    return LSTM(units, **_cudnn("CuDNNLSTM", args, kwargs, " unit_forget_bias"))


def CuDNNGRU(units: int, *args: Any, **kwargs: Any) -> GRU:  # noqa: N802 - it was a class
    """A `GRU`, as one kernel of GPUs computed it: with tanh, sigmoid and biases, `reset_after`, and without dropout."""
    return GRU(units, reset_after=True, **_cudnn("CuDNNGRU", args, kwargs))

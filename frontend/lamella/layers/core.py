"""Layers without structure in space or time: dense, activation, shape and dropout."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella import ops
from lamella.compat import modules
from lamella.errors import ShapeError
from lamella.graph import CALL
from lamella.ir import settings
from lamella.ir.declared import Declared, declared_by
from lamella.ir.dim import BATCH, Dim, differ, named_shape, public_shape, symbol
from lamella.ir.spec import Shape, Spec, dtype_name, size_of
from lamella.layers.attributes import ActivationAttribute
from lamella.layers.base import Layer
from lamella.layers.checks import fraction, layout, positive_integer
from lamella.layers.making import WeightFields
from lamella.names import deprecated

if TYPE_CHECKING:
    from lamella.ir.types import Tensor


class InputLayer(Layer):
    """The declaration of an input: shape and dtype. `Input` makes one and returns its value.

    A `Sequential` may begin with it; it is not listed among the model's layers.

    Args:
        shape: shape of one example, without the batch dimension; None for a dimension of any size.
        batch_size: the batch size, if it is fixed.
        dtype: dtype of the input; None for `config.floatx()`.
        batch_shape: shape with the batch dimension, instead of `shape`.
        name: the layer's name.
        input_shape: name of `shape` in Keras 2; deprecated.
        batch_input_shape: name of `batch_shape` in Keras 2; deprecated.

    Raises:
        ValueError: neither or both of `shape` and `batch_shape` are given.

    Example:
        >>> from lamella import Sequential
        >>> from lamella.layers import Dense, InputLayer
        >>> Sequential([InputLayer((3,)), Dense(2)]).output_shape
        (None, 2)
    """

    def __init__(
        self,
        shape: Sequence[int | None] | int | None = None,
        batch_size: int | None = None,
        dtype: Any = None,
        batch_shape: Sequence[int | None] | None = None,
        name: str | None = None,
        *,
        input_shape: Sequence[int | None] | int | None = None,
        batch_input_shape: Sequence[int | None] | None = None,
    ) -> None:
        super().__init__(name=name, dtype=None)
        if input_shape is not None:
            deprecated("'input_shape'", "'shape'")
            shape = input_shape
        if batch_input_shape is not None:
            deprecated("'batch_input_shape'", "'batch_shape'")
            batch_shape = batch_input_shape
        if (shape is None) == (batch_shape is None):
            raise ValueError("Input needs exactly one of `shape` (of one example) and `batch_shape` (with the batch).")
        if batch_shape is not None:
            dims = tuple(batch_shape)
        else:
            row = (shape,) if isinstance(shape, int | np.integer) else tuple(shape or ())
            dims = (batch_size, *row)
        self.batch_shape = tuple(None if d is None else int(d) for d in dims)
        self.input_dtype = None if dtype is None else dtype_name(dtype)
        self.built = True

    def get_config(self) -> dict[str, Any]:
        """Shape, dtype and name, under the names of Keras."""
        return {
            "batch_shape": list(self.batch_shape),
            "dtype": self.input_dtype,
            "sparse": False,
            "ragged": False,
            "name": self.name,
            "optional": False,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        """Make the declaration that `get_config` describes."""
        return cls(**{word: value for word, value in config.items() if word not in ("optional", "trainable")})

    def _further_config(self) -> dict[str, Any]:
        return {}

    def call(self, inputs: Any) -> Any:
        """The inputs as they are."""
        return inputs

    def value(self) -> Declared:
        """A new declared value of this shape and dtype; unknown sizes, except that of the batch, are new symbols."""
        dims = [
            d if d == symbol(BATCH) or not isinstance(d, Dim) else symbol(f"{d}_{next(_INPUTS)}")
            for d in named_shape(self.batch_shape)
        ]
        spec = Spec(tuple(dims), self.input_dtype or settings.floatx())
        return declared_by(CALL, (), {"layer": self, "arguments": ((), {})}, [spec])[0]


_INPUTS = itertools.count()


def Input(  # noqa: N802 - Keras's name
    shape: Sequence[int | None] | int | None = None,
    batch_size: int | None = None,
    dtype: Any = None,
    batch_shape: Sequence[int | None] | None = None,
    name: str | None = None,
) -> Declared:
    """Declare an input of a model: a symbolic value that layers, models and `lamella.ops` can be applied to.

    Args:
        shape: shape of one example, without the batch dimension; None for a dimension of any size.
        batch_size: the batch size, if it is fixed.
        dtype: dtype of the input; None for `config.floatx()`.
        batch_shape: shape with the batch dimension, instead of `shape`.
        name: name of the input, by which a dict of data can refer to it.

    Returns:
        The value. It may also be the first entry of a `Sequential`.

    Raises:
        ValueError: neither or both of `shape` and `batch_shape` are given.

    Example:
        >>> from lamella import Model
        >>> from lamella.layers import Dense, Input
        >>> x = Input((8,))
        >>> Model(x, Dense(1)(x)).output_shape
        (None, 1)
    """
    return InputLayer(shape, batch_size=batch_size, dtype=dtype, batch_shape=batch_shape, name=name).value()


class Dense(Layer):
    """y = activation(x @ kernel + bias), over the last axis.

    Input shape `(batch, ..., features)`, output shape `(batch, ..., units)`; kernel `(features, units)`, bias
    `(units,)`. A mask is passed on.

    Args:
        units: size of the last axis of the output.
        activation: function applied to the output, or its name; None for none.
        use_bias: whether a bias is added.
        kernel_initializer, bias_initializer: initializers of the weights, or their names.
        kernel_regularizer, bias_regularizer: penalties on the weights, added to the loss.
        kernel_constraint, bias_constraint: constraints applied to the weights after each optimizer step.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ShapeError: in a call, if the input has no axis besides the batch, or not the features the kernel was built for.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import Dense
        >>> layer = Dense(2, activation="relu", weights=[np.array([[1.0, -1.0]]), np.array([0.5, 0.0])])
        >>> layer(np.array([[3.0]]))
        array([[3.5, 0. ]], dtype=float32)
    """

    activation = ActivationAttribute()
    supports_masking = True
    casts_integers = True
    weight_fields = WeightFields(kernel="glorot_uniform", bias="zeros", activity_regularizer=True)

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units = positive_integer("units", units, self)
        self.activation = activation
        self.use_bias = bool(use_bias)

    def check_input(self, spec: Spec) -> None:
        """Check that there is an axis besides the batch, of the size that the kernel was built for."""
        if spec.ndim < 2:
            raise ShapeError(f"expected inputs of shape (batch, ..., features), got {public_shape(spec.shape)}.")
        if self.built and differ(spec.shape[-1], self.kernel.shape[0]):
            raise ShapeError(
                f"expected {self.kernel.shape[0]} features in the last axis, got {spec.shape[-1]} "
                f"(input shape {public_shape(spec.shape)})."
            )

    def build(self, input_shape: Shape) -> None:
        """Make the kernel (features, units) and the bias (units,)."""
        self.kernel = self.add_field("kernel", (input_shape[-1], self.units))
        if self.use_bias:
            self.bias = self.add_field("bias", (self.units,))

    def call(self, inputs: Any) -> Any:
        """activation(inputs @ kernel + bias)"""
        y = ops.matmul(inputs, self.kernel)
        if self.use_bias:
            y = ops.add(y, self.bias)
        return self.activation(y)


class Activation(Layer):
    """y = activation(x).

    Input shape `(batch, ...)`, output shape as that of the activation, usually the same. A mask is passed on.

    Args:
        activation: a function of one array, written in `lamella.ops`, or the name of one in `lamella.activations`.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        UnknownNameError: no activation has that name.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import Activation
        >>> Activation("relu")(np.array([[-1.0, 2.0]]))
        array([[0., 2.]], dtype=float32)
    """

    activation = ActivationAttribute()
    supports_masking = True

    def __init__(self, activation: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation = activation

    def call(self, inputs: Tensor) -> Tensor:
        """activation(inputs)"""
        return self.activation(inputs)


class Flatten(Layer):
    """Merge all axes after the batch into one, in row-major order with the channels last.

    Input shape `(batch, ...)`, output shape `(batch, features)`. With "channels_first" axis 1 is moved to the end
    before.

    Args:
        data_format: "channels_last" or "channels_first"; None for `config.image_data_format()`.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import Flatten
        >>> Flatten()(np.ones((2, 3, 4))).shape
        (2, 12)
    """

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = layout(data_format, self)

    def call(self, inputs: Any) -> Tensor:
        """The inputs as (batch, features)."""
        shape = inputs.shape
        if self.data_format == "channels_first" and len(shape) > 2:
            inputs = ops.moveaxis(inputs, 1, -1)
        return ops.reshape(inputs, (shape[0], size_of(shape[1:])))


class Reshape(Layer):
    """Reshape each example, in row-major order.

    Input shape `(batch, ...)`, output shape `(batch, *target_shape)`.

    Args:
        target_shape: shape of one example of the output, without the batch dimension; one entry may be -1 and is
            inferred.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: more than one entry is -1.
        ShapeError: in a call, if the number of elements does not match.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import Reshape
        >>> Reshape((-1, 2))(np.arange(4.0).reshape(1, 4))
        array([[[0., 1.],
                [2., 3.]]], dtype=float32)
    """

    def __init__(self, target_shape: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.target_shape = tuple(int(d) for d in target_shape)
        if self.target_shape.count(-1) > 1:
            raise ValueError(f"Reshape: at most one entry of target_shape may be -1, got {self.target_shape}.")

    def call(self, inputs: Tensor) -> Tensor:
        """The inputs as (batch, *target_shape)."""
        size = size_of(inputs.shape[1:])
        known = size_of(d for d in self.target_shape if d != -1)
        if differ(size % known, 0) if -1 in self.target_shape else differ(size, known):
            raise ShapeError(
                f"cannot reshape rows of shape {public_shape(inputs.shape[1:])} ({size} elements) to {self.target_shape}."
            )
        return ops.reshape(inputs, (inputs.shape[0], *[size // known if d == -1 else d for d in self.target_shape]))


class Dropout(Layer):
    """In training, zero a fraction `rate` of the entries and scale the rest by 1 / (1 - rate); otherwise the identity.

    Input and output shape `(batch, ...)`. The mask is drawn with `training=True`, which `fit` sets; `predict`,
    `evaluate` and a plain call leave the input unchanged. The draws depend on the seed of the model, the layer's path
    and the training step, and are the same on every backend; the rate is exact to 2**-17. A mask of the input is passed
    on.

    Args:
        rate: fraction of the entries to drop, from 0 to 1.
        noise_shape: shape of the dropout mask, if entries share a draw: 1 for an axis to broadcast along, None for the
            size of the input, such as `(None, 1, None)`.
        seed: makes the draws depend on this integer instead of the layer's path.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: `rate` is not between 0 and 1.

    References:
        N. Srivastava and others, "Dropout: a simple way to prevent neural networks from overfitting", Journal of
        Machine Learning Research 15, 2014, https://jmlr.org/papers/v15/srivastava14a.html

    Example:
        >>> import numpy as np
        >>> from lamella.layers import Dropout
        >>> layer, x = Dropout(0.5, seed=1), np.ones((1, 1000))
        >>> layer(x).mean().item(), sorted(set(layer(x, training=True)[0].tolist()))
        (1.0, [0.0, 2.0])
    """

    supports_masking = True

    def __init__(
        self, rate: float, noise_shape: Sequence[int | None] | None = None, seed: int | None = None, **kwargs: Any
    ):
        super().__init__(**kwargs)
        self.rate = fraction("rate", rate, self)
        self.noise_shape = None if noise_shape is None else tuple(noise_shape)
        self.seed = seed

    def mask_shape(self, inputs: Tensor) -> tuple[int, ...]:
        """The shape of the dropout mask for these inputs."""
        shape = tuple(inputs.shape)
        if self.noise_shape is None:
            return shape
        if len(self.noise_shape) != len(shape):
            raise ShapeError(f"noise_shape must have the {len(shape)} axes of the input, got {self.noise_shape}.")
        return tuple(d if n is None else n for n, d in zip(self.noise_shape, shape, strict=True))

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """The inputs; in training with a fraction of the entries dropped."""
        if not training or self.rate == 0.0:
            return inputs
        if self.rate == 1.0:
            return ops.zeros_like(inputs)
        kept = self.keep_mask(self.mask_shape(inputs), 1.0 - self.rate, seed=self.seed)
        return ops.where(kept, ops.multiply(inputs, 1.0 / (1.0 - self.rate)), 0.0)


if not TYPE_CHECKING:
    __getattr__ = modules.names_of_today(__name__)

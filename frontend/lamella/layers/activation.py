"""Activations as layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lamella import activations, ops
from lamella.errors import ShapeError
from lamella.ir.dim import differ, public_shape
from lamella.ir.spec import Shape, Spec
from lamella.layers.base import Layer
from lamella.layers.checks import integers, number
from lamella.layers.making import WeightFields

if TYPE_CHECKING:
    from lamella.ir.types import Tensor


class ReLU(Layer):
    """max(x, 0), with an optional maximum, threshold and gradient below it.

    y = max_value where x >= max_value, x where threshold <= x < max_value, negative_slope * (x - threshold) elsewhere.
    Input and output shape `(batch, ...)`. A mask is passed on.

    Args:
        max_value: the largest output, at least 0; None for no limit.
        negative_slope: factor below the threshold, at least 0.
        threshold: the threshold, at least 0.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: an argument is negative.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import ReLU
        >>> ReLU(max_value=6.0)(np.array([[-1.0, 3.0, 9.0]]))
        array([[0., 3., 6.]], dtype=float32)
    """

    supports_masking = True

    def __init__(
        self, max_value: float | None = None, negative_slope: float = 0.0, threshold: float = 0.0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if max_value is not None and max_value < 0:
            raise ValueError(f"ReLU: max_value must not be negative, got {max_value}.")
        if negative_slope is None or negative_slope < 0:
            raise ValueError(f"ReLU: negative_slope must not be negative, got {negative_slope}.")
        if threshold is None or threshold < 0:
            raise ValueError(f"ReLU: threshold must not be negative, got {threshold}.")
        self.max_value = None if max_value is None else float(max_value)
        self.negative_slope, self.threshold = float(negative_slope), float(threshold)

    def call(self, inputs: Tensor) -> Tensor:
        """The rectified inputs."""
        return activations.relu(
            inputs, negative_slope=self.negative_slope, max_value=self.max_value, threshold=self.threshold
        )


class LeakyReLU(Layer):
    """x where x >= 0, negative_slope * x elsewhere.

    Input and output shape `(batch, ...)`. A mask is passed on.

    Args:
        negative_slope: factor for negative inputs; 0.3 here and 0.2 in `activations.leaky_relu`, as in Keras.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: `negative_slope` is negative.

    References:
        A. L. Maas, A. Y. Hannun, A. Y. Ng, "Rectifier nonlinearities improve neural network acoustic models", ICML
        2013, https://ai.stanford.edu/~amaas/papers/relu_hybrid_icml2013_final.pdf

    Example:
        >>> import numpy as np
        >>> from lamella.layers import LeakyReLU
        >>> LeakyReLU(0.5)(np.array([[-2.0, 3.0]]))
        array([[-1.,  3.]], dtype=float32)
    """

    supports_masking = True
    casts_integers = True

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.negative_slope = number("negative_slope", negative_slope, self, minimum=0.0)

    def call(self, inputs: Tensor) -> Tensor:
        """The rectified inputs."""
        return activations.leaky_relu(inputs, negative_slope=self.negative_slope)


class PReLU(Layer):
    """max(x, 0) - alpha * max(-x, 0) with a trained alpha per entry of an example; the derivative at 0 is 0.

    Input and output shape `(batch, ...)`; alpha has the shape of an example, with size 1 along `shared_axes`. A mask is
    passed on.

    Args:
        alpha_initializer: initializer of the weight, or its name.
        alpha_regularizer: penalty on the weight, added to the loss.
        alpha_constraint: constraint applied to the weight after each optimizer step.
        shared_axes: axes (the batch is axis 0) along which entries share one alpha, such as (1, 2) for images.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: `shared_axes` holds something else than positive integers.
        ShapeError: in a call, if the input does not have the shape that alpha was made for.

    References:
        K. He, X. Zhang, S. Ren, J. Sun, "Delving deep into rectifiers", 2015, https://arxiv.org/abs/1502.01852

    Example:
        >>> import numpy as np
        >>> from lamella.initializers import Constant
        >>> from lamella.layers import PReLU
        >>> PReLU(Constant(0.25))(np.array([[-2.0, 3.0]]))
        array([[-0.5,  3. ]], dtype=float32)
    """

    supports_masking = True
    casts_integers = True
    weight_fields = WeightFields(alpha="Zeros")

    def __init__(
        self,
        *,
        shared_axes: int | Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        axes = () if shared_axes is None else (shared_axes,) if isinstance(shared_axes, int) else tuple(shared_axes)
        self.shared_axes = integers("shared_axes", axes, len(axes), self) if axes else ()

    def check_input(self, spec: Spec) -> None:
        """Check that the input has the shape that alpha was made for, except along shared axes."""
        if any(a >= spec.ndim for a in self.shared_axes):
            raise ShapeError(f"shared_axes {self.shared_axes} do not exist in shape {public_shape(spec.shape)}.")
        if self.built:
            expected = self.alpha.shape
            fits = spec.ndim == len(expected) + 1 and all(
                i in self.shared_axes or not differ(d, e)
                for i, (d, e) in enumerate(zip(spec.shape[1:], expected, strict=True), 1)
            )
            if not fits:
                raise ShapeError(f"alpha has shape {expected}, inputs have {public_shape(spec.shape)}.")

    def build(self, input_shape: Shape) -> None:
        """Make alpha, with the shape of an example and size 1 along shared axes."""
        self.alpha = self.add_field(
            "alpha", tuple(1 if i in self.shared_axes else d for i, d in enumerate(input_shape[1:], start=1))
        )

    def call(self, inputs: Tensor) -> Tensor:
        """The rectified inputs."""
        below = ops.multiply(ops.negative(self.alpha.value), ops.relu(ops.negative(inputs)))
        return ops.add(ops.relu(inputs), below)


class ELU(Layer):
    """x where x > 0, alpha * (exp(x) - 1) elsewhere; the derivative at 0 is alpha.

    Input and output shape `(batch, ...)`. A mask is passed on.

    Args:
        alpha: the negative of the limit for x to minus infinity.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: `alpha` is not a number.

    References:
        D.-A. Clevert, T. Unterthiner, S. Hochreiter, "Fast and accurate deep network learning by exponential linear
        units (ELUs)", 2015, https://arxiv.org/abs/1511.07289

    Example:
        >>> import numpy as np
        >>> from lamella.layers import ELU
        >>> ELU()(np.array([[-100.0, 2.0]]))
        array([[-1.,  2.]], dtype=float32)
    """

    supports_masking = True
    casts_integers = True

    def __init__(self, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alpha = number("alpha", alpha, self)

    def call(self, inputs: Tensor) -> Tensor:
        """The activated inputs."""
        return activations.elu(inputs, alpha=self.alpha)


class Softmax(Layer):
    """exp(x) / sum(exp(x)) over `axis`; entries whose mask is False get probability 0.

    Input and output shape `(batch, ...)`. A mask given to the call has the shape of the input, or one that broadcasts
    to it.

    Args:
        axis: the axis or axes that the probabilities sum to 1 over.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import Softmax
        >>> Softmax()(np.zeros((1, 4)), mask=np.array([[True, True, False, False]]))
        array([[0.5, 0.5, 0. , 0. ]], dtype=float32)
    """

    supports_masking = True
    casts_integers = True

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis if isinstance(axis, int) else tuple(axis)

    def call(self, inputs: Any, mask: Any = None) -> Tensor:
        """The probabilities."""
        if mask is not None:
            mask = ops.broadcast_to(ops.greater(mask, 0.5) if mask.dtype != "bool" else mask, inputs.shape)
            inputs = ops.where(mask, inputs, -30000.0 if inputs.dtype == "float16" else -1e9)
        if isinstance(self.axis, int):
            y = ops.softmax(inputs, self.axis)
        else:
            y = ops.exp(ops.subtract(inputs, ops.logsumexp(inputs, self.axis, keepdims=True)))
        return y if mask is None else ops.where(mask, y, 0.0)

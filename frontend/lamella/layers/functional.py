"""Merging layers as functions, and `serialize` and `deserialize` for layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lamella.core import registration, serialization
from lamella.layers import merging

if TYPE_CHECKING:
    from lamella.ir.types import Tensor


def add(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """x[0] + x[1] + ...: an `Add` layer applied to the inputs.

    Args:
        inputs: list of arrays or symbolic values, of shapes that broadcast.
        **kwargs: further arguments of `Add`, such as `name`.

    Returns:
        The output of the layer.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import add
        >>> add([np.ones((1, 2)), np.ones((1, 2))])
        array([[2., 2.]], dtype=float32)
    """
    return merging.Add(**kwargs)(inputs)


def average(inputs: Sequence[Any], **kwargs: Any) -> Tensor:
    """(x[0] + x[1] + ...) / n: an `Average` layer applied to the inputs.

    Args:
        inputs: list of arrays or symbolic values, of shapes that broadcast.
        **kwargs: further arguments of `Average`, such as `name`.

    Returns:
        The output of the layer.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import average
        >>> average([np.ones((1, 2)), np.zeros((1, 2))])
        array([[0.5, 0.5]], dtype=float32)
    """
    return merging.Average(**kwargs)(inputs)


def concatenate(inputs: Sequence[Any], axis: int = -1, **kwargs: Any) -> Any:
    """The inputs concatenated along `axis`: a `Concatenate` layer applied to them.

    Args:
        inputs: list of arrays or symbolic values, whose shapes differ only along `axis`.
        axis: the axis to join along.
        **kwargs: further arguments of `Concatenate`, such as `name`.

    Returns:
        The output of the layer.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import concatenate
        >>> concatenate([np.ones((1, 2)), np.zeros((1, 1))])
        array([[1., 1., 0.]], dtype=float32)
    """
    return merging.Concatenate(axis=axis, **kwargs)(inputs)


def dot(inputs: Sequence[Any], axes: int | Sequence[int] = -1, **kwargs: Any) -> Tensor:
    """The product of two inputs, summed over `axes`: a `Dot` layer applied to them.

    Args:
        inputs: list of two arrays or symbolic values.
        axes: the axis of both inputs to sum over, or a pair of one axis per input.
        **kwargs: further arguments of `Dot`, such as `normalize` and `name`.

    Returns:
        The output of the layer.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import dot
        >>> dot([np.ones((1, 3)), np.ones((1, 3))])
        array([[3.]], dtype=float32)
    """
    return merging.Dot(axes=axes, **kwargs)(inputs)


def maximum(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """The elementwise maximum: a `Maximum` layer applied to the inputs.

    Args:
        inputs: list of arrays or symbolic values, of shapes that broadcast.
        **kwargs: further arguments of `Maximum`, such as `name`.

    Returns:
        The output of the layer.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import maximum
        >>> maximum([np.ones((1, 2)), np.zeros((1, 2))])
        array([[1., 1.]], dtype=float32)
    """
    return merging.Maximum(**kwargs)(inputs)


def minimum(inputs: Sequence[Any], **kwargs: Any) -> Tensor:
    """The elementwise minimum: a `Minimum` layer applied to the inputs.

    Args:
        inputs: list of arrays or symbolic values, of shapes that broadcast.
        **kwargs: further arguments of `Minimum`, such as `name`.

    Returns:
        The output of the layer.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import minimum
        >>> minimum([np.ones((1, 2)), np.zeros((1, 2))])
        array([[0., 0.]], dtype=float32)
    """
    return merging.Minimum(**kwargs)(inputs)


def multiply(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """x[0] * x[1] * ...: a `Multiply` layer applied to the inputs.

    Args:
        inputs: list of arrays or symbolic values, of shapes that broadcast.
        **kwargs: further arguments of `Multiply`, such as `name`.

    Returns:
        The output of the layer.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import multiply
        >>> multiply([np.full((1, 2), 2.0), np.full((1, 2), 3.0)])
        array([[6., 6.]], dtype=float32)
    """
    return merging.Multiply(**kwargs)(inputs)


def subtract(inputs: Sequence[Any], **kwargs: Any) -> Tensor:
    """x[0] - x[1]: a `Subtract` layer applied to the inputs.

    Args:
        inputs: list of two arrays or symbolic values, of shapes that broadcast.
        **kwargs: further arguments of `Subtract`, such as `name`.

    Returns:
        The output of the layer.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import subtract
        >>> subtract([np.ones((1, 2)), np.zeros((1, 2))])
        array([[1., 1.]], dtype=float32)
    """
    return merging.Subtract(**kwargs)(inputs)


def _made(described: Any) -> Any:
    """The layer for a class name, or for a description that names no module."""
    return serialization.deserialize(
        {"class_name": described, "config": {}} if isinstance(described, str) else described
    )


serialize, deserialize = registration.for_module("keras.layers", _made)

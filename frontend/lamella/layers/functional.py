"""Layers called as functions: `add([x, y])` makes an `Add` and calls it. And the descriptions of layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lamella.core import registration, serialization
from lamella.layers import merging


def add(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """x[0] + x[1] + ...: an `Add` layer, called with the inputs.

    >>> import numpy as np
    >>> add([np.ones((1, 2)), np.ones((1, 2))]).tolist()
    [[2.0, 2.0]]

    Args:
        inputs: arrays or values of one shape, or of shapes that broadcast.
        **kwargs: arguments of the layer, as `name`.
    """
    return merging.Add(**kwargs)(inputs)


def average(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """(x[0] + x[1] + ...) / n: an `Average` layer, called with the inputs.

    >>> import numpy as np
    >>> average([np.ones((1, 2)), np.zeros((1, 2))]).tolist()
    [[0.5, 0.5]]

    Args:
        inputs: arrays or values of one shape, or of shapes that broadcast.
        **kwargs: arguments of the layer, as `name`.
    """
    return merging.Average(**kwargs)(inputs)


def concatenate(inputs: Sequence[Any], axis: int = -1, **kwargs: Any) -> Any:
    """The inputs one after the other: a `Concatenate` layer, called with them.

    >>> import numpy as np
    >>> concatenate([np.ones((1, 2)), np.zeros((1, 1))]).tolist()
    [[1.0, 1.0, 0.0]]

    Args:
        inputs: arrays or values whose shapes differ along `axis` alone.
        axis: the axis.
        **kwargs: arguments of the layer, as `name`.
    """
    return merging.Concatenate(axis=axis, **kwargs)(inputs)


def dot(inputs: Sequence[Any], axes: int | Sequence[int] = -1, **kwargs: Any) -> Any:
    """The product of two inputs, summed along `axes`: a `Dot` layer, called with them.

    >>> import numpy as np
    >>> dot([np.ones((1, 3)), np.ones((1, 3))]).tolist()
    [[3.0]]

    Args:
        inputs: two arrays or values.
        axes: the axis of both, or one of each.
        **kwargs: arguments of the layer, as `normalize`.
    """
    return merging.Dot(axes=axes, **kwargs)(inputs)


def maximum(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """The greatest entries: a `Maximum` layer, called with the inputs.

    >>> import numpy as np
    >>> maximum([np.ones((1, 2)), np.zeros((1, 2))]).tolist()
    [[1.0, 1.0]]

    Args:
        inputs: arrays or values of one shape, or of shapes that broadcast.
        **kwargs: arguments of the layer, as `name`.
    """
    return merging.Maximum(**kwargs)(inputs)


def minimum(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """The smallest entries: a `Minimum` layer, called with the inputs.

    >>> import numpy as np
    >>> minimum([np.ones((1, 2)), np.zeros((1, 2))]).tolist()
    [[0.0, 0.0]]

    Args:
        inputs: arrays or values of one shape, or of shapes that broadcast.
        **kwargs: arguments of the layer, as `name`.
    """
    return merging.Minimum(**kwargs)(inputs)


def multiply(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """x[0] * x[1] * ...: a `Multiply` layer, called with the inputs.

    >>> import numpy as np
    >>> multiply([np.full((1, 2), 2.0), np.full((1, 2), 3.0)]).tolist()
    [[6.0, 6.0]]

    Args:
        inputs: arrays or values of one shape, or of shapes that broadcast.
        **kwargs: arguments of the layer, as `name`.
    """
    return merging.Multiply(**kwargs)(inputs)


def subtract(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """x[0] - x[1]: a `Subtract` layer, called with the inputs.

    >>> import numpy as np
    >>> subtract([np.ones((1, 2)), np.ones((1, 2))]).tolist()
    [[0.0, 0.0]]

    Args:
        inputs: two arrays or values.
        **kwargs: arguments of the layer, as `name`.
    """
    return merging.Subtract(**kwargs)(inputs)


def _made(described: Any) -> Any:
    """The layer of a class name, or of a description that names no module."""
    return serialization.deserialize(
        {"class_name": described, "config": {}} if isinstance(described, str) else described
    )


serialize, deserialize = registration.for_module("keras.layers", _made)

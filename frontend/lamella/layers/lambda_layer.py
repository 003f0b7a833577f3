"""Layers that return their inputs, or a function of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lamella import tree
from lamella.errors import ShapeError
from lamella.ir.dim import differ, public_shape
from lamella.layers.base import Layer

if TYPE_CHECKING:
    from lamella.ir.types import Tensor


class Identity(Layer):
    """y = x.

    Input and output of any shape. A mask is passed on.

    Args:
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import Identity
        >>> Identity()(np.array([[1.0, 2.0]]))
        array([[1., 2.]], dtype=float32)
    """

    supports_masking = True

    def call(self, inputs: Tensor) -> Tensor:
        """The inputs as they are."""
        return inputs


class Lambda(Layer):
    """y = function(x, **arguments): a function written in `lamella.ops` as a layer.

    The function receives `training` and `mask` if it has parameters of that name. For a layer with weights, or one to
    be saved, write a subclass of `Layer` instead.

    Args:
        function: function of the input, written in `lamella.ops`.
        output_shape: shape of one example of the output, or a function from the shape of the input (or inputs), batch
            first, to that of the output. Not needed; if it is given, the output is checked against it.
        mask: mask of the output, or a function `(inputs, mask)` that returns it; None for no mask.
        arguments: keyword arguments of the function, as a dict.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        TypeError: `function` is not callable.
        ShapeError: in a call, if the output does not have the shape `output_shape`.

    Example:
        >>> import numpy as np
        >>> from lamella import ops
        >>> from lamella.layers import Lambda
        >>> Lambda(lambda x, power: ops.power(x, power), arguments={"power": 2.0})(np.array([[3.0]]))
        array([[9.]], dtype=float32)
    """

    def __init__(
        self,
        function: Callable[..., Any],
        output_shape: Sequence[int] | Callable[[Any], Sequence[int]] | None = None,
        mask: Any = None,
        arguments: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not callable(function):
            raise TypeError(f"Lambda: function must be callable, got {type(function).__name__}.")
        self.function = function
        self.output_shape = output_shape
        self.mask = mask
        self.supports_masking = mask is not None
        self.arguments = dict(arguments or {})
        self._takes = frozenset(inspect.signature(function).parameters)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """`mask`, or its result if it is a function."""
        return self.mask(inputs, mask) if callable(self.mask) else self.mask

    def call(self, inputs: Tensor, mask: Any = None, training: bool | None = None) -> Tensor:
        """function(inputs, **arguments)"""
        given = {name: value for name, value in (("mask", mask), ("training", training)) if name in self._takes}
        outputs = self.function(inputs, **{**self.arguments, **given})
        if self.output_shape is not None:
            self._check_output(inputs, outputs)
        return outputs

    def _check_output(self, inputs: Any, outputs: Tensor) -> None:
        declared: Any = self.output_shape
        if callable(declared):
            shapes: Any = tree.map_leaves(lambda x: tuple(x.shape), inputs)
            expected: tuple[Any, ...] = tuple(declared(shapes))  # pyright: ignore[reportArgumentType]
        else:
            expected = (next(iter(tree.leaves(inputs))).shape[0], *declared)
        found = tuple(outputs.shape)
        if len(found) != len(expected) or any(
            e is not None and differ(f, e) for f, e in zip(found, expected, strict=True)
        ):
            raise ShapeError(f"the function must return output_shape {expected}, got shape {public_shape(found)}.")

"""Layers that hand their inputs on, or hand them to a function."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lamella import tree
from lamella.errors import ShapeError
from lamella.ir.dim import differ, public_shape
from lamella.layers.base import Layer


class Identity(Layer):
    """y = x."""

    supports_masking = True

    def call(self, inputs: Any) -> Any:
        """The inputs as they are."""
        return inputs


class Lambda(Layer):
    """y = function(x, **arguments): a function of `lamella.ops` as a layer.

    The function may also take `training` and `mask`, which are then given to it. A layer with weights, or one to be
    written to a file, is better a subclass of `Layer`.

    Args:
        function: what to compute, written in `lamella.ops`.
        output_shape: the shape of a row of the output, or a function of the input's shape (batch first), or of those of
            several inputs, that returns the output's. It is not needed; where it is given the output must have it.
        mask: the mask of the output, or a function of (inputs, mask) that makes it; None: the output has none.
        arguments: keyword arguments for the function.
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
        """What `mask` says."""
        return self.mask(inputs, mask) if callable(self.mask) else self.mask

    def call(self, inputs: Any, mask: Any = None, training: bool | None = None) -> Any:
        """function(inputs, **arguments)"""
        given = {name: value for name, value in (("mask", mask), ("training", training)) if name in self._takes}
        outputs = self.function(inputs, **{**self.arguments, **given})
        if self.output_shape is not None:
            self._check_output(inputs, outputs)
        return outputs

    def _check_output(self, inputs: Any, outputs: Any) -> None:
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
            raise ShapeError(f"output_shape says {expected}, the function returned shape {public_shape(found)}.")

"""A dense layer whose product is an einsum equation."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lamella import initializers, ops
from lamella.errors import ShapeError
from lamella.ir.dim import public_shape
from lamella.ir.spec import Shape, Spec
from lamella.layers.attributes import ActivationAttribute
from lamella.layers.base import Layer
from lamella.layers.checks import integers
from lamella.layers.making import WeightFields

if TYPE_CHECKING:
    from lamella.ir.types import Tensor

_LETTERS = re.compile(
    r"(?P<left>\.\.\.)?(?P<x>[a-zA-Z]+)(?P<right>\.\.\.)?,(?P<kernel>[a-zA-Z]+)->(\.\.\.)?(?P<y>[a-zA-Z]+)(\.\.\.)?"
)


class EinsumDense(Layer):
    """y = activation(einsum(equation, x, kernel) + bias).

    The kernel has one axis per letter in its part of the equation. The bias has the axes of the output from the first
    letter of `bias_axes` on, with size 1 for letters that are not in `bias_axes`.

    Args:
        equation: "inputs,kernel->outputs" with one letter per axis, such as "abc,cd->abd" for a `Dense` over the last
            axis; the first letter of inputs and outputs is the batch. "..." at the beginning ("...x,xy->...y") or end
            ("ab...,bc->ac...") of inputs and outputs stands for further axes.
        output_shape: shape of one example of the output, without the axes of "..."; None entries are taken from the
            input.
        activation: function applied to the output, or its name; None for none.
        bias_axes: letters of the output along which the bias varies, as one string; None for no bias.
        kernel_initializer, bias_initializer: initializers of the weights, or their names.
        kernel_regularizer, bias_regularizer: penalties on the weights, added to the loss.
        kernel_constraint, bias_constraint: constraints applied to the weights after each optimizer step.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: the equation cannot be parsed, or a bias axis is not an axis of the output.
        ShapeError: when the layer is built, if a letter has two sizes, or the size of a kernel axis is unknown.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import EinsumDense
        >>> layer = EinsumDense("abc,cde->abde", output_shape=(None, 2, 4), bias_axes="de")
        >>> layer(np.ones((1, 3, 8))).shape, [w.shape for w in layer.weights]
        ((1, 3, 2, 4), [(8, 2, 4), (2, 4)])
    """

    activation = ActivationAttribute()
    casts_integers = True
    weight_fields = WeightFields(kernel="glorot_uniform", bias="zeros")
    kernel_initializer: Any

    def __init__(
        self,
        equation: str,
        output_shape: int | Sequence[int | None],
        activation: Any = None,
        bias_axes: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.equation = equation
        found = _LETTERS.fullmatch(equation.replace(" ", "")) if isinstance(equation, str) else None
        if found is None or (found["left"] and found["right"]):
            raise ValueError(
                f"EinsumDense: equation must read 'ab,bc->ac', '...b,bc->...c' or 'ab...,bc->ac...', got {equation!r}."
            )
        self._x, self._kernel, self._y = found["x"], found["kernel"], found["y"]
        self._dots = "left" if found["left"] else "right" if found["right"] else ""
        given = (output_shape,) if isinstance(output_shape, int) else tuple(output_shape)
        integers("output_shape", tuple(d for d in given if d is not None), sum(d is not None for d in given), self)
        self.output_shape = given
        self.activation = activation
        self.bias_axes = bias_axes
        for letter in bias_axes or "":
            if letter not in self._y:
                raise ValueError(
                    f"EinsumDense: bias axis must be one of the axes {self._y!r} of the output, got {letter!r}."
                )

    def check_input(self, spec: Spec) -> None:
        """Check that there are as many axes as the equation names."""
        extra = spec.ndim - len(self._x)
        if extra < 0 or (extra > 0 and not self._dots):
            raise ShapeError(f"{self.equation!r} does not describe inputs of shape {public_shape(spec.shape)}.")

    def sizes(self, input_shape: Shape) -> tuple[dict[str, Any], int]:
        """The size of every letter, and how many axes "..." stands for.

        Raises:
            ShapeError: a letter has two sizes, or no known size.
        """
        extra = len(input_shape) - len(self._x)
        named = input_shape[extra:] if self._dots == "left" else input_shape[: len(self._x)]
        sizes: dict[str, Any] = dict(zip(self._x, named, strict=True))
        # after leading dots the first letter is not the batch, but an axis that output_shape describes
        batch = () if self._dots == "left" and extra > 0 else (input_shape[0],)
        outputs = (*batch, *self.output_shape)
        if len(outputs) != len(self._y):
            raise ShapeError(f"output_shape {self.output_shape} does not fit the outputs of {self.equation!r}.")
        for letter, size in zip(self._y, outputs, strict=True):
            known = sizes.get(letter)
            if known is not None and size is not None and known != size:
                raise ShapeError(
                    f"{self.equation!r}: axis {letter!r} has size {known} in the input and {size} in the output."
                )
            sizes[letter] = size if known is None else known
        missing = [c for c in self._kernel if sizes.get(c) is None]
        if missing:
            at = f" (axis {self._x.index(missing[0]) + max(extra, 0)} of the inputs)" if missing[0] in self._x else ""
            raise ShapeError(
                f"{self.equation!r}: the kernel needs the size of {missing[0]!r}{at}, which is None: "
                f"inputs of shape {tuple(input_shape)}."
            )
        return sizes, extra

    def build(self, input_shape: Shape) -> None:
        """Make kernel and bias."""
        sizes, extra = self.sizes(input_shape)
        initializer = self.kernel_initializer
        if isinstance(initializer, initializers.VarianceScaling) and None in (
            initializer.input_axes,
            initializer.output_axes,
        ):
            initializer = copy.copy(initializer)
            initializer.output_axes = [i for i, c in enumerate(self._kernel) if c in self._y]
            initializer.input_axes = [i for i, c in enumerate(self._kernel) if c not in self._y]
        self.kernel = self.add_field("kernel", tuple(sizes[c] for c in self._kernel), initializer=initializer)
        if self.bias_axes is not None:
            first = min(self._y.index(c) for c in self.bias_axes)
            shape = [sizes[c] if c in self.bias_axes else 1 for c in self._y[first:]]
            self.bias = self.add_field("bias", (*shape, *([1] * extra if self._dots == "right" else [])))

    def call(self, inputs: Tensor) -> Tensor:
        """activation(einsum(equation, inputs, kernel) + bias)"""
        y = ops.einsum(self.equation, inputs, self.kernel)
        if self.bias_axes is not None:
            y = ops.add(y, self.bias)
        return self.activation(y)

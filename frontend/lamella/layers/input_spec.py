"""The input specifications of user-defined layers: `self.input_spec = InputSpec(...)`, checked at every call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lamella import tree
from lamella.errors import ArgumentError, DTypeError, ShapeError
from lamella.ir.dim import differ, public_shape
from lamella.ir.spec import dtype_name, spec_of
from lamella.names import Name

if TYPE_CHECKING:
    from lamella.ir.types import Tensor


class InputSpec:
    """The rank, shape and dtype that a layer expects of an input.

    A layer that sets `self.input_spec = InputSpec(...)`, or a list of one per input, has its inputs checked at every
    call.

    Args:
        dtype: the dtype; None for any.
        shape: the shape with the batch dimension; None in it for any size.
        ndim: number of dimensions; `shape` implies it.
        max_ndim: largest number of dimensions.
        min_ndim: smallest number of dimensions.
        axes: {axis: size} for single axes; None for any size.
        allow_last_axis_squeeze: whether a last axis of size 1 may be missing or added.
        name: name of the input, for layers called with a dict.
        optional: whether the input may be None.

    Raises:
        ArgumentError: a key of `axes` is not an integer, or not below the number of dimensions.

    Example:
        >>> import numpy as np
        >>> from lamella.layers import InputSpec
        >>> spec = InputSpec(min_ndim=2, axes={-1: 3})
        >>> spec.check(0, np.ones((4, 2)))
        Traceback (most recent call last):
        ...
        lamella.errors.ShapeError: input 0: expected sizes along axes {-1: 3}, got shape (4, 2).
    """

    name: str = Name("an input", label=True)  # type: ignore[assignment]

    def __init__(
        self,
        dtype: Any = None,
        shape: Sequence[int | None] | None = None,
        ndim: int | None = None,
        max_ndim: int | None = None,
        min_ndim: int | None = None,
        axes: Mapping[int, int | None] | None = None,
        allow_last_axis_squeeze: bool = False,
        name: str | None = None,
        optional: bool = False,
    ) -> None:
        self.dtype = None if dtype is None else dtype_name(dtype)
        self.shape = None if shape is None else tuple(shape)
        self.ndim = ndim if shape is None else len(shape)
        self.max_ndim, self.min_ndim = max_ndim, min_ndim
        self.allow_last_axis_squeeze, self.name, self.optional = allow_last_axis_squeeze, name or "", optional
        if not all(isinstance(axis, int) for axis in axes or {}):
            raise ArgumentError(f"InputSpec: axes must be a dict whose keys are integers, got {axes!r}.")
        self.axes = dict(axes or {})
        most = self.ndim or max_ndim
        if most and self.axes and max(self.axes) >= most:
            raise ArgumentError(f"InputSpec: axes must be below {most}, the number of dimensions; got {self.axes}.")

    def check(self, number: int, x: Tensor) -> None:
        """Raise an error if an input does not match.

        Args:
            number: index of the input, for the message.
            x: the input, a value or an array.

        Raises:
            ShapeError: the shape does not match.
            DTypeError: the dtype does not match.
        """
        spec = spec_of(x)
        shape, ndim = spec.shape, len(spec.shape)
        expected = self.shape
        if self.allow_last_axis_squeeze:
            shape = shape[:-1] if shape and shape[-1] == 1 else shape
            expected = expected[:-1] if expected and expected[-1] == 1 else expected
        described = ""
        if self.ndim is not None and not self.allow_last_axis_squeeze and ndim != self.ndim:
            described = f"ndim={self.ndim}"
        elif self.max_ndim is not None and ndim > self.max_ndim:
            described = f"max_ndim={self.max_ndim}"
        elif self.min_ndim is not None and ndim < self.min_ndim:
            described = f"min_ndim={self.min_ndim}"
        elif any(not -ndim <= a < ndim or (d is not None and differ(spec.shape[a], d)) for a, d in self.axes.items()):
            described = f"sizes along axes {self.axes}"
        elif expected is not None and any(
            d is not None and differ(have, d) for have, d in zip(shape, expected, strict=False)
        ):
            described = f"shape={self.shape}"
        if described:
            raise ShapeError(f"input {number}: expected {described}, got shape {public_shape(spec.shape)}.")
        if self.dtype is not None and spec.dtype != self.dtype:
            raise DTypeError(f"input {number}: expected dtype={self.dtype}, got {spec.dtype}.")

    def get_config(self) -> dict[str, Any]:
        """The arguments, in the order of Keras."""
        names = ("dtype", "shape", "ndim", "max_ndim", "min_ndim", "axes", "optional")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> InputSpec:
        """Make the specification that `get_config` describes."""
        return cls(**config)

    def __repr__(self) -> str:
        given = {name: value for name, value in self.get_config().items() if value}
        return f"InputSpec({', '.join(f'{name}={value!r}' for name, value in given.items())})"


def check_inputs(layer: Any, inputs: Any) -> None:
    """Raise an error if inputs do not match the `input_spec` of a layer; those of models are checked by their layers.

    Args:
        layer: the layer, whose `input_spec` is None, an `InputSpec`, or one per input.
        inputs: the inputs of the call.

    Raises:
        ShapeError: a shape or the number of inputs does not match.
        DTypeError: a dtype does not match.
    """
    expected = vars(layer).get("input_spec", type(layer).input_spec)  # a model has a property of this name
    if expected is None or isinstance(expected, property):
        return
    specs = list(tree.leaves(expected)) if not isinstance(expected, list | tuple) else list(expected)
    if isinstance(inputs, dict) and all(spec.name in inputs for spec in specs):
        given = [inputs[spec.name] for spec in specs]
    else:
        given = list(inputs.values()) if isinstance(inputs, dict) else inputs
        given = list(given) if isinstance(given, list | tuple) else [given]
    if len(given) != len(specs):
        raise ShapeError(f"expected {len(specs)} inputs, one per entry of input_spec, got {len(given)}.")
    for number, (spec, x) in enumerate(zip(specs, given, strict=True)):
        if spec is not None and not (x is None and spec.optional):
            spec.check(number, x)

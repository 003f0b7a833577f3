"""Values that belong to no trace: what `Input` returns, and what layers and operations make of it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from lamella import tree
from lamella.errors import TraceError
from lamella.ir import limits
from lamella.ir.dim import Dim, public_shape
from lamella.ir.program import Equation, ForeignCallError, Op, Value
from lamella.ir.spec import Spec

if TYPE_CHECKING:
    from lamella.ir.types import Attribute

_NUMBERS = itertools.count()


class Declared(Value):
    """A value of a model that is being declared: it has a spec, what makes it, and no numbers.

    Attributes:
        maker: the equation that it is an output of.
        mask: the spec of the mask that travels with it, or None.
        number: grows with each value that is made, so that it orders the equations as they were written.
    """

    __slots__ = ("maker", "mask", "number")

    def __init__(self, spec: Spec, maker: Equation, mask: Spec | None = None) -> None:
        super().__init__(spec)
        self.maker, self.mask = maker, mask
        self.number = next(_NUMBERS)

    @property
    def name(self) -> str:
        """The name of the layer that makes the value, or of the operation."""
        layer = self.maker.attrs.get("layer")
        return self.maker.op.name if layer is None else layer.name

    def __repr__(self) -> str:
        return f"<declared value {self.name!r}: {self.dtype} {public_shape(self.shape)}>"

    def _place(self) -> str:
        return "a model's declaration"

    def _refuse(self, what: str, instead: str) -> NoReturn:
        raise TraceError(f"{what} {self!r}, which has no numbers: it stands for what a model will be given. {instead}")

    def __len__(self) -> int:
        size = self.shape[0] if self.shape else None
        if not isinstance(size, int):
            self._refuse("`len` was asked of", "Its shape is in `.shape`.")
        return size

    def __bool__(self) -> bool:
        self._refuse("`if` or `while` looked at", "Use `lamella.ops.where(condition, a, b)`, or `ops.cond`.")

    def __float__(self) -> float:
        self._refuse("A number was asked of", "Compute with `lamella.ops` and with layers.")

    __int__ = __index__ = __float__

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        self._refuse(
            "A NumPy function was called on",
            "Use the function of the same name in `lamella.ops`, or put it in a layer.",
        )

    @property
    def __jax_array__(self) -> Any:
        raise ForeignCallError(
            f"A JAX function was called on {self!r}, which has no numbers. Use the function of the same name in "
            "`lamella.ops`, or put it in a layer."
        )

    __hash__ = Value.__hash__


def is_declared(arguments: Any) -> bool:
    """Whether a declared value is among the leaves of `arguments`."""
    return any(isinstance(leaf, Declared) for leaf in tree.leaves(arguments))


def refuse_variables(given: Sequence[Any], operands: Sequence[Any]) -> None:
    """Raise where one of the operands of a declared value was `given` as a variable.

    Raises:
        TraceError: it is named; outside a layer it would not be trained.
    """
    for x, operand in zip(given, operands, strict=True):
        if x is not operand:
            raise TraceError(
                f"{x!r} was used with a declared value, where it would not be trained. A variable belongs to a layer, which "
                "reads it in its `call`."
            )


def declared_by(
    op: Op,
    inputs: Sequence[Declared],
    attrs: dict[str, Any],
    specs: Iterable[Spec],
    masks: Iterable[Spec | None] | None = None,
) -> tuple[Declared, ...]:
    """The outputs, of `specs`, of a new equation that belongs to no trace."""
    limits.count_equation()
    specs = list(specs)
    equation = Equation(op, tuple(inputs), attrs, ())
    every = masks if masks is not None else [None] * len(specs)
    outputs = [Declared(spec, equation, mask) for spec, mask in zip(specs, every, strict=True)]
    equation.outputs = tuple(outputs)
    return tuple(outputs)


def has_free_size(values: Iterable[Attribute]) -> bool:
    """Whether one of some attributes depends on a dimension that is left free."""
    return any(isinstance(v, Dim) or (isinstance(v, tuple) and has_free_size(v)) for v in values)

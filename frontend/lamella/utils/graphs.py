"""Functions of symbolic values, which `Input` and layers return."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lamella.errors import DTypeError
from lamella.graph import CALL
from lamella.ir.declared import Declared


def is_keras_tensor(x: Any) -> bool:
    """Return whether `x` is a symbolic value: the result of `Input`, or of a layer called with one.

    Args:
        x: any object.

    Returns:
        A bool.

    Example:
        >>> from lamella.layers import Dense, Input
        >>> is_keras_tensor(Dense(2)(Input((3,)))), is_keras_tensor(1.0)
        (True, False)
    """
    return isinstance(x, Declared)


def get_source_inputs(tensor: Any) -> list[Any]:
    """Return the values of `Input` that a symbolic value is computed from.

    Args:
        tensor: the symbolic value.

    Returns:
        A list in which each input occurs once.

    Raises:
        DTypeError: `tensor` is not a symbolic value.

    Example:
        >>> from lamella.layers import Add, Dense, Input
        >>> a, b = Input((3,), name="a"), Input((3,), name="b")
        >>> [value.name for value in get_source_inputs(Add()([Dense(3)(a), b, a]))]
        ['a', 'b']
    """
    if not isinstance(tensor, Declared):
        raise DTypeError(f"get_source_inputs takes what Input or a layer returned, got {type(tensor).__name__}.")
    return origins([tensor])


def origins(outputs: Sequence[Any], stops: Sequence[Any] = ()) -> list[Any]:
    """Return the values that symbolic values are computed from: those in `stops`, and the values of `Input`.

    Args:
        outputs: the symbolic values.
        stops: symbolic values that are not traced back further.
    """
    found: dict[Declared, None] = {}
    seen: set[Declared] = set()
    ends = {*stops}  # by identity: `==` of two symbolic values is a third one
    waiting: list[Any] = [*reversed(outputs)]
    while waiting:
        value = waiting.pop()
        if value in seen:
            continue
        seen.add(value)
        if value in ends or (value.maker.op is CALL and not value.maker.inputs):
            found[value] = None
        else:
            waiting += reversed(value.maker.inputs)
    return list(found)

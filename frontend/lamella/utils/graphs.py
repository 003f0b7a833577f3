"""Questions about values that are declared by `Input` and by layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lamella.errors import DTypeError
from lamella.graph import CALL
from lamella.ir.declared import Declared


def is_keras_tensor(x: Any) -> bool:
    """Whether `x` is a declared value: what `Input`, or a layer called with one, returns.

    >>> from lamella.layers import Dense, Input
    >>> is_keras_tensor(Dense(2)(Input((3,)))), is_keras_tensor(1.0)
    (True, False)

    Args:
        x: anything.
    """
    return isinstance(x, Declared)


def get_source_inputs(tensor: Any) -> list[Any]:
    """The values of `Input` that a declared value is computed from, each once.

    >>> from lamella.layers import Add, Dense, Input
    >>> a, b = Input((3,), name="a"), Input((3,), name="b")
    >>> [value.name for value in get_source_inputs(Add()([Dense(3)(a), b, a]))]
    ['a', 'b']

    Args:
        tensor: the declared value.

    Raises:
        DTypeError: it is not a declared value.
    """
    if not isinstance(tensor, Declared):
        raise DTypeError(f"get_source_inputs takes what Input or a layer returned, got {type(tensor).__name__}.")
    return origins([tensor])


def origins(outputs: Sequence[Any], stops: Sequence[Any] = ()) -> list[Any]:
    """What declared values are computed from, each once: those of `stops`, and the values of `Input` that they depend on.

    Args:
        outputs: the declared values.
        stops: declared values that are not followed further.
    """
    found: dict[Declared, None] = {}
    seen: set[Declared] = set()
    ends = {*stops}  # values are told apart by identity: `==` makes another
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

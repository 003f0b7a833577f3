"""The columns of frames, which are matched by name to those of the frame that the model was trained on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella.errors import DataError

if TYPE_CHECKING:
    from lamella.training.protocol import TrainingModel

Columns = Mapping[str, tuple[str, ...]]
"""The names of the columns of "x" and "y", if they were frames, in the order of the model."""


def names_of(value: Any) -> tuple[str, ...] | None:
    """The names of a frame's columns; None if it is not a frame, or its columns are not named.

    >>> names_of(np.ones((2, 2))) is None
    True

    Args:
        value: anything; a frame is what has `columns` (pandas, polars), or `column_names` (Arrow). Names are text, and
            different: the numbers that pandas gives columns are places.
    """
    if isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    found = getattr(value, "column_names", None)
    if not isinstance(found, Sequence):
        found = getattr(value, "columns", None)
    if (
        found is None
        or isinstance(value, np.ndarray)
        or not hasattr(found, "__iter__")
        or not hasattr(found, "__len__")
    ):
        return None
    names = tuple(found)
    return names if all(isinstance(n, str) for n in names) and len(set(names)) == len(names) > 0 else None


def order_of(names: Sequence[str] | None, known: Sequence[str] | None, what: str) -> list[int] | None:
    """The order of a frame's columns that the model was trained on; None if it is their own order.

    >>> order_of(["width", "height"], ["height", "width"], "x")
    [1, 0]

    Args:
        names: the names of the frame's columns, None where it has none.
        known: those that the model was trained on, None where there were none.
        what: the name of the frame in error messages.

    Raises:
        DataError: some are missing, or are others.
    """
    if names is None or known is None or tuple(names) == tuple(known):
        return None
    missing, extra = [n for n in known if n not in set(names)], [n for n in names if n not in set(known)]
    if missing or extra:
        wrong = [f"lacks {_listed(missing)}"] * bool(missing) + [f"has {_listed(extra)} as well"] * bool(extra)
        raise DataError(
            f"{what} has other columns than the model was trained on: it {' and '.join(wrong)}. Expected "
            f"{_listed(list(known))}, in any order; arrays ({what.partition(' ')[0]}.to_numpy()) go by place."
        )
    places = {name: i for i, name in enumerate(names)}
    return [places[name] for name in known]


@contextmanager
def kept_on_success(model: TrainingModel) -> Iterator[None]:
    """Let a model forget the columns that it learns of inside, where that fails."""
    before = model._columns
    try:
        yield
    except BaseException:
        model._columns = before
        raise


def _listed(names: list[str]) -> str:
    shown = ", ".join(map(repr, names[:8]))
    return f"the column{'s' if len(names) > 1 else ''} {shown}{f' and {len(names) - 8} more' if len(names) > 8 else ''}"


__all__ = ["Columns", "kept_on_success", "names_of", "order_of"]

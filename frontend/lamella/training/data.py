"""Rows for `fit`, `evaluate` and `predict`: made into arrays, and checked before any work."""

from __future__ import annotations

import itertools
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella.errors import ArgumentError, DataError, ShapeError
from lamella.ir import settings
from lamella.ir.dim import BATCH, Dim, public_shape, shapes_differ, sizes_from
from lamella.ir.spec import Spec, dtype_name
from lamella.training.arrays import Array, StoredRows, as_array, as_rows
from lamella.training.columns import Columns, names_of, order_of

if TYPE_CHECKING:
    from lamella.training.objectives import Configuration
    from lamella.training.protocol import TrainingModel


class Data:
    """Rows of inputs, of targets and of weights, on the host: in memory, or to be read from where they are stored.

    Attributes:
        columns: the names of the columns, where the rows were taken from frames.
    """

    columns: Columns = MappingProxyType({})

    def __init__(self, x: Any, y: Any = None, sample_weight: Any = None) -> None:
        self.x, self.y, self.sample_weight = x, y, sample_weight

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self.x)

    @property
    def arrays(self) -> list[Any]:
        """The arrays that are there, x first."""
        return [a for a in (self.x, self.y, self.sample_weight) if a is not None]

    @property
    def sample(self) -> Data:
        """Rows as those that will be computed with."""
        return self

    @property
    def stored(self) -> bool:
        """Whether some of the rows are not in memory."""
        return any(isinstance(a, StoredRows) for a in self.arrays)

    @property
    def nbytes(self) -> int:
        """The bytes of all rows as arrays."""
        return sum(int(np.prod(a.shape)) * a.dtype.itemsize for a in self.arrays)

    @property
    def names(self) -> list[str]:
        """What the arrays are called."""
        named = (("x", self.x), ("y", self.y), ("sample_weight", self.sample_weight))
        return [name for name, a in named if a is not None]

    @property
    def row_specs(self) -> dict[str, Spec]:
        """The spec of one row of each array."""
        return {n: Spec(a.shape[1:], dtype_name(a.dtype)) for n, a in zip(self.names, self.arrays, strict=True)}

    def __getitem__(self, index: Any) -> Data:
        """Some of the rows: of a slice, as they are stored; of an index array, as arrays."""
        return Data(*[None if a is None else a[index] for a in (self.x, self.y, self.sample_weight)])


def prepare(
    model: TrainingModel,
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    class_weight: Any = None,
    *,
    what: str = "x",
    stored: bool = False,
) -> Data:
    """Arrays for a model, checked against its input; a model without an input shape is built for them.

    A vector for a model with one feature counts as a column. The columns of frames are put into the order that they had in
    training.

    Args:
        model: the model.
        x: inputs.
        y: targets.
        sample_weight: one weight a row, or one for each of its steps.
        class_weight: {class: weight}.
        what: what messages call x.
        stored: whether rows may stay where they are stored, to be read later.

    Raises:
        ValueError: empty, ragged or misshapen arrays, lengths that differ, or columns of other names.
        DTypeError: no numbers.
    """
    names = {"x": names_of(x), "y": names_of(y)}
    order = {key: order_of(found, model._columns.get(key), what if key == "x" else key) for key, found in names.items()}

    def taken(value: Any, what: str, key: str) -> Any:
        array = as_rows(value, what) if stored else as_array(value, what)
        return array if order[key] is None else array[:, order[key]]

    rows = taken(x, what, "x")
    if len(rows) == 0:
        raise ShapeError(f"{what} is empty: its shape is {rows.shape}. Give at least one row.")
    if rows.ndim == 1 and (not model.has_input_shape or (len(model.input_shape) == 2 and model.input_shape[1] == 1)):
        rows = rows.column() if isinstance(rows, StoredRows) else rows[:, None]
    if not model.built:
        model.build_for(Spec((min(len(rows), FIRST_BATCH), *rows.shape[1:]), dtype_name(rows.dtype)))
    model.check_batch(Spec(_any_batch(model, rows.shape), dtype_name(rows.dtype)))
    targets = None if y is None else taken(y, "y", "y")
    if targets is not None and len(targets) != len(rows):
        raise ShapeError(f"x has {len(rows)} rows and y has {len(targets)}; they must have one each for every example.")
    weights = _weights(model, sample_weight, class_weight, targets, rows)
    data = Data(rows, targets, weights)
    data.columns = {key: found for key, found in names.items() if found is not None}
    if settings.checks_nan():
        check_finite(data)
    return data


def free_specs(model: TrainingModel, data: Data) -> dict[str, Spec]:
    """The specs of a row of each array, with the dimensions free that the model leaves free.

    Those of targets and of weights are free where the model's predictions are.
    """
    declared = {"x": model.input_spec.shape[1:]}
    given = model.output_spec.shape[1:]
    return {
        name: Spec(
            tuple(
                free if isinstance(free, Dim) else d
                for d, free in itertools.zip_longest(spec.shape, declared.get(name, given)[: len(spec.shape)])
            ),
            spec.dtype,
        )
        for name, spec in data.row_specs.items()
    }


def is_finite(array: np.ndarray) -> bool:
    """Whether an array holds no NaN and no infinity.

    >>> is_finite(np.array([1.0, np.nan]))
    False
    """
    if array.dtype.kind != "f":
        return True
    with np.errstate(all="ignore"):
        flat = array.reshape(-1)
        # a product without a copy, which only what is not finite, or very large, takes out of the range
        return bool(np.isfinite(np.dot(flat, flat))) or bool(np.isfinite(array).all())


def check_finite(data: Data) -> None:
    """Raise where an array in memory holds a NaN or an infinity.

    Raises:
        ValueError: the array and the first such row are named.
    """
    for name, array in zip(data.names, data.arrays, strict=True):
        if isinstance(array, np.ndarray) and not is_finite(array):
            bad = int(np.argwhere(~np.isfinite(array).reshape(len(array), -1).all(1))[0, 0])
            raise DataError(f"{name} holds a NaN or an infinity, first in row {bad}.")


def _any_batch(model: TrainingModel, shape: tuple[int, ...]) -> tuple[int, ...]:
    fixed = model.input_shape[0]
    return shape if fixed is None else (fixed, *shape[1:])


def _weights(
    model: TrainingModel, sample_weight: Any, class_weight: Any, y: Array | None, x: Array
) -> np.ndarray | None:
    rows = len(x)
    if class_weight is not None:
        if sample_weight is not None:
            raise ArgumentError("give sample_weight or class_weight, not both.")
        if y is None:
            raise ArgumentError("class_weight needs targets y.")
        return class_weights(y, class_weight)
    if sample_weight is None:
        return None
    weights = as_array(sample_weight, "sample_weight").astype(np.float32, copy=False)
    if weights.shape == (rows, 1):
        weights = weights[:, 0]
    steps = _predictions(model, x).shape[1:]
    # predictions of rank 2 have one value a row: its weight is one number, too
    fits = not shapes_differ(weights.shape[1:], steps[: weights.ndim - 1])
    if len(weights) != rows or not fits or (weights.ndim > 1 and len(steps) < 2):
        also = f" (or {public_shape((rows, steps[0]))}, one a step)" if len(steps) > 1 else ""
        raise ShapeError(f"sample_weight needs one number a row, shape ({rows},){also}, got {weights.shape}.")
    return weights


_BLOCK = 65_536
FIRST_BATCH = 32
"""At most so many rows are the batch that a model is built for whose layers need its size: as many as `fit` takes."""


def class_weights(y: Array, class_weight: Any) -> np.ndarray:
    """The weight of each row's class, float32 (rows,): the largest entry of a one-hot row, or its number rounded.

    Raises:
        ShapeError: there are several labels a row.
        TypeError: `class_weight` is no dict.
    """
    if not isinstance(class_weight, dict):
        raise TypeError(f"class_weight is a dict {{class: weight}}, got {type(class_weight).__name__}.")
    if len(y.shape) > 2:
        raise ShapeError(
            f"class_weight is for one label a row, and y has shape {y.shape}; give sample_weight for sequences."
        )
    found = np.empty(len(y), np.float32)
    for at in range(0, len(y), _BLOCK):
        part = y[at : at + _BLOCK]
        values = part[np.arange(len(part))] if isinstance(part, StoredRows) else part
        if values.ndim > 1:
            values = values.argmax(-1) if values.shape[-1] > 1 else values[:, 0]
        labels, which = np.unique(np.round(values).astype(np.int64), return_inverse=True)
        table = np.array([float(class_weight.get(int(label), 1.0)) for label in labels], np.float32)
        found[at : at + len(values)] = table[which]
    return found


def _predictions(model: TrainingModel, x: Array) -> Spec:
    """The spec of the model's predictions for the rows `x`."""
    sizes = sizes_from([(model.input_spec.shape[1:], x.shape[1:])])
    return model.output_spec.at(sizes | {BATCH: len(x)})


def check_targets(model: TrainingModel, config: Configuration, data: Data) -> None:
    """Raise where the targets do not fit the loss and the model's predictions; before anything is computed.

    Raises:
        ValueError: what came, what was expected, and how to mend it.
    """
    if config.loss is None:
        return
    if data.y is None:
        raise ArgumentError(f"the model is compiled with the loss {config.loss.name!r}, which needs targets: give y.")
    prediction = _predictions(model, data.x)
    y = Spec((data.rows, *data.y.shape[1:]), dtype_name(data.y.dtype))
    try:
        config.loss.check(y, prediction, data.y)
    except (ValueError, TypeError) as error:
        last = list(model.children)[-1]
        raise type(error)(f"Model {model.name!r}, output of layer {last!r}: {error}") from None

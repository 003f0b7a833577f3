"""What `fit`, `evaluate` and `predict` are given, made into arrays with one row an example, and checked before any work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella.backend import to_numpy
from lamella.errors import DTypeError, ShapeError
from lamella.ir import settings
from lamella.ir.spec import DTYPES, Rows, Spec, numpy_dtype

if TYPE_CHECKING:
    from lamella.training.compiled import Compiled
    from lamella.training.model import TrainableModel


@dataclass(frozen=True)
class Data:
    """Rows of inputs, of targets and of weights, on the host."""

    x: np.ndarray
    y: np.ndarray | None = None
    sample_weight: np.ndarray | None = None

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self.x)

    @property
    def arrays(self) -> list[np.ndarray]:
        """The arrays that are there, x first."""
        return [a for a in (self.x, self.y, self.sample_weight) if a is not None]

    def __getitem__(self, index: slice) -> Data:
        """Some of the rows."""
        y = None if self.y is None else self.y[index]
        weight = None if self.sample_weight is None else self.sample_weight[index]
        return Data(self.x[index], y, weight)


def as_array(value: Any, what: str) -> np.ndarray:
    """`value` as a NumPy array of a dtype lamella computes with: float64 becomes `floatx`, int64 int32 where it fits.

    Raises:
        DTypeError: it holds no numbers.
    """
    if value is None or isinstance(value, dict | str) or callable(value):
        raise DTypeError(f"{what} is an array of numbers, got {'None' if value is None else type(value).__name__}.")
    try:
        array = to_numpy(value) if hasattr(value, "dtype") else np.asarray(value)
    except (ValueError, TypeError):
        raise ShapeError(f"{what} is no rectangular array of numbers: its rows differ in length.") from None
    if array.dtype.name not in DTYPES:
        raise DTypeError(f"{what} must hold numbers, got dtype {array.dtype}.")
    if array.ndim == 0:
        raise ShapeError(f"{what} needs one entry a row, got a single number.")
    return canonical(array, what)


def canonical(array: np.ndarray, what: str) -> np.ndarray:
    """The dtypes programs are traced with: one float dtype, and int32 for 64-bit integers.

    Raises:
        ValueError: an integer does not fit into int32.
    """
    kind, bits = DTYPES[array.dtype.name]
    if kind == "f":
        target = settings.floatx()
        return array if array.dtype.name == target else array.astype(numpy_dtype(target))
    if (kind in "iu" and bits > 32) or array.dtype.name == "uint32":
        if array.size and (array.min() < -(2**31) or array.max() >= 2**31):
            raise ShapeError(f"{what} holds integers beyond 32 bits.")
        return array.astype(np.int32)
    return array


def prepare(
    model: TrainableModel,
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    class_weight: Any = None,
    *,
    what: str = "x",
) -> Data:
    """Arrays for a model, checked against its input; a model without an input shape is built for them.

    A vector for a model with one feature counts as a column.

    Raises:
        ValueError: empty, ragged or misshapen arrays, or lengths that differ.
        DTypeError: no numbers.
    """
    rows = as_array(x, what)
    if len(rows) == 0:
        raise ShapeError(f"{what} is empty: its shape is {rows.shape}. Give at least one row.")
    if rows.ndim == 1 and (not model.has_input_shape or (len(model.input_shape) == 2 and model.input_shape[1] == 1)):
        rows = rows[:, None]
    if not model.built:
        model.build((None, *rows.shape[1:]))
    model.check_batch(Spec(_any_batch(model, rows.shape), rows.dtype.name))
    targets = None if y is None else as_array(y, "y")
    if targets is not None and len(targets) != len(rows):
        raise ShapeError(f"x has {len(rows)} rows and y has {len(targets)}; they must have one each for every example.")
    weights = _weights(sample_weight, class_weight, targets, len(rows))
    if settings.checks_nan():
        for name, array in (("x", rows), ("y", targets), ("sample_weight", weights)):
            if array is not None and array.dtype.kind == "f" and not np.isfinite(array).all():
                bad = int(np.argwhere(~np.isfinite(array).reshape(len(array), -1).all(1))[0, 0])
                raise ShapeError(f"{name} holds a NaN or an infinity, first in row {bad}.")
    return Data(rows, targets, weights)


def prepare_validation(model: TrainableModel, given: Any) -> Data:
    """The arrays of `validation_data`.

    Raises:
        ValueError: it is no pair or triple, or its arrays do not fit.
    """
    if not isinstance(given, tuple | list) or len(given) not in (2, 3):
        raise ShapeError("validation_data is (x, y) or (x, y, sample_weight).")
    return prepare(model, *given, what="x of validation_data")


def _any_batch(model: TrainableModel, shape: tuple[int, ...]) -> tuple[int, ...]:
    fixed = model.input_shape[0]
    return shape if fixed is None else (fixed, *shape[1:])


def _weights(sample_weight: Any, class_weight: Any, y: np.ndarray | None, rows: int) -> np.ndarray | None:
    if class_weight is not None:
        if sample_weight is not None:
            raise ShapeError("give sample_weight or class_weight, not both.")
        if y is None:
            raise ShapeError("class_weight needs targets y.")
        labels = y.argmax(-1) if y.ndim > 1 and y.shape[-1] > 1 else np.round(y.reshape(rows, -1)[:, 0]).astype(int)
        if labels.ndim > 1:
            raise ShapeError("class_weight is for one label a row; give sample_weight for sequences.")
        return np.array([float(class_weight.get(int(label), 1.0)) for label in labels], np.float32)
    if sample_weight is None:
        return None
    weights = as_array(sample_weight, "sample_weight")
    if weights.shape not in ((rows,), (rows, 1)):
        raise ShapeError(f"sample_weight needs one number a row, shape ({rows},), got {weights.shape}.")
    return weights.reshape(rows).astype(np.float32)


def check_targets(model: TrainableModel, compiled: Compiled, data: Data) -> None:
    """Raise where the targets do not fit the loss and the model's predictions; before anything is computed.

    Raises:
        ValueError: what came, what was expected, and how to mend it.
    """
    if compiled.loss is None:
        return
    if data.y is None:
        raise ShapeError(f"the model is compiled with the loss {compiled.loss.name!r}, which needs targets: give y.")
    out = model.output_spec
    rows = Rows(data.rows)
    prediction = Spec((rows, *[int(d) for d in out.shape[1:]]), out.dtype)
    y = Spec((rows, *data.y.shape[1:]), data.y.dtype.name)
    try:
        compiled.loss.check(y, prediction, data.y)
    except (ValueError, TypeError) as error:
        last = list(model.children)[-1]
        raise type(error)(f"Model {model.name!r}, output of layer {last!r}: {error}") from None


def split_validation(data: Data, fraction: float) -> tuple[Data, Data]:
    """The first rows for training and the last `fraction` for validation, as Keras splits.

    Raises:
        ValueError: one part would be empty.
    """
    if not 0 < fraction < 1:
        raise ShapeError(f"validation_split is a number between 0 and 1, got {fraction}.")
    # rounded before the floor: 10 rows and 0.9 leave one for training, not floor(0.99999)
    at = int(np.floor(round(data.rows * (1.0 - fraction), 6)))
    if at == 0 or at == data.rows:
        raise ShapeError(f"validation_split={fraction} of {data.rows} rows leaves one of the two parts empty.")
    return data[:at], data[at:]


def batches(rows: int, batch: int, order: np.ndarray | None) -> tuple[np.ndarray, int]:
    """An index matrix (full batches, batch) and the number of rows left over, in the given order."""
    index = np.arange(rows, dtype=np.int32) if order is None else order
    full = rows // batch
    return index[: full * batch].reshape(full, batch), rows - full * batch

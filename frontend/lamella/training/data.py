"""Rows for `fit`, `evaluate` and `predict`: converted to arrays, and checked before anything is computed."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella import tree
from lamella.core.structure import by_column, flattened, output_names
from lamella.errors import ArgumentError, DataError, ShapeError
from lamella.ir import settings
from lamella.ir.dim import BATCH, Dim, public_shape, shapes_differ, sizes_from
from lamella.ir.spec import Spec, dtype_name
from lamella.training.arrays import Array, StoredRows, as_array, as_rows, as_tree
from lamella.training.columns import Columns, names_of, order_of
from lamella.training.train_step import has_any_own_step

if TYPE_CHECKING:
    from lamella.training.configuration import Configuration
    from lamella.training.protocol import TrainingModel


class Data:
    """Rows of inputs, of targets and of weights, on the host: in memory, or to be read from where they are stored.

    Each of them is an array, or a structure (`lamella.tree`) of arrays, with one row per example.

    Attributes:
        arrays: all arrays, those of x first.
        names: their names: "x", or "x/a" and "x/0" for the entries of a dict and of a list.
        structure: that of `(x, y, sample_weight)`.
        columns: the names of the columns, where rows were taken from frames, by the array's name.
    """

    columns: Columns = MappingProxyType({})

    def __init__(self, x: Any, y: Any = None, sample_weight: Any = None) -> None:
        self.x, self.y, self.sample_weight = x, y, sample_weight
        parts = (x, y, sample_weight)
        self.arrays: list[Any] = [part for part in parts if part is not None]
        if all(map(isinstance, self.arrays, _PLAIN)):
            self.names, self.structure = _PLAIN_NAMES[y is None, sample_weight is None]
        else:
            self.arrays, self.structure = tree.flatten(parts)
            self.names = [name for part, what in zip(parts, _PARTS, strict=True) for name in tree.paths(part, what)]

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self.arrays[0])

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
    def row_specs(self) -> dict[str, Spec]:
        """The spec of one row of each array."""
        return {n: Spec(a.shape[1:], dtype_name(a.dtype)) for n, a in zip(self.names, self.arrays, strict=True)}

    def __getitem__(self, index: Any) -> Data:
        """Some of the rows: of a slice, as they are stored; of an index array, as arrays."""
        return Data(*tree.unflatten(self.structure, [a[index] for a in self.arrays]))


_PARTS = ("x", "y", "sample_weight")
_PLAIN = ((np.ndarray, StoredRows),) * len(_PARTS)
_PLAIN_NAMES = {
    missing: (
        [name for name, gone in zip(_PARTS, (False, *missing), strict=True) if not gone],
        tree.structure(tuple(None if gone else 0 for gone in (False, *missing))),
    )
    for missing in itertools.product((False, True), repeat=2)
}
"""Names and structure where x, y and the weights are arrays, by which of the last two are missing."""


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
    """Arrays for a model, checked against its inputs; a model without an input shape is built for them.

    A vector for an input with one feature counts as a column. The columns of frames are put into the order that they had in
    training.

    Args:
        model: the model.
        x: inputs, in their structure, or by name.
        y: targets, an array or a structure of arrays.
        sample_weight: one weight per row, or one per step of it; for several outputs a structure of them.
        class_weight: {class: weight}.
        what: the name of x in error messages.
        stored: whether rows may stay where they are stored, to be read later.

    Raises:
        ValueError: empty, ragged or misshapen arrays, structures that do not match, lengths that differ, or columns of
            other names.
        DTypeError: no numbers.
    """
    columns: dict[str, tuple[str, ...]] = {}

    def taken(value: Any, name: str) -> Array:
        names, order = names_of(value), None
        if names is not None:
            key = f"x{name.removeprefix(what)}" if name.startswith(what) else name
            columns[key], order = names, order_of(names, model._columns.get(key), name)
        array = as_rows(value, name) if stored else as_array(value, name)
        return array if order is None else array[:, order]

    rows = _inputs(model, x, what, taken)
    count = _row_count(rows, what)
    if not model.built:
        model.build_for(_batch_specs(rows, min(count, FIRST_BATCH)))
    model.check_batch(_batch_specs(rows, model.fixed_batch_size or count))
    targets = _targets(model, y, taken)
    for name, target in zip(tree.paths(targets, "y"), tree.leaves(targets), strict=True):
        if len(target) != count:
            raise ShapeError(
                f"x has {count} rows and {name} has {len(target)}; they must have one each for every example."
            )
    data = Data(rows, targets, _weights(model, sample_weight, class_weight, targets, rows, count))
    data.columns = columns
    if settings.checks_nan():
        check_finite(data)
    return data


def _batch_specs(rows: Any, size: int) -> Any:
    """The specs of a batch of `size` of the rows."""
    return tree.map_leaves(lambda a: Spec((size, *a.shape[1:]), dtype_name(a.dtype)), rows)


def _inputs(model: TrainingModel, x: Any, what: str, taken: Callable[[Any, str], Array]) -> Any:
    """The arrays of the inputs, in their structure where it is known, else in that of x."""
    if not model.has_input_shape:
        return as_tree(x, what, lambda value, name: _column(taken(value, name), None))
    specs, given = model.input_spec, model.arranged(x, what)
    if isinstance(specs, Spec):
        return _column(taken(given, what), specs)
    structure = tree.structure(specs)
    parts = zip(tree.leaves_up_to(structure, given), tree.paths(specs, what), tree.leaves(specs), strict=True)
    return tree.unflatten(structure, [_column(taken(part, name), spec) for part, name, spec in parts])


def _column(rows: Array, spec: Spec | None) -> Array:
    """`rows`, as a column where they are a vector and the input has one feature or is not known yet."""
    if rows.ndim == 1 and (spec is None or (len(spec.shape) == 2 and spec.shape[1] == 1)):
        return rows.column() if isinstance(rows, StoredRows) else rows[:, None]
    if spec is not None and len(spec.shape) == 1 and rows.ndim == 2 and rows.shape[1] == 1:
        return rows[np.arange(len(rows))][:, 0] if isinstance(rows, StoredRows) else rows[:, 0]
    return rows


def _row_count(rows: Any, what: str) -> int:
    """The number of rows, the same in every array.

    Raises:
        ShapeError: there are none, or an array has another number than the first.
    """
    names, arrays = tree.paths(rows, what), list(tree.leaves(rows))
    if not arrays:
        raise ShapeError(f"{what} holds no array.")
    for name, array in zip(names, arrays, strict=True):
        if len(array) == 0:
            raise ShapeError(f"{name} is empty: its shape is {array.shape}. Give at least one row.")
        if len(array) != len(arrays[0]):
            raise ShapeError(
                f"{names[0]} has {len(arrays[0])} rows and {name} has {len(array)}; they must have one for every example."
            )
    return len(arrays[0])


def _targets(model: TrainingModel, y: Any, taken: Callable[[Any, str], Array]) -> Any:
    """The arrays of the targets, in the structure they were given in."""
    if y is None:
        return None
    single = isinstance(model.output_spec, Spec)
    if single and not isinstance(y, dict) and not has_any_own_step(model):
        return taken(y, "y")
    if single:
        return as_tree(y, "y", taken)
    return as_tree(by_column(y), "y", taken, len(model.output_names))


def free_specs(model: TrainingModel, data: Data) -> dict[str, Spec]:
    """The specs of a row of each array, with the dimensions free that the model leaves free.

    Those of targets and of weights are free where the model's predictions are.
    """
    found = data.row_specs
    declared = dict(zip(tree.paths(data.x, "x"), tree.leaves(model.input_spec), strict=True))
    for part, what in ((data.y, "y"), (data.sample_weight, "sample_weight")):
        declared |= _outputs_by_name(model, part, what)
    return {
        name: Spec(
            tuple(
                free if isinstance(free, Dim) else d
                for d, free in itertools.zip_longest(spec.shape, declared[name].shape[1 : len(spec.shape) + 1])
            ),
            spec.dtype,
        )
        if name in declared
        else spec
        for name, spec in found.items()
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
        # the product needs no copy, and is not finite only if an entry is not finite or very large
        return bool(np.isfinite(np.dot(flat, flat))) or bool(np.isfinite(array).all())


def _outputs_by_name(model: TrainingModel, part: Any, what: str) -> dict[str, Any]:
    """The spec of the output that each array of targets or weights is for, by the array's name, as far as that is known."""
    names = tree.paths(part, what)
    specs = list(tree.leaves(model.output_spec))
    if len(specs) == 1 or len(names) == 1:
        return dict.fromkeys(names, specs[0])
    given = tree.unflatten(tree.structure(part), names)
    try:
        found = flattened(given, output_names(model), what, "output", partial=True)
    except ArgumentError:  # targets that a step of the user's own takes
        return {}
    return {name: spec for name, spec in zip(found, specs, strict=True) if name is not None}


def check_finite(data: Data) -> None:
    """Raise where an array in memory holds a NaN or an infinity.

    Raises:
        ValueError: the array and the first such row are named.
    """
    for name, array in zip(data.names, data.arrays, strict=True):
        if isinstance(array, np.ndarray) and not is_finite(array):
            bad = int(np.argwhere(~np.isfinite(array).reshape(len(array), -1).all(1))[0, 0])
            raise DataError(f"{name} holds a NaN or an infinity, first in row {bad}.")


def _weights(model: TrainingModel, sample_weight: Any, class_weight: Any, y: Any, x: Any, rows: int) -> Any:
    """The sample weights, one array for all outputs or a structure of them; or those that classes give to rows."""
    if class_weight is not None:
        if sample_weight is not None:
            raise ArgumentError("give sample_weight or class_weight, not both.")
        if y is None:
            raise ArgumentError("class_weight needs targets y.")
        targets = list(tree.leaves(y))
        if len(targets) > 1 or not isinstance(model.output_spec, Spec):
            raise ArgumentError(
                "class_weight is for a model with one output: give sample_weight, a list or dict with the weights of each "
                "output's rows."
            )
        return class_weights(targets[0], class_weight)
    if sample_weight is None:
        return None
    if isinstance(model.output_spec, Spec) and not isinstance(sample_weight, dict):
        weights = as_array(sample_weight, "sample_weight")
    else:
        weights = as_tree(by_column(sample_weight), "sample_weight", as_array, len(model.output_names))
    predictions = _outputs_by_name(model, weights, "sample_weight")
    sizes = _sizes(model, x, rows)
    named = zip(tree.paths(weights, "sample_weight"), tree.leaves(weights), strict=True)
    checked = [
        _fitting(array, name, predictions[name].at(sizes) if name in predictions else None, rows)
        for name, array in named
    ]
    return tree.unflatten(tree.structure(weights), checked)


def _fitting(weights: np.ndarray, name: str, prediction: Spec | None, rows: int) -> np.ndarray:
    """Weights that fit the predictions for `rows` rows: one per row, or one per step.

    Raises:
        ShapeError: they do not.
    """
    weights = weights.astype(np.float32, copy=False)
    if weights.shape == (rows, 1):
        weights = weights[:, 0]
    steps = weights.shape[1:] if prediction is None else prediction.shape[1:]
    # predictions of rank 2 have one value per row, so its weight is one number as well
    fits = not shapes_differ(weights.shape[1:], steps[: weights.ndim - 1])
    if len(weights) != rows or not fits or (weights.ndim > 1 and len(steps) < 2):
        also = f" (or {public_shape((rows, steps[0]))}, one per step)" if len(steps) > 1 else ""
        raise ShapeError(f"{name} needs one number per row, shape ({rows},){also}, got {weights.shape}.")
    return weights


_BLOCK = 65_536
FIRST_BATCH = 32
"""The largest batch that a model is built for if its layers need the size: the default batch size of `fit`."""


def class_weights(y: Array, class_weight: Any) -> np.ndarray:
    """The weight of each row's class, float32 (rows,): the largest entry of a one-hot row, or its number rounded.

    Raises:
        ShapeError: there are several labels per row.
        TypeError: `class_weight` is not a dict.
    """
    if not isinstance(class_weight, dict):
        raise TypeError(f"class_weight is a dict {{class: weight}}, got {type(class_weight).__name__}.")
    if len(y.shape) > 2:
        raise ShapeError(
            f"class_weight is for one label per row, and y has shape {y.shape}; give sample_weight for sequences."
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


def _sizes(model: TrainingModel, x: Any, rows: int) -> dict[str, Any]:
    """The sizes that the rows `x` give to what the model leaves free."""
    specs = zip(tree.leaves(model.input_spec), tree.leaves(x), strict=True)
    return sizes_from([(spec.shape[1:], a.shape[1:]) for spec, a in specs]) | {BATCH: rows}


def check_targets(model: TrainingModel, config: Configuration, data: Data) -> None:
    """Check that the targets fit the losses and the model's predictions, before anything is computed.

    Raises:
        ValueError: they do not.
    """
    if has_any_own_step(model):
        return  # a user-defined step determines how targets are used
    names = output_names(model)
    labels = list(tree.leaves(names))
    terms = config.objective.terms(names)
    targets = config.objective.targets(data.y, names)
    missing = [labels[i] for i in config.objective.measured(names) if data.y is not None and targets[i] is None]
    if missing:
        raise ArgumentError(f"the metrics of output {missing[0]!r} need targets: give them in y.")
    sizes = _sizes(model, data.x, data.rows)
    specs = [spec.at(sizes) for spec in tree.leaves(model.output_spec)]
    for term in terms:
        target = targets[term.output]
        if target is None:
            which = f" for output {labels[term.output]!r}" if len(labels) > 1 else ""
            raise ArgumentError(
                f"the model is compiled with the loss {term.loss.name!r}{which}, which needs targets: give "
                f"{'y' if data.y is None else 'them in y'}."
            )
        y = Spec((data.rows, *target.shape[1:]), dtype_name(target.dtype))
        try:
            term.loss.check(y, specs[term.output], target)
        except (ValueError, TypeError) as error:
            of = "output of layer" if labels[term.output] in model.children else "output"
            raise type(error)(f"Model {model.name!r}, {of} {labels[term.output]!r}: {error}") from None

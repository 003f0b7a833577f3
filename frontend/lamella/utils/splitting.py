"""Splitting a data set into two parts."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamella import tree
from lamella.errors import ArgumentError, DataError, DTypeError, ShapeError
from lamella.training.arrays import is_array
from lamella.training.batches import is_stream
from lamella.training.pydataset import PyDataset
from lamella.utils.datasets import ArrayDataset, checked_batch_size


def split_dataset(
    dataset: Any,
    left_size: float | int | None = None,
    right_size: float | int | None = None,
    shuffle: bool = False,
    seed: int | None = None,
    preferred_backend: None = None,
    batch_size: int | str | None = "auto",
) -> tuple[ArrayDataset, ArrayDataset]:
    """Split a data set into its first and its last examples, which are held in memory.

    Args:
        dataset: an array, a tuple or list of arrays `(x, y)` or another structure of arrays, with the examples along
            the first axis; or batches: a `PyDataset`, a generator or another iterable of arrays, or of tuples of
            arrays.
        left_size: the fraction or the number of examples of the first part; None for the complement of `right_size`.
        right_size: the fraction or the number of examples of the second part; None for the complement of `left_size`.
        shuffle: whether the examples are shuffled before the split, as Python's `random` does for the seed.
        seed: the integer seed of the shuffling; None draws one from `random`.
        preferred_backend: selects a framework in Keras; must be None.
        batch_size: the batch size of the result; "auto" is that of the given batches, and 32 for arrays; None yields
            single examples.

    Returns:
        `(left, right)`, each a `PyDataset` with the methods `map`, `take` and `skip`.

    Raises:
        ArgumentError: the sizes are inconsistent, or neither is given.
        DataError: there are no examples.
        DTypeError: `dataset` is not a data set.
        ShapeError: arrays differ in their number of examples, or batches in their structure or in the shapes of
            examples.

    Example:
        >>> x, y = np.arange(10.0), np.arange(10)
        >>> left, right = split_dataset((x, y), left_size=0.8, batch_size=4)
        >>> [batch[1].tolist() for batch in left], [batch[1].tolist() for batch in right]
        ([[0, 1, 2, 3], [4, 5, 6, 7]], [[8, 9]])
    """
    if preferred_backend is not None:
        raise ArgumentError(
            f"preferred_backend={preferred_backend!r} chooses a framework's data set, and lamella makes `utils.PyDataset`s "
            "of NumPy arrays on every backend: leave it out."
        )
    _check_size("left_size", left_size)
    _check_size("right_size", right_size)
    if left_size is None and right_size is None:
        raise ArgumentError("split_dataset needs left_size= or right_size=: a fraction or a number of examples.")
    automatic = isinstance(batch_size, str)
    if automatic and batch_size != "auto":
        raise ArgumentError(f"batch_size must be an integer, None or 'auto', got {batch_size!r}.")
    wanted = None if automatic else checked_batch_size(batch_size)
    arrays, given = _rows_of(dataset)
    count = len(next(tree.leaves(arrays)))
    left, right = _sizes(left_size, right_size, count)
    order = np.arange(count)
    if shuffle:
        order = _order(count, seed)
    size = given if automatic else wanted
    return (
        ArrayDataset(tree.map_leaves(lambda a: a[order[:left]], arrays), size),
        ArrayDataset(tree.map_leaves(lambda a: a[order[count - right :]], arrays), size),
    )


def _order(count: int, seed: int | None) -> np.ndarray:
    """The order in which Keras shuffles: that of Python's `random`."""
    import random

    numbers = list(range(count))
    random.Random(random.randint(0, 1_000_000) if seed is None else seed).shuffle(numbers)
    return np.array(numbers, np.int64)


def _rows_of(dataset: Any) -> tuple[Any, int | None]:
    """All examples as a structure of arrays, and the size of the batches in which they came.

    Raises:
        DataError: there are none.
        DTypeError: it is not a data set.
        ShapeError: arrays or batches do not fit together.
    """
    if isinstance(dataset, PyDataset) or is_stream(dataset):
        if isinstance(dataset, PyDataset) and dataset.num_batches is None:
            raise DataError("split_dataset was given a data set without an end: it has no last examples.")
        unbatched = isinstance(dataset, PyDataset) and getattr(dataset, "batch_size", 1) is None
        batches = [tree.map_leaves(lambda a: np.asarray(a)[None] if unbatched else np.asarray(a), b) for b in dataset]
        if not batches:
            raise DataError("split_dataset was given a data set without a batch.")
        for number, batch in enumerate(batches):
            _check_rows(batch, f"batch {number}")
            if tree.structure(batch) != tree.structure(batches[0]):
                raise ShapeError(
                    f"batch {number} of the data set has another structure than the first; they must be alike."
                )
        parts = [list(tree.leaves(batch)) for batch in batches]
        try:
            whole = [np.concatenate(column) for column in zip(*parts, strict=True)]
        except ValueError:
            raise ShapeError(
                "the rows of the batches differ in shape, and split_dataset puts all of them into one array; pad them to "
                "one length first."
            ) from None
        return tree.unflatten(tree.structure(batches[0]), whole), None if unbatched else len(parts[0][0])
    arrays = list(tree.leaves(dataset))
    if not arrays or not all(map(is_array, arrays)):
        raise DTypeError(
            "split_dataset takes arrays, tuples or lists of arrays, a PyDataset or an iterable of batches, got "
            f"{_kind(dataset, arrays)}."
        )
    # a list of arrays also is (x, y), as in Keras
    structure = tuple(dataset) if isinstance(dataset, list) else dataset
    found = tree.map_leaves(np.asarray, structure)
    _check_rows(found, "the data set")
    if not len(next(tree.leaves(found))):
        raise DataError("split_dataset was given arrays without a row.")
    return found, 32


def _kind(dataset: Any, leaves: list[Any]) -> str:
    if isinstance(dataset, tuple | list | dict):
        wrong = next((leaf for leaf in leaves if not is_array(leaf)), None)
        held = "nothing" if wrong is None else f"{type(wrong).__name__} {wrong!r:.40}"
        return f"{type(dataset).__name__} with {held} in it"
    return f"{type(dataset).__name__}"


def _check_rows(arrays: Any, what: str) -> None:
    """Refuse arrays that differ in their numbers of rows.

    Raises:
        ShapeError: they do, or one has none.
    """
    shapes = [leaf.shape for leaf in tree.leaves(arrays)]
    if not shapes or () in shapes or len({shape[0] for shape in shapes}) > 1:
        raise ShapeError(f"{what} must consist of arrays with as many rows each, got the shapes {shapes}.")


def _check_size(name: str, size: Any) -> None:
    """Refuse what is neither a fraction nor a number.

    Raises:
        ArgumentError: it is neither.
    """
    if size is None:
        return
    if isinstance(size, bool) or not isinstance(size, int | float | np.integer | np.floating):
        raise ArgumentError(f"{name} must be a fraction, a number of examples or None, got {size!r}.")
    fits = size >= 1 if isinstance(size, int | np.integer) else 0 < size < 1
    if not fits:
        raise ArgumentError(f"{name} must be a fraction between 0 and 1 or an integer from 1, got {size!r}.")


def _sizes(left: Any, right: Any, count: int) -> tuple[int, int]:
    """The numbers of examples in both parts.

    Raises:
        ArgumentError: they are more than there are, or one of them is 0.
    """

    def number(size: Any) -> int | None:
        return None if size is None else int(size) if isinstance(size, int | np.integer) else round(float(size) * count)

    one, other = number(left), number(right)
    one = count - (other or 0) if one is None else one
    other = count - one if other is None else other
    if one < 1 or other < 1 or one + other > count:
        raise ArgumentError(
            f"left_size={left!r} and right_size={right!r} make parts of {one} and {other} examples of the {count} there are; "
            "both must have one, and together not more than all."
        )
    return one, other

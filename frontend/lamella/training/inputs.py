"""The data given to `fit`, `evaluate` and `predict`: rows or batches, checked before anything is computed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lamella.errors import ArgumentError
from lamella.training.arrays import is_array
from lamella.training.batches import GivenBatches, is_stream
from lamella.training.data import Data, check_targets, prepare

if TYPE_CHECKING:
    from lamella.training.configuration import Configuration
    from lamella.training.protocol import TrainingModel
    from lamella.training.sources import Given


def take(
    model: TrainingModel,
    config: Configuration | None,
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    class_weight: Any = None,
    *,
    batch_size: int | None = None,
    what: str = "x",
) -> Given:
    """The rows or the batches that `x` is, checked as far as they are available.

    Args:
        model: the model; it is built where it has no input shape.
        config: its training configuration; None for predictions.
        x: what the user gave.
        y: targets, for rows.
        sample_weight: for rows.
        class_weight: for both.
        batch_size: refused for batches, which have a size already.
        what: the name of x in error messages.

    Raises:
        ValueError: the data do not fit, or an argument cannot be combined with batches.
        DTypeError: the data are not numbers.
    """
    if not is_stream(x) or _is_inputs(model, x):
        data = prepare(model, x, y, sample_weight, class_weight, what=what, stored=True)
        if config is not None:
            check_targets(model, config, data)
        return data
    for name, value in (("y", y), ("sample_weight", sample_weight), ("batch_size", batch_size)):
        if value is not None:
            instead = (
                "the batches have their size"
                if name == "batch_size"
                else f"give it in the batches, (x, y{_third(name)})"
            )
            raise ArgumentError(f"{what} gives batches, and with batches there is no argument {name}: {instead}.")
    return GivenBatches(model, config, x, class_weight, what)


def _is_inputs(model: TrainingModel, x: Any) -> bool:
    """Whether a list of tuples is the structure of the model's inputs, as `[(a, b), (c, d)]` may be, and holds no batches."""
    if not isinstance(x, list) or not model.has_input_shape:
        return False
    specs, entries = model.input_spec, list[Any](x)
    return (
        isinstance(specs, list | tuple)
        and len(specs) == len(entries)
        and all(isinstance(s, list | tuple) and len(s) == len(e) for s, e in zip(specs, entries, strict=True))
    )


def _third(name: str) -> str:
    return ", sample_weight" if name == "sample_weight" else ""


def take_validation(model: TrainingModel, config: Configuration, given: Any, batch_size: int | None) -> Given:
    """The rows or batches of `validation_data`.

    Raises:
        ValueError: it is neither a pair or triple nor an iterable of batches, or its arrays do not fit.
    """
    if is_stream(given):
        return take(model, config, given, batch_size=batch_size, what="validation_data")
    if is_array(given) or not isinstance(given, tuple | list) or len(given) not in (2, 3):
        raise ArgumentError("validation_data is (x, y) or (x, y, sample_weight), or something that gives such batches.")
    return take(model, config, *given, what="x of validation_data")


def split_validation(data: Given, fraction: float) -> tuple[Data, Data]:
    """The first rows for training and the last `fraction` for validation, as Keras splits.

    Raises:
        ValueError: one part would be empty, or there are batches and no rows.
    """
    if not isinstance(data, Data):
        raise ArgumentError("validation_split needs rows in arrays; with batches, give validation_data.")
    if not 0 < fraction < 1:
        raise ArgumentError(f"validation_split is a number between 0 and 1, got {fraction}.")
    # rounded before the floor: 10 rows and 0.9 leave one for training, not floor(0.99999)
    at = int(np.floor(round(data.rows * (1.0 - fraction), 6)))
    if at == 0 or at == data.rows:
        raise ArgumentError(f"validation_split={fraction} of {data.rows} rows leaves one of the two parts empty.")
    return data[:at], data[at:]


def refuse_used_up(data: Given | None, what: str, passes: str, count: int, word: str, steps: int | None) -> None:
    """Reject a generator if several passes are needed.

    Raises:
        ArgumentError: what to give instead.
    """
    if isinstance(data, GivenBatches) and not data.again and count > 1 and steps is None:
        raise ArgumentError(
            f"{what} is a generator, which gives its batches once: nothing is left after the first of {count} {passes}. "
            f"Say how many batches each takes, {word}=..., or give something that begins again, such as a utils.PyDataset."
        )

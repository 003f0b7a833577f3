"""The options of `fit`, `evaluate` and `predict`, checked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from lamella import processes
from lamella.errors import ArgumentError


class FitOptions(NamedTuple):
    """The options of `Model.fit`, which documents them, except the data."""

    batch_size: int | None
    epochs: int
    verbose: int | str
    callbacks: Any
    validation_split: float
    validation_data: Any
    shuffle: bool | str
    initial_epoch: int
    steps_per_epoch: int | None
    validation_steps: int | None
    validation_batch_size: int | None
    validation_freq: Any

    def checked(self) -> FitOptions:
        """The same options, the counts as integers.

        Raises:
            ValueError: an option is invalid.
        """
        epochs = whole("epochs", self.epochs, 0)
        initial_epoch = whole("initial_epoch", self.initial_epoch, 0)
        frequency = _frequency(self.validation_freq)
        batch_size = optional_count("validation_batch_size", self.validation_batch_size)
        steps_per_epoch = optional_count("steps_per_epoch", self.steps_per_epoch)
        validation_steps = optional_count("validation_steps", self.validation_steps)
        if self.shuffle not in (True, False, "batch"):
            raise ValueError(f"shuffle is True, False or 'batch', got {self.shuffle!r}.")
        return self._replace(
            epochs=epochs,
            verbose=level(self.verbose),
            initial_epoch=initial_epoch,
            steps_per_epoch=steps_per_epoch,
            validation_steps=validation_steps,
            validation_batch_size=batch_size,
            validation_freq=frequency,
        )

    @property
    def epoch_numbers(self) -> range:
        """The numbers of the epochs, from 0."""
        return range(self.initial_epoch, self.epochs)

    def validates(self, epoch: int) -> bool:
        """Whether to evaluate after an epoch, by its number from 1; asked of checked options."""
        frequency = self.validation_freq
        return epoch in frequency if isinstance(frequency, frozenset) else epoch % frequency == 0


class PassOptions(NamedTuple):
    """The options of one pass over the data by `Model.evaluate` or `Model.predict`, which document them."""

    batch_size: int | None
    verbose: int | str
    steps: int | None
    callbacks: Any

    def checked(self) -> PassOptions:
        """The same options, the steps as an integer.

        Raises:
            ValueError: they are not one.
        """
        return self._replace(verbose=level(self.verbose), steps=optional_count("steps", self.steps))


def _frequency(given: Any) -> int | frozenset[int]:
    if isinstance(given, Iterable) and not isinstance(given, str):
        return frozenset(whole("an epoch of validation_freq", epoch, 1) for epoch in given)
    return whole("validation_freq", given, 1)


def level(verbose: int | str) -> int:
    """The verbosity as a number; 0 in all processes but the first.

    Raises:
        ArgumentError: `verbose` is neither a number nor "auto", for example a validation set passed by position to `fit`.
    """
    if isinstance(verbose, str) and verbose == "auto":
        return 1
    if not isinstance(verbose, int | np.integer):
        mend = (
            "" if isinstance(verbose, str) else "; in `fit` a validation set is given by name, validation_data=(x, y)"
        )
        raise ArgumentError(f"verbose must be 0, 1, 2 or 'auto', got {type(verbose).__name__}{mend}.")
    return 0 if processes.index() else int(verbose)


def optional_count(name: str, value: Any) -> int | None:
    """A positive integer, or None.

    Raises:
        ValueError: it is something else.
    """
    return None if value is None else whole(name, value, 1)


def whole(name: str, value: Any, least: int) -> int:
    """An integer of at least `least`, 0 or 1.

    Raises:
        ValueError: it is something else.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ValueError(f"{name} is {'a positive integer' if least else 'an integer from 0'}, got {value!r}.")
    return int(value)

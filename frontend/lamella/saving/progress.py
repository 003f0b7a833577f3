"""State beyond Keras's files that exact resumption needs; it is stored where Keras ignores it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lamella.errors import FormatError
from lamella.names import is_label
from lamella.saving import fields
from lamella.training.history import History

VERSION = 1

_MOST_NUMBERS = 100_000
"""The maximum number of history values in a file: half of the entries that a text may have."""
_MOST_COLUMNS = 10_000
"""The maximum number of columns whose names are stored."""


def serialize(model: Any) -> dict[str, Any]:
    """Seed, steps, epochs, columns and history of a model, and what was frozen when it was compiled, as plain data."""
    compiled = model._compiled
    found: dict[str, Any] = {"version": VERSION, "seed": _seed(model), "calls": int(model.calls)}
    if compiled is not None:
        found["steps"], found["epochs"] = int(compiled.state.steps), int(compiled.state.epochs)
        then = [id(layer) in compiled.configuration.frozen for layer in _every(model)]
        if then != [not layer._trainable for layer in _every(model)]:
            found["frozen"] = then
    columns = {key: list(names) for key, names in model._columns.items()}
    if columns and all(
        len(names) <= _MOST_COLUMNS and all(map(is_label, (key, *names))) for key, names in columns.items()
    ):
        found["columns"] = columns
    if model.history is not None:
        logs = model.history.history
        # of a history that is longer than any file may be, the last epochs
        kept = -max(_MOST_NUMBERS // (len(logs) + 1), 1)
        found["epoch"] = [int(e) for e in model.history.epoch[kept:]]
        found["history"] = {key: [_number(v) for v in values[kept:]] for key, values in logs.items()}
    return found


def _seed(model: Any) -> int:
    """The model's seed, reduced to its significant 64 bits."""
    seed = int(model.seed)
    return seed if -(2**63) <= seed < 2**64 else seed & (2**64 - 1)


@contextmanager
def as_compiled(model: Any, given: Any) -> Iterator[None]:
    """Context manager in which the layers are frozen that were frozen when the model was compiled."""
    flags = _frozen(given, model)
    every = _every(model)
    now = [layer._trainable for layer in every]
    try:
        if flags is not None:
            for layer, flag in zip(every, flags, strict=True):
                layer._trainable = not flag
        yield
    finally:
        for layer, trainable in zip(every, now, strict=True):
            layer._trainable = trainable


def _frozen(given: Any, model: Any) -> list[bool] | None:
    """The layers that were frozen when the model was compiled; None if they are the currently frozen ones."""
    flags = given.get("frozen") if isinstance(given, dict) else None
    if not isinstance(flags, list) or len(flags) != len(_every(model)) or not all(isinstance(f, bool) for f in flags):
        return None
    return flags


def restore(model: Any, given: Any, where: str) -> None:
    """Set a model's state from a result of `serialize`; files of Keras have none.

    Raises:
        FormatError: it is not such a description.
    """
    if given is None:
        return
    if not isinstance(given, dict) or given.get("version") != VERSION:
        raise FormatError(f"{where}: written by a later lamella, or damaged: version {str(given)[:60]!r}.")
    seed = given.get("seed")
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise FormatError(f"{where}: the seed is not an integer.")
    counts = {word: fields.integer(given.get(word, 0), f"{where}: {word}") for word in ("calls", "steps", "epochs")}
    columns = _columns(given.get("columns", {}), where)
    history = _history(given, where)
    model.seed, model.calls, model._columns = seed, max(counts["calls"], 0), columns
    if model._compiled is not None:
        model._compiled.state = model._compiled.state._replace(epochs=max(counts["epochs"], 0))
    if history is not None:
        history.model = model
        model.history = history


def _columns(given: Any, where: str) -> dict[str, tuple[str, ...]]:
    check = fields.listed(fields.text, _MOST_COLUMNS)
    if not isinstance(given, dict) or len(given) > _MOST_COLUMNS or not all(map(is_label, given)):
        raise FormatError(f"{where}: the names of the columns are damaged.")
    return {key: tuple(check(names, f"{where}: columns")) for key, names in given.items()}


def _history(given: dict[str, Any], where: str) -> History | None:
    if "history" not in given:
        return None
    logs, epochs = given["history"], given.get("epoch")
    if not isinstance(logs, dict) or not isinstance(epochs, list):
        raise FormatError(f"{where}: the history is damaged.")
    history = History()
    history.epoch = [fields.integer(e, f"{where}: epoch") for e in epochs]
    for key, values in logs.items():
        if not isinstance(values, list):
            raise FormatError(f"{where}: the history is damaged.")
        fields.text(key.removeprefix("val_"), f"{where}: history")
        history.history[key] = [_read(v, where) for v in values]
    return history


def _number(value: Any) -> float | str:
    number = float(value)
    return number if math.isfinite(number) else str(number)


def _read(value: Any, where: str) -> float:
    if value in ("nan", "inf", "-inf"):
        return float(value)
    return float(fields.number(value, f"{where}: history"))


def _every(model: Any) -> list[Any]:
    return [model, *[layer for _, layer in model.named_layers()]]

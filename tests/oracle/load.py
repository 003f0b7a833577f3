"""Reads what `record.py` wrote. NumPy only."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

DATA = Path(__file__).resolve().parent / "data"


@functools.cache
def archive(kind: str) -> dict[str, np.ndarray]:
    """Return every recorded array of a kind, keyed `"<case id>/<key>"`; read once and kept."""
    with np.load(DATA / f"{kind}.npz", allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    for array in arrays.values():
        # Shared between tests, so one that writes into its expectation would spoil the next.
        array.flags.writeable = False
    return arrays


def load(kind: str, case_id: str) -> dict[str, np.ndarray]:
    """Return what Keras answered to one row.

    Args:
        kind: A key of `cases.TABLES`, such as "layers".
        case_id: The row's `id`.

    Returns:
        The recorded arrays by key, read-only. Keys that hold a JSON text are 0-d string arrays.

    Raises:
        KeyError: The row has not been recorded.
    """
    prefix = f"{case_id}/"
    found = {name.removeprefix(prefix): array for name, array in archive(kind).items() if name.startswith(prefix)}
    if not found:
        raise KeyError(
            f"{kind} row {case_id!r} is not in {kind}.npz; record it with `python tests/oracle/record.py {kind}`"
        )
    return found


def series(entry: dict[str, np.ndarray], key: str) -> list[np.ndarray]:
    """Return the arrays `"<key>/0"`, `"<key>/1"`, ... of an entry, in order; empty where there are none."""
    arrays = []
    while f"{key}/{len(arrays)}" in entry:
        arrays.append(entry[f"{key}/{len(arrays)}"])
    return arrays


def mapping(entry: dict[str, np.ndarray], key: str) -> dict[str, np.ndarray]:
    """Return the arrays `"<key>/<name>"` of an entry by name; empty where there are none."""
    prefix = f"{key}/"
    return {name.removeprefix(prefix): array for name, array in entry.items() if name.startswith(prefix)}

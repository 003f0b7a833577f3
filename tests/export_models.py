"""The models that exports are tried on: every row of the layers' tables, and what the examples train."""

from __future__ import annotations

import runpy
import warnings
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import lamella
import layer_replay
from oracle import cases
from oracle.build import constructed

EXAMPLES = Path(__file__).parents[1] / "examples"
LAYERS = {case.id: case for case in (*cases.LAYERS, *cases.CATALOGUE)}
RECURRENT = {
    f"recurrent-{case.id}": case
    for case in cases.RECURRENT
    if case.call == "one"
    and not case.call_kwargs
    and len(case.inputs) == 1
    and "state" not in case.id.split("-")
    # what returns several arrays is not a layer of a Sequential
    and case.id not in ("bidirectional-apart", "conv-lstm1d-channels-first")
}
IDS = [*LAYERS, *RECURRENT]
FAST = set(IDS[::17])
"""A spread of forty: neighbors in the tables are of one family."""

SCRIPTS = sorted(
    path.stem
    for path in EXAMPLES.glob("*.py")
    if path.stem != "demo" and "--quick" not in path.read_text(encoding="utf-8")
)
"""`demo` runs `digits`; those of graphs have a `--quick` and train for longer, and graphs have tests of their exports."""
ARGUMENTS = {"first_convnet": ("--size", "40", "--rows", "64")}


def of_row(id: str) -> lamella.Sequential:
    """A table's row as a model: of any number of rows where the row has no mask of its own and keeps no state."""
    if id in LAYERS:
        case = LAYERS[id]
        shape = case.input_shape
        model = layer_replay.build(case)
        if (case.mask is not None and case.mask_value is None) or id.endswith("-one-image"):
            return model
        made = lamella.Sequential([lamella.Input(shape[1:], dtype=model.input_dtype), *model.layers])
        made.set_weights(model.get_weights())
        return made
    case = RECURRENT[id]
    return lamella.Sequential([lamella.Input(batch_shape=case.inputs[0]), constructed(case.layer, lamella.layers)])


class _TrainedEnoughError(Exception):
    def __init__(self, model: Any) -> None:
        self.model = model


def of_example(name: str) -> lamella.Sequential:
    """The model that an example trains, as it is before."""

    def fit(self: lamella.Sequential, x: Any, *_: Any, **__: Any) -> None:
        if not self.built:
            self.build((None, *np.shape(x)[1:]))
        raise _TrainedEnoughError(self)

    patched = mock.patch.multiple(lamella.Sequential, fit=fit, train_on_batch=fit)
    with patched, mock.patch("sys.argv", [name, *ARGUMENTS.get(name, ())]), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # some are written in Keras 1's words
        try:
            runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
        except _TrainedEnoughError as stopped:
            return stopped.model
    raise AssertionError(f"{name} trains no model")


def batches(model: lamella.Sequential, sizes: tuple[int, ...] = (2, 5)) -> list[np.ndarray]:
    """Batches of several sizes, or of the one that the model takes."""
    from lamella.export.symbolic import sample_of

    fixed = model.input_shape[0]
    return [sample_of(model, rows) for rows in (sizes if fixed is None else (fixed,))]

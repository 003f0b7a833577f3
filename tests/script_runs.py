"""Runs the scripts of `scripts/` as `python -m lamella run` does, in this process, with small files of their data sets."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np

from lamella import utils
from lamella.cli import main
from small_data_sets import small_files

FOLDER = Path(__file__).resolve().parent / "scripts"
SCRIPTS = {path.stem: path for path in sorted(FOLDER.glob("*.py"))}


# ---- data sets ----


def write_data_sets(home):
    """Small files of the layout of the genuine ones, in the cache of Keras in the folder `home`."""
    for name, content in small_files(rows=24).items():
        path = Path(home) / "datasets" / ("fashion-mnist" if name.endswith(".gz") else "") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # an archive is beside the folder that it is unpacked to
        (path.with_name(f"{name}_archive") if name.endswith("-target") else path).write_bytes(content)


@contextlib.contextmanager
def data_sets():
    """Inside, the data sets are small and in the cache, and nothing is downloaded."""
    from lamella.datasets import sources

    with tempfile.TemporaryDirectory() as home:
        write_data_sets(home)
        before, told = dict(sources.SOURCES), os.environ.get("KERAS_HOME")
        for name, source in before.items():
            sources.SOURCES[name] = source._replace(hash=None)
        os.environ["KERAS_HOME"] = home
        try:
            yield Path(home)
        finally:
            sources.SOURCES.update(before)
            if told is None:
                del os.environ["KERAS_HOME"]
            else:
                os.environ["KERAS_HOME"] = told


# ---- running ----


def run(name):
    """What a script prints; the process is as before afterwards."""
    before = sys.modules["__main__"], sys.argv, [*sys.path], [*sys.meta_path], sys.excepthook, Path.cwd()
    random = np.random.get_state()  # noqa: NPY002
    printed = io.StringIO()
    utils.set_random_seed(1234)  # many scripts set no seed: the recording and the test begin with the same weights
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            warnings.simplefilter("ignore")
            assert main(["run", str(SCRIPTS[name])]) == 0
    finally:
        sys.modules["__main__"], sys.argv, sys.path[:], sys.meta_path[:], sys.excepthook = before[:5]
        np.random.set_state(random)  # noqa: NPY002
        os.chdir(before[5])
    return printed.getvalue()


NOT_COMPARED = {
    "keras2_callbacks": "its learning rate follows from the callbacks",
    "keras2_gan": "trains batch by batch, without fit",
    "keras2_stateful_series": "Keras on JAX keeps no states from batch to batch",
    "keras2_mnist_siamese": "a Lambda of K's functions, which Keras 3 does not have",
}
"""Scripts whose losses Keras 3 cannot be asked for, and why."""


_KEPT = ("sample_weight", "class_weight", "validation_split")


class Fit:
    """A call of `fit` as Keras can repeat it: the model before it, its data, and the loss in the end."""

    def __init__(self, model, x, y, options):
        self.model, self.x, self.y, self.options = model, x, y, options
        self.weights = model.get_weights() if model.built else None
        self.loss = None


def batches_of(x):
    """The batches of what can be asked for them by number; None of arrays."""
    if isinstance(x, np.ndarray | list | tuple | dict) or not hasattr(x, "__getitem__") or hasattr(x, "iloc"):
        return None
    return [x[number] for number in range(len(x))]


def without_dropout(layers):
    """Set every rate of dropout to 0."""
    for layer in layers:
        for holder in (layer, getattr(layer, "cell", None)):
            for name in ("rate", "dropout", "recurrent_dropout"):
                if isinstance(getattr(holder, name, None), float):
                    with contextlib.suppress(AttributeError):  # the cell of a recurrent layer holds them
                        setattr(holder, name, 0.0)


@contextlib.contextmanager
def repeatable_fits(before_fit=None):
    """Inside, `fit` takes rows in their order and drops none; gives the list of its calls.

    Args:
        before_fit: called with each `Fit` before it trains.
    """
    from lamella.models.trainer import TrainableModel
    from lamella.utils import PyDataset

    class Batches(PyDataset):
        def __init__(self, batches):
            super().__init__()
            self.batches = batches

        def __len__(self):
            return len(self.batches)

        def __getitem__(self, number):
            return self.batches[number]

    fits, fit = [], TrainableModel.fit

    def repeatable(self, x=None, y=None, batch_size=None, epochs=1, verbose=1, **kwargs):
        without_dropout(layer for _, layer in self.named_layers())
        epochs = kwargs.pop("nb_epoch", epochs)
        kept = {
            name: kwargs[name]
            for name in ("sample_weight", "class_weight", "validation_split")
            if kwargs.get(name) is not None
        }
        found = batches_of(x)
        if not self.built:
            self.predict(x[:1] if found is None else found[0][0], verbose=0)
        call = Fit(self, x if found is None else found, y, {"batch_size": batch_size, "epochs": epochs, **kept})
        fits.append(call)
        if before_fit is not None:
            before_fit(call)
        kwargs.pop("steps_per_epoch", None)
        history = fit(
            self, x if found is None else Batches(found), y, batch_size, epochs, verbose, **{**kwargs, "shuffle": False}
        )
        call.loss = history.history["loss"][-1]
        return history

    TrainableModel.fit = repeatable
    try:
        yield fits
    finally:
        TrainableModel.fit = fit

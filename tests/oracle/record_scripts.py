"""Records the losses of the scripts in `tests/scripts`. Needs Keras on JAX.

`python tests/oracle/record_scripts.py [NAME ...]` writes data/script_losses.json; with `--check` it asks again and compares.

Scripts for Keras 3 and tf.keras run in Keras themselves. Of those for Keras 1 and 2, and scikeras, each call of `fit` is
repeated by Keras with the model, as lamella writes it to a file, and the data that lamella was given. Both begin with
lamella's weights, take the rows in their order, and drop none.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import sys
import tempfile
import types
import warnings
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "jax"
os.environ.setdefault("JAX_PLATFORMS", "cpu")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import keras
import numpy as np

import script_runs
from lamella.backend import backend_scope

FILE = Path(__file__).resolve().parent / "data" / "script_losses.json"
TOLERANCE = 1e-4
BY_MODEL = ("keras3_toy_resnet", "keras3_weather_series", "tf_weather_series")
"""Scripts that cannot run in Keras here: its CIFAR-10 has 10,000 images a batch, and its windows need TensorFlow."""


def in_keras(name: str, fits: list[script_runs.Fit], home: Path) -> list[float]:
    """The losses of a script that runs in Keras, with the weights of lamella's models."""
    losses: list[float] = []
    fit = keras.Model.fit

    def repeatable(self: Any, x: Any = None, y: Any = None, **kwargs: Any) -> Any:
        call = fits[len(losses)]
        script_runs.without_dropout(_layers(self))
        found = script_runs.batches_of(x)
        if not self.built:
            self.build(np.shape(x if found is None else found[0][0]))
        self.set_weights(call.weights)
        history = fit(self, x if found is None else _batches(found), y, **{**kwargs, "shuffle": False})
        losses.append(history.history["loss"][-1])
        return history

    source = script_runs.SCRIPTS[name].read_text()
    source = source.replace("from tensorflow import keras", "import keras").replace("tensorflow.keras", "keras")
    tensorflow = types.ModuleType("tensorflow")
    tensorflow.keras, tensorflow.__version__ = keras, "2"
    tensorflow.random = types.SimpleNamespace(set_seed=lambda seed: None)
    preprocessing = types.SimpleNamespace(
        sequence=types.SimpleNamespace(pad_sequences=keras.utils.pad_sequences),
        timeseries_dataset_from_array=keras.utils.timeseries_dataset_from_array,
    )
    before = keras.preprocessing
    loaders = [module for path, module in sys.modules.items() if path.startswith("keras.src.datasets.")]
    fetched = {module: module.get_file for module in loaders if hasattr(module, "get_file")}
    try:
        keras.Model.fit = repeatable
        keras.preprocessing = preprocessing
        sys.modules["tensorflow"] = tensorflow
        for module in fetched:
            module.get_file = lambda fname, *_, cache_subdir="datasets", **__: str(home / cache_subdir / fname)
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(source, name, "exec"), {"__name__": "__main__"})  # a script of this repository
    finally:
        keras.Model.fit, keras.preprocessing = fit, before
        sys.modules.pop("tensorflow")
        for module, function in fetched.items():
            module.get_file = function
    return losses


def _layers(model: Any) -> list[Any]:
    return list(model._flatten_layers(include_self=False, recursive=True))


def _batches(batches: list[Any]) -> Any:
    class Batches(keras.utils.PyDataset):
        def __len__(self) -> int:
            return len(batches)

        def __getitem__(self, number: int) -> Any:
            return batches[number]

    return Batches()


def repeated(path: Path, call: script_runs.Fit) -> float:
    """The loss of a call of `fit` in Keras, with the model of a file."""
    model = keras.saving.load_model(path, compile=True)
    script_runs.without_dropout(_layers(model))
    x = _batches(call.x) if script_runs.batches_of(call.x) is None and isinstance(call.x, list) else call.x
    history = model.fit(x, call.y, shuffle=False, verbose=0, **call.options)
    return history.history["loss"][-1]


def record(name: str, home: Path) -> dict[str, Any]:
    """The losses of a script, and lamella's, for looking at."""
    runs = name.startswith(("keras3", "tf")) and name not in BY_MODEL
    with tempfile.TemporaryDirectory() as folder:
        paths: list[Path] = []

        def keep(call: script_runs.Fit) -> None:
            if not runs:
                paths.append(Path(folder) / f"{len(paths)}.keras")
                call.model.save(paths[-1])

        with backend_scope("numpy"), script_runs.repeatable_fits(keep) as fits:
            script_runs.run(name)
        losses = in_keras(name, fits, home) if runs else [repeated(*given) for given in zip(paths, fits, strict=True)]
    worst = max(abs(fit.loss / loss - 1) for fit, loss in zip(fits, losses, strict=True))
    print(f"{name}: {len(losses)} fits, largest difference {worst:.1e}", flush=True)
    return {"by": "script" if runs else "model", "losses": losses}


def main() -> int:
    """Record the scripts that are named, or all; or compare with what was recorded, and write nothing."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    told = json.loads(FILE.read_text()) if FILE.exists() else {}
    asked = options.names or [name for name in script_runs.SCRIPTS if name not in script_runs.NOT_COMPARED]
    with warnings.catch_warnings(), script_runs.data_sets() as home:
        warnings.simplefilter("ignore")
        found = {name: record(name, home) for name in asked}
    if options.check:
        changed = [
            name
            for name in asked
            if not np.allclose(found[name]["losses"], told[name]["losses"], rtol=TOLERANCE, atol=0)
        ]
        print(f"{len(asked) - len(changed)} of {len(asked)} scripts have the losses that were recorded", *changed)
        return bool(changed)
    FILE.write_text(json.dumps(dict(sorted((told | found).items())), indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

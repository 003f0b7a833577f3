"""Models handed from Keras to lamella and back, through files: the whole catalogue, and training that goes on elsewhere.

    python tests/oracle/exchange.py            # every row, with the largest difference of each kind

Needs keras==3.15.1, jax and h5py, and lamella importable; runs on the CPU. Nothing is recorded: both libraries run here.
"""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "jax"
os.environ.setdefault("JAX_PLATFORMS", "cpu")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import keras
import numpy as np

import lamella
from oracle import cases
from oracle.rows import LayerCase, RecurrentCase

STEPS = 10

Difference = tuple[str, str, float]
"""Which row, which way, and max|a - b| / max|b|."""

# What cannot be in a Sequential of Keras's, or has no one array as its output.
_SEVERAL = ("return_state", "Add", "Dot")


def constructed(value: Any, layers: Any) -> Any:
    """`value` with every constructor in it made by `keras.layers` or `lamella.layers`."""
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], dict):
        return getattr(layers, value[0])(**{key: constructed(item, layers) for key, item in value[1].items()})
    return [constructed(item, layers) for item in value] if isinstance(value, list) else value


def rows() -> Iterator[tuple[str, Callable[[Any], list[Any]], tuple[int, ...], str, Any]]:
    """id, how to make the layers from either library, input shape, input dtype, and the row."""
    for kind in ("layers", "catalogue", "recurrent"):
        for case in cases.TABLES[kind]:
            if isinstance(case, LayerCase) and case.mask is None:
                yield case.id, (lambda lib, c=case: _layers(c, lib)), case.input_shape, case.input_dtype, case
            elif (
                isinstance(case, RecurrentCase)
                and len(case.inputs) == 1
                and case.call == "one"
                and not case.call_kwargs
            ):
                if (
                    not case.layer[1].get("return_state")
                    and case.layer[1].get("merge_mode", "") is not None
                    and "state" not in case.id.split("-")
                ):
                    yield case.id, (lambda lib, c=case: [constructed(c.layer, lib)]), case.inputs[0], "float32", case


def _layers(case: LayerCase, lib: Any) -> list[Any]:
    inner = [] if case.wraps is None else [constructed(case.wraps, lib)]
    return [getattr(lib, name)(*inner, **kwargs) for name, kwargs in case.layers]


def _x(shape: tuple[int, ...], dtype: str, case: Any) -> np.ndarray:
    random = np.random.RandomState(0)
    if getattr(case, "x_values", None) is not None:
        return np.array(case.x_values, dtype).reshape(shape)
    if dtype.startswith("float"):
        return random.standard_normal(shape).astype(dtype)
    return random.randint(0, 4, shape).astype(dtype)


def difference(found: Any, expected: Any) -> float:
    """max|found - expected| / max|expected|; infinite where shapes differ."""
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    if found.shape != expected.shape:
        return float("inf")
    error, scale = np.abs(found - expected).max(initial=0.0), np.abs(expected).max(initial=0.0)
    return 0.0 if error == 0 else float(error / scale) if scale else float("inf")


def _adapted(model: Any, case: Any) -> None:
    if getattr(case, "adapt", None) is None:
        return
    data = (3.0 + 2.0 * np.random.RandomState(1).standard_normal(case.adapt)).astype("float32")
    layer = model.layers[0]
    if isinstance(layer, keras.layers.Discretization):
        layer.update_state(data)
        layer.finalize_state()
    else:
        layer.adapt(data)


def exchanged(folder: Path, ending: str = ".keras", every: bool = True) -> Iterator[Difference]:
    """Every row of the catalogue, or one for every layer: saved by one library, loaded by the other."""
    seen: set[str] = set()
    for id, make, shape, dtype, case in rows():
        names = {repr(case.layer[0])} if isinstance(case, RecurrentCase) else {repr(name) for name, _ in case.layers}
        if not every and names <= seen:
            continue
        seen |= names
        x = _x(shape, dtype, case)
        path = folder / f"model{ending}"
        theirs = keras.Sequential([keras.Input(batch_shape=shape, dtype=dtype), *make(keras.layers)])
        _adapted(theirs, case)
        weights = [
            np.random.RandomState(i).uniform(0.1, 0.9, w.shape).astype(w.dtype) for i, w in enumerate(theirs.weights)
        ]
        if getattr(case, "adapt", None) is None:
            theirs.set_weights(
                [w if w.dtype.kind == "f" else o for w, o in zip(weights, theirs.get_weights(), strict=True)]
            )
        theirs.save(path)
        ours = lamella.models.load_model(path)
        yield id, "keras to lamella", difference(np.asarray(ours(x)), theirs(x, training=False))
        ours = lamella.Sequential(
            [lamella.Input(batch_shape=shape, dtype=None if dtype == "float32" else dtype), *make(lamella.layers)]
        )
        _adapted(ours, case)
        ours.save(path)
        theirs = keras.models.load_model(path)
        yield id, "lamella to keras", difference(np.asarray(ours(x)), theirs(x, training=False))


OPTIMIZERS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("SGD", {"learning_rate": 0.05}),
    ("SGD", {"learning_rate": 0.05, "momentum": 0.9, "nesterov": True}),
    ("RMSprop", {"learning_rate": 0.01}),
    ("RMSprop", {"learning_rate": 0.01, "momentum": 0.5, "centered": True}),
    ("Adagrad", {"learning_rate": 0.05}),
    ("Adadelta", {"learning_rate": 1.0}),
    ("Adam", {"learning_rate": 0.01}),
    ("Adam", {"learning_rate": 0.01, "amsgrad": True}),
    ("AdamW", {"learning_rate": 0.01}),
    ("Adamax", {"learning_rate": 0.01}),
    ("Nadam", {"learning_rate": 0.01}),
    ("Lion", {"learning_rate": 0.001}),
    ("Ftrl", {"learning_rate": 0.05}),
    ("Lamb", {"learning_rate": 0.01}),
)


def _network(lib: Any, optimizer: Any) -> Any:
    layers = lib.layers
    model = lib.Sequential(
        [
            lib.Input((6, 5, 2)),
            layers.Conv2D(4, 3, padding="same", activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(8, activation="tanh", kernel_regularizer="l2"),
            lib.Sequential([layers.Dense(6, activation="tanh")], name="inner"),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def _schedule(lib: Any) -> Any:
    return lib.optimizers.Adam(lib.optimizers.schedules.ExponentialDecay(0.01, 5, 0.9))


def resumed(folder: Path, ending: str = ".keras") -> Iterator[Difference]:
    """Training for `STEPS` steps, a file, and `STEPS` more on both sides: the weights they reach."""
    random = np.random.RandomState(3)
    x = random.standard_normal((4 * STEPS, 6, 5, 2)).astype("float32")
    y = random.randint(0, 3, (4 * STEPS,)).astype("int32")
    makers: list[tuple[str, Callable[[Any], Any]]] = [
        (f"{name} {kwargs}", lambda lib, n=name, k=kwargs: getattr(lib.optimizers, n)(**k))
        for name, kwargs in OPTIMIZERS
        if hasattr(lamella.optimizers, name)
    ]
    makers.append(("Adam with a schedule", _schedule))
    for label, make in makers:
        for way, first, load in (
            ("keras to lamella", keras, lamella.models.load_model),
            ("lamella to keras", lamella, keras.models.load_model),
        ):
            path = folder / f"trained{ending}"
            one = _network(first, make(first))
            one.fit(x, y, batch_size=4, epochs=1, shuffle=False, verbose=0)
            one.save(path)
            other = load(path)
            for model in (one, other):
                model.fit(x, y, batch_size=4, epochs=1, shuffle=False, verbose=0)
            pairs = zip(other.get_weights(), one.get_weights(), strict=True)
            yield label, way, max(difference(a, b) for a, b in pairs)


def main() -> int:
    """Print the largest differences."""
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for title, found in (
            ("catalogue, .keras", exchanged(folder)),
            ("catalogue, .h5", exchanged(folder, ".h5", every=False)),
            (f"resumed for {STEPS} steps, .keras", resumed(folder)),
            (f"resumed for {STEPS} steps, .h5", resumed(folder, ".h5")),
        ):
            print(title)
            worst: dict[str, Difference] = {}
            count = 0
            for id, way, error in found:
                count += 1
                if error >= worst.get(way, ("", "", -1.0))[2]:
                    worst[way] = id, way, error
                if error > 1e-5:
                    print(f"  {id}, {way}: {error:.2e}")
            for id, way, error in worst.values():
                print(f"  {way}: at most {error:.2e} ({id})")
            print(f"  {count} exchanges", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

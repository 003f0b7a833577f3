"""Small files that Keras wrote, for tests that have no Keras: models, weights, and what the models predict.

    python tests/oracle/record_files.py              # every model
    python tests/oracle/record_files.py sequences    # only these

Keras's files are not the same bytes twice (dates, addresses), so they are recorded only when a row changes.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "jax"
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import keras
import numpy as np
from keras import layers

FOLDER = Path(__file__).resolve().parent / "data" / "files"


def dense() -> tuple[Any, np.ndarray, np.ndarray]:
    """Dense layers, a normalization, a regularizer, Adam, short names of loss and metric."""
    model = keras.Sequential(
        [
            keras.Input((5,)),
            layers.Dense(4, activation="relu", kernel_regularizer="l2", name="first"),
            layers.BatchNormalization(),
            layers.Dropout(0.25),
            layers.Dense(3, activation="softmax", kernel_constraint="max_norm"),
        ],
        name="dense",
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    random = np.random.RandomState(0)
    return model, random.standard_normal((20, 5)).astype("float32"), random.randint(0, 3, (20,)).astype("int32")


def convolution() -> tuple[Any, np.ndarray, np.ndarray]:
    """Convolutions of free size, a nested model, SGD with momentum and a schedule."""
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(3, activation="tanh"), layers.Dense(2)], name="inner")
    model = keras.Sequential(
        [
            keras.Input((None, None, 2)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.SeparableConv2D(4, 2, padding="same"),
            layers.GlobalAveragePooling2D(),
            inner,
        ],
        name="convolution",
    )
    rate = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)
    model.compile(keras.optimizers.SGD(rate, momentum=0.9), keras.losses.Huber(), metrics=["mae"])
    random = np.random.RandomState(1)
    x, y = random.standard_normal((12, 6, 7, 2)), random.standard_normal((12, 2))
    return model, x.astype("float32"), y.astype("float32")


def recurrent() -> tuple[Any, np.ndarray, np.ndarray]:
    """An embedding with a mask, wrappers, cells, RMSprop."""
    model = keras.Sequential(
        [
            keras.Input((6,), dtype="int32"),
            layers.Embedding(7, 3, mask_zero=True),
            layers.Bidirectional(layers.LSTM(2, return_sequences=True)),
            layers.TimeDistributed(layers.Dense(3, activation="tanh")),
            layers.RNN([layers.GRUCell(2), layers.LSTMCell(3)]),
            layers.Dense(1),
        ],
        name="recurrent",
    )
    model.compile(keras.optimizers.RMSprop(0.01, momentum=0.5, centered=True), "mean_squared_error")
    random = np.random.RandomState(2)
    return model, random.randint(0, 7, (10, 6)).astype("int32"), random.standard_normal((10, 1)).astype("float32")


def sequences() -> tuple[Any, np.ndarray, np.ndarray]:
    """Integers of a free length, with a mask, through windows, a recurrent layer and a pooling."""
    model = keras.Sequential(
        [
            keras.Input((None,), dtype="int32"),
            layers.Embedding(7, 3, mask_zero=True),
            layers.Bidirectional(layers.GRU(2, return_sequences=True)),
            layers.Conv1D(3, 2, padding="causal", activation="tanh"),
            layers.GlobalMaxPooling1D(),
            layers.Dense(1),
        ],
        name="sequences",
    )
    model.compile(keras.optimizers.SGD(0.05), "mean_squared_error")
    random = np.random.RandomState(3)
    return model, random.randint(1, 7, (10, 6)).astype("int32"), random.standard_normal((10, 1)).astype("float32")


MODELS = {make.__name__: make for make in (dense, convolution, recurrent, sequences)}


def main() -> int:
    """Write the files of the models given on the command line, of all by default."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    held = FOLDER / "answers.npz"
    answers: dict[str, np.ndarray] = dict(np.load(held)) if held.exists() else {}
    for asked in sys.argv[1:] or MODELS:
        model, x, y = MODELS[asked]()
        model.fit(x, y, batch_size=5, epochs=2, shuffle=False, verbose=0)
        name = model.name
        model.save(FOLDER / f"{name}.keras")
        model.save(FOLDER / f"{name}.h5")
        if name == "dense":
            model.save_weights(FOLDER / f"{name}.weights.h5")
        answers |= {f"{name}/x": x, f"{name}/y": y, f"{name}/predictions": model.predict(x, verbose=0)}
        if name == "sequences":
            longer = np.tile(x, 2)[:, :11]
            answers |= {f"{name}/longer": longer, f"{name}/longer_predictions": model.predict(longer, verbose=0)}
        answers |= {f"{name}/weights/{i}": w for i, w in enumerate(model.get_weights())}
        if name != "dense":  # its dropout draws numbers of Keras's own
            model.fit(x, y, batch_size=5, epochs=2, shuffle=False, verbose=0)
            answers |= {f"{name}/trained/{i}": w for i, w in enumerate(model.get_weights())}
    np.savez_compressed(held, **answers)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Writes small HDF5 files with Keras, for lamella's reader: `python tests/oracle/record_hdf5.py`.

Needs keras==3.15.1 and jax. The files hold weights after one epoch, so they change with each recording and are not compared:
what is in them is read by h5py in the tests.
"""

from __future__ import annotations

import os
from pathlib import Path

os.environ["KERAS_BACKEND"] = "jax"
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import keras
import numpy as np

DATA = Path(__file__).parent / "data" / "hdf5"


def trained() -> keras.Sequential:
    """A model with a convolution, moving statistics and the state of Adam."""
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Conv2D(2, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ],
        name="small",
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    x = np.random.default_rng(0).random((8, 6, 6, 1), dtype="float32")
    model.fit(x, np.arange(8) % 3, epochs=1, verbose=0)
    return model


if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    DATA.mkdir(exist_ok=True)
    model = trained()
    model.save_weights(DATA / "keras3.weights.h5")
    model.save(DATA / "keras3_legacy.h5")
    half = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, dtype="bfloat16")], name="half")
    half.save_weights(DATA / "keras3_bfloat16.weights.h5")

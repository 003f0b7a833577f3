"""Small files that tf.keras 2.12 and 2.15 wrote, for tests that have neither: what Keras 3 does not read any more.

    python tests/oracle/record_files_keras_2.py

Run it once with tensorflow-cpu 2.15.1 and once with 2.12.1, each in an environment of its own with Python 3.11 and NumPy 1.
The first writes the `.h5` files, the second the archive: that release had a layout of its own.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

FOLDER = Path(__file__).resolve().parent / "data" / "files"
keras = tf.keras
layers = keras.layers


def images() -> tuple[list[Any], np.ndarray, Any]:
    """Convolutions that wrote what their base had, and classes that are gone."""
    stack = [
        layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2),
        layers.BatchNormalization(scale=1),
        layers.SeparableConv2D(3, 2, activation=layers.LeakyReLU(0.125)),
        layers.SpatialDropout2D(0.25),
        layers.Conv2DTranspose(2, 3, strides=2),
        layers.experimental.SyncBatchNormalization(),
        layers.ThresholdedReLU(0.25),
        layers.GlobalAveragePooling2D(),
        layers.Dense(3, activation=layers.ReLU(0.5, negative_slope=0.25)),
    ]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return stack, np.zeros((4,), "int32"), (loss, ["accuracy"], keras.optimizers.RMSprop(0.01))


def sequences() -> tuple[list[Any], np.ndarray, Any]:
    """Recurrent layers whose gates are Keras 2's hard_sigmoid."""
    stack = [
        layers.Bidirectional(tf.compat.v1.keras.layers.LSTM(2, return_sequences=True)),
        layers.GRU(3, recurrent_activation="hard_sigmoid", reset_after=True, return_sequences=True),
        layers.Activation("hard_sigmoid"),
        layers.LSTM(2),
    ]
    return stack, np.zeros((4, 2), "float32"), ("mse", ["mae"], keras.optimizers.Adam(0.01, clipnorm=1.0))


def cudnn() -> tuple[list[Any], np.ndarray, Any]:
    """Layers that computed on a GPU alone; what they predict is what LSTM and GRU do with their files."""
    stack = [tf.compat.v1.keras.layers.CuDNNLSTM(3, return_sequences=True), tf.compat.v1.keras.layers.CuDNNGRU(2)]
    return stack, np.zeros((4, 2), "float32"), ("mse", None, keras.optimizers.legacy.SGD(0.125))


def archive() -> tuple[list[Any], np.ndarray, Any]:
    """Several layers of a class, in one another, and a number of NumPy's."""
    inner = keras.Sequential([layers.Dense(4), layers.Dense(3, activation="tanh")])
    stack = [layers.Dense(5), layers.ReLU(0.75), layers.Dense(4), inner, layers.Dense(2)]
    return stack, np.zeros((4, 2), "float32"), ("mae", None, keras.optimizers.Adam(0.01))


ROWS = {
    "images": (images, (6, 6, 2)),
    "sequences": (sequences, (5, 3)),
    "cudnn": (cudnn, (5, 3)),
    "archive": (archive, (4,)),
}


def main() -> int:
    """Write the files of this release."""
    early = tf.__version__.startswith("2.12")
    answers: dict[str, np.ndarray] = {}
    for name, (make, shape) in ROWS.items():
        if (name == "archive") != early:
            continue
        stack, y, (loss, metrics, optimizer) = make()
        model = keras.Sequential([keras.Input(shape), *stack], name=name)
        for i, weight in enumerate(model.weights):
            weight.assign(
                np.random.RandomState(i).uniform(-0.9, 0.9, weight.shape) ** (2 if "variance" in weight.name else 1)
            )
        model.compile(optimizer, loss, metrics=metrics)
        x = np.random.RandomState(0).standard_normal((4, *shape)).astype("float32")
        path = FOLDER / (f"keras_2_{name}.keras" if early else f"keras_2_{name}.h5")
        if name == "cudnn":
            model.save(path, save_format="h5")
            same = keras.Sequential([keras.Input(shape), layers.LSTM(3, return_sequences=True), layers.GRU(2)])
            same.load_weights(path)
            model = same
        else:
            model.fit(x, y, epochs=1, verbose=0)
            model.save(path, save_format="keras_v3" if early else "h5")
        answers |= {"x": x, "predictions": model.predict(x, verbose=0)}
        np.savez_compressed(path.with_suffix(".npz"), **answers)
    return 0


if __name__ == "__main__":
    sys.exit(main())

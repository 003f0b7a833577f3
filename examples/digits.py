"""
Handwritten digits
==================

Train a small convolutional network on handwritten digits, on the backend that LAMELLA_BACKEND names.

The data come with lamella: 1,797 images of 8 x 8 pixels. Run it with two backends and compare: the same
script, the same seed, the same curve. `demo.py` does that.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np

import lamella
from lamella.layers import Conv2D, Dense, Dropout, Flatten, Input, MaxPooling2D

SEED = 7


def load():
    (x_train, y_train), (x_test, y_test) = lamella.datasets.digits.load_data()
    x_train, x_test = ((images / 16.0).astype("float32")[..., None] for images in (x_train, x_test))
    return x_train, x_test, y_train, y_test


def make_model():
    lamella.utils.set_random_seed(SEED)
    model = lamella.Sequential(
        [
            Input((8, 8, 1)),
            Conv2D(16, 3, padding="same", activation="relu"),
            Conv2D(32, 3, padding="same", activation="relu"),
            MaxPooling2D(2),
            Dropout(0.25),
            Flatten(),
            Dense(64, activation="relu"),
            Dense(10, activation="softmax"),
        ]
    )
    # few long steps: the backends round differently, and Adam lets that grow with the number of steps
    model.compile(
        optimizer=lamella.optimizers.Adam(0.003), loss="sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model


class EpochClock(lamella.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.seconds = []

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds.append(time.perf_counter() - self.start)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--out", type=Path, help="write curves and predictions to this .npz file")
    arguments = parser.parse_args()

    x_train, x_test, y_train, y_test = load()
    model = make_model()
    if arguments.out is None:
        model.summary()
    clock = EpochClock()
    verbose = 0 if arguments.out else 1
    history = model.fit(x_train, y_train, epochs=arguments.epochs, batch_size=128, verbose=verbose, callbacks=[clock])
    seconds = float(np.median(clock.seconds[1:] or clock.seconds))  # the first epoch also compiles
    loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
    predictions = model.predict(x_test, verbose=0)
    backend = lamella.config.backend()
    print(f"{backend}: test loss {loss:.4f}, test accuracy {accuracy:.4f}, {seconds:.2f} s an epoch")
    if arguments.out is not None:
        result = {"backend": backend, "accuracy": accuracy, "loss": loss, "seconds": seconds}
        np.savez(
            arguments.out,
            curve=np.array(history.history["loss"]),
            predictions=predictions,
            images=x_test,
            labels=y_test,
            result=json.dumps(result),
        )


if __name__ == "__main__":
    main()

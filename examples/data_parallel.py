"""
Data parallel training
======================

The script of one device, with one more line, gives the same losses on several.

::

    XLA_FLAGS=--xla_force_host_platform_device_count=4 python examples/data_parallel.py

trains on four virtual devices of the processor (`make parallel`). Where the environment names several processes, each of
them runs this script (`make parallel-processes`)::

    KERAS_DISTRIBUTION_JOB_ADDRESSES=127.0.0.1:8476 KERAS_DISTRIBUTION_NUM_PROCESSES=2 KERAS_DISTRIBUTION_PROCESS_ID=0
"""

import argparse
import os

import numpy as np

import lamella as keras
from lamella.layers import BatchNormalization, Conv2D, Dense, Dropout, Flatten, Input, MaxPooling2D
from lamella.models import Sequential

parser = argparse.ArgumentParser(description="Train a small convolutional network on several devices.")
parser.add_argument("--quick", action="store_true", help="two epochs instead of four")
epochs = 2 if parser.parse_args().quick else 4

several = "KERAS_DISTRIBUTION_NUM_PROCESSES" in os.environ
if several:
    keras.distribution.initialize()
keras.utils.set_random_seed(1)

# bars, upright or lying, in noise
rng = np.random.default_rng(0)
labels = rng.integers(0, 2, size=1000)
images = rng.normal(0.0, 0.3, size=(1000, 12, 12, 1)).astype("float32")
for image, label, place in zip(images, labels, rng.integers(0, 12, size=1000), strict=True):
    (image[place] if label else image[:, place])[...] += 1.0


def trained():
    """The history of a small convolutional network, and its accuracy on the last images."""
    model = Sequential(
        [
            Input((12, 12, 1)),
            Conv2D(16, 3, activation="relu"),
            BatchNormalization(),
            MaxPooling2D(),
            Flatten(),
            Dropout(0.2),
            Dense(2, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(images[:800], labels[:800], batch_size=32, epochs=epochs, verbose=2)
    return history.history["loss"], model.evaluate(images[800:], labels[800:], verbose=0)[1]


keras.distribution.set_distribution(keras.distribution.DataParallel())
losses, accuracy = trained()
print(f"{keras.distribution.device_count()} devices: loss {losses[-1]:.6f}, accuracy on new images {accuracy:.3f}")

if not several:
    keras.distribution.set_distribution(None)
    keras.utils.set_random_seed(1)
    alone, accuracy = trained()
    print(f"one device: loss {alone[-1]:.6f}, accuracy on new images {accuracy:.3f}")
    print(f"largest relative difference of the losses: {np.max(np.abs(np.array(losses) / alone - 1)):.1e}")

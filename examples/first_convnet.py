"""
The first convolutional network
===============================

The convolutional network of a common tutorial: two kinds of pictures to distinguish. The pictures are made here.

A picture of 224 x 224 pixels shows stripes, either vertical or horizontal. `--size` and `--rows` make it smaller.
"""

import argparse

import numpy as np

import lamella as keras
from lamella.layers import Conv2D, Dense, Dropout, Flatten, MaxPooling2D
from lamella.models import Sequential


def stripes(rows, size, rng):
    labels = rng.integers(0, 2, rows)
    waves = np.sin(np.arange(size)[None, :] * rng.uniform(0.3, 0.6, (rows, 1)) + rng.uniform(0, 6, (rows, 1)))
    upright = np.broadcast_to(waves[:, None, :], (rows, size, size))
    images = np.where(labels[:, None, None] == 0, upright, upright.transpose(0, 2, 1))
    images = images[..., None] + 0.3 * rng.standard_normal((rows, size, size, 3))
    return images.astype("float32"), labels


def make_model(size):
    model = Sequential()
    model.add(Conv2D(32, (3, 3), activation="relu", input_shape=(size, size, 3)))
    model.add(MaxPooling2D(pool_size=(2, 2)))
    model.add(Conv2D(32, (3, 3), activation="relu"))
    model.add(MaxPooling2D(pool_size=(2, 2)))
    model.add(Conv2D(64, (3, 3), activation="relu"))
    model.add(MaxPooling2D(pool_size=(2, 2)))
    model.add(Dropout(0.25))
    model.add(Flatten())
    model.add(Dense(256, activation="relu"))
    model.add(Dropout(0.5))
    model.add(Dense(1, activation="sigmoid"))
    model.compile(loss="binary_crossentropy", optimizer="rmsprop", metrics=["accuracy"])
    return model


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--rows", type=int, default=96)
    parser.add_argument("--epochs", type=int, default=2)
    arguments = parser.parse_args()
    keras.utils.set_random_seed(1)
    rng = np.random.default_rng(1)
    x_train, y_train = stripes(arguments.rows, arguments.size, rng)
    x_test, y_test = stripes(arguments.rows // 2, arguments.size, rng)
    model = make_model(arguments.size)
    model.fit(x_train, y_train, batch_size=16, epochs=arguments.epochs, validation_data=(x_test, y_test))
    score = model.evaluate(x_test, y_test, batch_size=16, verbose=0)
    print(f"test loss {score[0]:.4f}, test accuracy {score[1]:.4f}")


if __name__ == "__main__":
    main()

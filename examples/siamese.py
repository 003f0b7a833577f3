"""
A siamese network
=================

One tower sees two handwritten digits, and the distance of its vectors says whether they are the same.

References:
    R. Hadsell et al., "Dimensionality Reduction by Learning an Invariant Mapping", CVPR 2006
"""

import argparse

import numpy as np

import lamella as keras
from lamella import Input, Model, layers, ops


def pairs(images, labels, rows, rng):
    """As many pairs of the same digit as of different ones."""
    first = rng.integers(0, len(labels), rows)
    second = np.empty_like(first)
    same = np.arange(rows) % 2 == 0
    for i, (row, alike) in enumerate(zip(first, same, strict=True)):
        second[i] = rng.choice(np.flatnonzero((labels == labels[row]) == alike))
    return [images[first], images[second]], same[:, None].astype("float32")


def contrastive(margin):
    def loss(same, distance):
        return same * ops.square(distance) + (1 - same) * ops.square(ops.relu(margin - distance))

    return loss


def make_model():
    image = Input((8, 8, 1))
    h = layers.Conv2D(16, 3, activation="relu")(image)
    h = layers.Flatten()(layers.MaxPooling2D(2)(h))
    tower = Model(image, layers.Dense(8)(layers.Dense(32, activation="relu")(h)), name="tower")
    left, right = Input((8, 8, 1), name="left"), Input((8, 8, 1), name="right")
    squares = ops.sum(ops.square(tower(left) - tower(right)), axis=1, keepdims=True)
    model = Model([left, right], ops.sqrt(squares + 1e-7))
    model.compile(optimizer=keras.optimizers.Adam(3e-3), loss=contrastive(1.0))
    return model, tower


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer pairs and epochs")
    quick = parser.parse_args().quick
    keras.utils.set_random_seed(1)
    rng = np.random.default_rng(1)
    (x_train, y_train), (x_test, y_test) = keras.datasets.digits.load_data()
    x_train, x_test = ((images / 16.0).astype("float32")[..., None] for images in (x_train, x_test))
    model, tower = make_model()
    x, y = pairs(x_train, y_train, 2000 if quick else 8000, rng)
    model.fit(x, y, batch_size=64, epochs=8 if quick else 15, verbose=2)
    x, y = pairs(x_test, y_test, 400, rng)
    same = model.predict(x, verbose=0) < 0.5
    print(f"test accuracy {np.mean(same == y):.4f}")
    # the tower alone: the digit of the nearest vector
    known, asked = tower.predict(x_train, verbose=0), tower.predict(x_test, verbose=0)
    nearest = np.square(asked[:, None] - known[None]).sum(-1).argmin(1)
    print(f"accuracy of the nearest digit {np.mean(y_train[nearest] == y_test):.4f}")


if __name__ == "__main__":
    main()

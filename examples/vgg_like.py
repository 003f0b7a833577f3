"""
Blocks of convolutions, as in VGG
=================================

Blocks of two convolutions and a pooling, as in VGG: discs, squares, crosses and stripes, drawn by this script.

References:
    K. Simonyan, A. Zisserman, "Very deep convolutional networks for large-scale image recognition", ICLR 2015,
    https://arxiv.org/abs/1409.1556.
"""

import numpy as np

import lamella as keras
from lamella.layers import Conv2D, Dense, Dropout, Flatten, Input, MaxPooling2D
from lamella.models import Sequential

SIZE = 24

keras.utils.set_random_seed(1)
rng = np.random.default_rng(1)


def pictures(rows):
    """Colored shapes of random place and size on a noisy ground."""
    labels = rng.integers(0, 4, rows)
    y, x = np.mgrid[:SIZE, :SIZE][:, None]
    cx, cy = rng.integers(9, SIZE - 9, (2, rows, 1, 1))
    radius = rng.integers(5, 9, (rows, 1, 1))
    dx, dy = abs(x - cx), abs(y - cy)
    inside = np.maximum(dx, dy) < radius
    shapes = [dx**2 + dy**2 < radius**2, inside, inside & ((dx < 2) | (dy < 2)), inside & (y % 4 < 2)]
    shown = np.choose(labels[:, None, None], shapes)[..., None] * rng.uniform(0.5, 1, (rows, 1, 1, 3))
    return (shown + 0.2 * rng.normal(size=(rows, SIZE, SIZE, 3))).astype("float32"), labels


x_train, y_train = pictures(800)
x_test, y_test = pictures(200)

model = Sequential(
    [
        Input((SIZE, SIZE, 3)),
        Conv2D(16, (3, 3), activation="relu"),
        Conv2D(16, (3, 3), activation="relu"),
        MaxPooling2D((2, 2)),
        Dropout(0.25),
        Conv2D(32, (3, 3), activation="relu"),
        Conv2D(32, (3, 3), activation="relu"),
        MaxPooling2D((2, 2)),
        Dropout(0.25),
        Flatten(),
        Dense(128, activation="relu"),
        Dropout(0.5),
        Dense(4, activation="softmax"),
    ]
)
model.compile(loss="sparse_categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
model.fit(x_train, y_train, batch_size=32, epochs=8, verbose=2)
loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
print(f"test loss {loss:.4f}, test accuracy {accuracy:.4f}")

"""
Convolutions along time
=======================

Does a noisy signal hide a chirp that rises, or one that falls? The signals are made here.
"""

import numpy as np

import lamella as keras
from lamella.layers import Conv1D, Dense, Dropout, GlobalAveragePooling1D, Input, MaxPooling1D
from lamella.models import Sequential

LENGTH = 96

keras.utils.set_random_seed(1)
rng = np.random.default_rng(1)


def signals(rows):
    labels = rng.integers(0, 2, rows)
    t = np.arange(48)
    chirp = np.sin(0.2 * t + 0.008 * t**2) * np.hanning(48)
    x = 0.4 * rng.normal(size=(rows, LENGTH, 1))
    for row, label, start in zip(x, labels, rng.integers(0, LENGTH - 48, rows), strict=True):
        row[start : start + 48, 0] += chirp if label else chirp[::-1]
    return x.astype("float32"), labels


x_train, y_train = signals(1000)
x_test, y_test = signals(300)

model = Sequential(
    [
        Input((LENGTH, 1)),
        Conv1D(32, 5, activation="relu"),
        Conv1D(32, 5, activation="relu"),
        MaxPooling1D(3),
        Conv1D(64, 5, activation="relu"),
        Conv1D(64, 5, activation="relu"),
        GlobalAveragePooling1D(),
        Dropout(0.5),
        Dense(1, activation="sigmoid"),
    ]
)
model.compile(loss="binary_crossentropy", optimizer="rmsprop", metrics=["accuracy"])
model.fit(x_train, y_train, batch_size=16, epochs=8, verbose=2)
loss, accuracy = model.evaluate(x_test, y_test, batch_size=16, verbose=0)
print(f"test loss {loss:.4f}, test accuracy {accuracy:.4f}")

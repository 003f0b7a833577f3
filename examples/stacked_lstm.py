"""
LSTMs on LSTMs
==============

Ten kinds of movement, each a curve through sixteen dimensions, classified from eight noisy steps.
"""

import numpy as np

import lamella as keras
from lamella.layers import LSTM, Dense, Input
from lamella.models import Sequential

STEPS, DIMENSIONS, KINDS = 8, 16, 10

keras.utils.set_random_seed(1)
rng = np.random.default_rng(1)
turns, starts = rng.uniform(0.2, 1.2, (2, KINDS, 1, DIMENSIONS))


def movements(rows):
    kinds = rng.integers(0, KINDS, rows)
    time = np.arange(STEPS)[:, None] + rng.uniform(0, 1, (rows, 1, 1))
    curves = np.sin(time * turns[kinds] + 6 * starts[kinds]) + 0.5 * rng.normal(size=(rows, STEPS, DIMENSIONS))
    return curves.astype("float32"), keras.utils.to_categorical(kinds, KINDS)


x_train, y_train = movements(1500)
x_test, y_test = movements(400)

model = Sequential(
    [
        Input((STEPS, DIMENSIONS)),
        LSTM(32, return_sequences=True),  # a vector for every step
        LSTM(32, return_sequences=True),
        LSTM(32),  # one vector
        Dense(KINDS, activation="softmax"),
    ]
)
model.compile(loss="categorical_crossentropy", optimizer="rmsprop", metrics=["accuracy"])
model.fit(x_train, y_train, batch_size=64, epochs=12, validation_data=(x_test, y_test), verbose=2)
loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
print(f"test loss {loss:.4f}, test accuracy {accuracy:.4f}")

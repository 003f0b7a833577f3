"""
Ten classes with a softmax
==========================

A multilayer perceptron with a softmax, as many tutorials begin: ten classes from twenty numbers. The data are made here.
"""

import numpy as np

import lamella as keras
from lamella.layers import Dense, Dropout, Input
from lamella.models import Sequential
from lamella.optimizers import SGD

keras.utils.set_random_seed(1)
rng = np.random.default_rng(1)
centres = rng.normal(size=(10, 20))


def points(rows):
    labels = rng.integers(0, 10, rows)
    x = centres[labels] + 0.8 * rng.normal(size=(rows, 20))
    return x.astype("float32"), keras.utils.to_categorical(labels, 10)


x_train, y_train = points(2000)
x_test, y_test = points(500)

model = Sequential(
    [
        Input((20,)),
        Dense(64, activation="relu"),
        Dropout(0.5),
        Dense(64, activation="relu"),
        Dropout(0.5),
        Dense(10, activation="softmax"),
    ]
)
model.compile(
    loss="categorical_crossentropy",
    optimizer=SGD(learning_rate=0.01, momentum=0.9, nesterov=True),
    metrics=["accuracy"],
)
model.fit(x_train, y_train, epochs=20, batch_size=128, verbose=2)
loss, accuracy = model.evaluate(x_test, y_test, batch_size=128, verbose=0)
print(f"test loss {loss:.4f}, test accuracy {accuracy:.4f}")

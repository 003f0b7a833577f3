"""
The first regression
====================

The first script of many tutorials of 2016, word for word but for the import lines: fit y = 3 x + noise.

Keras 1's arguments (`output_dim`, `init`, `nb_epoch`) still work, each with a DeprecationWarning that names today's.
"""

import numpy as np

from lamella.layers import Dense
from lamella.models import Sequential

np.random.seed(7)  # noqa: NPY002 - as the tutorials do
x = np.linspace(-1, 1, 101)
y = 3 * x + np.random.randn(*x.shape) * 0.33  # noqa: NPY002

model = Sequential()
model.add(Dense(input_dim=1, output_dim=1, init="uniform", activation="linear"))
weights = model.layers[0].get_weights()
print(f"before: w = {weights[0][0][0]:.3f}, b = {weights[1][0]:.3f}")

model.compile(optimizer="sgd", loss="mse")
model.fit(x, y, nb_epoch=200, verbose=1)

weights = model.layers[0].get_weights()
print(f"after: w = {weights[0][0][0]:.3f}, b = {weights[1][0]:.3f}")
print(f"mean squared error: {model.evaluate(x, y, verbose=0):.4f}")

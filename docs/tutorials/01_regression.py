"""
Regression: a curve with error bars
===================================

A first model. We fit a curve through noisy points, look at what ``fit`` does, and then let the model predict its own
uncertainty.

This tutorial runs on both backends: ``LAMELLA_BACKEND=numpy python 01_regression.py`` needs NumPy, and
matplotlib for the pictures; ``LAMELLA_BACKEND=jax`` computes the same with JAX. So do the others, but the two on JAX itself
and on several devices.
"""

import matplotlib.pyplot as plt
import numpy as np

import lamella
from lamella import ops
from lamella.layers import Dense, Input

# %%
# The data
# --------
# A sine whose noise grows from left to right. Rows come first: ``x`` has the shape ``(rows, features)``.

rng = np.random.default_rng(0)
x = rng.uniform(-3, 3, size=(2000, 1)).astype("float32")
noise = 0.05 + 0.1 * (x + 3)
y = np.sin(2 * x) + noise * rng.normal(size=x.shape).astype("float32")
x_train, x_test, y_train, y_test = x[:1500], x[1500:], y[:1500], y[1500:]

# %%
# The model
# ---------
# Layers in a row, from the shape of one input to one output. ``set_random_seed`` fixes the initial weights and the
# order of the rows, on every backend.

lamella.utils.set_random_seed(1)
model = lamella.Sequential(
    [
        Input((1,)),
        Dense(32, activation="gelu"),
        Dense(32, activation="gelu"),
        Dense(1),
    ]
)
model.summary()

# %%
# Training
# --------
# ``compile`` says what is minimized and how. ``fit`` runs over all rows ``epochs`` times, in batches, and returns the
# history of the losses. The learning rate falls to 0 along a cosine: large steps first, then ever finer ones.

EPOCHS, BATCH = 40, 32
steps = EPOCHS * -(-len(x_train) // BATCH)


def optimizer():
    return lamella.optimizers.Adam(lamella.optimizers.schedules.CosineDecay(0.01, steps))


model.compile(optimizer=optimizer(), loss="mse")
history = model.fit(x_train, y_train, validation_data=(x_test, y_test), batch_size=BATCH, epochs=EPOCHS, verbose=0)

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.5), layout="constrained")
left.plot(history.history["loss"], label="training")
left.plot(history.history["val_loss"], label="test")
left.set(xlabel="epoch", ylabel="mean squared error", yscale="log")
left.legend()
grid = np.linspace(-3, 3, 200, dtype="float32")[:, None]
right.plot(x_train, y_train, ".", color="lightgray")
right.plot(grid, np.sin(2 * grid), "k--", label="without noise")
right.plot(grid, model.predict(grid, verbose=0), label="prediction")
right.legend()
plt.show()

# %%
# How good is it?
# ---------------
# The error cannot fall below the variance of the noise, so compare with that, not with zero.

print(
    f"test error {model.evaluate(x_test, y_test, verbose=0):.3f}, variance of the noise {np.mean(noise[1500:] ** 2):.3f}"
)

# %%
# Error bars
# ----------
# The mean squared error says nothing about where the prediction is good. Let the model give two numbers, a mean and the
# logarithm of a variance, and minimize the negative log-likelihood of a normal distribution. A loss is a function of
# ``lamella.ops``:


def negative_log_likelihood(y_true, y_pred):
    mean, log_variance = y_pred[:, :1], y_pred[:, 1:]
    return 0.5 * (log_variance + ops.square(y_true - mean) * ops.exp(-log_variance))


lamella.utils.set_random_seed(1)
model = lamella.Sequential([Input((1,)), Dense(32, activation="gelu"), Dense(32, activation="gelu"), Dense(2)])
model.compile(optimizer(), negative_log_likelihood)
model.fit(x_train, y_train, batch_size=BATCH, epochs=EPOCHS, verbose=0)

mean, log_variance = model.predict(grid, verbose=0).T
deviation = np.exp(0.5 * log_variance)
plt.figure(figsize=(7, 3.5), layout="constrained")
plt.plot(x_train, y_train, ".", color="lightgray")
plt.plot(grid, mean, label="mean")
plt.fill_between(grid[:, 0], mean - 2 * deviation, mean + 2 * deviation, alpha=0.3, label="two standard deviations")
plt.legend()
plt.show()

# %%
# If the bars are right, about 95 of 100 test points fall inside them.

mean, log_variance = model.predict(x_test, verbose=0).T
inside = np.abs(y_test[:, 0] - mean) < 2 * np.exp(0.5 * log_variance)
print(f"{inside.mean():.0%} of the test points are inside")

# %%
# What it does not know
# ---------------------
# The bars measure the noise of the data, not the ignorance of the model: outside [-3, 3] there was no data, and the
# bars mean nothing there. Train a few models from different seeds and compare them if you need that.

"""
Time series: forecasts, baselines and intervals
===============================================

We forecast the next 24 hours of a series from the last week, compare with baselines that cost nothing, and predict
quantiles to say how uncertain the forecast is.
"""

import matplotlib.pyplot as plt
import numpy as np

import lamella
from lamella import ops
from lamella.layers import Conv1D, Dense, Flatten, Input

# %%
# The series
# ----------
# An hourly demand for ten weeks: a daily and a weekly rhythm, noise that lasts for a few hours, and a slow trend.

rng = np.random.default_rng(0)
hours = np.arange(24 * 7 * 10)
daily = np.sin(2 * np.pi * hours / 24 - 1.5) + 0.5 * np.sin(4 * np.pi * hours / 24)
weekend = np.where(hours // 24 % 7 >= 5, 0.4, 1.0)
noise = np.zeros(len(hours))
for i in range(1, len(hours)):
    noise[i] = 0.8 * noise[i - 1] + 0.15 * rng.normal()
series = (daily * weekend + 0.0003 * hours + noise).astype("float32")

plt.figure(figsize=(9, 2.5), layout="constrained")
plt.plot(hours[: 24 * 14] / 24, series[: 24 * 14])
plt.xlabel("day")
plt.show()

# %%
# Windows
# -------
# Split by time, never at random: a window from the past must not know the future. ``PAST`` hours are the input and the
# next ``NEXT`` hours the target.

PAST, NEXT = 24 * 7, 24
split = 24 * 7 * 8


def windows(part):
    every = np.lib.stride_tricks.sliding_window_view(part, PAST + NEXT)
    return every[:, :PAST, None], every[:, PAST:]


x_train, y_train = windows(series[:split])
x_test, y_test = windows(series[split - PAST :])
print(x_train.shape, y_train.shape, x_test.shape)

# %%
# For a series that does not fit into memory there is ``lamella.utils.timeseries_dataset_from_array``, which cuts the
# windows batch by batch.

# %%
# Baselines
# ---------
# A forecast that repeats the last day, and one that repeats the same day of the last week. A model that does not beat
# them is of no use.


def error(forecast):
    return float(np.abs(forecast - y_test).mean())


print(f"last day:  {error(x_test[:, -NEXT:, 0]):.3f}")
print(f"last week: {error(x_test[:, :NEXT, 0]):.3f}")

# %%
# A model for quantiles
# ---------------------
# Convolutions with a stride shorten the week, and a dense layer gives three numbers for each of the next 24 hours: the
# quantiles 0.1, 0.5 and 0.9. The pinball loss of a quantile q is max(q e, (q - 1) e) for the error e; its minimum is
# the quantile.

QUANTILES = np.array([0.1, 0.5, 0.9], "float32")


def pinball(y_true, y_pred):
    e = ops.expand_dims(y_true, -1) - y_pred
    return ops.mean(ops.maximum(QUANTILES * e, (QUANTILES - 1) * e), axis=(1, 2))


lamella.utils.set_random_seed(0)
model = lamella.Sequential(
    [
        Input((PAST, 1)),
        Conv1D(16, 7, strides=3, activation="relu"),
        Conv1D(16, 5, strides=2, activation="relu"),
        Flatten(),
        Dense(64, activation="relu"),
        Dense(NEXT * len(QUANTILES)),
        lamella.layers.Reshape((NEXT, len(QUANTILES))),
    ]
)
model.compile(lamella.optimizers.Adam(0.003), pinball)
model.fit(x_train, y_train, batch_size=64, epochs=15, verbose=0)
forecast = model.predict(x_test, verbose=0)
print(f"model:     {error(forecast[..., 1]):.3f}")
inside = (forecast[..., 0] < y_test) & (y_test < forecast[..., 2])
print(f"{inside.mean():.0%} of the hours are between the quantiles 0.1 and 0.9 (80% are wanted)")

# %%
# Look at forecasts, and at the error by how far ahead they look.

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3), width_ratios=(2, 1), layout="constrained")
for start in (0, 60, 120):
    time = np.arange(PAST, PAST + NEXT) + start
    left.fill_between(time, forecast[start, :, 0], forecast[start, :, 2], alpha=0.3, color="C1")
    left.plot(time, forecast[start, :, 1], color="C1")
left.plot(np.arange(PAST - 24, PAST + 150), series[split - 24 : split + 150], "k", linewidth=0.8)
left.set(xlabel="hour", title="forecasts of a day, with quantiles")
right.plot(np.abs(forecast[..., 1] - y_test).mean(0), label="model")
right.plot(np.abs(x_test[:, :NEXT, 0] - y_test).mean(0), label="last week")
right.set(xlabel="hours ahead", title="mean absolute error", ylim=(0, None))
right.legend()
plt.show()

# %%
# Limits
# ------
# The intervals hold for a future that is like the past: a trend or a new rhythm breaks them, and nothing in the model
# warns. For many short series, or few data, classical methods are hard to beat.

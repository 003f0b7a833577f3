"""
Sequences of any length
=======================

A recurrent network reads sequences of different lengths. We see what a free dimension is, how padding and masks work,
and how one trained model predicts lengths that it has never seen.
"""

import matplotlib.pyplot as plt
import numpy as np

import lamella
from lamella.layers import GRU, Dense, Input, Masking

# %%
# The data
# --------
# Each sequence is a noisy wave; the label is 1 where the wave is fast (6 to 9 steps per period) and 0 where it is slow
# (11 to 16 steps per period).

rng = np.random.default_rng(0)


def waves(rows, shortest, longest):
    sequences, labels = [], rng.integers(0, 2, (rows, 1)).astype("float32")
    for length, fast in zip(rng.integers(shortest, longest + 1, rows), labels[:, 0], strict=True):
        period = rng.uniform(6, 9) if fast else rng.uniform(11, 16)
        wave = np.sin(2 * np.pi * np.arange(length) / period + rng.uniform(0, 6))
        sequences.append((wave + 0.4 * rng.normal(size=length))[:, None].astype("float32"))
    return sequences, labels


sequences, labels = waves(600, 20, 40)
print([len(sequence) for sequence in sequences[:6]])

# %%
# A free dimension
# ----------------
# ``None`` in the input shape leaves the number of time steps free: one model takes any of them. Recurrent layers want
# the shape ``(batch, time, features)``.

lamella.utils.set_random_seed(0)
model = lamella.Sequential(
    [
        Input((None, 1)),
        Masking(mask_value=-9.0),
        GRU(32),
        Dense(1, activation="sigmoid"),
    ]
)
model.summary()

# %%
# Padding and masks
# -----------------
# A batch is one array, so its sequences must have one length. ``pad_sequences`` pads the short ones with a value
# that the data does not have, and ``Masking`` tells the layers behind it to skip those steps: padding does not change
# the result.

padded = lamella.utils.pad_sequences(sequences, dtype="float32", padding="post", value=-9.0)
print(padded.shape)

short, longer = padded[:1, : len(sequences[0])], padded[:1]
print(np.abs(model.predict(short, verbose=0) - model.predict(longer, verbose=0)).max())

# %%
# Training
# --------

model.compile(lamella.optimizers.Adam(0.005), "binary_crossentropy", metrics=["accuracy"])
history = model.fit(padded[:512], labels[:512], batch_size=32, epochs=12, verbose=0)
print(f"training accuracy {history.history['accuracy'][-1]:.3f}")
print(f"test accuracy {model.evaluate(padded[512:], labels[512:], verbose=0)[1]:.3f}")

# %%
# Other lengths
# -------------
# The same model reads sequences that are shorter or longer than those it was trained on. Whether it is good at that
# depends on the task and must be measured:

for length in (5, 10, 30, 100):
    found, expected = waves(128, length, length)
    accuracy = model.evaluate(np.stack(found), expected, verbose=0)[1]
    print(f"{length:3} steps: accuracy {accuracy:.3f}")

# %%
# One prediction per step
# -----------------------
# ``return_sequences=True`` gives an output for each step. A second model with the weights of the first shows how the
# prediction changes while the sequence is read. ``judge`` is one layer in two models; the weights of the recurrent
# layer are copied.

x = Input((None, 1))
reader, judge = model.layers[1], model.layers[2]
steps = GRU(32, return_sequences=True)
per_step = lamella.Model(x, judge(steps(x)))
steps.set_weights(reader.get_weights())

figure, axes = plt.subplots(2, 1, figsize=(7, 4), sharex=True, layout="constrained")
for label, color in ((0, "C0"), (1, "C1")):
    i = int(np.flatnonzero(labels[:, 0] == label)[0])
    axes[0].plot(sequences[i][:, 0], color=color)
    axes[1].plot(per_step.predict(sequences[i][None], verbose=0)[0, :, 0], color=color, label=f"label {label}")
axes[0].set(ylabel="wave")
axes[1].set(ylabel="probability", xlabel="step")
axes[1].legend()
plt.show()

# %%
# How many programs?
# ------------------
# Each new length is traced and compiled once. For texts of a hundred lengths that is a hundred programs, which costs
# time on JAX. ``pad_to_buckets`` pads a batch to the next of a few lengths instead:

tokens, mask = lamella.utils.pad_to_buckets([[1, 2, 3], [4, 5, 6, 7, 8]], buckets=[4, 8, 16])
print(tokens)
print(mask)

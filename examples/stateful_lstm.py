"""
Long sequences in short pieces
==============================

Stateful LSTMs remember, from one batch to the next, what only the first piece showed.

Each of 32 sequences shows its kind once, in its first piece of eight steps; the pieces after it are noise. A fixed batch
size ties each row of a batch to the same sequence, and `reset_states` begins new ones.
"""

import numpy as np

import lamella as keras
from lamella.layers import LSTM, Dense, Input
from lamella.models import Sequential

BATCH, STEPS, DIMENSIONS, KINDS, PIECES = 32, 8, 16, 5, 4

keras.utils.set_random_seed(1)
rng = np.random.default_rng(1)
signs = rng.normal(size=(KINDS, DIMENSIONS))


def sequences():
    """PIECES arrays (BATCH, STEPS, DIMENSIONS), and the kinds."""
    kinds = rng.integers(0, KINDS, BATCH)
    pieces = 0.3 * rng.normal(size=(PIECES, BATCH, STEPS, DIMENSIONS))
    pieces[0, :, 2] += signs[kinds]
    return pieces.astype("float32"), keras.utils.to_categorical(kinds, KINDS)


model = Sequential(
    [
        Input(batch_shape=(BATCH, STEPS, DIMENSIONS)),
        LSTM(32, return_sequences=True, stateful=True),
        LSTM(32, stateful=True),
        Dense(KINDS, activation="softmax"),
    ]
)
model.compile(loss="categorical_crossentropy", optimizer=keras.optimizers.Adam(0.01), metrics=["accuracy"])

for turn in range(1, 121):
    pieces, kinds = sequences()
    model.reset_states()
    losses = [model.train_on_batch(piece, kinds)[0] for piece in pieces]
    if turn % 20 == 0:
        print(f"after {turn * BATCH} sequences: loss of the first piece {losses[0]:.3f}, of the last {losses[-1]:.3f}")

remembered, forgotten = [], []
for _ in range(10):
    pieces, kinds = sequences()
    model.reset_states()
    for piece in pieces:
        predicted = model.predict(piece, batch_size=BATCH, verbose=0)
    remembered.append(np.mean(predicted.argmax(1) == kinds.argmax(1)))
    model.reset_states()
    predicted = model.predict(pieces[-1], batch_size=BATCH, verbose=0)
    forgotten.append(np.mean(predicted.argmax(1) == kinds.argmax(1)))
print(f"the last piece alone: accuracy {np.mean(forgotten):.4f}")
print(f"test accuracy {np.mean(remembered):.4f}")

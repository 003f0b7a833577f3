"""
Classify sentences with an LSTM
===============================

An embedding, an LSTM and dropout: does a sentence of made-up words hold more praise than blame?

Sentences differ in length: they are padded in front, and the padding is masked.
"""

import numpy as np

import lamella as keras
from lamella.layers import LSTM, Dense, Dropout, Embedding, Input
from lamella.models import Sequential

WORDS, LENGTH = 200, 30  # word 0 pads, 1 to 20 praise, 21 to 40 blame, the rest mean nothing

keras.utils.set_random_seed(1)
rng = np.random.default_rng(1)


def sentences(rows):
    said = [rng.integers(1, WORDS, rng.integers(10, LENGTH + 1)) for _ in range(rows)]
    for sentence in said:
        loud = rng.choice(len(sentence), 5, replace=False)
        sentence[loud] = rng.integers(1, 21, 5) + 20 * rng.integers(0, 2, 5)
    balance = np.array([np.sum(s <= 20) - np.sum((s > 20) & (s <= 40)) for s in said])
    return keras.utils.pad_sequences(said, maxlen=LENGTH), (balance > 0).astype("float32")


x_train, y_train = sentences(2000)
x_test, y_test = sentences(500)

model = Sequential(
    [
        Input((LENGTH,), dtype="int32"),
        Embedding(WORDS, 32, mask_zero=True),
        LSTM(32),
        Dropout(0.5),
        Dense(1, activation="sigmoid"),
    ]
)
model.compile(loss="binary_crossentropy", optimizer=keras.optimizers.Adam(0.01), metrics=["accuracy"])
model.fit(x_train, y_train, batch_size=32, epochs=6, verbose=2)
loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
print(f"test loss {loss:.4f}, test accuracy {accuracy:.4f}")

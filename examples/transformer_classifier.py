"""
A transformer for sentences of different lengths
================================================

A transformer that classifies sentences of different lengths: padding is masked, in attention and in the mean.

A sentence is one of a made-up language: it is right where each opening word is followed by its closing one, in any distance.

References:
    A. Vaswani et al., "Attention is all you need", NeurIPS 2017, https://arxiv.org/abs/1706.03762
"""

import argparse

import numpy as np

import lamella as keras
from lamella import Input, Model, layers

WORDS, LONGEST = 20, 16
OPENING, CLOSING = 1, 2


def sentences(rows, rng):
    """Words from 3 on say nothing; 1 and 2 stand in each sentence once, in either order."""
    x = rng.integers(3, WORDS, (rows, LONGEST), dtype="int32")
    lengths = rng.integers(4, LONGEST + 1, rows)
    labels = rng.integers(0, 2, rows)
    for row, length, label in zip(x, lengths, labels, strict=True):
        places = np.sort(rng.choice(length, 2, replace=False))
        row[places] = (OPENING, CLOSING) if label else (CLOSING, OPENING)
        row[length:] = 0
    return x, labels[:, None].astype("float32")


class Positions(layers.Layer):
    """Adds a learned vector for each place in the sentence."""

    supports_masking = True

    def build(self, input_shape):
        self.table = self.add_weight(input_shape[1:], "random_normal", name="table")

    def call(self, x):
        return x + self.table


def block(x, heads, width):
    seen = layers.MultiHeadAttention(heads, width // heads)(x, x)
    x = layers.LayerNormalization()(layers.add([x, seen]))
    h = layers.Dense(width)(layers.Dense(2 * width, activation="relu")(x))
    return layers.LayerNormalization()(layers.add([x, layers.Dropout(0.1)(h)]))


def make_model(blocks, width):
    words = Input((LONGEST,), dtype="int32")
    x = layers.Embedding(WORDS, width, mask_zero=True)(words)
    x = Positions()(x)  # the mask of the padding passes through layers, not through `x + positions`
    for _ in range(blocks):
        x = block(x, 2, width)
    model = Model(words, layers.Dense(1, activation="sigmoid")(layers.GlobalAveragePooling1D()(x)))
    model.compile(optimizer=keras.optimizers.Adam(3e-3), loss="binary_crossentropy", metrics=["accuracy"])
    return model


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a smaller network, fewer sentences and epochs")
    quick = parser.parse_args().quick
    keras.utils.set_random_seed(1)
    rng = np.random.default_rng(1)
    x, y = sentences(2000 if quick else 8000, rng)
    model = make_model(1 if quick else 2, 16 if quick else 32)
    model.fit(x, y, batch_size=64, epochs=10, verbose=2)
    loss, accuracy = model.evaluate(*sentences(500, rng), verbose=0)
    print(f"test loss {loss:.4f}, test accuracy {accuracy:.4f}")


if __name__ == "__main__":
    main()

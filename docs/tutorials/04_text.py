"""
Text: from strings to a classifier, and a model that writes
===========================================================

Text becomes numbers before it enters a model. We build a vocabulary, train a classifier with embeddings, look at what
it has learned, and then let a small transformer write letter by letter.
"""

import matplotlib.pyplot as plt
import numpy as np

import lamella
from lamella import layers
from lamella.layers import Dense, Embedding, GlobalAveragePooling1D, Input

# %%
# The data
# --------
# Short reviews put together from parts, so that nothing has to be downloaded.

rng = np.random.default_rng(0)
GOOD = ["wonderful", "great", "lovely", "clever", "moving"]
BAD = ["boring", "awful", "clumsy", "endless", "dull"]
THINGS = ["story", "music", "acting", "ending", "dialogue", "picture"]


def review():
    good = int(rng.integers(0, 2))
    parts = [f"the {rng.choice(THINGS)} was {rng.choice(GOOD if good else BAD)}" for _ in range(rng.integers(1, 4))]
    return " and ".join(parts) + rng.choice([".", "!", " in the film."]), good


texts, labels = zip(*[review() for _ in range(800)], strict=True)
labels = np.array(labels, "float32")[:, None]
for text, label in zip(texts[:3], labels[:3, 0], strict=True):
    print(int(label), text)

# %%
# From strings to numbers
# -----------------------
# ``TextVectorization`` splits texts into words and gives each a number. It works on the host, before the model: no
# program holds strings. Number 0 is padding and 1 an unknown word.

vectorize = layers.TextVectorization(max_tokens=100)
vectorize.adapt(list(texts))
tokens = np.asarray(vectorize(list(texts)))
vocabulary = vectorize.get_vocabulary()
print(tokens.shape, vocabulary[:8])
print(tokens[0])

# %%
# A classifier
# ------------
# An embedding is a table with one vector per word. ``mask_zero=True`` marks the padding, and the mean over the words
# leaves it out.

lamella.utils.set_random_seed(0)
model = lamella.Sequential(
    [
        Input((None,), dtype="int32"),
        Embedding(len(vocabulary), 8, mask_zero=True),
        GlobalAveragePooling1D(),
        Dense(1, activation="sigmoid"),
    ]
)
model.compile(lamella.optimizers.Adam(0.05), "binary_crossentropy", metrics=["accuracy"])
model.fit(tokens[:640], labels[:640], epochs=10, batch_size=64, verbose=0)
print(f"test accuracy {model.evaluate(tokens[640:], labels[640:], verbose=0)[1]:.3f}")
new = ["The music was lovely", "an awful story, an endless ending"]
print(np.round(model.predict(np.asarray(vectorize(new)), verbose=0)[:, 0], 2))

# %%
# What does each word say by itself? A text of one word gives its score.

words = np.arange(2, len(vocabulary))
scores = model.predict(words[:, None], verbose=0)[:, 0]
order = scores.argsort()
plt.figure(figsize=(8, 3), layout="constrained")
colors = {**dict.fromkeys(GOOD, "C2"), **dict.fromkeys(BAD, "C3")}
plt.bar(range(len(words)), scores[order], color=[colors.get(vocabulary[i], "lightgray") for i in words[order]])
plt.xticks(range(len(words)), [vocabulary[i] for i in words[order]], rotation=60, ha="right")
plt.ylabel("probability of praise")
plt.show()

# %%
# A model that writes
# -------------------
# A transformer predicts the next letter from all letters before it. ``use_causal_mask=True`` keeps it from looking
# ahead. Each block adds to its input (a residual connection), with a normalization before attention and before the
# dense layers.

RHYME = """
twinkle twinkle little star, how i wonder what you are.
up above the world so high, like a diamond in the sky.
"""
LENGTH, WIDTH = 16, 32
letters = sorted(set(RHYME))
codes = np.array([letters.index(letter) for letter in RHYME], "int32")


class AddPositions(layers.Layer):
    def build(self, input_shape):
        self.table = self.add_weight((input_shape[1], input_shape[2]), "random_normal", name="table")

    def call(self, x):
        return x + self.table


def block(x):
    seen = layers.LayerNormalization()(x)
    x = x + layers.MultiHeadAttention(2, WIDTH // 2)(seen, seen, use_causal_mask=True)
    seen = layers.LayerNormalization()(x)
    return x + Dense(WIDTH)(Dense(4 * WIDTH, activation="gelu")(seen))


lamella.utils.set_random_seed(0)
x = Input((LENGTH,), dtype="int32")
h = block(AddPositions()(Embedding(len(letters), WIDTH)(x)))
writer = lamella.Model(x, Dense(len(letters))(layers.LayerNormalization()(h)))
writer.compile(
    lamella.optimizers.AdamW(0.01),
    lamella.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["sparse_categorical_accuracy"],
)
windows = np.lib.stride_tricks.sliding_window_view(codes, LENGTH + 1)[:96]
writer.fit(windows[:, :-1], windows[:, 1:], batch_size=32, epochs=40, verbose=0)

# %%
# Write: predict the next letter, append it, and repeat.

written = list(codes[:LENGTH])
for _ in range(60):
    scores = writer.predict_on_batch(np.array([written[-LENGTH:]], "int32"))
    written.append(int(scores[0, -1].argmax()))
print("".join(letters[code] for code in written))

# %%
# Limits
# ------
# With 113 letters of training text the model has learned them by heart. That is all this example shows; a model that
# generalizes needs far more text. Layers that take strings are not parts of models here: keep the vocabulary beside the
# model file.

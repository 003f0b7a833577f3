"""
A transformer that writes
=========================

Your own residual blocks in a `Sequential` learn a rhyme, letter by letter.

References:
    A. Vaswani et al., "Attention is all you need", NeurIPS 2017, https://arxiv.org/abs/1706.03762; the normalization is
    before each sublayer, as in R. Xiong et al., ICML 2020, https://arxiv.org/abs/2002.04745.
"""

import numpy as np

import lamella as keras
from lamella.layers import Dense, Embedding, Input, Layer, LayerNormalization, MultiHeadAttention
from lamella.models import Sequential

TEXT = """
twinkle twinkle little star, how i wonder what you are.
up above the world so high, like a diamond in the sky.
when the blazing sun is gone, when he nothing shines upon,
then you show your little light, twinkle twinkle all the night.
"""
LENGTH, WIDTH = 32, 64


class Positions(Layer):
    """Adds a learned vector for each place in the sequence."""

    def build(self, input_shape):
        self.table = self.add_weight((input_shape[1], input_shape[2]), "random_normal", name="table")

    def call(self, x):
        return x + self.table


class Block(Layer):
    """Attention to what came before, then two dense layers; each is added to its input."""

    def __init__(self, heads, **kwargs):
        super().__init__(**kwargs)
        self.heads = heads

    def build(self, input_shape):
        width = input_shape[-1]
        self.before_attention = LayerNormalization()
        self.attention = MultiHeadAttention(self.heads, width // self.heads)
        self.before_dense = LayerNormalization()
        self.widen = Dense(4 * width, activation="gelu")
        self.narrow = Dense(width)

    def call(self, x):
        seen = self.before_attention(x)
        x = x + self.attention(seen, seen, use_causal_mask=True)
        return x + self.narrow(self.widen(self.before_dense(x)))


letters = sorted(set(TEXT))
codes = np.array([letters.index(letter) for letter in TEXT], "int32")

keras.utils.set_random_seed(1)
model = Sequential(
    [
        Input((LENGTH,), dtype="int32"),
        Embedding(len(letters), WIDTH),
        Positions(),
        Block(heads=4),
        Block(heads=4),
        LayerNormalization(),
        Dense(len(letters)),
    ]
)
model.compile(
    optimizer=keras.optimizers.AdamW(3e-3),
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["sparse_categorical_accuracy"],
)
windows = np.lib.stride_tricks.sliding_window_view(codes, LENGTH + 1)
model.fit(windows[:, :-1], windows[:, 1:], batch_size=32, epochs=15, verbose=2)

written = list(codes[:LENGTH])
for _ in range(80):
    scores = model.predict_on_batch(np.array([written[-LENGTH:]], "int32"))
    written.append(int(scores[0, -1].argmax()))
print("".join(letters[code] for code in written))
loss, accuracy = model.evaluate(windows[:, :-1], windows[:, 1:], verbose=0)
print(f"accuracy of the next letter {accuracy:.4f}")

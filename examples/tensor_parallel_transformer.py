"""
Tensor parallelism
==================

The heads of attention and the hidden units of a transformer are split among devices.

::

    XLA_FLAGS=--xla_force_host_platform_device_count=4 python examples/tensor_parallel_transformer.py

trains on a mesh of two by two virtual devices (`make parallel`): batches are split along one axis, weights along the other.
Each block needs two sums over the "model" axis, behind the attention and behind the dense layers.

References:
    M. Shoeybi et al., "Megatron-LM: training multi-billion parameter language models using model parallelism", 2019,
    https://arxiv.org/abs/1909.08053
"""

import argparse

import numpy as np

import lamella as keras
from lamella import distribution
from lamella.layers import Add, Dense, Embedding, GlobalAveragePooling1D, Input, LayerNormalization, MultiHeadAttention

parser = argparse.ArgumentParser(description="Train a transformer whose weights are split among devices.")
parser.add_argument("--quick", action="store_true", help="three epochs instead of six")
epochs = 3 if parser.parse_args().quick else 6

WORDS, LENGTH, WIDTH, HEADS = 50, 16, 32, 4

devices = distribution.device_count()
split = 2 if devices % 2 == 0 else 1
mesh = distribution.DeviceMesh((devices // split, split), ["batch", "model"])
layouts = distribution.LayoutMap(mesh)
layouts[".*attention.*/(query|key|value)/kernel"] = (None, "model", None)  # width, heads, size of a head
layouts[".*attention.*/(query|key|value)/bias"] = ("model", None)
layouts[".*attention.*/attention_output/kernel"] = ("model", None, None)  # heads, size of a head, width
layouts["widen.*/kernel"] = (None, "model")
layouts["widen.*/bias"] = ("model",)
layouts["narrow.*/kernel"] = ("model", None)
parallel = distribution.ModelParallel(layout_map=layouts, batch_dim_name="batch")
distribution.set_distribution(parallel)


def block(x, number):
    """Attention and two dense layers, each added to its input."""
    seen = LayerNormalization()(x)
    x = Add()([x, MultiHeadAttention(HEADS, WIDTH // HEADS, name=f"attention_{number}")(seen, seen)])
    wide = Dense(4 * WIDTH, activation="gelu", name=f"widen_{number}")(LayerNormalization()(x))
    return Add()([x, Dense(WIDTH, name=f"narrow_{number}")(wide)])


keras.utils.set_random_seed(1)
tokens = Input((LENGTH,), dtype="int32")
hidden = Embedding(WORDS, WIDTH)(tokens)
for number in range(2):
    hidden = block(hidden, number)
answer = Dense(1, activation="sigmoid")(GlobalAveragePooling1D()(LayerNormalization()(hidden)))
model = keras.Model(tokens, answer)
print(parallel.report(model))

# does the word 7 occur in the sentence?
rng = np.random.default_rng(0)
sentences = rng.integers(0, WORDS, size=(1024, LENGTH))
sentences[::2, 3] = 7
found = (sentences == 7).any(axis=1).astype("float32")[:, None]
model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
model.fit(sentences[:896], found[:896], batch_size=64, epochs=epochs, verbose=2)
print(f"accuracy on new sentences: {model.evaluate(sentences[896:], found[896:], verbose=0)[1]:.3f}")

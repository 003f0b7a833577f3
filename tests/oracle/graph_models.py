"""Models that are graphs, written once for Keras and for lamella."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Graph(NamedTuple):
    """A model that is a graph.

    Attributes:
        make: gives the model; its argument is `keras` or `lamella`.
        shapes: the shapes of its inputs, without the batch, in the structure of the inputs.
        integers: for inputs of integers, how many there are.
        free: it leaves sizes free, so that it is also tried with other ones: shapes in the same structure.
    """

    make: Callable[[Any], Any]
    shapes: Any
    integers: int = 0
    free: Any = None


def residual(k: Any) -> Any:
    """A shortcut around two layers, and the normalization behind it."""
    x = k.Input((6,), name="features")
    h = k.layers.Dense(6, activation="relu", name="first")(x)
    h = k.layers.Dense(6, name="second")(h)
    h = k.layers.BatchNormalization()(k.layers.Add()([x, h]))
    return k.Model(x, k.layers.Dense(2)(h), name="residual")


def shared(k: Any) -> Any:
    """One encoder for two inputs: siamese."""
    left, right = k.Input((5,), name="left"), k.Input((5,), name="right")
    encoder = k.layers.Dense(4, activation="tanh", name="encoder")
    a, b = encoder(left), encoder(right)
    return k.Model([left, right], k.layers.Dot(axes=1, normalize=True)([a, b]), name="shared")


def nested(k: Any) -> Any:
    """A model inside a model, called twice, beside a Sequential."""
    x = k.Input((4,), name="x")
    inner = k.Model(x, [k.layers.Dense(3, name="a")(x), k.layers.Dense(2, name="b")(x)], name="inner")
    chain = k.Sequential([k.Input((3,)), k.layers.Dense(4, activation="relu"), k.layers.Dense(4)], name="chain")
    y = k.Input((4,), name="y")
    first, second = inner(y)
    third, fourth = inner(chain(first))
    return k.Model(y, k.layers.Concatenate()([first, second, third, fourth]), name="nested")


def by_name(k: Any) -> Any:
    """Inputs and outputs in dicts, the keys not in order."""
    price, age = k.Input((3,), name="price_in"), k.Input((2,), name="age_in")
    both = k.layers.Concatenate()([price, age])
    h = k.layers.Dense(5, activation="relu", name="trunk")(both)
    outputs = {"value": k.layers.Dense(1, name="value_head")(h), "kind": k.layers.Dense(3, name="kind_head")(h)}
    return k.Model({"price": price, "age": age}, outputs, name="by_name")


def by_list(k: Any) -> Any:
    """Lists of inputs and outputs, of which one is an input and one appears twice."""
    a, b = k.Input((3,), name="a"), k.Input((3,), name="b")
    s = k.layers.Subtract()([a, b])
    return k.Model([a, b], [k.layers.Dense(2)(s), s, a, s], name="by_list")


def structured(k: Any) -> Any:
    """Outputs in a list within a dict."""
    x = k.Input((4,), name="x")
    h = k.layers.Dense(4, activation="relu")(x)
    return k.Model(x, {"z": [k.layers.Dense(1)(h), h], "y": k.layers.Dense(2)(h)}, name="structured")


def inception(k: Any) -> Any:
    """Branches of different depth."""
    x = k.Input((6, 6, 2), name="image")
    a = k.layers.Conv2D(2, 1, activation="relu")(x)
    b = k.layers.Conv2D(2, 3, padding="same", activation="relu")(k.layers.Conv2D(2, 1)(x))
    c = k.layers.Conv2D(2, 1)(k.layers.MaxPooling2D(3, strides=1, padding="same")(x))
    h = k.layers.Concatenate()([a, b, c])
    return k.Model(x, k.layers.Dense(3, activation="softmax")(k.layers.GlobalAveragePooling2D()(h)), name="inception")


def unet(k: Any) -> Any:
    """Skips around a pooling, of free height and width."""
    x = k.Input((None, None, 1), name="image")
    skip = k.layers.Conv2D(2, 3, padding="same", activation="relu")(x)
    h = k.layers.Conv2D(3, 3, padding="same", activation="relu")(k.layers.MaxPooling2D(2)(skip))
    h = k.layers.Concatenate()([skip, k.layers.UpSampling2D(2)(h)])
    return k.Model(x, k.layers.Conv2D(1, 1, activation="sigmoid")(h), name="unet")


def translation(k: Any) -> Any:
    """An encoder whose states begin a decoder; free lengths."""
    source, target = k.Input((None, 3), name="source"), k.Input((None, 2), name="target")
    _, h, c = k.layers.LSTM(4, return_state=True, name="encoder")(source)
    decoded = k.layers.LSTM(4, return_sequences=True, name="decoder")(target, initial_state=[h, c])
    return k.Model([source, target], k.layers.Dense(2, activation="softmax")(decoded), name="translation")


def masked(k: Any) -> Any:
    """Attention over embedded words with a mask, from two inputs by position and keyword."""
    words, query = k.Input((None,), dtype="int32", name="words"), k.Input((None,), dtype="int32", name="query")
    embed = k.layers.Embedding(7, 4, mask_zero=True, name="embed")
    attention = k.layers.MultiHeadAttention(2, 3, name="attention")
    h = attention(embed(query), value=embed(words))
    h = k.layers.LayerNormalization()(h)
    return k.Model([words, query], k.layers.GlobalAveragePooling1D()(h), name="masked")


def attention(k: Any) -> Any:
    """A list to an attention layer, and a recurrent layer behind a mask."""
    words = k.Input((5,), dtype="int32", name="words")
    h = k.layers.Embedding(7, 4, mask_zero=True)(words)
    h = k.layers.Bidirectional(k.layers.GRU(2, return_sequences=True))(h)
    h = k.layers.Attention(use_scale=True)([h, h])
    return k.Model(words, k.layers.Dense(2)(k.layers.GlobalMaxPooling1D()(h)), name="attention")


def arithmetic(k: Any) -> Any:
    """Operators, indexing and functions between layers."""
    x = k.Input((4, 6), name="x")
    h = k.layers.Dense(6)(x)
    h = (h + x) * 0.5 - k.ops.mean(h, axis=-1, keepdims=True)
    h = k.ops.relu(h) + k.ops.sigmoid(h) * k.ops.exp(-k.ops.abs(h))
    h = k.ops.where(h > 0.0, h, 0.25 * h)
    h = k.ops.concatenate([h[:, 1:, ::2], k.ops.reshape(x, (-1, 3, 8))[:, :, :2]], axis=-1)
    h = k.ops.softmax(k.ops.transpose(h, (0, 2, 1)), axis=1)
    h = k.layers.Dense(3)(k.ops.max(h, axis=1))
    return k.Model(x, [h, k.ops.sqrt(k.ops.square(h) + 1e-3)], name="arithmetic")


def products(k: Any) -> Any:
    """Attention written with matmul, an axis that is put in, and constants with axes."""
    x = k.Input((5, 4), name="x")
    q, v = k.layers.Dense(3, name="q")(x), k.layers.Dense(3, name="v")(x)
    scores = k.ops.softmax(k.ops.matmul(q, k.ops.transpose(v, (0, 2, 1))) / 2.0)
    h = k.ops.matmul(scores, v) + np.arange(3, dtype="float32")
    h = k.ops.squeeze(k.ops.expand_dims(h, 1), 1)
    h = k.ops.maximum(h, np.float32(0.1)) ** 2.0
    return k.Model(x, k.layers.Dense(2)(k.ops.sum(h, axis=1)), name="products")


def tower(k: Any) -> Any:
    """Layers that are called at several depths, and a model cut out of another."""
    x = k.Input((4,), name="x")
    step = k.layers.Dense(4, activation="tanh", name="step")
    h = step(x)
    whole = k.Model(x, k.layers.Dense(2, name="out")(step(step(h))), name="whole")
    z = k.Input((4,), name="z")
    part = k.Model(whole.input, h, name="part")
    return k.Model(z, k.layers.Concatenate()([whole(z), part(z)]), name="tower")


GRAPHS: dict[str, Graph] = {
    "residual": Graph(residual, (6,)),
    "shared": Graph(shared, [(5,), (5,)]),
    "nested": Graph(nested, (4,)),
    "by_name": Graph(by_name, {"price": (3,), "age": (2,)}),
    "by_list": Graph(by_list, [(3,), (3,)]),
    "structured": Graph(structured, (4,)),
    "inception": Graph(inception, (6, 6, 2)),
    "unet": Graph(unet, (4, 6, 1), free=(6, 8, 1)),
    "translation": Graph(translation, [(3, 3), (4, 2)], free=[(5, 3), (2, 2)]),
    "masked": Graph(masked, [(4,), (3,)], integers=7, free=[(2,), (6,)]),
    "attention": Graph(attention, (5,), integers=7),
    "arithmetic": Graph(arithmetic, (4, 6)),
    "products": Graph(products, (5, 4)),
    "tower": Graph(tower, (4,)),
}


def data(graph: Graph, rows: int = 6, free: bool = False) -> Any:
    """Inputs for a graph, in the structure that it takes; the same ones each time."""
    random = np.random.RandomState(rows)

    def array(shape: Any) -> np.ndarray:
        if graph.integers:
            found = random.randint(0, graph.integers, (rows, *shape)).astype("int32")
            found[:, 0] = 1  # a mask that leaves nothing is not compared
            return found
        return random.standard_normal((rows, *shape)).astype("float32")

    shapes = graph.free if free else graph.shapes
    if isinstance(shapes, dict):
        return {name: array(shape) for name, shape in shapes.items()}
    return [array(shape) for shape in shapes] if isinstance(shapes, list) else array(shapes)

"""Graphs of sequences: states that start others, attention with masks, transformers, dilated convolutions, words."""

from __future__ import annotations

from typing import Any

from .graphs import Library, Table, flags, floats, words

TABLE = Table()
graph = TABLE.graph

CLASSES = {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}


# ---- states ----


@graph([floats(4, 3), floats(3, 2)], fast=True)
def encoder_decoder_lstm(lib: Library) -> Any:
    source, target = lib.Input((None, 3)), lib.Input((None, 2))
    _, h, c = lib.layers.LSTM(4, return_state=True)(source)
    y = lib.layers.LSTM(4, return_sequences=True)(target, initial_state=[h, c])
    return lib.Model([source, target], lib.layers.Dense(2)(y))


@graph([words(7, 5), words(6, 4)], "sparse", compiled=CLASSES)
def encoder_decoder_words(lib: Library) -> Any:
    source, target = lib.Input((None,), dtype="int32"), lib.Input((None,), dtype="int32")
    states = lib.layers.GRU(4, return_sequences=True, return_state=True)(
        lib.layers.Embedding(7, 3, mask_zero=True)(source)
    )
    y = lib.layers.GRU(4, return_sequences=True)(lib.layers.Embedding(6, 3)(target), initial_state=states[1])
    seen = lib.layers.Attention()([y, states[0]])
    y = lib.layers.Dense(6, activation="softmax")(lib.layers.Concatenate()([y, seen]))
    return lib.Model([source, target], y)


@graph([floats(4, 3), floats(3, 3)])
def encoder_of_both_directions(lib: Library) -> Any:
    source, target = lib.Input((4, 3)), lib.Input((3, 3))
    found = lib.layers.Bidirectional(lib.layers.LSTM(2, return_state=True))(source)
    h, c = lib.layers.Concatenate()([found[1], found[3]]), lib.layers.Concatenate()([found[2], found[4]])
    y = lib.layers.LSTM(4, return_sequences=True)(target, initial_state=[h, c])
    return lib.Model([source, target], lib.layers.Dense(1)(y))


@graph([floats(4, 3), floats(2), floats(2)])
def bidirectional_with_states(lib: Library) -> Any:
    x, h, g = lib.Input((4, 3)), lib.Input((2,)), lib.Input((2,))
    y = lib.layers.Bidirectional(lib.layers.GRU(2))(x, initial_state=[lib.layers.Dense(2)(h), lib.layers.Dense(2)(g)])
    return lib.Model([x, h, g], lib.layers.Dense(1)(y))


@graph(floats(4, 3), compiled={"loss": "mse"})
def states_are_outputs(lib: Library) -> Any:
    x = lib.Input((None, 3))
    y, h, c = lib.layers.LSTM(3, return_sequences=True, return_state=True, name="steps")(x)
    return lib.Model(x, [y, lib.layers.Dense(2, name="code")(lib.layers.concatenate([h, c]))])


@graph(floats(4, 3))
def stacked_residual_recurrent(lib: Library) -> Any:
    x = value = lib.Input((None, 3))
    for layer in (lib.layers.LSTM, lib.layers.GRU, lib.layers.SimpleRNN):
        value = lib.layers.Add()([value, layer(3, return_sequences=True)(value)])
    return lib.Model(x, lib.layers.Dense(1)(value[:, -1]))


@graph(floats(4, 3))
def cells_in_a_graph(lib: Library) -> Any:
    x = lib.Input((4, 3))
    y = lib.layers.RNN([lib.layers.GRUCell(3), lib.layers.LSTMCell(2)], return_sequences=True)(x)
    return lib.Model(x, lib.layers.Dense(1)(lib.layers.concatenate([y, x])))


# ---- masks ----


@graph(floats(5, 3, padded=True))
def masked_steps_two_ways(lib: Library) -> Any:
    x = lib.Input((5, 3))
    kept = lib.layers.Masking()(x)
    both = [lib.layers.LSTM(3)(kept), lib.layers.GlobalAveragePooling1D()(lib.layers.Dense(3)(kept))]
    return lib.Model(x, lib.layers.Dense(1)(lib.layers.Concatenate()(both)))


@graph([floats(5, 3), flags(5)])
def mask_by_keyword(lib: Library) -> Any:
    x, mask = lib.Input((5, 3)), lib.Input((5,), dtype="bool")
    y = lib.layers.GRU(3)(x, mask=mask)
    return lib.Model([x, mask], lib.layers.Dense(1)(y))


@graph(words(7, 5))
def mask_through_layers(lib: Library) -> Any:
    x = lib.Input((None,), dtype="int32")
    vectors = lib.layers.Embedding(7, 4, mask_zero=True)(x)
    h = lib.layers.Add()([vectors, lib.layers.Dense(4, activation="tanh")(vectors)])
    h = lib.layers.LayerNormalization(epsilon=1e-3)(h)
    return lib.Model(x, lib.layers.Dense(1)(lib.layers.SimpleRNN(3)(h)))


@graph([floats(4, 4), flags(4, 4)], fast=True)
def attention_mask(lib: Library) -> Any:
    x, mask = lib.Input((4, 4)), lib.Input((4, 4), dtype="bool")
    y, scores = lib.layers.MultiHeadAttention(2, 2)(x, x, attention_mask=mask, return_attention_scores=True)
    scores = lib.layers.Identity(name="scores")(lib.ops.mean(scores, axis=1))
    return lib.Model([x, mask], [lib.layers.Dense(1, name="y")(y + x), scores])


@graph([words(7, 5), words(7, 4)])
def attention_between_words(lib: Library) -> Any:
    query, value = lib.Input((5,), dtype="int32"), lib.Input((4,), dtype="int32")
    embedding = lib.layers.Embedding(7, 4, mask_zero=True)
    q, v = embedding(query), embedding(value)
    found = [lib.layers.Attention(use_scale=False)([q, v]), lib.layers.AdditiveAttention(use_scale=False)([q, v])]
    pooled = [lib.layers.GlobalAveragePooling1D()(part) for part in (q, *found)]
    return lib.Model([query, value], lib.layers.Dense(1)(lib.layers.Concatenate()(pooled)))


@graph([floats(3, 4), floats(5, 4), flags(5)])
def attention_by_masks_of_ones_own(lib: Library) -> Any:
    query, value, mask = lib.Input((None, 4)), lib.Input((None, 4)), lib.Input((None,), dtype="bool")
    y = lib.layers.MultiHeadAttention(2, 3)(query, value, value_mask=mask)
    seen = lib.layers.Attention()([query, value], mask=[None, mask])
    return lib.Model([query, value, mask], lib.layers.Dense(1)(y + seen))


@graph(floats(4, 4))
def grouped_query_attention(lib: Library) -> Any:
    x = lib.Input((None, 4))
    y = lib.layers.GroupQueryAttention(2, 4, 2)(x, x)
    return lib.Model(x, lib.layers.Dense(1)(lib.layers.LayerNormalization(epsilon=1e-3)(x + y)))


# ---- transformers ----


def _encoder(lib: Library, x: Any, width: int, **kwargs: Any) -> Any:
    seen = lib.layers.LayerNormalization(epsilon=1e-3)(x)
    x = lib.layers.Add()([x, lib.layers.MultiHeadAttention(2, width // 2)(seen, seen, **kwargs)])
    seen = lib.layers.LayerNormalization(epsilon=1e-3)(x)
    return x + lib.layers.Dense(width)(lib.layers.Dense(2 * width, activation="gelu")(seen))


def positions(lib: Library, vectors: Any) -> Any:
    """The vectors, to each of which one for its place is added."""

    class Positions(lib.Layer):
        def build(self, input_shape: Any) -> None:
            self.table = self.add_weight(shape=tuple(input_shape[1:]), initializer="zeros", name="table")

        def call(self, x: Any) -> Any:
            return x + self.table

    return lib.noted(Positions())(vectors)


@graph(words(7, 5, padded=False), "sparse", compiled=CLASSES, fast=True)
def transformer_encoder(lib: Library) -> Any:
    x = lib.Input((5,), dtype="int32")
    h = positions(lib, lib.layers.Embedding(7, 4)(x))
    h = lib.layers.GlobalAveragePooling1D()(_encoder(lib, h, 4))
    return lib.Model(x, lib.layers.Dense(3, activation="softmax")(lib.layers.Dropout(0.0)(h)))


@graph(words(7, 5), "sparse", compiled=CLASSES)
def transformer_of_padded_words(lib: Library) -> Any:
    x = lib.Input((5,), dtype="int32")
    h = lib.layers.Embedding(7, 4, mask_zero=True)(x)
    h = lib.layers.Add()([h, lib.layers.MultiHeadAttention(2, 2)(h, h)])
    h = lib.layers.LayerNormalization(epsilon=1e-3)(h)
    return lib.Model(x, lib.layers.Dense(3, activation="softmax")(lib.layers.GlobalAveragePooling1D()(h)))


@graph([floats(4, 4), floats(3, 4)])
def transformer_decoder(lib: Library) -> Any:
    source, target = lib.Input((None, 4)), lib.Input((None, 4))
    memory = _encoder(lib, source, 4)
    h = target + lib.layers.MultiHeadAttention(2, 2)(target, target, use_causal_mask=True)
    h = lib.layers.LayerNormalization(epsilon=1e-3)(h)
    h = lib.layers.LayerNormalization(epsilon=1e-3)(h + lib.layers.MultiHeadAttention(2, 2)(h, memory))
    return lib.Model([source, target], lib.layers.Dense(2)(h + lib.layers.Dense(4, activation="relu")(h)))


@graph(words(9, 6, padded=False), "sparse", compiled=CLASSES, slow=True)
def transformer_of_12_blocks(lib: Library) -> Any:
    x = lib.Input((6,), dtype="int32")
    h = positions(lib, lib.layers.Embedding(9, 4)(x))
    for _ in range(12):
        h = _encoder(lib, h, 4, use_causal_mask=True)
    h = lib.layers.LayerNormalization(epsilon=1e-3)(h)
    return lib.Model(x, lib.layers.Dense(9, activation="softmax")(h))


# ---- convolutions over time ----


@graph(floats(8, 2))
def dilated_gates(lib: Library) -> Any:
    x = value = lib.Input((None, 2))
    value = lib.layers.Conv1D(3, 1)(value)
    skips = []
    for dilation in (1, 2, 4):
        gate, signal = (
            lib.layers.Conv1D(3, 2, padding="causal", dilation_rate=dilation, activation=name)(value)
            for name in ("sigmoid", "tanh")
        )
        h = lib.layers.Multiply()([gate, signal])
        skips.append(lib.layers.Conv1D(2, 1)(h))
        value = lib.layers.Add()([value, lib.layers.Conv1D(3, 1)(h)])
    return lib.Model(x, lib.layers.Conv1D(1, 1)(lib.layers.ReLU()(lib.layers.Add()(skips))))


@graph(words(8, 7, padded=False), "binary", compiled={"loss": "binary_crossentropy", "metrics": ["accuracy"]})
def convolutions_of_words(lib: Library) -> Any:
    x = lib.Input((7,), dtype="int32")
    vectors = lib.layers.Embedding(8, 3)(x)
    found = [lib.layers.GlobalMaxPooling1D()(lib.layers.Conv1D(2, n, activation="tanh")(vectors)) for n in (2, 3, 4)]
    h = lib.layers.Dropout(0.0)(lib.layers.Concatenate()(found))
    return lib.Model(x, lib.layers.Dense(1, activation="sigmoid")(h))


@graph(floats(9, 2))
def unet_of_steps(lib: Library) -> Any:
    x = lib.Input((9, 2))
    skip = lib.layers.Conv1D(3, 3, padding="same", activation="elu")(x)
    low = lib.layers.GRU(3, return_sequences=True)(lib.layers.AveragePooling1D(2, padding="same")(skip))
    up = lib.layers.Cropping1D((0, 1))(lib.layers.UpSampling1D(2)(low))
    return lib.Model(x, lib.layers.Conv1D(1, 1)(lib.layers.Concatenate()([skip, up])))


# ---- words ----


@graph([words(8, 5), words(8, 5)])
def siamese_words(lib: Library) -> Any:
    a, b = lib.Input((5,), dtype="int32"), lib.Input((5,), dtype="int32")
    embedding, tower = lib.layers.Embedding(8, 3, mask_zero=True), lib.layers.LSTM(3)
    far = lib.ops.sum(lib.ops.abs(tower(embedding(a)) - tower(embedding(b))), axis=1, keepdims=True)
    return lib.Model([a, b], lib.ops.exp(-far))


@graph(
    {"words": words(8, 4), "length": floats(1)},
    {"tags": "sparse", "kind": "binary"},
    compiled={
        "loss": {"tags": "sparse_categorical_crossentropy", "kind": "binary_crossentropy"},
        "metrics": {"tags": ["accuracy"], "kind": ["accuracy"]},
    },
)
def tags_and_kind(lib: Library) -> Any:
    text, length = lib.Input((None,), dtype="int32", name="words"), lib.Input((1,), name="length")
    h = lib.layers.Bidirectional(lib.layers.GRU(2, return_sequences=True))(lib.layers.Embedding(8, 3)(text))
    pooled = lib.layers.concatenate([lib.layers.GlobalMaxPooling1D()(h), length])
    outputs = {
        "tags": lib.layers.Dense(3, activation="softmax")(h),
        "kind": lib.layers.Dense(1, activation="sigmoid")(pooled),
    }
    return lib.Model({"words": text, "length": length}, outputs)


@graph([words(6, 3, padded=False), floats(3, 4, 2)])
def words_and_their_letters(lib: Library) -> Any:
    text, letters = lib.Input((3,), dtype="int32"), lib.Input((3, 4, 2))
    spelt = lib.layers.TimeDistributed(lib.layers.LSTM(2))(letters)
    vectors = lib.layers.Concatenate()([lib.layers.Embedding(6, 3)(text), spelt])
    return lib.Model([text, letters], lib.layers.TimeDistributed(lib.layers.Dense(2))(vectors))


@graph([floats(5, 3), floats(3)])
def pointer(lib: Library) -> Any:
    steps, query = lib.Input((None, 3)), lib.Input((3,))
    keys = lib.layers.Dense(4, use_bias=False)(steps)
    asked = lib.layers.Dense(4)(query)
    scores = lib.ops.sum(lib.ops.tanh(keys + asked[:, None, :]), axis=-1)
    weight = lib.layers.Softmax(name="weight")(scores)
    found = lib.layers.Flatten()(lib.layers.Dot(axes=1)([lib.layers.Reshape((-1, 1))(weight), steps]))
    return lib.Model([steps, query], [weight, lib.layers.Dense(1, name="found")(found)])


@graph(floats(4, 3))
def repeated_vector(lib: Library) -> Any:
    x = lib.Input((4, 3))
    code = lib.layers.LSTM(2)(x)
    h = lib.layers.LSTM(3, return_sequences=True)(lib.layers.RepeatVector(4)(code))
    return lib.Model(x, lib.layers.TimeDistributed(lib.layers.Dense(3))(lib.layers.concatenate([h, x])))

"""Graphs of features: merges, shared layers, several inputs and outputs, models of models, operations."""

from __future__ import annotations

from typing import Any

from .graphs import Library, Table, codes, flags, floats

TABLE = Table()
graph = TABLE.graph


# ---- layers that meet again ----


@graph(floats(6), fast=True)
def residual_dense(lib: Library) -> Any:
    x = lib.Input((6,))
    h = lib.layers.Dense(6, activation="relu")(x)
    return lib.Model(x, lib.layers.Dense(2)(lib.layers.Add()([x, h])))


@graph(floats(5))
def highway(lib: Library) -> Any:
    x = value = lib.Input((5,))
    for _ in range(2):
        gate = lib.layers.Dense(5, activation="sigmoid")(value)
        value = gate * lib.layers.Dense(5, activation="tanh")(value) + (1.0 - gate) * value
    return lib.Model(x, lib.layers.Dense(1)(value))


@graph(floats(4), rate=0.005)
def cross_network(lib: Library) -> Any:
    x = value = lib.Input((4,))
    for _ in range(3):
        value = x * lib.layers.Dense(4)(value) + value
    deep = lib.layers.Dense(5, activation="relu")(x)
    return lib.Model(x, lib.layers.Dense(1)(lib.layers.concatenate([value, deep])))


@graph(floats(6))
def dense_block_of_features(lib: Library) -> Any:
    x = lib.Input((6,))
    found = [x]
    for _ in range(3):
        seen = lib.layers.Concatenate()(found) if len(found) > 1 else x
        found.append(lib.layers.Dense(3, activation="elu")(seen))
    return lib.Model(x, lib.layers.Dense(2)(lib.layers.Concatenate()(found)))


def _merge(
    name: str, shapes: tuple[tuple[int, ...], ...] = ((5,), (5,), (5,)), fast: bool = False, **kwargs: Any
) -> None:
    """A case of the merging layer: each input passes a layer of its own before it."""

    def build(lib: Library) -> Any:
        inputs = [lib.Input(shape) for shape in shapes]
        towers = [lib.layers.Dense(shape[-1], activation="tanh")(x) for shape, x in zip(shapes, inputs, strict=True)]
        value = getattr(lib.layers, name)(**kwargs)(towers)
        return lib.Model(inputs, lib.layers.Dense(2)(value))

    build.__name__ = f"merge_{name.lower()}"
    graph([floats(*shape) for shape in shapes], fast=fast)(build)


_merge("Add", ((3, 5), (1, 5), (3, 1)))
_merge("Subtract", ((5,), (5,)))
_merge("Multiply")
_merge("Average", fast=True)
_merge("Maximum")
_merge("Minimum", ((3, 5), (3, 5)))
_merge("Concatenate", ((2, 5), (3, 5)), axis=1)
_merge("Dot", ((3, 5), (4, 5)), axes=2)


@graph([floats(4), floats(4)])
def every_merge(lib: Library) -> Any:
    a, b = lib.Input((4,)), lib.Input((4,))
    names = ("add", "subtract", "multiply", "average", "maximum", "minimum", "concatenate")
    merged = [getattr(lib.layers, name)([a, b]) for name in names]
    merged.append(lib.layers.dot([a, b], axes=1, normalize=True))
    return lib.Model([a, b], lib.layers.Dense(2)(lib.layers.concatenate(merged)))


@graph(floats(4))
def mixture_of_experts(lib: Library) -> Any:
    x = lib.Input((4,))
    gate = lib.layers.Dense(3, activation="softmax")(x)
    experts = lib.ops.stack([lib.layers.Dense(2, activation="tanh")(x) for _ in range(3)], axis=1)
    return lib.Model(x, lib.ops.sum(experts * lib.ops.expand_dims(gate, -1), axis=1))


# ---- several inputs ----


@graph([floats(5), floats(3)], fast=True)
def wide_and_deep(lib: Library) -> Any:
    wide, deep = lib.Input((5,), name="wide"), lib.Input((3,), name="deep")
    h = lib.layers.Dense(4, activation="relu")(deep)
    h = lib.layers.Dense(4, activation="relu")(h)
    return lib.Model([wide, deep], lib.layers.Dense(1)(lib.layers.concatenate([wide, h])))


@graph(
    {"numbers": floats(4), "city": codes(7), "kind": codes(3)},
    "binary",
    compiled={"loss": "binary_crossentropy", "metrics": ["accuracy", "mae"]},
    fast=True,
)
def tabular_embeddings(lib: Library) -> Any:
    numbers = lib.Input((4,), name="numbers")
    city, kind = lib.Input((1,), dtype="int32", name="city"), lib.Input((1,), dtype="int32", name="kind")
    parts = [lib.layers.BatchNormalization()(numbers)]
    parts += [lib.layers.Flatten()(lib.layers.Embedding(n, 3)(x)) for n, x in ((7, city), (3, kind))]
    h = lib.layers.Dense(6, activation="relu")(lib.layers.Concatenate()(parts))
    y = lib.layers.Dense(1, activation="sigmoid")(h)
    return lib.Model({"numbers": numbers, "city": city, "kind": kind}, y)


@graph([codes(6), codes(5)], "normal")
def factorization(lib: Library) -> Any:
    user, item = lib.Input((1,), dtype="int32"), lib.Input((1,), dtype="int32")
    a, b = lib.layers.Embedding(6, 4)(user), lib.layers.Embedding(5, 4)(item)
    bias = lib.layers.Embedding(6, 1)(user) + lib.layers.Embedding(5, 1)(item)
    y = lib.ops.sum(a * b, axis=-1, keepdims=True) + bias
    return lib.Model([user, item], lib.layers.Flatten()(y))


@graph(floats(5))
def factorization_machine(lib: Library) -> Any:
    x = lib.Input((5,))
    factors = lib.layers.Dense(3, use_bias=False)
    pairs = lib.ops.square(factors(x)) - lib.layers.Dense(3, use_bias=False)(lib.ops.square(x))
    return lib.Model(x, lib.layers.Dense(1)(x) + 0.5 * lib.ops.sum(pairs, axis=1, keepdims=True))


@graph([floats(3), [floats(2), {"deep": floats(4)}]])
def nested_inputs(lib: Library) -> Any:
    a, b, c = lib.Input((3,)), lib.Input((2,)), lib.Input((4,), name="deep")
    y = lib.layers.Dense(2)(lib.layers.Concatenate()([lib.layers.Dense(3, activation="tanh")(x) for x in (a, b, c)]))
    return lib.Model([a, [b, {"deep": c}]], y)


def _margin(lib: Library) -> Any:
    return {"loss": lambda _, distances: lib.ops.maximum(distances[:, 0] - distances[:, 1] + 1.0, 0.0)}


@graph([floats(4), floats(4), floats(4)], compiled=_margin)
def triplet(lib: Library) -> Any:
    inputs = [lib.Input((4,), name=name) for name in ("anchor", "near", "far")]
    tower = lib.layers.Dense(3, activation="tanh")
    anchor, near, far = (tower(x) for x in inputs)
    distances = [lib.ops.sum(lib.ops.square(anchor - other), axis=-1) for other in (near, far)]
    return lib.Model(inputs, lib.ops.stack(distances, axis=-1))


# ---- several outputs ----


@graph(floats(5), compiled={"loss": ["mse", "mae"], "loss_weights": [1.0, 0.3]}, fast=True)
def multi_task_list(lib: Library) -> Any:
    x = lib.Input((5,))
    h = lib.layers.Dense(6, activation="relu")(x)
    return lib.Model(x, [lib.layers.Dense(1, name="price")(h), lib.layers.Dense(2, name="place")(h)])


@graph(
    floats(5),
    ["normal", "sparse"],
    compiled={
        "loss": {"price": "mse", "kind": "sparse_categorical_crossentropy"},
        "loss_weights": {"price": 0.5, "kind": 2.0},
        "metrics": {"price": ["mae"], "kind": ["accuracy"]},
    },
)
def multi_task_by_name(lib: Library) -> Any:
    x = lib.Input((5,))
    h = lib.layers.Dense(6, activation="relu")(x)
    return lib.Model(
        x, [lib.layers.Dense(1, name="price")(h), lib.layers.Dense(3, activation="softmax", name="kind")(h)]
    )


@graph(
    floats(5),
    {"price": "normal", "kind": "one_hot"},
    compiled={
        "loss": {"price": "mse", "kind": "categorical_crossentropy"},
        "metrics": {"price": ["mae", "mse"], "kind": "accuracy"},
    },
    fast=True,
)
def multi_task_dict(lib: Library) -> Any:
    x = lib.Input((5,))
    h = lib.layers.Dense(6, activation="relu")(x)
    kind = lib.layers.Dense(3, activation="softmax")(h)
    return lib.Model(x, {"price": lib.layers.Dense(1)(h), "kind": kind})


@graph(
    {"left": floats(3), "right": floats(3)},
    {"sum": "normal", "difference": "normal"},
    compiled={"loss": "mse", "metrics": {"difference": ["mae"]}, "weighted_metrics": {"sum": ["mae"]}},
    sample_weight={"sum": "row", "difference": "row"},
)
def dicts_of_inputs_and_outputs(lib: Library) -> Any:
    left, right = lib.Input((3,), name="left"), lib.Input((3,), name="right")
    dense = lib.layers.Dense(2, activation="tanh")
    a, b = dense(left), dense(right)
    outputs = {"sum": lib.layers.Add()([a, b]), "difference": lib.layers.Subtract()([a, b])}
    return lib.Model({"left": left, "right": right}, outputs)


@graph(floats(4), compiled={"loss": "mse", "weighted_metrics": ["mae"]}, sample_weight="row")
def one_output_with_weights(lib: Library) -> Any:
    x = lib.Input((4,))
    return lib.Model(x, lib.layers.Dense(2)(x) + lib.layers.Dense(2, activation="relu")(x))


@graph(floats(4), compiled={"loss": ["mse", None, "mae"]})
def an_output_without_a_loss(lib: Library) -> Any:
    x = lib.Input((4,))
    h = lib.layers.Dense(3, activation="tanh", name="hidden")(x)
    return lib.Model(x, [lib.layers.Dense(1, name="one")(h), h, lib.layers.Dense(2, name="two")(h)])


@graph(floats(4), "binary", compiled={"loss": {"out": "binary_crossentropy"}, "metrics": {"out": ["accuracy"]}})
def one_output_by_name(lib: Library) -> Any:
    x = lib.Input((4,))
    return lib.Model(x, lib.layers.Dense(1, activation="sigmoid", name="out")(x))


# ---- shared layers ----


@graph(floats(4))
def shared_layer_twice(lib: Library) -> Any:
    x = lib.Input((4,))
    shared = lib.layers.Dense(4, activation="tanh")
    return lib.Model(x, shared(shared(x)) + x)


@graph(floats(4))
def steps_of_an_equation(lib: Library) -> Any:
    x = value = lib.Input((4,))
    slope = lib.layers.Dense(4, activation="tanh")
    for _ in range(5):
        value = value + 0.2 * slope(value)
    return lib.Model(x, lib.layers.Dense(1)(value))


@graph([floats(6), floats(6)], "sign", compiled={"loss": "squared_hinge"}, fast=True)
def siamese(lib: Library) -> Any:
    a, b = lib.Input((6,)), lib.Input((6,))
    one = lib.layers.Dense(5, activation="relu")
    two = lib.layers.Dense(3)
    far = lib.ops.abs(two(one(a)) - two(one(b)))
    return lib.Model([a, b], lib.layers.Dense(1, activation="tanh")(far))


@graph([floats(6), floats(6)])
def siamese_cosine(lib: Library) -> Any:
    x = lib.Input((6,))
    h = lib.layers.Dense(5, activation="relu")(x)
    tower = lib.Model(x, lib.layers.BatchNormalization()(lib.layers.Dense(4)(h)), name="tower")
    a, b = lib.Input((6,)), lib.Input((6,))
    return lib.Model([a, b], lib.layers.Dot(axes=1, normalize=True)([tower(a), tower(b)]))


@graph(floats(5, 3))
def shared_over_a_set(lib: Library) -> Any:
    x = lib.Input((None, 3))
    one = lib.layers.Dense(4, activation="relu")(x)
    pooled = lib.layers.concatenate([lib.ops.max(one, axis=1), lib.ops.mean(one, axis=1), lib.ops.sum(one, axis=1)])
    return lib.Model(x, lib.layers.Dense(2)(pooled))


@graph([floats(5, 3), flags(5)])
def set_with_flags(lib: Library) -> Any:
    x, present = lib.Input((None, 3)), lib.Input((None,), dtype="bool")
    weight = lib.ops.expand_dims(lib.ops.cast(present, "float32"), -1)
    h = lib.layers.Dense(4, activation="relu")(x) * weight
    mean = lib.ops.sum(h, axis=1) / lib.ops.maximum(lib.ops.sum(weight, axis=1), 1.0)
    highest = lib.ops.max(lib.ops.where(weight > 0.5, h, -1.0), axis=1)
    return lib.Model([x, present], lib.layers.Dense(2)(mean + highest))


# ---- models of models ----


@graph(floats(6), compiled={"loss": "mse", "metrics": ["mae"]})
def autoencoder(lib: Library) -> Any:
    x, code = lib.Input((6,)), lib.Input((2,))
    encoder = lib.Model(x, lib.layers.Dense(2)(lib.layers.Dense(4, activation="relu")(x)), name="encoder")
    decoder = lib.Model(code, lib.layers.Dense(6)(lib.layers.Dense(4, activation="relu")(code)), name="decoder")
    return lib.Model(x, decoder(encoder(x)), name="autoencoder")


@graph(floats(4))
def models_in_models_in_models(lib: Library) -> Any:
    def wrapped(layer: Any, name: str) -> Any:
        x = lib.Input((4,))
        return lib.Model(x, layer(x) + x, name=name)

    inner = wrapped(lib.layers.Dense(4, activation="tanh"), "inner")
    middle = wrapped(lib.Sequential([lib.layers.Dense(4), inner], name="chain"), "middle")
    outer = wrapped(middle, "outer")
    x = lib.Input((4,))
    return lib.Model(x, lib.layers.Dense(1)(outer(x) - inner(x)))


@graph(floats(5))
def sequential_in_a_graph(lib: Library) -> Any:
    x = lib.Input((5,))
    left = lib.Sequential([lib.layers.Dense(4, activation="relu"), lib.layers.Dense(3)])
    right = lib.Sequential([lib.Input((5,)), lib.layers.Dense(3, activation="tanh")])
    return lib.Model(x, lib.layers.multiply([left(x), right(x)]))


@graph(floats(5))
def cut_out_of_another(lib: Library) -> Any:
    x = lib.Input((5,))
    h = lib.layers.Dense(4, activation="relu", name="features")(x)
    whole = lib.Model(x, lib.layers.Dense(9)(h))
    return lib.Model(whole.inputs, lib.layers.Dense(2)(whole.get_layer("features").output))


@graph(floats(5))
def frozen_base(lib: Library) -> Any:
    x = lib.Input((5,))
    base = lib.Model(x, lib.layers.BatchNormalization()(lib.layers.Dense(4, activation="relu")(x)), name="base")
    base.trainable = False
    x = lib.Input((5,))
    return lib.Model(x, lib.layers.Dense(2)(base(x)))


@graph(floats(5))
def features_of_several_layers(lib: Library) -> Any:
    chain = lib.Sequential([lib.Input((5,)), *(lib.layers.Dense(3, activation="tanh") for _ in range(3))])
    features = lib.Model(chain.inputs, [layer.output for layer in chain.layers], name="features")
    x = lib.Input((5,))
    return lib.Model(x, lib.layers.Dense(1)(lib.layers.Average()(features(x))))


@graph([floats(3), floats(4)], "binary", compiled={"loss": "binary_crossentropy"})
def generator_and_discriminator(lib: Library) -> Any:
    z, real = lib.Input((3,), name="noise"), lib.Input((4,), name="real")
    generator = lib.Sequential([lib.Input((3,)), lib.layers.Dense(5), lib.layers.LeakyReLU(0.2), lib.layers.Dense(4)])
    x = lib.Input((4,))
    h = lib.layers.LeakyReLU(negative_slope=0.1)(lib.layers.Dense(5)(x))
    discriminator = lib.Model(x, lib.layers.Dense(1, activation="sigmoid")(h), name="discriminator")
    # Keras keeps one log for two outputs of one name
    outputs = [lib.layers.Identity(name="of_made")(discriminator(generator(z))), discriminator(real)]
    return lib.Model([z, real], outputs)


# ---- operations between layers ----


@graph(floats(5), fast=True)
def arithmetic(lib: Library) -> Any:
    x = lib.Input((5,))
    h = lib.layers.Dense(5)(x)
    y = (2.0 * h - 1.0) / (1.0 + abs(x)) + (-h) ** 2 - x * 0.5 + 3.0 / (2.0 + h * h)
    return lib.Model(x, lib.layers.Dense(2)(y))


@graph(floats(6, 5))
def slices(lib: Library) -> Any:
    x = lib.Input((6, 5))
    h = lib.layers.Dense(4, activation="tanh")(x)
    found = [lib.ops.sum(h[:, ::2], axis=1), h[:, -1], h[:, 1, :2], h[:, 1:4, 0], h[..., None, 2][:, 0]]
    return lib.Model(x, lib.layers.Dense(2)(lib.layers.concatenate(found)))


@graph(floats(4, 3))
def functions_of_ops(lib: Library) -> Any:
    ops = lib.ops
    x = lib.Input((4, 3))
    h = lib.layers.Dense(3)(x)
    scores = ops.softmax(ops.einsum("bij,bkj->bik", h, x) / 2.0, axis=-1)
    y = ops.matmul(scores, ops.relu(h)) + ops.transpose(ops.reshape(x, (-1, 3, 4)), (0, 2, 1))
    y = ops.concatenate([y, ops.tanh(x), ops.sin(h)], axis=-1)
    y = ops.where(y > 0.0, y, 0.1 * y)
    return lib.Model(x, lib.layers.Dense(2)(ops.logsumexp(ops.clip(y, -2.0, 2.0), axis=1)))


@graph(floats(6))
def coupling(lib: Library) -> Any:
    x = value = lib.Input((6,))
    for turned in (False, True):
        a, b = lib.ops.split(value, 2, axis=-1)
        a, b = (b, a) if turned else (a, b)
        h = lib.layers.Dense(4, activation="relu")(a)
        b = b * lib.ops.exp(lib.layers.Dense(3, activation="tanh")(h)) + lib.layers.Dense(3)(h)
        value = lib.ops.concatenate([b, a] if turned else [a, b], axis=-1)
    return lib.Model(x, value)


@graph([floats(6), floats(2)])
def variational(lib: Library) -> Any:
    x, noise = lib.Input((6,)), lib.Input((2,), name="noise")
    h = lib.layers.Dense(4, activation="relu")(x)
    mean, log_variance = lib.layers.Dense(2, name="mean")(h), lib.layers.Dense(2, name="log_variance")(h)

    class Divergence(lib.Layer):
        def call(self, inputs: Any) -> Any:
            mean, log_variance = inputs
            self.add_loss(-0.1 * lib.ops.mean(1.0 + log_variance - mean**2 - lib.ops.exp(log_variance)))
            return mean

        def compute_output_shape(self, input_shape: Any) -> Any:
            return input_shape[0]

    code = Divergence()([mean, log_variance]) + noise * lib.ops.exp(0.5 * log_variance)
    return lib.Model([x, noise], lib.layers.Dense(6)(lib.layers.Dense(4, activation="relu")(code)))


@graph(floats(4))
def regularized(lib: Library) -> Any:
    x = lib.Input((4,))
    shared = lib.layers.Dense(4, activation="tanh", kernel_regularizer="l2")
    last = lib.layers.Dense(1, bias_regularizer="l1", activity_regularizer="l1")
    return lib.Model(x, last(shared(shared(x)) + x))

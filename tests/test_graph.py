"""Models as graphs: declared values, `Model(inputs, outputs)`, shared layers, models cut out of others."""

import numpy as np
import pytest

import lamella
from lamella import Input, Model, Sequential, layers, ops, utils
from lamella.errors import ArgumentError, ShapeError, TraceError
from lamella.ir.declared import Declared
from test_files import sequentials


def some(*shape, seed=0):
    return np.random.RandomState(seed).standard_normal(shape).astype("float32")


def residual():
    x = Input((8,), name="features")
    h = layers.Dense(8, "relu")(x)
    return Model(x, layers.Dense(2)(layers.Add()([x, h])))


# ---- declared values ----


def test_a_declared_value_has_a_spec_and_a_name_and_no_numbers():
    x = Input((None, 3), name="steps")
    assert isinstance(x, Declared) and x.name == "steps" and x.ndim == 3 and x.dtype == "float32"
    y = layers.Dense(4)(x)
    assert y.shape[1:] == (x.shape[1], 4) and repr(y) == "<declared value 'dense': float32 (None, None, 4)>"


@pytest.mark.parametrize(
    ("use", "words"),
    [
        (lambda x: bool(x > 0), "`if` or `while`"),
        (lambda x: float(x), "A number was asked"),
        (lambda x: np.tanh(x), "A NumPy function.*lamella.ops"),
        (lambda x: len(x), "`len`"),
        (lambda x: x + layers.Dense(1).add_weight((3,), name="w"), "'w'.*would not be trained"),
    ],
)  # fmt: skip
def test_what_a_declared_value_cannot_do_is_said(use, words):
    with pytest.raises(TraceError, match=words):
        use(Input((3,)))


def test_jax_functions_of_declared_values_are_refused():
    jnp = pytest.importorskip("jax.numpy")
    with pytest.raises(ValueError, match="A JAX function was called on <declared value"):
        jnp.tanh(Input((3,)))


def test_a_declared_value_is_not_used_within_a_layer():
    outer = Input((3,))
    with pytest.raises(TraceError, match="reaches its `call` as an argument"):
        layers.Lambda(lambda x: x + outer)(Input((3,)))


def test_arrays_beside_declared_values_are_of_their_dtype():
    x = Input((3,))
    assert (x * np.arange(3.0)).dtype == "float32" and (x + 1).dtype == "float32"
    model = Model(x, x * np.arange(3.0) + [1.0, 2.0, 3.0])
    np.testing.assert_allclose(model.predict(np.ones((2, 3)), verbose=0), [[1, 3, 5]] * 2)


# ---- the same bits as a Sequential ----


ROWS = [
    pytest.param(case, shape, dtype, id=case.id, marks=() if first else pytest.mark.slow)
    for case, shape, dtype, first in sequentials()
]


@pytest.mark.parametrize(("case", "shape", "dtype"), ROWS)
def test_a_functional_copy_draws_the_weights_of_the_sequential(case, shape, dtype):
    from test_files import model_of

    utils.set_random_seed(3)
    chain = model_of(case, shape, dtype)
    utils.set_random_seed(3)
    stack = model_of_layers(case)
    data = None if getattr(case, "adapt", None) is None else np.random.RandomState(5).standard_normal(case.adapt)
    if data is not None and isinstance(stack[0], layers.Discretization):  # it computes nothing before
        stack[0].adapt(data.astype("float32"))
    first = value = layers.InputLayer(batch_shape=shape, dtype=None if dtype == "float32" else dtype).value()
    for layer in stack:
        value = layer(value)
    graph = Model(first, value)
    if data is not None and isinstance(stack[0], layers.Normalization):
        stack[0].adapt(data.astype("float32"))
    assert [path for path, _ in graph.named_weights()] == [path for path, _ in chain.named_weights()]
    for ours, theirs in zip(graph.weights, chain.weights, strict=True):
        assert ours.path == theirs.path
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    assert graph.output_shape == chain.output_shape


def model_of_layers(case):
    from oracle.build import constructed
    from oracle.rows import RecurrentCase

    if isinstance(case, RecurrentCase):
        return [constructed(case.layer, layers)]
    inner = [] if case.wraps is None else [getattr(layers, case.wraps[0])(**case.wraps[1])]
    return [getattr(layers, name)(*inner, **kwargs) for name, kwargs in case.layers]


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_a_functional_copy_trains_like_the_sequential(backend):
    def made(functional):
        utils.set_random_seed(5)
        stack = [layers.Dense(8, "relu"), layers.Dropout(0.5), layers.BatchNormalization(), layers.Dense(2)]
        if not functional:
            return Sequential([Input((8,)), *stack])
        first = value = Input((8,))
        for layer in stack:
            value = layer(value)
        return Model(first, value)

    curves = []
    for functional in (False, True):
        model = made(functional)
        model.compile("adam", "mse", backend=backend)
        curves.append(model.fit(some(50, 8), some(50, 2), epochs=2, verbose=0).history["loss"])
    assert curves[0] == curves[1]


# ---- graphs ----


def test_layers_are_in_the_order_of_their_calls_behind_the_inputs():
    model = residual()
    assert list(model.children) == ["features", "dense", "add", "dense_1"]
    assert model.input_names == ["features"] and model.output_names == ["dense_1"]
    assert model.input_shape == (None, 8) and model.output_shape == (None, 2)
    assert [path for path, _ in model.named_weights()] == [
        "dense/kernel",
        "dense/bias",
        "dense_1/kernel",
        "dense_1/bias",
    ]


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_a_residual_model_computes_what_its_formula_says(backend):
    model = residual().to(backend)
    x = some(5, 8)
    w, b, v, c = model.get_weights()
    expected = (x + np.maximum(x @ w + b, 0)) @ v + c
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-5, atol=1e-6)


def test_a_shared_layer_has_one_set_of_weights_and_is_called_twice():
    shared = layers.Dense(4, use_bias=False)
    x = Input((4,))
    model = Model(x, shared(shared(x)))
    assert len(model.weights) == 1 and list(model.children) == ["input_layer", "dense"]
    kernel = model.get_weights()[0]
    np.testing.assert_allclose(model.predict(np.eye(4), verbose=0), kernel @ kernel, rtol=1e-5, atol=1e-6)


def test_two_models_share_a_layer_by_the_name_that_the_first_gave_it():
    x, z = Input((4,)), Input((3,))
    shared = layers.Dense(2)
    first = Model(x, shared(layers.Dense(4)(x)))
    second = Model(z, shared(layers.Dense(4)(z)))
    assert shared.name == "dense_1" and first.get_layer("dense_1") is second.get_layer("dense_1") is shared
    assert list(second.children) == ["input_layer", "dense", "dense_1"]
    assert shared.kernel.path == "dense_1/kernel"


def test_a_model_is_cut_out_of_another_and_out_of_a_sequential():
    model = residual()
    part = Model(model.inputs, model.get_layer("dense").output)
    x = some(3, 8)
    w, b = model.get_weights()[:2]
    np.testing.assert_allclose(part.predict(x, verbose=0), np.maximum(x @ w + b, 0), rtol=1e-5, atol=1e-6)
    chain = Sequential([Input((8,)), layers.Dense(4, name="features"), layers.Dense(2)])
    part = Model(chain.inputs, chain.get_layer("features").output)
    assert part.get_layer("features") is chain.layers[0] and part.output_shape == (None, 4)
    middle = Model(chain.get_layer("features").output, chain.output)
    assert middle.input_shape == (None, 4)
    np.testing.assert_array_equal(middle.predict(part.predict(x, verbose=0), verbose=0), chain.predict(x, verbose=0))


def test_lists_that_are_filled_after_a_call_leave_the_graph_as_it_was():
    x = Input((3,))
    features, outputs = [x], []
    for units in (2, 4):
        features.append(layers.Dense(units)(layers.Concatenate()(features) if len(features) > 1 else x))
        outputs.append(layers.Dense(1)(features[-1]))
    model = Model(x, outputs)
    outputs.append(x)
    again = Input((3,))
    assert Model(again, model(again)).output_shape == model.output_shape == [(None, 1), (None, 1)]
    assert len(model.get_layer("concatenate").input) == 2


def test_models_are_parts_of_models():
    x = Input((6,))
    encoder = Model(x, layers.Dense(2, name="code")(x), name="encoder")
    decoder = Sequential([Input((2,)), layers.Dense(6)], name="decoder")
    whole = Model(x, decoder(encoder(x)))
    assert [path for path, _ in whole.named_weights()] == [
        "encoder/code/kernel", "encoder/code/bias", "decoder/dense/kernel", "decoder/dense/bias",
    ]  # fmt: skip
    data = some(4, 6)
    parts = decoder.predict(encoder.predict(data, verbose=0), verbose=0)
    np.testing.assert_allclose(whole.predict(data, verbose=0), parts, rtol=1e-6)


@pytest.mark.parametrize("named", [False, True])
def test_a_model_within_a_model_takes_its_inputs_by_name_in_any_order(named):
    a, b = Input((3, 2), name="a"), Input((3, 2), name="b")
    means = [layers.GlobalAveragePooling1D()(x) for x in (a, b)]
    inner = Model({"a": a, "b": b} if named else [a, b], layers.Concatenate()(means))
    p, q = Input((3, 2)), Input((3, 2))
    present = layers.Lambda(lambda x: x[:, :, 0] != 0)(q)
    x, y = np.full((1, 3, 2), 2, "float32"), np.ones((1, 3, 2), "float32")
    y[0, 2] = 0
    for given, mask in (({"b": q, "a": p}, {"b": present}), ({"a": p, "b": q}, {"b": present, "a": None})):
        found = Model([p, q], inner(given)).predict([x, y], verbose=0)
        np.testing.assert_allclose(found, [[2, 2, 2 / 3, 2 / 3]], rtol=1e-6)
        found = Model([p, q], inner(given, mask=mask)).predict([x, y], verbose=0)
        np.testing.assert_allclose(found, [[2, 2, 1, 1]], rtol=1e-6)
    found = Model([p, q], inner([p, q], mask=[None, present])).predict([x, y], verbose=0)
    np.testing.assert_allclose(found, [[2, 2, 1, 1]], rtol=1e-6)
    with pytest.raises(ArgumentError, match="lacks 'b' and has the unknown key 'c'"):
        inner({"a": p, "c": q})
    with pytest.raises(ArgumentError, match=r"a single value, and the model has 2 inputs.*'a', 'b'"):
        inner(p)


def test_free_sizes_pass_through_operations_between_layers():
    x = Input((None, 4))
    scores = ops.softmax(ops.matmul(x, ops.transpose(x, (0, 2, 1))) / 2.0)
    positions = layers.Embedding(20, 4)(ops.arange(ops.shape(x)[1]))
    model = Model(x, ops.mean(ops.matmul(scores, x + positions), axis=1) + x[:, -1])
    assert model.output_shape == (None, 4)
    for length in (3, 7):
        data = some(2, length, 4)
        table = model.get_weights()[0]
        s = np.exp(data @ data.transpose(0, 2, 1) / 2.0)
        s /= s.sum(-1, keepdims=True)
        expected = (s @ (data + table[:length])).mean(1) + data[:, -1]
        np.testing.assert_allclose(model.predict(data, verbose=0), expected, rtol=1e-4, atol=1e-5)


def test_masks_travel_along_the_graph_and_operations_drop_them():
    tokens = Input((None,), dtype="int32")
    vectors = layers.Embedding(9, 3, mask_zero=True)(tokens)
    assert vectors.mask is not None and (vectors * 2).mask is None and layers.Dense(2)(vectors).mask is not None
    x = np.array([[1, 2, 0], [3, 0, 0]])
    masked = Model(tokens, layers.GlobalAveragePooling1D()(vectors))
    table = masked.get_weights()[0]
    expected = [(table[1] + table[2]) / 2, table[3]]
    np.testing.assert_allclose(masked.predict(x, verbose=0), expected, rtol=1e-5)


def test_states_of_a_layer_start_another():
    steps, others = Input((None, 3)), Input((None, 2))
    _, h, c = layers.LSTM(4, return_state=True)(steps)
    y = layers.LSTM(4, return_sequences=True)(others, initial_state=[h, c])
    model = Model([steps, others], y)
    assert model.input_shape == [(None, None, 3), (None, None, 2)] and model.output_shape == (None, None, 4)
    assert model.input_names == ["input_layer", "input_layer_1"]


class Nested(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = layers.Dense(3)

    def call(self, x):
        return self.inner(x)


def test_layers_that_are_built_within_a_call_draw_as_in_a_sequential():
    utils.set_random_seed(2)
    chain = Sequential([Input((4,)), Nested(), Nested(), Sequential([layers.Dense(2), Nested()])])
    utils.set_random_seed(2)
    x = Input((4,))
    graph = Model(x, Sequential([layers.Dense(2), Nested()])(Nested()(Nested()(x))))
    # both nested models take a seed of their own, which nothing is drawn from
    graph_seeds = [w.path for w in graph.weights]
    assert graph_seeds == [w.path for w in chain.weights]


def test_a_list_that_grows_after_it_was_concatenated_is_no_part_of_the_graph():
    x = Input((4,))
    found = [x, layers.Dense(2)(x)]
    joined = layers.Concatenate()(found)
    found.append(layers.Dense(3)(joined))
    model = Model(x, layers.Concatenate()(found))
    assert model.output_shape == (None, 9) and model.predict(some(3, 4), verbose=0).shape == (3, 9)


def test_merging_functions_are_those_of_the_layers():
    a, b = Input((3,)), Input((3,))
    for name in ("add", "subtract", "multiply", "average", "maximum", "minimum", "concatenate"):
        value = getattr(layers, name)([a, b], name=f"{name}_here")
        assert value.name == f"{name}_here" and value.shape == getattr(layers, name.title())()([a, b]).shape
    assert layers.concatenate([a, b], axis=0).shape != layers.concatenate([a, b]).shape
    assert layers.dot([a, b], axes=1, normalize=True).shape[1:] == (1,)
    np.testing.assert_array_equal(layers.subtract([np.ones((2, 3)), np.zeros((2, 3))]), np.ones((2, 3)))


def test_functions_that_need_a_constant_of_the_size_of_the_batch_take_declared_values():
    x = Input((3, 4))
    model = Model(x, ops.logsumexp(x, axis=1) + ops.cast(ops.isfinite(x[:, 0]), "float32") + ops.ones_like(x[:, 1]))
    data = some(5, 3, 4)
    expected = np.log(np.exp(data).sum(1)) + 2
    np.testing.assert_allclose(model.predict(data, verbose=0), expected, rtol=1e-5)


# ---- a layer twice in a Sequential ----


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_a_sequential_applies_one_object_at_two_places(backend):
    shared = layers.Dense(4, use_bias=False)
    model = Sequential([Input((4,)), shared, layers.ReLU(), shared]).to(backend)
    assert model.layers == [shared, model.layers[1], shared] and len(model.weights) == 1
    kernel = model.get_weights()[0]
    np.testing.assert_allclose(
        model.predict(np.eye(4), verbose=0), np.maximum(kernel, 0) @ kernel, rtol=1e-5, atol=1e-6
    )


# ---- what is refused ----


def test_graphs_that_are_none_are_refused_in_one_sentence():
    x, z = Input((4,), name="left"), Input((4,), name="right")
    y = layers.Dense(2)(x)
    with pytest.raises(ArgumentError, match="depend on the input 'right', which is not among"):
        Model(x, layers.Add()([x, z]))
    with pytest.raises(ArgumentError, match="no output depends on the input 'right'"):
        Model([x, z], y)
    with pytest.raises(ArgumentError, match="listed twice"):
        Model([x, x], y)
    with pytest.raises(TypeError, match=r"outputs must be symbolic values, got 3\."):
        Model(x, [y, 3])
    with pytest.raises(TypeError, match="inputs must be symbolic values, got <InputLayer"):
        Model(layers.InputLayer((4,)), y)
    with pytest.raises(ArgumentError, match="outputs must not be empty"):
        Model(x, [])
    with pytest.raises(ValueError, match="Two layers are called 'dense'"):
        Model(x, layers.Dense(2, name="dense")(layers.Dense(4, name="dense")(x)))


def test_a_layer_that_does_not_fit_says_so_when_it_is_called():
    shared = layers.Dense(2)
    shared(Input((4,)))
    with pytest.raises(ShapeError, match="expected 4 features in the last axis, got 3"):
        shared(Input((3,)))
    fresh = layers.Conv2D(2, 3)
    with pytest.raises(ShapeError, match="4 dimensions"):
        fresh(Input((4,)))
    assert not fresh.built


def test_a_subclass_that_forgets_its_base_is_told():
    class Forgetful(lamella.Model):
        def __init__(self):
            self.dense = layers.Dense(2)

    with pytest.raises(TypeError, match=r"Forgetful.__init__ does not call `super\(\).__init__\(\)`"):
        Forgetful()


# ---- subclasses ----


class Block(lamella.Model):
    def __init__(self, units):
        super().__init__()
        self.first = layers.Dense(units, "relu")
        self.rest = [layers.Dropout(0.5), layers.Dense(3)]
        self.by_name = {"norm": layers.BatchNormalization()}

    def call(self, x, training=False):
        y = self.by_name["norm"](self.first(x))
        for layer in self.rest:
            y = layer(y)
        return y


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_a_subclass_is_built_by_its_first_data_and_trains(backend):
    model = Block(4)
    assert not model.built and not hasattr(model, "input_shape") and not hasattr(model, "output_shape")
    model.compile("adam", "mse", backend=backend)
    losses = model.fit(some(40, 5), some(40, 3), epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert model.input_shape == (None, 5) and model.output_shape == (None, 3)
    assert list(model.children) == ["dense", "dropout", "dense_1", "batch_normalization"]


def test_a_subclass_is_built_for_a_shape():
    model = Block(4)
    model.build((None, 5))
    assert model.count_params() == 5 * 4 + 4 + 4 * 3 + 3 + 4 * 4
    with pytest.raises(ShapeError, match=r"expected shape \(None, 5\), got \(None, 6\)"):
        model.build((None, 6))


def test_a_subclass_takes_any_length_where_its_layers_do():
    class Pooled(lamella.Model):
        def __init__(self):
            super().__init__()
            self.embed, self.head = layers.Embedding(10, 4), layers.Dense(2)

        def call(self, tokens):
            return self.head(ops.mean(self.embed(tokens), axis=1))

    model = Pooled()
    assert model.predict(np.ones((2, 5), "int32"), verbose=0).shape == (2, 2)
    assert model.input_shape == (None, None)
    assert model.predict(np.ones((3, 8), "int32"), verbose=0).shape == (3, 2)


def test_a_subclass_with_a_build_of_its_own_is_built():
    class Own(lamella.Model):
        def build(self, input_shape):
            self.kernel = self.add_weight((input_shape[-1], 2), name="kernel")

        def call(self, x):
            return ops.matmul(x, self.kernel)

    model = Own()
    assert model.predict(some(2, 3), verbose=0).shape == (2, 2)
    assert [path for path, _ in model.named_weights()] == ["kernel"]


def test_a_subclass_that_calls_itself_built_is_built_by_its_first_data():
    class Marked(lamella.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(1)
            self.built = True

        def call(self, x):
            return self.dense(x)

    model = Marked()
    assert not model.built
    model.compile("sgd", "mse")
    model.fit(np.ones((4, 3)), np.ones((4, 1)), verbose=0)
    assert model.built and model.predict(np.ones((2, 3)), verbose=0).shape == (2, 1)


def test_a_failed_first_batch_leaves_a_subclass_unbuilt():
    model = Block(4)
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="y"):
        model.fit(some(10, 5), some(9, 3), verbose=0)
    assert not model.built and not model.weights


# ---- attributes ----


def test_a_model_and_its_layers_have_the_attributes_of_keras():
    model = residual()
    dense = model.get_layer("dense")
    assert dense.input is model.input and dense.output_shape == (None, 8) and dense.input_shape == (None, 8)
    assert model.outputs == [model.output] and len(model) == 4 and not model.compiled
    assert not hasattr(layers.Dense(2), "output") and not hasattr(layers.Dense(2), "input_shape")
    model.compile("sgd", "mse")
    assert model.compiled
    inner = Sequential([Input((2,)), layers.Dense(2)], name="inner")
    outer = Sequential([Input((2,)), inner])
    assert outer.layers == [inner] and inner.path == "inner" and inner.layers[0].path == "inner/dense"
    assert inner.layers[0].kernel.path == "dense/kernel"
    assert Sequential() and len(Sequential()) == 0


def test_an_attribute_of_the_users_own_takes_the_place_of_input_and_output():
    class Head(layers.Layer):
        def __init__(self):
            super().__init__()
            self.output = layers.Dense(2)

        def call(self, x):
            return self.output(x)

    assert Head()(some(3, 4)).shape == (3, 2)


def test_the_losses_of_a_model_are_those_of_its_regularizers():
    model = Sequential([Input((2,)), layers.Dense(2, kernel_regularizer="l2"), layers.Dense(1)])
    kernel = model.get_weights()[0]
    assert len(model.losses) == 1
    np.testing.assert_allclose(float(model.losses[0]), 0.01 * (kernel**2).sum(), rtol=1e-6)


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_stateless_call_takes_the_variables_as_arrays(backend):
    with lamella.backend_scope(backend):
        x = Input((3,))
        model = Model(x, layers.BatchNormalization(momentum=0.5)(layers.Dense(2, kernel_regularizer="l2")(x)))
        data = some(4, 3)
        trainable = [np.ones(v.shape, "float32") for v in model.trainable_variables]
        rest = [np.asarray(v.numpy()) for v in model.non_trainable_variables]
        before = model.get_weights()
        y, state, losses = model.stateless_call(trainable, rest, data, training=True, return_losses=True)
        h = data @ np.ones((3, 2), "float32") + 1
        np.testing.assert_allclose(np.asarray(y), (h - h.mean(0)) / np.sqrt(h.var(0) + 1e-3) + 1, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(np.asarray(state[0]), 0.5 * h.mean(0), rtol=1e-5)
        np.testing.assert_allclose(float(losses[0]), 0.01 * 6, rtol=1e-5)
        for now, then in zip(model.get_weights(), before, strict=True):
            np.testing.assert_array_equal(now, then)
        with pytest.raises(ShapeError, match="has 4 trainable variables, got 3"):
            model.stateless_call(trainable[:3], rest, data)


def test_stateless_call_is_differentiated_by_jax():
    jax = pytest.importorskip("jax")
    layer = layers.Dense(2, use_bias=False)
    layer.build((None, 3))
    data = some(4, 3)
    gradient = jax.grad(lambda w: layer.stateless_call([w], [], data)[0].sum())(jax.numpy.ones((3, 2)))
    np.testing.assert_allclose(np.asarray(gradient), np.repeat(data.sum(0)[:, None], 2, 1), rtol=1e-5)


def test_a_clone_of_a_graph_is_made_of_the_layers_that_a_function_gives():
    def linear(layer):
        config = layer.get_config()
        return type(layer).from_config({**config, **({"activation": None} if "activation" in config else {})})

    model = residual()
    clone = lamella.models.clone_model(model, clone_function=linear)
    clone.set_weights(model.get_weights())
    w, b, v, c = model.get_weights()
    x = some(4, 8)
    np.testing.assert_allclose(clone.predict(x, verbose=0), (x + x @ w + b) @ v + c, rtol=1e-4, atol=1e-5)
    assert clone.get_layer("dense") is not model.get_layer("dense")


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_a_layer_may_draw_in_predictions(backend):
    x = Input((1000,))
    model = Model(x, layers.Dropout(0.5)(x, training=True)).to(backend)
    y = model.predict(np.ones((1, 1000)), verbose=0)
    assert set(np.unique(y)) == {0.0, 2.0}


def test_zeros_like_a_declared_value():
    x = Input((None, 3))
    assert Model(x, x + ops.zeros_like(x) + ops.ones(ops.shape(x))).output_shape == (None, None, 3)

"""Declaring, building and looking at a `Sequential`."""

from __future__ import annotations

import numpy as np
import pytest

import lamella
from lamella.layers import BatchNormalization, Conv2D, Dense, Dropout, Flatten, Input, MaxPooling2D


def text_of(model, **options):
    lines = []
    model.summary(print_fn=lines.append, **options)
    return "\n".join(lines)


def small(*layers):
    return lamella.Sequential([Input((3,)), *(layers or (Dense(4, activation="relu"), Dense(2)))])


def snapshot(model):
    return (
        list(model.children),
        [layer.name for layer in model.layers],
        model.built,
        model.has_input_shape and model.input_shape,
        model.get_weights(),
    )


def assert_as_before(model, before):
    *told, weights = snapshot(model)
    *told_before, weights_before = before
    assert told == told_before
    assert len(weights) == len(weights_before)
    for now, then in zip(weights, weights_before, strict=True):
        np.testing.assert_array_equal(now, then)


# ---- the input shape ----

WAYS_TO_SAY_THE_INPUT_SHAPE = {
    "Input": ([Input((3,))], {}, (None, 3)),
    "Input with an integer": ([Input(3)], {}, (None, 3)),
    "Input with batch_shape": ([Input(batch_shape=(None, 3))], {}, (None, 3)),
    "Input with batch_size": ([Input((3,), batch_size=4)], {}, (4, 3)),
    "input_shape": ([], {"input_shape": (3,)}, (None, 3)),
    "input_dim": ([], {"input_dim": 3}, (None, 3)),
    "batch_input_shape": ([], {"batch_input_shape": (None, 3)}, (None, 3)),
    "batch_input_shape with a batch size": ([], {"batch_input_shape": (4, 3)}, (4, 3)),
}


@pytest.mark.parametrize("way", WAYS_TO_SAY_THE_INPUT_SHAPE)
def test_every_way_to_say_the_input_shape_builds_the_model_at_once(way, backend):
    before, kwargs, shape = WAYS_TO_SAY_THE_INPUT_SHAPE[way]
    model = lamella.Sequential([*before, Dense(2, **kwargs)])
    assert model.built
    assert model.input_shape == shape
    assert model.output_shape == (shape[0], 2)
    assert [w.shape for w in model.get_weights()] == [(3, 2), (2,)]
    assert model.predict(np.ones((4, 3), "float32"), batch_size=4, verbose=0).shape == (4, 2)


def test_a_list_and_add_declare_the_same_model(backend):
    lamella.utils.set_random_seed(3)
    from_list = lamella.Sequential([Input((3,)), Dense(4), Dropout(0.5), Dense(2)])
    lamella.utils.set_random_seed(3)
    added = lamella.Sequential()
    for layer in (Input((3,)), Dense(4), Dropout(0.5), Dense(2)):
        added.add(layer)
    assert list(from_list.children) == list(added.children) == ["dense", "dropout", "dense_1"]
    for a, b in zip(from_list.get_weights(), added.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("first_use", ["fit", "predict", "call", "build", "lower"])
def test_without_an_input_shape_the_first_data_build_the_model(first_use, backend):
    model = lamella.Sequential([Dense(4), Dense(1)])
    assert not model.built
    assert model.get_weights() == []
    x = np.ones((5, 3), "float32")
    model.compile("sgd", "mse")
    {
        "fit": lambda: model.fit(x, np.ones(5), verbose=0),
        "predict": lambda: model.predict(x, verbose=0),
        "call": lambda: model(x),
        "build": lambda: model.build((None, 3)),
        "lower": lambda: model.lower(backend, (None, 3)),
    }[first_use]()
    assert model.built
    assert model.input_shape == (None, 3)
    assert [w.shape for w in model.get_weights()] == [(3, 4), (4,), (4, 1), (1,)]


def test_weights_do_not_depend_on_when_the_model_was_built():
    weights = []
    for deferred in (False, True):
        lamella.utils.set_random_seed(5)
        model = lamella.Sequential([Dense(4, **({} if deferred else {"input_shape": (3,)})), Dense(2)])
        model.build((None, 3))
        weights.append([*model.get_weights(), *lamella.Sequential([Input((3,)), Dense(2)]).get_weights()])
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_building_twice_keeps_the_weights_and_another_shape_is_refused():
    model = small()
    before = snapshot(model)
    model.build((None, 3))
    assert_as_before(model, before)
    with pytest.raises(ValueError, match=r"built for inputs of shape \(None, 3\), got \(None, 5\)"):
        model.build((None, 5))
    assert_as_before(model, before)


def test_a_free_dimension_that_a_weight_depends_on_does_not_build():
    model = lamella.Sequential([Dense(2)])
    with pytest.raises(ValueError, match=r"Layer 'dense': a weight of shape \(None, 2\) has no size along axis 0"):
        model.build((None, None))
    assert not model.has_input_shape
    model.build((None, 3))
    assert model.built


def test_a_model_without_a_shape_says_how_to_give_it_one():
    with pytest.raises(ValueError, match=r"start with `Input\(shape\)`"):
        lamella.Sequential([Dense(2)]).lower("numpy")


# ---- add and pop ----


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        (lambda m: m.add(Dense), TypeError, r"the class Dense; write Dense\(...\)"),
        (lambda m: m.add("dense"), TypeError, "Sequential takes layers, got 'dense'"),
        (lambda m: m.add(Conv2D(2, 3)), ValueError, "conv2d.*4 dimensions"),
        (lambda m: m.add(m.layers[0]), ValueError, "expected 3 features in the last axis, got 2"),
        (lambda m: m.add(Input((3,))), ValueError, "Input must be the first layer"),
        (lambda m: m.add(Dense(2, name="dense")), ValueError, "Two layers are called 'dense'"),
        (lambda m: m.add(lamella.layers.Reshape((5, 5))), ValueError, "reshape.*2 elements"),
        (lambda m: m.add(lamella.Sequential([Input((7,)), Dense(2)])), ValueError, "sequential.*7.*2"),
    ],
)
def test_an_add_that_fails_leaves_the_model_as_it_was(wrong, error, words):
    model = small()
    before = snapshot(model)
    with pytest.raises(error, match=words):
        wrong(model)
    assert_as_before(model, before)
    model.add(Dense(5))
    assert model.output_shape == (None, 5)


def test_a_layer_that_failed_in_one_model_can_be_used_in_another():
    layer = Conv2D(2, 3)
    with pytest.raises(ValueError, match="4 dimensions"):
        small().add(layer)
    assert not layer.built
    model = lamella.Sequential([Input((8, 8, 1)), layer])
    assert model.output_shape == (None, 6, 6, 2)


def test_pop_removes_the_last_layer_and_another_may_follow(backend):
    model = small()
    kept = model.layers[0].get_weights()
    popped = model.pop()
    assert popped.name == "dense_1"
    assert model.output_shape == (None, 4)
    model.add(Dense(7))
    assert model.predict(np.ones((2, 3)), verbose=0).shape == (2, 7)
    np.testing.assert_array_equal(model.layers[0].get_weights()[0], kept[0])
    for _ in range(2):
        model.pop()
    with pytest.raises(ValueError, match="pop needs a Sequential with at least one layer"):
        model.pop()


def test_after_add_and_pop_a_compiled_model_trains_on(backend):
    x, y = np.ones((6, 3), "float32"), np.ones((6, 2), "float32")
    model = small()
    model.compile("adam", "mse")
    model.fit(x, y, verbose=0)
    model.add(Dense(1))
    model.fit(x, y[:, :1], verbose=0)
    model.pop()
    model.fit(x, y, verbose=0)
    assert model.predict(x, verbose=0).shape == (6, 2)


# ---- names ----


def test_names_are_numbered_within_each_model():
    for _ in range(2):
        model = lamella.Sequential([Input((3,)), Dense(2), Dense(2), Dense(2, name="mine"), Dense(2)])
        assert [layer.name for layer in model.layers] == ["dense", "dense_1", "mine", "dense_2"]
        assert [path for path, _ in model.named_weights()][:3] == ["dense/kernel", "dense/bias", "dense_1/kernel"]


def test_get_layer_by_name_and_index():
    model = small()
    assert model.get_layer("dense_1") is model.layers[1]
    assert model.get_layer(index=0) is model.layers[0]
    assert model.get_layer(index=-1) is model.layers[1]
    with pytest.raises(ValueError, match="Unknown layer 'dens': did you mean 'dense'"):
        model.get_layer("dens")
    with pytest.raises(ValueError, match="less than the number of layers, 2, got 2"):
        model.get_layer(index=2)


# ---- nesting and sharing ----


def test_a_nested_sequential_builds_trains_and_names_its_weights_by_path(backend):
    inner = lamella.Sequential([Dense(4, activation="relu"), BatchNormalization()], name="features")
    model = lamella.Sequential([Input((3,)), inner, Dense(1)])
    assert inner.built
    assert [path for path, _ in model.named_weights()] == [
        "features/dense/kernel",
        "features/dense/bias",
        "features/batch_normalization/gamma",
        "features/batch_normalization/beta",
        "features/batch_normalization/moving_mean",
        "features/batch_normalization/moving_variance",
        "dense/kernel",
        "dense/bias",
    ]
    before = model.get_weights()
    model.compile("sgd", "mse")
    model.fit(np.random.default_rng(0).normal(size=(16, 3)), np.ones(16), verbose=0, epochs=2)
    changed = [bool(np.any(a != b)) for a, b in zip(before, model.get_weights(), strict=True)]
    assert all(changed)
    assert inner.predict(np.ones((2, 3)), verbose=0).shape == (2, 4)


def test_a_built_nested_model_brings_its_input_shape_and_keeps_its_weights():
    inner = small()
    weights = inner.get_weights()
    model = lamella.Sequential([inner, Dense(1)])
    assert model.input_shape == (None, 3)
    for a, b in zip(weights, inner.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_layer_in_two_models_has_one_set_of_weights(backend):
    shared = Dense(4)
    first = lamella.Sequential([Input((3,)), shared, Dense(1)])
    second = lamella.Sequential([Input((3,)), shared])
    assert first.layers[0] is second.layers[0]
    assert len(second.weights) == 2
    x = np.ones((8, 3), "float32")
    before = second.predict(x, verbose=0)
    first.compile("sgd", "mse")
    first.fit(x, np.zeros(8), verbose=0)
    after = second.predict(x, verbose=0)
    assert np.abs(after - before).max() > 0
    np.testing.assert_array_equal(second.get_weights()[0], first.get_weights()[0])
    second.set_weights([np.zeros((3, 4)), np.ones(4)])
    np.testing.assert_array_equal(first.layers[0].get_weights()[1], np.ones(4))


# ---- weights ----


def test_weights_are_copies_in_kerass_order_and_can_be_set_on_model_and_layer(backend):
    model = small(Dense(2), BatchNormalization())
    weights = model.get_weights()
    assert [v.name for v in model.weights] == ["kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance"]
    weights[0][:] = 9
    assert not np.any(model.get_weights()[0] == 9)
    model.set_weights(weights)
    np.testing.assert_array_equal(model.get_weights()[0], np.full((3, 2), 9))
    weights[0][:] = 1
    np.testing.assert_array_equal(model.get_weights()[0], np.full((3, 2), 9))
    model.layers[0].set_weights([np.zeros((3, 2)), [5.0, 6.0]])
    np.testing.assert_array_equal(model.predict(np.ones((1, 3)), verbose=0).round(1), [[5.0, 6.0]])


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ([np.zeros((3, 4))], "has 4 weights, set_weights got 1"),
        ([np.ones((3, 4)), np.ones(4), np.ones((4, 2)), np.ones(3)], r"weight 'bias' has shape \(2,\), got \(3,\)"),
    ],
)
def test_weights_that_do_not_fit_set_nothing(weights, words):
    model = small()
    before = snapshot(model)
    with pytest.raises(ValueError, match=words):
        model.set_weights(weights)
    assert_as_before(model, before)


def test_trainable_moves_weights_from_one_list_to_the_other():
    model = small(Dense(2), BatchNormalization())
    assert [v.name for v in model.trainable_weights] == ["kernel", "bias", "gamma", "beta"]
    assert [v.name for v in model.non_trainable_weights] == ["moving_mean", "moving_variance"]
    model.layers[0].trainable = False
    assert [v.name for v in model.trainable_weights] == ["gamma", "beta"]
    assert len(model.non_trainable_weights) == 4
    model.trainable = False
    assert model.trainable_weights == []
    assert len(model.weights) == 6
    model.trainable = True
    assert len(model.trainable_weights) == 4


def test_count_params():
    model = small(Dense(4), BatchNormalization(), Dense(2))
    assert [layer.count_params() for layer in model.layers] == [16, 16, 10]
    assert model.count_params() == 42


def test_get_weights_before_compile_with_the_uniform_initializer_of_keras_1():
    model = lamella.Sequential([Dense(1, input_dim=1, kernel_initializer="uniform")])
    kernel, bias = model.layers[0].get_weights()
    assert kernel.shape == (1, 1)
    assert 0 < abs(kernel[0][0]) <= 0.05
    assert bias.tolist() == [0.0]


# ---- looking ----


def test_summary_shows_layers_shapes_and_parameters():
    model = lamella.Sequential(
        [Input((8, 8, 1)), Conv2D(4, 3), MaxPooling2D(), Flatten(), Dropout(0.5), Dense(1000)], name="pictures"
    )
    model.layers[0].trainable = False
    text = text_of(model)
    rows = {line.split("│")[1].split()[0]: line.split("│")[2:4] for line in text.splitlines() if line.startswith("│")}
    assert {name: (shape.strip(), count.strip()) for name, (shape, count) in rows.items()} == {
        "conv2d": ("(None, 6, 6, 4)", "40"),
        "max_pooling2d": ("(None, 3, 3, 4)", "0"),
        "flatten": ("(None, 36)", "0"),
        "dropout": ("(None, 36)", "0"),
        "dense": ("(None, 1000)", "37,000"),
    }
    assert text.startswith('Model: "pictures"')
    assert "Total parameters: 37,040" in text
    assert "Non-trainable parameters: 40 " in text
    assert [line.split("│")[4].strip() for line in text_of(model, show_trainable=True).splitlines() if "│" in line] == [
        "no", *["yes"] * 4
    ]  # fmt: skip


def test_summary_says_the_same_without_rich_and_in_a_given_width(capsys, monkeypatch):
    model = small()
    text = text_of(model)
    model.summary()
    assert capsys.readouterr().out.rstrip("\n") == text
    monkeypatch.setitem(__import__("sys").modules, "rich", None)
    assert text_of(model) == text
    assert max(map(len, text_of(model, line_length=40).splitlines()[:-3])) <= 40


def test_summary_of_an_unbuilt_model_says_so():
    text = text_of(lamella.Sequential([Dense(2)]))
    assert "not built" in text and "its input shape is not known" in text
    assert "Total" not in text


def test_the_program_prints_layer_by_layer():
    model = small(Dense(4, activation="relu"), Dropout(0.5), Dense(2))
    text = str(model.program(batch_size=5))
    for words in ("# dense/kernel", "# x", "# dense_1", "float32[5,4] = relu(", "float32[5,2] = add("):
        assert words in text
    assert "random_bits" not in text
    training = model.program(batch_size=5, training=True)
    assert "random_bits" in str(training)
    assert {e.where.split("/")[0] for e in training.equations} >= {"dense", "dropout", "dense_1"}


def test_layer_outputs_names_every_layer(backend):
    model = small(Dense(4, activation="relu"), Dropout(0.5), Dense(2))
    x = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    outputs = model.layer_outputs(x)
    assert list(outputs) == ["dense", "dropout", "dense_1"]
    kernel, bias = model.layers[0].get_weights()
    np.testing.assert_allclose(outputs["dense"], np.maximum(x @ kernel + bias, 0), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(outputs["dropout"], outputs["dense"])
    np.testing.assert_allclose(outputs["dense_1"], model.predict(x, verbose=0), rtol=1e-5, atol=1e-6)
    assert all(isinstance(y, np.ndarray) for y in outputs.values())


def test_calling_the_model_answers_in_the_arrays_it_was_given(backend):
    model = small()
    x = np.ones((2, 3), "float32")
    y = model(x)
    np.testing.assert_allclose(np.asarray(y), model.predict(x, verbose=0), rtol=1e-6)
    np.testing.assert_allclose(np.asarray(model([[1.0, 1.0, 1.0]])), np.asarray(y)[:1], rtol=1e-6)

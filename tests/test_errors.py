"""What bad input gets: one error with the same words on both backends, before any work, and a model as it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import lamella
from conftest import HAS_JAX
from lamella import backend_api
from lamella.layers import LSTM, BatchNormalization, Conv2D, Dense, Dropout, Flatten, Input, MaxPooling2D, Reshape

NAMES = ["numpy", *(["jax"] if HAS_JAX else [])]
X = np.random.default_rng(0).normal(size=(12, 3)).astype("float32")
CLASS = np.arange(12) % 4
FRONTEND = Path(lamella.__file__).parent


def classifier():
    return [Dense(5, activation="tanh"), Dense(4, activation="softmax")], "sparse_categorical_crossentropy", CLASS


def regression():
    return [Dense(5, activation="tanh"), Dense(4)], "mse", np.eye(4, dtype="float32")[CLASS]


def yes_or_no():
    return [Dense(1, activation="sigmoid")], "binary_crossentropy", CLASS % 2


def one_hot():
    return [Dense(4, activation="softmax")], "categorical_crossentropy", np.eye(4)[CLASS]


def trained(kind, name):
    """A model that has taken steps, so that there is an optimizer state to keep."""
    lamella.utils.set_random_seed(1)
    layers, loss, y = kind()
    model = lamella.Sequential([Input((3,)), *layers])
    model.compile("adam", loss, backend=name)
    model.fit(X, y, verbose=0)
    return model, y


def whole_state(model):
    """Everything a failed call must leave alone."""
    compiled = model._compiled
    slots = {
        (slot, i): np.array(backend_api.to_numpy(array))
        for slot, held in (compiled.state.slots if compiled else {}).items()
        for i, array in enumerate(held.values())
    }
    return {
        "layers": list(model.children),
        "built": (model.built, [layer.built for layer in model.layers]),
        "shape": model.input_shape if model.has_input_shape else None,
        "compiled": compiled,
        "counts": (compiled.state.steps, compiled.state.epochs) if compiled else None,
        "trainable": [layer.trainable for layer in model.layers],
    }, [*model.get_weights(), *slots.values()]


def assert_as_before(model, before):
    facts, arrays = whole_state(model)
    assert facts == before[0]
    assert len(arrays) == len(before[1])
    for now, then in zip(arrays, before[1], strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.fixture
def no_work(monkeypatch):
    """Until the test ends no backend compiles or runs anything."""

    def forbid():
        def worked(*_, **__):
            raise AssertionError("work was done before the error")

        for name in NAMES:
            for method in ("compile", "function", "runner"):
                monkeypatch.setattr(backend_api.load_backend(name), method, worked)

    return forbid


def told(error):
    """The error's class and words; it must come from lamella's frontend, not from the inside of a framework."""
    assert isinstance(error.value, ValueError | TypeError)
    assert Path(str(error.traceback[-1].path)).is_relative_to(FRONTEND), error.traceback[-1]
    words = str(error.value)
    for inside in ("XLA", "jaxlib", "Tracer", "ufunc", "np.", "numpy.", "object too deep", "inhomogeneous"):
        assert inside not in words
    return type(error.value), words


# ---- data ----

FIT_ERRORS = {
    "x too wide": (classifier, lambda m, y: m.fit(X[:, [0, 1, 2, 0]], y), r"first layer 'dense': expected .*\(None, 3\), got \(12, 4\)"),  # noqa: E501
    "x of too high a rank": (classifier, lambda m, y: m.fit(X[:, None], y), r"'dense': expected .*\(None, 3\), got \(12, 1, 3\)"),  # noqa: E501
    "x a vector": (classifier, lambda m, y: m.fit(X[:, 0], y), r"'dense': expected .*\(None, 3\), got \(12,\)"),
    "x of text": (classifier, lambda m, y: m.fit(np.full((12, 3), "a"), y), "x must hold numbers, got dtype"),
    "x of objects": (classifier, lambda m, y: m.fit(np.full((12, 3), None), y), "x must hold numbers, got dtype object"),
    "x complex": (classifier, lambda m, y: m.fit(X + 1j, y), "x must hold numbers, got dtype complex"),
    "x ragged": (classifier, lambda m, y: m.fit([[1.0, 2.0, 3.0], [1.0]], y[:2]), "x is not a rectangular array"),
    "x a dict": (classifier, lambda m, y: m.fit({"a": X}, y), "x lacks .* and has the unknown key 'a'"),
    "x None": (classifier, lambda m, y: m.fit(None, y), "x must be an array of numbers, got None"),
    "x empty": (classifier, lambda m, y: m.fit(X[:0], y[:0]), r"x is empty: its shape is \(0, 3\)"),
    "x a number": (classifier, lambda m, y: m.predict(3.0), "x needs one entry per row"),
    "lengths differ": (classifier, lambda m, y: m.fit(X, y[:5]), "x has 12 rows and y has 5"),
    "y missing": (classifier, lambda m, y: m.fit(X), "loss 'sparse_categorical_crossentropy', which needs targets: give y"),
    "y of text": (classifier, lambda m, y: m.fit(X, np.full(12, "cat")), "y must hold numbers"),
    "labels too large": (classifier, lambda m, y: m.fit(X, y + 1), r"layer 'dense_1'.*class numbers 0 to 3 .*labels seem to start at 1"),  # noqa: E501
    "labels negative": (classifier, lambda m, y: m.fit(X, y - 1), r"layer 'dense_1'.*y ranges from -1 to 2"),
    "labels not whole": (classifier, lambda m, y: m.fit(X, y + 0.5), "contains 0.5, which is not an integer"),
    "one-hot for sparse": (classifier, lambda m, y: m.fit(X, np.eye(4)[y]), "Use loss='categorical_crossentropy'"),
    "numbers for categorical": (one_hot, lambda m, y: m.fit(X, CLASS), "Use loss='sparse_categorical_crossentropy'"),
    "too few classes": (one_hot, lambda m, y: m.fit(X, y[:, :3]), "y has 3 classes .* the model predicts 4"),
    "y would broadcast, a column": (regression, lambda m, y: m.fit(X, y[:, :1]), r"layer 'dense_1': .*only meet by broadcasting"),  # noqa: E501
    "y would broadcast, a vector": (regression, lambda m, y: m.fit(X, y[:, 0]), r"layer 'dense_1': .*only meet by broadcasting"),  # noqa: E501
    "y would broadcast, a cube": (regression, lambda m, y: m.fit(X, y[:, None]), r"layer 'dense_1'"),
    "binary out of range": (yes_or_no, lambda m, y: m.fit(X, y * 2 - 1), "use loss='hinge', or map the labels"),
    "binary for two columns": (yes_or_no, lambda m, y: m.fit(X, np.eye(2)[y]), r"layer 'dense'"),
    "validation too wide": (classifier, lambda m, y: m.fit(X, y, validation_data=(X[:, :2], y)), r"\(None, 3\), got \(12, 2\)"),  # noqa: E501
    "validation labels": (classifier, lambda m, y: m.fit(X, y, validation_data=(X, y + 9)), r"class numbers 0 to 3"),
    "validation no pair": (classifier, lambda m, y: m.fit(X, y, validation_data=X), r"validation_data is \(x, y\)"),
    "validation split too large": (classifier, lambda m, y: m.fit(X, y, validation_split=1.5), "between 0 and 1, got 1.5"),
    "validation split empty": (classifier, lambda m, y: m.fit(X[:1], y[:1], validation_split=0.5), "of 1 rows leaves one of the two parts empty"),  # noqa: E501
    "weights too many": (classifier, lambda m, y: m.fit(X, y, sample_weight=np.ones(5)), r"shape \(12,\), got \(5,\)"),
    "two kinds of weights": (classifier, lambda m, y: m.fit(X, y, sample_weight=np.ones(12), class_weight={0: 1.0}), "not both"),  # noqa: E501
    "batch size zero": (classifier, lambda m, y: m.fit(X, y, batch_size=-1), "batch_size is a positive integer, got -1"),
    "validation batch size": (classifier, lambda m, y: m.fit(X, y, validation_batch_size=0), "validation_batch_size is a positive"),  # noqa: E501
    "batch size a float": (classifier, lambda m, y: m.fit(X, y, batch_size=2.5), "batch_size is a positive integer, got 2.5"),
    "epochs a float": (classifier, lambda m, y: m.fit(X, y, epochs=2.5), "epochs is an integer from 0, got 2.5"),
    "epochs negative": (classifier, lambda m, y: m.fit(X, y, epochs=-1), "epochs is an integer from 0, got -1"),
    "validation never": (classifier, lambda m, y: m.fit(X, y, validation_freq=0), "validation_freq is a positive integer, got 0"),  # noqa: E501
    "verbose 7": (classifier, lambda m, y: m.fit(X, y, verbose=7), "verbose"),
    "a validation set in the place of verbose": (classifier, lambda m, y: m.fit(X, y, 4, 2, (X, y)), "verbose .*got tuple.*validation_data="),  # noqa: E501
    "an unknown argument": (classifier, lambda m, y: m.fit(X, y, epoch=3), "fit takes no argument 'epoch': did you mean 'epochs'"),  # noqa: E501
    "integers too large": (classifier, lambda m, y: m.fit(np.full((12, 3), 2**40), y), "x holds integers beyond 32 bits"),
    "evaluate too wide": (classifier, lambda m, y: m.evaluate(X[:, :2], y), r"\(None, 3\), got \(12, 2\)"),
    "evaluate labels": (classifier, lambda m, y: m.evaluate(X, y + 9), "class numbers 0 to 3"),
    "predict too wide": (classifier, lambda m, y: m.predict(X[:, :2]), r"\(None, 3\), got \(12, 2\)"),
    "predict empty": (classifier, lambda m, y: m.predict(X[:0]), "x is empty"),
    "a batch too wide": (classifier, lambda m, y: m.train_on_batch(X[:, :2], y), r"\(None, 3\), got \(12, 2\)"),
    "a batch's labels": (classifier, lambda m, y: m.train_on_batch(X, y + 9), "class numbers 0 to 3"),
    "a test batch's labels": (classifier, lambda m, y: m.test_on_batch(X, y + 9), "class numbers 0 to 3"),
    "gradients' labels": (classifier, lambda m, y: m.value_and_grad(X, y + 9), "class numbers 0 to 3"),
    "a call too wide": (classifier, lambda m, y: m(X[:, :2]), r"\(None, 3\), got \(12, 2\)"),
    "outputs too wide": (classifier, lambda m, y: m.layer_outputs(X[:, :2]), r"\(None, 3\), got \(12, 2\)"),
}  # fmt: skip


@pytest.mark.parametrize("case", FIT_ERRORS)
def test_bad_data_get_one_answer_before_any_work(case, no_work):
    kind, call, words = FIT_ERRORS[case]
    models = [trained(kind, name) for name in NAMES[:1] * 2 + NAMES[1:]][1:]
    no_work()
    answers = []
    for model, y in models:
        before = whole_state(model)
        with pytest.raises((ValueError, TypeError), match=words) as error:
            call(model, y)
        answers.append(told(error))
        assert_as_before(model, before)
    assert len(set(answers)) == 1


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["x", "y", "sample_weight"])
def test_nan_and_infinities_are_refused_where_asked(where, bad, no_work):
    arrays = {"x": X.copy(), "y": regression()[2].copy(), "sample_weight": np.ones(12, "float32")}
    arrays[where].reshape(12, -1)[7, 0] = bad
    answers = []
    models = [trained(regression, name)[0] for name in NAMES]
    no_work()
    for model in models:
        before = whole_state(model)
        lamella.config.set_check_nan(True)
        for method in ("fit", "evaluate"):
            with pytest.raises(ValueError, match=f"{where} holds a NaN or an infinity, first in row 7") as error:
                getattr(model, method)(**arrays)
            answers.append(told(error))
        assert_as_before(model, before)
    assert len(set(answers)) == 1


def test_nan_passes_where_nobody_asked(backend):
    model, _ = trained(regression, backend)
    x = X.copy()
    x[3] = np.nan
    assert np.isnan(model.predict(x, verbose=0)[3]).all()


@pytest.mark.parametrize(
    "call",
    [
        lambda m: m.fit(X, CLASS[:5]),
        lambda m: m.fit(X, CLASS + 1),
        lambda m: m.fit(X, CLASS, sample_weight=np.ones(3)),
        lambda m: m.fit(X, CLASS, validation_data=(X, CLASS + 1)),
        lambda m: m.evaluate(X, CLASS + 1),
        lambda m: m.train_on_batch(X, CLASS + 1),
        lambda m: m.value_and_grad(X, CLASS + 1),
    ],
)
def test_a_model_not_built_before_the_error_is_not_built_after_it(call):
    model = lamella.Sequential([Dense(4, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", backend="numpy")
    before = whole_state(model)
    with pytest.raises(ValueError, match=r"y|labels|sample_weight"):
        call(model)
    assert_as_before(model, before)
    model.fit(np.ones((4, 7)), CLASS[:4], verbose=0)
    assert model.input_shape == (None, 7)


# ---- names ----


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("adma", "adam"),
        ("Adma", "Adam"),
        ("nadma", "nadam"),
        ("Adagard", "Adagrad"),
        ("sdg", "sgd"),
        ("ada", "adagrad"),
    ],
)
def test_the_nearest_name_in_the_spelling_of_the_user(name, nearest):
    with pytest.raises(ValueError, match=f"did you mean '{nearest}'"):
        lamella.optimizers.get(name)


def test_a_log_that_is_not_there_names_the_nearest_one():
    model, y = trained(classifier, "numpy")
    history = model.fit(X, y, validation_data=(X, y), verbose=0).history
    with pytest.raises(KeyError, match="there is no log 'val_los': did you mean 'val_loss'"):
        history["val_los"]
    assert history.get("acc") is None and "acc" not in history


@pytest.mark.parametrize("what", ["loss", "metric"])
def test_a_numpy_function_is_said_to_be_in_the_loss_or_metric(what, backend):
    def wrong(y_true, y_pred):
        return np.mean(np.abs(y_true - y_pred), axis=-1)

    model = lamella.Sequential([Input((3,)), Dense(4)])
    model.compile("sgd", wrong if what == "loss" else "mse", metrics=[wrong] if what == "metric" else None)
    place = "the loss" if what == "loss" else "the metric 'wrong'"
    with pytest.raises(TypeError, match=rf"NumPy function.*Inside {place} use.*lamella\.ops.*run_eagerly=True"):
        model.fit(X, np.eye(4)[CLASS], verbose=0)


COMPILE_ERRORS = {
    "optimizer": (lambda m: m.compile("adma", "mse"), "Unknown optimizer 'adma': did you mean 'adam'"),
    "loss": (lambda m: m.compile("adam", "msee"), "Unknown loss 'msee': did you mean 'mse'"),
    "metric": (lambda m: m.compile("adam", "mse", metrics=["acuracy"]), "Unknown metric 'acuracy': did you mean '.*accuracy'"),  # noqa: E501
    "weighted metric": (lambda m: m.compile("adam", "mse", weighted_metrics=["maee"]), "Unknown metric 'maee': did you mean 'mae'"),  # noqa: E501
    "backend": (lambda m: m.compile("adam", "mse", backend="nunpy"), "Unknown backend 'nunpy': did you mean 'numpy'"),
    "argument": (lambda m: m.compile("adam", "mse", metric=["mae"]), "compile takes no argument 'metric': did you mean 'metrics'"),  # noqa: E501
    "move": (lambda m: m.to("jaxx"), "Unknown backend 'jaxx'"),
    "lower": (lambda m: m.lower("nunpy"), "Unknown backend 'nunpy': did you mean 'numpy'"),
    "optimizer's kind": (lambda m: m.compile(7, "mse"), "an optimizer must be a name, an Optimizer"),
    "loss's kind": (lambda m: m.compile("adam", 7), "loss"),
}  # fmt: skip


@pytest.mark.parametrize("case", COMPILE_ERRORS)
def test_unknown_names_get_the_nearest_known_one(case):
    call, words = COMPILE_ERRORS[case]
    model, _ = trained(classifier, "numpy")
    before = whole_state(model)
    with pytest.raises((ValueError, TypeError), match=words) as error:
        call(model)
    told(error)
    assert_as_before(model, before)


def relu_of_tensorflow():
    def relu(features):
        return features

    relu.__module__ = "tensorflow.python.ops.gen_nn_ops"
    return relu


LAYER_ERRORS = {
    "activation": (lambda: Dense(2, activation="rellu"), ValueError, "Unknown activation 'rellu': did you mean 'relu'"),
    "initializer": (lambda: Dense(2, kernel_initializer="glorot"), ValueError, "Unknown initializer 'glorot': did you mean 'glorot_uniform'"),  # noqa: E501
    "regularizer": (lambda: Dense(2, kernel_regularizer="l3"), ValueError, "Unknown regularizer 'l3': did you mean 'l"),
    "constraint": (lambda: Dense(2, kernel_constraint="maxnrom"), ValueError, "Unknown constraint 'maxnrom': did you mean '"),
    "TensorFlow's function": (lambda: Dense(2, activation=relu_of_tensorflow()), ValueError, "tensorflow's function 'relu'.* activation='relu'"),  # noqa: E501
    "keyword": (lambda: Dense(2, activaton="relu"), TypeError, "Dense takes no such argument: 'activaton': did you mean 'activation'"),  # noqa: E501
    "missing": (lambda: Dense(), TypeError, "Dense: missing .*'units'"),
    "units": (lambda: Dense(-3), ValueError, "Dense: units must be a positive integer, got -3"),
    "units a float": (lambda: Dense(2.5), ValueError, "Dense: units must be a positive integer, got 2.5"),
    "rate": (lambda: Dropout(1.5), ValueError, "Dropout: rate must be a number from 0 to 1, got 1.5"),
    "padding": (lambda: Conv2D(2, 3, padding="samee"), ValueError, "padding of Conv2D 'samee': did you mean 'same'"),
    "kernel_size": (lambda: Conv2D(2, (3, 3, 3)), ValueError, "Conv2D: kernel_size must be an integer .* 2 of them"),
    "Conv2D(f, k, k)": (lambda: Conv2D(32, 3, 3), ValueError, r"Conv2D\(32, \(3, 3\)\) for the kernel, or Conv2D\(32, 3, strides=3\)"),  # noqa: E501
    "name": (lambda: Dense(2, name="a/b"), ValueError, r"The name of a layer must be .* without '/' .*, got 'a/b'"),
    "floatx": (lambda: lamella.config.set_floatx("float80"), TypeError, "set_floatx takes one of"),
    "backend": (lambda: lamella.set_backend("jaks"), ValueError, "Unknown backend 'jaks'"),
}  # fmt: skip


@pytest.mark.parametrize("case", LAYER_ERRORS)
def test_wrong_arguments_are_told_when_the_layer_is_made(case):
    make, kind, words = LAYER_ERRORS[case]
    with pytest.raises(kind, match=words) as error:
        make()
    told(error)


@pytest.mark.parametrize(
    ("shape", "layer", "words"),
    [
        ((4, 4), Conv2D(2, 3), "Layer 'conv2d' .*4 dimensions"),
        ((2, 2, 1), Conv2D(2, 3), "Layer 'conv2d'"),
        ((4, 4, 3), Conv2D(2, 3, groups=2), "Layer 'conv2d' .*3 input channels do not divide into 2 groups"),
        ((3,), MaxPooling2D(), "Layer 'max_pooling2d' .*4 dimensions"),
        ((1, 1, 1), MaxPooling2D(2), "Layer 'max_pooling2d'"),
        ((3,), LSTM(2), r"Layer 'lstm' .*\(batch, time, features\)"),
        ((6,), Reshape((4, 2)), "Layer 'reshape' .*6 elements"),
        ((6,), BatchNormalization(axis=0), "Layer 'batch_normalization' .*batch axis"),
        ((6,), BatchNormalization(axis=3), "Layer 'batch_normalization'"),
    ],
)
def test_a_layer_that_does_not_fit_is_named_when_it_is_added(shape, layer, words):
    model = lamella.Sequential([Input(shape)])
    with pytest.raises(ValueError, match=words) as error:
        model.add(layer)
    told(error)
    assert model.layers == [] and not layer.built
    model.add(Flatten())


def test_conv2d_with_different_sizes_stays_legal():
    assert (Conv2D(64, 3, 2).kernel_size, Conv2D(64, 3, 2).strides) == ((3, 3), (2, 2))
    assert Conv2D(64, 1, 1).strides == (1, 1)
    assert Conv2D(64, 3, strides=3).strides == (3, 3)


# ---- before compile, without a backend ----


@pytest.mark.parametrize("method", ["fit", "evaluate", "train_on_batch", "test_on_batch", "value_and_grad"])
def test_training_before_compile_says_to_compile(method):
    model = lamella.Sequential([Input((3,)), Dense(4)])
    with pytest.raises(ValueError, match=r"not compiled yet: call `model\.compile\(optimizer=\.\.\., loss=\.\.\.\)`"):
        getattr(model, method)(X, np.zeros((12, 4)))


def test_a_backend_that_is_not_installed_says_how_to_install_it(run_python):
    code = """
import sys
sys.modules["jax"] = None
import lamella
from lamella.layers import Dense
assert lamella.config.backend() == "numpy"
assert "jax" not in lamella.available_backends()
model = lamella.Sequential([Dense(2, input_dim=3)])
weights = model.get_weights()
for attempt in (
    lambda: lamella.set_backend("jax"),
    lambda: model.compile("sgd", "mse", backend="jax"),
    lambda: model.lower("jax"),
    lambda: model.to("jax"),
    lambda: lamella.backend_scope("jax").__enter__(),
):
    try:
        attempt()
    except ValueError as error:
        assert isinstance(error, ImportError) and "pip install jax optax" in str(error), error
    else:
        raise AssertionError("no error")
assert lamella.config.backend() == "numpy"
model.compile("sgd", "mse")
model.fit([[1.0, 2.0, 3.0]], [[1.0, 2.0]], verbose=0)
"""
    run_python(code=code)


def test_an_unknown_backend_in_the_environment_is_told_at_import(run_python):
    done = run_python(
        code="import lamella",
        environment={"LAMELLA_BACKEND": "nunpy"},
        check=False,
    )
    assert done.returncode != 0
    assert "Unknown backend 'nunpy': did you mean 'numpy'?" in done.stderr

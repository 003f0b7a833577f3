"""What scripts write of layers in Keras's API: own variables, input specs, wrappers, functions of layers, attributes."""

from __future__ import annotations

import numpy as np
import pytest

import lamella
from lamella import initializers, layers, ops
from lamella.errors import ArgumentError, DTypeError, ShapeError

X = np.arange(6.0, dtype="float32").reshape(2, 3)


class Total(layers.Layer):
    """Keeps variables as Keras 3's guide does: one made at once, one in `build`, some in a list."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.total = lamella.Variable(np.zeros(3), trainable=False)
        self.scales = [lamella.Variable("ones", shape=(3,)), lamella.Variable(initializers.Constant(2.0), (3,))]

    def build(self, input_shape):
        self.shift = lamella.Variable([0.0, 0.0, 1.0], name="shift")

    def call(self, x):
        self.total.assign_add(ops.sum(x, 0))
        return x * self.scales[0] * self.scales[1] + self.shift


def test_variables_in_attributes_are_weights(backend):
    layer = Total()
    model = lamella.Sequential([lamella.Input((3,)), layer])
    assert [v.name for v in model.weights] == ["variable", "variable_1", "variable_2", "shift"]
    assert [v.path for v in layer.weights] == [
        f"total/{name}" for name in ("variable", "variable_1", "variable_2", "shift")
    ]
    assert [v.trainable for v in model.weights] == [False, True, True, True]
    np.testing.assert_allclose(model.predict(X, verbose=0), 2 * X + [0, 0, 1])
    np.testing.assert_allclose(layer.total.numpy(), X.sum(0))
    model.compile("sgd", "mse")
    before = layer.shift.numpy()
    model.fit(X, X, verbose=0)
    assert not np.array_equal(before, layer.shift.numpy())
    copy = lamella.Sequential([lamella.Input((3,)), Total()])
    copy.set_weights(model.get_weights())
    np.testing.assert_array_equal(copy.predict(X, verbose=0), model.predict(X, verbose=0))


def test_a_file_keeps_variables_of_attributes(tmp_path):
    model = lamella.Sequential([lamella.Input((3,)), Total()])
    model.layers[0].shift.assign([5.0, 6.0, 7.0])
    model.save(tmp_path / "m.keras")
    found = lamella.models.load_model(tmp_path / "m.keras", custom_objects={"Total": Total})
    np.testing.assert_array_equal(found.layers[0].shift.numpy(), [5, 6, 7])


@pytest.mark.parametrize(
    ("value", "kwargs", "dtype", "expected"),  # the dtypes are Keras's
    [
        ([1.0, 2.0], {}, "float32", [1, 2]),
        ([1, 2], {}, "int32", [1, 2]),
        (3, {}, "int32", 3),
        ([True], {}, "bool", [True]),
        (np.zeros(2), {}, "float32", [0, 0]),
        (np.zeros(2, "int8"), {}, "int8", [0, 0]),
        ([1, 2], {"dtype": "float16"}, "float16", [1, 2]),
        ("ones", {"shape": (2,)}, "float32", [1, 1]),
        (lambda shape, dtype: np.full(shape, 3, dtype), {"shape": (2,), "dtype": "int32"}, "int32", [3, 3]),
    ],
)
def test_a_variable_has_the_value_and_dtype_of_keras(value, kwargs, dtype, expected):
    v = lamella.Variable(value, **kwargs)
    assert v.dtype == dtype and v.trainable and v.name == "variable"
    np.testing.assert_array_equal(v.numpy(), expected)


def test_arithmetic_and_assignment_of_a_variable(backend):
    v = lamella.Variable([1.0, 2.0], name="v", trainable=False)
    np.testing.assert_array_equal([v + 1, 2 - v, v * v, -v, abs(v)], [[2, 3], [1, 0], [1, 4], [-1, -2], [1, 2]])
    assert float(lamella.Variable(2.5)) == 2.5 and int(lamella.Variable(2)) == 2
    v.assign([3.0, 4.0])
    v.assign_add([1.0, 1.0])
    v.assign_sub([2.0, 0.0])
    np.testing.assert_array_equal(v.numpy(), [2, 5])
    for make, error, told in (
        (lambda: lamella.Variable("zeros"), ArgumentError, "shape must be given"),
        (lambda: lamella.Variable([1.0], shape=(2,)), ShapeError, "has shape"),
        (lambda: lamella.Variable([1.0], aggregation="most"), ArgumentError, "aggregation"),
        (lambda: v.assign([1.0]), ShapeError, "has shape"),
    ):
        with pytest.raises(error, match=told):
            make()


def test_autocast_says_whether_a_variable_is_read_in_half_precision():
    class Reads(layers.Layer):
        def __init__(self):
            super().__init__(dtype="mixed_bfloat16")
            self.cast, self.kept = lamella.Variable([1.0]), lamella.Variable([1.0], autocast=False)

        def call(self, x):
            assert (self.cast.value.dtype, self.kept.value.dtype) == ("bfloat16", "float32")
            return x

    lamella.Sequential([lamella.Input((1,)), Reads()])


@pytest.mark.parametrize(
    ("kwargs", "message"),  # the same refuse the input of shape (2, 5) in Keras
    [
        ({"ndim": 3}, "expected ndim=3"),
        ({"min_ndim": 3}, "expected min_ndim=3"),
        ({"max_ndim": 1}, "expected max_ndim=1"),
        ({"axes": {-1: 4}}, r"expected sizes along axes \{-1: 4\}"),
        ({"shape": (None, 7)}, r"expected shape=\(None, 7\)"),
        ({"shape": (None, 3), "allow_last_axis_squeeze": True}, r"expected shape=\(None, 3\)"),
        ({"dtype": "int32"}, "expected dtype=int32, got float32"),
        ({"dtype": "float32", "ndim": 2}, None),
        ({"shape": (2, 5, 1), "allow_last_axis_squeeze": True}, None),
        ({"axes": {0: None, 1: 5}}, None),
    ],
)
def test_an_input_spec_is_checked(kwargs, message):
    class Spec(layers.Layer):
        def __init__(self):
            super().__init__(name="mine")
            self.input_spec = layers.InputSpec(**kwargs)

        def call(self, x):
            return x

    x = np.zeros((2, 5), "float32")
    if message is None:
        assert Spec()(x).shape == (2, 5)
    else:
        with pytest.raises((ShapeError, DTypeError), match=rf"Layer 'mine' \(Spec\): input 0: {message}"):
            Spec()(x)


def test_input_specs_describe_themselves_and_come_in_lists():
    spec = lamella.InputSpec(shape=(None, 3), dtype="float32", max_ndim=4, axes={-1: 3})
    assert repr(spec) == "InputSpec(dtype='float32', shape=(None, 3), ndim=2, max_ndim=4, axes={-1: 3})"
    assert spec.get_config() == {"dtype": "float32", "shape": (None, 3), "ndim": 2, "max_ndim": 4, "min_ndim": None,
                                 "axes": {-1: 3}, "optional": False}  # fmt: skip
    assert lamella.InputSpec.from_config(spec.get_config()).shape == (None, 3)
    with pytest.raises(ArgumentError, match="axes must be below 2"):
        layers.InputSpec(shape=(1, 2), axes={5: 1})
    with pytest.raises(ArgumentError, match="keys are integers"):
        layers.InputSpec(axes={"a": 1})

    class Two(layers.Layer):
        def __init__(self):
            super().__init__()
            self.input_spec = [layers.InputSpec(ndim=2), layers.InputSpec(ndim=1)]

        def call(self, xs):
            return xs[0]

    assert Two()([X, X[0]]).shape == (2, 3)
    with pytest.raises(ShapeError, match="input 1: expected ndim=1"):
        Two()([X, X])
    with pytest.raises(ShapeError, match="expected 2 inputs"):
        Two()([X])


def test_a_wrapper_builds_its_layer(backend):
    class Twice(layers.Wrapper):
        def call(self, x):
            return self.layer(x) * 2.0

    layer = Twice(layers.Dense(2, kernel_initializer="ones"), name="w")
    model = lamella.Sequential([lamella.Input((3,)), layer])
    np.testing.assert_allclose(model.predict(X, verbose=0), 2 * X.sum(1, keepdims=True) @ np.ones((1, 2)))
    found = Twice.from_config(layer.get_config())
    assert isinstance(found.layer, layers.Dense) and found.layer.units == 2
    with pytest.raises(ArgumentError, match="layer must be a layer, got int"):
        Twice(3)


@pytest.mark.parametrize(
    ("name", "layer"),
    [("add", "Add"), ("average", "Average"), ("maximum", "Maximum"), ("minimum", "Minimum"), ("multiply", "Multiply"),
     ("subtract", "Subtract"), ("concatenate", "Concatenate"), ("dot", "Dot")],
)  # fmt: skip
def test_merging_functions_call_their_layers(name, layer, backend):
    y = X + 1
    made = getattr(layers, layer)(**({"axes": -1} if name == "dot" else {}))
    np.testing.assert_array_equal(getattr(layers, name)([X, y], name="m"), made([X, y]))
    kwargs = {"concatenate": {"axis": 0}, "dot": {"axes": 1, "normalize": True}}.get(name, {})
    np.testing.assert_array_equal(getattr(layers, name)([X, y], **kwargs), getattr(layers, layer)(**kwargs)([X, y]))


def test_functions_are_no_layers_of_a_file():
    from lamella.layers.configuration import layer_table

    assert not {"add", "serialize", "InputSpec", "Wrapper", "Layer"} & set(layer_table())


@pytest.mark.parametrize(
    ("make", "weight"),
    [
        (lambda: layers.Dense(2, use_bias=False), "bias"),
        (lambda: layers.Conv2D(2, 3, use_bias=False), "bias"),
        (lambda: layers.Conv2DTranspose(2, 3, use_bias=False), "bias"),
        (lambda: layers.SeparableConv2D(2, 3, use_bias=False), "bias"),
        (lambda: layers.LSTMCell(2, use_bias=False), "bias"),
        (lambda: layers.BatchNormalization(center=False), "beta"),
        (lambda: layers.LayerNormalization(scale=False), "gamma"),
    ],
)
def test_a_weight_that_a_layer_does_not_have_is_none(make, weight):
    assert getattr(make(), weight) is None


def test_an_activation_may_be_set_again(backend):
    model = lamella.Sequential([lamella.Input((3,)), lamella.Sequential([layers.Dense(2, activation="softmax")])])
    layer = model.layers[0].layers[0]
    assert model.predict(X, verbose=0).sum() == pytest.approx(2)
    layer.activation = None  # logits, by programs made again
    logits = model.predict(X, verbose=0)
    np.testing.assert_allclose(logits, X @ layer.kernel.numpy(), rtol=1e-5)
    assert layer.get_config()["activation"] == "linear"
    layer.activation = "relu"
    np.testing.assert_allclose(model.predict(X, verbose=0), np.maximum(logits, 0))
    cell = layers.GRUCell(2)
    cell.recurrent_activation = "tanh"
    assert cell.recurrent_activation is lamella.activations.tanh
    with pytest.raises(ValueError, match="did you mean 'relu'"):
        layer.activation = "rleu"


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_an_overridden_convolution_is_called(data_format, backend):
    class Standardized(layers.Conv2D):
        def convolution_op(self, inputs, kernel):
            return super().convolution_op(inputs, kernel - ops.mean(kernel, axis=(0, 1, 2), keepdims=True))

    x = np.random.default_rng(0).normal(size=(2, 5, 5, 3)).astype("float32")
    x = x if data_format == "channels_last" else np.moveaxis(x, -1, 1)
    kwargs = {"data_format": data_format, "activation": "relu", "bias_initializer": "ones"}
    layer, plain = Standardized(4, 3, **kwargs), layers.Conv2D(4, 3, **kwargs)
    layer.build(x.shape)
    plain.build(x.shape)
    kernel = layer.kernel.numpy()
    plain.set_weights([kernel - kernel.mean((0, 1, 2)), layer.bias.numpy()])
    np.testing.assert_allclose(layer(x), plain(x), rtol=1e-5, atol=1e-6)


def test_normalization_says_its_mean_and_variance(backend):
    layer = layers.Normalization(axis=1)
    assert layer.mean is None and layer.variance is None
    data = np.arange(24.0).reshape(2, 3, 4)
    layer.adapt(data)
    np.testing.assert_allclose(layer.mean, [[[7.5], [11.5], [15.5]]])  # Keras's
    np.testing.assert_allclose(layer.variance, data.var((0, 2)).reshape(1, 3, 1))
    given = layers.Normalization(mean=[1.0, 2.0], variance=[3.0, 4.0])
    given.build((None, 2))
    np.testing.assert_array_equal([given.mean[0], given.variance[0]], [[1, 2], [3, 4]])


def test_the_layout_of_images_may_be_chosen(backend):
    x = np.random.default_rng(0).normal(size=(2, 3, 6, 6)).astype("float32")
    last = np.moveaxis(x, 1, -1)
    assert lamella.config.image_data_format() == "channels_last"
    expected = np.moveaxis(np.asarray(ops.max_pool(last, 2)), -1, 1), layers.GlobalAveragePooling2D()(last)
    try:
        lamella.config.set_image_data_format("channels_first")
        assert layers.Conv2D(2, 3).data_format == "channels_first" == layers.Conv2D(2, 3).get_config()["data_format"]
        assert layers.Conv2D(2, 3, data_format="channels_last").data_format == "channels_last"
        np.testing.assert_array_equal(ops.max_pool(x, 2), expected[0])
        np.testing.assert_allclose(layers.GlobalAveragePooling2D()(x), expected[1], rtol=1e-6)
        assert layers.SpatialDropout1D(0.5).data_format == "channels_last"
        np.testing.assert_array_equal(layers.Flatten()(x), layers.Flatten(data_format="channels_last")(last))
    finally:
        lamella.config.set_image_data_format("channels_last")
    with pytest.raises(ArgumentError, match="'channels_last' or 'channels_first', got 'last'"):
        lamella.config.set_image_data_format("last")


def test_softmax_over_several_axes(backend):
    x = np.array([[[0.0, 1.0, 2.0], [3.0, 1.0, 0.0]]], "float32")
    keras = [[[0.02864414, 0.07786284, 0.21165314], [0.5753329, 0.07786284, 0.02864414]]]
    np.testing.assert_allclose(ops.softmax(x, axis=(1, 2)), keras, rtol=1e-5)
    np.testing.assert_allclose(lamella.activations.softmax(x, (2, 1)), keras, rtol=1e-5)
    keras = [[[-2.407606, -1.4076059, -0.40760595], [-0.16984604, -2.169846, -3.169846]]]
    np.testing.assert_allclose(ops.log_softmax(x, axis=(2, 0)), keras, rtol=1e-5)


def test_old_words_build_a_model():
    with pytest.warns(DeprecationWarning, match="input_length="):
        model = lamella.Sequential([layers.Embedding(9, 4, input_length=5), layers.Flatten(), layers.Dense(1)])
    assert model.built and model.input_shape == (None, 5) and model.output_shape == (None, 1)
    for kwargs, shape in (({"input_shape": (3,)}, (None, 3)), ({"batch_input_shape": (4, 3)}, (4, 3))):
        with pytest.warns(DeprecationWarning):
            assert layers.InputLayer(**kwargs).batch_shape == shape


@pytest.mark.parametrize(
    "function",
    [
        lambda shape, name=None: np.full(shape, 0.5),  # Keras 1
        lambda shape: np.full(shape, 0.5),
        lambda shape, dtype: np.full(shape, 0.5, dtype),
        lambda shape, dtype=None, **kwargs: np.full(shape, 0.5, dtype),
    ],
)
def test_functions_of_every_era_make_first_values(function):
    layer = layers.Dense(2, kernel_initializer=function)
    layer.build((None, 3))
    np.testing.assert_array_equal(layer.kernel.numpy(), np.full((3, 2), 0.5))


def test_a_clone_may_have_other_layers(backend):
    inner = lamella.Sequential([layers.Dense(3, activation="relu", name="deep")], name="inner")
    model = lamella.Sequential(
        [lamella.Input((3,), name="in"), inner, layers.Dense(2, activation="softmax", name="last")]
    )

    def linear(layer):
        config = layer.get_config()
        return type(layer).from_config({**config, "activation": "linear"} if "activation" in config else config)

    clone = lamella.models.clone_model(model, clone_function=linear)
    assert clone.built and [layer.name for layer in clone.layers] == ["inner", "last"]
    assert clone.layers[1].activation is lamella.activations.linear
    assert clone.layers[0].layers[0].activation is lamella.activations.relu
    deep = lamella.models.clone_model(model, clone_function=linear, recursive=True)
    assert deep.layers[0].layers[0].activation is lamella.activations.linear
    deep.set_weights(model.get_weights())
    w = [a.astype("float64") for a in model.get_weights()]
    np.testing.assert_allclose(deep.predict(X, verbose=0), (X @ w[0] + w[1]) @ w[2] + w[3], rtol=1e-5)

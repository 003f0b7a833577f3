"""`from lamella import backend as K`: Keras 2's functions, against values computed with NumPy."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest

import lamella
from lamella import Input, Model, Sequential, backend_functions, layers, losses
from lamella import backend as K  # noqa: N812
from lamella.absent import reason
from lamella.errors import ArgumentError, ShapeError

NAMES = Path(__file__).parent / "oracle" / "data" / "keras_names.txt"


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def softmax(x, axis=-1):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


X = draw(2, 3, 4)
P = softmax(draw(5, 4, seed=1))
HOT = np.eye(4, dtype="float32")[[0, 3, 1, 1, 2]]
ONES = np.array([[0.0, 1, 1], [1, 0, 0]], "float32")
U = sigmoid(draw(2, 3, seed=2))
IMAGE = draw(2, 5, 6, 3)
EPS = 1e-7


def bce(t, p):
    p = np.clip(p, EPS, 1 - EPS)
    return -(t * np.log(p + EPS) + (1 - t) * np.log(1 - p + EPS))


def conv(x, kernel, strides=(1, 1)):
    """A valid convolution, channels last, by its definition."""
    h, w, _, f = kernel.shape
    rows, columns = ((n - k) // s + 1 for n, k, s in zip(x.shape[1:3], (h, w), strides, strict=True))
    out = np.zeros((len(x), rows, columns, f), "float32")
    for i in range(rows):
        for j in range(columns):
            part = x[:, i * strides[0] : i * strides[0] + h, j * strides[1] : j * strides[1] + w]
            out[:, i, j] = np.einsum("bhwc,hwcf->bf", part, kernel)
    return out


def transposed(x, kernel, size, strides, before):
    """The gradient of a convolution: each cell of x scales the kernel, copies add up; cropped and filled up to `size`."""
    whole = np.zeros((len(x), 40, 40, kernel.shape[2]), "float32")
    for i in range(x.shape[1]):
        for j in range(x.shape[2]):
            rows = slice(i * strides[0], i * strides[0] + kernel.shape[0])
            columns = slice(j * strides[1], j * strides[1] + kernel.shape[1])
            whole[:, rows, columns] += np.einsum("bc,hwfc->bhwf", x[:, i, j], kernel)
    return whole[:, before[0] : before[0] + size[0], before[1] : before[1] + size[1]]


def pool(x, size, strides, reduce):
    rows, columns = ((n - k) // s + 1 for n, k, s in zip(x.shape[1:3], size, strides, strict=True))
    cells = [
        [
            reduce(
                x[:, i * strides[0] : i * strides[0] + size[0], j * strides[1] : j * strides[1] + size[1]].reshape(
                    len(x), -1, x.shape[-1]
                ),
                1,
            )
            for j in range(columns)
        ]
        for i in range(rows)
    ]
    return np.stack([np.stack(row, 1) for row in cells], 1)


first = lambda x: np.moveaxis(x, -1, 1)  # noqa: E731
KERNEL = draw(2, 3, 3, 4, seed=4)

# name: (what it is called with, what it returns); the first argument may be a symbolic value
CASES = {
    "abs": [((X,), np.abs(X))],
    "all": [((ONES,), False), ((ONES, 0), (ONES != 0).all(0)), ((ONES, 1, True), (ONES != 0).all(1, keepdims=True))],
    "any": [((ONES, 1), (ONES != 0).any(1)), ((ONES,), True)],
    "argmax": [((X,), X.argmax(-1)), ((X, 0), X.argmax(0))],
    "argmin": [((X,), X.argmin(-1))],
    "batch_dot": [
        ((X, draw(2, 4, 5)), X @ draw(2, 4, 5)),
        ((X, draw(2, 3, 5), 1), np.einsum("bij,bik->bjk", X, draw(2, 3, 5))),
        ((X, draw(2, 4)), np.einsum("bij,bj->bi", X, draw(2, 4))),
        ((draw(2, 4), draw(2, 4, seed=3)), (draw(2, 4) * draw(2, 4, seed=3)).sum(1, keepdims=True)),
        ((draw(2, 3), draw(2, 4, 3), (1, 2)), np.einsum("bi,bji->bj", draw(2, 3), draw(2, 4, 3))),
        ((draw(2, 3, 4, 5), draw(2, 5, 6), (3, 1)), np.einsum("bijk,bkl->bijl", draw(2, 3, 4, 5), draw(2, 5, 6))),
    ],
    "batch_flatten": [((X,), X.reshape(2, 12))],
    "batch_normalization": [
        ((X, X.mean((0, 1)), X.var((0, 1)), np.arange(4.0), np.arange(4.0) + 1),
         (X - X.mean((0, 1))) / np.sqrt(X.var((0, 1)) + 1e-3) * (np.arange(4) + 1) + np.arange(4)),
        ((X, X.mean((0, 2)), X.var((0, 2)), None, None, 1, 1e-5),
         (X - X.mean((0, 2))[:, None]) / np.sqrt(X.var((0, 2))[:, None] + 1e-5)),
    ],
    "bias_add": [
        ((X, np.arange(4.0)), X + np.arange(4)),
        ((X, np.arange(3.0), "channels_first"), X + np.arange(3)[:, None]),
        ((X, draw(3, 4)), X + draw(3, 4)),
        ((first(IMAGE), draw(5, 6, 3), "channels_first"), first(IMAGE + draw(5, 6, 3))),
    ],
    "binary_crossentropy": [
        ((ONES, U), bce(ONES, U)),
        ((ONES, X[:, :, 0], True), np.log1p(np.exp(X[:, :, 0])) - ONES * X[:, :, 0]),
    ],
    "binary_focal_crossentropy": [
        ((ONES, U), (1 - (ONES * U + (1 - ONES) * (1 - U))) ** 2 * bce(ONES, U)),
        ((ONES, U, True, 0.3, 1.5),
         (ONES * 0.3 + (1 - ONES) * 0.7) * (1 - (ONES * U + (1 - ONES) * (1 - U))) ** 1.5 * bce(ONES, U)),
    ],
    "cast": [((X, "int32"), X.astype("int32"))],
    "cast_to_floatx": [((ONES.astype("int32"),), ONES)],
    "categorical_crossentropy": [
        ((HOT, 3 * P), -(HOT * np.log(P)).sum(-1)),
        ((HOT, draw(5, 4, seed=1), True), -(HOT * np.log(P)).sum(-1)),
        ((HOT.T, P.T, False, 0), -(HOT * np.log(P)).sum(-1)),
    ],
    "categorical_focal_crossentropy": [
        ((HOT, P), -(0.25 * (1 - P) ** 2 * HOT * np.log(P)).sum(-1)),
        ((HOT, draw(5, 4, seed=1), 0.5, 1.0, True), -(0.5 * (1 - P) * HOT * np.log(P)).sum(-1)),
    ],
    "clip": [((X, -0.5, 0.5), X.clip(-0.5, 0.5)), ((X, None, 0.5), np.minimum(X, 0.5)),
             ((X, 0.5, None), np.maximum(X, 0.5)), ((X, 1.0, 0.0), np.full_like(X, 1.0))],
    "conv1d": [((X, draw(2, 4, 5)), conv(X[:, :, None], draw(2, 4, 5)[:, None])[:, :, 0]),
               ((X, draw(2, 4, 5), 1, "causal"),
                conv(np.pad(X, ((0, 0), (1, 0), (0, 0)))[:, :, None], draw(2, 4, 5)[:, None])[:, :, 0])],
    "conv2d": [((IMAGE, KERNEL), conv(IMAGE, KERNEL)), ((IMAGE, KERNEL, (2, 1)), conv(IMAGE, KERNEL, (2, 1))),
               ((first(IMAGE), KERNEL, (1, 1), "valid", "channels_first"), first(conv(IMAGE, KERNEL)))],
    "conv2d_transpose": [
        ((IMAGE, draw(2, 3, 4, 3), (2, 6, 8, 4)), transposed(IMAGE, draw(2, 3, 4, 3), (6, 8), (1, 1), (0, 0))),
        ((IMAGE, draw(2, 3, 4, 3), (None, 6, 8, 4)), transposed(IMAGE, draw(2, 3, 4, 3), (6, 8), (1, 1), (0, 0))),
        ((IMAGE, draw(3, 3, 4, 3), (2, 10, 12, 4), (2, 2), "same"),
         transposed(IMAGE, draw(3, 3, 4, 3), (10, 12), (2, 2), (0, 0))),
        ((IMAGE, draw(3, 3, 4, 3), (2, 9, 11, 4), (2, 2), "same"),
         transposed(IMAGE, draw(3, 3, 4, 3), (9, 11), (2, 2), (1, 1))),
        ((IMAGE, draw(2, 2, 4, 3), (2, 11, 13, 4), (2, 2)),
         transposed(IMAGE, draw(2, 2, 4, 3), (11, 13), (2, 2), (0, 0))),
        ((first(IMAGE), draw(2, 3, 4, 3), (2, 4, 6, 8), (1, 1), "valid", "channels_first"),
         first(transposed(IMAGE, draw(2, 3, 4, 3), (6, 8), (1, 1), (0, 0)))),
    ],
    "conv3d": [((IMAGE[:, None], KERNEL[None]), conv(IMAGE, KERNEL)[:, None])],
    "cos": [((X,), np.cos(X))],
    "cumprod": [((X,), X.cumprod(0)), ((X, 2), X.cumprod(2))],
    "cumsum": [((X, 1), X.cumsum(1))],
    "depthwise_conv2d": [
        ((IMAGE, KERNEL), np.stack([conv(IMAGE[..., c : c + 1], KERNEL[:, :, c : c + 1]) for c in range(3)], -2)
         .reshape(2, 4, 4, 12)),
    ],
    "dot": [((X, draw(4, 5)), X @ draw(4, 5)), ((draw(3, 4), draw(4, 5)), draw(3, 4) @ draw(4, 5)),
            ((X, draw(6, 4, 5)), np.dot(X, draw(6, 4, 5)))],
    "dropout": [((X, 0.0), X)],
    "elu": [((X,), np.where(X > 0, X, np.expm1(X))), ((X, 0.5), np.where(X > 0, X, 0.5 * np.expm1(X)))],
    "equal": [((ONES, 1.0), ONES == 1)],
    "exp": [((X,), np.exp(X))],
    "expand_dims": [((X,), X[..., None]), ((X, 1), X[:, None])],
    "flatten": [((X,), X.ravel())],
    "gather": [((X, np.array([1, 0, 1])), X[[1, 0, 1]])],
    "greater": [((X, 0.0), X > 0)],
    "greater_equal": [((ONES, 1.0), ONES >= 1)],
    "hard_sigmoid": [((3 * X,), np.clip(0.6 * X + 0.5, 0, 1))],
    "identity": [((X,), X)],
    "in_top_k": [((P, np.array([0, 1, 2, 3, 0]), 2),
                  [t in set(np.argsort(-p)[:2]) for p, t in zip(P, [0, 1, 2, 3, 0], strict=True)])],
    "in_test_phase": [((X, X + 1), X)],
    "in_train_phase": [((X, X + 1), X + 1), ((X, X + 1, True), X)],
    "l2_normalize": [((X, -1), X / np.sqrt((X**2).sum(-1, keepdims=True))), ((X,), X / np.sqrt((X**2).sum()))],
    "less": [((X, 0.0), X < 0)],
    "less_equal": [((ONES, 0.0), ONES <= 0)],
    "log": [((P,), np.log(P))],
    "logsumexp": [((X, -1), np.log(np.exp(X).sum(-1)))],
    "max": [((X,), X.max()), ((X, (0, 2), True), X.max((0, 2), keepdims=True))],
    "maximum": [((X, -X), np.abs(X))],
    "mean": [((X, 1), X.mean(1)), ((X > 0, -1), (X > 0).mean(-1))],
    "min": [((X, 2), X.min(2))],
    "minimum": [((X, -X), -np.abs(X))],
    "not_equal": [((ONES, 0.0), ONES != 0)],
    "one_hot": [((np.array([0, 3, 1, 1, 2]), 4), HOT)],
    "ones_like": [((X,), np.ones_like(X)), ((X, "int32"), np.ones(X.shape, "int32"))],
    "permute_dimensions": [((X, (2, 0, 1)), X.transpose(2, 0, 1))],
    "pool2d": [((IMAGE, (2, 2)), pool(IMAGE, (2, 2), (1, 1), np.max)),
               ((IMAGE, (2, 3), (2, 1), "valid", None, "avg"), pool(IMAGE, (2, 3), (2, 1), np.mean)),
               ((first(IMAGE), (2, 2), (1, 1), "valid", "channels_first"), first(pool(IMAGE, (2, 2), (1, 1), np.max)))],
    "pool3d": [((IMAGE[:, None], (1, 2, 2)), pool(IMAGE, (2, 2), (1, 1), np.max)[:, None])],
    "pow": [((X, 2), X**2)],
    "prod": [((X, 1), X.prod(1))],
    "relu": [((X,), np.maximum(X, 0)), ((X, 0.1), np.where(X > 0, X, 0.1 * X)), ((X, 0.0, 0.5), X.clip(0, 0.5)),
             ((X, 0.2, 1.0, 0.3), np.where(X > 0.3, np.minimum(X, 1), 0.2 * (X - 0.3)))],
    "repeat": [((draw(2, 4), 3), np.repeat(draw(2, 4)[:, None], 3, 1))],
    "repeat_elements": [((X, 2, 1), np.repeat(X, 2, 1))],
    "reshape": [((X, (2, -1)), X.reshape(2, 12))],
    "resize_images": [((IMAGE, 2, 3, "channels_last"), IMAGE.repeat(2, 1).repeat(3, 2)),
                      ((first(IMAGE), 2, 1, "channels_first"), first(IMAGE).repeat(2, 2)),
                      ((np.array([[[[0.0], [4.0]]]], "f"), 1, 2, "channels_last", "bilinear"), [[[[0], [1], [3], [4]]]])],
    "resize_volumes": [((IMAGE[:, None], 2, 1, 3, "channels_last"), IMAGE[:, None].repeat(2, 1).repeat(3, 3)),
                       ((IMAGE[:, None], 1, 2, 1, "channels_first"), IMAGE[:, None].repeat(2, 3))],
    "reverse": [((X, 1), X[:, ::-1]), ((X, (0, 2)), X[::-1, :, ::-1])],
    "round": [((3 * X,), np.round(3 * X))],
    "separable_conv2d": [
        ((IMAGE, KERNEL, draw(1, 1, 12, 2)),
         np.stack([conv(IMAGE[..., c : c + 1], KERNEL[:, :, c : c + 1]) for c in range(3)], -2).reshape(2, 4, 4, 12)
         @ draw(1, 1, 12, 2)[0, 0]),
    ],
    "sigmoid": [((X,), sigmoid(X))],
    "sign": [((X,), np.sign(X))],
    "sin": [((X,), np.sin(X))],
    "softmax": [((X,), softmax(X)), ((X, 1), softmax(X, 1))],
    "softplus": [((X,), np.log1p(np.exp(X)))],
    "softsign": [((X,), X / (1 + np.abs(X)))],
    "sparse_categorical_crossentropy": [
        ((HOT.argmax(1), P), -(HOT * np.log(P)).sum(-1)),
        ((HOT.argmax(1)[:, None], draw(5, 4, seed=1), True), -(HOT * np.log(P)).sum(-1)),
        ((HOT.argmax(1), P.T, False, 0), -(HOT * np.log(P)).sum(-1)),
        ((HOT.argmax(1)[None], P.T, False, 0), -(HOT * np.log(P)).sum(-1)),
        ((HOT.argmax(1)[None, None], P.T[None], False, -2), -(HOT * np.log(P)).sum(-1)[None]),
        ((HOT.argmax(1), P, False, -1, 1), -(HOT * np.log(P)).sum(-1) * (HOT.argmax(1) != 1)),
    ],
    "spatial_2d_padding": [((IMAGE,), np.pad(IMAGE, ((0, 0), (1, 1), (1, 1), (0, 0)))),
                           ((IMAGE, ((1, 0), (2, 3)), "channels_first"), np.pad(IMAGE, ((0, 0), (0, 0), (1, 0), (2, 3))))],
    "spatial_3d_padding": [((IMAGE[:, None],), np.pad(IMAGE[:, None], ((0, 0), (1, 1), (1, 1), (1, 1), (0, 0))))],
    "sqrt": [((X,), np.sqrt(np.maximum(X, 0)))],
    "square": [((X,), X**2)],
    "squeeze": [((X[:, :, :1], 2), X[:, :, 0])],
    "std": [((X, 1), X.std(1)), ((X > 0, -1), (X > 0).std(-1))],
    "stop_gradient": [((X,), X)],
    "sum": [((X, -1, True), X.sum(-1, keepdims=True)), ((X,), X.sum())],
    "tanh": [((X,), np.tanh(X))],
    "temporal_padding": [((X, (2, 1)), np.pad(X, ((0, 0), (2, 1), (0, 0))))],
    "tile": [((X, (1, 2, 1)), np.tile(X, (1, 2, 1))), ((np.arange(3.0), 2), np.tile(np.arange(3.0), 2))],
    "to_dense": [((X,), X)],
    "transpose": [((X,), X.T)],
    "var": [((X, (0, 1)), X.var((0, 1)))],
    "zeros_like": [((X,), np.zeros_like(X))],
}  # fmt: skip
ROWS = [pytest.param(name, *row, id=f"{name}-{i}") for name, rows in CASES.items() for i, row in enumerate(rows)]


@pytest.mark.parametrize("name, arguments, expected", ROWS)
def test_functions_of_arrays(name, arguments, expected):
    with lamella.backend_scope("numpy"):
        found = np.asarray(getattr(K, name)(*arguments))
    assert found.shape == np.shape(expected)
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name, arguments, expected", ROWS)
def test_functions_of_symbolic_values_in_a_layer(name, arguments, expected):
    x, *more = arguments

    def call(x):
        return getattr(K, name)(x, *more)

    with lamella.backend_scope("numpy"):
        found = np.asarray(layers.Lambda(call)(x))
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-6)


def test_functions_of_symbolic_values_on_both_backends(backend):
    """Some of each module; the others are the same ops."""

    def call(x):
        y = K.batch_dot(x, K.permute_dimensions(x, (0, 2, 1)))
        y = K.concatenate([y, K.l2_normalize(K.relu(x, 0.1), -1)])
        y = K.switch(K.greater(K.mean(y, -1), 0), y, -y)
        return K.sum(K.square(K.temporal_padding(y)), axis=[1, 2]) + K.epsilon()

    r = np.where(X > 0, X, 0.1 * X)
    y = np.concatenate([X @ X.transpose(0, 2, 1), r / np.sqrt((r**2).sum(-1, keepdims=True))], -1)
    model = Sequential([Input((3, 4)), layers.Lambda(call)])
    np.testing.assert_allclose(model.predict(X, verbose=0), (y**2).sum((1, 2)) + 1e-7, rtol=1e-5)


def test_every_name_of_keras_is_there_or_says_why_not():
    names = [line.split()[0] for line in NAMES.read_text().splitlines() if line.startswith("backend.")]
    assert len(names) > 130
    for name in names:
        last = name.removeprefix("backend.")
        assert hasattr(K, last) != (reason(name) is not None), name
    assert {n for n in backend_functions.__all__ if callable(getattr(K, n))} == {*backend_functions.__all__}
    with pytest.raises(AttributeError, match="did you mean 'mean'"):
        K.meen  # noqa: B018
    with pytest.raises(AttributeError, match=r"lamella\.backend has no get_session: it is a session of TensorFlow 1"):
        K.get_session()
    assert K.load_backend("numpy").name == "numpy"


def test_every_function_has_a_value():
    others = {name for name in backend_functions.__all__ if name not in CASES}
    text = Path(__file__).read_text()
    assert [name for name in others if f"K.{name}(" not in text] == []


# ---- settings, names, dtypes ----


def test_settings(process_as_it_was):
    assert (K.epsilon(), K.floatx(), K.image_data_format(), K.backend()) == (
        lamella.config.epsilon(), "float32", "channels_last", lamella.config.backend()
    )  # fmt: skip
    K.set_epsilon(1e-5)
    K.set_floatx("float64")
    K.set_image_data_format("channels_first")
    assert (K.epsilon(), K.floatx(), K.image_data_format()) == (1e-5, "float64", "channels_first")
    with pytest.warns(DeprecationWarning, match="image_data_format"):
        assert K.image_dim_ordering() == "th"
    with pytest.warns(DeprecationWarning, match="set_image_data_format"):
        K.set_image_dim_ordering("tf")
    assert K.image_data_format() == "channels_last"
    with pytest.warns(DeprecationWarning), pytest.raises(ArgumentError, match="'tf' or 'th', got 'cl'"):
        K.set_image_dim_ordering("cl")


def test_names_and_phases():
    K.clear_session()
    assert [K.get_uid("a"), K.get_uid("a"), K.get_uid()] == [1, 2, 1]
    K.reset_uids()
    assert K.get_uid("a") == 1
    assert K.learning_phase() == 0
    assert K.in_train_phase(lambda: 1, lambda: 2) == K.in_test_phase(2, 1) == 2
    layer = layers.Lambda(lambda x: x + K.learning_phase())
    assert float(layer(np.zeros(1, "float32"), training=True)[0]) == 1
    assert float(layer(np.zeros(1, "float32"))[0]) == 0


def test_dtypes():
    assert K.is_float_dtype("float16") and not K.is_float_dtype("int8")
    assert K.is_int_dtype("uint8") and not K.is_int_dtype("bool")
    assert K.standardize_dtype(np.float64) == "float64" and K.dtype(X) == "float32"
    assert K.result_type("int32", "float16") == "float16" and K.result_type("int32", float) == "float32"
    assert K.result_type("bool", int) == "int32" and K.result_type(int) == "int32" and K.result_type(bool) == "bool"
    assert not K.is_sparse(X) and not K.is_keras_tensor(X) and K.is_keras_tensor(Input((2,)))


# ---- variables ----


def test_variables_and_their_values():
    x = K.variable([[1, 2], [3, 4]], name="x")
    assert (K.dtype(x), x.name, K.int_shape(x), K.ndim(x), K.count_params(x)) == ("float32", "x", (2, 2), 2, 4)
    K.set_value(x, np.ones((2, 2)))
    K.update_add(x, 2 * np.ones((2, 2), "float32"))
    K.update_sub(x, np.ones((2, 2), "float32"))
    np.testing.assert_array_equal(K.get_value(x), np.full((2, 2), 2.0))
    K.moving_average_update(x, np.zeros((2, 2)), 0.75)
    np.testing.assert_allclose(K.eval(x), np.full((2, 2), 1.5))
    K.update(x, np.zeros((2, 2), "float32"))
    y = K.zeros((2,))
    K.batch_set_value([(x, np.ones((2, 2))), (y, [5.0, 6.0])])
    values = K.batch_get_value([x, y, K.ones((1,)), K.eye(2)])
    for found, expected in zip(values, [np.ones((2, 2)), [5, 6], [1], np.eye(2)], strict=True):
        np.testing.assert_array_equal(found, expected)
    assert isinstance(y, K.Variable) and K.get_value(3) == 3
    assert K.zeros((0, 2)).shape == (0, 2)
    with pytest.raises(ShapeError, match="size that is left free"):
        K.count_params(Input((2,)))
    assert isinstance(K.Variable([1.0]), lamella.Variable)


def test_arrays():
    np.testing.assert_array_equal(K.arange(2, 8, 2), [2, 4, 6])
    assert (
        K.arange(3).dtype == "int32" and K.arange(-1).shape == (0,) and K.arange(2, dtype="float32").dtype == "float32"
    )
    np.testing.assert_array_equal(K.constant(2, shape=(2, 1)), [[2], [2]])
    np.testing.assert_array_equal(K.constant([1, 2], "int32"), [1, 2])
    with pytest.raises(ShapeError, match="holds 4 numbers, got 2"):
        K.constant([1, 2], shape=(4,))
    np.testing.assert_array_equal(K.concatenate([X, X]), np.concatenate([X, X], -1))
    np.testing.assert_array_equal(K.concatenate([X, X], axis=0), np.concatenate([X, X]))
    np.testing.assert_array_equal(K.stack([X, X], axis=1), np.stack([X, X], 1))
    assert len(K.stop_gradient([X, X])) == 2 and K.shape(X) == (2, 3, 4)


def test_random_numbers():
    for found in (
        K.random_normal((2000,), 1.0, 0.5, seed=1),
        K.random_normal_variable((2000,), 1.0, 0.5, seed=1).numpy(),
    ):
        assert abs(found.mean() - 1) < 0.05 and abs(found.std() - 0.5) < 0.05
    for found in (K.random_uniform((2000,), 2.0, 4.0), K.random_uniform_variable((2000,), 2.0, 4.0).numpy()):
        assert found.min() >= 2 and found.max() < 4 and abs(found.mean() - 3) < 0.1
    assert np.abs(K.truncated_normal((2000,), stddev=0.5)).max() <= 1
    for found in (K.random_bernoulli((2000,), 0.25), K.random_binomial((2000,), 0.25)):
        assert set(np.unique(found)) == {0, 1} and abs(np.mean(found) - 0.25) < 0.05
    assert not np.array_equal(K.random_normal((3,)), K.random_normal((3,)))
    kept = K.dropout(np.ones((2000,), "float32"), 0.25, seed=3)
    assert set(np.unique(kept)) == {0, np.float32(1 / 0.75)}


# ---- in models ----


def test_a_loss_and_a_metric_in_the_style_of_keras_2(backend):
    def loss(y_true, y_pred):
        return K.mean(K.square(K.clip(y_pred, -10, 10) - y_true), axis=-1)

    def accuracy(y_true, y_pred):
        return K.mean(K.equal(K.cast(K.greater(y_pred, 0.5), "float32"), y_true))

    y = (X[:, :, 0] > 0).astype("float32")
    logs = []
    for own, metric in ((loss, accuracy), ("mse", "binary_accuracy")):
        lamella.utils.set_random_seed(0)
        model = Sequential([Input((3, 4)), layers.Flatten(), layers.Dense(3)])
        model.compile("sgd", own, metrics=[metric])
        logs.append([*model.fit(X, y, epochs=2, verbose=0).history.values()])
    np.testing.assert_allclose(logs[0], logs[1], rtol=1e-6)


def test_sampling_of_a_variational_autoencoder(backend):
    def sampling(args):
        mean, log_var = args
        batch, dim = K.shape(mean)[0], K.int_shape(mean)[1]
        return mean + K.exp(0.5 * log_var) * K.random_normal(shape=(batch, dim))

    x = Input((4,))
    z = layers.Lambda(sampling, output_shape=(2,))([layers.Dense(2)(x), layers.Dense(2)(x)])
    assert Model(x, z).predict(X[:, 0], verbose=0).shape == (2, 2)


def test_declared_values():
    x = Input((3, 4))
    y = K.dot(K.softmax(K.batch_normalization(x, 0.0, 1.0, None, None)), K.constant(np.ones((4, 2))))
    assert K.int_shape(y) == (None, 3, 2) and K.int_shape(K.batch_flatten(x)) == (None, 12)
    assert K.int_shape(K.reverse(K.repeat_elements(x, 2, 1), 1)) == (None, 6, 4)
    assert K.int_shape(K.placeholder((None, 3))) == (None, 3) and K.ndim(K.placeholder(ndim=3)) == 3
    with pytest.raises(ArgumentError, match="shape or ndim"):
        K.placeholder()
    with pytest.raises(ArgumentError, match="sparse"):
        K.placeholder((2,), sparse=True)


def test_functions_of_a_graph(backend):
    model = Sequential([Input((3,)), layers.Dense(4, "tanh"), layers.Dropout(0.9), layers.Dense(2)])
    x = draw(5, 3)
    hidden = np.tanh(x @ model.layers[0].kernel.numpy())
    both = K.function([model.input], [model.layers[0].output, model.output])
    found = both([x])
    np.testing.assert_allclose(found[0], hidden, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found[1], model.predict(x, verbose=0), rtol=1e-5, atol=1e-6)
    assert all(type(y) is np.ndarray for y in found)
    phase = K.function([model.layers[0].input, K.learning_phase()], [model.layers[1].output])
    np.testing.assert_allclose(phase([x, 0])[0], hidden, rtol=1e-5, atol=1e-6)
    assert (phase([x, 1])[0] == 0).mean() > 0.5
    a, b = K.placeholder((None, 2)), K.placeholder((None, 2))
    np.testing.assert_array_equal(K.function([a, b], a * 2)([np.ones((1, 2)), np.zeros((1, 2))]), [[2, 2]])
    np.testing.assert_array_equal(K.function([], [K.ones((2,))])([])[0], [1, 1])
    with pytest.raises(ArgumentError, match="expected a list of 2 inputs, got 1"):
        phase([x])
    with pytest.raises(ArgumentError, match="must be among the inputs"):
        K.function([b], [a * 2])
    with pytest.raises(ArgumentError, match="updates"):
        K.function([a], [a * 2], updates=[(1, 2)])
    with pytest.raises(TypeError, match="inputs must be declared values"):
        K.function([x], [a * 2])


def test_gradients_of_a_graph(backend):
    model = Sequential([Input((3,)), layers.Dense(4, use_bias=False), layers.Dense(2, use_bias=False)])
    loss = K.sum(K.square(model.output))
    x = draw(5, 3)
    w, v = (layer.kernel.numpy() for layer in model.layers)
    g = 2 * x @ w @ v
    hidden, unused = model.layers[0].output, Input((2,))
    gradients = K.gradients(loss, [model.input, unused, model.layers[1].kernel])
    assert gradients[1] is None and K.int_shape(gradients[0]) == (None, 3)
    of_x, of_v, value = K.function([model.input], [gradients[0], gradients[2], loss])([x])
    np.testing.assert_allclose(of_x, g @ v.T @ w.T, rtol=2e-5, atol=1e-5)
    np.testing.assert_allclose(of_v, (x @ w).T @ g, rtol=2e-5, atol=1e-5)
    np.testing.assert_allclose(value, ((x @ w @ v) ** 2).sum(), rtol=1e-5)
    of_hidden = K.function([model.input], K.gradients(model.output, hidden)[0])([x])
    np.testing.assert_allclose(of_hidden, np.ones((5, 2)) @ v.T, rtol=1e-5, atol=1e-6)
    with pytest.raises(TypeError, match="loss must be declared values"):
        K.gradients(x, model.input)


def test_a_filter_is_visualized_by_gradient_ascent():
    model = Sequential([Input((6, 6, 1)), layers.Conv2D(2, 3, activation="relu", bias_initializer="ones")])
    loss = K.mean(model.layers[0].output[:, :, :, 1])
    slope = K.gradients(loss, model.input)[0]
    slope /= K.sqrt(K.mean(K.square(slope))) + 1e-5
    iterate = K.function([model.input], [loss, slope])
    image, values = np.zeros((1, 6, 6, 1), "float32"), []
    for _ in range(5):
        value, step = iterate([image])
        image += 0.1 * step
        values.append(float(value))
    assert values == sorted(values) and values[-1] > values[0]


# ---- loops ----


def test_folds_and_maps(backend):
    x = np.arange(1.0, 5.0).astype("float32")
    assert float(K.foldl(lambda total, y: total * 2 + y, x)) == ((1 * 2 + 2) * 2 + 3) * 2 + 4
    assert float(K.foldr(lambda total, y: total * 2 + y, x)) == ((4 * 2 + 3) * 2 + 2) * 2 + 1
    assert float(K.foldl(lambda total, y: total + y, x, np.float32(10.0))) == 20
    for fold in (K.foldl, K.foldr):
        assert fold(lambda total, y: total + y, x.astype("float64")).dtype == "float64"
    np.testing.assert_array_equal(K.map_fn(lambda y: y * y, x), x**2)
    assert K.map_fn(lambda y: y > 2, x, dtype="float32").dtype == "float32"


def looped(x, mask, start, zero):
    """y = tanh(x + 0.5 state), which is the next state; masked steps keep the state and the output before."""
    state, before, outputs = start, np.zeros_like(start), []
    for t in range(x.shape[1]):
        y = np.tanh(x[:, t] + 0.5 * state)
        here = np.ones((len(x), 1), bool) if mask is None else mask[:, t, None]
        state, before = np.where(here, y, state), np.where(here, y, before)
        outputs.append(np.where(here, y, 0) if zero else before)
    return outputs[-1], np.stack(outputs, 1), state


@pytest.mark.parametrize("options", [{}, {"go_backwards": True}, {"unroll": True}, {"mask": True}, {"time_major": True},
                                     {"mask": True, "zero_output_for_mask": True, "go_backwards": True},
                                     {"mask": True, "unroll": True, "time_major": True},
                                     {"return_all_outputs": False, "input_length": 3}])  # fmt: skip
def test_rnn(options):
    options = dict(options)
    mask = np.array([[1, 1, 0], [0, 1, 1]], bool) if options.pop("mask", False) else None
    start, turn = draw(2, 4, seed=9), slice(None, None, -1 if options.get("go_backwards") else 1)
    expected = looped(X[:, turn], None if mask is None else mask[:, turn], start, options.get("zero_output_for_mask"))

    def step(x, states):
        state, half = states
        y = K.tanh(x + half * state)
        return y, [y]

    def run(x):
        swap = (lambda a: K.permute_dimensions(a, (1, 0, 2))) if options.get("time_major") else (lambda a: a)
        given = mask.T if mask is not None and options.get("time_major") else mask
        last, outputs, states = K.rnn(step, swap(x), [start], mask=given, constants=[np.float32(0.5)], **options)
        return [last, swap(outputs), states[0]]

    expected = list(expected)
    if options.get("return_all_outputs") is False:
        expected[1] = expected[1][:, -1:]
    with lamella.backend_scope("numpy"):
        for found in (run(X), layers.Lambda(run)(X)):
            for a, b in zip(found, expected, strict=True):
                np.testing.assert_allclose(np.asarray(a), b, rtol=1e-5, atol=1e-6)


def test_rnn_refuses_what_does_not_fit():
    with pytest.raises(ArgumentError, match="input_length must be the number of steps, 3, got 4"):
        K.rnn(lambda x, s: (x, []), X, [], input_length=4)


# ---- connectionist temporal classification ----


def test_the_cost_of_labels_by_listing_all_paths():
    import itertools

    p = softmax(draw(2, 4, 3, seed=7))  # two labels and the blank, which is the last class
    labels, steps = [[0, 1], [1, 1]], [3, 4]
    lengths = [2, 1]

    def probability(row):
        total = 0.0
        for path in itertools.product(range(3), repeat=steps[row]):
            spelt = [c for c, _ in itertools.groupby(path) if c != 2]
            if spelt == labels[row][: lengths[row]]:
                total += np.prod([p[row, t, c] for t, c in enumerate(path)])
        return total

    found = K.ctc_batch_cost(np.array(labels), p, np.array(steps)[:, None], np.array(lengths)[:, None])
    np.testing.assert_allclose(found, [[-np.log(probability(0))], [-np.log(probability(1))]], rtol=1e-4)


def test_the_most_probable_path_is_decoded():
    p = np.full((2, 5, 4), 0.1, "float32")
    for row, path in enumerate([[0, 0, 3, 0, 2], [3, 1, 1, 2, 2]]):
        for t, c in enumerate(path):
            p[row, t, c] = 0.7
    (labels,), score = K.ctc_decode(p, np.array([5, 3]))
    np.testing.assert_array_equal(labels, [[0, 0, 2, -1, -1], [1, -1, -1, -1, -1]])
    np.testing.assert_allclose(score, [[-5 * np.log(0.7)], [-3 * np.log(0.7)]], rtol=1e-5)
    with pytest.raises(ArgumentError, match="no beam search"):
        K.ctc_decode(p, np.array([5, 3]), greedy=False)


# ---- what does not fit ----


@pytest.mark.parametrize(
    "name, arguments, error, message",
    [
        ("batch_dot", (X, draw(3, 4, 5)), ShapeError, r"\(2, 3, 4\) and \(3, 4, 5\) do not fit axes 2 and 1"),
        ("batch_dot", (X[0, 0], X), ShapeError, "at least 2 dimensions"),
        ("batch_dot", (X, X, (0, 1)), ShapeError, "not 0"),
        ("batch_dot", (X, X, ((1, 2), (1, 2))), ArgumentError, "axes must be"),
        ("bias_add", (X, draw(2, 3, 4)), ShapeError, "1 or 2 dimensions"),
        ("repeat", (X, 2), ShapeError, "must have 2 dimensions, got 3"),
        ("softmax", (X[0, 0],), ShapeError, "at least 2 dimensions"),
        ("tile", (X, 2), ShapeError, "n must have 3 numbers"),
        ("switch", (X > 0, X[0], X[0]), ShapeError, "at most as many dimensions"),
        ("pool2d", (IMAGE, (2, 2), (1, 1), "valid", None, "sum"), ArgumentError, "'max' or 'avg', got 'sum'"),
        ("resize_images", (IMAGE, 2, 2, "channels_last", "area"), ArgumentError, "must be one of .*, got 'area'"),
        ("spatial_2d_padding", (IMAGE, (1, 1)), ArgumentError, "2 pairs of integers"),
        *[
            ("conv2d_transpose", (IMAGE, draw(2, 3, 4, 3), shape), ShapeError, "does not belong to x of shape")
            for shape in ((2, 8, 8, 4), (3, 6, 8, 4), (2, 6, 8, 3), (2, None, None, 4), (2, 6, 8))
        ],
    ],
)
def test_what_does_not_fit_is_refused(name, arguments, error, message):
    with pytest.raises(error, match=message):
        getattr(K, name)(*arguments)


def test_switch_of_a_scalar_computes_one_branch(backend):
    model = Sequential([Input((2,)), layers.Lambda(lambda x: K.switch(K.sum(x) > 0, lambda: x * 2, lambda: x * 3))])
    np.testing.assert_array_equal(model.predict(np.ones((1, 2)), verbose=0), [[2, 2]])
    np.testing.assert_array_equal(model.predict(-np.ones((1, 2)), verbose=0), [[-3, -3]])
    np.testing.assert_array_equal(K.switch(np.array(True), X, X + 1), X)


def test_the_module_loads_nothing_until_it_is_asked(run_python):
    code = "import sys, lamella; from lamella import backend as K; print('lamella.backend_functions' in sys.modules)"
    assert run_python(code=code).stdout.strip() == "False"
    assert importlib.import_module("lamella.backend") is K and losses is not None

"""Integers: into layers that compute, through sums of few bits, and from floats beyond their range."""

from __future__ import annotations

import numpy as np
import pytest

import lamella
from lamella import layers, ops
from lamella.backend_api import load_backend
from lamella.errors import DataError, DTypeError, ShapeError
from lamella.ir.spec import Spec
from lamella.ir.trace import trace
from layer_replay import build
from oracle import cases

# ---- layers -----------------------------------------------------------------------------------------------------------

ROWS: dict[str, cases.LayerCase] = {}
for _table in cases.TABLES.values():
    for _case in _table:
        if isinstance(_case, cases.LayerCase) and len(_case.layers) == 1 and _case.mask is None and _case.adapt is None:
            ROWS.setdefault(_case.layers[0][0], _case)

WHOLE = {
    "Resizing": "integers stay integers, rounded after the interpolation",
    "Discretization": "gives numbers of bins, whatever it gets",
}
"""Layers whose outputs for integers are not those for the same numbers as floats."""

MOVES = {
    "Flatten", "Reshape", "Permute", "RepeatVector", "Identity", "Activation", "ReLU",
    *(f"{name}{n}D" for name in ("Cropping", "ZeroPadding", "UpSampling", "GlobalMaxPooling") for n in (1, 2, 3)),
    *(f"GlobalMaxPool{n}D" for n in (1, 2, 3)), "Dropout", *(f"SpatialDropout{n}D" for n in (1, 2, 3)), "AlphaDropout",
    "GaussianDropout", "GaussianNoise",
}  # fmt: skip
"""Layers that give integers for integers: they move values, or in inference give back what they got."""


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["int8", "int32"])
@pytest.mark.parametrize("name", sorted(set(ROWS) - set(WHOLE)))
def test_integers_give_what_the_same_floats_give(name, dtype, both):
    case = ROWS[name]
    low = 0 if name in ("Embedding", "CategoryEncoding") else -5
    x = np.random.default_rng(3).integers(low, 6, case.input_shape)
    found = []
    for kind in ("float32", dtype):
        lamella.utils.set_random_seed(0)
        layer = build(cases.LayerCase(**{**vars(case), "input_dtype": "float32"})).layers[-1]
        for backend in both:
            with lamella.backend_scope(backend):
                found.append(np.asarray(layer(x.astype(kind))))
    expected = found[0]
    for y in found[1:]:
        np.testing.assert_allclose(y, expected, rtol=2e-5, atol=1e-5)
    assert {y.dtype.name for y in found[2:]} == {dtype if name in MOVES else "float32"}


@pytest.mark.parametrize(
    "make",
    [
        layers.BatchNormalization,
        lambda: layers.Conv1D(2, 2),
        lambda: layers.LSTM(2),
    ],
    ids=["BatchNormalization", "Conv1D", "LSTM"],
)
def test_a_model_of_declared_integers(make, backend):
    x = np.random.default_rng(0).integers(0, 255, (6, 4, 3)).astype("uint8")
    y = np.ones((6, 1), "float32")
    weights = []
    for dtype in ("float32", "uint8"):
        lamella.utils.set_random_seed(0)
        model = lamella.Sequential([layers.Input((4, 3), dtype=dtype), make(), layers.Flatten(), layers.Dense(1)])
        model.compile("sgd", "mae")
        before = model.predict(x, verbose=0)
        model.fit(x, y, epochs=2, verbose=0)
        weights.append([before, *model.get_weights()])
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_spectral_normalization_of_an_embedding_keeps_its_fractions(backend):
    layer = layers.SpectralNormalization(layers.Embedding(3, 2))
    y = layer(np.array([[0, 2]]))
    np.testing.assert_array_equal(y[0], np.asarray(layer.layer.embeddings.numpy())[[0, 2]])


def test_a_cell_of_the_users_own_may_look_integers_up(backend):
    class Cell(layers.Layer):
        state_size = 2

        def build(self, input_shape):
            self.table = self.add_weight((5, 2), "ones")

        def call(self, inputs, states):
            state = states[0] + ops.take(self.table, inputs[:, 0], 0)
            return state, [state]

    y = layers.RNN(Cell())(np.ones((3, 4, 1), "int32"))
    np.testing.assert_array_equal(y, np.full((3, 2), 4.0))


def test_a_mask_stays_with_inputs_that_are_cast(backend):
    x = np.array([[1, 2, 0, 0], [3, 1, 2, 0]])
    table = np.arange(8.0).reshape(4, 2)
    found = []
    for dtype in ("float32", "mixed_bfloat16"):
        lamella.utils.set_random_seed(0)
        model = lamella.Sequential([
            layers.Input((4,)),
            layers.Embedding(4, 2, mask_zero=True, weights=table, dtype="float32"),
            layers.GlobalAveragePooling1D(dtype=dtype),
        ])  # fmt: skip
        found.append(model.predict(x, verbose=0))
    np.testing.assert_array_equal(found[0], [table[[1, 2]].mean(0), table[[3, 1, 2]].mean(0)])
    np.testing.assert_allclose(found[1], found[0], rtol=1e-2)


# ---- sums of few bits -------------------------------------------------------------------------------------------------

BIG = np.random.default_rng(0).uniform(300, 500, (64, 64)).astype("float16")
EXACT = BIG.astype("float64")
HALF = {
    "mean": (lambda x: ops.mean(x), EXACT.mean()),
    "var": (lambda x: ops.var(x, 0), EXACT.var(0)),
    "std": (lambda x: ops.std(x, 1), EXACT.std(1)),
    "moments": (lambda x: ops.moments(x, [0])[1], EXACT.var(0)),
    "average": (lambda x: ops.average(x), EXACT.mean()),
    "weighted average": (lambda x: ops.average(x, weights=x), np.sum(EXACT**2) / np.sum(EXACT)),
    "nanmean": (lambda x: ops.nanmean(x), EXACT.mean()),
    "nanstd": (lambda x: ops.nanstd(x), EXACT.std()),
    "norm": (lambda x: ops.norm(x), np.sqrt(np.sum(EXACT**2))),
    "normalize": (lambda x: ops.normalize(x), EXACT / np.linalg.norm(EXACT, axis=-1, keepdims=True)),
    "layer_normalization": (lambda x: ops.layer_normalization(x)[0],
                            ((EXACT - EXACT.mean(-1, keepdims=True)) / EXACT.std(-1, keepdims=True))[0]),
    "rms_normalization": (lambda x: ops.rms_normalization(x, 1.0)[0],
                          (EXACT / np.sqrt(np.mean(EXACT**2, -1, keepdims=True)))[0]),
    "corrcoef": (lambda x: ops.corrcoef(x), np.corrcoef(EXACT)),
    "cdist": (lambda x: ops.cdist(x, x * 3), np.linalg.norm(EXACT[:, None] - 3 * EXACT, axis=-1)),
    "average_pool": (
        lambda x: ops.average_pool(ops.reshape(x[:14, :14], (1, 14, 14, 1)), 14, 1), EXACT[:14, :14].mean()),
    "average pooling's definition": (
        lambda x: ops.primitives.average_pool.definition(
            ops.reshape(x[:14, :14], (1, 14, 14, 1)), window=(14, 14), strides=(1, 1), padding=((0, 0), (0, 0))),
        EXACT[:14, :14].mean()),
}  # fmt: skip


@pytest.mark.parametrize("what", HALF)
def test_float16_is_added_up_in_float32(what, both):
    function, expected = HALF[what]
    program = trace(function, Spec(BIG.shape, "float16"))
    assert program.outputs[0].spec.dtype == "float16"
    for name in both:
        backend = load_backend(name)
        y = backend.numpy(backend.compile(program)(backend.asarray(BIG, "float16"))[0])
        np.testing.assert_allclose(np.squeeze(y).astype("float64"), expected, rtol=3e-3, atol=3e-3)


def test_float16_poolings_do_not_overflow(backend):
    x = np.full((2, 64, 64, 1), 50.0)
    np.testing.assert_array_equal(layers.GlobalAveragePooling2D(dtype="mixed_float16")(x), [[50.0], [50.0]])
    mask = np.ones((1, 4000), bool)
    y = layers.GlobalAveragePooling1D(dtype="mixed_float16")(np.full((1, 4000, 1), 50.0), mask=mask)
    np.testing.assert_array_equal(y, [[50.0]])


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16"])
def test_small_integers_are_added_up_in_32_bits(dtype, both):
    top = np.iinfo(dtype).max
    x = np.random.default_rng(0).integers(top // 2, top, (6, 6)).astype(dtype)
    exact = x.astype("int64")
    rows = {
        "matmul": (lambda v: ops.matmul(v, v), exact @ exact),
        "dot": (lambda v: ops.dot(v, v), exact @ exact),
        "tensordot": (lambda v: ops.tensordot(v, v, 1), exact @ exact),
        "einsum": (lambda v: ops.einsum("ij,jk->ik", v, v), exact @ exact),
        "einsum of one": (lambda v: ops.einsum("ij->i", v), exact.sum(1)),
        "sum": (lambda v: ops.sum(v, 0), exact.sum(0)),
        "trace": (lambda v: ops.trace(v), np.trace(exact)),
        "prod": (lambda v: ops.prod(v[:2], 0), exact[:2].prod(0)),
    }
    for what, (function, expected) in rows.items():
        program = trace(function, Spec(x.shape, dtype))
        assert program.outputs[0].spec.dtype == ("uint32" if dtype.startswith("u") else "int32"), what
        for name in both:
            backend = load_backend(name)
            y = backend.numpy(backend.compile(program)(backend.asarray(x, dtype))[0])
            wrapped = expected.astype(y.dtype)  # products of 16 bits may be beyond 32
            np.testing.assert_array_equal(y, wrapped, err_msg=what)
    assert ops.outer(x[0], x[0]).dtype == dtype


def test_bincount_of_unsigned_integers():
    np.testing.assert_array_equal(ops.bincount(np.array([0, 2, 2], "uint8")), [1, 0, 2])
    assert np.asarray(ops.bincount(np.array([], "int32"))).shape == (0,)


# ---- floats beyond the range of integers ------------------------------------------------------------------------------

FAR = np.array([np.inf, -np.inf, np.nan, 300.5, -7.9, 2.0**31, -(2.0**31), 1e20, 127.5, -128.9, 0.0, 3.7])


@pytest.mark.parametrize("target", ["int8", "uint8", "int16", "uint16", "int32", "uint32"])
@pytest.mark.parametrize("source", ["float16", "bfloat16", "float32"])
def test_floats_outside_become_the_nearest_integer(source, target, both):
    limits = np.iinfo(target)
    with np.errstate(over="ignore"):
        given = FAR.astype("float32" if source == "bfloat16" else source)
    program = trace(lambda x: [ops.cast(x, target), ops.cast(ops.max(x[3:6]), target)], Spec(FAR.shape, source))
    for name in both:
        backend = load_backend(name)
        x = backend.asarray(given, source)
        expected = [
            0 if np.isnan(v) else int(np.clip(np.trunc(v), limits.min, limits.max))
            for v in backend.numpy(x).astype("float64")
        ]
        y, scalar = (backend.numpy(a) for a in backend.compile(program)(x))
        assert y.dtype == target and y.tolist() == expected
        assert scalar == max(expected[3:6])


def test_an_embedding_outside_is_the_nearest_end(backend):
    layer = layers.Embedding(3, 1, weights=np.arange(3.0).reshape(3, 1))
    floats = np.array([[np.inf, -np.inf, np.nan, 2.0**31, 1.0]], "float32")
    np.testing.assert_array_equal(np.ravel(layer(floats)), [2, 0, 0, 2, 1])
    np.testing.assert_array_equal(np.ravel(layer(np.array([[2**31, 1]], "uint32"))), [2, 1])
    model = lamella.Sequential([layers.Input((5,)), layer])
    np.testing.assert_array_equal(np.ravel(model.predict(floats, verbose=0)), [2, 0, 0, 2, 1])
    with pytest.raises(DataError, match="'embedding': an input holds integers beyond 32 bits"):
        layer(np.array([[2**31]]))


@pytest.mark.parametrize("function", [ops.softmax, ops.log_softmax, lambda x: layers.Softmax()(x)])
def test_a_softmax_over_no_entries_is_refused(function, backend):
    with pytest.raises(ShapeError, match=r"a softmax over no entries: axis 1 of float32\[2,0\]"):
        function(np.ones((2, 0), "float32"))
    assert function(np.ones((0, 2), "float32")).shape == (0, 2)


@pytest.mark.parametrize("function", [ops.left_shift, ops.right_shift])
def test_a_shift_of_bool_is_refused(function, backend):
    with pytest.raises(DTypeError, match="operands of a shift must be integers, got bool"):
        function(np.array([True]), np.array([True]))

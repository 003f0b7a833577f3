"""What a model with free dimensions exports: every format takes every size."""

from __future__ import annotations

import re

import numpy as np
import pytest

import lamella
from conftest import HAS_JAX, importable
from lamella import layers as L  # noqa: N812 - named often
from layer_replay import difference
from test_export_numpy import loaded
from test_free_oracle import ROWS, build, recorded

FAST = {
    "embedding-mask-lstm", "conv1d-causal-dilation", "conv2d-same-strides", "attention-mask-causal", "resizing-bilinear",
    "reshape-images", "adaptive-average-pooling2d", "batch-normalization-mask", "bidirectional-concat",
}  # fmt: skip
FASTEST = {"conv1d-causal-dilation", "cropping1d", "attention-mask-causal", "reshape-images"}


def rows(fast):
    return [pytest.param(case, id=id, marks=() if id in fast else pytest.mark.slow) for id, case in ROWS.items()]


def inputs(case):
    """The recorded inputs of both sizes, and one of them with fewer rows; what the model must say is Keras's answer."""
    entry = recorded(case)[0]
    return [(entry["x/0"], entry["y/0"]), (entry["x/1"], entry["y/1"]), (entry["x/1"][:1], entry["y/1"][:1])]


def assert_answers(case, function, bound=1e-4):
    for x, expected in inputs(case):
        found = np.asarray(function(x))
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
        assert difference(found, expected) <= bound


def free(dims, shape):
    """Whether dimensions of a format are names where `shape` has None, and numbers elsewhere."""
    return [isinstance(d, str) and bool(d) for d in dims] == [d is None for d in shape]


@pytest.mark.parametrize("case", rows(FAST))
def test_a_python_file_takes_any_size(case, tmp_path):
    with lamella.backend_scope("numpy"):
        build(case).export(tmp_path / "net.py")
    module = loaded(tmp_path / "net.py")
    assert module.check() <= 1e-5
    assert_answers(case, module.predict)


@pytest.mark.skipif(not (importable("onnx") and importable("onnxruntime")), reason="onnxruntime is not importable")
@pytest.mark.parametrize("case", rows(FAST))
def test_onnx_names_every_free_dimension(case, tmp_path):
    import onnx

    from test_export_onnx import session

    with lamella.backend_scope("numpy"):
        model = build(case)
        model.export(tmp_path / "net.onnx")
    graph = onnx.load(str(tmp_path / "net.onnx")).graph
    x = [d.dim_param or d.dim_value for d in graph.input[0].type.tensor_type.shape.dim]
    assert free(x, model.input_shape)
    names = [d for d in x if isinstance(d, str)]
    assert len(set(names)) == len(names)
    assert_answers(case, lambda x: session(tmp_path / "net.onnx").run(None, {"x": x})[0])


@pytest.mark.skipif(not (HAS_JAX and importable("flatbuffers")), reason="flatbuffers is not importable")
@pytest.mark.parametrize("case", rows(FASTEST))
def test_stablehlo_has_a_symbol_for_every_free_dimension(case, tmp_path):
    from jax import export

    model = build(case)
    model.export(tmp_path / "net.stablehlo")
    exported = export.deserialize(bytearray((tmp_path / "net.stablehlo").read_bytes()))
    dims = [d if isinstance(d, int) else str(d) for d in exported.in_avals[0].shape]
    assert free(dims, model.input_shape)
    assert len(set(dims) - {d for d in dims if isinstance(d, int)}) == model.input_shape.count(None)
    assert exported.platforms == ("cpu", "cuda", "tpu")
    assert_answers(case, exported.call)


# ---- the lowered function in JAX's hands ----


def exported(model, symbols):
    jax = pytest.importorskip("jax")
    pytest.importorskip("flatbuffers", reason="jax.export needs it to serialize")
    from jax import export

    fn = model.lower("jax")
    # a kernel or a window needs room, as in a function written by hand
    room = [f"{name} >= 3" for name in sorted(set(re.findall(r"[ac-z]", symbols)))]
    shape = export.symbolic_shape(symbols, constraints=room)
    x = jax.ShapeDtypeStruct(shape, model.input_dtype)
    made = export.export(jax.jit(fn))(fn.params, fn.state, x)
    back = export.deserialize(made.serialize())
    return lambda x: np.asarray(back.call(fn.params, fn.state, x)[0])


STACKS = {
    "dense": lambda: [L.Dense(4, activation="tanh"), L.GlobalAveragePooling1D(), L.Dense(2)],
    "convolution": lambda: [L.Conv1D(4, 3, strides=2, padding="same"), L.MaxPooling1D(), L.Dense(1)],
    "recurrent": lambda: [L.Masking(), L.Bidirectional(L.LSTM(3)), L.Dense(1)],
    "normalization": lambda: [L.BatchNormalization(), L.LayerNormalization(), L.Dense(1)],
    "upsampling": lambda: [L.UpSampling1D(3), L.ZeroPadding1D(2), L.Cropping1D((1, 0)), L.Dense(1)],
}


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow if n == "recurrent" else ()) for n in STACKS])
def test_jax_exports_the_lowered_function_with_symbolic_dimensions(name):
    model = lamella.Sequential([L.Input((None, 8)), *STACKS[name]()])
    call = exported(model, "b, t, 8")
    for rows, length in ((1, 4), (3, 7), (5, 12)):
        x = np.random.default_rng(length).normal(size=(rows, length, 8)).astype("float32")
        assert difference(call(x), model.predict(x, verbose=0)) <= 1e-5


@pytest.mark.parametrize("symbols", ["b, 6, 8", "3, t, 8", "b, 2*t, 8"])
def test_some_dimensions_may_be_numbers_or_expressions(symbols):
    model = lamella.Sequential([L.Input((None, 8)), *STACKS["convolution"]()])
    x = np.random.default_rng(0).normal(size=(3, 6, 8)).astype("float32")
    assert difference(exported(model, symbols)(x), model.predict(x, verbose=0)) <= 1e-5


def test_images_of_two_free_dimensions_and_a_fixed_model_of_free_rows():
    model = lamella.Sequential([L.Input((None, None, 3)), L.Conv2D(4, 3), L.GlobalMaxPooling2D(), L.Dense(2)])
    call = exported(model, "b, h, w, 3")
    for shape in ((2, 5, 6, 3), (1, 7, 4, 3)):
        x = np.random.default_rng(0).normal(size=shape).astype("float32")
        assert difference(call(x), model.predict(x, verbose=0)) <= 1e-5
    fixed = lamella.Sequential([L.Input((3,)), L.Dense(2)])
    x = np.ones((5, 3), "float32")
    assert difference(exported(fixed, "b, 3")(x), fixed.predict(x, verbose=0)) <= 1e-5


def test_gradients_of_the_lowered_function_with_symbolic_dimensions():
    jax = pytest.importorskip("jax")
    pytest.importorskip("flatbuffers")
    from jax import export

    model = lamella.Sequential(
        [L.Input((None, 8)), L.Dense(4, activation="tanh"), L.GlobalAveragePooling1D(), L.Dense(1)]
    )
    fn = model.lower("jax")

    def loss(params, x):
        return jax.numpy.mean(fn(params, fn.state, x)[0] ** 2)

    x = jax.ShapeDtypeStruct(export.symbolic_shape("b, t, 8"), "float32")
    made = export.export(jax.jit(jax.grad(loss)))(fn.params, x)
    for rows, length in ((2, 5), (4, 9)):
        x = np.random.default_rng(length).normal(size=(rows, length, 8)).astype("float32")
        found, expected = made.call(fn.params, x), jax.grad(loss)(fn.params, x)
        for name, gradient in expected.items():
            assert difference(np.asarray(found[name]), np.asarray(gradient)) <= 1e-5

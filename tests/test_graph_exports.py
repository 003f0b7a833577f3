"""Exports of models that are graphs: several named inputs and outputs, and sizes that are left free."""

from __future__ import annotations

import numpy as np
import pytest

import lamella
from conftest import HAS_JAX, importable
from lamella import Input, Model, layers, tree
from lamella.errors import BackendError
from lamella.export.symbolic import answer_of, inference_of
from lamella.passes import multiples_needed
from oracle.graph_models import GRAPHS, data
from test_export_numpy import loaded

BOUND = 1e-4
ONNX = pytest.mark.skipif(
    not (importable("onnx") and importable("onnxruntime")), reason="onnxruntime is not importable"
)
JAX = pytest.mark.skipif(not HAS_JAX, reason="JAX is not importable")


@pytest.fixture(autouse=True)
def on_numpy():
    with lamella.backend_scope("numpy"):
        yield


def batches(name):
    """The model, and inputs with the outputs that are expected of them, as lists: of two sizes where it leaves some free."""
    lamella.utils.set_random_seed(5)
    case = GRAPHS[name]
    model = case.make(lamella)
    given = [data(case), data(case, rows=1), *([data(case, free=True)] if case.free is not None else [])]
    return model, [(list(tree.leaves(x)), list(tree.leaves(answer_of(model, x)))) for x in given]


def assert_close(found, expected):
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert np.shape(a) == b.shape and np.abs(np.asarray(a) - b).max() <= BOUND * max(np.abs(b).max(), 1e-3)


@pytest.mark.parametrize("name", GRAPHS)
def test_a_python_file_takes_inputs_and_gives_outputs_by_name(name, tmp_path):
    model, cases = batches(name)
    model.export(tmp_path / "net.py")
    module = loaded(tmp_path / "net.py")
    assert module.check() <= 1e-5
    for x, expected in cases:
        for given in (x, [array[:0] for array in x]):
            found = module.predict(*given)
            if len(expected) > 1:
                assert list(found) == model.output_names
            found = list(found.values()) if isinstance(found, dict) else [found]
            if given is x:
                assert_close(found, expected)
            else:
                assert [a.shape for a in found] == [(0, *b.shape[1:]) for b in expected]


@ONNX
@pytest.mark.parametrize("name", GRAPHS)
def test_onnx_has_inputs_and_outputs_by_name(name, tmp_path):
    from test_export_onnx import session

    model, cases = batches(name)
    model.export(tmp_path / "net.onnx")
    running = session(tmp_path / "net.onnx")
    inputs, outputs = ([value.name for value in held] for held in (running.get_inputs(), running.get_outputs()))
    assert inputs == (["x"] if len(inputs) == 1 else model.input_names)
    taken = [f"{name}_1" if name in inputs else name for name in model.output_names]
    assert outputs == (["y"] if len(outputs) == 1 else taken)
    for x, expected in cases:
        assert_close(running.run(None, dict(zip(inputs, x, strict=True))), expected)


@JAX
@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=() if n in ("by_name", "translation") else pytest.mark.slow) for n in GRAPHS],
)
def test_stablehlo_takes_inputs_and_gives_outputs_by_name(name, tmp_path):
    from jax import export

    model, cases = batches(name)
    model.export(tmp_path / "net.stablehlo")
    artifact = export.deserialize(bytearray((tmp_path / "net.stablehlo").read_bytes()))
    for x, expected in cases:
        found = artifact.call(*x) if len(x) == 1 else artifact.call(**dict(zip(model.input_names, x, strict=True)))
        if len(expected) > 1:
            assert sorted(found) == sorted(model.output_names)
            found = [found[name] for name in model.output_names]
        assert_close(found if isinstance(found, list) else [found], expected)


def two_poolings():
    x = h = Input((None, None, 1))
    skips = []
    for rows in (2, 3):
        h = layers.Conv2D(2, 3, padding="same")(h)
        skips.append(h)
        h = layers.MaxPooling2D((rows, 2))(h)
    for rows, skip in zip((3, 2), reversed(skips), strict=True):
        h = layers.Concatenate()([layers.UpSampling2D((rows, 2))(h), skip])
    return Model(x, layers.Conv2D(1, 1)(h))


@JAX
def test_stablehlo_of_shortcuts_around_poolings_takes_multiples(tmp_path):
    from jax import export

    model = two_poolings()
    model.export(tmp_path / "net.stablehlo")
    artifact = export.deserialize(bytearray((tmp_path / "net.stablehlo").read_bytes()))
    assert [str(d) for d in artifact.in_avals[0].shape] == ["batch", "6*height", "4*width", "1"]
    x = np.random.RandomState(0).standard_normal((2, 12, 8, 1)).astype("float32")
    for rows, columns in ((12, 8), (6, 4)):
        some = x[:, :rows, :columns]
        assert_close([artifact.call(some)], [model.predict(some, verbose=0)])
    with pytest.raises(ValueError, match=r"6\*height, 4\*width"):
        artifact.call(x[:, :7])


@JAX
def test_a_lowered_function_says_which_symbolic_sizes_it_takes():
    import jax
    from jax import export

    fn = two_poolings().lower("jax")

    def exported(shape):
        given = jax.ShapeDtypeStruct(export.symbolic_shape(shape), "float32")
        return export.export(jax.jit(lambda x: fn(fn.params, fn.state, x)[0]))(given)

    with pytest.raises(BackendError, match=r"multiple of 6 and width .* of 4: .*'batch, 6 \* height, 4 \* width, 1'"):
        exported("b, h, w, 1")
    assert str(exported("b, 6*h, 4*w, 1").out_avals[0].shape) == "(b, 6*h, 4*w, 1)"


@JAX
def test_stablehlo_needs_sizes_that_no_multiples_make_equal(tmp_path):
    a, b = Input((None, 2), name="a"), Input((None, 2), name="b")
    with pytest.raises(BackendError, match="Give the sizes in `Input`"):
        Model([a, b], layers.Add()([a, b])).export(tmp_path / "net.stablehlo")
    assert not list(tmp_path.iterdir())


def shortcut(around):
    x = Input((None, 2))
    return Model(x, layers.Add()([x, around(x)]))


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (two_poolings, {"height": 6, "width": 4}),
        (lambda: shortcut(lambda x: lamella.ops.repeat(layers.AveragePooling1D(5)(x), 5, axis=1)), {"time": 5}),
        (lambda: shortcut(lambda x: layers.Conv1DTranspose(2, 3, 2, "same")(layers.Conv1D(2, 3, 2, "same")(x))), {"time": 2}),
        (lambda: shortcut(lambda x: layers.UpSampling1D(100)(layers.MaxPooling1D(100)(x))), {}),
        (lambda: shortcut(layers.Conv1D(2, 3, padding="same")), {}),
        (lambda: shortcut(lambda x: layers.Cropping1D((1, 1))(layers.ZeroPadding1D(1)(x))), {}),
    ],
    ids=["poolings", "repeat", "strides", "too large", "none", "cropping"],
)  # fmt: skip
def test_multiples_make_the_sizes_equal_that_a_program_takes_to_be(model, expected):
    assert multiples_needed(inference_of(model()).program) == expected


def test_free_sizes_of_several_inputs_are_their_own():
    model, _ = batches("translation")
    shapes = {name: tuple(map(str, value.shape)) for name, value in inference_of(model).batches.items()}
    assert shapes == {"source": ("batch", "source_time", "3"), "target": ("batch", "target_time", "2")}


def test_names_that_are_no_words_of_python_are_written_as_words(tmp_path):
    a, b = Input((2,), name="class"), Input((2,), name="a-b")
    h = layers.Add()([a, b])
    model = Model({"lambda": a, "batch_size": b}, {"x": h, "predict": layers.Dense(1)(h)})
    model.export(tmp_path / "net.py")
    module = loaded(tmp_path / "net.py")
    x = np.ones((3, 2), "float32")
    found = module.predict(x, x)
    assert list(found) == ["x", "predict"] and np.array_equal(found["x"], x + x)
    with pytest.raises(ValueError, match="the inputs have 3 and 2 rows"):
        module.predict(x, x[:2])
    with pytest.raises(ValueError, match="lambda has the shape"):
        module.predict(np.ones((3, 5)), x)


def test_a_sample_for_several_inputs_is_recorded(tmp_path):
    model, [(x, expected), *_] = batches("by_name")
    sample = dict(zip(model.input_names, x, strict=True))
    model.export(tmp_path / "net.py", sample=sample, weights="beside")
    module = loaded(tmp_path / "net.py")
    assert [module._array(*given).shape for given in module.EXAMPLE_INPUT] == [a.shape for a in x]
    assert_close([module._array(*given) for given in module.EXAMPLE_OUTPUT], expected)
    with pytest.raises(ValueError, match="the sample must be a batch"):
        model.export(tmp_path / "net.py", sample={name: array[:, :1] for name, array in sample.items()})


def test_a_fixed_number_of_rows_is_asked_of_every_input(tmp_path):
    a, b = Input(batch_shape=(2, 3), name="a"), Input(batch_shape=(2, 3), name="b")
    model = Model([a, b], lamella.ops.reshape(a + b, (6,))[:4])
    model.export(tmp_path / "net.py")
    module = loaded(tmp_path / "net.py")
    x = np.ones((2, 3), "float32")
    assert np.array_equal(module.predict(x, x, batch_size=2), np.full(4, 2, "float32"))
    with pytest.raises(ValueError, match="batches of 2 rows, got 3"):
        module.predict(np.ones((3, 3)), np.ones((3, 3)), batch_size=3)

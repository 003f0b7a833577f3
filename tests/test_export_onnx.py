"""`model.export("net.onnx")`: checked, and the model's numbers in onnxruntime and in ONNX's reference evaluator."""

from __future__ import annotations

import sys
from collections import Counter

import numpy as np
import pytest

import export_models
import lamella
from lamella import layers
from lamella.export.symbolic import ExportError, answer_of
from layer_replay import difference
from test_export_numpy import OWN, small_model

onnx = pytest.importorskip("onnx")
BOUND = 1e-4


def session(path):
    runtime = pytest.importorskip("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def agrees(model, folder, *, reference=False):
    path = folder / "net.onnx"
    model.export(path)
    onnx.checker.check_model(str(path), full_check=True)
    if reference:
        from onnx.reference import ReferenceEvaluator

        evaluator = ReferenceEvaluator(str(path))
        runs = [lambda x: evaluator.run(None, {"x": x})[0]]
    else:
        running = session(path)
        runs = [lambda x: running.run(None, {"x": x})[0]]
    for x in export_models.batches(model):
        expected = answer_of(model, x)
        for run in runs:
            found = run(x)
            assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
            assert difference(found, expected) <= BOUND
    return onnx.load(str(path))


def sweep():
    return [pytest.param(i, marks=() if i in export_models.FAST else pytest.mark.slow) for i in export_models.IDS]


@pytest.mark.parametrize("id", sweep())
def test_every_layer_gives_its_numbers_in_onnxruntime(id, tmp_path):
    agrees(export_models.of_row(id), tmp_path)


@pytest.mark.parametrize(
    "id", [pytest.param(i, marks=() if n % 100 == 0 else pytest.mark.slow) for n, i in enumerate(export_models.IDS)]
)
def test_every_layer_gives_its_numbers_in_the_reference_evaluator(id, tmp_path):
    agrees(export_models.of_row(id), tmp_path, reference=True)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=pytest.mark.slow if n in ("character_transformer", "vgg_like", "digits") else ())
        for n in export_models.SCRIPTS
    ],
)
def test_the_models_of_the_examples_give_their_numbers(name, tmp_path):
    if name == "lstm_classifier" and not hasattr(lamella.utils, "pad_sequences"):
        pytest.skip("needs lamella.utils.pad_sequences")
    agrees(export_models.of_example(name), tmp_path)


@pytest.mark.parametrize("name", OWN)
def test_loops_branches_and_definitions(name, tmp_path):
    layer, shape = OWN[name]
    agrees(lamella.Sequential([lamella.Input(shape), layer()]), tmp_path)


def test_neighbors_share_one_layout(tmp_path):
    model = lamella.Sequential(
        [
            lamella.Input((12, 12, 2)),
            layers.Conv2D(3, 3, activation="relu"),
            layers.Conv2D(4, 3, activation="tanh"),
            layers.MaxPooling2D(),
            layers.GlobalAveragePooling2D(),
        ]
    )
    kinds = Counter(node.op_type for node in agrees(model, tmp_path).graph.node)
    assert kinds["Conv"] == 2
    assert kinds["Transpose"] == 2  # in, and out: kernels are turned when they are written


def test_channels_first_needs_no_transposition(tmp_path):
    model = lamella.Sequential(
        [lamella.Input((2, 8, 8)), layers.Conv2D(3, 3, data_format="channels_first", use_bias=False)]
    )
    assert [node.op_type for node in agrees(model, tmp_path).graph.node] == ["Conv", "Identity"]


def test_the_file_says_who_wrote_it_and_for_what(tmp_path):
    model = small_model()
    made = agrees(model, tmp_path)
    assert (made.producer_name, made.producer_version) == ("lamella", lamella.__version__)
    assert [(o.domain, o.version) for o in made.opset_import] == [("", 18)]
    shape = made.graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_param or d.dim_value for d in shape] == ["batch", 8, 8, 1]
    assert {"dense/kernel", "dense/bias"} <= {i.name for i in made.graph.initializer}
    first = (tmp_path / "net.onnx").read_bytes()
    model.export(tmp_path / "net.onnx")
    assert (tmp_path / "net.onnx").read_bytes() == first


@pytest.mark.parametrize("policy", ["float64", "float16", "mixed_float16"])
def test_other_dtypes(policy, tmp_path):
    model = lamella.Sequential(
        [lamella.Input((5,)), layers.Dense(4, "tanh", dtype=policy), layers.Dense(2, dtype=policy)]
    )
    model.export(tmp_path / "net.onnx")
    for x in export_models.batches(model):
        found = session(tmp_path / "net.onnx").run(None, {"x": x})[0]
        assert found.dtype == answer_of(model, x).dtype
        assert difference(found, answer_of(model, x)) <= (1e-9 if policy == "float64" else 5e-3)


def test_bfloat16_is_refused_before_anything_is_written(tmp_path):
    model = lamella.Sequential([lamella.Input((5,)), layers.Dense(4, dtype="mixed_bfloat16")])
    with pytest.raises(ExportError, match=r"without bfloat16.*dense"):
        model.export(tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


def test_without_the_package_one_sentence_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"pip install onnx"):
        small_model().export(tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


def test_small_numbers_keep_their_digits(tmp_path):
    class Small(lamella.Layer):
        def call(self, x):
            return lamella.ops.concatenate([lamella.ops.expm1(x), lamella.ops.log1p(x)], -1)

    model = lamella.Sequential([lamella.Input((3,)), Small()])
    model.export(tmp_path / "net.onnx")
    x = np.array([[1e-6, -3e-5, 2e-3], [0.0, 1.5, 4e-7]], "float32")
    found = session(tmp_path / "net.onnx").run(None, {"x": x})[0]
    np.testing.assert_allclose(found, np.concatenate([np.expm1(x), np.log1p(x)], -1), rtol=2e-6)

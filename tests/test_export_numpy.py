"""`model.export("net.py")`: one file, NumPy alone, the numbers of the model."""

from __future__ import annotations

import ast
import inspect
import os
import subprocess
import sys
import threading
import types

import numpy as np
import pytest

import export_models
import lamella
from lamella import layers, ops
from lamella.export import to_numpy
from lamella.export.kernel_source import KernelSource
from lamella.export.symbolic import ExportError, answer_of, inference_of
from lamella.ops import primitives as p
from lamella_numpy.blas import one_thread
from layer_replay import difference


def loaded(path):
    """The file as a module."""
    module = types.ModuleType(path.stem)
    module.__file__ = str(path)
    exec(compile(path.read_text(encoding="utf-8"), path.name, "exec"), module.__dict__)
    return module


def small_model(**dense):
    return lamella.Sequential(
        [
            lamella.Input((8, 8, 1)),
            layers.Conv2D(3, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(4, **dense),
        ]
    )


def agrees(model, folder):
    path = folder / "net.py"
    model.export(path)
    module = loaded(path)
    assert module.check() <= 1e-5
    for x in export_models.batches(model, (1, 5, 40)):
        expected = answer_of(model, x) if len(x) <= 32 else model.predict(x, verbose=0)
        found = module.predict(x)
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        assert difference(found, expected) <= 1e-5
    return module


@pytest.mark.parametrize(
    "id",
    [pytest.param(i, marks=() if i in export_models.FAST else pytest.mark.slow) for i in export_models.IDS],
)
def test_every_layer_gives_its_numbers_in_a_file(id, tmp_path):
    with lamella.backend_scope("numpy"):
        agrees(export_models.of_row(id), tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=pytest.mark.slow if n in ("character_transformer", "vgg_like", "digits") else ())
        for n in export_models.SCRIPTS
    ],
)
def test_the_models_of_the_examples_give_their_numbers_in_a_file(name, tmp_path):
    with lamella.backend_scope("numpy"):
        agrees(export_models.of_example(name), tmp_path)


@pytest.mark.parametrize("name", ["first_regression", "first_convnet", "mlp_binary"])
def test_without_sums_of_rows_the_numbers_are_those_of_the_compiled_program_bit_for_bit(name, tmp_path):
    model = export_models.of_example(name)
    model.export(tmp_path / "net.py")
    for x in export_models.batches(model):
        with one_thread():  # as the compiled program has it: BLAS may add in another order on several
            found = loaded(tmp_path / "net.py").predict(x)
        np.testing.assert_array_equal(found, answer_of(model, x), strict=True)


def test_a_softmax_is_bit_equal_to_the_plain_kernels(tmp_path):
    model = small_model(activation="softmax")
    model.export(tmp_path / "net.py")
    plain = model.lower("numpy", optimize=False)
    for x in export_models.batches(model):
        expected, _ = plain(plain.params, plain.state, x)
        np.testing.assert_array_equal(loaded(tmp_path / "net.py").predict(x), expected, strict=True)


# ---- control flow, and ops without a kernel ----


class Branches(lamella.Layer):
    def call(self, x):
        y = ops.cond(ops.sum(x) > 0, lambda: x * 2.0, lambda: x - 1.0)
        index = ops.cast(ops.clip(ops.max(x), -5.0, 5.0), "int32")
        return ops.switch(index, [lambda v: v + 1.0, lambda v: v * 3.0, lambda v: ops.sort(v)], y)


class Functions(lamella.Layer):
    def call(self, x):
        every = [ops.tan(x), ops.cumsum(x, 1), ops.arctan2(x, x + 1.0), ops.erfinv(ops.tanh(x)), ops.erf(x), x % 0.7]
        every += [ops.floor_divide(x, ops.full_like(x, 0.3)), ops.take_along_axis(x, ops.argsort(x, 1), 1)]
        return ops.concatenate(every, -1)


class LoopInLoop(lamella.Layer):
    def call(self, x):
        steps = ops.transpose(x, (1, 0, 2))

        def outer(carry, rows):
            inner, seen = ops.scan(lambda c, v: (c * 0.5 + v, c), carry, ops.transpose(rows, (1, 0)))
            return carry * 0.9 + inner * 0.1, seen

        _, ys = ops.scan(outer, steps[0, :, 0] * 0.0, steps, reverse=True)
        return ops.transpose(ys, (2, 0, 1))


class RareOps(lamella.Layer):
    def call(self, x):
        places = ops.cast(ops.floor(ops.abs(x[0, :, 0]) * 2.0), "int32")
        whole = ops.cast(x * 4.0, "int32")
        odd = ops.equal(p.bitwise_and.bind(whole, ops.ones_like(whole)), 1)
        every = [
            p.pad.bind(x, low=(0, 1, 0), high=(0, 2, 1), interior=(0, 2, 1), value=0.5),
            p.scatter_add.bind(x, places, axis=1, size=5),
            ops.take(x, ops.expand_dims(places, 0), 1),
            ops.cast(ops.any(odd, 1), "float32"),
            ops.cast(ops.all(odd, 2), "float32"),
            ops.cast(ops.logical_xor(ops.logical_not(odd), x > 0), "float32"),
            ops.cast(ops.argmax(x, 1), "float32"),
            ops.cast(ops.argmin(x, 2), "float32"),
            ops.cast(whole % 3, "float32"),
            ops.cast(ops.arange(4) * 2, "float32") * x[:, :, 0],
            ops.one_hot(whole[:, 0, 0], 5),
            ops.flip(x, 1)[:, ::2, 1:],
            ops.einsum("nij,nkj->nik", x, x),
            ops.tensordot(x, x[0], [[1], [0]]),
            ops.where(ops.isnan(x), 0.0, ops.round(x * 3.0)),
            ops.power(ops.abs(x) + 0.5, x),
            ops.expm1(x) + ops.log1p(ops.abs(x)) + ops.softplus(x) + ops.sign(x) - ops.sin(x) * ops.cos(x),
            ops.log_softmax(x, 1),
        ]
        rows = ops.shape(x)[0]
        return ops.concatenate([ops.reshape(y, (rows, -1)) for y in every], -1)


OWN = {
    "rare-ops": (RareOps, (4, 3)),
    "branches": (Branches, (6,)),
    "functions": (Functions, (6,)),
    "loop-in-loop": (LoopInLoop, (4, 3)),
}


@pytest.mark.parametrize("name", OWN)
def test_loops_branches_and_definitions_become_python(name, tmp_path):
    layer, shape = OWN[name]
    agrees(lamella.Sequential([lamella.Input(shape), layer()]), tmp_path)


@pytest.mark.parametrize("policy", ["float64", "float16", "mixed_float16", "mixed_bfloat16", "bfloat16"])
def test_other_dtypes_keep_their_numbers(policy, tmp_path):
    model = lamella.Sequential(
        [lamella.Input((5,)), layers.Dense(4, "gelu", dtype=policy), layers.Dense(2, dtype=policy)]
    )
    model.export(tmp_path / "net.py")
    module = loaded(tmp_path / "net.py")
    for x in export_models.batches(model):
        np.testing.assert_array_equal(module.predict(x), answer_of(model, x), strict=True)


# ---- the file ----


def test_it_runs_where_there_is_only_numpy(tmp_path):
    model = small_model(activation="softmax")
    model.export(tmp_path / "net.py")
    x = export_models.batches(model)[0]
    np.save(tmp_path / "x.npy", x)
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['lamella', 'lamella_numpy', 'lamella_jax', 'jax']))\n"
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "import numpy as np, net\n"
        "np.save('y.npy', net.predict(np.load('x.npy'))); print(net.check())\n"
        "found = {name.partition('.')[0] for name, module in sys.modules.items() if module is not None}\n"
        "assert not found & {'lamella', 'lamella_numpy', 'lamella_jax', 'jax', 'scipy'}\n"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) <= 1e-6
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), loaded(tmp_path / "net.py").predict(x))


PYTHONS = os.environ.get("LAMELLA_EXPORT_PYTHONS", "").split()


@pytest.mark.skipif(not PYTHONS, reason="LAMELLA_EXPORT_PYTHONS names no interpreters")
@pytest.mark.parametrize("python", PYTHONS)
def test_it_runs_on_other_pythons_and_numpys(python, tmp_path):
    for name in ("first_convnet", "stacked_lstm", "mlp_softmax", "conv1d_classifier"):
        export_models.of_example(name).export(tmp_path / f"{name}.py")
        done = subprocess.run(
            [python, "-I", "-W", "error", f"{name}.py", "--check"], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert float(done.stdout.split()[-1]) <= 1e-5


def test_check_finds_a_changed_weight(tmp_path):
    model = lamella.Sequential([lamella.Input((2,)), layers.Dense(2)])
    model.set_weights([np.array([[0.5, 1.5], [-2.5, 3.5]], "float32"), np.zeros(2, "float32")])
    model.export(tmp_path / "net.py")
    text = (tmp_path / "net.py").read_text()
    assert "-2.5" in text
    (tmp_path / "net.py").write_text(text.replace("-2.5", "-2.4"))
    done = subprocess.run([sys.executable, "net.py", "--check"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0
    assert "the largest difference is" in done.stderr


def test_threads_do_not_meet(tmp_path):
    model = small_model()
    model.export(tmp_path / "net.py")
    module = loaded(tmp_path / "net.py")
    inputs = [export_models.batches(model, (n,))[0] * n for n in range(1, 9)]
    alone = [module.predict(x) for x in inputs]
    wrong = []

    def work(i):
        for _ in range(20):
            if not np.array_equal(module.predict(inputs[i]), alone[i]):
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_predict_takes_what_a_user_has(tmp_path):
    model = small_model()
    model.export(tmp_path / "net.py")
    module = loaded(tmp_path / "net.py")
    x = export_models.batches(model, (3,))[0]
    expected = module.predict(x)
    np.testing.assert_array_equal(module.predict(x.tolist()), expected)
    np.testing.assert_array_equal(module.predict(x.astype("float64")), expected)
    np.testing.assert_allclose(module.predict(x, batch_size=2), expected, rtol=1e-5, atol=1e-6)
    assert module.predict(x[:0]).shape == (0, 4)
    with pytest.raises(ValueError, match=r"x has the shape \(batch, 8, 8, 1\), got \(3, 8, 8\)"):
        module.predict(x[..., 0])
    module.predict(x)[:] = 7  # what is returned is the caller's
    np.testing.assert_array_equal(module.predict(x), expected)


def test_weights_beside_the_file(tmp_path):
    model = small_model()
    model.export(tmp_path / "net.py", weights="beside")
    (npz,) = tmp_path.glob("net-*.npz")
    with np.load(npz, allow_pickle=False) as held:
        np.testing.assert_array_equal(held["DENSE_KERNEL"], model.layers[-1].kernel.numpy())
    assert loaded(tmp_path / "net.py").check() <= 1e-5
    first = npz.read_bytes()
    model.set_weights([w + 1 for w in model.get_weights()])
    model.export(tmp_path / "net.py", weights="beside")
    (again,) = tmp_path.glob("net-*.npz")
    assert again.name != npz.name
    again.write_bytes(first)
    with pytest.raises(ImportError, match="does not hold the weights of this model"):
        loaded(tmp_path / "net.py")


def test_the_same_model_gives_the_same_bytes(tmp_path):
    model = small_model()
    model.export(tmp_path / "net.py")
    first = (tmp_path / "net.py").read_bytes()
    model.export(tmp_path / "net.py")
    assert (tmp_path / "net.py").read_bytes() == first


def test_a_sample_of_ones_own_is_recorded(tmp_path):
    model = small_model()
    x = np.linspace(-1, 1, 3 * 64).reshape(3, 8, 8, 1)
    model.export(tmp_path / "net.py", sample=x)
    module = loaded(tmp_path / "net.py")
    np.testing.assert_array_equal(module._array(*module.EXAMPLE_INPUT), x.astype("float32"))
    with pytest.raises(ValueError, match=r"batch of shape \(None, 8, 8, 1\), got \(3, 8, 8\)"):
        model.export(tmp_path / "net.py", sample=x[..., 0])


def test_a_stateful_layer_starts_from_the_state_it_has(tmp_path):
    model = lamella.Sequential([lamella.Input(batch_shape=(2, 3, 4)), layers.LSTM(5, stateful=True)])
    x = export_models.batches(model)[0]
    first = model.predict(x, batch_size=2, verbose=0)
    model.export(tmp_path / "net.py")
    module = loaded(tmp_path / "net.py")
    second = model.predict(x, batch_size=2, verbose=0)
    assert difference(first, second) > 1e-3
    assert difference(module.predict(x), second) <= 1e-6
    assert difference(module.predict(x), second) <= 1e-6
    with pytest.raises(ValueError, match="takes batches of 2 rows, got 1"):
        module.predict(x[:1])


def test_the_text_reads_layer_by_layer(tmp_path):
    small_model(activation="softmax").export(tmp_path / "net.py")
    text = (tmp_path / "net.py").read_text()
    assert "# conv2d: Conv2D" in text
    assert "dense_contract = flatten_reshape @ DENSE_KERNEL" in text
    assert "dense_softmax = softmax(dense_add, axis=1)" in text
    names = {node.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)}
    assert {"predict", "check", "forward", "convolve", "max_pool"} <= names
    assert not names & {"convolve_kernel_gradient", "average_pool"}  # only what it needs


HOSTILE = 'a"""\nimport os; os.abort()\n"""\\\r#\x0cb'


def test_names_from_a_strangers_file_do_not_become_code(tmp_path):
    layer = layers.Dense(2, name="safe")
    model = lamella.Sequential([lamella.Input((3,)), layer])
    vars(layer)["name"] = vars(model)["name"] = HOSTILE  # past the check of names
    model._nodes = {HOSTILE: layer}
    agrees(model, tmp_path)
    body = ast.parse((tmp_path / "net.py").read_text())
    assert not [n for n in ast.walk(body) if isinstance(n, ast.Import) and n.names[0].name == "os"]
    assert "# a" in (tmp_path / "net.py").read_text()


# ---- what is refused ----


class OfTheRows(lamella.Layer):
    def call(self, x):
        return x - ops.mean(x, 0, keepdims=True)


class FirstRow(lamella.Layer):
    def call(self, x):
        return x * [1.0 / (i + 1) for i in range(x.shape[0])][-1]


def test_a_number_of_rows_that_is_computed_with_is_that_of_the_batch(tmp_path):
    agrees(lamella.Sequential([lamella.Input((3,)), OfTheRows(name="center")]), tmp_path)


def test_code_that_needs_the_number_of_rows_is_refused_before_anything_is_written(tmp_path):
    model = lamella.Sequential([lamella.Input((3,)), FirstRow(name="first")])
    model.predict(np.ones((4, 3)), verbose=0)
    with pytest.raises(ExportError, match=r"Layer 'first'.*the dimension batch is left free.*batch_shape"):
        model.export(tmp_path / "net.py")
    assert not list(tmp_path.iterdir())
    fixed = lamella.Sequential([lamella.Input(batch_shape=(4, 3)), FirstRow()])
    agrees(fixed, tmp_path)


@pytest.mark.parametrize(
    ("name", "options", "error", "words"),
    [
        ("net.pb", {}, ValueError, r"'\.py'.*'\.onnx'.*'\.stablehlo'.*model\.save"),
        ("net", {}, ValueError, "ends in none of them"),
        ("my-net.py", {}, ValueError, "cannot be imported"),
        ("net.py", {"weights": "elsewhere"}, ValueError, "inside"),
        ("net.py", {"opset": 18}, TypeError, "opset"),
        ("net.onnx", {"weights": "beside"}, TypeError, "no option 'weights'"),
    ],
)
def test_other_words_are_refused(name, options, error, words, tmp_path):
    with pytest.raises(error, match=words):
        small_model().export(tmp_path / name, **options)
    assert not list(tmp_path.iterdir())


def test_a_file_that_computes_something_else_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(to_numpy, "answer_of", lambda model, x: answer_of(model, x) + 1)
    with pytest.raises(ExportError, match="does not compute what the model does"):
        small_model().export(tmp_path / "net.py")
    assert not list(tmp_path.iterdir())


def test_a_kernel_without_a_source_of_its_own_is_refused():
    with pytest.raises(ValueError, match="is not a plain function"):
        KernelSource(set()).add(lambda x: x)


def test_names_of_two_modules_do_not_meet():
    from lamella_numpy import depthwise, pooling

    source = KernelSource({"depthwise"})
    assert source.add(depthwise.depthwise) == "depthwise_depthwise"
    assert source.add(pooling.max_pool) == "max_pool"
    _, pieces = source.text()
    text = "\n".join(pieces)
    assert text.count("BLOCK_BYTES = 1 << 18") == 1
    assert "pooling_BLOCK_BYTES = 1 << 20" in text
    assert "->" not in text
    assert "strict=True" not in text
    assert "BLOCK_BYTES" in inspect.getsource(pooling)


def test_dimensions_that_follow_the_rows_are_found():
    model = small_model()
    inference = inference_of(model)
    assert [str(d) for d in inference.batches["x"].shape] == ["batch", "8", "8", "1"]
    assert inference.rows is None


def test_numbers_outside_the_integers_find_the_nearest_vector(tmp_path):
    model = lamella.Sequential([layers.Input((4,)), layers.Embedding(5, 2)])
    model.export(tmp_path / "model.py")
    x = np.array([[1, np.inf, 4, -np.inf], [np.nan, -3, 2**31, 2.9]], "float32")
    np.testing.assert_array_equal(loaded(tmp_path / "model.py").predict(x), model.predict(x, verbose=0))

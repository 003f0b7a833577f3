"""What JAX would run on an NVIDIA GPU: the modules lowered for CUDA, which no GPU is needed for."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402
from jax import export  # noqa: E402

import lamella  # noqa: E402
from lamella import Input, Sequential, config, layers, ops  # noqa: E402
from lamella.backend_api import load_backend  # noqa: E402
from lamella.errors import ArgumentError, BackendError  # noqa: E402
from lamella.ir import settings  # noqa: E402
from lamella_jax import attention, kernels, runner  # noqa: E402
from lamella_jax.xla_cpu.table import OVERRIDES, kernels_with  # noqa: E402

backend = load_backend("jax")
RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def on_jax():
    before = config.backend()
    config.set_backend("jax")
    yield
    config.set_backend(before)
    settings._SETTINGS.update(matmul_precision=None, flash_attention=None)


class SelfAttention(layers.Layer):
    """Attention of a sequence to itself."""

    def __init__(self, heads=2, size=16, **kwargs):
        super().__init__()
        self.attention = layers.MultiHeadAttention(heads, size, **kwargs)

    def call(self, x, mask=None):
        return self.attention(x, x, use_causal_mask=True)


MODELS = {
    "dense": lambda: [Input((12,)), layers.Dense(16, "relu"), layers.Dropout(0.5), layers.BatchNormalization()],
    "convolutions": lambda: [
        Input((12, 12, 3)),
        layers.Conv2D(24, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.DepthwiseConv2D(3, padding="same"),
        layers.Conv2DTranspose(4, 3, strides=2),
        layers.Flatten(),
    ],
    "three dimensions": lambda: [Input((4, 4, 4, 2)), layers.Conv3D(4, 3), layers.Flatten()],
    "lstm": lambda: [Input((5, 6)), layers.LSTM(8, return_sequences=True), layers.GRU(4)],
    "transformer": lambda: [
        Input((8,), dtype="int32"),
        layers.Embedding(20, 16),
        SelfAttention(),
        layers.LayerNormalization(),
        layers.Flatten(),
    ],
}


def cuda(function, *arguments):
    """The module of `function` for CUDA, without the places in the source that it comes from."""
    calls = [f"__cudnn$fmha{kind}{way}" for kind in ("Softmax", "ScaleBiasSoftmax") for way in ("", "Backward")]
    checks = [export.DisabledSafetyCheck.custom_call(call) for call in calls]
    text = export.export(jax.jit(function), platforms=["cuda"], disabled_checks=checks)(*arguments).mlir_module()
    return re.sub(r" loc\((?:[^()\"]|\"[^\"]*\"|\([^()]*\))*\)", "", re.sub(r"(?m)^#loc.*\n", "", text))


def trained(name, monkeypatch):
    """The texts for CUDA of a training step, an evaluation and a prediction of a model; nothing is compiled."""
    texts = []

    def written(function):
        def call(*arguments):
            texts.append(cuda(function, *arguments))
            return jax.tree.map(lambda y: jnp.zeros(y.shape, y.dtype), jax.eval_shape(function, *arguments))

        return call

    def compile(program):
        return written(kernels.function_of(backend.prepare(program), alone=True))

    monkeypatch.setattr(runner.kernels, "jit", lambda function, program: written(function))
    monkeypatch.setattr(backend, "compile", compile, raising=False)
    model = Sequential([*MODELS[name](), layers.Dense(2, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    shape = model.input_shape[1:]
    x = RNG.integers(0, 20, (4, *shape)) if name == "transformer" else RNG.normal(size=(4, *shape)).astype("float32")
    y = np.array([0, 1, 1, 0])
    model.fit(x, y, epochs=1, batch_size=2, verbose=0)
    model.evaluate(x, y, batch_size=2, verbose=0)
    model.predict(x, batch_size=2, verbose=0)
    assert len(texts) >= 3
    return texts


def products(text):
    """The matrix products and convolutions of float32 numbers."""
    lines = re.findall(r"stablehlo\.(?:dot_general|convolution).*", text)
    return [line for line in lines if re.search(r"xf32>,", line)]


@pytest.mark.parametrize("name", MODELS)
def test_products_are_true_float32_and_nothing_calls_back(name, monkeypatch):
    step, *rest = trained(name, monkeypatch)
    assert len(products(step)) >= 3
    for text in (step, *rest):
        assert all("precision" in p and p.count("HIGHEST") == 2 for p in products(text)), products(text)
        assert "algorithm" not in text and "f16" not in text and "TF32" not in text.upper().replace("_", "")
        assert "callback" not in text.lower() and "custom_call" not in text and "infeed" not in text
        assert "stablehlo.case" not in text  # a choice between platforms that is made on the device


@pytest.mark.parametrize("name", ["convolutions", "lstm"])
def test_a_step_holds_no_workaround(name, monkeypatch):
    found = []
    for used in (OVERRIDES, ()):
        with monkeypatch.context() as patches:
            patches.setattr(kernels, "_USED", used)
            patches.setattr(kernels, "KERNELS", kernels_with(used))
            lamella.utils.set_random_seed(0)
            found.append(trained(name, patches))
    for a, b in zip(*found, strict=True):
        counts = [Counter(re.findall(r"(?:stablehlo|chlo)\.\w+", text)) for text in (a, b)]
        assert counts[0] == counts[1] and counts[0].total() > 10


# ---- set_matmul_precision -----------------------------------------------------------------------------------------------


def product_text():
    x = jnp.ones((2, 2))
    function = jax.jit(lambda x: backend.evaluate(ops.primitives.contract, [x, x], CONTRACTION)[0])
    return export.export(function)(x).mlir_module()


CONTRACTION = {"contracting": ((1,), (0,)), "batch": ((), ())}


def test_the_precision_is_what_was_set_last():
    for name, wanted in (("high", "HIGH, HIGH"), ("tensorfloat32", "HIGH, HIGH"), ("float32", "HIGHEST, HIGHEST")):
        config.set_matmul_precision(name)
        assert f"[{wanted}]" in product_text()
    config.set_matmul_precision("bfloat16")
    assert config.matmul_precision() == "default" and "HIGH" not in product_text()


def test_jax_may_be_told_instead():
    with jax.default_matmul_precision("high"):
        assert "[HIGH, HIGH]" in product_text()
        config.set_matmul_precision("highest")
        assert "[HIGHEST, HIGHEST]" in product_text()


def test_sixteen_bits_have_no_precision():
    x = jnp.ones((2, 2), "bfloat16")
    text = export.export(jax.jit(lambda x: ops.matmul(x, x)))(x).mlir_module()
    assert "dot_general" in text and "HIGH" not in text


def test_a_model_that_has_run_follows_the_setting():
    seen = []

    class Product(layers.Layer):
        def call(self, x):
            return ops.matmul(x, x)

    kept = backend.kernels[ops.primitives.contract]

    def contract(x, y, **kwargs):
        seen.append(config.matmul_precision())
        return kept(x, y, **kwargs)

    model = Sequential([Input((2, 2)), Product()])
    model.compile("sgd", "mse")
    x = np.ones((2, 2, 2), "float32")
    held = dict(kernels.KERNELS)
    kernels.KERNELS[ops.primitives.contract] = contract
    try:
        for name in ("highest", "high", "high"):
            config.set_matmul_precision(name)
            model.predict(x, verbose=0)
            model.evaluate(x, x, verbose=0)
    finally:
        kernels.KERNELS[ops.primitives.contract] = held[ops.primitives.contract]
    assert set(seen) == {"highest", "high"}
    assert seen.count("highest") == seen.count("high")  # the third round compiles nothing


def test_a_program_in_two_forms_follows_the_setting():
    model = Sequential([*MODELS["convolutions"](), layers.Dense(2)])
    program = backend.prepare(model.program())
    outputs = kernels.function_of(program, alone=True)
    arrays = [jnp.zeros([d if isinstance(d, int) else 2 for d in s.shape], s.dtype) for s in program.input_specs]
    for name, times in (("highest", 2), ("default", 0)):
        config.set_matmul_precision(name)
        lines = products(cuda(lambda *xs: outputs(*xs), *arrays))
        assert len(lines) >= 3 and all(line.count("HIGHEST") == times for line in lines)


@pytest.mark.parametrize("name", ["double", "", None, 1])
def test_other_precisions_are_refused(name):
    with pytest.raises(ArgumentError, match="'highest', 'float32', 'high'"):
        config.set_matmul_precision(name)


def test_numpy_takes_the_setting_too():
    config.set_backend("numpy")
    x = RNG.normal(size=(4, 4)).astype("float32")
    before = ops.matmul(x, x)
    config.set_matmul_precision("default")
    np.testing.assert_array_equal(ops.matmul(x, x), before)


# ---- attention in one kernel ------------------------------------------------------------------------------------------


@pytest.fixture
def libraries(monkeypatch):
    """JAX believes that cuDNN is installed, which is enough to lower for it."""
    fused = pytest.importorskip("jax._src.cudnn.fused_attention_stablehlo")

    class Versions:
        @staticmethod
        def cudnn_get_version():
            return 91100

    monkeypatch.setattr(fused, "cuda_versions", Versions)
    attention.is_there.cache_clear()
    yield
    monkeypatch.undo()
    attention.is_there.cache_clear()


@pytest.fixture
def cudnn(libraries, monkeypatch):
    """And the kernel may be asked for, as on a GPU."""
    monkeypatch.setattr(attention, "on_gpu", lambda: True)


def attending(**kwargs):
    lamella.utils.set_random_seed(0)
    kwargs = {"dtype": "mixed_bfloat16", **kwargs}
    model = Sequential([Input((8, 16)), SelfAttention(**kwargs), layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


X = RNG.normal(size=(2, 8, 16)).astype("float32")


def of_cuda(model, gradients=True):
    """The text for CUDA of a training step, from a model that ran on a CPU."""
    fn = model.lower("jax")

    def loss(params):
        return jnp.sum(fn(params, fn.state, X)[0].astype("float32"))

    function = jax.grad(loss) if gradients else loss
    return cuda(function, fn.params)


def test_attention_is_one_kernel_where_cudnn_is(cudnn):
    for flash in (None, True):
        text = of_cuda(attending(flash_attention=flash))
        assert "__cudnn$fmhaSoftmax" in text and "__cudnn$fmhaSoftmaxBackward" in text
        assert "2x2x8x8xbf16" not in text  # no matrix of weights
    model, separate = attending(), attending(flash_attention=False)
    np.testing.assert_array_equal(model.predict(X, verbose=0), separate.predict(X, verbose=0))


def test_gradients_of_programs_use_the_kernel(cudnn):
    q = jnp.ones((2, 8, 2, 8), "float16")
    attrs = {"scale": 0.5, "causal": False, "fused": False}
    mask = jnp.ones((2, 1, 8, 8), bool)
    text = cuda(lambda *xs: backend.evaluate(ops.primitives.attention_gradient, xs, attrs), q, q, q, q, mask)
    assert "__cudnn$fmhaScaleBiasSoftmaxBackward" in text


@pytest.mark.parametrize(
    "kwargs",
    [{"flash_attention": False}, {"dtype": "float32"}, {"size": 12}, {"value_dim": 8}],
    ids=str,
)
def test_attention_that_cudnn_does_not_take_is_separate(cudnn, kwargs):
    assert "cudnn" not in of_cuda(attending(**kwargs))


def test_the_setting_turns_it_off(cudnn):
    assert config.is_flash_attention_enabled() is None
    config.disable_flash_attention()
    assert config.is_flash_attention_enabled() is False
    assert "cudnn" not in of_cuda(attending())
    assert "cudnn" in of_cuda(attending(flash_attention=True))
    config.enable_flash_attention()
    assert "cudnn" in of_cuda(attending(), gradients=False)


def test_sizes_that_the_kernel_does_not_take_are_told(cudnn):
    with pytest.raises(BackendError, match=r"flash_attention=True asks for one kernel for attention, but .*head dim"):
        attending(flash_attention=True, size=12).predict(X, verbose=0)


@pytest.mark.skipif(jax.default_backend() == "gpu", reason="the kernel is there")
def test_libraries_without_a_gpu_are_not_enough_where_the_kernel_is_asked_for(libraries):
    q = jnp.ones((2, 8, 2, 8), "float16")
    assert ops.dot_product_attention(q, q, q).shape == q.shape
    with pytest.raises(BackendError, match="but JAX computes on no GPU; write None instead"):
        ops.dot_product_attention(q, q, q, flash_attention=True)
    with pytest.raises(BackendError, match="computes on no GPU"):
        attending(flash_attention=True).predict(X, verbose=0)


@pytest.mark.parametrize("name", ["numpy", "jax"])
def test_what_cannot_be_one_kernel_is_refused(name):
    config.set_backend(name)
    with pytest.raises(BackendError, match=f"asks for one kernel for attention, which backend '{name}' does not have"):
        attending(flash_attention=True).predict(X, verbose=0)
    with pytest.raises(ArgumentError, match=r"flash_attention=True needs dropout=0\.0"):
        layers.MultiHeadAttention(2, 4, dropout=0.1, flash_attention=True)
    with pytest.raises(ArgumentError, match="flash_attention=True takes float16 and bfloat16, got float32"):
        attending(flash_attention=True, dtype="float32").predict(X, verbose=0)
    with pytest.raises(ArgumentError, match="flash_attention=True takes values as large as the keys"):
        attending(flash_attention=True, value_dim=4).predict(X, verbose=0)
    layer = layers.MultiHeadAttention(2, 4, flash_attention=True, dtype="mixed_float16")
    with pytest.raises(ArgumentError, match="return_attention_scores"):
        layer(X, X, return_attention_scores=True)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("numpy", layers.MultiHeadAttention),
        ("numpy", layers.GroupQueryAttention),
        pytest.param("jax", layers.MultiHeadAttention, marks=pytest.mark.slow),
    ],
)
def test_one_op_and_separate_ones_give_the_same_bits(name, make):
    """With masks, in training and inference, on backends without the kernel."""
    config.set_backend(name)

    class Attends(layers.Layer):
        def __init__(self, flash):
            super().__init__()
            sizes = (2, 4) if make is layers.MultiHeadAttention else (4, 4, 2)
            self.attention = make(*sizes, flash_attention=flash, dtype="mixed_bfloat16")

        def call(self, x):
            mask = ops.less(ops.abs(x[:, :, :1] - ops.swapaxes(x, 1, 2)[:, :1]), 1.5)
            return self.attention(x, x, attention_mask=mask, use_causal_mask=True)

    found = []
    for flash in (None, False):
        lamella.utils.set_random_seed(3)
        model = Sequential([Input((8, 16)), Attends(flash), layers.Dense(1)])
        model.compile("adam", "mse")
        losses = model.fit(X, X[..., :1], epochs=2, verbose=0).history["loss"]
        found.append([losses, model.predict(X, verbose=0)])
    np.testing.assert_array_equal(found[0][0], found[1][0])
    np.testing.assert_array_equal(found[0][1], found[1][1])


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_a_query_without_keys_gets_nothing_in_every_precision_where_there_is_dropout(policy):
    with lamella.backend_scope("numpy"):
        layer = layers.MultiHeadAttention(2, 4, dropout=0.1, use_bias=False, dtype=policy)
        x = np.random.default_rng(0).normal(size=(1, 3, 8)).astype("float32")
        found = layer(x, x, attention_mask=np.zeros((1, 3, 3), bool))
    assert not np.any(found)


def test_models_with_flash_attention_are_saved_and_exported(tmp_path):
    layer = layers.MultiHeadAttention(2, 8, flash_attention=True, dtype="mixed_bfloat16")
    again = layers.MultiHeadAttention.from_config(layer.get_config())
    assert again.flash_attention is True
    assert layers.MultiHeadAttention(2, 8).get_config()["flash_attention"] is None

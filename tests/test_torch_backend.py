"""A backend written from docs/backends.md alone: PyTorch, whose arrays can be written into and have their own dtypes."""

from __future__ import annotations

import numpy as np
import pytest

import lamella
from lamella import backend_api, layers, ops
from lamella.backend_api import registry
from lamella.ir import interpret
from lamella.testing import conformance

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.slow


@pytest.fixture
def backend(monkeypatch):
    from torch_backend import BACKEND

    monkeypatch.setattr(registry, "_LOADED", dict(registry._LOADED))
    monkeypatch.setattr(interpret, "_EVALUATORS", list(interpret._EVALUATORS))
    return backend_api.register_backend(BACKEND)


def test_it_conforms(backend):
    report = conformance.run("torch")
    assert report.passed, report


def cnn(name):
    lamella.utils.set_random_seed(3)
    model = lamella.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(2),
            layers.Dropout(0.5),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], backend=name)
    return model


def test_a_cnn_trains_as_on_numpy(backend):
    generator = np.random.default_rng(0)
    x, y = generator.standard_normal((50, 8, 8, 1)).astype("float32"), generator.integers(0, 3, 50)
    models = {name: cnn(name) for name in ("numpy", "torch")}
    curves = {name: model.fit(x, y, batch_size=16, epochs=3, verbose=0).history for name, model in models.items()}
    assert isinstance(models["torch"].layers[0].kernel.value, torch.Tensor)
    assert curves["numpy"]["loss"][2] < curves["numpy"]["loss"][0]
    for key in ("loss", "accuracy"):
        np.testing.assert_allclose(curves["torch"][key], curves["numpy"][key], rtol=1e-5)
    np.testing.assert_allclose(*[m.predict(x, verbose=0) for m in models.values()], rtol=1e-4, atol=1e-6)


def test_the_masks_are_those_of_numpy(backend):
    masks = {}
    for name in ("numpy", "torch"):
        lamella.utils.set_random_seed(3)
        fn = lamella.Sequential([layers.Input((40,)), layers.Dropout(0.5)]).lower(backend=name, training=True)
        x = backend_api.load_backend(name).asarray(np.ones((5, 40), np.float32), "float32")
        masks[name] = backend_api.to_numpy(fn(*fn.init(0), x, seed=9)[0])
    np.testing.assert_array_equal(masks["torch"], masks["numpy"])
    assert set(masks["torch"].ravel()) == {0.0, 2.0}


def test_eager_ops_are_pytorch_s(backend):
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    ops.sum(ops.square(ops.tanh(x))).backward()
    np.testing.assert_allclose(x.grad, 2 * np.tanh([1, 2]) / np.cosh([1, 2]) ** 2, rtol=1e-5)
    assert ops.convert_to_numpy(x).tolist() == [1.0, 2.0]
    half = x.detach().bfloat16()
    assert ops.add(half, 1.0).dtype == torch.bfloat16 and ops.convert_to_numpy(half).tolist() == [1.0, 2.0]
    assert ops.cast(x, torch.float64).dtype == torch.float64
    assert ops.convert_to_tensor([1, 2], torch.int64).dtype == np.int64
    column = ops.reshape(half, (2, 1))
    column[0] = 7.0
    assert half.tolist() == [1.0, 2.0]  # a result is not a view of the operand


def test_gradients_by_pytorch_through_a_lowered_function(backend):
    model = lamella.Sequential([layers.Input((3,)), layers.Dense(4, activation="tanh"), layers.Dense(1)])
    fn = model.lower(backend="torch")
    params, state = fn.init(0)
    x = torch.ones(2, 3)
    by_function = torch.func.grad(lambda p: fn(p, state, x)[0].sum())(params)
    for value in params.values():
        value.requires_grad_()
    fn(params, state, x)[0].sum().backward()
    for name, value in params.items():
        torch.testing.assert_close(by_function[name], value.grad)


def test_weights_and_constants_that_are_tensors(backend):
    given = torch.tensor([[1.0], [2.0]]).bfloat16().requires_grad_()
    factor = torch.tensor([3.0, 4.0], requires_grad=True)
    model = lamella.Sequential(
        [layers.Input((2,)), layers.Lambda(lambda x: x * factor), layers.Dense(1, use_bias=False)]
    )
    model.set_weights([given])
    model.compile("sgd", "mse", backend="torch")
    assert model.predict(np.ones((1, 2)), verbose=0).tolist() == [[11.0]]

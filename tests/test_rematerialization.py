"""`lamella.remat`: values that are computed again in the backward pass change no number, and take less memory."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest

import lamella
from lamella import RematScope, ops, remat
from lamella.layers import (
    LSTM,
    BatchNormalization,
    Dense,
    Dropout,
    GlobalAveragePooling1D,
    Input,
    Layer,
    LayerNormalization,
    MultiHeadAttention,
)
from lamella.training.data import prepare

X = np.random.default_rng(0).normal(size=(24, 12, 8)).astype("float32")
Y = X[:, 0, :1]
JAX = pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="needs JAX")


class Block(Layer):
    """Everything that may go wrong: skips whose cotangents meet, random numbers, state, a loss, a mask."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first, self.attention, self.drop = LayerNormalization(), MultiHeadAttention(2, 4), Dropout(0.2)
        self.inner, self.outer, self.norm = Dense(96, "gelu"), Dense(8), BatchNormalization()

    def call(self, x):
        y = self.first(x)
        x = x + self.drop(self.attention(y, y))
        self.add_loss(ops.mean(ops.square(x)) * 0.01)
        return x + self.norm(self.outer(self.inner(x)))


class OwnStep(lamella.Sequential):
    """A model with a separate step."""

    def train_step(self, data):
        x, y = data

        def loss():
            return self.compute_loss(x, y, self(x, training=True))

        value, gradients = lamella.value_and_grad(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return {"loss": value}


def blocks():
    return [Block(name=f"block_{i}") for i in range(3)]


def recurrent():
    return [Dense(12, "tanh", name="block_0"), LSTM(6, return_sequences=True, name="block_1")]


def shared():
    layer = Dense(8, "tanh", name="block_0")
    return [layer, LayerNormalization(), lamella.Sequential([Dense(20, "relu"), Dense(8)], name="block_1")]


def model_of(make, change=None, backend="numpy", cls: Any = lamella.Sequential):
    lamella.utils.set_random_seed(4)
    layers = make()
    model = cls([Input((12, 8)), *layers, GlobalAveragePooling1D(), Dense(1)])
    if change is not None:
        for layer in layers:
            if layer.name.startswith("block"):
                change(layer)
    model.compile("adam", "mse", backend=backend)
    return model


def trained(model):
    history = model.fit(X, Y, batch_size=8, epochs=2, verbose=0).history
    return [*model.get_weights(), np.array(history["loss"])]


def program_of(model):
    loop = model.loop_for(prepare(model, X, Y), training=True)
    return loop.runner(8, loop._specs)


@pytest.mark.parametrize("make", [blocks, recurrent, shared])
def test_no_number_changes(make):
    for a, b in zip(trained(model_of(make)), trained(model_of(make, remat)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_no_number_changes_in_a_step_of_ones_own():
    plain, changed = model_of(recurrent, cls=OwnStep), model_of(recurrent, remat, cls=OwnStep)
    for a, b in zip(trained(plain), trained(changed), strict=True):
        np.testing.assert_array_equal(a, b)
    assert len(program_of(changed)._program.equations) > len(program_of(plain)._program.equations)


def test_gradients_are_the_same():
    (loss, plain), (again, changed) = (
        model_of(blocks, change).value_and_grad(X, Y, training=True, seed=1) for change in (None, remat)
    )
    assert loss == again
    for path, gradient in plain.items():
        np.testing.assert_array_equal(gradient, changed[path], err_msg=path)


def test_the_peak_on_numpy():
    plain, changed = (program_of(model_of(blocks, change))._generated.arena for change in (None, remat))
    assert changed < 0.7 * plain


@JAX
@pytest.mark.slow
def test_the_peak_and_the_numbers_on_jax():
    import jax

    results, sizes = [], []
    for change in (None, remat):
        model = model_of(blocks, change, "jax")
        runner = program_of(model)
        shapes = [jax.ShapeDtypeStruct(tuple(map(int, s.shape)), s.dtype) for s in runner._program.input_specs]
        compiled = jax.jit(runner._outputs).lower(*shapes).compile()
        sizes.append(compiled.memory_analysis().temp_size_in_bytes)  # type: ignore[union-attr]
        loss, gradients = model.value_and_grad(X, Y, training=True, seed=1)
        results.append([np.asarray(a) for a in (loss, *gradients.values())])
    assert sizes[1] < 0.8 * sizes[0], sizes
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def count(model):
    return len(program_of(model)._program.equations)


def test_scopes_choose_layers():
    plain = count(model_of(blocks))

    def within(*arguments, **kwargs):
        def make():
            with RematScope(*arguments, **kwargs):
                return blocks()

        return count(model_of(make))

    every = count(model_of(blocks, remat))
    assert within() == within("full") == every > plain
    assert within(None) == plain
    assert within("list_of_layers", layer_names=["block_1"]) == count(
        model_of(blocks, lambda layer: remat(layer) if layer.name == "block_1" else layer)
    )
    assert within("larger_than", output_size_threshold=12 * 96) == plain
    assert plain < within("larger_than", output_size_threshold=12 * 96 - 1) < every  # the wide dense layers alone
    assert within("larger_than", output_size_threshold=12 * 8 - 1) == every


def test_the_innermost_scope_counts_and_ends():
    with RematScope():
        with RematScope(None):
            inner = Dense(2)
        outer = Dense(2)
    after = Dense(2)
    assert [layer.remat_scope and layer.remat_scope.mode for layer in (inner, outer, after)] == [None, "full", None]


def test_a_trained_model_follows():
    model = model_of(recurrent)
    before = count(model)
    trained(model)
    remat(model.layers[0])
    assert count(model) > before
    assert count(remat(model_of(recurrent))) == count(model_of(recurrent, remat)) + count_of_head()


def count_of_head():
    """More equations where the two layers behind the others are rematerialized, too."""

    def all_of(model):
        for layer in model.layers:
            remat(layer)
        return count(model)

    return all_of(model_of(recurrent)) - count(model_of(recurrent, remat))


def test_what_is_refused():
    with pytest.raises(TypeError, match="remat needs a layer, got function"):
        remat(lambda x: x)
    with pytest.raises(ValueError, match=r"mode must be 'full'.*got 'some'"):
        RematScope("some")
    with pytest.raises(ValueError, match="got 'activations'"):
        RematScope("activations")

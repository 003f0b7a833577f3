"""Records models whose input has free dimensions. Needs Keras on JAX."""

from __future__ import annotations

import json
from collections.abc import Iterator

import jax
import keras
import numpy as np

from . import build, draw
from .rows import FreeCase


def _output(model: keras.Sequential, x: np.ndarray) -> np.ndarray:
    """The output in inference mode; jitted, because XLA compiles one program sooner than each op of it."""

    def call(x: jax.Array) -> jax.Array:
        with keras.StatelessScope():  # seeds that are drawn and not used stay where they are
            return model(x, training=False)

    return np.asarray(jax.jit(call)(x))


def _gradients(model: keras.Sequential, x: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """The loss of a batch in inference mode, regularization included, and its gradients."""
    trainable, state = (
        [v.value for v in found] for found in (model.trainable_variables, model.non_trainable_variables)
    )
    metrics = [v.value for v in model.metrics_variables]

    def loss(trainable: list[jax.Array]) -> jax.Array:
        return model.compute_loss_and_updates(trainable, state, metrics, x, target, None, training=False)[0]

    value, gradients = jax.jit(jax.value_and_grad(loss))(trainable)
    return np.asarray(value), [np.asarray(gradient) for gradient in gradients]


def record(case: FreeCase) -> dict[str, np.ndarray]:
    """Record a model: the outputs at two sizes, gradients at the second, losses of `fit`; `draw.free` gives the rest."""
    model = keras.Sequential(
        [keras.Input(case.shape, dtype=case.input_dtype), *build.constructed(list(case.layers), keras.layers)]
    )
    model.compile(keras.optimizers.SGD(0.05), "mse")
    described = [
        {"name": variable.name, "shape": list(variable.shape), "trainable": variable.trainable}
        for variable in model.weights
    ]
    weights, xs, random = draw.free(case, described)
    model.set_weights(weights)
    ys = [_output(model, x) for x in xs]
    targets = [random.standard_normal(y.shape).astype("float32") for y in ys]
    entry = {f"y/{index}": y for index, y in enumerate(ys)}
    entry["loss"], gradients = _gradients(model, xs[1], targets[1])
    entry |= {f"gradient_weights/{index}": value for index, value in enumerate(gradients)}

    def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for index in (0, 1, 1, 0) * 2:
            yield xs[index], targets[index]

    if not case.random:
        history = model.fit(batches(), steps_per_epoch=4, epochs=2, verbose=0).history
        entry["losses"] = np.array(history["loss"], "float64")
    shapes = [list(model.output_shape), *[list(layer.output.shape) for layer in model.layers]]
    entry["meta"] = np.array(json.dumps({"weights": described, "shapes": shapes, "count": model.count_params()}))
    return entry

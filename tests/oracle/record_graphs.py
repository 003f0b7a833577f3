"""Records models as graphs. Needs Keras on JAX."""

from __future__ import annotations

import json
from typing import Any

import jax
import keras
import numpy as np

from . import graphs
from .graphs import GraphCase


def _shapes(model: keras.Model, x: Any) -> Any:
    """What the outputs look like."""

    def call(x: Any) -> Any:
        with keras.StatelessScope():  # seeds that are drawn and not used stay where they are
            return model(x, training=False)

    return graphs.mapped(lambda y: y, jax.eval_shape(call, x))


def _gradients(model: keras.Model, x: Any, y: Any) -> tuple[Any, np.ndarray, list[np.ndarray]]:
    """Outputs in inference mode, the loss with all that is added to it, and its gradients: one program to compile."""
    trainable, state = (
        [v.value for v in found] for found in (model.trainable_variables, model.non_trainable_variables)
    )
    metrics = [v.value for v in model.metrics_variables]

    def loss(trainable: list[jax.Array]) -> Any:
        value, (_, outputs, *_) = model.compute_loss_and_updates(trainable, state, metrics, x, y, None, training=False)
        return value, outputs

    (value, outputs), gradients = jax.jit(jax.value_and_grad(loss, has_aux=True))(trainable)
    return graphs.mapped(np.asarray, outputs), np.asarray(value), [np.asarray(gradient) for gradient in gradients]


def record(case: GraphCase) -> dict[str, np.ndarray]:
    """Record a model: outputs, loss and gradients, logs; `graphs` draws weights and data again."""
    keras.utils.set_random_seed(0)
    model, names = graphs.built(case, graphs.Library(keras))
    x = graphs.drawn_inputs(case)
    shapes = _shapes(model, x)
    y, sample_weight = graphs.drawn_targets(case, shapes), graphs.drawn_sample_weight(case, shapes)
    outputs, loss, gradients = _gradients(model, x, y)
    entry = dict(graphs.named(outputs, "y")) | {"loss": loss}
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        entry[f"gradient_{names[id(variable)]}"] = graphs.sampled(gradient)
    found = graphs.trained(case, model, names, x, y, sample_weight)
    entry |= found
    logs = [key.removeprefix("logs/") for key in found if key.startswith("logs/")]
    meta = {"logs": logs, "count": model.count_params(), "weights": len(model.weights)}
    entry["meta"] = np.array(json.dumps(meta))
    return entry

"""Records activation functions, losses and metrics. Needs Keras on JAX."""

from __future__ import annotations

from typing import Any

import jax
import keras
import numpy as np

from . import draw
from .rows import ActivationCase, LossCase, MetricCase

# Unequal, so that a mean of means would show.
_METRIC_BATCHES = (8, 8, 5)


def record_activation(case: ActivationCase) -> dict[str, np.ndarray]:
    """Record an activation: y = f(x) and the gradient of sum(y * cotangent)."""
    random = draw.generator(case.id)
    function = keras.activations.get(case.name)
    if case.points is None:
        x = random.standard_normal(case.shape).astype("float32")
    else:
        x = np.array(case.points, dtype="float32").reshape(case.shape or (len(case.points),))
    # Elementwise functions keep a cotangent of ones, so that the gradient is the derivative itself.
    elementwise = case.name not in ("softmax", "log_softmax")
    cotangent = np.ones_like(x) if elementwise else random.standard_normal(x.shape).astype("float32")
    y, pullback = jax.vjp(lambda x: function(x, **case.kwargs), jax.numpy.asarray(x))
    (gradient,) = pullback(jax.numpy.asarray(cotangent))
    return {"x": x, "cotangent": cotangent, "y": np.asarray(y), "gradient": np.asarray(gradient)}


def _literal(values: tuple[float, ...], shape: tuple[int, ...], sparse: bool) -> np.ndarray:
    array = np.array(values, dtype="int32" if sparse else "float32")
    return array.reshape(shape[:-1] if sparse else shape)


def record_loss(case: LossCase) -> dict[str, np.ndarray]:
    """Record a loss: its value and the gradient of sum(value * cotangent) by `y_pred`."""
    random = draw.generator(case.id)
    loss = getattr(keras.losses, case.name)(**case.kwargs)
    if case.y_true_values is not None and case.y_pred_values is not None:
        y_true = _literal(case.y_true_values, case.shape, case.y_true == "sparse")
        y_pred = _literal(case.y_pred_values, case.shape, False)
    else:
        y_true = draw.targets(random, case.y_true, case.shape)
        y_pred = draw.predictions(random, case.y_pred, case.shape)
    entry = {"y_true": y_true, "y_pred": y_pred}
    weight = None
    if case.sample_weight is not None:
        weight = draw.sample_weight(random, case.sample_weight, case.shape)
        entry["sample_weight"] = weight
    value, pullback = jax.vjp(lambda y_pred: loss(y_true, y_pred, weight), jax.numpy.asarray(y_pred))
    # Exact rows keep a cotangent of ones, so that the gradient is the derivative itself.
    if value.shape == () or case.y_pred_values is not None:
        cotangent = np.ones(value.shape, dtype="float32")
    else:
        cotangent = random.standard_normal(value.shape).astype("float32")
    (gradient,) = pullback(jax.numpy.asarray(cotangent))
    return entry | {"cotangent": cotangent, "value": np.asarray(value), "gradient": np.asarray(gradient)}


def _metric_batches(case: MetricCase) -> list[dict[str, Any]]:
    if case.y_true_values is not None and case.y_pred_values is not None:
        shape = (len(case.y_pred_values) // case.shape[-1], *case.shape)
        y_true = _literal(case.y_true_values, shape, case.y_true == "sparse")
        return [{"y_true": y_true, "y_pred": _literal(case.y_pred_values, shape, False)}]
    random = draw.generator(case.id)
    batches = []
    for size in _METRIC_BATCHES:
        shape = (size, *case.shape)
        y_true = draw.targets(random, case.y_true, shape)
        batch = {
            "y_true": y_true,
            "y_pred": draw.predictions(random, case.y_pred, shape, case.kwargs.get("threshold", 0.5)),
        }
        if case.sample_weight is not None:
            batch["sample_weight"] = draw.sample_weight(random, case.sample_weight, shape)
        batches.append(batch)
    return batches


def record_metric(case: MetricCase) -> dict[str, np.ndarray]:
    """Record a metric: the batches, and the running result after each."""
    metric = getattr(keras.metrics, case.name)(**case.kwargs)
    entry: dict[str, np.ndarray] = {}
    for index, batch in enumerate(_metric_batches(case)):
        metric.update_state(**batch)
        entry |= {f"{key}/{index}": value for key, value in batch.items()}
        entry[f"result/{index}"] = np.asarray(metric.result())
    entry["name"] = np.array(metric.name)
    return entry

"""Records optimizers and `fit`. Needs Keras on JAX."""

from __future__ import annotations

import json
from typing import Any

import jax
import keras
import numpy as np

from . import draw
from .rows import FitCase, OptimizerCase

_WEIGHT_SHAPES = ((4, 3), (3,))
_STEPS = 20
_RECORDED_STEPS = (1, 5, 20)


def record_optimizer(case: OptimizerCase) -> dict[str, np.ndarray]:
    """Record an optimizer: the weights after 1, 5 and 20 steps with given gradients."""
    random = draw.generator(case.id)
    initial = [random.standard_normal(shape).astype("float32") for shape in _WEIGHT_SHAPES]
    gradients = [random.standard_normal((_STEPS, *shape)).astype("float32") for shape in _WEIGHT_SHAPES]
    variables = [keras.Variable(value) for value in initial]
    optimizer = getattr(keras.optimizers, case.name)(**case.kwargs)
    entry = {f"initial/{index}": value for index, value in enumerate(initial)}
    entry |= {f"gradients/{index}": value for index, value in enumerate(gradients)}
    for step in range(1, _STEPS + 1):
        optimizer.apply([jax.numpy.asarray(gradient[step - 1]) for gradient in gradients], variables)
        if step in _RECORDED_STEPS:
            for index, variable in enumerate(variables):
                entry[f"step_{step}/{index}"] = np.asarray(variable.value)
    return entry


def _data(
    random: np.random.RandomState, case: FitCase, teacher: np.ndarray, rows: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw rows and the targets a noisy linear teacher gives them, so that there is something to learn."""
    x = random.standard_normal((rows, *case.input_shape)).astype("float32")
    if case.layers[0][0] == "Masking":
        lengths = random.randint(2, case.input_shape[0] + 1, rows)
        x[np.arange(case.input_shape[0])[None, :] >= lengths[:, None]] = 0.0
    if case.target == "sequence":
        score = x @ teacher[: case.input_shape[-1]]
        return x, np.tanh(score + 0.3 * random.standard_normal(score.shape)).astype("float32")
    score = x.reshape(rows, -1) @ teacher + 0.3 * random.standard_normal((rows, case.classes))
    if case.target == "normal":
        return x, np.tanh(score).astype("float32")
    if case.target == "binary":
        return x, (score > 0).astype("float32")
    labels = score.argmax(axis=-1)
    return x, np.eye(case.classes, dtype="float32")[labels] if case.target == "one_hot" else labels.astype("int32")


def _metrics(named: tuple[Any, ...]) -> list[Any]:
    return [given if isinstance(given, str) else getattr(keras.metrics, given[0])(**given[1]) for given in named]


def _model(case: FitCase) -> keras.Sequential:
    layers = [getattr(keras.layers, name)(**kwargs) for name, kwargs in case.layers]
    model = keras.Sequential([keras.Input(case.input_shape), *layers])
    name, kwargs = case.optimizer
    loss: Any = case.loss
    if not isinstance(loss, str):
        loss = getattr(keras.losses, loss[0])(**loss[1])
    model.compile(
        optimizer=getattr(keras.optimizers, name)(**kwargs),
        loss=loss,
        metrics=_metrics(case.metrics),
        weighted_metrics=_metrics(case.weighted_metrics) or None,
        loss_weights=case.loss_weights,
    )
    return model


def record_fit(case: FitCase) -> dict[str, np.ndarray]:
    """Record a fit: the history, the weights afterwards, and what `evaluate` and `predict` then say."""
    random = draw.generator(case.id)
    model = _model(case)
    initial = [draw.weight(random, variable.name, tuple(variable.shape)) for variable in model.weights]
    model.set_weights(initial)
    width = int(np.prod(case.input_shape))
    teacher = random.standard_normal((width, case.classes)) / np.sqrt(width)
    x, y = _data(random, case, teacher, case.rows)
    entry = {"x": x, "y": y} | {f"initial/{index}": value for index, value in enumerate(initial)}
    fit_kwargs: dict[str, Any] = {"class_weight": case.class_weight, "validation_split": case.validation_split}
    sample_weight = None
    if case.sample_weight:
        sample_weight = draw.sample_weight(random, "row", x.shape)
        entry["sample_weight"] = sample_weight
    if case.validation_rows:
        validation = _data(random, case, teacher, case.validation_rows)
        fit_kwargs["validation_data"] = validation
        entry |= {"validation_x": validation[0], "validation_y": validation[1]}
    history = model.fit(
        x,
        y,
        sample_weight=sample_weight,
        batch_size=case.batch_size,
        epochs=case.epochs,
        shuffle=False,
        verbose=0,
        **fit_kwargs,
    ).history
    evaluated = model.evaluate(
        x, y, batch_size=case.batch_size, sample_weight=sample_weight, verbose=0, return_dict=True
    )
    predicted = model.predict(x, batch_size=case.batch_size, verbose=0)
    entry |= {f"history/{name}": np.array(values, dtype="float64") for name, values in history.items()}
    entry |= {f"evaluate/{name}": np.array(value, dtype="float64") for name, value in evaluated.items()}
    entry |= {f"weights/{index}": value for index, value in enumerate(model.get_weights())}
    entry["predict"] = np.asarray(predicted)
    described = [{"name": variable.name, "trainable": variable.trainable} for variable in model.weights]
    entry["meta"] = np.array(json.dumps({"weights": described, "logs": list(history)}))
    return entry

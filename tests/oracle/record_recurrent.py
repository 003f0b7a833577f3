"""Records recurrent layers, layers over several inputs, and attention. Needs Keras on JAX."""

from __future__ import annotations

import json
from typing import Any

import jax
import keras
import numpy as np
from keras.src import backend

from . import build, draw
from .rows import RecurrentCase


def _call(layer: keras.layers.Layer, case: RecurrentCase, xs: list[Any], masks: list[Any], **kwargs: Any) -> list[Any]:
    """The outputs of one call, in a list."""
    keys = dict(case.call_kwargs)
    if case.call == "one":
        if masks[0] is not None:
            keys["mask"] = jax.numpy.asarray(masks[0])
        y = layer(xs[0], **keys, **kwargs)
    else:
        for x, mask in zip(xs, masks, strict=True):
            if mask is not None:
                backend.set_keras_mask(x, jax.numpy.asarray(mask))
        y = layer(xs, **keys, **kwargs) if case.call == "list" else layer(*xs, **keys, **kwargs)
    return list(y) if isinstance(y, list | tuple) else [y]


def _run(
    layer: keras.layers.Layer,
    case: RecurrentCase,
    xs: list[np.ndarray],
    masks: list[Any],
    cotangents: list[np.ndarray],
    training: bool,
) -> dict[str, np.ndarray]:
    """Call the layer and differentiate sum(y * cotangent) by every trainable weight and by the inputs."""
    state = layer.non_trainable_weights

    def call(trainable: list[jax.Array], xs: list[jax.Array]) -> tuple[list[jax.Array], list[jax.Array]]:
        with keras.StatelessScope(state_mapping=list(zip(layer.trainable_variables, trainable, strict=True))) as scope:
            y = _call(layer, case, [x + 0 for x in xs], masks, training=training)
        new = [scope.get_current_value(variable) for variable in state]
        return y, [v.value if value is None else value for v, value in zip(state, new, strict=True)]

    trainable = [variable.value for variable in layer.trainable_variables]
    y, pullback, new_state = jax.vjp(call, trainable, [jax.numpy.asarray(x) for x in xs], has_aux=True)
    weights, inputs = pullback([jax.numpy.asarray(c) for c in cotangents])
    answers = {f"y/{i}": np.asarray(value) for i, value in enumerate(y)}
    answers |= {f"gradient_weights/{i}": np.asarray(value) for i, value in enumerate(weights)}
    answers |= {f"gradient_x/{i}": np.asarray(value) for i, value in enumerate(inputs)}
    return answers | {f"state/{i}": np.asarray(value) for i, value in enumerate(new_state)}


def record(case: RecurrentCase) -> dict[str, np.ndarray]:
    """Record one row: inputs, weights, and per mode the outputs, their gradients and the new state.

    Raises:
        RuntimeError: The row says that training mode makes no difference, and it does.
    """
    random = draw.generator(case.id)
    layer = build.constructed(case.layer, keras.layers)
    xs = [random.standard_normal(shape).astype("float32") for shape in case.inputs]
    masks = [
        None if pattern is None else draw.mask(random, pattern, *shape[:2])
        for pattern, shape in zip(case.masks or (None,) * len(xs), case.inputs, strict=True)
    ]
    first = _call(layer, case, [jax.numpy.asarray(x) for x in xs], masks, training=False)
    weights = [draw.weight(random, variable.name, tuple(variable.shape)) for variable in layer.weights]
    layer.set_weights(weights)
    _reset(layer)
    cotangents = [random.standard_normal(y.shape).astype("float32") for y in first]
    entry = {f"x/{i}": x for i, x in enumerate(xs)}
    entry |= {f"mask/{i}": mask for i, mask in enumerate(masks) if mask is not None}
    entry |= {f"weights/{i}": value for i, value in enumerate(weights)}
    entry |= {f"cotangent/{i}": value for i, value in enumerate(cotangents)}
    inference = _run(layer, case, xs, masks, cotangents, False)
    entry |= {f"inference/{key}": value for key, value in inference.items() if not key.startswith("state/")}
    if case.training != "random":
        training = _run(layer, case, xs, masks, cotangents, True)
        if case.training == "differs":
            entry |= {f"training/{key}": value for key, value in training.items()}
        elif any(not np.array_equal(value, training[key]) for key, value in inference.items()):
            raise RuntimeError(f"row {case.id!r} says training='same', but Keras answers otherwise in training mode")
    described = [
        {"name": variable.name, "shape": list(variable.shape), "trainable": variable.trainable}
        for variable in layer.weights
    ]
    entry["meta"] = np.array(json.dumps({"weights": described}))
    return entry


def _reset(layer: keras.layers.Layer) -> None:
    """A stateful layer begins at zero again."""
    for part in layer._flatten_layers():
        if getattr(part, "stateful", False):
            part.reset_states()

"""Records layers. Needs Keras on JAX."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import jax
import keras
import numpy as np

from . import draw
from .rows import LayerCase

# Weights whose initial value does not depend on random numbers.
_DETERMINISTIC = (
    "bias", "gamma", "beta", "moving_mean", "moving_variance", "moving_stddev", "renorm_mean", "renorm_stddev", "alpha",
    "scale",
)  # fmt: skip


def _input(random: np.random.RandomState, case: LayerCase) -> tuple[np.ndarray, np.ndarray | None]:
    """Draw the input and its mask, and write `mask_value` into the masked steps where the row has one."""
    if case.x_values is not None:
        x = np.array(case.x_values, dtype=case.input_dtype).reshape(case.input_shape)
    elif case.input_dtype.startswith("float"):
        x = random.standard_normal(case.input_shape).astype(case.input_dtype)
    else:
        x = random.randint(-4, 5, case.input_shape).astype(case.input_dtype)
    if case.mask is None:
        return x, None
    mask = draw.mask(random, case.mask, *case.input_shape[:2])
    if case.mask_value is not None:
        x[~mask] = case.mask_value
    return x, mask


def _build(case: LayerCase) -> keras.layers.Layer:
    inner = [] if case.wraps is None else [getattr(keras.layers, case.wraps[0])(**case.wraps[1])]
    layers = [getattr(keras.layers, name)(*inner, **kwargs) for name, kwargs in case.layers]
    if len(layers) > 1:
        return keras.Sequential([keras.Input(batch_shape=case.input_shape, dtype=case.input_dtype), *layers])
    layers[0](keras.KerasTensor(case.input_shape, dtype=case.input_dtype))
    return layers[0]


def _adapt(layer: keras.layers.Layer, data: np.ndarray) -> None:
    """Adapt a layer; Discretization's own `adapt` asks for TensorFlow, which its steps do not need."""
    if isinstance(layer, keras.layers.Discretization):
        layer.update_state(data)
        layer.finalize_state()
    else:
        layer.adapt(data)


def _run(
    layer: keras.layers.Layer, x: np.ndarray, cotangent: np.ndarray | None, training: bool, call_kwargs: dict[str, Any]
) -> dict[str, np.ndarray]:
    """Call the layer and differentiate sum(y * cotangent) by every trainable weight and by a float input."""
    trainable = [variable.value for variable in layer.trainable_variables]
    # A seed generator's counter is a non-trainable variable too, but no weight.
    state = layer.non_trainable_weights
    differentiable = np.issubdtype(x.dtype, np.floating)

    def call(trainable: list[jax.Array], x: jax.Array) -> tuple[jax.Array, list[jax.Array]]:
        # Not `stateless_call`, which skips `__call__` and with it the handling of `training` and masks.
        with keras.StatelessScope(state_mapping=list(zip(layer.trainable_variables, trainable, strict=True))) as scope:
            y = layer(x, training=training, **call_kwargs)
        new_state = [scope.get_current_value(variable) for variable in state]
        pairs = zip(state, new_state, strict=True)
        return y, [variable.value if value is None else value for variable, value in pairs]

    function: Callable[..., Any] = call if differentiable else lambda trainable: call(trainable, x)
    arguments = (trainable, jax.numpy.asarray(x)) if differentiable else (trainable,)
    if cotangent is None:
        y, new_state = function(*arguments)
        gradients: tuple[Any, ...] = ()
    else:
        y, pullback, new_state = jax.vjp(function, *arguments, has_aux=True)
        gradients = pullback(jax.numpy.asarray(cotangent))
    answers = {"y": np.asarray(y)}
    if gradients:
        answers |= {f"gradient_weights/{index}": np.asarray(value) for index, value in enumerate(gradients[0])}
    if len(gradients) > 1:
        answers["gradient_x"] = np.asarray(gradients[1])
    answers |= {f"state/{index}": np.asarray(value) for index, value in enumerate(new_state)}
    return answers


def record(case: LayerCase) -> dict[str, np.ndarray]:
    """Record one layer: inputs, weights, and per mode the output, its gradients and the new state.

    Raises:
        RuntimeError: The row says that training mode makes no difference, and it does.
    """
    random = draw.generator(case.id)
    layer = _build(case)
    entry: dict[str, np.ndarray] = {}
    for index, variable in enumerate(layer.weights):
        if variable.name in _DETERMINISTIC:
            entry[f"initial/{index}"] = np.asarray(variable.value)
    if case.adapt is None:
        weights = [draw.weight(random, variable.name, tuple(variable.shape)) for variable in layer.weights]
        layer.set_weights(weights)
    else:
        entry["adapt"] = (3.0 + 2.0 * random.standard_normal(case.adapt)).astype("float32")
        _adapt(layer, entry["adapt"])
        weights = layer.get_weights()
    x, mask = _input(random, case)
    entry |= {"x": x} | {f"weights/{index}": value for index, value in enumerate(weights)}
    call_kwargs: dict[str, Any] = {}
    if mask is not None:
        entry["mask"] = mask
        if case.mask_value is None:
            call_kwargs["mask"] = jax.numpy.asarray(mask)

    y = np.asarray(layer(jax.numpy.asarray(x), training=False, **call_kwargs))
    cotangent = None
    if np.issubdtype(y.dtype, np.floating):
        if case.x_values is None:
            cotangent = random.standard_normal(y.shape).astype(y.dtype)
        else:
            # Distinct whole numbers, whose sums are exact in any order.
            cotangent = np.arange(1, y.size + 1, dtype=y.dtype).reshape(y.shape)
        entry["cotangent"] = cotangent
    inference = _run(layer, x, cotangent, False, call_kwargs)
    entry |= {f"inference/{key}": value for key, value in inference.items() if not key.startswith("state/")}
    if case.training != "random":
        training = _run(layer, x, cotangent, True, call_kwargs)
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

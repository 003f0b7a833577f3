"""Trains a graph with several inputs and outputs: the same code for Keras, whose answers are recorded, and for lamella."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from . import draw
from .rows import StructureCase

_ROWS, _BATCH, _EPOCHS = 22, 8, 2


def filled(structure: Any, values: Mapping[str, Any]) -> Any:
    """The structure with the value of each name in the name's place."""
    if isinstance(structure, dict):
        return {key: filled(part, values) for key, part in structure.items()}
    if isinstance(structure, list | tuple):
        return type(structure)(filled(part, values) for part in structure)
    return values[structure]


def _named(structure: Any, found: Any) -> Iterator[tuple[str, Any]]:
    """Each name of a structure, with what another one holds in its place."""
    if isinstance(structure, dict):
        assert set(found) == set(structure), (list(found), structure)
        for key, part in structure.items():
            yield from _named(part, found[key])
    elif isinstance(structure, list | tuple) and len(structure) > 1:
        assert isinstance(found, list | tuple) and len(found) == len(structure)
        for part, item in zip(structure, found, strict=True):
            yield from _named(part, item)
    else:  # Keras takes a list of one output for the output
        yield structure if isinstance(structure, str) else structure[0], found


def _graph(keras: Any, case: StructureCase) -> Any:
    layers = keras.layers
    if case.inputs == "sequence":
        x = keras.Input((5, 3), name="sequence")
        h = layers.LSTM(4, return_sequences=True, name="recurrent")(layers.Masking(name="masking")(x))
        each = layers.Dense(1, name="each")(h)
        whole = layers.Dense(1, name="whole")(layers.LSTM(3, name="last")(h))
        return keras.Model(x, filled(case.outputs, {"each": each, "whole": whole}))
    given = {name: keras.Input((width,), name=name) for name, width in (("a", 4), ("b", 3))}
    h = layers.Dense(6, "tanh", name="hidden")(layers.Concatenate(name="joined")([given["a"], given["b"]]))
    made = {
        "price": layers.Dense(1, name="price")(h),
        "kind": layers.Dense(3, "softmax", name="kind")(h),
        "flag": layers.Dense(1, "sigmoid", name="flag")(h),
    }
    inputs = list(case.inputs) if isinstance(case.inputs, tuple) else case.inputs
    return keras.Model(filled(inputs, given), filled(case.outputs, made))


def _rows(case: StructureCase) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Inputs, targets and weights by name."""
    random = draw.generator(case.id)
    x = {name: random.standard_normal((_ROWS, width)).astype("float32") for name, width in (("a", 4), ("b", 3))}
    sequence = random.standard_normal((_ROWS, 5, 3)).astype("float32")
    sequence[np.arange(5)[None] >= random.randint(2, 6, _ROWS)[:, None]] = 0.0
    y = {
        "price": np.tanh(x["a"][:, :1] - x["b"][:, 1:2]),
        "kind": random.randint(0, 3, _ROWS).astype("int32"),
        "flag": (x["a"][:, 1:2] > 0).astype("float32"),
        "each": np.tanh(sequence.sum(-1, keepdims=True)),
        "whole": np.tanh(sequence.sum((1, 2)))[:, None],
    }
    weights = {name: random.uniform(0.2, 2.0, _ROWS).astype("float32") for name in ("row", *y)}
    weights["each"] = random.uniform(0.2, 2.0, (_ROWS, 5)).astype("float32")
    return x | {"sequence": sequence}, y, weights


def trained(keras: Any, case: StructureCase) -> dict[str, np.ndarray]:
    """Everything that training a case's model gives.

    Args:
        keras: Keras, or lamella.
        case: the row.

    Returns:
        The logs of `fit`, what `evaluate`, `predict` and `train_on_batch` return, and the weights afterwards.
    """
    random = draw.generator(f"{case.id} weights")
    model = _graph(keras, case)
    initial = {v.path: draw.weight(random, v.name, tuple(v.shape)) for v in sorted(model.weights, key=lambda v: v.path)}
    model.set_weights([initial[v.path] for v in model.weights])
    model.compile(
        keras.optimizers.SGD(0.1, momentum=0.9),
        loss=case.loss,
        loss_weights=case.loss_weights,
        metrics=case.metrics,
        weighted_metrics=case.weighted_metrics,
    )
    inputs, targets, weights = _rows(case)
    given = case.x if case.x is not None else case.inputs
    x = filled(list(given) if isinstance(given, tuple) else given, inputs)
    y = filled(case.y, targets)
    weighted = {} if case.sample_weight is None else {"sample_weight": filled(case.sample_weight, weights)}
    more = {} if case.class_weight is None else {"class_weight": case.class_weight}
    validation = (x, y, *weighted.values())
    fitted = model.fit(
        x,
        y,
        batch_size=_BATCH,
        epochs=_EPOCHS,
        shuffle=False,
        verbose=0,
        validation_data=validation,
        **weighted,
        **more,
    )
    entry = {f"history/{key}": np.array(values, "float64") for key, values in fitted.history.items()}
    entry["logs"] = np.array(json.dumps(list(fitted.history)))
    evaluated = model.evaluate(x, y, batch_size=_BATCH, verbose=0, return_dict=True, **weighted)
    entry |= {f"evaluate/{key}": np.array(value, "float64") for key, value in evaluated.items()}
    entry["evaluated"] = np.array(model.evaluate(x, y, batch_size=_BATCH, verbose=0, **weighted), "float64")
    predicted = dict(_named(case.outputs, model.predict(x, batch_size=_BATCH, verbose=0)))
    entry |= {f"predict/{name}": np.asarray(value) for name, value in predicted.items()}
    entry |= {f"weights/{v.path}": np.array(v) for v in sorted(model.weights, key=lambda v: v.path)}
    once = model.train_on_batch(x, y, return_dict=True, **weighted)
    entry |= {f"train_on_batch/{key}": np.array(value, "float64") for key, value in once.items()}
    return entry

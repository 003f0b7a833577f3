"""Whole models in HDF5, the format of Keras 2 that Keras 3 still reads and writes: JSON in attributes, arrays by name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from lamella import losses
from lamella.core import serialization
from lamella.errors import FormatError
from lamella.files import hdf5, text
from lamella.graph import operations
from lamella.saving import (
    arrays,
    assembly,
    checking,
    compiling,
    h5_writing,
    keras_2,
    layout,
    legacy_weights,
    optimizer_state,
    progress,
)
from lamella.saving.keras_archive import KERAS_VERSION

_BACKEND = "jax"
"""The name of the backend in a file, which Keras ignores."""

_LAMELLA = "lamella"
"""The attribute that only lamella reads."""


def file_of(model: Any) -> bytes:
    """The bytes of a model's file."""
    what = f"model {model.name!r}"
    file = h5_writing.Folder()
    file.attrs["backend"] = _BACKEND
    file.attrs["keras_version"] = KERAS_VERSION
    file.attrs["model_config"] = text.written(_old(serialization.serialize(model)), what)
    training = compiling.compile_config(model).get("compile_config")
    if training is not None:
        optimizer = training.pop("optimizer")
        training["loss"] = _loss(training["loss"])
        training["optimizer_config"] = {"class_name": optimizer["class_name"], "config": optimizer["config"]}
        file.attrs["training_config"] = text.written({word: _old(value) for word, value in training.items()}, what)
    file.attrs[_LAMELLA] = text.written(progress.serialize(model), what)
    _put_weights(file.at("model_weights"), model)
    _put_state(file, model)
    return file.to_bytes()


def weights_file(model: Any) -> bytes:
    """The bytes of a file of a model's weights alone, without a state of the optimizer."""
    file = h5_writing.Folder()
    _put_weights(file, model)
    return file.to_bytes()


def _loss(identifier: Any) -> Any:
    """The full name of a loss: Keras 3.15 cannot load its own files with "mse" and other short names."""
    if not isinstance(identifier, str) or hasattr(losses, identifier):
        return identifier
    found = losses.TABLE.get(identifier)
    names = [name for name, made in losses.TABLE.items() if made is found and hasattr(losses, name) and name.islower()]
    return names[0] if names else identifier


def _old(value: Any) -> Any:
    """A description of a model as Keras 2 wrote it: without modules, for models, layers and metrics.

    Without its module an operation would be taken for the layer of that name.
    """
    if isinstance(value, list):
        return [_old(item) for item in value]
    if not serialization.is_serialized(value):
        return value
    config = value["config"]
    if isinstance(config, dict) and "layers" in config:
        config = {**config, "layers": [_old(layer) for layer in config["layers"]]}
    kept = {word: value[word] for word in ("name", "inbound_nodes", "shared_object_id") if word in value}
    if operations.is_operation(value.get("module")):
        kept["module"] = value["module"]
    if value.get("registered_name") and "layers" not in config and "build_config" in value:
        kept["build_config"] = value["build_config"]  # of a model of the user's own
    registered = value.get("registered_name") or ""  # "package>name"
    return {"class_name": registered if ">" in registered else value["class_name"], "config": config, **kept}


def _put_weights(group: h5_writing.Folder, model: Any) -> None:
    group.put_names("layer_names", list(model.children))
    group.attrs["backend"] = _BACKEND
    group.attrs["keras_version"] = KERAS_VERSION
    paths = {id(v): f"{model.name}/{path}" for path, v in model.named_weights()}
    own, top = layout.own(model), legacy_weights.TOP
    if own and top in model.children:
        raise ValueError(
            f"model {model.name!r} has weights outside of its layers, for which .h5 needs the name of its layer {top!r}."
        )
    # the model's own come first: those of a layer called TOP replace an empty list
    for name, weights in ((top, own), *((name, legacy_weights.of(layer)) for name, layer in model.children.items())):
        held = group.at(name)
        held.put_names("weight_names", [paths[id(v)] for v in weights])
        for variable in weights:
            held.put(paths[id(variable)], *arrays.stored(variable))


def _put_state(file: h5_writing.Folder, model: Any) -> None:
    names = [entry.name for entry in optimizer_state.entries(model)]
    if not names:
        return
    group = file.at("optimizer_weights")
    group.put_names("weight_names", names)
    for name, array in zip(names, optimizer_state.values(model), strict=True):
        group.put(name, array)


# ---- reading ----


def read(data: bytes, where: str, custom_objects: Mapping[str, Any] | None, compile: bool) -> Any:
    """The model of a file.

    Raises:
        FormatError: as `load_model`.
    """
    tree = hdf5.read(data, name=where)
    config = tree.attrs.get("model_config")
    if not isinstance(config, str):
        raise FormatError(
            f"{where}: an HDF5 file without a model_config: weights alone. Make the model, then model.load_weights(...)."
        )
    version = str(tree.attrs.get("keras_version") or "1")
    group = legacy_weights.group_of(tree, where)
    with serialization.custom_objects(custom_objects):
        checked = checking.model(text.parsed(config, f"{where}: model_config"), f"{where}: model_config")
        keras_2.translate(checked, version)
        held = sum(math.prod(d.shape) for _, d in arrays.members(group))
        model = assembly.built(checked, f"{where}: model_config", held)
        pairs = legacy_weights.by_place(model, group, version, where)
        state, training = None, tree.attrs.get("training_config")
        if compile and isinstance(training, str):
            state = _compiled(model, text.parsed(training, f"{where}: training_config"), tree, version, where)
        arrays.assign([*pairs, *assembly.complete(model, {}, where)])
    if state is not None:
        optimizer_state.restore(model, [arrays.values_of(d) for d in state])
    about = tree.attrs.get(_LAMELLA)
    if isinstance(about, str):
        progress.restore(model, text.parsed(about, f"{where}: {_LAMELLA}"), f"{where}: {_LAMELLA}")
    return model


def _compiled(model: Any, node: Any, tree: hdf5.Group, version: str, where: str) -> list[hdf5.Dataset] | None:
    place = f"{where}: training_config"
    if not isinstance(node, dict):
        raise FormatError(f"{place} is not an object.")
    config = checking.compilation({**node, "optimizer": _optimizer(node.get("optimizer_config"), place)}, place)
    if config is None:
        return None
    assembly.guarded(lambda: compiling.compile_from(model, config), place)
    group = tree["optimizer_weights"] if "optimizer_weights" in tree else None
    if not isinstance(group, hdf5.Group) or not model.variables:
        return None
    names = legacy_weights.names_in(group, "weight_names", where)
    if version[:1] != "3":
        if names:
            optimizer_state.warn_of_keras_2(where, version)
        return None
    found = [legacy_weights.dataset_in(group, name, where) for name in names]
    shapes = [(d.shape, arrays.dtype_of(d)) for d in found]
    return found if optimizer_state.check(model, shapes, where) else None


def _optimizer(node: Any, place: str) -> Any:
    """The description of an optimizer, with the arguments of Keras 2 translated."""
    name, config = checking.class_and_config(node, f"{place}: optimizer_config")
    if not isinstance(config, dict):
        raise FormatError(f"{place}: optimizer_config is damaged.")
    config = dict(config)
    if "lr" in config:
        config["learning_rate"] = config.pop("lr")
    decay = config.pop("decay", 0.0)
    if isinstance(decay, int | float) and decay:
        schedule = {"initial_learning_rate": config.get("learning_rate"), "decay_steps": 1, "decay_rate": decay}
        config["learning_rate"] = {"class_name": "InverseTimeDecay", "config": schedule}
    config.pop("schedule_decay", None)
    return {"class_name": name, "config": config}

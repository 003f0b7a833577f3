"""Checks of a configuration from a file against closed tables, before any object is created.

Only names in lamella's tables and in `custom_objects` become classes; a field that is not in the table of its class is
rejected. The result contains known keys only, and every value is within its range.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any

from lamella import absent, activations
from lamella.compat import files as compat
from lamella.core import serialization
from lamella.errors import FormatError, did_you_mean
from lamella.layers import configuration
from lamella.layers.base import Layer
from lamella.layers.making import kind_of, parameters
from lamella.optimizers.base import COMMON
from lamella.saving import fields, graphs, objective

Config = dict[str, Any]

_LAYERS = ("layer", "backward_layer", "cell", "cells")
_HOSTS = (None, "keras", "tf_keras", "tensorflow", "lamella")
_MOST_LAYERS = 10_000


def class_and_config(node: Any, place: str) -> tuple[str, Any]:
    """Class name and configuration of a description.

    Raises:
        FormatError: it is none.
    """
    if not isinstance(node, dict) or not isinstance(node.get("class_name"), str):
        raise FormatError(f"{place} is not a description of an object.")
    return node["class_name"], node.get("config") if node.get("config") is not None else {}


def host(node: Mapping[str, Any]) -> str | None:
    """The package of a described class according to the file; it is compared, never imported."""
    module = node.get("module")
    return module.partition(".")[0] if isinstance(module, str) else None


def _described_by_layers(cls: type) -> bool:
    """Whether a configuration of a user's class lists layers that are applied one after another."""
    return getattr(cls, "described_by_layers", False)


def model(node: Any, place: str) -> Config:
    """A checked description of a model.

    Raises:
        FormatError: it is a model of a class that is not known, or holds what lamella does not have.
    """
    name, config = class_and_config(node, place)
    given = serialization.custom_object(node.get("registered_name")) or serialization.custom_object(name)
    own = isinstance(given, type) and issubclass(given, serialization.class_named("Model", serialization.CONTAINERS))
    if not own and name not in ("Sequential", "Functional", "Model"):
        raise FormatError(
            f"{place} is a {name[:100]!r}; lamella reads Sequential and functional models, and those of classes of yours: "
            f"custom_objects={{{name[:100]!r}: your_class}}."
        )
    if isinstance(config, list):  # Keras before 2.2.3
        config = {"layers": config}
    if not isinstance(config, dict):
        raise FormatError(f"{place}: config is not an object.")
    found = {"module": node.get("module"), "class_name": name, "registered_name": None, **_shared(node, place)}
    if graphs.is_graph(config):
        return {**found, "config": _of_model(config, place) | _graph(config, place)}
    if not own and name != "Sequential":
        raise FormatError(f"{place}: a functional model has input_layers and output_layers.")
    if own and not _described_by_layers(given):
        return {**found, **_custom(node, config, place), "built_for": _built_for(node, place)}
    return {**found, "config": _of_model(config, place) | _chain(node, config, place)}


def _of_model(config: Config, place: str) -> Config:
    """The common fields of the configurations of models."""
    known = {"name": fields.FIELDS["name"], "trainable": fields.flag}
    return {
        word: check(config[word], f"{place}: {word}") for word, check in known.items() if config.get(word) is not None
    }


def _layers_of(config: Config, place: str) -> list[Any]:
    layers = config.get("layers")
    if not isinstance(layers, list) or len(layers) > _MOST_LAYERS:
        raise FormatError(f"{place}: `layers` is not a list of at most {_MOST_LAYERS:,} layers.")
    return layers


def _graph(config: Config, place: str) -> Config:
    _refuse_unknown(config, {"name", "layers", "trainable", "dtype", "input_layers", "output_layers"}, place)
    return graphs.checked(config, place, _layers_of(config, place), layer)


def _chain(node: Config, config: Config, place: str) -> Config:
    checked: Config = {"layers": []}
    for i, entry in enumerate(_layers_of(config, place)):
        inner = entry.get("config") if isinstance(entry, dict) else None
        label = inner.get("name") if isinstance(inner, dict) else None
        where = f"{place}, layer {str(label)[:100]!r}" if label else f"{place}, layer {i}"
        if not i:
            checked["layers"] += _first(entry, where)
        checked["layers"].append(layer(entry, where))
    shape = config.get("build_input_shape")
    if shape is None and isinstance(node.get("build_config"), dict):
        shape = node["build_config"].get("input_shape")
    if shape is not None:
        checked["build_input_shape"] = fields.batch_shape(shape, f"{place}: build_input_shape")
    _refuse_unknown(config, {"name", "layers", "trainable", "build_input_shape", "dtype"}, place)
    return checked


def _shared(node: Config, place: str) -> Config:
    """The number of a layer that occurs in several places."""
    number = node.get("shared_object_id")
    return {} if number is None else {"shared_object_id": fields.seed(number, f"{place}: shared_object_id")}


def _first(entry: Any, place: str) -> list[Config]:
    """The input that the first layer of Keras 2 declares, as a separate `InputLayer`."""
    name, config = class_and_config(entry, place)
    if name == "InputLayer" or not isinstance(config, dict) or config.get("batch_input_shape") is None:
        return []
    shape = fields.batch_shape(config["batch_input_shape"], f"{place}: batch_input_shape")
    dtype = config.get("dtype") if name == "Embedding" or isinstance(config.get("dtype"), str) else None
    declared = {"batch_shape": shape, "dtype": fields.optional(fields.policy)(dtype, f"{place}: dtype")}
    return [{"module": "keras.layers", "class_name": "InputLayer", "config": declared}]


def layer(node: Any, place: str) -> Config:
    """A checked description of a layer or cell, all its fields known."""
    name, config = class_and_config(node, place)
    given = serialization.custom_object(node.get("registered_name")) or serialization.custom_object(name)
    if name in ("Sequential", "Functional", "Model") or graphs.is_graph(config):
        return model(node, place)
    about = {"class_name": name, "built_for": _built_for(node, place), **_shared(node, place)}
    if isinstance(given, type) and not _described_by_layers(given):
        return {**about, **_custom(node, config, place)}
    if given is not None:
        return model(node, place)
    if host(node) not in _HOSTS:
        raise FormatError(
            f"{place}: the class {str(node['module'])[:100]}.{name[:100]} is not lamella's; give it to the call: "
            f"custom_objects={{{name[:100]!r}: your_class}}."
        )
    if name in compat.LAYERS and isinstance(config, dict):
        name, config = compat.LAYERS[name].name, compat.LAYERS[name].config(config)
    cls = configuration.layer_table().get(name)
    if cls is None:
        told = absent.sentence("lamella.layers", name)
        if name in ("IntegerLookup", "StringLookup", "TextVectorization"):
            told = f"{name} prepares data and cannot be part of a model: save the model without it."
        if told is not None:
            raise FormatError(f"{place}: {told}")
        raise FormatError(
            f"{place}: there is no layer {name[:100]!r}: {did_you_mean(name[:100], configuration.layer_table())} "
            f"Pass a user-defined class to the call: custom_objects={{{name[:100]!r}: your_class}}."
        )
    if not isinstance(config, dict):
        raise FormatError(f"{place}: config is not an object.")
    return {**about, "module": "keras.layers", "class_name": name, "config": _fields(name, config, place)}


def _built_for(node: Config, place: str) -> Any:
    """The input shape, or the structure of shapes, that a layer was built for, where the file says so."""
    config = node.get("build_config")
    shape = config.get("input_shape") if isinstance(config, dict) else None
    return None if shape is None else _shapes(shape, f"{place}: build_config", 8)


def _shapes(value: Any, place: str, depth: int) -> Any:
    if depth and isinstance(value, dict):
        return {fields.text(key, place): _shapes(item, place, depth - 1) for key, item in value.items()}
    if depth and isinstance(value, list) and any(isinstance(item, list | dict) for item in value):
        return [_shapes(item, place, depth - 1) for item in value]
    return fields.batch_shape(value, place)


def _fields(name: str, config: Config, place: str) -> Config:
    if name == "InputLayer":
        return _input(config, place)
    if name == "Lambda":
        return _lambda(config, place)
    known = _known(name)
    checked: Config = {}
    for key, value in config.items():
        where = f"{place}: {key[:100]}"
        if key in known:
            checked[key] = known[key](value, where)
        elif key in fields.NEUTRAL and value in fields.NEUTRAL[key]:
            continue
        elif key not in fields.MEANINGLESS:
            raise FormatError(
                f"{where} = {str(value)[:60]!r} is not a field of lamella's {name}: {did_you_mean(key[:100], known)}"
            )
    return checked


@functools.cache
def _known(name: str) -> dict[str, fields.Check]:
    """The fields of a class of the catalogue, each with its check: a closed schema."""
    cls: Any = configuration.layer_table()[name]
    words = {word for base in cls.__mro__[:-1] if base is not Layer for word in parameters(base)}
    taken = {"kwargs"} <= set(parameters(cls))
    names = (words if taken else set(parameters(cls))) | {"name", "trainable", "dtype", "activity_regularizer"}
    names -= {"kwargs", "args", "weights"}
    if name not in ("RNN",) and "cell" not in parameters(cls):
        names.discard("cell")
    if "noise_shape" not in parameters(cls):
        names.discard("noise_shape")
    return {word: check_of(name, word) for word in names}


def check_of(name: str, word: str) -> fields.Check:
    """The check of a field of a class.

    Raises:
        KeyError: no table has one; a new argument of a layer needs a check before files may hold it.
    """
    if (name, word) in fields.OF_CLASS:
        return fields.OF_CLASS[name, word]
    kind = kind_of(word)
    if kind is not None:
        return functools.partial(_object, f"{kind}s")
    if word in _LAYERS:
        return _held
    if word.endswith("activation"):
        return _activation
    return fields.FIELDS[word]


def _activation(value: Any, place: str) -> Any:
    """The name of an activation, the caller's function of that name, or a checked description of a layer."""
    if isinstance(value, dict) and value.get("class_name") != "function":
        return layer(value, place)
    name = value["config"] if isinstance(value, dict) and isinstance(value.get("config"), str) else value
    if isinstance(name, str) and serialization.custom_object(name) is not None:
        return serialization.custom_object(name)
    if name is not None and (not isinstance(name, str) or name not in activations.TABLE):
        raise fields.wrong(
            value, place, "the name of an activation, or a layer (pass a user-defined function in `custom_objects`)"
        )
    return name


def _held(value: Any, place: str) -> Any:
    if value is None:
        return None
    if isinstance(value, list):
        if len(value) > 1000:
            raise FormatError(f"{place}: more than 1000 cells.")
        return [layer(item, f"{place}[{i}]") for i, item in enumerate(value)]
    return layer(value, place)


def _input(config: Config, place: str) -> Config:
    known = {"batch_shape", "batch_input_shape", "dtype", "name", "sparse", "ragged", "optional", "shape", "trainable"}
    _refuse_unknown(config, known, place)
    for key in ("sparse", "ragged"):
        if config.get(key):
            raise FormatError(f"{place}: lamella has no {key} inputs.")
    shape = config.get("batch_shape", config.get("batch_input_shape"))
    checked: Config = {"batch_shape": fields.batch_shape(shape, f"{place}: batch_shape")}
    checked["dtype"] = fields.optional(fields.policy)(config.get("dtype"), f"{place}: dtype")
    if config.get("name") is not None:
        checked["name"] = fields.name(config["name"], f"{place}: name")
    return checked


def _lambda(config: Config, place: str) -> Config:
    """A Lambda whose function the caller gives under the function's name or the layer's."""
    name = config.get("name")
    function = config.get("function")
    named = function.get("config") if isinstance(function, dict) else None
    given = serialization.custom_object(named) or serialization.custom_object(name)
    if given is None:
        raise FormatError(
            f"{place}: a Lambda's function is never read from a file; give it to the call: "
            f"custom_objects={{{str(named if isinstance(named, str) else name)[:100]!r}: function}}."
        )
    checked: Config = {"function": given}
    for key in ("name", "trainable", "dtype"):
        if key in config:
            checked[key] = fields.FIELDS[key](config[key], f"{place}: {key}")
    if isinstance(config.get("arguments"), dict):
        checked["arguments"] = _data(config["arguments"], place)
    if isinstance(config.get("output_shape"), list):
        checked["output_shape"] = fields.FIELDS["output_shape"](config["output_shape"], f"{place}: output_shape")
    return checked


def _custom(node: Config, config: Any, place: str) -> Config:
    """A user-defined class: its fields are not checked, but the objects in them are."""
    if not isinstance(config, dict):
        raise FormatError(f"{place}: config is not an object.")
    registered = node.get("registered_name")
    return {"config": _data(config, place), "registered_name": registered if isinstance(registered, str) else None}


def _data(value: Any, place: str) -> Any:
    """Plain data, with every description in it checked."""
    if isinstance(value, list):
        return [_data(item, place) for item in value]
    if not isinstance(value, dict):
        return value
    if not serialization.is_serialized(value):
        return {key: _data(item, place) for key, item in value.items()}
    return anything(value, place)


def anything(node: Any, place: str) -> Any:
    """A checked description of an object of any kind."""
    name, _ = class_and_config(node, place)
    if name == "function":
        return {"class_name": "function", "config": _known_function(node, place)}
    if name in ("DTypePolicy", "Policy"):
        return {"class_name": "DTypePolicy", "config": {"name": fields.policy(node, place)}}
    module = node.get("module")
    of_layers = module in (None, serialization.CONTAINERS, serialization.LAYERS)
    if not of_layers and serialization.table_of(module) is not None:
        return _object(module.removeprefix("keras."), node, place)
    if of_layers or serialization.custom_object(name) or serialization.custom_object(node.get("registered_name")):
        return layer(node, place)
    raise FormatError(
        f"{place}: the class {str(module)[:100]}.{name[:100]} is not lamella's; give it in `custom_objects`."
    )


def _known_function(node: Config, place: str) -> str:
    name = fields.text(node.get("config"), place)
    try:
        serialization.deserialize({"class_name": "function", "config": name})
    except ValueError:
        raise FormatError(
            f"{place}: the function {name[:100]!r} is not lamella's; give it to the call: "
            f"custom_objects={{{name[:100]!r}: function}}."
        ) from None
    return name


def _object(kind: str, node: Any, place: str) -> Any:
    """A checked initializer, regularizer, constraint, loss, metric, optimizer or schedule: by name or by description."""
    table = serialization.table_of(f"keras.{kind}") or {}
    if node is None:
        return None
    if isinstance(node, str):
        return _by_name(kind, node, table, place)
    name, config = class_and_config(node, place)
    if name == "function":
        return serialization.deserialize({"class_name": "function", "config": _known_function(node, place)})
    given = serialization.custom_object(node.get("registered_name")) or serialization.custom_object(name)
    if given is not None:
        return {**_custom(node, config, place), "class_name": name}
    if kind == "optimizers":
        name = name.removeprefix(compat.REGISTERED)
        name = compat.OPTIMIZERS[name].name if name in compat.OPTIMIZERS else name
    if host(node) not in _HOSTS or name not in table:
        raise FormatError(
            f"{place}: there is no {kind.rpartition('.')[2].rstrip('s')} {name[:100]!r}: {did_you_mean(name[:100], table)} "
            "Pass a user-defined one in `custom_objects`."
        )
    if not isinstance(config, dict):
        raise FormatError(f"{place}: config must be an object.")
    return {"module": f"keras.{kind}", "class_name": name, "config": _options(kind, name, config, place)}


def _by_name(kind: str, name: str, table: Mapping[str, Any], place: str) -> Any:
    """An object of the user's own, or a known name as it is spelled today."""
    given = serialization.custom_object(name)
    if given is not None:
        return given
    old = _old_names(kind)
    if fields.text(name, place) not in table and name.lower() not in {n.lower() for n in table} and name not in old:
        raise FormatError(f"{place}: there is no {kind.rstrip('s')} {name!r}: {did_you_mean(name, table)}")
    return old.get(name, name)


def _options(kind: str, name: str, config: Config, place: str) -> Config:
    """The checked configuration of an object called `name`."""
    checked: Config = {}
    for key, value in config.items():
        where = f"{place}: {key[:100]}"
        if key == "dtype":
            if kind != "initializers":
                checked[key] = fields.optional(fields.policy)(value, where)
        elif key == "learning_rate" and isinstance(value, dict):
            checked[key] = _object("optimizers.schedules", value, where)
        elif name == "LossScaleOptimizer" and key in _OLD_OF_LOSS_SCALE and value == _OLD_OF_LOSS_SCALE[key]:
            continue
        elif (kind == "optimizers" and key in fields.MEANINGLESS) or (kind == "losses" and key == "fn"):
            continue
        elif kind == "losses" and key == "reduction" and value == "auto":
            checked[key] = "sum_over_batch_size"
        elif key == "ema_overwrite_frequency" and not config.get("use_ema"):
            continue  # tf.keras's RMSprop has one that it ignores
        elif kind == "optimizers" and key in ("inner_optimizer", "default_optimizer", "optimizer_map"):
            checked[key] = _inner_optimizers(name, value, where)
        elif key == "value":
            checked[key] = fields.numbers(value, where)
        else:
            checked[key] = _SCALAR(value, where)
    return checked


_OLD_OF_LOSS_SCALE = {**dict.fromkeys(COMMON, None), "use_ema": False, "ema_momentum": 0.99, "dynamic": True}
"""Former fields of Keras's LossScaleOptimizer, with the values at which they have no effect."""

_PATHS = re.compile(r"[\w/ .|-]*([\w/ .-]\*[\w/ .|-]*){0,3}")


def _inner_optimizers(name: str, value: Any, place: str) -> Any:
    """What a wrapper of optimizers holds: an optimizer, an OptimizerMap, or the entries of one.

    A key of a map is an expression, which a file may not make slow to match: no groups, and three stars at most.
    """
    if name != "OptimizerMap" or _is_description(value):
        return _object("optimizers", value, place)
    if not isinstance(value, dict) or len(value) > _MOST_LAYERS:
        raise FormatError(f"{place} is not a table of optimizers.")
    for key in value:
        if len(key) > 200 or not _PATHS.fullmatch(key):
            raise FormatError(f"{place}: the expression {key[:100]!r} is none that is taken from a file.")
    return {key: _object("optimizers", item, f"{place}: {key}") for key, item in value.items()}


def _is_description(value: Any) -> bool:
    """Whether a file's entry names a class."""
    return isinstance(value, str) or (isinstance(value, dict) and isinstance(value.get("class_name"), str))


_SCALAR: Callable[[Any, str], Any] = fields.either(
    "null, a flag, a number, a string, or a list of numbers",
    fields.optional(fields.number),
    fields.flag,
    fields.text,
    fields.listed(fields.number, longest=10_000),
)


def _old_names(kind: str) -> Mapping[str, str]:
    from lamella import constraints, losses, metrics, regularizers

    tables = {"losses": losses, "metrics": metrics, "regularizers": regularizers, "constraints": constraints}
    return tables[kind].OLD if kind in tables else {}


def compilation(config: Any, place: str) -> Config | None:
    """A checked compile configuration; None where the file has none.

    Raises:
        FormatError: it asks for what lamella does not have.
    """
    if config is None or config == {}:
        return None
    if not isinstance(config, dict) or "optimizer" not in config:
        raise FormatError(f"{place} is not a compile configuration.")
    try:
        return {
            "optimizer": _object("optimizers", config["optimizer"], f"{place}: optimizer"),
            "loss": objective.loss(config.get("loss"), f"{place}: loss", _object),
            "loss_weights": objective.weights(config.get("loss_weights"), f"{place}: loss_weights"),
            "run_eagerly": fields.flag(config.get("run_eagerly") or False, f"{place}: run_eagerly"),
            "metrics": objective.metrics(config.get("metrics"), f"{place}: metrics", _object),
            "weighted_metrics": objective.metrics(
                config.get("weighted_metrics"), f"{place}: weighted_metrics", _object
            ),
        }
    except FormatError as error:
        raise FormatError(f"{error} To read the model without it: load_model(..., compile=False).") from None


def _refuse_unknown(config: Config, known: set[str], place: str) -> None:
    for key in config:
        if key not in known:
            raise FormatError(f"{place}: unknown field {key[:100]!r}: {did_you_mean(key[:100], known)}")

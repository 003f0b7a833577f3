"""The description of a graph in a file, checked: its layers, their calls, and the values that the calls refer to.

Calls in files of Keras 1 and 2 are converted to the schema of Keras 3.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from typing import Any

from lamella.errors import FormatError, did_you_mean
from lamella.graph import operations
from lamella.ir.spec import DTYPES
from lamella.saving import fields

Config = dict[str, Any]

_MOST_CALLS = 10_000
_DEEPEST = 40
"""How deep the arguments of a call may be nested."""


def is_graph(config: Any) -> bool:
    """Whether a configuration is that of a functional model."""
    return isinstance(config, dict) and "input_layers" in config and "output_layers" in config


def checked(config: Config, place: str, entries: list[Any], layer: Callable[[Any, str], Config]) -> Config:
    """The layers with their calls, the inputs and the outputs of a graph.

    Args:
        config: the configuration.
        place: where it is, for messages.
        entries: its layers.
        layer: checks the description of a layer.

    Raises:
        FormatError: a call refers to a layer that is not there, or is not one.
    """
    found: list[Config] = []
    for i, entry in enumerate(entries):
        label = entry.get("name") if isinstance(entry, dict) else None
        where = f"{place}, layer {str(label)[:100]!r}" if label else f"{place}, layer {i}"
        if not isinstance(entry, dict) or "inbound_nodes" not in entry:
            raise FormatError(f"{where}: name and inbound_nodes are expected.")
        name = fields.name(label, f"{where}: name")
        about = _operation(entry, where) if _is_operation(entry) else layer(entry, where)
        found.append({**about, "name": name, "inbound_nodes": entry["inbound_nodes"]})
    names = {entry["name"] for entry in found}
    if len(names) < len(found):
        raise FormatError(f"{place}: two layers have one name.")
    calls = sum(len(entry["inbound_nodes"]) for entry in found if isinstance(entry["inbound_nodes"], list))
    if calls > _MOST_CALLS:
        raise FormatError(f"{place}: more than {_MOST_CALLS:,} calls of layers.")
    ends = {word: _ends(config[word], f"{place}: {word}", names) for word in ("input_layers", "output_layers")}
    for entry in found:
        where = f"{place}, layer {entry['name']!r}"
        if not isinstance(entry["inbound_nodes"], list):
            raise FormatError(f"{where}: inbound_nodes is not a list.")
        entry["inbound_nodes"] = [_call(node, where, names) for node in entry["inbound_nodes"]]
        if not entry["inbound_nodes"] and entry["class_name"] != "InputLayer":
            raise FormatError(f"{where} is never called.")
        if entry["inbound_nodes"] and entry["class_name"] == "InputLayer":
            raise FormatError(f"{where} is an input, and is called.")
    if any(isinstance(node, list) for entry in entries for node in entry["inbound_nodes"]):
        _count_from_0(found, ends["output_layers"])
    return {"layers": found, **ends}


def _count_from_0(entries: list[Config], outputs: Any) -> None:
    """Number the calls of models as Keras 3 does, where Keras 2 counted the first as its second."""
    graphs = {
        e["name"]: is_graph(e["config"]) for e in entries if isinstance(e["config"], dict) and "layers" in e["config"]
    }
    used = [history for entry in entries for node in entry["inbound_nodes"] for history in _histories(node, [])]
    ends = _histories(outputs, [])
    first: dict[str, int] = {}
    for name, number, _ in (*used, *ends):
        first[name] = min(number, first.get(name, 1))
    for history in used:
        history[1] -= first[history[0]] if history[0] in graphs else 0
    for history in ends:
        history[1] -= first[history[0]] - graphs[history[0]] if history[0] in graphs else 0


def _histories(value: Any, found: list[list[Any]]) -> list[list[Any]]:
    """The names of values in checked arguments, or in the structure of outputs."""
    if _is_history(value):
        found.append(value)
    elif isinstance(value, list | dict):
        for item in value.values() if isinstance(value, dict) else value:
            _histories(item, found)
    return found


# ---- operations ----


def _is_operation(entry: Config) -> bool:
    """Whether an entry is an operation of Keras or lamella; in .h5 Keras writes no module, but no `trainable` either."""
    if operations.is_operation(entry.get("module")):
        return True
    nodes, config, name = entry["inbound_nodes"], entry.get("config"), entry.get("class_name")
    plain = isinstance(config, dict) and "trainable" not in config and name != "InputLayer"
    newly = isinstance(nodes, list) and bool(nodes) and isinstance(nodes[0], dict)
    return "module" not in entry and plain and newly and isinstance(name, str) and operations.known("keras.ops", name)


def _operation(entry: Config, place: str) -> Config:
    module, name = entry.get("module", "keras.ops"), entry.get("class_name")
    if not isinstance(name, str) or not operations.known(module, name):
        raise FormatError(f"{place}: there is no operation {str(name)[:100]!r} that lamella reads from a file.")
    config = entry.get("config")
    if not isinstance(config, dict):
        raise FormatError(f"{place}: config is not an object.")
    return {"module": module, "class_name": name, "config": _argument(config, place, ())}


# ---- calls ----


def _call(node: Any, place: str, names: Container[str]) -> Config:
    if isinstance(node, list):
        node = _of_keras_2(node, place)
    if not isinstance(node, dict) or not isinstance(node.get("args"), list) or not isinstance(node.get("kwargs"), dict):
        raise FormatError(f"{place}: a call has `args`, a list, and `kwargs`, an object.")
    for word in node["kwargs"]:
        if not word.isidentifier() or len(word) > 100:
            raise FormatError(f"{place}: {word[:100]!r} is not the name of an argument.")
    found = {word: _argument(node[word], place, names) for word in ("args", "kwargs")}
    if "training" in node:
        found["training"] = fields.flag(node["training"], f"{place}: training")
    return found


def _of_keras_2(node: list[Any], place: str) -> Config:
    """A call as Keras 1 and 2 wrote it: a list of [layer, number of its call, place], with the keywords behind each."""
    if not node:
        raise FormatError(f"{place}: a call without inputs.")
    tensors: list[Any] = []
    keywords: Any = {}
    for item in node:
        if not isinstance(item, list) or len(item) not in (3, 4):
            raise FormatError(f"{place}: a call lists [layer, number of the call, place, keywords] for each input.")
        tensors.append(_tensor(item[:3]))
        keywords = item[3] if len(item) == 4 else keywords
    if not isinstance(keywords, dict):
        raise FormatError(f"{place}: the keywords of a call are not an object.")
    call = {"args": tensors if len(tensors) == 1 else [tensors], "kwargs": _tensors_in(keywords, _DEEPEST)}
    if isinstance(keywords.get("training"), bool):
        call["training"] = keywords["training"]
    return call


def _tensor(item: list[Any]) -> Any:
    if item[0] == "_CONSTANT_VALUE":
        return item[2]
    return {"class_name": "__keras_tensor__", "config": {"keras_history": item}}


def _tensors_in(value: Any, depth: int) -> Any:
    """Keyword arguments, in which a value is itself a list: ["lstm", 0, 1]."""
    if _is_history(value):
        return _tensor(value)
    if depth and isinstance(value, list):
        return [_tensors_in(item, depth - 1) for item in value]
    if depth and isinstance(value, dict):
        return {key: _tensors_in(item, depth - 1) for key, item in value.items()}
    return value


def _is_history(value: Any) -> bool:
    if not isinstance(value, list) or len(value) != 3 or not isinstance(value[0], str):
        return False
    return all(isinstance(n, int) and not isinstance(n, bool) for n in value[1:])


def _history(value: Any, place: str, names: Container[str]) -> list[Any]:
    if not _is_history(value) or not all(0 <= n <= fields.LARGEST_INTEGER for n in value[1:]):
        raise FormatError(f"{place}: {str(value)[:60]} does not name a value: [layer, number of its call, place].")
    if value[0] not in names:
        raise FormatError(f"{place}: the layer {value[0][:100]!r} is not in the model.")
    return list(value)


_plain = fields.either(
    "null, a flag, a number, or a string",
    fields.optional(fields.number),  # first, because a file may hold a long list of them
    fields.flag,
    fields.text,
)


def _argument(value: Any, place: str, names: Container[str], depth: int = _DEEPEST) -> Any:
    """An argument of a call: plain data, with values, arrays, slices and sizes of inputs in it."""
    if not depth:
        raise FormatError(f"{place}: an argument is nested more than {_DEEPEST} deep.")
    if isinstance(value, list):
        return [_argument(item, place, names, depth - 1) for item in value]
    if not isinstance(value, dict):
        return _plain(value, place)
    if not ("class_name" in value and "config" in value):
        return {fields.text(key, place): _argument(item, place, names, depth - 1) for key, item in value.items()}
    name, config = value["class_name"], value["config"]
    if name == "__dim__":
        return {"class_name": name, "config": _argument(config, place, names, depth - 1)}
    if name in ("__keras_tensor__", "__slice__", "__ellipsis__", "__numpy__", "__tensor__") and isinstance(
        config, dict
    ):
        return {"class_name": name, "config": _OF_KIND[name](config, place, names)}
    if name == "DTypePolicy":
        return fields.policy(value, place)
    raise FormatError(f"{place}: {str(name)[:100]!r} is not an argument that lamella reads from a file.")


def _array(config: Config, place: str, _: Container[str]) -> Config:
    dtype = config.get("dtype")
    if not (isinstance(dtype, str) and dtype in DTYPES):
        raise FormatError(
            f"{place}: the dtype {str(dtype)[:40]!r} is not read: {did_you_mean(str(dtype)[:40], DTYPES)}"
        )
    return {"value": _numbers(config.get("value"), place), "dtype": dtype}


def _numbers(value: Any, place: str) -> Any:
    """A number or a flag, or lists of them of one length."""
    if value is True or value is False:
        return value
    if isinstance(value, list) and value and isinstance(value[0], bool | list):
        return [_numbers(item, place) for item in value]
    return fields.numbers(value, place)


_OF_KIND: Mapping[str, Callable[[Config, str, Container[str]], Config]] = {
    "__keras_tensor__": lambda config, place, names: {
        "keras_history": _history(config.get("keras_history"), place, names)
    },
    "__slice__": lambda config, place, names: {
        word: _argument(config.get(word), place, names, 3) for word in ("start", "stop", "step")
    },
    "__ellipsis__": lambda config, place, names: {},
    "__numpy__": _array,
    "__tensor__": _array,
}


def _ends(value: Any, place: str, names: Container[str], depth: int = _DEEPEST) -> Any:
    """The structure of the inputs or outputs."""
    if not depth or not isinstance(value, list | dict):
        raise FormatError(f"{place} is not a structure of values.")
    if isinstance(value, dict):
        return {fields.text(key, place): _ends(item, place, names, depth - 1) for key, item in value.items()}
    if value and isinstance(value[0], str):
        return _history(value, place, names)
    return [_ends(item, place, names, depth - 1) for item in value]

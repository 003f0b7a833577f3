"""The contents of a file, read without building a model: format, versions, layers, weights."""

from __future__ import annotations

import collections
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lamella.errors import FormatError
from lamella.files import hdf5

Array = tuple[str, str, tuple[int, ...]]
"""Name, dtype and shape."""
_PYTHON = re.compile(r"^The model '(.*)', written by lamella (\S+)\.", re.M)
_IN_PYTHON = re.compile(r"^([A-Z_0-9]+) = _array\(\*\('[<|>]?(\w+)', \(([\d, ]*)\)", re.M)
_IN_NUMBERS = re.compile(
    r"^([A-Z_0-9]+) = np\.array\(\[([^\]\n]*+)\], \"(\w+)\"\)(?:\.reshape\(\(([\d, ]*)\)\))?$", re.M
)


@dataclass
class Description:
    """The description that `info` prints.

    Attributes:
        facts: label and value of each line.
        weights: name, dtype and shape of each weight.
        others: the number of other values, by purpose.
    """

    facts: dict[str, str] = field(default_factory=dict)
    weights: list[Array] = field(default_factory=list)
    others: dict[str, int] = field(default_factory=dict)


def describe(path: str) -> Description:
    """Return the description of the file at `path`.

    Raises:
        FormatError: the file is damaged, or of an unknown format.
        OSError: the file cannot be read.
    """
    data = Path(path).read_bytes()
    name = Path(path).name
    found = Description()
    if data[:2] == b"PK":
        _archive(found, data, name)
    elif data[:8] == b"\x89HDF\r\n\x1a\n":
        _hdf5(found, data, name)
    elif data[8:9] == b"{":
        _safetensors(found, data, name)
    elif name.endswith(".py"):
        _python(found, data, name)
    elif name.endswith(".onnx"):
        _onnx(found, data, name)
    elif name.endswith(".stablehlo"):
        found.facts["kind"] = "StableHLO: an artifact of jax.export"
    else:
        raise FormatError(f"{name}: neither a .keras archive nor an HDF5, safetensors, ONNX or exported Python file.")
    found.facts["size"] = f"{len(data):,} bytes"
    return found


def _archive(found: Description, data: bytes, name: str) -> None:
    from lamella.files import container, text

    members = container.read(data, name)
    for member in ("metadata.json", "config.json", "model.weights.h5"):
        if member not in members:
            raise FormatError(f"{name}: no {member} in the archive, so it is no .keras file.")
    about = text.parsed(bytes(members["metadata.json"]), f"{name}: metadata.json")
    found.facts["kind"] = "a .keras archive"
    _versions(found, about)
    _architecture(found, text.parsed(bytes(members["config.json"]), f"{name}: config.json"))
    _datasets(found, hdf5.read(members["model.weights.h5"], name=f"{name}: model.weights.h5"))


def _hdf5(found: Description, data: bytes, name: str) -> None:
    from lamella.files import text

    tree = hdf5.read(data, name=name)
    config = tree.attrs.get("model_config")
    found.facts["kind"] = "an HDF5 file of weights" if config is None else "an HDF5 file of a model"
    _versions(found, tree.attrs)
    if isinstance(config, str):
        _architecture(found, text.parsed(config, f"{name}: model_config"))
    _datasets(found, tree)


def _safetensors(found: Description, data: bytes, name: str) -> None:
    from lamella.files import text
    from lamella.saving import safetensors

    arrays, about = safetensors._views(data, name)
    found.facts["kind"] = "a safetensors file" + (" of a model" if "config" in about else " of weights")
    if "config" in about:
        _architecture(found, text.parsed(about["config"], f"{name}: config"))
    for path, array in arrays.items():
        found.weights.append((path, "bfloat16" if array.dtype.kind == "V" else array.dtype.name, array.shape))


def _python(found: Description, data: bytes, name: str) -> None:
    text = data.decode("utf-8", "replace")
    head = _PYTHON.search(text)
    if head is None:
        raise FormatError(f"{name}: not a Python file that lamella exported.")
    found.facts |= {"kind": "an exported Python file", "model": head[1], "lamella": head[2]}
    label = ""
    try:
        for label, letters, shape in _IN_PYTHON.findall(text):
            found.weights.append((label, np.dtype(letters).name, _shape(shape)))
        for label, items, dtype, shape in _IN_NUMBERS.findall(text):
            found.weights.append((label, dtype, _shape(shape) or (items.count(",") + 1,)))
    except (TypeError, ValueError):  # of a dtype that NumPy does not have, and of an integer of thousands of digits
        raise FormatError(
            f"{name}: the file is damaged: the array {label[:80]!r} has no readable type or shape."
        ) from None


def _shape(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.replace(",", " ").split())


def _onnx(found: Description, data: bytes, name: str) -> None:
    from lamella.export.to_onnx import need_onnx

    onnx = need_onnx()
    try:
        _graph(found, onnx.load_model_from_string(data), onnx.helper.tensor_dtype_to_np_dtype)
    except Exception:  # protobuf and onnx let through what their parsers raise
        raise FormatError(f"{name} is not an ONNX file, or it is damaged or cut short.") from None


def _graph(found: Description, model: Any, element: Any) -> None:
    graph = model.graph
    found.facts["kind"] = "an ONNX graph"
    found.facts["written by"] = f"{model.producer_name} {model.producer_version}".strip() or "unknown"
    found.facts["opset"] = ", ".join(f"{o.domain or 'ai.onnx'} {o.version}" for o in model.opset_import)
    for word, infos in (("input", graph.input), ("output", graph.output)):
        for info in infos:
            dims = [d.dim_param or str(d.dim_value) for d in info.type.tensor_type.shape.dim]
            found.facts[f"{word} {info.name}"] = f"{element(info.type.tensor_type.elem_type).name}[{', '.join(dims)}]"
    found.facts["nodes"] = f"{len(graph.node):,}"
    found.weights += [(a.name, element(a.data_type).name, tuple(a.dims)) for a in graph.initializer]


def _versions(found: Description, about: Any) -> None:
    for label, key in (("Keras", "keras_version"), ("saved", "date_saved"), ("backend", "backend")):
        value = about.get(key) if isinstance(about, Mapping) else None
        if isinstance(value, str):
            found.facts[label] = value[:80]


def _architecture(found: Description, node: Any) -> None:
    """Name and layers as the configuration tells them; what does not look like one is passed over."""
    config = node.get("config") if isinstance(node, dict) else None
    layers = config if isinstance(config, list) else config.get("layers") if isinstance(config, dict) else None
    if isinstance(config, dict) and isinstance(config.get("name"), str):
        found.facts["model"] = f"{config['name'][:80]} ({str(node.get('class_name'))[:40]})"
    if isinstance(layers, list):
        kinds = collections.Counter(str(layer.get("class_name"))[:40] for layer in layers if isinstance(layer, dict))
        kinds.pop("InputLayer", None)
        told = ", ".join(kind if count == 1 else f"{count} {kind}" for kind, count in kinds.items())
        found.facts["layers"] = f"{kinds.total()} ({told})" if kinds else "0"


def _datasets(found: Description, tree: hdf5.Group) -> None:
    for path, dataset in _members(tree, ""):
        root = path.partition("/")[0]
        if root in ("optimizer", "optimizer_weights"):
            found.others["optimizer"] = found.others.get("optimizer", 0) + math.prod(dataset.shape)
        elif root == "lamella":
            found.others["lamella"] = found.others.get("lamella", 0) + math.prod(dataset.shape)
        elif dataset.dtype.kind != "S":
            dtype = "bfloat16" if dataset.dtype.kind == "V" else dataset.dtype.name
            found.weights.append((path, dtype, tuple(dataset.shape)))


def _members(group: hdf5.Group, prefix: str) -> Iterable[tuple[str, hdf5.Dataset]]:
    for name, member in group.members.items():
        if isinstance(member, hdf5.Dataset):
            yield prefix + name, member
        else:
            yield from _members(member, f"{prefix}{name}/")

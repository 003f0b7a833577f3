"""`.keras` archives: written like Keras 3, and read as untrusted data."""

from __future__ import annotations

import datetime
import math
import os
from collections.abc import Mapping
from typing import IO, Any

from lamella.compat import files as compat
from lamella.core import serialization
from lamella.errors import FormatError
from lamella.files import container, hdf5, text
from lamella.graph import operations
from lamella.names import snake_case
from lamella.saving import arrays, assembly, checking, compiling, h5_writing, keras_2, layout, optimizer_state, progress

KERAS_VERSION = "3.15.1"
"""The version of Keras whose format is written."""

METADATA, CONFIG, WEIGHTS = "metadata.json", "config.json", "model.weights.h5"


def write(model: Any, file: IO[bytes]) -> None:
    """Write a model as an archive; the same model gives the same bytes."""
    about = {"keras_version": KERAS_VERSION, "date_saved": date_saved(), "lamella": progress.serialize(model)}
    what = f"model {model.name!r}"
    description = text.written(serialization.serialize(model), what)
    members = {METADATA: text.written(about, what).encode(), CONFIG: description.encode()}
    members[WEIGHTS] = h5_writing.weights_file(model)
    container.write(file, members)


def date_saved() -> str:
    """The date in a file: SOURCE_DATE_EPOCH, or 1980-01-01, so that the same model gives the same bytes."""
    seconds = os.environ.get("SOURCE_DATE_EPOCH", "")
    if not seconds.isdigit():
        return "1980-01-01@00:00:00"
    return datetime.datetime.fromtimestamp(int(seconds), datetime.UTC).strftime("%Y-%m-%d@%H:%M:%S")


def read(data: bytes, where: str, custom_objects: Mapping[str, Any] | None, compile: bool) -> Any:
    """The model of an archive.

    Raises:
        FormatError: as `load_model`.
    """
    members = container.read(data, where)
    for name in (METADATA, CONFIG):
        if name not in members:
            raise FormatError(f"{where}: no {name} in the archive, so it is no .keras file.")
    about = text.parsed(bytes(members[METADATA]), f"{where}: {METADATA}")
    if not isinstance(about, dict):
        raise FormatError(f"{where}: {METADATA} is not an object.")
    version = str(about.get("keras_version"))
    if WEIGHTS not in members:
        held = "weights as .npz, which lamella does not read" if "model.weights.npz" in members else "no weights"
        raise FormatError(f"{where}: the archive holds {held}; {WEIGHTS} is expected.")
    node = text.parsed(bytes(members[CONFIG]), f"{where}: {CONFIG}")
    tree = hdf5.read(members[WEIGHTS], name=f"{where}: {WEIGHTS}")
    with serialization.custom_objects(custom_objects):
        checked = checking.model(node, f"{where}: {CONFIG}")
        keras_2.translate(checked, version)
        found = _in_todays_groups(arrays.layer_datasets(tree), node)
        model = assembly.built(checked, f"{where}: {CONFIG}", sum(math.prod(d.shape) for d in found.values()))
        expected = dict(layout.datasets(model))
        shapes = {path: (d.shape, arrays.dtype_of(d)) for path, d in found.items()}
        arrays.compare(expected, shapes, f"{where}: {WEIGHTS}")
        state = None
        if compile:
            with progress.as_compiled(model, about.get("lamella")):
                state = _compiled(model, node, tree, version, where)
        states = {path: d for path, d in arrays.members(tree) if path.startswith("lamella/")}
        pairs = [(variable, found[path]) for path, variable in expected.items()]
        arrays.assign([*pairs, *assembly.complete(model, states, f"{where}: {WEIGHTS}")])
    if state is not None:
        optimizer_state.restore(model, [arrays.values_of(d) for d in state])
    progress.restore(model, about.get("lamella"), f"{where}: {METADATA}")
    return model


def _in_todays_groups(found: dict[str, hdf5.Dataset], node: Mapping[str, Any]) -> dict[str, hdf5.Dataset]:
    """The arrays of the layers, those of classes of Keras 2 in the groups that today's classes have."""
    taken: tuple[dict[str, int], dict[str, int]] = ({}, {})
    groups: dict[str, str] = {}
    config = node["config"]
    entries = config if isinstance(config, list) else config.get("layers", [])
    for entry in entries if isinstance(entries, list) else []:
        name, _ = checking.class_and_config(entry, "a layer")
        if name != "InputLayer" and not operations.is_operation(entry.get("module")):
            now = compat.LAYERS[name].name if name in compat.LAYERS else name
            then, today = (layout.numbered(snake_case(n), t) for n, t in zip((name, now), taken, strict=True))
            groups[f"layers/{then}"] = f"layers/{today}"
    parts = {path: path.split("/", 2) for path in found}
    return {
        "/".join([groups.get("/".join(part[:2]), "/".join(part[:2])), *part[2:]]): found[path]
        for path, part in parts.items()
    }


def _compiled(
    model: Any, node: Mapping[str, Any], tree: hdf5.Group, version: str, where: str
) -> list[hdf5.Dataset] | None:
    """Compile the model as configured in the file, and return the checked optimizer state, if there is any."""
    config = checking.compilation(node.get("compile_config"), f"{where}: {CONFIG}: compile_config")
    if config is None:
        return None
    assembly.guarded(lambda: compiling.compile_from(model, config), f"{where}: {CONFIG}: compile_config")
    if version[:1] == "2":
        if "optimizer/vars/1" in tree:
            optimizer_state.warn_of_keras_2(where, version)
        return None
    return state_of_optimizer(model, tree, f"{where}: {WEIGHTS}")


def state_of_optimizer(model: Any, tree: hdf5.Group, where: str) -> list[hdf5.Dataset] | None:
    """The arrays of the state of a compiled model's optimizer in Keras's order; None where there are none."""
    if "optimizer/vars" not in tree or not model.variables:
        return None
    group = tree["optimizer/vars"]
    if not isinstance(group, hdf5.Group):
        raise FormatError(f"{where}: optimizer/vars is not a group.")
    found = []
    for i in range(len(group.members)):
        dataset = group.members.get(str(i))
        if not isinstance(dataset, hdf5.Dataset):
            raise FormatError(
                f"{where}: optimizer/vars has {len(group.members)} members, and {i} is not an array among them."
            )
        found.append(dataset)
    shapes = [(d.shape, arrays.dtype_of(d)) for d in found]
    return found if optimizer_state.check(model, shapes, where) else None

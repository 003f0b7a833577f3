"""`load_weights`: set a model's weights from a file of any format, and report which were set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lamella.core.variable import Variable
from lamella.errors import FormatError
from lamella.files import container, hdf5
from lamella.files.hdf5 import Dataset
from lamella.saving import arrays, keras_archive, layout, legacy_weights, optimizer_state, safetensors
from lamella.saving.report import LoadReport

Item = Dataset | np.ndarray


class _WeightLoader:
    """The weights to set, and the report."""

    def __init__(self, model: Any, where: str, skip: bool) -> None:
        self.paths = {id(v): path for path, v in model.named_weights()}
        self.where, self.skip = where, skip
        self.pairs: list[tuple[Variable, Item]] = []
        self.report = LoadReport()

    def offer(self, variable: Variable, item: Item, name: str) -> None:
        """Assign an array to a variable, if it fits.

        Raises:
            FormatError: it does not, and mismatches are not skipped.
        """
        path = self.paths[id(variable)]
        reason = legacy_weights.refusal(variable, item)
        if reason is None:
            self.pairs.append((variable, item))
            if path not in self.report.taken:
                self.report.taken.append(path)
        else:
            self.leave(path, name, reason)

    def leave(self, path: str, name: str, reason: str) -> None:
        """Record that a weight is unchanged and an array unused, for `reason`."""
        if not self.skip:
            raise FormatError(
                f"{self.where}: {name[:200]!r} is not for weight {path!r}: {reason}. skip_mismatch=True leaves it."
            )
        self.report.kept[path] = reason
        self.report.unused[name] = reason

    def finish(self, model: Any) -> LoadReport:
        """Set all weights together, and return the report."""
        for path, _ in model.named_weights():
            if path not in self.report.taken:
                self.report.kept.setdefault(path, "the file has none for it")
        arrays.assign(self.pairs)
        return self.report


def load(model: Any, data: bytes, where: str, skip_mismatch: bool, by_name: bool) -> LoadReport:
    """Set a model's weights; see `Sequential.load_weights`."""
    model.require_built()
    loader = _WeightLoader(model, where, skip_mismatch)
    state: list[Dataset] | None = None
    if data[:2] == b"PK":
        members = container.read(data, where)
        if keras_archive.WEIGHTS not in members:
            raise FormatError(f"{where}: the archive holds no {keras_archive.WEIGHTS}.")
        data = members[keras_archive.WEIGHTS]  # type: ignore[assignment]
        where = f"{where}: {keras_archive.WEIGHTS}"
    if bytes(data[:8]) == b"\x89HDF\r\n\x1a\n":
        tree = hdf5.read(data, name=where)
        if "layer_names" in tree.attrs or "layer_names0" in tree.attrs or "model_weights" in tree:
            _old(model, tree, loader, by_name)
        else:
            _new(model, tree, loader, by_name)
            state = _state(model, tree, where, skip_mismatch)
    elif safetensors.looks_like(data):
        _named(model, safetensors.arrays_of(data, where), loader)
    else:
        raise FormatError(f"{where}: neither HDF5 nor safetensors.")
    report = loader.finish(model)
    if state is not None:
        optimizer_state.restore(model, [arrays.values_of(d) for d in state])
    return report


def _state(model: Any, tree: hdf5.Group, where: str, skip: bool) -> list[Dataset] | None:
    """The optimizer's state beside the weights, where the model is compiled with an optimizer that has it."""
    if not optimizer_state.is_written(model._compiled):
        return None
    try:
        return keras_archive.state_of_optimizer(model, tree, where)
    except FormatError:
        if skip:
            return None
        raise


def _new(model: Any, tree: hdf5.Group, loader: _WeightLoader, by_name: bool) -> None:
    """Keras 3's layout: groups by class and number, each with the layer's name in an attribute."""
    found = arrays.layer_datasets(tree)
    used: set[str] = set()
    groups = _groups_by_name(tree) if by_name else {}
    places = layout.places(model)
    outer = {id(layer) for layer in model.layers}
    holders = {place.group: place.layer for place in places if id(place.layer) in outer}
    for place in places:
        top = place.group.split("/")[:2]
        group = place.group
        if by_name and len(top) == 2:
            holder = holders.get("/".join(top))
            named = groups.get(holder.name) if holder is not None else None
            if named is None:
                continue
            group = "/".join([named, *place.group.split("/")[2:]])
        for i, variable in enumerate(place.variables):
            path = f"{group}/vars/{i}" if group else f"vars/{i}"
            if path in found:
                used.add(path)
                loader.offer(variable, found[path], path)
            elif not by_name:
                loader.leave(loader.paths[id(variable)], path, "the file has none for it")
                loader.report.unused.pop(path, None)
    for path in found:
        if path not in used:
            if not (loader.skip or by_name):
                raise FormatError(
                    f"{loader.where}: {path[:200]!r} belongs to no layer of the model. skip_mismatch=True leaves it."
                )
            loader.report.unused.setdefault(path, "the model has no weight for it")


def _groups_by_name(tree: hdf5.Group) -> dict[str, str]:
    """The group of every outer layer by the layer's name."""
    layers = tree.members.get("layers")
    found: dict[str, str] = {}
    for group, member in layers.members.items() if isinstance(layers, hdf5.Group) else ():
        own = member.members.get("vars") if isinstance(member, hdf5.Group) else None
        name = own.attrs.get("name") if isinstance(own, hdf5.Group) else None
        if isinstance(name, str):
            found[name] = f"layers/{group}"
    return found


def _old(model: Any, tree: hdf5.Group, loader: _WeightLoader, by_name: bool) -> None:
    """Keras 1's and 2's layout: groups by the layers' names."""
    group = legacy_weights.group_of(tree, loader.where)
    version = str(group.attrs.get("keras_version") or tree.attrs.get("keras_version") or "1")
    found = legacy_weights.layers_in(group, loader.where)
    layers = [layer for layer in model.children.values() if legacy_weights.of(layer)]
    if by_name:
        known = {layer.name: layer for layer in layers}
        matched = [(known.get(name), name, held) for name, held in found]
    else:
        if len(layers) != len(found) and not loader.skip:
            raise FormatError(f"{loader.where}: {len(found)} layers with weights, the model has {len(layers)}.")
        following = iter(layers)
        matched = [(next(following, None), name, held) for name, held in found]
    if layout.own(model) and legacy_weights.TOP in group:
        matched.append((model, legacy_weights.TOP, legacy_weights.arrays_in(group, legacy_weights.TOP, loader.where)))
    for layer, name, held in matched:
        if layer is None:
            loader.report.unused |= {weight: f"the model has no layer {name!r}" for weight, _ in held}
            continue
        variables = layout.own(model) if layer is model else legacy_weights.of(layer)
        items = legacy_weights.converted(layer, held, version)
        if len(variables) != len(items):
            reason = f"{len(variables)} weights in layer {layer.name!r}, {len(items)} arrays in the file"
            # the lengths differ, and `reason` says so
            for variable, (weight, _) in zip(variables, held, strict=False):
                loader.leave(loader.paths[id(variable)], weight, reason)
            continue
        labels = [weight for weight, _ in held] if len(held) == len(items) else [f"{name}/{v.name}" for v in variables]
        for variable, item, label in zip(variables, items, labels, strict=True):
            loader.offer(variable, item, label)


def _named(model: Any, found: Mapping[str, np.ndarray], loader: _WeightLoader) -> None:
    """safetensors: arrays by the weights' paths."""
    for path, variable in model.named_weights():
        if path in found:
            loader.offer(variable, found[path], path)
        else:
            loader.leave(path, path, "the file has none for it")
            loader.report.unused.pop(path, None)
    known = set(loader.paths.values())
    for name in found:
        if name not in known:
            if not loader.skip:
                raise FormatError(
                    f"{loader.where}: {name[:200]!r} belongs to no layer of the model. skip_mismatch=True leaves it."
                )
            loader.report.unused[name] = "the model has no weight for it"

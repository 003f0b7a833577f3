"""Weights by layer, as Keras 1 and 2 wrote them and Keras 3 still reads them: a group for every layer, arrays by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lamella.core.variable import Variable
from lamella.errors import FormatError
from lamella.files import hdf5
from lamella.files.hdf5 import Dataset
from lamella.layers.base import Layer
from lamella.saving import arrays, layout

Item = Dataset | np.ndarray
Pairs = list[tuple[Variable, Item]]


def of(layer: Layer) -> list[Variable]:
    """A layer's variables in the order of these files: the trainable ones first."""
    states = {id(v) for held in (layer, *[inner for _, inner in layer.named_layers()]) for v in layout.kept(held)}
    return [v for v in (*layer.trainable_weights, *layer.non_trainable_weights) if id(v) not in states]


TOP = "top_level_model_weights"
"""The group of a model's own variables."""


def group_of(tree: hdf5.Group, where: str) -> hdf5.Group:
    """The group that holds the layers: that of a whole model, or the file itself where it holds weights alone.

    Raises:
        FormatError: there is none.
    """
    group = tree.members.get("model_weights", tree)
    if not isinstance(group, hdf5.Group):
        raise FormatError(f"{where}: model_weights is not a group.")
    if "layer_names" not in group.attrs and "layer_names0" not in group.attrs:
        raise FormatError(f"{where}: an HDF5 file that Keras did not write: it names no layers.")
    return group


def names_in(group: hdf5.Group, word: str, where: str) -> list[str]:
    """A list of names in an attribute, or in several where it was too long for one.

    Raises:
        FormatError: it is not a list of names.
    """
    values = [group.attrs[word]] if word in group.attrs else []
    while f"{word}{len(values)}" in group.attrs:
        values.append(group.attrs[f"{word}{len(values)}"])
    found: list[str] = []
    for value in values:
        if isinstance(value, np.ndarray) and value.size == 0:
            continue
        if isinstance(value, np.ndarray) and value.dtype.kind == "S":
            value = [item.decode("utf-8", "replace") for item in value.reshape(-1).tolist()]
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise FormatError(f"{where}: {group.path}: {word} is not a list of names.")
        found += value
    return found


def dataset_in(group: hdf5.Group, name: str, where: str) -> Dataset:
    """The array of a name in a group.

    Raises:
        FormatError: there is none.
    """
    found = group[name] if name in group else None
    if not isinstance(found, Dataset):
        raise FormatError(f"{where}: {group.path}/{name[:200]} is not an array.")
    return found


def layers_in(group: hdf5.Group, where: str) -> list[tuple[str, list[tuple[str, Dataset]]]]:
    """For every layer with weights its name and its arrays by name, in the order of the file."""
    found = [(name, arrays_in(group, name, where)) for name in names_in(group, "layer_names", where)]
    return [(name, held) for name, held in found if held]


def arrays_in(group: hdf5.Group, name: str, where: str) -> list[tuple[str, Dataset]]:
    """The arrays of the layer of a name by their names, in the order of the file.

    Raises:
        FormatError: there is no group of this name, or no array.
    """
    held = group[name] if name in group else None
    if not isinstance(held, hdf5.Group):
        raise FormatError(f"{where}: there is no group for layer {name[:200]!r}.")
    return [(weight, dataset_in(held, weight, where)) for weight in names_in(held, "weight_names", where)]


def by_place(model: Any, group: hdf5.Group, version: str, where: str) -> Pairs:
    """Every variable of a model with its array: the first layer with weights has the first group with weights, and so on.

    Raises:
        FormatError: they do not fit; nothing has been read of the arrays but what Keras 1's order needs.
    """
    layers = [layer for layer in model.children.values() if of(layer)]
    found = layers_in(group, where)
    if len(layers) != len(found):
        raise FormatError(f"{where}: {len(found)} layers with weights, the model has {len(layers)}.")
    holders = [(layer, of(layer), name, held) for layer, (name, held) in zip(layers, found, strict=True)]
    if layout.own(model):
        holders.append((model, layout.own(model), TOP, arrays_in(group, TOP, where)))
    pairs: Pairs = []
    for layer, variables, name, held in holders:
        items = converted(layer, held, version)
        if len(variables) != len(items):
            raise FormatError(
                f"{where}: layer {name[:200]!r} has {len(items)} arrays; in the model it is {layer.name!r} with "
                f"{len(variables)} weights."
            )
        for variable, item in zip(variables, items, strict=True):
            reason = refusal(variable, item)
            if reason is not None:
                raise FormatError(f"{where}: layer {name[:200]!r}, {variable.name!r}: {reason}.")
            pairs.append((variable, item))
    return pairs


def refusal(variable: Variable, item: Item) -> str | None:
    """Return why an array does not fit a variable."""
    dtype = arrays.dtype_of(item) if isinstance(item, Dataset) else item.dtype.name
    return arrays.refusal(variable, item.shape, dtype)


# ---- arrays of other layouts ----


def converted(layer: Any, held: Sequence[tuple[str, Dataset]], version: str) -> list[Item]:
    """Return a layer's arrays in their current number and order.

    Keras 1 had one array per gate, with other axes; CuDNNLSTM and CuDNNGRU had transposed kernels.
    Only arrays of the size the layer has are read here.
    """
    items: list[Item] = [dataset for _, dataset in held]
    held_by = type(layer).__name__
    if held_by == "TimeDistributed":
        return converted(layer.layer, held, version)
    if held_by == "Bidirectional":
        half = len(held) // 2
        return [
            *converted(layer.forward_layer, held[:half], version),
            *converted(layer.backward_layer, held[half:], version),
        ]
    for name, convert in (_KERAS_1 if version[:1] == "1" else _CUDNN).items():
        if name in {base.__name__ for base in type(layer).__mro__}:
            return convert(layer, items)
    return items


def _read(items: Sequence[Item]) -> list[np.ndarray]:
    return [arrays.values_of(item) if isinstance(item, Dataset) else item for item in items]


def _bounded(layer: Layer, items: list[Item]) -> list[np.ndarray] | None:
    """The arrays, read, where together they are no more than the layer's; else None."""
    wanted = sum(int(np.prod(v.shape, dtype=object)) for v in layer.variables)
    if sum(int(np.prod(item.shape, dtype=object)) for item in items) != wanted:
        return None
    return _read(items)


def _lstm(layer: Layer, items: list[Item]) -> list[Item]:
    """Kernel, recurrent kernel and bias of the gates i, c, f, o as i, f, c, o side by side."""
    read = _bounded(layer, items) if len(items) == 12 else None
    if read is None:
        return items
    gates = [read[3 * g : 3 * g + 3] for g in (0, 2, 1, 3)]
    return [np.concatenate([gate[k] for gate in gates], axis=-1) for k in range(3)]


def _gru(layer: Layer, items: list[Item]) -> list[Item]:
    """Kernel, recurrent kernel and bias of the gates z, r, h side by side."""
    read = _bounded(layer, items) if len(items) == 9 else None
    if read is None:
        return items
    return [np.concatenate([read[3 * g + k] for g in range(3)], axis=-1) for k in range(3)]


def _conv1d(layer: Layer, items: list[Item]) -> list[Item]:
    """A kernel (length, 1, inputs, filters) as (length, inputs, filters); (filters, inputs, length, 1) of Theano, flipped."""
    read = _bounded(layer, items)
    if read is None or read[0].ndim != 4:
        return items
    kernel, wanted = read[0], tuple(layer.variables[0].shape)
    if kernel.shape[1] == 1 and kernel[:, 0].shape == wanted:
        return [kernel[:, 0], *read[1:]]
    if kernel.shape[3] == 1 and kernel[..., 0].T.shape == wanted:
        return [kernel[..., 0].T[::-1], *read[1:]]
    return items


def _conv2d(layer: Layer, items: list[Item]) -> list[Item]:
    """A kernel (filters, inputs, rows, columns) of Theano, which turned its kernels around, as today's."""
    read = _bounded(layer, items)
    wanted = tuple(layer.variables[0].shape)
    if read is None or read[0].ndim != 4 or read[0].shape == wanted:
        return items
    turned = read[0].transpose(2, 3, 1, 0)
    return [turned[::-1, ::-1], *read[1:]] if turned.shape == wanted else items


def _of_cudnn(gates: int, merged: Callable[[np.ndarray], np.ndarray]) -> Callable[[Layer, list[Item]], list[Item]]:
    """The conversion of a CuDNN layer's arrays, recognized by concatenated biases of the inputs and of the state."""

    def convert(layer: Layer, items: list[Item]) -> list[Item]:
        shapes = [tuple(variable.shape) for variable in of(layer)]
        if [tuple(item.shape) for item in items] != [*shapes[:2], (2 * shapes[-1][-1],)]:
            return items
        kernel, recurrent, bias = _read(items)
        by_gate = [np.hsplit(array, gates) for array in (kernel, recurrent)]
        return [
            np.hstack([gate.T.reshape(gate.shape, order="F") for gate in by_gate[0]]),
            np.hstack([gate.T for gate in by_gate[1]]),
            merged(bias.reshape(2, -1)),
        ]

    return convert


_KERAS_1: dict[str, Callable[[Layer, list[Item]], list[Item]]] = {
    "LSTM": _lstm,
    "GRU": _gru,
    "Conv1D": _conv1d,
    "Conv2D": _conv2d,
}
"""The conversions of the arrays of Keras 1, by layer."""

_CUDNN = {"LSTM": _of_cudnn(4, lambda biases: biases.sum(0)), "GRU": _of_cudnn(3, lambda biases: biases)}
"""The same for CuDNNLSTM and CuDNNGRU."""

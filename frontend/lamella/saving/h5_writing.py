"""A model's arrays and names as an HDF5 tree, ready to be written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lamella.errors import FormatError
from lamella.files import hdf5
from lamella.files.hdf5.write import Array, Tree, to_bytes
from lamella.optimizers import LossScaleOptimizer
from lamella.saving import arrays, layout, optimizer_state

_LONGEST = 60_000
"""The maximum size of the names in one attribute in bytes; Keras splits longer lists."""


def need_h5py() -> None:
    """Raise the `ImportError` of writing before anything is computed."""
    to_bytes(Tree())


class Folder:
    """A group under construction.

    Attributes:
        folders: the groups in it by name.
        arrays: the datasets in it by name.
        attrs: its attributes.
    """

    def __init__(self) -> None:
        self.folders: dict[str, Folder] = {}
        self.arrays: dict[str, Array] = {}
        self.attrs: dict[str, Any] = {}

    def at(self, path: str) -> Folder:
        """The group at a path below this one, made where there is none."""
        held = self
        for name in path.split("/") if path else ():
            held = held.folders.setdefault(name, Folder())
        return held

    def put(self, path: str, values: np.ndarray, dtype: str = "") -> None:
        """Add a dataset at a path; bfloat16 is marked by an attribute."""
        group, _, name = path.rpartition("/")
        self.at(group).arrays[name] = Array(values, {"dtype": dtype} if dtype == "bfloat16" else {})

    def put_names(self, word: str, names: Sequence[str]) -> None:
        """Add a list of names as an attribute, split into several if it is too long for one.

        Raises:
            ValueError: one of the names is too long for an attribute.
        """
        data = np.asarray([name.encode() for name in names])
        if data.itemsize > _LONGEST:
            raise ValueError(
                f"a path of {data.itemsize:,} bytes in the model is too long for HDF5: give the layers shorter names, nest "
                "them less deeply, or save the model as .safetensors."
            )
        parts = [data]
        while any(part.nbytes > _LONGEST for part in parts):
            parts = np.array_split(data, len(parts) + 1)
        for i, part in enumerate(parts):
            self.attrs[word if len(parts) == 1 else f"{word}{i}"] = part

    def tree(self) -> Tree:
        """The finished group."""
        return Tree({**self.arrays, **{name: held.tree() for name, held in self.folders.items()}}, self.attrs)

    def to_bytes(self) -> bytes:
        """The file of which this is the root.

        Raises:
            ValueError: it holds more, or is nested deeper, than is read of any file.
        """
        data = to_bytes(self.tree())
        try:
            hdf5.read(data, name="the file")
        except FormatError as error:
            raise ValueError(f"The model cannot be written to HDF5, because it could not be read: {error}") from None
        return data


def weights_file(model: Any) -> bytes:
    """A `.weights.h5` file in Keras 3's layout: the arrays of all layers, and the optimizer's state."""
    file = Folder()
    for place in layout.places(model):
        group = file.at(f"{place.group}/vars" if place.group else "vars")
        group.attrs["name"] = place.layer.name
        for i, variable in enumerate(place.variables):
            group.put(str(i), *arrays.stored(variable))
    for path, variable in layout.states(model):
        file.put(path, *arrays.stored(variable))
    state = optimizer_state.values(model)
    if state:
        _put_state(file.at("optimizer/vars"), model.optimizer.name, state)
    if state and isinstance(model.optimizer, LossScaleOptimizer):
        # Keras writes the inner optimizer's arrays twice
        inner = file.at("optimizer/inner_optimizer/vars")
        _put_state(inner, model.optimizer.inner_optimizer.name, state[optimizer_state.OWN_OF_LOSS_SCALE :])
    return file.to_bytes()


def _put_state(group: Folder, name: str, state: Sequence[np.ndarray]) -> None:
    group.attrs["name"] = name
    for i, array in enumerate(state):
        group.put(str(i), array)

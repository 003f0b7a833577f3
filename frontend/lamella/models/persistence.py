"""The part of a model that writes and reads configurations, copies and files."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from lamella.core import serialization
from lamella.ir.dim import public_shape
from lamella.layers.base import Layer
from lamella.layers.making import parameters
from lamella.tree import map_leaves

if TYPE_CHECKING:
    from lamella.graph import Graph
    from lamella.saving.report import LoadReport

Path = str | os.PathLike[str]


class Persistent(Layer):
    """The part of a model that writes and reads configurations, copies and files."""

    keras_module = "keras"
    _graph: Graph | None
    _nodes: dict[str, Layer]

    # ---- configuration ----

    def get_config(self) -> dict[str, Any]:
        """Return the graph in Keras 3's functional schema, or the constructor arguments of a subclass.

        Returns:
            A dict for `from_config`, which makes an equal model with newly drawn weights.

        Example:
            >>> from lamella import Input, Model, layers
            >>> x = Input((2,), name="x")
            >>> model = Model(x, layers.Dense(3)(x), name="small")
            >>> sorted(model.get_config())
            ['input_layers', 'layers', 'name', 'output_layers', 'trainable']
        """
        if self._graph is None or not _takes_a_graph(type(self)):
            return super().get_config()
        from lamella.models import graph_config

        with serialization.sharing():
            return {"name": self.name, "trainable": self._trainable, **graph_config.serialize(self)}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Self:
        """Return a model with newly drawn weights from what `get_config` returned.

        Args:
            config: the configuration.
            custom_objects: dict from name to class or function, for the user-defined objects that it names.

        Returns:
            The model, not compiled.

        Raises:
            UnknownNameError: it names a class that neither lamella nor `custom_objects` defines.

        Example:
            >>> from lamella import Input, Model, layers
            >>> x = Input((2,))
            >>> config = Model(x, layers.Dense(3)(x)).get_config()
            >>> Model.from_config(config).output_shape
            (None, 3)
        """
        with serialization.custom_objects(custom_objects), serialization.sharing():
            if "input_layers" not in config:
                return super().from_config(config)  # type: ignore[return-value]
            from lamella.models import graph_config

            return graph_config.made(cls, config)

    @property
    def class_in_files(self) -> str:
        """The class name in files: "Functional", as in Keras, for a graph without a user-defined class."""
        return "Functional" if self._graph is not None and serialization.module_of(type(self)) else type(self).__name__

    def _further_config(self) -> dict[str, Any]:
        from lamella.saving import compiling

        found: dict[str, Any] = {}
        if self._graph is None and self.built:
            spec = self.input_spec  # type: ignore[attr-defined]
            found["build_config"] = {"input_shape": map_leaves(lambda spec: list(public_shape(spec.shape)), spec)}
        elif self.class_in_files != type(self).__name__:
            name = self.class_in_files
            found = {"module": "keras.src.models.functional", "class_name": name, "registered_name": name}
        return found | compiling.compile_config(self)

    def to_json(self, **options: Any) -> str:
        """Return the configuration as JSON text, for `lamella.models.model_from_json`.

        Args:
            **options: options of `json.dumps`, for example `indent=2`.

        Returns:
            The JSON text.

        Raises:
            ValueError: the model contains something that text cannot describe, such as a lambda.

        Example:
            >>> import json
            >>> from lamella import Sequential
            >>> json.loads(Sequential(name="empty").to_json())["config"]["name"]
            'empty'
        """
        from lamella.files import text

        return text.written(serialization.serialize(self), f"model {self.name!r}", **options)

    # ---- files ----

    def save(
        self,
        filepath: Path,
        overwrite: bool = True,
        include_optimizer: bool = True,
        save_format: str | None = None,
    ) -> None:
        """Write the model to a file: architecture, weights, compile configuration and optimizer state.

        The file is written atomically: after a failure the previous file, if any, is unchanged. Equal models give
        identical bytes.

        Args:
            filepath: path that ends in `.keras` (Keras 3's archive), `.h5` or `.hdf5` (Keras's older format), or
                `.safetensors` (weights, with the architecture in the metadata).
            overwrite: whether an existing file is replaced.
            include_optimizer: False writes the model as if it had not been compiled.
            save_format: deprecated, "keras" or "h5"; the ending of `filepath` selects the format.

        Raises:
            ValueError: the ending is not supported, `save_format` contradicts it, or the model contains something that
                a file cannot describe.
            FileExistsError: the file exists and `overwrite` is False.
            ImportError: the format needs h5py, which is not installed.

        Example:
            >>> import os, tempfile
            >>> import lamella
            >>> from lamella.layers import Dense, Input
            >>> model = lamella.Sequential([Input((2,)), Dense(3)])
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     model.save(os.path.join(folder, "small.safetensors"))
            ...     loaded = lamella.models.load_model(os.path.join(folder, "small.safetensors"))
            >>> bool((loaded.get_weights()[0] == model.get_weights()[0]).all())
            True
        """
        from lamella import saving

        saving.save_model(self, filepath, overwrite, include_optimizer, save_format)

    def save_weights(self, filepath: Path, overwrite: bool = True) -> None:
        """Write the weights to a file.

        Args:
            filepath: path that ends in `.weights.h5` (Keras 3's layout, with the optimizer state), in another `.h5` or
                in `.hdf5` (Keras's older format), or in `.safetensors`.
            overwrite: whether an existing file is replaced.

        Raises:
            ValueError: the ending is not supported, or the model has no weights yet.
            FileExistsError: the file exists and `overwrite` is False.
            ImportError: the format needs h5py, which is not installed.

        Example:
            >>> import os, tempfile
            >>> from lamella import Sequential
            >>> from lamella.layers import Dense, Input
            >>> model = Sequential([Input((2,)), Dense(3)])
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     model.save_weights(os.path.join(folder, "small.safetensors"))
            ...     os.listdir(folder)
            ['small.safetensors']
        """
        from lamella import saving

        saving.save_weights(self, filepath, overwrite=overwrite)

    def load_weights(self, filepath: Path, skip_mismatch: bool = False, by_name: bool = False) -> LoadReport:
        """Set the weights from a file.

        Args:
            filepath: path of a `.weights.h5`, `.keras` or `.safetensors` file, or of an HDF5 file of Keras 1, 2 or 3
                with any name.
            skip_mismatch: whether weights whose shape or number does not match are left unchanged.
            by_name: whether layers are matched by name instead of by position; layers without a counterpart are
                unchanged.

        Returns:
            A `LoadReport`: which weights were set, which were not, and why.

        Raises:
            FormatError: the file is damaged, or does not fit the model, which is unchanged then.

        Example:
            >>> import os, tempfile
            >>> from lamella import Sequential
            >>> from lamella.layers import Dense, Input
            >>> model = Sequential([Input((2,)), Dense(3)])
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     path = os.path.join(folder, "small.safetensors")
            ...     model.save_weights(path)
            ...     print(model.load_weights(path))
            2 weights taken, 0 kept, 0 arrays of the file unused
        """
        from lamella import saving

        return saving.load_weights(self, filepath, skip_mismatch=skip_mismatch, by_name=by_name)

    # ---- copies ----

    def __copy__(self) -> Self:
        """Return a model that shares layers and weights."""
        clone = type(self).__new__(type(self))
        vars(clone).update(vars(self))
        return clone

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return a model with equal configuration, weights and training state; programs are compiled again."""
        from lamella.saving import copies

        return copies.restored(type(self), copy.deepcopy(copies.state_of(self), memo))

    def __reduce__(self) -> Any:
        """Pickle the same data as a deep copy contains."""
        from lamella.saving import copies

        return copies.restored, (type(self), copies.state_of(self, pickled=True))


def _takes_a_graph(cls: type) -> bool:
    """Whether the constructor of a class takes `inputs` and `outputs`, or passes on all its arguments."""
    return {"inputs", "outputs"} <= set(parameters(cls)) or {"args", "kwargs"} <= set(parameters(cls))

"""A model that outlives its process: its configuration, copies of it, and files."""

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
    """The part of a model that has to do with configurations and files."""

    keras_module = "keras"
    _graph: Graph | None
    _nodes: dict[str, Layer]

    # ---- configuration ----

    def get_config(self) -> dict[str, Any]:
        """The graph in Keras 3's functional schema; of a subclass with a constructor of its own, that one's arguments.

        `from_config` makes an equal model with weights of its own.
        """
        if self._graph is None or not _takes_a_graph(type(self)):
            return super().get_config()
        from lamella.models import graph_config

        with serialization.sharing():
            return {"name": self.name, "trainable": self._trainable, **graph_config.described(self)}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Self:
        """A model, with weights of its own, from what `get_config` gave.

        Args:
            config: the configuration.
            custom_objects: the classes and functions of your own that it names: {name: class}.

        Raises:
            UnknownNameError: it names a class that neither lamella nor the caller knows.
        """
        with serialization.custom_objects(custom_objects), serialization.sharing():
            if "input_layers" not in config:
                return super().from_config(config)  # type: ignore[return-value]
            from lamella.models import graph_config

            return graph_config.made(cls, config)

    @property
    def class_in_files(self) -> str:
        """The name of the class in files: that of a graph without a class of the user's own is Keras's."""
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
        """The configuration as JSON text; `lamella.models.model_from_json` makes a model from it.

        Args:
            **options: as for `json.dumps`, for instance `indent=2`.

        Raises:
            ValueError: it holds something that no text can describe, such as a lambda.
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

        Args:
            filepath: ends in ".keras" (Keras 3's archive), ".h5" or ".hdf5" (Keras's older format), or ".safetensors"
                (weights, with the architecture beside them).
            overwrite: replace a file that is there.
            include_optimizer: False writes the model as if it had not been compiled.
            save_format: a word of earlier releases, "keras" or "h5": what `filepath` ends in already.

        The file is whole or not there at all, whatever happens in between. The same model gives the same bytes.

        Raises:
            ValueError: the name has none of these endings, `save_format` is another, or the model holds what no file can
                hold.
            FileExistsError: there is such a file, and `overwrite` is False.
            ImportError: h5py is not installed.
        """
        from lamella import saving

        saving.save_model(self, filepath, overwrite, include_optimizer, save_format)

    def save_weights(self, filepath: Path, overwrite: bool = True) -> None:
        """Write the weights to a file.

        Args:
            filepath: ends in ".weights.h5" (Keras 3's layout, with the optimizer's state), in any other ".h5" or in ".hdf5"
                (Keras's older format), or in ".safetensors".
            overwrite: replace a file that is there.

        Raises:
            ValueError: the name has none of these endings, or the model has no weights yet.
            FileExistsError: there is such a file, and `overwrite` is False.
            ImportError: h5py is not installed.
        """
        from lamella import saving

        saving.save_weights(self, filepath, overwrite=overwrite)

    def load_weights(self, filepath: Path, skip_mismatch: bool = False, by_name: bool = False) -> LoadReport:
        """Set the weights from a file.

        Args:
            filepath: a ".weights.h5", ".keras" or ".safetensors" file, or an ".h5" or ".hdf5" file of Keras 1, 2 or 3,
                whatever its name is.
            skip_mismatch: leave weights whose shape or number does not fit as they are.
            by_name: take layers by their names instead of by their places; layers without a counterpart stay.

        Returns:
            What was taken, and what was not, and why.

        Raises:
            FormatError: the file is damaged, or does not fit the model; the model stays as it was.
        """
        from lamella import saving

        return saving.load_weights(self, filepath, skip_mismatch=skip_mismatch, by_name=by_name)

    # ---- copies ----

    def __copy__(self) -> Self:
        """The same layers and weights, shared."""
        clone = type(self).__new__(type(self))
        vars(clone).update(vars(self))
        return clone

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """A model of equal configuration, weights and training state; programs are made again."""
        from lamella.saving import copies

        return copies.restored(type(self), copy.deepcopy(copies.state_of(self), memo))

    def __reduce__(self) -> Any:
        """A pickle holds what a deep copy does."""
        from lamella.saving import copies

        return copies.restored, (type(self), copies.state_of(self, pickled=True))


def _takes_a_graph(cls: type) -> bool:
    """Whether the constructor of a class takes inputs and outputs, or passes on whatever it is given."""
    return {"inputs", "outputs"} <= set(parameters(cls)) or {"args", "kwargs"} <= set(parameters(cls))

"""A model that outlives its process: its configuration, copies of it, and files."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from lamella.layers.base import Layer
from lamella.layers.core import InputLayer

if TYPE_CHECKING:
    from lamella.saving.report import LoadReport

Path = str | os.PathLike[str]


class Persistent(Layer):
    """The part of a `Sequential` that has to do with configurations and files."""

    _input: tuple[tuple[int | None, ...], str | None] | None
    _input_name: str | None

    # ---- configuration ----

    def get_config(self) -> dict[str, Any]:
        """Name, layers and input shape, in Keras 3's schema; `from_config` makes an equal model with weights of its own."""
        from lamella.core import serialization

        layers: list[Any] = []
        if self._input is not None:
            shape, dtype = self._input
            declared = InputLayer(batch_shape=shape, dtype=dtype or self.input_dtype, name=self._input_name)  # type: ignore[attr-defined]
            layers.append(serialization.serialize(declared))
        layers += [serialization.serialize(layer) for layer in self.layers]  # type: ignore[attr-defined]
        config = {
            "name": self.name,
            "trainable": self._trainable,
            "dtype": serialization.serialize(self.dtype_policy),
            "layers": layers,
        }
        if self._input is not None:
            config["build_input_shape"] = list(self._input[0])
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Self:
        """A model, with weights of its own, from what `get_config` gave.

        Args:
            config: the configuration.
            custom_objects: the classes and functions of your own that it names: {name: class}.

        Raises:
            UnknownNameError: it names a class that neither lamella nor the caller knows.
        """
        from lamella.core import serialization

        model = cls(name=config.get("name"), trainable=config.get("trainable", True))
        with serialization.custom_objects(custom_objects):
            for entry in config["layers"]:
                layer = serialization.deserialize(entry)
                named = layer._named
                layer._named = named or entry["config"].get("name") is not None
                model.add(layer)  # type: ignore[attr-defined]
                layer._named = named  # another model may number a name of the pattern that unnamed layers get
        shape = config.get("build_input_shape")
        if shape is not None and model._input is None:
            model.build(tuple(shape))
        return model

    def _further_config(self) -> dict[str, Any]:
        from lamella.saving import compiling

        found: dict[str, Any] = {}
        if self._input is not None:
            found["build_config"] = {"input_shape": list(self._input[0])}
        return found | compiling.compile_config(self)

    def to_json(self, **options: Any) -> str:
        """The configuration as JSON text; `lamella.models.model_from_json` makes a model from it.

        Args:
            **options: as for `json.dumps`, for instance `indent=2`.

        Raises:
            ValueError: it holds something that no text can describe, such as a lambda.
        """
        from lamella.core import serialization
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

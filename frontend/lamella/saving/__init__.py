"""Files: models and weights, read and written.

| ending | content | written | read |
|---|---|---|---|
| `.keras` | a model: architecture, weights, compile configuration, optimizer state | yes | of Keras 3 and lamella |
| `.weights.h5` | weights in Keras 3's layout, optimizer state | yes | of Keras 3 and lamella |
| `.h5`, `.hdf5` | a model, or weights alone, in Keras's older format | yes | of Keras 2 and 3; of Keras 1 the weights |
| `.safetensors` | weights by name, with the architecture in the metadata | yes | yes |

Files are treated as data: no part of a file is executed, imported or followed. A file that cannot be read raises
`FormatError`, and nothing is loaded partially.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lamella.absent import refusing
from lamella.core.registration import deserialize_keras_object as deserialize_keras_object
from lamella.core.registration import get_custom_objects as get_custom_objects
from lamella.core.registration import get_registered_name as get_registered_name
from lamella.core.registration import get_registered_object as get_registered_object
from lamella.core.registration import register_keras_serializable as register_keras_serializable
from lamella.core.registration import serialize_keras_object as serialize_keras_object
from lamella.errors import ArgumentError
from lamella.errors import FormatError as FormatError
from lamella.names import custom_objects as custom_object_scope
from lamella.names import deprecated
from lamella.saving.report import LoadReport as LoadReport

CustomObjectScope = custom_object_scope

_ZIP, _HDF5 = b"PK", b"\x89HDF\r\n\x1a\n"
_OLD = (".h5", ".hdf5")
MODELS = (".keras", *_OLD, ".safetensors")
"""How the names of files end that `save_model` writes."""

WEIGHTS = (".weights.h5", *_OLD, ".safetensors")
"""How the names of files end that `save_weights` writes."""

_FORMATS = {"keras": (".keras",), "h5": _OLD, "hdf5": _OLD, "safetensors": (".safetensors",)}
"""For each value of `save_format` the endings that it goes with."""


def save_model(
    model: Any,
    filepath: str | os.PathLike[str],
    overwrite: bool = True,
    include_optimizer: bool = True,
    save_format: str | None = None,
) -> None:
    """Write a model to a file; the same as `model.save`.

    Args:
        model: the model.
        filepath: path that ends in `.keras`, `.h5`, `.hdf5` or `.safetensors`.
        overwrite: whether an existing file is replaced.
        include_optimizer: False writes the model as if it had not been compiled.
        save_format: deprecated, "keras" or "h5"; the ending of `filepath` selects the format.

    Raises:
        ValueError: the ending is not supported, `save_format` contradicts it, or the model contains something that a
            file cannot describe.
        FileExistsError: the file exists and `overwrite` is False.
        ImportError: the format needs h5py, which is not installed.

    Example:
        >>> import os, tempfile
        >>> import lamella
        >>> from lamella.layers import Dense, Input
        >>> model = lamella.Sequential([Input((2,)), Dense(3)])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_model(model, os.path.join(folder, "small.safetensors"))
        ...     os.listdir(folder)
        ['small.safetensors']
    """
    import copy

    from lamella.files import atomic
    from lamella.saving import compiling, h5_writing, keras_archive, legacy_h5, safetensors

    path = _target(filepath, overwrite, MODELS)
    if save_format is not None:
        _check_format(path, save_format)
    if str(path).endswith(".weights.h5"):
        raise ValueError(
            f"{str(path)!r} is a name for weights alone: write model.save_weights(...), or drop '.weights'."
        )
    if path.suffix != ".safetensors":
        h5_writing.need_h5py()
    if not include_optimizer:
        model = copy.copy(model)
        model._compiled = None
    compiling.warn_of_optimizer(model)
    if path.suffix == ".keras":
        atomic.write_atomically(path, lambda file: keras_archive.write(model, file))
    else:
        write = safetensors.file_of if path.suffix == ".safetensors" else legacy_h5.file_of
        atomic.write_atomically(path, write(model))


def save_weights(model: Any, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
    """Write a model's weights to a file; the same as `model.save_weights`.

    Args:
        model: the model.
        filepath: path that ends in `.weights.h5`, `.h5`, `.hdf5` or `.safetensors`.
        overwrite: whether an existing file is replaced.

    Raises:
        ValueError: the ending is not supported, or the model has no weights yet.
        FileExistsError: the file exists and `overwrite` is False.
        ImportError: the format needs h5py, which is not installed.

    Example:
        >>> import os, tempfile
        >>> import lamella
        >>> from lamella.layers import Dense, Input
        >>> model = lamella.Sequential([Input((2,)), Dense(3)])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_weights(model, os.path.join(folder, "small.safetensors"))
        ...     load_weights(model, os.path.join(folder, "small.safetensors")).taken
        ['dense/kernel', 'dense/bias']
    """
    from lamella.files import atomic
    from lamella.saving import h5_writing, legacy_h5, safetensors

    path = _target(filepath, overwrite, WEIGHTS)
    if not model.variables and not model.built:
        raise ValueError(f"Model {model.name!r} has no weights yet: give it an input shape first.")
    if path.suffix != ".safetensors":
        h5_writing.need_h5py()
    write = safetensors.file_of if path.suffix == ".safetensors" else legacy_h5.weights_file
    if path.name.endswith(".weights.h5"):
        write = h5_writing.weights_file
    atomic.write_atomically(path, write(model))


def load_model(
    filepath: str | os.PathLike[str],
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
) -> Any:
    """Return the model stored in a file; the same as `lamella.models.load_model`.

    Args:
        filepath: path of a `.keras`, `.h5`, `.hdf5` or `.safetensors` file.
        custom_objects: dict from name to class or function, for the user-defined objects that the model uses.
        compile: whether to compile the model, and to restore its optimizer state, if the file describes both.
        safe_mode: must be True; files are treated as data only.

    Returns:
        The model.

    Raises:
        ArgumentError: `safe_mode` is False.
        FormatError: the file is damaged, or describes something that lamella does not implement.
        FileNotFoundError: the file does not exist.

    Example:
        >>> import os, tempfile
        >>> import lamella
        >>> from lamella.layers import Dense, Input
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "small.safetensors")
        ...     lamella.Sequential([Input((2,)), Dense(3)]).save(path)
        ...     load_model(path).output_shape
        (None, 3)
    """
    from lamella.saving import keras_archive, legacy_h5, safetensors

    if not safe_mode:
        raise ArgumentError(
            "safe_mode=False would run code of the file, which lamella never does: give a Lambda's function to the call, "
            "custom_objects={name of the function or of the layer: function}."
        )
    data = _content(filepath)
    where = Path(filepath).name
    if data[:2] == _ZIP:
        return keras_archive.read(data, where, custom_objects, compile)
    if data[:8] == _HDF5:
        return legacy_h5.read(data, where, custom_objects, compile)
    if safetensors.looks_like(data):
        return safetensors.read(data, where, custom_objects)
    raise FormatError(f"{where}: neither a .keras archive nor an HDF5 or safetensors file.")


def load_weights(
    model: Any, filepath: str | os.PathLike[str], skip_mismatch: bool = False, by_name: bool = False
) -> LoadReport:
    """Set a model's weights from a file; the same as `model.load_weights`.

    Args:
        model: the model.
        filepath: path of a `.weights.h5`, `.keras`, `.safetensors` or HDF5 file.
        skip_mismatch: whether weights whose shape or number does not match are left unchanged.
        by_name: whether layers are matched by name instead of by position.

    Returns:
        A `LoadReport`: which weights were set, which were not, and why.

    Raises:
        FormatError: the file is damaged, or does not fit the model, which is unchanged then.

    Example:
        >>> import os, tempfile
        >>> import lamella
        >>> from lamella.layers import Dense, Input
        >>> model = lamella.Sequential([Input((2,)), Dense(3)])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "small.safetensors")
        ...     model.save_weights(path)
        ...     load_weights(model, path).complete
        True
    """
    from lamella.saving import weights

    return weights.load(model, _content(filepath), Path(filepath).name, skip_mismatch, by_name)


def model_from_json(json_string: str, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """Return a model with newly drawn weights from JSON text; the same as `lamella.models.model_from_json`.

    Args:
        json_string: the text that `model.to_json` of lamella or of Keras returned.
        custom_objects: dict from name to class or function, for the user-defined objects that the model uses.

    Returns:
        The model, not compiled.

    Raises:
        FormatError: the text does not describe a model.

    Example:
        >>> import lamella
        >>> from lamella.layers import Dense, Input
        >>> model_from_json(lamella.Sequential([Input((2,)), Dense(3)]).to_json()).output_shape
        (None, 3)
    """
    from lamella.core import serialization
    from lamella.files import text
    from lamella.saving import assembly, checking, keras_2

    where = "the JSON text"
    with serialization.custom_objects(custom_objects):
        node = text.parsed(json_string, where)
        checked = checking.model(node, where)
        keras_2.translate(checked, str(node.get("keras_version")))
        # built once without numbers: a model that no machine holds is refused before its weights are drawn
        assembly.built(checked, where, assembly.LARGEST_DRAWN)
        return assembly.guarded(lambda: serialization.deserialize(checked), where)


def _target(filepath: str | os.PathLike[str], overwrite: bool, endings: tuple[str, ...]) -> Path:
    path = Path(filepath)
    if not str(path).endswith(endings):
        raise ValueError(f"{str(path)!r}: a file's name ends in one of {', '.join(endings)}.")
    if not overwrite and path.exists():
        raise FileExistsError(f"{str(path)!r} is there already; overwrite=True replaces it.")
    return path


def _check_format(path: Path, save_format: str) -> None:
    deprecated("'save_format'", "the end of the file's name")
    if save_format in ("tf", "tensorflow"):
        raise ArgumentError("lamella does not write TensorFlow's SavedModel: name a file that ends in '.keras'.")
    if save_format not in _FORMATS:
        raise ArgumentError(f"save_format must be one of {', '.join(map(repr, _FORMATS))}, got {save_format!r}.")
    if path.suffix not in _FORMATS[save_format]:
        raise ArgumentError(f"save_format={save_format!r} does not go with {str(path)!r}: leave it out.")


def _content(filepath: str | os.PathLike[str]) -> bytes:
    path = Path(filepath)
    if path.is_dir():
        raise FormatError(f"{path.name}: a folder; TensorFlow's SavedModel is not read.")
    return path.read_bytes()


if not TYPE_CHECKING:
    __getattr__ = refusing(__name__)

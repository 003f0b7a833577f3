"""Utilities for scripts, with Keras's names; rarely used ones are imported on first access."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from lamella.absent import no_attribute
from lamella.config import disable_interactive_logging as disable_interactive_logging
from lamella.config import enable_interactive_logging as enable_interactive_logging
from lamella.config import is_interactive_logging_enabled as is_interactive_logging_enabled
from lamella.core.registration import deserialize_keras_object as deserialize_keras_object
from lamella.core.registration import get_custom_objects as get_custom_objects
from lamella.core.registration import get_registered_name as get_registered_name
from lamella.core.registration import get_registered_object as get_registered_object
from lamella.core.registration import register_keras_serializable as register_keras_serializable
from lamella.core.registration import serialize_keras_object as serialize_keras_object
from lamella.host_random import set_random_seed as set_random_seed
from lamella.names import custom_objects as custom_object_scope
from lamella.names import deprecated
from lamella.training.pydataset import PyDataset as PyDataset
from lamella.training.train_step import unpack_x_y_sample_weight as unpack_x_y_sample_weight
from lamella.utils.arrays import normalize as normalize
from lamella.utils.arrays import pack_x_y_sample_weight as pack_x_y_sample_weight
from lamella.utils.arrays import standardize_dtype as standardize_dtype
from lamella.utils.arrays import to_categorical as to_categorical
from lamella.utils.sequences import pad_sequences as pad_sequences
from lamella.utils.sequences import pad_to_buckets as pad_to_buckets

if TYPE_CHECKING:
    from lamella.utils.audio_files import audio_dataset_from_directory as audio_dataset_from_directory
    from lamella.utils.config import Config as Config
    from lamella.utils.downloads import get_file as get_file
    from lamella.utils.graphs import get_source_inputs as get_source_inputs
    from lamella.utils.graphs import is_keras_tensor as is_keras_tensor
    from lamella.utils.image_dataset import image_dataset_from_directory as image_dataset_from_directory
    from lamella.utils.images import array_to_img as array_to_img
    from lamella.utils.images import img_to_array as img_to_array
    from lamella.utils.images import load_img as load_img
    from lamella.utils.images import save_img as save_img
    from lamella.utils.images import smart_resize as smart_resize
    from lamella.utils.plotting import model_to_dot as model_to_dot
    from lamella.utils.plotting import plot_model as plot_model
    from lamella.utils.progbar import Progbar as Progbar
    from lamella.utils.splitting import split_dataset as split_dataset
    from lamella.utils.text_files import text_dataset_from_directory as text_dataset_from_directory
    from lamella.utils.timeseries import timeseries_dataset_from_array as timeseries_dataset_from_array

CustomObjectScope = custom_object_scope

Sequence = PyDataset
"""Keras 2's name of `PyDataset`."""

_LATER = {
    "Config": "config",
    "Progbar": "progbar",
    "audio_dataset_from_directory": "audio_files",
    "get_file": "downloads",
    "get_source_inputs": "graphs",
    "is_keras_tensor": "graphs",
    "model_to_dot": "plotting",
    **dict.fromkeys(("array_to_img", "img_to_array", "load_img", "save_img", "smart_resize"), "images"),
    "image_dataset_from_directory": "image_dataset",
    "plot_model": "plotting",
    "split_dataset": "splitting",
    "text_dataset_from_directory": "text_files",
    "timeseries_dataset_from_array": "timeseries",
}
"""Names that are imported when they are first asked for, and the modules that have them."""


def clear_session() -> None:
    """Do nothing; kept for old scripts. Layer names and seeds belong to a model, so there is no global state to clear.

    Example:
        >>> import lamella
        >>> lamella.utils.clear_session()
    """


def __getattr__(name: str) -> Any:
    """Import a name on first access; `from keras.utils import np_utils` of old tutorials returns this module."""
    if name == "np_utils":
        deprecated("utils.np_utils", "lamella.utils")
        return sys.modules[__name__]
    if name not in _LATER:
        raise no_attribute(__name__, name, __all__)
    return getattr(importlib.import_module(f"lamella.utils.{_LATER[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


__all__ = [
    "Config",
    "CustomObjectScope",
    "Progbar",
    "PyDataset",
    "Sequence",
    "array_to_img",
    "audio_dataset_from_directory",
    "clear_session",
    "custom_object_scope",
    "deserialize_keras_object",
    "disable_interactive_logging",
    "enable_interactive_logging",
    "get_custom_objects",
    "get_file",
    "get_registered_name",
    "get_registered_object",
    "get_source_inputs",
    "image_dataset_from_directory",
    "img_to_array",
    "is_interactive_logging_enabled",
    "is_keras_tensor",
    "load_img",
    "model_to_dot",
    "normalize",
    "pack_x_y_sample_weight",
    "pad_sequences",
    "pad_to_buckets",
    "plot_model",
    "register_keras_serializable",
    "save_img",
    "serialize_keras_object",
    "set_random_seed",
    "smart_resize",
    "split_dataset",
    "standardize_dtype",
    "text_dataset_from_directory",
    "timeseries_dataset_from_array",
    "to_categorical",
    "unpack_x_y_sample_weight",
]

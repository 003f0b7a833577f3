"""Preprocessing of images, sequences and text, under Keras's names."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from lamella.absent import no_attribute

if TYPE_CHECKING:
    from lamella.preprocessing import image as image
    from lamella.preprocessing import sequence as sequence
    from lamella.preprocessing import text as text
    from lamella.utils.image_dataset import image_dataset_from_directory as image_dataset_from_directory
    from lamella.utils.text_files import text_dataset_from_directory as text_dataset_from_directory
    from lamella.utils.timeseries import timeseries_dataset_from_array as timeseries_dataset_from_array

_MODULES = ("image", "sequence", "text")
"""Modules that are imported on first access."""

_LATER = {
    "image_dataset_from_directory": "image_dataset",
    "text_dataset_from_directory": "text_files",
    "timeseries_dataset_from_array": "timeseries",
}
"""Names of `lamella.utils`, and the modules that have them."""

__all__ = [
    "image",
    "image_dataset_from_directory",
    "sequence",
    "text",
    "text_dataset_from_directory",
    "timeseries_dataset_from_array",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"lamella.preprocessing.{name}")
    if name in _LATER:
        return getattr(importlib.import_module(f"lamella.utils.{_LATER[name]}"), name)
    raise no_attribute(__name__, name, __all__)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

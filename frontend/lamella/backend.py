"""Backends: what one is, and how one is found and chosen. The names are those of `lamella.backend_api`."""

import warnings as _warnings
from typing import Any as _Any

from lamella.absent import no_attribute as _no_attribute
from lamella.backend_api import *  # noqa: F403
from lamella.backend_api import API_VERSION as API_VERSION
from lamella.backend_api import __all__ as __all__


def __getattr__(name: str) -> _Any:
    if name == "SEAM":
        _warnings.warn("backend.SEAM is backend.API_VERSION today.", DeprecationWarning, stacklevel=2)
        return API_VERSION
    raise _no_attribute(__name__, name, __all__)

"""Backends: what one is, and how one is found and chosen. The names are those of `lamella.backend_api`."""

import warnings as _warnings
from typing import Any as _Any

from lamella.backend_api import API_VERSION as API_VERSION
from lamella.backend_api import GROUP as GROUP
from lamella.backend_api import Backend as Backend
from lamella.backend_api import Runner as Runner
from lamella.backend_api import State as State
from lamella.backend_api import StepProgram as StepProgram
from lamella.backend_api import available_backends as available_backends
from lamella.backend_api import backend_of as backend_of
from lamella.backend_api import backend_scope as backend_scope
from lamella.backend_api import current_backend as current_backend
from lamella.backend_api import default_backend as default_backend
from lamella.backend_api import load_backend as load_backend
from lamella.backend_api import register_backend as register_backend
from lamella.backend_api import set_backend as set_backend
from lamella.backend_api import to_numpy as to_numpy

__all__ = [
    "API_VERSION",
    "GROUP",
    "Backend",
    "Runner",
    "State",
    "StepProgram",
    "available_backends",
    "backend_of",
    "backend_scope",
    "current_backend",
    "default_backend",
    "load_backend",
    "register_backend",
    "set_backend",
    "to_numpy",
]


def __getattr__(name: str) -> _Any:
    if name == "SEAM":
        _warnings.warn("backend.SEAM is backend.API_VERSION today.", DeprecationWarning, stacklevel=2)
        return API_VERSION
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

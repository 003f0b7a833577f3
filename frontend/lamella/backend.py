"""The backend API, and the functions of the `backend` module of Keras 2.

The names of `lamella.backend_api` define what a backend is and how one is found and chosen. For `from lamella import
backend as K` there are also the functions of Keras 2 (`K.mean`, `K.function`, `K.clear_session`), which are loaded from
`lamella.backend_functions` when one is first used.
"""

import importlib as _importlib
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
    known = [*__all__]
    if not name.startswith("_"):
        functions = _importlib.import_module("lamella.backend_functions")
        if name in functions.__all__:
            return getattr(functions, name)
        known += functions.__all__
    raise _no_attribute(__name__, name, known)


def __dir__() -> list[str]:
    return sorted({*globals(), *_importlib.import_module("lamella.backend_functions").__all__})

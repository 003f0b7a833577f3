"""lamella: Keras-like Sequential models, traced to a typed program and trained on NumPy or JAX."""

import importlib as _importlib
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from lamella import activations as activations
from lamella import backend as backend
from lamella import config as config
from lamella import constraints as constraints
from lamella import host_random as random
from lamella import initializers as initializers
from lamella import layers as layers
from lamella import models as models
from lamella import ops as ops
from lamella import regularizers as regularizers
from lamella.backend_api import available_backends as available_backends
from lamella.backend_api import backend_scope as backend_scope
from lamella.backend_api import check_environment as _check_environment
from lamella.backend_api import set_backend as set_backend
from lamella.compat import modules as _old_modules
from lamella.core import serialization as _serialization
from lamella.layers import Input as Input
from lamella.layers import Layer as Layer
from lamella.models import Model as Model
from lamella.models import Sequential as Sequential
from lamella.training.train_step import value_and_grad as value_and_grad

if _TYPE_CHECKING:
    from lamella import callbacks as callbacks
    from lamella import debug as debug
    from lamella import losses as losses
    from lamella import metrics as metrics
    from lamella import mixed_precision as mixed_precision
    from lamella import optimizers as optimizers
    from lamella import testing as testing
    from lamella import utils as utils

__version__ = "0.1.0"

# modules that describing a model needs none of: imported when they are first asked for
_LATER = frozenset({"callbacks", "debug", "losses", "metrics", "mixed_precision", "optimizers", "testing", "utils"})

__all__ = [
    "Input",
    "Layer",
    "Model",
    "Sequential",
    "activations",
    "available_backends",
    "backend",
    "backend_scope",
    "callbacks",
    "config",
    "constraints",
    "debug",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "mixed_precision",
    "models",
    "ops",
    "optimizers",
    "random",
    "regularizers",
    "set_backend",
    "utils",
    "value_and_grad",
]

_check_environment()
_old_modules.install()


def __getattr__(name: str) -> _Any:
    if name in _LATER:
        return _importlib.import_module(f"lamella.{name}")
    raise AttributeError(f"module 'lamella' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})


# packages that are imported at their first use register their classes then
_serialization.register("keras.losses", lambda: __getattr__("losses").TABLE)
_serialization.register("keras.metrics", lambda: __getattr__("metrics").TABLE)
_serialization.register("keras.optimizers", lambda: __getattr__("optimizers").CONFIGURABLE)
_serialization.register("keras.optimizers.schedules", lambda: __getattr__("optimizers").schedules.TABLE)
_serialization.register_functions(lambda: __getattr__("losses").FUNCTIONS)

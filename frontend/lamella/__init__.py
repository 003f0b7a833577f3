"""lamella: Keras-like models, traced to a typed program and trained on NumPy or JAX."""

import importlib as _importlib
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from lamella import activations as activations
from lamella import backend as backend
from lamella import config as config
from lamella import constraints as constraints
from lamella import initializers as initializers
from lamella import layers as layers
from lamella import models as models
from lamella import ops as ops
from lamella import regularizers as regularizers
from lamella.absent import no_attribute as _no_attribute
from lamella.backend_api import available_backends as available_backends
from lamella.backend_api import backend_scope as backend_scope
from lamella.backend_api import check_environment as _check_environment
from lamella.backend_api import set_backend as set_backend
from lamella.compat import modules as _old_modules
from lamella.core import serialization as _serialization
from lamella.core.dtype_policy import DTypePolicy as DTypePolicy
from lamella.core.rematerialization import RematScope as RematScope
from lamella.core.rematerialization import remat as remat
from lamella.core.variable import Variable as Variable
from lamella.initializers import Initializer as Initializer
from lamella.layers import Input as Input
from lamella.layers import Layer as Layer
from lamella.models import Model as Model
from lamella.models import Sequential as Sequential
from lamella.regularizers import Regularizer as Regularizer
from lamella.training.train_step import value_and_grad as value_and_grad

if _TYPE_CHECKING:
    from lamella import callbacks as callbacks
    from lamella import datasets as datasets
    from lamella import debug as debug
    from lamella import distribution as distribution
    from lamella import dtype_policies as dtype_policies
    from lamella import export as export
    from lamella import losses as losses
    from lamella import metrics as metrics
    from lamella import mixed_precision as mixed_precision
    from lamella import optimizers as optimizers
    from lamella import preprocessing as preprocessing
    from lamella import random as random
    from lamella import saving as saving
    from lamella import testing as testing
    from lamella import utils as utils
    from lamella import wrappers as wrappers
    from lamella.layers import InputSpec as InputSpec
    from lamella.losses import Loss as Loss
    from lamella.metrics import Metric as Metric
    from lamella.optimizers import Optimizer as Optimizer

__version__ = "0.1.0"

FloatDTypePolicy = DTypePolicy

# what describing a model needs none of: imported when it is first asked for
_LATER = {
    "InputSpec": "layers",
    "Loss": "losses",
    "Metric": "metrics",
    "Optimizer": "optimizers",
    "callbacks": "callbacks",
    "datasets": "datasets",
    "debug": "debug",
    "distribution": "distribution",
    "dtype_policies": "dtype_policies",
    "export": "export",
    "losses": "losses",
    "metrics": "metrics",
    "mixed_precision": "mixed_precision",
    "optimizers": "optimizers",
    "preprocessing": "preprocessing",
    "random": "random",
    "saving": "saving",
    "testing": "testing",
    "utils": "utils",
    "wrappers": "wrappers",
}

__all__ = [
    "DTypePolicy",
    "FloatDTypePolicy",
    "Initializer",
    "Input",
    "InputSpec",
    "Layer",
    "Loss",
    "Metric",
    "Model",
    "Optimizer",
    "Regularizer",
    "RematScope",
    "Sequential",
    "Variable",
    "activations",
    "available_backends",
    "backend",
    "backend_scope",
    "callbacks",
    "config",
    "constraints",
    "datasets",
    "debug",
    "distribution",
    "dtype_policies",
    "export",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "mixed_precision",
    "models",
    "ops",
    "optimizers",
    "preprocessing",
    "random",
    "regularizers",
    "remat",
    "saving",
    "set_backend",
    "utils",
    "value_and_grad",
    "version",
    "wrappers",
]

_check_environment()
_old_modules.install()


def version() -> str:
    """Return the version of lamella.

    Returns:
        The version as a string, also available as `lamella.__version__`.

    Example:
        >>> version() == __version__
        True
    """
    return __version__


def __getattr__(name: str) -> _Any:
    if f"lamella.{name}" in _old_modules.GONE:
        return _importlib.import_module(f"lamella.{name}")
    if name not in _LATER:
        raise _no_attribute("lamella", name, __all__)
    found = _importlib.import_module(f"lamella.{_LATER[name]}")
    return found if _LATER[name] == name else getattr(found, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})


# packages that are imported at their first use register their classes then
_serialization.register("keras.losses", lambda: __getattr__("losses").TABLE)
_serialization.register("keras.metrics", lambda: __getattr__("metrics").TABLE)
_serialization.register("keras.optimizers", lambda: __getattr__("optimizers").CONFIGURABLE)
_serialization.register("keras.optimizers.schedules", lambda: __getattr__("optimizers").schedules.TABLE)
_serialization.register_functions(lambda: __getattr__("losses").FUNCTIONS)

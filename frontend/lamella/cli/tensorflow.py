"""What `import tensorflow as tf` gives a script that `lamella run` runs: `tf.keras`, and a clear error for the rest."""

import logging as _logging
from types import SimpleNamespace as _SimpleNamespace
from typing import Any as _Any

from lamella.compat.modules import look_up as _look_up
from lamella.host_random import start_seeds as _start_seeds

__all__ = ["get_logger", "keras", "random"]

keras = _look_up("lamella")
random = _SimpleNamespace(set_seed=_start_seeds)
set_random_seed = _start_seeds


def get_logger() -> _logging.Logger:
    """TensorFlow's logger, to which lamella writes nothing.

    >>> get_logger().name
    'tensorflow'
    """
    return _logging.getLogger("tensorflow")


def found(path: str) -> _Any:
    """What a dotted name below `tensorflow` is, for `from tensorflow.random import set_seed`.

    >>> found("keras").__name__
    'lamella'

    Args:
        path: the name, without "tensorflow.".

    Raises:
        ImportError: a script that `lamella run` runs does not have it.
    """
    names: dict[str, _Any] = {name: globals()[name] for name in (*__all__, "set_random_seed")}
    here: _Any = None
    for part in path.split("."):
        if part not in names:
            raise ImportError(_told(path), name=f"tensorflow.{path}")
        here = names[part]
        names = vars(here) if isinstance(here, _SimpleNamespace) else {}
    return here


def _told(path: str) -> str:
    return (
        f"tf.{path} is not there: `lamella run` answers for tf.keras alone; write NumPy or lamella.ops instead, or run the "
        "script by python where TensorFlow is installed."
    )


def __getattr__(name: str) -> _Any:
    raise AttributeError(_told(name), name=name)

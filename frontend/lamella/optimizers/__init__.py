"""Optimizers, by class and by name. Update rules, defaults and names are those of Keras."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lamella.backend_api import is_external_optimizer
from lamella.core import registration
from lamella.errors import unknown_name
from lamella.names import LazyTable, custom_object, from_identifier, lazily, lazy_exports
from lamella.optimizers import schedules as schedules
from lamella.optimizers.adam import Adam as Adam
from lamella.optimizers.adam import Adamax as Adamax
from lamella.optimizers.adam import AdamW as AdamW
from lamella.optimizers.adam import Lamb as Lamb
from lamella.optimizers.adam import Lion as Lion
from lamella.optimizers.adam import Nadam as Nadam
from lamella.optimizers.base import Optimizer as Optimizer
from lamella.optimizers.gradient import SGD as SGD
from lamella.optimizers.gradient import Adadelta as Adadelta
from lamella.optimizers.gradient import Adagrad as Adagrad
from lamella.optimizers.gradient import RMSprop as RMSprop

if TYPE_CHECKING:
    from lamella.optimizers.adafactor import Adafactor as Adafactor
    from lamella.optimizers.ftrl import Ftrl as Ftrl
    from lamella.optimizers.loss_scale import LossScaleOptimizer as LossScaleOptimizer
    from lamella.optimizers.multi import MultiOptimizer as MultiOptimizer
    from lamella.optimizers.multi import OptimizerMap as OptimizerMap
    from lamella.optimizers.muon import Muon as Muon
    from lamella.optimizers.schedule_free import ScheduleFreeAdamW as ScheduleFreeAdamW

_MODULES = {
    "adafactor": "Adafactor",
    "ftrl": "Ftrl",
    "loss_scale": "LossScaleOptimizer",
    "multi": "MultiOptimizer OptimizerMap",
    "muon": "Muon",
    "schedule_free": "ScheduleFreeAdamW",
}
"""Optimizers that are imported on first access."""

_PLACES = lazy_exports(__name__, _MODULES)
_OFTEN = (SGD, RMSprop, Adagrad, Adadelta, Adam, AdamW, Adamax, Nadam, Lamb, Lion)
_WRAPPERS = ("LossScaleOptimizer", "MultiOptimizer", "OptimizerMap")

_ALL = {made.__name__: made for made in _OFTEN} | _PLACES

TABLE: Mapping[str, type[Optimizer]] = LazyTable({name: made for name, made in _ALL.items() if name not in _WRAPPERS})
"""Every name that an optimizer argument accepts; case is ignored."""

CONFIGURABLE: Mapping[str, Any] = LazyTable(_ALL)
"""The classes that a configuration may name."""


if not TYPE_CHECKING:
    _late, __getattr__, __dir__ = lazily(__name__, _MODULES, ("legacy",))
    _own = {name for name, held in globals().items() if getattr(held, "__module__", "").startswith(__name__)}
    __all__ = sorted({name for name in _own if not name.startswith("_")} | {"schedules", *_late})


def get(identifier: Any) -> Any:
    """Return the optimizer for a name, a class, an instance or a config dict.

    An optax `GradientTransformation` (anything with `init` and `update`) is returned unchanged: the JAX backend runs
    it.

    Args:
        identifier: a name such as "adam" (case is ignored), an optimizer class, an `Optimizer`, `{"class_name": ...,
            "config": ...}`, or an optax transformation.

    Raises:
        UnknownNameError: the name is unknown.
        ValueError: `identifier` is none of these.

    Example:
        >>> from lamella import optimizers
        >>> optimizers.get("rmsprop").get_config()["rho"]
        0.9
        >>> optimizers.get({"class_name": "SGD", "config": {"momentum": 0.5}}).momentum
        0.5
    """
    table = TABLE
    if isinstance(identifier, str):
        identifier = _named(identifier, TABLE)
    elif isinstance(identifier, dict) and isinstance(identifier.get("class_name"), str):
        table = CONFIGURABLE
        identifier = {**identifier, "class_name": _named(identifier["class_name"], table)}
    made = from_identifier("optimizer", identifier, table)
    if isinstance(made, Optimizer) or is_external_optimizer(made):
        return made
    raise ValueError(
        f"an optimizer must be a name, an Optimizer, or an optax transformation, got {type(made).__name__}: {made!r}."
    )


def _named(name: str, table: Mapping[str, Any]) -> str:
    """The entry of the table that equals `name` up to case.

    Raises:
        UnknownNameError: there is none.
    """
    if custom_object(name) is not None:
        return name
    lowered = {known.lower(): known for known in table}
    if name.lower() not in lowered:
        raise unknown_name("optimizer", name, lowered if name.islower() else table)
    return lowered[name.lower()]


serialize, deserialize = registration.for_module("keras.optimizers", get)

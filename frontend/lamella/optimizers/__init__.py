"""Optimizers: by class and by name. Update rules, defaults and names are Keras's."""

from __future__ import annotations

from typing import Any

from lamella.names import from_identifier
from lamella.optimizers import schedules as schedules
from lamella.optimizers.adam import Adam as Adam
from lamella.optimizers.adam import Adamax as Adamax
from lamella.optimizers.adam import AdamW as AdamW
from lamella.optimizers.adam import Lion as Lion
from lamella.optimizers.adam import Nadam as Nadam
from lamella.optimizers.base import Optimizer as Optimizer
from lamella.optimizers.gradient import SGD as SGD
from lamella.optimizers.gradient import Adadelta as Adadelta
from lamella.optimizers.gradient import Adagrad as Adagrad
from lamella.optimizers.gradient import RMSprop as RMSprop

TABLE: dict[str, type[Optimizer]] = {
    made.__name__: made for made in (SGD, RMSprop, Adagrad, Adadelta, Adam, AdamW, Adamax, Nadam, Lion)
}
"""Every name an optimizer argument takes; case does not matter."""


def get(identifier: Any) -> Any:
    """The optimizer that a name, a class, an instance or a config dict stands for.

    An optax `GradientTransformation` (anything with `init` and `update`) is returned as it is: the JAX backend runs it.

    Raises:
        UnknownNameError: the name is not known.
        ValueError: it is nothing of these.
    """
    if isinstance(identifier, str):
        names = {name.lower(): name for name in TABLE}
        identifier = names.get(identifier.lower(), identifier)
    elif isinstance(identifier, dict) and isinstance(identifier.get("class_name"), str):
        names = {name.lower(): name for name in TABLE}
        name = identifier["class_name"]
        identifier = {**identifier, "class_name": names.get(name.lower(), name)}
    made = from_identifier("optimizer", identifier, TABLE)
    if isinstance(made, Optimizer) or (hasattr(made, "init") and hasattr(made, "update")):
        return made
    raise ValueError(
        f"an optimizer is a name, an Optimizer, or an optax transformation; got {type(made).__name__}: {made!r}."
    )

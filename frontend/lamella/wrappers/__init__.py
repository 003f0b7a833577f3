"""Models as scikit-learn estimators, under Keras's and scikeras's names; imported on first access.

`SKLearnClassifier`, `SKLearnRegressor` and `SKLearnTransformer` are those of Keras 3. `KerasClassifier` and
`KerasRegressor` take the arguments of scikeras, as does their base class `BaseWrapper`; `wrappers.scikit_learn` has
variants that behave as in Keras 2.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from lamella.absent import no_attribute

if TYPE_CHECKING:
    from lamella.wrappers import scikit_learn as scikit_learn
    from lamella.wrappers.estimators import BaseWrapper as BaseWrapper
    from lamella.wrappers.estimators import KerasClassifier as KerasClassifier
    from lamella.wrappers.estimators import KerasRegressor as KerasRegressor
    from lamella.wrappers.sklearn_wrapper import SKLearnClassifier as SKLearnClassifier
    from lamella.wrappers.sklearn_wrapper import SKLearnRegressor as SKLearnRegressor
    from lamella.wrappers.sklearn_wrapper import SKLearnTransformer as SKLearnTransformer

_MODULES = {
    "BaseWrapper": "estimators",
    "KerasClassifier": "estimators",
    "KerasRegressor": "estimators",
    "SKLearnClassifier": "sklearn_wrapper",
    "SKLearnRegressor": "sklearn_wrapper",
    "SKLearnTransformer": "sklearn_wrapper",
    "scikit_learn": "scikit_learn",
}

__all__ = [
    "BaseWrapper",
    "KerasClassifier",
    "KerasRegressor",
    "SKLearnClassifier",
    "SKLearnRegressor",
    "SKLearnTransformer",
    "scikit_learn",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise no_attribute(__name__, name, __all__)
    try:
        module = importlib.import_module(f"lamella.wrappers.{_MODULES[name]}")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "sklearn":
            raise
        raise ImportError(f"wrappers.{name} needs scikit-learn: `pip install scikit-learn`.") from None
    return module if _MODULES[name] == name else getattr(module, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

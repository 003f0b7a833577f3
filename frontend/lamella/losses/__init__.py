"""Losses: by class, by function, and by name.

`compile(loss=...)` takes a name ("mse"), a class or an instance (`MeanSquaredError()`), one of the functions here, or a
function of your own `(y_true, y_pred) -> one value a sample`, written in `lamella.ops`.
"""

from __future__ import annotations

from typing import Any

from lamella.ir.spec import Spec
from lamella.losses.base import Loss as Loss
from lamella.losses.base import LossFunctionWrapper as LossFunctionWrapper
from lamella.losses.base import reduce_weighted as reduce_weighted
from lamella.losses.base import squeeze_or_expand_to_same_rank as squeeze_or_expand_to_same_rank
from lamella.losses.classes import BinaryCrossentropy as BinaryCrossentropy
from lamella.losses.classes import CategoricalCrossentropy as CategoricalCrossentropy
from lamella.losses.classes import CategoricalHinge as CategoricalHinge
from lamella.losses.classes import CosineSimilarity as CosineSimilarity
from lamella.losses.classes import Hinge as Hinge
from lamella.losses.classes import Huber as Huber
from lamella.losses.classes import KLDivergence as KLDivergence
from lamella.losses.classes import LogCosh as LogCosh
from lamella.losses.classes import MeanAbsoluteError as MeanAbsoluteError
from lamella.losses.classes import MeanAbsolutePercentageError as MeanAbsolutePercentageError
from lamella.losses.classes import MeanSquaredError as MeanSquaredError
from lamella.losses.classes import MeanSquaredLogarithmicError as MeanSquaredLogarithmicError
from lamella.losses.classes import Poisson as Poisson
from lamella.losses.classes import SparseCategoricalCrossentropy as SparseCategoricalCrossentropy
from lamella.losses.classes import SquaredHinge as SquaredHinge
from lamella.losses.functions import binary_crossentropy as binary_crossentropy
from lamella.losses.functions import categorical_crossentropy as categorical_crossentropy
from lamella.losses.functions import categorical_hinge as categorical_hinge
from lamella.losses.functions import cosine_similarity as cosine_similarity
from lamella.losses.functions import hinge as hinge
from lamella.losses.functions import huber as huber
from lamella.losses.functions import kl_divergence as kl_divergence
from lamella.losses.functions import log_cosh as log_cosh
from lamella.losses.functions import mean_absolute_error as mean_absolute_error
from lamella.losses.functions import mean_absolute_percentage_error as mean_absolute_percentage_error
from lamella.losses.functions import mean_squared_error as mean_squared_error
from lamella.losses.functions import mean_squared_logarithmic_error as mean_squared_logarithmic_error
from lamella.losses.functions import poisson as poisson
from lamella.losses.functions import sparse_categorical_crossentropy as sparse_categorical_crossentropy
from lamella.losses.functions import squared_hinge as squared_hinge
from lamella.names import from_identifier, name_table

_OF_FUNCTION: dict[Any, type[Loss]] = {
    binary_crossentropy: BinaryCrossentropy,
    categorical_crossentropy: CategoricalCrossentropy,
    categorical_hinge: CategoricalHinge,
    cosine_similarity: CosineSimilarity,
    hinge: Hinge,
    huber: Huber,
    kl_divergence: KLDivergence,
    log_cosh: LogCosh,
    mean_absolute_error: MeanAbsoluteError,
    mean_absolute_percentage_error: MeanAbsolutePercentageError,
    mean_squared_error: MeanSquaredError,
    mean_squared_logarithmic_error: MeanSquaredLogarithmicError,
    poisson: Poisson,
    sparse_categorical_crossentropy: SparseCategoricalCrossentropy,
    squared_hinge: SquaredHinge,
}

TABLE: dict[str, type[Loss]] = {
    **name_table({made.__name__: made for made in _OF_FUNCTION.values()}),
    **{function.__name__: made for function, made in _OF_FUNCTION.items()},
    "bce": BinaryCrossentropy,
    "BCE": BinaryCrossentropy,
    "kld": KLDivergence,
    "KLD": KLDivergence,
    "mae": MeanAbsoluteError,
    "MAE": MeanAbsoluteError,
    "mape": MeanAbsolutePercentageError,
    "MAPE": MeanAbsolutePercentageError,
    "mse": MeanSquaredError,
    "MSE": MeanSquaredError,
    "msle": MeanSquaredLogarithmicError,
    "MSLE": MeanSquaredLogarithmicError,
}
"""Every name `compile(loss=...)` takes, besides "crossentropy" and "ce"."""

OLD = {
    "cosine": "cosine_similarity",
    "cosine_proximity": "cosine_similarity",
    "huber_loss": "huber",
    "kullback_leibler_divergence": "kl_divergence",
    "logcosh": "log_cosh",
}
"""Names of earlier Keras releases, and today's."""


def get(identifier: Any) -> Loss | None:
    """The loss that a name, a class, an instance, a config dict or a function stands for; None stays None.

    "crossentropy" and "ce" depend on the shapes of a batch: see `resolve`.

    Raises:
        UnknownNameError: the name is not known.
        ValueError: it is nothing of these.
    """
    made = from_identifier("loss", identifier, TABLE, OLD)
    if made is None or isinstance(made, Loss):
        return made
    if callable(made):
        known = _OF_FUNCTION.get(made)
        return LossFunctionWrapper(made) if known is None else known()
    raise ValueError(
        f"a loss is a name, a Loss, or a function of (y_true, y_pred); got {type(made).__name__}: {made!r}."
    )


def resolve(identifier: Any, y: Spec, prediction: Spec) -> Loss | None:
    """`get`, with "crossentropy" and "ce" decided from the shapes: binary, sparse or categorical.

    One output is binary; targets with fewer dimensions than the predictions, or a last dimension of 1, are class numbers.
    """
    if isinstance(identifier, str) and identifier.lower() in ("crossentropy", "ce"):
        return get({"binary": "bce", "sparse": "sparse_categorical_crossentropy"}.get(
            kind_of_targets(y, prediction), "categorical_crossentropy"
        ))  # fmt: skip
    return get(identifier)


def kind_of_targets(y: Spec, prediction: Spec) -> str:
    """One of "binary", "sparse" and "categorical", by Keras's rule for "accuracy" and "crossentropy"."""
    if len(prediction.shape) < 2 or prediction.shape[-1] == 1:
        return "binary"
    if len(y.shape) < len(prediction.shape) or y.shape[-1] == 1:
        return "sparse"
    return "categorical"

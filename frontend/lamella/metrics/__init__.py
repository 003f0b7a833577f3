"""Metrics: by class, by function, and by name.

`compile(metrics=[...])` takes names ("accuracy", "mae"), classes, instances, or functions of your own
`(y_true, y_pred) -> one value a sample`, written in `lamella.ops`.
"""

from __future__ import annotations

from typing import Any

from lamella.ir.spec import Spec
from lamella.losses import Loss, kind_of_targets
from lamella.losses import binary_crossentropy as binary_crossentropy
from lamella.losses import categorical_crossentropy as categorical_crossentropy
from lamella.losses import categorical_hinge as categorical_hinge
from lamella.losses import hinge as hinge
from lamella.losses import huber as huber
from lamella.losses import kl_divergence as kl_divergence
from lamella.losses import log_cosh as log_cosh
from lamella.losses import mean_absolute_error as mean_absolute_error
from lamella.losses import mean_absolute_percentage_error as mean_absolute_percentage_error
from lamella.losses import mean_squared_error as mean_squared_error
from lamella.losses import mean_squared_logarithmic_error as mean_squared_logarithmic_error
from lamella.losses import poisson as poisson
from lamella.losses import sparse_categorical_crossentropy as sparse_categorical_crossentropy
from lamella.losses import squared_hinge as squared_hinge
from lamella.metrics.accuracy import Accuracy as Accuracy
from lamella.metrics.accuracy import BinaryAccuracy as BinaryAccuracy
from lamella.metrics.accuracy import CategoricalAccuracy as CategoricalAccuracy
from lamella.metrics.accuracy import SparseCategoricalAccuracy as SparseCategoricalAccuracy
from lamella.metrics.accuracy import SparseTopKCategoricalAccuracy as SparseTopKCategoricalAccuracy
from lamella.metrics.accuracy import TopKCategoricalAccuracy as TopKCategoricalAccuracy
from lamella.metrics.accuracy import accuracy as accuracy
from lamella.metrics.accuracy import binary_accuracy as binary_accuracy
from lamella.metrics.accuracy import categorical_accuracy as categorical_accuracy
from lamella.metrics.accuracy import sparse_categorical_accuracy as sparse_categorical_accuracy
from lamella.metrics.accuracy import sparse_top_k_categorical_accuracy as sparse_top_k_categorical_accuracy
from lamella.metrics.accuracy import top_k_categorical_accuracy as top_k_categorical_accuracy
from lamella.metrics.base import Mean as Mean
from lamella.metrics.base import MeanMetricWrapper as MeanMetricWrapper
from lamella.metrics.base import Metric as Metric
from lamella.metrics.base import Sum as Sum
from lamella.metrics.of_losses import BinaryCrossentropy as BinaryCrossentropy
from lamella.metrics.of_losses import CategoricalCrossentropy as CategoricalCrossentropy
from lamella.metrics.of_losses import CategoricalHinge as CategoricalHinge
from lamella.metrics.of_losses import CosineSimilarity as CosineSimilarity
from lamella.metrics.of_losses import Hinge as Hinge
from lamella.metrics.of_losses import KLDivergence as KLDivergence
from lamella.metrics.of_losses import LogCoshError as LogCoshError
from lamella.metrics.of_losses import MeanAbsoluteError as MeanAbsoluteError
from lamella.metrics.of_losses import MeanAbsolutePercentageError as MeanAbsolutePercentageError
from lamella.metrics.of_losses import MeanSquaredError as MeanSquaredError
from lamella.metrics.of_losses import MeanSquaredLogarithmicError as MeanSquaredLogarithmicError
from lamella.metrics.of_losses import Poisson as Poisson
from lamella.metrics.of_losses import RootMeanSquaredError as RootMeanSquaredError
from lamella.metrics.of_losses import SparseCategoricalCrossentropy as SparseCategoricalCrossentropy
from lamella.metrics.of_losses import SquaredHinge as SquaredHinge
from lamella.names import from_identifier, name_table

TABLE: dict[str, Any] = {
    **name_table(
        {
            made.__name__: made
            for made in (
                Accuracy, BinaryAccuracy, BinaryCrossentropy, CategoricalAccuracy, CategoricalCrossentropy,
                CategoricalHinge, CosineSimilarity, Hinge, KLDivergence, LogCoshError, Mean, MeanAbsoluteError,
                MeanAbsolutePercentageError, MeanSquaredError, MeanSquaredLogarithmicError, Poisson,
                RootMeanSquaredError, SparseCategoricalAccuracy, SparseCategoricalCrossentropy,
                SparseTopKCategoricalAccuracy, SquaredHinge, Sum, TopKCategoricalAccuracy,
            )
        }
    ),
    "bce": BinaryCrossentropy,
    "BCE": BinaryCrossentropy,
    "huber": huber,
    "kl_divergence": KLDivergence,
    "kld": KLDivergence,
    "KLD": KLDivergence,
    "log_cosh": log_cosh,
    "mae": MeanAbsoluteError,
    "MAE": MeanAbsoluteError,
    "mape": MeanAbsolutePercentageError,
    "MAPE": MeanAbsolutePercentageError,
    "mse": MeanSquaredError,
    "MSE": MeanSquaredError,
    "msle": MeanSquaredLogarithmicError,
    "MSLE": MeanSquaredLogarithmicError,
    "rmse": RootMeanSquaredError,
    "RMSE": RootMeanSquaredError,
}  # fmt: skip
"""Every name a list of metrics takes, besides those whose meaning depends on the shapes (`AUTOMATIC`)."""

AUTOMATIC = ("accuracy", "acc", "crossentropy", "ce")
"""Names that become the binary, sparse or categorical metric by the shapes of targets and predictions."""

OLD = {
    "cosine": "cosine_similarity",
    "cosine_proximity": "cosine_similarity",
    "kullback_leibler_divergence": "kl_divergence",
    "logcosh": "log_cosh",
}
"""Names of earlier Keras releases, and today's."""


def get(identifier: Any) -> Metric | None:
    """The metric that a name, a class, an instance, a config dict, a loss or a function stands for; None stays None.

    Raises:
        UnknownNameError: the name is not known.
        ValueError: it is nothing of these.
    """
    known = {**TABLE, "acc": Accuracy}
    made = from_identifier("metric", identifier, known, OLD)
    if made is None or isinstance(made, Metric):
        return made
    if isinstance(made, Loss):
        return MeanMetricWrapper(made.per_sample, made.name)
    if callable(made):
        return MeanMetricWrapper(made)
    raise ValueError(
        f"a metric is a name, a Metric, or a function of (y_true, y_pred); got {type(made).__name__}: {made!r}."
    )


def resolve(identifier: Any, y: Spec, prediction: Spec, loss: Any = None) -> Metric:
    """The metric of one entry of `compile(metrics=...)`, with the name its log key has.

    "accuracy" and "acc" become binary accuracy for one output, sparse categorical accuracy where the targets have fewer
    dimensions than the predictions or a last dimension of 1, else categorical accuracy; "crossentropy" and "ce" likewise.
    A string is the log key as the user wrote it; objects keep their `name`, functions theirs.

    Args:
        identifier: what the user gave.
        y: the spec of a batch of targets.
        prediction: the spec of a batch of predictions.
        loss: the compiled loss; Keras's rule reads the shapes only, so it decides nothing.

    Raises:
        UnknownNameError: the name is not known.
        ValueError: it is no metric.
    """
    if isinstance(identifier, str) and identifier.lower() in AUTOMATIC:
        what = "accuracy" if identifier.lower() in ("accuracy", "acc") else "crossentropy"
        kind = {"binary": "Binary", "sparse": "SparseCategorical"}.get(kind_of_targets(y, prediction), "Categorical")
        return TABLE[kind + what.capitalize()](name=identifier)
    made = get(identifier)
    if made is None:
        raise ValueError("a list of metrics holds None; leave it out, or name a metric.")
    if isinstance(identifier, str):
        made.name = identifier
    return made

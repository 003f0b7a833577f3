"""Metrics, by class, by function, and by name.

`compile(metrics=[...])` takes names ("accuracy", "mae"), classes, instances, or functions
`(y_true, y_pred) -> one value per sample`, written in `lamella.ops`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lamella.core import registration
from lamella.ir.spec import Spec
from lamella.losses import KLD as KLD
from lamella.losses import MAE as MAE
from lamella.losses import MAPE as MAPE
from lamella.losses import MSE as MSE
from lamella.losses import MSLE as MSLE
from lamella.losses import Loss, kind_of_targets
from lamella.losses import binary_crossentropy as binary_crossentropy
from lamella.losses import categorical_crossentropy as categorical_crossentropy
from lamella.losses import categorical_hinge as categorical_hinge
from lamella.losses import hinge as hinge
from lamella.losses import huber as huber
from lamella.losses import kl_divergence as kl_divergence
from lamella.losses import kld as kld
from lamella.losses import kullback_leibler_divergence as kullback_leibler_divergence
from lamella.losses import log_cosh as log_cosh
from lamella.losses import logcosh as logcosh
from lamella.losses import mae as mae
from lamella.losses import mape as mape
from lamella.losses import mean_absolute_error as mean_absolute_error
from lamella.losses import mean_absolute_percentage_error as mean_absolute_percentage_error
from lamella.losses import mean_squared_error as mean_squared_error
from lamella.losses import mean_squared_logarithmic_error as mean_squared_logarithmic_error
from lamella.losses import mse as mse
from lamella.losses import msle as msle
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
from lamella.names import LazyTable, from_identifier, lazily, lazy_exports, name_table

if TYPE_CHECKING:
    from lamella.metrics.auc import AUC as AUC
    from lamella.metrics.confusion import FalseNegatives as FalseNegatives
    from lamella.metrics.confusion import FalsePositives as FalsePositives
    from lamella.metrics.confusion import Precision as Precision
    from lamella.metrics.confusion import PrecisionAtRecall as PrecisionAtRecall
    from lamella.metrics.confusion import Recall as Recall
    from lamella.metrics.confusion import RecallAtPrecision as RecallAtPrecision
    from lamella.metrics.confusion import SensitivityAtSpecificity as SensitivityAtSpecificity
    from lamella.metrics.confusion import SpecificityAtSensitivity as SpecificityAtSensitivity
    from lamella.metrics.confusion import TrueNegatives as TrueNegatives
    from lamella.metrics.confusion import TruePositives as TruePositives
    from lamella.metrics.f_score import F1Score as F1Score
    from lamella.metrics.f_score import FBetaScore as FBetaScore
    from lamella.metrics.focal import binary_focal_crossentropy as binary_focal_crossentropy
    from lamella.metrics.focal import categorical_focal_crossentropy as categorical_focal_crossentropy
    from lamella.metrics.overlap import BinaryIoU as BinaryIoU
    from lamella.metrics.overlap import IoU as IoU
    from lamella.metrics.overlap import MeanIoU as MeanIoU
    from lamella.metrics.overlap import OneHotIoU as OneHotIoU
    from lamella.metrics.overlap import OneHotMeanIoU as OneHotMeanIoU
    from lamella.metrics.regression import ConcordanceCorrelation as ConcordanceCorrelation
    from lamella.metrics.regression import PearsonCorrelation as PearsonCorrelation
    from lamella.metrics.regression import R2Score as R2Score
    from lamella.metrics.regression import concordance_correlation as concordance_correlation
    from lamella.metrics.regression import pearson_correlation as pearson_correlation

_MODULES = {
    "auc": "AUC",
    "confusion": (
        "FalseNegatives FalsePositives Precision PrecisionAtRecall Recall RecallAtPrecision SensitivityAtSpecificity "
        "SpecificityAtSensitivity TrueNegatives TruePositives"
    ),
    "f_score": "F1Score FBetaScore",
    "focal": "binary_focal_crossentropy categorical_focal_crossentropy",
    "overlap": "BinaryIoU IoU MeanIoU OneHotIoU OneHotMeanIoU",
    "regression": ("ConcordanceCorrelation PearsonCorrelation R2Score concordance_correlation pearson_correlation"),
}
"""Families that are imported on first access to one of their names; a test compares them with the imports for type
checkers above."""

if not TYPE_CHECKING:
    _, __getattr__, __dir__ = lazily(__name__, _MODULES)

TABLE: Mapping[str, Any] = LazyTable({
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
    **name_table(lazy_exports(__name__, _MODULES)),
})  # fmt: skip
"""Every name that a list of metrics accepts, besides those whose meaning depends on the shapes (`AUTOMATIC`)."""

AUTOMATIC = ("accuracy", "acc", "crossentropy", "ce")
"""Names that stand for the binary, sparse or categorical metric, depending on the shapes of targets and predictions."""

OLD = {
    "cosine": "cosine_similarity",
    "cosine_proximity": "cosine_similarity",
    "fbeta_score": "f_beta_score",
    "kullback_leibler_divergence": "kl_divergence",
    "logcosh": "log_cosh",
}
"""Names of earlier Keras releases, and the current ones."""


def get(identifier: Any) -> Metric | None:
    """Return the metric for a name, a class, an instance, a config dict, a loss or a function; None for None.

    Args:
        identifier: a name such as "mae", a `Metric` class or instance, `{"class_name": ..., "config": ...}`, a `Loss`,
            or a function `(y_true, y_pred) -> one value per sample`.

    Raises:
        UnknownNameError: the name is unknown.
        ValueError: `identifier` is none of these, or a class with required arguments.

    Example:
        >>> from lamella import metrics
        >>> metrics.get("mae")([1.0, 2.0], [1.0, 4.0])
        1.0
        >>> metrics.get({"class_name": "Recall", "config": {"thresholds": 0.9}}).thresholds
        [0.9]
    """
    try:
        made = from_identifier("metric", "accuracy" if identifier == "acc" else identifier, TABLE, OLD)
    except TypeError as error:
        if isinstance(identifier, dict) or "required" not in str(error):
            raise
        found = TABLE[identifier] if isinstance(identifier, str) else identifier
        needed = str(error).partition("argument")[2].partition(":")[2]
        raise ValueError(
            f"the metric {identifier!r} needs arguments:{needed}; pass an instance, metrics.{found.__name__}(...)."
        ) from None
    if made is None or isinstance(made, Metric):
        return made
    if isinstance(made, Loss):
        return MeanMetricWrapper(made.per_sample, made.name)
    if callable(made):
        return MeanMetricWrapper(made)
    raise ValueError(
        f"a metric must be a name, a Metric, or a function of (y_true, y_pred), got {type(made).__name__}: {made!r}."
    )


serialize, deserialize = registration.for_module("keras.metrics", get)


def resolve(identifier: Any, y: Spec, prediction: Spec, loss: Any = None) -> Metric:
    """Return the metric for one entry of `compile(metrics=...)`, with its key in logs as its name.

    "accuracy" and "acc" become binary accuracy for one output, sparse categorical accuracy if the targets have fewer
    dimensions than the predictions or a last dimension of 1, else categorical accuracy; "crossentropy" and "ce"
    likewise. The key of a string is the string itself; objects keep their `name`, functions theirs.

    Args:
        identifier: the entry.
        y: the spec of a batch of targets.
        prediction: the spec of a batch of predictions.
        loss: the compiled loss; ignored: as in Keras, the shapes decide.

    Raises:
        UnknownNameError: the name is unknown.
        ValueError: the entry is not a metric.

    Example:
        >>> from lamella import metrics
        >>> from lamella.ir.spec import Spec
        >>> metrics.resolve("acc", Spec((8,), "int32"), Spec((8, 10), "float32"))
        <SparseCategoricalAccuracy 'acc'>
    """
    if isinstance(identifier, str) and identifier.lower() in AUTOMATIC:
        what = "accuracy" if identifier.lower() in ("accuracy", "acc") else "crossentropy"
        kind = {"binary": "Binary", "sparse": "SparseCategorical"}.get(kind_of_targets(y, prediction), "Categorical")
        return TABLE[kind + what.capitalize()](name=identifier)
    made = get(identifier)
    if made is None:
        raise ValueError("a list of metrics contains None; leave it out, or name a metric.")
    if isinstance(identifier, str):
        made.name = identifier
    return made

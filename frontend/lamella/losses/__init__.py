"""Losses, by class, by function, and by name.

`compile(loss=...)` takes a name ("mse"), a class or an instance (`MeanSquaredError()`), one of the functions here, or a
function `(y_true, y_pred) -> one value per sample` written in `lamella.ops`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lamella import ops
from lamella.core import registration
from lamella.ir.spec import Spec, spec_of
from lamella.losses.base import Loss as Loss
from lamella.losses.base import LossFunctionWrapper as LossFunctionWrapper
from lamella.losses.base import Reduction as Reduction
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
from lamella.names import LazyTable, from_identifier, lazily, lazy_exports, name_table

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, Tensor
    from lamella.losses.focal import BinaryFocalCrossentropy as BinaryFocalCrossentropy
    from lamella.losses.focal import CategoricalFocalCrossentropy as CategoricalFocalCrossentropy
    from lamella.losses.focal import CategoricalGeneralizedCrossEntropy as CategoricalGeneralizedCrossEntropy
    from lamella.losses.focal import binary_focal_crossentropy as binary_focal_crossentropy
    from lamella.losses.focal import categorical_focal_crossentropy as categorical_focal_crossentropy
    from lamella.losses.focal import categorical_generalized_cross_entropy as categorical_generalized_cross_entropy
    from lamella.losses.overlap import Dice as Dice
    from lamella.losses.overlap import Tversky as Tversky
    from lamella.losses.overlap import dice as dice
    from lamella.losses.overlap import tversky as tversky
    from lamella.losses.sequence import CTC as CTC
    from lamella.losses.sequence import ctc as ctc
    from lamella.losses.similarity import Circle as Circle
    from lamella.losses.similarity import circle as circle

_MODULES = {
    "focal": (
        "BinaryFocalCrossentropy CategoricalFocalCrossentropy CategoricalGeneralizedCrossEntropy "
        "binary_focal_crossentropy categorical_focal_crossentropy categorical_generalized_cross_entropy"
    ),
    "overlap": "Dice Tversky dice tversky",
    "sequence": "CTC ctc",
    "similarity": "Circle circle",
}
"""Families that are imported on first access to one of their names; a test compares them with the imports for type
checkers above."""

kld = KLD = kullback_leibler_divergence = kl_divergence
logcosh = log_cosh
mae = MAE = mean_absolute_error
mape = MAPE = mean_absolute_percentage_error
mse = MSE = mean_squared_error
msle = MSLE = mean_squared_logarithmic_error

if not TYPE_CHECKING:
    _, __getattr__, __dir__ = lazily(__name__, _MODULES)

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

TABLE: Mapping[str, type[Loss]] = LazyTable({
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
    **name_table({name: place for name, place in lazy_exports(__name__, _MODULES).items() if name[0].isupper()}),
})  # fmt: skip
"""Every name that `compile(loss=...)` accepts, besides `AUTOMATIC`."""

FUNCTIONS: Mapping[str, Any] = LazyTable({
    **{function.__name__: function for function in _OF_FUNCTION},
    **{name: place for name, place in lazy_exports(__name__, _MODULES).items() if name.islower() and name in TABLE},
})  # fmt: skip
"""The functions that a configuration may name."""

OLD = {
    "cosine": "cosine_similarity",
    "cosine_proximity": "cosine_similarity",
    "huber_loss": "huber",
    "kullback_leibler_divergence": "kl_divergence",
    "logcosh": "log_cosh",
}
"""Names of earlier Keras releases, and the current ones."""


AUTOMATIC = ("crossentropy", "ce")
"""Names whose meaning depends on the shapes of a batch."""


def get(identifier: Any) -> Loss | None:
    """Return the loss for a name, a class, an instance, a config dict or a function; None for None.

    Args:
        identifier: a name such as "mse", a `Loss` class or instance, `{"class_name": ..., "config": ...}`, or a
            function `(y_true, y_pred) -> one value per sample`.

    Raises:
        UnknownNameError: the name is unknown.
        ValueError: `identifier` is none of these.

    Example:
        >>> from lamella import losses
        >>> losses.get("mse")
        MeanSquaredError(name='mean_squared_error', reduction='sum_over_batch_size')
        >>> losses.get({"class_name": "Huber", "config": {"delta": 2.0}}).get_config()["delta"]
        2.0
    """
    if isinstance(identifier, str) and identifier.lower() in AUTOMATIC:
        return Crossentropy(identifier)
    made = from_identifier("loss", identifier, TABLE, OLD)
    if made is None or isinstance(made, Loss):
        return made
    if callable(made):
        known = _class_of(made)
        return LossFunctionWrapper(made) if known is None else known()
    raise ValueError(
        f"a loss must be a name, a Loss, or a function of (y_true, y_pred), got {type(made).__name__}: {made!r}."
    )


def _named(named: Any) -> Any:
    return FUNCTIONS[named] if isinstance(named, str) and named in FUNCTIONS else get(named)


serialize, deserialize = registration.for_module("keras.losses", _named)


def _class_of(function: Any) -> type[Loss] | None:
    """The class of a loss function defined here, which checks the targets."""
    if getattr(function, "__module__", None) in [f"{__name__}.{module}" for module in _MODULES]:
        return TABLE[function.__name__]
    return _OF_FUNCTION.get(function)


class Crossentropy(Loss):
    """The loss "crossentropy" or "ce": the binary, sparse or categorical crossentropy, by the shapes of a batch.

    One output is binary; targets with fewer dimensions than the predictions, or a last dimension of 1, are class
    numbers; other targets are one-hot.

    Args:
        name: the name in messages and files.
        reduction: "sum_over_batch_size" (the mean), "sum", "mean_with_sample_weight" or "none"; see `reduce_weighted`.
        dtype: the dtype of the computation; None is the float dtype of the predictions, but at least float32.

    Raises:
        ValueError: `reduction` is unknown.

    Example:
        >>> from lamella.losses import Crossentropy
        >>> round(float(Crossentropy()([1], [[0.25, 0.75]])), 4)
        0.2877
        >>> round(float(Crossentropy()([[0.0, 1.0]], [[0.25, 0.75]])), 4)
        0.2877
    """

    def chosen(self, y: Spec, prediction: Spec) -> Loss:
        """The loss for targets and predictions of these specs."""
        made = {"binary": BinaryCrossentropy, "sparse": SparseCategoricalCrossentropy}
        kind = made.get(kind_of_targets(y, prediction), CategoricalCrossentropy)
        return kind(reduction=self.reduction, name=self.name, dtype=self.dtype)

    def per_sample(self, y_true: ArrayLike, y_pred: ArrayLike) -> Tensor:
        """The values of the loss that the shapes select."""
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        return self.chosen(spec_of(y_true), spec_of(y_pred)).per_sample(y_true, y_pred)

    def check(self, y: Spec, prediction: Spec, y_array: Tensor | None = None) -> None:
        """Check the targets for the loss that the shapes select."""
        self.chosen(y, prediction).check(y, prediction, y_array)


def kind_of_targets(y: Spec, prediction: Spec) -> str:
    """Return "binary", "sparse" or "categorical", by Keras's rule for "accuracy" and "crossentropy".

    Args:
        y: the spec of a batch of targets.
        prediction: the spec of a batch of predictions.

    Example:
        >>> from lamella.ir.spec import Spec
        >>> from lamella.losses import kind_of_targets
        >>> kind_of_targets(Spec((8,), "int32"), Spec((8, 10), "float32"))
        'sparse'
    """
    if len(prediction.shape) < 2 or prediction.shape[-1] == 1:
        return "binary"
    if len(y.shape) < len(prediction.shape) or y.shape[-1] == 1:
        return "sparse"
    return "categorical"

"""The row types of the oracle's tables: plain data, importable without Keras and without lamella.

Every row names what to build with the user's own words (class name and keyword arguments), so the same row builds Keras
when answers are recorded and lamella when they are replayed. Every keyword argument is a plain, JSON-able Python value.

`tolerance` is a bound on max|a - b| / max|b| per tensor, and `reason` says why it is not tighter. The bounds were set
from measurements: Keras's float32 answers were compared with its own in float64, and each bound leaves a factor of
about three over the largest difference found in its table.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Kwargs = dict[str, Any]
Constructor = tuple[str, Kwargs]

OTHER_ORDER = "float32 sums taken in another order"
ELEMENTWISE = "float32 library functions differ by a few units in the last place"
EXACT = "values that float32 represents, or one correctly rounded function of them"
TWENTY_STEPS = "float32 differences carried through twenty updates"
POWERS = "1 - beta_2 ** t in float32 loses digits at small t, so Adam's steps differ more than others'"


@dataclass(frozen=True)
class ActivationCase:
    """One activation function on given points.

    Attributes:
        id: Unique name; its CRC-32 seeds the draws.
        name: Name in `keras.activations`.
        kwargs: Arguments after `x`.
        points: The points, flat; None draws standard normals.
        shape: Shape of the input; None is `(len(points),)`.
        tolerance: Bound on the relative difference.
        reason: Why the bound is what it is.
    """

    id: str
    name: str
    kwargs: Kwargs = field(default_factory=dict)
    points: tuple[float, ...] | None = None
    shape: tuple[int, ...] | None = None
    tolerance: float = 4e-6
    reason: str = ELEMENTWISE


@dataclass(frozen=True)
class LayerCase:
    """One layer, or a Sequential stack where `layers` has several entries, called on one batch.

    Attributes:
        id: Unique name; its CRC-32 seeds the draws.
        layers: (class name, keyword arguments) of each layer, first to last.
        input_shape: Shape of `x`, batch axis included.
        input_dtype: Dtype of `x`; an integer dtype has no gradient with respect to `x`.
        training: "same" where `training=True` gives the inference answer (checked when recording), "differs" where the
            answer in training mode is recorded too, "random" where it depends on random numbers and is not recorded.
        mask: None, or the pattern of the boolean mask: "right", "left", "holes" or "row" (one row wholly masked).
        mask_value: None passes the mask to the call; a number writes it into `x` at the masked steps instead and passes
            no mask, for stacks that begin with Masking.
        x_values: Flat literal input, for exact rows; None draws standard normals (or small integers).
        tolerance: Bound on the relative difference.
        reason: Why the bound is what it is.
        kind: The table, and file of recordings, that the row belongs to.
        wraps: Class name and keyword arguments of a layer that the one layer of the row gets as its first argument.
        adapt: Shape of normal data, of mean 3 and deviation 2, that the one layer of the row is adapted to; its weights
            are then what that gave.
    """

    id: str
    layers: tuple[Constructor, ...]
    input_shape: tuple[int, ...]
    input_dtype: str = "float32"
    training: str = "same"
    mask: str | None = None
    mask_value: float | None = None
    x_values: tuple[float, ...] | None = None
    tolerance: float = 5e-6
    reason: str = OTHER_ORDER
    kind: str = "layers"
    wraps: Constructor | None = None
    adapt: tuple[int, ...] | None = None


@dataclass(frozen=True)
class RecurrentCase:
    """One recurrent layer, layer over several inputs, or attention, called on one batch.

    Attributes:
        id: Unique name; its CRC-32 seeds the draws.
        layer: (class name, keyword arguments); a constructor among the arguments is a layer or cell of its own.
        inputs: Shapes of the inputs, batch axis included; they are standard normals.
        call: "one" for layer(x), "list" for layer([x, ...]), "arguments" for layer(x, ...).
        masks: The pattern of each input's mask, as in `LayerCase`, or None; empty for none.
        call_kwargs: Keyword arguments of the call.
        training: As in `LayerCase`.
        tolerance: Bound on the relative difference.
        reason: Why the bound is what it is.
    """

    id: str
    layer: Constructor
    inputs: tuple[tuple[int, ...], ...]
    call: str = "one"
    masks: tuple[str | None, ...] = ()
    call_kwargs: Kwargs = field(default_factory=dict)
    training: str = "same"
    tolerance: float = 5e-6
    reason: str = OTHER_ORDER


@dataclass(frozen=True)
class LossCase:
    """One loss object on one batch.

    Attributes:
        id: Unique name; its CRC-32 seeds the draws.
        name: Class name in `keras.losses`.
        kwargs: Constructor arguments.
        shape: Shape of `y_pred`.
        y_true: How to draw the targets: "normal", "binary", "soft_binary", "sign" (-1 and 1), "positive", "one_hot",
            "soft", "sparse", "sparse_column" (a trailing axis of size one) or "spelling" (labels without a time).
        y_pred: How to draw the predictions: "normal", "probability", "positive", "unit" (rows of length one) or "simplex"
            (rows that sum to one).
        sample_weight: None, "row" of shape (batch,), "column" of shape (batch, 1), or "position" (one per loss value).
        y_true_values: Flat literal targets, for exact rows; None draws.
        y_pred_values: Flat literal predictions, for exact rows; None draws.
        tolerance: Bound on the relative difference.
        reason: Why the bound is what it is.
    """

    id: str
    name: str
    kwargs: Kwargs
    shape: tuple[int, ...]
    y_true: str
    y_pred: str
    sample_weight: str | None = None
    y_true_values: tuple[float, ...] | None = None
    y_pred_values: tuple[float, ...] | None = None
    tolerance: float = 1e-6
    reason: str = OTHER_ORDER


@dataclass(frozen=True)
class OptimizerCase:
    """Twenty steps of one optimizer on two weights of shapes (4, 3) and (3,) with given gradients.

    Attributes:
        id: Unique name; its CRC-32 seeds the draws.
        name: Class name in `keras.optimizers`.
        kwargs: Constructor arguments.
        tolerance: Bound on the relative difference.
        reason: Why the bound is what it is.
    """

    id: str
    name: str
    kwargs: Kwargs
    tolerance: float = 3e-6
    reason: str = TWENTY_STEPS


@dataclass(frozen=True)
class UpdateCase:
    """Twenty steps of one optimizer on weights called "kernel" (4, 3), "bias" (3,) and "cube" (2, 3, 2).

    The weights and gradients are standard normals from `draw.generator(id)`: `draw.updates`.

    Attributes:
        id: Unique name; its CRC-32 seeds the draws.
        name: Class name in `keras.optimizers`.
        kwargs: Constructor arguments; a constructor among them is an object of its own.
        excluded: Given to `exclude_from_weight_decay` as `var_names`.
        infinite: The steps, from 0, at which a gradient is infinite.
        tolerance: Bound on the relative difference.
        reason: Why the bound is what it is.
    """

    id: str
    name: str
    kwargs: Kwargs
    excluded: tuple[str, ...] = ()
    infinite: tuple[int, ...] = ()
    tolerance: float = 3e-6
    reason: str = TWENTY_STEPS


@dataclass(frozen=True)
class ScheduleCase:
    """A learning-rate schedule at some steps.

    Attributes:
        id: Unique name.
        name: Class name in `keras.optimizers.schedules`.
        kwargs: Constructor arguments.
        steps: The steps.
        tolerance: Bound on the relative difference.
        reason: Why the bound is what it is.
    """

    id: str
    name: str
    kwargs: Kwargs
    steps: tuple[int, ...]
    tolerance: float = 1e-5
    reason: str = "powers and cosines in float32"


@dataclass(frozen=True)
class MetricCase:
    """One metric object over several batches of unequal size.

    Attributes:
        id: Unique name; its CRC-32 seeds the draws.
        name: Class name in `keras.metrics`.
        kwargs: Constructor arguments.
        shape: Shape of one row of `y_pred`, without the batch axis.
        y_true: How to draw the targets, as in `LossCase`, or "class" for integers comparable with `y_pred`.
        y_pred: How to draw the predictions, as in `LossCase`, or "class" for integers.
        sample_weight: As in `LossCase`.
        y_true_values: Flat literal targets of a single batch, for exact rows; None draws.
        y_pred_values: Flat literal predictions of a single batch, for exact rows; None draws.
        tolerance: Bound on the relative difference.
        reason: Why the bound is what it is.
    """

    id: str
    name: str
    kwargs: Kwargs
    shape: tuple[int, ...]
    y_true: str
    y_pred: str
    sample_weight: str | None = None
    y_true_values: tuple[float, ...] | None = None
    y_pred_values: tuple[float, ...] | None = None
    tolerance: float = 1e-6
    reason: str = OTHER_ORDER


@dataclass(frozen=True)
class StructureCase:
    """One `fit` of a graph with several inputs and outputs, then `evaluate`, `predict` and `train_on_batch`.

    What is a structure here is a list, tuple or dict, nested, or nothing of these, with names as its leaves: "a" and "b" for
    the inputs; "price" (a number), "kind" (one of three classes), "flag" (yes or no) and, of a masked sequence, "each" (a
    number for each step) and "whole" for the outputs.

    Attributes:
        id: Unique name; its CRC-32 seeds the draws.
        outputs: The structure of the model's outputs.
        y: The structure in which the targets are given.
        loss: Given to `compile` as it stands, like the next three.
        loss_weights: Given to `compile`.
        metrics: Given to `compile`.
        weighted_metrics: Given to `compile`.
        inputs: The structure of the model's inputs.
        x: The structure in which the inputs are given; None for that of the model's.
        sample_weight: The structure in which sample weights are given, "row" for one array for all outputs.
        class_weight: Given to `fit`.
        tolerance: Bound on the relative difference, for all that is recorded.
        reason: Why the bound is what it is.
    """

    id: str
    outputs: Any
    y: Any
    loss: Any
    loss_weights: Any = None
    metrics: Any = None
    weighted_metrics: Any = None
    inputs: Any = ("a", "b")
    x: Any = None
    sample_weight: Any = None
    class_weight: dict[int, float] | None = None
    tolerance: float = 1e-5
    reason: str = ""


@dataclass(frozen=True)
class FitCase:
    """One `fit` of a small Sequential with given initial weights and `shuffle=False`, then `evaluate` and `predict`.

    Attributes:
        id: Unique name; its CRC-32 seeds the draws.
        layers: (class name, keyword arguments) of each layer, first to last.
        input_shape: Shape of one row of `x`, without the batch axis.
        target: "normal", "binary", "sparse", "one_hot", or "sequence" (one target a step).
        classes: Width of the model's output.
        optimizer: (class name, keyword arguments).
        loss: Name as given to `compile`, or (class name, keyword arguments).
        metrics: Names as given to `compile`, or (class name, keyword arguments).
        weighted_metrics: The same.
        rows: Number of rows of `x`.
        batch_size: Rows in a batch; the last batch of an epoch is ragged.
        epochs: Passes over the rows.
        sample_weight: Whether `fit` and `evaluate` get one weight per row.
        class_weight: Given to `fit` as it stands.
        validation_split: Given to `fit` as it stands.
        validation_rows: Rows of extra `validation_data`; 0 gives none.
        loss_weights: Given to `compile` as it stands.
        tolerance: Bound on the relative difference, for history, weights, `evaluate` and `predict` alike.
        reason: Why the bound is what it is.
    """

    id: str
    layers: tuple[Constructor, ...]
    input_shape: tuple[int, ...]
    target: str
    classes: int
    optimizer: Constructor
    loss: str | Constructor
    metrics: tuple[str | Constructor, ...] = ()
    weighted_metrics: tuple[str | Constructor, ...] = ()
    rows: int = 70
    batch_size: int = 20
    epochs: int = 5
    sample_weight: bool = False
    class_weight: dict[int, float] | None = None
    validation_split: float = 0.0
    validation_rows: int = 0
    loss_weights: float | None = None
    tolerance: float = 3e-5
    reason: str = TWENTY_STEPS


@dataclass(frozen=True)
class FreeCase:
    """A Sequential whose input has free dimensions: outputs, gradients and losses at two sizes.

    `fit` trains for two epochs on batches of both sizes, with mean squared error and SGD.

    Attributes:
        id: Unique name; its CRC-32 seeds the draws.
        layers: Constructor of each layer, first to last; one among the arguments is a layer or cell of its own, and
            `build.constructed` has two more layers.
        shape: Shape of one row of the input, without the batch axis, None where it is free.
        sizes: The free dimensions of either input.
        input_dtype: Dtype of the input; "int32" draws numbers from 1 to 6.
        padded: Whether rows end in zeros, the first in none and the last in all but one step.
        random: Whether `fit` depends on random numbers, so that no losses are recorded.
        tolerance: Bound on the relative difference of outputs.
        gradient_tolerance: The same of the gradients and of the losses.
        reason: Why the bounds are what they are.
    """

    id: str
    layers: tuple[Constructor, ...]
    shape: tuple[int | None, ...]
    sizes: tuple[tuple[int, ...], tuple[int, ...]]
    input_dtype: str = "float32"
    padded: bool = False
    random: bool = False
    tolerance: float = 1e-5
    gradient_tolerance: float = 1e-4
    reason: str = OTHER_ORDER

    def at(self, size: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of a row where the free dimensions are `size`."""
        left = iter(size)
        return tuple(next(left) if d is None else d for d in self.shape)


@dataclass(frozen=True)
class CallbackCase:
    """One callback over scripted logs; or, without curves, the hooks of `fit`, `evaluate` or `predict`.

    Attributes:
        id: Unique name.
        name: Class name in `keras.callbacks`, or the method whose hooks are recorded.
        kwargs: Arguments; `schedule` names one of `drive.SCHEDULES`.
        curves: For every key of the logs its value in each epoch.
        steps: Batches an epoch.
    """

    id: str
    name: str
    kwargs: Kwargs = field(default_factory=dict)
    curves: dict[str, tuple[float, ...]] = field(default_factory=dict)
    steps: int = 0


Case = (
    ActivationCase
    | LayerCase
    | RecurrentCase
    | LossCase
    | OptimizerCase
    | UpdateCase
    | ScheduleCase
    | MetricCase
    | FitCase
    | StructureCase
    | FreeCase
    | CallbackCase
)

"""The base classes of losses, and the reduction of the values of a batch to one number."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella import ops
from lamella.errors import ShapeError
from lamella.ir.dim import Dim, FreeDimensionError, as_number, maximum, public_shape, shapes_differ
from lamella.ir.spec import Spec, dtype_name, is_float, promote, size_of, spec_of
from lamella.ir.trace import trace
from lamella.losses.check import CheckTargets, Targets, no_check, same_rank
from lamella.names import Name, snake_case
from lamella.tracebacks import filtered

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, Tensor

MEAN = "sum_over_batch_size"
"""The default reduction."""
REDUCTIONS = ("sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none")


class Reduction:
    """Keras 2's names of reductions; `AUTO` is the mean over the batch.

    >>> Reduction.NONE, Reduction.AUTO
    ('none', 'sum_over_batch_size')
    """

    AUTO = "sum_over_batch_size"
    NONE = "none"
    SUM = "sum"
    SUM_OVER_BATCH_SIZE = "sum_over_batch_size"

    @classmethod
    def all(cls) -> tuple[str, ...]:
        """All reductions of this class."""
        return (cls.AUTO, cls.NONE, cls.SUM, cls.SUM_OVER_BATCH_SIZE)


def standardize_reduction(reduction: str | None) -> str:
    """`reduction` as one of `REDUCTIONS`; None is "none".

    Raises:
        ValueError: it is not one of them.
    """
    reduction = "none" if reduction is None else reduction
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction must be one of {', '.join(map(repr, REDUCTIONS))}, got {reduction!r}.")
    return reduction


def squeeze_or_expand_to_same_rank(x1: ArrayLike, x2: ArrayLike) -> tuple[Any, Any]:
    """Return two operands with equal ranks where one has one more dimension of size 1 at its end, as in Keras.

    Of a pair `(n,)` and `(n, 1)` the vector is expanded; otherwise the dimension is squeezed. Other shapes are
    unchanged.

    Args:
        x1: the first operand.
        x2: the second operand.

    Example:
        >>> import numpy as np
        >>> from lamella.losses import squeeze_or_expand_to_same_rank
        >>> [x.shape for x in squeeze_or_expand_to_same_rank(np.zeros((2, 3, 1)), np.zeros((2, 3)))]
        [(2, 3), (2, 3)]
    """
    x1, x2 = ops.convert_to_tensor(x1), ops.convert_to_tensor(x2)
    first, second = same_rank(tuple(x1.shape), tuple(x2.shape))
    return _reshaped(x1, first), _reshaped(x2, second)


def _reshaped(x: Any, shape: tuple[int, ...]) -> Any:
    return x if tuple(x.shape) == shape else ops.reshape(x, shape)


def compute_dtype(y_pred: ArrayLike, dtype: str | None = None) -> str:
    """The dtype of the computation: `dtype`, else that of the predictions, but at least float32."""
    if dtype is not None:
        return dtype
    have = spec_of(ops.convert_to_tensor(y_pred)).dtype
    return promote("float32", have) if is_float(have) else "float32"


def of_one_shape(y_true: ArrayLike, y_pred: ArrayLike, squeeze: bool = True) -> tuple[Any, Any]:
    """Targets and predictions after `squeeze_or_expand_to_same_rank`, checked to have the same shape.

    A scalar target (the labels 0 and 1 of a GAN) is accepted for predictions of any shape.

    Raises:
        ShapeError: the operands would only meet by broadcasting.
    """
    y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
    first, second = squeeze_or_expand_to_same_rank(y_true, y_pred) if squeeze else (y_true, y_pred)
    if first.shape and shapes_differ(first.shape, second.shape):
        shapes = [public_shape(x.shape) for x in (y_true, y_pred)]
        raise ShapeError(
            f"y_true has shape {shapes[0]} and y_pred {shapes[1]}: they would only meet by broadcasting, which compares "
            f"targets with predictions for other targets. Give y_true the shape {shapes[1]}."
        )
    return first, second


def operands(y_true: ArrayLike, y_pred: ArrayLike, squeeze: bool = True) -> tuple[Any, Any]:
    """Targets and predictions in the dtype of the computation, checked to have the same shape."""
    dtype = compute_dtype(y_pred)
    return of_one_shape(ops.cast(y_true, dtype), ops.cast(y_pred, dtype), squeeze)


def divide_no_nan(x: ArrayLike, y: ArrayLike) -> Tensor:
    """x / y, and 0 where y is 0."""
    empty = ops.equal(y, 0.0)
    return ops.where(empty, 0.0, ops.divide(x, ops.where(empty, 1.0, y)))


def align_weight(weight: Any, values: Any) -> tuple[Any, Any]:
    """A weight reshaped to broadcast against `values` (and `values`, which may get a trailing 1 as in Keras).

    A weight with fewer dimensions applies to whole rows (positions ...): dimensions of 1 are added at its end. Keras
    only adds one to a vector, and broadcasts other shapes from the right.

    Raises:
        ShapeError: the shapes do not fit.
    """
    shape, target = tuple(weight.shape), tuple(values.shape)
    target, shape = same_rank(target, shape)
    shape = (*shape, *(1,) * (len(target) - len(shape)))
    if len(shape) != len(target) or any(w not in (1, v) for w, v in zip(shape, target, strict=True)):
        raise ShapeError(
            f"a sample_weight (or mask) of shape {public_shape(weight.shape)} does not fit loss values of shape "
            f"{public_shape(values.shape)}: give one weight per row, or one per value."
        )
    return _reshaped(weight, shape), _reshaped(values, target)


def reduce_weighted(
    values: Any,
    sample_weight: Any = None,
    rows: Any = None,
    reduction: str | None = "sum_over_batch_size",
    mask: Any = None,
) -> Any:
    """Reduce the values of a batch to one number, or return the weighted values.

    With values v, weights w (1 by default) and N values in real rows:

    - "sum_over_batch_size", "mean": sum(v w) / N. As in Keras, the divisor does not contain the weights.
    - "mean_with_sample_weight": sum(v w) / sum(w); without weights, sum(v) / N.
    - "sum": sum(v w).
    - "none": v w.

    A divisor of 0 gives 0. A mask removes values; in the means, N counts the values that it keeps.

    Args:
        values: floats `(batch, ...)`, or one number, which is returned unchanged.
        sample_weight: `(batch,)`, or any shape that broadcasts to `values` from the left.
        rows: floats `(batch,)`: 1 for real rows, 0 for rows that pad the batch and are ignored.
        reduction: one of the above.
        mask: True for values that count; shaped like `sample_weight`.

    Raises:
        ValueError: the reduction is unknown, or shapes do not fit.

    Example:
        >>> from lamella.losses import reduce_weighted
        >>> float(reduce_weighted([1.0, 2.0, 6.0]))
        3.0
        >>> float(reduce_weighted([1.0, 2.0, 6.0], [1.0, 1.0, 0.0], reduction="mean_with_sample_weight"))
        1.5
    """
    reduction = standardize_reduction(reduction)
    values = ops.convert_to_tensor(values)
    if not is_float(spec_of(values).dtype):
        values = ops.cast(values, "float32")
    dtype = spec_of(values).dtype
    means = reduction in ("sum_over_batch_size", "mean")
    real = None if rows is None else ops.cast(rows, dtype)

    weight = None
    if mask is not None:
        weight = ops.cast(mask, dtype)
        if means:
            kept = weight if real is None else ops.multiply(weight, with_rank_of(real, weight))
            weight = ops.multiply(weight, divide_no_nan(_count(weight, real), ops.sum(kept)))
    if sample_weight is not None:
        given = ops.cast(sample_weight, dtype)
        weight = given if weight is None else ops.multiply(*align_weight(given, weight))
    weighted = weight is not None
    if real is not None and tuple(values.shape):
        weight = real if weight is None else ops.multiply(weight, with_rank_of(real, weight))
    if weight is not None:
        if tuple(values.shape):
            weight, values = align_weight(weight, values)
        values = ops.multiply(values, weight)
    if reduction == "none" or not tuple(values.shape):
        return values

    total = ops.sum(values)
    if reduction == "sum":
        return total
    if reduction == "mean_with_sample_weight" and weighted:
        return divide_no_nan(total, ops.sum(weight))
    if real is not None:
        return ops.divide(total, _count(values, real))  # a batch has at least one real row
    return ops.divide(total, as_number(maximum(size_of(values.shape), 1)))


def with_rank_of(weight: Tensor, like: Tensor) -> Tensor:
    """`weight` with dimensions of 1 added at its end, up to the rank of `like`."""
    return ops.reshape(weight, (*weight.shape, *(1,) * (len(like.shape) - len(weight.shape))))


def _count(values: Any, rows: Any) -> Any:
    """The number of entries of `values` in real rows: a Python number if every row is real."""
    if rows is None:
        return as_number(size_of(values.shape))
    return ops.multiply(ops.sum(rows), as_number(size_of(values.shape[1:])))


def row_by_row(function: Callable[..., Any], y: Spec, prediction: Spec, where: str = "loss") -> bool:
    """Whether `function(y_true, y_pred)` returns values per row of a batch, each of which depends on that row alone.

    `where` is the part of the model that error messages about the function name.
    """
    from lamella.passes import find_cross_batch_op

    try:
        program = trace(function, y, prediction, where=where)
    except FreeDimensionError:
        return False
    shape = program.outputs[0].spec.shape
    return bool(shape) and isinstance(shape[0], Dim) and find_cross_batch_op(program) is None


class Loss:
    """The base class of losses: subclass it and write `call(y_true, y_pred)`.

    Args:
        name: the name in messages; None is the class name in snake case.
        reduction: "sum_over_batch_size" (the mean), "sum", "mean_with_sample_weight" or "none"; see `reduce_weighted`.
        dtype: the dtype of the computation; None is the float dtype of the predictions, but at least float32.

    Raises:
        ValueError: `reduction` is unknown.

    Example:
        >>> from lamella import losses, ops
        >>> class Quantile(losses.Loss):
        ...     def call(self, y_true, y_pred):
        ...         error = ops.subtract(y_true, y_pred)
        ...         return ops.mean(ops.maximum(ops.multiply(0.9, error), ops.multiply(-0.1, error)), -1)
        >>> round(float(Quantile()([[1.0], [1.0]], [[0.0], [2.0]])), 4)
        0.5
    """

    name: str = Name("a loss", label=True)  # type: ignore[assignment]
    integer_targets = False
    """Whether `call` takes the targets in their dtype (class numbers) instead of that of the loss."""

    def __init__(
        self, name: str | None = None, reduction: str | None = "sum_over_batch_size", dtype: Any = None
    ) -> None:
        self.name = name or snake_case(type(self).__name__)
        self.reduction = standardize_reduction(reduction)
        self.dtype = None if dtype is None else dtype_name(getattr(dtype, "name", dtype))

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The values before the reduction, one per sample (or position): `(batch, ...)`.

        Args:
            y_true: the targets, in the dtype of the loss unless `integer_targets` is true.
            y_pred: the predictions, in the dtype of the loss.
        """
        raise NotImplementedError(f"the loss {type(self).__name__} does not define `call`.")

    def per_sample(self, y_true: ArrayLike, y_pred: ArrayLike) -> Tensor:
        """`call` on operands in the dtype of the loss."""
        dtype = compute_dtype(y_pred, self.dtype)
        y_true = ops.convert_to_tensor(y_true)
        return self.call(y_true if self.integer_targets else ops.cast(y_true, dtype), ops.cast(y_pred, dtype))

    def mask(self, y_true: ArrayLike, y_pred: ArrayLike, values: ArrayLike) -> Any:
        """True for values that count, in losses that leave some of their `values` out; None if all count."""
        return None

    def is_per_example(self, y: Spec, prediction: Spec) -> bool:
        """Whether there is one value per row that depends on that row alone: then a short batch may be padded.

        Args:
            y: the spec of a batch of targets, with a free batch dimension.
            prediction: the spec of the model's prediction for the batch, likewise.
        """
        return row_by_row(self.per_sample, y, prediction)

    @filtered
    def __call__(
        self,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        rows: Tensor | None = None,
        mask: Any = None,
    ) -> Tensor:
        """The loss of a batch.

        Args:
            y_true: the targets, `(batch, ...)`.
            y_pred: the predictions, `(batch, ...)`.
            sample_weight: one weight per row, or one per value.
            rows: 1 for real rows, 0 for rows that pad the batch, `(batch,)`; see `reduce_weighted`.
            mask: True for values that count, for predictions with a mask (a padded sequence).
        """
        values = self.per_sample(y_true, y_pred)
        own = self.mask(y_true, y_pred, values)
        if own is not None:
            mask = own if mask is None else ops.logical_and(mask, own)
        return reduce_weighted(values, sample_weight, rows, self.reduction, mask)

    def check(self, y: Spec, prediction: Spec, y_array: Tensor | None = None) -> None:
        """Check before training that targets fit these predictions.

        Args:
            y: the spec of a batch of targets.
            prediction: the spec of the model's prediction for the batch.
            y_array: all targets (a NumPy array), if they are in host memory.

        Raises:
            ValueError: they do not fit; the message says what was expected.
        """

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON values."""
        return {"name": self.name, "reduction": self.reduction}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Loss:
        """The loss that `get_config` described."""
        return cls(**config)

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.get_config().items())
        return f"{type(self).__name__}({arguments})"


class LossFunctionWrapper(Loss):
    """A function `(y_true, y_pred) -> values` as a loss.

    Args:
        fn: the function; its operands have equal ranks and the dtype of the loss.
        reduction: "sum_over_batch_size" (the mean), "sum", "mean_with_sample_weight" or "none"; see `reduce_weighted`.
        name: the name in messages; None is the function's.
        dtype: the dtype of the computation; None is the float dtype of the predictions, but at least float32.
        **kwargs: passed on to `fn`.

    Raises:
        ValueError: `reduction` is unknown.

    Example:
        >>> from lamella import losses, ops
        >>> def power_error(y_true, y_pred, power):
        ...     return ops.mean(ops.power(ops.abs(ops.subtract(y_true, y_pred)), power), -1)
        >>> loss = losses.LossFunctionWrapper(power_error, power=3.0)
        >>> float(loss([[0.0]], [[2.0]]))
        8.0
    """

    targets: CheckTargets = staticmethod(no_check)
    """The check of targets before training, from `losses.check`."""

    def __init__(
        self,
        fn: Callable[..., Any],
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name or getattr(fn, "__name__", None), reduction, dtype)
        self.fn = fn
        self.kwargs = kwargs

    def call(self, y_true: ArrayLike, y_pred: ArrayLike) -> Tensor:
        """The values of the function."""
        return self.fn(*squeeze_or_expand_to_same_rank(y_true, y_pred), **self.kwargs)

    def check(self, y: Spec, prediction: Spec, y_array: Any = None) -> None:
        """Check before training that targets fit these predictions."""
        array = np.asarray(y_array) if isinstance(y_array, np.ndarray) else None
        self.targets(Targets(self.name, y, prediction, array, self.kwargs))

    def get_config(self) -> dict[str, Any]:
        """Name, reduction and the keyword arguments of the function."""
        return {**super().get_config(), **self.kwargs}


class Declared:
    """A loss or metric without further arguments: a subclass declares `function`.

    The subclass gets a separate constructor, so that errors name it, and the function's name is the default of `name`.
    """

    function: Callable[..., Any]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "function" in cls.__dict__ and "__init__" not in cls.__dict__:
            init: Any = cls.__init__
            words = zip(init.__code__.co_varnames[1 : init.__code__.co_argcount], init.__defaults__, strict=True)
            defaults = tuple(cls.function.__name__ if word == "name" else default for word, default in words)
            own = FunctionType(init.__code__, init.__globals__, "__init__", defaults, init.__closure__)
            own.__qualname__, own.__annotations__ = f"{cls.__qualname__}.__init__", init.__annotations__
            cls.__init__ = own


class FunctionLoss(LossFunctionWrapper, Declared):
    """A loss without further arguments, such as `MeanSquaredError`.

    Args:
        reduction: "sum_over_batch_size" (the mean), "sum", "mean_with_sample_weight" or "none"; see `reduce_weighted`.
        name: the name in messages; None is the function's.
        dtype: the dtype of the computation; None is the float dtype of the predictions, but at least float32.
    """

    def __init__(self, reduction: str | None = MEAN, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(self.function, reduction, name, dtype)

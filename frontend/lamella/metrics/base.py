"""The base classes of metrics: a small state, a pure function that adds a batch to it, and a result.

The training step traces `update` and `result`; the eager methods (`update_state`, `result()`, `reset_state`) run the
same functions on arrays.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella import initializers, ops
from lamella.core import context
from lamella.errors import TraceError
from lamella.ir import settings
from lamella.ir.dim import as_number
from lamella.ir.interpret import to_numpy
from lamella.ir.spec import Shape, Spec, dtype_name, numpy_dtype, promote, size_of, spec_of
from lamella.ir.trace import operand
from lamella.losses.base import Declared, divide_no_nan, row_by_row, squeeze_or_expand_to_same_rank
from lamella.metrics.variable import MetricVariable
from lamella.names import Name, snake_case
from lamella.tracebacks import filtered

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, Tensor

State = dict[str, Any]


class Metric:
    """The base class of metrics.

    A custom metric is written as in Keras: `__init__` creates variables with `self.add_variable(...)`,
    `update_state(y_true, y_pred, sample_weight=None)` assigns them, and `result()` computes the value from them, all in
    `lamella.ops`. The training step traces `update_state`, so that only variables keep values between batches.

    The built-in metrics are written as pure functions of a state instead: `state_specs`, `update` and `compute`.

    Args:
        name: the key in logs; None is the class name in snake case.
        dtype: the dtype of the state; None is `floatx`, but at least float32.

    Example:
        >>> from lamella import metrics, ops
        >>> class Largest(metrics.Metric):
        ...     def __init__(self):
        ...         super().__init__("largest")
        ...         self.error = self.add_variable((), name="error")
        ...     def update_state(self, y_true, y_pred, sample_weight=None):
        ...         errors = ops.abs(ops.subtract(y_true, y_pred))
        ...         self.error.assign(ops.maximum(self.error, ops.max(errors)))
        ...     def result(self):
        ...         return self.error
        >>> Largest()([1.0, 2.0], [1.0, 4.5])
        2.5
    """

    name: str = Name("a metric", label=True)  # type: ignore[assignment]

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        self.name = name or snake_case(type(self).__name__)
        self._dtype = None if dtype is None else dtype_name(getattr(dtype, "name", dtype))
        self._state: State | None = None
        self._variables: list[MetricVariable] = []

    @property
    def dtype(self) -> str:
        """The dtype of the state."""
        return self._dtype or promote("float32", settings.floatx())

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "result" in cls.__dict__:
            setattr(cls, "result", _noted(cls.result))  # noqa: B010 - the types of the two would have to be one

    # ---- a metric as pure functions ----

    def build(self, y: Spec, prediction: Spec, weighted: bool = False) -> None:
        """Inspect the specs of a batch, and whether it has weights, before the state is created.

        Raises:
            ValueError: the metric does not fit them.
        """

    def state_specs(self) -> dict[str, tuple[Shape, str, Any]]:
        """Shape, dtype and initial value of every entry of the state."""
        if not self._variables:
            raise NotImplementedError(
                f"the metric {type(self).__name__} has no variables: create them in `__init__` with `self.add_variable`."
            )
        return {v.name: (v.shape, v.dtype, v.initial) for v in self._variables}

    @property
    def in_keras_style(self) -> bool:
        """Whether the metric is written with `update_state` and `result`, not as pure functions."""
        return type(self).update is Metric.update

    def update(self, state: State, *arguments: Any, **kwargs: Any) -> State:
        """`update(state, y_true, y_pred, weight=None)`: return the state with a batch added, as a pure function.

        `weight` is None or floats `(batch,)` (or one per position): the product of sample weights with 1 for real rows
        and 0 for rows that pad the batch, which must change nothing. By default, `update_state` is run on variables
        with the values of the state.
        """
        if type(self).update_state is Metric.update_state:
            raise NotImplementedError(f"the metric {type(self).__name__} does not define `update_state`.")
        weight = kwargs.get("weight")
        with self._holding(state):
            self.update_state(*arguments, **({} if weight is None else {"sample_weight": weight}))
            return {v.name: v.value for v in self._variables}

    def compute(self, state: State) -> Any:
        """The metric's value: a scalar, or an array of values."""
        if type(self).result is Metric.result:
            raise NotImplementedError(f"the metric {type(self).__name__} does not define `result`.")
        with self._holding(state):
            return operand(self.result())

    def is_per_example(self, y: Spec, prediction: Spec) -> bool:
        """Whether a row of weight 0 changes nothing, so that a short batch may be padded with such rows."""
        return not self.in_keras_style

    def initial_state(self) -> State:
        """A new state of NumPy arrays."""
        return {
            name: np.full(shape, value, numpy_dtype(dtype))
            for name, (shape, dtype, value) in self.state_specs().items()
        }

    def read(self, state: State) -> Any:
        """The value that logs contain for a state: a float, or a NumPy array of values."""
        return _as_log(self.compute(state))

    # ---- a metric that keeps its state itself ----

    def add_variable(
        self, shape: Any = (), initializer: Any = "zeros", dtype: Any = None, name: str | None = None
    ) -> MetricVariable:
        """Create a variable of the metric's state, for `update_state` to assign and `result` to read.

        Args:
            shape: the shape.
            initializer: the initial value, to which `reset_state` resets the variable: an initializer or its name.
            dtype: the dtype; None is the metric's.
            name: the name in saved states; None is a number.
        """
        if isinstance(shape, str):  # Keras 2: add_weight(name, shape)
            shape, name = (), shape
        name = name or f"variable_{len(self._variables)}"
        if any(v.name == name for v in self._variables):
            name = f"{name}_{len(self._variables)}"
        kind = self.dtype if dtype is None else dtype_name(getattr(dtype, "name", dtype))
        shape = (int(shape),) if isinstance(shape, int) else tuple(int(d) for d in shape)
        initial = np.asarray((initializers.get(initializer) or initializers.Zeros())(shape, kind))
        variable = MetricVariable(name, initial, kind)
        self._variables.append(variable)
        return variable

    add_weight = add_variable
    """Another name of `add_variable` in Keras."""

    @property
    def variables(self) -> list[MetricVariable]:
        """The variables that `add_variable` created."""
        return list(self._variables)

    @contextmanager
    def _holding(self, state: State) -> Iterator[None]:
        """Give the variables the values of `state` for the time of the context."""
        held = [v.value for v in self._variables]
        try:
            for v in self._variables:
                v.value = state[v.name]
            yield
        finally:
            for v, value in zip(self._variables, held, strict=True):
                v.value = value

    @filtered
    def update_state(self, *arguments: Any, sample_weight: ArrayLike | None = None) -> None:
        """Add a batch: `(y_true, y_pred, sample_weight=None)`, or `(values, sample_weight=None)` for a mean.

        In a model's custom step, this is a part of the step; the metric must be an attribute of the model.

        Args:
            *arguments: targets and predictions, or values.
            sample_weight: weights, `(batch,)` or one per position.
        """
        weight = {} if sample_weight is None else {"weight": ops.convert_to_tensor(sample_weight)}
        states = _states()
        if states is not None:
            states[id(self)] = self.update(self._state_of_step(states), *arguments, **weight)
            return
        if self._state is None:
            if len(arguments) > 1:
                y, prediction = (spec_of(ops.convert_to_tensor(a)) for a in arguments[:2])
                self.build(y, prediction, sample_weight is not None)
            self._state = self.initial_state()
        self._state = self.update(self._state, *arguments, **weight)

    def result(self) -> Any:
        """The value over all batches: a float, or a NumPy array of values; in a model's step a symbolic value."""
        states = _states()
        if states is not None:
            return self.compute(self._state_of_step(states))
        return self.read(self._state or self.initial_state())

    def _state_of_step(self, states: dict[int, State]) -> State:
        if id(self) not in states:
            raise TraceError(
                f"the metric {self.name!r} is used in a model's step, but is not an attribute of the model: assign it to "
                "one, so that its state is kept between steps."
            )
        return states[id(self)]

    def reset_state(self) -> None:
        """Discard all batches."""
        states = _states()
        if states is None:
            self._state = None
        else:
            states[id(self)] = self.initial_state()
        for v in self._variables:
            v.value = v.initial

    reset_states = reset_state
    """The name in Keras 2."""

    def __call__(self, *arguments: Any, **kwargs: Any) -> Any:
        """Add a batch and return the value over all batches so far."""
        self.update_state(*arguments, **kwargs)
        result = operand(self.result())
        return _as_log(result) if _states() is None else result

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON values."""
        return {"name": self.name, "dtype": self.dtype}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Metric:
        """The metric that `get_config` described."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"


def _states() -> dict[int, State] | None:
    """The states of a model's metrics while its custom step is traced."""
    running = context.current()
    return None if running is None else running.metrics


def _noted(result: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """`result`, which in a model's custom step records the metric that its value belongs to."""

    @functools.wraps(result)
    def wrapped(self: Any) -> Any:
        value, running = result(self), context.current()
        if running is not None and running.metrics is not None:
            running.results.append((value, self))
        return value

    return wrapped


setattr(Metric, "result", _noted(Metric.result))  # noqa: B010


def _as_log(value: ArrayLike) -> Any:
    array = to_numpy(value)
    return float(array) if array.ndim == 0 else array


def by_sample(values: Tensor, weight: Any, dtype: str) -> tuple[Any, Any]:
    """One weighted value per sample, and the weight of each (None without weights).

    Values are averaged over the axes after the batch; with a weight of several dimensions, their products with it are.
    So the weight of a sample is the mean of its weights, as in Keras.
    """
    values = ops.cast(values, dtype)
    if weight is not None:
        weight = ops.cast(weight, dtype)
        values, weight = squeeze_or_expand_to_same_rank(values, weight)
        rank = len(weight.shape)
        values = _mean_from(values, rank)
        weight = ops.broadcast_to(weight, values.shape)
        values = ops.multiply(values, weight)
        weight = _mean_from(weight, 1)
    return _mean_from(values, 1), weight


def _mean_from(x: Any, axis: int) -> Any:
    rank = len(x.shape)
    return ops.mean(x, tuple(range(axis, rank))) if rank > axis else x


class Mean(Metric):
    """The weighted mean of values over all batches: sum(values * weights) / sum(weights).

    Args:
        name: the key in logs; None is the class name in snake case.
        dtype: the dtype of the state; None is `floatx`, but at least float32.

    Example:
        >>> from lamella.metrics import Mean
        >>> mean = Mean()
        >>> mean.update_state([1.0, 3.0])
        >>> mean.update_state([8.0], sample_weight=[2.0])
        >>> mean.result()
        5.0
    """

    def state_specs(self) -> dict[str, tuple[Shape, str, float]]:
        """Two scalars: the weighted sum of the values and the sum of the weights."""
        return {"total": ((), self.dtype, 0.0), "count": ((), self.dtype, 0.0)}

    def accumulate(self, state: State, values: Any, weight: Any = None) -> State:
        """Add a batch of values `(batch, ...)`; a scalar is added once, without weight."""
        if not values.shape and weight is not None and weight.shape:
            weight = None
        values, weight = by_sample(values, weight, self.dtype)
        count = as_number(size_of(values.shape)) if weight is None else ops.sum(weight)
        return {"total": ops.add(state["total"], ops.sum(values)), "count": ops.add(state["count"], count)}

    def update(self, state: State, values: ArrayLike, weight: Tensor | None = None) -> State:
        """Add a batch of values `(batch, ...)`."""
        return self.accumulate(state, ops.convert_to_tensor(values), weight)

    def compute(self, state: State) -> Any:
        """total / count, and 0 before the first batch."""
        total, count = state["total"], state["count"]
        if isinstance(count, np.ndarray | np.generic):  # two host numbers, read every epoch, need no ops
            return total / count if count else total * 0
        return divide_no_nan(total, count)


class Sum(Metric):
    """The weighted sum of values over all batches.

    Args:
        name: the key in logs; None is the class name in snake case.
        dtype: the dtype of the state; None is `floatx`, but at least float32.

    Example:
        >>> from lamella.metrics import Sum
        >>> total = Sum()
        >>> total.update_state([1.0, 3.0])
        >>> total.update_state([8.0], sample_weight=[2.0])
        >>> total.result()
        20.0
    """

    def state_specs(self) -> dict[str, tuple[Shape, str, float]]:
        """One scalar."""
        return {"total": ((), self.dtype, 0.0)}

    def update(self, state: State, values: Any, weight: Any = None) -> State:
        """Add a batch of values."""
        values = ops.cast(values, self.dtype)
        if weight is not None:
            values, weight = squeeze_or_expand_to_same_rank(values, ops.cast(weight, self.dtype))
            values = _sum_from(values, len(weight.shape))
            values = ops.multiply(values, ops.broadcast_to(weight, values.shape))
        return {"total": ops.add(state["total"], ops.sum(values))}

    def compute(self, state: State) -> Tensor:
        """The total."""
        return state["total"]


def _sum_from(x: Any, axis: int) -> Any:
    rank = len(x.shape)
    return ops.sum(x, tuple(range(axis, rank))) if rank > axis else x


class MeanMetricWrapper(Mean):
    """The mean of `fn(y_true, y_pred, **kwargs)`, a function with one value per sample (or position).

    Args:
        fn: the function, written in `lamella.ops`.
        name: the key in logs; None is the function's name.
        dtype: the dtype of the state; None is `floatx`, but at least float32.
        **kwargs: passed on to `fn`.

    Example:
        >>> from lamella import metrics, ops
        >>> def within(y_true, y_pred, limit):
        ...     return ops.cast(ops.less(ops.abs(ops.subtract(y_true, y_pred)), limit), "float32")
        >>> metrics.MeanMetricWrapper(within, limit=1.0)([1.0, 2.0], [1.5, 4.0])
        0.5
    """

    def __init__(self, fn: Callable[..., Any], name: str | None = None, dtype: Any = None, **kwargs: Any) -> None:
        super().__init__(name or getattr(fn, "__name__", None), dtype)
        self.fn = fn
        self.kwargs = kwargs

    def update(self, state: State, y_true: ArrayLike, y_pred: ArrayLike, weight: Tensor | None = None) -> State:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Add the function's values of a batch."""
        return self.accumulate(state, ops.convert_to_tensor(self.fn(y_true, y_pred, **self.kwargs)), weight)

    def is_per_example(self, y: Spec, prediction: Spec) -> bool:
        """Whether the function returns values per row that depend on that row alone."""
        values = partial(self.fn, **self.kwargs)
        return row_by_row(values, y, prediction, f"metrics/{self.name}")

    def get_config(self) -> dict[str, Any]:
        """Name, dtype and the keyword arguments of the function."""
        return {**super().get_config(), **self.kwargs}


class FunctionMetric(MeanMetricWrapper, Declared):
    """The mean of a function without further arguments, such as `MeanSquaredError`.

    Args:
        name: the key in logs; None is the function's name.
        dtype: the dtype of the state; None is `floatx`, but at least float32.
    """

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(self.function, name, dtype)

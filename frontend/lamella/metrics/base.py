"""A metric: a small state, a pure rule that takes a batch into it, and a result.

The training step traces `update` and `result`; the stand-alone methods (`update_state`, `result()`, `reset_state`) run the
same rules eagerly.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

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

State = dict[str, Any]


class Metric:
    """The base of all metrics.

    A metric of one's own is written in Keras's words: `__init__` makes variables with `self.add_variable(...)`,
    `update_state(y_true, y_pred, sample_weight=None)` assigns them, `result()` computes from them, all in `lamella.ops`.
    The training step traces `update_state`: nothing else it keeps on `self` lasts.

    The metrics here are written as what that becomes, pure functions of a state: `state_specs`, `update` and `compute`.

    Args:
        name: the key in logs; by default the class's name, in snake case.
        dtype: the dtype of the state; None is `floatx`, but at least float32.
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
        """Look at the specs of a batch, and whether it has weights, before there is a state; by default nothing is seen.

        Raises:
            ValueError: the metric does not fit them.
        """

    def state_specs(self) -> dict[str, tuple[Shape, str, Any]]:
        """Shape, dtype and initial value of every entry of the state."""
        if not self._variables:
            raise NotImplementedError(
                f"the metric {type(self).__name__} keeps nothing: make its variables in `__init__` with `self.add_variable`."
            )
        return {v.name: (v.shape, v.dtype, v.initial) for v in self._variables}

    @property
    def keras_words(self) -> bool:
        """Whether the metric is written as `update_state` and `result`, not as pure functions."""
        return type(self).update is Metric.update

    def update(self, state: State, *arguments: Any, **words: Any) -> State:
        """`update(state, y_true, y_pred, weight=None)`: the state with a batch taken in, a pure function.

        `weight` is None or floats (batch,) (or one a position): the product of sample weights with 1 for a real row and 0
        for one that only fills the batch up, which must change nothing. Here: what `update_state` makes of a state.
        """
        if type(self).update_state is Metric.update_state:
            raise NotImplementedError(
                f"the metric {type(self).__name__} does not say what it does: write `update_state`."
            )
        weight = words.get("weight")
        with self._holding(state):
            self.update_state(*arguments, **({} if weight is None else {"sample_weight": weight}))
            return {v.name: v.value for v in self._variables}

    def compute(self, state: State) -> Any:
        """The metric's value: a scalar, or an array of values."""
        if type(self).result is Metric.result:
            raise NotImplementedError(f"the metric {type(self).__name__} does not say its result: write `result`.")
        with self._holding(state):
            return operand(self.result())

    def is_per_example(self, y: Spec, prediction: Spec) -> bool:
        """Whether a row of weight 0 changes nothing, so that a short batch may be filled up with such rows."""
        return not self.keras_words

    def initial_state(self) -> State:
        """A fresh state: NumPy arrays."""
        return {
            name: np.full(shape, value, numpy_dtype(dtype))
            for name, (shape, dtype, value) in self.state_specs().items()
        }

    def read(self, state: State) -> Any:
        """What logs hold of a state: a float, or a NumPy array of values."""
        return _as_log(self.compute(state))

    # ---- a metric that keeps its state itself ----

    def add_variable(
        self, shape: Any = (), initializer: Any = "zeros", dtype: Any = None, name: str | None = None
    ) -> MetricVariable:
        """A variable of the metric's state, for `update_state` to assign and `result` to read.

        Args:
            shape: its shape.
            initializer: what it starts from, and what `reset_state` sets it to.
            dtype: its dtype; None is the metric's.
            name: its name in saved states; by default numbered.
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
    """Keras's other name."""

    @property
    def variables(self) -> list[MetricVariable]:
        """What `add_variable` made."""
        return list(self._variables)

    @contextmanager
    def _holding(self, state: State) -> Iterator[None]:
        """The variables hold `state`, and afterwards what they held before."""
        held = [v.value for v in self._variables]
        try:
            for v in self._variables:
                v.value = state[v.name]
            yield
        finally:
            for v, value in zip(self._variables, held, strict=True):
                v.value = value

    @filtered
    def update_state(self, *arguments: Any, sample_weight: Any = None) -> None:
        """Take a batch in: `(y_true, y_pred, sample_weight=None)`, or `(values, sample_weight=None)` for a mean.

        In a model's own step that is a part of the step, where the model keeps the metric in an attribute.
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
        """The value over the batches taken in: a float, or a NumPy array of values; in a model's step a symbolic value."""
        states = _states()
        if states is not None:
            return self.compute(self._state_of_step(states))
        return self.read(self._state or self.initial_state())

    def _state_of_step(self, states: dict[int, State]) -> State:
        if id(self) not in states:
            raise TraceError(
                f"the metric {self.name!r} is used in a model's step, and the model does not keep it: assign it to an "
                "attribute of the model, so that its state lasts from step to step."
            )
        return states[id(self)]

    def reset_state(self) -> None:
        """Forget every batch."""
        states = _states()
        if states is None:
            self._state = None
        else:
            states[id(self)] = self.initial_state()
        for v in self._variables:
            v.value = v.initial

    reset_states = reset_state
    """Keras 2's name."""

    def __call__(self, *arguments: Any, **words: Any) -> Any:
        """Take a batch in and return the value so far."""
        self.update_state(*arguments, **words)
        result = operand(self.result())
        return _as_log(result) if _states() is None else result

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal metric."""
        return {"name": self.name, "dtype": self.dtype}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Metric:
        """The metric that `get_config` described."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"


def _states() -> dict[int, State] | None:
    """The states of a model's metrics while its own step is traced."""
    running = context.current()
    return None if running is None else running.metrics


def _noted(result: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """`result`, which in a model's own step tells which metric its value is the result of."""

    @functools.wraps(result)
    def wrapped(self: Any) -> Any:
        value, running = result(self), context.current()
        if running is not None and running.metrics is not None:
            running.results.append((value, self))
        return value

    return wrapped


setattr(Metric, "result", _noted(Metric.result))  # noqa: B010


def _as_log(value: Any) -> Any:
    array = to_numpy(value)
    return float(array) if array.ndim == 0 else array


def by_sample(values: Any, weight: Any, dtype: str) -> tuple[Any, Any]:
    """One weighted value a sample, and the weight of each (None without weights).

    The mean over the axes after the batch; with a weight of several dimensions, of the products with it. So a sample
    counts by the mean of its weights, as in Keras.
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
    """sum(values * weights) / sum(weights) over all batches."""

    def state_specs(self) -> dict[str, tuple[Shape, str, float]]:
        """Two scalars: the weighted total and the weights."""
        return {"total": ((), self.dtype, 0.0), "count": ((), self.dtype, 0.0)}

    def accumulate(self, state: State, values: Any, weight: Any = None) -> State:
        """Add a batch of values (batch, ...); a single number counts once, whatever the weights of the rows behind it."""
        if not values.shape and weight is not None and weight.shape:
            weight = None
        values, weight = by_sample(values, weight, self.dtype)
        count = as_number(size_of(values.shape)) if weight is None else ops.sum(weight)
        return {"total": ops.add(state["total"], ops.sum(values)), "count": ops.add(state["count"], count)}

    def update(self, state: State, values: Any, weight: Any = None) -> State:
        """Add a batch of values (batch, ...)."""
        return self.accumulate(state, ops.convert_to_tensor(values), weight)

    def compute(self, state: State) -> Any:
        """total / count, and 0 before the first batch."""
        total, count = state["total"], state["count"]
        if isinstance(count, np.ndarray | np.generic):  # logs are read every epoch: no machinery for two host numbers
            return total / count if count else total * 0
        return divide_no_nan(total, count)


class Sum(Metric):
    """sum(values * weights) over all batches."""

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

    def compute(self, state: State) -> Any:
        """The total."""
        return state["total"]


def _sum_from(x: Any, axis: int) -> Any:
    rank = len(x.shape)
    return ops.sum(x, tuple(range(axis, rank))) if rank > axis else x


class MeanMetricWrapper(Mean):
    """The mean of `fn(y_true, y_pred, **kwargs)`, a function to one value a sample (or position).

    Args:
        fn: the function, written in `lamella.ops`.
        name: the key in logs; by default the function's name.
        dtype: the dtype of the state.
        **kwargs: passed on to `fn`.
    """

    def __init__(self, fn: Callable[..., Any], name: str | None = None, dtype: Any = None, **kwargs: Any) -> None:
        super().__init__(name or getattr(fn, "__name__", None), dtype)
        self.fn = fn
        self.kwargs = kwargs

    def update(self, state: State, y_true: Any, y_pred: Any, weight: Any = None) -> State:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Add the function's values of a batch."""
        return self.accumulate(state, ops.convert_to_tensor(self.fn(y_true, y_pred, **self.kwargs)), weight)

    def is_per_example(self, y: Spec, prediction: Spec) -> bool:
        """Whether the function gives values for each row, of that row alone."""
        values = partial(self.fn, **self.kwargs)
        return row_by_row(values, y, prediction, f"metrics/{self.name}")

    def get_config(self) -> dict[str, Any]:
        """Name, dtype and the function's arguments."""
        return {**super().get_config(), **self.kwargs}


class FunctionMetric(MeanMetricWrapper, Declared):
    """The mean of a function, without arguments of its own, such as `MeanSquaredError`.

    Args:
        name: the key in logs; by default the function's name.
        dtype: the dtype of the state.
    """

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(self.function, name, dtype)

"""A metric: a small state, a pure rule that takes a batch into it, and a result.

The training step traces `update` and `result`; the stand-alone methods (`update_state`, `result()`, `reset_state`) run the
same rules eagerly.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lamella import ops
from lamella.ir import settings
from lamella.ir.spec import Shape, dtype_name, numpy_dtype, promote, size_of
from lamella.losses.base import divide_no_nan, squeeze_or_expand_to_same_rank
from lamella.names import snake_case

State = dict[str, Any]


class Metric:
    """The base of all metrics. Subclass it and write `state_specs`, `update` and `compute`.

    `update` and `compute` are pure functions written in `lamella.ops`: they take a state and return a new one, or a
    value; they keep nothing on `self`.

    Args:
        name: the key in logs; by default the class's name, in snake case.
        dtype: the dtype of the state; None is `floatx`, but at least float32.
    """

    update: Callable[..., State]
    """`update(state, y_true, y_pred, weight=None) -> new state`.

    `weight` is None or floats (batch,) (or one a position): the product of sample weights with 1 for a real row and 0 for
    one that only fills the batch up.
    """

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        self.name = name or snake_case(type(self).__name__)
        self._dtype = None if dtype is None else dtype_name(getattr(dtype, "name", dtype))
        self._state: State | None = None

    @property
    def dtype(self) -> str:
        """The dtype of the state."""
        return self._dtype or promote("float32", settings.floatx())

    def state_specs(self) -> dict[str, tuple[Shape, str, float]]:
        """Shape, dtype and initial value of every entry of the state."""
        raise NotImplementedError(f"the metric {type(self).__name__} does not say what it keeps: write `state_specs`.")

    def compute(self, state: State) -> Any:
        """The metric's value: a scalar."""
        raise NotImplementedError(f"the metric {type(self).__name__} does not say its result: write `compute`.")

    def initial_state(self) -> State:
        """A fresh state: NumPy arrays."""
        return {
            name: np.full(shape, value, numpy_dtype(dtype))
            for name, (shape, dtype, value) in self.state_specs().items()
        }

    def result(self, state: State | None = None) -> Any:
        """The value of `state` (a scalar value or array), or, without one, of what `update_state` took in (a float)."""
        if state is not None:
            return self.compute(state)
        return float(np.asarray(self.compute(self._state or self.initial_state())))

    def update_state(self, *arguments: Any, sample_weight: Any = None) -> None:
        """Take a batch in, eagerly: `(y_true, y_pred, sample_weight=None)`, or `(values, sample_weight=None)` for a mean."""
        weight = {} if sample_weight is None else {"weight": sample_weight}
        self._state = self.update(self._state or self.initial_state(), *arguments, **weight)

    def reset_state(self) -> None:
        """Forget every batch."""
        self._state = None

    reset_states = reset_state
    """Keras 2's name."""

    def __call__(self, *arguments: Any, sample_weight: Any = None) -> float:
        """Take a batch in and return the value so far."""
        self.update_state(*arguments, sample_weight=sample_weight)
        return self.result()

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal metric."""
        return {"name": self.name, "dtype": self.dtype}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Metric:
        """The metric that `get_config` described."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"


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
        """Add a batch of values (batch, ...)."""
        values, weight = by_sample(values, weight, self.dtype)
        count = float(int(size_of(values.shape))) if weight is None else ops.sum(weight)
        return {"total": ops.add(state["total"], ops.sum(values)), "count": ops.add(state["count"], count)}

    def update(self, state: State, values: Any, weight: Any = None) -> State:
        """Add a batch of values (batch, ...)."""
        return self.accumulate(state, values, weight)

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
        return self.accumulate(state, self.fn(y_true, y_pred, **self.kwargs), weight)

    def get_config(self) -> dict[str, Any]:
        """Name, dtype and the function's arguments."""
        return {**super().get_config(), **self.kwargs}

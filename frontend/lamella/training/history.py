"""Callbacks, which `fit`, `evaluate` and `predict` call, and the record of a training run."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite, nan
from typing import Any

from lamella.console import format_number
from lamella.errors import did_you_mean, unknown_name

Logs = dict[str, float]


class Callback:
    """The base class of callbacks, whose hooks `fit`, `evaluate` and `predict` call: override the hooks you need.

    Attributes:
        model: the model, set before the first hook.
        params: {"epochs", "steps", "verbose"}.

    The model's weights are up to date in every hook, and weights that a hook sets are used from the next step on. If a
    batch hook is overridden, steps run one at a time; its logs are copied from the device when the hook first reads a
    value, so that a hook that reads none does not wait. Values that a hook adds to the logs of an epoch are passed on
    to the callbacks after it and to the `History`, which is the last.

    A callback with state that lasts for several epochs implements `get_state` and `set_state`: its state is then saved
    in checkpoints, and an interrupted run continues with it.

    Example:
        >>> from lamella import callbacks
        >>> from lamella import Sequential, layers
        >>> model = Sequential([layers.Input((1,)), layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> class Told(callbacks.Callback):
        ...     def on_epoch_end(self, epoch, logs=None):
        ...         print(epoch, sorted(logs))
        ...         self.model.stop_training = epoch == 1
        >>> history = model.fit([[1.0]], [[2.0]], epochs=9, verbose=0, callbacks=[Told()])
        0 ['loss']
        1 ['loss']
    """

    def __init__(self) -> None:
        self.model: Any = None
        self.params: dict[str, Any] = {}

    def set_model(self, model: Any) -> None:
        """Set the model."""
        self.model = model

    def set_params(self, params: dict[str, Any]) -> None:
        """Set the parameters of the run."""
        self.params = params

    def watches(self, hook: str) -> bool:
        """Whether the hook has an effect: it is overridden in a class or on the object."""
        return getattr(type(self), hook) is not getattr(Callback, hook) or hook in vars(self)

    # ---- checkpoints ----

    def get_state(self) -> dict[str, Any]:
        """The state of the callback for a checkpoint: strings, numbers, None, arrays, and lists and dicts of them."""
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from what `get_state` returned.

        It is called after `on_train_begin`, and if a run continues in the middle of an epoch after `on_epoch_begin`.
        """

    # ---- fit ----

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Before the first epoch."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """After the last epoch, with its logs."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Before epoch number `epoch` (from 0)."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """After epoch number `epoch`, validation included."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a training step."""
        self.on_batch_begin(batch, logs=logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a training step, with the running loss and metrics of the epoch."""
        self.on_batch_end(batch, logs=logs)

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """An earlier name of `on_train_batch_begin`."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """An earlier name of `on_train_batch_end`."""

    # ---- evaluate, and the validation in fit ----

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Before an evaluation (validation included)."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """After an evaluation, with its loss and metrics."""

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of an evaluation."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of an evaluation, with the loss and metrics so far."""

    # ---- predict ----

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Before a prediction."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """After a prediction."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of a prediction."""

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of a prediction, with `{"outputs": its predictions}`."""


HOOKS = tuple(name for name in vars(Callback) if name.startswith("on_"))
"""The names of all hooks."""


class Record(dict[str, list[float]]):
    """The values per log key; the error for an unknown key suggests the nearest one."""

    def __missing__(self, key: object) -> list[float]:
        raise KeyError(f"there is no log {key!r}: {did_you_mean(key, self)}")


class History(Callback):
    """The record of a training run, which `fit` returns.

    Attributes:
        history: dict from log key to a list with one value per epoch.
        epoch: the numbers of the epochs, from 0.

    Example:
        >>> history = History()
        >>> history.on_epoch_end(0, {"loss": 0.5})
        >>> history.on_epoch_end(1, {"loss": 0.25})
        >>> history.history, history.epoch
        ({'loss': [0.5, 0.25]}, [0, 1])
    """

    def __init__(self) -> None:
        super().__init__()
        self.history: dict[str, list[float]] = Record()
        self.epoch: list[int] = []
        self._rows: list[Logs] = []

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Start a new list of epochs.

        Args:
            logs: ignored.
        """
        self.epoch, self._rows = [], []

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Append the logs of an epoch.

        Args:
            epoch: the number of the epoch, from 0.
            logs: the logs of the epoch.
        """
        self.epoch.append(epoch)
        self._rows.append(dict(logs or {}))
        for key, value in (logs or {}).items():
            self.history.setdefault(key, []).append(value)

    def get_state(self) -> dict[str, Any]:
        """Return the record for a checkpoint."""
        return {"epoch": self.epoch, "history": self.history, "rows": self._rows}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from a record in a checkpoint.

        Args:
            state: what `get_state` returned.
        """
        self.epoch, self._rows = list(state["epoch"]), [dict(row) for row in state["rows"]]
        self.history = Record({key: list(values) for key, values in state["history"].items()})

    def to_frame(self) -> Any:
        """Return the history as a pandas frame with one row per epoch and one column per log key.

        A key that was not logged in every epoch (`validation_freq`) is NaN in the others.

        Returns:
            A `pandas.DataFrame` whose index is `epoch`.

        Raises:
            ImportError: pandas is not installed.

        Example:
            >>> history = History()
            >>> history.on_epoch_end(0, {"loss": 0.5})
            >>> history.to_frame().loc[0, "loss"]  # doctest: +SKIP
            0.5
        """
        try:
            import pandas
        except ImportError:
            raise ImportError("History.to_frame needs pandas: `pip install pandas`.") from None
        return pandas.DataFrame(self._rows, pandas.Index(self.epoch, name="epoch"))

    def plot(self, axes: Any = None) -> Any:
        """Plot the loss and the metrics over the epochs, with dashed lines for validation.

        Args:
            axes: matplotlib axes for all curves; by default a new figure with one plot per metric.

        Returns:
            The `matplotlib.figure.Figure`.

        Raises:
            ImportError: matplotlib is not installed.

        Example:
            >>> history = History()
            >>> history.on_epoch_end(0, {"loss": 0.5, "val_loss": 0.6})
            >>> history.plot().savefig("history.png")  # doctest: +SKIP
        """
        try:
            from matplotlib.figure import Figure
            from matplotlib.ticker import MaxNLocator
        except ImportError:
            raise ImportError("History.plot needs matplotlib: `pip install matplotlib`.") from None
        keys = [k for k in self.history if not k.startswith("val_")]
        keys.sort(key=lambda k: k != "loss")
        if axes is None:
            drawn = Figure(figsize=(6.4, 2.4 * max(len(keys), 1)), layout="constrained")
            places = list(drawn.subplots(max(len(keys), 1), sharex=True, squeeze=False)[:, 0])
        else:
            drawn, places = axes.figure, [axes] * len(keys)
        numbers = [epoch + 1 for epoch in self.epoch]
        for key, place in zip(keys, places[: len(keys)], strict=True):
            for name, style in ((key, "-"), (f"val_{key}", "--")):
                if name in self.history:
                    known = [(n, row[name]) for n, row in zip(numbers, self._rows, strict=True) if name in row]
                    place.plot(*zip(*known, strict=True), style, marker="." if len(known) < 2 else "", label=name)
            place.legend()
            place.xaxis.set_major_locator(MaxNLocator(integer=True))
        if places:
            places[-1].set_xlabel("epoch")
        return drawn

    def __repr__(self) -> str:
        last = {key: values[-1] for key, values in self.history.items() if values}
        return f"<History of {len(self.epoch)} epochs, last {last}>"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the curves and a table."""
        from lamella.notebook import block, folded, html_table

        header = ["epoch", *self.history]
        rows = [
            [str(epoch + 1), *[_told(row[key]) if key in row else "" for key in self.history]]
            for epoch, row in zip(self.epoch, self._rows, strict=True)
        ]
        parts = [self._curves(), folded("Table", html_table(header, rows))] if rows else []
        return block("History", f"of {len(rows)} epochs", *parts)

    def _curves(self) -> str:
        """The curves as SVG: one panel per metric, together with its validation."""
        from lamella.drawing import Curve, plotted

        def curve(key: str) -> Curve:
            # the points of a key that is not logged in every epoch are joined
            known = zip(self.epoch, self._rows, strict=True)
            points = [(epoch + 1.0, _number(row[key])) for epoch, row in known if key in row]
            return Curve(key, points, dashed=key.startswith("val_"))

        keys = sorted(
            (k for k in self.history if k.removeprefix("val_") == k or k[4:] not in self.history),
            key=lambda k: k != "loss",
        )
        panels = [[curve(name) for name in (key, f"val_{key}") if name in self.history] for key in keys]
        panels = [curves for curves in panels if any(isfinite(y) for curve in curves for _, y in curve.points)]
        return plotted("history", panels).svg() if panels else ""


def _number(value: Any) -> float:
    """A logged value as a number; NaN if it is not one."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return nan


def _told(value: Any) -> str:
    """A logged value as text."""
    try:
        return format_number(value)
    except (TypeError, ValueError, OverflowError):
        return str(value)


class LambdaCallback(Callback):
    """A callback whose hooks are functions: `LambdaCallback(on_epoch_end=lambda epoch, logs: ...)`.

    Args:
        on_epoch_begin: function `(epoch, logs)`, called before an epoch; None for no function, as for all hooks.
        on_epoch_end: function `(epoch, logs)`, called after an epoch and its validation.
        on_train_begin: function `(logs)`, called before the first epoch.
        on_train_end: function `(logs)`, called after the last epoch.
        on_train_batch_begin: function `(batch, logs)`, called before a training step.
        on_train_batch_end: function `(batch, logs)`, called after a training step.
        on_batch_begin: an earlier name of `on_train_batch_begin`.
        on_batch_end: an earlier name of `on_train_batch_end`.
        on_test_begin: function `(logs)`, called before an evaluation or a validation.
        on_test_end: function `(logs)`, called after an evaluation or a validation.
        on_test_batch_begin: function `(batch, logs)`, called before a batch of an evaluation.
        on_test_batch_end: function `(batch, logs)`, called after a batch of an evaluation.
        on_predict_begin: function `(logs)`, called before a prediction.
        on_predict_end: function `(logs)`, called after a prediction.
        on_predict_batch_begin: function `(batch, logs)`, called before a batch of a prediction.
        on_predict_batch_end: function `(batch, logs)`, called after a batch of a prediction.
        **kwargs: not accepted; the error for an unknown hook names the nearest one.

    Raises:
        UnknownNameError: a hook is unknown.

    Example:
        >>> from lamella.callbacks import LambdaCallback
        >>> from lamella import Sequential, layers
        >>> model = Sequential([layers.Input((1,)), layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> told = LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, sorted(logs)))
        >>> history = model.fit([[1.0]], [[2.0]], epochs=2, verbose=0, callbacks=[told])
        0 ['loss']
        1 ['loss']
    """

    def __init__(
        self,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_begin: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
        on_train_batch_begin: Callable[..., Any] | None = None,
        on_train_batch_end: Callable[..., Any] | None = None,
        on_batch_begin: Callable[..., Any] | None = None,
        on_batch_end: Callable[..., Any] | None = None,
        on_test_begin: Callable[..., Any] | None = None,
        on_test_end: Callable[..., Any] | None = None,
        on_test_batch_begin: Callable[..., Any] | None = None,
        on_test_batch_end: Callable[..., Any] | None = None,
        on_predict_begin: Callable[..., Any] | None = None,
        on_predict_end: Callable[..., Any] | None = None,
        on_predict_batch_begin: Callable[..., Any] | None = None,
        on_predict_batch_end: Callable[..., Any] | None = None,
        **kwargs: Any,
    ) -> None:
        hooks = {name: hook for name, hook in locals().items() if name in HOOKS}
        super().__init__()
        for name in kwargs:
            raise unknown_name("callback hook", name, HOOKS)
        for name, hook in hooks.items():
            if hook is not None:
                setattr(self, name, _by_position(hook) if "batch" in name else hook)


def _by_position(hook: Callable[..., Any]) -> Callable[..., Any]:
    """A batch hook that passes `logs` by position, since the function's parameters may have other names."""
    return lambda batch, logs=None: hook(batch, logs)

"""The record of a training run, and the hooks a user can hang into one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Logs = dict[str, float]


class Callback:
    """Hooks that `fit`, `evaluate` and `predict` call; override those you need.

    Attributes:
        model: the model, set before the first hook.
        params: {"epochs", "steps", "verbose"}.

    With a batch hook overridden, steps run one at a time, and the model's weights are up to date in every hook.
    """

    def __init__(self) -> None:
        self.model: Any = None
        self.params: dict[str, Any] = {}

    def set_model(self, model: Any) -> None:
        """Remember the model."""
        self.model = model

    def set_params(self, params: dict[str, Any]) -> None:
        """Remember the run's parameters."""
        self.params = params

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Before the first epoch."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """After the last epoch."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Before epoch number `epoch` (from 0)."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """After epoch number `epoch`, validation included."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a training step."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a training step, with the running loss and metrics of the epoch."""
        self.on_batch_end(batch, logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Before an evaluation (validation included)."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """After an evaluation."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Before a prediction."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """After a prediction."""

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """The same as `on_train_batch_begin`, in older words."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """The same as `on_train_batch_end`, in older words."""


class History(Callback):
    """What `fit` returns.

    Attributes:
        history: for every log key the values, one an epoch.
        epoch: the numbers of the epochs.
    """

    def __init__(self) -> None:
        super().__init__()
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []
        self._rows: list[Logs] = []

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Append the epoch's logs."""
        self.epoch.append(epoch)
        self._rows.append(dict(logs or {}))
        for key, value in (logs or {}).items():
            self.history.setdefault(key, []).append(value)

    def to_frame(self) -> Any:
        """The history as a pandas frame: a row an epoch, numbered as in `epoch`, and a column a log key.

        A key that was not logged in every epoch (`validation_freq`) has NaN in the others.

        Raises:
            ImportError: pandas is not installed.
        """
        try:
            import pandas  # type: ignore[import-not-found]
        except ImportError:
            raise ImportError("History.to_frame needs pandas: `pip install 'lamella[pandas]'`.") from None
        return pandas.DataFrame(self._rows, pandas.Index(self.epoch, name="epoch"))

    def plot(self, axes: Any = None) -> Any:
        """Draw the loss, and the metrics below it, over the epochs; validation dashed.

        Args:
            axes: matplotlib axes to draw everything into; by default a new figure with axes for each key.

        Returns:
            The figure.

        Raises:
            ImportError: matplotlib is not installed.
        """
        try:
            from matplotlib.figure import Figure
            from matplotlib.ticker import MaxNLocator
        except ImportError:
            raise ImportError("History.plot needs matplotlib: `pip install 'lamella[plot]'`.") from None
        keys = [k for k in self.history if not k.startswith("val_")]
        keys.sort(key=lambda k: k != "loss")
        if axes is None:
            drawn = Figure(figsize=(6.4, 2.4 * max(len(keys), 1)), layout="constrained")
            places = list(drawn.subplots(max(len(keys), 1), sharex=True, squeeze=False)[:, 0])
        else:
            drawn, places = axes.figure, [axes] * len(keys)
        numbers = [epoch + 1 for epoch in self.epoch]
        for key, place in zip(keys, places, strict=False):
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


class LambdaCallback(Callback):
    """Hooks given as functions: `LambdaCallback(on_epoch_end=lambda epoch, logs: ...)`."""

    def __init__(self, **hooks: Callable[..., Any]) -> None:
        super().__init__()
        for name, hook in hooks.items():
            if not name.startswith("on_") or not hasattr(Callback, name):
                from lamella.errors import unknown_name

                raise unknown_name("callback hook", name, [n for n in dir(Callback) if n.startswith("on_")])
            setattr(self, name, hook)


_BATCH_HOOKS = ("on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end")


class CallbackList:
    """Several callbacks as one."""

    def __init__(self, callbacks: Any, model: Any, params: dict[str, Any]) -> None:
        items = [] if callbacks is None else callbacks if isinstance(callbacks, list | tuple) else [callbacks]
        for item in items:
            if not isinstance(item, Callback):
                raise TypeError(f"callbacks are instances of lamella.callbacks.Callback, got {item!r}.")
        self.items = list(items)
        for item in self.items:
            item.set_model(model)
            item.set_params(params)
        self.watches_batches = any(self._overrides(item, hook) for item in self.items for hook in _BATCH_HOOKS)

    @staticmethod
    def _overrides(item: Callback, hook: str) -> bool:
        return getattr(type(item), hook) is not getattr(Callback, hook) or hook in vars(item)

    def call(self, hook: str, *args: Any) -> None:
        """Call `hook` of every callback, in order."""
        for item in self.items:
            getattr(item, hook)(*args)

"""Evaluation with averaged weights."""

from __future__ import annotations

from typing import Any

from lamella.training.history import Callback, Logs

_SLOT = "average"
"""The optimizer's slot of the moving averages of the weights."""


class SwapEMAWeights(Callback):
    """Evaluate and predict with the moving averages of the weights, which an optimizer with `use_ema` keeps.

    Args:
        swap_on_epoch: whether the model has the averages from the end of an epoch to the beginning of the next, so that
            the callbacks after this one (a `ModelCheckpoint`) save them.

    Raises:
        ValueError: in `fit`, if the optimizer keeps no averages.

    Example:
        >>> from lamella import Sequential, callbacks, layers, optimizers
        >>> model = Sequential([layers.Input((1,)), layers.Dense(1)])
        >>> model.compile(optimizers.SGD(0.1, use_ema=True), "mse")
        >>> x, y = [[1.0]], [[2.0]]
        >>> history = model.fit(x, y, verbose=0, validation_data=(x, y), callbacks=[callbacks.SwapEMAWeights()])
        >>> sorted(history.history)
        ['loss', 'val_loss']
    """

    def __init__(self, swap_on_epoch: bool = False) -> None:
        super().__init__()
        self.swap_on_epoch = swap_on_epoch
        self._swapped = False

    def _swap(self) -> None:
        optimizer, compiled = self.model.optimizer, self.model._require_compiled()
        if not getattr(getattr(optimizer, "inner_optimizer", optimizer), "use_ema", False):
            raise ValueError("SwapEMAWeights requires an optimizer with use_ema=True.")
        averages, before = compiled.state.slots.get(_SLOT, {}), dict[int, Any]()
        for variable in compiled.configuration.trained(self.model):
            if id(variable) in averages:
                before[id(variable)] = variable.withdraw()
                variable.take(averages[id(variable)])
        compiled.state = compiled.state.with_slots({_SLOT: before})
        self._swapped = not self._swapped

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Train the weights, not their averages."""
        if self.swap_on_epoch and self._swapped:
            self._swap()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Set the averages for the callbacks after this one."""
        if self.swap_on_epoch and not self._swapped:
            self._swap()
            if epoch == self.params["epochs"] - 1:
                self._keep_averages()

    def _keep_averages(self) -> None:
        """Keep the averages in the model, to which `fit` sets the weights after the last epoch."""
        compiled = self.model._require_compiled()
        values = {id(v): v._value for v in compiled.configuration.trained(self.model)}
        compiled.state = compiled.state.with_slots({_SLOT: values})

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Evaluate the averages."""
        if not self._swapped:
            self._swap()

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Restore the weights."""
        if self._swapped:
            self._swap()

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Predict with the averages."""
        if not self._swapped:
            self._swap()

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Restore the weights."""
        if self._swapped:
            self._swap()

    def get_state(self) -> dict[str, Any]:
        """Whether the model has the averages."""
        return {"swapped": self._swapped}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from a checkpoint, whose weights may be the averages."""
        self._swapped = state["swapped"]

"""Evaluate with averaged weights."""

from __future__ import annotations

from typing import Any

from lamella.training.history import Callback, Logs

_SLOT = "average"
"""The optimizer's slot that holds the moving averages of the weights."""


class SwapEMAWeights(Callback):
    """Evaluations and predictions use the moving averages of the weights that an optimizer with `use_ema` keeps.

    Args:
        swap_on_epoch: keep the averages in the model from the end of an epoch to the beginning of the next, so that the
            callbacks after this one (a `ModelCheckpoint`) save them.

    Raises:
        ValueError: when weights are to be swapped, if the optimizer keeps no averages.
    """

    def __init__(self, swap_on_epoch: bool = False) -> None:
        super().__init__()
        self.swap_on_epoch = swap_on_epoch
        self._swapped = False

    def _swap(self) -> None:
        optimizer, compiled = self.model.optimizer, self.model._require_compiled()
        if not getattr(getattr(optimizer, "inner_optimizer", optimizer), "use_ema", False):
            raise ValueError("SwapEMAWeights needs an optimizer that keeps averages: give it use_ema=True.")
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
        """Leave the averages to the callbacks that follow."""
        if self.swap_on_epoch and not self._swapped:
            self._swap()
            if epoch == self.params["epochs"] - 1:
                self._keep_averages()

    def _keep_averages(self) -> None:
        """After the last epoch `fit` gives the model the averages: they are what the model has now."""
        compiled = self.model._require_compiled()
        values = {id(v): v._value for v in compiled.configuration.trained(self.model)}
        compiled.state = compiled.state.with_slots({_SLOT: values})

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Evaluate the averages."""
        if not self._swapped:
            self._swap()

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Give the weights back."""
        if self._swapped:
            self._swap()

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Predict with the averages."""
        if not self._swapped:
            self._swap()

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Give the weights back."""
        if self._swapped:
            self._swap()

    def get_state(self) -> dict[str, Any]:
        """Whether the model holds the averages."""
        return {"swapped": self._swapped}

    def set_state(self, state: dict[str, Any]) -> None:
        """The weights in the checkpoint may be the averages."""
        self._swapped = state["swapped"]

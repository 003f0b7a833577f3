"""Terminate training when the loss is not finite."""

from __future__ import annotations

import math

from lamella.training.history import Callback, Logs


class TerminateOnNaN(Callback):
    """End `fit` at the first batch whose loss is NaN or infinite, with the weights from before that batch.

    Args:
        raise_error: whether to raise an error instead, without calls of `on_train_end`.

    Raises:
        RuntimeError: in `fit`, with `raise_error`.

    Example:
        >>> import warnings
        >>> from lamella import Sequential, callbacks, layers, optimizers
        >>> model = Sequential([layers.Input((1,)), layers.Dense(1, kernel_initializer="ones")])
        >>> model.compile(optimizers.SGD(1e30), "mse")
        >>> with warnings.catch_warnings(action="ignore"):
        ...     history = model.fit([[2.0]], [[1.0]], epochs=5, verbose=0, callbacks=[callbacks.TerminateOnNaN()])
        Batch 0: Invalid loss, terminating training
        >>> len(history.epoch)
        2
    """

    undoes_steps = True

    def __init__(self, raise_error: bool = False) -> None:
        super().__init__()
        self.raise_error = raise_error

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Check the loss."""
        loss = (logs or {}).get("loss")
        if loss is None or math.isfinite(loss):
            return
        if self.model._run is not None:
            self.model._run.undo_step()
        if self.raise_error:
            raise RuntimeError(
                f"the loss of batch {batch} is {loss}; training stopped, with the weights from before that batch."
            )
        print(f"Batch {batch}: Invalid loss, terminating training")
        self.model.stop_training = True

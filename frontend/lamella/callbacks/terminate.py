"""Stop when the loss is not a number any more."""

from __future__ import annotations

import math

from lamella.training.history import Callback, Logs


class TerminateOnNaN(Callback):
    """Ends `fit` at the first batch whose loss is NaN or infinite; the model keeps the weights it had before that batch.

    Args:
        raise_error: raise instead of ending; then no `on_train_end` is called.

    Raises:
        RuntimeError: in `fit`, with `raise_error`.
    """

    undoes_steps = True

    def __init__(self, raise_error: bool = False) -> None:
        super().__init__()
        self.raise_error = raise_error

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Look at the loss."""
        loss = (logs or {}).get("loss")
        if loss is None or math.isfinite(loss):
            return
        if self.model._run is not None:
            self.model._run.undo_step()
        if self.raise_error:
            raise RuntimeError(
                f"the loss of batch {batch} is {loss}; training ends here, with the weights from before that batch."
            )
        print(f"Batch {batch}: Invalid loss, terminating training")
        self.model.stop_training = True

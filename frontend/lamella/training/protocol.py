"""The interface of a model for training: what it computes (`core.protocol.Trainable`), and its training state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from lamella.compiling import Recent
from lamella.core.protocol import Trainable

if TYPE_CHECKING:
    from lamella.training.columns import Columns
    from lamella.training.data import Data
    from lamella.training.fit import Run
    from lamella.training.history import History
    from lamella.training.inference import Call
    from lamella.training.loop import Loop
    from lamella.training.state import Compiled


class TrainingModel(Trainable, Protocol):
    """A model that can be fitted.

    Attributes:
        functions: compiled functions for calls and gradients.
        calls: how many times the model was called on arrays in training mode; each draws other masks.
        history: the `History` of the last `fit`.
        stop_training: set to True in a callback to end `fit` after the epoch.
        stop_evaluating, stop_predicting: set to True in a batch hook to end `evaluate` or `predict` after the batch.
    """

    functions: Recent[Any, Any]
    calls: int
    history: History | None
    stop_training: bool
    stop_evaluating: bool
    stop_predicting: bool
    dtype_policy: Any
    _columns: Columns
    _compiled: Compiled | None
    _run: Run | None

    @property
    def runs_eagerly(self) -> bool:
        """Whether the model was compiled with `run_eagerly=True`."""
        ...

    def loop_for(self, data: Data, *, training: bool) -> Loop:
        """The step programs for data of these shapes, made once."""
        ...

    def known_call(self, x: Any, kind: tuple[Any, ...] = ("batch",)) -> Call | None:
        """The compiled call for a batch like `x`, where there was one before."""
        ...

    def _require_compiled(self) -> Compiled: ...

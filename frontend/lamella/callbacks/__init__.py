"""Callbacks for `fit`, `evaluate` and `predict`; each is imported on first access."""

from typing import TYPE_CHECKING

from lamella.absent import no_attribute
from lamella.training.callback_list import CallbackList as CallbackList
from lamella.training.history import Callback as Callback
from lamella.training.history import History as History
from lamella.training.history import LambdaCallback as LambdaCallback

if TYPE_CHECKING:
    from lamella.callbacks.backup import BackupAndRestore as BackupAndRestore
    from lamella.callbacks.checkpoint import ModelCheckpoint as ModelCheckpoint
    from lamella.callbacks.csv_logger import CSVLogger as CSVLogger
    from lamella.callbacks.early_stopping import EarlyStopping as EarlyStopping
    from lamella.callbacks.learning_rate import LearningRateScheduler as LearningRateScheduler
    from lamella.callbacks.learning_rate import ReduceLROnPlateau as ReduceLROnPlateau
    from lamella.callbacks.remote import RemoteMonitor as RemoteMonitor
    from lamella.callbacks.swap_ema import SwapEMAWeights as SwapEMAWeights
    from lamella.callbacks.tensorboard import TensorBoard as TensorBoard
    from lamella.callbacks.terminate import TerminateOnNaN as TerminateOnNaN
    from lamella.training.progress import ProgbarLogger as ProgbarLogger

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ProgbarLogger",
    "ReduceLROnPlateau",
    "RemoteMonitor",
    "SwapEMAWeights",
    "TensorBoard",
    "TerminateOnNaN",
]


def __getattr__(name: str) -> object:
    """The callbacks that are imported on first access."""
    if name in __all__:
        from lamella.callbacks import every

        return getattr(every, name)
    raise no_attribute(__name__, name, __all__)


def __dir__() -> list[str]:
    return sorted(__all__)

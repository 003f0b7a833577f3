"""The callbacks that are imported when one of them is first accessed."""

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

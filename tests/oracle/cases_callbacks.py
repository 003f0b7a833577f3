"""Rows for callbacks: scripted curves of the logs, and what Keras's callbacks decide."""

from __future__ import annotations

from .rows import CallbackCase

_DOWN = (5.0, 4.0, 3.5, 3.6, 3.4, 3.45, 3.41, 3.6, 3.7, 3.8, 3.9, 4.0)
_STAIRS = (1.0, 1.0, 0.9995, 0.9993, 0.5, 0.5, 0.5, 0.5, 0.5, 0.49995, 0.5, 0.5)
_UP = (0.1, 0.3, 0.2, 0.35, 0.35, 0.3, 0.5, 0.2, 0.1, 0.5, 0.6, 0.1)


def _case(
    id: str, name: str, curve: tuple[float, ...] = _DOWN, key: str = "val_loss", **kwargs: object
) -> CallbackCase:
    steps = kwargs.pop("steps", 0)
    assert isinstance(steps, int)
    return CallbackCase(id, name, dict(kwargs), {key: curve}, steps)


CALLBACKS: tuple[CallbackCase, ...] = (
    _case("stop", "EarlyStopping"),
    _case("stop-patience", "EarlyStopping", patience=2),
    _case("stop-patience-restore", "EarlyStopping", patience=3, restore_best_weights=True),
    _case("stop-never-restore", "EarlyStopping", patience=30, restore_best_weights=True),
    _case("stop-delta", "EarlyStopping", _STAIRS, patience=2, min_delta=0.001, restore_best_weights=True),
    _case("stop-negative-delta", "EarlyStopping", _STAIRS, patience=2, min_delta=-0.001),
    _case("stop-max", "EarlyStopping", _UP, "val_gain", mode="max", patience=2, restore_best_weights=True),
    _case("stop-min", "EarlyStopping", _UP, "val_gain", mode="min", patience=3),
    _case("stop-auto-up", "EarlyStopping", _UP, "val_accuracy", monitor="val_accuracy", patience=2),
    _case("stop-auto-down", "EarlyStopping", _DOWN, "mae", monitor="mae", patience=1),
    _case("stop-training-loss", "EarlyStopping", _DOWN, "loss", monitor="loss", patience=1),
    _case("stop-baseline", "EarlyStopping", baseline=3.45, patience=3, restore_best_weights=True),
    _case("stop-baseline-missed", "EarlyStopping", baseline=1.0, patience=2, restore_best_weights=True),
    _case("stop-from-epoch", "EarlyStopping", start_from_epoch=4, patience=1, restore_best_weights=True),
    _case("stop-missing", "EarlyStopping", _DOWN, "other"),
    _case("stop-nan", "EarlyStopping", (1.0, float("nan"), 0.5, float("nan"), float("nan")), patience=2),
    _case("stop-unknown-mode", "EarlyStopping", mode="least", patience=1),
    _case("plateau", "ReduceLROnPlateau", patience=2),
    _case("plateau-ten", "ReduceLROnPlateau"),
    _case("plateau-delta", "ReduceLROnPlateau", _STAIRS, patience=1, min_delta=0.001, factor=0.5),
    _case("plateau-small-delta", "ReduceLROnPlateau", _STAIRS, patience=1, factor=0.5),
    _case("plateau-cooldown", "ReduceLROnPlateau", _STAIRS, patience=1, cooldown=2, factor=0.5),
    _case("plateau-min-lr", "ReduceLROnPlateau", patience=1, min_lr=0.002),
    _case("plateau-max", "ReduceLROnPlateau", _UP, "gain", monitor="gain", mode="max", patience=1, factor=0.3),
    _case("plateau-missing", "ReduceLROnPlateau", _DOWN, "other"),
    _case("schedule-halve", "LearningRateScheduler", schedule="halve"),
    _case("schedule-old", "LearningRateScheduler", schedule="epoch alone"),
    _case("save-every", "ModelCheckpoint", filepath="{epoch:02d}-{val_loss:.2f}.keras"),
    _case("save-best", "ModelCheckpoint", filepath="{epoch:02d}-{val_loss:.2f}.keras", save_best_only=True),
    _case("save-best-h5", "ModelCheckpoint", filepath="{epoch}.h5", save_best_only=True, mode="max"),
    _case("save-best-threshold", "ModelCheckpoint", filepath="{epoch}.keras", save_best_only=True,
          initial_value_threshold=3.45),
    _case("save-best-accuracy", "ModelCheckpoint", _UP, "val_accuracy", filepath="{epoch}.keras",
          monitor="val_accuracy", save_best_only=True),
    _case("save-best-missing", "ModelCheckpoint", _DOWN, "other", filepath="{epoch}.keras", save_best_only=True),
    _case("save-weights", "ModelCheckpoint", filepath="{epoch}.weights.h5", save_weights_only=True),
    _case("save-batches", "ModelCheckpoint", filepath="{epoch}-{batch}.keras", save_freq=4, steps=3),
    _case("save-many-batches", "ModelCheckpoint", filepath="{epoch}-{batch:03d}.keras", save_freq=7, steps=3),
    _case("save-best-batches", "ModelCheckpoint", filepath="{epoch}-{batch}.keras", save_freq=2, steps=3,
          monitor="val_loss", mode="min", save_best_only=True),
    _case("csv", "CSVLogger", filename="log.csv"),
    _case("csv-separator", "CSVLogger", _UP, "val_gain", filename="log.csv", separator=";"),
    _case("csv-append", "CSVLogger", filename="log.csv", append=True),
    CallbackCase("hooks-fit", "fit"),
    CallbackCase("hooks-evaluate", "evaluate"),
    CallbackCase("hooks-predict", "predict"),
)  # fmt: skip

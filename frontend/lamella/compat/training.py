"""Former arguments of `compile` and `fit`, and hints for unknown arguments."""

from __future__ import annotations

from typing import Any

from lamella.errors import did_you_mean
from lamella.names import deprecated

_FIT = ("x", "y", "batch_size", "epochs", "verbose", "callbacks", "validation_split", "validation_data", "shuffle")
_FIT += ("class_weight", "sample_weight", "initial_epoch", "validation_batch_size", "validation_freq")
_COMPILE = (
    "optimizer",
    "loss",
    "metrics",
    "weighted_metrics",
    "run_eagerly",
    "steps_per_execution",
    "jit_compile",
    "loss_weights",
)
_COMPILE += ("auto_scale_loss", "backend")


def fit_kwargs(epochs: int, kwargs: dict[str, Any]) -> int:
    """Return the number of epochs, from `nb_epoch` of Keras 1 if it is given.

    Raises:
        TypeError: an argument is unknown.
    """
    if "nb_epoch" in kwargs:
        epochs = kwargs.pop("nb_epoch")
        deprecated("nb_epoch=", "epochs=")
    if "show_accuracy" in kwargs:
        raise TypeError("fit: `show_accuracy=True` is `compile(metrics=['accuracy'])` today.")
    _refuse("fit", kwargs, _FIT)
    return epochs


def compile_kwargs(metrics: Any, kwargs: dict[str, Any]) -> Any:
    """Return the metrics, from `class_mode` of Keras 0 if it is given.

    Raises:
        TypeError: an argument is unknown.
    """
    if "class_mode" in kwargs:
        kwargs.pop("class_mode")
        deprecated("class_mode=", "metrics=['accuracy']")
        metrics = ["accuracy"] if metrics is None else metrics
    _refuse("compile", kwargs, _COMPILE)
    return metrics


def _refuse(method: str, kwargs: dict[str, Any], known: tuple[str, ...]) -> None:
    if kwargs:
        word = next(iter(kwargs))
        raise TypeError(f"{method} takes no argument {word!r}: {did_you_mean(word, known)}")

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


def fit_words(epochs: int, words: dict[str, Any]) -> int:
    """Return the number of epochs, from `nb_epoch` of Keras 1 if it is given.

    Raises:
        TypeError: an argument is unknown.
    """
    if "nb_epoch" in words:
        epochs = words.pop("nb_epoch")
        deprecated("nb_epoch=", "epochs=")
    if "show_accuracy" in words:
        raise TypeError("fit: `show_accuracy=True` is `compile(metrics=['accuracy'])` today.")
    _refuse("fit", words, _FIT)
    return epochs


def compile_words(metrics: Any, words: dict[str, Any]) -> Any:
    """Return the metrics, from `class_mode` of Keras 0 if it is given.

    Raises:
        TypeError: an argument is unknown.
    """
    if "class_mode" in words:
        words.pop("class_mode")
        deprecated("class_mode=", "metrics=['accuracy']")
        metrics = ["accuracy"] if metrics is None else metrics
    _refuse("compile", words, _COMPILE)
    return metrics


def _refuse(method: str, words: dict[str, Any], known: tuple[str, ...]) -> None:
    if words:
        word = next(iter(words))
        raise TypeError(f"{method} takes no argument {word!r}: {did_you_mean(word, known)}")

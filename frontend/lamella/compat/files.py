"""Names in files of Keras 2 that have changed: classes, and fields of their configurations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Today(NamedTuple):
    """The current name of a class of Keras 2.

    Attributes:
        name: the current class.
        words: dict from former to current name of fields; None for a field without effect.
        more: fields that the class of Keras 2 did not have, with the value that it used.
    """

    name: str
    words: Mapping[str, str | None] = {}
    more: Mapping[str, Any] = {}

    def config(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return a configuration of Keras 2 with the current fields."""
        today = ((self.words.get(word, word), value) for word, value in config.items())
        return {**{word: value for word, value in today if word is not None}, **self.more}


_UNUSED: Mapping[str, str | None] = dict.fromkeys(("kernel_initializer", "kernel_regularizer", "kernel_constraint"))

LAYERS: Mapping[str, Today] = {
    "BatchNormalization": Today("BatchNormalization", {"synchronized": None}),  # on one device the same
    "CuDNNGRU": Today("GRU", more={"reset_after": True}),
    "CuDNNLSTM": Today("LSTM"),
    "LeakyReLU": Today("LeakyReLU", {"alpha": "negative_slope"}),
    "SeparableConv1D": Today("SeparableConv1D", _UNUSED),
    "SeparableConv2D": Today("SeparableConv2D", _UNUSED),
    "SyncBatchNormalization": Today("BatchNormalization"),
    "ThresholdedReLU": Today("ReLU", {"theta": "threshold"}),
}

OPTIMIZERS: Mapping[str, Today] = {"LossScaleOptimizerV3": Today("LossScaleOptimizer")}

REGISTERED = "Custom>"
"""The prefix of optimizer names in tf.keras 2.11 to 2.15."""

HARD_SIGMOID: Mapping[str, Any] = {
    "class_name": "Sequential",
    "config": {
        "name": "hard_sigmoid",
        "layers": [
            {"class_name": "Rescaling", "config": {"scale": 0.2, "offset": 0.5}},
            {"class_name": "ReLU", "config": {"max_value": 1.0}},
        ],
    },
}
"""The hard_sigmoid of Keras 1 and 2, min(max(0.2 x + 0.5, 0), 1), as a configuration of layers."""

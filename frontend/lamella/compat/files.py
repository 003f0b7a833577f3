"""What files of Keras 2 call otherwise than today: classes, and fields of their configurations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Today(NamedTuple):
    """What a class of Keras 2 is called today.

    Attributes:
        name: the class.
        words: fields with other names, {old name: today's}; None for one that meant nothing.
        more: fields that the class of Keras 2 did not have, for it had no choice.
    """

    name: str
    words: Mapping[str, str | None] = {}
    more: Mapping[str, Any] = {}

    def config(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """A configuration of Keras 2 in today's fields."""
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
"""What tf.keras 2.11 to 2.15 put before the names of its own optimizers."""

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
"""The hard_sigmoid of Keras 1 and 2, min(max(0.2 x + 0.5, 0), 1), as a description of layers."""

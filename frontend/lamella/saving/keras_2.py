"""Translation of checked configurations of Keras 1 and 2 whose meaning has changed."""

from __future__ import annotations

import copy
from typing import Any

from lamella.compat.files import HARD_SIGMOID


def translate(description: Any, version: str) -> None:
    """Translate a checked configuration in place to the meaning that it had in its version of Keras.

    GRUs without `reset_after` reset before the product: Keras 2 had no such field at first, and then always wrote it.
    Its `hard_sigmoid` becomes the layers that compute it: today's is another function.

    Args:
        description: from `checking.model`; it is changed in place.
        version: the release of Keras that wrote it; nothing is changed for Keras 3.
    """
    if version[:1] in ("1", "2"):
        _translate(description)


def _translate(description: Any) -> None:
    if isinstance(description, list):
        for item in description:
            _translate(item)
    elif isinstance(description, dict):
        config = description.get("config")
        if description.get("class_name") in ("GRU", "GRUCell") and isinstance(config, dict):
            config.setdefault("reset_after", False)
        for word, value in description.items():
            if word.endswith("activation") and value == "hard_sigmoid":
                description[word] = copy.deepcopy(HARD_SIGMOID)
            else:
                _translate(value)

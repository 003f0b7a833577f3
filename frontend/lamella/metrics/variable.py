"""The variables of a custom metric."""

from __future__ import annotations

import numpy as np

from lamella.core.held_variable import HeldVariable
from lamella.names import Name


class MetricVariable(HeldVariable):
    """One array of a metric's state, assigned in `update_state` and read in `result`.

    Attributes:
        initial: the initial value, a NumPy array.
    """

    name: str = Name("a metric's variable")  # type: ignore[assignment]

    def __init__(self, name: str, initial: np.ndarray, dtype: str) -> None:
        super().__init__(name, initial.shape, dtype, initial)
        self.initial = initial

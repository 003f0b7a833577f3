"""The variables of a metric of one's own."""

from __future__ import annotations

import numpy as np

from lamella.core.held_variable import HeldVariable
from lamella.names import Name


class MetricVariable(HeldVariable):
    """One array of a metric's state: read and assigned in `update_state`, read in `result`.

    Attributes:
        initial: what it starts from, a NumPy array.
    """

    name: str = Name("a metric's variable")  # type: ignore[assignment]

    def __init__(self, name: str, initial: np.ndarray, dtype: str) -> None:
        super().__init__(name, initial.shape, dtype, initial)
        self.initial = initial

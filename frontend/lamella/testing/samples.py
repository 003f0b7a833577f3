"""The table of samples: operands for every op, and exact values at non-differentiable points; every op needs a row."""

from __future__ import annotations

from lamella.ops import primitives as p
from lamella.testing import rows_control, rows_elementwise, rows_structure, rows_window
from lamella.testing.kinks import KINKS as KINKS
from lamella.testing.records import TOLERANCE as TOLERANCE
from lamella.testing.records import Kink as Kink
from lamella.testing.records import Operand as Operand
from lamella.testing.records import Sample as Sample

SAMPLES: list[Sample] = [
    *rows_elementwise.ROWS,
    *rows_structure.ROWS,
    *rows_window.ROWS,
    *rows_control.ROWS,
]


def samples_of(op: p.Op) -> list[Sample]:
    """The rows that try `op`."""
    return [sample for sample in SAMPLES if sample.op is op]


def kinks_of(op: p.Op) -> list[Kink]:
    """The exact rows of `op`."""
    return [kink for kink in KINKS if kink.op is op]


def ops_without_samples() -> list[str]:
    """The names of registered ops that no row tries; it must be empty."""
    tried = {sample.op for sample in SAMPLES}
    return [name for name, op in p.every_op().items() if op not in tried]

"""The report of `load_weights`."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class LoadReport:
    """Which weights `load_weights` set, and which it did not.

    Attributes:
        taken: paths of the model's weights that were set ("dense/kernel").
        kept: paths of the model's weights that are unchanged, each with the reason.
        unused: names of the file's arrays that were not used, each with the reason.

    Example:
        >>> report = LoadReport(taken=["dense/kernel"], kept={"dense/bias": "the file has none"})
        >>> report.complete
        False
        >>> print(report)
        1 weights taken, 1 kept, 0 arrays of the file unused
          kept dense/bias: the file has none
    """

    taken: list[str] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)
    unused: dict[str, str] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether every weight of the model was set."""
        return not self.kept

    def __str__(self) -> str:
        lines = [
            f"{len(self.taken)} weights taken, {len(self.kept)} kept, {len(self.unused)} arrays of the file unused"
        ]
        lines += [f"  kept {name}: {reason}" for name, reason in self.kept.items()]
        lines += [f"  unused {name}: {reason}" for name, reason in self.unused.items()]
        return "\n".join(lines)

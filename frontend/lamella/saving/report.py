"""What `load_weights` took from a file, and what it did not."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class LoadReport:
    """What became of the weights of a model and of a file.

    Attributes:
        taken: paths of the model's weights that were set ("dense/kernel").
        kept: paths of the model's weights that stayed as they were, each with the reason.
        unused: names of the file's arrays that fit nothing, each with the reason.
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

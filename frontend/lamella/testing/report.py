"""The result of a conformance run, as data and as text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from lamella import console


@dataclass
class Tally:
    """The checks of one op, or of one topic: the number of passed checks, and the messages of failed ones."""

    name: str
    passed: int = 0
    failures: list[str] = field(default_factory=list)

    @contextmanager
    def check(self, what: str) -> Iterator[None]:
        """Context manager that counts the block as passed, or records its exception, so that the run continues."""
        try:
            yield
        except Exception as error:
            text = str(error) or repr(error)
            kind = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
            self.failures.append(f"{what}: {kind}{text}")
        else:
            self.passed += 1


@dataclass
class Report:
    """The result of a conformance run.

    Attributes:
        backend: the name of the backend.
        ops: one tally per op, in the order of their definition.
        topics: one tally per check that is not about one op: threads, training, error messages and so on.
        kernels: the names of the ops that the backend computes itself; the others are computed by their definitions.
        mandatory: the names of the ops that have no definition.

    Example:
        >>> report = Report("mine")
        >>> with report.op("add").check("add of two scalars"):
        ...     assert 1 + 1 == 2
        >>> with report.op("exp").check("exp at 0"):
        ...     raise AssertionError("expected 1.0, got 0.0")
        >>> report.passed, report.failures
        (False, ['exp at 0: expected 1.0, got 0.0'])
    """

    backend: str
    ops: dict[str, Tally] = field(default_factory=dict)
    topics: dict[str, Tally] = field(default_factory=dict)
    kernels: frozenset[str] = frozenset()
    mandatory: frozenset[str] = frozenset()

    def op(self, name: str) -> Tally:
        """Return the tally of an op.

        Args:
            name: the name of the op.
        """
        return self.ops.setdefault(name, Tally(name))

    def topic(self, name: str) -> Tally:
        """Return the tally of a topic.

        Args:
            name: the name of the topic.
        """
        return self.topics.setdefault(name, Tally(name))

    @property
    def failures(self) -> list[str]:
        """The messages of failed checks."""
        return [text for tally in (*self.ops.values(), *self.topics.values()) for text in tally.failures]

    @property
    def passed(self) -> bool:
        """Whether all checks passed."""
        return not self.failures

    def __str__(self) -> str:
        rows = [
            [
                tally.name,
                "its kernel" if tally.name in self.kernels
                else "MISSING" if tally.name in self.mandatory else "its definition",
                str(tally.passed),
                str(len(tally.failures)) if tally.failures else "",
            ]
            for tally in self.ops.values()
        ]  # fmt: skip
        rows += [[tally.name, "", str(tally.passed), str(len(tally.failures) or "")] for tally in self.topics.values()]
        columns = [
            console.Column("check"),
            console.Column("computed by"),
            console.Column("passed", "right"),
            console.Column("failed", "right"),
        ]
        total = sum(t.passed for t in (*self.ops.values(), *self.topics.values()))
        verdict = "conforms" if self.passed else "does NOT conform"
        lines = [console.table(f"Conformance of backend {self.backend!r}", columns, rows)]
        lines += [f"FAILED {text}" for text in self.failures]
        lines.append(f"Backend {self.backend!r} {verdict}: {total} checks passed, {len(self.failures)} failed.")
        return "\n".join(lines)

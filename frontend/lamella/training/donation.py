"""Steps that reuse the memory of the previous state: signals are delayed until the new state is stored."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

from lamella.errors import BackendError

if TYPE_CHECKING:
    from lamella.core.variable import Variable
    from lamella.training.state import Compiled


@contextmanager
def deferred_signals() -> Iterator[None]:
    """Context manager that delays signals, in particular Ctrl-C, until its end."""
    if threading.current_thread() is not threading.main_thread():  # no other thread runs handlers
        yield
        return
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
    handlers = {number: handler for number, handler in handlers.items() if callable(handler)}
    arrived: list[tuple[int, FrameType | None]] = []

    def note(number: int, frame: FrameType | None) -> None:
        arrived.append((number, frame))

    try:
        for number in handlers:
            signal.signal(number, note)
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    for number, frame in arrived:
        handlers[number](number, frame)  # type: ignore[operator] - callable, see above


class Lost:
    """Placeholder of a lost array, which raises the error when it is read."""

    def __init__(self, message: str) -> None:
        self._message = message

    def __getattr__(self, name: str) -> Any:
        raise BackendError(self._message)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        """Raise the error.

        Raises:
            BackendError: always.
        """
        raise BackendError(self._message)


def lose(compiled: Compiled, variables: Iterable[Variable], error: Exception) -> BackendError:
    """The error for a device that failed with the only copy of `variables` and slots; reading them raises it as well."""
    saved = compiled.checkpoint
    remedy = "No checkpoint was written in this process, so training has to begin again: set or load the weights."
    if saved is not None:
        remedy = f"Load the last checkpoint, {saved!r}, and continue from there."
    message = (
        "the device failed within a chunk of steps that reused the memory of weights and optimizer slots (they are large, "
        f"so there is no second copy), and they are lost: {error} {remedy}"
    )
    lost, state = Lost(message), compiled.state
    for variable in variables:
        variable.take(lost)
    compiled.state = state._replace(
        slots={slot: dict.fromkeys(held, lost) for slot, held in state.slots.items()},
        external=None if state.external is None else (lost,) * len(state.external),
    )
    return BackendError(message)


__all__ = ["Lost", "deferred_signals", "lose"]

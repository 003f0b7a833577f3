"""Filtering of tracebacks: the user's frames and the innermost frame of lamella."""

from __future__ import annotations

import functools
import linecache
import sys
from collections.abc import Callable
from types import FrameType, FunctionType, TracebackType
from typing import Any, NamedTuple, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

METHODS = frozenset(
    """
    __call__ build compute_output_shape
    add assign compile evaluate export fit from_config get_config get_layer layer_outputs load_checkpoint load_weights
    lower pop program reset_states save save_checkpoint save_weights summary test_on_batch to
    to_json train_on_batch value_and_grad
    evaluate_generator fit_generator predict_classes predict_generator predict_proba
    """.split()
)
"""The methods of layers and models that users call; `predict` and `predict_on_batch`, which take microseconds, `shorten`."""

_OWN = frozenset({"lamella", *[f"lamella_{backend}" for backend in ("jax", "numpy")]})
_enabled = True


def enable_traceback_filtering() -> None:
    """Remove lamella's frames from tracebacks, except the innermost one; the default.

    Example:
        >>> import lamella
        >>> lamella.config.enable_traceback_filtering()
        >>> lamella.config.is_traceback_filtering_enabled()
        True
    """
    global _enabled
    _enabled = True


def disable_traceback_filtering() -> None:
    """Keep all frames in tracebacks, to debug lamella itself.

    Example:
        >>> import lamella
        >>> lamella.config.disable_traceback_filtering()
        >>> lamella.config.is_traceback_filtering_enabled()
        False
        >>> lamella.config.enable_traceback_filtering()
    """
    global _enabled
    _enabled = False


def is_traceback_filtering_enabled() -> bool:
    """Return whether lamella's frames are removed from tracebacks.

    Returns:
        A bool; True by default.

    Example:
        >>> import lamella
        >>> lamella.config.is_traceback_filtering_enabled()
        True
    """
    return _enabled


def filtered(function: Callable[P, R]) -> Callable[P, R]:
    """Decorator for public functions: errors have at most one frame of lamella in their traceback."""

    @functools.wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            shorten(error)
            raise

    return called


def filter_methods(cls: type) -> None:
    """Apply `filtered` to those of `METHODS` that a class defines itself."""
    for name in METHODS & vars(cls).keys():
        method = vars(cls)[name]
        if isinstance(method, classmethod):
            setattr(cls, name, classmethod(filtered(method.__func__)))
        elif isinstance(method, FunctionType):
            setattr(cls, name, filtered(method))


def filter_functions(module: str) -> None:
    """Apply `filtered` to the public functions of a module; called at the end of the module."""
    held = vars(sys.modules[module])
    once = functools.cache(filtered)  # a function of two names stays one
    for name, function in [*held.items()]:
        if isinstance(function, FunctionType) and function.__module__ == module and name[0] != "_":
            held[name] = once(function)


def shorten(error: BaseException) -> None:
    """Remove lamella's frames, except the innermost one, from the tracebacks of an error and of its causes.

    Call it where the error is caught, followed by a bare `raise`, which adds no frame.
    """
    if _enabled:
        seen: set[int] = set()
        following: BaseException | None = error
        while following is not None and id(following) not in seen:
            seen.add(id(following))
            following.__traceback__ = _kept(following.__traceback__, innermost=True)
            following = following.__cause__ or following.__context__


def shorten_within(error: BaseException) -> None:
    """The same for the function of an op: if lamella itself called the op, the frame of the call is kept instead."""
    if _enabled:
        if _is_own(sys._getframe(2)):
            error.__traceback__ = _kept(error.__traceback__, innermost=False)
        else:
            shorten(error)


def user_level() -> int:
    """Return the `stacklevel` with which a warning of the calling function points at the first line outside lamella."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and _is_own(frame):
        frame, level = frame.f_back, level + 1
    return level


class Line(NamedTuple):
    """A line of the user's code.

    Attributes:
        file: the name of the file.
        number: the line number.
        function: the function that contains the line.
    """

    file: str
    number: int
    function: str

    def __str__(self) -> str:
        code = linecache.getline(self.file, self.number).strip()
        return f"{self.file}:{self.number}, in {self.function}{f': {code}' if code else ''}"


def user_line(until: str = "") -> Line | None:
    """Return the innermost line outside lamella that is being executed, up to the module `until`, or None."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _is_own(frame):
        if frame.f_globals.get("__name__") == until:
            return None
        frame = frame.f_back
    return None if frame is None else Line(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)


def _kept(traceback: TracebackType | None, *, innermost: bool) -> TracebackType | None:
    """A traceback without lamella's frames, or with only the innermost of them."""
    entries: list[TracebackType] = []
    while traceback is not None:
        entries.append(traceback)
        traceback = traceback.tb_next
    own = [entry for entry in entries if _is_own(entry.tb_frame)]
    kept: TracebackType | None = None
    for entry in reversed(entries):
        if entry not in own or (innermost and entry is own[-1]):
            kept = TracebackType(kept, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return kept


def _is_own(frame: FrameType) -> bool:
    name: Any = frame.f_globals.get("__name__", "")
    return name.partition(".")[0] in _OWN


__all__ = [
    "Line",
    "disable_traceback_filtering",
    "enable_traceback_filtering",
    "filter_functions",
    "filter_methods",
    "filtered",
    "is_traceback_filtering_enabled",
    "shorten",
    "shorten_within",
    "user_level",
    "user_line",
]

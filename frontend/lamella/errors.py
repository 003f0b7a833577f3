"""The exceptions lamella raises, and the words they share.

Every error says what came, what was expected, where, and how to mend it. All of them are `ValueError`s or `TypeError`s,
so that a user's `except ValueError` keeps working whatever the backend.
"""

from __future__ import annotations

from collections.abc import Iterable


class LamellaError(Exception):
    """The common base of lamella's own exceptions."""


class ShapeError(LamellaError, ValueError):
    """A shape does not fit: what came, what was expected and where are in the message."""


class ArgumentError(LamellaError, ValueError):
    """An argument has a value that means nothing here, or contradicts another argument."""


class DataError(LamellaError, ValueError):
    """Numbers that cannot be used: a NaN, a label that is not a class, an integer beyond 32 bits."""


class DTypeError(LamellaError, TypeError):
    """A dtype does not fit."""


class UnknownNameError(LamellaError, ValueError):
    """A name is not known; the message gives the nearest known one."""


class TraceError(LamellaError, TypeError):
    """A symbolic value was used where only an array may stand, or outside the trace it belongs to."""


class BackendError(LamellaError, ValueError, ImportError):
    """A backend is unknown, not installed, or lacks a mandatory primitive."""


class FormatError(LamellaError, ValueError):
    """A file is damaged, hostile, of another kind or of another model: the file, the place in it and what is wrong."""


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """The tail of a message about an unknown name: the nearest known name, else the list of all."""
    import difflib  # only when something is misspelt

    options = sorted(set(known))
    match = difflib.get_close_matches(str(name).lower(), [o.lower() for o in options], n=1, cutoff=0.5)
    if match:
        nearest = [o for o in options if o.lower() == match[0]][-1]  # "mse" rather than "MSE"
        return f"did you mean {nearest!r}?"
    return "known names: " + ", ".join(repr(o) for o in options) + "."


def unknown_name(kind: str, name: object, known: Iterable[str]) -> UnknownNameError:
    """The error for a `name` that is no `kind` (for instance "optimizer") lamella knows."""
    return UnknownNameError(f"Unknown {kind} {name!r}: {did_you_mean(name, known)}")

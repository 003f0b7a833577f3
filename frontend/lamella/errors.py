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


class NotBuiltError(LamellaError, ValueError, AttributeError):
    """Something was asked of a model that is known once it is built: `hasattr` says that it is not there."""


class UnknownNameError(LamellaError, ValueError):
    """A name is not known; the message gives the nearest known one."""


class TraceError(LamellaError, TypeError):
    """A symbolic value was used where only an array may stand, or outside the trace it belongs to."""


class BackendError(LamellaError, ValueError, ImportError):
    """A backend is unknown, not installed, or lacks a mandatory primitive."""


class FormatError(LamellaError, ValueError):
    """A file is damaged, hostile, of another kind or of another model: the file, the place in it and what is wrong."""


class DownloadError(LamellaError, OSError, ValueError):
    """A file could not be downloaded: its address, the reason, and where to put the file by hand."""


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """The tail of a message about an unknown name: the nearest known name, else the list of all.

    The nearest name has the same letters ("adma": "adam"), or begins with the name ("glorot": "glorot_uniform", the first
    of several in the order of `known`), or else differs least from it.
    """
    import difflib  # only when something is misspelt

    options = list(dict.fromkeys(known))
    spellings: dict[str, list[str]] = {}  # of each name, without capitals and underscores
    for option in options:
        spellings.setdefault(_plain(option), []).append(option)
    given = _plain(str(name))
    same = [option for option in spellings if sorted(option) == sorted(given)]
    longer = [option for option in spellings if len(given) > 1 and option.startswith(given)]
    found = same or longer or difflib.get_close_matches(given, spellings, n=1, cutoff=0.5)
    if found:
        # the spelling in the user's style: "adam" or "Adam", "mse" rather than "MSE"
        nearest = max(spellings[found[0]], key=lambda option: (option.islower() == str(name).islower(), option))
        return f"did you mean {nearest!r}?"
    return "known names: " + ", ".join(repr(o) for o in sorted(options)) + "."


def _plain(name: str) -> str:
    return name.lower().replace("_", "")


def unknown_name(kind: str, name: object, known: Iterable[str]) -> UnknownNameError:
    """The error for a `name` that is no `kind` (for instance "optimizer") lamella knows."""
    return UnknownNameError(f"Unknown {kind} {name!r}: {did_you_mean(name, known)}")

"""The exceptions that lamella raises.

A message says what was expected, what was given, where, and how to fix it. All exceptions are `ValueError`s or
`TypeError`s, so that `except ValueError` works with every backend.
"""

from __future__ import annotations

from collections.abc import Iterable


class LamellaError(Exception):
    """The base class of lamella's exceptions."""


class ShapeError(LamellaError, ValueError):
    """A shape does not match; the message contains the given and the expected shape."""


class ArgumentError(LamellaError, ValueError):
    """An argument has an invalid value, or contradicts another argument."""


class DataError(LamellaError, ValueError):
    """Data that cannot be used: a NaN, a label that is not a class, an integer that does not fit 32 bits."""


class DTypeError(LamellaError, TypeError):
    """A dtype does not match or is not supported."""


class NotBuiltError(LamellaError, ValueError, AttributeError):
    """An attribute of a model that is known only once it is built; `hasattr` returns False."""


class UnknownNameError(LamellaError, ValueError):
    """A name is unknown; the message suggests the nearest known one."""


class TraceError(LamellaError, TypeError):
    """A symbolic value was used where an array is needed, or outside of its trace."""


class BackendError(LamellaError, ValueError, ImportError):
    """A backend is unknown or not installed, or lacks a mandatory op."""


class FormatError(LamellaError, ValueError):
    """A file is damaged, malicious, of another format or of another model; the message says where."""


class DownloadError(LamellaError, OSError, ValueError):
    """A file could not be downloaded; the message contains the address, the reason, and where to put it manually."""


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown name: the nearest known name, or the list of all.

    The nearest name has the same letters ("adma": "adam"), or starts with the name ("glorot": "glorot_uniform", the
    first of several in the order of `known`), or otherwise is the most similar.

    Args:
        name: the unknown name.
        known: the known names.

    Returns:
        The text, for example "did you mean 'adam'?".

    Example:
        >>> did_you_mean("adma", ["sgd", "adam"])
        "did you mean 'adam'?"
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
    """Return the error for an unknown name.

    Args:
        kind: the kind of object, for example "optimizer".
        name: the unknown name.
        known: the known names.

    Returns:
        An `UnknownNameError` that suggests the nearest known name.

    Example:
        >>> str(unknown_name("optimizer", "adma", ["sgd", "adam"]))
        "Unknown optimizer 'adma': did you mean 'adam'?"
    """
    return UnknownNameError(f"Unknown {kind} {name!r}: {did_you_mean(name, known)}")

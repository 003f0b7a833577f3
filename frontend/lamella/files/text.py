"""JSON, written for Keras and read from strangers: one meaning a text, nothing too deep, too long or not a number."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any, NoReturn

import numpy as np

from lamella.errors import FormatError

LARGEST = 16 * 2**20
"""Bytes of a text that is read; Keras writes about 1 KB per layer."""

ENTRIES = 200_000
"""How many entries of lists and objects a text may have."""

DEPTH = 100
"""How deep lists and objects may be nested; a Sequential inside another adds four levels."""

_TOO_DEEP = f"is nested more than {DEPTH} deep"

_PIECE = 1 << 18
"""Bytes of a text that are counted at once, which bounds the memory for counting."""

_LONGEST_INTEGER = 20
"""Characters of an integer of 64 bits."""

_LONGEST_NUMBER = 400
"""Characters of a number; the longest double that is written without an exponent has 327."""


def written(
    value: Any, what: str, *, largest: int = LARGEST, entries: int = ENTRIES, finite: bool = True, **options: Any
) -> str:
    """`value` as JSON text, which `parsed` takes.

    Args:
        value: plain data; named functions are described by their names.
        what: whose description it is, for messages.
        largest: as for `parsed`.
        entries: as for `parsed`.
        finite: whether NaN and infinity are refused.
        **options: as for `json.dumps`.

    Raises:
        ValueError: it holds a lambda, an object without `get_config`, or a number that is not finite; or the text is larger
            than any that is read.
    """

    def described(item: Any) -> Any:
        name = getattr(item, "__name__", None)
        if callable(item) and isinstance(name, str) and name.isidentifier() and not isinstance(item, type):
            module = getattr(item, "__module__", None)
            return {"module": module, "class_name": "function", "config": name, "registered_name": name}
        hint = "give the lambda a name with `def`" if name == "<lambda>" else "give its class a `get_config`"
        hint = getattr(item, "hint", hint)
        raise ValueError(f"{what} holds {item!r}, which no file can describe: {hint}.")

    try:
        found = json.dumps(value, default=described, allow_nan=not finite, **options)
    except ValueError as error:
        if "JSON compliant" in str(error):
            raise ValueError(f"{what} holds a number that is not finite, which JSON cannot write.") from None
        raise
    except RecursionError:
        raise ValueError(f"{what} {_TOO_DEEP}.") from None
    excess = _excess(found.encode(), largest, entries)
    if excess:
        raise ValueError(f"{what} {excess}.")
    return found


def parsed(
    data: bytes | str, where: str, *, largest: int = LARGEST, entries: int = ENTRIES, finite: bool = True
) -> Any:
    """The value of a JSON text.

    Args:
        data: the text, UTF-8.
        where: the file and the place in it, for messages.
        largest: the most bytes that the text may have.
        entries: the most entries that its lists and objects may have together.
        finite: whether NaN, infinity and integers of more than 64 bits are refused.

    Raises:
        FormatError: the text is not JSON, has a key twice, or goes beyond these bounds.
    """
    # a lone surrogate becomes bytes that are not UTF-8, which are refused below
    raw = data.encode(errors="surrogatepass") if isinstance(data, str) else bytes(data)
    excess = _excess(raw, largest, entries)
    if excess:
        raise FormatError(f"{where} {excess}.")

    def refuse(word: str) -> NoReturn:
        raise FormatError(f"{where}: {word} is not a number in JSON.")

    def integer(digits: str) -> int:
        if len(digits) > _LONGEST_INTEGER:
            raise FormatError(f"{where}: the integer {digits[:20]}... is too long.")
        return int(digits)

    def real(digits: str) -> float:
        if len(digits) > _LONGEST_NUMBER:
            raise FormatError(f"{where}: the number {digits[:40]}... is too long.")
        value = float(digits)
        if not math.isfinite(value):
            raise FormatError(f"{where}: the number {digits[:40]} is not finite.")
        return value

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            key, _ = Counter(key for key, _ in pairs).most_common(1)[0]
            raise FormatError(f"{where}: the key {key[:80]!r} appears twice in one object.")
        return found

    numbers: dict[str, Any] = {"parse_constant": refuse, "parse_int": integer, "parse_float": real} if finite else {}
    try:
        return json.loads(raw.decode(), object_pairs_hook=unique, **numbers)
    except FormatError:
        raise
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise FormatError(f"{where}: not JSON ({error}).") from None


def _excess(raw: bytes, largest: int, most: int) -> str | None:
    """What a text has too much of, found in linear time and before anything is made of it; None where it is small enough.

    Without escapes a character is inside a string after an odd number of quotes. A backslash outside of strings is refused
    by the parser when it comes to it, so a count that it leads astray is of no text that is read.
    """
    if len(raw) > largest:
        return f"has {len(raw):,} bytes of JSON; at most {largest:,} are read"
    bare = raw.replace(b"\\\\", b"").replace(b'\\"', b"")
    quotes = entries = closed = depth = 0
    for start in range(0, len(bare), _PIECE):
        piece = np.frombuffer(bare, "u1", min(_PIECE, len(bare) - start), start)
        inside = (np.cumsum(piece == ord('"'), dtype="u1") + np.uint8(quotes)) & 1
        quotes = int(inside[-1])
        structure = piece[inside == 0]
        opening = (structure == ord("[")) | (structure == ord("{"))
        closing = (structure == ord("]")) | (structure == ord("}"))
        entries += np.count_nonzero(structure == ord(",")) + np.count_nonzero(opening)
        closed += np.count_nonzero(closing)
        if max(entries, closed) > most:
            return f"has more than {most:,} entries of lists and objects"
        depths = depth + np.cumsum(opening.view("i1") - closing.view("i1"), dtype="i4")
        if depths.max(initial=0) > DEPTH:
            return _TOO_DEEP
        depth = int(depths[-1]) if len(depths) else depth
    return None

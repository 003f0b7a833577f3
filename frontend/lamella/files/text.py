"""JSON, written for Keras and read from strangers: one meaning a text, nothing too deep, too long or not a number."""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

from lamella.errors import FormatError

LARGEST = 16 * 2**20
"""Bytes of a text that is read; Keras writes about 1 KB a layer."""

ENTRIES = 200_000
"""How many entries of lists and objects a text may have."""

DEPTH = 100
"""How deep lists and objects may be nested; a Sequential inside another adds four levels."""

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


def written(value: Any, what: str, **options: Any) -> str:
    """`value` as JSON text.

    Args:
        value: plain data; named functions are described by their names.
        what: whose description it is, for messages.
        **options: as for `json.dumps`.

    Raises:
        ValueError: it holds a lambda, an object without `get_config`, or a number that is not finite.
    """

    def described(item: Any) -> Any:
        name = getattr(item, "__name__", None)
        if callable(item) and isinstance(name, str) and name.isidentifier() and not isinstance(item, type):
            module = getattr(item, "__module__", None)
            return {"module": module, "class_name": "function", "config": name, "registered_name": name}
        hint = "give the lambda a name with `def`" if name == "<lambda>" else "give its class a `get_config`"
        raise ValueError(f"{what} holds {item!r}, which no file can describe: {hint}.")

    try:
        return json.dumps(value, default=described, allow_nan=False, **options)
    except ValueError as error:
        if "JSON compliant" in str(error):
            raise ValueError(f"{what} holds a number that is not finite, which JSON cannot write.") from None
        raise


def parsed(data: bytes | str, where: str) -> Any:
    """The value of a JSON text.

    Args:
        data: the text, UTF-8.
        where: the file and the place in it, for messages.

    Raises:
        FormatError: the text is not JSON, has a key twice, NaN or infinity, or is larger than any model's.
    """
    raw = data.encode() if isinstance(data, str) else bytes(data)
    if len(raw) > LARGEST:
        raise FormatError(f"{where}: a description of {len(raw):,} bytes; at most {LARGEST:,} are read.")
    _check_size(raw, where)

    def refuse(word: str) -> NoReturn:
        raise FormatError(f"{where}: {word} is no number of JSON.")

    def integer(digits: str) -> int:
        if len(digits) > 19:
            raise FormatError(f"{where}: the integer {digits[:20]}... is too long.")
        return int(digits)

    def real(digits: str) -> float:
        value = float(digits)
        if not math.isfinite(value):
            raise FormatError(f"{where}: the number {digits[:40]} is not finite.")
        return value

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            twice = next(key for i, (key, _) in enumerate(pairs) if key in dict(pairs[:i]))
            raise FormatError(f"{where}: the key {twice[:80]!r} stands twice in one object.")
        return found

    try:
        return json.loads(
            raw.decode(), object_pairs_hook=unique, parse_constant=refuse, parse_int=integer, parse_float=real
        )
    except FormatError:
        raise
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise FormatError(f"{where}: not JSON ({error}).") from None


def _check_size(raw: bytes, where: str) -> None:
    bare = _STRING.sub(b'""', raw)
    entries = bare.count(b",") + bare.count(b"[") + bare.count(b"{")
    if entries > ENTRIES:
        raise FormatError(f"{where}: more than {ENTRIES:,} entries.")
    depth = 0
    for bracket in re.findall(rb"[\[\]{}]", bare):
        depth += 1 if bracket in b"[{" else -1
        if depth > DEPTH:
            raise FormatError(f"{where}: nested more than {DEPTH} deep.")

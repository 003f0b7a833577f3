"""Pickled data, read without `pickle`: plain values and NumPy arrays, and nothing that runs.

Old data sets are pickles: the batches of CIFAR, and the arrays of lists in `imdb.npz` and `reuters.npz`. `pickle` would call
whatever such a file names. This reader knows the opcodes that build integers, strings, bytes, lists, tuples, dicts and
arrays. The three names with which NumPy pickles an array are recognized as text; they are never imported or called. Every
other opcode or name is an error.

References:
    Python, Lib/pickletools.py, which describes each opcode.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

import numpy as np

from lamella.errors import FormatError

_MOST_INTEGERS = 2**24
"""Integers below 2**31 of one pickle: `imdb.npz` has six million in each of its two."""
_MOST_OPCODES = 2**21
"""Other opcodes: a file of CIFAR-100 has two for each of its 50,000 file names."""
_DEEPEST = 8
"""Levels of lists, tuples, dicts and arrays in each other: a batch of CIFAR has two."""
_MOST_MARKS = 64
"""Marks that are open at once: every container has one."""
_LONGEST_NAME = 100
_MOST_AXES = 32
_NEWEST_PROTOCOL = 5
_DTYPE = re.compile(r"[iuf][1248]|b1|O8?|O4")
_CONTAINERS = frozenset({list, tuple, dict, np.ndarray})
_PLAIN = frozenset({int, bool, str, bytes, type(None)})


class _Name(str):
    """A name of NumPy, as text."""


class _DType:
    """A dtype whose byte order is still to come."""

    def __init__(self, name: str) -> None:
        self.name, self.order = name, "="


class _Array:
    """An array whose shape, dtype and values are still to come."""


_ARRAY_CLASS, _DTYPE_CLASS, _MAKE_ARRAY = _Name("ndarray"), _Name("dtype"), _Name("_reconstruct")
_NAMES = {
    ("numpy", "ndarray"): _ARRAY_CLASS,
    ("numpy", "dtype"): _DTYPE_CLASS,
    ("numpy.core.multiarray", "_reconstruct"): _MAKE_ARRAY,
    ("numpy._core.multiarray", "_reconstruct"): _MAKE_ARRAY,
}
_MISSING = object()


def read(data: bytes, where: str) -> Any:
    """The value of a pickle.

    Integers, strings, bytes, lists, tuples, dicts and arrays of numbers or of such values are built; strings of Python 2 are
    bytes. No list, tuple, dict or array is in two places, so that work on the value is in proportion to the file.

    Args:
        data: the whole pickle, of protocol 2 to 5.
        where: the file's name, for messages.

    Raises:
        FormatError: the pickle is damaged or cut short, names a function or class, holds an opcode that builds anything
            else, more than 16 million integers or 2 million opcodes beside them, or values nested deeper than 8 levels.

    >>> import pickle
    >>> read(pickle.dumps({"labels": [3, 500]}), "example")
    {'labels': [3, 500]}
    """
    reader = _Reader(data, where)
    try:
        value = reader.run()
    except (IndexError, struct.error):
        raise reader.error("it is cut short") from None
    _check(value, reader)
    return value


def _check(value: Any, reader: _Reader) -> None:
    """Refuse what is nested too deep, and what is still no value."""
    level = [[value]]
    for _ in range(_DEEPEST + 1):
        inner: list[Any] = []
        for container in level:
            entries: Iterable[Any] = container
            if type(container) is dict:
                entries = container.values()
            elif type(container) is np.ndarray:
                entries = container.ravel().tolist() if container.dtype.hasobject else ()
            kinds = set(map(type, entries))
            if kinds & _CONTAINERS:
                inner += [entry for entry in entries if type(entry) in _CONTAINERS]
            if kinds - _CONTAINERS - _PLAIN:
                raise reader.error("it holds an array or a dtype that is not finished")
        if not inner:
            return
        level = inner
    raise reader.error(f"its values are nested deeper than {_DEEPEST} levels")


class _Reader:
    """A machine with a stack, as `pickle` describes it; `at` is the place in the data."""

    def __init__(self, data: bytes, where: str) -> None:
        self.data, self.where, self.at = data, where, 0
        self.stack: list[Any] = []
        self.outer: list[list[Any]] = []  # the stacks below the marks
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        """Read up to the end."""
        data, integers_left = self.data, _MOST_INTEGERS
        for _ in range(_MOST_OPCODES):
            integers_left -= self.integers(integers_left)
            code = data[self.at]
            self.at += 1
            if code == _STOP:
                return self.stopped()
            if code in _INTEGERS:
                raise self.error(f"it holds more than {_MOST_INTEGERS:,} integers")
            if (operation := _OPERATIONS.get(code)) is None:
                raise self.error(f"it holds the opcode {bytes([code])!r}, and only lists, integers and arrays are read")
            operation(self)
        raise self.error(f"it holds more than {_MOST_OPCODES:,} values beside small integers")

    def error(self, what: str) -> FormatError:
        """The error that says what is wrong, and where."""
        return FormatError(f"{self.where}: {what} (byte {self.at:,} of the pickle).")

    def fail(self, what: str) -> NoReturn:
        """Raise the error."""
        raise self.error(what)

    def integers(self, most: int) -> int:
        """Read a run of integers, of which most data consist, and return how many they were."""
        data, at, push = self.data, self.at, self.stack.append
        before, end = len(self.stack), min(len(self.data), self.at + 2 * most)
        while at < end:
            code = data[at]
            if code == _BYTE:
                push(data[at + 1])
                at += 2
            elif code == _SHORT:
                push(data[at + 1] | data[at + 2] << 8)
                at += 3
            elif code == _INT:
                push(struct.unpack_from("<i", data, at + 1)[0])
                at += 5
            else:
                break
        self.at = at
        return len(self.stack) - before

    def stopped(self) -> Any:
        """The one value on the stack, where the data end as well."""
        if len(self.stack) != 1 or self.outer:
            self.fail("it ends with more or less than one value")
        if self.at != len(self.data):
            self.fail(f"{len(self.data) - self.at:,} bytes follow its end")
        return self.stack[0]

    def take(self, size: int) -> bytes:
        """The next bytes."""
        start, self.at = self.at, self.at + size
        if self.at > len(self.data):
            raise IndexError
        return self.data[start : self.at]

    def number(self, size: int) -> int:
        """The next number, without a sign."""
        return int.from_bytes(self.take(size), "little")

    def pop(self, *kinds: type) -> Any:
        """The value on top of the stack, which must be of one of these types."""
        if not self.stack:
            self.fail("a value is missing")
        value = self.stack.pop()
        if kinds and type(value) not in kinds:
            self.fail(f"it has a {type(value).__name__} where a {kinds[0].__name__} belongs")
        return value

    def top(self, kind: type) -> Any:
        """The value on top of the stack, which stays there."""
        value = self.pop(kind)
        self.stack.append(value)
        return value

    def marked(self) -> list[Any]:
        """The values above the last mark."""
        if not self.outer:
            self.fail("a mark is missing")
        values, self.stack = self.stack, self.outer.pop()
        return values

    # ----- the opcodes that do more than push a value -----

    def protocol(self) -> None:
        """PROTO."""
        if (version := self.number(1)) > _NEWEST_PROTOCOL:
            self.fail(f"it is of protocol {version}, and up to {_NEWEST_PROTOCOL} are read")

    def frame(self) -> None:
        """FRAME: how many bytes belong together."""
        if self.at + 8 + self.number(8) > len(self.data):
            raise IndexError

    def mark(self) -> None:
        """MARK."""
        if len(self.outer) >= _MOST_MARKS:
            self.fail(f"its values are nested deeper than {_DEEPEST} levels")
        self.outer.append(self.stack)
        self.stack = []

    def long(self) -> None:
        """LONG1."""
        if (size := self.number(1)) > 8:
            self.fail("it holds an integer of more than 64 bits")
        self.stack.append(int.from_bytes(self.take(size), "little", signed=True))

    def text(self, width: int) -> None:
        """A string with its length in front."""
        try:
            self.stack.append(self.take(self.number(width)).decode())
        except UnicodeDecodeError:
            self.fail("a text in it is not UTF-8")

    def tuple_of(self, count: int) -> None:
        """TUPLE1, TUPLE2 and TUPLE3."""
        if len(self.stack) < count:
            self.fail("a value is missing")
        self.stack[-count:] = [tuple(self.stack[-count:])]

    def tuple_of_marked(self) -> None:
        """TUPLE."""
        values = self.marked()
        self.stack.append(tuple(values))

    def append(self) -> None:
        """APPEND."""
        value = self.pop()
        self.top(list).append(value)

    def appends(self) -> None:
        """APPENDS."""
        values = self.marked()
        self.top(list).extend(values)

    def set_items(self, values: list[Any]) -> None:
        """SETITEM and SETITEMS."""
        keys = values[::2]
        if len(values) % 2 or set(map(type, keys)) - {int, str, bytes}:
            self.fail("the keys of a dict are not texts or integers")
        self.top(dict).update(zip(keys, values[1::2], strict=True))

    def put(self, index: int) -> None:
        """BINPUT, LONG_BINPUT and MEMOIZE: what holds others is noted, and not handed out again."""
        if not self.stack:
            self.fail("a value is missing")
        value = self.stack[-1]
        self.memo[index] = _MISSING if type(value) in _CONTAINERS or type(value) is _Array else value

    def get(self, index: int) -> None:
        """BINGET and LONG_BINGET."""
        if (value := self.memo.get(index, _MISSING)) is _MISSING:
            self.fail("it refers to a value that is not there, or that holds others and is in another place already")
        self.stack.append(value)

    def named(self, module: str, name: str) -> None:
        """GLOBAL and STACK_GLOBAL."""
        if (known := _NAMES.get((module, name))) is None:
            self.fail(f"it names {f'{module}.{name}'[:_LONGEST_NAME]!r}, and no file may name code to run")
        self.stack.append(known)

    def global_name(self) -> None:
        """GLOBAL: two lines."""
        names = []
        for _ in range(2):
            end = self.data.find(b"\n", self.at, self.at + _LONGEST_NAME)
            if end < 0:
                self.fail("a name in it does not end")
            names.append(self.take(end - self.at).decode("latin-1"))
            self.at += 1
        self.named(*names)

    def stacked_name(self) -> None:
        """STACK_GLOBAL."""
        name, module = self.pop(str), self.pop(str)
        self.named(module, name)

    def reduce(self) -> None:
        """REDUCE: of the calls that a pickle can ask for, the two that begin an array and a dtype."""
        values, name = self.pop(tuple), self.pop(_Name)
        if name is _MAKE_ARRAY and len(values) == 3 and values[0] is _ARRAY_CLASS:
            self.stack.append(_Array())
        elif name is _DTYPE_CLASS and 1 <= len(values) <= 3:
            code = values[0].decode("latin-1") if type(values[0]) is bytes else values[0]
            if type(code) is not str or not _DTYPE.fullmatch(code):
                self.fail("it holds an array of neither numbers nor lists")
            self.stack.append(_DType(code))
        else:
            self.fail(f"it calls {str(name)!r} with arguments that make no array")

    def build(self) -> None:
        """BUILD: the rest of a dtype or of an array."""
        state, begun = self.pop(tuple), self.pop(_Array, _DType)
        if type(begun) is _DType:
            order = state[1] if len(state) > 4 else None
            order = order.decode("latin-1") if type(order) is bytes else order
            one_field = all(entry is None for entry in state[2:5])
            if type(order) is not str or order not in ("<", ">", "|", "=") or not one_field:
                self.fail("it holds a dtype of several fields")
            begun.order = order
            self.stack.append(begun)
            return
        if tuple(map(type, state[:4])) != (int, tuple, _DType, bool) or len(state) != 5:
            self.fail("it holds an array that is not described as NumPy does")
        _, shape, dtype, fortran, values = state
        if len(shape) > _MOST_AXES or any(type(size) is not int or size < 0 for size in shape):
            self.fail("it holds an array without a shape")
        self.stack.append(self.array(shape, dtype, "F" if fortran else "C", values))

    def array(self, shape: tuple[int, ...], dtype: _DType, order: Any, values: Any) -> np.ndarray:
        """An array of its bytes, or of its objects."""
        count = math.prod(shape)
        kind = np.dtype("O") if dtype.name[0] == "O" else np.dtype(f"{dtype.order}{dtype.name}")
        form: type[Any] = list if kind.hasobject else bytes
        size = len(values) if type(values) is form else -1
        if size != count * (1 if kind.hasobject else kind.itemsize):
            self.fail(f"it holds an array of shape {str(shape)[:_LONGEST_NAME]} with more or fewer values")
        try:
            if kind.hasobject:
                return np.fromiter(values, kind, count).reshape(shape)  # in whatever order its memory was
            return np.frombuffer(values, kind).reshape(shape, order=order)
        except (ValueError, OverflowError):
            raise self.error(f"it holds an array of shape {str(shape)[:_LONGEST_NAME]}") from None


_STOP, _BYTE, _SHORT, _INT = b".KMJ"
_INTEGERS = frozenset({_BYTE, _SHORT, _INT})

_BY_LETTER: dict[bytes, Callable[[_Reader], Any]] = {
    b"\x80": _Reader.protocol,
    b"\x95": _Reader.frame,
    b"(": _Reader.mark,
    b"N": lambda r: r.stack.append(None),
    b"\x88": lambda r: r.stack.append(True),
    b"\x89": lambda r: r.stack.append(False),
    b"\x8a": _Reader.long,
    b"U": lambda r: r.stack.append(r.take(r.number(1))),
    b"T": lambda r: r.stack.append(r.take(r.number(4))),
    b"C": lambda r: r.stack.append(r.take(r.number(1))),
    b"B": lambda r: r.stack.append(r.take(r.number(4))),
    b"\x8e": lambda r: r.stack.append(r.take(r.number(8))),
    b"\x8c": lambda r: r.text(1),
    b"X": lambda r: r.text(4),
    b"\x8d": lambda r: r.text(8),
    b"]": lambda r: r.stack.append([]),
    b"}": lambda r: r.stack.append({}),
    b")": lambda r: r.stack.append(()),
    b"\x85": lambda r: r.tuple_of(1),
    b"\x86": lambda r: r.tuple_of(2),
    b"\x87": lambda r: r.tuple_of(3),
    b"t": _Reader.tuple_of_marked,
    b"a": _Reader.append,
    b"e": _Reader.appends,
    b"s": lambda r: r.set_items([r.pop(), r.pop()][::-1]),
    b"u": lambda r: r.set_items(r.marked()),
    b"q": lambda r: r.put(r.number(1)),
    b"r": lambda r: r.put(r.number(4)),
    b"\x94": lambda r: r.put(len(r.memo)),
    b"h": lambda r: r.get(r.number(1)),
    b"j": lambda r: r.get(r.number(4)),
    b"c": _Reader.global_name,
    b"\x93": _Reader.stacked_name,
    b"R": _Reader.reduce,
    b"b": _Reader.build,
}
_OPERATIONS = {letter[0]: operation for letter, operation in _BY_LETTER.items()}

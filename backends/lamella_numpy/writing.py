"""Writing a function: names, lines, loops, and the buffers, constants and lists that are made before it runs."""

from __future__ import annotations

import functools
import keyword
import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from lamella_numpy import views
from lamella_numpy.views import Block, Ints, Loop, Storage, Thing, View, written

FOREVER = 1 << 60
"""A time after every line."""


@functools.lru_cache(maxsize=4096)
def identifier(hint: str) -> str:
    """`hint` as a name of Python, whatever is in it."""
    name = re.sub(r"\W+", "_", hint, flags=re.ASCII).strip("_") or "v"
    return f"v{name}" if name[0].isdigit() else name


def comment(text: str) -> str:
    """`text` as it may stand behind a `#`: what a user calls a layer must not end the line."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


class Writer:
    """The text of one function under construction, and what is known of its memory.

    Attributes:
        static, once, main: what is made with a frame, what runs once before many calls, and the function itself.
        block: where lines go now.
        scope: stands for the equations that may overwrite a buffer made now.
        constants: the arrays (and lists of compiled branches) that the text names `constants[i]`.
        storages: every buffer of the arena.
        scratches: how many dictionaries kernels keep temporary arrays in.
        loops: those that are open, the outermost first.
        chunk: the open loop over pieces of vectors with the vectors' and the pieces' length, if there is one.
        clock: the number of lines so far.
    """

    def __init__(self, reserved: Iterable[str]) -> None:
        self.static = Block(0)
        self.once = Block(1)
        self.main = Block(1)
        self.block = self.main
        self.scope: Any = self.main
        self.constants: list[Any] = []
        self.storages: list[Storage] = []
        self.scratches = 0
        self.loops: list[Loop] = []
        self.chunk: tuple[Loop, int, int] | None = None
        self.clock = 0
        self._used = {*reserved, *keyword.kwlist}
        self._numbered: dict[str, int] = {}
        self._where = ""
        self._comment = ""
        self._hint = ""
        self._kept: set[Storage] = set()
        self._known: dict[Any, View] = {}

    # ---- names and lines ----

    def fresh(self, hint: str) -> str:
        """An unused name, after `hint`."""
        base = name = identifier(hint)
        while name in self._used:
            self._numbered[base] = number = self._numbered.get(base, 1) + 1
            name = f"{base}_{number}"
        self._used.add(name)
        return name

    def emit(self, line: str) -> None:
        """Write one line of the running block."""
        self.block.lines.append(f"{line}  # {self._comment}" if self._comment else line)
        self.clock += 1

    def use(self, thing: Thing) -> str:
        """The name of `thing`, made now if it has none; its memory is needed at this line."""
        if isinstance(thing, View):
            self.touch(thing.storage)
        if thing.name is not None:
            return thing.name
        if isinstance(thing.home, Loop):
            assert thing.source is not None  # noqa: S101 - a loop's variable runs over a list
            self.use(thing.source)
            thing.name = self.fresh(thing.hint)
            thing.home.columns.append((thing.name, thing.source))
        elif thing.parents:
            text = thing.template
            for parent in thing.parents:  # the template names one parent, or each once
                text = text.replace("{}", self.use(parent), 1 if len(thing.parents) > 1 else -1)
            thing.name = self.fresh(thing.hint)
            thing.home.lines.append(f"{thing.name} = {text}")
        else:
            name = thing.name = self.fresh(thing.hint)
            assert isinstance(thing, View)  # noqa: S101 - a thing without a parent is a buffer
            storage, shape = thing.storage, written(thing.shape)
            if storage.pooled:
                self.static.lines.append(lambda: f"{name} = room({storage.offset}, {shape}, {storage.dtype.name})")
            else:
                thing.home.lines.append(f"{name} = empty({shape}, {storage.dtype.name})")
        return thing.name

    def touch(self, storage: Storage) -> None:
        """`storage` holds something that is needed at this line."""
        if storage.first < 0:
            storage.first = self.clock
        storage.last = max(storage.last, self.clock)
        if self.block is self.once:
            self._kept.add(storage)
        elif storage in self._kept:
            storage.last = FOREVER
        for loop in self.loops:
            if storage.first < loop.begin:
                loop.outer.add(storage)

    @property
    def hint(self) -> str:
        """What the running equation's results are called after."""
        return self._hint

    def note(self, text: str) -> None:
        """Stamp the lines that follow with `text`."""
        self._where, self._comment, self._hint = "", comment(text), ""

    # ---- loops ----

    def open_loop(self, count: int) -> Loop:
        """Start a loop; lines go into its body until `close_loop`."""
        self.clock += 1
        loop = Loop(count, self._comment, self.block, self.clock)
        self.loops.append(loop)
        self.block = loop.body
        return loop

    def close_loop(self, loop: Loop) -> None:
        """End a loop: what it reads from outside lives to its end."""
        self.loops.pop()
        self.clock += 1
        for storage in loop.outer:
            self.touch(storage)
        self.block = loop.around
        names = [name for name, _ in loop.columns]
        sources = [self.use(source) for _, source in loop.columns]
        if not names:
            loop.header = f"for _ in range({loop.count}):"
        elif len(names) == 1:
            loop.header = f"for {names[0]} in {sources[0]}:"
        else:
            turns = f"zip({', '.join(sources)})"
            if all(source.home is self.static for _, source in loop.columns):
                name = self.fresh("turns")
                self.static.lines.append(f"{name} = list({turns})")
                turns = name
            loop.header = f"for {', '.join(names)} in {turns}:"
        self.block.lines.append(loop)
        self.clock += 1

    # ---- memory ----

    def known(self, array: np.ndarray[Any, Any], hint: str) -> View:
        """The place of an array known now; equal small ones are kept once."""
        array = np.ascontiguousarray(array).reshape(array.shape)
        key = (array.shape, array.dtype.str, array.tobytes()) if array.size <= 64 else id(array)
        if key not in self._known:
            number = len(self.constants)
            self.constants.append(array)
            home = Thing(self.static, "constants", name="constants")
            storage = Storage(array.size, array.dtype)
            strides = views.row_major(array.shape)
            self._known[key] = View(
                storage, array.shape, strides, 0, self.static, hint, parents=(home,), template=f"{{}}[{number}]"
            )
        return self._known[key]

    def _constant_hint(self, array: np.ndarray[Any, Any]) -> str:
        if array.size != 1:
            return "table"
        number = array.reshape(())[()]
        text = f"{float(number):.6g}" if array.dtype.kind == "f" else str(number)
        return "c" + text.replace("-", "minus_").replace("+", "").replace(".", "_")

    def vector(self, number: float, count: int, dtype: np.dtype[Any]) -> View:
        """A vector of one number; sums are products with a vector of ones."""
        one = np.full(1, number, dtype)
        key = ("vector", count, one.tobytes(), dtype.str)
        if key not in self._known:
            self._known[key] = self.known(one.repeat(count), f"{self._constant_hint(one)}_{count}")
        return self._known[key]

    def buffer(self, shape: Ints, dtype: np.dtype[Any], hint: str = "") -> View:
        """A new buffer of the arena; inside a loop over chunks the last turn sees a shorter cut of it."""
        storage = Storage(views.size(shape), dtype, pooled=True, scope=self.scope)
        self.storages.append(storage)
        strides = views.row_major(shape)
        place = View(storage, shape, strides, 0, self.static, hint or self._hint)
        if self.chunk is None or shape != (self.chunk[2],):
            return place
        loop, total, length = self.chunk
        cut = Thing(self.static, f"{place.hint}_cut", parents=(place,), template=f"cut({{}}, {total}, {length})")
        return View(storage, shape, strides, 0, loop, place.hint, source=cut)

    def scratch(self) -> str:
        """The name of a dictionary in which a kernel keeps its temporary arrays between calls."""
        name = self.fresh("scratch")
        self.static.lines.append(f"{name} = scratches[{self.scratches}]")
        self.scratches += 1
        return name

"""Where a value lives at run time: storages, views of them, and the lines of source that make those views.

A `View` is a view of a `Storage`. Its shape is the *stored* shape: leading axes along which the value only repeats are
left out and inner ones have size 1, so that NumPy's broadcasting gives the value's full shape. `home` says when the view
is made: in a `Block` (the frame's static part, or a body of straight-line code), or by the header of a `Loop`, which hands
one item of a premade list to every iteration.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Ints = tuple[int, ...]


class Block:
    """Lines of source, nested loops among them; a line may be a function that is asked when the text is put together."""

    __slots__ = ("depth", "lines")

    def __init__(self, depth: int) -> None:
        self.depth = depth  # 0 for the static part, 1 for a function's body, one more for every loop
        self.lines: list[str | Callable[[], str] | Loop] = []

    def text(self, indent: str) -> list[str]:
        """The finished lines, indented."""
        result: list[str] = []
        for line in self.lines:
            if isinstance(line, Loop):
                result += line.text(indent)
            else:
                result.append(indent + (line if isinstance(line, str) else line()))
        return result


class Loop:
    """A `for` loop over premade lists: one variable a list.

    Attributes:
        around: the block the loop is in.
        columns: (variable, list) pairs of the header.
        begin: the clock at its start.
        outer: the storages from before the loop that an iteration touches: they are needed until its end.
    """

    def __init__(self, count: int, note: str, around: Block, begin: int) -> None:
        self.count = count
        self.note = note
        self.around = around
        self.body = Block(around.depth + 1)
        self.columns: list[tuple[str, Thing]] = []
        self.header = ""
        self.begin = begin
        self.outer: set[Storage] = set()

    def text(self, indent: str) -> list[str]:
        """The header and the body."""
        return [f"{indent}{self.header}  # {self.note}", *(self.body.text(indent + "    ") or [f"{indent}    pass"])]


class Storage:
    """One run of memory.

    Attributes:
        items: how many elements it holds.
        dtype: of its elements.
        pooled: whether it is a buffer whose place in the arena the planner chooses.
        first, last: the clock times between which a pooled one holds something that is still needed.
        scope: the stretch of code whose equations may overwrite it once its values are dead.
        values: the program's values that live in it.
        root: the whole of it as a vector, where views of parts are taken from that.
    """

    __slots__ = ("dtype", "first", "items", "last", "offset", "pooled", "root", "scope", "values")

    def __init__(self, items: int, dtype: np.dtype[Any], *, pooled: bool = False, scope: Any = None) -> None:
        self.items = items
        self.dtype = dtype
        self.pooled = pooled
        self.scope = scope
        self.first = -1
        self.last = -1
        self.offset = 0
        self.values: list[Any] = []
        self.root: View | None = None


class Thing:
    """Something the source has a name for, as soon as it is requested: `name = template(parents)` in its home.

    A thing with a `Loop` for a home is the loop's variable over the list `source`.
    """

    __slots__ = ("hint", "home", "name", "parents", "source", "template")

    def __init__(
        self,
        home: Block | Loop,
        hint: str,
        *,
        name: str | None = None,
        parents: tuple[Thing, ...] = (),
        template: str = "",
        source: Thing | None = None,
    ) -> None:
        self.home = home
        self.hint = hint
        self.name = name
        self.parents = parents
        self.template = template
        self.source = source


class View(Thing):
    """A view of a storage; `strides` and `offset` count elements."""

    __slots__ = ("derived", "offset", "shape", "storage", "strides")

    def __init__(
        self, storage: Storage, shape: Ints, strides: Ints, offset: int, home: Block | Loop, hint: str, **how: Any
    ) -> None:
        super().__init__(home, hint, **how)
        self.storage = storage
        self.shape = shape
        self.strides = strides
        self.offset = offset
        self.derived: dict[str, Thing] = {}

    @property
    def size(self) -> int:
        """How many elements the view shows."""
        return size(self.shape)

    @property
    def contiguous(self) -> bool:
        """Whether the elements stand in row-major order without gaps."""
        return self.strides == row_major(self.shape) or is_contiguous(self.shape, self.strides)


def derive_thing(thing: Thing, template: str, hint: str) -> Thing:
    """`template` applied to `thing`, made when that is made: item by item for a loop's variable."""
    if isinstance(thing.home, Loop):
        assert thing.source is not None  # noqa: S101 - a loop's variable runs over a list
        items = derive_thing(thing.source, "[" + template.replace("{}", "v") + " for v in {}]", hint + "_turns")
        return Thing(thing.home, hint, source=items)
    return Thing(thing.home, hint, parents=(thing,), template=template)


def combine(template: str, hint: str, *things: Thing) -> Thing:
    """`template` of several things, made where the last of them is."""
    homes = [t.home.body if isinstance(t.home, Loop) else t.home for t in things]
    return Thing(max(homes, key=lambda home: home.depth), hint, parents=things, template=template)


def derive(place: View, template: str, shape: Ints, strides: Ints, offset: int, hint: str = "") -> View:
    """The view that `template` makes of `place`; asked twice, it is made once."""
    found = place.derived.get(template)
    if isinstance(found, View):
        return found
    thing = derive_thing(place, template, hint or place.hint)
    made = View(
        place.storage,
        shape,
        strides,
        offset,
        thing.home,
        thing.hint,
        parents=thing.parents,
        template=thing.template,
        source=thing.source,
    )
    place.derived[template] = made
    return made


def size(shape: Ints) -> int:
    """The product of the dimensions."""
    result = 1
    for d in shape:
        result *= d
    return result


def row_major(shape: Ints) -> Ints:
    """The strides, in elements, of a row-major array."""
    strides = []
    step = 1
    for d in reversed(shape):
        strides.append(step)
        step *= d
    return tuple(reversed(strides))


def is_contiguous(shape: Ints, strides: Ints) -> bool:
    """Whether strides are row-major wherever they matter (a dimension of 1 may have any)."""
    step = 1
    for d, s in zip(reversed(shape), reversed(strides), strict=True):
        if d != 1 and s != step:
            return 0 in shape
        step *= d
    return True


def written(shape: Ints) -> str:
    """A shape as source text."""
    return "(" + ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "") + ")"


def _arguments(shape: Ints) -> str:
    return f"({', '.join(map(str, shape))})" if shape else "(())"


def reshape(place: View, shape: Ints) -> View | None:
    """The place under another shape without a copy, or None where only a copy has it."""
    if shape == place.shape:
        return place
    strides = reshaped_strides(place.shape, place.strides, shape)
    if strides is None:
        return None
    view = derive(place, f"{{}}.reshape{_arguments(shape)}", shape, strides, place.offset)
    view.derived.setdefault(f"{{}}.reshape{_arguments(place.shape)}", place)  # and back
    return view


def shaped(place: View, shape: Ints) -> View:
    """A contiguous place under another shape: the view that `reshape` always finds."""
    view = reshape(place, shape)
    assert view is not None  # noqa: S101 - row-major memory has every shape
    return view


def reshaped_strides(old: Ints, strides: Ints, new: Ints) -> Ints | None:
    """The strides of the same elements in the same order under the shape `new`, or None where there are none."""
    if 0 in old or is_contiguous(old, strides):
        return row_major(new)
    runs = [(d, s) for d, s in zip(old, strides, strict=True) if d != 1]
    result = [0] * len(new)
    i = j = 0
    while i < len(runs) and j < len(new):
        # the shortest stretches of old and new axes with equally many elements
        have, want, i_end, j_end = runs[i][0], new[j], i + 1, j + 1
        while have != want:
            if have < want:
                if i_end == len(runs):
                    return None
                have *= runs[i_end][0]
                i_end += 1
            else:
                if j_end == len(new):
                    return None
                want *= new[j_end]
                j_end += 1
        for k in range(i, i_end - 1):
            if runs[k][1] != runs[k + 1][1] * runs[k + 1][0]:
                return None
        step = runs[i_end - 1][1]
        for k in range(j_end - 1, j - 1, -1):
            result[k] = step
            step *= new[k]
        i, j = i_end, j_end
    for k in range(j, len(new)):  # trailing dimensions of 1
        result[k] = 1
    return tuple(result)


def transpose(place: View, permutation: Ints) -> View:
    """Axis i of the result is axis permutation[i]."""
    if permutation == tuple(range(len(permutation))):
        return place
    shape = tuple(place.shape[a] for a in permutation)
    strides = tuple(place.strides[a] for a in permutation)
    whole_reverse = permutation == tuple(reversed(range(len(permutation))))
    template = "{}.T" if whole_reverse else f"{{}}.transpose{_arguments(permutation)}"
    return derive(place, template, shape, strides, place.offset)


def sliced(place: View, start: Ints, stop: Ints, steps: Ints) -> View:
    """Entries start, start + step, ... below stop of every axis."""
    parts, shape, offset = [], [], place.offset
    for a, b, s, d, stride in zip(start, stop, steps, place.shape, place.strides, strict=True):
        parts.append(":" if (a, b, s) == (0, d, 1) else f"{a}:{b}" + (f":{s}" if s != 1 else ""))
        shape.append(max(0, -(-(b - a) // s)))
        offset += a * stride
    while parts and parts[-1] == ":":
        parts.pop()
    if not parts:
        return place
    strides = tuple(stride * s for stride, s in zip(place.strides, steps, strict=True))
    return derive(place, "{}[" + ", ".join(parts) + "]", tuple(shape), strides, offset)


def reverse(place: View, axes: Ints) -> View:
    """The order along `axes` turned round."""
    axes = tuple(a for a in axes if place.shape[a] > 1)
    if not axes:
        return place
    parts = ["::-1" if i in axes else ":" for i in range(max(axes) + 1)]
    strides = tuple(-s if i in axes else s for i, s in enumerate(place.strides))
    offset = place.offset + sum((place.shape[a] - 1) * place.strides[a] for a in axes)
    return derive(place, "{}[" + ", ".join(parts) + "]", place.shape, strides, offset)


def entry(place: View, t: int) -> View:
    """Slice `t` of the leading axis."""
    template = f"{{}}[{t}, ...]" if len(place.shape) == 1 else f"{{}}[{t}]"
    return derive(place, template, place.shape[1:], place.strides[1:], place.offset + t * place.strides[0])


def bits(place: View, integer: str) -> View:
    """The same memory seen as integers of the same width."""
    return derive(place, "{}.view(" + integer + ")", place.shape, place.strides, place.offset)

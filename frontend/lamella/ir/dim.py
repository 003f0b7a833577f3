"""Dimensions that are not numbers yet: integer expressions over the sizes that a model leaves free.

A dimension is an `int` or a `Dim`. A `Dim` is a polynomial over symbols (`batch`, `time`) and over quotients, remainders,
maxima and minima that cannot be worked out. Equal polynomials are equal dimensions; whether two others meet is left to the
program of known sizes. A symbol stands for a size of at least 1, as in `jax.export`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, NoReturn, cast

import numpy as np

from lamella.errors import TraceError
from lamella.stacks import ThreadStack


class FreeDimensionError(TraceError):
    """A dimension that a model leaves free was used where only a number can stand."""


class Atom(NamedTuple):
    """A factor of a term: a symbol, or an operation that could not be worked out.

    Attributes:
        name: the symbol's name, or "//", "%", "max", "min".
        operands: what the operation applies to; none for a symbol.
    """

    name: str
    operands: tuple[Dimension, ...] = ()

    def __str__(self) -> str:
        if not self.operands:
            return self.name
        if self.name in ("max", "min"):
            return f"{self.name}({', '.join(map(str, self.operands))})"
        return f"({f' {self.name} '.join(map(_within, self.operands))})"


Monomial = tuple[Atom, ...]


class Dim:
    """An integer expression over free dimensions, with `+ - * // %`.

    It is not a number: `int(dim)`, `range(dim)` and a comparison that depends on the size raise a `FreeDimensionError`. `==`
    and `hash` compare expressions. `str(dim)` is a Python expression over the symbols.
    """

    __slots__ = ("_terms",)

    def __init__(self, terms: Mapping[Monomial, int]) -> None:
        """The sum of monomials with their coefficients; use `symbol` and arithmetic instead."""
        self._terms = dict(sorted(terms.items(), key=_order))

    # ---- arithmetic ----

    def __add__(self, other: Any) -> Any:
        if not _is_dimension(other):
            return NotImplemented
        sums = dict(self._terms)
        for monomial, factor in _terms(other).items():
            sums[monomial] = sums.get(monomial, 0) + factor
        return _made(sums)

    __radd__ = __add__

    def __mul__(self, other: Any) -> Any:
        if not _is_dimension(other):
            return NotImplemented
        sums: dict[Monomial, int] = {}
        for left, factor in self._terms.items():
            for right, other_factor in _terms(other).items():
                monomial = tuple(sorted((*left, *right), key=str))
                sums[monomial] = sums.get(monomial, 0) + factor * other_factor
        return _made(sums)

    __rmul__ = __mul__

    def __neg__(self) -> Any:
        return self * -1

    def __sub__(self, other: Any) -> Any:
        return self + -other if _is_dimension(other) else NotImplemented

    def __rsub__(self, other: Any) -> Any:
        return -self + other

    def __floordiv__(self, other: Any) -> Any:
        return _quotient(self, other) if _is_dimension(other) else NotImplemented

    def __rfloordiv__(self, other: Any) -> Any:
        return _quotient(other, self) if _is_dimension(other) else NotImplemented

    def __mod__(self, other: Any) -> Any:
        return _remainder(self, other) if _is_dimension(other) else NotImplemented

    def __rmod__(self, other: Any) -> Any:
        return _remainder(other, self) if _is_dimension(other) else NotImplemented

    # ---- comparing ----

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dim) and self._terms == other._terms

    def __hash__(self) -> int:
        return hash(tuple(self._terms.items()))

    def __lt__(self, other: Any) -> bool:
        return self._decided(exceeds(other, self), exceeds(self, other - 1), "<", other)

    def __gt__(self, other: Any) -> bool:
        return self._decided(exceeds(self, other), exceeds(other, self - 1), ">", other)

    def __le__(self, other: Any) -> bool:
        return not self > other

    def __ge__(self, other: Any) -> bool:
        return not self < other

    def _decided(self, yes: bool, no: bool, sign: str, other: Any) -> bool:
        if not yes and not no:
            self._refuse(f"whether {self} {sign} {other} cannot be told")
        return yes

    def __bool__(self) -> bool:
        return (
            self != 0 if exceeds(self, 0) or exceeds(0, self) else self._refuse(f"whether {self} is 0 cannot be told")
        )

    # ---- not a number ----

    def __int__(self) -> int:
        return self._refuse("it has no number")

    __index__ = __int__
    __trunc__ = __int__

    def __array__(self, *_: Any, **__: Any) -> NoReturn:
        self._refuse("it has no number")

    def __float__(self) -> float:
        return float(self._refuse("it has no number"))

    def __truediv__(self, other: Any) -> Any:
        return self._refuse("it has no number; `//` divides sizes") if _is_number(other) else NotImplemented

    def __rtruediv__(self, other: Any) -> Any:
        return self._refuse("it has no number; `//` divides sizes") if _is_number(other) else NotImplemented

    def _refuse(self, why: str) -> NoReturn:
        raise FreeDimensionError(
            f"the dimension {self} is left free (None), and {why} before there are data. Compute with the dimension itself "
            "(`ops.reshape(x, (-1, n))`, `ops.arange(x.shape[1])`, `x / x.shape[1]`), or declare its size."
        )

    # ---- looking inside ----

    @property
    def symbols(self) -> frozenset[str]:
        """The names of the free dimensions that it depends on."""
        found: set[str] = set()
        for monomial in self._terms:
            for atom in monomial:
                found |= symbols_of(atom.operands) if atom.operands else {atom.name}
        return frozenset(found)

    def is_multiple_of(self, name: str) -> bool:
        """Whether it is the free dimension `name` times a number that does not depend on it."""
        inside = [[a for a in monomial if name in symbols_of([Dim({(a,): 1})])] for monomial in self._terms]
        return all(found == [Atom(name)] for found in inside)

    def at(
        self,
        sizes: Mapping[str, Any],
        largest: Callable[..., Any] | None = None,
        least: Callable[..., Any] | None = None,
    ) -> Any:
        """Its value for the sizes of symbols; a symbol without a size stays.

        Args:
            sizes: for each symbol a number, or anything with the arithmetic of one.
            largest: the larger of two sizes, for sizes that are not dimensions.
            least: the smaller of two sizes.
        """
        functions: dict[str, Callable[..., Any]] = {
            "//": _quotient_at,
            "%": operator.mod,
            "max": largest or maximum,
            "min": least or minimum,
        }
        total: Any = None
        for monomial, factor in self._terms.items():
            value: Any = None if factor == 1 and monomial else factor
            for atom in monomial:
                operands = [at(d, sizes, largest, least) for d in atom.operands]
                number = functions[atom.name](*operands) if operands else sizes.get(atom.name, symbol(atom.name))
                value = number if value is None else value * number
            total = value if total is None else total + value
        return total

    def __reduce__(self) -> tuple[Any, ...]:
        return (Dim, (self._terms,))

    def __str__(self) -> str:
        text = ""
        for monomial, factor in self._terms.items():
            scaled = [str(abs(factor))] if abs(factor) != 1 or not monomial else []
            sign = ("-" if factor < 0 else "") if not text else " - " if factor < 0 else " + "
            text += sign + " * ".join([*scaled, *map(str, monomial)])
        return text.removeprefix("(").removesuffix(")") if _is_one_quotient(self) else text

    def __repr__(self) -> str:
        return str(self)


Dimension = int | Dim
"""The size of a dimension: a number, or an expression over the dimensions left free."""


BATCH = "batch"
"""The free dimension that counts the examples of a batch."""


def as_number(dim: Any) -> Any:
    """A dimension as a factor: a float, or the `Dim`, which stands for its size in a program."""
    return dim if isinstance(dim, Dim) else float(dim)


def symbol(name: str) -> Dim:
    """The free dimension called `name`."""
    return Dim({(Atom(name),): 1})


def symbols_of(dims: Iterable[Any]) -> frozenset[str]:
    """The names of the free dimensions that `dims` depend on."""
    return frozenset[str]().union(*[d.symbols for d in dims if isinstance(d, Dim)])


def named_shape(shape: Iterable[int | None]) -> tuple[Dimension, ...]:
    """A batch's shape as users write it, with a symbol for each None: `(None, None, 8)` is `(batch, time, 8)`."""
    dims = tuple(shape)
    spatial = [*_SPATIAL.get(len(dims), ())]
    if len(dims) > 3 and dims[-1] is None and dims[1] is not None:  # channels first
        spatial = [spatial[-1], *spatial[:-1]] if spatial else spatial
    names = [BATCH, *(spatial or [f"axis_{i}" for i in range(1, len(dims))])]
    return tuple(symbol(name) if d is None else int(d) for d, name in zip(dims, names, strict=False))


_SPATIAL = {
    2: ("time",),
    3: ("time", "features"),
    4: ("height", "width", "channels"),
    5: ("depth", "height", "width", "channels"),
}
"""Names of the dimensions behind the batch, by rank."""


def sizes_from(shapes: Iterable[tuple[Iterable[Any], Iterable[Any]]]) -> dict[str, Any]:
    """The size of each free dimension, from (declared shape, actual shape) pairs."""
    pairs = [pair for declared, actual in shapes for pair in zip(declared, actual, strict=True)]
    return {str(d): size for d, size in pairs if isinstance(d, Dim) and symbol(str(d)) == d}


def at(
    dim: Any,
    sizes: Mapping[str, Any],
    largest: Callable[..., Any] | None = None,
    least: Callable[..., Any] | None = None,
) -> Any:
    """`dim` for the sizes of free dimensions; anything that is no `Dim` is itself."""
    return dim.at(sizes, largest, least) if isinstance(dim, Dim) else dim


def public_shape(shape: Iterable[Dimension | np.integer[Any] | None]) -> tuple[int | None, ...]:
    """`shape` as a user writes it: None for what is left free."""
    return tuple(int(d) if isinstance(d, int | np.integer) else None for d in shape)


def differ(a: Any, b: Any) -> bool:
    """Whether two dimensions are different for all sizes of what is left free."""
    if not isinstance(a, Dim) and not isinstance(b, Dim):
        return bool(a != b)
    if a == b:
        return False
    if exceeds(a, b) or exceeds(b, a) or bool(symbols_of((a, b)) & frozenset(_SETTLED.items)):
        return True
    for assumed in _ASSUMED.items[-1:]:
        assumed.append((a, b))
    return False


_SETTLED: ThreadStack[str] = ThreadStack()
_ASSUMED: ThreadStack[list[tuple[Any, Any]]] = ThreadStack()


@contextmanager
def assumptions() -> Generator[list[tuple[Any, Any]]]:
    """A list of the pairs of dimensions, different expressions, that are taken to be equal inside."""
    pairs: list[tuple[Any, Any]] = []
    with _ASSUMED.pushed(pairs):
        yield pairs


@contextmanager
def settled(name: str) -> Generator[None]:
    """Inside, a dimension that depends on the symbol `name` differs from every other that is not the same expression."""
    with _SETTLED.pushed(name):
        yield


def shapes_differ(a: Iterable[Any], b: Iterable[Any]) -> bool:
    """Whether two shapes have different ranks, or dimensions that `differ`."""
    a, b = tuple(a), tuple(b)
    return a != b and (len(a) != len(b) or any(map(differ, a, b)))


def exceeds(a: Any, b: Any) -> bool:
    """Whether `a` is larger than `b` for all sizes of what is left free."""
    low = _bounds(a - b)[0]
    return low is not None and low > 0


def maximum(a: Any, b: Any) -> Any:
    """The larger of two dimensions."""
    return a if _at_least(a, b) else b if _at_least(b, a) else _operation("max", a, b)


def minimum(a: Any, b: Any) -> Any:
    """The smaller of two dimensions."""
    return a if _at_least(b, a) else b if _at_least(a, b) else _operation("min", a, b)


def ceil_div(a: Any, b: Any) -> Any:
    """The quotient of two dimensions, rounded up; `b` may be a negative number."""
    return (a + b - 1) // b if isinstance(b, Dim) or b > 0 else (-a - b - 1) // -b


# ---- the normal form -------------------------------------------------------------------------------------------------


def _at_least(a: Any, b: Any) -> bool:
    return exceeds(a + 1, b)


def _is_number(x: Any) -> bool:
    return isinstance(x, float | Dim) or _is_dimension(x)


def _is_dimension(x: Any) -> bool:
    return isinstance(x, int | np.integer | Dim)


def _order(term: tuple[Monomial, int]) -> tuple[int, str]:
    """Products first, numbers last."""
    return -len(term[0]), " * ".join(map(str, term[0]))


def _terms(x: Dimension) -> dict[Monomial, int]:
    return x._terms if isinstance(x, Dim) else {(): int(x)}  # pyright: ignore[reportPrivateUsage]


def _made(terms: Mapping[Monomial, int]) -> Dimension:
    kept = {monomial: factor for monomial, factor in terms.items() if factor}
    return Dim(kept) if any(kept) else kept.get((), 0)


def _operation(name: str, *operands: Dimension) -> Dim:
    return Dim({(Atom(name, operands),): 1})


def _quotient_at(a: Any, b: Any) -> Any:
    """a // b, of sizes that are not dimensions (those of `jax.export`) written as the length that a window gives."""
    return a // b if isinstance(a, int | Dim) else (a - b) // b + 1


def _is_one_quotient(dim: Dim) -> bool:
    (monomial, factor), *more = _terms(dim).items()
    return not more and factor == 1 and len(monomial) == 1 and monomial[0].name in ("//", "%")


def _within(operand: Dimension) -> str:
    """An operand as it is in a quotient."""
    text = str(operand)
    return f"({text})" if isinstance(operand, Dim) and (" " in text or "-" in text) else text


def _quotient(a: Dimension, b: Dimension) -> Dimension:
    exact = _divided(a, b)
    if exact is not None:
        return exact
    if isinstance(b, Dim):
        return _operation("//", a, b)
    whole = {monomial: factor - factor % b for monomial, factor in _terms(a).items()}
    rest = _made({monomial: factor % b for monomial, factor in _terms(a).items()})
    quotient = _made({monomial: factor // b for monomial, factor in whole.items()})
    return quotient + (_operation("//", rest, b) if isinstance(rest, Dim) else rest // b)


def _remainder(a: Dimension, b: Dimension) -> Dimension:
    if _divided(a, b) is not None:
        return 0
    if isinstance(b, Dim):
        return _operation("%", a, b)
    rest = _made({monomial: factor % b for monomial, factor in _terms(a).items()})
    return _operation("%", rest, b) if isinstance(rest, Dim) else rest % b


def _divided(a: Dimension, b: Dimension) -> Dimension | None:
    """`a / b` where `b` divides `a` as a polynomial, by long division; else None."""
    if not b:
        raise ZeroDivisionError("a dimension divided by 0")
    rest, quotient = a, cast("Dimension", 0)
    lead, lead_factor = next(iter(_terms(b).items()))
    while rest != 0:
        monomial, factor = next(iter(_terms(rest).items()))
        left = list(monomial)
        for atom in lead:
            if atom not in left:
                return None
            left.remove(atom)
        if factor % lead_factor:
            return None
        part = _made({tuple(left): factor // lead_factor})
        before, quotient, rest = rest, quotient + part, rest - part * b
        if next(iter(_terms(rest)), None) == next(iter(_terms(before))) and rest != 0:
            return None
    return quotient


def _bounds(x: Any) -> tuple[int | None, int | None]:
    """The least and the greatest value, None where there is no bound."""
    if not isinstance(x, Dim):
        return int(x), int(x)
    low: int | None = 0
    high: int | None = 0
    for monomial, factor in _terms(x).items():
        least, most = _bounds_of_product(monomial)
        least, most = (_times(least, factor), _times(most, factor))[:: 1 if factor > 0 else -1]
        low = None if low is None or least is None else low + least
        high = None if high is None or most is None else high + most
    return low, high


def _times(bound: int | None, factor: int) -> int | None:
    return None if bound is None else bound * factor


def _bounds_of_product(monomial: Monomial) -> tuple[int | None, int | None]:
    low: int | None = 1
    high: int | None = 1
    for atom in monomial:
        least, most = _bounds_of_atom(atom)
        if least is None or least < 0:
            return None, None
        low = None if low is None else low * least
        high = None if high is None or most is None else high * most
    return low, high


def _bounds_of_atom(atom: Atom) -> tuple[int | None, int | None]:
    if not atom.operands:
        return 1, None
    (a, b), (c, d) = map(_bounds, atom.operands)
    if atom.name == "max":
        return max((x for x in (a, c) if x is not None), default=None), None if b is None or d is None else max(b, d)
    if atom.name == "min":
        return None if a is None or c is None else min(a, c), min((x for x in (b, d) if x is not None), default=None)
    if c is None or c <= 0:
        return None, None
    if atom.name == "%":
        return 0, None if d is None else d - 1
    least = None if a is None else a // c if a < 0 else 0 if d is None else a // d
    return least, None if b is None else b // c if b >= 0 else b // d if d is not None else -1

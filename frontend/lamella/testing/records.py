"""The rows of the tables: an op with operands, and exact values at non-differentiable points."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella.ir import trace
from lamella.ir.program import Op, Program
from lamella.ir.spec import Spec, is_float, numpy_dtype

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike

FLOAT = "float"
"""Stands for the float dtype under test: a row is tried in several."""

TOLERANCE: Mapping[str, float] = {"float64": 1e-12, "float32": 1e-5, "float16": 4e-3, "bfloat16": 2e-2}
"""How far max|a - b| may be above 0, as a part of max|b|, where a row says nothing else. Integers and bool agree exactly."""

Domain = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
"""Draws an operand's numbers: `(generator, shape) -> array`."""


def normal(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Any number: standard normal."""
    return generator.standard_normal(shape)


def uniform(low: float, high: float) -> Domain:
    """Numbers between two bounds."""
    return lambda generator, shape: generator.uniform(low, high, shape)


positive = uniform(0.4, 2.0)
"""Numbers well above 0."""


def away(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers of either sign, at least 0.2 from 0."""
    return generator.uniform(0.2, 2.0, shape) * generator.choice([-1.0, 1.0], shape)


def fractional(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers at least 0.1 from every integer and every half."""
    return (
        generator.integers(-3, 3, shape) + generator.choice([0.25, 0.75], shape) + generator.uniform(-0.1, 0.1, shape)
    )


def distinct(offset: float = 0.0) -> Domain:
    """Numbers no two of which are nearer than 0.1; those of another `offset` (0 to 1) are never equal to them."""

    def draw(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        size = int(np.prod(shape, dtype=int))
        return (generator.permutation(size) - size // 2 + offset).reshape(shape) * 0.1

    return draw


def integers(low: int, high: int) -> Domain:
    """Whole numbers from `low` to below `high`."""
    return lambda generator, shape: generator.integers(low, high, shape)


def given(values: ArrayLike) -> Domain:
    """These numbers and no others."""
    return lambda generator, shape: np.asarray(values)


@dataclass(frozen=True)
class Operand:
    """An operand of a row: its shape, where its numbers are drawn from, and its dtype."""

    shape: tuple[int, ...]
    domain: Domain = normal
    dtype: str = FLOAT

    def spec(self, dtype: str) -> Spec:
        """The spec when floats are `dtype`."""
        return Spec(self.shape, dtype if self.dtype == FLOAT else self.dtype)

    def draw(self, generator: np.random.Generator, dtype: str) -> np.ndarray:
        """Numbers of the spec."""
        array = np.asarray(self.domain(generator, self.shape)).astype(numpy_dtype(self.spec(dtype).dtype))
        return array.reshape(self.shape)


def floats(*shape: int, domain: Domain = normal) -> Operand:
    """An operand of the float dtype under test."""
    return Operand(shape, domain)


def ints(*shape: int, low: int = -5, high: int = 6, dtype: str = "int32") -> Operand:
    """An operand of integers from `low` to below `high`."""
    return Operand(shape, integers(low, high), dtype)


def bools(*shape: int) -> Operand:
    """An operand of booleans."""
    return Operand(shape, integers(0, 2), "bool")


@dataclass(frozen=True, eq=False)
class Sample:
    """One row: `op` tried on operands.

    Attributes:
        op: the op under test.
        operands: what it is applied to.
        attributes: its attributes; a function of the float dtype where they depend on it.
        reason: what this row tests that its neighbors do not.
        build: how the op is applied, for ops that hold a program; else `op.bind(*operands, **attributes)`.
        arrange: changes the drawn arrays so that they fit each other.
        wrt: the operands whose derivative is compared with differences; None for every float one.
        dtypes: the float dtypes it is tried in; the first alone where no operand and no result is of the dtype under test.
        tolerance: dtype to tolerance where `TOLERANCE` is too strict.
        smooth: False where differences say nothing, because the op hides its derivative: then the gradient must be zero.
    """

    op: Op
    operands: tuple[Operand, ...] = ()
    attributes: Mapping[str, Any] | Callable[[str], Mapping[str, Any]] = field(default_factory=dict)
    reason: str = ""
    build: Callable[..., Any] | None = None
    arrange: Callable[[list[np.ndarray]], Sequence[np.ndarray]] | None = None
    wrt: tuple[int, ...] | None = None
    dtypes: tuple[str, ...] = ("float32", "float64")
    tolerance: Mapping[str, float] = field(default_factory=dict)
    smooth: bool = True

    @property
    def label(self) -> str:
        """A name for reports."""
        shapes = " ".join(str(list(o.shape)).replace(" ", "") for o in self.operands)
        return f"{self.op.name}({shapes})" + (f" {self.reason}" if self.reason else "")

    def program(self, dtype: str) -> Program:
        """The op as a program whose inputs are the operands."""
        attributes = self.attributes(dtype) if callable(self.attributes) else self.attributes

        def apply(*values: Any) -> Any:
            return self.op.bind(*values, **attributes) if self.build is None else self.build(*values)

        return trace.trace(apply, *[o.spec(dtype) for o in self.operands], where=f"sample/{self.op.name}")

    def arguments(self, dtype: str) -> list[np.ndarray]:
        """Numbers for the inputs, the same at every call."""
        generator = np.random.default_rng(zlib.crc32(self.label.encode()))
        arrays = [o.draw(generator, dtype) for o in self.operands]
        if self.arrange is not None:
            arrays = [np.asarray(a, b.dtype) for a, b in zip(self.arrange(arrays), arrays, strict=True)]
        return arrays

    def close_within(self, dtype: str) -> float:
        """The tolerance for results of `dtype`."""
        return self.tolerance.get(dtype, TOLERANCE[dtype]) if is_float(dtype) else 0.0

    @property
    def active(self) -> tuple[int, ...]:
        """The numbers of the operands that a gradient may be asked of."""
        every = tuple(i for i, o in enumerate(self.operands) if o.dtype == FLOAT)
        return every if self.wrt is None else self.wrt


@dataclass(frozen=True, eq=False)
class Kink:
    """An exact row: an op at given numbers, where random ones never come.

    Attributes:
        op: the op.
        operands: the numbers, one entry an operand; floats are tried in float32 and float64.
        value: what comes out.
        gradients: one entry an operand for the cotangent 1 everywhere; None where nothing flows, or nothing is said.
        attributes: the op's attributes.
        reason: what is decided here.
        tolerance: 0 for exact.
    """

    op: Op
    operands: tuple[Any, ...]
    value: Any
    gradients: tuple[Any, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    tolerance: float = 0.0

    @property
    def label(self) -> str:
        """A name for reports."""
        return f"{self.op.name} at {', '.join(str(np.asarray(x).tolist()) for x in self.operands)}"

    def arguments(self, dtype: str) -> list[np.ndarray]:
        """The operands; a list of Python floats is of the float dtype under test, an array keeps its own."""
        arrays = [np.asarray(x) for x in self.operands]
        return [a.astype(numpy_dtype(dtype)) if a.dtype == np.float64 else a for a in arrays]

    def program(self, dtype: str) -> Program:
        """The op as a program."""
        specs = [Spec(a.shape, a.dtype.name) for a in self.arguments(dtype)]
        return trace.trace(lambda *v: self.op.bind(*v, **self.attributes), *specs, where=f"kink/{self.op.name}")

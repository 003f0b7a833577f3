"""The NumPy backend: arrays are NumPy's, programs are compiled to Python functions over them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lamella.backend_api import Backend, Runner, StepProgram
from lamella.compiling import timed
from lamella.ir.program import Equation, Op, Program
from lamella.ir.spec import numpy_dtype
from lamella.passes import expand, pool_first, simplify
from lamella_numpy import kernels
from lamella_numpy.compiler import Compiled, is_written
from lamella_numpy.elementwise import bfloat16
from lamella_numpy.plain import Plain
from lamella_numpy.products import sums_of_products
from lamella_numpy.runner import NumpyRunner


class NumpyBackend(Backend):
    """The backend named "numpy". It needs NumPy only."""

    name = "numpy"
    kernels = kernels.KERNELS

    def prepare(self, program: Program) -> Program:
        """The program that will be compiled: simplified, and with a rule of the compiler for every op."""
        written = simplify(expand(pool_first(simplify(program)), lambda op: is_written(op, self.kernels), self.name))
        return sums_of_products(written)

    def compile(self, program: Program) -> Compiled:
        """`program` as a function over NumPy arrays; `.source` is its text."""
        with timed("NumPy"):
            return Compiled(self.prepare(program))

    def function(self, program: Program, optimize: bool = True) -> Compiled | Plain:
        """`program` as a function over NumPy arrays; `.source` is its text.

        Args:
            program: what to compute.
            optimize: plan buffers and fold views into their readers; False gives one line for every equation of the
                program as it is written, for reading.
        """
        return self.compile(program) if optimize else Plain(program)

    def runner(self, step: StepProgram) -> Runner:
        """Who runs chunks of steps: state in double-buffered vectors, batches gathered into fixed arrays."""
        with timed("NumPy"):
            return NumpyRunner(self, step)

    def apply(self, equation: Equation, operands: Sequence[Any]) -> Sequence[Any]:
        """The outputs of one equation on arrays."""
        return kernels.apply(equation, operands)

    def evaluate(self, op: Op, arrays: Sequence[Any], attrs: dict[str, Any]) -> Sequence[Any]:
        """The outputs of `op` on arrays at once, as arrays of their own (never NumPy's scalars or views of operands)."""
        with np.errstate(all="ignore"):
            results = super().evaluate(op, arrays, attrs)
        return tuple(np.array(y) if y.base is not None else np.asarray(y) for y in results)

    def asarray(self, array: Any, dtype: str | None = None) -> Any:
        """A NumPy array with the numbers of `array`; those of bfloat16 are rounded to it and stored in float32."""
        result = np.asarray(array, None if dtype is None else numpy_dtype(dtype))
        return bfloat16(result) if dtype == "bfloat16" else result


BACKEND = NumpyBackend()

"""The kernel table: for every op NumPy computes itself, `kernel(*arrays, **attributes) -> array(s)`.

The plain kernels here are the backend's meaning: eager ops and `optimize=False` call them one by one. The compiler has
faster ways of saying the same for most of them (`lowering`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lamella.ir.program import Equation, Op
from lamella.ir.spec import numpy_dtype
from lamella.ir.trace import constant
from lamella.ops import primitives as p
from lamella_numpy import control, elementwise, indexing, random_bits, shaping, window

UFUNCS: dict[Op, np.ufunc] = {
    p.add: np.add,
    p.subtract: np.subtract,
    p.multiply: np.multiply,
    p.divide: np.divide,
    p.remainder: np.remainder,
    p.power: np.power,
    p.maximum: np.maximum,
    p.minimum: np.minimum,
    p.negative: np.negative,
    p.exp: np.exp,
    p.expm1: np.expm1,
    p.log: np.log,
    p.log1p: np.log1p,
    p.sqrt: np.sqrt,
    p.tanh: np.tanh,
    p.sin: np.sin,
    p.tan: np.tan,
    p.sinh: np.sinh,
    p.cosh: np.cosh,
    p.arcsin: np.arcsin,
    p.arccos: np.arccos,
    p.arctan: np.arctan,
    p.arctan2: np.arctan2,
    p.arcsinh: np.arcsinh,
    p.arccosh: np.arccosh,
    p.arctanh: np.arctanh,
    p.cos: np.cos,
    p.abs: np.absolute,
    p.sign: np.sign,
    p.floor: np.floor,
    p.round: np.rint,
    p.equal: np.equal,
    p.less: np.less,
    p.less_equal: np.less_equal,
    p.bitwise_and: np.bitwise_and,
    p.bitwise_or: np.bitwise_or,
    p.bitwise_xor: np.bitwise_xor,
    p.bitwise_not: np.invert,
    p.left_shift: np.left_shift,
    p.right_shift: np.right_shift,
}
"""Ops that are one NumPy ufunc, which keeps the dtype of equal operands."""


def apply(equation: Equation, operands: Sequence[Any]) -> Sequence[Any]:
    """The outputs of one equation on arrays; a bfloat16 output is rounded after the kernel."""
    if equation.op is constant:
        results: Any = (constant_array(equation),)
    else:
        compute = KERNELS.get(equation.op, equation.op.definition)
        assert compute is not None  # noqa: S101 - a mandatory op has a kernel, the others a definition
        results = compute(*operands, **equation.attrs)
        results = results if isinstance(results, tuple) else (results,)
    if any(v.spec.dtype == "bfloat16" for v in equation.outputs):
        pairs = zip(results, equation.outputs, strict=True)
        results = tuple(elementwise.bfloat16(y) if v.spec.dtype == "bfloat16" else y for y, v in pairs)
    return results


def constant_array(equation: Equation) -> np.ndarray[Any, Any]:
    """The value of a `constant` equation in the dtype it is stored in."""
    dtype = equation.attrs["dtype"]
    array = np.asarray(equation.attrs["value"], numpy_dtype(dtype))
    return elementwise.bfloat16(array) if dtype == "bfloat16" else array


KERNELS: dict[Op, Callable[..., Any]] = {
    **UFUNCS,
    p.convert: elementwise.convert,
    p.select: elementwise.select,
    p.relu: elementwise.relu,
    p.relu_gradient: elementwise.relu_gradient,
    p.sigmoid: elementwise.sigmoid,
    p.softplus: elementwise.softplus,
    p.softmax: elementwise.softmax,
    p.log_softmax: elementwise.log_softmax,
    p.reduce_sum: elementwise.reduce_sum,
    p.reduce_max: elementwise.reduce_max,
    p.reduce_min: elementwise.reduce_min,
    p.argmax: elementwise.argmax,
    p.reshape: shaping.reshape,
    p.transpose: shaping.transpose,
    p.broadcast: shaping.broadcast,
    p.slice: shaping.slice_,
    p.pad: shaping.pad,
    p.concatenate: shaping.concatenate,
    p.split: shaping.split,
    p.reverse: shaping.reverse,
    p.iota: shaping.iota,
    p.take: shaping.take,
    p.scatter_add: indexing.scatter_add,
    p.scatter_max: indexing.scatter_max,
    p.argsort: indexing.argsort,
    p.cumsum: indexing.cumsum,
    p.contract: shaping.contract,
    p.convolve: window.convolve,
    p.convolve_input_gradient: window.convolve_input_gradient,
    p.convolve_kernel_gradient: window.convolve_kernel_gradient,
    p.max_pool: window.max_pool,
    p.max_pool_gradient: window.max_pool_gradient,
    p.average_pool: window.average_pool,
    p.average_pool_gradient: window.average_pool_gradient,
    p.random_bits: random_bits.random_bits,
    p.fold_in: random_bits.fold_in,
    p.scan: control.make_scan(apply),
    p.foreach: control.make_foreach(apply),
    p.switch: control.make_switch(apply),
}

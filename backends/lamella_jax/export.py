"""Programs as StableHLO: one artifact for several platforms and any number of rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from lamella.errors import BackendError
from lamella.ir import interpret
from lamella.ir.program import Equation, Program
from lamella.ir.spec import Spec
from lamella_jax import lowerings
from lamella_jax.kernels import KERNELS

PLATFORMS = ("cpu", "cuda", "tpu")


def serialized(
    program: Program, weights: Sequence[np.ndarray], batch: Spec, rows: int | None, at: Callable[[Any, Any], Any]
) -> bytes:
    """The bytes of an artifact for CPU, CUDA and TPU: `jax.export.deserialize(data).call(x)` computes the program.

    Args:
        program: its inputs are the weights, then the batch; attributes may follow the number of rows.
        weights: the values of the weights; they become constants of the artifact.
        batch: the spec of the batch.
        rows: the number of rows, or None for any.
        at: `(attribute, rows)` gives the attribute for a number of rows, which may be symbolic.

    Raises:
        BackendError: what `jax.export` writes needs the package flatbuffers, which is not installed.
    """
    from jax import export

    def predict(x: Any) -> Any:
        count = x.shape[0]

        def apply(equation: Equation, operands: Sequence[Any]) -> Sequence[Any]:
            attrs = {key: at(value, count) for key, value in equation.attrs.items()}
            return lowerings.apply(
                KERNELS, Equation(equation.op, equation.inputs, attrs, equation.outputs, equation.where), operands
            )

        dtypes = [np.dtype(v.spec.dtype) for v in program.inputs[: len(weights)]]
        values = [np.asarray(w, dtype) for w, dtype in zip(weights, dtypes, strict=True)]
        return jax.numpy.asarray(interpret.run(program, [*map(jax.numpy.asarray, values), x], apply)[0])

    with jax.enable_x64(lowerings.holds_64_bits(program) or batch.dtype.endswith("64")):
        first = export.symbolic_shape("rows")[0] if rows is None else rows
        x = jax.ShapeDtypeStruct((first, *map(int, batch.shape[1:])), np.dtype(batch.dtype))
        exported = export.export(jax.jit(predict), platforms=PLATFORMS)(x)
        try:
            return bytes(exported.serialize())
        except ImportError as error:
            raise BackendError(
                f"jax.export needs the package {error.name or 'flatbuffers'}: pip install 'lamella[stablehlo]'."
            ) from None

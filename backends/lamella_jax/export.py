"""Programs with free dimensions: instantiated with JAX's symbolic ones, and written as StableHLO for several platforms."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import max_dim, min_dim

from lamella.errors import BackendError
from lamella.ir.dim import Dim, sizes_from, symbols_of
from lamella.ir.program import Program, Value, for_sizes
from lamella_jax import lowerings

PLATFORMS = ("cpu", "cuda", "tpu")


def instantiated(program: Program, *arrays: Any) -> tuple[Any, ...]:
    """The outputs of `program` for `arrays`, whose sizes, numbers or symbols of `jax.export`, its free dimensions take."""
    shapes = [(v.spec.shape, x.shape) for v, x in zip(program.inputs, arrays, strict=True)]
    whole = for_sizes(program, sizes_from(shapes), max_dim, min_dim)
    return lowerings.outputs(lowerings.LOWERINGS, whole, *arrays)


_LARGEST = 4096
"""Where the search for the least size of a free dimension ends."""


def least_sizes(program: Program) -> dict[str, int]:
    """For each free dimension the least size with which no dimension of `program` is empty, the other sizes being large."""
    dims = {dim for value in _values(program) for dim in value.spec.shape if isinstance(dim, Dim)}
    names = sorted(symbols_of(dims))
    found = {}
    for name in names:
        mine = [dim for dim in dims if name in dim.symbols]
        others = {other: _LARGEST for other in names if other != name}
        fits = (n for n in range(1, _LARGEST) if all(dim.at({**others, name: n}) > 0 for dim in mine))
        found[name] = next(fits, 1)
    return found


def _values(program: Program) -> Iterator[Value]:
    yield from program.inputs
    for equation in program.equations:
        yield from equation.outputs
        for body in equation.bodies.values():
            yield from _values(body)


def serialized(program: Program, weights: Sequence[np.ndarray]) -> bytes:
    """The bytes of an artifact for CPU, CUDA and TPU, which `jax.export.deserialize(data).call(x)` computes.

    Several inputs are keyword arguments of that call, and several outputs come as a dict, both by their names in the program.

    Args:
        program: its inputs are the weights, then the batch, or the batches; it may have free dimensions.
        weights: the values of the weights; they become constants of the artifact.

    Raises:
        BackendError: JAX cannot tell that two sizes are equal; or what `jax.export` writes needs the package flatbuffers,
            which is not installed.
    """
    from jax import export

    count = len(weights)
    batches, names = [value.spec for value in program.inputs[count:]], program.input_names[count:]

    def predict(*args: Any, **kwargs: Any) -> Any:
        dtypes = [np.dtype(v.spec.dtype) for v in program.inputs[:count]]
        values = [jnp.asarray(np.asarray(w, dtype)) for w, dtype in zip(weights, dtypes, strict=True)]
        results = instantiated(program, *values, *args, *[kwargs[name] for name in names if name in kwargs])
        return results[0] if len(results) == 1 else dict(zip(program.output_names, results, strict=True))

    with jax.enable_x64(lowerings.holds_64_bits(program) or any(spec.dtype.endswith("64") for spec in batches)):
        bounds = [f"{name} >= {size}" for name, size in least_sizes(program).items() if size > 1]
        scope = export.SymbolicScope(bounds)
        shapes = [export.symbolic_shape(", ".join(map(str, spec.shape)), scope=scope) for spec in batches]
        given = [jax.ShapeDtypeStruct(s, np.dtype(b.dtype)) for s, b in zip(shapes, batches, strict=True)]
        writing = export.export(jax.jit(predict), platforms=PLATFORMS)
        try:
            exported = writing(given[0]) if len(given) == 1 else writing(**dict(zip(names, given, strict=True)))
        except TypeError as error:  # of two sizes that the program of known sizes compares
            raise BackendError(
                f"jax.export does not take the model for all sizes that it leaves free: {str(error)[:300]} Give the sizes in "
                "`Input`."
            ) from None
        try:
            return bytes(exported.serialize())
        except ImportError as error:
            raise BackendError(
                f"jax.export needs the package {error.name or 'flatbuffers'}: pip install 'lamella[stablehlo]'."
            ) from None

"""Programs with free dimensions: instantiated with JAX's symbolic ones, and written as StableHLO for several platforms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export
from jax.core import max_dim, min_dim
from jax.errors import InconclusiveDimensionOperation

from lamella.errors import BackendError
from lamella.ir.dim import Dim, sizes_from, symbol, symbols_of
from lamella.ir.program import Program, Value, for_sizes
from lamella.passes import multiples_needed
from lamella_jax import lowerings

PLATFORMS = ("cpu", "cuda", "tpu")


def instantiated(program: Program, *arrays: Any) -> tuple[Any, ...]:
    """The outputs of `program` for `arrays`, whose sizes, numbers or symbols of `jax.export`, its free dimensions take.

    Raises:
        BackendError: JAX cannot tell of two symbolic sizes that they are equal, or which is larger.
    """
    shapes = [(v.spec.shape, x.shape) for v, x in zip(program.inputs, arrays, strict=True)]
    whole = for_sizes(program, sizes_from(shapes), max_dim, min_dim)
    try:
        return lowerings.outputs(lowerings.LOWERINGS, whole, *arrays)
    except (TypeError, ValueError, InconclusiveDimensionOperation) as error:
        if not any(export.is_symbolic_dim(size) for x in arrays for size in x.shape):
            raise
        raise BackendError(
            f"jax.export does not take the model for all these sizes: {str(error).splitlines()[0][:300]} {_advice(program)}"
        ) from None


def _advice(program: Program) -> str:
    """Which symbolic sizes the program takes."""
    factors = multiples_needed(program)
    if not factors:
        return "Give the sizes in `Input`."
    sized = for_sizes(program, _multiples(factors))
    shapes = [", ".join(map(str, v.shape)) for v in sized.inputs if any(isinstance(d, Dim) for d in v.shape)]
    named = " and ".join(f"{name} a multiple of {factor}" for name, factor in factors.items())
    return f"Make {named}: {' and '.join(f'`jax.export.symbolic_shape({shape!r})`' for shape in shapes)}."


def _multiples(factors: Mapping[str, int]) -> dict[str, Dim]:
    return {name: factor * symbol(name) for name, factor in factors.items()}


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
    Where the program takes two sizes to be equal that are so for multiples of a number alone, the artifact takes those.

    Args:
        program: its inputs are the weights, then the batch, or the batches; it may have free dimensions.
        weights: the values of the weights; they become constants of the artifact.

    Raises:
        BackendError: JAX cannot tell that two sizes are equal; or what `jax.export` writes needs the package flatbuffers,
            which is not installed.
    """
    count = len(weights)
    sized = for_sizes(program, _multiples(multiples_needed(program)))
    batches, names = [value.spec for value in sized.inputs[count:]], program.input_names[count:]

    def predict(*args: Any, **kwargs: Any) -> Any:
        dtypes = [np.dtype(v.spec.dtype) for v in program.inputs[:count]]
        values = [jnp.asarray(np.asarray(w, dtype)) for w, dtype in zip(weights, dtypes, strict=True)]
        results = instantiated(program, *values, *args, *[kwargs[name] for name in names if name in kwargs])
        return results[0] if len(results) == 1 else dict(zip(program.output_names, results, strict=True))

    with jax.enable_x64(lowerings.holds_64_bits(program) or any(spec.dtype.endswith("64") for spec in batches)):
        bounds = [f"{name} >= {size}" for name, size in least_sizes(sized).items() if size > 1]
        scope = export.SymbolicScope(bounds)
        shapes = [export.symbolic_shape(", ".join(map(str, spec.shape)), scope=scope) for spec in batches]
        given = [jax.ShapeDtypeStruct(s, np.dtype(b.dtype)) for s, b in zip(shapes, batches, strict=True)]
        writing = export.export(jax.jit(predict), platforms=PLATFORMS)
        exported = writing(given[0]) if len(given) == 1 else writing(**dict(zip(names, given, strict=True)))
        try:
            return bytes(exported.serialize())
        except ImportError as error:
            raise BackendError(
                f"jax.export needs the package {error.name or 'flatbuffers'}: pip install flatbuffers."
            ) from None

"""A layer called with arrays: it is traced alone and run at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lamella import random
from lamella.backend_api import backend_of, load_backend
from lamella.core.context import tracing
from lamella.core.variable import Variable
from lamella.errors import DataError, DTypeError
from lamella.ir.spec import Spec, spec_of
from lamella.ir.trace import as_value
from lamella.tree import flatten, unflatten

if TYPE_CHECKING:
    from lamella.layers.base import Layer


def call(
    layer: Layer, inputs: Any, args: tuple[Any, ...], training: bool | None, mask: Any, kwargs: dict[str, Any]
) -> Any:
    """The outputs of `layer` on arrays, of the backend that owns them (NumPy arrays: the backend in force).

    State that the call assigns is stored. Random draws in training take a new seed each call.

    Raises:
        DTypeError: an input is no array.
        DataError: it holds integers beyond 32 bits.
    """
    leaves, structure = flatten((inputs, args, mask))
    arrays = [np.asarray(x) if isinstance(x, int | float | bool) else x for x in leaves]
    for x in arrays:
        if not hasattr(x, "shape"):
            raise DTypeError(f"Layer {layer.name!r} takes arrays, got {type(x).__name__}.")
    backend = next((b for b in map(backend_of, arrays) if b is not None), None) or load_backend()
    key = random.key_from_seed(random.next_seed()) if training else None
    for x in arrays:
        # they enter as int32, in which a larger number would be another one
        if x.dtype == np.int64 and isinstance(x, np.ndarray) and x.size and not -(2**31) <= x.min() <= x.max() < 2**31:
            raise DataError(f"Layer {layer.name!r}: an input holds integers beyond 32 bits.")
    specs = {f"input {i}": _entering(x) for i, x in enumerate(arrays)}
    with tracing(None, {**specs, "key": Spec((2,), "uint32")}, training=training) as traced:
        context = traced.context
        x, rest, given_mask = unflatten(structure, [traced.inputs[name] for name in specs])
        outputs = layer(x, *rest, training=training, mask=given_mask, **kwargs)
        flat, output_structure = flatten(outputs)
        updates = [context.bindings[v] for v in context.assigned]
        program = traced.trace.program([as_value(v) for v in (*flat, *updates)])
    if key is None:  # a layer's own default may be to train
        key = random.key_from_seed(random.next_seed()) if context.draws else np.zeros(2, np.uint32)
    bound: dict[int, Variable] = {id(value): variable for variable, value in context.initial.items()}
    operands = iter([*arrays, key])
    arguments = [bound[id(v)].value if id(v) in bound else next(operands) for v in program.inputs]
    with backend.scope(program):
        placed = [backend.asarray(a, v.spec.dtype) for a, v in zip(arguments, program.inputs, strict=True)]
        results = backend.function(program)(*placed)
    for variable, value in zip(context.assigned, results[len(flat) :], strict=True):
        variable.assign(value)
    return unflatten(output_structure, list(results[: len(flat)]))


def _entering(x: Any) -> Spec:
    """The spec an array enters a trace with: NumPy's float64 becomes `floatx`."""
    from lamella.ir import settings

    spec = spec_of(x)
    if spec.dtype == "float64" and isinstance(x, np.ndarray):
        return Spec(spec.shape, settings.floatx())
    return Spec(spec.shape, "int32") if spec.dtype == "int64" and isinstance(x, np.ndarray) else spec

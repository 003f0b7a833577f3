"""Call a layer with arrays: trace it alone, and run the program at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella import host_random
from lamella.backend_api import backend_of, load_backend
from lamella.core.context import tracing
from lamella.core.variable import Variable
from lamella.errors import DataError, DTypeError, ShapeError, TraceError
from lamella.ir.program import Value
from lamella.ir.spec import Spec, spec_of
from lamella.ir.trace import as_value
from lamella.tree import flatten, leaves, unflatten

if TYPE_CHECKING:
    from lamella.ir.types import Tensor
    from lamella.layers.base import Layer


def call(
    layer: Layer,
    inputs: Any,
    args: tuple[Any, ...],
    training: bool | None,
    mask: Any,
    kwargs: dict[str, Any],
) -> Any:
    """The outputs of `layer` on arrays, on the backend that owns them (for NumPy arrays the current backend).

    State that the call assigns is stored. In training every call uses a new seed for its draws.

    Raises:
        TraceError: an input is a value of a trace outside of any layer.
        DTypeError: an input is not an array.
        DataError: an input holds integers beyond 32 bits.
    """
    traced = _Call(layer, (inputs, *args), {**kwargs, "mask": mask}, training)
    results = traced.run({})
    for variable, value in zip(
        traced.assigned, results[traced.count : traced.count + len(traced.assigned)], strict=True
    ):
        variable.assign(value)
    return traced.outputs(results)


def stateless_call(
    layer: Layer,
    trainable: list[Any],
    rest: list[Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    return_losses: bool,
) -> Any:
    """See `Layer.stateless_call`."""
    held = layer.trainable_variables, layer.non_trainable_variables
    for what, variables, arrays in zip(("trainable", "non-trainable"), held, (trainable, rest), strict=True):
        if len(variables) != len(arrays):
            raise ShapeError(f"Layer {layer.name!r} has {len(variables)} {what} variables, got {len(arrays)} arrays.")
        for variable, array in zip(variables, arrays, strict=True):
            if tuple(array.shape) != variable.shape:
                raise ShapeError(
                    f"Layer {layer.name!r}: variable {variable.path!r} has shape {variable.shape}, got {tuple(array.shape)}."
                )
    values = dict(zip(map(id, [*held[0], *held[1]]), [*trainable, *rest], strict=True))
    training = kwargs.pop("training", None)
    traced = _Call(layer, args, kwargs, training, like=[*trainable, *rest])
    results = traced.run(values)
    new = dict(zip(map(id, traced.assigned), results[traced.count :], strict=False))
    state = [new.get(id(variable), value) for variable, value in zip(held[1], rest, strict=True)]
    found = traced.outputs(results), state
    return (*found, list(results[traced.count + len(traced.assigned) :])) if return_losses else found


class _Call:
    """The traced call of a layer on arrays.

    Args:
        layer: the layer.
        args: positional arguments of the call, trees of arrays.
        kwargs: keyword arguments of the call: trees of arrays, or options.
        training: whether it trains; None for the layer's default.
        like: further arrays, whose backend is used if the arguments are NumPy arrays.

    Attributes:
        count: the number of outputs.
        assigned: the variables that the call assigns; their new values follow the outputs, and then the penalties.
    """

    def __init__(
        self, layer: Layer, args: tuple[Any, ...], kwargs: dict[str, Any], training: bool | None, like: Any = ()
    ) -> None:
        named = {word: value for word, value in kwargs.items() if any(hasattr(x, "shape") for x in leaves(value))}
        options = {word: value for word, value in kwargs.items() if word not in named and word != "mask"}
        flat, structure = flatten((args, named))
        self._arrays = [np.asarray(x) if isinstance(x, int | float | bool) else x for x in flat]
        for x in self._arrays:
            if isinstance(x, Value):
                raise TraceError(
                    f"Layer {layer.name!r} was called in a function that an operation between layers applies, as `ops.map` "
                    "does, where its weights would belong to no model. Write a Layer that has it as an attribute, and use "
                    "the operation in the `call` of that."
                )
            if not hasattr(x, "shape"):
                raise DTypeError(f"Layer {layer.name!r} expected arrays, got {type(x).__name__}.")
        owners = (backend_of(x) for x in (*self._arrays, *like))
        self._backend = next((b for b in owners if b is not None), None) or load_backend()
        for x in self._arrays:
            # inputs are cast to int32, which would change larger numbers
            if (
                x.dtype == np.int64
                and isinstance(x, np.ndarray)
                and x.size
                and not -(2**31) <= x.min() <= x.max() < 2**31
            ):
                raise DataError(f"Layer {layer.name!r}: an input holds integers beyond 32 bits.")
        self._key = host_random.key_from_seed(host_random.next_seed()) if training else None
        specs = {f"input {i}": _entering(x) for i, x in enumerate(self._arrays)}
        with tracing(None, {**specs, "key": Spec((2,), "uint32")}, training=training) as traced:
            context = traced.context
            given, by_name = unflatten(structure, [traced.inputs[name] for name in specs])
            outputs = layer(*given, training=training, **by_name, **options)
            found, self._structure = flatten(outputs)
            penalties = [regularizer(context.initial[v]) for v, regularizer in _regularized(layer, context.initial)]
            results = [*found, *[context.bindings[v] for v in context.assigned], *context.losses, *penalties]
            self._program = traced.trace.program([as_value(v) for v in results])
        self.count, self.assigned = len(found), list(context.assigned)
        self._bound: dict[int, Variable] = {id(value): variable for variable, value in context.initial.items()}
        self._draws = bool(context.draws)

    def run(self, values: Mapping[int, Any]) -> Sequence[Any]:
        """All results, for given values of variables by id; the other variables have their current values."""
        key = self._key
        if key is None:  # the layer may train by default
            key = host_random.key_from_seed(host_random.next_seed()) if self._draws else np.zeros(2, np.uint32)
        operands = iter([*self._arrays, key])
        arguments: list[Any] = []
        for v in self._program.inputs:
            variable = self._bound.get(id(v))
            held = next(operands) if variable is None else values.get(id(variable))
            arguments.append(variable.value if held is None and variable is not None else held)
        with self._backend.scope(self._program):
            inputs = self._program.inputs
            placed = [self._backend.asarray(a, v.spec.dtype) for a, v in zip(arguments, inputs, strict=True)]
            return self._backend.function(self._program)(*placed)

    def outputs(self, results: Sequence[Any]) -> Any:
        """The outputs among the results, as the layer returned them."""
        return unflatten(self._structure, list(results[: self.count]))


def _regularized(layer: Layer, read: Mapping[Variable, Any]) -> list[tuple[Variable, Any]]:
    return [(v, v.regularizer) for v in layer.variables if v.regularizer is not None and v in read]


def _entering(x: Tensor) -> Spec:
    """The spec of an array as the input of a trace: float64 of NumPy becomes `floatx`, int64 becomes int32."""
    from lamella.ir import settings

    spec = spec_of(x)
    if spec.dtype == "float64" and isinstance(x, np.ndarray):
        return Spec(spec.shape, settings.floatx())
    return Spec(spec.shape, "int32") if spec.dtype == "int64" and isinstance(x, np.ndarray) else spec

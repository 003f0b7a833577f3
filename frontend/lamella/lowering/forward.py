"""From a model to the program of its call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from lamella import ops, tree
from lamella.core.context import TraceContext, tracing
from lamella.core.protocol import Trainable
from lamella.core.variable import Variable
from lamella.ir.dim import BATCH, symbol
from lamella.ir.program import Program, Value
from lamella.ir.spec import Spec
from lamella.ir.trace import as_value, at
from lamella.layers.making import call_parameters, default_training

KEY = Spec((2,), "uint32")


FUNCTIONS = 64
"""How many compiled functions a model, or a lowered function, keeps."""


class Results(NamedTuple):
    """What a model's call returned.

    Attributes:
        prediction: the prediction, in the structure of the model's outputs.
        assigned: the new values of the variables that layers assigned, by path.
        penalties: what layers and regularizers add to the loss, where the program returns it.
    """

    prediction: Any
    assigned: dict[str, Any]
    penalties: list[Any]


class Forward(NamedTuple):
    """The program of a model's call, and which variables it reads and assigns.

    The program's inputs are the variables, then the leaves of the batch, then a random key where there is one; its outputs
    the leaves of the prediction, the new values of the assigned variables, then the penalties added by layers where asked
    for.

    Attributes:
        program: the program.
        variables: the variables, in the order of the program's inputs.
        assigned: the variables that layers assign, by path.
        dtypes: the dtype of each leaf of the batch.
        structure: that of the prediction.
        predicted: how many leaves the prediction has.
        keyed: whether the program takes a random key.
    """

    program: Program
    variables: tuple[Variable, ...]
    assigned: dict[str, Variable]
    dtypes: tuple[str, ...]
    structure: Any
    predicted: int
    keyed: bool

    def results(self, values: Sequence[Any]) -> Results:
        """What the program returned, by name."""
        rest = values[self.predicted :]
        count = len(self.assigned)
        assigned = dict(zip(self.assigned, rest[:count], strict=True))
        return Results(self.prediction(values), assigned, list(rest[count:]))

    def prediction(self, values: Sequence[Any]) -> Any:
        """The prediction among the values that the program returned, in the structure of the model's outputs."""
        return values[0] if self.structure == "leaf" else tree.unflatten(self.structure, values[: self.predicted])


def trace_forward(
    model: Trainable,
    x: Any,
    *,
    training: bool | None,
    keyed: bool | None,
    losses: bool = False,
    frozen: frozenset[int] | None = None,
    concrete_inputs: Sequence[Any] | None = None,
    dtypes: Mapping[Variable, str] | None = None,
) -> Forward:
    """Trace `model` on a batch of `x`.

    Args:
        model: a model that knows its input shape.
        x: the spec of a batch, or a structure of specs.
        training: whether layers behave as in training; None leaves it to the defaults of their `call`s.
        keyed: whether the program has a random key as its last input; None where a layer draws random numbers.
        losses: whether the penalties (regularizers, activity, `add_loss`) are returned.
        frozen: ids of the layers that count as not trainable; None asks the layers.
        concrete_inputs: an array for every input, to compute each equation as it is traced; the key's, where it is not
            known whether there is one, is the last and may be left over.
        dtypes: the dtypes of variables whose values come in another than their own; nothing is cast to declared ones then.
    """
    named = model.named_weights()
    inputs = dict(zip(tree.paths(x, "x"), tree.leaves(x), strict=True))
    batch, structure = tuple(inputs), tree.structure(x)
    if keyed:
        inputs["key"] = KEY
    options: dict[str, Any] = {
        "training": training,
        "frozen": frozen,
        "concrete_inputs": concrete_inputs,
        "dtypes": dtypes,
    }
    with tracing(named, inputs, draws_without_key=keyed is None, **options) as traced:
        context = traced.context
        given = tree.unflatten(structure, [traced.inputs[name] for name in batch])
        y, _ = call_model(model, context, given)
        penalties = penalties_of(model, context) if losses else []
        paths = {variable: path for path, variable in named}
        assigned = {paths[variable]: variable for variable in context.assigned}
        predictions = list(zip(tree.paths(y, "y"), tree.leaves(y), strict=True))
        program = traced.program(
            [
                *predictions,
                *[(path, context.bindings[variable]) for path, variable in assigned.items()],
                *[("penalty", penalty) for penalty in penalties],
            ]
        )
    if keyed is None and context.draws:
        return trace_forward(model, x, keyed=True, losses=losses, **options)
    kinds = tuple([inputs[name].dtype for name in batch])
    variables = tuple(variable for _, variable in named)
    return Forward(program, variables, assigned, kinds, tree.structure(y), len(predictions), bool(keyed))


def traced_for_any_batch(
    model: Trainable, row: Any, *, training: bool, losses: bool = False, frozen: frozenset[int] | None = None
) -> Forward | None:
    """`model` traced on a batch of any number of examples of the specs `row`; None where its code needs that number."""
    batch = tree.map_leaves(lambda spec: Spec((symbol(BATCH), *spec.shape), spec.dtype), row)
    try:
        return trace_forward(model, batch, training=training, keyed=training or None, losses=losses, frozen=frozen)
    except Exception:  # a user's code may raise anything where it compares a free dimension with a number
        return None


def call_model(model: Trainable, context: TraceContext, batch: Any) -> tuple[Any, list[Value | None]]:
    """The prediction of `model` inside a trace, and the mask of each of its leaves."""
    if context.training is None:
        context.training = default_training(type(model))
    with context.within(model):
        kwargs = {"training": context.training} if "training" in call_parameters(type(model)) else {}
        y = model.call(cast_inputs(model, batch) if context.casts else batch, **kwargs)
    return y, [context.mask_of(leaf) for leaf in tree.leaves(y)]


def cast_inputs(model: Trainable, batch: Any) -> Any:
    """The values of a batch, each in the dtype of its input."""
    specs = model.input_spec
    if isinstance(specs, Spec):
        return ops.cast(batch, specs.dtype)
    leaves = [ops.cast(x, spec.dtype) for x, spec in zip(tree.leaves(batch), tree.leaves(specs), strict=True)]
    return tree.unflatten(tree.structure(specs), leaves)


def penalties_of(model: Trainable, context: TraceContext) -> list[Value]:
    """What regularizers, activity regularizers and `add_loss` add to the loss, each a scalar, inside a trace."""
    penalties = [as_value(loss) for loss in context.losses]
    for path, variable in model.named_weights():
        if variable.regularizer is not None:
            with at(path.rpartition("/")[0]):
                penalties.append(as_value(variable.regularizer(context.initial[variable])))
    return penalties

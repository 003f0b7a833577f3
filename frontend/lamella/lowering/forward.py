"""From a model to the program of its call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from lamella import ops
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
        prediction: the prediction.
        assigned: the new values of the variables that layers assigned, by path.
        penalties: what layers and regularizers add to the loss, where the program returns it.
    """

    prediction: Any
    assigned: dict[str, Any]
    penalties: list[Any]


class Forward(NamedTuple):
    """The program of a model's call, and which variables it reads and assigns.

    The program's inputs are the variables, then the batch, then a random key where there is one; its outputs the
    prediction, the new values of the assigned variables, then the penalties added by layers where asked for.

    Attributes:
        program: the program.
        variables: the variables, in the order of the program's inputs.
        assigned: the variables that layers assign, by path.
        dtype: the dtype of the batch.
        keyed: whether the program takes a random key.
    """

    program: Program
    variables: tuple[Variable, ...]
    assigned: dict[str, Variable]
    dtype: str
    keyed: bool

    def results(self, values: Sequence[Any]) -> Results:
        """What the program returned, by name."""
        prediction, *rest = values
        count = len(self.assigned)
        return Results(prediction, dict(zip(self.assigned, rest[:count], strict=True)), rest[count:])


def trace_forward(
    model: Trainable,
    x: Spec,
    *,
    training: bool | None,
    keyed: bool | None,
    losses: bool = False,
    frozen: frozenset[int] | None = None,
    concrete_inputs: Sequence[Any] | None = None,
) -> Forward:
    """Trace `model` on a batch of `x`.

    Args:
        model: a built model.
        x: the spec of a batch; with free dimensions, the program is for any sizes of them.
        training: whether layers behave as in training; None leaves it to the defaults of their `call`s.
        keyed: whether the program takes a random key; None where a layer draws random numbers.
        losses: whether the penalties (regularizers, activity, `add_loss`) are returned.
        frozen: ids of the layers that count as not trainable; None asks the layers.
        concrete_inputs: an array for every input, to compute each equation as it is traced; the key's, where it is not
            known whether there is one, is the last and may be left over.
    """
    named = model.named_weights()
    inputs = {"x": x, "key": KEY} if keyed else {"x": x}
    options: dict[str, Any] = {"training": training, "frozen": frozen, "concrete_inputs": concrete_inputs}
    with tracing(named, inputs, draws_without_key=keyed is None, **options) as traced:
        context = traced.context
        y, _ = call_model(model, context, traced.inputs["x"])
        penalties = penalties_of(model, context) if losses else []
        paths = {variable: path for path, variable in named}
        assigned = {paths[variable]: variable for variable in context.assigned}
        program = traced.program(
            [
                ("y", y),
                *[(path, context.bindings[variable]) for path, variable in assigned.items()],
                *[("penalty", penalty) for penalty in penalties],
            ]
        )
    if keyed is None and context.draws:
        return trace_forward(model, x, keyed=True, losses=losses, **options)
    return Forward(program, tuple(variable for _, variable in named), assigned, x.dtype, bool(keyed))


def traced_for_any_batch(
    model: Trainable, row: Spec, *, training: bool, losses: bool = False, frozen: frozenset[int] | None = None
) -> Forward | None:
    """`model` traced on a batch of any number of examples of the spec `row`; None where its code needs that number."""
    batch = Spec((symbol(BATCH), *row.shape), row.dtype)
    try:
        return trace_forward(model, batch, training=training, keyed=training or None, losses=losses, frozen=frozen)
    except Exception:  # a user's code may raise anything where it compares a free dimension with a number
        return None


def call_model(model: Trainable, context: TraceContext, batch: Value) -> tuple[Value, Value | None]:
    """The prediction of `model` inside a trace, and its mask."""
    if context.training is None:
        context.training = default_training(type(model))
    with context.within(model):
        words = {"training": context.training} if "training" in call_parameters(type(model)) else {}
        y = model.call(ops.cast(batch, model.input_dtype), **words)
    return y, context.mask_of(y)


def penalties_of(model: Trainable, context: TraceContext) -> list[Value]:
    """What regularizers, activity regularizers and `add_loss` add to the loss, each a scalar, inside a trace."""
    penalties = [as_value(loss) for loss in context.losses]
    for path, variable in model.named_weights():
        if variable.regularizer is not None:
            with at(path.rpartition("/")[0]):
                penalties.append(as_value(variable.regularizer(context.initial[variable])))
    return penalties

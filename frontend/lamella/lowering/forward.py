"""From a model to the program of its call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lamella import ops
from lamella.core import context
from lamella.core.protocol import Trainable
from lamella.core.variable import Variable
from lamella.ir.program import Program, Value
from lamella.ir.spec import Rows, Spec
from lamella.ir.trace import Trace, as_value, at

KEY = Spec((2,), "uint32")


_CACHED = 64


class Programs(dict[Any, Any]):
    """Compiled functions by what they were compiled for; the oldest goes when there are too many."""

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, value)
        while len(self) > _CACHED:
            self.pop(next(iter(self)), None)


class Forward:
    """The program of a model's call, and which variables it reads and assigns.

    The program's inputs are the variables, then the batch, then a random key where there is one; its outputs the
    prediction, the new values of the assigned variables, then the penalties added by layers where asked for.
    """

    def __init__(
        self, program: Program, variables: Sequence[Variable], assigned: Sequence[int], layer_losses: int, dtype: str
    ) -> None:
        self.program, self.variables, self.dtype = program, tuple(variables), dtype
        self.assigned = tuple(assigned)
        self.layer_losses = layer_losses


def trace_forward(
    model: Trainable,
    x: Spec,
    *,
    training: bool,
    keyed: bool,
    losses: bool = False,
    frozen: frozenset[int] | None = None,
    feed: Sequence[Any] | None = None,
) -> Forward:
    """Trace `model` on a batch of `x`.

    Args:
        model: a built model.
        x: the batch's spec, its first dimension as `Rows`.
        training: whether layers behave as in training.
        keyed: whether the program takes a random key.
        losses: whether the penalties (regularizers, activity, `add_loss`) are returned.
        frozen: ids of the layers that count as not trainable; None asks the layers.
        feed: an array for every input, to compute each equation as it is traced.
    """
    named = list(model.named_weights())
    with Trace(feed=feed) as trace:
        inputs = [trace.input(v.spec) for _, v in named]
        batch = trace.input(x)
        key = trace.input(KEY) if keyed else None
        scope = context.Scope(
            dict(zip([v for _, v in named], inputs, strict=True)),
            training=training,
            key=key,
            step=np.zeros((), np.uint32),  # a constant where a layer draws, and nowhere else
            frozen=frozen,
        )
        y, _ = call_model(model, scope, batch)
        penalties = penalties_of(model, scope) if losses else []
        position = {id(v): i for i, (_, v) in enumerate(named)}
        outputs = [y, *[scope.bindings[v] for v in scope.assigned], *penalties]
        names = [*[path for path, _ in named], "x", *(["key"] if keyed else [])]
        labels = ["y", *[named[position[id(v)]][0] for v in scope.assigned], *["penalty"] * len(penalties)]
        program = trace.program([as_value(v) for v in outputs], names, labels)
    return Forward(program, [v for _, v in named], [position[id(v)] for v in scope.assigned], len(penalties), x.dtype)


def call_model(model: Trainable, scope: context.Scope, batch: Value) -> tuple[Value, Value | None]:
    """The prediction of `model` inside a trace, and its mask."""
    scope.layers.append(model)
    try:
        with context.entered(scope):
            y = model.call(ops.cast(batch, model.input_dtype), training=scope.training)
            return y, scope.mask_of(y)
    finally:
        scope.layers.pop()


def penalties_of(model: Trainable, scope: context.Scope) -> list[Value]:
    """What regularizers, activity regularizers and `add_loss` add to the loss, each a scalar."""
    penalties = [as_value(loss) for loss in scope.losses]
    seen: set[int] = set()
    for path, variable in model.named_weights():
        if variable.regularizer is not None and id(variable) not in seen:
            seen.add(id(variable))
            with context.entered(scope), at(path.rpartition("/")[0]):
                penalties.append(as_value(variable.regularizer(scope.initial[variable])))
    return penalties


def rows_spec(shape: Sequence[int | None], dtype: str, rows: int) -> Spec:
    """The spec of a batch with `rows` rows, whose row dimension is known as such."""
    return Spec((Rows(rows), *[int(d) for d in shape[1:] if d is not None]), dtype)

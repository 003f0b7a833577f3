"""The printable program of a training step: forward pass, loss, gradients and the optimizer's update."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella import ops, tree
from lamella.core.context import tracing
from lamella.ir.dim import BATCH, symbols_of
from lamella.ir.program import Program
from lamella.ir.spec import Spec, numpy_dtype
from lamella.ir.trace import at
from lamella.lowering.forward import KEY, call_model, penalties_of
from lamella.passes import differentiate, pool_first
from lamella.training.data import Data, check_targets, prepare
from lamella.training.gradients import loss_program

if TYPE_CHECKING:
    from lamella.models.base import BaseModel

_SUM = "sum of the outputs"
_SIZE = 32
"""The size of free dimensions other than the batch."""


def step_program(model: BaseModel, rows: int, *, training: bool) -> Program:
    """Return the program of a training step for a batch of `rows` examples; see `Model.program`.

    Raises:
        ValueError: the shape of the targets is not known because the model has not been trained yet.
    """
    compiled = model._compiled
    if compiled is None:
        return _summed(model, rows, training=training)
    trained = [key for key in model._loops if key[0]]
    if training and trained:
        return model._loops[trained[-1]].program(rows, _SIZE)  # for data of the shapes that it was trained on
    failure: Exception | None = None
    for data in _batches(model, rows):
        try:
            check_targets(model, compiled.configuration, data)
            if training:
                return model.loop_for(data, training=True).program(rows, _SIZE)
            return _differentiated(model, loss_program(model, compiled.configuration, data, training=False))
        except (ValueError, TypeError) as error:
            failure = failure or error
    assert failure is not None  # noqa: S101 - there is at least one batch
    raise failure


def _specs(model: BaseModel, specs: Any, rows: int) -> Any:
    """The specs of inputs or outputs with sizes for free dimensions."""
    sizes = dict.fromkeys(symbols_of(d for spec in tree.leaves(model.input_spec) for d in spec.shape), _SIZE)
    return tree.map_leaves(lambda spec: spec.at(sizes | {BATCH: rows}), specs)


def _batches(model: BaseModel, rows: int) -> Iterator[Data]:
    """Batches of zeros: with targets shaped like the predictions, then with integer labels for some outputs."""

    def zeros(spec: Spec) -> np.ndarray:
        return np.zeros(spec.shape, numpy_dtype(spec.dtype))

    x = tree.map_leaves(zeros, _specs(model, model.input_spec, rows))
    if model.loss is None:
        yield prepare(model, x)
    outputs, structure = tree.flatten(_specs(model, model.output_spec, rows))
    for labels in product((False, True), repeat=len(outputs)):
        specs = [Spec(y.shape[:-1], "int32") if label else y for y, label in zip(outputs, labels, strict=True)]
        if all(spec.shape for spec in specs):
            yield prepare(model, x, tree.unflatten(structure, list(map(zeros, specs))))


def _summed(model: BaseModel, rows: int, *, training: bool) -> Program:
    """The sum of all outputs of a model that is not compiled, plus the penalties of its layers, and its gradients."""
    specs, structure = tree.flatten(_specs(model, model.input_spec, rows))
    names = ["x"] if structure == "leaf" else [f"x/{i}" for i in range(len(specs))]
    given = dict(zip(names, specs, strict=True))
    with tracing(model.named_weights(), given | {"key": KEY} if training else given, training=training) as traced:
        context = traced.context
        y, _ = call_model(model, context, tree.unflatten(structure, [traced.inputs[name] for name in names]))
        penalties = penalties_of(model, context)
        with at(_SUM):
            first, *more = [*(ops.sum(leaf) for leaf in tree.leaves(y)), *penalties]
            loss = reduce(ops.add, more, first)
        paths = {variable: path for path, variable in model.named_weights()}
        assigned = [(paths[variable], context.bindings[variable]) for variable in context.assigned]
        program = traced.program([(_SUM, loss), *assigned])
    return _differentiated(model, program)


def _differentiated(model: BaseModel, program: Program) -> Program:
    """The program with the gradients of its first output with respect to the trained variables."""
    trained = {id(variable) for variable in model.trainable_variables}
    wrt = [i for i, (_, variable) in enumerate(model.named_weights()) if id(variable) in trained]
    return differentiate(pool_first(program), wrt)

"""A model's loss on one batch, and its gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lamella import compiling, host_random, tree
from lamella.backend_api import Backend
from lamella.core.context import tracing
from lamella.core.rematerialization import rematerialized
from lamella.ir.program import Program
from lamella.ir.spec import Spec
from lamella.lowering.forward import KEY, call_model
from lamella.passes import differentiate, pool_first
from lamella.training.inference import argument_for, values_on
from lamella.training.train_step import loss_of_batch

if TYPE_CHECKING:
    from lamella.training.configuration import Configuration
    from lamella.training.data import Data
    from lamella.training.protocol import TrainingModel


def value_and_grad(
    model: TrainingModel, config: Configuration, data: Data, backend: Backend, *, training: bool, seed: int
) -> tuple[Any, dict[str, Any]]:
    """The loss of a batch, regularization included, and {path: gradient} of the trained weights."""
    named = model.named_weights()
    trained = {id(v) for v in config.trained(model)}
    wrt = [i for i, (_, v) in enumerate(named) if id(v) in trained]
    program = loss_program(model, config, data, training=training)
    shapes = (data.structure, *[(a.shape, a.dtype.name) for a in data.arrays])
    cached = ("gradients", backend.name, shapes, training, tuple(wrt), id(config))
    run = model.functions.get(cached)
    if run is None:
        differentiated = differentiate(pool_first(program), wrt, remat=rematerialized(model))
        batch = zip(data.names, program.input_specs[len(named) :], strict=False)  # without the key
        what = ", ".join(f"{name} {spec}" for name, spec in batch)
        with compiling.because("value_and_grad", f"first batch, {what}"), backend.scope(differentiated):
            run = model.functions[cached] = backend.compile(differentiated)
    with backend.scope(program):
        argument = argument_for(model, backend)
        operands = [
            *values_on([v for _, v in named], backend),
            *[argument(a, a.dtype.name) for a in data.arrays],
        ]
        if training:
            operands.append(backend.asarray(host_random.key_from_seed(seed), "uint32"))
        loss, *gradients = run(*operands)
    return loss, {named[i][0]: g for i, g in zip(wrt, gradients, strict=True)}


def loss_program(model: TrainingModel, config: Configuration, data: Data, *, training: bool) -> Program:
    """The compiled loss of one batch as a program of the variables, the batch, and in training a random key."""
    inputs = {n: Spec(a.shape, a.dtype.name) for n, a in zip(data.names, data.arrays, strict=True)}
    if training:
        inputs["key"] = KEY
    options: dict[str, Any] = {"training": training, "draws_without_key": not training}
    with tracing(model.named_weights(), inputs, frozen=config.frozen, **options) as traced:
        x, y, weights = tree.unflatten(data.structure, [traced.inputs[name] for name in data.names])
        y_pred, _ = call_model(model, traced.context, x)
        traced.trace.where = "loss"
        return traced.program([("loss", loss_of_batch(model, x, y, y_pred, weights, training=training))])

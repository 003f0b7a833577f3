"""Records the options of optimizers, wrappers of optimizers, and schedules. Needs Keras on JAX."""

from __future__ import annotations

import jax
import keras
import numpy as np

from . import build, draw
from .rows import ScheduleCase, UpdateCase

_RECORDED_STEPS = (1, 4, 20)


def _end_to_end(variables: list[keras.Variable]) -> np.ndarray:
    return np.concatenate([np.asarray(v.value).ravel() for v in variables])


def record_update(case: UpdateCase) -> dict[str, np.ndarray]:
    """Record an optimizer: the weights after 1, 4 and 20 steps, and the values it ends them with.

    Of a LossScaleOptimizer the scale and the counter after every step, too.
    """
    initial, gradients = draw.updates(case.id, case.infinite)
    variables = [keras.Variable(value, name=name) for name, value in initial.items()]
    optimizer = build.construct(keras.optimizers, case.name, case.kwargs)
    if case.excluded:
        optimizer.exclude_from_weight_decay(var_names=list(case.excluded))
    optimizer.build(variables)
    steps, scales = [], []
    for step, drawn in enumerate(gradients, 1):
        given = [jax.numpy.asarray(drawn[name]) for name in initial]
        if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            # its `apply` branches on the numbers, which only the stateless form can do on JAX
            state = [v.value for v in optimizer.variables]
            values, state = optimizer.stateless_apply(state, given, [v.value for v in variables])
            for variable, value in zip((*variables, *optimizer.variables), (*values, *state), strict=True):
                variable.assign(value)
            scales.append([float(optimizer.dynamic_scale.value), float(optimizer.step_counter.value)])
        else:
            optimizer.apply(given, variables)
        if step in _RECORDED_STEPS:
            steps.append(_end_to_end(variables))
    optimizer.finalize_variable_values(variables)
    entry = {"steps": np.stack(steps), "final": _end_to_end(variables)}
    if scales:
        entry["scales"] = np.array(scales, "float32")
    return entry


def record_schedule(case: ScheduleCase) -> dict[str, np.ndarray]:
    """Record a schedule's rates."""
    schedule = build.construct(keras.optimizers, case.name, case.kwargs)
    return {"rates": np.array([float(schedule(jax.numpy.int32(step))) for step in case.steps], "float32")}

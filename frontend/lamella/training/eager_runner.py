"""`compile(run_eagerly=True)`: steps that are traced again each time, with every value computed as it is traced.

It is the same step program, one equation at a time, so that `print` and a debugger inside `call`, a loss or a metric see
concrete arrays. NumPy computes them for every backend, because JAX would compile each equation separately. The bodies of
loops (`ops.scan`) stay symbolic. Eager execution is slow, and meant for debugging.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lamella.backend_api import Runner, State, StepProgram
from lamella.ir.program import ConcreteValue, Program
from lamella.ir.spec import Spec


def computed_outputs(program: Program) -> list[tuple[np.ndarray, Spec]]:
    """The outputs of a program that was traced with `concrete_inputs`, and their specs."""
    return [(v.numpy(), v.spec) for v in program.outputs if isinstance(v, ConcreteValue)]


Retrace = Callable[[Sequence[Any]], StepProgram]


class EagerRunner(Runner):
    """Runs every step by tracing it on the arrays of its batch.

    Args:
        runner: the backend's runner for this step, which places states and data.
        retrace: the step program traced with an array for every input.
    """

    def __init__(self, runner: Runner, retrace: Retrace) -> None:
        self.backend, self.step = runner.backend, runner.step
        self._runner, self._retrace = runner, retrace

    def load(self, leaves: Sequence[Any]) -> State:
        """The state of these leaves."""
        return self._runner.load(leaves)

    def place(self, arrays: Sequence[np.ndarray]) -> Any:
        """Bring the data to where the steps run."""
        return self._runner.place(arrays)

    def run(self, state: State, data: Any, indices: np.ndarray, rows: np.ndarray) -> State:
        """Run one step per row of `indices`."""
        count = len(self.step.state_names)
        specs = self.step.program.input_specs[count:-1]
        host, asarray = self.backend.numpy, self.backend.asarray
        with self.backend.scope(self.step.program):
            for index, real in zip(indices, rows, strict=True):
                batch = [host(asarray(a[index], s.dtype)) for a, s in zip(data, specs, strict=True)]
                inputs = [*[host(leaf) for leaf in state[:count]], *batch, real]
                traced = self._retrace(inputs)
                results = [asarray(array, spec.dtype) for array, spec in computed_outputs(traced.program)]
                after, external = results[:count], list(state[count:])
                if self.step.external_optimizer is not None:
                    external = self._runner.external_update(after, results[count:], external, inputs)
                state = (*after, *external)
        return state

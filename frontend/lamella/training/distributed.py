"""Training on several devices: the distribution of a model, and its effect on steps and batches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lamella import processes
from lamella.backend_api import Backend, Distributes, Layout, Placement, distribution_in_force
from lamella.errors import ArgumentError, BackendError, DataError

if TYPE_CHECKING:
    from lamella.core.variable import Variable
    from lamella.training.configuration import Configuration
    from lamella.training.layout import Layout as StateLayout
    from lamella.training.protocol import TrainingModel


_SLOW_PRODUCTS = 1 << 30
"""The number of products of a weight and a row that a slow device computes in the time of a chunk."""

_MOST_STEPS = 1024


def distribution_of(model: TrainingModel) -> Distributes | None:
    """The distribution that the model's weights were made for; of a model without any the one in force.

    Raises:
        ArgumentError: they were made for several, or for another than the one in force.
        BackendError: the model runs on another backend than its devices are of.
    """
    now = distribution_in_force()
    found = now
    for i, variable in enumerate(model.variables):
        if i and variable.distribution != found:
            raise ArgumentError(
                f"Model {model.name!r}: its layers were built for different distributions; build all of it behind "
                "`set_distribution`, or in one `scope`."
            )
        found = variable.distribution
    if now is not None and now != found:
        raise ArgumentError(
            f"Model {model.name!r} was built before this distribution was set: call `set_distribution` first, or build the "
            "model again."
        )
    if found is not None and found.backend_name != model.backend_name:
        raise BackendError(
            f"Model {model.name!r} runs on backend {model.backend_name!r}, and its distribution has devices of "
            f"{found.backend_name!r}: set the backend before the distribution is made."
        )
    return found


def require_compiled_steps(config: Configuration) -> None:
    """Reject eager execution on several devices.

    Raises:
        ArgumentError: the model was compiled with `run_eagerly=True`.
    """
    if config.run_eagerly:
        raise ArgumentError(
            "run_eagerly=True computes on one device: compile the model without it, or look at its steps without a "
            "distribution."
        )


def placement_for(distribution: Distributes, layout: StateLayout) -> Placement:
    """The layout of every leaf of a training state: weights and slots as the distribution says, everything else whole."""
    layouts: dict[str, Layout] = {name: distribution.layout_of(variable) for name, variable in layout.variables}
    by_id = {id(variable): variable for _, variable in layout.variables}
    for group in layout.slots.values():
        for key, leaf in group.items():
            if key:
                layouts[leaf] = distribution.slot_layout(by_id[key], layout.specs[leaf])
    leaves = tuple([layouts.get(name, ()) for name in layout.names])
    return Placement(distribution.mesh, distribution.rows, leaves, own_rows=parts_given(distribution) > 1)


def parts_given(distribution: Distributes | None) -> int:
    """The number of parts of a batch, each from one process."""
    return 1 if distribution is None or distribution.auto_shard_dataset else processes.count()


def check_own_rows(distribution: Distributes, rows: int) -> None:
    """Reject a part of a batch that is not divisible among the devices of its process.

    Raises:
        DataError: it does not.
    """
    parts = parts_given(distribution)
    if parts > 1 and rows * parts % distribution.mesh.parts(distribution.rows):
        raise DataError(
            f"each process gives its own rows, and {rows} rows of {parts} processes do not divide among the "
            f"{distribution.mesh.parts(distribution.rows)} parts of a batch: give a batch size that does, and drop "
            "what is left at the end of an epoch."
        )


def agree_on_run(model: TrainingModel, **facts: Any) -> None:
    """Check that all processes were given the same model and data; data are compared by length and dtype.

    Args:
        model: the model; its seed and the shapes of its weights are compared.
        **facts: what else must be the same: `Data`, batches, or numbers.

    Raises:
        DataError: the processes differ; in every process.
    """
    if processes.count() == 1:
        return
    told: dict[str, Any] = {"the model's seed": model.seed, "its weights": [list(v.shape) for v in model.variables]}
    for name, value in facts.items():
        if value is not None and hasattr(value, "sample"):
            told[f"the number of steps of {name}"] = getattr(value, "steps", None)
            told[f"the number of rows of {name}"] = value.sample.rows
            told[f"a row of {name}"] = [[str(spec) for spec in value.sample.row_specs.values()]]
        else:
            told[name] = value
    processes.agree(told)


def steps_by_shape(variables: Sequence[Variable], rows: int) -> int:
    """The number of steps per chunk in each of several processes: about a quarter of a second on a slow device."""
    steps = _SLOW_PRODUCTS // max(sum(math.prod(map(int, v.shape)) for v in variables) * rows, 1)
    return min(1 << max(steps.bit_length() - 1, 0), _MOST_STEPS)


def rows_placed(distribution: Distributes, backend: Backend, array: Any, dtype: str) -> Any:
    """A batch with its rows split among the devices, or replicated if they are not divisible."""
    mesh = distribution.mesh
    divides = bool(array.shape) and array.shape[0] % mesh.parts(distribution.rows) == 0
    layout: Layout = (distribution.rows,) if divides else ()
    return backend.laid(array, dtype, mesh, layout)


__all__ = [
    "agree_on_run",
    "check_own_rows",
    "distribution_of",
    "parts_given",
    "placement_for",
    "require_compiled_steps",
    "rows_placed",
    "steps_by_shape",
]

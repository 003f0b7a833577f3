"""What a batch holds, and what a training state consists of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lamella.ir.spec import Spec, numpy_dtype, promote
from lamella.lowering.forward import KEY
from lamella.metrics import Mean
from lamella.optimizers.state import Slot, Weight

if TYPE_CHECKING:
    from lamella.training.objectives import Compiled
    from lamella.training.protocol import TrainingModel


class BatchSpecs(NamedTuple):
    """What a batch of `rows` rows holds: the specs of x, of y and of the sample weights, None where there are none."""

    rows: int
    x: Spec
    y: Spec | None
    weight: Spec | None

    @property
    def named(self) -> list[tuple[str, Spec]]:
        """The data arrays in the order of the step program's inputs."""
        items = [("x", self.x)]
        if self.y is not None:
            items.append(("y", self.y))
        if self.weight is not None:
            items.append(("sample_weight", self.weight))
        return items

    @property
    def row_dtype(self) -> str:
        """The dtype of the vector that tells real rows from padding."""
        return "float64" if self.x.dtype == "float64" else "float32"


class Layout:
    """The leaves of a training state, in order: what each is called, and its spec.

    Attributes:
        variables: the model's variables, trained ones first, each with its leaf's name.
        trained: how many of them are trained.
        weights: the trained variables as the optimizer knows them.
        slots: for each slot of the optimizer the leaves' names by variable's id, or under 0 the one leaf of a slot that
            belongs to the optimizer as a whole.
        rates: the leaves of the learning rates.
        metrics: for each log key the names and initial values of its accumulators.
        own_logs: whether the logs are those of the model's own step, averaged over the rows.
    """

    def __init__(
        self,
        model: TrainingModel,
        compiled: Compiled,
        y: Spec | None,
        *,
        training: bool,
        own_logs: Sequence[str] | None = None,
    ) -> None:
        trained = {id(v) for v in compiled.trained(model)}
        named = model.named_weights()
        first = [(f"params/{n}", v) for n, v in named if id(v) in trained]
        rest = [(f"state/{n}", v) for n, v in named if id(v) not in trained]
        self.variables = [*first, *rest]
        self.trained = len(first)
        specs = {name: variable.spec for name, variable in self.variables}
        self.weights = [Weight(n.removeprefix("params/"), v.shape, v.dtype, v.constraint, v) for n, v in first]
        self.slots: dict[str, dict[int, str]] = {}
        self.rates: tuple[str, ...] = ()
        self.own = training and not compiled.external
        if self.own:
            for slot, held in compiled.optimizer.slot_specs(self.weights).items():
                whole = isinstance(held, Slot)
                kept = (
                    {0: (f"optimizer/{slot}", held)}
                    if whole
                    else {
                        id(w.variable): (f"optimizer/{slot}/{w.path}", s)
                        for w, s in zip(self.weights, held, strict=True)
                        if s is not None
                    }
                )
                self.slots[slot] = {key: leaf for key, (leaf, _) in kept.items()}
                specs |= {leaf: Spec(s.shape, s.dtype) for leaf, s in kept.values()}
            self.rates = tuple(compiled.rates())
            specs |= dict.fromkeys(self.rates, Spec((), rate_dtype(v.dtype for _, v in first)))
        if training:
            specs["step"] = Spec((), "uint32")
            specs["key"] = KEY
        self.metrics: dict[str, dict[str, tuple[str, Any]]] = {}
        self.metric_rules: list[tuple[str, Any, bool]]
        dtype = rate_dtype([model.output_spec.dtype])
        self.own_logs = own_logs is not None
        if own_logs is None:
            self.metric_rules = compiled.metrics_for(y, model.output_spec)
            self.metrics["loss"] = {n: (f"metrics/loss/{n}", np.zeros((), dtype)) for n in ("total", "count")}
        else:
            self.metric_rules = [(label, Mean(label), False) for label in own_logs]
        for label, metric, _ in self.metric_rules:
            leaves = {}
            for name, (shape, kind, initial) in metric.state_specs().items():
                leaves[name] = (f"metrics/{label}/{name}", np.full(shape, initial, numpy_dtype(kind)))
            self.metrics[label] = leaves
        for leaves in self.metrics.values():
            specs |= {leaf: Spec(start.shape, start.dtype.name) for leaf, start in leaves.values()}
        self.specs = specs
        self.names = tuple(specs)


def rate_dtype(dtypes: Any) -> str:
    """The dtype of learning rates and accumulators beside arrays of `dtypes`: at least float32."""
    return promote("float32", *[d for d in dtypes if d.startswith(("float", "bfloat"))])

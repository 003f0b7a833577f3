"""The layout of batches and of training states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lamella import tree
from lamella.backend_api import to_numpy
from lamella.core.structure import output_names
from lamella.core.variable import Variable
from lamella.ir.dim import Dimension
from lamella.ir.spec import Spec, numpy_dtype, promote
from lamella.lowering.forward import KEY
from lamella.metrics import Mean, Metric
from lamella.optimizers.own_loop import filled
from lamella.optimizers.state import Slot, Weight
from lamella.training.objectives import Rule
from lamella.training.train_step import has_own_loss, own_metrics

if TYPE_CHECKING:
    from lamella.optimizers.base import Optimizer
    from lamella.training.configuration import Configuration
    from lamella.training.protocol import TrainingModel
    from lamella.training.state import Slots


class BatchSpecs(NamedTuple):
    """The layout of a batch of `rows` rows.

    Attributes:
        rows: how many rows.
        named: the specs of the data arrays, by name, in the order of the step program's inputs.
        structure: that of `(x, y, sample_weight)`, whose leaves the arrays are.
    """

    rows: Dimension
    named: dict[str, Spec]
    structure: Any

    def parts(self, values: Mapping[str, Any]) -> tuple[Any, Any, Any]:
        """`(x, y, sample_weight)` of values by name, each in its structure, None where there is none."""
        return tree.unflatten(self.structure, [values[name] for name in self.named])

    @property
    def y(self) -> Any:
        """The specs of the targets, in their structure."""
        return self.parts(self.named)[1]

    @property
    def row_dtype(self) -> str:
        """The dtype of the vector that marks real rows, as opposed to padding."""
        x = tree.leaves(self.parts(self.named)[0])
        return "float64" if any(spec.dtype == "float64" for spec in x) else "float32"


@dataclass(frozen=True)
class Layout:
    """The leaves of a training state in order, with their names and specs.

    Attributes:
        specs: the spec of every leaf: the variables, the slots, the learning rates, the step, the key, the accumulators.
        variables: the model's variables, trained ones first, each with its leaf's name.
        trained: how many of them are trained.
        weights: the trained variables as the optimizer knows them.
        slots: for each slot of the optimizer the leaves' names by variable's id, or under 0 the one leaf of a slot that
            belongs to the optimizer as a whole.
        rates: the leaves of the learning rates.
        metrics: for each log key the names and initial values of its accumulators.
        losses: the log keys of the loss, and of each output's loss where there are several.
        metric_rules: the metrics.
        own: whether the step ends with one of lamella's optimizers.
        own_logs: whether the logs are those of the model's own step, averaged over the rows.
        own_metrics: the metrics of a model with a user-defined step, each with the leaves of its state.
    """

    specs: dict[str, Spec]
    variables: list[tuple[str, Variable]]
    trained: int
    weights: list[Weight]
    slots: dict[str, dict[int, str]]
    rates: tuple[str, ...]
    metrics: dict[str, dict[str, tuple[str, Any]]]
    losses: tuple[str, ...]
    metric_rules: list[Rule]
    own: bool
    own_logs: bool
    own_metrics: list[tuple[Metric, dict[str, str]]]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the leaves, in order."""
        return tuple(self.specs)

    @property
    def trained_variables(self) -> list[tuple[str, Variable]]:
        """The trained variables, each with its leaf's name."""
        return self.variables[: self.trained]


def layout_of(
    model: TrainingModel,
    config: Configuration,
    y: Any,
    *,
    training: bool,
    own_logs: Mapping[str, Metric | None] | None = None,
) -> Layout:
    """The layout of a model's training state, or of its state in an evaluation.

    Args:
        model: a built model.
        config: its training configuration.
        y: the specs of the targets, in their structure, which the metrics are chosen for.
        training: whether steps train or evaluate.
        own_logs: the names of the logs of the model's own step, each with the metric that it is the result of, if it is;
            None if the model has no user-defined step, so that the logs are loss and metrics.
    """
    trained = {id(v) for v in config.trained(model)}
    named = model.named_weights()
    first = [(f"params/{n}", v) for n, v in named if id(v) in trained]
    variables = [*first, *[(f"state/{n}", v) for n, v in named if id(v) not in trained]]
    weights = [Weight(n.removeprefix("params/"), v.shape, v.dtype, v.constraint, v) for n, v in first]
    specs = {name: variable.spec for name, variable in variables}
    slots: dict[str, dict[int, str]] = {}
    rates: tuple[str, ...] = ()
    own = training and not config.external
    if own:
        slots, found = _slots(config.optimizer, weights)
        rates = tuple(config.rates())
        specs |= found | dict.fromkeys(rates, Spec((), rate_dtype(v.dtype for _, v in first)))
    if training:
        specs |= {"step": Spec((), "uint32"), "key": KEY}
    metrics: dict[str, dict[str, tuple[str, Any]]] = {}
    losses: tuple[str, ...] = ()
    held: list[tuple[Metric, dict[str, str]]] = []
    if own_logs is None:
        names, predictions = output_names(model), list(tree.leaves(model.output_spec))
        rules = config.objective.rules(config.objective.targets(y, names), predictions, names)
        zero = np.zeros((), rate_dtype([spec.dtype for spec in predictions]))
        # a `compute_loss` of the user's own need not compute the loss of each output
        losses = ("loss", *(() if has_own_loss(model) else config.objective.loss_labels(names)))
        for label in losses:  # each is a mean over the same rows
            metrics[label] = {"total": (f"metrics/{label}/total", zero), "count": ("metrics/loss/count", zero)}
    else:
        kept = own_metrics(model)
        for i, metric in enumerate(kept):
            group = {
                name: (f"metrics/own/{i}/{name}", np.full(shape, initial, numpy_dtype(kind)))
                for name, (shape, kind, initial) in metric.state_specs().items()
            }
            held.append((metric, {name: leaf for name, (leaf, _) in group.items()}))
            for label in [label for label, logged in own_logs.items() if logged is metric] or [f"own/{i}"]:
                metrics[label] = group
        rules = [Rule(label, metric or Mean(label), False, 0) for label, metric in own_logs.items()]
    for rule in rules:
        if rule.label in metrics:
            continue
        metrics[rule.label] = {
            name: (f"metrics/{rule.label}/{name}", np.full(shape, initial, numpy_dtype(kind)))
            for name, (shape, kind, initial) in rule.metric.state_specs().items()
        }
    for leaves in metrics.values():
        specs |= {leaf: Spec(start.shape, start.dtype.name) for leaf, start in leaves.values()}
    return Layout(
        specs,
        variables,
        len(first),
        weights,
        slots,
        rates,
        metrics,
        losses,
        rules,
        own=own,
        own_logs=own_logs is not None,
        own_metrics=held,
    )


def _slots(optimizer: Optimizer, weights: Sequence[Weight]) -> tuple[dict[str, dict[int, str]], dict[str, Spec]]:
    """The leaves of an optimizer's slots by variable's id, and their specs."""
    slots: dict[str, dict[int, str]] = {}
    specs: dict[str, Spec] = {}
    for slot, held in optimizer.slot_specs(weights).items():
        kept: dict[int, tuple[str, Slot]] = {}
        if isinstance(held, Slot):
            kept[0] = (f"optimizer/{slot}", held)
        else:
            for weight, spec in zip(weights, held, strict=True):
                if spec is not None:
                    kept[id(weight.variable)] = (f"optimizer/{slot}/{weight.path}", spec)
        slots[slot] = {key: leaf for key, (leaf, _) in kept.items()}
        specs |= {leaf: Spec(s.shape, s.dtype) for leaf, s in kept.values()}
    return slots, specs


def filled_slots(config: Configuration, layout: Layout, slots: Slots) -> Slots:
    """The optimizer's slots by variable, with initial arrays where there are none yet."""
    missing = [k for name, keys in layout.slots.items() for k in keys if k not in slots.get(name, {})]
    if not missing:
        return slots
    params = [to_numpy(v._value) for _, v in layout.trained_variables]
    return {**slots, **filled(config.optimizer, layout.weights, params, slots)}


def rate_dtype(dtypes: Any) -> str:
    """The dtype of learning rates and accumulators beside arrays of `dtypes`: at least float32."""
    return promote("float32", *[d for d in dtypes if d.startswith(("float", "bfloat"))])

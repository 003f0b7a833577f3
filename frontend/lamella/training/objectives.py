"""Objectives: the losses of a model's outputs, their weights, and the metrics."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lamella import losses, tree
from lamella import metrics as metrics_
from lamella.core.structure import counted, flattened, listed
from lamella.errors import ArgumentError
from lamella.ir.dim import public_shape
from lamella.ir.spec import Spec

if TYPE_CHECKING:
    from lamella.core.context import TraceContext


_METRICS = ("metrics", "weighted_metrics")


class Term(NamedTuple):
    """The loss of one output.

    Attributes:
        label: its log key, if there are several losses.
        loss: the loss.
        weight: its factor, or None.
        output: the place of the output among the leaves of the model's outputs.
    """

    label: str
    loss: losses.Loss
    weight: float | None
    output: int


class Rule(NamedTuple):
    """A metric of one output.

    Attributes:
        label: its log key.
        metric: the metric.
        weighted: whether sample weights count in it.
        output: the place of the output among the leaves of the model's outputs.
    """

    label: str
    metric: Any
    weighted: bool
    output: int


class Objective:
    """Losses, their weights and metrics, as `compile` is given them: one for all outputs, or for each in a list or dict.

    They are matched with the outputs when these are known; metrics are chosen when the shapes of the targets are.
    Everywhere here `names` is the structure of the outputs with their names, and targets, predictions, weights and masks in
    a list are those of its leaves.

    Args:
        loss: the losses as the user named them.
        loss_weights: their factors.
        metrics: the metrics as the user named them.
        weighted_metrics: the metrics that count sample weights.

    Attributes:
        loss: the losses as objects, in the structure that the user gave.
        loss_identifier: the losses as the user named them, for files.
        loss_weights: the weights as the user gave them.
        metrics: the metrics as the user named them.
        weighted_metrics: the weighted ones.
        chosen: the metrics for the specs of the last call of `rules`.
    """

    def __init__(self, loss: Any, loss_weights: Any, metrics: Any, weighted_metrics: Any) -> None:
        self.loss_identifier = loss
        self.metrics, self.weighted_metrics = metrics, weighted_metrics
        self.loss = _mapped(losses.get, loss)
        self._matched: tuple[Any, list[Term]] = (None, [])
        self._measured: list[int] = []
        self._specs: Any = None
        self.chosen: list[Rule] = []
        if any(isinstance(weight, str) for weight in _entries(loss_weights)):  # metrics had this place in Keras 2
            raise ArgumentError(
                f"loss_weights is a number, or a list or dict of numbers, got {loss_weights!r}; metrics go by name, "
                "compile(..., metrics=[...])."
            )
        for weight in _entries(loss_weights):
            if weight is not None and (isinstance(weight, bool) or not isinstance(weight, int | float | np.number)):
                raise ValueError(f"loss_weights is a number, or a list or dict of numbers, got {loss_weights!r}.")
        self.loss_weights = _mapped(lambda weight: None if weight is None else float(weight), loss_weights)
        if loss_weights is not None and all(found is None for found in _entries(self.loss)):
            raise ValueError(f"loss_weights={loss_weights!r} weighs nothing: give `compile` a loss.")
        for identifier in (*_listed(metrics), *_listed(weighted_metrics)):
            if not (isinstance(identifier, str) and identifier.lower() in metrics_.AUTOMATIC):
                metrics_.get(identifier)  # a misspelled name raises now, not in `fit`

    # ---- matched with outputs ----

    def terms(self, names: Any) -> list[Term]:
        """The losses of the outputs.

        Raises:
            ValueError: the structure is not that of the outputs, or an output is unknown.
        """
        key = names if isinstance(names, str) else (tree.structure(names), *tree.leaves(names))
        if self._matched[0] != key:
            leaves = list(tree.leaves(names))
            found = _by_output("loss", self.loss, names)
            weights = _by_output("loss_weights", self.loss_weights, names)
            every = zip(_loss_labels(names), found, weights, itertools.count(), strict=False)
            terms: list[Term] = []
            for label, loss, weight, i in every:
                if isinstance(loss, list | tuple):
                    raise ValueError(
                        f"loss has {len(loss)} entries for the output {leaves[i]!r}, and an output has one loss: add them in "
                        "one function."
                    )
                if loss is not None:
                    terms.append(Term(f"{label}_loss", loss, None if weight is None else float(weight), i))
            order = _order(self.loss, names)
            terms.sort(key=lambda term: order.index(term.output))
            every = zip(*[_by_output(what, getattr(self, what), names) for what in _METRICS], strict=True)
            self._measured = [i for i, given in enumerate(every) if _listed(list(given))]
            self._matched = (key, terms)
        return self._matched[1]

    def measured(self, names: Any) -> list[int]:
        """The places of the outputs that have metrics."""
        self.terms(names)
        return self._measured

    def loss_labels(self, names: Any) -> list[str]:
        """The log keys of the outputs' losses: none where there is one loss."""
        terms = self.terms(names)
        return [term.label for term in terms] if len(terms) > 1 else []

    @property
    def known_metrics(self) -> list[Any]:
        """The metrics that were chosen for the shapes; before that those that were given as objects."""
        given = [*_listed(self.metrics), *_listed(self.weighted_metrics)]
        return [rule.metric for rule in self.chosen] or [m for m in given if isinstance(m, metrics_.Metric)]

    @property
    def labels(self) -> list[str]:
        """The log keys: "loss", the losses of the outputs where there are several, then the metrics, once they are known."""
        return [*self.loss_logs, *[rule.label for rule in self.chosen]]

    @property
    def loss_logs(self) -> list[str]:
        """The log keys of losses: "loss", and those of the outputs where there are several."""
        terms = self._matched[1]
        return ["loss", *[term.label for term in terms if len(terms) > 1]]

    def targets(self, y: Any, names: Any) -> list[Any]:
        """The target of each output, None where it has none.

        Targets in a list may be those of the outputs with a loss alone.

        Raises:
            ArgumentError: the structure is not that of the outputs; missing and unknown keys are named.
        """
        if isinstance(names, str) and not isinstance(y, dict):
            return [y]
        return self._flattened(y, names, "y")

    def weights(self, sample_weight: Any, names: Any) -> list[Any]:
        """The sample weights of each output: a single array is for all; None where an output has none.

        Raises:
            ArgumentError: the structure is not that of the outputs; missing and unknown keys are named.
        """
        if isinstance(sample_weight, list | tuple | dict):
            return self._flattened(sample_weight, names, "sample_weight")
        return [sample_weight] * len(tree.paths(names, ""))

    def _flattened(self, given: Any, names: Any, what: str) -> list[Any]:
        count = len(tree.paths(names, ""))
        if count > 1 and given is not None and not isinstance(given, dict):
            placed = sorted({term.output for term in self.terms(names)})
            parts = given if isinstance(given, list | tuple) else [given]
            if len(parts) == len(placed) < count:
                found: list[Any] = [None] * count
                for i, part in zip(placed, parts, strict=True):
                    found[i] = part
                return found
        return flattened(given, names, what, "output", partial=True)

    def rules(self, targets: Sequence[Spec | None], predictions: Sequence[Spec], names: Any) -> list[Rule]:
        """The metrics, chosen for targets and predictions of these specs."""
        specs = (
            tuple([None if y is None else (len(y.shape), y.shape[1:], y.dtype) for y in targets]),
            tuple([spec.shape[1:] for spec in predictions]),
            tuple(tree.leaves(names)),
        )
        if self._specs != specs:
            taken, chosen = ["loss", *self.loss_labels(names)], list[Rule]()
            prefixes = [f"{name}_" for name in tree.leaves(names)] if len(predictions) > 1 else [""]
            for what, weighted in zip(_METRICS, (False, True), strict=True):
                for i, identifiers in enumerate(_by_output(what, getattr(self, what), names)):
                    target = targets[i]
                    if target is None:
                        continue
                    for identifier in _listed(identifiers):
                        metric = metrics_.resolve(identifier, target, predictions[i])
                        metric.build(target, predictions[i], weighted)
                        label = _free(prefixes[i], metric.name, taken, weighted=weighted)
                        taken.append(label)
                        chosen.append(Rule(label, metric, weighted, i))
            self._specs, self.chosen = specs, chosen
        return self.chosen

    # ---- computed ----

    def losses(
        self, y: Any, y_pred: Any, sample_weight: Any, names: Any, running: TraceContext
    ) -> list[tuple[Term, Any]]:
        """The loss of each output of a batch, not yet multiplied with its weight, inside a trace.

        Raises:
            ValueError: one of them is not a scalar.
        """
        targets, weights = self.targets(y, names), self.weights(sample_weight, names)
        predictions, found = list(tree.leaves(y_pred)), list[tuple[Term, Any]]()
        for term in self.terms(names):
            prediction = predictions[term.output]
            value = term.loss(
                targets[term.output],
                prediction,
                weights[term.output],
                rows=running.rows,
                mask=running.mask_of(prediction),
            )
            if tuple(value.shape):
                raise ValueError(
                    f"the loss {term.loss.name!r} gives {public_shape(value.shape)} values, training needs one number: use "
                    "a reduction other than 'none'."
                )
            found.append((term, value))
        return found

    def is_per_example(
        self, targets: Sequence[Spec | None], predictions: Sequence[Spec], names: Any, rules: Sequence[Rule]
    ) -> bool:
        """Whether losses and metrics ignore rows of weight 0, so that short batches may be padded with them."""
        followers: list[tuple[Any, int]] = [(term.loss, term.output) for term in self.terms(names)]
        followers += [(rule.metric, rule.output) for rule in rules]
        for follower, i in followers:
            target = targets[i]
            if target is not None and not follower.is_per_example(target, predictions[i]):
                return False
        return True


def _is_structure(given: Any) -> bool:
    """Whether it is a list, tuple or dict of entries; a serialized object is not."""
    return isinstance(given, list | tuple) or (isinstance(given, dict) and "class_name" not in given)


def _mapped(function: Callable[[Any], Any], given: Any) -> Any:
    """`given` with `function(entry)` in the place of every entry, of None, too."""
    if isinstance(given, dict) and _is_structure(given):
        entries: dict[Any, Any] = given
        return {key: _mapped(function, item) for key, item in entries.items()}
    if isinstance(given, list | tuple):
        items: list[Any] = list(given)
        return [_mapped(function, item) for item in items]
    return function(given)


def _entries(given: Any) -> list[Any]:
    """The entries of nested lists and dicts, of None, too."""
    found: list[Any] = []
    _mapped(found.append, given)
    return found


def _listed(identifiers: Any) -> list[Any]:
    """The metrics of nested lists and dicts."""
    return [identifier for identifier in _entries(identifiers) if identifier is not None]


def _by_output(what: str, given: Any, names: Any) -> list[Any]:
    """For each leaf of `names` what was given for it, an entry or a list of entries; None where nothing was.

    Raises:
        ValueError: the structure is not that of the outputs, or an output is unknown.
    """
    leaves = list(tree.leaves(names))
    if not _is_structure(given):
        return [given] * len(leaves)
    of_metrics = what.endswith("metrics")
    if isinstance(names, str):
        if isinstance(given, dict):
            _check_outputs(what, given, [names], leaves)
            given = given.get(names)
        if not of_metrics and isinstance(given, list | tuple):
            if len(given) != 1:
                raise ValueError(f"{what} has one entry, got {len(given)}: the model has one output, {names!r}.")
            given = given[0]
        return [given]
    if isinstance(given, dict):
        parts = names if isinstance(names, dict) else {leaf: leaf for leaf in leaves}
        _check_outputs(what, given, list(parts), leaves)
        pairs = [(given.get(key), part) for key, part in parts.items()]
    else:
        entries = list(names.values()) if isinstance(names, dict) else list(names)
        if len(given) == len(leaves) != len(entries):
            entries = leaves
        if len(leaves) == 1 or (of_metrics and len(given) == 1 and not _is_structure(given[0])):
            return [part for leaf in leaves for part in _by_output(what, given, leaf)]
        if of_metrics and not given:
            return [None] * len(leaves)
        if isinstance(names, dict) and list(names) != sorted(names):  # Keras would take them in alphabetical order
            raise ValueError(
                f"{what} is a list, which leaves open what is for which output: give a dict with the keys {listed(names)}."
            )
        if len(given) != len(entries):
            raise ValueError(
                f"{what} has {counted(given)}, and the model has {len(leaves)} outputs: {listed(leaves)}. Give a dict by "
                "these names, a list with one entry for each, or one for all."
            )
        pairs = list(zip(given, entries, strict=True))
    return [found for item, part in pairs for found in _by_output(what, item, part)]


def _check_outputs(what: str, given: dict[Any, Any], known: list[Any], leaves: list[Any]) -> None:
    unknown = [key for key in given if key not in known]
    if unknown:
        one = len(leaves) == 1
        raise ValueError(
            f"{what} names the unknown output{'s' if len(unknown) > 1 else ''} {listed(unknown)}; the model's "
            f"{'output is' if one else 'outputs are'} {listed(known)}."
        )


def _loss_labels(names: Any, path: tuple[Any, ...] = ()) -> list[str]:
    """What Keras calls the loss of each output: its name, behind the keys and places of the structures around it."""
    if isinstance(names, str):
        if not path or isinstance(path[-1], int):
            path = (*path[:-1], names)
        return ["/".join(map(str, path))]
    entries: Any = names.items() if isinstance(names, dict) else enumerate(names)
    return [label for key, part in entries for label in _loss_labels(part, (*path, key))]


def _order(loss: Any, names: Any) -> list[int]:
    """The places of the outputs in the order in which Keras adds up their losses, and `evaluate` lists them.

    Entries of a dict are in the order of the dict of losses, else by their keys.
    """

    def visit(loss: Any, part: Any) -> list[int]:
        if isinstance(part, int):
            return [part]
        if not isinstance(part, dict):
            losses = loss if isinstance(loss, list | tuple) and len(loss) == len(part) else [None] * len(part)
            return [i for item, entry in zip(losses, part, strict=True) for i in visit(item, entry)]
        given = loss if isinstance(loss, dict) else {}
        keys = [*given, *sorted(key for key in part if key not in given)]
        return [i for key in keys for i in visit(given.get(key), part[key])]

    structure, count = tree.structure(names), len(tree.paths(names, ""))
    return visit(loss, tree.unflatten(structure, range(count)))


def _free(prefix: str, name: str, taken: list[str], *, weighted: bool) -> str:
    """A unique log key: Keras prefixes a weighted duplicate and numbers others."""
    label = f"{prefix}{name}"
    if label not in taken:
        return label
    if weighted:
        label = f"{prefix}weighted_{name}"
        if label not in taken:
            return label
    number = 1
    while f"{label}_{number}" in taken:
        number += 1
    return f"{label}_{number}"

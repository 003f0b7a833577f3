"""Several optimizers in one model: each weight is assigned to one of them."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any

from lamella.optimizers.base import Optimizer
from lamella.optimizers.loss_scale import LossScaleOptimizer
from lamella.optimizers.state import Rates, Slot, Slots, Weight, description, weights_of

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike


class OptimizerMap(MutableMapping[str, Optimizer]):
    """A mapping from the path of a weight ("dense/kernel", without the model's name) to its optimizer.

    A key is a path, or a regular expression that must match a whole path; keys that are equal to the path take
    precedence.

    Args:
        default_optimizer: the optimizer of paths without an entry, or an argument of `lamella.optimizers.get`.
        optimizer_map: `{path or expression: optimizer}`.

    Raises:
        ValueError: an entry is an optimizer that wraps others; on lookup, if two expressions match one path.

    Example:
        >>> from lamella.optimizers import SGD, OptimizerMap
        >>> optimizers = OptimizerMap("adam", {"head/.*": SGD(0.1)})
        >>> optimizers["head/kernel"].name, optimizers["dense/kernel"].name
        ('sgd', 'adam')
    """

    def __init__(self, default_optimizer: Any, optimizer_map: Mapping[str, Any] | None = None) -> None:
        self.default_optimizer = _plain(default_optimizer)
        self._entries: dict[str, Optimizer] = {}
        for key, optimizer in (optimizer_map or {}).items():
            self[key] = optimizer

    def __getitem__(self, key: str) -> Optimizer:
        if key in self._entries:
            return self._entries[key]
        found = [expression for expression in self._entries if re.fullmatch(expression, key)]
        if len(found) > 1:
            raise ValueError(
                f"OptimizerMap: {key!r} is matched by {' and '.join(map(repr, found))}; expected one match."
            )
        return self._entries[found[0]] if found else self.default_optimizer

    def __setitem__(self, key: str, optimizer: Any) -> None:
        if not isinstance(key, str):
            raise ValueError(f"a key of an OptimizerMap must be a string, got {key!r}.")
        if key in self._entries:
            raise ValueError(f"OptimizerMap already has an entry {key!r}: delete it first.")
        self._entries[key] = _plain(optimizer)

    def __delitem__(self, key: str) -> None:
        del self._entries[key]

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __call__(self, variable: Any) -> Optimizer:
        """The optimizer of a weight: any object with a `path`."""
        return self[variable.path]

    def warn_of_unmatched(self, paths: Sequence[str]) -> None:
        """Warn of every key that is none of these paths of weights, and matches none as an expression."""
        for key in self._entries:
            if not any(path == key or re.fullmatch(key, path) for path in paths):
                warnings.warn(
                    f"OptimizerMap: {key!r} matches no weight; the weights are {', '.join(paths)!s:.300}.", stacklevel=2
                )

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON values."""
        return {
            "default_optimizer": description(self.default_optimizer),
            "optimizer_map": {key: description(optimizer) for key, optimizer in self._entries.items()},
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> OptimizerMap:
        """The map that `get_config` described."""
        return cls(**config)


class MultiOptimizer(Optimizer):
    """Train every weight with the optimizer that a map, or a function of the weight, assigns to it.

    Clipping by a global norm, weight decay, averages and accumulation apply per optimizer, to the weights assigned to
    it.

    Args:
        optimizer_map: an `OptimizerMap`, its configuration, or a function from a weight (with `path`, `name`, `shape`
            and `dtype`) to an optimizer. The function is called once per path.
        loss_scale_factor: replaces that of the optimizers.
        name: the name in files; None is "multi_optimizer".

    Raises:
        ValueError: `optimizer_map` is none of these, or an optimizer wraps others.
        AttributeError: on access to `learning_rate`: set that of one of the `optimizers`.

    Example:
        >>> import numpy as np
        >>> from lamella.optimizers import SGD, MultiOptimizer, OptimizerMap
        >>> optimizer = MultiOptimizer(OptimizerMap(SGD(1.0), {"head/.*": SGD(0.1)}))
        >>> weights = {"dense/kernel": np.zeros(1), "head/kernel": np.zeros(1)}
        >>> optimizer.apply({"dense/kernel": np.ones(1), "head/kernel": np.ones(1)}, weights)
        {'dense/kernel': array([-1.]), 'head/kernel': array([-0.1])}
    """

    def __init__(
        self,
        optimizer_map: OptimizerMap | Callable[[Any], Any] | dict[str, Any],
        loss_scale_factor: float | None = None,
        name: str | None = None,
    ) -> None:
        self._inner: list[Optimizer] = []
        self._numbers: dict[Optimizer, int] = {}
        self._places: dict[str, int] = {}
        super().__init__(0.0, loss_scale_factor=loss_scale_factor, name=name)
        if isinstance(optimizer_map, dict):
            optimizer_map = OptimizerMap.from_config(optimizer_map.get("config", optimizer_map))
        if not callable(optimizer_map):
            raise ValueError(f"optimizer_map must be an OptimizerMap or a function of a weight, got {optimizer_map!r}.")
        self.optimizer_map = optimizer_map
        if isinstance(optimizer_map, OptimizerMap):
            for optimizer in (*optimizer_map.values(), optimizer_map.default_optimizer):
                self._place(optimizer)

    @property
    def optimizers(self) -> list[Optimizer]:
        """The optimizers in the order of the map, the default one last; of a function, those returned so far."""
        return list(self._inner)

    def _place(self, optimizer: Any) -> int:
        optimizer = _plain(optimizer)
        number = self._numbers.setdefault(optimizer, len(self._inner))
        if number == len(self._inner):
            optimizer.loss_scale_factor = self.loss_scale_factor
            self._inner.append(optimizer)
        return number

    def _parts(self, weights: Sequence[Weight]) -> list[tuple[int, list[int]]]:
        """The number of each optimizer that has weights, and the indices of these weights."""
        if len(weights) > 1 and not any(weight.path for weight in weights):
            raise ValueError(
                "a MultiOptimizer chooses by the paths of the weights: pass `apply` dicts of arrays by path."
            )
        parts: dict[int, list[int]] = {}
        for i, weight in enumerate(weights):
            if weight.path not in self._places:
                self._places[weight.path] = self._place(self.optimizer_map(weight))
            parts.setdefault(self._places[weight.path], []).append(i)
        return sorted(parts.items())

    # ---- learning rates: one per optimizer ----

    @property
    def learning_rate(self) -> Any:
        """Raises an AttributeError: each of `optimizers` has a learning rate."""
        raise AttributeError(
            "a MultiOptimizer has no learning rate: read or set those of its `optimizers`, one by one."
        )

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if hasattr(self, "optimizer_map"):
            raise AttributeError("a MultiOptimizer has no learning rate: set those of its `optimizers`.")

    def with_learning_rate(self) -> list[Optimizer]:
        """The optimizers."""
        return self.optimizers

    def rates(self) -> Rates:
        """The learning rates of the optimizers, numbered."""
        return {_numbered(name, n): rate for n, o in enumerate(self._inner) for name, rate in o.rates().items()}

    def schedules(self) -> list[Any]:
        """The schedules of the optimizers."""
        return [schedule for optimizer in self._inner for schedule in optimizer.schedules()]

    def exclude_from_weight_decay(
        self, var_list: Sequence[Any] | None = None, var_names: Sequence[str] | None = None
    ) -> None:
        """Exclude weights from the weight decay of all current `optimizers`."""
        for optimizer in self._inner:
            optimizer.exclude_from_weight_decay(var_list, var_names)

    # ---- state ----

    def _reached(self, step: ArrayLike, scalars: Mapping[str, Any]) -> None:
        super()._reached(step, scalars)
        for optimizer in self._inner:
            optimizer._reached(step, {})

    def slot_specs(self, weights: Sequence[Weight]) -> dict[str, Any]:
        """The state of each optimizer for its weights; warns of the keys of an `OptimizerMap` that match none of them."""
        parts = self._parts(weights)
        if isinstance(self.optimizer_map, OptimizerMap):
            self.optimizer_map.warn_of_unmatched([weight.path for weight in weights])
        found: dict[str, Any] = {}
        for number, part in parts:
            for name, held in self._inner[number].slot_specs([weights[i] for i in part]).items():
                if isinstance(held, Slot):
                    found[_numbered(name, number)] = held
                    continue
                whole = found.setdefault(name, [None] * len(weights))
                for i, slot in zip(part, held, strict=True):
                    whole[i] = slot
        return found

    def _slots_of_part(self, slots: Slots, number: int, part: list[int]) -> Slots:
        mine: Slots = {}
        for name, held in slots.items():
            if isinstance(held, list) and any(held[i] is not None for i in part):
                mine[name] = [held[i] for i in part]
        return mine | _of_number({name: held for name, held in slots.items() if not isinstance(held, list)}, number)

    # ---- one update of all weights ----

    def apply_gradients_program(
        self,
        params: Sequence[Any],
        gradients: Sequence[Any],
        slots: Slots,
        step: ArrayLike,
        rates: Mapping[str, Any] | None = None,
        weights: Sequence[Weight] | None = None,
    ) -> tuple[list[Any], Slots]:
        """One step of each optimizer on its weights; see `Optimizer.apply_gradients_program`."""
        weights = weights or weights_of(params)
        new_params = list(params)
        new_slots: Slots = {name: list(held) if isinstance(held, list) else held for name, held in slots.items()}
        for number, part in self._parts(weights):
            inner = self._inner[number]
            given = _of_number(rates or {}, number)
            mine = self._slots_of_part(slots, number, part)
            updated, after = inner.apply_gradients_program(
                [params[i] for i in part], [gradients[i] for i in part], mine, step, given, [weights[i] for i in part]
            )
            for place, i in enumerate(part):
                new_params[i] = updated[place]
            for name, held in after.items():
                if not isinstance(held, list):
                    new_slots[_numbered(name, number)] = held
                    continue
                for i, value in zip(part, held, strict=True):
                    new_slots[name][i] = value
        return new_params, new_slots

    def final_values(self, params: Sequence[Any], slots: Slots) -> list[Any]:
        """The averages of weights whose optimizer keeps averages; other weights unchanged."""
        averages = slots.get("average", [None] * len(params))
        return [w if average is None else average for w, average in zip(params, averages, strict=True)]

    # ---- configuration ----

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON values.

        Raises:
            ValueError: `optimizer_map` is a function, which has no configuration.
        """
        if not isinstance(self.optimizer_map, OptimizerMap):
            raise ValueError("a MultiOptimizer with a function has no configuration: use an OptimizerMap.")
        return {
            "name": self.name,
            "optimizer_map": description(self.optimizer_map),
            "loss_scale_factor": self.loss_scale_factor,
        }

    def __repr__(self) -> str:
        return f"MultiOptimizer({self.optimizer_map!r})"


def _numbered(name: str, number: int) -> str:
    return f"{name}_{number}"


def _of_number(named: Mapping[str, Any], number: int) -> dict[str, Any]:
    end = _numbered("", number)
    return {name.removesuffix(end): value for name, value in named.items() if name.endswith(end)}


def _plain(optimizer: Any) -> Optimizer:
    """An optimizer of lamella that wraps no other one."""
    from lamella.optimizers import get  # the table of optimizers names these classes

    found = get(optimizer)
    if not isinstance(found, Optimizer) or isinstance(found, LossScaleOptimizer | MultiOptimizer):
        raise ValueError(
            f"the optimizer of a weight must be one of lamella's, and neither a LossScaleOptimizer nor a MultiOptimizer, got "
            f"{found!r}."
        )
    return found

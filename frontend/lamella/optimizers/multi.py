"""Several optimizers for one model: each weight has one of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any

from lamella.optimizers.base import Optimizer
from lamella.optimizers.loss_scale import LossScaleOptimizer
from lamella.optimizers.state import Rates, Slot, Slots, Weight, described, description


class OptimizerMap(MutableMapping[str, Optimizer]):
    """Which optimizer a weight has, by its path ("dense/kernel", without the model's name).

    A key is a path, or a regular expression that matches the whole of one; a path comes first.

    Args:
        default_optimizer: for paths without an entry; an optimizer or what `lamella.optimizers.get` takes.
        optimizer_map: {path or expression: optimizer}.

    Raises:
        ValueError: two expressions match one path, or an entry is no plain optimizer.
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
            raise ValueError(f"OptimizerMap: {key!r} is matched by {' and '.join(map(repr, found))}; one may.")
        return self._entries[found[0]] if found else self.default_optimizer

    def __setitem__(self, key: str, optimizer: Any) -> None:
        if not isinstance(key, str):
            raise ValueError(f"a key of an OptimizerMap is a string, got {key!r}.")
        if key in self._entries:
            raise ValueError(f"OptimizerMap has an entry {key!r} already: delete it first.")
        self._entries[key] = _plain(optimizer)

    def __delitem__(self, key: str) -> None:
        del self._entries[key]

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __call__(self, variable: Any) -> Optimizer:
        """The optimizer of a weight: anything with a `path`."""
        return self[variable.path]

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal map."""
        return {
            "default_optimizer": description(self.default_optimizer),
            "optimizer_map": {key: description(optimizer) for key, optimizer in self._entries.items()},
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> OptimizerMap:
        """The map that `get_config` described."""
        return cls(**config)


class MultiOptimizer(Optimizer):
    """Every weight is trained by the optimizer that a map, or a function of the weight, gives it.

    Clipping by a global norm, weight decay, averages and accumulation are each optimizer's own, over its own weights.

    Args:
        optimizer_map: an `OptimizerMap`, its configuration, or a function from a weight (with `path`, `name`, `shape` and
            `dtype`) to an optimizer. The function is asked once for each path.
        loss_scale_factor: takes the place of the optimizers' own.
        name: the name in files.

    Raises:
        AttributeError: somebody asks for one learning rate.
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
            raise ValueError(f"optimizer_map is an OptimizerMap or a function of a weight, got {optimizer_map!r}.")
        self.optimizer_map = optimizer_map
        if isinstance(optimizer_map, OptimizerMap):
            for optimizer in (*optimizer_map.values(), optimizer_map.default_optimizer):
                self._place(optimizer)

    @property
    def optimizers(self) -> list[Optimizer]:
        """The optimizers, in the order of the map, the default one last; of a function, those it has given so far."""
        return list(self._inner)

    def _place(self, optimizer: Any) -> int:
        optimizer = _plain(optimizer)
        number = self._numbers.setdefault(optimizer, len(self._inner))
        if number == len(self._inner):
            optimizer.loss_scale_factor = self.loss_scale_factor
            self._inner.append(optimizer)
        return number

    def _parts(self, weights: Sequence[Weight]) -> list[tuple[int, list[int]]]:
        """For every optimizer that has weights its number and theirs."""
        if len(weights) > 1 and not any(weight.path for weight in weights):
            raise ValueError("a MultiOptimizer chooses by the weights' paths: give `apply` dicts of arrays by path.")
        parts: dict[int, list[int]] = {}
        for i, weight in enumerate(weights):
            if weight.path not in self._places:
                self._places[weight.path] = self._place(self.optimizer_map(weight))
            parts.setdefault(self._places[weight.path], []).append(i)
        return sorted(parts.items())

    # ---- learning rates: one an optimizer ----

    @property
    def learning_rate(self) -> Any:
        """There is none: each of `optimizers` has its own."""
        raise AttributeError(
            "a MultiOptimizer has no learning rate of its own: read or set that of its `optimizers`, one by one."
        )

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if hasattr(self, "optimizer_map"):
            raise AttributeError("a MultiOptimizer has no learning rate of its own: set that of its `optimizers`.")

    def with_learning_rate(self) -> list[Optimizer]:
        """The optimizers."""
        return self.optimizers

    def rates(self) -> Rates:
        """Those of the optimizers, numbered."""
        return {_numbered(name, n): rate for n, o in enumerate(self._inner) for name, rate in o.rates().items()}

    def schedules(self) -> list[Any]:
        """Those of the optimizers."""
        return [schedule for optimizer in self._inner for schedule in optimizer.schedules()]

    def exclude_from_weight_decay(
        self, var_list: Sequence[Any] | None = None, var_names: Sequence[str] | None = None
    ) -> None:
        """Leave weights out of the weight decay of every optimizer known so far."""
        for optimizer in self._inner:
            optimizer.exclude_from_weight_decay(var_list, var_names)

    # ---- state ----

    def _reached(self, step: Any, scalars: Mapping[str, Any]) -> None:
        super()._reached(step, scalars)
        for optimizer in self._inner:
            optimizer._reached(step, {})

    def slot_specs(self, weights: Sequence[Weight]) -> dict[str, Any]:
        """The state of each optimizer for its weights."""
        found: dict[str, Any] = {}
        for number, part in self._parts(weights):
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
        step: Any,
        rates: Mapping[str, Any] | None = None,
        weights: Sequence[Weight] | None = None,
    ) -> tuple[list[Any], Slots]:
        """One step of each optimizer on its weights; see `Optimizer.apply_gradients_program`."""
        weights = weights or described(params)
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
        """The averages of weights whose optimizer keeps some."""
        averages = slots.get("average", [None] * len(params))
        return [w if average is None else average for w, average in zip(params, averages, strict=True)]

    # ---- configuration ----

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal optimizer.

        Raises:
            ValueError: a function chooses the optimizers; a configuration cannot hold it.
        """
        if not isinstance(self.optimizer_map, OptimizerMap):
            raise ValueError("a MultiOptimizer made of a function has no configuration: use an OptimizerMap.")
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
    """An optimizer of lamella's that is no wrapper itself."""
    from lamella.optimizers import get  # the table of optimizers names these classes

    found = get(optimizer)
    if not isinstance(found, Optimizer) or isinstance(found, LossScaleOptimizer | MultiOptimizer):
        raise ValueError(
            f"an optimizer of a weight is one of lamella's own, and neither a LossScaleOptimizer nor a MultiOptimizer; got "
            f"{found!r}."
        )
    return found

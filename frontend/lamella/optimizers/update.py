"""One optimizer step over all weights: unscale, accumulate, clip, decay, update, average, constrain.

All functions work on symbolic values and on arrays. A rule is computed in the weights' dtype, but at least in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella import ops
from lamella.ir.spec import promote, spec_of
from lamella.optimizers.state import Slots, Weight

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, Tensor
    from lamella.optimizers.base import Optimizer


def update(
    optimizer: Optimizer,
    weights: Sequence[Weight],
    params: Sequence[Any],
    gradients: Sequence[Any],
    slots: Slots,
    step: ArrayLike,
    rate: Any,
) -> tuple[list[Any], Slots]:
    """The new weights and slots, as described by `Optimizer.apply_gradients_program`.

    Args:
        optimizer: the optimizer, for its rule and options.
        weights: the descriptions of the weights.
        params: the values of the weights.
        gradients: one per weight; None leaves a weight unchanged.
        slots: the state.
        step: the number of steps before this one, including steps that only accumulate: uint32[].
        rate: the learning rate of this step, a float of shape ().
    """
    new_params = list(params)
    new_slots = {name: list(held) if isinstance(held, list) else held for name, held in slots.items()}
    chosen = [i for i, g in enumerate(gradients) if g is not None]
    if not chosen:
        return new_params, new_slots
    dtype = promote("float32", *[spec_of(params[i]).dtype for i in chosen])
    given = {i: _unscaled(gradients[i], optimizer.loss_scale_factor) for i in chosen}
    count, every = step, optimizer.gradient_accumulation_steps
    updates: Any = None
    if every:
        count = ops.floor_divide(step, np.uint32(every))
        updates = ops.equal(ops.remainder(step, np.uint32(every)), np.uint32(every - 1))
        given, new_slots["gradient_accumulator"] = _accumulated(
            given, slots["gradient_accumulator"], weights, updates, every
        )
    given, scale = _clipped(optimizer, given, dtype)
    rate = ops.cast(rate, dtype)
    shared = optimizer.scalars(count, rate)
    if optimizer.in_keras_style:
        optimizer.stepping(slots, count)
    if scale is not None:
        shared["gradient_scale"] = scale
    if updates is not None:
        shared["updates"] = updates
    decays = {i: optimizer.decay_of(weights[i]) for i in chosen}
    for group in _grouped(
        chosen,
        lambda i: (spec_of(params[i]).dtype, decays[i], optimizer.elementwise(weights[i]), tuple(_own(slots, i))),
    ):
        first = group[0]
        scalars = dict(shared)
        if decays[first]:
            scalars["weight_decay"] = ops.multiply(rate, decays[first])
        names = _own(slots, first)
        columns = [[params[i] for i in group], [given[i] for i in group]]
        columns += [[slots[name][i] for i in group] for name in names]
        if optimizer.elementwise(weights[first]):
            rule = _full_rule(optimizer, optimizer.rule, names, list(scalars))
            results = ops.foreach(rule, columns, list(scalars.values()))
        else:
            rows = [
                _full_rule(optimizer, optimizer.rule_at(i), names, list(scalars))(*row, *scalars.values())
                for i, *row in zip(group, *columns, strict=True)
            ]
            results = list(zip(*rows, strict=True))
        for place, i in enumerate(group):
            new_params[i] = results[0][place]
            for name, column in zip(names, results[1:], strict=True):
                new_slots[name][i] = column[place]
    if optimizer.in_keras_style:
        new_slots |= optimizer.stepped(slots, updates)
    if optimizer.use_ema:
        new_params, new_slots["average"] = _averaged(optimizer, new_params, slots["average"], count)
    for i in chosen:
        constraint = weights[i].constraint
        if constraint is not None:
            constrained = constraint(new_params[i])
            new_params[i] = constrained if updates is None else ops.where(updates, constrained, new_params[i])
    return new_params, new_slots


def selected(condition: Tensor, new: Sequence[Any], old: Sequence[Any]) -> list[Any]:
    """`new` where the condition (bool of shape ()) is true, else `old`, bitwise identical.

    NaN in the values that are not selected has no effect. Entries of `old` that are None stay None.
    """
    result = list(new)
    present = [i for i, x in enumerate(old) if x is not None]
    for group in _grouped(present, lambda i: spec_of(old[i]).dtype):
        columns = [[new[i] for i in group], [old[i] for i in group]]
        chosen = ops.foreach(lambda a, b, yes: [ops.where(yes, a, b)], columns, [condition])
        for i, value in zip(group, chosen[0], strict=True):
            result[i] = value
    return result


def _own(slots: Mapping[str, Any], index: int) -> list[str]:
    """The names of the rule's slots that the weight with this index has."""
    common = ("average", "gradient_accumulator")
    return [n for n, held in slots.items() if isinstance(held, list) and n not in common and held[index] is not None]


def _grouped(indices: Iterable[int], key: Callable[[int], Hashable]) -> list[list[int]]:
    groups: dict[Hashable, list[int]] = {}
    for i in indices:
        groups.setdefault(key(i), []).append(i)
    return list(groups.values())


def _full_rule(
    optimizer: Optimizer, own: Callable[..., Any], names: list[str], scalar_names: list[str]
) -> Callable[..., list[Any]]:
    """The optimizer's rule on positional arguments, after clipping by value, scaling of gradients and weight decay.

    With `updates` among the scalars, the new values are used only where it is true.
    """

    def rule(old: Tensor, g: Tensor, *rest: Any) -> list[Any]:
        kept = spec_of(old).dtype
        dtype = promote("float32", kept)
        before = rest[: len(names)]
        slots = {name: ops.cast(x, dtype) for name, x in zip(names, before, strict=True)}
        scalars = dict(zip(scalar_names, rest[len(names) :], strict=True))
        updates = scalars.pop("updates", None)
        scalars = {name: ops.cast(x, dtype) for name, x in scalars.items()}
        w, g = ops.cast(old, dtype), ops.cast(g, dtype)
        if optimizer.clipvalue is not None:
            g = ops.clip(g, -optimizer.clipvalue, optimizer.clipvalue)
        if "gradient_scale" in scalars:
            g = ops.multiply(g, scalars.pop("gradient_scale"))
        if "weight_decay" in scalars:
            w = ops.subtract(w, ops.multiply(w, scalars.pop("weight_decay")))
        w, slots = own(w, g, slots, scalars)
        new = [ops.cast(x, kept) for x in (w, *[slots[name] for name in names])]
        if updates is not None:
            new = [ops.where(updates, x, y) for x, y in zip(new, (old, *before), strict=True)]
        return new

    return rule


def _unscaled(g: Tensor, factor: float | None) -> Tensor:
    return g if factor is None else ops.divide(g, factor)


def _accumulated(
    given: dict[int, Any], accumulators: Sequence[Any], weights: Sequence[Weight], updates: Tensor, every: int
) -> tuple[dict[int, Any], list[Any]]:
    """The mean of the gradients since the last update, and the accumulators after this step."""
    means, held = dict(given), list(accumulators)

    def rule(g: Tensor, total: Tensor, now: Tensor) -> list[Any]:
        kept = spec_of(total).dtype
        dtype = promote("float32", kept)
        total = ops.add(ops.cast(g, dtype), ops.cast(total, dtype))
        zero = ops.zeros_like(total)
        return [ops.divide(total, float(every)), ops.cast(ops.where(now, zero, total), kept)]

    for group in _grouped(given, lambda i: (weights[i].dtype, spec_of(given[i]).dtype)):
        results = ops.foreach(rule, [[given[i] for i in group], [accumulators[i] for i in group]], [updates])
        for i, mean, total in zip(group, *results, strict=True):
            means[i], held[i] = mean, total
    return means, held


def _clipped(optimizer: Optimizer, given: dict[int, Any], dtype: str) -> tuple[dict[int, Any], Any]:
    """The gradients clipped by their norms, and a factor for all of them (None without one)."""
    if optimizer.clipnorm is not None:
        limit = optimizer.clipnorm

        def clipped(g: Tensor) -> Tensor:
            wide = ops.cast(g, promote("float32", spec_of(g).dtype))
            norm = ops.sqrt(ops.sum(ops.square(wide)))
            return ops.cast(ops.multiply(wide, ops.divide(limit, ops.maximum(norm, limit))), spec_of(g).dtype)

        return {i: clipped(g) for i, g in given.items()}, None
    if optimizer.global_clipnorm is not None:
        total: Any = None
        for g in given.values():
            squares = ops.sum(ops.square(ops.cast(g, dtype)))
            total = squares if total is None else ops.add(total, squares)
        norm = ops.sqrt(total)
        # the difference is 0, or NaN for a norm that is not finite, which makes all weights NaN
        poison = ops.subtract(norm, norm)
        limit = optimizer.global_clipnorm
        return given, ops.add(ops.divide(limit, ops.maximum(norm, limit)), poison)
    return given, None


def _averaged(
    optimizer: Optimizer, params: Sequence[Any], averages: Sequence[Any], count: ArrayLike
) -> tuple[list[Any], list[Any]]:
    """The moving averages of the weights, and the weights, which are periodically set to their averages."""
    shared = [ops.equal(count, np.uint32(0))]
    if optimizer.ema_overwrite_frequency:
        every = np.uint32(optimizer.ema_overwrite_frequency)
        shared.append(ops.equal(ops.remainder(count, every), np.uint32(every - 1)))

    def rule(w: Tensor, average: Tensor, first: Tensor, overwrite: Tensor | None = None) -> list[Any]:
        kept = spec_of(w).dtype
        dtype = promote("float32", kept)
        momentum = ops.where(first, ops.cast(0.0, dtype), ops.cast(optimizer.ema_momentum, dtype))
        fresh = ops.multiply(ops.subtract(1.0, momentum), ops.cast(w, dtype))
        average = ops.cast(ops.add(ops.multiply(momentum, ops.cast(average, dtype)), fresh), kept)
        return [average] if overwrite is None else [average, ops.where(overwrite, average, w)]

    new, held = list(params), list(averages)
    for group in _grouped(range(len(new)), lambda i: spec_of(new[i]).dtype):
        results = ops.foreach(rule, [[params[i] for i in group], [averages[i] for i in group]], shared)
        for place, i in enumerate(group):
            held[i] = results[0][place]
            if len(results) == 2:
                new[i] = results[1][place]
    return new, held

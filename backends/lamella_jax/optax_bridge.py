"""An update rule on lists of arrays as an optax `GradientTransformation` on trees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lamella.errors import BackendError


class RuleState(NamedTuple):
    """The state of the transformation.

    Attributes:
        count: updates made so far: uint32[].
        slots: for every slot of the optimizer a tree like the params, with None for a weight without that slot.
        scalars: the slots of the optimizer as a whole, arrays of shape ().
    """

    count: Any
    slots: dict[str, Any]
    scalars: dict[str, Any]


def gradient_transformation(initial: Callable[..., Any], step: Callable[..., Any], name: str) -> Any:
    """The transformation of a rule, as `Backend.gradient_transformation` describes it.

    Raises:
        BackendError: optax is not installed.
    """
    try:
        import optax
    except ImportError:
        raise BackendError("as_optax needs optax: install it with `pip install jax optax`.") from None

    def flattened(params: Any) -> tuple[list[Any], list[str], Any]:
        leaves, structure = jax.tree_util.tree_flatten_with_path(params)
        paths = [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in leaves]
        return [leaf for _, leaf in leaves], paths, structure

    def as_state(count: Any, slots: dict[str, Any], structure: Any) -> RuleState:
        trees = {n: structure.unflatten(held) for n, held in slots.items() if isinstance(held, list)}
        return RuleState(count, trees, {n: x for n, x in slots.items() if not isinstance(x, list)})

    def init(params: Any) -> RuleState:
        weights, paths, structure = flattened(params)
        slots = {
            slot: [None if a is None else jnp.asarray(a) for a in held] if isinstance(held, list) else jnp.asarray(held)
            for slot, held in initial(weights, paths).items()
        }
        return as_state(jnp.zeros((), jnp.uint32), slots, structure)

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, RuleState]:
        if params is None:
            raise ValueError(f"{name}: update needs the params: update(grads, state, params).")
        weights, paths, structure = flattened(params)
        slots = {slot: structure.flatten_up_to(tree) for slot, tree in state.slots.items()}
        gradients = structure.flatten_up_to(updates)
        changes, new = step(weights, gradients, {**slots, **state.scalars}, state.count, paths)
        return structure.unflatten(changes), as_state(state.count + jnp.uint32(1), new, structure)

    return optax.GradientTransformation(init, update)

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
        slots: for every slot of the optimizer a tree like the params.
    """

    count: Any
    slots: dict[str, Any]


def gradient_transformation(initial: Callable[..., Any], step: Callable[..., Any], name: str) -> Any:
    """The transformation of a rule, as `Backend.gradient_transformation` describes it.

    Raises:
        BackendError: optax is not installed.
    """
    try:
        import optax
    except ImportError:
        raise BackendError("as_optax needs optax: install it with `pip install 'lamella[jax]'`.") from None

    def init(params: Any) -> RuleState:
        weights, structure = jax.tree.flatten(params)
        slots = {
            slot: jax.tree.unflatten(structure, [jnp.asarray(a, w.dtype) for a, w in zip(arrays, weights, strict=True)])
            for slot, arrays in initial(weights).items()
        }
        return RuleState(jnp.zeros((), jnp.uint32), slots)

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, RuleState]:
        if params is None:
            raise ValueError(f"{name}: update needs the params: update(grads, state, params).")
        weights, structure = jax.tree.flatten(params)
        slots = {slot: jax.tree.leaves(tree) for slot, tree in state.slots.items()}
        changes, new = step(weights, jax.tree.leaves(updates), slots, state.count)
        trees = {slot: jax.tree.unflatten(structure, arrays) for slot, arrays in new.items()}
        return jax.tree.unflatten(structure, changes), RuleState(state.count + jnp.uint32(1), trees)

    return optax.GradientTransformation(init, update)

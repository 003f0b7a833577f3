"""An optimizer of lamella as an optax `GradientTransformation`. Imported by `Optimizer.as_optax` only.

Nothing here imports JAX: trees are taken apart by optax's own tree map, and numbers by lamella's ops, which the JAX
backend computes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lamella import ops
from lamella.backend import load_backend
from lamella.errors import BackendError
from lamella.ir.spec import spec_of

if TYPE_CHECKING:
    from lamella.optimizers.base import Optimizer


class OptaxState(NamedTuple):
    """The state of the transformation.

    Attributes:
        count: updates made so far: uint32[].
        slots: for every slot of the optimizer a tree like the params.
    """

    count: Any
    slots: dict[str, Any]


def transformation(optimizer: Optimizer) -> Any:
    """`optimizer` as an `optax.GradientTransformation`; its learning rate, where it is a number, is fixed now.

    Raises:
        BackendError: optax or the JAX backend is not installed.
    """
    try:
        import optax
    except ImportError:
        raise BackendError("as_optax needs optax: install it with `pip install 'lamella[jax]'`.") from None
    jax_backend = load_backend("jax")
    rate = optimizer.learning_rate

    def leaves(tree: Any) -> list[Any]:
        found: list[Any] = []

        def collect(leaf: Any, _: Any) -> Any:
            found.append(leaf)
            return leaf

        optax.stateless_with_tree_map(collect).update(tree, optax.EmptyState())
        return found

    def rebuilt(tree: Any, items: Sequence[Any]) -> Any:
        rest = iter(items)
        return optax.stateless_with_tree_map(lambda leaf, _: next(rest)).update(tree, optax.EmptyState())[0]

    def init(params: Any) -> OptaxState:
        weights = leaves(params)
        made = optimizer.initial_slots([tuple(w.shape) for w in weights], [spec_of(w).dtype for w in weights])
        slots = {
            name: [jax_backend.asarray(a, spec_of(w).dtype) for a, w in zip(arrays, weights, strict=True)]
            for name, arrays in made.items()
        }
        count = jax_backend.asarray(np.zeros((), np.uint32), "uint32")
        return OptaxState(count, {name: rebuilt(params, arrays) for name, arrays in slots.items()})

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, OptaxState]:
        if params is None:
            raise ValueError(f"{optimizer.name}: update needs the params: update(grads, state, params).")
        weights, slots = leaves(params), {name: leaves(tree) for name, tree in state.slots.items()}
        updated, new = optimizer.apply_gradients_program(weights, leaves(updates), slots, state.count, rate)
        changes = [ops.subtract(after, before) for after, before in zip(updated, weights, strict=True)]
        trees = {name: rebuilt(params, items) for name, items in new.items()}
        return rebuilt(params, changes), OptaxState(ops.add(state.count, np.uint32(1)), trees)

    return optax.GradientTransformation(init, update)

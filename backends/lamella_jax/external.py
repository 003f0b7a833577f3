"""External optimizers: optax transformations, checked before they train anything, and applied to a batch."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lamella.errors import BackendError
from lamella.ir.spec import Spec

Arrays = dict[str, Any]


def initial(optimizer: Any, params: Arrays) -> Any:
    """The first state of an optax transformation, with the numbers of random keys for the keys."""
    return _numbers(optimizer.init(params))


def update(
    optimizer: Any,
    gradients: Arrays,
    state: Any,
    params: Arrays,
    value: Any,
    value_and_gradients: Callable[[Arrays], tuple[Any, Arrays]],
) -> tuple[Any, Any]:
    """The updates of an optax transformation, and its new state.

    It gets what optax's transformations ask for beside the gradients: `value` and `grad`, the loss of the batch and its
    gradients, and functions of the params: `value_fn` and `obj_fn` give the loss, `grad_fn` the gradients.

    Args:
        optimizer: the transformation.
        gradients: by the names of the params.
        state: its state, as `initial` gives it.
        params: the weights.
        value: the loss of the batch.
        value_and_gradients: `params -> (loss, gradients)` on the same batch.
    """

    @jax.custom_jvp
    def loss(params: Arrays) -> Any:
        return value_and_gradients(params)[0]

    @loss.defjvp
    def _(primals: tuple[Arrays], tangents: tuple[Arrays]) -> tuple[Any, Any]:
        # the program has its gradients already, and not every kernel has a derivative in JAX
        found, gradients = value_and_gradients(*primals)
        along = sum((jnp.vdot(gradients[name], t) for name, t in tangents[0].items()), jnp.zeros((), found.dtype))
        return found, along.astype(found.dtype)

    def value_fn(params: Arrays, obj_fn: Any = None, grad_fn: Any = None) -> Any:
        """The loss; optax's line searches pass on every argument that is not their own, and insist that it is taken."""
        return loss(params)

    offered = {
        "value": value,
        "grad": gradients,
        "value_fn": value_fn,
        "obj_fn": value_fn,
        "grad_fn": lambda params, _=None: value_and_gradients(params)[1],
    }
    parameters = inspect.signature(optimizer.update).parameters
    if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        offered = {name: given for name, given in offered.items() if name in parameters}
    leaves, structure = jax.tree.flatten(state)
    kinds = _kinds(optimizer, params)
    own = [a if k is None else jax.random.wrap_key_data(a, impl=k) for a, k in zip(leaves, kinds, strict=True)]
    updates, new = optimizer.update(gradients, jax.tree.unflatten(structure, own), params, **offered)
    return updates, _numbers(new)


def _numbers(state: Any) -> Any:
    return jax.tree.map(lambda a: jax.random.key_data(a) if _is_key(a) else a, state)


def _kinds(optimizer: Any, params: Arrays) -> list[Any]:
    """For each leaf of the state the kind of its random keys, None where it has numbers."""
    found: list[Any] = []

    def look(params: Arrays) -> None:
        leaves = jax.tree.leaves(optimizer.init(params))
        found.extend(jax.random.key_impl(a) if _is_key(a) else None for a in leaves)

    jax.eval_shape(look, params)
    return found


def _is_key(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def checked_state(optimizer: Any, params: Mapping[str, Spec]) -> Any:
    """The shapes and dtypes of the transformation's state for such weights; one step is traced, and nothing computed.

    Raises:
        BackendError: it does not work on such weights, or asks for more than a training step has.
    """
    weights = {n: jax.ShapeDtypeStruct(tuple(map(int, s.shape)), np.dtype(s.dtype)) for n, s in params.items()}

    def squares(params: Arrays) -> tuple[Any, Arrays]:
        return sum((jnp.sum(jnp.square(a)) for a in params.values()), jnp.zeros(())), params

    def step(params: Arrays, state: Any) -> Any:
        return update(optimizer, params, state, params, squares(params)[0], squares)

    try:
        state = jax.eval_shape(partial(initial, optimizer), weights)
        updates, new = jax.eval_shape(step, weights, state)
    except Exception as error:
        raise BackendError(
            f"this optax transformation cannot train the model: on its weights it raises {type(error).__name__}: "
            f"{' '.join(str(error).split())}"
        ) from error
    wrong = (
        "its updates are not of the weights' shapes"
        if _shapes(updates) != _shapes(weights)
        else "its state has other leaves, or leaves of other shapes, after a step than before"
        if _shapes(new) != _shapes(state)
        else None
    )
    if wrong:
        raise BackendError(f"this optax transformation cannot train the model: {wrong}.")
    return state


def _shapes(tree: Any) -> tuple[Any, list[tuple[int, ...]]]:
    leaves, structure = jax.tree.flatten(tree)
    return structure, [jnp.shape(leaf) for leaf in leaves]


def leaves_by_path(state: Any) -> dict[str, Any]:
    """The leaves of an external optimizer's state by their paths, in JAX's order."""
    paths, _ = jax.tree_util.tree_flatten_with_path(state)
    return {f"foreign/{jax.tree_util.keystr(p, simple=True, separator='/')}": leaf for p, leaf in paths}


__all__ = ["checked_state", "initial", "leaves_by_path", "update"]

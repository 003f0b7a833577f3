"""Rematerialization: layers whose intermediate values are recomputed in the backward pass instead of being stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from lamella.errors import ArgumentError
from lamella.stacks import ThreadStack

L = TypeVar("L")

_SCOPES: ThreadStack[RematScope] = ThreadStack()


class RematScope:
    """Context manager in which created layers use less memory in training, at the cost of more computation.

    Intermediate values of such a layer are not stored for the backward pass, which recomputes them from the layer's
    inputs. Inside a layer that is rematerialized as a whole, nested layers are not checkpoints. On NumPy results are
    bitwise identical.

    Args:
        mode: "full" for every layer; "larger_than" for layers whose output has more than `output_size_threshold`
            elements per example; "list_of_layers" for those in `layer_names`; None for no layer.
        output_size_threshold: the number of elements for "larger_than".
        layer_names: the names of layers for "list_of_layers".

    Raises:
        ArgumentError: the mode is unknown. ("activations" of Keras is not supported: an activation function alone is
            computed in place or fused on both backends.)

    Example:
        >>> import lamella
        >>> with lamella.RematScope(mode="larger_than", output_size_threshold=512):
        ...     layer = lamella.layers.Dense(1024, "relu")
    """

    def __init__(
        self, mode: str | None = "full", output_size_threshold: int = 1024, layer_names: Sequence[str] | None = None
    ) -> None:
        if mode not in ("full", "larger_than", "list_of_layers", None):
            raise ArgumentError(
                f"RematScope: mode must be 'full', 'larger_than', 'list_of_layers' or None, got {mode!r}."
            )
        self.mode, self.output_size_threshold = mode, int(output_size_threshold)
        self.layer_names = list(layer_names or ())

    def threshold(self, name: str) -> int | None:
        """Return the output size per example above which a layer is rematerialized; None for never.

        Args:
            name: the name of the layer.
        """
        if self.mode == "full" or (self.mode == "list_of_layers" and name in self.layer_names):
            return 0
        return self.output_size_threshold if self.mode == "larger_than" else None

    def __enter__(self) -> RematScope:
        _SCOPES.items.append(self)
        return self

    def __exit__(self, *_: Any) -> None:
        _SCOPES.items.pop()


def current() -> RematScope | None:
    """Return the innermost scope of this thread, or None."""
    return _SCOPES.top


def remat(layer: L) -> L:
    """Recompute the intermediate values of a layer in the backward pass instead of storing them.

    Only the inputs are stored, and the forward pass is computed twice. On NumPy results are bitwise identical; on JAX
    the order of some sums may differ.

    Args:
        layer: a layer, or a model that is used as a layer; for a model that is trained itself, every layer of it.

    Returns:
        The layer.

    Raises:
        TypeError: `layer` is not a layer.

    Example:
        >>> import lamella
        >>> block = lamella.remat(lamella.Sequential([lamella.layers.Dense(64, "relu"), lamella.layers.Dense(8)]))
        >>> block.remat_scope.mode
        'full'
    """
    rematerialize = getattr(layer, "rematerialize", None)
    if rematerialize is None:
        raise TypeError(f"remat needs a layer, got {type(layer).__name__}: wrap a function in a custom layer.")
    rematerialize(RematScope())
    return layer


def rematerialized(model: Any) -> dict[str, int]:
    """Return the paths of a model's rematerialized layers, each with its threshold."""
    own = model.remat_scope is not None
    found: dict[str, int] = {}
    for path, layer in model.named_layers():
        scope = model.remat_scope if own and "/" not in path else layer.remat_scope
        threshold = None if scope is None else scope.threshold(layer.name)
        if threshold is not None:
            found[path] = threshold
    return found


__all__ = ["RematScope", "current", "remat", "rematerialized"]

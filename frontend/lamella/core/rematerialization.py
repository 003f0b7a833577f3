"""Which layers' values are computed again in the backward pass instead of being kept for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from lamella.errors import ArgumentError
from lamella.stacks import ThreadStack

L = TypeVar("L")

_SCOPES: ThreadStack[RematScope] = ThreadStack()


class RematScope:
    """Layers that are made inside a `with` block keep less memory in training, and compute more.

    The values inside such a layer are not kept for the backward pass, which computes them again from the layer's inputs.
    Within a layer that is rematerialized as a whole, the layers it holds are not borders. No number changes on NumPy.

    Args:
        mode: "full", every layer; "larger_than", those with an output of more than `output_size_threshold` numbers for each
            example; "list_of_layers", those named in `layer_names`; None, no layer.
        output_size_threshold: for "larger_than".
        layer_names: for "list_of_layers".

    Raises:
        ValueError: the mode is none of these. ("activations" of Keras is not offered: an activation function on its own is
            computed in place on both backends, or fused.)

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
        """A layer of this name is rematerialized where its output has more numbers for each example; None: never."""
        if self.mode == "full" or (self.mode == "list_of_layers" and name in self.layer_names):
            return 0
        return self.output_size_threshold if self.mode == "larger_than" else None

    def __enter__(self) -> RematScope:
        _SCOPES.items.append(self)
        return self

    def __exit__(self, *_: Any) -> None:
        _SCOPES.items.pop()


def current() -> RematScope | None:
    """The innermost scope of this thread, or None."""
    return _SCOPES.top


def remat(layer: L) -> L:
    """Compute the values inside `layer` again in the backward pass, instead of keeping them; returns the layer.

    It keeps the inputs alone, and its forward pass is computed twice. No number changes on NumPy; on JAX, the order of some
    sums may.

    Args:
        layer: a layer, or a model that is used as one; of a model that is trained itself, every layer.

    Raises:
        TypeError: it is not a layer.

    Example:
        >>> import lamella
        >>> block = lamella.remat(lamella.Sequential([lamella.layers.Dense(64, "relu"), lamella.layers.Dense(8)]))
    """
    rematerialize = getattr(layer, "rematerialize", None)
    if rematerialize is None:
        raise TypeError(
            f"remat must be given a layer, got {type(layer).__name__}: make a function a layer of your own."
        )
    rematerialize(RematScope())
    return layer


def rematerialized(model: Any) -> dict[str, int]:
    """The paths of a model's rematerialized layers, each with its threshold."""
    own = model.remat_scope is not None
    found: dict[str, int] = {}
    for path, layer in model.named_layers():
        scope = model.remat_scope if own and "/" not in path else layer.remat_scope
        threshold = None if scope is None else scope.threshold(layer.name)
        if threshold is not None:
            found[path] = threshold
    return found


__all__ = ["RematScope", "current", "remat", "rematerialized"]

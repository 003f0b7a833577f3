"""Building layers: each once, whole or not at all, with weights drawn from the model's seed and their path."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella.core import context

if TYPE_CHECKING:
    from lamella.layers.base import Layer


def building(layer: Layer) -> tuple[np.ndarray, str]:
    """The random key and the path that `layer`, which is being built, draws its weights from."""
    stack = _BUILDING.stack
    return stack[-1][1:] if stack and stack[-1][0] is layer else layer._own_key()


class _Building(threading.local):
    """The layers being built in this thread, each with the random key and path its weights are drawn from.

    Attributes:
        draws: whether weights get values; where not, only their specs are recorded.
    """

    def __init__(self) -> None:
        self.stack: list[tuple[Layer, np.ndarray, str]] = []
        self.draws = True


_BUILDING = _Building()


@contextmanager
def specs_only() -> Iterator[None]:
    """Layers built inside record the specs of their weights and draw no values: whoever builds them assigns all of them.

    Nothing is allocated, so a model of any size can be compared with what a file holds.
    """
    before, _BUILDING.draws = _BUILDING.draws, False
    try:
        yield
    finally:
        _BUILDING.draws = before


def draws_values() -> bool:
    """Whether a new weight gets its first value now."""
    return _BUILDING.draws


def built_once(build: Callable[..., None]) -> Callable[..., None]:
    """`build` with its bookkeeping: it runs once, knows where its weights' random keys come from, and fails whole."""

    @functools.wraps(build)
    def wrapped(self: Layer, input_shape: Any = None, *args: Any) -> None:
        stack = _BUILDING.stack
        if stack and stack[-1][0] is self:  # a subclass's build calling its parent's
            build(self, input_shape, *args)
            return
        if self.built:
            self._build_again(input_shape)
            return
        running = context.current()
        if running is not None and running.build_key is not None and running.layers and running.layers[-1] is self:
            key, path = running.build_key, running.where
        elif stack:
            key, path = stack[-1][1], f"{stack[-1][2]}/{self.name_within(stack[-1][0])}"
        else:
            key, path = self._own_key()
        stack.append((self, key, path))
        variables = len(self._variables)
        try:
            with context.entered(None):
                build(self, input_shape, *args)
                if self._initial_weights is not None:
                    self.set_weights(self._initial_weights)
        except BaseException:
            del self._variables[variables:]
            raise
        finally:
            stack.pop()
        self.built = True
        self.build_shape = input_shape

    return wrapped


def weight_key(layer: Layer, label: str) -> tuple[np.ndarray, str]:
    """What decides the draws of a weight: the model's random key, and the weight's path to fold into it."""
    for holder, key, path in reversed(_BUILDING.stack):
        if holder is layer:
            return key, f"{path}/{label}"
    if _BUILDING.stack:
        holder, key, path = _BUILDING.stack[-1]
        return key, f"{path}/{layer.name_within(holder)}/{label}"
    key, path = layer._own_key()
    return key, f"{path}/{label}"

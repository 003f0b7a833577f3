"""Build layers: once, completely or not at all, with weights drawn from the model's seed and their paths."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lamella.core import context

if TYPE_CHECKING:
    from lamella.layers.base import Layer


def building(layer: Layer) -> tuple[np.ndarray, str]:
    """The random key and the path that `layer`, which is being built, draws its weights from."""
    stack = _BUILDING.stack
    return (stack[-1].key, stack[-1].path) if stack and stack[-1].layer is layer else layer._own_key()


class _Entry(NamedTuple):
    """A layer that is being built.

    Attributes:
        layer: the layer.
        key: the random key that its weights are drawn from.
        path: its path, which is folded into the key.
        names: the names of the layers that it holds, by id, as far as they have been looked up.
    """

    layer: Layer
    key: np.ndarray
    path: str
    names: dict[int, str]

    def path_of(self, child: Layer) -> str:
        """The path of a layer that this one holds."""
        if id(child) not in self.names:  # looked up once for all children: a stack of cells builds each of them
            self.names.update((id(layer), name) for name, layer in self.layer.children.items())
        return f"{self.path}/{self.names.get(id(child), child.name)}"


NO_KEY = np.zeros(2, np.uint32)
"""Stands for the random key where nothing is drawn."""


class _Building(threading.local):
    """The layers being built in this thread, each with the random key and path its weights are drawn from.

    Attributes:
        stack: the layers, outermost first.
        draws: whether weights get values; otherwise only their specs are recorded.
    """

    def __init__(self) -> None:
        self.stack: list[_Entry] = []
        self.draws = True


_BUILDING = _Building()


@contextmanager
def specs_only() -> Iterator[None]:
    """Layers built inside record the specs of their weights and draw no values: the caller assigns all of them.

    Nothing is allocated, so that a model of any size can be compared with the contents of a file.
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
    """Wrap `build`: it runs once, with the random keys of its weights, and leaves no weights behind when it fails."""

    @functools.wraps(build)
    def wrapped(self: Layer, input_shape: Any = None, *args: Any) -> None:
        stack = _BUILDING.stack
        if stack and stack[-1].layer is self:  # a subclass's build calling its parent's
            build(self, input_shape, *args)
            return
        if self.built:
            self._build_again(input_shape)
            return
        running = context.current()
        if running is not None and running.build_key is not None and running.layers and running.layers[-1] is self:
            key, path = running.build_key, running.where
        elif stack:
            key, path = stack[-1].key, stack[-1].path_of(self)
        elif draws_values():
            key, path = self._own_key()
        else:  # no seed is used up
            key, path = NO_KEY, self.name
        stack.append(_Entry(self, key, path, {}))
        variables = len(self._variables)
        try:
            with context.entered(None):
                build(self, input_shape, *args)
                self._finish_build(input_shape)
                for variable in self._adopted():
                    variable.path = f"{path}/{variable.name}"
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
    """The random key of the model, and the path of the weight that is folded into it."""
    key, path = _place(layer) or layer._own_key()
    return key, f"{path}/{label}"


def weight_path(layer: Layer, label: str) -> str:
    """The path of a weight that is made now, without a key to draw it from."""
    _, path = _place(layer) or (None, layer.name)
    return f"{path}/{label}"


def _place(layer: Layer) -> tuple[np.ndarray, str] | None:
    """The random key and the path of a layer that is being built, or is held by one that is."""
    for entry in reversed(_BUILDING.stack):
        if entry.layer is layer:
            return entry.key, entry.path
    if _BUILDING.stack:
        innermost = _BUILDING.stack[-1]
        return innermost.key, innermost.path_of(layer)
    return None

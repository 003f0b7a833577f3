"""The layout of a model's arrays in Keras's files: one group per layer, with its variables numbered in `vars`.

Groups in a container are named by class in snake case, numbered where a name is taken; layers in attributes by the
attribute. A variable that two layers share is written where it is met first, as in Keras.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lamella.core import serialization
from lamella.core.variable import Variable
from lamella.layers.base import Layer
from lamella.layers.making import parameters
from lamella.names import snake_case


def kept(layer: Layer) -> list[Variable]:
    """The states that a stateful recurrent layer carries from batch to batch; Keras's files do not contain them."""
    states = set(map(id, getattr(layer, "states", None) or []))
    return [v for v in layer._variables if id(v) in states]


def own(layer: Layer) -> list[Variable]:
    """A layer's variables without states and without those of the layers it holds: the trainable ones first."""
    states = set(map(id, kept(layer)))
    held = [v for v in layer._variables if id(v) not in states]
    return [v for v in held if v.trainable] + [v for v in held if not v.trainable]


@dataclass(frozen=True)
class Place:
    """The group of one layer.

    Attributes:
        group: the path of the group, "" for the model.
        layer: the layer.
        variables: its own variables, in the order of their numbers.
        states: the variables that Keras does not count as weights.
    """

    group: str
    layer: Layer
    variables: list[Variable]
    states: list[Variable]

    def path(self, number: int) -> str:
        """The path of the dataset of a variable."""
        return f"{self.group}/vars/{number}" if self.group else f"vars/{number}"


def places(model: Layer) -> list[Place]:
    """The groups of a model and of every layer in it, in Keras's order."""
    found: list[Place] = []
    _visit(model, "", found, set())
    return found


def datasets(model: Layer) -> list[tuple[str, Variable]]:
    """The path of every array of a model in a file, with the variable that it belongs to."""
    return [(place.path(i), v) for place in places(model) for i, v in enumerate(place.variables)]


def states(model: Layer) -> list[tuple[str, Variable]]:
    """The path of every state in a file, which Keras ignores, with its variable."""
    return [(f"lamella/{p.group}/states/{i}", v) for p in places(model) for i, v in enumerate(p.states)]


def _visit(layer: Layer, group: str, found: list[Place], seen: set[int]) -> None:
    if id(layer) in seen:
        return
    seen.add(id(layer))
    found.append(Place(group, layer, own(layer), kept(layer)))
    holders: dict[int, set[int]] = {}
    for name, value, holder in _attributes(layer):
        held = holders.setdefault(id(holder), set(map(id, holder.children.values())))
        _descend(value, f"{group}/{name}" if group else name, held, found, seen)


def _attributes(layer: Layer) -> Iterator[tuple[str, Any, Layer]]:
    """The containers of layers, and the layer of each: those of a graph first, then the attributes in Keras's order.

    Private attributes come last. A recurrent layer that makes its own cell shows the cell's activations as its own.
    """
    held = dict.fromkeys(vars(layer), layer)
    skipped = ["_arguments", "_calls"]
    if isinstance(layer, serialization.class_named("Model", serialization.CONTAINERS)):
        skipped += ["_nodes", "_places", "_declarations"]
        if vars(layer)["_nodes"]:
            yield "layers", list(vars(layer)["_nodes"].values()), layer
    for word in skipped:
        held.pop(word, None)
    cell = vars(layer).get("cell")
    if isinstance(cell, Layer):
        shown = (word for word in ("activation", "recurrent_activation") if word in parameters(type(layer)))
        held |= {word: cell for word in shown if hasattr(cell, word)}
    for name in sorted(held, key=lambda name: f"~{name}" if name.startswith("_") else name):
        yield name, getattr(held[name], name), held[name]


def _descend(value: Any, group: str, held: set[int], found: list[Place], seen: set[int]) -> None:
    """Visit the layers in `value` that are among those `held`, by id."""
    if isinstance(value, Layer):
        if id(value) in held:
            _visit(value, group, found, seen)
    elif isinstance(value, list | tuple | dict):
        taken: dict[str, int] = {}
        for item in value.values() if isinstance(value, dict) else value:
            if isinstance(item, Layer):
                name = getattr(item, "class_in_files", type(item).__name__)
                _descend(item, f"{group}/{numbered(snake_case(name), taken)}", held, found, seen)
            elif isinstance(item, list | tuple | dict):
                _descend(item, f"{group}/{numbered('container', taken)}", held, found, seen)


def numbered(name: str, taken: dict[str, int]) -> str:
    """The name of a group in a container, with a number where it is taken; `taken` counts."""
    taken[name] = taken.get(name, -1) + 1
    return f"{name}_{taken[name]}" if taken[name] else name

"""The layer calls and operations of a model, and their inputs, as summaries and diagrams show them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from lamella import tree
from lamella.graph import CALL, Graph
from lamella.ir.declared import Declared
from lamella.ir.dim import public_shape
from lamella.ir.program import Equation, Value
from lamella.ir.spec import Spec
from lamella.layers.naming import first_free

if TYPE_CHECKING:
    from lamella.layers.base import Layer

Source = tuple[int, int]
"""(the number of a part, the number of its output)."""


class Part(NamedTuple):
    """One call of a layer, or one operation.

    Attributes:
        name: the layer's name within the model, or one for the operation.
        layer: the layer, None for an operation.
        kind: the layer's class, or the operation.
        sources: its inputs, as outputs of other parts.
        inputs: the specs of its inputs, as far as they are known.
        outputs: the specs of its outputs; empty if they are not known.
        call: the number of the call, from 0.
        calls: the number of calls of the layer.
    """

    name: str
    layer: Layer | None
    kind: str
    sources: tuple[Source, ...]
    inputs: tuple[Spec, ...]
    outputs: tuple[Spec, ...]
    call: int = 0
    calls: int = 1

    @property
    def output_shapes(self) -> str:
        """The shapes of the outputs as text; "?" if they are not known."""
        return shapes_of(self.outputs)


class Parts(NamedTuple):
    """The parts of a model in topological order.

    Attributes:
        parts: the parts.
        entries: for each input of the model the parts that take it.
        exits: the outputs of the model.
        linked: whether the inputs of the parts are known; they are not for a subclass with its own `call`.
    """

    parts: list[Part]
    entries: list[list[int]]
    exits: list[Source]
    linked: bool = True

    @property
    def is_chain(self) -> bool:
        """Whether the only input of each part is the first output of the previous one, and no layer is called twice."""
        if not self.linked:
            return True
        return all(
            part.calls == 1 and part.sources == (((i - 1, 0),) if i else ()) for i, part in enumerate(self.parts)
        )


def shapes_of(specs: Sequence[Spec]) -> str:
    """The shapes of some specs as text, with None for free dimensions; "?" if there are no specs."""
    shapes = [str(public_shape(spec.shape)) for spec in specs]
    return "?" if not shapes else shapes[0] if len(shapes) == 1 else f"[{', '.join(shapes)}]"


def parts_of_graph(graph: Graph, declarations: Sequence[Layer]) -> Parts:
    """The parts of a graph: its inputs, then its equations without constants and broadcasts.

    Args:
        graph: the graph.
        declarations: for each input of the graph the layer that declares it.
    """
    found: dict[Value, Source] = {}
    parts: list[Part] = []
    for value, layer in zip(graph.inputs, declarations, strict=True):
        found[value] = (len(parts), 0)
        parts.append(Part(layer.name, layer, type(layer).__name__, (), (), (value.spec,)))
    counts = Counter(id(equation.attrs["layer"]) for equation in graph.calls)
    names = {layer.name for layer in (*declarations, *graph.layers)}
    met: Counter[int] = Counter()
    for equation in graph.equations:
        operands = [value for value in _operands(equation) if value in found]
        if equation.op.name == "broadcast" and operands:
            found[equation.outputs[0]] = found[operands[0]]
            continue
        if not operands:
            continue  # computed from constants only
        layer = equation.attrs["layer"] if equation.op is CALL else None
        for i, value in enumerate(equation.outputs):
            found[value] = (len(parts), i)
        kind = equation.op.name if layer is None else type(layer).__name__
        name = first_free(kind, names) if layer is None else layer.name
        names.add(name)
        parts.append(
            Part(
                name,
                layer,
                kind,
                tuple(found[value] for value in operands),
                tuple(value.spec for value in operands),
                tuple(value.spec for value in equation.outputs),
                met[id(layer)] if layer else 0,
                counts[id(layer)] if layer else 1,
            )
        )
        met[id(layer)] += 1
    exits = [found[value] for value in graph.outputs if value in found]
    return Parts(parts, [[i] for i in range(len(graph.inputs))], exits)


def _operands(equation: Equation) -> list[Value]:
    """The symbolic operands of an equation; those of a nested model in the order of its inputs."""
    if equation.op is not CALL:
        return list(equation.inputs)
    args, kwargs = equation.attrs["arguments"]
    layer = equation.attrs["layer"]
    if args and isinstance(getattr(layer, "_graph", None), Graph):
        args = (layer.arranged(args[0]), *args[1:])
    return [leaf for leaf in tree.leaves((args, kwargs)) if isinstance(leaf, Declared)]


def parts_of_chain(layers: Sequence[Layer], specs: Sequence[Spec]) -> Parts:
    """The parts of layers that are applied in order.

    Args:
        layers: the layers.
        specs: the specs of the first input and of each output, as far as they are known.
    """
    counts = Counter(map(id, layers))
    met: Counter[int] = Counter()
    parts: list[Part] = []
    for i, layer in enumerate(layers):
        sources = ((i - 1, 0),) if i else ()
        kind, key = type(layer).__name__, id(layer)
        parts.append(
            Part(
                layer.name,
                layer,
                kind,
                sources,
                tuple(specs[i : i + 1]),
                tuple(specs[i + 1 : i + 2]),
                met[key],
                counts[key],
            )
        )
        met[key] += 1
    return Parts(parts, [[0]] if parts else [], [(len(parts) - 1, 0)] if parts else [])


def parts_of_attributes(layers: Mapping[str, Layer], specs: Mapping[str, Sequence[Spec]]) -> Parts:
    """The parts of a subclass, which calls its layers in its `call`.

    Args:
        layers: the layers by name.
        specs: the specs of the outputs of those layers that are known to be called.
    """
    return Parts(
        [Part(name, layer, type(layer).__name__, (), (), tuple(specs.get(name, ()))) for name, layer in layers.items()],
        [],
        [],
        linked=False,
    )

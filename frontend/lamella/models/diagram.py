"""The diagram of a model: a box per layer call and per operation, and lines from outputs to inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lamella import activations
from lamella.drawing import DIRECTIONS, Box, Edge, Frame, Picture, Port, drawn
from lamella.errors import ArgumentError, unknown_name
from lamella.models.base import BaseModel
from lamella.models.parts import Part, Parts, shapes_of

if TYPE_CHECKING:
    from lamella.ir.spec import Spec

_INPUT, _MODEL, _WEIGHTS, _PLAIN, _OPERATION = "#0f766e", "#6d28d9", "#1d4ed8", "#334155", "#64748b"


class Options(NamedTuple):
    """The options of a diagram; see `utils.plot_model`."""

    show_shapes: bool = False
    show_dtype: bool = False
    show_layer_names: bool = False
    rankdir: str = "TB"
    expand_nested: bool = False
    show_layer_activations: bool = False
    show_trainable: bool = False


def picture_of(model: BaseModel, options: Options) -> Picture:
    """Return the diagram of a model, without running it.

    Raises:
        ArgumentError: the model has no layers, or the direction is unknown.
    """
    return drawn(frame_of(model, options), options.rankdir)


def frame_of(model: BaseModel, options: Options) -> Frame:
    """Return the boxes and lines of the diagram of a model.

    Raises:
        ArgumentError: the model has no layers, or the direction is unknown.
    """
    if options.rankdir not in DIRECTIONS:
        raise unknown_name("direction", options.rankdir, DIRECTIONS)
    parts = model.shown_parts()
    if not parts.parts:
        raise ArgumentError(f"Model {model.name!r} has no layers to draw; add one.")
    return _frame(model.name, parts, options, outermost=True)


def _frame(heading: str, parts: Parts, options: Options, *, outermost: bool) -> Frame:
    """The frame of a model; a nested model has ports where lines enter and leave."""
    ports = 0 if outermost else len(parts.entries)
    items: list[Box | Frame | Port] = [Port(first=True) for _ in range(ports)]
    edges = [Edge(i, ports + part) for i, taken in enumerate(parts.entries) for part in taken if not outermost]
    for number, part in enumerate(parts.parts):
        inner = part.layer.shown_parts() if options.expand_nested and isinstance(part.layer, BaseModel) else None
        if inner is not None and inner.parts:
            call = f", call {part.call + 1} of {part.calls}" if part.calls > 1 else ""
            items.append(_frame(_heading(part, options) + call, inner, options, outermost=False))
        else:
            items.append(_box(part, options))
        for entry, (source, output) in enumerate(part.sources):
            begin, end = ports + source, ports + number
            # only frames have several ports
            exit_ = output if isinstance(items[begin], Frame) else 0
            edges.append(Edge(begin, end, exit_, entry if isinstance(items[end], Frame) else 0))
    if not outermost:
        for source, output in parts.exits:
            begin = ports + source
            edges.append(Edge(begin, len(items), output if isinstance(items[begin], Frame) else 0))
            items.append(Port(first=False))
    return Frame(heading, _MODEL, items, list(dict.fromkeys(edges)))


def _heading(part: Part, options: Options) -> str:
    if not options.show_layer_names or part.name == part.kind:
        return part.kind
    return f"{part.name} ({part.kind})"


def _box(part: Part, options: Options) -> Box:
    layer, rows = part.layer, list[tuple[str, str]]()
    if part.calls > 1:
        rows.append(("shared", f"call {part.call + 1} of {part.calls}"))
    activation = getattr(layer, "activation", None)
    if options.show_layer_activations and activation is not None:
        rows.append(("activation", activations.name_of(activation)))
    if options.show_shapes:
        if part.inputs:
            rows += _listed("input", part.inputs)
        rows += _listed("output", part.outputs)
    if options.show_dtype:
        rows.append(("dtype", ", ".join(dict.fromkeys(spec.dtype for spec in part.outputs)) or "?"))
    if options.show_trainable and layer is not None and layer.variables:
        rows.append(("trainable", "yes" if layer.trainable else "no"))
    return Box(_heading(part, options), _color(part), rows)


def _listed(label: str, specs: tuple[Spec, ...]) -> list[tuple[str, str]]:
    """One row per distinct shape."""
    shapes = [shapes_of([spec]) for spec in specs] or ["?"]
    counted = {shape: shapes.count(shape) for shape in shapes}
    texts = [f"{count} x {shape}" if count > 1 else shape for shape, count in counted.items()]
    return [(label if i == 0 else "", text) for i, text in enumerate(texts)]


def _color(part: Part) -> str:
    if part.layer is None:
        return _OPERATION
    if part.kind == "InputLayer":
        return _INPUT
    if isinstance(part.layer, BaseModel):
        return _MODEL
    return _WEIGHTS if part.layer.variables else _PLAIN

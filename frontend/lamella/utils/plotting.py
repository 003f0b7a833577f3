"""Diagrams of models as files, and as text for Graphviz."""

from __future__ import annotations

import os
from typing import Any

from lamella.drawing import Picture, dot_of, drawn
from lamella.errors import ArgumentError
from lamella.files.atomic import write_atomically
from lamella.models.diagram import Options, frame_of, picture_of


def plot_model(
    model: Any,
    to_file: str | os.PathLike[str] = "model.png",
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = False,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: float = 200,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
) -> Picture:
    """Write a diagram of a model to a file, with a box per layer call and per operation.

    The model is not run, and Graphviz is not needed. A layer that is called several times has several boxes. For a
    subclass with its own `call` the layers are shown without lines.

    Args:
        model: the model.
        to_file: path that ends in ".svg", or in ".png", which needs matplotlib.
        show_shapes: whether to show the shapes of inputs and outputs.
        show_dtype: whether to show the dtypes of outputs.
        show_layer_names: whether to show the names of layers beside their classes.
        rankdir: the direction of the diagram: "TB" (top to bottom), "BT", "LR" or "RL".
        expand_nested: whether nested models are drawn as frames around their layers.
        dpi: the resolution of a PNG in pixels per inch.
        show_layer_activations: whether to show the activations of layers.
        show_trainable: whether to show if the weights of layers are trainable.

    Returns:
        The diagram, which a notebook displays.

    Raises:
        ArgumentError: the ending or the direction is unknown, the model has no layers, or the PNG would be too large;
            no file is written then.
        ImportError: matplotlib is not installed.
        OSError: the file cannot be written.

    Example:
        >>> import os, tempfile
        >>> from lamella import Sequential, utils
        >>> from lamella.layers import Dense, Input
        >>> model = Sequential([Input((3,)), Dense(2)], name="small")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     utils.plot_model(model, os.path.join(folder, "small.svg"), show_shapes=True)
        <picture of 'small', 164 x 99>
    """
    ending = os.path.splitext(to_file)[1].lower()  # noqa: PTH122 - it may be a string
    if ending not in (".svg", ".png"):
        raise ArgumentError(f"to_file={os.fspath(to_file)!r}: the ending says what to write: .svg or .png.")
    picture = picture_of(
        model,
        Options(
            show_shapes, show_dtype, show_layer_names, rankdir, expand_nested, show_layer_activations, show_trainable
        ),
    )
    write_atomically(to_file, picture.png(dpi) if ending == ".png" else picture.svg().encode())
    return picture


class Dot:
    """A graph in the DOT language, with the methods of pydot's graphs that scripts call.

    Args:
        text: the graph in the DOT language.
        picture: the same diagram as lamella draws it, without Graphviz.
        dpi: the resolution of a PNG in pixels per inch.
    """

    def __init__(self, text: str, picture: Picture, dpi: float) -> None:
        self._text, self.picture, self.dpi = text, picture, dpi

    def to_string(self) -> str:
        """Return the graph in the DOT language."""
        return self._text

    def create(self, prog: Any = None, format: str = "svg") -> bytes:
        """Return the diagram as the bytes of a file.

        Args:
            prog: ignored; lamella draws the diagram.
            format: "svg", "png" (needs matplotlib), or "dot" or "raw" for the text.

        Raises:
            ArgumentError: the format is unknown.
        """
        if format not in ("svg", "png", "dot", "raw"):
            raise ArgumentError(f"format must be 'svg', 'png', 'dot' or 'raw', got {format!r}.")
        if format == "png":
            return self.picture.png(self.dpi)
        return (self.picture.svg() if format == "svg" else f"{self._text}\n").encode()

    def create_svg(self, prog: Any = None) -> bytes:
        """Return the diagram as the bytes of an SVG file."""
        return self.create(prog, "svg")

    def create_png(self, prog: Any = None) -> bytes:
        """Return the diagram as the bytes of a PNG file."""
        return self.create(prog, "png")

    def write(self, path: str | os.PathLike[str], prog: Any = None, format: str = "raw") -> bool:
        """Write the diagram to a file.

        Args:
            path: the path of the file.
            prog: ignored.
            format: as for `create`.

        Returns:
            True.
        """
        write_atomically(path, self.create(prog, format))
        return True

    def write_svg(self, path: str | os.PathLike[str], prog: Any = None) -> bool:
        """Write an SVG file."""
        return self.write(path, prog, "svg")

    def write_png(self, path: str | os.PathLike[str], prog: Any = None) -> bool:
        """Write a PNG file."""
        return self.write(path, prog, "png")

    def _repr_svg_(self) -> str:
        return self.picture.svg()


_SPLINES = ("ortho", "curved", "polyline", "spline", "line")


def model_to_dot(
    model: Any,
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = True,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: float = 200,
    subgraph: bool = False,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    splines: str = "ortho",
) -> Dot:
    """Return a model as a graph for Graphviz, which need not be installed: lamella draws the diagram itself.

    Args:
        model: the model.
        show_shapes: as for `plot_model`.
        show_dtype: as for `plot_model`.
        show_layer_names: as for `plot_model`.
        rankdir: as for `plot_model`.
        expand_nested: as for `plot_model`.
        dpi: as for `plot_model`.
        subgraph: must be False; pydot's clusters are not supported.
        show_layer_activations: as for `plot_model`.
        show_trainable: as for `plot_model`.
        splines: how Graphviz draws lines: "ortho", "curved", "polyline", "spline" or "line".

    Returns:
        The graph, with the methods `to_string`, `create` and `write` of pydot.

    Raises:
        ArgumentError: the model has no layers, the direction or the kind of lines is unknown, or `subgraph` is True.

    Example:
        >>> from lamella import Sequential, utils
        >>> from lamella.layers import Dense, Input
        >>> dot = utils.model_to_dot(Sequential([Input((3,)), Dense(4), Dense(2)], name="small"))
        >>> dot.to_string().splitlines()[-2], dot.create(prog="dot", format="svg")[:4]
        ('  n0 -> n1;', b'<svg')
    """
    if subgraph:
        raise ArgumentError("model_to_dot: subgraph must be False; expand_nested=True shows models within the model.")
    if splines not in _SPLINES:
        raise ArgumentError(f"model_to_dot: splines must be one of {', '.join(map(repr, _SPLINES))}, got {splines!r}.")
    frame = frame_of(
        model,
        Options(
            show_shapes, show_dtype, show_layer_names, rankdir, expand_nested, show_layer_activations, show_trainable
        ),
    )
    return Dot(dot_of(frame, rankdir, splines, dpi), drawn(frame, rankdir), dpi)

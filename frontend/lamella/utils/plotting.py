"""Pictures of models in files, and as text for Graphviz."""

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
    """Write a picture of a model to a file: a box for each call of a layer and each operation, and what feeds them.

    Nothing is computed, and Graphviz is not needed. A layer that is called several times has as many boxes. Of a subclass
    with its own `call` the layers are shown, and no lines.

    >>> import os, tempfile
    >>> from lamella import Sequential, utils
    >>> from lamella.layers import Dense, Input
    >>> model = Sequential([Input((3,)), Dense(2)], name="small")
    >>> utils.plot_model(model, os.path.join(tempfile.mkdtemp(), "small.svg"), show_shapes=True)
    <picture of 'small', 164 x 99>

    Args:
        model: the model.
        to_file: the file. ".svg" needs nothing, ".png" needs matplotlib.
        show_shapes: whether boxes tell the shapes of inputs and outputs.
        show_dtype: whether they tell the dtypes of the outputs.
        show_layer_names: whether they tell the layers' names beside their classes.
        rankdir: where the picture begins and ends: "TB" (top to bottom), "BT", "LR" or "RL".
        expand_nested: whether models within the model are frames around their own layers.
        dpi: pixels per inch, for PNG.
        show_layer_activations: whether boxes tell the layers' activations.
        show_trainable: whether boxes of layers with weights tell if these are trainable.

    Returns:
        The picture, which a notebook shows.

    Raises:
        ArgumentError: the ending is another, the direction is unknown, the model has no layers, or the PNG would be too
            large; nothing is written then.
        ImportError: matplotlib is not installed.
        OSError: the file cannot be written.
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
    """What `model_to_dot` returns, with the methods that scripts call of the graphs of pydot.

    Args:
        text: the graph in the DOT language.
        picture: the same as lamella draws it, without Graphviz.
        dpi: pixels per inch, for PNG.
    """

    def __init__(self, text: str, picture: Picture, dpi: float) -> None:
        self._text, self.picture, self.dpi = text, picture, dpi

    def to_string(self) -> str:
        """The graph in the DOT language, for Graphviz."""
        return self._text

    def create(self, prog: Any = None, format: str = "svg") -> bytes:
        """The picture as the bytes of a file.

        Args:
            prog: has no meaning here: lamella draws the picture.
            format: "svg", "png" (with matplotlib), or "dot" and "raw" for the text.

        Raises:
            ArgumentError: the format is another.
        """
        if format not in ("svg", "png", "dot", "raw"):
            raise ArgumentError(f"format must be 'svg', 'png', 'dot' or 'raw', got {format!r}.")
        if format == "png":
            return self.picture.png(self.dpi)
        return (self.picture.svg() if format == "svg" else f"{self._text}\n").encode()

    def create_svg(self, prog: Any = None) -> bytes:
        """The picture as the bytes of an SVG file."""
        return self.create(prog, "svg")

    def create_png(self, prog: Any = None) -> bytes:
        """The picture as the bytes of a PNG file."""
        return self.create(prog, "png")

    def write(self, path: str | os.PathLike[str], prog: Any = None, format: str = "raw") -> bool:
        """Write a file.

        Args:
            path: the file.
            prog: has no meaning here.
            format: as of `create`.

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
    """A model as a graph for Graphviz, which need not be installed: `create` returns what lamella draws.

    >>> from lamella import Sequential, utils
    >>> from lamella.layers import Dense, Input
    >>> dot = utils.model_to_dot(Sequential([Input((3,)), Dense(4), Dense(2)], name="small"))
    >>> dot.to_string().splitlines()[-2], dot.create(prog="dot", format="svg")[:4]
    ('  n0 -> n1;', b'<svg')

    Args:
        model: the model.
        show_shapes: see `plot_model`.
        show_dtype: likewise.
        show_layer_names: likewise.
        rankdir: likewise.
        expand_nested: likewise.
        dpi: likewise.
        subgraph: False: pydot's clusters are not made.
        show_layer_activations: see `plot_model`.
        show_trainable: likewise.
        splines: how Graphviz is to draw lines: "ortho", "curved", "polyline", "spline" or "line".

    Raises:
        ArgumentError: the model has no layers, the direction or the kind of lines is unknown, or `subgraph` is True.
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

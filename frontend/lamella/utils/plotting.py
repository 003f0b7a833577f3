"""Pictures of models in files."""

from __future__ import annotations

import os
from typing import Any

from lamella.drawing import Picture
from lamella.errors import ArgumentError
from lamella.files.atomic import write_atomically
from lamella.models.diagram import Options, picture_of


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

"""Batches of the images of an array."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella.errors import ArgumentError, ShapeError, unknown_name
from lamella.ir import settings
from lamella.preprocessing.checks import check_images
from lamella.preprocessing.iterator import ImageIterator

if TYPE_CHECKING:
    from lamella.preprocessing.image_generator import ImageDataGenerator


class NumpyArrayIterator(ImageIterator):
    """The images of an array in batches, changed and normalized; made by `ImageDataGenerator.flow`.

    Args:
        x: `(images, height, width, channels)`, or a pair of it and of a further input (or a list of them).
        y: the targets, or None.
        image_data_generator: what changes the images.
        batch_size: images per batch.
        shuffle: whether each epoch has another order.
        sample_weight: weights of the images, or None.
        seed: of order and changes; None draws one.
        data_format: "channels_last" or "channels_first"; None is `config.image_data_format()`.
        save_to_dir: a folder for what was computed.
        save_prefix: what the names of these files begin with.
        save_format: their format.
        subset: "training" or "validation".
        ignore_class_split: whether the two subsets may have different classes.
        dtype: of the batches; None is `config.floatx()`.

    Attributes:
        x: the images.
        x_misc: the further inputs.
        y: the targets, or None.
        sample_weight: the weights, or None.
        n: how many images there are.

    Raises:
        ArgumentError: an argument has no meaning, or the subsets have different classes.
        ShapeError: the arrays have not the same number of rows, or the images not four dimensions.

    Example:
        >>> import numpy as np
        >>> from lamella.preprocessing.image import ImageDataGenerator, NumpyArrayIterator
        >>> images = np.full((3, 2, 2, 1), 255.0)
        >>> data = NumpyArrayIterator(images, [0, 1, 0], ImageDataGenerator(rescale=1 / 255), batch_size=2)
        >>> x, y = data[0]
        >>> x.shape, float(x.max()), y.tolist()
        ((2, 2, 2, 1), 1.0, [0, 1])
    """

    def __init__(
        self,
        x: Any,
        y: Any,
        image_data_generator: ImageDataGenerator,
        batch_size: int = 32,
        shuffle: bool = False,
        sample_weight: Any = None,
        seed: int | None = None,
        data_format: str | None = None,
        save_to_dir: str | os.PathLike[str] | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        subset: str | None = None,
        ignore_class_split: bool = False,
        dtype: Any = None,
    ) -> None:
        data_format = settings.layout_of(data_format)
        further: list[Any] = []
        if isinstance(x, tuple | list) and len(x) == 2:
            further = x[1] if isinstance(x[1], list) else [x[1]]
            x = x[0]
        arrays = {"x": np.asarray(x), "y": y, "sample_weight": sample_weight}
        arrays |= {f"x[{i + 1}]": a for i, a in enumerate(further)}
        arrays = {name: np.asarray(a) for name, a in arrays.items() if a is not None}
        rows = {name: a.shape[0] if a.ndim else 0 for name, a in arrays.items()}
        if len(set(rows.values())) > 1:
            told = ", ".join(f"{name} {a.shape}" for name, a in arrays.items())
            raise ShapeError(f"all arrays must have the same number of rows, got {told}.")
        check_images(arrays["x"], 3 if data_format == "channels_last" else 1, "ImageDataGenerator.flow")
        if subset is not None:
            kept = _subset(arrays, image_data_generator, subset, ignore_class_split)
            arrays = {name: a[kept] for name, a in arrays.items()}
        self.x, self.y, self.sample_weight = arrays["x"], arrays.get("y"), arrays.get("sample_weight")
        self.x_misc = [arrays[f"x[{i + 1}]"] for i in range(len(further))]
        super().__init__(
            len(self.x), batch_size, shuffle, seed, image_data_generator, data_format, dtype or settings.floatx(),
            save_to_dir, save_prefix, save_format,
        )  # fmt: skip

    def gather(self, passing: int, numbers: np.ndarray) -> Any:
        """Images, images and targets, or images, targets and weights."""
        images = self._changed(self.x[numbers], passing, numbers)
        x = [images, *(a[numbers] for a in self.x_misc)] if self.x_misc else images
        if self.y is None:
            return x
        if self.sample_weight is None:
            return x, self.y[numbers]
        return x, self.y[numbers], self.sample_weight[numbers]


def _subset(arrays: dict[str, np.ndarray], generator: Any, subset: str, ignore_class_split: bool) -> slice:
    """The rows of a subset: the first ones are for validation."""
    if subset not in ("training", "validation"):
        raise unknown_name("subset", subset, ("training", "validation"))
    count = len(arrays["x"])
    first = int(count * generator._validation_split)
    kept = slice(0, first) if subset == "validation" else slice(first, None)
    if not len(range(count)[kept]):
        raise ArgumentError(
            f"subset={subset!r} has no images of {count}: give ImageDataGenerator a larger validation_split than "
            f"{generator._validation_split}."
        )
    y = arrays.get("y")
    if y is not None and not ignore_class_split and not np.array_equal(np.unique(y[:first]), np.unique(y[first:])):
        raise ArgumentError(
            "the training and validation subsets have different classes: shuffle the arrays first, or set "
            "ignore_class_split=True."
        )
    return kept

"""Checks of images that the data sets and `ImageDataGenerator` share."""

from __future__ import annotations

import warnings

import numpy as np

from lamella.errors import ShapeError
from lamella.tracebacks import user_level


def check_images(x: np.ndarray, channel_axis: int, what: str) -> None:
    """Check that an array holds images; a number of channels that images do not have is a warning.

    Args:
        x: the array.
        channel_axis: the axis of its channels.
        what: who takes it.

    Raises:
        ShapeError: it does not have four dimensions, or no images.
    """
    if x.ndim != 4 or not len(x):
        raise ShapeError(f"{what} needs images in an array of 4 dimensions, got shape {x.shape}.")
    if x.shape[channel_axis] not in (1, 3, 4):
        given = f"{x.shape[channel_axis]} channels, on axis {channel_axis} of shape {x.shape}"
        warnings.warn(f"{what} got {given}; images have 1, 3 or 4.", stacklevel=user_level())

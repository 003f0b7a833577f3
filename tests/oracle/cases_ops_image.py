"""What Keras and lamella are both asked of `ops.image`: plain calls, the same for either library."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

_RANDOM = np.random.RandomState(11)
X = _RANDOM.uniform(0, 1, (2, 7, 6, 3)).astype("float32")
FIRST = np.ascontiguousarray(X.transpose(0, 3, 1, 2))
VOLUME = _RANDOM.uniform(0, 1, (2, 5, 6, 4, 2)).astype("float32")
PLACES = _RANDOM.uniform(-9, 15, (3, 4, 5)).astype("float32")
LARGE = _RANDOM.uniform(0, 1, (2, 14, 13, 2)).astype("float32")
CORNERS = np.array([[0, 0], [5, 0], [0, 6], [5, 6]], "float32")
MOVED = np.array([[0.5, 1], [4, -1], [1, 5.5], [6, 6]], "float32")


def _coordinates() -> dict[str, Callable[[Any], Any]]:
    made = {}
    for mode in ("constant", "nearest", "wrap", "mirror", "reflect"):
        for order in (0, 1):
            made[f"map_coordinates-{mode}-{order}"] = lambda image, mode=mode, order=order: image.map_coordinates(
                VOLUME[0, :, :, :, 0], PLACES, order, mode, 0.5
            )
    return made


CALLS: dict[str, Callable[[Any], Any]] = {
    **_coordinates(),
    "map_coordinates-integers": lambda i: i.map_coordinates((X[0, :, :, 0] * 99).astype("int32"), PLACES[:2], 1, "reflect"),
    "extract_patches": lambda i: i.extract_patches(X, 2),
    "extract_patches-uneven": lambda i: i.extract_patches(X, (3, 2)),
    "extract_patches-strides": lambda i: i.extract_patches(X, (3, 2), strides=(1, 2), padding="same"),
    "extract_patches-dilated": lambda i: i.extract_patches(X, 2, strides=1, dilation_rate=2),
    "extract_patches-first": lambda i: i.extract_patches(FIRST, (2, 3), data_format="channels_first"),
    "extract_patches-first-same": lambda i: i.extract_patches(FIRST[0], 3, 2, padding="same", data_format="channels_first"),
    "extract_patches-single": lambda i: i.extract_patches(X[0], 3),
    "extract_patches-volumes": lambda i: i.extract_patches(VOLUME, (2, 3, 2)),
    "extract_patches_3d-strides": lambda i: i.extract_patches_3d(VOLUME, 2, strides=(1, 2, 1), padding="same"),
    "extract_patches_3d-single": lambda i: i.extract_patches_3d(VOLUME[0], (2, 2, 4)),
    "extract_patches_3d-first": lambda i: i.extract_patches_3d(
        VOLUME.transpose(0, 4, 1, 2, 3), 2, data_format="channels_first"
    ),
    "gaussian_blur": lambda i: i.gaussian_blur(X, data_format="channels_last"),
    "gaussian_blur-sizes": lambda i: i.gaussian_blur(X, (4, 3), (0.5, 2.0), "channels_last"),
    "gaussian_blur-first": lambda i: i.gaussian_blur(FIRST[0], (3, 5), (1.0, 1.5), data_format="channels_first"),
    "sobel_edges": lambda i: i.sobel_edges(X),
    "sobel_edges-first": lambda i: i.sobel_edges(FIRST, data_format="channels_first"),
    "ssim": lambda i: i.ssim(LARGE, LARGE[::-1]),
    "ssim-options": lambda i: i.ssim(X[0] * 255, X[1] * 255, 255.0, 5, 1.0, 0.02, 0.05),
    "ssim-first": lambda i: i.ssim(FIRST, FIRST[::-1], filter_size=3, data_format="channels_first"),
    "perspective_transform": lambda i: i.perspective_transform(X[1], CORNERS, MOVED),
    "perspective_transform-nearest": lambda i: i.perspective_transform(X[0], CORNERS, MOVED, "nearest", 0.25),
    "perspective_transform-each": lambda i: i.perspective_transform(
        FIRST, np.stack([CORNERS, MOVED]), np.stack([MOVED, CORNERS]), fill_value=2.0, data_format="channels_first"
    ),
    **{
        f"scale_and_translate-{method}-{antialias}": lambda i, method=method, antialias=antialias: i.scale_and_translate(
            X, (2, 9, 4, 3), np.array([1.3, 0.45], "float32"), np.array([-0.5, 1.2], "float32"), (1, 2), method, antialias
        )
        for method in ("linear", "bilinear", "trilinear", "cubic", "bicubic", "tricubic", "lanczos3", "lanczos5")
        for antialias in (True, False)
    },
    "scale_and_translate-one": lambda i: i.scale_and_translate(
        X, (2, 7, 10, 3), np.array([1.0], "float32"), np.array([2.0], "float32"), [-2], "linear"
    ),
}  # fmt: skip
"""For each name a call of a function of `ops.image`, which it is given."""

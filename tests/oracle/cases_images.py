"""The random image layers, each with draws that leave nothing to chance: both bounds of a factor are one number."""

from __future__ import annotations

from .cases_windows import FIRST, row, rows

_DIFFERS = {"training": "differs"}

IMAGES = (
    *rows(
        "random-rotation", "RandomRotation",
        *(
            (f"{mode}-{method}", {"factor": (0.1, 0.1), "fill_mode": mode, "interpolation": method}, (2, 5, 7, 2))
            for mode in ("reflect", "wrap", "constant", "nearest")
            for method in ("bilinear", "nearest")
        ),
        ("quarter", {"factor": (0.25, 0.25)}, (2, 5, 5, 1)),
        ("back", {"factor": (-0.15, -0.15)}, (2, 4, 6, 3)),
        ("whole-back", {"factor": [-1, -1]}, (1, 4, 4, 1)),
        ("fill-value", {"factor": (0.4, 0.4), "fill_mode": "constant", "fill_value": 1.5}, (2, 5, 4, 1)),
        ("one-image", {"factor": (0.3, 0.3)}, (5, 6, 2)),
        ("one-row", {"factor": (0.3, 0.3)}, (1, 1, 6, 2)),
        ("channels-first", {"factor": (0.3, 0.3), **FIRST}, (2, 3, 5, 6)),
        **_DIFFERS,
    ),
    row("random-rotation-0", "RandomRotation", {"factor": 0.0, "seed": 3}, (2, 4, 5, 1), training="random"),
    *rows(
        "random-translation", "RandomTranslation",
        *(
            (f"{mode}-{method}", {"height_factor": (0.3, 0.3), "width_factor": (-0.6, -0.6), "fill_mode": mode,
                                  "interpolation": method}, (2, 5, 7, 2))
            for mode in ("reflect", "wrap", "constant", "nearest")
            for method in ("bilinear", "nearest")
        ),
        ("whole", {"height_factor": (1.0, 1.0), "width_factor": (-1.0, -1.0)}, (2, 3, 4, 1)),
        ("fill-value", {"height_factor": (0.5, 0.5), "width_factor": 0.0, "fill_mode": "constant", "fill_value": -2.0},
         (2, 4, 3, 1)),
        ("one-image", {"height_factor": (0.2, 0.2), "width_factor": (0.3, 0.3)}, (5, 6, 2)),
        ("channels-first", {"height_factor": (0.2, 0.2), "width_factor": (0.3, 0.3), **FIRST}, (2, 3, 5, 6)),
        **_DIFFERS,
    ),
    *rows(
        "random-zoom", "RandomZoom",
        *(
            (f"{mode}-{method}", {"height_factor": (0.6, 0.6), "width_factor": (0.3, 0.3), "fill_mode": mode,
                                  "interpolation": method}, (2, 5, 7, 2))
            for mode in ("reflect", "wrap", "constant", "nearest")
            for method in ("bilinear", "nearest")
        ),
        ("in", {"height_factor": (-0.4, -0.4)}, (2, 5, 6, 2)),
        ("in-and-out", {"height_factor": (-0.4, -0.4), "width_factor": (1.0, 1.0)}, (2, 5, 6, 2)),
        ("fill-value", {"height_factor": (0.7, 0.7), "fill_mode": "constant", "fill_value": 0.5}, (2, 4, 5, 1)),
        ("one-image", {"height_factor": (0.2, 0.2)}, (5, 6, 2)),
        ("channels-first", {"height_factor": (0.2, 0.2), **FIRST}, (2, 3, 5, 6)),
        **_DIFFERS,
    ),
    *rows(
        "random-contrast", "RandomContrast",
        ("none", {"factor": (0.0, 0.0), "value_range": (-1, 1)}, (2, 4, 5, 2)),
        ("range", {"factor": (0, 0), "value_range": [0, 255]}, (2, 4, 5, 2)),
        ("one-image", {"factor": (0.0, 0.0), "value_range": (-1, 1)}, (4, 5, 2)),
        ("channels-first", {"factor": (0.0, 0.0), "value_range": (-1, 1), **FIRST}, (2, 3, 4, 5)),
        **_DIFFERS,
    ),
    *rows(
        "random-brightness", "RandomBrightness",
        ("brighter", {"factor": (0.1, 0.1), "value_range": (-2, 2)}, (2, 4, 5, 2)),
        ("darker", {"factor": (-0.3, -0.3), "value_range": (2, -2)}, (2, 4, 5, 2)),
        ("range", {"factor": (-0.001, -0.001)}, (2, 4, 5, 2)),
        ("one-image", {"factor": (0.2, 0.2), "value_range": (-1, 1)}, (4, 5, 2)),
        ("channels-first", {"factor": (0.2, 0.2), "value_range": (-1, 1), **FIRST}, (2, 3, 4, 5)),
        **_DIFFERS,
    ),
    *rows(
        "random-flip", "RandomFlip",
        ("horizontal", {"mode": "horizontal"}, (2, 4, 5, 2)),
        ("vertical", {"mode": "vertical", "seed": 4}, (2, 4, 5, 2)),
        ("both", {}, (2, 4, 5, 2)),
        ("channels-first", {**FIRST}, (2, 2, 4, 5)),
        training="random",
    ),
    *rows(
        "random-crop", "RandomCrop",
        ("whole", {"height": 4, "width": 5}, (2, 4, 5, 2)),
        ("one-image", {"height": 4, "width": 5}, (4, 5, 2)),
        ("channels-first", {"height": 4, "width": 5, **FIRST}, (2, 3, 4, 5)),
    ),
)  # fmt: skip
"""RandomContrast's two bounds stand for 1 - lower and 1 + upper, so they meet at 0 alone. RandomCrop in training, and on
images of other sizes in inference, is compared in `test_random_image.py`: Keras's inference does not crop at all."""

"""What Keras and lamella are both asked about images as arrays and files: plain calls, the same for either library."""

from __future__ import annotations

import io
import tempfile
import warnings
from pathlib import Path

import numpy as np

X = np.random.RandomState(5).uniform(0, 255, (4, 6, 5, 3)).astype("float32")
_MOVES = {
    "rotation": {"theta": 30},
    "shift": {"tx": 1.3, "ty": -0.6},
    "whole-shift": {"tx": -2, "ty": 1},
    "far-shift": {"tx": 13.25, "ty": -17.5},
    "shear": {"shear": 25},
    "zoom": {"zx": 0.7, "zy": 1.8},
    "all": {"theta": -75, "tx": 1.5, "ty": 0.75, "shear": 10, "zx": 1.2, "zy": 0.8},
}
_PARAMETERS = {
    "theta": 12, "tx": 0.5, "ty": 1, "shear": 5, "zx": 0.9, "zy": 1.1, "flip_horizontal": True, "flip_vertical": True,
    "channel_shift_intensity": 20.0, "brightness": 0.6,
}  # fmt: skip
_NORMALIZATIONS = {
    "featurewise": {"featurewise_center": True, "featurewise_std_normalization": True},
    "samplewise": {"samplewise_center": True, "samplewise_std_normalization": True, "rescale": 1 / 255},
    "whitening": {"featurewise_center": True, "zca_whitening": True, "zca_epsilon": 1e-3, "rescale": 1 / 255},
    "function": {"preprocessing_function": lambda x: x - 3, "rescale": 0.5},
}


def _picture(mode: str, size: tuple[int, int]) -> io.BytesIO:
    """A PNG of random pixels."""
    from PIL import Image

    channels = {"L": (), "RGB": (3,), "RGBA": (4,), "I;16": ()}[mode]
    random = np.random.RandomState(8)
    high, kind = (65536, "uint16") if mode == "I;16" else (256, "uint8")
    file = io.BytesIO()
    Image.fromarray(random.randint(0, high, (size[1], size[0], *channels)).astype(kind)).save(file, "png")
    file.seek(0)
    return file


def answers(image) -> dict[str, np.ndarray]:  # noqa: C901  one loop per function that is asked
    """Every answer, by name.

    Args:
        image: a module with the names of `preprocessing.image`.
    """
    found = {}
    last = {"row_axis": 0, "col_axis": 1, "channel_axis": 2}
    for move, kwargs in _MOVES.items():
        for mode in ("nearest", "constant", "reflect", "wrap"):
            for order in (0, 1):
                options = {"fill_mode": mode, "cval": 7.0, "order": order}
                found[f"{move}-{mode}-{order}"] = image.apply_affine_transform(X[0], **kwargs, **last, **options)
    first = np.ascontiguousarray(X[0].transpose(2, 0, 1))
    found["channels-first"] = image.apply_affine_transform(first, **_MOVES["all"])
    found["columns-first"] = image.apply_affine_transform(first, **_MOVES["all"], row_axis=2, col_axis=1)
    found["integers"] = image.apply_affine_transform(X[0].astype("uint8"), **_MOVES["all"], **last)
    found["one-pixel"] = image.apply_affine_transform(X[0, :1, :1], theta=20, tx=2, fill_mode="wrap", **last)
    found["nothing"] = image.apply_affine_transform(X[0], **last)

    for name, options in {
        "reflect": {"fill_mode": "reflect"},
        "constant": {"fill_mode": "constant", "cval": 9},
    }.items():
        found[f"changed-{name}"] = image.ImageDataGenerator(**options).apply_transform(X[1], _PARAMETERS)
    for name, x in {"8-bit": X[1], "beyond": X[1] * 2 - 90, "unit": X[1] / 255, "gray": X[1, :, :, :1]}.items():
        for scale in (False, True):
            found[f"brightness-{name}-{scale}"] = image.apply_brightness_shift(x, 1.4, scale)
            found[f"darkness-{name}-{scale}"] = image.apply_brightness_shift(x, 0.3, scale)
    rgba = np.concatenate([X[1], X[2, :, :, :1]], -1)
    found["brightness-rgba"] = image.apply_brightness_shift(rgba, 1.4, False)
    found["channel-shift"] = image.apply_channel_shift(X[1], -30.0, 2)

    for name, options in _NORMALIZATIONS.items():
        for layout in ("channels_last", "channels_first"):
            x = X if layout == "channels_last" else X.transpose(0, 3, 1, 2)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                generator = image.ImageDataGenerator(data_format=layout, **options)
            generator.fit(x)
            found[f"{name}-{layout}"] = np.stack([generator.standardize(np.array(one)) for one in x])

    for mode in ("L", "RGB", "RGBA", "I;16"):
        for color in ("grayscale", "rgb", "rgba"):
            loaded = image.load_img(_picture(mode, (7, 5)), color_mode=color)
            found[f"loaded-{mode}-{color}"] = image.img_to_array(loaded)
    for method in ("nearest", "bilinear", "bicubic", "hamming", "box", "lanczos"):
        for keep in (False, True):
            loaded = image.load_img(
                _picture("RGB", (9, 5)), target_size=(4, 6), interpolation=method, keep_aspect_ratio=keep
            )
            found[f"resized-{method}-{keep}"] = image.img_to_array(loaded, data_format="channels_first")
    for name, x in {"rgb": X[0], "gray": X[0, :, :, :1], "deep": X[0, :, :, :1] * 9, "flat": X[0] * 0 + 3}.items():
        found[f"saved-{name}"] = np.asarray(image.array_to_img(x, scale=name != "deep"))
    for size in ((3, 3), (8, 4)):
        for method in ("nearest", "bilinear", "bicubic"):
            found[f"smart-{size}-{method}"] = np.asarray(image.smart_resize(X, size, method))
    with tempfile.TemporaryDirectory() as folder:
        found |= _of_files(image, Path(folder))
    return found


def make_folder(folder: Path) -> list[str]:
    """Three classes of two to four images, one in a folder within, and files that are none; the images' paths."""
    names = []
    for number, name in enumerate(("cats", "birds", "dogs")):
        for i in range(2 + number):
            path = Path(name, "more" * (i == 1), f"{i}.{'PNG' if i else 'jpg'}")
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(_picture("RGB", (6 + number, 5 + i)).getvalue())
            names.append(path.as_posix())
        (folder / name / "list.txt").write_text("no image")
    return names


def _of_files(image, folder: Path) -> dict[str, np.ndarray]:
    """Batches of files that a folder holds or a table names."""
    import pandas

    names = make_folder(folder)
    generator = image.ImageDataGenerator(rescale=1 / 255, validation_split=0.5)
    common = {"target_size": (4, 4), "shuffle": False, "batch_size": 5}
    found = {}
    for mode in ("categorical", "binary", "sparse", "input", None):
        for subset in ("training", "validation", None):
            data = generator.flow_from_directory(folder, class_mode=mode, subset=subset, **common)
            batch = data[0] if mode else (data[0],)
            found |= {f"folder-{mode}-{subset}-{i}": a for i, a in enumerate(batch)}
            found[f"folder-{mode}-{subset}-files"] = np.array([Path(name).as_posix() for name in data.filenames])
    data = generator.flow_from_directory(
        folder,
        color_mode="grayscale",
        classes=["dogs", "cats"],
        interpolation="bilinear",
        keep_aspect_ratio=True,
        **common,
    )
    found |= {f"folder-chosen-{i}": a for i, a in enumerate(data[1])}
    found["folder-classes"] = np.array([*map(str, data.class_indices.items()), str(data.classes.tolist())])

    rows = len(names)
    table = pandas.DataFrame({
        "file": [*names[:-1], "cats/none.png"],
        "animal": [name.split("/")[0] for name in names],
        "pair": ["even" if i % 2 else "odd" for i in range(rows)],
        "tags": [["a", "b"] if i % 3 else ["c"] for i in range(rows)],
        "size": np.arange(rows) * 1.5,
        "age": np.arange(rows)[::-1],
    })  # fmt: skip
    columns = {
        "categorical": "animal", "binary": "pair", "sparse": "animal", "input": "animal", None: "animal",
        "raw": ["size", "age"], "multi_output": ["size", "age"],
    }  # fmt: skip
    for mode, column in columns.items():
        for subset in ("training", "validation", None):
            data = generator.flow_from_dataframe(
                table, str(folder), "file", column, "size", class_mode=mode, subset=subset, **common
            )
            batch = data[0] if mode else (data[0],)
            flat = [a for part in batch for a in (part if isinstance(part, list) else [part])]
            found |= {f"table-{mode}-{subset}-{i}": a for i, a in enumerate(flat)}
    tagged = generator.flow_from_dataframe(table, str(folder), "file", "tags", classes=["b", "a"], **common)
    found |= {f"table-tags-{i}": a for i, a in enumerate(tagged[0])}
    found["table-classes"] = np.array([*map(str, tagged.class_indices.items()), str(list(tagged.classes))])
    return found

"""Data sets of image files: what they hold, that a seed repeats them, that models train on them, and what they refuse."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

import lamella
from conftest import importable
from lamella import utils
from lamella.errors import ArgumentError, DataError, UnknownNameError
from lamella.layers import Conv2D, Dense, Flatten, Input
from lamella.preprocessing.image import DirectoryIterator, ImageDataGenerator
from lamella.utils import image_dataset_from_directory, resampling
from oracle.cases_image_files import make_folder

pytestmark = pytest.mark.skipif(not importable("PIL"), reason="Pillow is not importable")

# what Keras makes of this folder for seed 3
ORDER = ["dogs/2.PNG", "birds/more/1.PNG", "dogs/3.PNG", "cats/more/1.PNG", "dogs/0.jpg", "birds/0.jpg", "cats/0.jpg",
         "birds/2.PNG", "dogs/more/1.PNG"]  # fmt: skip
LABELS = [2, 0, 2, 1, 2, 0, 1, 0, 2]


@pytest.fixture
def folder(tmp_path):
    make_folder(tmp_path)
    return tmp_path


def dataset(folder, **kwargs):
    return image_dataset_from_directory(folder, **{"image_size": (4, 6), "batch_size": 4, "verbose": False, **kwargs})


def test_files_and_labels_are_those_of_keras(folder, capsys):
    data = dataset(folder, seed=3, verbose=True)
    assert capsys.readouterr().out == "Found 9 files belonging to 3 classes.\n"
    assert [Path(path).relative_to(folder).as_posix() for path in data.file_paths] == ORDER
    assert data.class_names == ["birds", "cats", "dogs"] and len(data) == 3
    first, second = list(data), list(data)
    assert [x.shape for x, _ in first] == [(4, 4, 6, 3), (4, 4, 6, 3), (1, 4, 6, 3)]
    assert first[0][0].dtype == "float32" and first[0][1].dtype == "int32"
    assert sorted(y for _, ys in first for y in ys) == sorted(LABELS)
    assert [list(y) for _, y in first] != [list(y) for _, y in second]
    for (a, _), (b, _) in zip(first, dataset(folder, seed=3), strict=True):
        np.testing.assert_array_equal(a, b)
    parts = dataset(folder, seed=3, validation_split=0.25, subset="both")
    assert [len(part.file_paths) for part in parts] == [7, 2] and parts[1].file_paths == data.file_paths[7:]
    alone = dataset(folder, seed=3, validation_split=0.25, subset="validation")
    assert alone.file_paths == parts[1].file_paths


def test_labels_and_images_come_as_asked(folder):
    plain = dataset(folder, shuffle=False, batch_size=9)
    x, y = plain[0]
    assert y.tolist() == [0, 0, 0, 1, 1, 2, 2, 2, 2]
    assert (
        dataset(folder, shuffle=False, batch_size=9, label_mode="categorical")[0][1].tolist() == np.eye(3)[y].tolist()
    )
    two = dataset(folder, shuffle=False, label_mode="binary", class_names=["dogs", "cats"], batch_size=9)[0][1]
    assert two.shape == (6, 1) and two.dtype == "float32" and two[:, 0].tolist() == [0, 0, 0, 0, 1, 1]
    np.testing.assert_array_equal(dataset(folder, shuffle=False, batch_size=9, labels=None)[0], x)
    assert dataset(folder, shuffle=False, batch_size=9, labels=list(range(9)))[0][1].tolist() == list(range(9))
    image, label = dataset(folder, shuffle=False, batch_size=None)[4]
    np.testing.assert_array_equal(image, x[4])
    assert label == 1 and len(dataset(folder, batch_size=None)) == 9
    first = dataset(folder, shuffle=False, batch_size=9, data_format="channels_first", labels=None)[0]
    np.testing.assert_array_equal(first.transpose(0, 2, 3, 1), x)
    assert dataset(folder, color_mode="grayscale", image_size=5)[0][0].shape == (4, 5, 5, 1)
    halved = dataset(folder, shuffle=False, batch_size=9).map(lambda x, y: (x / 2, y))
    np.testing.assert_array_equal(halved[0][0], x / 2)


def test_images_are_resized_as_by_the_ops(folder):
    """Every interpolation that `ops.image.resize` has; the others by their definition."""
    image = np.random.default_rng(0).uniform(0, 255, (7, 9, 3)).astype("float32")
    for size in ((4, 6), (13, 9), (1, 1)):
        for method in ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"):
            expected = lamella.ops.image.resize(image, size, method)
            np.testing.assert_allclose(resampling.resample(image, size, method), expected, atol=1e-3)
        for method in ("area", "gaussian", "mitchellcubic"):
            flat = resampling.resample(np.full((7, 9, 1), 5.0, "float32"), size, method)
            np.testing.assert_allclose(flat, np.full((*size, 1), 5.0), rtol=1e-5)
    np.testing.assert_allclose(
        resampling.resample(image[:6, :8], (3, 2), "area"), image[:6, :8].reshape(3, 2, 2, 4, 3).mean((1, 3)), rtol=1e-5
    )
    at = np.abs((np.arange(5) + 0.5) * 7 / 5 - 0.5 - np.arange(7)[:, None])
    kernels = {
        "gaussian": np.where(at < 1.5, np.exp(-2 * at**2), 0),
        "mitchellcubic": np.select(
            [at < 1, at < 2], [7 / 6 * at**3 - 2 * at**2 + 8 / 9, -7 / 18 * at**3 + 2 * at**2 - 10 / 3 * at + 16 / 9]
        ),
    }
    for method, weights in kernels.items():
        expected = np.einsum("ij,iwc->jwc", weights / weights.sum(0), image)
        np.testing.assert_allclose(resampling.resample(image, (5, 9), method), expected, rtol=1e-4)


def test_aspect_ratios_are_kept_by_cropping_or_padding(tmp_path):
    (tmp_path / "a").mkdir()
    wide = np.random.default_rng(0).integers(0, 256, (4, 12, 3)).astype("float32")
    utils.save_img(tmp_path / "a" / "wide.png", wide, scale=False)
    cropped = dataset(tmp_path, image_size=(4, 4), crop_to_aspect_ratio=True, labels=None)[0][0]
    np.testing.assert_array_equal(cropped, wide[:, 4:8])
    padded = dataset(tmp_path, image_size=(12, 12), pad_to_aspect_ratio=True, labels=None)[0][0]
    np.testing.assert_array_equal(padded[4:8], wide)
    assert not padded[:4].any() and not padded[8:].any()


def model_of(shape):
    utils.set_random_seed(4)
    model = lamella.Sequential(
        [Input(shape), Conv2D(2, 3, activation="relu"), Flatten(), Dense(3, activation="softmax")]
    )
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


@pytest.mark.parametrize("kind", ["generator", "dataset"])
def test_a_model_trains_on_a_folder(folder, kind, backend):
    def data(workers):
        if kind == "dataset":
            made = dataset(folder, seed=5)
        else:
            generator = ImageDataGenerator(rescale=1 / 255, rotation_range=20, horizontal_flip=True)
            made = generator.flow_from_directory(folder, (4, 6), class_mode="sparse", batch_size=4, seed=5)
        made.workers = workers
        return made

    def trained(workers):
        model = model_of((4, 6, 3))
        history = model.fit(data(workers), validation_data=data(workers), epochs=2, verbose=0).history
        predicted = model.predict(data(workers), verbose=0)
        assert predicted.shape == (9, 3) and np.isfinite(list(history.values())).all()
        return [*model.get_weights(), np.array(list(history.values())), predicted]

    alone = trained(1)
    for a, b in zip(trained(3), alone, strict=True):
        np.testing.assert_array_equal(a, b)


def test_images_and_masks_of_one_seed_change_alike(folder):
    options = {"rotation_range": 40, "zoom_range": 0.3, "horizontal_flip": True, "fill_mode": "reflect"}
    common = {"target_size": (8, 8), "class_mode": None, "seed": 1, "batch_size": 3}
    images = ImageDataGenerator(**options).flow_from_directory(folder, **common)
    masks = ImageDataGenerator(**options, rescale=1 / 255).flow_from_directory(folder, **common)
    for _, (x, mask) in zip(range(7), zip(images, masks, strict=False), strict=False):
        np.testing.assert_allclose(mask, x / 255, rtol=1e-5)
    model = lamella.Sequential([Input((8, 8, 3)), Conv2D(3, 1)])
    model.compile("sgd", "mse")
    model.fit(zip(masks, masks, strict=False), steps_per_epoch=3, verbose=0)


def test_a_run_goes_on_where_it_was_interrupted(folder, tmp_path_factory):
    """`BackupAndRestore` in another process: the pass, its order and its draws."""
    saved = tmp_path_factory.mktemp("run")

    def run(epochs, at, **kwargs):
        generator = ImageDataGenerator(rescale=1 / 255, rotation_range=90, width_shift_range=0.3)
        data = generator.flow_from_directory(folder, (4, 6), class_mode="sparse", batch_size=4, seed=5)
        model = model_of((4, 6, 3))
        kept = [lamella.callbacks.BackupAndRestore(saved / at, delete_checkpoint=False)]
        model.fit(data, epochs=epochs, callbacks=kept, verbose=0, **kwargs)
        return model.get_weights()

    for kwargs in ({}, {"steps_per_epoch": 2}):
        at = f"{len(kwargs)}"
        whole = run(4, f"whole{at}", **kwargs)
        run(2, f"cut{at}", **kwargs)
        for a, b in zip(run(4, f"cut{at}", **kwargs), whole, strict=True):
            np.testing.assert_array_equal(a, b)


def test_data_sets_are_pickled(folder):
    for data in (
        dataset(folder, seed=5),
        ImageDataGenerator(rotation_range=20).flow_from_directory(folder, (4, 6), seed=5),
    ):
        for a, b in zip(pickle.loads(pickle.dumps(data))[0], data[0], strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_folder_says_what_it_holds(folder, capsys):
    data = DirectoryIterator(folder, None, (4, 6), class_mode="binary", batch_size=4, shuffle=False)
    assert capsys.readouterr().out == "Found 9 images belonging to 3 classes.\n"
    assert (data.samples, data.num_classes, data.image_shape, len(data)) == (9, 3, (4, 6, 3), 3)
    assert data.class_indices == {"birds": 0, "cats": 1, "dogs": 2}
    assert data.classes.tolist() == data.labels.tolist() == [0, 0, 0, 1, 1, 2, 2, 2, 2]
    assert data.filenames[0].replace("\\", "/") == "birds/0.jpg" and Path(data.filepaths[8]).is_file()
    lamella.config.disable_interactive_logging()
    try:
        DirectoryIterator(folder, None)
    finally:
        lamella.config.enable_interactive_logging()
    assert capsys.readouterr().out == ""


def test_a_folder_without_images_is_refused(tmp_path):
    for call in (dataset, lambda f, **w: ImageDataGenerator().flow_from_directory(f, **w)):
        with pytest.raises(DataError, match=r"has no images \(.*\.png.*\) in its subfolders, one per class"):
            call(tmp_path)
    with pytest.raises(DataError, match="has no images"):
        dataset(tmp_path, labels=None)
    with pytest.raises(ArgumentError, match="subset='validation' needs"):
        ImageDataGenerator().flow_from_directory(tmp_path, subset="validation")
    with pytest.raises((FileNotFoundError, ArgumentError), match="nowhere"):
        dataset(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        ImageDataGenerator().flow_from_directory(tmp_path / "nowhere")


def test_a_broken_image_in_a_folder_is_named_when_it_is_read(folder, backend):
    (folder / "cats" / "broken.png").write_bytes(b"no image")
    for data in (
        dataset(folder, seed=1),
        ImageDataGenerator().flow_from_directory(folder, (4, 6), class_mode="sparse"),
    ):
        with pytest.raises(DataError, match=r"broken\.png' is not an image"):
            model_of((4, 6, 3)).fit(data, verbose=0)


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"color_mode": "hsv"}, "color mode 'hsv'"),
        ({"interpolation": "cubic"}, "interpolation 'cubic'"),
        ({"image_size": (4,)}, "image_size must be"),
        ({"crop_to_aspect_ratio": True, "pad_to_aspect_ratio": True}, "either cropped or padded"),
        ({"batch_size": 0}, "batch_size must be"),
        ({"label_mode": "binary"}, "needs two classes, got 3"),
        ({"label_mode": "one_hot"}, "label_mode must be"),
        ({"labels": [1, 2]}, "one per file, got 2 labels for the 9 images"),
        ({"class_names": ["cats", "mice"]}, "class_names must be different names of subfolders"),
        ({"validation_split": 0.5}, "come together"),
        ({"validation_split": 0.5, "subset": "training"}, "needs a seed"),
        ({"format": "grain"}, "leave it out"),
        ({"data_format": "first"}, "data_format must be"),
    ],
)
def test_what_means_nothing_is_refused(folder, kwargs, match):
    with pytest.raises((ArgumentError, DataError, UnknownNameError), match=match):
        dataset(folder, **kwargs)


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"color_mode": "hsv"}, "color mode 'hsv'"),
        ({"interpolation": "lanczos3"}, "interpolation 'lanczos3'"),
        ({"target_size": 4}, "target_size must be"),
        ({"class_mode": "one_hot"}, "class_mode 'one_hot'"),
        ({"subset": "test"}, "subset 'test'"),
        ({"subset": "validation"}, "needs ImageDataGenerator"),
        ({"classes": ["cats", "mice"]}, r"must name subfolders of .* \['mice'\]"),
        ({"batch_size": 2.5}, "batch_size must be"),
    ],
)
def test_what_means_nothing_to_a_generator_is_refused(folder, kwargs, match):
    with pytest.raises((ArgumentError, UnknownNameError), match=match):
        ImageDataGenerator().flow_from_directory(folder, **kwargs)


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"x_col": "name"}, "column 'name'"),
        ({"x_col": "size"}, "'size' must hold names of files"),
        ({"y_col": "size"}, "'size' must hold names of classes or lists of them .* got .*1.0"),
        ({"y_col": "size", "class_mode": "sparse"}, "names of classes, strings for .* class_mode='raw' for numbers"),
        ({"class_mode": "binary"}, r"needs two classes, .* has \['birds', 'cats', 'dogs'\]"),
        ({"class_mode": "multi_output"}, "needs a list of columns"),
        ({"weight_col": "class"}, "'class' must hold numbers"),
        ({"classes": ["mice"]}, "no row of the table names an image"),
        ({"class_mode": "one_hot"}, "class_mode 'one_hot'"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(folder, kwargs, match):
    names = [*ORDER]
    table = {"filename": names, "class": [n.split("/")[0] for n in names], "size": np.arange(1.0, 10)}
    with pytest.raises((ArgumentError, DataError, UnknownNameError), match=match):
        ImageDataGenerator().flow_from_dataframe(table, folder, **kwargs)


def test_a_table_names_files(folder):
    table = {"filename": [*ORDER, "cats/none.png"], "class": [n.split("/")[0] for n in ORDER] + ["cats"]}
    generator, small = ImageDataGenerator(rescale=1 / 255), {"target_size": (4, 6)}
    with pytest.warns(UserWarning, match=r"1 of 10 names in column 'filename' are not images .*'cats/none.png'"):
        data = generator.flow_from_dataframe(table, folder, class_mode="sparse", seed=1, **small)
    assert data.samples == 9 and data.class_indices == {"birds": 0, "cats": 1, "dogs": 2}
    model_of((4, 6, 3)).fit(data, verbose=0)
    unchecked = generator.flow_from_dataframe(table, folder, shuffle=False, batch_size=10, validate_filenames=False)
    with pytest.raises(FileNotFoundError, match=r"none\.png"):
        unchecked[0]
    with pytest.warns(DeprecationWarning, match="'raw' today"):
        numbered = {"filename": ORDER, "y": np.arange(9.0)}
        other = generator.flow_from_dataframe(numbered, folder, y_col="y", class_mode="other", shuffle=False, **small)
    assert other[0][1].tolist() == list(range(9))
    with pytest.warns(DeprecationWarning, match="has_ext does nothing"):
        generator.flow_from_dataframe(numbered, folder, y_col="y", class_mode="raw", has_ext=True)
    with pytest.raises(TypeError, match="unexpected keyword argument 'size'"):
        generator.flow_from_dataframe(numbered, folder, y_col="y", class_mode="raw", size=3)

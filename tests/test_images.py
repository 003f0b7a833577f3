"""Images as files and arrays, and `ImageDataGenerator`'s numbers, beside what Keras and SciPy answer."""

from __future__ import annotations

import io
import pickle
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import lamella
from conftest import importable
from lamella import processes, utils
from lamella.errors import ArgumentError, DataError, ShapeError, UnknownNameError
from lamella.preprocessing import image
from oracle.cases_image_files import X, answers
from oracle.load import archive

pytestmark = pytest.mark.skipif(not importable("PIL"), reason="Pillow is not importable")

IMAGES = np.random.default_rng(2).uniform(0, 255, (10, 6, 5, 3)).astype("float32")
CHANGES = {
    "rotation_range": 20, "width_shift_range": 0.2, "height_shift_range": [1, 2], "shear_range": 5.0, "zoom_range": 0.2,
    "channel_shift_range": 10.0, "brightness_range": (0.7, 1.3), "horizontal_flip": True, "vertical_flip": True,
    "fill_mode": "reflect",
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:1 of 9 names")
def test_every_answer_is_that_of_keras():
    pytest.importorskip("pandas")
    recorded, found = archive("image_files"), answers(image)
    assert found.keys() == recorded.keys()
    for name, y in found.items():
        assert (y.shape, y.dtype) == (recorded[name].shape, recorded[name].dtype), name
        if y.dtype.kind == "U":
            assert y.tolist() == recorded[name].tolist(), name
        else:
            np.testing.assert_allclose(y, recorded[name], atol=1e-4, rtol=1e-5, err_msg=name)


def test_smart_resize_is_keras_s_on_every_backend(backend):
    recorded = archive("image_files")
    x = X
    for size in ((3, 3), (8, 4)):
        for method in ("nearest", "bilinear", "bicubic"):
            found = image.smart_resize(x, size, method)
            assert isinstance(found, np.ndarray)
            np.testing.assert_allclose(found, recorded[f"smart-{size}-{method}"], atol=1e-4)
    first = image.smart_resize(x.transpose(0, 3, 1, 2), (3, 3), data_format="channels_first")
    np.testing.assert_allclose(first.transpose(0, 2, 3, 1), recorded["smart-(3, 3)-bilinear"], atol=1e-4)


@pytest.mark.slow
@pytest.mark.skipif(not importable("keras"), reason="Keras is not importable")
def test_keras_still_answers_what_was_recorded(run_python):
    run_python(str(Path(__file__).parent / "oracle" / "record_image_files.py"), "--check")


@pytest.mark.parametrize("mode", ["nearest", "constant", "reflect", "wrap"])
@pytest.mark.parametrize("order", [0, 1])
def test_random_affine_transformations_are_those_of_scipy(mode, order):
    ndimage = pytest.importorskip("scipy.ndimage")
    from lamella.preprocessing.transforms import _resampled

    draw = np.random.default_rng(7)
    for shape in ((5, 8), (1, 6), (7, 1)):
        x = draw.normal(size=(*shape, 2))
        for _ in range(12):
            matrix, offset = draw.normal(size=(2, 2)), 6 * draw.normal(size=2)
            found = _resampled(x, matrix, offset, order, mode, 2.5)
            for channel in range(2):
                expected = ndimage.affine_transform(x[..., channel], matrix, offset, order=order, mode=mode, cval=2.5)
                np.testing.assert_allclose(found[..., channel], expected, atol=1e-8)


def test_random_changes_are_within_their_bounds_and_follow_the_seed():
    generator = image.ImageDataGenerator(**CHANGES)
    drawn = [generator.get_random_transform((6, 5, 3), seed=s) for s in range(200)]
    assert drawn[3] == generator.get_random_transform((6, 5, 3), seed=3) != drawn[4]
    angles = [d["theta"] for d in drawn]
    assert -20 <= min(angles) < -15 and 15 < max(angles) <= 20
    assert {d["tx"] for d in drawn} == {-2, -1, 1, 2} and all(abs(d["ty"]) <= 1 for d in drawn)
    assert all(0.8 <= d[z] <= 1.2 for d in drawn for z in ("zx", "zy"))
    assert {d["flip_horizontal"] for d in drawn} == {d["flip_vertical"] for d in drawn} == {False, True}
    assert all(0.7 <= d["brightness"] <= 1.3 and abs(d["channel_shift_intensity"]) <= 10 for d in drawn)
    assert image.ImageDataGenerator(width_shift_range=3).get_random_transform((6, 5, 3), 1)["ty"] in (-2, -1, 0, 1, 2)
    none = image.ImageDataGenerator().get_random_transform((6, 5, 3), 1)
    assert none["channel_shift_intensity"] is None and none["brightness"] is None
    np.testing.assert_array_equal(image.ImageDataGenerator().random_transform(IMAGES[0]), IMAGES[0])
    only = image.ImageDataGenerator(rotation_range=20)
    assert [only.get_random_transform((6, 5, 3), seed=s)["theta"] for s in range(200)] == angles
    np.testing.assert_array_equal(generator.random_transform(IMAGES[0], 5), generator.random_transform(IMAGES[0], 5))
    utils.set_random_seed(1)
    first = [image.random_rotation(IMAGES[0], 30, 0, 1, 2), image.random_zoom(IMAGES[0], (0.5, 2), 0, 1, 2)]
    utils.set_random_seed(1)
    again = [image.random_rotation(IMAGES[0], 30, 0, 1, 2), image.random_zoom(IMAGES[0], (0.5, 2), 0, 1, 2)]
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first[0], IMAGES[0]) and not np.array_equal(first[1], IMAGES[0])


def test_batches_are_the_same_whatever_reads_them():
    """By number, one after another, in threads, in any order, and with another batch size."""

    def flow(batch_size=3, seed=4, **kwargs):
        return image.ImageDataGenerator(**CHANGES).flow(IMAGES, np.arange(10), batch_size, seed=seed, **kwargs)

    def by_label(batches):
        pairs = [(int(label), x) for xs, ys in batches for x, label in zip(xs, ys, strict=True)]
        return np.stack([x for _, x in sorted(pairs, key=lambda pair: pair[0])])

    data = flow()
    assert len(data) == 4 and data.n == 10
    first = [next(data) for _ in range(4)]
    assert sorted(int(i) for _, ys in first for i in ys) == list(range(10))
    again = flow()
    for i in (2, 0, 3, 1):
        for a, b in zip(again[i], first[i], strict=True):
            np.testing.assert_array_equal(a, b)
    second = [data.next() for _ in range(4)]
    assert [list(y) for _, y in second] != [list(y) for _, y in first]
    np.testing.assert_array_equal(by_label(first), by_label([flow(10)[0]]))
    assert np.abs(by_label(first) - by_label(second)).max() > 1
    copied = pickle.loads(pickle.dumps(data))
    np.testing.assert_array_equal(next(copied)[0], next(data)[0])
    data.reset()
    assert data.batch_index == 0 and iter(data) is data
    plain = flow(seed=None, shuffle=False)
    assert [list(y) for _, y in (plain[0], plain[-1])] == [[0, 1, 2], [9]]
    with pytest.raises(IndexError, match="batch 4 was asked of a data set of 4"):
        plain[4]
    plain.on_epoch_end()
    assert not np.array_equal(plain[0][0], flow(seed=plain.seed, shuffle=False)[0][0])


@pytest.mark.parametrize("kwargs", [{"epochs": 2}, {"epochs": 3, "steps_per_epoch": 1}])
def test_own_loops_have_new_orders_after_those_of_a_model(kwargs):
    data = image.ImageDataGenerator().flow(np.arange(8.0).reshape(8, 1, 1, 1), np.arange(8.0), batch_size=4, seed=1)
    model = lamella.Sequential([lamella.Input((1, 1, 1)), lamella.layers.Flatten(), lamella.layers.Dense(1)])
    model.compile("sgd", "mse")
    for use in (lambda: model.fit(data, verbose=0, **kwargs), lambda: model.predict(data, verbose=0)):
        use()
        before, orders = data.passes_begun, [data.index_array.tolist()]
        for _ in range(3):
            data.on_epoch_end()
            orders.append(data.index_array.tolist())
        assert data.passes_begun == before + 3
        assert len({*map(tuple, orders)}) == 4


def test_fit_keeps_the_order_of_batches_that_are_not_shuffled():
    seen = []

    class Recorded(image.NumpyArrayIterator):
        def gather(self, passing, numbers):
            seen.append(numbers.tolist())
            return super().gather(passing, numbers)

    data = Recorded(IMAGES, np.arange(10.0), image.ImageDataGenerator(rescale=1 / 255), 4)
    data.workers = 1
    model = lamella.Sequential([lamella.Input((6, 5, 3)), lamella.layers.Flatten(), lamella.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(data, epochs=2, verbose=0)
    batches = [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert seen == [batches[0], *batches, *batches]  # the first, once more, to see what a batch is


def trained(backend, workers, processes=False):
    utils.set_random_seed(2)
    data = image.ImageDataGenerator(**CHANGES, rescale=1 / 255).flow(IMAGES, np.arange(10) % 2, 4, seed=9)
    data.workers, data.use_multiprocessing = workers, processes
    model = lamella.Sequential([lamella.Input((6, 5, 3)), lamella.layers.Flatten(), lamella.layers.Dense(1)])
    model.compile("sgd", "mse")
    logs = model.fit(data, epochs=3, steps_per_epoch=2, verbose=0).history["loss"]
    return [*model.get_weights(), np.array(logs), model.predict(data, verbose=0)]


def test_training_is_the_same_for_any_number_of_threads(backend):
    alone = trained(backend, 1)
    for workers in (2, 5):
        for a, b in zip(trained(backend, workers), alone, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_training_is_the_same_in_processes():
    for a, b in zip(trained("numpy", 2, processes=True), trained("numpy", 1), strict=True):
        np.testing.assert_array_equal(a, b)


def test_flow_takes_weights_further_inputs_subsets_and_other_layouts(tmp_path):
    generator = image.ImageDataGenerator(validation_split=0.3, dtype="float64", rescale=2.0)
    y = np.arange(10) % 2
    x, targets, weights = generator.flow(IMAGES, y, 4, False, np.arange(10.0), subset="validation")[0]
    np.testing.assert_allclose(x, IMAGES[:3].astype("float64") * 2)
    assert x.dtype == "float64" and targets.tolist() == [0, 1, 0] and weights.tolist() == [0, 1, 2]
    assert generator.flow(IMAGES, y, subset="training").n == 7
    (images, further), _ = generator.flow((IMAGES, y * 5), y, 4, False)[1]
    assert images.shape == (4, 6, 5, 3) and further.tolist() == [0, 5, 0, 5]
    first = image.ImageDataGenerator(data_format="channels_first", horizontal_flip=True, **{"rotation_range": 20})
    assert first.flow(IMAGES.transpose(0, 3, 1, 2), batch_size=4, seed=1)[0].shape == (4, 3, 6, 5)
    last = image.ImageDataGenerator(horizontal_flip=True, rotation_range=20)
    np.testing.assert_array_equal(
        last.flow(IMAGES, batch_size=4, seed=1)[0],
        first.flow(IMAGES.transpose(0, 3, 1, 2), batch_size=4, seed=1)[0].transpose(0, 2, 3, 1),
    )
    saving = generator.flow(IMAGES, batch_size=5, shuffle=False, seed=3, save_to_dir=tmp_path, save_prefix="seen")
    assert saving[0].shape == saving[0].shape == (5, 6, 5, 3)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 5 and all(name.startswith("seen_") and name.endswith(".png") for name in names)
    assert utils.load_img(tmp_path / names[0]).size == (5, 6)
    changed = image.ImageDataGenerator(preprocessing_function=lambda x: x[:, ::-1])
    assert changed.flow(IMAGES).workers == 1
    np.testing.assert_array_equal(changed.flow(IMAGES, shuffle=False)[0], IMAGES[:, :, ::-1])


def test_fit_finds_the_statistics_of_changed_images():
    generator = image.ImageDataGenerator(
        featurewise_center=True, featurewise_std_normalization=True, horizontal_flip=True
    )
    generator.fit(IMAGES, augment=True, rounds=2, seed=1)
    np.testing.assert_allclose(generator.mean, IMAGES.mean((0, 1, 2), keepdims=True)[0], rtol=1e-5)
    assert generator.std.shape == (1, 1, 3)
    with pytest.warns(UserWarning, match=r"featurewise_center=True\) leaves images as they are until fit"):
        image.ImageDataGenerator(featurewise_center=True).standardize(IMAGES[0].copy())
    with pytest.warns(UserWarning, match="zca_whitening=True sets featurewise_center=True"):
        image.ImageDataGenerator(zca_whitening=True)
    whole = np.full((1, 2, 2, 1), 7, "uint8")
    np.testing.assert_array_equal(image.ImageDataGenerator(rescale=0.5).standardize(whole), np.full((1, 2, 2, 1), 3.5))


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: image.ImageDataGenerator(fill_mode="mirrored"), "fill_mode 'mirrored'"),
        (lambda: image.ImageDataGenerator(interpolation_order=3), "must be 0 .* or 1 .* got 3"),
        (lambda: image.ImageDataGenerator(zoom_range=(1, 2, 3)), "zoom_range must be a pair"),
        (lambda: image.ImageDataGenerator(brightness_range=0.5), "brightness_range must be a pair"),
        (lambda: image.ImageDataGenerator(validation_split=1.5), "between 0 and 1, got 1.5"),
        (lambda: image.ImageDataGenerator(preprocessing_function=3), "must be a function, got 3"),
        (lambda: image.ImageDataGenerator(data_format="hwc"), "data_format must be"),
        (lambda: image.ImageDataGenerator().flow(IMAGES, np.arange(9)), r"same number of rows, got x \(10, 6, 5, 3\), y"),
        (lambda: image.ImageDataGenerator().flow(IMAGES[0]), "4 dimensions, got shape"),
        (lambda: image.ImageDataGenerator().flow(IMAGES, subset="validation"), "a larger validation_split than 0"),
        (lambda: image.ImageDataGenerator(validation_split=0.5).flow(IMAGES, subset="test"), "subset 'test'"),
        (lambda: image.ImageDataGenerator(validation_split=0.5).flow(IMAGES, [0] * 5 + [1] * 5, subset="training"),
         "different classes"),
        (lambda: image.ImageDataGenerator().flow(IMAGES, batch_size=0), "batch_size must be an integer from 1, got 0"),
        (lambda: image.ImageDataGenerator().fit(IMAGES[0]), "4 dimensions"),
        (lambda: image.apply_affine_transform(IMAGES[0], 3, row_axis=1, col_axis=1), "must be 0, 1 and 2"),
        (lambda: image.apply_affine_transform(IMAGES, 3), "must have 3 dimensions"),
        (lambda: image.random_zoom(IMAGES[0], 0.2), "zoom_range must be a pair"),
        (lambda: image.smart_resize(IMAGES, 3), "size must be .height, width."),
        (lambda: utils.array_to_img(IMAGES), "must have 3 dimensions"),
        (lambda: utils.array_to_img(IMAGES[0, :, :, :2]), "1, 3 or 4 channels, got 2"),
        (lambda: utils.img_to_array(IMAGES), "2 or 3 dimensions"),
    ],
)  # fmt: skip
def test_what_means_nothing_is_refused(call, match):
    with pytest.raises((ArgumentError, ShapeError, UnknownNameError), match=match):
        call()


# ---- files ----


def test_images_are_saved_and_loaded(tmp_path):
    whole = np.random.default_rng(1).integers(0, 256, (5, 4, 3)).astype("float32")
    whole[0, 0] = 0, 255, 3
    for name in ("a.png", "a.bmp", "a.tif", "a.TIFF"):
        utils.save_img(tmp_path / name, whole)
        np.testing.assert_array_equal(utils.img_to_array(utils.load_img(tmp_path / name)), whole)
    utils.save_img(str(tmp_path / "a.jpg"), whole, quality=95)
    assert utils.load_img(tmp_path / "a.jpg").size == (4, 5)
    with pytest.warns(UserWarning, match="JPEG has no transparency"):
        utils.save_img(tmp_path / "rgba.jpeg", np.zeros((2, 2, 4)))
    first = whole.transpose(2, 0, 1)
    utils.save_img(tmp_path / "first.png", first, data_format="channels_first")
    np.testing.assert_array_equal(utils.img_to_array(utils.load_img(tmp_path / "first.png"), "channels_first"), first)
    file = io.BytesIO((tmp_path / "a.png").read_bytes())
    assert utils.img_to_array(utils.load_img(file, color_mode="grayscale")).shape == (5, 4, 1)
    with pytest.warns(DeprecationWarning, match="color_mode='grayscale'"):
        assert utils.load_img(tmp_path / "a.png", grayscale=True).mode == "L"
    with pytest.raises(UnknownNameError, match="image format"):
        utils.save_img(tmp_path / "a.xyz", whole)
    for path in (tmp_path / "a", io.BytesIO()):
        with pytest.raises(ArgumentError, match="has no ending: give save_img a file_format"):
            utils.save_img(path, whole)
    before = (tmp_path / "a.png").read_bytes()
    with pytest.raises((TypeError, ValueError)):
        utils.save_img(tmp_path / "a.png", whole, compress_level="much")
    assert (tmp_path / "a.png").read_bytes() == before


@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_every_process_writes_its_own_images(ending, tmp_path, monkeypatch):
    def exchange(payload):
        raise AssertionError("a thread that reads data ahead told another process something")

    monkeypatch.setattr(processes._Group, "index", 1)
    monkeypatch.setattr(processes._Group, "count", 2)
    monkeypatch.setattr(processes._Group, "exchange", staticmethod(exchange))
    utils.save_img(tmp_path / f"one.{ending}", IMAGES[0])
    data = image.ImageDataGenerator().flow(IMAGES, batch_size=5, save_to_dir=tmp_path, save_format=ending)
    data[0]
    assert len([*tmp_path.glob(f"*.{ending}")]) == len([*tmp_path.iterdir()]) == 6


def test_a_broken_image_is_named(tmp_path):
    good = tmp_path / "good.png"
    utils.save_img(good, IMAGES[0])
    content = good.read_bytes()
    for name, damaged in {
        "cut": content[:60],
        "text": b"no image",
        "empty": b"",
        "ps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    }.items():
        path = tmp_path / f"{name}.png"
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=rf"{name}\.png' (is not an image|holds PostScript)"):
            utils.load_img(path)
    damaged = bytearray(content)
    damaged[45:60] = bytes(15)
    with pytest.raises(DataError, match="the image in memory is not an image that Pillow can read"):
        utils.load_img(io.BytesIO(bytes(damaged)))
    with pytest.raises(FileNotFoundError, match="missing"):
        utils.load_img(tmp_path / "missing.png")
    with pytest.raises(TypeError, match="must be a path or a BytesIO, got a int"):
        utils.load_img(3)
    with pytest.raises(UnknownNameError, match="color mode 'cmyk'"):
        utils.load_img(good, color_mode="cmyk")
    with pytest.raises(UnknownNameError, match="interpolation 'cubic'"):
        utils.load_img(good, target_size=(2, 2), interpolation="cubic")
    with pytest.raises(ArgumentError, match="target_size must be"):
        utils.load_img(good, target_size=4)


def test_an_image_of_too_many_pixels_is_refused(tmp_path, monkeypatch):
    from PIL import Image

    path = tmp_path / "large.png"
    utils.save_img(path, np.zeros((30, 20, 3)))
    for limit in (599, 250):  # beyond twice the limit Pillow itself refuses
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with pytest.raises(DataError, match=rf"large\.png' has .* pixels, more than the limit of {limit}; .*MAX_IMAGE"):
            utils.load_img(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises(DataError, match=r"large\.png'"):
                utils.load_img(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert utils.load_img(path).size == (20, 30)


def test_without_pillow_arrays_are_still_changed(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert image.ImageDataGenerator(**CHANGES).flow(IMAGES, batch_size=4)[0].shape == (4, 6, 5, 3)
    for call in (lambda: utils.load_img("a.png"), lambda: utils.array_to_img(IMAGES[0]),
                 lambda: utils.image_dataset_from_directory("a"),
                 lambda: image.ImageDataGenerator().flow_from_directory("a")):  # fmt: skip
        with pytest.raises(ImportError, match=r"needs Pillow: pip install pillow"):
            call()

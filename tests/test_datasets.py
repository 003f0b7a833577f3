"""The data sets: small files of the layout of the genuine ones, served on this machine, give what Keras makes of them."""

from __future__ import annotations

import hashlib
import io
import pickle
from pathlib import Path

import numpy as np
import pytest

import lamella
from lamella import datasets
from lamella.datasets import sources
from lamella.errors import ArgumentError, DownloadError, FormatError
from lamella.files import pickled
from loopback import serving
from small_data_sets import archive, batch, idx, npz, small_files, texts

FILES = small_files()


@pytest.fixture
def served(tmp_path, monkeypatch):
    """The files behind addresses on this machine, with their hashes."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    with serving(files=dict(FILES)) as server:
        for name, source in sources.SOURCES.items():
            digest = (hashlib.sha256 if len(source.hash or "") != 32 else hashlib.md5)(FILES[name]).hexdigest()
            monkeypatch.setitem(sources.SOURCES, name, sources.Source(server.address(name), source.hash and digest))
        yield server


def stored(tmp_path):
    folder = tmp_path / "cache" / "datasets"
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_mnist(served, tmp_path):
    (x, y), (more_x, more_y) = datasets.mnist.load_data()
    assert (x.shape, y.shape, more_x.shape, more_y.shape) == ((30, 28, 28), (30,), (10, 28, 28), (10,))
    assert {array.dtype.name for array in (x, y, more_x, more_y)} == {"uint8"}
    with np.load(io.BytesIO(FILES["mnist.npz"])) as told:
        np.testing.assert_array_equal(x, told["x_train"], strict=True)
        np.testing.assert_array_equal(more_y, told["y_test"], strict=True)
    assert stored(tmp_path) == ["mnist.npz"]
    datasets.mnist.load_data()
    assert len(served.asked) == 1
    datasets.mnist.load_data(path="other.npz")
    assert stored(tmp_path) == ["mnist.npz", "other.npz"]
    datasets.mnist.load_data(path=str(tmp_path / "elsewhere" / "mnist.npz"))
    assert (tmp_path / "elsewhere" / "mnist.npz").is_file()


def test_fashion_mnist(served, tmp_path):
    (x, y), (more_x, more_y) = datasets.fashion_mnist.load_data()
    (told_x, told_y), (told_more_x, told_more_y) = datasets.mnist.load_data()
    for array, told in ((x, told_x), (y, told_y), (more_x, told_more_x), (more_y, told_more_y)):
        np.testing.assert_array_equal(array, told, strict=True)
        assert array.flags.writeable
    assert "fashion-mnist/t10k-images-idx3-ubyte.gz" in stored(tmp_path)


@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
def test_cifar10(layout, served, tmp_path):
    lamella.config.set_image_data_format(layout)
    (x, y), (more_x, more_y) = datasets.cifar10.load_data()
    shape = (32, 32, 3) if layout == "channels_last" else (3, 32, 32)
    assert (x.shape, y.shape, more_x.shape, more_y.shape) == ((50, *shape), (50, 1), (10, *shape), (10, 1))
    assert {array.dtype.name for array in (x, y, more_x, more_y)} == {"uint8"}
    assert all(array.flags.c_contiguous and array.flags.writeable for array in (x, y, more_x, more_y))
    folder = tmp_path / "cache/datasets/cifar-10-batches-py-target/cifar-10-batches-py"
    told = pickle.loads((folder / "data_batch_2").read_bytes(), encoding="bytes")
    pixels = told[b"data"].reshape(10, 3, 32, 32)
    np.testing.assert_array_equal(x[10:20], pixels.transpose(0, 2, 3, 1) if layout == "channels_last" else pixels)
    np.testing.assert_array_equal(y[10:20, 0], told[b"labels"])
    assert "cifar-10-batches-py-target_archive" in stored(tmp_path)


def test_cifar100(served, tmp_path):
    (x, fine), (_, more) = datasets.cifar100.load_data()
    (same, coarse), _ = datasets.cifar100.load_data("coarse")
    np.testing.assert_array_equal(x, same)
    assert (x.shape, fine.shape, fine.dtype, more.shape) == ((10, 32, 32, 3), (10, 1), np.int64, (10, 1))
    told = pickle.loads(
        (tmp_path / "cache/datasets/cifar-100-python-target/cifar-100-python/train").read_bytes(), encoding="bytes"
    )
    np.testing.assert_array_equal(fine[:, 0], told[b"fine_labels"])
    np.testing.assert_array_equal(coarse[:, 0], told[b"coarse_labels"])
    with pytest.raises(ArgumentError, match="label_mode must be 'fine' or 'coarse', got 'both'"):
        datasets.cifar100.load_data("both")


def test_imdb(served):
    (x, y), (more_x, more_y) = datasets.imdb.load_data()
    assert (x.shape, x.dtype, y.dtype, more_x.shape) == ((40,), object, np.int64, (30,))
    with np.load(io.BytesIO(FILES["imdb.npz"]), allow_pickle=True) as told:
        generator, order = np.random.RandomState(113), np.arange(40)
        generator.shuffle(order)
        largest = 3 + max(max(text) for name in ("x_train", "x_test") for text in told[name])
        wanted = [[1, *(word + 3 if word + 3 < largest else 2 for word in text)] for text in told["x_train"][order]]
        np.testing.assert_array_equal(y, told["y_train"][order])
        order = np.arange(30)
        generator.shuffle(order)  # which continues where it was
        np.testing.assert_array_equal(more_y, told["y_test"][order])
    assert x.tolist() == wanted
    assert all(type(text) is list and type(text[0]) is int for text in x)

    (x, _), _ = datasets.imdb.load_data(num_words=500, skip_top=10, oov_char=None, start_char=None, index_from=0)
    assert {word for text in x for word in text} <= set(range(10, 500))
    (x, y), _ = datasets.imdb.load_data(maxlen=10)
    assert len(x) == len(y) < 40
    assert max(map(len, x)) == 9
    with pytest.warns(DeprecationWarning, match="nb_words= is a name of an earlier Keras; write num_words="):
        (x, _), _ = datasets.imdb.load_data(nb_words=500)
    assert max(max(text) for text in x) < 500
    assert datasets.imdb.get_word_index() == {"the": 1, "of": 2, "é": 3}
    with pytest.raises(ArgumentError, match="no text is shorter than maxlen=1; the shortest has 2"):
        datasets.imdb.load_data(maxlen=1)
    with pytest.raises(ArgumentError, match="skip_top must be an integer or None, got 'a'"):
        datasets.imdb.load_data(skip_top="a")
    with pytest.raises(TypeError, match="unexpected keyword argument 'test_split'"):
        datasets.imdb.load_data(test_split=0.1)


def test_texts_of_one_length_are_still_lists(served, monkeypatch):
    same = np.fromiter(([1, 2], [3, 4]), object, 2)
    data = npz(x_train=same, y_train=np.arange(2), x_test=same, y_test=np.arange(2))
    served.files["imdb.npz"] = data
    monkeypatch.setitem(sources.SOURCES, "imdb.npz", sources.Source(served.address("imdb.npz")))
    (x, _), _ = datasets.imdb.load_data()
    assert x.shape == (2,)


def test_reuters(served):
    (x, y), (more_x, more_y) = datasets.reuters.load_data(num_words=1000)
    assert (len(x), len(y), len(more_x), len(more_y)) == (48, 48, 12, 12)
    assert x.dtype == object
    (x, _), (more_x, _) = datasets.reuters.load_data(
        num_words=1000, test_split=0, maxlen=8, index_from=None, start_char=None
    )
    assert len(more_x) == 0 < len(x) < 60
    assert datasets.reuters.get_word_index() == {"the": 1, "of": 2, "é": 3}
    assert len(set(datasets.reuters.get_label_names())) == 46
    with pytest.raises(ArgumentError, match="test_split must be a number from 0 up to"):
        datasets.reuters.load_data(test_split=1)


def test_boston_housing_warns(served):
    with pytest.warns(UserWarning, match="made of the share of Black residents") as caught:
        (x, y), (more_x, more_y) = datasets.boston_housing.load_data()
    assert caught[0].filename == __file__
    assert (x.shape, y.shape, more_x.shape, more_y.shape) == ((40, 13), (40,), (10, 13), (10,))
    np.testing.assert_array_equal(x[:, 0], y)
    np.testing.assert_array_equal(more_x[:, 0], more_y)
    order = np.arange(50)
    np.random.RandomState(113).shuffle(order)
    with np.load(io.BytesIO(FILES["boston_housing.npz"])) as told:
        np.testing.assert_array_equal(x, told["x"][order[:40]])


def test_california_housing(served):
    (x, _), (more_x, _) = datasets.california_housing.load_data()
    assert (len(x), len(more_x)) == (560, 140)
    (x, y), (more_x, _) = datasets.california_housing.load_data("small", test_split=0.5, seed=1)
    assert (x.shape, y.shape, more_x.shape) == ((300, 8), (300,), (300, 8))
    before = len(served.asked)
    for kwargs, told in (
        ({"version": "medium"}, "version must be 'large' or 'small', got 'medium'"),
        ({"test_split": -0.1}, "test_split must be a number from 0 up to but not including 1, got -0.1"),
    ):
        with pytest.raises(ArgumentError, match=told):
            datasets.california_housing.load_data(path="new.npz", **kwargs)
    assert len(served.asked) == before


def test_digits_need_no_network_and_are_the_genuine_ones():
    (x, y), (more_x, more_y) = datasets.digits.load_data()
    assert (x.shape, y.shape, more_x.shape, more_y.shape) == ((1437, 8, 8), (1437,), (360, 8, 8), (360,))
    assert {array.dtype.name for array in (x, y, more_x, more_y)} == {"uint8"}
    together = np.concatenate([x, more_x]).reshape(-1, 64)
    assert hashlib.sha256(together.tobytes() + y.tobytes() + more_y.tobytes()).hexdigest() == DIGITS
    bundled = pytest.importorskip("sklearn.datasets")
    images, labels = bundled.load_digits(return_X_y=True)
    ours = np.column_stack([together, np.concatenate([y, more_y])])
    theirs = np.column_stack([images, labels])
    np.testing.assert_array_equal(ours[np.lexsort(ours.T)], theirs[np.lexsort(theirs.T)])


DIGITS = "5be61a59794a2e6664ed5ead0cb1507e4e1851f0d9a5fc97a302ebbb5ef5fef2"


def test_digits_say_whose_they_are():
    folder = Path(datasets.__file__).parent
    assert (folder / "digits.npz").stat().st_size < 60_000
    notice = (folder / "digits.NOTICE.txt").read_text()
    for told in ("E. Alpaydin and C. Kaynak", "CC BY 4.0", "https://doi.org/10.24432/C50P49"):
        assert told in " ".join(notice.split())


@pytest.mark.parametrize("name", datasets.__all__)
def test_each_says_where_it_comes_from_and_what_it_is_not_fit_for(name):
    module = getattr(datasets, name)
    assert [
        word
        for word in ("Source:", "License:", "Citation:", "Known harms:", "Checked with:")
        if word not in module.__doc__
    ] == []
    assert "Returns:" in module.load_data.__doc__


def test_names():
    from lamella.datasets import mnist

    assert mnist is datasets.mnist is lamella.datasets.mnist
    with pytest.raises(AttributeError, match="did you mean 'mnist'"):
        datasets.minst  # noqa: B018


def test_a_damaged_file_of_the_cache_is_told(served, tmp_path):
    folder = tmp_path / "cache/datasets/fashion-mnist"
    folder.mkdir(parents=True)
    path = folder / "train-labels-idx1-ubyte.gz"
    whole = FILES["train-labels-idx1-ubyte.gz"]
    for bad in (whole[:-9], b"hello", FILES["train-images-idx3-ubyte.gz"], whole[:20] + b"x" + whole[21:]):
        path.write_bytes(bad)
        with pytest.raises(FormatError, match=r"remove '.*train-labels-idx1-ubyte\.gz', and it is downloaded again\.$"):
            datasets.fashion_mnist.load_data()
    path.write_bytes(idx(np.zeros(3, np.uint8)))
    with pytest.raises(FormatError, match=r"has 30 images, and .* 3 labels"):
        datasets.fashion_mnist.load_data()


BAD = {
    "no lists": npz(x=np.zeros((60, 3)), y=np.arange(60)),
    "floats in lists": npz(x=np.fromiter([[1.5]] * 2, object, 2), y=np.arange(2)),
    "lists of texts": npz(x=np.fromiter([["a"], ["b"]], object, 2), y=np.arange(2)),
    "fewer labels": npz(x=texts(np.random.default_rng(0), 4), y=np.arange(3)),
    "labels of floats": npz(x=texts(np.random.default_rng(0), 4), y=np.ones(4)),
    "no labels": npz(x=texts(np.random.default_rng(0), 4)),
    "no archive": b"hello",
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_of_another_layout_is_told(name, served, monkeypatch):
    served.files["reuters.npz"] = BAD[name]
    monkeypatch.setitem(sources.SOURCES, "reuters.npz", sources.Source(served.address("reuters.npz")))
    with pytest.raises(FormatError, match=r"reuters\.npz"):
        datasets.reuters.load_data()


class Runs:
    def __reduce__(self):
        return Path.touch, (Path("it_ran"),)


def test_a_batch_that_would_run_code_does_not(served, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    good = batch(np.random.default_rng(0), 3, "labels")
    for bad in (
        pickle.dumps(Runs()),
        pickle.dumps({"data": [1], "labels": [1]}),
        good[:-100],
        good.replace(b"labels", b"lapels"),
    ):
        members = {**{f"data_batch_{n}": good for n in range(1, 6)}, "test_batch": bad}
        served.files["cifar-10-batches-py-target"] = archive("cifar-10-batches-py", members)
        address = served.address("cifar-10-batches-py-target")
        monkeypatch.setitem(sources.SOURCES, "cifar-10-batches-py-target", sources.Source(address))
        monkeypatch.setenv("KERAS_HOME", str(tmp_path / str(len(served.asked))))
        with pytest.raises(FormatError, match="test_batch"):
            datasets.cifar10.load_data()
    assert not (tmp_path / "it_ran").exists()


def test_a_download_of_another_hash_is_refused(served, tmp_path):
    served.files["mnist.npz"] = FILES["mnist.npz"] + b"x"
    with pytest.raises(FormatError, match=r"mnist\.npz has the sha256 .*, expected .*, and was not kept"):
        datasets.mnist.load_data()
    assert stored(tmp_path) == []


def test_without_a_network(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with serving() as gone:
        monkeypatch.setitem(sources.SOURCES, "mnist.npz", sources.Source(gone.address("mnist.npz")))
    with pytest.raises(DownloadError, match=r"put it at '.*/datasets/mnist\.npz'\.$"):
        datasets.mnist.load_data()


def test_a_text_of_many_words_is_read_at_once():
    """As many words as a hundredth of IMDB."""
    many = np.fromiter((list(range(1, 239)) for _ in range(250)), object, 250)
    assert len(pickled.read(pickle.dumps(many, 4), "many")) == 250

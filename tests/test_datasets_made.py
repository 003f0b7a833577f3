"""What `timeseries_dataset_from_array`, `text_dataset_from_directory` and `split_dataset` return, and what they refuse."""

from __future__ import annotations

import pickle
from types import SimpleNamespace

import numpy as np
import pytest

import lamella
from lamella import layers, preprocessing, utils
from lamella.errors import ArgumentError, DataError, DTypeError, ShapeError
from lamella.utils import split_dataset, text_dataset_from_directory, timeseries_dataset_from_array

SERIES = np.arange(30.0)


def flat(dataset):
    """The first entries of all batches of one pass, in one list."""
    return [entry for batch in dataset for entry in np.ravel(batch[0] if isinstance(batch, tuple) else batch).tolist()]


# ---- windows of a series ----


def test_windows_are_those_of_keras_s_documentation():
    dataset = timeseries_dataset_from_array(np.arange(99), None, 10, sequence_stride=3, sampling_rate=2, batch_size=4)
    windows = np.concatenate(list(dataset))
    assert windows[0].tolist() == list(range(0, 20, 2)) and windows[1].tolist() == list(range(3, 23, 2))
    assert windows[-1].tolist() == list(range(78, 98, 2)) and len(windows) == 27
    assert len(dataset) == 7 and [len(batch) for batch in dataset] == [4] * 6 + [3]
    dataset = timeseries_dataset_from_array(SERIES[:-10], SERIES[10:], sequence_length=10)
    (x, y), *rest = dataset
    assert not rest and x.tolist() == [list(range(i, i + 10)) for i in range(11)] and y.tolist() == list(range(10, 21))


def test_windows_of_a_part_of_the_series_and_of_few_targets():
    data = np.arange(40.0).reshape(20, 2)
    dataset = timeseries_dataset_from_array(data, SERIES[:20], 3, start_index=5, end_index=10, batch_size=None)
    singles = list(dataset)
    assert len(dataset) == 3 and [y for _, y in singles] == [5, 6, 7]
    np.testing.assert_array_equal(singles[2][0], data[7:10])
    ((x, y),) = timeseries_dataset_from_array(data, [1, 2], 3)
    assert x.shape == (2, 3, 2) and y.tolist() == [1, 2]


def test_each_pass_has_an_order_of_its_own_which_the_seed_repeats():
    def made(seed=7):
        return timeseries_dataset_from_array(SERIES, SERIES, 1, shuffle=True, seed=seed, batch_size=8)

    one, other = made(), made()
    first, second = flat(one), flat(one)
    assert sorted(first) == sorted(second) == SERIES.tolist() and first != second
    assert [flat(other), flat(other)] == [first, second]
    assert flat(made(8)) != first
    for x, y in one:
        np.testing.assert_array_equal(x[:, 0], y)
    utils.set_random_seed(3)
    drawn = flat(made(None))
    utils.set_random_seed(3)
    assert flat(made(None)) == drawn


def test_one_loop_within_another_keeps_its_order():
    dataset = timeseries_dataset_from_array(SERIES, None, 1, shuffle=True, seed=7, batch_size=8)
    alone = flat(timeseries_dataset_from_array(SERIES, None, 1, shuffle=True, seed=7, batch_size=8))
    outer = []
    for batch in dataset:
        outer += batch.ravel().tolist()
        flat(dataset)
    assert outer == alone


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"sequence_length": 31}, DataError, "takes 31 steps, and 30 are given"),
        ({"sequence_length": 3, "targets": []}, DataError, "0 targets"),
        ({"sequence_length": 0}, ArgumentError, "sequence_length must be an integer from 1"),
        ({"sequence_stride": 0}, ArgumentError, "sequence_stride"),
        ({"sampling_rate": 1.5}, ArgumentError, "sampling_rate"),
        ({"batch_size": 0}, ArgumentError, "batch_size"),
        ({"start_index": -1}, ArgumentError, "start_index"),
        ({"start_index": 9, "end_index": 9}, ArgumentError, "got 9 and 9"),
        ({"end_index": 31}, ArgumentError, "the 30 in data"),
        ({"data": 3.0}, ArgumentError, "axis of time steps"),
        ({"format": "grain"}, ArgumentError, "leave it out"),
    ],
)
def test_windows_that_cannot_be_are_refused(options, error, match):
    with pytest.raises(error, match=match):
        timeseries_dataset_from_array(**{"data": SERIES, "targets": None, "sequence_length": 2, **options})


def test_the_first_batches_and_the_others():
    dataset = timeseries_dataset_from_array(SERIES, None, 1, batch_size=8)
    assert flat(dataset.take(2)) == list(range(16)) and len(dataset.take(9)) == 4 and len(dataset.take(0)) == 0
    rest = dataset.skip(3).map(lambda x: x + 1)
    assert flat(rest) == list(range(25, 31)) and len(rest) == 1 and rest[0].ravel().tolist() == flat(rest)
    assert flat(dataset.skip(1).take(1)) == list(range(8, 16)) and flat(dataset.skip(9)) == []
    assert dataset.take(2)[-1].ravel().tolist() == list(range(8, 16))
    with pytest.raises(IndexError):
        dataset.take(1)[1]
    with pytest.raises(ArgumentError, match="count must be"):
        dataset.take(-1)
    shuffled = timeseries_dataset_from_array(SERIES, None, 1, batch_size=8, shuffle=True, seed=1)
    one = shuffled.take(1)
    assert flat(one) != flat(one) and shuffled.passes_begun == one.passes_begun == 2
    one.passes_begun = 0
    assert flat(one) == flat(timeseries_dataset_from_array(SERIES, None, 1, batch_size=8, shuffle=True, seed=1).take(1))


def test_batches_that_are_skipped_are_not_computed(monkeypatch):
    dataset = utils.timeseries_dataset_from_array(np.arange(80), None, 1, batch_size=8)
    computed = []
    gather = type(dataset).gather
    monkeypatch.setattr(
        type(dataset), "gather", lambda self, numbers: computed.append(numbers) or gather(self, numbers)
    )
    assert flat(dataset.map(lambda x: x).skip(8)) == list(range(64, 80)) and len(computed) == 2


def test_methods_of_tensorflow_s_data_sets_are_told_apart():
    dataset = timeseries_dataset_from_array(SERIES, None, 1)
    for name, hint in (("prefetch", "leave it out"), ("cardinality", r"len\(dataset\)"), ("shuffle", "shuffle=True")):
        with pytest.raises(AttributeError, match=f"{name}', which is a method of TensorFlow's data sets: .*{hint}"):
            getattr(dataset.map(lambda x: x), name)
    assert not hasattr(dataset, "other") and not hasattr(dataset, "batch")


# ---- in fit, evaluate and predict ----


def model_of(units=1):
    model = lamella.Sequential([lamella.Input((None, 1)), layers.GlobalAveragePooling1D(), layers.Dense(units)])
    model.compile("sgd", "mse")
    return model


def test_data_sets_train_evaluate_and_predict(backend):
    utils.set_random_seed(0)
    data = np.sin(SERIES)[:, None]
    dataset = timeseries_dataset_from_array(data[:-1], data[3:], 3, batch_size=8, shuffle=True, seed=1)
    model = model_of()
    weights = model.get_weights()
    losses = model.fit(dataset, validation_data=dataset, epochs=3, verbose=0).history["loss"]
    model.set_weights(weights)
    model.compile("sgd", "mse")
    again = timeseries_dataset_from_array(data[:-1], data[3:], 3, batch_size=8, shuffle=True, seed=1)
    assert model.fit(again, validation_data=again, epochs=3, verbose=0).history["loss"] == losses
    in_order = timeseries_dataset_from_array(data[:-1], data[3:], 3, batch_size=8)
    y = model.predict(in_order, verbose=0)
    np.testing.assert_allclose(
        model.evaluate(in_order, verbose=0), np.mean((y - np.concatenate([y for _, y in in_order])) ** 2), rtol=1e-5
    )


class Seen(utils.PyDataset):
    """A data set that remembers what was asked of it."""

    def __init__(self, dataset):
        super().__init__()
        self.dataset, self.asked = dataset, []
        self.keeps_order = dataset.keeps_order
        self.on_pass_begin = dataset.on_pass_begin

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, index):
        x, y = self.dataset[index]
        self.asked += y.tolist()
        return x, y


def test_fit_keeps_the_order_of_batches_and_begins_each_pass(backend):
    data = SERIES[:, None]
    for shuffle in (False, True):
        seen = Seen(timeseries_dataset_from_array(data, SERIES, 1, batch_size=7, shuffle=shuffle, seed=2))
        model_of().fit(seen, epochs=2, verbose=0)  # fit's shuffle=True would reorder the batches
        asked = seen.asked[7:]  # the first batch was looked at before
        assert sorted(asked[:30]) == sorted(asked[30:]) == SERIES.tolist()
        assert (asked[:30] == SERIES.tolist()) is not shuffle
        assert (asked[:30] == asked[30:]) is not shuffle


def test_workers_compute_batches_of_the_same_order():
    one, other = (
        timeseries_dataset_from_array(SERIES[:, None], SERIES, 1, batch_size=4, shuffle=True, seed=2) for _ in "ab"
    )
    other.workers = 3
    model = model_of()
    assert model.evaluate(one, verbose=0) == model.evaluate(other, verbose=0)
    assert flat(pickle.loads(pickle.dumps(one))) == flat(one)


# ---- text files ----


@pytest.fixture
def folder(tmp_path):
    for place, words in {
        "neg/b.txt": "bad",
        "neg/a.txt": "awful é",
        "neg/deep/c.TXT": "worse\r\n",
        "pos/d.txt": "good",
        "pos/e.txt": "great",
        "pos/notes.md": "no text file",
        ".hidden/x.txt": "hidden",
    }.items():
        path = tmp_path / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(words.encode())
    return tmp_path


def test_texts_and_labels_of_subfolders(folder, capsys):
    dataset = text_dataset_from_directory(folder, shuffle=False, batch_size=4)
    assert capsys.readouterr().out == "Found 5 files belonging to 2 classes.\n"
    assert dataset.class_names == ["neg", "pos"] and len(dataset) == 2
    texts, labels = dataset[0]
    assert texts.tolist() == ["awful é", "bad", "worse\r\n", "good"] and texts.dtype == object
    assert labels.tolist() == [0, 0, 0, 1] and labels.dtype == np.int32
    assert dataset.file_paths[0] == str(folder / "neg" / "a.txt")
    quiet = {"shuffle": False, "verbose": False}
    ((texts, labels),) = text_dataset_from_directory(folder, label_mode="binary", max_length=2, **quiet)
    assert texts.tolist() == ["aw", "ba", "wo", "go", "gr"]
    assert labels.tolist() == [[0], [0], [0], [1], [1]] and labels.dtype == np.float32
    ((_, labels),) = text_dataset_from_directory(folder, label_mode="categorical", class_names=["pos", "neg"], **quiet)
    assert labels.tolist() == [[1, 0], [1, 0], [0, 1], [0, 1], [0, 1]] and labels.dtype == np.float32
    ((texts, labels),) = text_dataset_from_directory(str(folder), class_names=["pos"], **quiet)
    assert texts.tolist() == ["good", "great"] and labels.tolist() == [0, 0]
    single = list(text_dataset_from_directory(folder, batch_size=None, class_names=["pos"], **quiet))
    assert single == [("good", 0), ("great", 1 - 1)]
    assert capsys.readouterr().out == ""


def test_no_labels_and_labels_that_are_given(folder, capsys):
    for options in ({"labels": None}, {"label_mode": None}):
        (texts,) = text_dataset_from_directory(
            folder / "pos", shuffle=False, **{"label_mode": "int", "labels": None, **options}
        )
        assert texts.tolist() == ["good", "great"]
    assert capsys.readouterr().out == "Found 2 files.\n" * 2
    dataset = text_dataset_from_directory(folder / "neg", labels=[5, 3, 5], shuffle=False)
    assert dataset.class_names == ["3", "5"] and dataset[0][1].tolist() == [5, 3, 5]
    assert dataset[0][0].tolist() == ["awful é", "bad", "worse\r\n"]


def test_parts_are_those_of_keras_and_do_not_overlap(tmp_path, capsys):
    for number in range(10):
        path = tmp_path / "ab"[number % 2] / f"{number}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(str(number))
    options = {"validation_split": 0.3, "seed": 123}
    train, valid = text_dataset_from_directory(tmp_path, subset="both", **options)
    assert capsys.readouterr().out.splitlines()[1:] == ["Using 7 files for training.", "Using 3 files for validation."]
    # keras.src.utils.dataset_utils.index_directory of Keras 3.15.1 with this seed
    assert [path[-5] for path in train.file_paths + valid.file_paths] == list("8051762394")
    assert valid[0][0].tolist() == list("394") and valid[0][1].tolist() == [1, 1, 0]
    assert train.class_names == valid.class_names == ["a", "b"]
    for subset, expected in (("training", train), ("validation", valid)):
        dataset = text_dataset_from_directory(tmp_path, subset=subset, verbose=False, **options)
        assert dataset.file_paths == expected.file_paths
    for texts, labels in train:
        assert [int(text) % 2 for text in texts] == labels.tolist()
    assert flat(train) != flat(train) and flat(valid) == flat(valid)


def test_words_of_text_files_train_a_model(folder, backend):
    dataset = preprocessing.text_dataset_from_directory(folder, batch_size=2, seed=1, verbose=False)
    words = preprocessing.text.Tokenizer()
    words.fit_on_texts(text for texts, _ in dataset for text in texts)
    numbered = dataset.map(lambda x, y: (words.texts_to_matrix(x).astype("float32"), y)).map(
        lambda x, y: (x, y[:, None])
    )
    assert len(numbered) == 3 and numbered.class_names == ["neg", "pos"]
    model = lamella.Sequential([layers.Dense(1, "sigmoid")])
    model.compile("sgd", "binary_crossentropy")
    losses = model.fit(numbered, epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    texts = text_dataset_from_directory(folder, labels=None, verbose=False).map(lambda x: words.texts_to_matrix(x))
    assert model.predict(texts, verbose=0).shape == (6, 1)
    with pytest.raises(ArgumentError, match="a function of a batch, got str"):
        dataset.map("upper")


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"directory": "nowhere"}, ArgumentError, "'nowhere' is not a folder"),
        ({"directory": "pos", "labels": [1]}, DataError, "1 labels for the 2 text files"),
        ({"directory": "pos", "labels": ["a", "b"]}, DataError, "labels must be integers, got 'a'"),
        ({"directory": "pos", "labels": [0, 2], "label_mode": "categorical"}, DataError, "0 to 1 for"),
        ({"directory": "pos"}, DataError, "no text files .* in its subfolders, one per class"),
        ({"directory": "pos", "labels": "infered"}, ArgumentError, "did you mean 'inferred'"),
        ({"labels": np.zeros(5)}, ArgumentError, "one integer per file, got ndarray"),
        ({"labels": [1] * 6, "class_names": ["a"]}, ArgumentError, "class_names orders"),
        ({"class_names": ["pos", "new"]}, ArgumentError, "the subfolders are"),
        ({"label_mode": "ints"}, ArgumentError, "label_mode must be"),
        ({"label_mode": "binary", "class_names": ["pos"]}, ArgumentError, "needs two classes, got 1"),
        ({"validation_split": 1.5, "subset": "both"}, ArgumentError, "fraction between 0 and 1"),
        ({"validation_split": 0.5}, ArgumentError, "come together"),
        ({"subset": "training"}, ArgumentError, "come together"),
        ({"validation_split": 0.5, "subset": "test"}, ArgumentError, "'training', 'validation', 'both'"),
        ({"validation_split": 0.5, "subset": "both"}, ArgumentError, "needs a seed"),
        ({"validation_split": 0.01, "subset": "both", "seed": 1}, DataError, "leaves one of the two parts empty"),
        ({"max_length": 0}, ArgumentError, "max_length"),
        ({"batch_size": 2.0}, ArgumentError, "batch_size"),
        ({"format": "tf"}, ArgumentError, "leave it out"),
    ],
)
def test_folders_that_make_no_data_set_are_refused(folder, monkeypatch, options, error, match):
    monkeypatch.chdir(folder)
    with pytest.raises(error, match=match):
        text_dataset_from_directory(**{"directory": ".", "verbose": False, **options})


def test_a_broken_file_is_named_when_it_is_read(folder):
    (folder / "neg" / "b.txt").write_bytes(b"ab\xff")
    dataset = text_dataset_from_directory(folder, verbose=False)
    with pytest.raises(DataError, match=r"neg.b\.txt' is not UTF-8: byte 0xff at position 2"):
        list(dataset)


# ---- two parts ----


def rows(dataset):
    return np.concatenate([batch if isinstance(batch, np.ndarray) else batch[0] for batch in dataset]).tolist()


def test_arrays_are_split():
    x = np.arange(10)
    left, right = split_dataset(x, left_size=0.8)
    assert (rows(left), rows(right)) == (list(range(8)), [8, 9]) and len(left) == 1
    left, right = split_dataset((x, x * 2), right_size=3, batch_size=2)
    assert (rows(left), rows(right)) == (list(range(7)), [7, 8, 9])
    assert len(left) == 4 and [y.tolist() for _, y in right] == [[14, 16], [18]]
    left, right = split_dataset([x, x], left_size=2, right_size=0.3)
    assert isinstance(left[0], tuple) and (rows(left), rows(right)) == ([0, 1], [7, 8, 9])
    left, right = split_dataset(({"a": x, "b": [x]}, x), 0.5, batch_size=None)
    assert len(left) == 5 and left[1] == ({"a": 1, "b": [1]}, 1)
    # random.seed(42); random.shuffle(rows), as Keras does
    left, right = split_dataset(x, 0.5, shuffle=True, seed=42)
    assert rows(left) + rows(right) == [7, 3, 2, 8, 5, 6, 9, 4, 0, 1]


def test_batches_are_split_and_keep_their_size():
    x = np.arange(10.0)
    batches = [(x[:4], x[:4] + 1), (x[4:8], x[4:8] + 1), (x[8:], x[8:] + 1)]
    for given in (batches, iter(batches), (batch for batch in batches), split_dataset(batches, 9)[0]):
        left, right = split_dataset(given, left_size=6)
        assert rows(left) == list(range(6)) and len(left) == 2 and left[1][1].tolist() == [5, 6]
        assert len(right) == 1
    windows = timeseries_dataset_from_array(x, None, 2, batch_size=None)
    left, right = split_dataset(windows.map(lambda window: window), 0.5)
    assert left.batch_size is None and [row.tolist() for row in left] == [[0, 1], [1, 2], [2, 3], [3, 4]]


def test_parts_train_a_model(backend):
    x = np.arange(10, dtype="float32")[:, None]
    train, valid = split_dataset((x, x), left_size=0.7, shuffle=True, seed=1, batch_size=4)
    model = lamella.Sequential([layers.Dense(1)])
    model.compile(lamella.optimizers.SGD(1e-3), "mse")
    history = model.fit(train, validation_data=valid, epochs=2, verbose=0).history
    assert history["val_loss"][1] < history["val_loss"][0]


ENDLESS = type("Endless", (utils.PyDataset,), {"num_batches": None, "__getitem__": lambda self, index: np.ones(2)})()


@pytest.mark.parametrize(
    ("dataset", "options", "error", "match"),
    [
        (np.ones(4), {}, ArgumentError, "left_size= or right_size="),
        (np.ones(4), {"left_size": 1.5}, ArgumentError, "left_size must be a fraction"),
        (np.ones(4), {"left_size": 0}, ArgumentError, "an integer from 1, got 0"),
        (np.ones(4), {"left_size": "half"}, ArgumentError, "got 'half'"),
        (np.ones(4), {"left_size": 4}, ArgumentError, "parts of 4 and 0 examples of the 4"),
        (np.ones(4), {"left_size": 0.1}, ArgumentError, "parts of 0 and 4"),
        (np.ones(4), {"left_size": 3, "right_size": 0.5}, ArgumentError, "parts of 3 and 2 examples of the 4"),
        (np.ones(4), {"left_size": 1, "preferred_backend": "torch"}, ArgumentError, "leave it out"),
        (np.ones(4), {"left_size": 1, "batch_size": "all"}, ArgumentError, "'auto', got 'all'"),
        (
            (np.ones(4), np.ones(3)),
            {"left_size": 1},
            ShapeError,
            r"as many rows each, got the shapes \[\(4,\), \(3,\)\]",
        ),
        (np.float32(3), {"left_size": 1}, DTypeError, "got float32"),
        ([1, 2, 3], {"left_size": 1}, DTypeError, "list with int 1 in it"),
        ([], {"left_size": 1}, DTypeError, "list with nothing in it"),
        ("text", {"left_size": 1}, DTypeError, "got str"),
        (np.ones((0, 2)), {"left_size": 1}, DataError, "without a row"),
        (iter([]), {"left_size": 1}, DataError, "without a batch"),
        (iter([np.ones((2, 3)), np.ones((2, 4))]), {"left_size": 1}, ShapeError, "pad them to one length"),
        (
            iter([np.ones(2), (np.ones(2),)]),
            {"left_size": 1},
            ShapeError,
            "batch 1 of the data set has another structure",
        ),
        (iter([(np.ones(2), np.ones(3))]), {"left_size": 1}, ShapeError, "batch 0 must consist of arrays"),
        (ENDLESS, {"left_size": 1}, DataError, "without an end"),
    ],
)
def test_what_cannot_be_split_is_refused(dataset, options, error, match):
    with pytest.raises(error, match=match):
        split_dataset(dataset, **options)


# ---- the progress bar ----


def test_a_bar_averages_and_ends_with_the_last_numbers(capsys):
    bar = utils.Progbar(6, stateful_metrics=["best"], unit_name="sample")
    bar.update(2, [("loss", 1.0), ("best", 3.0)])
    bar.add(1, [("loss", np.array([4.0, 4.0])), ("best", 2.0)])
    assert bar._shown() == {"loss": 2.0, "best": 2.0} and capsys.readouterr().out == ""
    bar.add(3, [("loss", 0.5)])
    line = capsys.readouterr().out
    assert line.startswith("6/6 - ") and "/sample - loss: 0.5000 - best: 2.0000\n" in line and line.count("\n") == 1
    bar = utils.Progbar(None, stateless_metrics=["loss"], verbose=2)
    bar.update(1, [("loss", 1.0), ("f1", 1.0)])
    bar.update(2, [("loss", 3.0), ("f1", 2.0)])
    assert bar._shown() == {"loss": 2.0, "f1": 2.0}
    bar.update(3, finalize=True)
    assert capsys.readouterr().out.startswith("3 steps - ")
    utils.Progbar(1, verbose=0).update(1)
    assert capsys.readouterr().out == ""


def test_a_bar_is_drawn_on_a_terminal(monkeypatch):
    written = []
    terminal = SimpleNamespace(write=written.append, flush=lambda: None, isatty=lambda: True, encoding="utf-8")
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setenv("TERM", "xterm")
    bar = utils.Progbar(4, width=8, interval=0)
    bar.update(2, [("loss", 1.0)])
    drawn = "".join(written)
    assert "━" * 4 in drawn and "━" * 5 not in drawn and "2/4" in drawn and "loss: 1.0000" in drawn


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"target": -1}, "target must be"),
        ({"target": 3, "width": "a"}, "width must be"),
        ({"target": 3, "verbose": 3}, "verbose must be"),
        ({"target": 3, "stateful_metrics": [], "stateless_metrics": []}, "got both"),
    ],
)
def test_a_bar_that_makes_no_sense_is_refused(options, match):
    with pytest.raises(ValueError, match=match):
        utils.Progbar(**options)

"""The columns of frames go by name: those of `fit` decide the order for every later frame."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import lamella
from lamella.layers import Dense, Input
from lamella.training.columns import names_of

pandas = pytest.importorskip("pandas")

RNG = np.random.default_rng(0)
FRAME = pandas.DataFrame(RNG.normal(size=(12, 3)), columns=["age", "height", "weight"])
OTHER = FRAME[["weight", "age", "height"]]
TARGETS = pandas.DataFrame(RNG.normal(size=(12, 2)), columns=["low", "high"])


def model_of(x=FRAME, y=TARGETS, **options):
    model = lamella.Sequential([Input((3,)), Dense(2)])
    model.compile("sgd", "mse")
    if x is not None:
        model.fit(x, y, verbose=0, **options)
    return model


def test_a_frame_in_another_order_is_put_into_that_of_fit(backend):
    model = model_of()
    expected, of_batch = model.predict(FRAME.to_numpy(), verbose=0), model.predict_on_batch(FRAME.to_numpy())
    for given in (FRAME, OTHER, [OTHER]):
        np.testing.assert_array_equal(model.predict(given, verbose=0), expected)
        np.testing.assert_array_equal(model.predict_on_batch(given), of_batch)
    np.testing.assert_array_equal(model(OTHER), of_batch)
    batches = model.predict((part for part in (OTHER[:8], OTHER[8:])), verbose=0)
    np.testing.assert_allclose(batches, expected, rtol=1e-5)
    swapped = TARGETS[["high", "low"]]
    loss = model.evaluate(FRAME, TARGETS, verbose=0)
    assert model.evaluate(OTHER, swapped, verbose=0) == loss
    assert model.test_on_batch(OTHER, swapped) == loss
    np.testing.assert_array_equal(model.value_and_grad(OTHER, swapped)[0], model.value_and_grad(FRAME, TARGETS)[0])


@pytest.mark.parametrize("how", ["fit", "fit of batches", "train_on_batch", "a second fit"])
def test_training_goes_by_the_columns_of_the_first_frame(how, backend):
    found = []
    for second in (FRAME, OTHER):
        lamella.utils.set_random_seed(0)
        model = model_of(None)
        if how == "fit":
            history = model.fit(FRAME, TARGETS, validation_data=(second, TARGETS), shuffle=False, verbose=0).history
        elif how == "fit of batches":
            batches = [(FRAME[:6], TARGETS[:6]), (second[6:], TARGETS[6:])]
            history = model.fit(batches, epochs=2, shuffle=False, verbose=0).history
        elif how == "train_on_batch":
            history = [model.train_on_batch(given, TARGETS) for given in (FRAME, second)]
        else:
            history = [model.fit(given, TARGETS, shuffle=False, verbose=0).history for given in (FRAME, second)]
        found.append((history, [w.tolist() for w in model.get_weights()]))
    assert found[0] == found[1]


def test_missing_and_other_columns_are_named(backend):
    model = model_of()
    wrong = FRAME.rename(columns={"age": "Age"})
    with pytest.raises(
        ValueError,
        match=r"lacks the column 'age' and has the column 'Age' as well.*'age', 'height', 'weight'.*to_numpy",
    ):
        model.predict(wrong)
    with pytest.raises(ValueError, match="has the columns 'town', 'zip' as well"):
        model.predict(FRAME.assign(town="Ulm", zip=3))
    with pytest.raises(ValueError, match=r"^x has.* lacks the columns 'age', 'weight'"):
        model.evaluate(FRAME[["height"]], TARGETS)
    with pytest.raises(ValueError, match=r"^y has.* lacks the column 'low'"):
        model.evaluate(FRAME, TARGETS[["high"]])
    with pytest.raises(ValueError, match="x of validation_data has other columns"):
        model.fit(FRAME, TARGETS, validation_data=(wrong, TARGETS))
    with pytest.raises(ValueError, match="batch 1 of x: x has other columns"):
        model.fit([(FRAME, TARGETS), (wrong, TARGETS)], verbose=0)
    with pytest.raises(ValueError, match=r"'c7' and 12 more"):
        model_of(pandas.DataFrame(FRAME.to_numpy(), columns=list("abc"))).predict(
            pandas.DataFrame(np.ones((2, 20)), columns=[f"c{i}" for i in range(20)])
        )


def test_arrays_and_columns_without_names_go_by_place():
    model = model_of()
    expected = model.predict(FRAME.to_numpy(), verbose=0)
    for given in (pandas.DataFrame(FRAME.to_numpy()), FRAME.to_numpy().tolist()):
        np.testing.assert_array_equal(model.predict(given, verbose=0), expected)
    unnamed = model_of(FRAME.to_numpy(), TARGETS.to_numpy())
    np.testing.assert_array_equal(unnamed.predict(OTHER, verbose=0), unnamed.predict(OTHER.to_numpy(), verbose=0))
    twice = pandas.DataFrame(FRAME.to_numpy(), columns=["a", "a", "b"])
    model_of(twice).predict(FRAME, verbose=0)
    assert names_of(FRAME["age"]) is None


def test_a_fit_that_fails_leaves_no_columns_behind():
    model = model_of(None)
    with pytest.raises(ValueError, match="expected inputs of shape"):
        model.fit(FRAME, TARGETS, validation_data=(FRAME.to_numpy()[:, :2], TARGETS))
    model.fit(FRAME.rename(columns={"age": "years"}), TARGETS, verbose=0)


class Table:
    """As Arrow has them: `columns` are arrays, the names stand in `column_names`."""

    def __init__(self, frame):
        self.column_names, self.columns = list(frame.columns), [frame[name].to_numpy() for name in frame.columns]
        self.shape = frame.shape

    def __array__(self, dtype=None, copy=None):
        return np.stack(self.columns, -1)


def test_other_frames_that_say_their_columns():
    model = model_of(Table(FRAME))
    np.testing.assert_array_equal(model.predict(Table(OTHER), verbose=0), model.predict(FRAME, verbose=0))


@pytest.mark.parametrize("ending", [".keras", ".h5", ".safetensors", None, "pickle"])
def test_copies_and_files_know_the_columns(ending, tmp_path):
    model = model_of()
    if ending is None:
        again = copy.deepcopy(model)
    elif ending == "pickle":
        again = pickle.loads(pickle.dumps(model))
    else:
        path = tmp_path / f"model{ending}"
        model.save(path)
        again = lamella.models.load_model(path)
    np.testing.assert_array_equal(again.predict(OTHER, verbose=0), model.predict(FRAME, verbose=0))
    with pytest.raises(ValueError, match="lacks the column 'age'"):
        again.predict(FRAME[["height", "weight"]])


def test_names_that_no_file_holds_are_left_out(tmp_path):
    model = model_of(FRAME.rename(columns={"age": "a\x00b"}))
    model.save(tmp_path / "model.keras")
    assert lamella.models.load_model(tmp_path / "model.keras")._columns == {}

"""What `fit` and `evaluate` refuse of batches: one sentence, and nothing is changed that was not trained."""

from __future__ import annotations

import numpy as np
import pytest

from lamella.utils import PyDataset
from test_sources import LABELS, Loader, X, Y, assert_same, generated, model_of, pairs, trained

BAD = {
    "an empty generator": (lambda: generated([]), {}, "x is a generator without a batch"),
    "an empty data set": (lambda: Empty(), {}, "x is a Empty without a batch"),
    "a tuple of four": (lambda: Loader([(X, Y, Y, Y)]), {}, "batch 0 of x: it is a tuple of 4; a batch is"),
    "an empty tuple": (lambda: Loader([()]), {}, "it is a tuple of 0"),
    "no targets": (lambda: Loader([(X,)]), {}, "batch 0 of x: .*needs targets"),
    "lengths": (lambda: Loader([(X, Y[:5])]), {}, "batch 0 of x: x has 40 rows and y has 5"),
    "broadcasting": (lambda: Loader([(X, X)]), {}, "batch 0 of x: .*broadcasting"),
    "weights": (lambda: Loader([(X, Y, Y[:5, 0])]), {}, r"batch 0 of x: sample_weight .*got \(5,\)"),
    "features": (lambda: Loader([(X[:, :2], Y)]), {}, r"batch 0 of x: .*expected inputs of shape \(None, 3\)"),
    "ragged": (lambda: Loader([([[1.0, 2.0, 3.0], [1.0]], Y[:2])]), {}, "batch 0 of x: .*rectangular"),
    "a dict": (lambda: Loader([{"x": X}]), {}, r"batch 0 of x: x lacks 'input_layer\w*' and has the unknown key 'x'"),
    "y beside batches": (pairs, {"y": Y}, "no argument y"),
    "weights beside batches": (pairs, {"sample_weight": Y}, "no argument sample_weight"),
    "batch_size beside batches": (pairs, {"batch_size": 4}, "no argument batch_size"),
    "validation_split": (pairs, {"validation_split": 0.5}, "validation_split needs rows"),
    "a generator twice": (lambda: generated(pairs()), {"epochs": 2}, "steps_per_epoch="),
    "a validation generator twice": (
        pairs,
        {"epochs": 2, "validation_data": generated(pairs())},
        "validation_data is a generator.*validation_steps=",
    ),
    "validation of no kind": (pairs, {"validation_data": X}, "validation_data is"),
    "validation_steps alone": (pairs, {"validation_steps": 2}, "need validation_data"),
    "steps_per_epoch": (pairs, {"steps_per_epoch": 0}, "steps_per_epoch is a positive integer"),
    "validation_freq": (pairs, {"validation_freq": [0]}, "validation_freq is a positive"),
    "shuffle": (pairs, {"shuffle": "rows"}, "shuffle is"),
    "class_weight": (lambda: X, {"y": LABELS, "class_weight": [1.0, 2.0]}, "class_weight is a dict"),
}


class Empty(PyDataset):
    def __len__(self):
        return 0


@pytest.mark.parametrize("case", BAD)
def test_bad_batches_get_one_sentence_and_change_nothing(case, both):
    made, kwargs, pattern = BAD[case]
    told = []
    for name in both:
        model = model_of(backend=name)
        before = model.get_weights()
        with pytest.raises((ValueError, TypeError), match=pattern) as error:
            if "validation_data" in kwargs and not isinstance(kwargs["validation_data"], np.ndarray):
                kwargs = {**kwargs, "validation_data": generated(pairs())}
            model.fit(made(), verbose=0, **kwargs)
        told.append((type(error.value), str(error.value)))
        assert_same(model.get_weights(), before, rtol=0, atol=0)
        assert model._compiled.state.steps == 0
    assert told[0] == told[1]


LATER = {
    "features": ((X[:8, :2], Y[:8]), "batch 2 of x: .*expected inputs"),
    "targets": ((X[:8],), "batch 2 of x: .*needs targets"),
    "kind": ((X[:8], Y[:8].astype("int32")), "batch 2 of x: its rows are .*they must be alike"),
    "rows": ((X[:8], Y[:7]), "batch 2 of x: x has 8 rows and y has 7"),
}


@pytest.mark.parametrize("case", LATER)
def test_a_bad_batch_later_leaves_the_chunks_before_it(case, both):
    bad, pattern = LATER[case]
    told = []
    for name in both:
        model, expected = model_of(backend=name), model_of(backend=name)
        with pytest.raises((ValueError, TypeError), match=pattern) as error:
            model.fit([*pairs()[:2], bad], verbose=0)
        told.append(str(error.value))
        expected.fit(pairs()[: model._compiled.state.steps], verbose=0) if model._compiled.state.steps else None
        assert model._compiled.state.steps in (0, 2)
        assert_same(model.get_weights(), expected.get_weights(), rtol=0, atol=0)
    assert told[0] == told[1]


def test_what_a_generator_raises_comes_through_as_it_is(backend):
    def breaks():
        yield from pairs()[:3]
        raise RuntimeError("the camera is off")

    model = model_of()
    with pytest.raises(RuntimeError, match="the camera is off") as error:
        model.fit(breaks(), verbose=0)
    assert error.traceback[-1].name == "breaks"


def test_a_generator_may_use_its_arrays_again(backend):
    def same():
        x, y = np.empty((8, 3), "float32"), np.empty((8, 1), "float32")
        for a, b in pairs():
            x[...], y[...] = a, b
            yield x, y
            x[...], y[...] = np.nan, np.nan

    assert_same(trained(same(), epochs=1), trained(X, Y, epochs=1, batch_size=8))

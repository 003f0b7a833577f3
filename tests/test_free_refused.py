"""What free dimensions refuse: one sentence that names the layer and the axis, before any step, the same on both backends."""

from __future__ import annotations

import re

import numpy as np
import pytest

import lamella
from lamella import layers as L  # noqa: N812 - named often
from lamella.errors import ShapeError
from oracle.build import constructed


def compiled(backend, *layers, shape=(None, 2)):
    model = lamella.Sequential([L.Input(shape), *layers])
    model.compile("sgd", "mse", backend=backend)
    return model


def refused(both, make, work, *patterns, kind=ShapeError):
    """Refuse `work` of a model with the same error on both backends, and leave the model as it was."""
    told = []
    for name in both:
        with lamella.backend_scope(name):
            model = make(name)
            before = [np.array(w) for w in model.get_weights()]
            with pytest.raises(kind) as error:
                work(model)
        told.append(str(error.value))
        for pattern in patterns:
            assert re.search(pattern, told[-1]), (pattern, told[-1])
        assert not re.search(r"\b(Dim|Rows|Value)\b", told[-1]), told[-1]
        for a, b in zip(model.get_weights(), before, strict=True):
            np.testing.assert_array_equal(a, b)
        assert int(model.optimizer.iterations) == 0
    assert told[0] == told[1]


def ones(*shape):
    return np.ones(shape, "float32")


WORK = {
    "fit": lambda model, x, y: model.fit(x, y, verbose=0),
    "fit on batches": lambda model, x, y: model.fit([(x, y)], verbose=0),
    "validation": lambda model, x, y: model.fit(ones(4, 9, 2), ones(4, 1), validation_data=(x, y), verbose=0),
    "evaluate": lambda model, x, y: model.evaluate(x, y, verbose=0),
    "predict": lambda model, x, y: model.predict(x, verbose=0),
    "train_on_batch": lambda model, x, y: model.train_on_batch(x, y),
    "value_and_grad": lambda model, x, y: model.value_and_grad(x, y),
    "layer_outputs": lambda model, x, y: model.layer_outputs(x),
    "call": lambda model, x, y: model(x),
}


@pytest.mark.parametrize("work", WORK)
def test_fixed_dimensions_other_than_those_declared(work, both):
    refused(
        both,
        lambda name: compiled(name, L.LSTM(3), L.Dense(1)),
        lambda model: WORK[work](model, ones(4, 5, 3), ones(4, 1)),
        r"\(None, None, 2\)",
        r"\(4, 5, 3\)|\(None, 5, 3\)",
    )


@pytest.mark.parametrize("work", WORK)
def test_a_length_too_short_for_a_kernel(work, both):
    refused(
        both,
        lambda name: compiled(name, L.Conv1D(3, 5), L.GlobalMaxPooling1D(), L.Dense(1)),
        lambda model: WORK[work](model, ones(4, 3, 2), ones(4, 1)),
        "conv1d",
        r"axis 1\b",
    )


def nested(*layers):
    return lamella.Sequential([L.Input((None, 2)), *layers], name="inner")


SHORT = {
    "a kernel dilated": ((None, 2), [lambda: L.Conv1D(3, 2, dilation_rate=4)], (4, 2), "conv1d", 1),
    "the second of two": ((None, 2), [lambda: L.Conv1D(3, 3), lambda: L.Conv1D(3, 3, name="last")], (4, 2), "last", 1),
    "a width": ((None, None, 3), [lambda: L.Conv2D(2, 3)], (4, 2, 3), "conv2d", 2),
    "a height": ((None, None, 3), [lambda: L.DepthwiseConv2D(3)], (2, 4, 3), "depthwise_conv2d", 1),
    "a pooling": ((None, None, 3), [lambda: L.MaxPooling2D(4)], (4, 3, 3), "max_pooling2d", 2),
    "a pooling that averages": ((None, 2), [lambda: L.AveragePooling1D(4)], (3, 2), "average_pooling1d", 1),
    "a cropping": ((None, 2), [lambda: L.Cropping1D(2)], (3, 2), "cropping1d", 1),
    "within another model": ((None, 2), [lambda: nested(L.Conv1D(3, 5))], (3, 2), "inner/conv1d", 1),
    "within another layer": (
        (None, None, 2),
        [lambda: L.TimeDistributed(L.Conv1D(3, 5))],
        (2, 3, 2),
        "time_distributed/conv1d",
        1,
    ),
    "channels first": ((2, None), [lambda: L.Conv1D(3, 5, data_format="channels_first")], (2, 3), "conv1d", 1),
}


@pytest.mark.parametrize("case", SHORT)
def test_sizes_too_small_for_a_layer(case, both):
    shape, layers, row, name, axis = SHORT[case]
    refused(
        both,
        lambda backend: compiled(backend, *[make() for make in layers], shape=shape),
        lambda model: model.predict(ones(2, *row), verbose=0),
        rf"['/]{name}'" if "/" in name else f"'{name}'",
        rf"axis {axis}\b",
    )


def merged(first, second, merge):
    return constructed(("Branches", {"first": first, "second": second, "merge": (merge, {})}), L)


def halves(merge):
    """Two halves of the length, one rounded up and one down: equal where the length is even."""
    up = ("Conv1D", {"filters": 2, "kernel_size": 1, "strides": 2, "padding": "same"})
    return merged(up, ("MaxPooling1D", {}), merge)


@pytest.mark.parametrize("merge", ["Add", "Multiply", "Average", "Maximum", "Concatenate"])
def test_lengths_that_must_be_equal_and_are_not(merge, both):
    def make(name):
        return compiled(name, halves(merge))

    for name in both:
        with lamella.backend_scope(name):
            assert make(name).predict(ones(2, 6, 2), verbose=0).shape[:2] == (2, 3)
    y = ones(2, 4, 4 if merge == "Concatenate" else 2)
    refused(both, make, lambda m: m.fit(ones(2, 7, 2), y, verbose=0), rf"\b{merge.lower()}\b", r"axis 1\b")


def test_lengths_that_can_never_be_equal_are_refused_when_declared(both):
    told = []
    for name in both:
        with lamella.backend_scope(name), pytest.raises(ShapeError, match=r"\badd\b.*axis 1\b") as error:
            lamella.Sequential(
                [
                    L.Input((None, 2)),
                    merged(
                        ("Conv1D", {"filters": 2, "kernel_size": 3}),
                        ("Conv1D", {"filters": 2, "kernel_size": 2}),
                        "Add",
                    ),
                ]
            )
        told.append(str(error.value))
    assert told[0] == told[1]


def test_targets_of_another_length(both):
    refused(
        both,
        lambda name: compiled(name, L.Dense(1)),
        lambda model: model.fit([(ones(4, 5, 2), ones(4, 6, 1))], verbose=0),
        r"batch 0 of x",
        r"\b5\b.*\b6\b|\b6\b.*\b5\b",
        kind=ValueError,
    )


def test_a_length_that_does_not_divide(both):
    refused(
        both,
        lambda name: compiled(name, L.Reshape((-1, 4)), L.Dense(1)),
        lambda model: model.predict(ones(4, 3, 2), verbose=0),
        "'reshape'",
    )


UNDECIDED = {
    "Flatten before Dense": ((None, 2), [L.Flatten, lambda: L.Dense(3)], "'dense'"),
    "features of Dense": ((5, None), [lambda: L.Dense(3)], "'dense'"),
    "features of LSTM": ((5, None), [lambda: L.LSTM(3)], "'lstm'"),
    "channels of Conv2D": ((8, 8, None), [lambda: L.Conv2D(3, 2)], "'conv2d'"),
    "channels of BatchNormalization": ((None, None), [L.BatchNormalization], "'batch_normalization'"),
    "time of LayerNormalization": ((None, 2), [lambda: L.LayerNormalization(axis=1)], "'layer_normalization'"),
    "time of PReLU": ((None, 2), [L.PReLU], "'p_re_lu'"),
    "Permute before Dense": ((None, 2), [lambda: L.Permute((2, 1)), lambda: L.Dense(3)], "'dense'"),
    "EinsumDense along time": ((None, 2), [lambda: L.EinsumDense("abc,bd->adc", (4, 2))], "'einsum_dense'"),
}


@pytest.mark.parametrize("case", UNDECIDED)
def test_a_weight_cannot_have_a_free_dimension(case, both):
    shape, layers, name = UNDECIDED[case]
    told = []
    for backend in both:
        with lamella.backend_scope(backend):
            model = lamella.Sequential([L.Input(shape), *[make() for make in layers[:-1]]])
            held = len(model.layers)
            with pytest.raises(ShapeError) as error:
                model.add(layers[-1]())
            told.append(str(error.value))
            assert len(model.layers) == held and (model.built or not held)
    assert told[0] == told[1]
    assert name in told[0] and re.search(r"axis -?\d", told[0]) and "None" in told[0], told[0]


def test_a_later_batch_that_is_too_short_leaves_the_steps_before_it(both):
    told = []
    for name in both:
        with lamella.backend_scope(name):
            model = compiled(name, L.Conv1D(3, 5), L.GlobalMaxPooling1D(), L.Dense(1))
            expected = lamella.models.clone_model(model)
            expected.compile("sgd", "mse", backend=name)
            expected.set_weights(model.get_weights())
            good = [(ones(4, 6, 2), ones(4, 1)), (ones(4, 9, 2), ones(4, 1))]
            with pytest.raises(ShapeError, match=r"conv1d.*axis 1\b") as error:
                model.fit([*good, (ones(4, 3, 2), ones(4, 1))], verbose=0)
            done = int(model.optimizer.iterations)
            assert done <= 2
            if done:
                expected.fit(good[:done], verbose=0)
            for a, b in zip(model.get_weights(), expected.get_weights(), strict=True):
                np.testing.assert_array_equal(a, b)
            model.fit(good, verbose=0)
        told.append(str(error.value))
    assert told[0] == told[1]

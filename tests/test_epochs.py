"""How long an epoch is, in which order its rows come, and validation on batches."""

from __future__ import annotations

import numpy as np
import pytest

from lamella.callbacks import LambdaCallback
from lamella.layers import Dense, Dropout
from lamella.training import sources
from test_sources import Loader, Parts, X, Y, assert_same, generated, model_of, pairs


def seen_by(call):
    """The batches of each epoch that a run had, from its hooks."""
    epochs = []
    hooks = LambdaCallback(
        on_epoch_begin=lambda epoch, logs: epochs.append(0),
        on_train_batch_end=lambda batch, logs: epochs.__setitem__(-1, batch + 1),
    )
    call(hooks)
    return epochs


STEPS = {
    "arrays continue": (lambda: (X, Y), {"batch_size": 8, "steps_per_epoch": 3, "epochs": 4}, [3, 3, 3, 3]),
    "arrays begin again": (lambda: (X, Y), {"batch_size": 8, "steps_per_epoch": 7, "epochs": 2}, [7, 7]),
    "ragged arrays": (lambda: (X, Y), {"batch_size": 16, "steps_per_epoch": 2, "epochs": 3}, [2, 2, 2]),
    "a list": (lambda: (pairs(), None), {"epochs": 2}, [5, 5]),
    "a list continues": (lambda: (pairs(), None), {"steps_per_epoch": 3, "epochs": 3}, [3, 3, 3]),
    "a generator": (lambda: (generated(pairs()), None), {}, [5]),
    "a generator continues": (lambda: (generated(pairs()), None), {"steps_per_epoch": 2, "epochs": 2}, [2, 2]),
    "initial_epoch": (lambda: (pairs(), None), {"initial_epoch": 2, "epochs": 3}, [5]),
}


@pytest.mark.parametrize("case", STEPS)
def test_the_steps_of_an_epoch(case, backend):
    made, kwargs, expected = STEPS[case]
    x, y = made()
    assert seen_by(lambda hooks: model_of().fit(x, y, verbose=0, callbacks=[hooks], **kwargs)) == expected
    x, y = made()
    history = model_of().fit(x, y, verbose=0, **kwargs)
    assert len(history.epoch) == len(expected)


def test_epochs_of_some_steps_go_through_the_rows_in_order(backend):
    whole, cut = model_of(), model_of()
    whole.fit(X, Y, batch_size=8, epochs=3, shuffle=False, verbose=0)
    cut.fit(X, Y, batch_size=8, epochs=5, steps_per_epoch=3, shuffle=False, verbose=0)
    assert_same(whole.get_weights(), cut.get_weights(), rtol=0, atol=0)


@pytest.mark.parametrize("watched", [False, True])
def test_a_generator_is_asked_for_exactly_the_batches_of_its_epochs(watched, backend):
    given = generated(pairs() * 3)
    callbacks = [LambdaCallback(on_train_batch_end=lambda batch, logs: None)] if watched else None
    model_of().fit(given, steps_per_epoch=3, epochs=2, verbose=0, callbacks=callbacks)
    assert len(list(given)) == 15 - 6


def test_a_generator_that_ends_early_ends_training_with_a_warning(backend):
    model, shorter = model_of(), model_of()
    with pytest.warns(UserWarning, match=r"ended after 2 of 3 steps, and training ends with epoch 2"):
        history = model.fit(generated(pairs()), steps_per_epoch=3, epochs=4, verbose=0)
    assert history.epoch == [0, 1]
    shorter.fit(pairs(), verbose=0)
    assert_same(model.get_weights(), shorter.get_weights())
    with pytest.warns(UserWarning, match=r"ended after 0 of 5 steps, and training ends with epoch 1"):
        history = model.fit(generated(pairs()), steps_per_epoch=5, epochs=3, verbose=0)
    assert history.epoch == [0]
    with pytest.warns(UserWarning, match=r"the evaluation of x ends"):
        model.evaluate(generated(pairs()), steps=9, verbose=0)


def test_validation_on_batches_and_on_some_of_them(backend):
    kwargs = {"verbose": 0, "shuffle": False, "batch_size": 8}
    logs = model_of().fit(X, Y, epochs=2, validation_data=(X[:16], Y[:16]), **kwargs).history
    for given in (pairs(rows=16), Loader(pairs(rows=16)), Parts()):
        steps = 2 if isinstance(given, Parts) else None
        model = model_of()
        found = model.fit(X, Y, epochs=2, validation_data=given, validation_steps=steps, **kwargs).history
        if isinstance(given, Parts):  # continues with batches 2 and 3
            np.testing.assert_allclose(found["val_loss"][0], logs["val_loss"][0], rtol=1e-5)
            again = model.evaluate(X[16:32], Y[16:32], verbose=0)
            np.testing.assert_allclose(found["val_loss"][1], again, rtol=1e-5)
        else:
            assert_same(list(found.values()), list(logs.values()))
    given = generated(pairs(rows=16) * 2)
    found = model_of().fit(X, Y, epochs=2, validation_data=given, validation_steps=2, **kwargs).history
    assert_same(list(found.values()), list(logs.values()))
    assert list(given) == []


def test_validation_after_the_epochs_of_a_list(backend):
    history = model_of().fit(X, Y, epochs=5, validation_split=0.2, validation_freq=[1, 4], verbose=0)
    assert len(history.history["val_loss"]) == 2
    frame = history._rows
    assert [i for i, row in enumerate(frame) if "val_loss" in row] == [0, 3]


def test_shuffling_within_batches_leaves_rows_in_their_batch(both):
    # a model that adds up its batch does not see the order inside it
    for name in both:
        model, plain = model_of(Dense(1), backend=name), model_of(Dense(1), backend=name)
        model.fit(X, Y, batch_size=8, shuffle="batch", epochs=2, verbose=0)
        plain.fit(X, Y, batch_size=8, shuffle=False, epochs=2, verbose=0)
        assert_same(model.get_weights(), plain.get_weights(), rtol=1e-4, atol=1e-5)
    order = sources.Shuffle(model, model._compiled, 40, "batch", 8)()
    assert (np.sort(order.reshape(5, 8), 1) == np.arange(40).reshape(5, 8)).all()
    assert (order != np.arange(40)).any()


def test_a_stream_s_history_is_the_same_on_both_backends_with_shuffling_and_dropout(both):
    found = []
    for name in both:
        model = model_of(Dense(8, activation="relu"), Dropout(0.5), Dense(1), backend=name)
        found.append(model.fit(Parts(), epochs=3, verbose=0).history["loss"])
    np.testing.assert_allclose(*found, rtol=1e-4)

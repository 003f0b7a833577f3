"""fit, evaluate, predict: what they return, what they write, and what a callback may do."""

from __future__ import annotations

import threading
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

import lamella
from lamella.callbacks import LambdaCallback
from lamella.core import context
from lamella.layers import LSTM, BatchNormalization, Dense, Dropout, Flatten, Input

RNG = np.random.default_rng(0)
X = RNG.normal(size=(22, 3)).astype("float32")
Y = (X @ [[1.0], [-2.0], [0.5]] + 0.1).astype("float32")
LABELS = (Y[:, 0] > 0).astype("int32")


def regression(*layers, optimizer="sgd", **kwargs):
    model = lamella.Sequential([Input((3,)), *(layers or (Dense(4, activation="tanh"), Dense(1)))])
    model.compile(optimizer, "mse", **kwargs)
    return model


def assert_weights(model, expected, **tolerance):
    for now, then in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_allclose(now, then, **(tolerance or {"rtol": 0, "atol": 0}))


# ---- what the methods return ----


def test_results_without_metrics_are_floats_with_metrics_lists_and_on_demand_dicts(backend):
    model = regression()
    for result in (model.evaluate(X, Y, verbose=0), model.train_on_batch(X, Y), model.test_on_batch(X, Y)):
        assert isinstance(result, float)
    model.compile("sgd", "mse", metrics=["mae", "acc"])
    for result in (model.evaluate(X, Y, verbose=0), model.train_on_batch(X, Y), model.test_on_batch(X, Y)):
        assert isinstance(result, list) and len(result) == 3 and all(isinstance(r, float) for r in result)
    told = model.evaluate(X, Y, verbose=0, return_dict=True)
    assert list(told) == ["acc", "loss", "mae"]
    assert model.metrics_names == ["loss", "mae", "acc"]
    assert model.evaluate(X, Y, verbose=0) == [told["loss"], told["mae"], told["acc"]]
    residual = model.predict(X, verbose=0) - Y
    np.testing.assert_allclose([told["loss"], told["mae"]], [np.mean(residual**2), np.mean(abs(residual))], rtol=1e-5)
    assert list(model.train_on_batch(X, Y, return_dict=True)) == ["acc", "loss", "mae"]


def test_predictions_are_one_numpy_array_whatever_the_batches(backend):
    model = regression()
    whole = model.predict_on_batch(X)
    for batch in (1, 5, 22, 100):
        y = model.predict(X, batch_size=batch, verbose=0)
        assert type(y) is np.ndarray and y.dtype == np.float32
        np.testing.assert_allclose(y, whole, rtol=1e-5, atol=1e-6)


def test_history_holds_every_key_once_an_epoch(backend):
    model = regression(metrics=["mae"])
    history = model.fit(X, Y, epochs=3, validation_split=0.2, verbose=0)
    assert history is model.history
    assert history.epoch == [0, 1, 2]
    assert sorted(history.history) == ["loss", "mae", "val_loss", "val_mae"]
    assert all(len(v) == 3 and all(isinstance(x, float) for x in v) for v in history.history.values())
    later = model.fit(X, Y, epochs=5, initial_epoch=3, verbose=0)
    assert later.epoch == [3, 4]


def test_the_loss_of_an_epoch_is_the_mean_over_rows_while_weights_move(backend):
    batches = []
    model = regression(Dense(1, kernel_initializer="ones"))
    told = model.fit(X, Y, batch_size=8, epochs=1, shuffle=False, verbose=0).history["loss"][0]
    again = regression(Dense(1, kernel_initializer="ones"))
    for at in (0, 8, 16):
        batches.append((again.train_on_batch(X[at : at + 8], Y[at : at + 8]), len(X[at : at + 8])))
    np.testing.assert_allclose(told, sum(loss * n for loss, n in batches) / 22, rtol=1e-5)
    assert_weights(model, again.get_weights(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("verbose", "lines"), [(0, 0), (1, 2), (2, 2), ("auto", 2)])
def test_every_epoch_is_printed_with_its_loss(verbose, lines, capsys):
    model = regression(backend="numpy")
    history = model.fit(X, Y, epochs=2, verbose=verbose)
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == lines
    for number, (line, loss) in enumerate(zip(printed, history.history["loss"], strict=False), 1):
        assert line.startswith(f"Epoch {number}/2") and f"loss: {loss:.4f}"[:11] in line


def test_one_dimensional_inputs_count_as_a_column(backend):
    x = np.linspace(-1, 1, 30)
    model = lamella.Sequential([Dense(1, input_dim=1)])
    model.compile("sgd", "mse")
    model.fit(x, 3 * x, epochs=100, batch_size=4, verbose=0)
    assert abs(model.get_weights()[0][0, 0] - 3) < 0.1
    assert model.predict(x, verbose=0).shape == (30, 1)
    assert model.evaluate(x, 3 * x, verbose=0) < 0.01
    assert model.predict_on_batch(x[:2]).shape == (2, 1)


# ---- validation and weights ----


def test_the_last_rows_are_validated_on_and_not_trained_on(backend):
    split, given = regression(Dense(1)), regression(Dense(1))
    given.set_weights(split.get_weights())
    with_split = split.fit(X, Y, epochs=2, validation_split=0.25, shuffle=False, verbose=0).history
    with_data = given.fit(X[:16], Y[:16], epochs=2, validation_data=(X[16:], Y[16:]), shuffle=False, verbose=0).history
    assert with_split == with_data
    np.testing.assert_allclose(with_split["val_loss"][-1], split.evaluate(X[16:], Y[16:], verbose=0), rtol=1e-6)


def test_validation_can_be_weighted_and_rarer_and_in_other_batches(backend):
    weight = np.zeros(6, "float32")
    weight[0] = 6.0
    model = regression(Dense(1))
    history = model.fit(
        X,
        Y,
        epochs=4,
        validation_data=(X[:6], Y[:6], weight),
        validation_freq=2,
        validation_batch_size=4,
        verbose=0,
    )
    assert len(history.history["loss"]) == 4 and len(history.history["val_loss"]) == 2
    alone = (model.predict(X[:1], verbose=0) - Y[:1]) ** 2
    np.testing.assert_allclose(history.history["val_loss"][-1], alone[0, 0], rtol=1e-4)


def test_a_weight_of_two_is_a_row_given_twice_and_zero_leaves_it_out(backend):
    weight = np.ones(22, "float32")
    weight[0], weight[1] = 2.0, 0.0
    weighted, doubled = regression(Dense(1)), regression(Dense(1))
    doubled.set_weights(weighted.get_weights())
    weighted.fit(X, Y, batch_size=22, epochs=2, sample_weight=weight, verbose=0)
    rows = [0, 0, *range(2, 22)]
    doubled.fit(X[rows], Y[rows], batch_size=22, epochs=2, verbose=0)
    assert_weights(weighted, doubled.get_weights(), rtol=1e-5, atol=1e-6)


def test_class_weight_is_a_sample_weight_by_label(backend):
    def classifier():
        lamella.utils.set_random_seed(1)
        model = lamella.Sequential([Input((3,)), Dense(2, activation="softmax")])
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["acc"], weighted_metrics=["acc"])
        return model

    by_class, by_row = classifier(), classifier()
    logs = by_class.fit(X, LABELS, class_weight={1: 3.0}, verbose=0).history
    by_row.fit(X, LABELS, sample_weight=np.where(LABELS == 1, 3.0, 1.0), verbose=0)
    assert_weights(by_class, by_row.get_weights())
    assert sorted(logs) == ["acc", "loss", "weighted_acc"]


# ---- ragged last batches ----


def test_a_padded_last_batch_gives_the_numbers_of_an_exact_one(backend):
    model = regression(Dense(4, activation="relu", kernel_regularizer="l2"), Dense(1), metrics=["mae"])
    exact = regression(Dense(4, activation="relu", kernel_regularizer="l2"), Dense(1), metrics=["mae"])
    exact.set_weights(model.get_weights())
    history = model.fit(X, Y, batch_size=5, epochs=2, shuffle=False, verbose=0)
    totals = []
    for _ in range(2):
        logs = [(exact.train_on_batch(X[a : a + 5], Y[a : a + 5]), len(X[a : a + 5])) for a in range(0, 22, 5)]
        totals.append([sum(log[i] * n for log, n in logs) / 22 for i in range(2)])
    assert_weights(model, exact.get_weights(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.transpose([history.history["loss"], history.history["mae"]]), totals, rtol=1e-5)
    np.testing.assert_allclose(
        model.evaluate(X, Y, batch_size=5, verbose=0), model.evaluate(X, Y, batch_size=22, verbose=0), rtol=1e-5
    )


def test_batch_normalization_sees_only_the_real_rows_of_a_ragged_batch(backend):
    model = regression(BatchNormalization(momentum=0.5, center=False, scale=False), Dense(1))
    model.fit(X, Y, batch_size=16, shuffle=False, verbose=0)
    mean, variance = np.zeros(3), np.ones(3)
    for batch in (X[:16], X[16:]):
        mean, variance = 0.5 * mean + 0.5 * batch.mean(0), 0.5 * variance + 0.5 * batch.var(0)
    np.testing.assert_allclose(model.get_weights()[0], mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.get_weights()[1], variance, rtol=1e-5)


def loops_of(model):
    return [model._loops[key] for key in model._loops]


def batch_sizes(loop):
    """Of the batches that a loop has runners for."""
    return [specs[0].shape[0] for specs in loop._runners]


def test_single_batches_of_many_sizes_share_few_programs(backend):
    """17 to 20 rows are one program, filled up; the numbers are those of the rows that are there."""
    model = regression(Dense(4, activation="relu", kernel_regularizer="l2"), Dense(1), metrics=["mae"])
    by_rows = regression(Dense(4, activation="relu", kernel_regularizer="l2"), Dense(1), metrics=["mae"])
    by_rows.set_weights(model.get_weights())
    for rows in (20, 17, 19, 18):
        found = model.train_on_batch(X[:rows], Y[:rows], sample_weight=np.linspace(0, 1, rows))
        (loop,) = loops_of(model)
        expected = by_rows.fit(
            X[:rows], Y[:rows], batch_size=rows, shuffle=False, verbose=0, sample_weight=np.linspace(0, 1, rows)
        )
        np.testing.assert_allclose(found, [expected.history[k][0] for k in ("loss", "mae")], rtol=1e-5)
    assert_weights(model, by_rows.get_weights(), rtol=1e-5, atol=1e-6)
    assert batch_sizes(loop) == [20]
    mixing = regression(BatchNormalization(), Dense(1))
    mixing.train_on_batch(X[:17], Y[:17])
    assert batch_sizes(*loops_of(mixing)) == [17], "a batch's statistics are of the rows that are there"
    for stack in ([LSTM(4, stateful=True), Dense(1)], [Flatten(), Dense(1)]):
        declared = lamella.Sequential([Input(batch_shape=(9, 5, 3)), *stack])
        declared.compile("sgd", "mse")
        declared.train_on_batch(np.ones((9, 5, 3), "float32"), np.ones((9, 1), "float32"))
        assert batch_sizes(*loops_of(declared)) == [9], "the batch size that was declared"


# ---- compile ----


def test_compiling_again_keeps_the_weights_and_starts_the_optimizer_anew(backend):
    model = regression(Dense(1), optimizer="adam")
    model.fit(X, Y, verbose=0)
    before = model.get_weights()
    model.compile("adam", "mae", metrics=["mse"])
    assert_weights(model, before)
    assert model._compiled.state.steps == 0
    first = model.fit(X, Y, batch_size=22, verbose=0)
    assert sorted(first.history) == ["loss", "mse"]
    np.testing.assert_allclose(np.abs(model.get_weights()[1] - before[1]), 0.001, rtol=1e-3)


def test_a_learning_rate_set_between_epochs_is_used_from_then_on(backend):
    model = regression(Dense(1), optimizer=lamella.optimizers.SGD(0.1))
    seen = []

    def begin(epoch, logs):
        model.optimizer.learning_rate = 0.0 if epoch == 1 else 0.1
        seen.append(model.get_weights())

    model.fit(X, Y, epochs=3, verbose=0, callbacks=[LambdaCallback(on_epoch_begin=begin)])
    assert np.any(seen[0][0] != seen[1][0])
    np.testing.assert_array_equal(seen[1][0], seen[2][0])
    assert np.any(seen[2][0] != model.get_weights()[0])


# ---- several models, backends and threads ----


def test_a_model_moves_between_backends_and_trains_on_as_if_it_had_not(both):
    lamella.utils.set_random_seed(4)
    stays = regression(Dense(4), Dropout(0.5), Dense(1), optimizer="adam", backend="numpy")
    lamella.utils.set_random_seed(4)
    moves = regression(Dense(4), Dropout(0.5), Dense(1), optimizer="adam", backend="numpy")
    for name in ("numpy", "jax", "numpy"):
        stays.fit(X, Y, epochs=2, batch_size=8, verbose=0)
        assert moves.to(name) is moves
        moves.fit(X, Y, epochs=2, batch_size=8, verbose=0)
    assert_weights(moves, stays.get_weights(), rtol=1e-4, atol=1e-5)


def test_models_on_both_backends_train_side_by_side(both):
    models = [regression(Dense(1), backend=name) for name in both]
    models[1].set_weights(models[0].get_weights())
    for _ in range(2):
        for model in models:
            model.fit(X, Y, verbose=0, shuffle=False)
    assert_weights(models[1], models[0].get_weights(), rtol=1e-5, atol=1e-6)


def test_four_threads_may_call_one_model_and_one_lowered_function(backend):
    model = regression(Dense(16, activation="tanh"), Dense(1))
    fn = model.lower(backend)
    params, state = fn.params, fn.state
    batches = [RNG.normal(size=(64, 3)).astype("float32") for _ in range(4)]
    expected = [model.predict_on_batch(x) for x in batches]
    wrong = []

    def work(x, y):
        for _ in range(20):
            for found in (model.predict_on_batch(x), fn(params, state, x)[0]):
                if not np.allclose(np.asarray(found), y, rtol=1e-5, atol=1e-6):
                    wrong.append(found)

    threads = [threading.Thread(target=work, args=pair) for pair in zip(batches, expected, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_two_results_kept_side_by_side_never_share_memory(backend):
    model = regression()
    fn = model.lower(backend)
    first = [model.predict_on_batch(X), model.predict(X, verbose=0), model(X), fn(fn.params, fn.state, X)[0]]
    copies = [np.array(y) for y in first]
    weights = model.get_weights()
    kept = [w.copy() for w in weights]
    other = X + 1
    for y in (model.predict_on_batch(other), model.predict(other, verbose=0), model(other)):
        assert not any(np.shares_memory(np.asarray(y), np.asarray(f)) for f in first)
    model.fit(other, Y, epochs=2, verbose=0)
    for y, copy in zip(first, copies, strict=True):
        np.testing.assert_array_equal(np.asarray(y), copy)
    for w, copy in zip(weights, kept, strict=True):
        np.testing.assert_array_equal(w, copy)


# ---- configuration and state ----


def test_the_configuration_is_frozen_and_a_move_makes_a_new_one(both):
    model = regression(Dense(1), optimizer="adam", backend=both[0])
    model.fit(X, Y, epochs=1, verbose=0)
    compiled = model._compiled
    before, state = compiled.configuration, compiled.state
    with pytest.raises(FrozenInstanceError):
        before.run_eagerly = True
    model.to(both[1])
    assert before.backend.name == both[0] and compiled.configuration.backend.name == both[1]
    assert compiled.configuration.optimizer is before.optimizer and compiled.state.steps == state.steps == 1


def test_a_step_replaces_the_state_and_leaves_the_last_one_as_it_was(backend):
    model = regression(Dense(1), optimizer="adam")
    model.train_on_batch(X, Y)
    state = model._compiled.state
    momentum = {key: np.array(a) for key, a in state.slots["momentum"].items()}
    model.train_on_batch(X, Y)
    assert (state.steps, model._compiled.state.steps) == (1, 2)
    for key, then in momentum.items():
        np.testing.assert_array_equal(np.asarray(state.slots["momentum"][key]), then)
        assert not np.array_equal(np.asarray(model._compiled.state.slots["momentum"][key]), then)


def test_the_trace_context_is_found_under_its_earlier_name():
    with pytest.warns(DeprecationWarning, match="TraceContext"):
        assert context.Scope is context.TraceContext

"""Options of optimizers inside `fit`: the same whatever the chunks and the backend, averages at the end, loss scaling."""

from __future__ import annotations

import numpy as np
import pytest

import lamella
from lamella import callbacks, optimizers
from lamella.backend_api import to_numpy
from lamella.errors import BackendError
from lamella.layers import LSTM, Conv2D, Dense, Dropout, Flatten
from lamella.optimizers import schedules

TOGETHER = {
    "loss-scale": lambda: optimizers.LossScaleOptimizer(
        optimizers.Adam(0.02, gradient_accumulation_steps=2, clipnorm=1.0, weight_decay=0.01, use_ema=True), 4.0, 3
    ),
    "multi": lambda: optimizers.MultiOptimizer(
        optimizers.OptimizerMap(
            optimizers.Nadam(schedules.CosineDecayRestarts(0.02, 3), gradient_accumulation_steps=3),
            {".*kernel": optimizers.Muon(0.02, exclude_layers=["dense_1"], use_ema=True, ema_overwrite_frequency=4)},
        )
    ),
    "lamb": lambda: optimizers.Lamb(0.02, use_ema=True, global_clipnorm=1.0, loss_scale_factor=8.0),
}


def numbers(dtype="float32", rows=44):
    random = np.random.RandomState(3)
    x = random.standard_normal((rows, 4)).astype(dtype)
    return x, np.tanh(x[:, :2] * 2).astype(dtype)


def trained(optimizer, *, dtype="float32", epochs=2, watch=None, **kwargs):
    lamella.utils.set_random_seed(5)
    model = lamella.Sequential([lamella.Input((4,)), Dense(6, activation="tanh"), Dropout(0.2), Dense(2)])
    model.compile(optimizer, "mse", **kwargs)
    history = model.fit(*numbers(dtype), batch_size=8, epochs=epochs, verbose=0, callbacks=watch)
    return model, history.history


def state_of(model):
    """Every number of weights and slots, by name."""
    found = {f"params/{path}": to_numpy(v.value) for path, v in model.named_weights()}
    paths = {id(v): path for path, v in model.named_weights()}
    for slot, held in model._compiled.state.slots.items():
        found |= {f"{slot}/{paths.get(key, '')}": to_numpy(array) for key, array in held.items()}
    return found


class Watch(callbacks.Callback):
    """With a hook on batches every chunk is one step."""

    def on_train_batch_end(self, batch, logs=None):
        pass


@pytest.mark.parametrize("name", TOGETHER)
def test_chunks_do_not_matter_to_the_bit(name, backend):
    together, _ = trained(TOGETHER[name]())
    one_by_one, _ = trained(TOGETHER[name](), watch=[Watch()])
    expected = state_of(one_by_one)
    for key, array in state_of(together).items():
        np.testing.assert_array_equal(array, expected[key], err_msg=key)


@pytest.mark.parametrize("name", TOGETHER)
def test_backends_agree_in_float64(name, both, float64):
    states, logs = {}, {}
    for backend in both:
        with lamella.backend_scope(backend):
            model, logs[backend] = trained(TOGETHER[name](), dtype="float64")
            states[backend] = state_of(model)
    np.testing.assert_allclose(logs["jax"]["loss"], logs["numpy"]["loss"], rtol=1e-9)
    assert list(states["jax"]) == list(states["numpy"])
    for key, array in states["numpy"].items():
        np.testing.assert_allclose(states["jax"][key], array, rtol=1e-7, atol=1e-10, err_msg=key)


def test_the_weights_become_their_averages_at_the_end_of_fit(backend):
    seen = {}

    class Look(callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen["epoch"] = [np.array(to_numpy(v.value)) for v in self.model.weights]

        def on_train_end(self, logs=None):
            seen["end"] = [np.array(to_numpy(v.value)) for v in self.model.weights]

    model, _ = trained(optimizers.SGD(0.1, use_ema=True, ema_momentum=0.7), watch=[Look()])
    held = model._compiled.state.slots["average"]
    for variable, last, end in zip(model.weights, seen["epoch"], seen["end"], strict=True):
        np.testing.assert_array_equal(to_numpy(variable.value), to_numpy(held[id(variable)]))
        np.testing.assert_array_equal(to_numpy(variable.value), end)
        assert not np.array_equal(last, end)
    # the average by hand, over a run of the plain optimizer
    plain, averages = [], None

    class Average(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            plain.append([np.array(to_numpy(v.value)) for v in self.model.weights])

    trained(optimizers.SGD(0.1), watch=[Average()])
    for weights in plain:
        averages = weights if averages is None else [0.7 * a + 0.3 * w for a, w in zip(averages, weights, strict=True)]
    for a, b in zip(averages, model.weights, strict=True):
        np.testing.assert_allclose(a, to_numpy(b.value), rtol=1e-4, atol=1e-6)


def test_an_interrupted_fit_keeps_the_weights_themselves():
    class Stop(callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise KeyboardInterrupt

    lamella.utils.set_random_seed(5)
    model = lamella.Sequential([lamella.Input((4,)), Dense(2)])
    model.compile(optimizers.SGD(0.1, use_ema=True), "mse", backend="numpy")
    with pytest.raises(KeyboardInterrupt):
        model.fit(*numbers(), batch_size=8, verbose=0, callbacks=[Stop()])
    held = model._compiled.state.slots["average"]
    assert not np.array_equal(to_numpy(model.weights[0].value), to_numpy(held[id(model.weights[0])]))


def test_excluded_variables_in_fit():
    model = lamella.Sequential([lamella.Input((4,)), Dense(2, bias_initializer="ones")])
    optimizer = optimizers.SGD(0.0, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_list=[model.weights[1]])
    optimizer.learning_rate = 1e-3
    model.compile(optimizer, lambda y, p: p * 0.0, backend="numpy")
    before = [np.array(to_numpy(v.value)) for v in model.weights]
    model.fit(*numbers(rows=8), batch_size=8, verbose=0)
    np.testing.assert_allclose(to_numpy(model.weights[0].value), before[0] * (1 - 5e-4), rtol=1e-6)
    np.testing.assert_array_equal(to_numpy(model.weights[1].value), before[1])


def test_accumulation_is_the_bigger_batch(backend):
    x, y = numbers(rows=48)
    results = []
    for batch, steps in ((16, None), (8, 2)):
        lamella.utils.set_random_seed(5)
        model = lamella.Sequential([lamella.Input((4,)), Dense(6, activation="tanh"), Dense(2)])
        model.compile(optimizers.Adam(0.05, gradient_accumulation_steps=steps), "mse")
        model.fit(x, y, batch_size=batch, shuffle=False, epochs=2, verbose=0)
        results.append([to_numpy(v.value) for v in model.weights])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


# ---- learning rates ----


def test_a_multi_optimizers_rates_can_be_set_between_epochs(backend):
    sgd = optimizers.SGD(0.0)
    optimizer = optimizers.MultiOptimizer(optimizers.OptimizerMap("adam", {"dense/.*": sgd}))
    start = callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: setattr(sgd, "learning_rate", 0.5 * epoch))
    _, history = trained(optimizer, watch=[start])
    model, _ = trained(optimizers.MultiOptimizer(optimizers.OptimizerMap("adam", {"dense/.*": optimizers.SGD(0.0)})))
    assert len(history["loss"]) == 2
    assert model.layers[0].weights[0].shape == (4, 6)
    assert sgd.learning_rate == 0.5


def test_optax_schedules_on_jax(jax):
    optax = pytest.importorskip("optax")
    theirs = optax.exponential_decay(0.1, 3, 0.5)
    ours = schedules.ExponentialDecay(0.1, 3, 0.5)
    results = [trained(optimizers.SGD(rate, momentum=0.9))[1]["loss"] for rate in (theirs, ours)]
    np.testing.assert_allclose(*results, rtol=1e-5)
    schedule = optax.cosine_decay_schedule(0.1, 20)
    model, _ = trained(optimizers.LossScaleOptimizer(optimizers.SGD(schedule)))
    steps = model.optimizer.inner_optimizer.iterations
    assert steps > 0 and model.optimizer.learning_rate == pytest.approx(float(schedule(steps)))


def test_a_function_of_jax_needs_jax():
    jnp = pytest.importorskip("jax.numpy")
    model = lamella.Sequential([lamella.Input((4,)), Dense(2)])

    def halving(step):
        return 0.1 * jnp.power(0.5, step)

    for optimizer in (optimizers.SGD(halving), optimizers.LossScaleOptimizer(optimizers.SGD(halving))):
        with pytest.raises(BackendError, match=r"'test_a_function_of_jax_needs_jax.*backend='jax'"):
            model.compile(optimizer, "mse", backend="numpy")


# ---- precision ----


def dense():
    return [lamella.Input((8,)), Dense(16, activation="relu"), Dense(3, activation="softmax", dtype="float32")], (8,)


def convolutional():
    layers = [Conv2D(4, 3, activation="relu"), Flatten(), Dense(3, activation="softmax", dtype="float32")]
    return [lamella.Input((6, 6, 1)), *layers], (6, 6, 1)


def recurrent():
    return [lamella.Input((5, 3)), LSTM(8), Dense(3, activation="softmax", dtype="float32")], (5, 3)


def losses_under(policy, make):
    lamella.config.set_dtype_policy(policy)
    lamella.utils.set_random_seed(7)
    layers, shape = make()
    model = lamella.Sequential(layers)
    model.compile(optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    random = np.random.RandomState(0)
    x = random.standard_normal((48, *shape)).astype("float32")
    y = (x.reshape(48, -1)[:, :3]).argmax(-1)
    history = model.fit(x, y, batch_size=12, epochs=4, verbose=0).history["loss"]
    return model, np.array(history)


POLICIES = {"mixed_bfloat16": 3e-2, "mixed_float16": 5e-3, "float64": 1e-5}
SLOW = {("recurrent", "mixed_bfloat16"), ("recurrent", "float64"), ("convolutional", "float64")}


@pytest.mark.parametrize(
    ("make", "policy"),
    [
        pytest.param(make, policy, marks=[pytest.mark.slow] if (make.__name__, policy) in SLOW else [])
        for make in (dense, convolutional, recurrent)
        for policy in POLICIES
    ],
)
def test_models_train_in_every_precision(make, policy, backend):
    _, expected = losses_under("float32", make)
    model, found = losses_under(policy, make)
    assert found[-1] < found[0]
    np.testing.assert_allclose(found, expected, rtol=POLICIES[policy])
    stored = "float64" if policy == "float64" else "float32"
    assert model.layers[0].weights[0].dtype == stored
    assert isinstance(model.optimizer, optimizers.LossScaleOptimizer) == (policy == "mixed_float16")
    if policy == "mixed_float16":
        held = {slot: to_numpy(arrays[0]) for slot, arrays in model._compiled.state.slots.items() if 0 in arrays}
        assert int(held["iterations"]) + int(np.log2(32768 / held["dynamic_scale"])) == 16


def test_mixed_float16_scales_the_loss_unless_told_not_to():
    lamella.mixed_precision.set_global_policy(lamella.mixed_precision.Policy("mixed_float16"))
    assert lamella.mixed_precision.global_policy().name == lamella.config.dtype_policy().name == "mixed_float16"
    model = lamella.Sequential([lamella.Input((4,)), Dense(2)])
    model.compile("sgd", "mse")
    assert model.optimizer.name == "loss_scale_optimizer"
    given = optimizers.LossScaleOptimizer("sgd", 2.0)
    model.compile(given, "mse")
    assert model.optimizer is given
    model.compile("sgd", "mse", auto_scale_loss=False)
    assert model.optimizer.name == "sgd"


def test_a_step_that_overflows_is_skipped_in_fit(backend):
    """The scale halves until the float16 gradients are finite; weights and slots wait for that."""
    lamella.config.set_dtype_policy("mixed_float16")
    lamella.utils.set_random_seed(7)
    model = lamella.Sequential([lamella.Input((4,)), Dense(2)])
    model.compile(optimizers.LossScaleOptimizer(optimizers.Adam(0.01), 2.0**22, 2), "mse")
    x, y = numbers(rows=8)
    before = [np.array(to_numpy(v.value)) for v in model.weights]
    scales, untouched = [], []
    for _ in range(12):
        model.train_on_batch(x, y)
        scales.append(float(to_numpy(model._compiled.state.slots["dynamic_scale"][0])))
        untouched.append(all(np.array_equal(to_numpy(v.value), b) for v, b in zip(model.weights, before, strict=True)))
    first = untouched.index(False)
    assert 1 <= first <= 10
    assert scales[: first + 1] == [2.0**22 / 2 ** (i + 1) for i in range(first)] + [scales[first - 1]]
    assert scales[first + 1] == 2 * scales[first]
    assert int(to_numpy(model._compiled.state.slots["iterations"][0])) <= 12 - first

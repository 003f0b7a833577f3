"""Optimizers: Keras's weights after twenty steps, one rule in every guise, schedules, words of earlier releases."""

import numpy as np
import pytest

from lamella import optimizers
from lamella.backend_api import load_backend
from lamella.errors import UnknownNameError
from lamella.ir.spec import Spec
from lamella.ir.trace import trace
from lamella.optimizers import schedules
from lamella.optimizers.state import Weight, weights_of
from oracle import cases, load

SHAPES = ((4, 3), (3,))


def close(a, b, tolerance):
    a, b = np.asarray(a), np.asarray(b)
    assert a.shape == b.shape
    assert np.max(np.abs(a - b)) <= tolerance * np.max(np.abs(b))


@pytest.mark.parametrize("case", cases.OPTIMIZERS, ids=lambda case: case.id)
def test_against_keras(case):
    recorded = load.load("optimizers", case.id)
    optimizer = getattr(optimizers, case.name)(**case.kwargs)
    weights, gradients = load.series(recorded, "initial"), load.series(recorded, "gradients")
    for step in range(20):
        weights = optimizer.apply([g[step] for g in gradients], weights)
        for index, expected in enumerate(load.series(recorded, f"step_{step + 1}")):
            assert weights[index].dtype == np.float32
            close(weights[index], expected, case.tolerance)


def draws(seed=0, dtype="float32", steps=20):
    random = np.random.RandomState(seed)
    weights = [random.standard_normal(s).astype(dtype) for s in SHAPES]
    return weights, [[random.standard_normal(s).astype(dtype) for s in SHAPES] for _ in range(steps)]


def run(optimizer, dtype="float32", steps=20):
    weights, gradients = draws(dtype=dtype, steps=steps)
    for g in gradients:
        weights = optimizer.apply(g, weights)
    return weights


# The formulas of keras-facts 2.1 for optimizers without rows in the oracle, one number's state at a time, in float64.
def adadelta(w, g, s, t, lr):
    s["G"] = 0.95 * s.get("G", 0) + 0.05 * g * g
    d = -np.sqrt(s.get("D", 0) + 1e-7) * g / np.sqrt(s["G"] + 1e-7)
    s["D"] = 0.95 * s.get("D", 0) + 0.05 * d * d
    return w + lr * d


def adamax(w, g, s, t, lr):
    s["m"] = 0.9 * s.get("m", 0) + 0.1 * g
    s["u"] = np.maximum(0.999 * s.get("u", 0), np.abs(g))
    return w - lr * s["m"] / ((1 - 0.9**t) * (s["u"] + 1e-7))


def nadam(w, g, s, t, lr):
    u, following = (0.9 * (1 - 0.5 * 0.96**i) for i in (t, t + 1))
    s["P"] = s.get("P", 1.0) * u
    s["m"] = 0.9 * s.get("m", 0) + 0.1 * g
    s["v"] = 0.999 * s.get("v", 0) + 0.001 * g * g
    mean = following * s["m"] / (1 - s["P"] * following) + (1 - u) * g / (1 - s["P"])
    return w - lr * mean / (np.sqrt(s["v"] / (1 - 0.999**t)) + 1e-7)


def lion(w, g, s, t, lr):
    m = s.get("m", 0)
    s["m"] = 0.99 * m + 0.01 * g
    return w - lr * np.sign(0.9 * m + 0.1 * g)


def adamw(w, g, s, t, lr):
    w = w - w * 0.004 * lr
    s["m"] = 0.9 * s.get("m", 0) + 0.1 * g
    s["v"] = 0.999 * s.get("v", 0) + 0.001 * g * g
    return w - s["m"] * lr * np.sqrt(1 - 0.999**t) / (1 - 0.9**t) / (np.sqrt(s["v"]) + 1e-7)


FORMULAS = {"Adadelta": adadelta, "Adamax": adamax, "Nadam": nadam, "Lion": lion, "AdamW": adamw}


@pytest.mark.parametrize("name", FORMULAS)
def test_formulas(name):
    found = run(optimizers.TABLE[name](learning_rate=0.05), "float64", steps=30)
    weights, gradients = draws(dtype="float64", steps=30)
    states = [{}, {}]
    for t, step in enumerate(gradients, 1):
        weights = [FORMULAS[name](w, g, s, t, 0.05) for w, g, s in zip(weights, step, states, strict=True)]
    for a, b in zip(found, weights, strict=True):
        close(a, b, 1e-6)  # the learning rate is a float32, as in Keras


@pytest.mark.parametrize("t", [1, 2, 10, 1000, 100_000])
def test_step_dependent_factors_are_accurate_in_float32(t):
    optimizer = optimizers.Adam(beta_1=0.9, beta_2=0.99999)
    found = optimizer.scalars(np.asarray(t - 1, np.uint32), np.asarray(1.0, np.float32))["alpha"]
    assert found.dtype == np.float32
    exact = np.sqrt(-np.expm1(t * np.log(0.99999))) / -np.expm1(t * np.log(0.9))
    assert float(found) == pytest.approx(exact, rel=1e-6)


EVERY = [
    optimizers.Lamb(0.01, weight_decay=0.01),
    optimizers.Ftrl(0.1, l1_regularization_strength=0.01),
    optimizers.Adafactor(0.1),
    optimizers.Muon(0.01),
    optimizers.ScheduleFreeAdamW(0.01, use_ema=True),
    optimizers.SGD(0.1, momentum=0.9, nesterov=True, clipvalue=0.5),
    optimizers.RMSprop(0.01, momentum=0.5, centered=True, clipnorm=1.0),
    optimizers.Adagrad(0.1, weight_decay=0.01),
    optimizers.Adadelta(1.0),
    optimizers.Adam(0.01, amsgrad=True, global_clipnorm=1.0),
    optimizers.AdamW(0.01),
    optimizers.Adamax(0.01),
    optimizers.Nadam(0.01),
    optimizers.Lion(0.01),
]


@pytest.mark.parametrize("made", EVERY, ids=lambda o: o.name)
def test_the_traced_program_is_what_apply_does(made):
    optimizer = type(made).from_config(made.get_config())
    weights, gradients = draws(steps=3)
    n = len(weights)
    initial = optimizer.initial_slots(weights_of(weights), weights)
    places = [(name, i) for name, held in initial.items() for i in range(n) if held[i] is not None]

    def step(*values):
        slots = {name: [None] * n for name in initial}
        for (name, i), value in zip(places, values[2 * n :], strict=False):
            slots[name][i] = value
        rates = {"learning_rate": values[-1]}
        new, slots = optimizer.apply_gradients_program(values[:n], values[n : 2 * n], slots, values[-2], rates)
        return [*new, *[slots[name][i] for name, i in places]]

    slots = [initial[name][i] for name, i in places]
    specs = [Spec(s, "float32") for s in SHAPES]
    program = trace(
        step, *specs, *specs, *[Spec(a.shape, "float32") for a in slots], Spec((), "uint32"), Spec((), "float32")
    )
    ways = {optimizer.elementwise(weight) for weight in weights_of(weights)}
    assert [e.op.name for e in program.equations].count("foreach") == int(True in ways) + optimizer.use_ema
    compiled = load_backend("numpy").compile(program)
    expected = weights
    for t, g in enumerate(gradients):
        results = compiled(
            *weights, *g, *slots, np.asarray(t, np.uint32), np.asarray(optimizer.learning_rate, np.float32)
        )
        weights, slots = list(results[:n]), list(results[n:])
        expected = made.apply(g, expected)
    made.reset()
    for a, b in zip(weights, expected, strict=True):
        close(a, b, 1e-6)


def test_low_precision_weights_are_updated_in_float32():
    optimizer = optimizers.Adam(0.01)
    (w,) = optimizer.apply([np.full(3, 1e-3, np.float16)], [np.ones(3, np.float16)])
    assert w.dtype == np.float16
    np.testing.assert_allclose(w, 0.99, rtol=1e-3)


def test_weights_of_several_dtypes():
    optimizer = optimizers.SGD(0.5, momentum=0.5)
    a, b = optimizer.apply([np.ones(2), np.ones(2, np.float32)], [np.ones(2), np.ones(2, np.float32)])
    assert (a.dtype, b.dtype) == (np.float64, np.float32)
    np.testing.assert_array_equal(a, b)


def test_a_missing_gradient_leaves_the_weight():
    optimizer = optimizers.Adam(0.1, weight_decay=0.1)
    weights, gradients = draws(steps=1)
    first, second = optimizer.apply([gradients[0][0], None], weights)
    assert not np.array_equal(first, weights[0])
    np.testing.assert_array_equal(second, weights[1])


def test_constraints_come_last():
    optimizer = optimizers.SGD(1.0)
    weight = Weight("kernel", (2,), "float32", constraint=lambda w: np.maximum(w, 0))
    new, _ = optimizer.apply_gradients_program(
        [np.ones(2, np.float32)], [np.array([3.0, 0.5], np.float32)], {}, np.uint32(0), weights=[weight]
    )
    np.testing.assert_array_equal(new[0], [0.0, 0.5])


def test_a_global_norm_that_is_not_finite_spoils_everything():
    optimizer = optimizers.SGD(0.1, global_clipnorm=1.0)
    a, b = optimizer.apply([np.array([np.inf], np.float32), np.ones(1, np.float32)], [np.ones(1, np.float32)] * 2)
    assert np.isnan(a).all() and np.isnan(b).all()


# ---- names and arguments ----


@pytest.mark.parametrize("name", ["sgd", "SGD", "adam", "Adam", "rmsprop", "RMSProp", "adamw", "NADAM"])
def test_names(name):
    assert type(optimizers.get(name)).__name__.lower() == name.lower()


def test_get():
    made = optimizers.Adam(0.5)
    assert optimizers.get(made) is made
    assert type(optimizers.get(optimizers.SGD)) is optimizers.SGD
    assert optimizers.get({"class_name": "SGD", "config": {"momentum": 0.5}}).momentum == 0.5
    with pytest.raises(UnknownNameError, match="did you mean 'adagrad'"):
        optimizers.get("adagard")
    with pytest.raises(ValueError, match="a name, an Optimizer"):
        optimizers.get(3)


DEFAULTS = {"SGD": 0.01, "RMSprop": 0.001, "Adagrad": 0.001, "Adadelta": 0.001, "Adam": 0.001, "AdamW": 0.001,
            "Adamax": 0.001, "Nadam": 0.001, "Lion": 0.001, "Lamb": 0.001, "Ftrl": 0.001, "Adafactor": 0.001,
            "Muon": 0.001, "ScheduleFreeAdamW": 0.0025}  # fmt: skip


@pytest.mark.parametrize("name", DEFAULTS)
def test_defaults_and_config_round_trip(name):
    made = optimizers.TABLE[name]()
    assert made.learning_rate == DEFAULTS[name]
    assert type(made).from_config(made.get_config()).get_config() == made.get_config()
    assert set(DEFAULTS) == set(optimizers.TABLE)


@pytest.mark.parametrize("rate", [1, np.float32(0.25), 0.5, np.array(2.0)])
def test_learning_rates_of_every_kind(rate):
    optimizer = optimizers.SGD(rate)
    assert optimizer.learning_rate == float(rate)
    optimizer.learning_rate = 0.125
    (w,) = optimizer.apply([np.ones(1, np.float32)], [np.zeros(1, np.float32)])
    assert w[0] == -0.125


def test_old_arguments():
    with pytest.warns(DeprecationWarning, match="learning_rate") as record:
        assert optimizers.Adam(lr=0.5).learning_rate == 0.5
    assert record[0].filename == __file__
    with pytest.warns(DeprecationWarning, match="InverseTimeDecay"):
        optimizer = optimizers.SGD(0.5, decay=0.25)
    weights, total = [np.zeros(1)], 0.0
    for t in range(4):
        assert optimizer.learning_rate == pytest.approx(0.5 / (1 + 0.25 * t))
        weights = optimizer.apply([np.ones(1)], weights)
        total += 0.5 / (1 + 0.25 * t)
    assert weights[0][0] == pytest.approx(-total)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: optimizers.SGD(clipnorm=1.0, clipvalue=1.0), ValueError, "one way"),
        (lambda: optimizers.SGD(0.1, 0.9, False, None, 1.0, clipnorm=1.0), TypeError, "multiple values"),
        (lambda: optimizers.SGD(clipnorm=0.0), ValueError, "positive"),
        (lambda: optimizers.SGD(momentum=2.0), ValueError, "momentum"),
        (lambda: optimizers.Adam(beta_1=1.0), ValueError, "beta_1"),
        (lambda: optimizers.Adam(weight_decay=-1.0), ValueError, "weight_decay"),
        (lambda: optimizers.Adam("fast"), ValueError, "learning_rate must be a number"),
        (lambda: optimizers.Adam(learning_rat=0.1), TypeError, "did you mean 'learning_rate'"),
        (lambda: optimizers.Adam(beta1=0.1), TypeError, "did you mean 'beta_1'"),
        (lambda: optimizers.Adam(is_legacy_optimizer=True), ValueError, "no is_legacy_optimizer"),
        (lambda: optimizers.Adam(ema_overwrite_frequency=3), ValueError, "use_ema"),
        (lambda: optimizers.Adam(use_ema=True, ema_momentum=1.5), ValueError, "ema_momentum"),
        (lambda: optimizers.Adam(use_ema=True, ema_overwrite_frequency=0.5), ValueError, "ema_overwrite_frequency"),
        (lambda: optimizers.Adam(gradient_accumulation_steps=1), ValueError, "integer of at least 2"),
        (lambda: optimizers.Adam(gradient_accumulation_steps=2.0), ValueError, "integer of at least 2"),
        (lambda: optimizers.Adam(loss_scale_factor=0.0), ValueError, "loss_scale_factor must be positive"),
        (lambda: optimizers.Ftrl(learning_rate_power=0.5), ValueError, "learning_rate_power"),
        (lambda: optimizers.Ftrl(l1_regularization_strength=-1.0), ValueError, "l1_regularization_strength"),
        (lambda: optimizers.Adafactor(clip_threshold=0.0), ValueError, "clip_threshold"),
        (lambda: optimizers.Muon(exclude_layers="dense"), ValueError, "list"),
        (lambda: optimizers.Muon(adam_weight_decay=-1.0), ValueError, "adam_weight_decay"),
        (lambda: optimizers.ScheduleFreeAdamW(beta_1=0.0), ValueError, "beta_1 must be positive"),
        (lambda: optimizers.ScheduleFreeAdamW(warmup_steps=-1), ValueError, "warmup_steps"),
        (lambda: optimizers.LossScaleOptimizer("sgd", initial_scale=0.0), ValueError, "initial_scale"),
        (lambda: optimizers.LossScaleOptimizer("sgd", dynamic_growth_steps=0), ValueError, "dynamic_growth_steps"),
        (
            lambda: optimizers.LossScaleOptimizer(optimizers.LossScaleOptimizer("sgd")),
            ValueError,
            "does not scale the loss",
        ),
        (lambda: optimizers.MultiOptimizer("sgd"), ValueError, "OptimizerMap or a function"),
        (lambda: optimizers.OptimizerMap(optimizers.LossScaleOptimizer("sgd")), ValueError, "neither"),
    ],
)
def test_refusals(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_function_as_learning_rate():
    rate = [0.5]
    optimizer = optimizers.SGD(lambda: rate[0])
    (w,) = optimizer.apply([np.ones(1)], [np.zeros(1)])
    rate[0] = 0.25
    (w,) = optimizer.apply([np.ones(1)], [w])
    assert w[0] == -0.75


# ---- schedules ----

SCHEDULES = [
    (schedules.ExponentialDecay(0.1, 10, 0.5), lambda t: 0.1 * 0.5 ** (t / 10)),
    (schedules.ExponentialDecay(0.1, 10, 0.5, staircase=True), lambda t: 0.1 * 0.5 ** (t // 10)),
    (schedules.InverseTimeDecay(0.1, 10, 0.5), lambda t: 0.1 / (1 + 0.5 * t / 10)),
    (schedules.InverseTimeDecay(0.1, 10, 0.5, staircase=True), lambda t: 0.1 / (1 + 0.5 * (t // 10))),
    (schedules.PolynomialDecay(0.1, 20, 0.01, 2.0), lambda t: 0.09 * (1 - min(t, 20) / 20) ** 2 + 0.01),
    (
        schedules.PolynomialDecay(0.1, 20, 0.01, cycle=True),
        lambda t: 0.09 * (1 - t / (20 * max(1, -(-t // 20)))) + 0.01,
    ),
    (schedules.PiecewiseConstantDecay([5, 20], [1.0, 0.5, 0.1]), lambda t: 1.0 if t <= 5 else 0.5 if t <= 20 else 0.1),
    (
        schedules.CosineDecay(0.1, 20, 0.1),
        lambda t: 0.1 * (0.9 * (1 + np.cos(np.pi * min(t, 20) / 20)) / 2 + 0.1),
    ),
    (
        schedules.CosineDecay(0.0, 20, warmup_target=0.1, warmup_steps=5),
        lambda t: 0.1 * t / 5 if t < 5 else 0.1 * (1 + np.cos(np.pi * min(t - 5, 20) / 20)) / 2,
    ),
]


@pytest.mark.parametrize(("schedule", "formula"), SCHEDULES, ids=[repr(row[0])[:40] for row in SCHEDULES])
def test_schedules(schedule, formula):
    for t in (0, 1, 4, 5, 6, 10, 19, 20, 21, 35, 40, 100):
        assert float(schedule(np.asarray(t, np.uint32))) == pytest.approx(formula(t), rel=1e-5, abs=1e-7)
    optimizer = optimizers.SGD(schedule)
    again = optimizers.get({"class_name": "SGD", "config": optimizer.get_config()})
    assert again.schedule.get_config() == schedule.get_config()


# ---- optax ----


@pytest.mark.parametrize(
    ("made", "jitted"),
    [*[(made, True) for made in EVERY], (EVERY[0], False)],
    ids=[*[made.name for made in EVERY], "eagerly"],
)
def test_as_optax_is_the_same_rule(made, jitted):
    jax = pytest.importorskip("jax")
    optax = pytest.importorskip("optax")
    optimizer = type(made).from_config(made.get_config())
    transformation = optimizer.as_optax()
    weights, gradients = draws()
    params = {"kernel": jax.numpy.asarray(weights[0]), "bias": (jax.numpy.asarray(weights[1]), None)}
    state = transformation.init(params)

    def step(params, state, grads):
        updates, state = transformation.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    step = jax.jit(step) if jitted else step
    for g in gradients[: 20 if jitted else 2]:
        params, state = step(params, state, {"kernel": g[0], "bias": (g[1], None)})
        weights = optimizer.apply(g, weights)
    assert int(state.count) == optimizer.iterations
    close(params["kernel"], weights[0], 1e-5)
    close(params["bias"][0], weights[1], 1e-5)


# The rules of optax that are Keras's, with the arguments that make them so.
OPTAX = [
    (optimizers.SGD(0.1), lambda o: o.sgd(0.1)),
    (optimizers.Adagrad(0.1), lambda o: o.adagrad(0.1, initial_accumulator_value=0.1, eps=1e-7)),
    (optimizers.RMSprop(0.01), lambda o: o.rmsprop(0.01, decay=0.9, eps=1e-7, eps_in_sqrt=True)),
    (optimizers.Lion(0.01), lambda o: o.lion(0.01, b1=0.9, b2=0.99, weight_decay=0.0)),
    (optimizers.Adamax(0.01), lambda o: o.adamax(0.01, eps=1e-7)),
]


@pytest.mark.parametrize(("made", "theirs"), OPTAX, ids=[row[0].name for row in OPTAX])
def test_against_optax(made, theirs):
    optax = pytest.importorskip("optax")
    transformation = theirs(optax)
    weights, gradients = draws()
    params = list(weights)
    state = transformation.init(params)
    for g in gradients:
        updates, state = transformation.update(g, state, params)
        params = optax.apply_updates(params, updates)
        weights = made.apply(g, weights)
    made.reset()
    for a, b in zip(weights, params, strict=True):
        close(a, b, 1e-5)

"""The options optimizers share, wrappers, and schedules: Keras's numbers, and what an accumulating step leaves alone."""

import numpy as np
import pytest

from lamella import optimizers
from lamella.optimizers import schedules
from oracle import build, cases, cases_updates, draw, load


def difference(a, b):
    a, b = np.asarray(a), np.asarray(b)
    assert a.shape == b.shape
    return np.max(np.abs(a - b)) / np.max(np.abs(b))


def apart(numbers):
    """The weights that were recorded end to end."""
    ends = np.cumsum([np.prod(shape) for shape in draw.UPDATED.values()])[:-1]
    parts = np.split(numbers, ends)
    return {name: part.reshape(shape) for (name, shape), part in zip(draw.UPDATED.items(), parts, strict=True)}


def names(given):
    """The class names of a row: its own and those among its arguments."""
    if isinstance(given, tuple):
        return {given[0]} | names(given[1])
    return set().union(*map(names, given.values())) if isinstance(given, dict) else set()


# ---- against Keras ----


@pytest.mark.parametrize("case", cases.UPDATES, ids=lambda case: case.id)
def test_against_keras(case):
    recorded = load.load("updates", case.id)
    optimizer = build.construct(optimizers, case.name, case.kwargs)
    if case.excluded:
        optimizer.exclude_from_weight_decay(var_names=case.excluded)
    weights, gradients = draw.updates(case.id, case.infinite)
    scales, expected = [], dict(zip((1, 4, 20), recorded["steps"], strict=True))
    for step, drawn in enumerate(gradients, 1):
        weights = optimizer.apply(drawn, weights)
        if step in expected:
            for name, answer in apart(expected[step]).items():
                assert weights[name].dtype == np.float32
                assert difference(weights[name], answer) <= case.tolerance, (step, name)
        if "scales" in recorded:
            scales.append([optimizer._applied["dynamic_scale"], optimizer._applied["step_counter"]])
    final = optimizer.finalize_variable_values(weights)
    for name, answer in apart(recorded["final"]).items():
        assert difference(final[name], answer) <= case.tolerance, name
    if scales:
        np.testing.assert_array_equal(np.array(scales, np.float32), recorded["scales"])


def test_every_optimizer_has_a_row_for_every_option():
    exported = {
        name
        for name in optimizers.__all__
        if isinstance(made := getattr(optimizers, name), type)
        and issubclass(made, optimizers.Optimizer)
        and made is not optimizers.Optimizer
    }
    assert exported == set(optimizers.TABLE) | {"LossScaleOptimizer", "MultiOptimizer"}
    assert {case.name for case in cases.OPTIMIZERS} == set(optimizers.TABLE)
    assert exported <= {case.name for case in cases.UPDATES}
    for name in optimizers.TABLE:
        rows = [case for case in cases.UPDATES if case.name == name]
        given = {word for case in rows for word, value in case.kwargs.items() if value is not None}
        assert given >= set(optimizers.base.COMMON) - {"name"}, name
        assert any(case.excluded for case in rows), name
    assert "OptimizerMap" in set().union(*[names(case.kwargs) for case in cases.UPDATES])


@pytest.mark.parametrize("case", cases.SCHEDULES, ids=lambda case: case.id)
def test_schedules_against_keras(case):
    schedule = build.construct(optimizers, case.name, case.kwargs)
    expected = load.load("schedules", case.id)["rates"]
    found = np.array([schedule(np.asarray(step, np.uint32)) for step in case.steps])
    np.testing.assert_allclose(found, expected, rtol=0, atol=case.tolerance * np.max(np.abs(expected)))
    again = schedules.deserialize(schedules.serialize(schedule))
    assert type(again) is type(schedule) and again.get_config() == schedule.get_config()


def test_every_schedule_has_a_row():
    exported = {
        name
        for name, made in vars(schedules).items()
        if isinstance(made, type) and issubclass(made, schedules.LearningRateSchedule)
    }
    assert exported - {"LearningRateSchedule", "FunctionOfStep"} == set(schedules.TABLE)
    assert {case.name for case in cases.SCHEDULES} == set(schedules.TABLE)


def test_restarts_are_where_they_belong():
    """The first step of a period has its full rate: float32 logarithms do not put it into the period before."""
    for t_mul, first in ((1.5, 8), (2.0, 13), (3.0, 5), (1.0, 7)):
        schedule = schedules.CosineDecayRestarts(0.1, first, t_mul=t_mul, m_mul=0.9)
        start, length = 0.0, float(first)
        for period in range(6):
            if start == int(start):
                assert float(schedule(np.uint32(start))) == pytest.approx(0.1 * 0.9**period, rel=1e-5), (t_mul, period)
            start, length = start + length, length * t_mul


# ---- accumulation ----


def arrays_of(held):
    return [a for a in held if a is not None] if isinstance(held, list) else [held]


@pytest.mark.parametrize("name", sorted(optimizers.TABLE))
def test_a_step_that_only_accumulates_changes_nothing_else(name):
    """Not one bit, whatever the gradient: weight decay, momentum and constraint wait for the update."""
    optimizer = getattr(optimizers, name)(0.1, weight_decay=0.1, gradient_accumulation_steps=3, global_clipnorm=1.0)
    weights, gradients = draw.updates(name, infinite=(4,))
    for drawn in gradients[:3]:
        weights = optimizer.apply(drawn, weights)
    before, held = weights, dict(optimizer._applied)
    for drawn in gradients[3:5]:
        weights = optimizer.apply(drawn, weights)
    for path, array in weights.items():
        np.testing.assert_array_equal(array, before[path])
    for slot, arrays in optimizer._applied.items():
        if slot != "gradient_accumulator":
            for a, b in zip(arrays_of(arrays), arrays_of(held[slot]), strict=True):
                np.testing.assert_array_equal(a, b)


def test_an_infinite_gradient_under_loss_scaling_changes_nothing_but_the_scale():
    optimizer = optimizers.LossScaleOptimizer(optimizers.AdamW(0.1, use_ema=True), initial_scale=8.0)
    weights, gradients = draw.updates("skipped", infinite=(2,))
    for drawn in gradients[:2]:
        weights = optimizer.apply(drawn, weights)
    held = dict(optimizer._applied)
    after = optimizer.apply(gradients[2], weights)
    for path, array in weights.items():
        np.testing.assert_array_equal(after[path], array)
    for slot in ("momentum", "velocity", "average"):
        for a, b in zip(optimizer._applied[slot], held[slot], strict=True):
            np.testing.assert_array_equal(a, b)
    assert [int(optimizer._applied["iterations"]), float(optimizer._applied["dynamic_scale"])] == [2, 4.0]
    assert float(optimizer.scale_loss(np.float32(0.5))) == 2.0


# ---- wrappers ----


def test_a_loss_scale_optimizer_stands_for_its_inner_optimizer():
    inner = optimizers.SGD(0.5, loss_scale_factor=4.0)
    optimizer = optimizers.LossScaleOptimizer(inner, initial_scale=16.0)
    assert inner.loss_scale_factor is None
    optimizer.learning_rate = 0.25
    assert inner.learning_rate == optimizer.learning_rate == 0.25
    assert float(optimizer.scale_loss(np.float32(2.0))) == 32.0
    again = optimizers.deserialize(optimizers.serialize(optimizer))
    assert again.get_config() == optimizer.get_config()


def test_a_multi_optimizer_by_map_and_by_function():
    sgd, adam = optimizers.SGD(0.5), optimizers.Adam(0.5)
    chosen = optimizers.OptimizerMap(sgd, {"a/.*": adam})
    by_map = optimizers.MultiOptimizer(chosen)
    by_function = optimizers.MultiOptimizer(
        lambda weight: optimizers.Adam(0.5) if weight.path.startswith("a/") else optimizers.SGD(0.5)
    )
    weights = {"a/kernel": np.ones(2, np.float32), "b/kernel": np.ones(2, np.float32)}
    gradients = {"a/kernel": np.full(2, 3.0, np.float32), "b/kernel": np.full(2, 3.0, np.float32)}
    for optimizer in (by_map, by_function):
        after = optimizer.apply(gradients, weights)
        np.testing.assert_allclose(after["a/kernel"], 0.5, rtol=1e-5)
        np.testing.assert_allclose(after["b/kernel"], -0.5, rtol=1e-5)
    assert by_map.optimizers == [adam, sgd]
    assert len(by_function.optimizers) == 2
    again = optimizers.deserialize(optimizers.serialize(by_map))
    assert again.get_config() == by_map.get_config()
    for read in (lambda: by_map.learning_rate, lambda: setattr(by_map, "learning_rate", 1.0)):
        with pytest.raises(AttributeError, match="has no learning rate"):
            read()
    with pytest.raises(ValueError, match="with a function"):
        by_function.get_config()
    with pytest.raises(ValueError, match="by path"):
        optimizers.MultiOptimizer(chosen).apply(list(gradients.values()), list(weights.values()))


def test_optimizer_map():
    chosen = optimizers.OptimizerMap("sgd", {"a/.*": "adam", "a/b/kernel": "lion"})
    assert [chosen[path].name for path in ("a/b/kernel", "a/c/kernel", "d")] == ["lion", "adam", "sgd"]
    chosen["a/b.*"] = "nadam"
    assert (list(chosen), len(chosen)) == (["a/.*", "a/b/kernel", "a/b.*"], 3)
    with pytest.raises(ValueError, match="matched by"):
        chosen["a/b/bias"]
    with pytest.raises(ValueError, match="already"):
        chosen["a/b.*"] = "sgd"
    del chosen["a/b.*"]
    assert chosen["a/b/bias"].name == "adam"


def test_excluding_variables_by_identity():
    from lamella.optimizers.state import Weight

    optimizer = optimizers.AdamW()
    first, second = object(), object()
    optimizer.exclude_from_weight_decay(var_list=[first])
    decays = [optimizer.decay_of(Weight("w", (1,), "float32", variable=v)) for v in (first, second)]
    assert decays == [None, 0.004]


# ---- learning rates ----


class Halving(schedules.LearningRateSchedule):
    def __init__(self, start):
        self.start = start

    def __call__(self, step):
        from lamella import ops

        return ops.power(2.0, -ops.cast(step, "float32")) * self.start


@pytest.mark.parametrize("rate", [Halving(0.5), lambda step: 0.5 * 2.0**-step], ids=["subclass", "function"])
def test_a_schedule_of_ones_own(rate):
    optimizer = optimizers.SGD(rate)
    weights = [np.zeros(1, np.float32)]
    for expected in (0.5, 0.75, 0.875):
        weights = optimizer.apply([np.ones(1, np.float32)], weights)
        assert weights[0][0] == -expected


# ---- optax ----

WRAPPED = {
    "excluded": lambda: excluded(optimizers.AdamW(0.1, weight_decay=0.1)),
    "together": lambda: optimizers.Nadam(
        0.1, weight_decay=0.1, use_ema=True, ema_overwrite_frequency=2, gradient_accumulation_steps=3, clipnorm=1.0
    ),
    "loss-scale": lambda: optimizers.LossScaleOptimizer(optimizers.Adafactor(0.1), 4.0, 3),
    "multi": lambda: optimizers.MultiOptimizer(optimizers.OptimizerMap("adam", {".*kernel": optimizers.Muon(0.1)})),
    "scheduled": lambda: optimizers.Lamb(schedules.CosineDecayRestarts(0.1, 3)),
}


def excluded(optimizer):
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    return optimizer


@pytest.mark.parametrize("name", WRAPPED)
def test_as_optax_under_jit_is_what_apply_does(name):
    jax = pytest.importorskip("jax")
    optax = pytest.importorskip("optax")
    weights, gradients = draw.updates(name, infinite=(3,) if name == "loss-scale" else ())
    optimizer, transformation = WRAPPED[name](), WRAPPED[name]().as_optax()
    params = {"layer": dict(weights)}
    state = transformation.init(params)

    @jax.jit
    def step(params, state, grads):
        updates, state = transformation.update({"layer": grads}, state, params)
        return optax.apply_updates(params, updates), state

    for drawn in gradients[:7]:
        params, state = step(params, state, drawn)
        weights = optimizer.apply(drawn, weights)
    for path, expected in weights.items():
        assert difference(params["layer"][path], expected) <= 1e-5, path
    for slot, held in optimizer._applied.items():
        found = state.scalars[slot] if slot in state.scalars else [state.slots[slot]["layer"][path] for path in weights]
        for a, b in zip(arrays_of(found), arrays_of(held), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_updates_table_is_complete():
    assert {word for _, common in cases_updates.COMMON for word in common} >= {
        "weight_decay", "clipnorm", "clipvalue", "global_clipnorm", "use_ema", "ema_momentum",
        "ema_overwrite_frequency", "loss_scale_factor", "gradient_accumulation_steps",
    }  # fmt: skip


def test_a_description_does_not_depend_on_what_was_imported_before(run_python):
    """Rare optimizers, losses and metrics are imported when asked for; as Keras's own they are known all the same."""
    code = """
import lamella
from lamella.core.serialization import serialize
o, l, m = lamella.optimizers, lamella.losses, lamella.metrics
for made in (o.LossScaleOptimizer(o.Ftrl()), o.Ftrl(), o.Muon(), l.Dice(), m.AUC(), m.R2Score()):
    found = serialize(made)
    print(found["module"], found["class_name"], found["registered_name"])
"""
    assert run_python(code=code).stdout.splitlines() == [
        "keras.optimizers LossScaleOptimizer None",
        "keras.optimizers Ftrl None",
        "keras.optimizers Muon None",
        "keras.losses Dice None",
        "keras.metrics AUC None",
        "keras.metrics R2Score None",
    ]

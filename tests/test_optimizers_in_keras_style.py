"""Optimizers as Keras's guide writes them (`build`, `update_step`), and the state of any optimizer as variables."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import lamella
from lamella import layers, ops, optimizers
from lamella.errors import ArgumentError


class Halving(optimizers.Optimizer):
    """The optimizer that Keras was asked for `KERAS`."""

    def __init__(self, learning_rate=0.1, **kwargs):
        super().__init__(learning_rate=learning_rate, **kwargs)

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self.m, self.v = self.add_optimizer_variables(variables, ["first", "second"], ["zeros", "ones"])
        self.count = self.add_variable((), name="count")

    def update_step(self, gradient, variable, learning_rate):
        i = self._get_variable_index(variable)
        step = ops.cast(self.iterations + 1, variable.dtype)
        self.assign(self.m[i], 0.5 * self.m[i] + gradient)
        self.assign_add(self.v[i], ops.square(gradient))
        self.assign_add(self.count, 1.0)
        self.assign_sub(variable, learning_rate * self.m[i] / ops.sqrt(self.v[i]) / step)


class Momentum(optimizers.Optimizer):
    """SGD with momentum, written in Keras's API."""

    def build(self, variables):
        if not self.built:
            super().build(variables)
            self.momentums = [self.add_variable_from_reference(v, name="momentum") for v in variables]

    def update_step(self, gradient, variable, learning_rate):
        m = self.momentums[self._get_variable_index(variable)]
        self.assign(m, ops.subtract(ops.multiply(m, 0.9), ops.multiply(gradient, learning_rate)))
        self.assign_add(variable, m)


# what Keras 3.15.1 makes of w = [1, -2, 3] and [[0.5]] in four steps
KERAS = [
    ({}, [0.835568368434906, -2.0131051540374756, 2.8580589294433594], 0.35501915216445923, 8.0),
    ({"weight_decay": 0.1}, [0.7998943328857422, -1.933720588684082, 2.742940902709961], 0.33864790201187134, 8.0),
    ({"clipnorm": 0.5}, [0.9173665046691895, -2.016942262649536, 2.9424691200256348], 0.42417266964912415, 8.0),
    ({"clipvalue": 0.2}, [0.9592093229293823, -2.0241403579711914, 2.9484896659851074], 0.4706308841705322, 8.0),
    ({"global_clipnorm": 0.5}, [0.9294741153717041, -2.0014572143554688, 2.9564309120178223], 0.4329582750797272, 8.0),
    ({"use_ema": True, "ema_momentum": 0.5}, [0.835568368434906, -2.0131051540374756, 2.8580589294433594],
     0.35501915216445923, 8.0),
    ({"loss_scale_factor": 2.0}, [0.8681727051734924, -2.004197120666504, 2.9055609703063965], 0.38023149967193604, 8.0),
    ({"gradient_accumulation_steps": 2}, [0.8829415440559387, -1.9779466390609741, 2.903252601623535],
     0.3861061632633209, 4.0),
]  # fmt: skip


@pytest.mark.parametrize(("kwargs", "first", "second", "count"), KERAS, ids=[str(row[0]) for row in KERAS])
def test_an_optimizer_in_keras_style_steps_as_in_keras(kwargs, first, second, count, backend):
    optimizer = Halving(**kwargs)
    w = [lamella.Variable([1.0, -2.0, 3.0], name="a"), lamella.Variable([[0.5]], name="b")]
    rng = np.random.RandomState(0)
    for _ in range(4):
        gradients = [rng.normal(size=(3,)).astype("float32"), rng.normal(size=(1, 1)).astype("float32")]
        optimizer.apply(gradients, w)
    np.testing.assert_allclose(w[0].numpy(), first, rtol=2e-6)
    np.testing.assert_allclose(w[1].numpy(), [[second]], rtol=2e-6)
    held = {v.name: v for v in optimizer.variables}
    assert held["count"].numpy() == count and held["iteration"].numpy() == 4
    own = [name for name in held if "average" not in name and "accumulator" not in name]
    assert own == ["iteration", "learning_rate", "a_first", "a_second", "b_first", "b_second", "count"]


def trained(optimizer, tmp_path=None, policy=None):
    lamella.utils.set_random_seed(3)
    x = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")
    model = lamella.Sequential(
        [lamella.Input((3,)), layers.Dense(4, activation="tanh", dtype=policy), layers.Dense(1, dtype=policy)]
    )
    model.compile(optimizer, "mse")
    model.fit(x, x.sum(1, keepdims=True), epochs=2, batch_size=16, verbose=0)
    return model


@pytest.mark.parametrize(
    "kwargs", [{}, {"weight_decay": 0.1}, {"use_ema": True}, {"gradient_accumulation_steps": 2}], ids=str
)
def test_in_fit_it_is_what_the_rule_says(kwargs, backend):
    ours, built_in = trained(Momentum(0.05, **kwargs)), trained(optimizers.SGD(0.05, momentum=0.9, **kwargs))
    for a, b in zip(ours.get_weights(), built_in.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(ours.optimizer.variables, built_in.optimizer.variables, strict=True):
        assert a.name == b.name
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_it_works_in_mixed_precision_and_beside_others(backend):
    trained(optimizers.LossScaleOptimizer(Halving()), policy="mixed_float16")
    model = trained(optimizers.MultiOptimizer(optimizers.OptimizerMap("adam", {"dense/.*": Halving()})))
    assert np.isfinite(model.get_weights()[0]).all()


def test_a_file_keeps_its_state(tmp_path, backend):
    model = trained(Halving())
    model.save(tmp_path / "m.keras")
    found = lamella.models.load_model(tmp_path / "m.keras", custom_objects={"Halving": Halving})
    before, after = model.optimizer.variables, found.optimizer.variables
    assert [v.name for v in before] == [v.name for v in after] and before[-1].numpy() == 24.0
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    pickle.loads(pickle.dumps(model.optimizer))


def test_build_without_super_says_so():
    class Without(Momentum):
        def build(self, variables):
            self.momentums = self.add_optimizer_variables(variables, "momentum")

    with pytest.raises(ArgumentError, match=r"Without.build begins with `super\(\).build\(variables\)`"):
        trained(Without())
    with pytest.raises(ArgumentError, match="was not built for the variable 'other'"):
        optimizer = Momentum()
        optimizer.build([lamella.Variable([1.0], name="w")])
        optimizer._get_variable_index(lamella.Variable([1.0], name="other"))


@pytest.mark.parametrize(
    ("optimizer", "names"),
    [
        (lambda: optimizers.Adam(0.1), "a_momentum a_velocity b_momentum b_velocity"),
        (lambda: optimizers.SGD(0.1, momentum=0.5, use_ema=True), "a_average b_average a_momentum b_momentum"),
        (lambda: optimizers.SGD(0.1), ""),
    ],
)
def test_build_makes_the_variables_that_keras_lists(optimizer, names, backend):
    made, w = optimizer(), [lamella.Variable([1.0, 2.0], name="a"), lamella.Variable(3.0, name="b")]
    assert not made.built
    made.build(w)
    assert made.built
    assert [v.name for v in made.variables] == ["iteration", "learning_rate", *names.split()]
    made.apply([np.ones(2, "float32"), np.ones((), "float32")], w)
    assert made.variables[0].numpy() == 1


def test_what_is_assigned_to_a_variable_of_an_optimizer_counts(backend):
    model = trained(optimizers.SGD(0.05, momentum=0.9))
    held = {v.name: v for v in model.optimizer.variables}
    held["learning_rate"].assign(0.25)
    held["iteration"].assign(7)
    held["dense_bias_momentum"].assign(np.ones(4))
    assert float(model.optimizer.learning_rate.value) == 0.25 and model.optimizer.iterations == 7
    np.testing.assert_array_equal(
        {v.name: v for v in model.optimizer.variables}["dense_bias_momentum"].numpy(), np.ones(4)
    )

"""Trainings that must give the numbers of one device on several; run as a script on virtual devices.

    XLA_FLAGS=--xla_force_host_platform_device_count=4 python tests/distribution_cases.py mlp,cnn data,model,sharded

Further pairs of cases and distributions may follow.

Each line of output is a case and a distribution with the largest relative difference of its numbers from one device, and the
limit for it. The exit status is 1 where a difference is larger.
"""

from __future__ import annotations

import contextlib
import sys

import numpy as np

import lamella
from lamella import distribution, layers, ops, processes

RNG_ROWS = 54  # three batches of 16 and a ragged one


def _data(shape, classes=0, dtype="float32", rows=RNG_ROWS):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, *shape)).astype(dtype)
    y = rng.integers(0, classes, size=rows) if classes else x.reshape(rows, -1)[:, :1] * 2 + 0.1
    return x, y


def _numbers(model, x, y, **fit):
    """Everything that is compared: losses, metrics, an evaluation, predictions."""
    history = model.fit(x, y, epochs=2, verbose=0, **fit)
    found = [np.ravel(v) for v in history.history.values()]
    if not isinstance(x, lamella.utils.PyDataset):
        kept = {"batch_size": 16, "verbose": 0}
        found += [np.ravel(model.evaluate(x, y, **kept)), np.ravel(model.predict(x, **kept))]
    return np.concatenate(found)


def mlp(optimizer="adam"):
    x, y = _data((8,), dtype=lamella.config.floatx())
    model = lamella.Sequential(
        [
            layers.Input((8,)),
            layers.Dense(16, activation="relu", name="split"),
            layers.Dropout(0.3),
            layers.Dense(4),
            layers.Dense(1),
        ]
    )
    model.compile(optimizer, "mse", metrics=["mae"])
    return _numbers(model, x, y, batch_size=16, validation_split=0.15)


def cnn():
    x, y = _data((8, 8, 3), 4, lamella.config.floatx())
    model = lamella.Sequential(
        [
            layers.Input((8, 8, 3)),
            layers.Conv2D(8, 3, activation="relu", padding="same"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            layers.Conv2D(4, 3),
            layers.Flatten(),
            layers.Dense(4, activation="softmax"),
        ]
    )
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return _numbers(model, x, y, batch_size=16)


def recurrent():
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 20, size=(RNG_ROWS, 6)), rng.integers(0, 2, size=(RNG_ROWS, 1))
    model = lamella.Sequential(
        [
            layers.Input((6,), dtype="int32"),
            layers.Embedding(20, 8, mask_zero=True),
            layers.LSTM(8, return_sequences=True),
            layers.GRU(4),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile("adam", "binary_crossentropy", metrics=[lamella.metrics.AUC()])
    return _numbers(model, x, y, batch_size=16)


def attention():
    x, y = _data((5, 8), dtype=lamella.config.floatx())
    tokens = layers.Input((5, 8))
    mixed = layers.MultiHeadAttention(2, 4)(tokens, tokens)
    outputs = layers.Dense(1)(layers.GlobalAveragePooling1D()(layers.LayerNormalization()(tokens + mixed)))
    model = lamella.Model(tokens, outputs)
    model.compile("adafactor", "mse")
    return _numbers(model, x, y, batch_size=16)


def lamb():
    x, y = _data((8,), dtype=lamella.config.floatx())
    model = lamella.Sequential(
        [
            layers.Input((8,)),
            layers.Dense(16, activation="tanh", kernel_regularizer="l2", name="split"),
            layers.Dense(1),
        ]
    )
    optimizer = lamella.optimizers.Lamb(0.01, use_ema=True, ema_overwrite_frequency=3, gradient_accumulation_steps=2)
    model.compile(optimizer, "mse", weighted_metrics=["mae"])
    return _numbers(model, x, y, batch_size=16, sample_weight=np.linspace(0.5, 2, RNG_ROWS))


def optax():
    import optax as transformations

    return mlp(transformations.adamw(1e-2))


class _Batches(lamella.utils.PyDataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        x, y = _data((8,), dtype=lamella.config.floatx())
        part = slice(16 * index, 16 * index + 16)
        return x[part], y[part]


def batches():
    model = lamella.Sequential([layers.Input((8,)), layers.Dense(16, activation="relu", name="split"), layers.Dense(1)])
    model.compile("adam", "mse")
    return _numbers(model, _Batches(), None)


class _Own(lamella.Model):
    def __init__(self):
        super().__init__()
        self.hidden, self.last = layers.Dense(16, activation="relu", name="split"), layers.Dense(1)

    def call(self, x):
        return self.last(self.hidden(x))

    def train_step(self, data):
        x, y = data

        def loss_of():
            return ops.mean(ops.square(self(x, training=True) - y))

        loss, gradients = lamella.value_and_grad(loss_of, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return {"loss": loss}


def own_step():
    x, y = _data((8,), dtype=lamella.config.floatx())
    model = _Own()
    model.compile("adam", "mse")
    return _numbers(model, x, y, batch_size=16)


def functional():
    x, y = _data((8,), dtype=lamella.config.floatx())
    wide, deep = layers.Input((8,), name="wide"), layers.Input((8,), name="deep")
    hidden = layers.Dense(16, activation="relu", name="split")(deep)
    joined = layers.Concatenate()([wide, hidden])
    model = lamella.Model(
        [wide, deep], {"a": layers.Dense(1, name="a")(joined), "b": layers.Dense(1, name="b")(hidden)}
    )
    model.compile("adam", "mse", metrics={"a": ["mae"]})
    history = model.fit({"wide": x, "deep": x}, {"a": y, "b": -y}, epochs=2, batch_size=16, verbose=0)
    predictions = model.predict({"wide": x, "deep": x}, verbose=0)
    return np.concatenate([np.ravel(v) for v in (*history.history.values(), *predictions.values())])


def free():
    model = lamella.Sequential([layers.Input((None, 4)), layers.LSTM(8), layers.Dense(1)])
    model.compile("adam", "mse")
    losses = []
    for length in (3, 5, 3):
        x, y = _data((length, 4), dtype=lamella.config.floatx(), rows=24)
        losses.append(float(np.asarray(model.value_and_grad(x, y)[0])))
        losses += [model.train_on_batch(x, y), model.train_on_batch(x[:7], y[:7]), model.test_on_batch(x[:9], y[:9])]
    return np.array(losses)


def mixed():
    lamella.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        return mlp()
    finally:
        lamella.mixed_precision.set_global_policy("float32")


def masks():
    """Two calls of a dropout: the very bits."""
    model = lamella.Sequential([layers.Input((8,)), layers.Dropout(0.5), layers.GaussianNoise(1.0)])
    x = np.ones((16, 8), "float32")
    return np.concatenate([np.ravel(lamella.ops.convert_to_numpy(model(x, training=True))) for _ in range(2)])


def own_rows():
    """Each process gives its own half of every batch; alone, one gives both halves."""
    x, y = _data((8,), dtype=lamella.config.floatx(), rows=64)
    count, index = processes.count(), processes.index()
    halves = [np.concatenate([a[8 * i : 8 * i + 8] for i in range(index, 8, count)]) for a in (x, y)]
    placed = distribution.distribution()
    if placed is not None:
        placed = type(placed)(auto_shard_dataset=False)
    with (placed or ONE).scope():
        model = lamella.Sequential([layers.Input((8,)), layers.Dense(16, activation="relu"), layers.Dense(1)])
        model.compile("adam", "mse", metrics=["mae"])
        history = model.fit(*halves, epochs=2, batch_size=16 // count, shuffle=False, verbose=0)
        found = model.evaluate(*halves, batch_size=16 // count, verbose=0)
        return np.concatenate([*map(np.ravel, history.history.values()), found, np.ravel(model.predict(x, verbose=0))])


def donated():
    """Steps that reuse the memory of weights and slots."""
    from lamella_jax import runner

    before, runner._LARGE = runner._LARGE, 0
    try:
        return batches()
    finally:
        runner._LARGE = before


class _Sets(lamella.callbacks.Callback):
    """Looks at the weights and halves the learning rate, as callbacks do."""

    def on_train_batch_end(self, batch, logs=None):
        if batch == 1:
            self.model.layers[0].set_weights([w * 0.5 for w in self.model.layers[0].get_weights()])

    def on_epoch_end(self, epoch, logs=None):
        self.model.optimizer.learning_rate = 0.0005


def callbacks():
    x, y = _data((8,), dtype=lamella.config.floatx())
    model = lamella.Sequential([layers.Input((8,)), layers.Dense(16, activation="relu", name="split"), layers.Dense(1)])
    model.compile("adam", "mse")
    return _numbers(model, x, y, batch_size=16, callbacks=[_Sets()])


_ALL = (
    mlp,
    cnn,
    recurrent,
    attention,
    lamb,
    optax,
    batches,
    own_step,
    functional,
    free,
    mixed,
    masks,
    callbacks,
    own_rows,
    donated,
)
CASES = {function.__name__: function for function in _ALL}


def limit(case):
    if case == "masks":
        return 0.0
    if case == "mixed":
        return 0.2
    return 1e-12 if lamella.config.floatx() == "float64" else 1e-6


def distributions():
    """Each distribution on the devices that there are, four or two."""
    count = distribution.device_count()
    made = {"data": distribution.DataParallel()}
    if count == 4:
        mesh = distribution.DeviceMesh((2, 2), ["batch", "model"])
        layouts = distribution.LayoutMap(mesh)
        layouts[".*(split|embedding|lstm)/(kernel|embeddings)"] = (None, "model")
        layouts["conv2d/kernel"] = (None, None, None, "model")
        layouts[".*/(query|key|value)/kernel"] = (None, "model", None)
        made["model"] = distribution.ModelParallel(layout_map=layouts)
    made["sharded"] = distribution.FullySharded()
    return made


def run(name, placed=None):
    """The numbers of a case under a distribution, None for one device."""
    lamella.utils.set_random_seed(3)
    with (placed or ONE).scope():
        return CASES[name]()


class _One:
    """No distribution."""

    def scope(self):
        return contextlib.nullcontext()


ONE = _One()


def difference(found, wanted):
    """The largest difference, relative to the numbers or, where they are small, to 1."""
    return float(np.max(np.abs(found - wanted) / np.maximum(np.abs(wanted), 1.0)))


def main(names, kinds):
    lamella.set_backend("jax")
    made, failed = distributions(), False
    for name in names:
        wanted = run(name)
        for kind in kinds:
            if kind not in made:
                continue
            layouts = getattr(made[kind], "layout_map", None)
            if layouts is not None:  # its pattern is meant for many models
                made[kind].begins = lambda variables: None
            found = difference(run(name, made[kind]), wanted)
            failed |= not found <= limit(name)
            print(f"{name} {kind} {lamella.config.floatx()} {found:.2e} limit {limit(name):.0e}", flush=True)
    return int(failed)


if __name__ == "__main__":
    pairs = [argument.split(",") for argument in sys.argv[1:]]
    sys.exit(max(main(names, kinds) for names, kinds in zip(pairs[::2], pairs[1::2], strict=True)))

"""What is measured: models in the API that Keras and lamella share, data, initial weights, and the arithmetic of a row.

The models that are not trained by `fit` in Keras's API (torch, JAX and NumPy by hand) are in the files `handwritten_*.py`,
under the same names. Every peer starts from `Workload.weights`, in Keras's order, and gets the same arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass
class Model:
    """A network and how it is trained.

    Attributes:
        layers: the list of layers, made from a namespace like `keras.layers` (and `keras.ops`).
        macs: multiply-adds of the matrix products of one row's forward pass, one number a product.
        head: "binary", "classes" or "mse": the loss and the metric.
        data: a function of the number of rows that returns x and y.
        weights: (shape, kind) in Keras's order; kind is "kernel", "zeros", "ones", "embedding", or "mean" and "variance"
            (statistics that are not trained).
        first_input_gradient: whether the first product needs a gradient with respect to its input (after an embedding).
    """

    layers: Callable[[Any, Any], list[Any]]
    macs: list[float]
    head: str
    data: Callable[[int], tuple[np.ndarray, np.ndarray]]
    weights: list[tuple[tuple[int, ...], str]]
    optimizer: str = "adam"
    first_input_gradient: bool = False

    @property
    def forward_flops(self) -> float:
        """Floating-point operations of one row's forward products."""
        return 2 * sum(self.macs)

    @property
    def training_flops(self) -> float:
        """Forward, gradient of the weights, gradient of the inputs; elementwise work is left out."""
        spared = 0 if self.first_input_gradient else self.macs[0]
        return 2 * (3 * sum(self.macs) - spared)

    @property
    def compile_arguments(self) -> dict[str, Any]:
        loss, metric = {
            "binary": ("binary_crossentropy", "binary_accuracy"),
            "classes": ("sparse_categorical_crossentropy", "accuracy"),
            "mse": ("mse", "mae"),
        }[self.head]
        return {"optimizer": self.optimizer, "loss": loss, "metrics": [metric]}

    def initial_weights(self) -> list[np.ndarray]:
        rng, made = np.random.default_rng(1), []
        for shape, kind in self.weights:
            if kind == "kernel":
                area = int(np.prod(shape[:-2]))
                limit = np.sqrt(6 / (area * (shape[-2] + shape[-1])))
                made.append(rng.uniform(-limit, limit, shape))
            elif kind == "embedding":
                made.append(rng.uniform(-0.05, 0.05, shape))
            else:
                made.append(np.full(shape, kind in ("ones", "variance"), np.float64))
        return [w.astype(np.float32) for w in made]


def dense(inner, outer):
    return [((inner, outer), "kernel"), ((outer,), "zeros")]


def _line(rows):
    rng = np.random.default_rng(0)
    x = np.linspace(-1, 1, rows, dtype=np.float32)[:, None]
    return x, 3 * x + rng.normal(size=x.shape).astype(np.float32) * np.float32(0.3)


def _points(rows):
    x = np.random.default_rng(0).normal(size=(rows, 20)).astype(np.float32)
    return x, (x[:, :1] * x[:, 1:2] > 0).astype(np.float32)


def _classes(*shape):
    def make(rows):
        rng = np.random.default_rng(0)
        y = rng.integers(0, 10, (rows, 1)).astype(np.int32)
        shift = y.reshape(rows, *[1] * len(shape)).astype(np.float32) / 5
        return rng.standard_normal((rows, *shape), np.float32) + shift, y

    return make


def _sequences(rows):
    x = np.random.default_rng(0).standard_normal((rows, 100, 32), np.float32)
    return x, (x.mean((1, 2), keepdims=True)[:, 0] > 0).astype(np.float32)


def _tokens(length, words):
    def make(rows):
        x = np.random.default_rng(0).integers(0, words, (rows, length)).astype(np.int32)
        return x, (x.mean(1, keepdims=True) > words / 2).astype(np.float32)

    return make


def _cnn(k, _):
    return [
        k.Input((28, 28, 1)),
        k.Conv2D(32, 3, activation="relu"),
        k.MaxPooling2D(2),
        k.Conv2D(64, 3, activation="relu"),
        k.MaxPooling2D(2),
        k.Flatten(),
        k.Dropout(0.5),
        k.Dense(10, "softmax"),
    ]


WIDTHS = [(3, 32), (32, 32), (32, 64), (64, 64), (64, 128), (128, 128)]


def _convnet(k, _):
    layers = [k.Input((32, 32, 3))]
    for i, (_, width) in enumerate(WIDTHS):
        layers += [k.Conv2D(width, 3, padding="same", use_bias=False), k.BatchNormalization(), k.Activation("relu")]
        if i % 2:
            layers.append(k.MaxPooling2D(2))
    return [*layers, k.GlobalAveragePooling2D(), k.Dense(10, "softmax")]


def _convnet_weights():
    made = []
    for inner, outer in WIDTHS:
        kinds = ("ones", "zeros", "mean", "variance")
        made += [((3, 3, inner, outer), "kernel"), *[((outer,), kind) for kind in kinds]]
    return [*made, *dense(128, 10)]


LENGTH, WIDTH, HEADS, HIDDEN, WORDS = 64, 64, 4, 128, 2000


def _transformer(k, ops):
    class Block(k.Layer):
        """Attention and a two-layer network, each normalized afterwards, each around a skip."""

        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.attention = k.MultiHeadAttention(HEADS, WIDTH // HEADS)
            self.first = k.LayerNormalization(epsilon=1e-6)
            self.inner, self.outer = k.Dense(HIDDEN, "relu"), k.Dense(WIDTH)
            self.second = k.LayerNormalization(epsilon=1e-6)

        def build(self, input_shape):
            self.attention.build(input_shape, input_shape)
            self.first.build(input_shape)
            self.inner.build(input_shape)
            self.outer.build((*input_shape[:-1], HIDDEN))
            self.second.build(input_shape)

        def call(self, x):
            x = self.first(x + self.attention(x, x))
            return self.second(x + self.outer(self.inner(x)))

    return [
        k.Input((LENGTH,), dtype="int32"),
        k.Embedding(WORDS, WIDTH),
        Block(),
        Block(),
        k.GlobalAveragePooling1D(),
        k.Dense(1, "sigmoid"),
    ]


def _transformer_weights():
    part = WIDTH // HEADS
    block = []
    for _ in "qkv":
        block += [((WIDTH, HEADS, part), "kernel"), ((HEADS, part), "zeros")]
    block += [((HEADS, part, WIDTH), "kernel"), ((WIDTH,), "zeros")]
    norm = [((WIDTH,), "ones"), ((WIDTH,), "zeros")]
    block += [*norm, *dense(WIDTH, HIDDEN), *dense(HIDDEN, WIDTH), *norm]
    return [((WORDS, WIDTH), "embedding"), *block, *block, *dense(WIDTH, 1)]


_BLOCK = [LENGTH * WIDTH * WIDTH] * 4 + [LENGTH * LENGTH * WIDTH] * 2 + [LENGTH * WIDTH * HIDDEN] * 2

MODELS = {
    "line": Model(
        lambda k, _: [k.Input((1,)), k.Dense(1)],
        [1],
        "mse",
        _line,
        dense(1, 1),
        optimizer="sgd",
    ),
    "mlp": Model(
        lambda k, _: [k.Input((20,)), k.Dense(64, "relu"), k.Dense(64, "relu"), k.Dense(1, "sigmoid")],
        [20 * 64, 64 * 64, 64],
        "binary",
        _points,
        [*dense(20, 64), *dense(64, 64), *dense(64, 1)],
    ),
    "wide": Model(
        lambda k, _: [k.Input((784,)), k.Dense(512, "relu"), k.Dense(512, "relu"), k.Dense(10, "softmax")],
        [784 * 512, 512 * 512, 512 * 10],
        "classes",
        _classes(784),
        [*dense(784, 512), *dense(512, 512), *dense(512, 10)],
    ),
    "cnn": Model(
        _cnn,
        [26 * 26 * 9 * 32, 11 * 11 * 9 * 32 * 64, 1600 * 10],
        "classes",
        _classes(28, 28, 1),
        [
            *[((3, 3, 1, 32), "kernel"), ((32,), "zeros")],
            *[((3, 3, 32, 64), "kernel"), ((64,), "zeros")],
            *dense(1600, 10),
        ],
    ),
    "convnet": Model(
        _convnet,
        [*[(32 >> i // 2) ** 2 * 9 * a * b for i, (a, b) in enumerate(WIDTHS)], 1280],
        "classes",
        _classes(32, 32, 3),
        _convnet_weights(),
    ),
    "lstm": Model(
        lambda k, _: [k.Input((100, 32)), k.LSTM(64), k.Dense(1, "sigmoid")],
        [100 * 32 * 256, 100 * 64 * 256, 64],
        "binary",
        _sequences,
        [((32, 256), "kernel"), ((64, 256), "kernel"), ((256,), "zeros"), *dense(64, 1)],
    ),
    "gru": Model(
        lambda k, _: [k.Input((80,), dtype="int32"), k.Embedding(5000, 64), k.GRU(64), k.Dense(1, "sigmoid")],
        [80 * 64 * 192, 80 * 64 * 192, 64],
        "binary",
        _tokens(80, 5000),
        [((5000, 64), "embedding"), ((64, 192), "kernel"), ((64, 192), "kernel"), ((2, 192), "zeros"), *dense(64, 1)],
        first_input_gradient=True,
    ),
    "transformer": Model(
        _transformer,
        [*_BLOCK, *_BLOCK, WIDTH],
        "binary",
        _tokens(LENGTH, WORDS),
        _transformer_weights(),
        first_input_gradient=True,
    ),
}


@dataclass
class Workload:
    """One thing to time.

    Attributes:
        title: what a reader sees.
        model: a name in `MODELS`.
        action: "fit", "predict", "predict_on_batch", "evaluate", "first step", "new batch size" or "import".
        rows, batch, epochs: of the data; `repeat` calls are timed together where one is too short.
        aims: {peer measured: {peer compared with: the ratio of times asked for}}.
    """

    title: str
    model: str
    action: str
    rows: int
    batch: int = 32
    epochs: int = 1
    repeat: int = 1
    aims: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def fresh(self) -> bool:
        """Whether every round needs a new process."""
        return self.action in ("first step", "import")

    @property
    def flops(self) -> float:
        """Floating-point operations of the matrix products of one timed run (of one call where calls are repeated)."""
        model = MODELS[self.model]
        if self.action == "import":
            return 0.0
        if self.action == "fit":
            return model.training_flops * self.rows * self.epochs
        if self.action in ("first step", "new batch size"):
            return model.training_flops * self.batch
        return model.forward_flops * self.rows


def _training(title, model, rows, batch, epochs, jax_to_keras, numpy_to_keras):
    aims = {
        "lamella-jax": {"keras": jax_to_keras, "jax": 1.05, "torch": 1.0},
        "lamella-numpy": {"keras": numpy_to_keras, "numpy": 1.05},
    }
    return Workload(title, model, "fit", rows, batch, epochs, aims=aims)


def _one_row(model, action, keras):
    aims = {"lamella-jax": {"keras": keras, "jax": 1.3}, "lamella-numpy": {"keras": keras}}
    return Workload(f"{action}, 1 row, {model}", model, action, 1, repeat=200, aims=aims)


def _no_slower(title, model, action, rows, batch=32, repeat=1):
    aims = {"lamella-jax": {"keras": 1.0, "jax": 1.05}, "lamella-numpy": {"keras": 1.0}}
    return Workload(title, model, action, rows, batch, repeat=repeat, aims=aims)


WORKLOADS = {
    "line": _training("linear regression, 101 rows, 200 epochs, SGD", "line", 101, 32, 200, 0.5, 0.3),
    "mlp": _training("MLP 20-64-64-1, 4000 rows, 5 epochs", "mlp", 4000, 32, 5, 0.5, 0.3),
    "wide": _training("MLP 784-512-512-10, 12800 rows", "wide", 12800, 128, 1, 0.85, 1.1),
    "cnn": _training("CNN 28x28, dropout, 2560 rows", "cnn", 2560, 128, 1, 0.5, 1.0),
    "convnet": _training("BatchNorm convnet 32x32x3, 512 rows", "convnet", 512, 64, 1, 1.0, 1.5),
    "lstm": _training("LSTM(64), 100 steps, 1024 rows", "lstm", 1024, 64, 1, 0.9, 1.0),
    "gru": _training("Embedding + GRU(64), 80 steps, 1024 rows", "gru", 1024, 64, 1, 0.9, 1.0),
    "transformer": _training("transformer, 2 blocks of 64, 64 tokens, 512 rows", "transformer", 512, 32, 1, 1.0, 1.5),
    "predict-1-line": _one_row("line", "predict", 0.1),
    "predict-1-mlp": _one_row("mlp", "predict", 0.1),
    "predict-1-cnn": _one_row("cnn", "predict", 1.0),
    "batch-1-mlp": _one_row("mlp", "predict_on_batch", 1.0),
    "predict-32": _no_slower("predict, 32 rows, mlp", "mlp", "predict", 32, repeat=200),
    "predict-10000": _no_slower("predict, 10000 rows, mlp", "mlp", "predict", 10000),
    "predict-10000-cnn": _no_slower("predict, 10000 rows, cnn, batch 128", "cnn", "predict", 10000, 128),
    "evaluate": _no_slower("evaluate, 10000 rows, mlp", "mlp", "evaluate", 10000),
    "evaluate-cnn": _no_slower("evaluate, 2560 rows, cnn, batch 128", "cnn", "evaluate", 2560, 128),
    "import": Workload(
        "import", "line", "import", 1, aims={"lamella-numpy": {"keras": 0.2}, "lamella-jax": {"keras": 0.2}}
    ),
    "first-mlp": Workload(
        "build, compile and first step, mlp", "mlp", "first step", 32, aims={"lamella-jax": {"keras": 1.0, "jax": 1.0}}
    ),
    "first-cnn": Workload(
        "build, compile and first step, cnn",
        "cnn",
        "first step",
        128,
        128,
        aims={"lamella-jax": {"keras": 1.0, "jax": 1.0}},
    ),
    "new-batch-mlp": Workload(
        "a batch size not seen before, mlp", "mlp", "new batch size", 64, aims={"lamella-jax": {"keras": 1.0}}
    ),
    "new-batch-cnn": Workload(
        "a batch size not seen before, cnn", "cnn", "new batch size", 64, aims={"lamella-jax": {"keras": 1.0}}
    ),
}
"""By the name that the command line takes; "jax" in an aim is the better of the two hand-written JAX loops."""

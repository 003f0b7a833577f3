"""Who is measured: each peer makes a model of `workloads.MODELS` and can fit, step, predict and evaluate.

A peer imports its framework when it is made, so that a process holds one framework only.
"""

from __future__ import annotations

import os

import numpy as np


class Sequential:
    """A model in Keras's API: Keras itself, or lamella."""

    def __init__(self, library, name, model, weights, batch_size, **compiled):
        self.batch_size = batch_size
        self.model = library.Sequential(model.layers(library.layers, library.ops))
        self.model.set_weights(weights)
        self.model.compile(**model.compile_arguments, **compiled)

    def fit(self, x, y, epochs, shuffle):
        """The last epoch's loss."""
        kwargs = {"batch_size": self.batch_size, "epochs": epochs, "shuffle": shuffle, "verbose": 0}
        return self.model.fit(x, y, **kwargs).history["loss"][-1]

    def step(self, x, y):
        return self.model.train_on_batch(x, y)

    def predict(self, x):
        return self.model.predict(x, batch_size=self.batch_size, verbose=0)

    def predict_on_batch(self, x):
        return np.asarray(self.model.predict_on_batch(x))

    def evaluate(self, x, y):
        return self.model.evaluate(x, y, batch_size=self.batch_size, verbose=0)[0]


class ByHand:
    """A hand-written trainer with `epoch`, `step`, `predict` and perhaps `evaluate`."""

    def __init__(self, trainer):
        self.trainer = trainer
        self.step, self.predict, self.predict_on_batch = trainer.step, trainer.predict, trainer.predict
        if hasattr(trainer, "evaluate"):
            self.evaluate = trainer.evaluate

    def fit(self, x, y, epochs, shuffle):
        loss, order = 0.0, None if shuffle else np.arange(len(x))
        for _ in range(epochs):
            loss = self.trainer.epoch(x, y, order)
        return loss


def lamella_on(backend):
    def load():
        import lamella

        if backend == "jax":
            lamella.backend.load_backend("jax")
        return lambda *words: Sequential(lamella, *words, backend=backend)

    return load


def keras():
    os.environ["KERAS_BACKEND"] = "jax"
    import keras

    return lambda *words: Sequential(keras, *words)


def jax_by_hand(scan):
    def load():
        import handwritten_jax

        return lambda *words: ByHand(handwritten_jax.Trainer(*words, scan=scan))

    return load


def torch():
    import handwritten_torch

    return lambda *words: ByHand(handwritten_torch.Trainer(*words))


def numpy_by_hand():
    import handwritten_numpy

    return lambda name, _, weights, batch_size: ByHand(handwritten_numpy.make(name, weights, batch_size))


PEERS = {
    "lamella-jax": ("lamella on JAX", lamella_on("jax")),
    "lamella-numpy": ("lamella on NumPy", lamella_on("numpy")),
    "keras": ("Keras 3 on JAX", keras),
    "jax-step": ("JAX + optax by hand, a call per step", jax_by_hand(False)),
    "jax-scan": ("JAX + optax by hand, a scan per epoch", jax_by_hand(True)),
    "torch": ("PyTorch, eager", torch),
    "numpy": ("NumPy by hand", numpy_by_hand),
}
"""By the name that the command line takes: what a reader sees, and what imports the framework and returns how to make a
model from (name, `workloads.Model`, initial weights, batch size)."""

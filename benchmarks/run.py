"""The speed of training: lamella's two backends next to the same model written by hand.

    make bench                                what is measured below, in a few minutes
    make bench ARGS="mlp --rounds 3"          one workload
    make bench ARGS="--check"                 the same weights after an epoch, instead of times

A peer that cannot run here (no JAX, a part of lamella missing) is listed with its reason and fails nothing.
On a busy machine set OPENBLAS_NUM_THREADS=1 and compare NumPy with NumPy by `--processor-time`: threads that wait
for each other at the end of every product otherwise measure the neighbours.
"""

from __future__ import annotations

import argparse
import importlib.util
import time

import handwritten_numpy
import numpy as np
from measure import Contender, circumstances, interleave, table


def glorot(rng, *shape):
    """Kernels (..., inputs, outputs) as Keras starts them, each with a bias of zeros."""
    area = int(np.prod(shape[:-2]))
    limit = np.sqrt(6 / (area * (shape[-2] + shape[-1])))
    return [rng.uniform(-limit, limit, shape).astype(np.float32), np.zeros(shape[-1], np.float32)]


class Peer:
    """A trainer made of initial weights, and how it runs epochs: `train(trainer, epochs, shuffle)`."""

    def __init__(self, name, make, needs=()):
        self.name, self.make, self.needs = name, make, needs

    def missing(self):
        lost = [module for module in self.needs if importlib.util.find_spec(module) is None]
        return f"needs {' and '.join(lost)}" if lost else ""


class ByHand(Peer):
    """A hand-written trainer."""

    def train(self, trainer, work, epochs, shuffle=True):
        order = None if shuffle else np.arange(len(work.x))
        for _ in range(epochs):
            trainer.epoch(work.x, work.y, order)
        return trainer.weights


class Lamella(Peer):
    """A lamella model on one backend."""

    def __init__(self, backend, layers, **compiled):
        super().__init__(f"lamella on {backend}", self._make, ("jax",) if backend == "jax" else ())
        self.backend, self.layers, self.compiled = backend, layers, compiled

    def _make(self, weights):
        import lamella

        model = lamella.Sequential(self.layers(lamella.layers))
        model.set_weights(weights)
        model.compile(backend=self.backend, **self.compiled)
        return model

    def train(self, model, work, epochs, shuffle=True):
        model.fit(work.x, work.y, batch_size=work.batch_size, epochs=epochs, shuffle=shuffle, verbose=0)
        return model.get_weights()


class Workload:
    """Data, initial weights and peers; the first peer is the one the others are compared with."""

    def __init__(self, title, x, y, batch_size, epochs, weights, peers):
        self.title, self.x, self.y, self.batch_size, self.epochs = title, x, y, batch_size, epochs
        self.weights, self.peers = weights, peers

    def ready(self):
        """The peers that can run, each with its trainer, and the others with the reason."""
        ready, missing = [], []
        for peer in self.peers:
            why = peer.missing()
            try:
                if not why:
                    trainer = peer.make([w.copy() for w in self.weights])
                    peer.train(trainer, self, 1)
                    ready.append((peer, trainer))
            except Exception as error:
                why = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:100]
            if why:
                missing.append((peer.name, why))
        return ready, missing

    def measure(self, rounds, clock):
        ready, missing = self.ready()
        contenders = [
            Contender(peer.name, lambda peer=peer, trainer=trainer: peer.train(trainer, self, self.epochs))
            for peer, trainer in ready
        ]
        if not contenders:
            return "\n".join([f"{self.title}: nothing to measure", *[f"  {name}: {why}" for name, why in missing]])
        interleave(contenders, rounds, clock=clock)
        steps = -(-len(self.x) // self.batch_size) * self.epochs
        unit = f"microseconds{' of processor time' if clock is time.process_time else ''} a step of {self.batch_size}"
        scale = 1e6 / steps
        return table(self.title, contenders, missing, unit, scale, contenders[0])

    def check(self):
        """Every peer's weights after one epoch in order, from the same start, next to the first peer's."""
        lines, expected = (
            [f"{self.title}: difference after an epoch, relative to the distance moved (norms, worst tensor)"],
            None,
        )
        for peer in self.peers:
            try:
                if peer.missing():
                    raise ImportError(peer.missing())
                result = peer.train(peer.make([w.copy() for w in self.weights]), self, 1, shuffle=False)
            except Exception as error:
                lines.append(f"  {peer.name:47}{type(error).__name__}: {str(error)[:80]}")
                continue
            expected = expected or [w.copy() for w in result]
            worst = max(
                float(np.linalg.norm(a - b) / np.linalg.norm(b - start))
                for a, b, start in zip(result, expected, self.weights, strict=True)
            )
            lines.append(f"  {peer.name:47}{worst:.1e}")
        return "\n".join(lines)


def jax_peer(name, make, **options):
    """A peer of `handwritten_jax`, which is imported only when it is made."""

    def build(weights):
        import handwritten_jax

        return getattr(handwritten_jax, make)(weights, **options)

    return ByHand(name, build, ("jax", "optax"))


def mlp_workload(loss="binary_crossentropy"):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4000, 20)).astype(np.float32)
    y = (x[:, :1] * x[:, 1:2] > 0).astype(np.float32)
    weights = [*glorot(rng, 20, 64), *glorot(rng, 64, 64), *glorot(rng, 64, 1)]

    def layers(kinds):
        dense = kinds.Dense
        return [kinds.Input((20,)), dense(64, "relu"), dense(64, "relu"), dense(1, "sigmoid")]

    compiled = {"optimizer": "adam", "loss": loss, "metrics": ["binary_accuracy"]}
    peers = [
        ByHand("hand-written NumPy", lambda w: handwritten_numpy.MLP(w, loss=loss)),
        jax_peer("hand-written JAX, a jitted step per call", "make_mlp", loss=loss),
        jax_peer("hand-written JAX, a scan per epoch", "make_mlp", loss=loss, scan=True),
        Lamella("numpy", layers, **compiled),
        Lamella("jax", layers, **compiled),
    ]
    return Workload(f"MLP 20-64-64-1, {loss}, Adam", x, y, 32, 3, weights, peers)


def cnn_workload(dropout=0.0):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 10, (1280, 1)).astype(np.int32)
    x = (rng.normal(size=(1280, 28, 28, 1)) + y[:, :, None, None] / 5).astype(np.float32)
    weights = [*glorot(rng, 3, 3, 1, 32), *glorot(rng, 3, 3, 32, 64), *glorot(rng, 1600, 10)]

    def layers(kinds):
        body = [kinds.Conv2D(32, 3, activation="relu"), kinds.MaxPooling2D(2)]
        body += [kinds.Conv2D(64, 3, activation="relu"), kinds.MaxPooling2D(2), kinds.Flatten()]
        return [
            kinds.Input((28, 28, 1)),
            *body,
            *[kinds.Dropout(r) for r in (dropout,) if r],
            kinds.Dense(10, "softmax"),
        ]

    compiled = {"optimizer": "adam", "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}
    peers = [
        ByHand("hand-written NumPy", lambda w: handwritten_numpy.CNN(w, dropout=dropout)),
        jax_peer("hand-written JAX, a jitted step per call", "make_cnn", dropout=dropout),
        jax_peer(
            "hand-written JAX, a scan, canonical gradients", "make_cnn", dropout=dropout, scan=True, canonical=True
        ),
        Lamella("numpy", layers, **compiled),
        Lamella("jax", layers, **compiled),
    ]
    name = f"CNN 28x28, conv 32, conv 64{', dropout' if dropout else ''}, Adam"
    return Workload(name, x, y, 128, 1, weights, peers)


def line_workload():
    rng = np.random.default_rng(0)
    x = np.linspace(-1, 1, 101, dtype=np.float32)[:, None]
    y = 3 * x + rng.normal(size=x.shape).astype(np.float32) * 0.3

    def layers(kinds):
        return [kinds.Input((1,)), kinds.Dense(1)]

    peers = [
        ByHand("hand-written NumPy", handwritten_numpy.LinearRegression),
        Lamella("numpy", layers, optimizer="sgd", loss="mse", metrics=["mae"]),
        Lamella("jax", layers, optimizer="sgd", loss="mse", metrics=["mae"]),
    ]
    return Workload("linear regression, 101 rows, SGD", x, y, 32, 50, glorot(rng, 1, 1), peers)


WORKLOADS = {
    "line": line_workload,
    "mlp": mlp_workload,
    "mlp-mse": lambda: mlp_workload("mse"),
    "cnn": cnn_workload,
    "cnn-dropout": lambda: cnn_workload(0.5),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workloads", nargs="*", help=f"of {', '.join(WORKLOADS)}; default line, mlp and cnn")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--check", action="store_true", help="compare weights, measure nothing")
    parser.add_argument("--only", default="", help="peers with this in their name, as in --only numpy")
    parser.add_argument("--processor-time", action="store_true", help="of all threads, instead of elapsed time")
    arguments = parser.parse_args()
    clock = time.process_time if arguments.processor_time else time.perf_counter
    names = arguments.workloads or ["line", "mlp", "cnn"]
    for name in names:
        if name not in WORKLOADS:
            parser.error(f"no workload {name!r}; there are {', '.join(WORKLOADS)}")
    print(circumstances())
    for name in names:
        workload = WORKLOADS[name]()
        workload.peers = [peer for peer in workload.peers if arguments.only.lower() in peer.name.lower()]
        print("\n" + (workload.check() if arguments.check else workload.measure(arguments.rounds, clock)), flush=True)


if __name__ == "__main__":
    main()

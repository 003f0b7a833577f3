"""The same models written by hand in JAX and optax, with one jitted step per call and with one `lax.scan` per epoch.

optax's Adam adds epsilon in another place than Keras's, so weights agree with the other peers' only to that order.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

EPSILON = 1e-7
LAYOUT = ("NHWC", "HWIO", "NHWC")


def mlp(weights, x, key):
    """Probabilities (batch, 1)."""
    w1, b1, w2, b2, w3, b3 = weights
    h = jax.nn.relu(x @ w1 + b1)
    return jax.nn.sigmoid(jax.nn.relu(h @ w2 + b2) @ w3 + b3)


def binary_crossentropy(p, y):
    """Keras's: probabilities are clipped."""
    q = jnp.clip(p, EPSILON, 1 - EPSILON)
    return -jnp.mean(y * jnp.log(q) + (1 - y) * jnp.log(1 - q))


def binary_accuracy(p, y):
    return jnp.mean((p > 0.5) == (y > 0.5))


def mse(p, y):
    return jnp.mean(jnp.square(p - y))


def sparse_categorical_crossentropy(p, y):
    return -jnp.mean(jnp.log(jnp.clip(jnp.take_along_axis(p, y, axis=1), EPSILON, 1 - EPSILON)))


def sparse_categorical_accuracy(p, y):
    return jnp.mean(p.argmax(axis=1) == y[:, 0])


def convolve(x, kernel):
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "VALID", dimension_numbers=LAYOUT)


@jax.custom_vjp
def convolve_canonical(x, kernel):
    """The same, with gradients in the layout that XLA's CPU compiler is fast at inside a loop, too."""
    return convolve(x, kernel)


def _gradients(operands, g):
    x, kernel = operands
    reach = [(k - 1, k - 1) for k in kernel.shape[:2]]
    flipped = kernel[::-1, ::-1].transpose(0, 1, 3, 2)
    dx = jax.lax.conv_general_dilated(g, flipped, (1, 1), reach, dimension_numbers=LAYOUT)
    dk = convolve(x.transpose(3, 1, 2, 0), g.transpose(1, 2, 0, 3)).transpose(1, 2, 0, 3)
    return dx, dk


convolve_canonical.defvjp(lambda x, kernel: (convolve(x, kernel), (x, kernel)), _gradients)


def pool(x):
    """The maximum of 2x2 cells by reshaping; an odd last row and column are left out."""
    n, h, w, c = x.shape
    return x[:, : h // 2 * 2, : w // 2 * 2].reshape(n, h // 2, 2, w // 2, 2, c).max(axis=(2, 4))


def pool_native(x):
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def cnn(weights, x, key, *, canonical, dropout=0.0):
    """Probabilities (batch, 10)."""
    k1, b1, k2, b2, w, b = weights
    conv, largest = (convolve_canonical, pool) if canonical else (convolve, pool_native)
    h = largest(jax.nn.relu(conv(x, k1) + b1))
    h = largest(jax.nn.relu(conv(h, k2) + b2)).reshape(len(x), -1)
    if dropout:
        h = jnp.where(jax.random.bernoulli(key, 1 - dropout, h.shape), h / (1 - dropout), 0)
    return jax.nn.softmax(h @ w + b)


class Trainer:
    """A jitted step and a scanned epoch of one model; `epoch` runs either."""

    def __init__(self, apply, loss, accuracy, weights, batch_size, scan, learning_rate=0.001):
        self.state = [jnp.asarray(w) for w in weights]
        self.batch_size, self.scan = batch_size, scan
        optimizer = optax.adam(learning_rate, eps=EPSILON)
        self.optimizer_state = optimizer.init(self.state)
        self.key, self.count, self.shuffler = jax.random.key(0), 0, np.random.default_rng(0)
        self.data = None

        def objective(weights, x, y, key):
            p = apply(weights, x, key)
            return loss(p, y), accuracy(p, y)

        def step(weights, state, x, y, key):
            (value, metric), gradients = jax.value_and_grad(objective, has_aux=True)(weights, x, y, key)
            updates, state = optimizer.update(gradients, state, weights)
            return optax.apply_updates(weights, updates), state, jnp.stack([value, metric])

        def epoch(weights, state, x, y, orders, key):
            def body(carry, rows_and_key):
                rows, key = rows_and_key
                weights, state, logs = step(*carry, x[rows], y[rows], key)
                return (weights, state), logs

            carry, logs = jax.lax.scan(body, (weights, state), (orders, jax.random.split(key, len(orders))))
            return *carry, logs

        self._step, self._epoch = jax.jit(step), jax.jit(epoch)

    @property
    def weights(self):
        return [np.asarray(w) for w in self.state]

    def _next_key(self):
        self.count += 1
        return jax.random.fold_in(self.key, self.count)

    def step(self, x, y):
        """One update; the device array (loss, metric)."""
        self.state, self.optimizer_state, logs = self._step(self.state, self.optimizer_state, x, y, self._next_key())
        return logs

    def epoch(self, x, y, order=None):
        """Every row once; rows past the last whole batch are a step of their own."""
        if order is None:
            order = self.shuffler.permutation(len(x))
        whole, logs, counts = len(x) // self.batch_size, [], []
        if self.scan and whole:
            if self.data is None or self.data[0] is not x:
                self.data = x, jnp.asarray(x), jnp.asarray(y)
            orders = jnp.asarray(order[: whole * self.batch_size].reshape(whole, -1))
            self.state, self.optimizer_state, part = self._epoch(
                self.state, self.optimizer_state, *self.data[1:], orders, self._next_key()
            )
            logs, counts = [part], [self.batch_size] * whole
            order = order[whole * self.batch_size :]
        for start in range(0, len(order), self.batch_size):
            rows = order[start : start + self.batch_size]
            logs.append(self.step(x[rows], y[rows])[None])
            counts.append(len(rows))
        loss, metric = np.average(np.concatenate([np.asarray(part) for part in logs]), axis=0, weights=counts)
        return {"loss": float(loss), "accuracy": float(metric)}


def make_mlp(weights, batch_size=32, scan=False, loss="binary_crossentropy"):
    objective = mse if loss == "mse" else binary_crossentropy
    return Trainer(mlp, objective, binary_accuracy, weights, batch_size, scan)


def make_cnn(weights, batch_size=128, scan=False, canonical=False, dropout=0.0):
    apply = partial(cnn, canonical=canonical, dropout=dropout)
    return Trainer(apply, sparse_categorical_crossentropy, sparse_categorical_accuracy, weights, batch_size, scan)

"""The models of `workloads` written by hand in JAX and optax, with a jitted step per call or a `lax.scan` per epoch.

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


def line(weights, stats, x, key):
    """Predictions (batch, 1)."""
    w, b = weights
    return x @ w + b, stats


def mlp(weights, stats, x, key):
    """Probabilities (batch, 1), or (batch, classes)."""
    w1, b1, w2, b2, w3, b3 = weights
    h = jax.nn.relu(jax.nn.relu(x @ w1 + b1) @ w2 + b2) @ w3 + b3
    return jax.nn.sigmoid(h) if h.shape[1] == 1 else jax.nn.softmax(h), stats


def binary_crossentropy(p, y):
    """Keras's: probabilities are clipped."""
    q = jnp.clip(p, EPSILON, 1 - EPSILON)
    return -jnp.mean(y * jnp.log(q) + (1 - y) * jnp.log(1 - q))


def binary_accuracy(p, y):
    return jnp.mean((p > 0.5) == (y > 0.5))


def mse(p, y):
    return jnp.mean(jnp.square(p - y))


def mae(p, y):
    return jnp.mean(jnp.abs(p - y))


def sparse_categorical_crossentropy(p, y):
    return -jnp.mean(jnp.log(jnp.clip(jnp.take_along_axis(p, y, axis=1), EPSILON, 1 - EPSILON)))


def sparse_categorical_accuracy(p, y):
    return jnp.mean(p.argmax(axis=1) == y[:, 0])


HEADS = {
    "binary": (binary_crossentropy, binary_accuracy),
    "classes": (sparse_categorical_crossentropy, sparse_categorical_accuracy),
    "mse": (mse, mae),
}


def convolve(x, kernel, padding="VALID"):
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), padding, dimension_numbers=LAYOUT)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def convolve_canonical(x, kernel, padding="VALID"):
    """The same, with gradients in the layout that XLA's CPU compiler is fast at inside a loop, too."""
    return convolve(x, kernel, padding)


def _gradients(padding, operands, g):
    x, kernel = operands
    around = [(k // 2, k // 2) if padding == "SAME" else (0, 0) for k in kernel.shape[:2]]
    reach = [(k - 1 - p, k - 1 - p) for k, (p, _) in zip(kernel.shape[:2], around, strict=True)]
    flipped = kernel[::-1, ::-1].transpose(0, 1, 3, 2)
    dx = jax.lax.conv_general_dilated(g, flipped, (1, 1), reach, dimension_numbers=LAYOUT)
    dk = convolve(x.transpose(3, 1, 2, 0), g.transpose(1, 2, 0, 3), around).transpose(1, 2, 0, 3)
    return dx, dk


convolve_canonical.defvjp(lambda x, kernel, padding: (convolve(x, kernel, padding), (x, kernel)), _gradients)


def pool(x):
    """The maximum of 2x2 cells by reshaping; an odd last row and column are left out."""
    n, h, w, c = x.shape
    return x[:, : h // 2 * 2, : w // 2 * 2].reshape(n, h // 2, 2, w // 2, 2, c).max(axis=(2, 4))


def pool_native(x):
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def cnn(weights, stats, x, key, *, canonical=True):
    """Probabilities (batch, 10)."""
    k1, b1, k2, b2, w, b = weights
    conv, largest = (convolve_canonical, pool) if canonical else (convolve, pool_native)
    h = largest(jax.nn.relu(conv(x, k1) + b1))
    h = largest(jax.nn.relu(conv(h, k2) + b2)).reshape(len(x), -1)
    if key is not None:
        h = jnp.where(jax.random.bernoulli(key, 0.5, h.shape), h * 2, 0)
    return jax.nn.softmax(h @ w + b), stats


def convnet(weights, stats, x, key, *, canonical=True):
    """Probabilities (batch, 10), and the moving statistics of the batch normalizations."""
    conv, largest = (convolve_canonical, pool) if canonical else (convolve, pool_native)
    *blocks, w, b = weights
    moved = []
    for i in range(len(blocks) // 3):
        kernel, gamma, beta = blocks[3 * i : 3 * i + 3]
        x, mean, variance = conv(x, kernel, "SAME"), stats[2 * i], stats[2 * i + 1]
        if key is not None:
            held, (mean, variance) = (mean, variance), (x.mean((0, 1, 2)), x.var((0, 1, 2)))
            moved += [a * 0.99 + b * 0.01 for a, b in zip(held, (mean, variance), strict=True)]
        x = jax.nn.relu((x - mean) * (gamma * jax.lax.rsqrt(variance + 1e-3)) + beta)
        if i % 2:
            x = largest(x)
    return jax.nn.softmax(x.mean((1, 2)) @ w + b), moved or stats


def lstm(weights, stats, x, key):
    """Probabilities (batch, 1); the input's product is one, before the loop."""
    w, u, b, v, c = weights
    projected = (x.transpose(1, 0, 2).reshape(-1, x.shape[2]) @ w + b).reshape(x.shape[1], len(x), -1)

    def turn(carry, z):
        h, s = carry
        i, f, g, o = jnp.split(z + h @ u, 4, axis=1)
        s = jax.nn.sigmoid(f) * s + jax.nn.sigmoid(i) * jnp.tanh(g)
        return (jax.nn.sigmoid(o) * jnp.tanh(s), s), None

    start = jnp.zeros((len(x), u.shape[0]), x.dtype)
    (h, _), _ = jax.lax.scan(turn, (start, start), projected)
    return jax.nn.sigmoid(h @ v + c), stats


def gru(weights, stats, x, key):
    """Probabilities (batch, 1) of token sequences; Keras's form, with the reset gate after the product."""
    table, w, u, b, v, c = weights
    inputs = table[x.T]
    projected = (inputs.reshape(-1, inputs.shape[2]) @ w + b[0]).reshape(*inputs.shape[:2], -1)

    def turn(h, z):
        xz, xr, xh = jnp.split(z, 3, axis=1)
        hz, hr, hh = jnp.split(h @ u + b[1], 3, axis=1)
        z, r = jax.nn.sigmoid(xz + hz), jax.nn.sigmoid(xr + hr)
        return z * h + (1 - z) * jnp.tanh(xh + r * hh), None

    h, _ = jax.lax.scan(turn, jnp.zeros((len(x), u.shape[0]), inputs.dtype), projected)
    return jax.nn.sigmoid(h @ v + c), stats


def _normalized(x, gamma, beta):
    centered = x - x.mean(-1, keepdims=True)
    return centered * jax.lax.rsqrt(jnp.square(centered).mean(-1, keepdims=True) + 1e-6) * gamma + beta


def _block(weights, x):
    wq, bq, wk, bk, wv, bv, wo, bo, g1, c1, w1, b1, w2, b2, g2, c2 = weights
    q, k, v = (jnp.einsum("btd,dhp->bhtp", x, w) + b[:, None] for w, b in ((wq, bq), (wk, bk), (wv, bv)))
    scores = jax.nn.softmax(q @ k.swapaxes(2, 3) * (q.shape[-1] ** -0.5))
    x = _normalized(x + jnp.einsum("bhtp,hpd->btd", scores @ v, wo) + bo, g1, c1)
    return _normalized(x + jax.nn.relu(x @ w1 + b1) @ w2 + b2, g2, c2)


def transformer(weights, stats, x, key):
    """Probabilities (batch, 1) of token sequences."""
    table, *blocks, w, b = weights
    h = table[x]
    for i in range(0, len(blocks), 16):
        h = _block(blocks[i : i + 16], h)
    return jax.nn.sigmoid(h.mean(1) @ w + b), stats


APPLY = {
    "line": line,
    "mlp": mlp,
    "wide": mlp,
    "cnn": cnn,
    "convnet": convnet,
    "lstm": lstm,
    "gru": gru,
    "transformer": transformer,
}


class Trainer:
    """A jitted step and a scanned epoch of one model; `epoch` runs either.

    Args:
        name: of the model.
        model: its `workloads.Model`.
        weights: the initial weights, in Keras's order.
        batch_size: rows a step.
        scan: whether an epoch is one call.
    """

    def __init__(self, name, model, weights, batch_size, scan=False):
        # XLA's own convolution gradients are the faster ones outside a loop, and unusable inside one
        apply = partial(APPLY[name], canonical=scan) if name in ("cnn", "convnet") else APPLY[name]
        loss, accuracy = HEADS[model.head]
        trained = [kind not in ("mean", "variance") for _, kind in model.weights]
        self.state = [jnp.asarray(w) for w, t in zip(weights, trained, strict=True) if t]
        self.stats = [jnp.asarray(w) for w, t in zip(weights, trained, strict=True) if not t]
        self.batch_size, self.scan = batch_size, scan
        optimizer = optax.sgd(0.01) if model.optimizer == "sgd" else optax.adam(0.001, eps=EPSILON)
        self.optimizer_state = optimizer.init(self.state)
        self.key, self.count, self.shuffler = jax.random.key(0), 0, np.random.default_rng(0)
        self.data = None

        def objective(weights, stats, x, y, key):
            p, stats = apply(weights, stats, x, key)
            return loss(p, y), (accuracy(p, y), stats)

        def step(weights, stats, state, x, y, count):
            key = jax.random.fold_in(self.key, count)  # where nothing is drawn, nothing is left of it
            (value, (metric, stats)), gradients = jax.value_and_grad(objective, has_aux=True)(weights, stats, x, y, key)
            updates, state = optimizer.update(gradients, state, weights)
            return optax.apply_updates(weights, updates), stats, state, jnp.stack([value, metric])

        def epoch(weights, stats, state, x, y, orders, count):
            def body(carry, rows_and_count):
                rows, count = rows_and_count
                *carry, logs = step(*carry, x[rows], y[rows], count)
                return tuple(carry), logs

            counts = count + jnp.arange(len(orders), dtype=jnp.uint32)
            carry, logs = jax.lax.scan(body, (weights, stats, state), (orders, counts))
            return *carry, logs

        def test(weights, stats, x, y):
            p, _ = apply(weights, stats, x, None)
            return jnp.stack([loss(p, y), accuracy(p, y)])

        self._step, self._epoch, self._test = jax.jit(step), jax.jit(epoch), jax.jit(test)
        self._predict = jax.jit(lambda weights, stats, x: apply(weights, stats, x, None)[0])

    def _counted(self, steps):
        """The number of the next step; `steps` of them follow."""
        self.count += steps
        return np.uint32(self.count - steps)

    def step(self, x, y):
        """One update; the device array (loss, metric)."""
        self.state, self.stats, self.optimizer_state, logs = self._step(
            self.state, self.stats, self.optimizer_state, x, y, self._counted(1)
        )
        return logs

    def epoch(self, x, y, order=None):
        """Every row once; rows past the last whole batch are a separate step."""
        if order is None:
            order = self.shuffler.permutation(len(x))
        whole, logs, counts = len(x) // self.batch_size, [], []
        if self.scan and whole:
            if self.data is None or self.data[0] is not x:
                self.data = x, jnp.asarray(x), jnp.asarray(y)
            orders = jnp.asarray(order[: whole * self.batch_size].reshape(whole, -1))
            self.state, self.stats, self.optimizer_state, part = self._epoch(
                self.state, self.stats, self.optimizer_state, *self.data[1:], orders, self._counted(whole)
            )
            logs, counts = [part], [self.batch_size] * whole
            order = order[whole * self.batch_size :]
        for start in range(0, len(order), self.batch_size):
            rows = order[start : start + self.batch_size]
            logs.append(self.step(x[rows], y[rows])[None])
            counts.append(len(rows))
        loss, _ = np.average(np.concatenate([np.asarray(part) for part in logs]), axis=0, weights=counts)
        return float(loss)

    def predict(self, x):
        """Predictions as a NumPy array, batch by batch."""
        parts = [
            self._predict(self.state, self.stats, x[i : i + self.batch_size]) for i in range(0, len(x), self.batch_size)
        ]
        return np.asarray(parts[0]) if len(parts) == 1 else np.concatenate([np.asarray(part) for part in parts])

    def evaluate(self, x, y):
        """The loss over all rows."""
        starts = range(0, len(x), self.batch_size)
        logs = [
            self._test(self.state, self.stats, x[i : i + self.batch_size], y[i : i + self.batch_size]) for i in starts
        ]
        counts = [min(self.batch_size, len(x) - i) for i in starts]
        return float(np.average([np.asarray(part)[0] for part in logs], weights=counts))

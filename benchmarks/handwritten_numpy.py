"""Training loops as one would write them by hand in NumPy for exactly one model: the peers lamella must match.

Everything is float32, preallocated and in place; parameters, gradients and Adam's moments are views of flat vectors, so
that the optimizer is a dozen passes for the whole model. Each peer has `weights` (Keras's order), `step(x, y)` and
`epoch(x, y, order)`, the latter returning the logs that `fit` shows, so results can be held against lamella's.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.lib.stride_tricks import as_strided

EPSILON = np.float32(1e-7)


class Adam:
    """Keras's rule: the bias corrections are in the step size, epsilon is added outside the root."""

    def __init__(self, parameters, learning_rate=0.001, beta_1=0.9, beta_2=0.999):
        self.parameters, self.learning_rate, self.betas = parameters, learning_rate, (beta_1, beta_2)
        self.m, self.v, self.t = np.zeros_like(parameters), np.zeros_like(parameters), np.empty_like(parameters)
        self.count = 0

    def step(self, gradient):
        (b1, b2), m, v, t = self.betas, self.m, self.v, self.t
        self.count += 1
        rate = self.learning_rate * math.sqrt(1 - b2**self.count) / (1 - b1**self.count)
        np.subtract(gradient, m, out=t)
        t *= np.float32(1 - b1)
        m += t
        np.multiply(gradient, gradient, out=t)
        t -= v
        t *= np.float32(1 - b2)
        v += t
        np.sqrt(v, out=t)
        t += EPSILON
        np.divide(m, t, out=t)
        t *= np.float32(rate)
        self.parameters -= t


class Network:
    """Flat parameters and gradients with a view for every weight, shuffled epochs, and running logs."""

    metric = "accuracy"

    def __init__(self, weights, batch_size):
        sizes = np.cumsum([0, *[w.size for w in weights]])
        self.parameters, self.gradient = np.empty((2, sizes[-1]), np.float32)
        self.weights, self.gradients = (
            [flat[a:b].reshape(w.shape) for a, b, w in zip(sizes, sizes[1:], weights, strict=False)]
            for flat in (self.parameters, self.gradient)
        )
        for mine, given in zip(self.weights, weights, strict=True):
            mine[...] = given
        self.batch_size = batch_size
        self.optimizer, self.shuffler = Adam(self.parameters), np.random.default_rng(0)
        self.batch = None

    def step(self, x, y):
        """One update; (loss, metric) of the batch."""
        raise NotImplementedError

    def epoch(self, x, y, order=None):
        """Every row once, in `order` (None: shuffled anew); the epoch's logs."""
        if order is None:
            order = self.shuffler.permutation(len(x))
        if self.batch is None:
            self.batch = (
                np.empty((self.batch_size, *x.shape[1:]), x.dtype),
                np.empty((self.batch_size, *y.shape[1:]), y.dtype),
            )
        loss = metric = 0.0
        for start in range(0, len(x), self.batch_size):
            rows = order[start : start + self.batch_size]
            xs, ys = (
                np.take(a, rows, axis=0, out=b[: len(rows)], mode="clip")
                for a, b in zip((x, y), self.batch, strict=True)
            )
            batch_loss, batch_metric = self.step(xs, ys)
            loss += batch_loss * len(rows)
            metric += batch_metric * len(rows)
        return {"loss": loss / len(x), self.metric: metric / len(x)}


class MLP(Network):
    """Dense relu, dense relu, dense sigmoid under Keras's clipped binary cross-entropy, or mse."""

    def __init__(self, weights, batch_size=32, loss="binary_crossentropy"):
        super().__init__(weights, batch_size)
        self.loss = loss
        w1, _, w2, _, w3, _ = self.weights
        shapes = [w1.shape[1], w2.shape[1], w3.shape[1]]
        self.h1, self.h2, self.p = (np.empty((batch_size, n), np.float32) for n in shapes)
        self.d1, self.d2, self.d3 = (np.empty((batch_size, n), np.float32) for n in shapes)
        self.m1, self.m2 = (np.empty((batch_size, n), bool) for n in shapes[:2])

    def step(self, x, y):
        n = len(x)
        h1, h2, p, d1, d2, d3 = (a[:n] for a in (self.h1, self.h2, self.p, self.d1, self.d2, self.d3))
        w1, b1, w2, b2, w3, b3 = self.weights
        np.matmul(x, w1, out=h1)
        h1 += b1
        np.maximum(h1, 0, out=h1)
        np.matmul(h1, w2, out=h2)
        h2 += b2
        np.maximum(h2, 0, out=h2)
        np.matmul(h2, w3, out=p)
        p += b3
        p *= np.float32(0.5)  # the logistic function by one tanh, which cannot overflow
        np.tanh(p, out=p)
        p *= np.float32(0.5)
        p += np.float32(0.5)
        hits = np.count_nonzero((p > 0.5) == (y > 0.5))
        np.subtract(p, y, out=d3)
        if self.loss == "mse":
            loss = float(np.vdot(d3, d3)) / d3.size
            d3 *= p
            d3 *= 1 - p
            d3 *= np.float32(2 / d3.size)
        else:
            q = np.minimum(np.maximum(p, EPSILON), 1 - EPSILON)
            d3 *= p == q  # clipped probabilities pass no gradient on
            q -= y
            np.abs(q, out=q)
            np.subtract(1, q, out=q)  # the probability of the label, which is 0 or 1
            loss = -float(np.log(q, out=q).sum()) / q.size
            d3 *= np.float32(1 / d3.size)
        g1, c1, g2, c2, g3, c3 = self.gradients
        np.matmul(h2.T, d3, out=g3)
        np.add.reduce(d3, axis=0, out=c3)
        np.matmul(d3, w3.T, out=d2)
        d2 *= np.greater(h2, 0, out=self.m2[:n])
        np.matmul(h1.T, d2, out=g2)
        np.add.reduce(d2, axis=0, out=c2)
        np.matmul(d2, w2.T, out=d1)
        d1 *= np.greater(h1, 0, out=self.m1[:n])
        np.matmul(x.T, d1, out=g1)
        np.add.reduce(d1, axis=0, out=c1)
        self.optimizer.step(self.gradient)
        return loss, hits / p.size


class Convolution:
    """A 3x3 convolution without padding, whose patches are kept for the kernel's gradient."""

    def __init__(self, batch, size, inner, outer, input_gradient):
        self.size, self.inner, self.outer, self.out = size, inner, outer, size - 2
        self.patches = np.empty((batch, self.out, self.out, 3, 3, inner), np.float32)
        self.y = np.empty((batch, self.out, self.out, outer), np.float32)
        if input_gradient:
            self.spread = np.empty((batch, self.out, self.out, 3, 3, inner), np.float32)
            self.dx = np.empty((batch, size, size, inner), np.float32)

    def forward(self, x, kernel, bias):
        n, out = len(x), self.out
        a, b, c, d = x.strides
        patches = self.patches[:n]
        patches[...] = as_strided(x, patches.shape, (a, b, c, b, c, d))
        y = self.y[:n]
        np.matmul(patches.reshape(n * out * out, -1), kernel.reshape(-1, self.outer), out=y.reshape(-1, self.outer))
        y += bias
        return np.maximum(y, 0, out=y)

    def kernel_gradient(self, dy, out):
        rows = dy.reshape(-1, self.outer)
        np.matmul(self.patches[: len(dy)].reshape(len(rows), -1).T, rows, out=out.reshape(-1, self.outer))

    def input_gradient(self, dy, kernel):
        n, out = len(dy), self.out
        spread, dx = self.spread[:n], self.dx[:n]
        np.matmul(dy.reshape(-1, self.outer), kernel.reshape(-1, self.outer).T, out=spread.reshape(n * out * out, -1))
        dx.fill(0)
        for i in range(3):
            for j in range(3):
                dx[:, i : i + out, j : j + out] += spread[:, :, :, i, j]
        return dx


class Pooling:
    """The maximum of 2x2 cells; the first maximum takes the gradient; an odd last row and column are left out."""

    def __init__(self, batch, size, channels):
        self.half = half = size // 2
        self.y = np.empty((batch, half, half, channels), np.float32)
        self.dx = np.zeros((batch, size, size, channels), np.float32)
        self.hit, self.free = np.empty((2, *self.y.shape), bool)
        cells = [slice(0, 2 * half, 2), slice(1, 2 * half, 2)]
        self.cells = [(slice(None), i, j) for i in cells for j in cells]

    def forward(self, x):
        y, (first, second, *rest) = self.y[: len(x)], self.cells
        np.maximum(x[first], x[second], out=y)
        for cell in rest:
            np.maximum(y, x[cell], out=y)
        return y

    def backward(self, dy, x):
        """Also through the relu in front of the pool: what was not above zero passes nothing on."""
        n = len(dy)
        y, hit, free, dx = self.y[:n], self.hit[:n], self.free[:n], self.dx[:n]
        np.greater(y, 0, out=free)
        for cell in self.cells:
            np.equal(x[cell], y, out=hit)
            hit &= free
            free ^= hit
            np.multiply(dy, hit, out=dx[cell])
        return dx


class CNN(Network):
    """Conv 32, pool, conv 64, pool, flatten, [dropout], dense 10 with softmax, sparse categorical cross-entropy."""

    def __init__(self, weights, batch_size=128, dropout=0.0, seed=0):
        super().__init__(weights, batch_size)
        self.dropout, self.rng = dropout, np.random.default_rng(seed)
        self.conv1, self.pool1 = Convolution(batch_size, 28, 1, 32, False), Pooling(batch_size, 26, 32)
        self.conv2, self.pool2 = Convolution(batch_size, 13, 32, 64, True), Pooling(batch_size, 11, 64)
        self.p, self.d = np.empty((batch_size, 10), np.float32), np.empty((batch_size, 1600), np.float32)
        self.draw, self.mask = np.empty((batch_size, 1600), np.float32), np.empty((batch_size, 1600), bool)
        self.flat = np.empty((batch_size, 1600), np.float32)

    def step(self, x, y):
        n = len(x)
        k1, b1, k2, b2, w, b = self.weights
        c1, p1, c2, p2, p, d = self.conv1, self.pool1, self.conv2, self.pool2, self.p[:n], self.d[:n]
        a1 = c1.forward(x, k1, b1)
        h1 = p1.forward(a1)
        a2 = c2.forward(h1, k2, b2)
        flat = p2.forward(a2).reshape(n, -1)
        if self.dropout:
            mask = np.greater_equal(self.rng.random(out=self.draw, dtype=np.float32), self.dropout, out=self.mask)[:n]
            flat = np.multiply(flat, mask, out=self.flat[:n])
            flat *= np.float32(1 / (1 - self.dropout))
        np.matmul(flat, w, out=p)
        p += b
        p -= p.max(axis=1, keepdims=True)
        np.exp(p, out=p)
        p /= p.sum(axis=1, keepdims=True)
        labels = y.reshape(-1)
        hits = np.count_nonzero(p.argmax(axis=1) == labels)
        rows = np.arange(n)
        loss = -float(np.log(np.maximum(p[rows, labels], EPSILON)).sum()) / n
        p[rows, labels] -= 1
        p *= np.float32(1 / n)
        gk1, gb1, gk2, gb2, gw, gb = self.gradients
        np.matmul(flat.T, p, out=gw)
        np.add.reduce(p, axis=0, out=gb)
        np.matmul(p, w.T, out=d)
        if self.dropout:
            d *= mask
            d *= np.float32(1 / (1 - self.dropout))
        d2 = p2.backward(d.reshape(n, 5, 5, 64), a2)
        c2.kernel_gradient(d2, gk2)
        np.add.reduce(d2.reshape(-1, 64), axis=0, out=gb2)
        d1 = p1.backward(c2.input_gradient(d2, k2), a1)
        c1.kernel_gradient(d1, gk1)
        np.add.reduce(d1.reshape(-1, 32), axis=0, out=gb1)
        self.optimizer.step(self.gradient)
        return loss, hits / n


class LinearRegression(Network):
    """One dense unit under mse with SGD; the metric is the mean absolute error."""

    metric = "mae"

    def __init__(self, weights, batch_size=32, learning_rate=0.01):
        super().__init__(weights, batch_size)
        self.learning_rate = np.float32(learning_rate)

    def step(self, x, y):
        (w, b), (g, c) = self.weights, self.gradients
        error = x @ w
        error += b
        error -= y
        loss, mae = float(np.vdot(error, error)) / error.size, float(np.abs(error).sum()) / error.size
        error *= np.float32(2 / error.size)
        np.matmul(x.T, error, out=g)
        np.add.reduce(error, axis=0, out=c)
        self.gradient *= self.learning_rate
        self.parameters -= self.gradient
        return loss, mae

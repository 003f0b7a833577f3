"""Training loops as one would write them by hand in NumPy for exactly one model: the peers lamella must match.

Everything is float32, preallocated and in place; parameters, gradients and Adam's moments are views of flat vectors, so
that the optimizer is a dozen passes for the whole model. Each peer has `weights` (Keras's order), `step(x, y)`,
`epoch(x, y, order)`, which returns the mean loss, and `forward(x)`.
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
        """Every row once, in `order` (None: shuffled again); the epoch's logs."""
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
        self.metric = metric / len(x)
        return loss / len(x)

    def forward(self, x):
        """The predictions for at most a batch; the array is used again by the next call."""
        raise NotImplementedError

    def predict(self, x):
        """Predictions in a separate array, batch by batch."""
        size = self.batch_size
        if len(x) <= size:
            return self.forward(x).copy()
        result = None
        for start in range(0, len(x), size):
            part = self.forward(x[start : start + size])
            if result is None:
                result = np.empty((len(x), *part.shape[1:]), part.dtype)
            result[start : start + len(part)] = part
        return result


def softmax(p):
    """In place, over the last axis."""
    p -= p.max(axis=1, keepdims=True)
    np.exp(p, out=p)
    p /= p.sum(axis=1, keepdims=True)
    return p


def logistic(p):
    """In place, by one tanh, which cannot overflow."""
    p *= np.float32(0.5)
    np.tanh(p, out=p)
    p *= np.float32(0.5)
    p += np.float32(0.5)
    return p


def classes_slope(p, y):
    """Loss and hits of probabilities under sparse categorical cross-entropy; `p` becomes the gradient of the logits."""
    rows, labels = np.arange(len(p)), y.reshape(-1)
    hits = np.count_nonzero(p.argmax(axis=1) == labels)
    loss = -float(np.log(np.maximum(p[rows, labels], EPSILON)).sum()) / len(p)
    p[rows, labels] -= 1
    p *= np.float32(1 / len(p))
    return loss, hits / len(p)


def binary_slope(p, y, d):
    """Loss and hits under Keras's clipped binary cross-entropy; `d` becomes the gradient of the logits."""
    hits = np.count_nonzero((p > 0.5) == (y > 0.5))
    np.subtract(p, y, out=d)
    q = np.minimum(np.maximum(p, EPSILON), 1 - EPSILON)
    d *= p == q  # clipped probabilities pass no gradient on
    q -= y
    np.abs(q, out=q)
    np.subtract(1, q, out=q)  # the probability of the label, which is 0 or 1
    loss = -float(np.log(q, out=q).sum()) / q.size
    d *= np.float32(1 / d.size)
    return loss, hits / p.size


class MLP(Network):
    """Dense relu, dense relu, and dense with a sigmoid or a softmax."""

    def __init__(self, weights, batch_size=32):
        super().__init__(weights, batch_size)
        w1, _, w2, _, w3, _ = self.weights
        shapes = [w1.shape[1], w2.shape[1], w3.shape[1]]
        self.h1, self.h2, self.p = (np.empty((batch_size, n), np.float32) for n in shapes)
        self.d1, self.d2, self.d3 = (np.empty((batch_size, n), np.float32) for n in shapes)
        self.m1, self.m2 = (np.empty((batch_size, n), bool) for n in shapes[:2])

    def forward(self, x):
        n = len(x)
        h1, h2, p = self.h1[:n], self.h2[:n], self.p[:n]
        w1, b1, w2, b2, w3, b3 = self.weights
        np.matmul(x, w1, out=h1)
        h1 += b1
        np.maximum(h1, 0, out=h1)
        np.matmul(h1, w2, out=h2)
        h2 += b2
        np.maximum(h2, 0, out=h2)
        np.matmul(h2, w3, out=p)
        p += b3
        return logistic(p) if p.shape[1] == 1 else softmax(p)

    def step(self, x, y):
        n, p = len(x), self.forward(x)
        h1, h2, d1, d2, d3 = (a[:n] for a in (self.h1, self.h2, self.d1, self.d2, self.d3))
        _, _, w2, _, w3, _ = self.weights
        if p.shape[1] == 1:
            logs = binary_slope(p, y, d3)
        else:
            logs, d3 = classes_slope(p, y), p
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
        return logs


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

    def __init__(self, weights, batch_size=128, dropout=0.5, seed=0):
        super().__init__(weights, batch_size)
        self.dropout, self.rng = dropout, np.random.default_rng(seed)
        self.conv1, self.pool1 = Convolution(batch_size, 28, 1, 32, False), Pooling(batch_size, 26, 32)
        self.conv2, self.pool2 = Convolution(batch_size, 13, 32, 64, True), Pooling(batch_size, 11, 64)
        self.p, self.d = np.empty((batch_size, 10), np.float32), np.empty((batch_size, 1600), np.float32)
        self.draw, self.mask = np.empty((batch_size, 1600), np.float32), np.empty((batch_size, 1600), bool)
        self.flat = np.empty((batch_size, 1600), np.float32)

    def forward(self, x, training=False):
        k1, b1, k2, b2, w, b = self.weights
        self.h1 = self.pool1.forward(self.conv1.forward(x, k1, b1))
        flat = self.pool2.forward(self.conv2.forward(self.h1, k2, b2)).reshape(len(x), -1)
        if training and self.dropout:
            self.rng.random(out=self.draw, dtype=np.float32)
            mask = np.greater_equal(self.draw, self.dropout, out=self.mask)[: len(x)]
            flat = np.multiply(flat, mask, out=self.flat[: len(x)])
            flat *= np.float32(1 / (1 - self.dropout))
        self.last = flat
        p = np.matmul(flat, w, out=self.p[: len(x)])
        p += b
        return softmax(p)

    def step(self, x, y):
        n, p = len(x), self.forward(x, training=True)
        _, _, k2, _, w, _ = self.weights
        c1, p1, c2, p2, d = self.conv1, self.pool1, self.conv2, self.pool2, self.d[:n]
        logs = classes_slope(p, y)
        gk1, gb1, gk2, gb2, gw, gb = self.gradients
        np.matmul(self.last.T, p, out=gw)
        np.add.reduce(p, axis=0, out=gb)
        np.matmul(p, w.T, out=d)
        if self.dropout:
            d *= self.mask[:n]
            d *= np.float32(1 / (1 - self.dropout))
        d2 = p2.backward(d.reshape(n, 5, 5, 64), c2.y[:n])
        c2.kernel_gradient(d2, gk2)
        np.add.reduce(d2.reshape(-1, 64), axis=0, out=gb2)
        d1 = p1.backward(c2.input_gradient(d2, k2), c1.y[:n])
        c1.kernel_gradient(d1, gk1)
        np.add.reduce(d1.reshape(-1, 32), axis=0, out=gb1)
        self.optimizer.step(self.gradient)
        return logs


class LSTM(Network):
    """LSTM(64), dense sigmoid. Time comes first; the input's product is one, and so are the kernels' gradients."""

    def __init__(self, weights, batch_size=64, steps=100):
        super().__init__(weights, batch_size)
        inner, units = weights[0].shape[0], weights[1].shape[0]
        self.units = units
        self.x = np.empty((steps, batch_size, inner), np.float32)
        self.z, self.dz = np.empty((2, steps, batch_size, 4 * units), np.float32)
        self.h, self.c = np.zeros((2, steps + 1, batch_size, units), np.float32)
        self.tanh_c = np.empty((steps, batch_size, units), np.float32)
        self.product = np.empty((batch_size, 4 * units), np.float32)
        self.dh, self.dc, self.t = np.empty((3, batch_size, units), np.float32)
        self.p, self.dp = np.empty((2, batch_size, 1), np.float32)
        # the three sigmoids are 0.5 tanh(0.5 x) + 0.5: one tanh for all four gates
        self.scale = np.repeat(np.float32([0.5, 0.5, 1, 0.5]), units)
        self.shift = np.repeat(np.float32([0.5, 0.5, 0, 0.5]), units)
        self.turned = np.empty((4 * units, units), np.float32)

    def forward(self, x):
        n, u = len(x), self.units
        w, recurrent, bias, v, b = self.weights
        steps = x.shape[1]
        inputs, z = self.x[:, :n], self.z[:, :n]
        inputs[...] = x.transpose(1, 0, 2)
        if n == self.batch_size:
            np.matmul(inputs.reshape(steps * n, -1), w, out=z.reshape(steps * n, -1))
        else:
            np.matmul(inputs, w, out=z)
        z += bias
        product, t = self.product[:n], self.t[:n]
        for gates, h, c, after, new, tanh_c in zip(
            z, self.h[:, :n], self.c[:, :n], self.h[1:, :n], self.c[1:, :n], self.tanh_c[:, :n], strict=False
        ):
            np.matmul(h, recurrent, out=product)
            gates += product
            gates *= self.scale
            np.tanh(gates, out=gates)
            gates *= self.scale
            gates += self.shift
            np.multiply(gates[:, u : 2 * u], c, out=new)
            np.multiply(gates[:, :u], gates[:, 2 * u : 3 * u], out=t)
            new += t
            np.tanh(new, out=tanh_c)
            np.multiply(gates[:, 3 * u :], tanh_c, out=after)
        p = np.matmul(self.h[-1, :n], v, out=self.p[:n])
        p += b
        return logistic(p)

    def step(self, x, y):
        n, u, p = len(x), self.units, self.forward(x)
        _, recurrent, _, v, _ = self.weights
        gw, gu, gbias, gv, gb = self.gradients
        dp, dh, dc, t = self.dp[:n], self.dh[:n], self.dc[:n], self.t[:n]
        logs = binary_slope(p, y, dp)
        np.matmul(self.h[-1, :n].T, dp, out=gv)
        np.add.reduce(dp, axis=0, out=gb)
        np.matmul(dp, v.T, out=dh)
        dc.fill(0)
        self.turned[...] = recurrent.T
        z, dz, steps = self.z[:, :n], self.dz[:, :n], x.shape[1]
        for k in range(steps - 1, -1, -1):
            gates, slope, tanh_c = z[k], dz[k], self.tanh_c[k, :n]
            i, f, g, o = (gates[:, j * u : (j + 1) * u] for j in range(4))
            di, df, dg, do = (slope[:, j * u : (j + 1) * u] for j in range(4))
            np.multiply(dh, tanh_c, out=do)
            np.multiply(tanh_c, tanh_c, out=t)
            np.subtract(1, t, out=t)
            t *= o
            t *= dh
            dc += t
            np.multiply(dc, g, out=di)
            np.multiply(dc, self.c[k, :n], out=df)
            np.multiply(dc, i, out=dg)
            dc *= f
            # through the gates: s (1 - s) of the sigmoids, 1 - g^2 of the tanh
            for gate, part in ((i, di), (f, df), (o, do)):
                np.subtract(1, gate, out=t)
                t *= gate
                part *= t
            np.multiply(g, g, out=t)
            np.subtract(1, t, out=t)
            dg *= t
            np.matmul(slope, self.turned, out=dh)
        flat = dz.reshape(steps * n, -1)
        np.matmul(self.x[:, :n].reshape(steps * n, -1).T, flat, out=gw)
        np.matmul(self.h[:-1, :n].reshape(steps * n, -1).T, flat, out=gu)
        np.add.reduce(flat, axis=0, out=gbias)
        self.optimizer.step(self.gradient)
        return logs


class LinearRegression(Network):
    """One dense unit under mse with SGD; the metric is the mean absolute error."""

    def __init__(self, weights, batch_size=32, learning_rate=0.01):
        super().__init__(weights, batch_size)
        self.learning_rate = np.float32(learning_rate)

    def forward(self, x):
        w, b = self.weights
        y = x @ w
        y += b
        return y

    def step(self, x, y):
        g, c = self.gradients
        error = self.forward(x)
        error -= y
        loss, mae = float(np.vdot(error, error)) / error.size, float(np.abs(error).sum()) / error.size
        error *= np.float32(2 / error.size)
        np.matmul(x.T, error, out=g)
        np.add.reduce(error, axis=0, out=c)
        self.gradient *= self.learning_rate
        self.parameters -= self.gradient
        return loss, mae


NETWORKS = {"line": LinearRegression, "mlp": MLP, "wide": MLP, "cnn": CNN, "lstm": LSTM}


def make(name, weights, batch_size):
    """The trainer of a model of `workloads`.

    Raises:
        LookupError: that model is not written by hand.
    """
    if name not in NETWORKS:
        raise LookupError("not written by hand in NumPy")
    return NETWORKS[name](weights, batch_size)

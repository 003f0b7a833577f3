"""The models of `workloads` in PyTorch, eager, as one would write them: torch's own layers, losses on logits, Adam.

Images are kept in torch's layout (batch, channels, rows, columns), into which they are brought once.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional

EPSILON = 1e-7


def tensor(array):
    return torch.from_numpy(np.array(array))


def put(parameter, array):
    with torch.no_grad():
        parameter.copy_(tensor(array))


class Dense(nn.Linear):
    """A linear layer with Keras's kernel (inputs, outputs)."""

    def __init__(self, kernel, bias):
        super().__init__(*kernel.shape)
        put(self.weight, kernel.T)
        put(self.bias, bias)


class Conv(nn.Conv2d):
    """A 3x3 convolution with Keras's kernel (3, 3, inputs, outputs)."""

    def __init__(self, kernel, bias=None, padding=0):
        super().__init__(kernel.shape[2], kernel.shape[3], 3, padding=padding, bias=bias is not None)
        put(self.weight, kernel.transpose(3, 2, 0, 1))
        if bias is not None:
            put(self.bias, bias)


class Line(nn.Module):
    def __init__(self, weights):
        super().__init__()
        self.dense = Dense(*weights)

    def forward(self, x):
        return self.dense(x)


class MLP(nn.Module):
    """Logits (batch, outputs)."""

    def __init__(self, weights):
        super().__init__()
        self.first, self.second, self.third = (Dense(*weights[i : i + 2]) for i in (0, 2, 4))

    def forward(self, x):
        return self.third(functional.relu(self.second(functional.relu(self.first(x)))))


class CNN(nn.Module):
    def __init__(self, weights):
        super().__init__()
        k1, b1, k2, b2, w, b = weights
        self.first, self.second = Conv(k1, b1), Conv(k2, b2)
        # the flattened features come in torch's order
        self.dense = Dense(w.reshape(5, 5, 64, 10).transpose(2, 0, 1, 3).reshape(1600, 10), b)

    def forward(self, x):
        h = functional.max_pool2d(functional.relu(self.first(x)), 2)
        h = functional.max_pool2d(functional.relu(self.second(h)), 2).flatten(1)
        return self.dense(functional.dropout(h, 0.5, self.training))


class Convnet(nn.Module):
    def __init__(self, weights):
        super().__init__()
        *blocks, w, b = weights
        self.convs, self.norms = nn.ModuleList(), nn.ModuleList()
        for i in range(0, len(blocks), 5):
            self.convs.append(Conv(blocks[i], padding=1))
            self.norms.append(nn.BatchNorm2d(blocks[i].shape[3], eps=1e-3, momentum=0.01))
        self.dense = Dense(w, b)

    def forward(self, x):
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            x = functional.relu(norm(conv(x)))
            if i % 2:
                x = functional.max_pool2d(x, 2)
        return self.dense(x.mean((2, 3)))


class LSTM(nn.Module):
    """torch's gates are in Keras's order; its second bias stays beside the first."""

    def __init__(self, weights):
        super().__init__()
        w, u, bias, v, c = weights
        self.lstm, self.dense = nn.LSTM(w.shape[0], u.shape[0], batch_first=True), Dense(v, c)
        put(self.lstm.weight_ih_l0, w.T)
        put(self.lstm.weight_hh_l0, u.T)
        put(self.lstm.bias_ih_l0, bias)
        put(self.lstm.bias_hh_l0, np.zeros_like(bias))

    def forward(self, x):
        return self.dense(self.lstm(x)[1][0][0])


class GRU(nn.Module):
    """Keras's gates are update, reset, new; torch's are reset, update, new."""

    def __init__(self, weights):
        super().__init__()
        table, w, u, bias, v, c = weights
        self.table = nn.Embedding(*table.shape)
        put(self.table.weight, table)
        self.gru, self.dense = nn.GRU(w.shape[0], u.shape[0], batch_first=True), Dense(v, c)

        def turned(a):
            update, reset, new = np.split(a, 3, axis=-1)
            return np.concatenate([reset, update, new], axis=-1).T

        put(self.gru.weight_ih_l0, turned(w))
        put(self.gru.weight_hh_l0, turned(u))
        put(self.gru.bias_ih_l0, turned(bias[0]))
        put(self.gru.bias_hh_l0, turned(bias[1]))

    def forward(self, x):
        return self.dense(self.gru(self.table(x))[1][0])


class Block(nn.Module):
    """Attention and a two-layer network, with the fused attention kernel."""

    def __init__(self, weights):
        super().__init__()
        wq, bq, wk, bk, wv, bv, wo, bo, g1, c1, w1, b1, w2, b2, g2, c2 = weights
        width, self.heads, part = wq.shape
        kernel = np.concatenate([w.reshape(width, -1) for w in (wq, wk, wv)], axis=1)
        self.into = Dense(kernel, np.concatenate([b.reshape(-1) for b in (bq, bk, bv)]))
        self.out = Dense(wo.reshape(self.heads * part, width), bo)
        self.inner, self.outer = Dense(w1, b1), Dense(w2, b2)
        self.first, self.second = (nn.LayerNorm(width, eps=1e-6) for _ in "ab")
        for norm, gamma, beta in ((self.first, g1, c1), (self.second, g2, c2)):
            put(norm.weight, gamma)
            put(norm.bias, beta)

    def forward(self, x):
        n, t, d = x.shape
        q, k, v = self.into(x).view(n, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        h = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, t, d)
        x = self.first(x + self.out(h))
        return self.second(x + self.outer(functional.relu(self.inner(x))))


class Transformer(nn.Module):
    def __init__(self, weights):
        super().__init__()
        table, *blocks, w, b = weights
        self.table = nn.Embedding(*table.shape)
        put(self.table.weight, table)
        self.blocks = nn.Sequential(*[Block(blocks[i : i + 16]) for i in range(0, len(blocks), 16)])
        self.dense = Dense(w, b)

    def forward(self, x):
        return self.dense(self.blocks(self.table(x)).mean(1))


NETWORKS = {
    "line": Line,
    "mlp": MLP,
    "wide": MLP,
    "cnn": CNN,
    "convnet": Convnet,
    "lstm": LSTM,
    "gru": GRU,
    "transformer": Transformer,
}


class Trainer:
    """The usual loop: gather a batch, forward, backward, Adam, running sums of loss and metric."""

    def __init__(self, name, model, weights, batch_size):
        self.network, self.head, self.batch_size = NETWORKS[name](weights), model.head, batch_size
        parameters = self.network.parameters()
        self.optimizer = (
            torch.optim.SGD(parameters, 0.01)
            if model.optimizer == "sgd"
            else torch.optim.Adam(parameters, 0.001, eps=EPSILON)
        )
        self.images = name in ("cnn", "convnet")
        self.held = None, None, None
        self.network.train()

    def _placed(self, x, y=None):
        """The arrays as tensors, made once for the same array."""
        if self.held[0] is not x:
            features = torch.from_numpy(x)
            labels = None if y is None else torch.from_numpy(y)
            if self.images:
                features = features.permute(0, 3, 1, 2).contiguous()
            if labels is not None and self.head == "classes":
                labels = labels[:, 0].long()
            self.held = x, features, labels
        return self.held[1:]

    def _loss(self, p, y):
        if self.head == "mse":
            return functional.mse_loss(p, y)
        return (
            functional.cross_entropy(p, y)
            if self.head == "classes"
            else functional.binary_cross_entropy_with_logits(p, y)
        )

    def _metric(self, p, y):
        if self.head == "mse":
            return (p - y).abs().mean()
        return ((p.argmax(1) == y) if self.head == "classes" else ((p > 0) == (y > 0.5))).float().mean()

    def _update(self, x, y):
        self.optimizer.zero_grad()
        p = self.network(x)
        loss = self._loss(p, y)
        loss.backward()
        self.optimizer.step()
        with torch.no_grad():
            return loss.detach() * len(x), self._metric(p, y) * len(x)

    def step(self, x, y):
        """One update; the loss."""
        self.held = None, None, None
        return float(self._update(*self._placed(x, y))[0]) / len(x)

    def epoch(self, x, y, order=None):
        """Every row once; the mean loss."""
        features, labels = self._placed(x, y)
        order = torch.randperm(len(x)) if order is None else torch.from_numpy(order)
        loss = metric = 0.0
        for start in range(0, len(x), self.batch_size):
            rows = order[start : start + self.batch_size]
            batch_loss, batch_metric = self._update(features[rows], labels[rows])
            loss, metric = loss + batch_loss, metric + batch_metric
        float(metric)
        return float(loss) / len(x)

    def _answer(self, logits):
        if self.head == "mse":
            return logits
        return torch.softmax(logits, 1) if self.head == "classes" else torch.sigmoid(logits)

    def predict(self, x):
        """Predictions as a NumPy array, batch by batch."""
        self.network.eval()
        with torch.inference_mode():
            features, _ = self._placed(x)
            parts = [self._answer(self.network(part)) for part in features.split(self.batch_size)]
            result = (parts[0] if len(parts) == 1 else torch.cat(parts)).numpy()
        self.network.train()
        return result

    def evaluate(self, x, y):
        """The loss over all rows."""
        self.network.eval()
        with torch.inference_mode():
            features, labels = self._placed(x, y)
            loss = metric = 0.0
            for a, b in zip(features.split(self.batch_size), labels.split(self.batch_size), strict=True):
                p = self.network(a)
                loss, metric = loss + self._loss(p, b) * len(a), metric + self._metric(p, b) * len(a)
            float(metric)
        self.network.train()
        return float(loss) / len(x)

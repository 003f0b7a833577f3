"""What layouts cost in memory and communication, calculated: nothing is measured here.

    python benchmarks/distribution.py [--flops 1e14] [--bandwidth 5e10]

prints the table of docs/distribution.md, whose formulas stand there. Weights and activations are float32, the optimizer is
Adam. `flops` are the operations per second of a device, `bandwidth` the bytes per second that it sends.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import NamedTuple

DEVICES = (8, 256, 4096)
SPLIT = 8
"""Devices along the "model" axis of `ModelParallel`."""


class Model(NamedTuple):
    """What a model has, and what a row of a batch takes.

    Attributes:
        name: what it is called in the table.
        weights: how many.
        divided: how many of them `ModelParallel` splits.
        kept: numbers that a row leaves for the backward pass.
        products: multiplications of the forward pass, for a row.
        summed: numbers of a row that are summed over the "model" axis, forward and backward.
        rows: of a batch, for each device.
    """

    name: str
    weights: int
    divided: int
    kept: int
    products: int
    summed: int
    rows: int


def convolutional() -> Model:
    """ResNet-50 for images of 224 x 224 in 1,000 classes."""
    weights = kept = products = 0

    def convolution(size: int, inner: int, outer: int, window: int) -> None:
        nonlocal weights, kept, products
        weights += window * window * inner * outer + 2 * outer  # with the two weights of the normalization
        products += window * window * inner * outer * size * size
        kept += 2 * outer * size * size  # of the convolution and of the normalization

    convolution(112, 3, 64, 7)
    inner, size = 64, 56
    for width, depth in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for block in range(depth):
            size = size // 2 if block == 0 and width > 64 else size
            convolution(size, inner, width, 1)
            convolution(size, width, width, 3)
            convolution(size, width, 4 * width, 1)
            if block == 0:
                convolution(size, inner, 4 * width, 1)
            inner = 4 * width
    weights += 2048 * 1000 + 1000
    return Model("ResNet-50", weights, 0, kept, products + 2048 * 1000, 0, 32)


def transformer(blocks: int = 24, width: int = 2048, length: int = 1024, words: int = 32_000) -> Model:
    """A transformer of the shape of GPT; a row is a text of `length` words."""
    divided = blocks * 12 * width * width
    attention = 2 * length * length * width  # scores, and the sum of the values
    return Model(
        f"transformer, {blocks} blocks of {width}",
        divided + 2 * words * width,
        divided,
        blocks * (16 * length * width + 2 * 16 * length * length),
        length * (divided + words * width) + blocks * attention,
        blocks * 4 * length * width,  # behind the attention and behind the dense layers, and as often backward
        4,
    )


class Cost(NamedTuple):
    """Of one device in one step.

    Attributes:
        memory: bytes of weights, gradients, slots and activations.
        moved: bytes that it sends.
        fixed: those of them that do not grow with the rows.
        rows: of a batch, for each device; under `ModelParallel` those of its part.
        products: forward multiplications of its rows that it does itself.
    """

    memory: float
    moved: float
    fixed: float
    rows: int
    products: float


def ring(size: float, devices: int) -> float:
    """The bytes that each device sends until all have all parts of `size` bytes, or the sum of one part."""
    return size * (devices - 1) / devices


def costs(model: Model, devices: int) -> Iterator[tuple[str, Cost]]:
    """The costs of each layout: Adam keeps two slots, so there are four numbers for each weight."""
    size, rows, kept = 4 * model.weights, model.rows, 4 * model.kept
    products = rows * model.products
    moved = 2 * ring(size, devices)
    yield "DataParallel", Cost(4 * size + rows * kept, moved, moved, rows, products)
    moved = 3 * ring(size, devices)
    yield "FullySharded", Cost(4 * size / devices + rows * kept, moved, moved, rows, products)
    if model.divided:
        replicas, rows = devices // SPLIT, rows * SPLIT
        mine = 4 * (model.divided / SPLIT + model.weights - model.divided)
        fixed = 2 * ring(mine, replicas)
        summed = 2 * ring(4 * rows * model.summed, SPLIT)
        cost = Cost(4 * mine + rows * kept / SPLIT, fixed + summed, fixed, rows, rows * model.products / SPLIT)
        yield f"ModelParallel, {replicas} x {SPLIT}", cost


def balance(cost: Cost, flops: float, bandwidth: float) -> float | None:
    """The rows of a device from which computing takes longer than moving; None where it never does."""
    computing = 6 * cost.products / cost.rows / flops  # a multiplication and an addition, forward and twice backward
    moving = (cost.moved - cost.fixed) / cost.rows / bandwidth
    return cost.fixed / bandwidth / (computing - moving) if computing > moving else None


def table(flops: float, bandwidth: float) -> list[str]:
    """The lines of the table."""
    lines = [
        "| calculated | devices | layout | memory a device | sent a step | computing | sending | even from |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for model in (convolutional(), transformer()):
        for devices in DEVICES:
            for layout, cost in costs(model, devices):
                even = balance(cost, flops, bandwidth)
                lines.append(
                    f"| {model.name} | {devices:,} | `{layout}` | {cost.memory / 1e9:.2f} GB | {cost.moved / 1e9:.3f} GB | "
                    f"{6 * cost.products / flops * 1e3:.0f} ms | {cost.moved / bandwidth * 1e3:.0f} ms | "
                    f"{'never' if even is None else f'{even:.1f} rows'} |"
                )
    return lines


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flops", type=float, default=1e14)
    parser.add_argument("--bandwidth", type=float, default=5e10)
    given = parser.parse_args()
    print("\n".join(table(given.flops, given.bandwidth)))

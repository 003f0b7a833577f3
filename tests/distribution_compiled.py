"""What compiled steps hold, and what each device holds; a script for four virtual devices that prints JSON."""

from __future__ import annotations

import gc
import json
import re

import jax
import numpy as np

import lamella
from lamella import distribution, layers
from lamella.training.data import Data

COLLECTIVE = re.compile(
    r"= (?P<results>.*?) (?P<kind>all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute)(-start)?\("
)
SIZES = {"f32": 4, "s32": 4, "u32": 4, "pred": 1, "f64": 8, "bf16": 2, "u8": 1}


def collectives(text):
    """Each collective operation of a compiled program, with the bytes of its operands."""
    found = []
    for match in COLLECTIVE.finditer(text):
        shapes = re.findall(r"(\w+)\[([\d,]*)\]", match["results"])
        size = sum(SIZES[kind] * int(np.prod([int(d) for d in dims.split(",") if d])) for kind, dims in shapes)
        found.append((match["kind"], size))
    return found


def step(model, x, y, batch):
    """The collectives of one step of `fit`, as XLA compiled the loop around it."""
    data = Data(x, y)
    loop = model.loop_for(data, training=True)
    loop.begin(batch, data)
    runner, state = loop._template, loop.state
    fixed, varying = tuple(state[i] for i in runner._fixed), tuple(state[i] for i in runner._order)
    part = next(iter(runner._parts((x, y), np.arange(2 * batch).reshape(2, batch) % len(x), np.ones((2, batch)))))
    return collectives(jax.jit(runner._steps).lower((), varying, fixed, *part).compile().as_text())


def bytes_by_device():
    gc.collect()
    held = {}
    for array in jax.live_arrays():
        for shard in array.addressable_shards:
            held[shard.device.id] = held.get(shard.device.id, 0) + shard.data.nbytes
    return held


def main():
    lamella.set_backend("jax")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(64, 32)).astype("float32"), rng.normal(size=(64, 8)).astype("float32")
    found = {}
    with distribution.DataParallel().scope():
        plain = lamella.Sequential([layers.Input((32,)), layers.Dense(64, activation="relu"), layers.Dense(8)])
        plain.compile("adam", "mse", metrics=["mae"])
        found["mlp"] = step(plain, x, y, 32)
        found["mlp weights"] = sum(w.nbytes for w in plain.get_weights())
        images = rng.normal(size=(64, 8, 8, 3)).astype("float32")
        conv = lamella.Sequential(
            [
                layers.Input((8, 8, 3)),
                layers.Conv2D(4, 3),
                layers.BatchNormalization(),
                layers.Flatten(),
                layers.Dense(8),
            ]
        )
        conv.compile("sgd", "mse")
        found["cnn"] = step(conv, images, y, 32)
        found["cnn weights"] = sum(w.nbytes for w in conv.get_weights())
        found["cnn batch"] = 32 * 8 * 8 * 3 * 4
        large = rng.normal(size=(64, 32, 32, 3)).astype("float32")
        deep = lamella.Sequential(
            [
                layers.Input((32, 32, 3)),
                layers.Conv2D(32, 3),
                layers.MaxPooling2D(),
                layers.Conv2D(8, 3),
                layers.Flatten(),
            ]
        )
        deep.add(layers.Dense(8))
        deep.compile("sgd", "mse")
        found["large cnn"] = step(deep, large, y, 32)
    del plain, conv, deep
    before = bytes_by_device()
    with distribution.FullySharded().scope():
        model = lamella.Sequential([layers.Input((256,)), layers.Dense(512, activation="relu"), layers.Dense(256)])
        model.compile("adam", "mse")
        wide = rng.normal(size=(64, 256)).astype("float32")
        model.fit(wide, wide, batch_size=32, epochs=1, verbose=0)
        after = bytes_by_device()
        found["sharded held"] = [after[i] - before.get(i, 0) for i in range(4)]
        found["sharded share"] = 3 * sum(w.nbytes for w in model.get_weights()) // 4
    mesh = distribution.DeviceMesh((2, 2), ["batch", "model"])
    layouts = distribution.LayoutMap(mesh)
    layouts["dense/kernel"] = (None, "model")
    with distribution.ModelParallel(layout_map=layouts).scope():
        model = lamella.Sequential([layers.Input((32,)), layers.Dense(16, activation="relu"), layers.Dense(8)])
        model.compile("adam", "mse")
        model.fit(x, y, verbose=0)
        found["layouts"] = [[*weight._held.sharding.spec] for weight in model.weights]
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()

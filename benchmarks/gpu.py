"""Training, memory, attention and LSTM on a GPU, in under eight minutes: `python benchmarks/gpu.py`.

    python benchmarks/gpu.py                     every case, with lamella and, where it is installed, Keras on JAX
    python benchmarks/gpu.py attention lstm      some cases
    python benchmarks/gpu.py --peers lamella     lamella alone
    python benchmarks/gpu.py --tiny              sizes for a CPU: whether everything runs

Each line comes from a separate process, on the first device that JAX finds. The first step holds making the model,
compiling and one step; a step is the least of three epochs' times, divided by their steps; the peak is what JAX has
allocated on the device at most (on a CPU, what the process had). "highest", "high" and "bfloat16" are lamella's
`config.set_matmul_precision` ("highest" are true float32 products, which Keras does not ask for) and the policy
`mixed_bfloat16`. What has not run when the time is up is named.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from measure import circumstances
from worker import peak_bytes

SECONDS = 450
"""After so many seconds no process is started, and the one that runs is ended a little later."""
PRECISIONS = ("highest", "high", "bfloat16")


@dataclass(frozen=True)
class Case:
    """A model and its data.

    Attributes:
        title: what the table calls it.
        layers: `(namespace like keras.layers, a factor for widths and lengths) -> layers`.
        shape: of a row, given that factor.
        batch: rows of a step.
        words: how many integers the input has; 0 for normal numbers.
        precisions: what it is measured in.
        predicts: whether predictions are timed, not steps.
    """

    title: str
    layers: Callable[[Any, int], list[Any]]
    shape: Callable[[int], tuple[int, ...]]
    batch: int
    words: int = 0
    precisions: tuple[str, ...] = PRECISIONS
    predicts: bool = False


def _wide(depth: int) -> Callable[[Any, int], list[Any]]:
    return lambda k, n: [k.Input((32 * n,)), *[k.Dense(32 * n, "relu") for _ in range(depth)], k.Dense(10, "softmax")]


def _images(k: Any, n: int) -> list[Any]:
    layers = [k.Input((2 * n, 2 * n, 3))]
    for width in (n, 2 * n, 4 * n):
        layers += [k.Conv2D(width, 3, padding="same", activation="relu"), k.BatchNormalization()]
        layers += [k.Conv2D(width, 3, padding="same", activation="relu"), k.MaxPooling2D(2)]
    return [*layers, k.GlobalAveragePooling2D(), k.Dense(10, "softmax")]


def _attention(flash: bool | None, depth: int = 1) -> Callable[[Any, int], list[Any]]:
    def layers(k: Any, n: int) -> list[Any]:
        class Block(k.Layer):
            """Causal attention of eight heads, and a two-layer network, each around a skip."""

            def __init__(self) -> None:
                super().__init__()
                self.attention = k.MultiHeadAttention(8, 2 * n, flash_attention=flash)
                self.normal, self.inner, self.outer = k.LayerNormalization(), k.Dense(64 * n, "gelu"), k.Dense(16 * n)

            def build(self, shape: Any) -> None:
                self.attention.build(shape, shape)
                self.normal.build(shape)
                self.inner.build(shape)
                self.outer.build((*shape[:-1], 64 * n))

            def call(self, x: Any) -> Any:
                y = self.normal(x)
                x = x + self.attention(y, y, use_causal_mask=True)
                return x + self.outer(self.inner(x))

        words = k.Input((None,), dtype="int32")
        return [
            words,
            k.Embedding(1000, 16 * n),
            *[Block() for _ in range(depth)],
            k.GlobalAveragePooling1D(),
            k.Dense(10),
        ]

    return layers


CASES = {
    "mlp": Case("5 x Dense(2048)", _wide(5), lambda n: (32 * n,), 1024),
    "cnn": Case("6 convolutions, 128x128x3", _images, lambda n: (2 * n, 2 * n, 3), 64),
    "transformer": Case("6 blocks of 1024, 256 tokens", _attention(None, 6), lambda n: (4 * n,), 16, 1000),
    "memory": Case("60 x Dense(2048), 250 M weights", _wide(60), lambda n: (32 * n,), 64, precisions=("highest",)),
    "predict": Case("predict, 6 convolutions", _images, lambda n: (2 * n, 2 * n, 3), 64, predicts=True),
    "attention": Case("2048 tokens, one kernel", _attention(None), lambda n: (32 * n,), 4, 1000, ("bfloat16",)),
    "separate": Case("2048 tokens, separate", _attention(False), lambda n: (32 * n,), 4, 1000, ("bfloat16",)),
    "lstm": Case(
        "LSTM(512), 200 steps",
        lambda k, n: [k.Input((None, n)), k.LSTM(8 * n), k.Dense(10, "softmax")],
        lambda n: (200 * n // 64, n),
        128,
    ),
}


# ---- one process ----


def library_of(peer: str, precision: str) -> Any:
    """lamella or Keras on JAX, set to a precision.

    Raises:
        LookupError: Keras has no such setting.
    """
    if peer == "lamella":
        import lamella as library

        library.backend.set_backend("jax")
        if precision != "bfloat16":
            library.config.set_matmul_precision(precision)
    else:
        os.environ["KERAS_BACKEND"] = "jax"
        import keras as library

        if precision != "bfloat16":
            import jax

            jax.config.update("jax_default_matmul_precision", precision)
    if precision == "bfloat16":
        library.mixed_precision.set_global_policy("mixed_bfloat16")
    return library


def worker(peer: str, name: str, precision: str, tiny: bool) -> dict[str, Any]:
    """The figures of one peer with one model."""
    case, n, steps = CASES[name], 4 if tiny else 64, 2 if tiny else 20
    library = library_of(peer, precision)
    batch = 2 if tiny else case.batch
    draw, size = np.random.default_rng(0), (steps * batch, *case.shape(n))
    x = draw.integers(0, case.words, size).astype(np.int32) if case.words else draw.standard_normal(size, np.float32)
    y = draw.integers(0, 10, (len(x), 1)).astype(np.int32)
    start = time.perf_counter()
    model = library.Sequential(case.layers(library.layers, n))
    model.compile("adam", "sparse_categorical_crossentropy")

    def run(rows: int) -> float:
        before = time.perf_counter()
        if case.predicts:
            model.predict(x[:rows], batch_size=batch, verbose=0)
        else:
            model.fit(x[:rows], y[:rows], batch_size=batch, verbose=0)
        return time.perf_counter() - before

    run(batch)
    first = time.perf_counter() - start
    run(len(x))
    step = min(run(len(x)) for _ in range(1 if tiny else 3)) / steps
    import jax

    device = jax.devices()[0]
    peak = (device.memory_stats() or {}).get("peak_bytes_in_use", peak_bytes())
    return {"first": first, "step": step, "peak": peak, "rows": batch / step, "device": device.device_kind}


# ---- all of them ----


def measured(peer: str, name: str, precision: str, tiny: bool, left: float) -> dict[str, Any]:
    """What a new process found."""
    command = [sys.executable, __file__, "--worker", peer, name, precision, *(["--tiny"] if tiny else [])]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=left)
    except subprocess.TimeoutExpired:
        return {"missing": "the time was up"}
    if done.returncode or not done.stdout.strip():
        lines = done.stderr.strip().splitlines()
        return {"missing": lines[-1][:160] if lines else f"the process ended with status {done.returncode}"}
    return json.loads(done.stdout.splitlines()[-1])


def line(peer: str, name: str, precision: str, found: dict[str, Any]) -> str:
    """A line of the table."""
    start = f"| {CASES[name].title} | {precision} | {peer} |"
    if "missing" in found:
        return f"{start} {found['missing']} | | | |"
    figures = (
        f"{found['first']:.2f} s | {found['step'] * 1e3:.2f} ms | {found['rows']:,.0f} | {found['peak'] / 1e6:,.0f} MB"
    )
    return f"{start} {figures} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("cases", nargs="*", help=f"of {', '.join(CASES)}; all by default")
    parser.add_argument("--peers", default="lamella,keras", help="with commas")
    parser.add_argument("--tiny", action="store_true", help="sizes for a CPU; the times mean nothing")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results", help="where the record goes")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(worker(*arguments.cases, tiny=arguments.tiny)))
        return
    names, peers = arguments.cases or list(CASES), arguments.peers.split(",")
    for given, known in ((names, CASES), (peers, ("lamella", "keras"))):
        for one in given:
            if one not in known:
                parser.error(f"unknown {one!r}; there are {', '.join(known)}")
    end = time.monotonic() + SECONDS
    record: dict[str, Any] = {"circumstances": circumstances(), "found": []}
    arguments.out.mkdir(parents=True, exist_ok=True)
    print("| model | precision | peer | first step | step | rows a second | peak |\n|---|---|---|---|---|---|---|")
    # what lamella does comes first, so that it is known when the time is up
    for peer in peers:
        for name in names:
            for precision in CASES[name].precisions[: 1 if arguments.tiny else None]:
                left = end - time.monotonic()
                found = {"missing": "the time was up"}
                if left > 0:
                    found = measured(peer, name, precision, arguments.tiny, left + 20)
                record["found"].append({"case": name, "peer": peer, "precision": precision, **found})
                print(line(peer, name, precision, found), flush=True)
                (arguments.out / "gpu.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()

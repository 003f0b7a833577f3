"""Memory, first step and step of large models: `make bench-large`.

    make bench-large                                        every model, five rounds
    make bench-large ARGS="wide embedding --rounds 7"       some models
    make bench-large ARGS="--peers lamella-jax,keras"       some peers
    make bench-large ARGS="--quick"                         whether everything runs, with next to no work
    make bench-large ARGS="--busy 2"                        beside two processes that multiply matrices

Every figure comes from a new process, and in each round every peer runs once, in another order. The peak is the
most memory that the process had. The first step is what the first epoch took, from making the model on, less the steps of
a later epoch. A step is an epoch's time divided by its steps, the least of three epochs. Ratios to Keras are taken within
a round. The record has the processor's seconds as well.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from measure import ENVIRONMENT, circumstances, load, turns
from worker import peak_bytes


@dataclass(frozen=True)
class Case:
    """A model, its data, and how much of it an epoch takes.

    Attributes:
        title: what the table calls it.
        layers: the list of layers, made from a namespace like `keras.layers`.
        shape: of a row of the input.
        words: how many different integers the input has; 0 for normal numbers.
        outputs: 1 for a number (mean squared error), more for classes.
        batch: rows of a step.
        steps: steps of an epoch.
    """

    title: str
    layers: Callable[[Any], list[Any]]
    shape: tuple[int, ...]
    outputs: int = 10
    words: int = 0
    batch: int = 32
    steps: int = 8

    def data(self, steps: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows for so many steps."""
        draw, size = np.random.default_rng(0), (steps * self.batch, *self.shape)
        x = (
            draw.integers(0, self.words, size).astype(np.int32)
            if self.words
            else draw.standard_normal(size, np.float32)
        )
        if self.outputs == 1:
            return x, draw.standard_normal((len(x), 1), np.float32)
        return x, draw.integers(0, self.outputs, (len(x), 1)).astype(np.int32)


def _dense(width: int, depth: int) -> Callable[[Any], list[Any]]:
    return lambda k: [k.Input((width,)), *[k.Dense(width, "relu") for _ in range(depth)], k.Dense(10, "softmax")]


def _embedding(k: Any) -> list[Any]:
    return [k.Input((100,), dtype="int32"), k.Embedding(300_000, 64), k.GlobalAveragePooling1D(), k.Dense(1)]


def _vgg(k: Any) -> list[Any]:
    layers = [k.Input((64, 64, 3))]
    for width, depth in ((32, 2), (64, 2), (128, 3), (256, 3)):
        layers += [k.Conv2D(width, 3, padding="same", activation="relu") for _ in range(depth)]
        layers.append(k.MaxPooling2D(2))
    return [*layers, k.Flatten(), k.Dense(512, "relu"), k.Dense(10, "softmax")]


def _transformer(k: Any) -> list[Any]:
    width, heads, length = 288, 6, 64

    class Block(k.Layer):
        """Attention and a two-layer network, each behind a normalization and around a skip."""

        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.first, self.second = k.LayerNormalization(), k.LayerNormalization()
            self.attention = k.MultiHeadAttention(heads, width // heads)
            self.inner, self.outer = k.Dense(4 * width, "gelu"), k.Dense(width)

        def build(self, input_shape: Any) -> None:
            self.first.build(input_shape)
            self.attention.build(input_shape, input_shape)
            self.second.build(input_shape)
            self.inner.build(input_shape)
            self.outer.build((*input_shape[:-1], 4 * width))

        def call(self, x: Any) -> Any:
            normal = self.first(x)
            x = x + self.attention(normal, normal)
            return x + self.outer(self.inner(self.second(x)))

    blocks = [Block() for _ in range(12)]
    return [
        k.Input((length,), dtype="int32"),
        k.Embedding(2000, width),
        *blocks,
        k.GlobalAveragePooling1D(),
        k.Dense(10, "softmax"),
    ]


def _resnet(k: Any) -> list[Any]:
    class Bottleneck(k.Layer):
        """Three convolutions with batch normalizations around a skip, which a fourth may project."""

        def __init__(self, width: int, stride: int, project: bool, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            sizes = [(width, 1, stride), (width, 3, 1), (4 * width, 1, 1)]
            self.convolutions = [k.Conv2D(w, s, strides=by, padding="same") for w, s, by in sizes]
            self.normalizations = [k.BatchNormalization() for _ in sizes]
            self.projection = k.Conv2D(4 * width, 1, strides=stride, padding="same") if project else None
            self.last = k.BatchNormalization() if project else None
            self.relu = k.Activation("relu")

        def build(self, input_shape: Any) -> None:
            shape = tuple(input_shape)
            for convolution, normalization in zip(self.convolutions, self.normalizations, strict=True):
                convolution.build(shape)
                shape = convolution.compute_output_shape(shape)
                normalization.build(shape)
            if self.projection is not None and self.last is not None:
                self.projection.build(input_shape)
                self.last.build(shape)

        def call(self, x: Any, training: Any = None) -> Any:
            y = x
            for i, (convolution, normalization) in enumerate(zip(self.convolutions, self.normalizations, strict=True)):
                y = normalization(convolution(y), training=training)
                y = self.relu(y) if i < 2 else y
            if self.projection is not None and self.last is not None:
                x = self.last(self.projection(x), training=training)
            return self.relu(x + y)

    layers = [
        k.Input((224, 224, 3)),
        k.Conv2D(64, 7, strides=2, padding="same"),
        k.BatchNormalization(),
        k.Activation("relu"),
        k.MaxPooling2D(3, strides=2, padding="same"),
    ]
    for width, depth, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        layers += [Bottleneck(width, stride if i == 0 else 1, i == 0) for i in range(depth)]
    return [*layers, k.GlobalAveragePooling2D(), k.Dense(10, "softmax")]


CASES = {
    "wide": Case("5 x Dense(2048), 21 M weights", _dense(2048, 5), (2048,)),
    "embedding": Case("embedding 300,000 x 64", _embedding, (100,), outputs=1, words=300_000),
    "deep": Case("200 x Dense(64)", _dense(64, 200), (64,), steps=40),
    "vgg": Case("VGG-like, 64x64x3", _vgg, (64, 64, 3), batch=16),
    "huge": Case("20 x Dense(2048), 84 M weights", _dense(2048, 20), (2048,), steps=4),
    "transformer": Case("12 transformer blocks, 12 M weights", _transformer, (64,), words=2000, batch=16, steps=4),
    "resnet": Case("ResNet-50, batch 2", _resnet, (224, 224, 3), batch=2, steps=2),
}


# ---- one process ----


def _lamella(backend: str) -> Callable[[], Any]:
    def framework() -> Any:
        import lamella

        lamella.backend.set_backend(backend)
        return lamella

    return framework


def _keras() -> Any:
    os.environ["KERAS_BACKEND"] = "jax"
    import keras

    return keras


def _in_keras_style(library: Any, case: Case) -> Callable[[np.ndarray, np.ndarray, int], None]:
    model = library.Sequential(case.layers(library.layers))
    model.compile("adam", "mse" if case.outputs == 1 else "sparse_categorical_crossentropy")
    return lambda x, y, epochs: model.fit(x, y, batch_size=case.batch, epochs=epochs, verbose=0)


class _TorchLayers:
    """The layers of `Case.layers` that torch has under other names, as far as they are sequences."""

    def __init__(self, torch: Any) -> None:
        self.nn, self.size = torch.nn, 0

    def Input(self, shape: tuple[int, ...], dtype: str | None = None) -> Any:  # noqa: N802
        self.size, self.length = shape[-1], shape[0]
        return self.nn.Identity()

    def Dense(self, units: int, activation: str | None = None) -> Any:  # noqa: N802
        layer, self.size = self.nn.Linear(self.size, units), units
        return self.nn.Sequential(layer, self.nn.ReLU()) if activation == "relu" else layer

    def Embedding(self, words: int, width: int) -> Any:  # noqa: N802
        self.size = width
        return self.nn.Embedding(words, width)

    def GlobalAveragePooling1D(self) -> Any:  # noqa: N802
        class Mean(self.nn.Module):
            def forward(self, x: Any) -> Any:
                return x.mean(1)

        return Mean()

    def Conv2D(self, filters: int, size: int, padding: str, activation: str) -> Any:  # noqa: N802
        layer, self.size = self.nn.Conv2d(self.size, filters, size, padding=padding), filters
        return self.nn.Sequential(layer, self.nn.ReLU())

    def MaxPooling2D(self, size: int) -> Any:  # noqa: N802
        self.length //= size
        return self.nn.MaxPool2d(size)

    def Flatten(self) -> Any:  # noqa: N802
        self.size *= self.length**2
        return self.nn.Flatten()


def _torch(compiled: bool) -> Callable[[], Any]:
    def framework() -> Any:
        import torch  # type: ignore[reportMissingImports]

        return torch, compiled

    return framework


def _in_torch(given: Any, case: Case) -> Callable[[np.ndarray, np.ndarray, int], None]:
    torch, compiled = given
    try:
        model = torch.nn.Sequential(*case.layers(_TorchLayers(torch)))
    except AttributeError as error:
        raise LookupError(f"not written for torch: {error}") from None
    loss = torch.nn.MSELoss() if case.outputs == 1 else torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), eps=1e-7)
    run = torch.compile(model) if compiled else model

    def fit(x: np.ndarray, y: np.ndarray, epochs: int) -> None:
        inputs = torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1)) if x.ndim == 4 else x)
        targets = torch.from_numpy(y if case.outputs == 1 else y[:, 0].astype(np.int64))
        for _ in range(epochs):
            for rows in torch.randperm(len(x)).split(case.batch):
                optimizer.zero_grad()
                loss(run(inputs[rows]), targets[rows]).backward()
                optimizer.step()

    return fit


PEERS = {
    "lamella-jax": (_lamella("jax"), _in_keras_style),
    "keras": (_keras, _in_keras_style),
    "lamella-numpy": (_lamella("numpy"), _in_keras_style),
    "torch": (_torch(False), _in_torch),
    "torch-compiled": (_torch(True), _in_torch),
}


def clocks() -> np.ndarray:
    """Seconds by the clock, and of the processor in all threads."""
    return np.array([time.perf_counter(), time.process_time()])


def worker(peer: str, name: str, quick: bool) -> None:
    """Measure one peer with one model, and write what was found as a line of JSON."""
    case = CASES[name]
    framework, trainer = PEERS[peer]
    steps, epochs = (1, 1) if quick else (case.steps, 3)
    try:
        library = framework()
        x, y = case.data(steps)
        start = clocks()
        fit = trainer(library, case)
        fit(x, y, 1)
        first = clocks() - start
        taken = []
        for _ in range(epochs):
            start = clocks()
            fit(x, y, 1)
            taken.append(clocks() - start)
    except Exception as error:
        text = str(error).splitlines()
        print(json.dumps({"missing": f"{type(error).__name__}: {text[0] if text else ''}"[:160]}))
        return
    step = np.min(taken, axis=0) / steps
    first = first - (steps - 1) * step
    figures = {"first": first[0], "step": step[0], "first_processor": first[1], "step_processor": step[1]}
    print(json.dumps({**figures, "peak": peak_bytes()}))


# ---- all of them ----


def measured(peer: str, name: str, quick: bool) -> dict[str, Any]:
    """What a new process found, with the number of lines it wrote to standard error."""
    command = [sys.executable, __file__, "--worker", peer, name, *(["--quick"] if quick else [])]
    with tempfile.TemporaryFile("w+") as errors:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=errors, text=True, check=False, env=ENVIRONMENT)
        errors.seek(0)
        lines = len(errors.readlines())
    if done.returncode or not done.stdout.strip():
        return {"missing": f"the process ended with status {done.returncode}"}
    return {**json.loads(done.stdout.splitlines()[-1]), "lines": lines}


@contextmanager
def busy(count: int) -> Any:
    """So many processes that multiply matrices on one thread each."""
    code = "import numpy as np\na = np.ones((512, 512), np.float32)\nwhile True: a @ a"
    one = {**ENVIRONMENT, "OPENBLAS_NUM_THREADS": "1"}
    processes = [subprocess.Popen([sys.executable, "-c", code], env=one) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


FIGURES = {"peak": (1e-6, "MB"), "first": (1.0, "s"), "step": (1e3, "ms")}


def table(name: str, found: dict[str, list[dict[str, Any]]]) -> list[str]:
    """The lines of one model: medians, and the median of the ratios to Keras within a round."""
    lines = [f"| {CASES[name].title} | peak | first step | step | lines on stderr |", "|---|---|---|---|---|"]
    for peer, rounds in found.items():
        good = [r for r in rounds if "missing" not in r]
        if not good:
            lines.append(f"| {peer} | {rounds[-1]['missing'] if rounds else 'not run'} | | | |")
            continue
        cells = []
        for key, (factor, unit) in FIGURES.items():
            text = f"{np.median([r[key] for r in good]) * factor:,.3g} {unit}"
            if unit == "MB":
                text = f"{np.median([r[key] for r in good]) * factor:,.0f} {unit}"
            pairs = [
                (r[key], k[key]) for r, k in zip(rounds, found.get("keras", []), strict=False) if key in r and key in k
            ]
            if pairs and peer != "keras":
                text += f" ({np.median([a / b for a, b in pairs]):.2f} of Keras)"
            cells.append(text)
        lines.append(f"| {peer} | {' | '.join(cells)} | {max(r['lines'] for r in good)} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("cases", nargs="*", help=f"of {', '.join(CASES)}; all by default")
    parser.add_argument("--peers", default=",".join(PEERS), help="with commas")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="see whether everything runs; the times mean nothing")
    parser.add_argument("--busy", type=int, default=0, help="processes that keep cores busy meanwhile")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results", help="where the record goes")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        worker(arguments.cases[0], arguments.cases[1], arguments.quick)
        return
    peers, names = arguments.peers.split(","), arguments.cases or list(CASES)
    for given, known in ((peers, PEERS), (names, CASES)):
        for one in given:
            if one not in known:
                parser.error(f"unknown {one!r}; there are {', '.join(known)}")
    record: dict[str, Any] = {"circumstances": circumstances(), "busy": arguments.busy, "models": {}}
    arguments.out.mkdir(parents=True, exist_ok=True)
    with busy(arguments.busy):
        for name in names:
            found: dict[str, list[dict[str, Any]]] = {peer: [] for peer in peers}
            for number in range(1 if arguments.quick else arguments.rounds):
                for peer in turns(peers, number):
                    if not any("missing" in r for r in found[peer]):
                        found[peer].append(measured(peer, name, arguments.quick))
            print("\n".join(["", *table(name, found)]), flush=True)
            record["models"][name] = {"title": CASES[name].title, "load": load(), "peers": found}
            (arguments.out / "large.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()

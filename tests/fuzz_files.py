"""Mutated files: each is read whole or refused with `FormatError`, in bounded time and memory.

    python tests/fuzz_files.py                       # 100,000 mutations, shared out among the kinds of files
    python tests/fuzz_files.py --kind hdf5 --count 2000 --seed 7
    python tests/fuzz_files.py --kind hdf5 --only 123 --save bad.h5     # one mutation again

A mutation follows from the seed and its number alone. Another kind of file is one more row of `KINDS`.
"""

from __future__ import annotations

import argparse
import functools
import io
import pickle
import random
import resource
import signal
import sys
import tempfile
import time
import tracemalloc
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np

import fuzz_configurations
import hdf5_files
import lamella
from lamella import saving
from lamella.files import container, hdf5, npz, pickled
from lamella.saving import FormatError, keras_archive, legacy_h5, safetensors
from lamella.training.checkpoint import Checkpoint

SECONDS = 1.0
SPARE_BYTES = 32 << 20
ADDRESS_BYTES = 256 << 20
TRACED = 16
"""Every so many mutations one is opened with its memory traced, which takes three to five times as long; all of them are
opened with at most `ADDRESS_BYTES` of address space more than there was before the first."""


class Kind(NamedTuple):
    """A kind of file: small sound ones by name, and what opens the bytes of one and keeps everything that is in it."""

    seeds: Callable[[], dict[str, bytes]]
    open: Callable[[bytes], object]
    marks: tuple[bytes, ...] = ()  # where the structures of such a file begin
    change: Callable[..., bytes] | None = None  # what mutates it; None changes bytes


class Outcome(NamedTuple):
    """What became of a mutation; `fault` says what should not have happened."""

    loaded: bool
    seconds: float
    peak: int
    fault: str


def read_whole(data: bytes) -> list[object]:
    """Everything in an HDF5 file."""
    held: list[object] = [tree := hdf5.read(data, name="mutated.h5")]
    waiting = [tree]
    while waiting:
        for member in waiting.pop().members.values():
            if isinstance(member, hdf5.Group):
                waiting.append(member)
            else:
                held.append(member.read())
    return held


FILES = Path(__file__).resolve().parent / "oracle" / "data" / "files"


def opened(data: bytes) -> object:
    """The model of a file, whichever format it says it has."""
    where = "mutated"
    if data[:2] == b"PK":
        return keras_archive.read(data, where, None, True)
    if data[:4] == b"\x89HDF":
        return legacy_h5.read(data, where, None, True)
    if safetensors.looks_like(data):
        return safetensors.read(data, where, None)
    raise FormatError("no such format")


def parts_of(data: bytes) -> dict[str, bytes]:
    """The members of an archive one after another, each with its length: so mutations get past the checksums."""
    members = container.read(data, "seed")
    return {"parts": b"".join(len(m).to_bytes(4, "little") + bytes(m) for m in members.values())}


def opened_parts(data: bytes) -> object:
    """The model of an archive that is put together from mutated members."""
    members: dict[str, bytes] = {}
    at = 0
    for name in ("metadata.json", "config.json", "model.weights.h5"):
        size = int.from_bytes(data[at : at + 4], "little")
        members[name] = data[at + 4 : at + 4 + size]
        at += 4 + size
    buffer = io.BytesIO()
    container.write(buffer, members)
    return keras_archive.read(buffer.getvalue(), "mutated", None, True)


def _keras(ending: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(FILES.glob(f"*{ending}")) if ".weights" not in path.name}


def _safetensors() -> dict[str, bytes]:
    return {name: safetensors.file_of(opened(data)) for name, data in _keras(".keras").items()}


def _json() -> dict[str, bytes]:
    return {name: opened(data).to_json().encode() for name, data in _keras(".keras").items()}  # type: ignore[attr-defined]


def read_json(data: bytes) -> object:
    """The model of a JSON text; at most small ones are drawn."""
    return saving.model_from_json(data.decode("utf-8", "replace"))


def _trained() -> lamella.Sequential:
    """The model whose checkpoints are drawn."""
    with lamella.backend_scope("numpy"):
        model = lamella.Sequential([lamella.Input((3,)), lamella.layers.Dense(2), lamella.layers.BatchNormalization()])
        model.compile(lamella.optimizers.LossScaleOptimizer("adam"), "mse")
    return model


_RESUMING = functools.cache(_trained)


def _checkpoints() -> dict[str, bytes]:
    found = {}
    with tempfile.TemporaryDirectory() as folder, lamella.backend_scope("numpy"):
        path = Path(folder) / "latest.npz"
        model = _trained()
        for name in ("new", "trained"):
            model.save_checkpoint(path, {"epoch": 1, "logs": {"loss": 0.5}})
            found[name] = path.read_bytes()
            model.fit(np.ones((4, 3), "float32"), np.ones((4, 2), "float32"), verbose=0)
    return found


def resumed(data: bytes) -> object:
    """The model of a checkpoint, ready to continue."""
    model = _RESUMING()
    with tempfile.NamedTemporaryFile(suffix=".npz", dir=_QUICK) as file:
        file.write(data)
        file.flush()
        Checkpoint(model, file.name).restore()
    return model


def checkpoint_parts(data: bytes) -> dict[str, bytes]:
    """The members of a checkpoint, each with its name and length: so mutations get past the checksums."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(name.encode(), archive.read(name)) for name in archive.namelist()]
    return {"parts": b"".join(len(part).to_bytes(4, "little") + part for pair in members for part in pair)}


def resumed_parts(data: bytes) -> object:
    """The model of a checkpoint that is put together from mutated members."""
    parts: list[bytes] = []
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "little")
        parts.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    members = dict(zip(parts[::2], parts[1::2], strict=False))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # two members of one name
        for name, member in members.items():
            with archive.open(zipfile.ZipInfo(name.decode("latin-1").partition("\0")[0] or "empty"), "w") as file:
                file.write(member)
    return resumed(buffer.getvalue())


def _pickles() -> dict[str, bytes]:
    """The two kinds of pickles that data sets consist of, of each protocol: a batch of images, and an array of lists."""
    images = np.arange(48, dtype=np.uint8).reshape(4, 12)
    batch = {
        "data": images,
        "labels": [3, 300, 70_000, 2**40],
        "filenames": ["a.png", "b.png"],
        "batch_label": "1 of 5",
    }
    texts = np.fromiter(([1, 14, 2200, 7], [], [5] * 20, [100_000]), object, 4)
    return {
        f"{name} {protocol}": pickle.dumps(value, protocol)
        for name, value in (("batch", batch), ("texts", texts))
        for protocol in (3, 4)
    }


def _data_sets() -> dict[str, bytes]:
    """Archives of numbers and of lists, stored and compressed."""
    found = {}
    for save in (np.savez, np.savez_compressed):
        buffer = io.BytesIO()
        save(buffer, x=np.fromiter(([1, 14, 2200], []), object, 2), y=np.arange(2), z=np.ones((3, 4), ">f4", "F"))
        found[save.__name__] = buffer.getvalue()
    return found


_QUICK = "/dev/shm" if Path("/dev/shm").is_dir() else None
_NPY_MARKS = (
    b"\x93NUMPY",
    b'"$array"',
    b'"arrays"',
    b'"tree"',
    b'"shape"',
    b"'shape'",
    b"'descr'",
    b'"learning_rates"',
)

_TEXT_MARKS = (b'"units"', b'"class_name"', b'"config"', b'"batch_shape"', b'"module"', b'"shape"', b'"data_offsets"')
_ARCHIVE_MARKS = (b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06", *_TEXT_MARKS)

KINDS = {
    "archive": Kind(lambda: _keras(".keras"), opened, _ARCHIVE_MARKS),
    "archive parts": Kind(
        lambda: {name: parts_of(data)["parts"] for name, data in _keras(".keras").items()}, opened_parts, _TEXT_MARKS
    ),
    "legacy h5": Kind(lambda: _keras(".h5"), opened, (b"TREE", b"HEAP", b"SNOD", b"GCOL", *_TEXT_MARKS)),
    "safetensors": Kind(_safetensors, opened, _TEXT_MARKS),
    "checkpoint": Kind(_checkpoints, resumed, (*_NPY_MARKS, b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06")),
    "checkpoint parts": Kind(
        lambda: {name: checkpoint_parts(data)["parts"] for name, data in _checkpoints().items()},
        resumed_parts,
        _NPY_MARKS,
    ),
    "layers": Kind(fuzz_configurations.of_layers, opened, change=fuzz_configurations.mutate),
    "graphs": Kind(fuzz_configurations.of_graphs, opened, change=fuzz_configurations.mutate),
    "trainings": Kind(fuzz_configurations.of_trainings, opened, change=fuzz_configurations.mutate),
    "callbacks": Kind(
        fuzz_configurations.of_callbacks, fuzz_configurations.made_callback, change=fuzz_configurations.mutate
    ),
    "checkpoint tree": Kind(_checkpoints, resumed, change=fuzz_configurations.mutate_checkpoint),
    "pickles": Kind(_pickles, lambda data: pickled.read(data, "mutated"), (b"numpy", b"]", b"}", b"(", b"R", b"b")),
    "data sets": Kind(
        _data_sets,
        lambda data: npz.read_npz(io.BytesIO(data), "x", "y", "z"),
        (*_NPY_MARKS[:1], b"PK\x01\x02", b"PK\x03\x04"),
    ),
    "json": Kind(_json, read_json, _TEXT_MARKS),
    "hdf5": Kind(
        hdf5_files.small_seeds,
        read_whole,
        (b"TREE", b"HEAP", b"SNOD", b"GCOL", b"OHDR", b"OCHK", b"FRHP", b"FHDB", b"FHIB", b"BTHD", b"BTLF", b"BTIN"),
    ),
}


def mutate(data: bytes, others: list[bytes], marks: list[int], rng: random.Random) -> bytes:
    """`data` after one to four changes."""
    for _ in range(rng.choice((1, 1, 1, 2, 3, 4))):
        data = rng.choice(CHANGES)(data, others, marks, rng) or data
    return data


def _place(data: bytes, marks: list[int], rng: random.Random) -> int:
    """Somewhere, or shortly after the beginning of a structure."""
    if marks and rng.random() < 0.5:
        return min(rng.choice(marks) + rng.randrange(64), len(data) - 1)
    return rng.randrange(len(data))


def _flip(data: bytes, others: list[bytes], marks: list[int], rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        changed[_place(data, marks, rng)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _bytes(data: bytes, others: list[bytes], marks: list[int], rng: random.Random) -> bytes:
    at = _place(data, marks, rng)
    return data[:at] + rng.randbytes(rng.choice((1, 1, 2, 4, 8))) + data[at + 1 :]


def _cut(data: bytes, others: list[bytes], marks: list[int], rng: random.Random) -> bytes:
    return data[: rng.randrange(1, len(data) + 1)]


def _splice(data: bytes, others: list[bytes], marks: list[int], rng: random.Random) -> bytes:
    source = rng.choice((data, rng.choice(others)))
    size = min(rng.choice((4, 8, 16, 64, 512)), len(source))
    start, at = rng.randrange(len(source) - size + 1), _place(data, marks, rng)
    return data[:at] + source[start : start + size] + data[at + size :]


def _drop(data: bytes, others: list[bytes], marks: list[int], rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    size = rng.choice((1, 4, 8, 100))
    return data[:at] + (data[at + size :] if rng.random() < 0.5 else rng.randbytes(size) + data[at:])


def _integer(data: bytes, others: list[bytes], marks: list[int], rng: random.Random) -> bytes:
    """A field becomes an integer at an edge, near its old value, or the address of a structure."""
    width = rng.choice((1, 2, 4, 8, 8, 8))
    at = min(_place(data, marks, rng) & -rng.choice((1, 2, 4, 8)), max(len(data) - width, 0))
    old = int.from_bytes(data[at : at + width], "little")
    edges = (0, 1, (1 << 8 * width) - 1, 1 << (8 * width - 1), len(data), len(data) - 8, old + 1, old - 1, old * 2, at)
    value = rng.choice((*edges, *(rng.choice(marks) for _ in range(6)))) if marks else rng.choice(edges)
    return data[:at] + (value % (1 << 8 * width)).to_bytes(width, "little") + data[at + width :]


def _swap(data: bytes, others: list[bytes], marks: list[int], rng: random.Random) -> bytes:
    if len(data) < 32:
        return data
    a, b = sorted(rng.sample(range(0, len(data) - 8, 8), 2))
    return data[:a] + data[b : b + 8] + data[a + 8 : b] + data[a : a + 8] + data[b + 8 :]


CHANGES = (_flip, _flip, _bytes, _cut, _splice, _splice, _drop, _integer, _integer, _integer, _swap)


class TooLong(BaseException):
    """Raised by the alarm, past every `except Exception`."""


def _alarm(*_: object) -> None:
    raise TooLong


def attempt(kind: Kind, data: bytes, traced: bool = True) -> Outcome:
    """Open `data` under the bounds; its memory is 0 where it is not traced."""
    loaded, fault = False, ""
    if traced:
        tracemalloc.start()
    begun = time.process_time()
    signal.setitimer(signal.ITIMER_PROF, 10 * SECONDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of files that are odd, but read
            kind.open(data)
        loaded = True
    except FormatError:
        pass
    except TooLong:
        fault = "still continuing when it was stopped"
    except BaseException as error:
        fault = f"{type(error).__name__}: {error}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    seconds = time.process_time() - begun
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    if peak > 2 * len(data) + SPARE_BYTES:
        fault = fault or f"{peak} bytes of memory for a file of {len(data)}"
    if traced and seconds > SECONDS:  # tracing takes three to five times as long
        seconds = attempt(kind, data, traced=False).seconds
    if seconds > SECONDS:
        fault = fault or f"{seconds:.1f} s"
    return Outcome(loaded, seconds, peak, fault)


class Fuzz:
    """The mutations of a kind of file, by number."""

    def __init__(self, kind: str, seed: int):
        self.kind, self.seed = KINDS[kind], seed
        self.files = list(self.kind.seeds().values())
        self.marks = [_marks(data, self.kind.marks) for data in self.files]

    def mutated(self, number: int) -> bytes:
        """The mutation of that number."""
        rng = random.Random(f"{self.seed} {number}")
        i = rng.randrange(len(self.files))
        return (self.kind.change or mutate)(self.files[i], self.files, self.marks[i], rng)

    def outcomes(self, numbers: range, traced: int = TRACED):
        """(number, outcome) of each; the memory of those whose number `traced` divides is traced."""
        for data in self.files:  # what is imported and kept at first use belongs to no mutation
            with suppress(Exception), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.kind.open(data)
        previous = signal.signal(signal.SIGPROF, _alarm)
        limits = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (_address_bytes() + ADDRESS_BYTES, limits[1]))
        try:
            for number in numbers:
                yield number, attempt(self.kind, self.mutated(number), number % traced == 0)
        finally:
            resource.setrlimit(resource.RLIMIT_AS, limits)
            signal.signal(signal.SIGPROF, previous)


def _address_bytes() -> int:
    """The address space of this process, where the system tells."""
    with suppress(OSError):
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    return 1 << 40


def _marks(data: bytes, signatures: tuple[bytes, ...]) -> list[int]:
    found = []
    for signature in signatures:
        at = data.find(signature)
        while at >= 0:
            found.append(at)
            at = data.find(signature, at + 1)
    return sorted(found)


def report(kind: str, seed: int, numbers: range) -> int:
    """Run, print what came of it, and return the number of faults."""
    counts, slowest, largest, faults = Counter(), 0.0, 0, 0
    begun = time.monotonic()
    for number, outcome in Fuzz(kind, seed).outcomes(numbers):
        counts["loaded" if outcome.loaded else "refused"] += not outcome.fault
        slowest, largest = max(slowest, outcome.seconds), max(largest, outcome.peak)
        if outcome.fault:
            faults += 1
            print(f"{kind} seed {seed} mutation {number}: {outcome.fault}", flush=True)
    print(
        f"{kind}: {len(numbers)} mutations in {time.monotonic() - begun:.0f} s: {counts['loaded']} loaded, "
        f"{counts['refused']} refused, {faults} faults; slowest {slowest:.3f} s, most memory {largest / 2**10:.0f} KB "
        f"of the {sum(n % TRACED == 0 for n in numbers):,} traced"
    )
    return faults


def main() -> int:
    """The command line; 1 where a mutation found a fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", choices=sorted(KINDS), action="append", help="which kinds of file (all)")
    parser.add_argument("--count", type=int, help="mutations of each kind (100,000 of all kinds together)")
    parser.add_argument("--first", type=int, default=0, help="the number of the first mutation (0)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="one mutation, by number")
    parser.add_argument("--save", type=Path, help="with --only: where to write the mutated file")
    asked = parser.parse_args()
    kinds = asked.kind or sorted(KINDS)
    count = asked.count or -(-100_000 // len(kinds))
    numbers = range(asked.first, asked.first + count) if asked.only is None else range(asked.only, asked.only + 1)
    if asked.only is not None and asked.save:
        asked.save.write_bytes(Fuzz(kinds[0], asked.seed).mutated(asked.only))
    return int(sum(report(kind, asked.seed, numbers) for kind in kinds) > 0)


if __name__ == "__main__":
    sys.exit(main())

"""Small files of the layout of the genuine data sets, one for each of `datasets.sources.SOURCES`."""

from __future__ import annotations

import gzip
import io
import json
import struct
import tarfile

import numpy as np


def npz(save=np.savez_compressed, **arrays):
    buffer = io.BytesIO()
    save(buffer, **arrays)
    return buffer.getvalue()


def texts(generator, count):
    lengths = generator.integers(1, 30, count)
    return np.fromiter((generator.integers(1, 2000, length).tolist() for length in lengths), object, count)


def images(generator, count):
    return generator.integers(0, 256, (count, 28, 28), np.uint8), generator.integers(0, 10, count, np.uint8)


def idx(array):
    head = struct.pack(f">{1 + array.ndim}I", 8 << 8 | array.ndim, *array.shape)
    return gzip.compress(head + array.tobytes(), 1)


def old_text(text):
    return b"U" + bytes([len(text)]) + text


def batch(generator, count, *keys):
    """A batch as Python 2 pickled it."""
    pixels = generator.integers(0, 256, (count, 3072), np.uint8).tobytes()
    size = struct.pack("<i", count)
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01J" + size + b"M\x00\x0c\x86"
        b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T"
    ) + struct.pack("<i", len(pixels)) + pixels + b"tb"  # fmt: skip
    entries = [old_text(b"data") + array]
    for key in keys:
        labels = generator.integers(0, 10, count).tolist()
        entries.append(old_text(key.encode()) + b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e")
    names = b"".join(old_text(b"image_%d.png" % number) for number in range(count))
    entries.append(old_text(b"filenames") + b"](" + names + b"e")
    return b"\x80\x02}(" + b"".join(entries) + b"u."


def archive(folder, members):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as file:
        for name, data in members.items():
            about = tarfile.TarInfo(f"{folder}/{name}")
            about.size = len(data)
            file.addfile(about, io.BytesIO(data))
    return buffer.getvalue()


def small_files(rows=10):
    """A file for each of `SOURCES`, by name."""
    generator = np.random.default_rng(0)
    x, y = images(generator, 3 * rows)
    more_x, more_y = images(generator, rows)
    words = json.dumps({"the": 1, "of": 2, "é": 3}).encode()
    table = generator.normal(size=(50, 13))
    return {
        "mnist.npz": npz(x_train=x, y_train=y, x_test=more_x, y_test=more_y),
        "train-images-idx3-ubyte.gz": idx(x),
        "train-labels-idx1-ubyte.gz": idx(y),
        "t10k-images-idx3-ubyte.gz": idx(more_x),
        "t10k-labels-idx1-ubyte.gz": idx(more_y),
        "cifar-10-batches-py-target": archive(
            "cifar-10-batches-py",
            {
                **{f"data_batch_{n}": batch(generator, rows, "labels") for n in range(1, 6)},
                "test_batch": batch(generator, rows, "labels"),
                "readme.html": b"<html>",
            },
        ),
        "cifar-100-python-target": archive(
            "cifar-100-python",
            {name: batch(generator, rows, "fine_labels", "coarse_labels") for name in ("train", "test")},
        ),
        "imdb.npz": npz(
            x_train=texts(generator, 40),
            y_train=np.arange(40) % 2,
            x_test=texts(generator, 30),
            y_test=np.arange(30) % 2,
        ),
        "imdb_word_index.json": words,
        "reuters.npz": npz(np.savez, x=texts(generator, 60), y=np.arange(60) % 46),
        "reuters_word_index.json": words,
        "boston_housing.npz": npz(np.savez, x=np.asfortranarray(table), y=table[:, 0]),
        "california_housing.npz": npz(x=generator.normal(size=(700, 8)), y=generator.normal(size=700)),
    }

"""Files that were made to hurt whoever opens them: the advisories on Keras's loading, each rebuilt for lamella's formats."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from typing import Any

import numpy as np

import lamella
from lamella.files import hdf5
from lamella.files.hdf5.write import Array, Tree, to_bytes
from lamella.saving import safetensors


def archive(config: Any, weights: bytes = b"", metadata: Any = None, **options: Any) -> bytes:
    """A `.keras` archive of the given parts."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", options.get("compression", zipfile.ZIP_STORED)) as file:
        file.writestr("metadata.json", json.dumps(metadata or {"keras_version": "3.15.1"}))
        file.writestr("config.json", config if isinstance(config, str | bytes) else json.dumps(config))
        file.writestr("model.weights.h5", weights or to_bytes(Tree({"vars": Tree()})))
        for name in options.get("extra", ()):
            file.writestr(name, b"x" * 10)
    return buffer.getvalue()


def layer(name: str, config: Any = None, module: Any = "keras.layers", registered: Any = None) -> dict[str, Any]:
    return {"module": module, "class_name": name, "config": config or {}, "registered_name": registered}


def sequential(*layers: Any, shape: Any = (None, 4), **more: Any) -> dict[str, Any]:
    first = layer("InputLayer", {"batch_shape": list(shape), "dtype": "float32", "name": "i"})
    return {**layer("Sequential", {"name": "s", "layers": [first, *layers]}, "keras"), **more}


DENSE = layer("Dense", {"name": "d", "units": 2})
SOUND = to_bytes(
    Tree({"layers": Tree({"dense": Tree({"vars": Tree({"0": np.zeros((4, 2), "f"), "1": np.zeros(2, "f")})})})})
)


def advisories() -> dict[str, bytes]:
    """A file for every hole that is known, by the advisory's name."""
    code = {"class_name": "__lambda__", "config": {"code": "4wEAAAAAAAAA", "defaults": None, "closure": None}}
    run = {"module": "os", "class_name": "function", "config": "system", "registered_name": "system"}
    gadget = {"module": "keras.utils", "class_name": "function", "config": "get_file", "registered_name": "get_file"}
    unsafe = layer("function", "enable_unsafe_deserialization", "keras.config", "enable_unsafe_deserialization")
    files = {
        "CVE-2024-3660 lambda bytecode": archive(sequential(layer("Lambda", {"name": "l", "function": code}))),
        "CVE-2025-1550 module and function": archive(sequential(layer("Dense", {"units": 2, "activation": run}))),
        "CVE-2025-1550 class of a module": archive(sequential(layer("Popen", {"args": ["true"]}, "subprocess"))),
        "CVE-2025-1550 registered name": archive(sequential(layer("Popen", {"args": ["true"]}, None, "os>Popen"))),
        "CVE-2025-8747 keras gadget": archive(sequential(layer("Lambda", {"name": "l", "function": gadget}))),
        "CVE-2025-8747 gadget as initializer": archive(
            sequential(layer("Dense", {"units": 2, "kernel_initializer": gadget}))
        ),
        "CVE-2025-9906 unsafe flag": archive(sequential(unsafe, DENSE), SOUND),
        "CVE-2025-49655 torch wrapper": archive(sequential(layer("TorchModuleWrapper", {"module": "gASV"}))),
        "CVE-2025-12058 vocabulary path": archive(sequential(layer("StringLookup", {"vocabulary": "/etc/passwd"}))),
        "CVE-2025-12058 vocabulary address": archive(
            sequential(layer("TextVectorization", {"vocabulary": "http://127.0.0.1/x"}))
        ),
        "CVE-2026-1462 saved model path": archive(sequential(layer("TFSMLayer", {"filepath": "/evil"}))),
        "CVE-2025-12638 path outside": archive(sequential(DENSE), SOUND, extra=("../outside",)),
        "CVE-2025-12638 absolute path": archive(sequential(DENSE), SOUND, extra=("/etc/passwd",)),
        "CVE-2025-12638 backslashes": archive(sequential(DENSE), SOUND, extra=("assets\\..\\x",)),
        "CVE-2026-12479 layer name with dots": archive(sequential(layer("Dense", {"name": "../../x", "units": 2})), SOUND),
        "CVE-2026-12481 lambda without safe mode": archive(
            sequential(layer("Lambda", {"name": "l", "function": {**code, "safe_mode": None}}))
        ),
        "zip bomb": archive(sequential(DENSE), b"\0" * 5_000_000, compression=zipfile.ZIP_DEFLATED),
        "60,000,000 units": archive(sequential(layer("Dense", {"name": "d", "units": 60_000_000})), SOUND),
        "wide chain": archive(sequential(*[layer("Dense", {"name": f"d{i}", "units": 2_000_000}) for i in range(9)]), SOUND),
        "unrolled for ever": archive(
            sequential(layer("LSTM", {"name": "l", "units": 2, "unroll": True}), shape=(None, 2_000_000_000, 4))
        ),
        "huge constant": archive(
            sequential(layer("Resizing", {"height": 50_000, "width": 50_000}), shape=(None, 60_000, 60_000, 1))
        ),
        "huge one-hot": archive(sequential(layer("CategoryEncoding", {"num_tokens": 2_000_000_000}))),
        "CVE-2025-9905 lambda in .h5": to_bytes(
            Tree({"model_weights": Tree(attrs={"layer_names": []})},
                 {"model_config": json.dumps(sequential(layer("Lambda", {"name": "l", "function": code}), layer("Dense")))})
        ),
        "pickled layer in .h5": to_bytes(
            Tree({"model_weights": Tree(attrs={"layer_names": []})},
                 {"model_config": json.dumps({"class_name": "__reduce__", "config": ["os.system", "true"]})})
        ),
        "CVE-2021-37678 YAML": archive("!!python/object/apply:os.system ['true']"),
        "functional model": archive(layer("Functional", {"layers": []}, "keras")),
        "tensor as argument": archive(
            sequential(layer("Dense", {"units": {"class_name": "__tensor__", "config": {"value": [1], "dtype": "int32"}}}))
        ),
    }  # fmt: skip
    return files | _containers() | _texts() | _tensors()


def _containers() -> dict[str, bytes]:
    sound = archive(sequential(DENSE), SOUND)
    at = sound.index(b"PK\x01\x02")
    larger = bytearray(sound)
    struct.pack_into("<2L", larger, at + 20, 2**31, 2**31)
    twice = io.BytesIO(archive(sequential(DENSE), SOUND))
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with zipfile.ZipFile(twice, "a") as file:
            file.writestr("config.json", "{}")
    link = io.BytesIO(sound)
    with zipfile.ZipFile(link, "a") as file:
        about = zipfile.ZipInfo("assets/link")
        about.create_system, about.external_attr = 3, 0o120777 << 16
        file.writestr(about, "/etc/passwd")
    return {
        "zip sizes that disagree": bytes(larger),
        "zip member twice": twice.getvalue(),
        "zip symbolic link": link.getvalue(),
        "zip cut short": sound[:-30],
        "zip of an npz": archive(sequential(DENSE), b"PK\x03\x04 no hdf5"),
    }


def _texts() -> dict[str, bytes]:
    sound = json.dumps(sequential(DENSE))
    return {
        "JSON nested deep": archive("[" * 100_000 + "]" * 100_000),
        "JSON of many entries": archive("[" + "0," * 3_000_000 + "0]"),
        "JSON key twice": archive(sound.replace('"units": 2', '"units": 2, "units": 3'), SOUND),
        "JSON NaN": archive(sound.replace('"units": 2', '"units": NaN'), SOUND),
        "JSON infinity": archive(sound.replace('"units": 2', '"units": 1e999'), SOUND),
        "JSON long integer": archive(sound.replace('"units": 2', '"units": ' + "9" * 10_000), SOUND),
        "JSON negative units": archive(sound.replace('"units": 2', '"units": -2'), SOUND),
        "JSON unknown field": archive(sound.replace('"units": 2', '"units": 2, "__class__": "x"'), SOUND),
        "JSON wrong type": archive(sound.replace('"units": 2', '"units": {"a": [1]}'), SOUND),
        "weights of another shape": archive(sound.replace('"units": 2', '"units": 3'), SOUND),
        "weights too many": archive(sequential(), SOUND),
        "weights missing": archive(sequential(DENSE, layer("Dense", {"name": "e", "units": 2})), SOUND),
        "optimizer of another kind": archive(
            sequential(DENSE, compile_config={"optimizer": layer("Popen", {}, "subprocess"), "loss": "mse"}), SOUND
        ),
        "loss that is code": archive(
            sequential(
                DENSE, compile_config={"optimizer": "adam", "loss": layer("function", "system", "os", "system")}
            ),
            SOUND,
        ),
    }


def _tensors() -> dict[str, bytes]:
    def file(header: Any, body: bytes = b"") -> bytes:
        encoded = header if isinstance(header, bytes) else json.dumps(header).encode()
        return len(encoded).to_bytes(8, "little") + encoded + body

    lamella.utils.set_random_seed(0)
    sound = safetensors.file_of(lamella.Sequential([lamella.Input((4,)), lamella.layers.Dense(2)]))
    entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    return {
        "safetensors header longer than the file": (2**40).to_bytes(8, "little") + b"{}" + b" " * 20,
        "safetensors giant shape": file({"a": {**entry, "shape": [2**40, 2**40]}}, b"\0" * 8),
        "safetensors offsets outside": file({"a": {**entry, "data_offsets": [8, 16]}}, b"\0" * 8),
        "safetensors overlap": file({"a": entry, "b": entry}, b"\0" * 8),
        "safetensors gap": file({"a": entry}, b"\0" * 16),
        "safetensors object dtype": file({"a": {**entry, "dtype": "O"}}, b"\0" * 8),
        "safetensors cut short": sound[:-4],
        "safetensors without architecture": file({"a": entry}, b"\0" * 8),
        "pickle": b"\x80\x04\x95\x1a\0\0\0\0\0\0\0\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R.",
        "empty": b"",
    }


__all__ = ["SOUND", "Array", "advisories", "archive", "hdf5", "layer", "sequential"]

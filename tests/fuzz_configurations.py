"""Configurations for `fuzz_files.py`: sound files of every layer, loss, metric, optimizer and callback, and their mutations.

A mutation replaces fields of the configuration in a file by the extremes of their type, and of other types. The file
around it stays sound: checksums, offsets and arrays are right, so every change reaches the layers' own checks.
"""

from __future__ import annotations

import copy
import io
import json
import random
import warnings
from collections.abc import Iterator
from typing import Any

import export_models
import lamella
from lamella import callbacks, layers
from lamella.core import serialization
from lamella.errors import FormatError
from lamella.files import container
from lamella.saving import keras_archive, safetensors
from oracle import cases, graph_models

MOST_ADDED = 1 << 20
"""Characters that copies of one value may add: two changes gave a file of 150 MB."""

SCALARS: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 3, 7, 100, 1000, 100_000, 2**20, 2**28, 2**31 - 1, -(2**31), 2**31, 2**53 + 1,
    2**63 - 1, -(2**63), 2**64, 0.0, -0.0, 0.5, 1.0, -1.0, 1e-300, 5e-324, 1e30, 1e308, -1e308, float("nan"),
    float("inf"), "", "x" * 1001, "x" * 100_000, "\ud800", "\n", "../x", "/etc/passwd", "(a+)+b", "1" * 5000,
)  # fmt: skip
"""What a field may become."""

WORDS = (
    "valid", "same", "causal", "channels_first", "channels_last", "relu", "softmax", "float16", "mixed_float16", "int8",
    "bool", "float64", "zeros", "orthogonal", "identity", "max_norm", "l1_l2", "sum", "none", "one_hot", "multi_hot",
    "count", "int", "reflect", "wrap", "constant", "nearest", "lanczos5", "bicubic", "concat", "mul", "abc,cde->abde",
)  # fmt: skip
"""What a field that is text may become."""


def _copies(value: Any, most: int) -> int:
    """How many copies of a value a change may add: at most `most`."""
    return max(min(MOST_ADDED // len(json.dumps(value)), most), 1)


def _large(value: Any, rng: random.Random) -> Any:
    """A structure that is long, deep or large."""
    return rng.choice(
        (
            [],
            {},
            [value] * 2,
            [value] * 3,
            [value] * _copies(value, 1000),
            [0] * 50_000,
            [2**31 - 1] * 16,
            [[2**31 - 1] * 2] * 3,
            _deep(value, rng.choice((5, 30, 99))),
            {"class_name": "Dense", "config": {"units": 2**31 - 1}},
            {"class_name": "TimeDistributed", "config": {"layer": value}},
            {"class_name": "function", "config": "relu"},
        )
    )


def _deep(value: Any, depth: int) -> Any:
    for _ in range(depth):
        value = [value]
    return value


def _extreme(value: Any, rng: random.Random) -> Any:
    """Another value in the place of `value`: most often of its type."""
    kind = rng.random()
    if isinstance(value, list) and value and kind < 0.5:
        changed = list(value)
        for i in range(min(len(changed), 100)) if rng.random() < 0.3 else [rng.randrange(len(changed))]:
            changed[i] = rng.choice(SCALARS)
        return changed
    if isinstance(value, str) and kind < 0.3:
        return rng.choice(WORDS)
    if isinstance(value, int | float) and not isinstance(value, bool) and kind < 0.7:
        return rng.choice([s for s in SCALARS if isinstance(s, int | float) and not isinstance(s, bool)])
    return _large(value, rng) if kind > 0.85 else rng.choice(SCALARS)


def _fields(node: Any) -> Iterator[tuple[Any, Any]]:
    """Every field in a tree of dicts and lists: the container and the key."""
    for key, item in list(node.items()) if isinstance(node, dict) else list(enumerate(node)):
        yield node, key
        if isinstance(item, dict | list):
            yield from _fields(item)


def changed(config: Any, others: list[Any], rng: random.Random) -> Any:
    """A configuration after one to three changes."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        config = json.loads(json.dumps(config))  # a copy without shared parts, of which one change would change all
        fields = list(_fields(config))
        if not fields:
            break
        node, key = rng.choice(fields)
        kind = rng.random()
        if kind < 0.8:
            node[key] = _extreme(node[key], rng)
        elif kind < 0.85:
            del node[key]
        elif kind < 0.92:
            source, other = rng.choice(list(_fields(rng.choice(others))))
            node[key if isinstance(node, list) or isinstance(source, list) else other] = copy.deepcopy(source[other])
        elif isinstance(node, list):
            count = _copies(node[key], rng.choice((1, 20, 300)))
            node.extend(copy.deepcopy(node[key]) for _ in range(count))
    return config


# ---- files, opened around their configuration ----


def configuration_of(data: bytes) -> Any:
    """The configuration in a sound file."""
    if data[:2] == b"PK":
        return json.loads(bytes(container.read(data, "seed")[keras_archive.CONFIG]))
    if data[:1] == b"{":
        return json.loads(data)
    length = int.from_bytes(data[:8], "little")
    return json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["config"])


def with_configuration(data: bytes, config: Any) -> bytes:
    """A sound file with another configuration."""
    text = json.dumps(config)
    if data[:2] == b"PK":
        buffer = io.BytesIO()
        members = {name: bytes(member) for name, member in container.read(data, "seed").items()}
        container.write(buffer, members | {keras_archive.CONFIG: text.encode()})
        return buffer.getvalue()
    if data[:1] == b"{":
        return text.encode()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header["__metadata__"]["config"] = text
    encoded = json.dumps(header).encode()
    return len(encoded).to_bytes(8, "little") + encoded + data[8 + length :]


def mutate(data: bytes, others: list[bytes], marks: list[int], rng: random.Random) -> bytes:
    """A file whose configuration was changed."""
    other = [configuration_of(rng.choice(others)) for _ in range(2)]
    return with_configuration(data, changed(configuration_of(data), other, rng))


# ---- sound files ----


def of_layers() -> dict[str, bytes]:
    """A safetensors file of one model for each class of layer, and each option of it that a table has a row for."""
    found: dict[str, bytes] = {}
    seen: set[str] = set()
    with warnings.catch_warnings(), lamella.backend_scope("numpy"):
        warnings.simplefilter("ignore")
        for id in export_models.IDS:
            model = export_models.of_row(id)
            kinds = {type(layer).__name__ for layer in model.layers}
            options = {f"{type(layer).__name__}.{key}" for layer in model.layers for key in layer.get_config()}
            if "GivenMask" in kinds or (kinds | options) <= seen:
                continue
            seen |= kinds | options
            found[id] = safetensors.file_of(model)
        cells = [layers.LSTMCell(2), layers.GRUCell(2)]
        found["cells"] = safetensors.file_of(lamella.Sequential([lamella.Input((3, 2)), layers.RNN(cells)]))
    # what takes several inputs is made, but no chain holds it
    found |= {type(made).__name__: _with_layer(found["cells"], made) for made in OF_SEVERAL}
    return found


OF_SEVERAL = (
    layers.Add(),
    layers.Average(),
    layers.Concatenate(),
    layers.Dot(axes=1, normalize=True),
    layers.Maximum(),
    layers.Minimum(),
    layers.Multiply(),
    layers.Subtract(),
    layers.Attention(use_scale=True, dropout=0.1, seed=1),
    layers.AdditiveAttention(dropout=0.1, seed=1),
    layers.MultiHeadAttention(2, 3, value_dim=2, dropout=0.1, output_shape=4, attention_axes=1, seed=1),
    layers.GroupQueryAttention(2, 4, 2, dropout=0.1, seed=1),
)


def of_graphs() -> dict[str, bytes]:
    """A safetensors file of each graph, with and without operations, and one in Keras 2's words."""
    with lamella.backend_scope("numpy"):
        found = {name: safetensors.file_of(case.make(lamella)) for name, case in graph_models.GRAPHS.items()}
    config = configuration_of(found["residual"])
    for entry in config["config"]["layers"]:
        calls = [[item["config"]["keras_history"] for item in _inputs(node)] for node in entry["inbound_nodes"]]
        entry["inbound_nodes"] = [[[*history, {}] for history in call] for call in calls]
    return found | {"in words of Keras 2": with_configuration(found["residual"], config)}


def _inputs(node: Any) -> list[Any]:
    (given,) = node["args"]
    return given if isinstance(given, list) else [given]


def _with_layer(data: bytes, made: Any) -> bytes:
    config = configuration_of(data)
    config["config"]["layers"].append(serialization.serialize(made))
    return with_configuration(data, config)


def of_trainings() -> dict[str, bytes]:
    """An archive for each loss, metric, optimizer, schedule and initializer, regularizer and constraint of a Dense."""
    compiled: dict[str, dict[str, Any]] = {}
    for case in cases.LOSSES:
        compiled[f"loss {case.name}"] = {"loss": getattr(lamella.losses, case.name)(**case.kwargs)}
    for case in cases.METRICS:
        compiled[f"metric {case.name}"] = {"metrics": [getattr(lamella.metrics, case.name)(**case.kwargs)]}
    for name, cls in lamella.optimizers.TABLE.items():
        if isinstance(cls, type) and name == cls.__name__ and name not in ("MultiOptimizer", "LossScaleOptimizer"):
            compiled[f"optimizer {name}"] = {"optimizer": cls()}
    compiled["optimizer LossScale"] = {"optimizer": lamella.optimizers.LossScaleOptimizer("adam")}
    entries = lamella.optimizers.OptimizerMap("adam", {"dense/kernel": "sgd"})
    compiled["optimizer Multi"] = {"optimizer": lamella.optimizers.MultiOptimizer(entries)}
    for case in cases.SCHEDULES:
        rate = getattr(lamella.optimizers.schedules, case.name)(**case.kwargs)
        compiled[f"schedule {case.name}"] = {"optimizer": lamella.optimizers.SGD(rate)}
    options = [
        {f"kernel_{kind}": made()}
        for kind, module in (("initializer", lamella.initializers), ("regularizer", lamella.regularizers))
        for made in _classes(module)
    ] + [{"kernel_constraint": made()} for made in _classes(lamella.constraints)]
    models = {name: {} for name in compiled} | {f"option {i}": option for i, option in enumerate(options)}
    found = {}
    with lamella.backend_scope("numpy"):
        for name, option in models.items():
            model = lamella.Sequential([lamella.Input((3,)), lamella.layers.Dense(3, **option)])
            model.compile(**{"optimizer": "sgd", "loss": "mse", **compiled.get(name, {})})
            buffer = io.BytesIO()
            keras_archive.write(model, buffer)
            found[name] = buffer.getvalue()
    return found


def _classes(module: Any) -> list[type]:
    """The classes of a module of initializers, regularizers or constraints that a kernel (3, 3) may have."""
    found = []
    table = serialization.table_of(f"keras.{module.__name__.rpartition('.')[2]}") or {}
    for made in table.values():
        try:
            made()((3, 3), "float32") if module is lamella.initializers else made()
        except (TypeError, ValueError):
            continue
        found.append(made)
    return found


CALLBACKS: dict[str, dict[str, Any]] = {
    "ModelCheckpoint": {"filepath": "m.keras", "monitor": "loss", "verbose": 0, "save_best_only": True,
                        "save_weights_only": False, "mode": "auto", "save_freq": "epoch",
                        "initial_value_threshold": 0.5},
    "BackupAndRestore": {"backup_dir": "b", "save_freq": 3, "double_checkpoint": True, "delete_checkpoint": True},
    "EarlyStopping": {"monitor": "loss", "min_delta": 0.1, "patience": 2, "verbose": 0, "mode": "min", "baseline": 1.0,
                      "restore_best_weights": True, "start_from_epoch": 1},
    "ReduceLROnPlateau": {"monitor": "loss", "factor": 0.1, "patience": 10, "verbose": 0, "mode": "auto",
                          "min_delta": 0.0001, "cooldown": 0, "min_lr": 0.0},
    "CSVLogger": {"filename": "log.csv", "separator": ",", "append": False},
    "RemoteMonitor": {"root": "http://localhost:9000", "path": "/publish", "field": "data", "headers": None,
                      "send_as_json": False},
    "TensorBoard": {"log_dir": "logs", "histogram_freq": 0, "write_graph": False, "update_freq": "epoch"},
    "SwapEMAWeights": {"swap_on_epoch": False},
    "TerminateOnNaN": {},
}  # fmt: skip
"""Arguments of the callbacks. No file describes a callback: they are what a script may read from its own settings."""


def of_callbacks() -> dict[str, bytes]:
    """The arguments of each callback, as JSON."""
    return {name: json.dumps({"class": name, "config": config}).encode() for name, config in CALLBACKS.items()}


def made_callback(data: bytes) -> Any:
    """The callback of a description; an argument that it refuses in words is a refusal."""
    found = json.loads(data)
    name, config = (found.get("class"), found.get("config")) if isinstance(found, dict) else (None, None)
    if not isinstance(name, str) or name not in CALLBACKS or not isinstance(config, dict):
        raise FormatError("no callback")
    try:
        return getattr(callbacks, name)(**config)
    except (ValueError, TypeError) as error:
        raise FormatError(str(error)) from None


# ---- checkpoints: what is in the tree beside the arrays ----


def mutate_checkpoint(data: bytes, others: list[bytes], marks: list[int], rng: random.Random) -> bytes:
    """A checkpoint whose tree was changed: seed, steps, epochs, rates, the names of arrays, and what a callback added."""
    import zipfile

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    about = json.loads(members["tree.json"])
    members["tree.json"] = json.dumps(changed(about, [about], rng)).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, member in members.items():
            archive.writestr(name, member)
    return buffer.getvalue()

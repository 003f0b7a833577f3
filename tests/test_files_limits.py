"""No file costs more than its size: readers run in a process with limits of CPU time and memory.

The limits are ten times and more what an honest file of the same size costs, which is read under the same limits.
"""

from __future__ import annotations

import io
import json

import numpy as np
import pytest

pytest.importorskip("h5py")

import hostile_files
import lamella
from hostile_files import DENSE, SOUND, archive, layer, sequential
from lamella import layers
from lamella.errors import ArgumentError
from lamella.files import container, text
from lamella.files.hdf5 import source
from lamella.models import load_model, model_from_json
from lamella.saving import FormatError, safetensors
from limited_reader import MEGABYTE, outcomes

SIZE = 4_000_000
MEMORY = 500 * MEGABYTE


@pytest.fixture(autouse=True)
def on_numpy():
    with lamella.backend_scope("numpy"):
        yield


def read(tmp_path, files, seconds, memory=MEMORY):
    """What became of each of `files`, {name: bytes}."""
    jobs = []
    for i, (name, data) in enumerate(files.items()):
        path = tmp_path / f"{i}{'.json' if name.startswith('json') else '.keras'}"
        path.write_bytes(data)
        jobs.append(("json" if name.startswith("json") else "model", str(path), seconds, memory))
    found = dict(zip(files, outcomes(jobs), strict=False))
    assert list(found) == list(files), found
    assert not [told for told in found.values() if "MemoryError" in told], found
    return found


def texts() -> dict[str, str]:
    """JSON that was slow or large to scan, and an honest text of the same size."""
    escapes = '\\"' * (SIZE // 2 - 10)
    return {
        "a string that does not end": f'"{escapes}',
        "a string of escapes": f'["{escapes}"]',
        "one long string": f'["{"x" * SIZE}"]',
        "quotes": '"' * SIZE,
        "closing brackets": "]" * SIZE,
        "a key twice": "{" + ",".join(f'"k{i}":1' for i in range(150_000)) + ',"k149999":2}',
        "digits": "1" * SIZE,
        "a fraction": f"[0.{'1' * SIZE}]",
        "honest": json.dumps({f"key{i}": "v" * 15 for i in range(150_000)}),
    }


def tensors(header: str) -> bytes:
    encoded = header.encode()
    return len(encoded).to_bytes(8, "little") + encoded


def test_every_text_is_scanned_in_time_and_memory_of_its_size(tmp_path):
    files: dict[str, bytes] = {}
    for name, given in texts().items():
        files[f"json: {name}"] = given.encode()
    for name in ("a string that does not end", "one long string", "a key twice"):
        given = texts()[name]
        files[f"config.json: {name}"] = archive(given)
        metadata = io.BytesIO()
        parts = {"metadata.json": given.encode(), "config.json": b"{}", "model.weights.h5": SOUND}
        container.write(metadata, parts)
        files[f"metadata.json: {name}"] = metadata.getvalue()
        files[f"header: {name}"] = tensors('{"a":' + given.strip("[]"))
    found = read(tmp_path, files, seconds=3, memory=250 * MEGABYTE)
    assert {told.partition(":")[0] for told in found.values()} == {"FormatError"}


def test_info_on_an_exported_file_is_linear(tmp_path):
    path = tmp_path / "model.py"
    path.write_text("The model 'x', written by lamella 1.\n" + "A = np.array([\n" * 100_000)
    assert outcomes([("command", ["info", str(path)], 3, MEMORY)]) == ["loaded"]


def of_layers(count: int, named: bool) -> bytes:
    made = [layer("ReLU", {"name": f"r{i}"} if named else {}) for i in range(count)]
    return json.dumps(sequential(*made)).encode()


def of_cells(count: int) -> bytes:
    cells = [layer("SimpleRNNCell", {"units": 1}) for _ in range(count)]
    stacked = layer("RNN", {"name": "r", "cell": layer("StackedRNNCells", {"cells": cells})})
    return json.dumps(sequential(stacked, shape=(None, 3, 2))).encode()


def test_a_stack_of_cells_is_built_in_time_of_its_cells(tmp_path):
    assert read(tmp_path, {"json": of_cells(400)}, seconds=10) == {"json": "loaded"}


@pytest.mark.slow
def test_the_largest_models_are_built_in_time_of_their_layers(tmp_path):
    files = {
        "json: named": of_layers(9_999, True),
        "json: unnamed": of_layers(9_999, False),
        "json: cells": of_cells(999),
    }
    assert set(read(tmp_path, files, seconds=60).values()) == {"loaded"}


METRICS = {
    "AUC": [layer("AUC", {"num_thresholds": 2**31 - 1}, "keras.metrics")],
    "labels of an AUC": [layer("AUC", {"multi_label": True, "num_labels": 2**31 - 1}, "keras.metrics")],
    "PrecisionAtRecall": [
        layer("PrecisionAtRecall", {"recall": 0.5, "num_thresholds": 2**31 - 1}, "keras.metrics"),
    ],
    "MeanIoU": [layer("MeanIoU", {"num_classes": 2**31 - 1}, "keras.metrics")],
    "a thousand": [layer("AUC", {"num_thresholds": 1_000_000, "name": f"a{i}"}, "keras.metrics") for i in range(1000)],
}


def test_metrics_ask_for_no_more_than_a_file_may(tmp_path):
    def compiled(metrics):
        return archive(
            sequential(DENSE, compile_config={"optimizer": "adam", "loss": "mse", "metrics": metrics}), SOUND
        )

    files = {name: compiled(metrics) for name, metrics in METRICS.items()}
    found = read(tmp_path, files, seconds=3)
    assert all("larger than a file may ask for" in told for told in found.values()), found
    sound = [layer("AUC", {"name": f"a{i}"}, "keras.metrics") for i in range(100)]
    assert set(read(tmp_path, {"honest": compiled(sound)}, seconds=3).values()) == {"loaded"}


@pytest.mark.parametrize(("count", "key", "seconds"), [(1, ".*a.*a.*{}x", 2), (3000, "dense{}/.*", 6)])
def test_expressions_of_an_optimizer_map_are_matched_in_bounded_time(tmp_path, count, key, seconds):
    sgd = layer("SGD", {}, "keras.optimizers")
    entries = {"default_optimizer": sgd, "optimizer_map": {key.format(i): sgd for i in range(count)}}
    config = {"optimizer_map": layer("OptimizerMap", entries, "keras.optimizers")}
    training = {"optimizer": layer("MultiOptimizer", config, "keras.optimizers"), "loss": "mse"}
    dense = layer("Dense", {"name": "a" * 900, "units": 2})
    told = read(tmp_path, {"map": archive(sequential(dense, compile_config=training), SOUND)}, seconds)["map"]
    assert told == "loaded" if count > 1 else "steps to match" in told


def test_an_empty_array_has_no_giant_axis(tmp_path):
    entry = {"dtype": "F32", "shape": [2**62, 0], "data_offsets": [0, 0]}
    files = {
        "giant": tensors(json.dumps({"a": entry})),
        "safe": tensors(json.dumps({"a": {**entry, "shape": [2**40, 0]}})),
    }
    found = read(tmp_path, files, seconds=2)
    assert "too large" in found["giant"] and "no architecture" in found["safe"]


LARGE = {
    "repeated": ((4,), lambda: layers.RepeatVector(2**31 - 1)),
    "pooled": ((4, 4, 1), lambda: layers.MaxPooling2D(20_000, padding="same")),
    "padded": ((4, 4, 1), lambda: layers.ZeroPadding2D(2**30)),
    "input": ((2**31 - 1,), lambda: layers.ReLU()),
    "steps": ((2**30, 1), lambda: layers.LSTM(1)),
}


def test_commands_refuse_what_a_run_would_compute(tmp_path):
    jobs = []
    for name, (shape, made) in LARGE.items():
        path = tmp_path / f"{name}.safetensors"
        path.write_bytes(safetensors.file_of(lamella.Sequential([lamella.Input(shape), made()])))
        jobs += [("command", arguments, 4, MEMORY) for arguments in (
            ["verify", str(path)], ["convert", str(path), str(tmp_path / f"{name}_out.py")], ["summary", str(path)],
        )]  # fmt: skip
    found = outcomes(jobs)
    assert found[2::3] == ["loaded"] * len(LARGE), found
    for told in found[0::3] + found[1::3]:
        assert told.startswith("FormatError: lamella: ") and "are computed for a file" in told
        assert "\n" not in told and "MemoryError" not in told
    assert not list(tmp_path.glob("*.py"))


# ---- one rule for reading and writing


def nested(levels: int) -> lamella.Sequential:
    model = lamella.Sequential([lamella.Input((4,)), layers.Dense(2)])
    for _ in range(levels):
        model = lamella.Sequential([model])
    return model


@pytest.mark.parametrize("ending", ["keras", "h5", "safetensors", "weights.h5"])
def test_models_nested_as_deep_as_they_may_be_are_read(ending, tmp_path):
    model = nested(23)
    path = tmp_path / f"deep.{ending}"
    if ending == "weights.h5":
        model.save_weights(path)
        model.load_weights(path)
        return
    model.save(path)
    found = load_model(path)
    for a, b in zip(model.get_weights(), found.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_deeper_nesting_is_refused_in_a_sentence():
    with pytest.raises(ArgumentError, match="nested more than 24 deep"):
        nested(300)
    node = hostile_files.DENSE
    for _ in range(300):
        node = sequential(node)
    with pytest.raises(FormatError, match="nested more than 100 deep"):
        model_from_json(json.dumps(node))
    wrapped = layers.Dense(2)
    for _ in range(300):
        wrapped = layers.TimeDistributed(wrapped)
    with pytest.raises(ArgumentError, match="nested more than 24 deep"):
        lamella.Sequential([wrapped])


def test_what_is_written_can_be_read(tmp_path):
    model = lamella.Sequential([lamella.Input((2,)), layers.Dense(1), layers.Dropout(0.5, seed=2**63)])
    model.seed = 2**70 + 5
    model.compile("sgd", "mse")
    history = model.fit(np.ones((2, 2)), np.ones((2, 1)), verbose=0)
    history.epoch, history.history = list(range(300_000)), {"loss": [float(i) for i in range(300_000)]}
    model.save(tmp_path / "long.keras")
    found = load_model(tmp_path / "long.keras")
    assert found.history is not None
    assert found.history.epoch == list(range(250_000, 300_000)) and found.history.history["loss"][-1] == 299_999.0
    assert found.seed == 5


def test_a_model_larger_than_any_that_is_read_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(source, "MAX_THINGS", 30)
    model = lamella.Sequential([lamella.Input((2,)), *[layers.Dense(1) for _ in range(5)]])
    for path in (tmp_path / "large.keras", tmp_path / "large.h5", tmp_path / "large.weights.h5"):
        with pytest.raises(ValueError, match="more than 30 objects"):
            (model.save_weights if "weights" in path.name else model.save)(path)
    assert not list(tmp_path.iterdir())


def test_a_text_larger_than_any_that_is_read_is_not_written():
    with pytest.raises(ValueError, match=r"the thing has more than 200,000 entries"):
        text.written([0] * 200_001, "the thing")
    with pytest.raises(ValueError, match=r"the thing is nested more than 100 deep"):
        text.written(deep(101), "the thing")
    with pytest.raises(ValueError, match=r"the thing is nested more than 100 deep"):
        text.written(deep(5000), "the thing")
    assert text.parsed(text.written(deep(100), "the thing"), "it") == deep(100)


def deep(levels: int) -> list:
    found: list = []
    for _ in range(levels - 1):
        found = [found]
    return found


@pytest.mark.parametrize(
    ("given", "value"),
    [
        (r'"a\\"', "a\\"),
        (r'["\\\"", "[[{{", "]", 1]', ['\\"', "[[{{", "]", 1]),
        (r'{"\\": ",,,"}', {"\\": ",,,"}),
        ('"no structure"', "no structure"),
        ("18446744073709551615", 2**64 - 1),
        ("-9223372036854775808", -(2**63)),
    ],
)
def test_strings_do_not_lead_the_scanner_astray(given, value):
    assert text.parsed(given, "it") == value == json.loads(given)

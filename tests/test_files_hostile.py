"""No file hurts whoever opens it: it becomes a model or a `FormatError`, in little memory, and nothing is half loaded."""

from __future__ import annotations

import random
import time
import tracemalloc

import numpy as np
import pytest

import fuzz_configurations
import fuzz_files
import hostile_files
import lamella
from lamella.layers import Dense, configuration
from lamella.models import load_model, model_from_json
from lamella.saving import FormatError

FILES = hostile_files.advisories()


@pytest.fixture(autouse=True)
def on_numpy():
    with lamella.backend_scope("numpy"):
        yield


@pytest.mark.parametrize("name", FILES)
def test_a_hostile_file_is_refused_in_little_memory(name, tmp_path):
    path = tmp_path / "hostile.keras"
    path.write_bytes(FILES[name])
    tracemalloc.start()
    begun = time.process_time()
    try:
        with pytest.raises(FormatError, match=r"hostile\.keras") as caught:
            load_model(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2 * len(FILES[name]) + (32 << 20)
    assert time.process_time() - begun < 5 and len(str(caught.value)) < 3000
    assert [p.name for p in tmp_path.iterdir()] == ["hostile.keras"]


def test_the_sound_file_they_are_made_from_loads(tmp_path):
    path = tmp_path / "sound.keras"
    path.write_bytes(hostile_files.archive(hostile_files.sequential(hostile_files.DENSE), hostile_files.SOUND))
    assert load_model(path).output_shape == (None, 2)


def test_sixty_million_units_are_refused_in_milliseconds(tmp_path):
    path = tmp_path / "big.keras"
    path.write_bytes(FILES["60,000,000 units"])
    with pytest.raises(FormatError):
        load_model(path)  # what is imported at first use is imported now
    begun = time.process_time()
    with pytest.raises(FormatError, match=r"the model has 300,000,000 parameters, the file holds 10"):
        load_model(path)
    assert time.process_time() - begun < 0.2


@pytest.mark.parametrize("name", ["weights of another shape", "weights missing", "zip cut short"])
def test_a_model_stays_as_it_was_where_its_weights_are_refused(name, tmp_path):
    path = tmp_path / "bad.keras"
    path.write_bytes(FILES[name] if "shape" not in name else FILES["weights missing"][:-1] + b"x")
    model = lamella.Sequential([lamella.Input((4,)), Dense(3), Dense(2)])
    before = [w.copy() for w in model.get_weights()]
    with pytest.raises(FormatError):
        model.load_weights(path)
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_every_field_of_a_configuration_is_changed():
    """Values of every type reach each field."""
    seed = fuzz_configurations.of_callbacks()["EarlyStopping"]
    config = fuzz_configurations.configuration_of(seed)
    changed = {field: set() for field in config["config"]}
    for number in range(800):
        found = fuzz_configurations.changed(config, [config], random.Random(number))
        for field in changed if isinstance(found.get("config"), dict) else ():
            changed[field].add(type(found["config"].get(field)).__name__)
    assert all(kinds >= {"NoneType", "int", "float", "str", "list"} for kinds in changed.values()), changed


def test_every_layer_is_changed():
    """Every class of the catalogue but Lambda, whose function no file holds, is in one of the files."""
    found: set[str] = set()

    def visit(node):
        if isinstance(node, dict):
            found.add(str(node.get("class_name")))
        for item in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            visit(item)

    for data in fuzz_configurations.of_layers().values():
        visit(fuzz_configurations.configuration_of(data))
    assert set(configuration.layer_table()) - found == {"Lambda"}


def test_json_alone_may_not_ask_for_everything():
    text = lamella.Sequential([lamella.Input((4,)), Dense(2)]).to_json()
    with pytest.raises(FormatError, match=r"10,000,000,000 parameters"):
        model_from_json(text.replace('"units": 2', '"units": 2000000000'))
    with pytest.raises(FormatError, match="parameters"):
        model_from_json(text.replace('"units": 2', '"units": 1000000000'))


@pytest.mark.filterwarnings("ignore:.*the optimizer's state of Keras:UserWarning")
@pytest.mark.parametrize("kind", sorted(set(fuzz_files.KINDS) - {"hdf5", "layers"}))
def test_mutated_files_load_or_are_refused(kind):
    mutated(kind)


@pytest.mark.slow
def test_mutated_layers_load_or_are_refused():
    mutated("layers")


def mutated(kind):
    fuzz = fuzz_files.Fuzz(kind, seed=1)
    outcomes = [outcome for _, outcome in fuzz.outcomes(range(60))]
    assert not [outcome.fault for outcome in outcomes if outcome.fault]
    assert any(not outcome.loaded for outcome in outcomes)

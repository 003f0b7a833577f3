"""`model.export("net.stablehlo")`: one artifact for three platforms and any number of rows."""

from __future__ import annotations

import numpy as np
import pytest

import export_models
import lamella
from lamella import layers
from lamella.export.symbolic import answer_of
from layer_replay import difference
from test_export_numpy import OWN

jax = pytest.importorskip("jax")
pytest.importorskip("flatbuffers")
ROWS = (
    "stack-conv2d-max-pooling2d-flatten-dense",
    "lstm-return-sequences",
    "stack-embedding-mask-lstm",
    "conv2d-transpose-3",
    "lstm-mask-right",
)


def artifact(model, folder):
    from jax import export

    model.export(folder / "net.stablehlo")
    return export.deserialize(bytearray((folder / "net.stablehlo").read_bytes()))


def agrees(model, folder):
    exported = artifact(model, folder)
    assert exported.platforms == ("cpu", "cuda", "tpu")
    for x in export_models.batches(model):
        assert difference(np.asarray(exported.call(x)), answer_of(model, x)) <= 1e-5
    return exported


@pytest.mark.parametrize("id", ROWS)
def test_layers_give_their_numbers_for_several_numbers_of_rows(id, tmp_path):
    agrees(export_models.of_row(id), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("id", sorted(export_models.FAST))
def test_a_spread_of_the_catalogue(id, tmp_path):
    agrees(export_models.of_row(id), tmp_path)


@pytest.mark.parametrize("name", OWN)
def test_loops_branches_and_definitions(name, tmp_path):
    layer, shape = OWN[name]
    agrees(lamella.Sequential([lamella.Input(shape), layer()]), tmp_path)


def test_the_number_of_rows_is_a_symbol(tmp_path):
    exported = agrees(lamella.Sequential([lamella.Input((3,)), layers.Dense(2)]), tmp_path)
    assert [str(d) for d in exported.in_avals[0].shape] == ["batch", "3"]
    assert exported.in_avals[0].dtype == np.float32


@pytest.mark.parametrize("policy", ["float64", "mixed_bfloat16"])
def test_other_dtypes(policy, tmp_path):
    model = lamella.Sequential([lamella.Input((5,)), layers.Dense(4, "tanh", dtype=policy)])
    with jax.enable_x64(policy == "float64"):
        exported = artifact(model, tmp_path)
        for x in export_models.batches(model):
            found = np.asarray(exported.call(x), "float64")
            assert difference(found, answer_of(model, x)) <= (1e-9 if policy == "float64" else 2e-2)


def test_jax_takes_the_loaded_function_further(tmp_path):
    model = lamella.Sequential([lamella.Input((3,)), layers.Dense(2)])
    exported = artifact(model, tmp_path)
    x = export_models.batches(model)[0]
    np.testing.assert_allclose(jax.jit(exported.call)(x), answer_of(model, x), rtol=1e-6, atol=1e-6)

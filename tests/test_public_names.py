"""Every public name of Keras is one of lamella's, or answers in one sentence; docs/names.md says which."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lamella
from conftest import importable
from lamella.absent import ABSENT, reason

ROOT = Path(__file__).resolve().parents[1]
SPEC = importlib.util.spec_from_file_location("make_names", ROOT / "docs" / "make_names.py")
make_names = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(make_names)
NAMES = make_names.names()


def test_the_page_of_names_is_up_to_date():
    assert make_names.PAGE.read_text(encoding="utf-8") == make_names.page()


def test_every_name_is_there_or_answers_in_one_sentence():
    assert len(NAMES) > 1600
    for name in NAMES:
        try:
            make_names.looked_up(name)
        except AttributeError as error:
            assert re.fullmatch(r"lamella[\w.]* has no \w+: it [^\n]{20,}\.", str(error)), name


def test_no_sentence_is_told_of_a_name_that_is_there():
    """But a module's sentence may be for those of its names that are not there."""
    spaces = {name.rpartition(".")[0]: [] for name in NAMES}
    for name in NAMES:
        spaces[name.rpartition(".")[0]].append(make_names.is_present(name))
    assert [name for name in ABSENT if name not in spaces and make_names.is_present(name)] == []
    assert [name for name in ABSENT if name in spaces and all(spaces[name])] == []


def test_what_a_sentence_points_to_is_there():
    named = {name for why in ABSENT.values() for name in re.findall(r"`((?:losses|layers|ops|K)\.\w+)", why)}
    assert named >= {"losses.ctc", "ops.kaiser", "K.get_value"}
    assert [name for name in named if not make_names.is_present(name.replace("K.", "backend."))] == []
    assert "does not have" not in reason("ops.nn.ctc_loss")


@pytest.mark.parametrize("name", ["ops.fft", "ops.linalg.cholesky", "layers.AugMix", "utils.FeatureSpace", "Function",
                                  "config.max_epochs", "saving.KerasFileEditor", "export.ExportArchive",
                                  "tree.traverse"])  # fmt: skip
def test_an_absent_name_is_no_attribute_and_its_import_says_why(name):
    module, _, last = name.rpartition(".")
    place = f"lamella.{module}".rstrip(".")
    assert not hasattr(importlib.import_module(place), last)
    with pytest.raises(ImportError, match=re.escape(reason(name))):
        exec(f"from {place} import {last}")


@pytest.mark.parametrize("statement", ["import lamella.distillation", "from lamella.applications import VGG16",
                                       "from lamella.visualization import draw_bounding_boxes"])  # fmt: skip
def test_an_absent_module_says_why(statement):
    with pytest.raises(ModuleNotFoundError, match=r"lamella[\w.]* has no \w+: it .*\.$"):
        exec(statement)


def test_a_misspelt_name_is_told_the_nearest():
    for module, name, nearest in (
        (lamella, "Sequentail", "Sequential"),
        (lamella.ops, "concatenat", "concatenate"),
        (lamella.config, "set_float", "set_floatx"),
        (lamella.random, "unifrom", "uniform"),
        (lamella.saving, "load_modle", "load_model"),
    ):
        with pytest.raises(AttributeError, match=f"did you mean '{nearest}"):
            getattr(module, name)


def test_second_places_of_functions_are_the_functions():
    from lamella.ops.nn import relu
    from lamella.ops.numpy import mean

    assert (mean, relu, lamella.ops.linalg.norm) == (lamella.ops.mean, lamella.ops.relu, lamella.ops.norm)
    with pytest.raises(AttributeError, match=r"'lamella\.ops\.numpy' has no attribute '__path__'"):
        lamella.ops.numpy.__path__  # noqa: B018


def test_modules_are_there_after_the_import_of_lamella():
    """`lamella.saving` and its kin are not submodules that a script has to import first."""
    names = "saving.load_model saving.FormatError export.export utils.to_categorical random.normal dtype_policies.get"
    code = "import lamella\n" + "\n".join(f"lamella.{name}" for name in names.split())
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.slow
@pytest.mark.skipif(not importable("keras"), reason="Keras is not importable")
def test_the_names_are_still_those_of_keras():
    record = Path(__file__).parent / "oracle" / "record_names.py"
    done = subprocess.run([sys.executable, record, "--check"], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr

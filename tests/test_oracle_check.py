"""The checked-in answers are still Keras's: asked again where Keras is installed (`pip install 'lamella[oracle]'`)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from conftest import importable
from oracle import cases, load

RECORD = Path(__file__).parent / "oracle" / "record.py"
RECORD_OPS = RECORD.with_name("record_ops.py")
RECORD_SCRIPTS = RECORD.with_name("record_scripts.py")


@pytest.mark.slow
@pytest.mark.skipif(not importable("keras"), reason="Keras is not importable")
@pytest.mark.parametrize("kind", cases.TABLES)
def test_keras_still_answers_what_was_recorded(kind):
    done = subprocess.run([sys.executable, RECORD, "--check", kind], capture_output=True, text=True, timeout=3600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{kind}: {len(cases.TABLES[kind])} rows" in done.stdout


@pytest.mark.slow
@pytest.mark.skipif(not importable("keras"), reason="Keras is not importable")
@pytest.mark.parametrize("script", [RECORD_OPS, RECORD_SCRIPTS], ids=lambda path: path.stem)
def test_ops_and_scripts_still_give_what_was_recorded(script):
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, timeout=3600)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("kind", cases.TABLES)
def test_every_row_is_recorded_and_nothing_else(kind):
    ids = [case.id for case in cases.TABLES[kind]]
    assert len(set(ids)) == len(ids)
    assert {name.split("/")[0] for name in load.archive(kind)} == {"about", *ids}

"""Files go to Keras and come back, with every layer and optimizer, where Keras is installed (`lamella[oracle]`)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from conftest import importable

EXCHANGE = Path(__file__).parent / "oracle" / "exchange.py"


@pytest.mark.slow
@pytest.mark.skipif(not importable("keras"), reason="Keras is not importable")
@pytest.mark.parametrize("sweep", ["catalogue", "catalogue-h5", "free", "free-h5", "resumed", "resumed-h5"])
def test_what_one_library_writes_the_other_reads(sweep):
    done = subprocess.run([sys.executable, EXCHANGE, sweep], capture_output=True, text=True, timeout=3600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{sweep}: " in done.stdout and " 0 failures" in done.stdout

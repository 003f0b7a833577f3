"""`docs/count_scripts.py`, which counts the scripts whose names are all there."""

from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SPEC = importlib.util.spec_from_file_location("count_scripts", ROOT / "docs" / "count_scripts.py")
count_scripts = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(count_scripts)


def test_scripts_are_counted(tmp_path, capsys):
    (tmp_path / "names.txt").write_text(
        "seq: Sequential layers.core.Dense __version__\n"
        "seq: Sequential layers.AugMix layers.Nothing\n"
        "func: Input Model layers.AugMix backend.mean\n"
        "seq+func: Model optimizers.legacy.Adam utils.np_utils.to_categorical\n"
    )
    assert count_scripts.main([str(tmp_path / "names.txt")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Sequential alone: 1 of 2 scripts find every name (50.0%)"
    assert lines[1] == "all: 2 of 4 scripts find every name (50.0%)"
    assert lines[4:] == ["   2    1  layers.AugMix", "   1    0  layers.Nothing"]

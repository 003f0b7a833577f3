"""The notebooks of examples/ run from top to bottom, and the page that each becomes shows what the cells printed."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest

NOTEBOOKS = Path(__file__).parents[1] / "examples" / "notebooks"


def executed(run_python, name, folder, backend):
    """The HTML of a notebook that was run: nbconvert executes it with nbclient, and fails where a cell does."""
    environment = {"LAMELLA_BACKEND": backend, "IPYTHONDIR": str(folder), "JUPYTER_PLATFORM_DIRS": "1"}
    arguments = ("--to", "html", "--execute", "--ExecutePreprocessor.timeout=120", "--output-dir", folder)
    run_python("-m", "nbconvert", *arguments, NOTEBOOKS / f"{name}.ipynb", environment=environment)
    return (folder / f"{name}.html").read_text(encoding="utf-8")


def texts(page):
    """What a reader of the page sees, without the tags."""
    return html.unescape(re.sub(r"<[^>]+>", "", page))


def test_every_notebook_is_tested_and_saved_without_output():
    assert {path.stem for path in NOTEBOOKS.glob("*.ipynb")} == {"teaching", "tabular_data", "jax_functions"}
    for path in NOTEBOOKS.glob("*.ipynb"):
        text = path.read_text(encoding="utf-8")
        assert '"outputs": []' in text and '"output_type"' not in text and '"execution_count": 1' not in text, path.name


def test_the_notebook_for_teaching(run_python, tmp_path):
    page = executed(run_python, "teaching", tmp_path, "numpy")
    shown = texts(page)
    assert "contract(" in shown and "def " in shown
    by_program, by_difference = re.findall(r"by (?:the program|a difference) +(\S+)", shown)[-2:]
    assert float(by_program) == pytest.approx(float(by_difference), rel=1e-5)
    # the underscores of the epoch lines are characters, not emphasis
    lines = re.findall(r"[^\n]*binary_accuracy: [\d.]+ - loss: [\d.]+[^\n]*", shown)
    assert len(lines) == 3
    assert all("val_binary_accuracy: " in line and "val_loss: " in line for line in lines)
    assert "<em>" not in page.partition("<body")[2]
    assert "<svg" in page  # the curves of the history


def test_the_notebook_on_tabular_data(run_python, tmp_path):
    pytest.importorskip("pandas")
    pytest.importorskip("sklearn")
    shown = texts(executed(run_python, "tabular_data", tmp_path, "numpy"))
    assert float(re.search(r"mean absolute error ([\d.]+),", shown)[1]) < 0.3
    assert "val_mean_absolute_error" in shown


def test_the_notebook_on_jax(run_python, tmp_path):
    pytest.importorskip("jax")
    shown = texts(executed(run_python, "jax_functions", tmp_path, "jax"))
    assert float(re.search(r"loss [\d.]+ -> ([\d.]+)", shown)[1]) < 0.05

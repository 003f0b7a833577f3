"""docs/backends.md: up to date, and its example runs and conforms."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from lamella import backend_api
from lamella.ops import primitives as p
from lamella.testing import conformance

DOCS = Path(__file__).resolve().parents[1] / "docs"


@pytest.fixture(scope="module")
def maker():
    spec = importlib.util.spec_from_file_location("make_backends", DOCS / "make_backends.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_up_to_date(maker):
    text = (DOCS / "backends.md").read_text(encoding="utf-8")
    assert text == maker.page(), "run `python docs/make_backends.py`"


def test_every_op_and_member_is_on_the_page(maker):
    text = maker.page()
    for name in p.every_op():
        assert f"#### `{name}(" in text, name
    for name in ("prepare", "compile", "asarray", "numpy", "owns", "scope", "function", "runner", "evaluate", "apply"):
        assert f"#### `{name}(" in text, name
    assert f"version {backend_api.API_VERSION} of the backend API" in text


def test_the_example_runs_and_conforms(maker):
    example, check = re.findall(r"```python\n(.*?)```", maker.page(), re.DOTALL)
    names = {}
    exec(example, names)
    report = conformance.run(names["BACKEND"], quick=True, derivatives=False)
    assert report.passed, report
    assert names["BACKEND"].counts["softmax"] > 0
    exec(check, names)
    names["test_conformance"]()

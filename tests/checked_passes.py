"""A fixture under which the result of every pass is re-typed by the checker, whoever calls the pass."""

from __future__ import annotations

import functools
import sys

import pytest

from lamella import passes
from lamella.ir.check import check

PASSES = (
    "common_subexpressions",
    "dead_code",
    "differentiate",
    "expand",
    "fold_constants",
    "gradient_program",
    "peephole",
    "pool_first",
    "simplify",
)


@pytest.fixture(autouse=True)
def every_pass_is_checked(monkeypatch):
    """Replaces the passes wherever a module of lamella's holds them; the number of checks made is in `calls`."""
    calls = []
    for name in PASSES:
        original = getattr(passes, name, None) or getattr(sys.modules[f"lamella.passes.{name}"], name)
        original = getattr(original, name, original)  # the module, where the package names only that

        def checked(*arguments, __original=original, **keywords):
            result = check(__original(*arguments, **keywords))
            calls.append(__original.__name__)
            return result

        functools.update_wrapper(checked, original)
        for module in [m for key, m in sys.modules.items() if key.split(".")[0] in ("lamella", "lamella_numpy")]:
            if getattr(module, "__dict__", {}).get(name) is original:
                monkeypatch.setattr(module, name, checked)
    return calls

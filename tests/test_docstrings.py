"""The examples in docstrings say what happens."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import lamella
import lamella_numpy
from lamella.backend import backend_scope
from lamella.ir.program import Op


def with_examples():
    for package in (lamella, lamella_numpy):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            spec = found.module_finder.find_spec(found.name)
            if not found.ispkg and ">>>" in spec.loader.get_source(found.name):
                yield found.name


@pytest.mark.parametrize("name", list(with_examples()))
def test_examples_give_what_they_say(name):
    module, runner = importlib.import_module(name), doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    finder = doctest.DocTestFinder()
    examples = finder.find(module, name)
    for op in {id(x): x for x in vars(module).values() if isinstance(x, Op) and x.__module__ == name}.values():
        examples += finder.find(op, f"{name}.{op.name}", module=False, globs={})  # an object, which doctest passes over
    with backend_scope("numpy"):
        for example in examples:
            runner.run(example)
    result = runner.summarize(verbose=False)
    assert result.attempted and not result.failed

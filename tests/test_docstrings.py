"""The examples in docstrings say what happens."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil

import pytest

import lamella
import lamella_numpy
from documented import EXEMPT, MODULES, WITHOUT_EXAMPLE, missing, module_of, public_names
from lamella.backend import backend_scope
from lamella.ir.program import Op


class Finder(doctest.DocTestFinder):
    """Finds the examples of functions that are wrapped (`tracebacks.filtered`), too, which doctest takes for imported."""

    def _from_module(self, module, object):
        return super()._from_module(module, inspect.unwrap(object))


def with_examples():
    for package in (lamella, lamella_numpy):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            spec = found.module_finder.find_spec(found.name)
            if ">>>" in spec.loader.get_source(found.name):
                yield found.name
    yield "lamella"


@pytest.mark.parametrize("name", list(with_examples()))
def test_examples_give_what_they_say(name):
    module, runner = importlib.import_module(name), doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    finder = Finder()
    examples = finder.find(module, name)
    for op in {id(x): x for x in vars(module).values() if isinstance(x, Op) and x.__module__ == name}.values():
        examples += finder.find(op, f"{name}.{op.name}", module=False, globs={})  # an object, which doctest passes over
    with backend_scope("numpy"):
        for example in examples:
            runner.run(example)
    result = runner.summarize(verbose=False)
    assert result.attempted and not result.failed


@pytest.mark.parametrize("module", MODULES)
def test_public_callables_are_documented(module):
    assert not list(missing(module))


@pytest.mark.parametrize("module", ["activations", "constraints", "dtype_policies", "initializers", "layers", "losses",
                                    "metrics", "optimizers", "regularizers"])  # fmt: skip
def test_examples_of_serialization_give_what_they_say(module):
    # their docstrings are made by `core.registration`, where doctest does not look for them
    runner = doctest.DocTestRunner()
    for name in ("serialize", "deserialize"):
        function = getattr(module_of(module), name)
        for example in doctest.DocTestFinder().find(function, name, module=False, globs={}):
            runner.run(example)
    assert runner.summarize(verbose=False) == doctest.TestResults(0, 4)


def test_exceptions_from_documentation_exist():
    known = {f"{module}.{name}".lstrip(".") for module in MODULES for name in public_names(module_of(module))}
    assert {*EXEMPT, *WITHOUT_EXAMPLE} <= known

"""The examples in docstrings say what happens."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import lamella
import lamella_numpy
from documented import EXEMPT, MODULES, WITHOUT_EXAMPLE, missing, module_of, public_names
from lamella.backend import backend_scope

UNFINISHED = {*MODULES}
"""Public modules whose docstrings are still being completed."""


def with_examples():
    for package in (lamella, lamella_numpy):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            spec = found.module_finder.find_spec(found.name)
            if not found.ispkg and ">>>" in spec.loader.get_source(found.name):
                yield found.name


@pytest.mark.parametrize("name", list(with_examples()))
def test_examples_give_what_they_say(name):
    with backend_scope("numpy"):
        result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.attempted and not result.failed


@pytest.mark.parametrize("module", [name for name in MODULES if name not in UNFINISHED])
def test_public_callables_are_documented(module):
    assert not list(missing(module))


def test_exceptions_from_documentation_exist():
    known = {f"{module}.{name}".lstrip(".") for module in MODULES for name in public_names(module_of(module))}
    assert {*EXEMPT, *WITHOUT_EXAMPLE} <= known

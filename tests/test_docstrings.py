"""The examples in docstrings say what happens."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import lamella
import lamella_numpy
from lamella.backend import backend_scope


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

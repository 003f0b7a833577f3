"""Small data sets for examples and tests, with Keras's names, files and arrays, and `digits`, which needs no network.

Keras keeps its downloads in `~/.keras/datasets`, and so does lamella: what one has downloaded serves the other. Each module
says where its data come from, what their license is, and what they are not fit for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from lamella.absent import no_attribute

if TYPE_CHECKING:
    from lamella.datasets import boston_housing as boston_housing
    from lamella.datasets import california_housing as california_housing
    from lamella.datasets import cifar10 as cifar10
    from lamella.datasets import cifar100 as cifar100
    from lamella.datasets import digits as digits
    from lamella.datasets import fashion_mnist as fashion_mnist
    from lamella.datasets import imdb as imdb
    from lamella.datasets import mnist as mnist
    from lamella.datasets import reuters as reuters

__all__ = [
    "boston_housing",
    "california_housing",
    "cifar10",
    "cifar100",
    "digits",
    "fashion_mnist",
    "imdb",
    "mnist",
    "reuters",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return importlib.import_module(f"lamella.datasets.{name}")
    raise no_attribute(__name__, name, __all__)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

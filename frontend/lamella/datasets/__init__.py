"""Small data sets for examples and tests, with Keras's names, files and arrays, and `digits`, which needs no network.

Like Keras, lamella stores downloads in `~/.keras/datasets`, so they are shared. Each module documents the source of its
data, their license and known harms.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamella.names import lazily

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

if not TYPE_CHECKING:
    _, __getattr__, __dir__ = lazily(__name__, {}, __all__)

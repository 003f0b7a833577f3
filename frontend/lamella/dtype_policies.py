"""Dtype policies under Keras's names: the dtypes of a layer's variables and computations."""

from typing import TYPE_CHECKING

from lamella.absent import refusing
from lamella.core import registration
from lamella.core.dtype_policy import DTypePolicy as DTypePolicy

FloatDTypePolicy = DTypePolicy
get = DTypePolicy.of
serialize, deserialize = registration.for_module("keras", get)

__all__ = ["DTypePolicy", "FloatDTypePolicy", "deserialize", "get", "serialize"]

if not TYPE_CHECKING:
    __getattr__ = refusing(__name__)

"""How exactly JAX multiplies float32 numbers: as lamella is told, else as JAX is told, else truly in float32."""

from __future__ import annotations

import weakref
from typing import Any

import jax
import numpy as np
from jax import lax

from lamella.ir import settings

_PRECISIONS = {"highest": lax.Precision.HIGHEST, "high": lax.Precision.HIGH, "default": lax.Precision.DEFAULT}

_COMPILED: weakref.WeakSet[Any] = weakref.WeakSet()


def precision_for(dtype: Any) -> lax.Precision | None:
    """The precision of a product or convolution of arrays of `dtype`; None leaves it to JAX."""
    if dtype != np.float32:
        return None
    chosen = settings.chosen_matmul_precision()
    if chosen is None and jax.config.jax_default_matmul_precision is not None:  # type: ignore[reportAttributeAccessIssue]
        return None
    return _PRECISIONS[chosen or "highest"]


def remembered(compiled: Any) -> Any:
    """`compiled`, a jitted function or a cache of them, which is emptied when the precision changes."""
    _COMPILED.add(compiled)
    return compiled


def _forget() -> None:
    for compiled in list(_COMPILED):
        (compiled.clear_cache if hasattr(compiled, "clear_cache") else compiled.clear)()


settings.WHEN_PRECISION_CHANGES.append(_forget)

__all__ = ["precision_for", "remembered"]

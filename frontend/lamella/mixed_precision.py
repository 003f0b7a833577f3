"""Keras's names for dtype policies: what layers compute in, and what their weights are stored in."""

from lamella.core.dtype_policy import DTypePolicy as _Class
from lamella.core.dtype_policy import global_policy as global_policy
from lamella.core.dtype_policy import set_global_policy as set_global_policy
from lamella.optimizers.loss_scale import LossScaleOptimizer as LossScaleOptimizer

DTypePolicy = Policy = _Class.of
dtype_policy = global_policy
set_dtype_policy = set_global_policy

__all__ = [
    "DTypePolicy",
    "LossScaleOptimizer",
    "Policy",
    "dtype_policy",
    "global_policy",
    "set_dtype_policy",
    "set_global_policy",
]

"""Keras's names for dtype policies: what layers compute in, and what their weights are stored in."""

from lamella.layers import policy
from lamella.optimizers.loss_scale import LossScaleOptimizer as LossScaleOptimizer

DTypePolicy = Policy = policy.Policy.of
dtype_policy = global_policy = policy.global_policy
set_dtype_policy = set_global_policy = policy.set_global_policy

__all__ = [
    "DTypePolicy",
    "LossScaleOptimizer",
    "Policy",
    "dtype_policy",
    "global_policy",
    "set_dtype_policy",
    "set_global_policy",
]

"""Mixed precision under Keras's names: dtype policies and loss scaling."""

from typing import TYPE_CHECKING

from lamella.absent import refusing
from lamella.core.dtype_policy import DTypePolicy as DTypePolicy
from lamella.core.dtype_policy import global_policy as global_policy
from lamella.core.dtype_policy import set_global_policy as set_global_policy
from lamella.optimizers.loss_scale import LossScaleOptimizer as LossScaleOptimizer

Policy = DTypePolicy
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


if not TYPE_CHECKING:
    __getattr__ = refusing(__name__)

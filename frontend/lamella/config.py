"""Process-wide settings: the backend, the default float dtype, checks."""

from lamella.backend_api import current_backend as backend
from lamella.backend_api import set_backend as set_backend
from lamella.core.dtype_policy import global_policy as dtype_policy
from lamella.core.dtype_policy import set_global_policy as set_dtype_policy
from lamella.ir.settings import epsilon as epsilon
from lamella.ir.settings import floatx as floatx
from lamella.ir.settings import set_check_nan as set_check_nan
from lamella.ir.settings import set_epsilon as set_epsilon
from lamella.ir.settings import set_floatx as set_floatx

__all__ = [
    "backend",
    "dtype_policy",
    "epsilon",
    "floatx",
    "set_backend",
    "set_check_nan",
    "set_dtype_policy",
    "set_epsilon",
    "set_floatx",
]

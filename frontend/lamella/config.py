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
from lamella.tracebacks import disable_traceback_filtering as disable_traceback_filtering
from lamella.tracebacks import enable_traceback_filtering as enable_traceback_filtering
from lamella.tracebacks import is_traceback_filtering_enabled as is_traceback_filtering_enabled

__all__ = [
    "backend",
    "disable_traceback_filtering",
    "dtype_policy",
    "enable_traceback_filtering",
    "epsilon",
    "floatx",
    "is_traceback_filtering_enabled",
    "set_backend",
    "set_check_nan",
    "set_dtype_policy",
    "set_epsilon",
    "set_floatx",
]

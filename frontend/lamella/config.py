"""Process-wide settings: backend, default float dtype, image layout, precision, checks and logging."""

from typing import TYPE_CHECKING as _TYPE_CHECKING

from lamella.absent import refusing as _refusing
from lamella.backend_api import current_backend as backend
from lamella.backend_api import set_backend as set_backend
from lamella.core.dtype_policy import global_policy as dtype_policy
from lamella.core.dtype_policy import set_global_policy as set_dtype_policy
from lamella.ir.settings import disable_flash_attention as disable_flash_attention
from lamella.ir.settings import enable_flash_attention as enable_flash_attention
from lamella.ir.settings import epsilon as epsilon
from lamella.ir.settings import floatx as floatx
from lamella.ir.settings import image_data_format as image_data_format
from lamella.ir.settings import is_flash_attention_enabled as is_flash_attention_enabled
from lamella.ir.settings import matmul_precision as matmul_precision
from lamella.ir.settings import set_check_nan as set_check_nan
from lamella.ir.settings import set_epsilon as set_epsilon
from lamella.ir.settings import set_floatx as set_floatx
from lamella.ir.settings import set_image_data_format as set_image_data_format
from lamella.ir.settings import set_matmul_precision as set_matmul_precision
from lamella.tracebacks import disable_traceback_filtering as disable_traceback_filtering
from lamella.tracebacks import enable_traceback_filtering as enable_traceback_filtering
from lamella.tracebacks import is_traceback_filtering_enabled as is_traceback_filtering_enabled

__all__ = [
    "backend",
    "disable_flash_attention",
    "disable_interactive_logging",
    "disable_traceback_filtering",
    "dtype_policy",
    "enable_flash_attention",
    "enable_interactive_logging",
    "enable_traceback_filtering",
    "epsilon",
    "floatx",
    "image_data_format",
    "is_flash_attention_enabled",
    "is_interactive_logging_enabled",
    "is_traceback_filtering_enabled",
    "matmul_precision",
    "set_backend",
    "set_check_nan",
    "set_dtype_policy",
    "set_epsilon",
    "set_floatx",
    "set_image_data_format",
    "set_matmul_precision",
]


def disable_interactive_logging() -> None:
    """Send the progress of `fit`, `evaluate` and `predict` to the logger "lamella", at level INFO.

    Example:
        >>> disable_interactive_logging()
        >>> is_interactive_logging_enabled()
        False
        >>> enable_interactive_logging()
    """
    from lamella import console  # not needed to describe a model

    console.LOGGED = True


def enable_interactive_logging() -> None:
    """Write the progress of `fit`, `evaluate` and `predict` to the terminal or the notebook; the default.

    Example:
        >>> enable_interactive_logging()
        >>> is_interactive_logging_enabled()
        True
    """
    from lamella import console

    console.LOGGED = False


def is_interactive_logging_enabled() -> bool:
    """Return whether progress is written to the terminal or the notebook.

    Returns:
        A bool; True by default.

    Example:
        >>> is_interactive_logging_enabled()
        True
    """
    from lamella import console

    return not console.LOGGED


if not _TYPE_CHECKING:
    __getattr__ = _refusing(__name__)

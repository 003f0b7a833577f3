"""A call of a function that is written in the framework of a backend.

The op is not in the table of ops, and backends need not have it: a program with such a call runs only on a backend of
the function's framework.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lamella.errors import BackendError
from lamella.ir.program import Op
from lamella.ir.spec import Spec

if TYPE_CHECKING:
    from lamella.ir.types import Tensor


def _rule(x: Spec, *, function: Callable[[Any], Any], dtype: str) -> Spec:
    """function(x), a scalar in `dtype`; the function is traced by the backend's framework."""
    return Spec((), dtype)


framework_call = Op("framework_call", _rule, differentiable=False)


@framework_call.define
def _(x: Tensor, *, function: Callable[[Any], Any], dtype: str) -> Any:
    name = getattr(function, "__qualname__", None) or repr(function)
    raise BackendError(
        f"the function {name!r} is written in JAX (as optax's schedules are), and this backend does not run JAX: write it "
        "in `lamella.ops`, use one of `lamella.optimizers.schedules`, or compile with `backend='jax'`."
    )

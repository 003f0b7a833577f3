"""Dtype policies: what a layer's variables are stored in and what it computes in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lamella.errors import unknown_name
from lamella.ir import settings
from lamella.ir.spec import DTYPES, dtype_name, is_float

if TYPE_CHECKING:
    from lamella.ir.types import Plain

_MIXED = {"mixed_bfloat16": "bfloat16", "mixed_float16": "float16"}
_GLOBAL: dict[str, Any] = {}


@dataclass(frozen=True, init=False)
class DTypePolicy:
    """A policy such as "float32" or "mixed_bfloat16".

    >>> policy = DTypePolicy("mixed_float16")
    >>> policy.variable_dtype, policy.compute_dtype
    ('float32', 'float16')

    Args:
        name: a dtype or the name of a mixed policy; None is the policy in force.

    Attributes:
        name: its name.
        variable_dtype: the dtype of weights.
        compute_dtype: the dtype of a layer's inputs, of its weights as it reads them, and of its outputs.
    """

    name: str
    variable_dtype: str
    compute_dtype: str

    def __init__(self, name: Any = None) -> None:
        found = _found(name)
        for word, value in zip(("name", "variable_dtype", "compute_dtype"), found, strict=True):
            object.__setattr__(self, word, value)

    @property
    def cast_to(self) -> str | None:
        """The dtype that float inputs and weights are cast to."""
        return self.compute_dtype if is_float(self.compute_dtype) else None

    def get_config(self) -> dict[str, Any]:
        """The policy's name."""
        return {"name": self.name}

    @staticmethod
    def from_config(config: dict[str, Any]) -> DTypePolicy:
        """The policy that `get_config` described."""
        return DTypePolicy.of(config["name"])

    @staticmethod
    def of(dtype: Any) -> DTypePolicy:
        """The policy a user named: None for the one in force, a dtype, a mixed policy's name, or a policy.

        Raises:
            UnknownNameError: it is no policy; the nearest known name is given.
        """
        return dtype if isinstance(dtype, DTypePolicy) else DTypePolicy(dtype)


def _found(dtype: DTypePolicy | Plain) -> tuple[str, str, str]:
    """The name of a policy, the dtype of its variables and that of its computations."""
    config = dtype.get("config") if isinstance(dtype, dict) else None
    if isinstance(config, dict):
        dtype = config.get("name")  # as a configuration describes a policy
    if dtype is None:
        dtype = _GLOBAL.get("policy") or settings.floatx()
    if isinstance(dtype, DTypePolicy):
        return dtype.name, dtype.variable_dtype, dtype.compute_dtype
    if isinstance(dtype, str) and dtype in _MIXED:
        return dtype, "float32", _MIXED[dtype]
    if isinstance(dtype, str) and dtype not in DTYPES:
        raise unknown_name("dtype policy", dtype, [*DTYPES, *_MIXED])
    name = dtype_name(dtype)
    return name, name, name


def set_global_policy(dtype: Any) -> None:
    """Use `dtype` (a dtype, "mixed_bfloat16" ...) for layers made from now on that name none; None: `floatx`."""
    _GLOBAL["policy"] = None if dtype is None else DTypePolicy.of(dtype)


def global_policy() -> DTypePolicy:
    """The policy of layers that name none."""
    return DTypePolicy.of(None)

"""Dtype policies: the dtype of a layer's variables and that of its computations."""

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
    """A dtype policy such as "float32" or "mixed_bfloat16".

    Args:
        name: a dtype, or "mixed_bfloat16" or "mixed_float16"; None for the global policy.

    Attributes:
        name: the name of the policy.
        variable_dtype: the dtype of weights.
        compute_dtype: the dtype of a layer's inputs and outputs, and of weights in computations.

    Raises:
        UnknownNameError: there is no such policy; the message suggests the nearest name.

    Example:
        >>> policy = DTypePolicy("mixed_float16")
        >>> policy.variable_dtype, policy.compute_dtype
        ('float32', 'float16')
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
        """The dtype that float inputs and weights are cast to; None if `compute_dtype` is not a float dtype."""
        return self.compute_dtype if is_float(self.compute_dtype) else None

    def get_config(self) -> dict[str, Any]:
        """Return the configuration, for `from_config`."""
        return {"name": self.name}

    @staticmethod
    def from_config(config: dict[str, Any]) -> DTypePolicy:
        """Return the policy that `get_config` described.

        Args:
            config: the configuration.
        """
        return DTypePolicy.of(config["name"])

    @staticmethod
    def of(dtype: Any) -> DTypePolicy:
        """Return the policy that an argument `dtype` selects.

        Args:
            dtype: a dtype, the name of a mixed policy, a policy, or None for the global policy.

        Returns:
            The policy.

        Raises:
            UnknownNameError: there is no such policy; the message suggests the nearest name.

        Example:
            >>> DTypePolicy.of("mixed_bfloat16").compute_dtype
            'bfloat16'
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
    """Set the policy of layers that are created from now on without a `dtype`.

    Args:
        dtype: a dtype, the name of a mixed policy, a policy, or None for `config.floatx()`.

    Raises:
        UnknownNameError: there is no such policy; the message suggests the nearest name.

    Example:
        >>> set_global_policy("mixed_bfloat16")
        >>> global_policy().compute_dtype
        'bfloat16'
        >>> set_global_policy(None)
    """
    _GLOBAL["policy"] = None if dtype is None else DTypePolicy.of(dtype)


def global_policy() -> DTypePolicy:
    """Return the policy of layers that are created without a `dtype`.

    Returns:
        The policy that `set_global_policy` set, otherwise `config.floatx()`.

    Example:
        >>> global_policy().name
        'float32'
    """
    return DTypePolicy.of(None)

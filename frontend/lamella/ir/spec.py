"""Shapes and dtypes: what is known of a value before any number is.

One promotion table for every backend is here: `promote` is the only place that decides which dtype two operands
meet in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lamella.errors import DTypeError
from lamella.ir.dim import Dimension, at, public_shape, shapes_differ

# name -> (kind, bits); the kinds are NumPy's letters: b(ool), u(nsigned), i(nteger), f(loat)
DTYPES: dict[str, tuple[str, int]] = {
    "bool": ("b", 1),
    "uint8": ("u", 8),
    "uint16": ("u", 16),
    "uint32": ("u", 32),
    "uint64": ("u", 64),
    "int8": ("i", 8),
    "int16": ("i", 16),
    "int32": ("i", 32),
    "int64": ("i", 64),
    "float16": ("f", 16),
    "bfloat16": ("f", 16),
    "float32": ("f", 32),
    "float64": ("f", 64),
}

Shape = tuple[Any, ...]
"""The size of each dimension, an `int` or a `Dim`; both have the arithmetic of sizes, so most code takes either."""

# NumPy computes a dtype's name at every access, which takes longer than a small op
_NAMES: dict[Any, str] = {np.dtype(name): name for name in DTYPES if name != "bfloat16"}
_LOADERS: list[Callable[[Any], bool]] = []


def register_dtypes(names: Mapping[Any, str]) -> None:
    """Let `dtype_name` know the dtypes of a framework: `names` maps each of them to a name from `DTYPES`.

    Raises:
        DTypeError: a name is not in `DTYPES`.
    """
    for name in names.values():
        if name not in DTYPES:
            raise DTypeError(f"{name!r} is not a dtype lamella computes with; it knows {', '.join(DTYPES)}.")
    _NAMES.update(names)


def register_dtype_loader(load: Callable[[Any], bool]) -> None:
    """Set what loads the backend of a dtype that `dtype_name` does not know, and says whether there was one to load."""
    _LOADERS[:] = [load]


def dtype_name(dtype: Any) -> str:
    """The name of a dtype given as a string, a NumPy dtype, a dtype that a backend declares, or anything with a `name`.

    Raises:
        DTypeError: it is not a dtype lamella computes with.
    """
    if isinstance(dtype, str) and dtype in DTYPES:
        return dtype
    try:
        return _NAMES[dtype]
    except (KeyError, TypeError):  # not among them, or not hashable
        name = getattr(dtype, "name", None)
    if not isinstance(name, str):
        try:
            name = np.dtype(dtype).name
        except TypeError:
            name = str(dtype)
    if name not in DTYPES:
        if any(load(dtype) for load in _LOADERS):
            return dtype_name(dtype)
        raise DTypeError(f"{name!r} is not a dtype lamella computes with; it knows {', '.join(DTYPES)}.")
    return name


def numpy_dtype(dtype: str) -> np.dtype[Any]:
    """The NumPy dtype that stores `dtype`; bfloat16, which NumPy lacks, is stored (already rounded) in float32."""
    return np.dtype("float32" if dtype == "bfloat16" else dtype)


def is_float(dtype: str) -> bool:
    """Whether `dtype` is a floating-point dtype."""
    return DTYPES[dtype][0] == "f"


def is_integer(dtype: str) -> bool:
    """Whether `dtype` is a signed or unsigned integer dtype (bool is neither)."""
    return DTYPES[dtype][0] in "ui"


def promote(*dtypes: str) -> str:
    """The dtype that operands of `dtypes` meet in: bool < integers < floats, the wider of one kind.

    float16 with bfloat16 meet in float32; an unsigned with a signed integer in the next signed one that holds both
    (at most int64); an integer never widens a float.
    """
    result = dtypes[0]
    for other in dtypes[1:]:
        result = _promote2(result, other)
    return result


def _promote2(a: str, b: str) -> str:
    if a == b:
        return a
    (kind_a, bits_a), (kind_b, bits_b) = DTYPES[a], DTYPES[b]
    if kind_a == "f" or kind_b == "f":
        if kind_a != kind_b:
            return a if kind_a == "f" else b
        if bits_a == bits_b:
            return "float32"
        return a if bits_a > bits_b else b
    if kind_a == "b":
        return b
    if kind_b == "b":
        return a
    if kind_a == kind_b:
        return a if bits_a > bits_b else b
    signed, unsigned = (bits_a, bits_b) if kind_a == "i" else (bits_b, bits_a)
    return f"int{signed if signed > unsigned else min(64, 2 * unsigned)}"


def size_of(shape: Iterable[Dimension]) -> Any:
    """The number of elements of `shape`."""
    total: Any = 1
    for dim in shape:
        total = total * dim
    return total


@dataclass(frozen=True, slots=True)
class Spec:
    """The shape and the dtype of a value.

    Attributes:
        shape: the size of each dimension, a `Dim` where it is left free; `()` for a scalar.
        dtype: a name from `DTYPES`.
    """

    shape: Shape
    dtype: str

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self.shape)

    @property
    def size(self) -> Any:
        """The number of elements."""
        return size_of(self.shape)

    def at(self, sizes: Mapping[str, Any]) -> Spec:
        """The spec for sizes of free dimensions."""
        return Spec(tuple(at(d, sizes) for d in self.shape), self.dtype)

    def __str__(self) -> str:
        return f"{self.dtype}[{','.join(map(str, public_shape(self.shape)))}]"


def specs_differ(a: Iterable[Spec], b: Iterable[Spec]) -> bool:
    """Whether two lists of specs have different lengths, or specs that no sizes of free dimensions make equal."""
    a, b = tuple(a), tuple(b)
    return a != b and (
        len(a) != len(b)
        or any(x.dtype != y.dtype or shapes_differ(x.shape, y.shape) for x, y in zip(a, b, strict=True))
    )


def spec_of(x: Any) -> Spec:
    """The spec of a symbolic value, a variable, or an array of any framework.

    Raises:
        DTypeError: `x` has no shape and dtype.
    """
    spec = getattr(x, "spec", None)
    if isinstance(spec, Spec):
        return spec
    try:
        return Spec(tuple(x.shape), dtype_name(x.dtype))
    except AttributeError:
        raise DTypeError(f"expected an array or a lamella value, got {type(x).__name__}.") from None

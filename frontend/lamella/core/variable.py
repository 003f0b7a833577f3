"""Variables: the weights and the state that layers own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lamella import host_random, ops
from lamella.backend_api import distribution_in_force, load_backend, to_numpy
from lamella.backend_api.placement import Index
from lamella.core import context, freezing, serialization
from lamella.errors import ArgumentError, ShapeError
from lamella.ir import settings
from lamella.ir.program import Value
from lamella.ir.spec import Shape, Spec, dtype_name, is_float, numpy_dtype, spec_of
from lamella.ir.trace import eagerly
from lamella.names import Name

_AGGREGATIONS = ("none", "mean", "sum", "only_first_replica")


class Variable:
    """One array that belongs to a layer: read in `call`, changed by training or by `assign`.

    A layer makes its weights with `add_weight`; a `Variable` that a layer keeps in an attribute is one of its weights, too.

    >>> import lamella
    >>> total = lamella.Variable([1.0, 2.0], trainable=False)
    >>> _ = total.assign_add([1.0, 1.0])
    >>> total.numpy().tolist(), total.dtype
    ([2.0, 3.0], 'float32')

    Args:
        initializer: the first value, or what draws it: an initializer, its name, or a function `(shape, dtype)`.
        shape: its shape, where the first value is to be drawn.
        dtype: its dtype; by default that of the value, `floatx` for floats and int32 for integers.
        trainable: whether an optimizer may change it; False for state that `call` assigns.
        autocast: whether a layer of a mixed policy reads it in its compute dtype.
        aggregation: of copies on several devices: "none", "mean", "sum" or "only_first_replica"; there is one copy.
        synchronization: likewise, "auto".
        name: its name within the layer ("kernel"), numbered where it is taken.
        regularizer: a penalty added to the loss, or None.
        constraint: applied to the value after each optimizer step, or None.

    Attributes:
        spec: shape and dtype; `shape` and `dtype` for short.
        path: the path within the model that it was built in ("dense/kernel"); its name where that is not known.
        is_free: whether the user made it, not `add_weight`: the layer that keeps it in an attribute makes it a weight.
        place: the backend that the value is known to be an array of, as it wants it; None where that was not looked at.
        lent: whether the array may be referenced outside lamella, so that its memory must not be reused.
        distribution: what says on which devices it is placed, the one in force when it was made; None for one device.

    Raises:
        ArgumentError: the first value is to be drawn and there is no shape, or it has another shape than is given.
    """

    name: str = Name("a weight")  # type: ignore[assignment]

    def __init__(
        self,
        initializer: Any,
        shape: Sequence[int] | None = None,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        aggregation: str = "none",
        synchronization: str = "auto",
        name: str | None = None,
        *,
        regularizer: Callable[[Any], Any] | None = None,
        constraint: Callable[[Any], Any] | None = None,
    ) -> None:
        if aggregation not in _AGGREGATIONS or synchronization != "auto":
            raise ArgumentError(
                f"Variable: aggregation is one of {', '.join(map(repr, _AGGREGATIONS))}, and synchronization 'auto'; got "
                f"{aggregation!r} and {synchronization!r}."
            )
        if isinstance(initializer, str):
            initializer = serialization.class_named(initializer, "keras.initializers")()
        value = None if callable(initializer) else _first_value(initializer, dtype)
        if value is None and shape is None:
            raise ArgumentError(f"Variable: shape must be given where {initializer!r} draws the first value.")
        if value is not None and shape is not None and tuple(shape) != value.shape:
            raise ShapeError(f"Variable: the first value has shape {value.shape}, expected shape={tuple(shape)}.")
        self.name = self.path = "variable" if name is None else name
        kind = dtype_name(dtype or (settings.floatx() if value is None else value.dtype.name))
        self.spec = Spec(tuple(int(d) for d in (shape or () if value is None else value.shape)), kind)
        self._trainable = bool(trainable)
        self.autocast, self.aggregation = bool(autocast), aggregation
        self.initializer: Any = initializer if value is None else _giving(value)
        self.regularizer = regularizer
        self.constraint = constraint
        self._held: Any = value
        self.is_free = True
        self.place: str | None = None
        self.lent = True
        self.distribution = distribution_in_force()
        self._key: tuple[np.ndarray, str] | None = None

    @property
    def trainable(self) -> bool:
        """Whether an optimizer may change it."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        freezing.changed()

    @property
    def shape(self) -> Shape:
        """The shape."""
        return self.spec.shape

    @property
    def dtype(self) -> str:
        """The dtype's name."""
        return self.spec.dtype

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self.spec.shape)

    def initialize(self, key: np.ndarray, path: str) -> None:
        """Give the variable its first value: now, or, where nobody can tell the difference, when it is first read.

        The draws are a function of `key`, uint32[2], with `path` folded in.

        Raises:
            ValueError: the initializer makes no values of this shape.
        """
        self.path = path
        if getattr(self.initializer, "takes_key", False):
            self.initializer.check(self.shape)
        if self.distribution is not None:
            self.distribution.layout_of(self)  # refuses what does not divide
        if getattr(self.initializer, "deferred", False):
            self._key = (key, path)
        else:
            self._held = self.draw(host_random.fold(key, path))

    def claim(self, key: np.ndarray, path: str) -> None:
        """Be the weight of a model under `path`, drawn from the model's `key`, where it is not one already.

        A layer that is called with declared values makes its weights without values; the first model that has the layer
        says which.
        """
        if self._held is None and self._key is None:
            self.initialize(key, path)

    @property
    def _value(self) -> Any:
        if self._held is None:
            if self._key is None:  # no layer draws it, and no model has claimed it
                self._key = (host_random.key_from_seed(host_random.next_seed()), self.path)
            with context.entered(None), eagerly():
                key = host_random.fold(*self._key)
                self._held = self.draw(key) if self.distribution is None else self.distribution.drawn(self, key)
        return self._held

    @_value.setter
    def _value(self, value: Any) -> None:
        self._held, self.place, self.lent = value, None, True

    def take(self, value: Any) -> None:
        """Hold an array that a training step made, which is referenced nowhere else until `value` is read."""
        self._held, self.place, self.lent = value, None, False

    def withdraw(self) -> Any:
        """The array held, to be held elsewhere; a copy where it is lent."""
        return self.numpy() if self.lent else self._value

    def draw(self, key: np.ndarray | None) -> np.ndarray:
        """A first value for the random key `key`, drawn on the host: the same numbers whatever the backend.

        Raises:
            ShapeError: the initializer returned another shape.
        """
        keyed = {"key": key} if getattr(self.initializer, "takes_key", False) else {}
        value = np.asarray(self.initializer(self.spec.shape, self.spec.dtype, **keyed))
        if value.shape != self.shape:
            raise ShapeError(f"the initializer of {self.name!r} returned shape {value.shape}, expected {self.shape}.")
        return _stored(value, self.dtype)

    def parts(self, key: np.ndarray | None) -> Callable[[Index], np.ndarray]:
        """What gives a part of the first value; of an initializer that needs the whole, a part of that.

        Raises:
            ShapeError: the initializer returned another shape.
        """
        if getattr(self.initializer, "by_entry", False):
            return lambda index: _stored(self.initializer.part(self.shape, self.dtype, index, key=key), self.dtype)
        whole = self.draw(key)
        return lambda index: whole[index]

    @property
    def value(self) -> Any:
        """The present value: a symbolic value inside a trace, else an array of the backend that made it last."""
        running = context.current()
        if running is not None:
            return running.read(self)
        self.lent = True
        return self._value

    def numpy(self) -> np.ndarray:
        """The present value as a NumPy array (a copy)."""
        return np.array(to_numpy(self._value))

    def assign(self, value: Any) -> Any:
        """Set the value: of this variable outside a trace, as an update that the program returns inside one.

        Raises:
            ShapeError: the shape does not fit.
        """
        running = context.current()
        if running is not None:
            return running.assign(self, value)
        array: Any = value if hasattr(value, "dtype") else np.asarray(value)
        if tuple(array.shape) != self.shape:
            raise ShapeError(f"variable {self.name!r} has shape {self.shape}, got {tuple(array.shape)}.")
        self._value = _stored(array, self.dtype) if isinstance(array, np.ndarray) else array  # pyright: ignore[reportUnknownArgumentType]
        return self._value

    def assign_add(self, value: Any) -> Any:
        """Add `value` to the variable."""
        return self.assign(self + value)

    def assign_sub(self, value: Any) -> Any:
        """Subtract `value` from the variable."""
        return self.assign(self - value)

    def __lamella_operand__(self) -> Any:
        return self.value

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self.numpy()
        return array if dtype is None else array.astype(dtype)

    def __float__(self) -> float:
        return float(self.numpy())

    def __int__(self) -> int:
        return int(self.numpy())

    def __jax_array__(self) -> Any:
        """The present value for JAX's own functions, which ask for it by this name."""
        return load_backend("jax").asarray(self._value, self.dtype)

    def __repr__(self) -> str:
        return f"<Variable {self.name!r} {self.spec}{'' if self.trainable else ', not trainable'}>"

    def _repr_html_(self) -> str:
        """What a notebook shows of the variable: its path, statistics of its value and the first entries."""
        from lamella.notebook import block, html_array

        return block(self.path, f"{self.spec}{'' if self.trainable else ', not trainable'}", html_array(self.numpy()))


def _operator(method: str) -> Callable[..., Any]:
    """Arithmetic on a variable is arithmetic on its value, symbolic or not."""

    def operator(self: Variable, *others: Any) -> Any:
        value = self.value
        if not isinstance(value, Value) and any(isinstance(other, Value) for other in others):
            return NotImplemented  # the symbolic operand's operator sees the variable, and not the array in it
        return getattr(value, method)(*others)

    return operator


for _word in "add sub mul truediv floordiv mod pow matmul".split():
    setattr(Variable, f"__{_word}__", _operator(f"__{_word}__"))
    setattr(Variable, f"__r{_word}__", _operator(f"__r{_word}__"))
for _word in "neg abs lt le gt ge getitem".split():
    setattr(Variable, f"__{_word}__", _operator(f"__{_word}__"))


def _giving(value: np.ndarray) -> Callable[[Any, Any], np.ndarray]:
    """An initializer whose value is known."""

    def initializer(shape: Any, dtype: Any) -> np.ndarray:
        return value

    return initializer


def _first_value(value: Any, dtype: Any) -> np.ndarray:
    """A first value as the array that holds it, in `dtype`, or in that which Keras gives such a value."""
    array = np.asarray(to_numpy(value)) if hasattr(value, "dtype") else np.asarray(value)
    if dtype is None and array.dtype.kind == "f":
        dtype = settings.floatx()
    elif dtype is None and array.dtype.kind in "iu" and not hasattr(value, "dtype"):
        dtype = "int32"
    return _stored(array, dtype_name(array.dtype.name if dtype is None else dtype))


def _stored(value: np.ndarray, dtype: str) -> np.ndarray:
    """`value` as the array that holds `dtype`; an own copy, so that nobody else's array becomes a weight."""
    if dtype == "bfloat16" and is_float(spec_of(value).dtype):
        return np.array(ops.cast(ops.cast(value.astype(np.float32), "bfloat16"), "float32"))
    return np.array(value, numpy_dtype(dtype))

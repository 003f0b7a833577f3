"""Variables: the weights and the state of layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, DTypeLike, Tensor

_AGGREGATIONS = ("none", "mean", "sum", "only_first_replica")


class Variable:
    """An array that belongs to a layer, read in `call` and changed by training or by `assign`.

    Layers create weights with `add_weight`; a `Variable` in an attribute of a layer is one of its weights as well.

    Args:
        initializer: the initial value, or an initializer, its name, or a function `(shape, dtype)` that returns it.
        shape: the shape, if an initializer computes the initial value.
        dtype: the dtype; by default that of the value, with `config.floatx()` for floats and int32 for integers.
        trainable: whether an optimizer may change it; False for state that `call` assigns.
        autocast: whether a layer with a mixed policy reads it in its compute dtype.
        aggregation: "none", "mean", "sum" or "only_first_replica"; accepted for compatibility and without effect, as
            there is one copy.
        synchronization: must be "auto"; accepted for compatibility.
        name: the name within the layer ("kernel"), numbered if it is taken.
        regularizer: a penalty that is added to the loss, or None.
        constraint: a function that is applied to the value after each optimizer step, or None.

    Attributes:
        spec: shape and dtype.
        path: the path within the model that it was built in ("dense/kernel"); its name if that is not known.
        is_free: whether the user created it rather than `add_weight`.
        place: the backend whose array type the value is known to have; None if it is not known.
        lent: whether the array may be referenced outside lamella, so that its memory must not be reused.
        distribution: the distribution that places it on devices, the current one when it was created; None for one
            device.

    Raises:
        ArgumentError: an initializer is given without a shape, or an option is unknown.
        ShapeError: the initial value does not have the given shape.

    Example:
        >>> import lamella
        >>> total = lamella.Variable([1.0, 2.0], trainable=False)
        >>> _ = total.assign_add([1.0, 1.0])
        >>> total.numpy().tolist(), total.dtype
        ([2.0, 3.0], 'float32')
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
        """Whether an optimizer may change the variable."""
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
        """Set the initial value, now or, for deferred initializers, when it is first read.

        The value is a function of `key` with `path` folded in.

        Args:
            key: a random key, uint32[2].
            path: the path of the variable within the model.

        Raises:
            ValueError: the initializer does not support the shape.
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
        """Initialize the variable as a weight of a model, unless it is initialized already.

        A layer that is called with symbolic values creates weights without values; the first model that contains the
        layer initializes them.

        Args:
            key: the model's random key, uint32[2].
            path: the path of the variable within the model.
        """
        if self._held is None and self._key is None:
            self.initialize(key, path)

    @property
    def _value(self) -> Tensor:
        if self._held is None:
            if self._key is None:  # no layer draws it, and no model has claimed it
                self._key = (host_random.key_from_seed(host_random.next_seed()), self.path)
            with context.entered(None), eagerly():
                key = host_random.fold(*self._key)
                self._held = self.draw(key) if self.distribution is None else self.distribution.drawn(self, key)
        return self._held

    @_value.setter
    def _value(self, value: Tensor) -> None:
        self._held, self.place, self.lent = value, None, True

    def take(self, value: Any) -> None:
        """Hold an array of a training step, which is referenced nowhere else until `value` is read.

        Args:
            value: the array.
        """
        self._held, self.place, self.lent = value, None, False

    def withdraw(self) -> Tensor:
        """Return the array, or a copy if it may be referenced outside lamella."""
        return self.numpy() if self.lent else self._value

    def draw(self, key: np.ndarray | None) -> np.ndarray:
        """Return an initial value, computed on the host so that it is the same for every backend.

        Args:
            key: a random key, uint32[2], or None for an initializer that needs none.

        Raises:
            ShapeError: the initializer returned another shape.
        """
        keyed = {"key": key} if getattr(self.initializer, "takes_key", False) else {}
        value = np.asarray(self.initializer(self.spec.shape, self.spec.dtype, **keyed))
        if value.shape != self.shape:
            raise ShapeError(f"the initializer of {self.name!r} returned shape {value.shape}, expected {self.shape}.")
        return _stored(value, self.dtype)

    def parts(self, key: np.ndarray | None) -> Callable[[Index], np.ndarray]:
        """Return a function from an index to the corresponding part of the initial value.

        Args:
            key: a random key, uint32[2], or None for an initializer that needs none.

        Raises:
            ShapeError: the initializer returned another shape.
        """
        if getattr(self.initializer, "by_entry", False):
            return lambda index: _stored(self.initializer.part(self.shape, self.dtype, index, key=key), self.dtype)
        whole = self.draw(key)
        return lambda index: whole[index]

    @property
    def value(self) -> Tensor:
        """The current value: a symbolic value inside a trace, otherwise an array of the backend that computed it."""
        running = context.current()
        if running is not None:
            return running.read(self)
        self.lent = True
        return self._value

    def numpy(self) -> np.ndarray:
        """Return the current value as a NumPy array.

        Returns:
            A copy of the value.

        Example:
            >>> import lamella
            >>> lamella.Variable([1.0, 2.0]).numpy()
            array([1., 2.], dtype=float32)
        """
        return np.array(to_numpy(self._value))

    def assign(self, value: ArrayLike) -> Tensor:
        """Set the value; inside a trace, the program returns the new value as an update.

        Args:
            value: an array of the variable's shape.

        Returns:
            The new value.

        Raises:
            ShapeError: the shape does not match.

        Example:
            >>> import lamella
            >>> lamella.Variable([1.0, 2.0]).assign([3.0, 4.0])
            array([3., 4.], dtype=float32)
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
        """Add `value` to the variable.

        Args:
            value: an array that broadcasts to the variable's shape.

        Returns:
            The new value.

        Raises:
            ShapeError: the shapes do not match.

        Example:
            >>> import lamella
            >>> lamella.Variable([1.0, 2.0]).assign_add(1.0)
            array([2., 3.], dtype=float32)
        """
        return self.assign(self + value)

    def assign_sub(self, value: Any) -> Any:
        """Subtract `value` from the variable.

        Args:
            value: an array that broadcasts to the variable's shape.

        Returns:
            The new value.

        Raises:
            ShapeError: the shapes do not match.

        Example:
            >>> import lamella
            >>> lamella.Variable([1.0, 2.0]).assign_sub(1.0)
            array([0., 1.], dtype=float32)
        """
        return self.assign(self - value)

    def __lamella_operand__(self) -> Tensor:
        return self.value

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        array = self.numpy()
        return array if dtype is None else array.astype(dtype)

    def __float__(self) -> float:
        return float(self.numpy())

    def __int__(self) -> int:
        return int(self.numpy())

    def __jax_array__(self) -> Tensor:
        """Return the current value; JAX's functions call this method to convert a variable."""
        return load_backend("jax").asarray(self._value, self.dtype)

    def __repr__(self) -> str:
        return f"<Variable {self.name!r} {self.spec}{'' if self.trainable else ', not trainable'}>"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the path, statistics of the value and its first entries."""
        from lamella.notebook import block, html_array

        return block(self.path, f"{self.spec}{'' if self.trainable else ', not trainable'}", html_array(self.numpy()))


def _operator(method: str) -> Callable[..., Any]:
    """An arithmetic operator of a variable, which acts on its value, symbolic or not."""

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

    def initializer(shape: Any, dtype: DTypeLike) -> np.ndarray:
        return value

    return initializer


def _first_value(value: ArrayLike, dtype: Any) -> np.ndarray:
    """An initial value as the array that holds it, in `dtype` or in Keras's default for such a value."""
    array = np.asarray(to_numpy(value)) if hasattr(value, "dtype") else np.asarray(value)
    if dtype is None and array.dtype.kind == "f":
        dtype = settings.floatx()
    elif dtype is None and array.dtype.kind in "iu" and not hasattr(value, "dtype"):
        dtype = "int32"
    return _stored(array, dtype_name(array.dtype.name if dtype is None else dtype))


def _stored(value: np.ndarray, dtype: str) -> np.ndarray:
    """`value` as the array that stores `dtype`; a copy, so that no array of the caller becomes a weight."""
    if dtype == "bfloat16" and is_float(spec_of(value).dtype):
        return np.array(ops.cast(ops.cast(value.astype(np.float32), "bfloat16"), "float32"))
    return np.array(value, numpy_dtype(dtype))

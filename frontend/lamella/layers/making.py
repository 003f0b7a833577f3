"""How layers are constructed.

The metaclass accepts the argument names of Keras 1 and the input shape of a first layer, adds the options of weights to the
signature, and records the arguments.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella import constraints, initializers, regularizers
from lamella.compat import layers as compat
from lamella.tracebacks import filtered, user_line

if TYPE_CHECKING:
    from lamella.layers.base import Layer

_INPUT_ARGUMENTS = (
    "input_shape",
    "input_dim",
    "batch_input_shape",
    "batch_shape",
    "input_length",
    "input_dtype",
    "batch_size",
)

KINDS: Mapping[str, Any] = {"initializer": initializers, "regularizer": regularizers, "constraint": constraints}
"""The options that a layer has for a weight, with the module whose `get` resolves each."""


def kind_of(argument: str) -> str | None:
    """The kind of an argument by its name, "initializer" for `kernel_initializer`; None for other arguments."""
    weight, _, kind = argument.rpartition("_")
    return kind if weight and kind in KINDS else None


class WeightFields:
    """The weights that a layer declares, each with the name of its default initializer.

    `weight_fields = WeightFields(kernel="glorot_uniform", bias="zeros")` in a layer class adds the parameters
    `kernel_initializer`, `bias_initializer`, `kernel_regularizer`, `bias_regularizer`, `kernel_constraint` and
    `bias_constraint` to its constructor: in place of the `*` in its signature, or after its last parameter if it has no
    `*`. The parameters after the `*` can be given by position as well. The layer stores each option as an attribute of the
    same name, and `self.add_field("kernel", shape)` makes the weight. A subclass with `weight_fields` lists all weights.

    >>> import lamella
    >>> class Scaled(lamella.layers.Layer):
    ...     weight_fields = WeightFields(factor="ones")
    ...
    ...     def build(self, input_shape):
    ...         self.factor = self.add_field("factor", input_shape[-1:])
    ...
    ...     def call(self, inputs):
    ...         return lamella.ops.multiply(inputs, self.factor)
    >>> Scaled(factor_initializer="zeros").factor_initializer
    Zeros()

    Args:
        state: weights that are not trained, and have only an initializer.
        activity_regularizer: whether `activity_regularizer` comes between the regularizers and the constraints.
        before_regularizers: a parameter after the `*` that comes between the initializers and the regularizers.
        given_to_cell: whether the layer passes the options to its cell instead of storing them.
        **initializers: the name of the default initializer of each trained weight.
    """

    def __init__(
        self,
        *,
        state: Mapping[str, str] | None = None,
        activity_regularizer: bool = False,
        before_regularizers: str | None = None,
        given_to_cell: bool = False,
        **initializers: str,
    ) -> None:
        self.trained, self.state = initializers, dict(state or {})
        self.before_regularizers, self.given_to_cell = before_regularizers, given_to_cell
        first = {f"{weight}_initializer": name for weight, name in {**initializers, **self.state}.items()}
        regularizers = [f"{weight}_regularizer" for weight in initializers]
        constraints = [f"{weight}_constraint" for weight in initializers]
        activity = ["activity_regularizer"] if activity_regularizer else []
        self.defaults: dict[str, str | None] = {**first, **dict.fromkeys([*regularizers, *constraints])}
        self._order = list(first), [*regularizers, *activity, *constraints]
        self._resolved = [(word, KINDS[word.rpartition("_")[2]].get, of) for word, of in self.defaults.items()]

    @property
    def names(self) -> set[str]:
        """The weights that the layer itself makes."""
        return set() if self.given_to_cell else {*self.trained, *self.state}

    def of_layer(self) -> WeightFields:
        """The fields of a cell, for the recurrent layer that makes the cell."""
        options: dict[str, Any] = {"before_regularizers": self.before_regularizers, **self.trained}
        return WeightFields(activity_regularizer=True, given_to_cell=True, **options)

    def taken(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """Remove the options of the fields from `kwargs`, and return them with their defaults."""
        return {word: kwargs.pop(word, default) for word, default in self.defaults.items()}

    def constructor(self, init: Callable[..., None]) -> Callable[..., None]:
        """Wrap `init` to take the options of the fields, by name and by position, and to show them in its signature."""
        own = inspect.signature(init).parameters.values()
        before = [p for p in own if p.kind is p.POSITIONAL_OR_KEYWORD]
        behind = [p.replace(kind=p.POSITIONAL_OR_KEYWORD) for p in own if p.kind is p.KEYWORD_ONLY]
        between = [p for p in behind if p.name == self.before_regularizers]
        first, second = ([_parameter(word, self.defaults.get(word)) for word in words] for words in self._order)
        taken = [*before, *first, *between, *second, *[p for p in behind if p not in between]]
        signature = inspect.Signature([*taken, *[p for p in own if p.kind is p.VAR_KEYWORD]])
        count, names = len(before) - 1, [p.name for p in taken[len(before) :]]

        @functools.wraps(init)
        def wrapped(layer: Layer, *args: Any, **kwargs: Any) -> None:
            if len(args) > count:
                signature.bind(layer, *args, **kwargs)  # raises an error if there are too many, or one is given twice
                kwargs.update(zip(names[: len(args) - count], args[count:], strict=True))
                args = args[:count]
            if type(layer).weight_fields is self and not self.given_to_cell:
                for word, resolve, default in self._resolved:
                    setattr(layer, word, resolve(kwargs.pop(word, default)))
            init(layer, *args, **kwargs)

        wrapped.__signature__ = signature  # type: ignore[attr-defined]
        return wrapped


@functools.cache
def _parameter(word: str, default: str | None) -> inspect.Parameter:
    return inspect.Parameter(word, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation="Any")


class LayerMeta(type):
    """The metaclass of layers: translates argument names of Keras 1, and records the arguments of a layer."""

    @property
    def __signature__(cls) -> inspect.Signature:
        """The arguments of the layer, for `inspect.signature` and `help`."""
        return _signature(cls)

    @filtered
    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        """Make a layer; argument names of Keras 1 are accepted with a `DeprecationWarning`."""
        args, kwargs = compat.translate(cls, args, kwargs)
        given = {word: kwargs.pop(word) for word in _INPUT_ARGUMENTS if word in kwargs and word not in parameters(cls)}
        weights = kwargs.pop("weights", None) if "weights" not in parameters(cls) else None
        try:
            arguments = _bind(cls, args, kwargs)
        except TypeError as error:
            raise TypeError(f"{cls.__name__}: {error}.{_hint(cls, kwargs)}") from None
        try:
            layer = super().__call__(*args, **kwargs)
        except TypeError as error:
            if not str(error).startswith("Layer.__init__() got an unexpected keyword argument"):
                raise
            raise TypeError(f"{cls.__name__} takes no such argument:{_hint(cls, kwargs)}") from None
        if "_variables" not in vars(layer):
            raise TypeError(f"{cls.__name__}.__init__ does not call `super().__init__()`, which must come first.")
        layer._arguments, layer._made_at = arguments, user_line()
        layer._initialized()
        if weights is not None:
            layer._initial_weights = list(weights)
        shape = _input_shape(layer, given)
        if shape is not None:
            layer._declared_input = (shape, given.get("input_dtype"))
        return layer


@functools.cache
def _signature(cls: type) -> inspect.Signature:
    signature = inspect.signature(cls.__init__)
    return signature.replace(parameters=list(signature.parameters.values())[1:])


@functools.cache
def parameters(cls: type) -> frozenset[str]:
    """The names of the arguments that `cls(...)` takes."""
    return frozenset(_signature(cls).parameters)


@functools.cache
def call_parameters(cls: Any) -> Mapping[str, inspect.Parameter]:
    """The arguments of `call` of a layer's class."""
    return inspect.signature(cls.call).parameters


def default_training(cls: Any) -> bool | None:
    """The default of `training` in `call` of a layer's class, used if nothing else decides; None without a default."""
    found = call_parameters(cls).get("training")
    return found.default if found is not None and isinstance(found.default, bool) else None


def _hint(cls: type, kwargs: dict[str, Any]) -> str:
    known = {word for base in cls.__mro__[:-1] for word in parameters(base)} - {"args", "kwargs"} | {"input_shape"}
    return compat.hint(kwargs, known)


def _bind(cls: type, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    signature = _signature(cls)
    given = signature.bind(*args, **kwargs).arguments
    arguments: dict[str, Any] = {}
    for name, parameter in signature.parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            arguments.update(given.get(name, {}))
        elif parameter.kind is not parameter.VAR_POSITIONAL:
            arguments[name] = given.get(name, parameter.default)
    return arguments


def _input_shape(layer: Layer, given: dict[str, Any]) -> tuple[int | None, ...] | None:
    """The batch shape that the input arguments of a first layer describe."""
    if given.get("batch_input_shape") is not None or given.get("batch_shape") is not None:
        batch = given.get("batch_input_shape") or given["batch_shape"]
        return tuple(None if d is None else int(d) for d in batch)
    shape = given.get("input_shape")
    if shape is None and given.get("input_dim") is not None:
        length = given.get("input_length")
        shape = layer.shape_of_input_dim(int(given["input_dim"]), length, "input_length" in given)
    if shape is None:
        return None
    shape = (shape,) if isinstance(shape, int | np.integer) else shape
    return (given.get("batch_size"), *[None if d is None else int(d) for d in shape])

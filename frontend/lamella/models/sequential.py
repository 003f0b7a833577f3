"""`Sequential`: a model whose layers are applied in order."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self

from lamella.core import context, serialization
from lamella.errors import ArgumentError, LamellaError, NotBuiltError, ShapeError
from lamella.ir.declared import Declared
from lamella.ir.dim import (
    BATCH,
    FreeDimensionError,
    named_shape,
    public_shape,
    shapes_differ,
    symbol,
    symbols_of,
)
from lamella.ir.spec import Spec
from lamella.layers.base import Layer
from lamella.layers.building import building, specs_only
from lamella.layers.core import InputLayer
from lamella.layers.naming import check_depth, models_with
from lamella.models.base import BatchShape
from lamella.models.model import Model, misfits
from lamella.models.parts import Parts, parts_of_chain


class Sequential(Model):
    """A model whose layers are applied in order.

    The model is built, and its weights are drawn, as soon as its input shape is known: from `Input`, from the first
    layer's `input_shape=`, from `build(input_shape)`, or from the first data. Weights are a function of the model's
    seed and of their path within the model (`dense_1/kernel`); the seed is the next draw after `utils.set_random_seed`.
    A `Sequential` is itself a layer, and can be used in other models.

    Args:
        layers: the layers, in order; the first may be `Input(shape)`, or be given `input_shape=`.
        trainable: whether its weights may be trained.
        name: the model's name.

    Raises:
        TypeError: an element of `layers` is not a layer.
        ValueError: two layers were given the same name, or a layer does not accept the output of the previous one.

    Example:
        >>> import numpy as np
        >>> from lamella import Sequential
        >>> from lamella.layers import Dense, Input
        >>> model = Sequential([Input((2,)), Dense(3, "relu"), Dense(1)])
        >>> model.predict(np.zeros((4, 2)), verbose=0).shape
        (4, 1)
    """

    keras_module = "keras"
    described_by_layers = True

    def __init__(
        self, layers: Sequence[Layer] | Layer | None = None, *, trainable: bool = True, name: str | None = None
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        self._places: list[Layer] = []
        self._input: tuple[BatchShape, str | None] | None = None
        self._input_name: str | None = None
        self._specs: list[Spec] = []
        self._masks: list[Spec | None] = []
        self._ends: tuple[Declared, Declared] | None = None
        for layer in [layers] if isinstance(layers, Layer) else layers or []:
            self.add(layer)

    # ---- declaring ----

    def add(self, layer: Layer) -> None:
        """Append a layer, and build it if the input shape is known.

        A layer that the model already contains is applied again, with the same weights.

        Args:
            layer: the layer.

        Raises:
            TypeError: `layer` is not a layer.
            ValueError: its name is taken, layers are nested too deeply, or it does not accept the output of the
                previous layer; the model is unchanged then.

        Example:
            >>> from lamella import Sequential
            >>> from lamella.layers import Dense, Input
            >>> model = Sequential()
            >>> model.add(Input((2,)))
            >>> model.add(Dense(3))
            >>> model.output_shape
            (None, 3)
        """
        if isinstance(layer, Declared):
            layer = layer.maker.attrs.get("layer", layer)
        if not isinstance(layer, Layer):
            wrong = (
                f"the class {layer.__name__}; write {layer.__name__}(...)" if isinstance(layer, type) else repr(layer)
            )
            raise TypeError(f"Sequential takes layers, got {wrong}.")
        if isinstance(layer, InputLayer):
            self._declare(layer)
            return
        check_depth(layer)
        before = self._input, self._specs[:], self._masks[:]
        named, places, nodes = (layer.name, layer._named), self._places[:], dict(self._nodes)
        try:
            if not self._places and self._input is None:
                self._input = _declared_by(layer)
            if layer not in places:
                self._number(layer, fresh=not (layer.built or models_with(layer)))
            self._places.append(layer)
            self._nodes[layer.name] = layer
            layer._added_to.add(self)
            self._advance()
        except BaseException:
            self._places, self._nodes = places, nodes
            self._input, self._specs, self._masks = before
            layer.name, layer._named = named
            raise
        self._changed()

    def _declare(self, layer: InputLayer) -> None:
        if self._places or self._input is not None:
            raise ValueError("Input must be the first layer of a Sequential, and appear only once.")
        self._input, self._input_name = (layer.batch_shape, layer.input_dtype), layer.name

    def pop(self) -> Layer | None:
        """Remove the last layer.

        Returns:
            The removed layer.

        Raises:
            ValueError: the model has no layers.

        Example:
            >>> from lamella import Sequential
            >>> from lamella.layers import Dense, Input
            >>> model = Sequential([Input((2,)), Dense(3), Dense(1)])
            >>> model.pop().units, model.output_shape
            (1, (None, 3))
        """
        if not self._places:
            raise ValueError("pop needs a Sequential with at least one layer.")
        layer = self._places.pop()
        self._nodes = {held.name: held for held in self._places}
        self._specs = self._specs[: len(self._places) + 1]
        self._masks = self._masks[: len(self._specs)]
        self._changed()
        return layer

    def _changed(self) -> None:
        self.built = bool(self._places) and len(self._specs) == len(self._places) + 1
        self._ends = None
        self._forget_programs()

    @property
    def children(self) -> dict[str, Layer]:
        """The layers by their name within the model."""
        return self._nodes

    @property
    def layers(self) -> list[Layer]:
        """The layers in order, without the `InputLayer`; a layer that is applied twice is listed twice."""
        return self._places[:]

    @property
    def input_names(self) -> list[str]:
        """A list with the name of the input."""
        return [self._input_name or "input"]

    @property
    def output_names(self) -> list[str]:
        """A list with the name of the last layer."""
        return [self._places[-1].name if self._places else self.name]

    def declare(self) -> None:
        """Apply the layers to a symbolic input, which sets `input` and `output` of every layer."""
        if self._ends is None and self.built and self._input is not None:
            shape, dtype = public_shape(self._specs[0].shape), self._specs[0].dtype
            first = value = InputLayer(batch_shape=shape, dtype=dtype, name=self._input_name).value()
            for layer in self._places:
                value = layer(value)
            self._ends = first, value

    def _declared_ends(self) -> tuple[Any, Any]:
        self.declare()
        if self._ends is None:
            raise NotBuiltError(f"Model {self.name!r} has no input shape yet, so it has no symbolic input and output.")
        return self._ends

    # ---- building ----

    def build(self, input_shape: Any = None) -> None:
        """Build the model for batches of a given shape.

        Args:
            input_shape: the shape of a batch; None for the batch size and for other free dimensions.

        Raises:
            ValueError: no shape is given or known, or the layers do not fit together.

        Example:
            >>> from lamella import Sequential
            >>> from lamella.layers import Dense
            >>> model = Sequential([Dense(3)])
            >>> model.build((None, 2))
            >>> model.count_params()
            9
        """
        before = self._input
        if input_shape is not None:
            self._input = (_batch_shape(input_shape), None if before is None else before[1])
        try:
            needs_number = self._advance()
            if not self._specs:
                raise ValueError(
                    f"Model {self.name!r} has no input shape yet: start with `Input(shape)`, give the first layer "
                    "`input_shape=...`, or call `build((None, ...))`."
                )
        except BaseException:
            self._input = before
            raise
        self._changed()
        if needs_number is not None:
            raise needs_number

    def build_for(self, batch: Any) -> None:
        """Build the model for the data that it is called with first, if it is not built yet.

        A model without a declared shape takes the shape of the data. So does a model with free dimensions whose size a
        layer needs; files keep the declared shape.

        Args:
            batch: the spec of the data.

        Raises:
            ShapeError: the layers do not fit together.
        """
        if self.built:
            return
        if not isinstance(batch, Spec):
            raise ArgumentError(f"Model {self.name!r} is a Sequential, which has one input: pass one array.")
        before = self._input
        self._input = before or ((None, *public_shape(batch.shape[1:])), None)
        try:
            self.check_batch(batch)
            self._advance(batch)
        except BaseException:
            self._input = before
            raise
        self._changed()

    def _finish_build(self, input_shape: Any) -> None:
        """Do nothing: `build` traces the layers."""

    def _build_again(self, input_shape: Any) -> None:
        if input_shape is not None and shapes_differ(
            named_shape(_batch_shape(input_shape)[1:]), self._specs[0].shape[1:]
        ):
            raise ShapeError(
                f"Model {self.name!r} is built for inputs of shape {self.input_shape}, got {_batch_shape(input_shape)}."
            )

    def _advance(self, batch: Spec | None = None) -> Exception | None:
        """Compute specs and build layers as far as the input shape allows, all or nothing.

        If a layer needs the size of a free dimension, the layers from there on wait for data, and the error of that
        layer is returned. With a `batch` of data its sizes are used, with as many dimensions left free as the layers
        allow.
        """
        if self._input is None:
            return None
        shape, dtype = self._input
        kind = dtype or self._default_dtype()
        starts: list[Sequence[int | None]] = [shape]
        failure: Exception | None = None
        specs: list[Any] = []
        masks: list[Any] = []
        if batch is not None:
            starts += [(shape[0], *public_shape(batch.shape[1:])), public_shape(batch.shape)]
        for start in starts:
            first = self._specs[:1] if start is shape and self._specs else [Spec(named_shape(start), kind)]
            known = len(self._specs) if start is shape and self._specs else 1
            specs, masks = [*first, *self._specs[1:known]], [None, *self._masks[1:known]]
            failure = self._trace_from(specs, masks)
            if failure is None:
                break
        if batch is not None and shape[0] is None:
            specs, masks = ([_with_free_batch(s, batch.shape[0]) for s in found] for found in (specs, masks))
        self._specs, self._masks = specs, masks
        return failure

    def _trace_from(self, specs: list[Any], masks: list[Any]) -> Exception | None:
        """Append the specs of the remaining layers; return the error of one that needs the size of a free dimension."""
        added = self._places[len(specs) - 1 :]
        every = [part for layer in added for part in (layer, *[inner for _, inner in layer.named_layers()])]
        unbuilt = [layer for layer in every if not layer.built]
        key, path = building(self)
        try:
            for layer in added:
                given = {"x": specs[-1], **({} if masks[-1] is None else {"mask": masks[-1]})}
                free = symbols_of(dim for spec in given.values() for dim in spec.shape)
                undone = [inner for inner in (layer, *[held for _, held in layer.named_layers()]) if not inner.built]
                try:
                    tracing = context.tracing(None, given, build_key=key, draws_without_key=True)
                    with tracing as traced, traced.context.within(self, path):
                        x = traced.inputs["x"]
                        traced.context.set_mask(x, traced.inputs.get("mask"))
                        y = layer(x)
                        found = traced.context.mask_of(y)
                except Exception as error:
                    if not _asks_for_number(error, free):
                        raise
                    for inner in undone:
                        inner._unbuild()
                    return error
                if not hasattr(y, "spec"):
                    raise ShapeError(
                        f"Layer {layer.name!r} returned {type(y).__name__}; in a Sequential it must return one array."
                    )
                specs.append(y.spec)
                masks.append(None if found is None else found.spec)
        except BaseException:
            for layer in unbuilt:
                layer._unbuild()
            raise
        return None

    def _unbuild(self) -> None:
        super()._unbuild()
        self._specs, self._masks = [], []

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Return the result of applying the layers in order.

        Args:
            inputs: a symbolic value.
            training: whether layers behave as in training; by default the mode of the surrounding call.
            mask: the mask of the inputs, or None.
        """
        running = context.current()
        if running is not None and mask is not None:
            running.set_mask(inputs, mask)
        x = inputs
        for layer in self._places:
            x = layer(x)
        return x

    def check_input(self, spec: Spec) -> None:
        """Check the spec of an input against the shape that the model was built for.

        Args:
            spec: the spec of the input.

        Raises:
            ShapeError: the shapes do not match.
        """
        if self._specs and shapes_differ(spec.shape[1:], self._specs[0].shape[1:]):
            raise ShapeError(f"expected inputs of shape {self.input_shape}, got {public_shape(spec.shape)}.")

    # ---- shapes ----

    @property
    def has_input_shape(self) -> bool:
        """Whether the input shape is known."""
        return bool(self._specs) or self._input is not None

    @property
    def input_shape(self) -> BatchShape:
        """The shape of a batch; None for free dimensions.

        Raises:
            NotBuiltError: the shape is not known yet.
        """
        if self._specs:
            return public_shape(self._specs[0].shape)
        if self._input is not None:
            return self._input[0]
        raise NotBuiltError(f"Model {self.name!r} has no input shape yet.")

    @property
    def output_shape(self) -> BatchShape:
        """The shape of a batch of predictions; None for free dimensions.

        Raises:
            NotBuiltError: the model is not built yet.
        """
        if not self.built:
            raise NotBuiltError(f"Model {self.name!r} is not built yet, so its output shape is not known.")
        return public_shape(self._specs[-1].shape)

    @property
    def input_dtype(self) -> str:
        """The dtype that batches are cast to."""
        return self._specs[0].dtype if self._specs else self._default_dtype()

    @property
    def input_spec(self) -> Spec:
        """The spec of a batch; free dimensions are `Dim`s."""
        return self._specs[0] if self._specs else Spec(named_shape(self.input_shape), self.input_dtype)

    @property
    def output_spec(self) -> Spec:
        """The spec of the predictions for such a batch."""
        return self._specs[-1]

    def compute_output_shape(self, input_shape: Any, *more: Any) -> Any:
        """Return the shape of the predictions for batches of a given shape, without building the model.

        Args:
            input_shape: the shape of a batch; None for free dimensions.
            *more: ignored; a `Sequential` has one input.

        Raises:
            ShapeError: the layers do not fit together.

        Example:
            >>> from lamella import Sequential
            >>> from lamella.layers import Dense, Flatten
            >>> Sequential([Flatten(), Dense(3)]).compute_output_shape((None, 4, 4))
            (None, 3)
        """
        specs: list[Any] = [Spec(named_shape(_batch_shape(input_shape)), self.input_dtype)]
        unbuilt = [layer for layer in self._every_layer() if not layer.built]
        try:
            with specs_only():
                failure = self._trace_from(specs, [None])
        finally:
            for layer in unbuilt:
                layer._unbuild()
        if failure is not None:
            raise failure
        return public_shape(specs[-1].shape)

    def shown_parts(self) -> Parts:
        """Return the layers in order, with their shapes as far as they are known."""
        return parts_of_chain(self._places, self._specs)

    def check_batch(self, specs: Spec) -> Spec:
        """Return `specs` if a batch of it fits the model: its rank and its fixed dimensions.

        Args:
            specs: the spec of a batch.

        Raises:
            ShapeError: the shape does not match.
        """
        expected = self._specs[0].shape if self._specs else named_shape(self.input_shape)
        if len(specs.shape) != len(expected) or any(map(misfits, specs.shape[1:], expected[1:])):
            first = next(iter(self._nodes), self.name)
            raise ShapeError(
                f"Model {self.name!r}, first layer {first!r}: expected inputs of shape {self.input_shape}, "
                f"got {public_shape(specs.shape)}."
            )
        if misfits(specs.shape[0], expected[0]):
            raise ShapeError(f"Model {self.name!r} has the fixed batch size {expected[0]}, got {specs.shape[0]} rows.")
        return specs

    @contextmanager
    def built_on_success(self) -> Iterator[None]:
        """Context manager that undoes the building inside it if an exception leaves the block."""
        if self.built:
            yield
            return
        before = self._input, self._specs, self._masks
        unbuilt = [layer for layer in self._every_layer() if not layer.built]
        try:
            yield
        except BaseException:
            if self._specs is not before[1]:
                for layer in unbuilt:
                    layer._unbuild()
                self._input, self._specs, self._masks = before
                self._changed()
            raise

    # ---- configuration ----

    def get_config(self) -> dict[str, Any]:
        """Return name, layers and input shape in Keras 3's schema, for `from_config`."""
        layers: list[Layer] = self.layers
        if self._input is not None:
            shape, dtype = self._input
            layers.insert(0, InputLayer(batch_shape=shape, dtype=dtype or self.input_dtype, name=self._input_name))
        with serialization.sharing():
            described = [serialization.serialize(layer) for layer in layers]
        config = {
            "name": self.name,
            "trainable": self._trainable,
            "dtype": serialization.serialize(self.dtype_policy),
            "layers": described,
        }
        if self._input is not None:
            config["build_input_shape"] = list(self._input[0])
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Self:
        """Return a model with newly drawn weights from what `get_config` returned.

        Args:
            config: the configuration.
            custom_objects: dict from name to class or function, for the user-defined objects that it names.

        Raises:
            UnknownNameError: it names a class that neither lamella nor `custom_objects` defines.

        Example:
            >>> from lamella import Sequential
            >>> from lamella.layers import Dense, Input
            >>> config = Sequential([Input((2,)), Dense(3)]).get_config()
            >>> Sequential.from_config(config).output_shape
            (None, 3)
        """
        model = cls(name=config.get("name"), trainable=config.get("trainable", True))
        with serialization.custom_objects(custom_objects), serialization.sharing():
            for entry in config["layers"]:
                layer = serialization.deserialize(entry)
                named = layer._named
                layer._named = named or entry["config"].get("name") is not None
                model.add(layer)
                layer._named = named  # another model may still renumber an automatic name
        shape = config.get("build_input_shape")
        if shape is not None and model._input is None:
            model.build(tuple(shape))
        return model

    def _further_config(self) -> dict[str, Any]:
        from lamella.saving import compiling

        found: dict[str, Any] = {}
        if self._input is not None:
            found["build_config"] = {"input_shape": list(self._input[0])}
        return found | compiling.compile_config(self)

    def snapshot(self) -> Sequential:
        """Return a model that shares the layers, and that later `add` and `pop` on this model do not affect."""
        clone = copy.copy(self)
        clone._places, clone._nodes = self._places[:], dict(self._nodes)
        clone._specs, clone._masks = self._specs[:], self._masks[:]
        clone._prepare_training()
        return clone

    def __repr__(self) -> str:
        return f"<Sequential {self.name!r}: {', '.join(self._nodes) or 'no layers'}>"


def _asks_for_number(error: Exception, free: frozenset[str]) -> bool:
    """Whether a layer failed because it needs the size of a free dimension."""
    if isinstance(error, FreeDimensionError):
        return True
    if isinstance(error, LamellaError) or not free:
        return False
    # NumPy replaces our error by a TypeError that names the dimension, and user code that compares a length that was
    # never free before may raise anything.
    return free != {BATCH} or (isinstance(error, TypeError) and any(f"'{name}'" in str(error) for name in free))


def _with_free_batch(spec: Spec | None, rows: Any) -> Any:
    """`spec`, computed for a batch of `rows` rows, with a free first dimension if that is the batch."""
    if spec is None or not spec.shape or spec.shape[0] != rows:
        return spec
    return Spec((symbol(BATCH), *spec.shape[1:]), spec.dtype)


serialization.register(serialization.CONTAINERS, {"Sequential": Sequential})


def _batch_shape(shape: Any) -> BatchShape:
    """The batch shape that the user passed; of a list of shapes, the first."""
    if len(shape) and isinstance(shape[0], list | tuple):
        shape = shape[0]
    return tuple(None if d is None else int(d) for d in shape)


def _declared_by(layer: Layer) -> tuple[BatchShape, str | None] | None:
    """The input that a first layer declares: its `input_shape=`, or the input of a nested model."""
    if layer._declared_input is not None:
        shape, dtype = layer._declared_input
        return shape, None if dtype is None else str(dtype)
    if isinstance(layer, Sequential):
        if layer._input is not None:
            return layer._input
        return _declared_by(layer.layers[0]) if layer.layers else None
    return None

"""`Sequential`: layers one after another, declared, built, compiled, trained."""

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
    """A model whose layers are applied one after another.

    Args:
        layers: the layers, in order; the first may be `Input(shape)`, or carry `input_shape=`.
        name: the model's name.
        trainable: whether its weights may be trained.

    A model is built, its weights drawn, as soon as its input shape is known: from `Input`, from the first layer's
    `input_shape=`, from `build(input_shape)`, or from the first data. Weights are a function of the model's seed and of
    their path within the model ("dense_1/kernel"); the seed is the next draw after `utils.set_random_seed`.

    A `Sequential` is a layer itself, and may stand in another.
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
        """Append `layer`; where the input shape is known, it is built at once.

        A layer that the model has already is applied again, with the same weights.

        Raises:
            TypeError: it is no layer.
            ValueError: its name is taken, it holds layers too deep, or it does not fit behind the layers before it; the
                model stays as it was.
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
            raise ValueError("Input stands first in a Sequential, and once.")
        self._input, self._input_name = (layer.batch_shape, layer.input_dtype), layer.name

    def pop(self) -> Layer | None:
        """Remove the last layer and return it."""
        if not self._places:
            raise ValueError("pop from a Sequential without layers.")
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
        """The layers in order, one that is applied twice at both places, without the input's declaration."""
        return self._places[:]

    @property
    def input_names(self) -> list[str]:
        """The name of the input."""
        return [self._input_name or "input"]

    @property
    def output_names(self) -> list[str]:
        """The name of the last layer."""
        return [self._places[-1].name if self._places else self.name]

    def declare(self) -> None:
        """Apply the layers to a declared input, so that each has its `input` and `output`."""
        if self._ends is None and self.built and self._input is not None:
            shape, dtype = public_shape(self._specs[0].shape), self._specs[0].dtype
            first = value = InputLayer(batch_shape=shape, dtype=dtype, name=self._input_name).value()
            for layer in self._places:
                value = layer(value)
            self._ends = first, value

    def _declared_ends(self) -> tuple[Any, Any]:
        self.declare()
        if self._ends is None:
            raise NotBuiltError(f"Model {self.name!r} has no input shape yet, so it has no declared input and output.")
        return self._ends

    # ---- building ----

    def build(self, input_shape: Any = None) -> None:
        """Build the model for batches of `input_shape`, with None for the batch and for what else is left free.

        Raises:
            ValueError: no shape is given or known, or the layers do not fit together.
        """
        before = self._input
        if input_shape is not None:
            self._input = (_batch_shape(input_shape), None if before is None else before[1])
        try:
            needs_number = self._advance()
            if not self._specs:
                raise ValueError(
                    f"Model {self.name!r} has no input shape yet: begin with `Input(shape)`, give the first layer "
                    "`input_shape=...`, or call `build((None, ...))`."
                )
        except BaseException:
            self._input = before
            raise
        self._changed()
        if needs_number is not None:
            raise needs_number

    def build_for(self, batch: Any) -> None:
        """Build the model, where it is not built yet, for data of which `batch` is the first.

        A model whose shape was not declared takes it from there. So does one that left dimensions free whose numbers a
        layer needs; what was declared is kept for its files.

        Raises:
            ShapeError: the layers do not fit together.
        """
        if self.built:
            return
        if not isinstance(batch, Spec):
            raise ArgumentError(f"Model {self.name!r} is a Sequential, which has one input: give one array.")
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
        """Nothing: `build` traces the layers."""

    def _build_again(self, input_shape: Any) -> None:
        if input_shape is not None and shapes_differ(
            named_shape(_batch_shape(input_shape)[1:]), self._specs[0].shape[1:]
        ):
            raise ShapeError(
                f"Model {self.name!r} is built for inputs of shape {self.input_shape}, got {_batch_shape(input_shape)}."
            )

    def _advance(self, batch: Spec | None = None) -> Exception | None:
        """Work out specs, and build layers, as far as the input shape allows; all or nothing.

        Where a layer needs the number of a free dimension, the layers from there on wait for data, and its error is
        returned. The numbers of a `batch` of data are taken, with as much left free as the layers allow.
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
        """Append the specs of the layers behind those that `specs` knows; the error of one that needs a missing number."""
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
                        f"Layer {layer.name!r} returned {type(y).__name__}; in a Sequential it returns one array."
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
        """The layers applied one after another."""
        running = context.current()
        if running is not None and mask is not None:
            running.set_mask(inputs, mask)
        x = inputs
        for layer in self._places:
            x = layer(x)
        return x

    def check_input(self, spec: Spec) -> None:
        """As a layer of another model: the row shape the model was built for."""
        if self._specs and shapes_differ(spec.shape[1:], self._specs[0].shape[1:]):
            raise ShapeError(f"expected inputs of shape {self.input_shape}, got {public_shape(spec.shape)}.")

    # ---- shapes ----

    @property
    def has_input_shape(self) -> bool:
        """Whether the input shape is known."""
        return bool(self._specs) or self._input is not None

    @property
    def input_shape(self) -> BatchShape:
        """The shape of a batch, None for a free number of rows.

        Raises:
            ValueError: it is not known yet.
        """
        if self._specs:
            return public_shape(self._specs[0].shape)
        if self._input is not None:
            return self._input[0]
        raise NotBuiltError(f"Model {self.name!r} has no input shape yet.")

    @property
    def output_shape(self) -> BatchShape:
        """The shape of a batch of predictions.

        Raises:
            ValueError: it is not known yet.
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
        """The spec of a batch; what is left free is a `Dim`."""
        return self._specs[0] if self._specs else Spec(named_shape(self.input_shape), self.input_dtype)

    @property
    def output_spec(self) -> Spec:
        """The spec of the predictions for such a batch."""
        return self._specs[-1]

    def compute_output_shape(self, input_shape: Any, *more: Any) -> Any:
        """The shape of the predictions for batches of a shape; nothing is built."""
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
        """The layers, one after another, as far as their shapes are known."""
        return parts_of_chain(self._places, self._specs)

    def check_batch(self, specs: Spec) -> Spec:
        """`specs`, where a batch of it fits the model: its rank, and the dimensions that are not left free.

        Raises:
            ShapeError: what came and what was expected are named.
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
        """What is built inside is undone where an exception leaves the block."""
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
        """Name, layers and input shape, in Keras 3's schema; `from_config` makes an equal model with weights of its own."""
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
        """A model, with weights of its own, from what `get_config` gave; see `Model.from_config`."""
        model = cls(name=config.get("name"), trainable=config.get("trainable", True))
        with serialization.custom_objects(custom_objects), serialization.sharing():
            for entry in config["layers"]:
                layer = serialization.deserialize(entry)
                named = layer._named
                layer._named = named or entry["config"].get("name") is not None
                model.add(layer)
                layer._named = named  # another model may number a name of the pattern that unnamed layers get
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
        """The same layers in a model of their own, which `add` and `pop` on this one do not change."""
        clone = copy.copy(self)
        clone._places, clone._nodes = self._places[:], dict(self._nodes)
        clone._specs, clone._masks = self._specs[:], self._masks[:]
        clone._prepare_training()
        return clone

    def __repr__(self) -> str:
        return f"<Sequential {self.name!r}: {', '.join(self._nodes) or 'no layers'}>"


def _asks_for_number(error: Exception, free: frozenset[str]) -> bool:
    """Whether a layer failed because it needs the number of a free dimension."""
    if isinstance(error, FreeDimensionError):
        return True
    if isinstance(error, LamellaError) or not free:
        return False
    # NumPy puts a TypeError of its own, with the dimension, in the place of ours; and code that compares a length that was
    # never free before may raise anything
    return free != {BATCH} or (isinstance(error, TypeError) and any(f"'{name}'" in str(error) for name in free))


def _with_free_batch(spec: Spec | None, rows: Any) -> Any:
    """`spec`, worked out for a batch of `rows` rows, with its first dimension free where that counts them."""
    if spec is None or not spec.shape or spec.shape[0] != rows:
        return spec
    return Spec((symbol(BATCH), *spec.shape[1:]), spec.dtype)


serialization.register(serialization.CONTAINERS, {"Sequential": Sequential})


def _batch_shape(shape: Any) -> BatchShape:
    """A batch shape as a user gives it; of a list of them, the first."""
    if len(shape) and isinstance(shape[0], list | tuple):
        shape = shape[0]
    return tuple(None if d is None else int(d) for d in shape)


def _declared_by(layer: Layer) -> tuple[BatchShape, str | None] | None:
    """The input a first layer brings along: its `input_shape=`, or, for a built model, the model's own."""
    if layer._declared_input is not None:
        shape, dtype = layer._declared_input
        return shape, None if dtype is None else str(dtype)
    if isinstance(layer, Sequential):
        if layer._input is not None:
            return layer._input
        return _declared_by(layer.layers[0]) if layer.layers else None
    return None

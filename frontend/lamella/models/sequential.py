"""`Sequential`: layers one after another, declared, built, compiled, trained."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from lamella import random
from lamella.core import context, serialization
from lamella.errors import ShapeError
from lamella.ir.spec import Rows, Spec
from lamella.layers.base import Layer, unique_name
from lamella.layers.building import building
from lamella.layers.core import InputLayer
from lamella.lowering.forward import rows_spec
from lamella.models.model import BaseModel, BatchShape

_BATCH = 7
"""The rows of the batch that shapes are worked out with; any number does, and 1 would broadcast."""


class Sequential(BaseModel):
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

    def __init__(
        self, layers: Sequence[Layer] | Layer | None = None, *, trainable: bool = True, name: str | None = None
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        self._chain: dict[str, Layer] = {}
        self._input: tuple[BatchShape, str | None] | None = None
        self._input_name: str | None = None
        self._specs: list[Spec] = []
        self._masks: list[Spec | None] = []
        self.seed = random.next_seed()
        self.built = False
        self._prepare_training()
        for layer in [layers] if isinstance(layers, Layer) else layers or []:
            self.add(layer)

    # ---- declaring ----

    def add(self, layer: Layer) -> None:
        """Append `layer`; where the input shape is known, it is built at once.

        Raises:
            TypeError: it is no layer.
            ValueError: its name is taken, or it does not fit behind the layers before it; the model stays as it was.
        """
        if not isinstance(layer, Layer):
            wrong = (
                f"the class {layer.__name__}; write {layer.__name__}(...)" if isinstance(layer, type) else repr(layer)
            )
            raise TypeError(f"Sequential takes layers, got {wrong}.")
        if isinstance(layer, InputLayer):
            self._declare(layer)
            return
        if layer in self._chain.values():
            raise ValueError(f"Layer {layer.name!r} is in the model already; a Sequential applies each layer once.")
        before = self._input, self._specs[:], self._masks[:], layer.name
        try:
            if not self._chain and self._input is None:
                self._input = _declared_by(layer)
            name = unique_name(layer, self._chain)
            if not layer._named and not layer.built:
                layer.name = name
            self._chain[name] = layer
            self._advance()
        except BaseException:
            self._chain = {n: held for n, held in self._chain.items() if held is not layer}
            self._input, self._specs, self._masks, layer.name = before
            raise
        self._changed()

    def _declare(self, layer: InputLayer) -> None:
        if self._chain or self._input is not None:
            raise ValueError("Input stands first in a Sequential, and once.")
        self._input, self._input_name = (layer.batch_shape, layer.input_dtype), layer.name

    def pop(self) -> Layer | None:
        """Remove the last layer and return it."""
        if not self._chain:
            raise ValueError("pop from a Sequential without layers.")
        _, layer = self._chain.popitem()
        self._specs = self._specs[: len(self._chain) + 1]
        self._masks = self._masks[: len(self._specs)]
        self._changed()
        return layer

    def _changed(self) -> None:
        self.built = bool(self._chain) and len(self._specs) == len(self._chain) + 1
        self._forget_programs()

    @property
    def children(self) -> dict[str, Layer]:
        """The layers by their name within the model."""
        return self._chain

    @property
    def layers(self) -> list[Layer]:
        """The layers in order, without the input's declaration."""
        return list(self._chain.values())

    # ---- building ----

    def build(self, input_shape: Any = None) -> None:
        """Build the model for batches of `input_shape`, the batch dimension (None) first.

        Raises:
            ValueError: no shape is given or known, or the layers do not fit together.
        """
        before = self._input
        if input_shape is not None:
            self._input = (_batch_shape(input_shape), None if before is None else before[1])
        try:
            self._advance()
            if not self._specs:
                raise ValueError(
                    f"Model {self.name!r} has no input shape yet: begin with `Input(shape)`, give the first layer "
                    "`input_shape=...`, or call `build((None, ...))`."
                )
        except BaseException:
            self._input = before
            raise
        self._changed()

    def _build_again(self, input_shape: Any) -> None:
        if input_shape is not None and _batch_shape(input_shape)[1:] != self.input_shape[1:]:
            raise ShapeError(
                f"Model {self.name!r} is built for inputs of shape {self.input_shape}, got {_batch_shape(input_shape)}."
            )

    def _advance(self) -> None:
        """Work out specs, and build layers, as far as the input shape allows; all or nothing."""
        if self._input is None or any(d is None for d in self._input[0][1:]):
            return
        shape, dtype = self._input
        specs = self._specs[:] or [rows_spec(shape, dtype or self._default_dtype(), shape[0] or _BATCH)]
        masks = self._masks[:] or [None]
        added = list(self._chain.items())[len(specs) - 1 :]
        every = [part for _, layer in added for part in (layer, *[inner for _, inner in layer.named_layers()])]
        unbuilt = [layer for layer in every if not layer.built]
        key, path = building(self)
        try:
            for name, layer in added:
                given = {"x": specs[-1], **({} if masks[-1] is None else {"mask": masks[-1]})}
                with context.tracing(None, given, build_key=key) as traced, traced.context.within(self, path):
                    x = traced.inputs["x"]
                    traced.context.set_mask(x, traced.inputs.get("mask"))
                    y = layer(x)
                    found = traced.context.mask_of(y)
                if not hasattr(y, "spec"):
                    raise ShapeError(
                        f"Layer {name!r} returned {type(y).__name__}; in a Sequential it returns one array."
                    )
                specs.append(y.spec)
                masks.append(None if found is None else found.spec)
        except BaseException:
            for layer in unbuilt:
                layer._unbuild()
            raise
        self._specs, self._masks = specs, masks

    def _own_key(self) -> tuple[np.ndarray, str]:
        return random.key_from_seed(self.seed), ""

    def _unbuild(self) -> None:
        super()._unbuild()
        self._specs, self._masks = [], []

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """The layers applied one after another."""
        running = context.current()
        if running is not None and mask is not None:
            running.set_mask(inputs, mask)
        x = inputs
        for layer in self._chain.values():
            x = layer(x)
        return x

    def check_input(self, spec: Spec) -> None:
        """As a layer of another model: the row shape the model was built for."""
        if self._specs and tuple(spec.shape[1:]) != tuple(self._specs[0].shape[1:]):
            raise ShapeError(f"expected inputs of shape {self.input_shape}, got {tuple(map(int, spec.shape))}.")

    def __call__(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Apply the model inside a trace, or to a batch of arrays at once."""
        if context.current() is not None or mask is not None:
            return super().__call__(inputs, training=training, mask=mask)
        from lamella.training import inference

        return inference.call_on_arrays(self, inputs, bool(training))

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
            first = self._input[0][0] if self._input is not None else None
            return (first, *[int(d) for d in self._specs[0].shape[1:]])
        if self._input is not None:
            return self._input[0]
        raise ValueError(f"Model {self.name!r} has no input shape yet.")

    @property
    def output_shape(self) -> BatchShape:
        """The shape of a batch of predictions.

        Raises:
            ValueError: it is not known yet.
        """
        if not self.built:
            raise ValueError(f"Model {self.name!r} is not built yet, so its output shape is not known.")
        return self._public(self._specs[-1])

    @property
    def input_dtype(self) -> str:
        """The dtype that batches are cast to."""
        return self._specs[0].dtype if self._specs else self._default_dtype()

    @property
    def output_spec(self) -> Spec:
        """The spec of the predictions for a batch of any size (the row dimension is a `Rows`)."""
        return self._specs[-1]

    def layer_output_shapes(self) -> list[BatchShape | None]:
        """For each layer its output shape, None where it is not known yet."""
        known = [self._public(spec) for spec in self._specs[1:]]
        return [*known, *[None] * (len(self._chain) - len(known))]

    def _public(self, spec: Spec) -> BatchShape:
        free = self.input_shape[0] is None
        return tuple(None if free and isinstance(d, Rows) else int(d) for d in spec.shape)

    def batch_spec(self, rows: int) -> Spec:
        """The spec of a batch of `rows` rows.

        Raises:
            ValueError: the model is not built, or has another fixed batch size.
        """
        shape = self.input_shape
        if shape[0] is not None and shape[0] != rows:
            raise ShapeError(f"Model {self.name!r} has the fixed batch size {shape[0]}, got {rows} rows.")
        return rows_spec(shape, self.input_dtype, rows)

    def check_batch(self, spec: Spec) -> Spec:
        """The spec of a batch, its first dimension as `Rows`, where it fits the model.

        Raises:
            ShapeError: rank or row shape do not fit; what came and what was expected are named.
            DTypeError: its dtype is no number.
        """
        expected = self.input_shape
        if len(spec.shape) != len(expected) or tuple(map(int, spec.shape[1:])) != tuple(expected[1:]):
            first = next(iter(self._chain), self.name)
            raise ShapeError(
                f"Model {self.name!r}, first layer {first!r}: expected inputs of shape {expected}, "
                f"got {tuple(map(int, spec.shape))}."
            )
        if expected[0] is not None and int(spec.shape[0]) != expected[0]:
            raise ShapeError(
                f"Model {self.name!r} has the fixed batch size {expected[0]}, got {int(spec.shape[0])} rows."
            )
        return Spec((Rows(int(spec.shape[0])), *[int(d) for d in spec.shape[1:]]), spec.dtype)

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

    def snapshot(self) -> Sequential:
        """The same layers in a model of their own, which `add` and `pop` on this one do not change."""
        clone = copy.copy(self)
        clone._chain, clone._specs, clone._masks = dict(self._chain), self._specs[:], self._masks[:]
        clone._prepare_training()
        return clone

    def __repr__(self) -> str:
        return f"<Sequential {self.name!r}: {', '.join(self._chain) or 'no layers'}>"


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

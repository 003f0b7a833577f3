"""`Sequential`: layers one after another, declared, built, compiled, trained."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import numpy as np

from lamella import random
from lamella.core import context, serialization
from lamella.core.variable import Variable
from lamella.errors import ShapeError, unknown_name
from lamella.ir import settings
from lamella.ir.program import Program
from lamella.ir.spec import Rows, Spec
from lamella.layers.base import Layer, unique_name
from lamella.layers.building import building
from lamella.layers.core import InputLayer
from lamella.lowering.forward import rows_spec, trace_forward
from lamella.lowering.function import Lowered
from lamella.models.persistence import Persistent
from lamella.models.trainer import TrainableModel

_BATCH = 7
"""The rows of the batch that shapes are worked out with; any number does, and 1 would broadcast."""

BatchShape = tuple[int | None, ...]


class Sequential(Persistent, TrainableModel):
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

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """The layer of a name or at a place.

        Raises:
            ValueError: there is none; the nearest name is given.
        """
        if index is not None:
            if not -len(self._chain) <= index < len(self._chain):
                raise ValueError(f"The model has {len(self._chain)} layers, there is no layer {index}.")
            return self.layers[index]
        if name not in self._chain:
            raise unknown_name("layer", name, self._chain)
        return self._chain[name]

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

    def _every_layer(self) -> Iterator[Layer]:
        for _, layer in self.named_layers():
            yield layer

    def _default_dtype(self) -> str:
        return settings.floatx()

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

    # ---- weights ----

    def named_weights(self) -> list[tuple[str, Variable]]:
        """Every variable once, with the path that names it in `lower` and in files: "dense_1/kernel"."""
        seen: dict[int, tuple[str, Variable]] = {}
        for path, variable in self.named_variables():
            seen.setdefault(id(variable), (path, variable))
        return list(seen.values())

    def frozen_layers(self) -> frozenset[int]:
        """Ids of the layers that are not trainable now."""
        every = [self, *[layer for _, layer in self.named_layers()]]
        return frozenset(id(layer) for layer in every if not layer._trainable)

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

    # ---- looking and lowering ----

    def summary(self, line_length: int | None = None, print_fn: Any = None, show_trainable: bool = False) -> None:
        """Print the layers with their output shapes and parameters.

        Args:
            line_length: the width of the table.
            print_fn: gets the text instead of the terminal.
            show_trainable: add a column that says which layers are trainable.
        """
        from lamella.models.summary import summary

        summary(self, line_length=line_length, print_fn=print_fn, show_trainable=show_trainable)

    def program(self, batch_size: int | None = None, training: bool = False) -> Program:
        """The printable program of the model's call on a batch (of 32 rows, unless said otherwise)."""
        self.require_built()
        rows = batch_size or self.input_shape[0] or 32
        return trace_forward(self, self.batch_spec(rows), training=training, keyed=training).program

    def lower(
        self,
        backend: Any = None,
        input_shape: Any = None,
        *,
        training: bool | None = None,
        optimize: bool = True,
    ) -> Lowered:
        """The model as a pure function `fn(params, state, x, training=False, seed=None) -> (y, new_state)`.

        Args:
            backend: a backend's name; None for the one in force.
            input_shape: the shape of a batch, for a model that is not built yet.
            training: fixes `training`, so that a plain `jax.jit` takes the function.
            optimize: False asks the backend for one readable step an equation.

        Raises:
            BackendError: the backend is unknown or not installed.
            ValueError: the model is not built and no `input_shape` is given.
        """
        from lamella.backend_api import load_backend

        found = load_backend(self.backend_name if backend is None else backend)
        if input_shape is not None:
            self.build(input_shape)
        self.require_built()
        return Lowered(self, found, training=training, optimize=optimize)

    def export(self, filepath: str | os.PathLike[str], *, weights: str | None = None, sample: Any = None) -> None:
        """Write the model's prediction to a file that runs without lamella.

        A layer that keeps a state starts every call from the state that it has now.

        Args:
            filepath: its ending says what is written. ".py": one readable Python file that needs NumPy alone, with
                `predict(x)`. ".onnx": an ONNX graph (opset 18). ".stablehlo": what `jax.export.deserialize(data).call(x)`
                computes on CPU, CUDA and TPU. All take any number of rows where the model does.
            weights: for ".py": "inside" the file (the default) or "beside" it, as `.npz`.
            sample: for ".py": a batch that the file records with its output, instead of one drawn for it.

        Raises:
            ValueError: the ending is another, the model is not built, or the format has no words for it (`ExportError`);
                nothing is written then.
            ImportError: the package `onnx`, or JAX, is not installed.
        """
        from lamella.export import export

        self.require_built()
        export(self, filepath, weights=weights, sample=sample)

    def require_built(self) -> None:
        """Build the model, if its input shape is known; complain where it is not, or there are no layers."""
        if not self.built:
            self.build()
        if not self._chain:
            raise ValueError(f"Model {self.name!r} has no layers yet; add one.")

    def assign(self, params: dict[str, Any], state: dict[str, Any] | None = None) -> None:
        """Set the model's variables from the `params` (and `state`) of a lowered function.

        Raises:
            ValueError: a key is unknown or a shape does not fit; nothing is set then.
        """
        from lamella.backend_api import to_numpy

        variables = dict(self.named_weights())
        given = {**params, **(state or {})}
        arrays = {}
        for name, array in given.items():
            if name not in variables:
                raise unknown_name("weight", name, variables)
            if tuple(array.shape) != variables[name].shape:
                raise ShapeError(f"weight {name!r} has shape {variables[name].shape}, got {tuple(array.shape)}.")
            arrays[name] = np.array(to_numpy(array))
        for name, array in arrays.items():
            variables[name].assign(array)

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


class Model:
    """lamella has no functional models; this name says what there is instead."""

    def __new__(cls, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse, in one sentence."""
        raise TypeError(
            "lamella has no functional Model(inputs, outputs): stack layers in `lamella.Sequential([...])`, and write "
            "branches as a `lamella.Layer` subclass whose `call` combines other layers."
        )

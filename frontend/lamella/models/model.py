"""`Model`: a graph from declared inputs to outputs, or a subclass with its own `call`."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from lamella import host_random, ops, tree
from lamella.core import context, serialization
from lamella.core.structure import flattened, input_names, keys_of, names_of, specs_of_shapes
from lamella.errors import ArgumentError, NotBuiltError, ShapeError
from lamella.graph import Graph, graph_of, in_keras_order
from lamella.ir import limits
from lamella.ir.declared import Declared, is_declared
from lamella.ir.dim import (
    BATCH,
    Dim,
    Dimension,
    differ,
    named_shape,
    public_shape,
    symbol,
    symbols_of,
)
from lamella.ir.spec import Spec, is_float
from lamella.ir.trace import as_value
from lamella.layers.base import Layer
from lamella.layers.building import building
from lamella.layers.core import InputLayer
from lamella.layers.making import call_parameters
from lamella.layers.naming import check_depth, first_free, models_with, unique_name
from lamella.models.base import BaseModel
from lamella.models.parts import Parts, parts_of_attributes, parts_of_graph


class Model(BaseModel):
    """A model: `Model(inputs, outputs)`, or a subclass that keeps layers in attributes and defines `call`.

    A graph is built immediately. Weights are a function of the model's seed and of their path within the first model
    that contains their layer; the seed is the next draw after `utils.set_random_seed`. A subclass is built by
    `build(input_shape)` or by the first data; its `call(inputs, training=False, mask=None)` receives the structure that
    the caller passes. A model is itself a layer, and can be used in other models.

    Args:
        inputs: symbolic values from `Input` or from layers of another graph: one, or a list, tuple or dict of them.
        outputs: the symbolic values computed from them: one, or a list, tuple or dict.
        name: the model's name.
        trainable: whether its weights may be trained.
        dtype: the dtype policy of what the model itself computes.

    Raises:
        TypeError: an input or output is not a symbolic value.
        ArgumentError: an output depends on an `Input` that is not listed, or an input is not used by any output.
        ValueError: two layers were given the same name.

    Example:
        >>> from lamella import Input, Model, layers
        >>> x = Input((8,))
        >>> y = layers.Dense(8, "relu")(x)
        >>> Model(x, layers.Dense(2)(x + y)).output_shape
        (None, 2)
    """

    keras_module = "keras"

    def __init__(
        self,
        inputs: Any = None,
        outputs: Any = None,
        *,
        name: str | None = None,
        trainable: bool = True,
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, trainable=trainable, dtype=dtype)
        self.seed = host_random.next_seed()
        self.built = False
        self._graph: Graph | None = None
        self._with_losses: Graph | None = None
        self._inputs: Any = None
        self._outputs: Any = None
        self._nodes: dict[str, Layer] = {}
        self._declarations: list[Layer] = []
        self._given: Any = None
        self._returned: Any = None
        self._returned_by: dict[str, list[Spec]] = {}
        self._prepare_training()
        if inputs is not None or outputs is not None:
            self._declare_graph(inputs, outputs)

    def _initialized(self) -> None:
        super()._initialized()
        # `self.built = True` in `__init__`, as classes for Keras have it: the first data build the model
        self.built = self.built and self.has_input_shape

    # ---- a graph ----

    def _declare_graph(self, inputs: Any, outputs: Any) -> None:
        for what, given in (("inputs", inputs), ("outputs", outputs)):
            found = list(tree.leaves(given))
            if not found:
                raise ArgumentError(f"Model(inputs, outputs): {what} must not be empty.")
            for leaf in found:
                if not isinstance(leaf, Declared):
                    raise TypeError(
                        f"Model(inputs, outputs): {what} must be symbolic values, got {leaf!r}. Start from "
                        "`x = Input(shape)`, and apply layers to it."
                    )
        inputs, outputs = _single(inputs), _single(outputs)
        entries: list[Declared] = list(tree.leaves(inputs))
        if len(set(entries)) < len(entries):
            raise ArgumentError(f"Model {self.name!r}: an input is listed twice.")
        graph = graph_of(entries, list(tree.leaves(outputs)), self.name)
        self._inputs, self._outputs = (tree.map_leaves(lambda value: value, given) for given in (inputs, outputs))
        self._declarations = [_input_layer(value) for value in entries]
        for layer in (*self._declarations, *graph.layers):
            check_depth(layer)
            self._number(layer, fresh=not models_with(layer))
            self._nodes[layer.name] = layer
            layer._added_to.add(self)
        self._graph = graph
        self._nodes = {part.name: part for part in self._in_keras_order() if isinstance(part, Layer)}
        key, _ = building(self)
        for layer in graph.layers:
            for variable in layer.variables:  # the path starts with the name that the layer had when it was built
                variable.claim(key, f"{layer.name}/{variable.path.partition('/')[2]}")
        self._given = self._canonical_inputs()
        with limits.counted_before():
            self._returned = self._traced(self._given, None)
        self.built = True

    def _in_keras_order(self) -> list[Any]:
        """The input layers, the layers and the equations of the graph, in Keras's order."""
        return [] if self._graph is None else in_keras_order(self._graph, self._declarations, self._outputs)

    def _canonical_inputs(self) -> Any:
        """The specs of the inputs; with several inputs, free dimensions are named after the input."""
        values, structure = tree.flatten(self._inputs)
        names = self.input_names if len(values) > 1 else [""] * len(values)
        pairs = zip(values, names, strict=True)
        return tree.unflatten(structure, [Spec(_named_dims(public_shape(v.shape), name), v.dtype) for v, name in pairs])

    def _number(self, layer: Layer, *, fresh: bool) -> None:
        """Rename an unnamed layer so that its name is unique here and in the other models that contain it.

        Args:
            layer: the layer.
            fresh: whether no other model refers to the layer by its current name.
        """
        taken, named = self._names_taken(), layer._named
        if named or fresh:
            layer.name = unique_name(layer, taken)
        elif layer.name in taken:
            held = {name for model in models_with(layer) for name in model.children}
            layer.name = unique_name(layer, {*taken, *held})
        layer._named = named

    def _names_taken(self) -> Mapping[str, Layer]:
        return self._nodes

    def _rename_layers(self) -> None:
        """Update the table of layers after their names have changed."""
        layers = list(self._nodes.values())
        self._nodes = {layer.name: layer for layer in layers}
        self._forget_programs()  # random draws depend on the layers' paths
        for model in models_with(self):
            model._rename_layers()

    # ---- layers, inputs and outputs ----

    @property
    def children(self) -> dict[str, Layer]:
        """The layers by their name within the model: those of the graph, then those in attributes."""
        return self._kept_layers(dict(self._nodes), _OWN)

    def name_of(self, layer: Layer) -> str:
        """Return the name of `layer` within the model.

        Args:
            layer: a layer of the graph, or one that is kept in an attribute.
        """
        return layer.name if self._nodes.get(layer.name) is layer else super().name_of(layer)

    @property
    def layers(self) -> list[Layer]:
        """The layers: for a graph in Keras's order with its `InputLayer`s, otherwise in the order of the attributes."""
        return list(self.children.values())

    @property
    def inputs(self) -> list[Declared]:
        """The symbolic values that the graph starts from.

        Raises:
            AttributeError: the model is a subclass with its own `call`, and has no graph.
        """
        return list(tree.leaves(self._declared_ends()[0]))

    @property
    def outputs(self) -> list[Declared]:
        """The symbolic values that the graph returns.

        Raises:
            AttributeError: the model is a subclass with its own `call`, and has no graph.
        """
        return list(tree.leaves(self._declared_ends()[1]))

    def declare(self) -> None:
        """Set `input` and `output` of every layer, if the model has a graph."""

    def _declared_ends(self) -> tuple[Any, Any]:
        """The symbolic inputs and outputs in their structures."""
        if self._graph is None:
            raise AttributeError(
                f"Model {self.name!r} has no symbolic inputs: {type(self).__name__} defines its own `call`."
            )
        return self._inputs, self._outputs

    @property
    def input(self) -> Any:
        """The symbolic inputs, in their structure."""
        return self._declared_ends()[0]

    @property
    def output(self) -> Any:
        """The symbolic outputs, in their structure."""
        return self._declared_ends()[1]

    @property
    def input_names(self) -> list[str]:
        """One name per input: the name of its `Input`, or its key in a dict of inputs."""
        if self._graph is None:
            return names_of(self._given, "input")
        keys = keys_of(self._inputs)
        declared = zip(self._graph.inputs, self._declarations, strict=True)
        return [keys.get(value, layer.name) for value, layer in declared]

    @property
    def output_names(self) -> list[str]:
        """One name per output: its key in a dict of outputs, or the name of the layer that computes it."""
        if self._graph is None:
            return names_of(self._returned, "output")
        keys, names = keys_of(self._outputs), list[str]()
        for value in self._graph.outputs:
            names.append(first_free(keys.get(value, value.name), names))  # type: ignore[attr-defined]
        return names

    # ---- building ----

    def build(self, input_shape: Any = None) -> None:
        """Create the weights of a subclass for batches of a given shape.

        Args:
            input_shape: the shape of a batch, or a structure of shapes; None for free dimensions.

        Raises:
            ValueError: no shape is given or known, or the layers do not fit together.

        Example:
            >>> import lamella
            >>> class Small(lamella.Model):
            ...     def __init__(self):
            ...         super().__init__()
            ...         self.dense = lamella.layers.Dense(3)
            ...     def call(self, x):
            ...         return self.dense(x)
            >>> model = Small()
            >>> model.build((None, 2))
            >>> model.count_params()
            9
        """

    def _shape_for_build(self, inputs: Any) -> Any:
        return tree.map_leaves(lambda x: public_shape(x.shape), inputs)

    def _build_again(self, input_shape: Any) -> None:
        if input_shape is not None and self._given is not None:
            self.check_batch(specs_of_shapes(input_shape, self._given))

    def _finish_build(self, input_shape: Any) -> None:
        """Trace the `call` of a subclass, which builds the layers that are not built yet."""
        if self._graph is None and self._returned is None:
            if input_shape is None and self._given is None:
                raise ValueError(
                    f"Model {self.name!r} has no input shape yet: call it on data, or call `build((None, ...))`."
                )
            specs = self._given if self._given is not None else specs_of_shapes(input_shape, None)
            self._given, self._returned = self._traced_with_free(specs)
        self._forget_programs()

    def build_for(self, batch: Any) -> None:
        """Build the model for the data that it is called with first, if it is not built yet.

        Args:
            batch: a spec, or the structure of specs that `call` takes.

        Raises:
            ShapeError: the layers do not fit together.
        """
        if self.built:
            return
        before = self._given
        self._given = batch
        try:
            self.build(tree.map_leaves(lambda spec: (None, *public_shape(spec.shape[1:])), batch))
        except BaseException:
            self._given = before
            raise

    def _traced_with_free(self, batch: Any) -> tuple[Any, Any]:
        """Trace with as many free dimensions as the layers allow; return the specs of the inputs and of the outputs."""
        given, structure = tree.flatten(batch)
        names = names_of(batch, "input") if len(given) > 1 else [""] * len(given)
        failure: Exception | None = None
        for kept in (0, 1, None, -1):  # how many last axes are fixed; None: all but the batch; -1: all
            pairs = zip(given, names, strict=True)
            specs = tree.unflatten(
                structure, [spec if kept == -1 else _freed(spec, kept, name) for spec, name in pairs]
            )
            unbuilt = [layer for layer in self._every_layer() if not layer.built]
            try:
                return specs, self._traced(specs, building(self))
            except Exception as error:
                for layer in unbuilt:
                    layer._unbuild()
                failure = error
                if kept == -1 or not symbols_of(d for s in tree.leaves(specs) for d in s.shape):
                    break
        assert failure is not None  # noqa: S101 - the last attempt returned or raised
        raise failure

    def _traced(self, specs: Any, place: tuple[np.ndarray, str] | None) -> Any:
        """Return the specs of the outputs for inputs of `specs`; unbuilt layers are built under `place`."""
        flat, structure = tree.flatten(specs)
        key, path = place or (None, "")
        named = {f"input {i}": spec for i, spec in enumerate(flat)}
        with (
            context.tracing(None, named, build_key=key, draws_without_key=True) as traced,
            traced.context.within(self, path),
        ):
            inputs = tree.unflatten(structure, list(traced.inputs.values()))
            kwargs = {"training": False} if "training" in call_parameters(type(self)) else {}
            traced.context.outputs = calls = dict[str, list[Any]]()
            found, returned = tree.flatten(self.call(inputs, **kwargs))
            if self._graph is None:
                first = {name: tree.leaves(outputs[0]) for name, outputs in calls.items()}
                self._returned_by = {name: [as_value(y).spec for y in values] for name, values in first.items()}
            return tree.unflatten(returned, [as_value(value).spec for value in found])

    def _unbuild(self) -> None:
        super()._unbuild()
        self._given = self._returned = None
        self._returned_by = {}

    def _own_key(self) -> tuple[np.ndarray, str]:
        return host_random.key_from_seed(self.seed), ""

    @contextmanager
    def built_on_success(self) -> Iterator[None]:
        """Context manager that undoes the building inside it if an exception leaves the block."""
        if self.built:
            yield
            return
        unbuilt = [layer for layer in self._every_layer() if not layer.built]
        try:
            yield
        except BaseException:
            if self.built:
                for layer in (self, *unbuilt):
                    layer._unbuild()
                self._forget_programs()
            raise

    def snapshot(self) -> Model:
        """Return a model that shares the layers, and that later training or changes of this model do not affect."""
        clone = copy.copy(self)
        clone._prepare_training()
        return clone

    # ---- calling ----

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Return the outputs for the inputs; a subclass overrides this with its computation.

        Args:
            inputs: symbolic values in the structure of the inputs.
            training: whether layers behave as in training; by default the mode of the surrounding call.
            mask: masks of the inputs, in their structure, or None.

        Returns:
            The outputs, in their structure.

        Raises:
            NotImplementedError: a subclass does not define `call`.
            ArgumentError: the number of inputs does not match.

        Example:
            >>> import numpy as np
            >>> import lamella
            >>> class Doubled(lamella.Model):
            ...     def call(self, x):
            ...         return 2 * x
            >>> Doubled()(np.array([[1.0, 2.0]], "float32"))
            array([[2., 4.]], dtype=float32)
        """
        if self._graph is None:
            raise NotImplementedError(
                f"{type(self).__name__} defines no `call`: define `call(self, inputs, training=False)`, or use "
                "Model(inputs, outputs)."
            )
        arguments = list(tree.leaves(self.arranged(inputs, "inputs")))
        if len(arguments) != len(self._graph.inputs):
            raise ArgumentError(
                f"Model {self.name!r} takes {len(self._graph.inputs)} inputs, {', '.join(map(repr, self.input_names))}; got "
                f"{len(arguments)}."
            )
        running = context.current()
        if running is not None and mask is not None:
            masks = flattened(mask, input_names(self), "mask", "input", partial=True)
            for argument, given in zip(arguments, masks, strict=True):
                running.set_mask(argument, next(tree.leaves(given), None))
        graph = self._graph if running is None or self._with_losses is None else self._with_losses
        results = graph.run(arguments)
        for loss in results[len(self._graph.outputs) :]:
            super().add_loss(ops.mean(loss))
        return tree.unflatten(tree.structure(self._outputs), results[: len(self._graph.outputs)])

    def add_loss(self, loss: Any) -> None:
        """Add a term to the model's loss: a scalar inside `call`, or a symbolic value computed from the graph.

        Args:
            loss: the term; a symbolic value of any other shape is averaged. A symbolic term is not saved to files or
                copied.

        Raises:
            ArgumentError: the model has no graph, or the term depends on other inputs, or on weights that are not the
                model's.

        Example:
            >>> from lamella import Input, Model, layers, ops
            >>> x = Input((3,))
            >>> y = layers.Dense(2)(x)
            >>> model = Model(x, y)
            >>> model.add_loss(ops.mean(ops.square(y)))
            >>> model.compile("sgd")
        """
        if not isinstance(loss, Declared):
            super().add_loss(loss)
            return
        if self._graph is None:
            raise ArgumentError(
                f"Model {self.name!r}: a symbolic loss needs Model(inputs, outputs); call `add_loss` inside `call`."
            )
        whole: Any = self._graph if self._with_losses is None else self._with_losses
        graph = graph_of(list(tree.leaves(self._inputs)), [*whole.outputs, loss], self.name)
        known = {id(variable) for variable in self.variables}
        strange = [layer.name for layer in graph.layers if any(id(v) not in known for v in layer.variables)]
        if strange:
            raise ArgumentError(
                f"Model {self.name!r}: the loss depends on weights of {strange[0]!r}, which the model does not contain."
            )
        self._with_losses = graph
        self._forget_programs()

    def check_input(self, spec: Spec) -> None:
        """Accept any spec: each input is checked by the layers that take it.

        Args:
            spec: the spec of an input.
        """

    def __call__(self, inputs: Any, *args: Any, training: bool | None = None, mask: Any = None, **kwargs: Any) -> Any:
        """Apply the model inside a trace, to symbolic values, or eagerly to a batch of arrays."""
        if context.current() is not None or mask is not None or args or kwargs or is_declared(inputs):
            return super().__call__(inputs, *args, training=training, mask=mask, **kwargs)
        from lamella.training import inference

        if training is not None or not self._trains_by_default():
            training = bool(training)
        return inference.call_on_arrays(self, inputs, training)

    # ---- shapes ----

    @property
    def has_input_shape(self) -> bool:
        """Whether the input shape is known."""
        return self._given is not None

    @property
    def input_spec(self) -> Any:
        """The spec of a batch, or the structure of specs; free dimensions are `Dim`s."""
        return self._given

    @property
    def output_spec(self) -> Any:
        """The spec of the predictions for such a batch, or the structure of specs."""
        return self._returned

    @property
    def input_shape(self) -> Any:
        """The shape of a batch, or the structure of shapes; None for free dimensions.

        Raises:
            NotBuiltError: the shape is not known yet; `hasattr` returns False then.
        """
        if self._given is None:
            raise NotBuiltError(f"Model {self.name!r} has no input shape yet.")
        return tree.map_leaves(lambda spec: public_shape(spec.shape), self._given)

    @property
    def output_shape(self) -> Any:
        """The shape of a batch of predictions, or the structure of shapes.

        Raises:
            NotBuiltError: the shape is not known yet; `hasattr` returns False then.
        """
        if self._returned is None:
            raise NotBuiltError(f"Model {self.name!r} is not built yet, so its output shape is not known.")
        return tree.map_leaves(lambda spec: public_shape(spec.shape), self._returned)

    @property
    def input_dtype(self) -> str:
        """The dtype that the first input is cast to."""
        return next(spec.dtype for spec in tree.leaves(self._given))

    def check_batch(self, specs: Any) -> Any:
        """Return `specs` if a batch of them fits the model: its structure, ranks and fixed dimensions.

        Args:
            specs: the specs of a batch, in the structure of the inputs.

        Raises:
            ShapeError: a shape does not match.
            ArgumentError: the structure does not match.
        """
        given, expected = list(tree.leaves(specs)), list(tree.leaves(self._given))
        if len(given) != len(expected):
            raise ArgumentError(
                f"Model {self.name!r} takes {len(expected)} inputs, {', '.join(map(repr, self.input_names))}; got "
                f"{len(given)}."
            )
        for name, spec, wanted in zip(self.input_names, given, expected, strict=True):
            if len(spec.shape) != len(wanted.shape) or any(map(misfits, spec.shape[1:], wanted.shape[1:])):
                raise ShapeError(
                    f"Model {self.name!r}, input {name!r}: expected shape {public_shape(wanted.shape)}, got "
                    f"{public_shape(spec.shape)}."
                )
            if wanted.shape and misfits(spec.shape[0], wanted.shape[0]):
                raise ShapeError(
                    f"Model {self.name!r} has the fixed batch size {wanted.shape[0]}, got {spec.shape[0]} rows."
                )
        return specs

    def shown_parts(self) -> Parts:
        """Return the layer calls and operations that the model consists of, as far as they are known."""
        if self._graph is None:
            return parts_of_attributes(self.children, self._returned_by)
        return parts_of_graph(self._graph, self._declarations)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}: {', '.join(self.children) or 'no layers'}>"


_OWN = frozenset(
    (
        "_nodes", "_declarations", "_inputs", "_outputs", "_graph", "_with_losses", "_calls", "_compiled", "_loops",
        "functions", "_run", "history",
    )
)  # fmt: skip
"""Attributes that are not searched for layers."""


def misfits(size: Any, expected: Dimension) -> bool:
    """Whether a fixed dimension has another size, or, within `jax.export`, is a symbolic dimension of JAX."""
    return not isinstance(expected, Dim) and (not isinstance(size, int | Dim) or differ(size, expected))


def _named_dims(shape: Sequence[int | None], name: str) -> tuple[Dimension, ...]:
    """`shape` with symbols for free dimensions, named after the input `name` if there are several inputs."""
    dims = named_shape(shape)
    return tuple(symbol(f"{name}_{d}") if name and isinstance(d, Dim) and str(d) != BATCH else d for d in dims)


def _freed(spec: Spec, kept: int | None, name: str) -> Spec:
    """`spec` with all axes free but the last `kept`, and the features of floats; None frees the batch axis only."""
    count = max(kept, 1) if kept is not None and is_float(spec.dtype) else kept
    free = 1 if count is None else len(spec.shape) - count
    shape = [None if i < free else d for i, d in enumerate(public_shape(spec.shape))]
    return Spec(_named_dims(shape, name), spec.dtype)


def _single(given: Any) -> Any:
    """The only entry of a list or tuple, which Keras treats as the value itself."""
    return given[0] if isinstance(given, list | tuple) and len(given) == 1 else given


def _input_layer(value: Declared) -> Layer:
    """The `InputLayer` of an input; for a value inside another graph, a new `InputLayer`."""
    layer = value.maker.attrs.get("layer")
    if isinstance(layer, InputLayer):
        return layer
    return InputLayer(batch_shape=public_shape(value.shape), dtype=value.dtype)


serialization.register(serialization.CONTAINERS, {"Model": Model, "Functional": Model})

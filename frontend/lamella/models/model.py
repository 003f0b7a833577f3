"""`Model`: a graph from declared inputs to outputs, or the `call` of a subclass."""

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
    """A model: `Model(inputs, outputs)`, or a subclass with layers in its attributes and a `call`.

    >>> from lamella import Input, Model, layers
    >>> x = Input((8,))
    >>> y = layers.Dense(8, "relu")(x)
    >>> Model(x, layers.Dense(2)(x + y)).output_shape
    (None, 2)

    Args:
        inputs: declared values, of `Input` or of layers within another graph: one, or a list, tuple or dict of them.
        outputs: what is made of them: one declared value, or a list, tuple or dict.
        name: the model's name.
        trainable: whether its weights may be trained.
        dtype: the policy of what the model itself computes.

    A graph is built at once. Weights are a function of the model's seed, which is the next draw after
    `utils.set_random_seed`, and of their path within the first model that has their layer. A subclass is built by
    `build(input_shape)` or by the first data; its `call(inputs, training=False, mask=None)` takes the structure that is fed.
    A model is a layer itself, and may be a part of another.

    Raises:
        TypeError: something among inputs or outputs is no declared value.
        ArgumentError: an output depends on an `Input` that is not given, or an input reaches no output.
        ValueError: the user gave two layers one name.
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

    # ---- a graph ----

    def _declare_graph(self, inputs: Any, outputs: Any) -> None:
        for what, given in (("inputs", inputs), ("outputs", outputs)):
            found = list(tree.leaves(given))
            if not found:
                raise ArgumentError(f"Model(inputs, outputs): there are no {what}.")
            for leaf in found:
                if not isinstance(leaf, Declared):
                    raise TypeError(
                        f"Model(inputs, outputs): among the {what} is {leaf!r}, which is no declared value. Begin with "
                        "`x = Input(shape)`, and apply layers to it."
                    )
        inputs, outputs = _single(inputs), _single(outputs)
        entries: list[Declared] = list(tree.leaves(inputs))
        if len(set(entries)) < len(entries):
            raise ArgumentError(f"Model {self.name!r}: one of its inputs is listed twice.")
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
            for variable in layer.variables:  # its path begins with the name that the layer was built under
                variable.claim(key, f"{layer.name}/{variable.path.partition('/')[2]}")
        self._given = self._canonical_inputs()
        with limits.counted_before():
            self._returned = self._traced(self._given, None)
        self.built = True

    def _in_keras_order(self) -> list[Any]:
        """The declarations of the inputs, the layers and the equations of the graph, as Keras lists them."""
        return [] if self._graph is None else in_keras_order(self._graph, self._declarations, self._outputs)

    def _canonical_inputs(self) -> Any:
        """The specs of the inputs, with free dimensions that are named after the inputs where there are several."""
        values, structure = tree.flatten(self._inputs)
        names = self.input_names if len(values) > 1 else [""] * len(values)
        pairs = zip(values, names, strict=True)
        return tree.unflatten(structure, [Spec(_named_dims(public_shape(v.shape), name), v.dtype) for v, name in pairs])

    def _number(self, layer: Layer, *, fresh: bool) -> None:
        """Give a layer that the user has not named a name that is free here, and in the other models that have the layer.

        Args:
            layer: the layer.
            fresh: whether no other model knows it by the name that it has.
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
        """Keep the layers by the names that they have now."""
        layers = list(self._nodes.values())
        self._nodes = {layer.name: layer for layer in layers}
        self._forget_programs()  # random draws depend on the layers' paths
        for model in models_with(self):
            model._rename_layers()

    # ---- what it holds ----

    @property
    def children(self) -> dict[str, Layer]:
        """The layers by their name within the model: those of the graph, then those in attributes."""
        return self._kept_layers(dict(self._nodes), _OWN)

    def name_of(self, layer: Layer) -> str:
        """The name that `layer` has in the model; the attributes are searched only for layers outside of the graph."""
        return layer.name if self._nodes.get(layer.name) is layer else super().name_of(layer)

    @property
    def layers(self) -> list[Layer]:
        """The layers: of a graph, with the declarations of its inputs, in Keras's order; else as attributes have them."""
        return list(self.children.values())

    @property
    def inputs(self) -> list[Declared]:
        """The declared values that the model's graph begins with.

        Raises:
            AttributeError: it has no graph: its `call` is a subclass's own.
        """
        return list(tree.leaves(self._declared_ends()[0]))

    @property
    def outputs(self) -> list[Declared]:
        """The declared values that the model's graph ends with.

        Raises:
            AttributeError: it has no graph: its `call` is a subclass's own.
        """
        return list(tree.leaves(self._declared_ends()[1]))

    def declare(self) -> None:
        """Give every layer its `input` and `output`, where the model has a graph."""

    def _declared_ends(self) -> tuple[Any, Any]:
        """The inputs and the outputs in their structures."""
        if self._graph is None:
            raise AttributeError(
                f"Model {self.name!r} has no declared inputs: what it does is in the `call` of {type(self).__name__}."
            )
        return self._inputs, self._outputs

    @property
    def input(self) -> Any:
        """The declared inputs, in their structure."""
        return self._declared_ends()[0]

    @property
    def output(self) -> Any:
        """The declared outputs, in their structure."""
        return self._declared_ends()[1]

    @property
    def input_names(self) -> list[str]:
        """A name for each input: that of its `Input`, or the key of a dict of inputs."""
        if self._graph is None:
            return names_of(self._given, "input")
        keys = keys_of(self._inputs)
        declared = zip(self._graph.inputs, self._declarations, strict=True)
        return [keys.get(value, layer.name) for value, layer in declared]

    @property
    def output_names(self) -> list[str]:
        """A name for each output: the key of a dict of outputs, or the name of the layer that makes it."""
        if self._graph is None:
            return names_of(self._returned, "output")
        keys, names = keys_of(self._outputs), list[str]()
        for value in self._graph.outputs:
            names.append(first_free(keys.get(value, value.name), names))  # type: ignore[attr-defined]
        return names

    # ---- building ----

    def build(self, input_shape: Any = None) -> None:
        """Make the weights of a subclass for batches of a shape, or of a structure of shapes, None where they are free."""

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
                    f"Model {self.name!r} has no input shape yet: call it on data, or `build((None, ...))`."
                )
            specs = self._given if self._given is not None else specs_of_shapes(input_shape, None)
            self._given, self._returned = self._traced_with_free(specs)
        self._forget_programs()

    def build_for(self, batch: Any) -> None:
        """Build the model, where it is not built yet, for data of which `batch` is the first.

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
        """Specs for batches like `batch`, with as much left free as the layers allow, and those of the outputs."""
        given, structure = tree.flatten(batch)
        names = names_of(batch, "input") if len(given) > 1 else [""] * len(given)
        failure: Exception | None = None
        for kept in (0, 1, None, -1):  # axes that are not free, counted from the last; None: all but the batch; -1: all
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
        """The specs of the outputs for inputs of `specs`; layers that are not built are, as part of `place`."""
        flat, structure = tree.flatten(specs)
        key, path = place or (None, "")
        named = {f"input {i}": spec for i, spec in enumerate(flat)}
        with (
            context.tracing(None, named, build_key=key, draws_without_key=True) as traced,
            traced.context.within(self, path),
        ):
            inputs = tree.unflatten(structure, list(traced.inputs.values()))
            words = {"training": False} if "training" in call_parameters(type(self)) else {}
            traced.context.outputs = calls = dict[str, list[Any]]()
            found, returned = tree.flatten(self.call(inputs, **words))
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
        """What is built inside is undone where an exception leaves the block."""
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
        """The same layers in a model that training, and `add` and `pop`, on this one do not change."""
        clone = copy.copy(self)
        clone._prepare_training()
        return clone

    # ---- calling ----

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """The outputs for inputs: the graph's; a subclass says here what it computes."""
        if self._graph is None:
            raise NotImplementedError(
                f"{type(self).__name__} defines no `call`: write `call(self, inputs, training=False)`, or give "
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
        """Add to the loss of the model: a scalar, from inside `call`; or a declared value, made of values of the graph.

        >>> from lamella import Input, Model, layers, ops
        >>> x = Input((3,))
        >>> y = layers.Dense(2)(x)
        >>> model = Model(x, y)
        >>> model.add_loss(ops.mean(ops.square(y)))
        >>> model.compile("sgd")

        Args:
            loss: the scalar; of a declared value of other shape the mean counts. A declared one is not in files and copies.

        Raises:
            ArgumentError: the model has no graph, or the loss depends on other inputs, or on weights that are not the
                model's.
        """
        if not isinstance(loss, Declared):
            super().add_loss(loss)
            return
        if self._graph is None:
            raise ArgumentError(
                f"Model {self.name!r}: a declared loss is for Model(inputs, outputs); write it in `call`."
            )
        whole: Any = self._graph if self._with_losses is None else self._with_losses
        graph = graph_of(list(tree.leaves(self._inputs)), [*whole.outputs, loss], self.name)
        known = {id(variable) for variable in self.variables}
        strange = [layer.name for layer in graph.layers if any(id(v) not in known for v in layer.variables)]
        if strange:
            raise ArgumentError(
                f"Model {self.name!r}: the loss depends on weights of {strange[0]!r}, which are not its own."
            )
        self._with_losses = graph
        self._forget_programs()

    def check_input(self, spec: Spec) -> None:
        """As a layer of another model: nothing, each input is checked by the layers that it reaches."""

    def __call__(self, inputs: Any, *args: Any, training: bool | None = None, mask: Any = None, **kwargs: Any) -> Any:
        """Apply the model inside a trace, to declared values, or to a batch of arrays at once."""
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
        """The spec of a batch, or the structure of specs; what is left free is a `Dim`."""
        return self._given

    @property
    def output_spec(self) -> Any:
        """The spec of the predictions for such a batch, or the structure of specs."""
        return self._returned

    @property
    def input_shape(self) -> Any:
        """The shape of a batch, or the structure of shapes, None for what is left free.

        Raises:
            NotBuiltError: it is not known yet; `hasattr` says False then.
        """
        if self._given is None:
            raise NotBuiltError(f"Model {self.name!r} has no input shape yet.")
        return tree.map_leaves(lambda spec: public_shape(spec.shape), self._given)

    @property
    def output_shape(self) -> Any:
        """The shape of a batch of predictions, or the structure of shapes.

        Raises:
            NotBuiltError: it is not known yet; `hasattr` says False then.
        """
        if self._returned is None:
            raise NotBuiltError(f"Model {self.name!r} is not built yet, so its output shape is not known.")
        return tree.map_leaves(lambda spec: public_shape(spec.shape), self._returned)

    @property
    def input_dtype(self) -> str:
        """The dtype that batches of the first input are cast to."""
        return next(spec.dtype for spec in tree.leaves(self._given))

    def check_batch(self, specs: Any) -> Any:
        """`specs`, where a batch of them fits the model: the structure, ranks, and the dimensions that are not left free.

        Raises:
            ShapeError: what came and what was expected are named.
            ArgumentError: the structure is another.
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
        """The calls of layers, and the operations, that the model consists of, as far as they are known."""
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
"""Attributes of a model in which there are no layers of its own to be found."""


def misfits(size: Any, expected: Dimension) -> bool:
    """Whether a dimension that is not left free has another size, or, within `jax.export`, a symbol of JAX's."""
    return not isinstance(expected, Dim) and (not isinstance(size, int | Dim) or differ(size, expected))


def _named_dims(shape: Sequence[int | None], name: str) -> tuple[Dimension, ...]:
    """`shape` with symbols for what is free, named after the input `name` where there are several inputs."""
    dims = named_shape(shape)
    return tuple(symbol(f"{name}_{d}") if name and isinstance(d, Dim) and str(d) != BATCH else d for d in dims)


def _freed(spec: Spec, kept: int | None, name: str) -> Spec:
    """`spec` with all axes free but the last `kept` ones, and the features of floats; None: but all behind the batch."""
    count = max(kept, 1) if kept is not None and is_float(spec.dtype) else kept
    free = 1 if count is None else len(spec.shape) - count
    shape = [None if i < free else d for i, d in enumerate(public_shape(spec.shape))]
    return Spec(_named_dims(shape, name), spec.dtype)


def _single(given: Any) -> Any:
    """The one entry of a list or tuple, which Keras takes for the value itself."""
    return given[0] if isinstance(given, list | tuple) and len(given) == 1 else given


def _input_layer(value: Declared) -> Layer:
    """The `InputLayer` of an input; a new one for a value within another graph."""
    layer = value.maker.attrs.get("layer")
    if isinstance(layer, InputLayer):
        return layer
    return InputLayer(batch_shape=public_shape(value.shape), dtype=value.dtype)


serialization.register(serialization.CONTAINERS, {"Model": Model, "Functional": Model})

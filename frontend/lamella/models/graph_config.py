"""Conversion of a graph to plain data in Keras 3's functional schema, and back.

Each layer and each operation is listed once, with its calls as `inbound_nodes`; a value is identified by the layer or
operation that returns it, the number of the call, and its index among the outputs of the call.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Container, Iterator, Mapping
from typing import Any

import numpy as np

from lamella.core import serialization
from lamella.errors import ArgumentError
from lamella.graph import CALL, Graph, operations, sorted_leaves
from lamella.ir.declared import Declared, is_declared
from lamella.ir.dim import Dim, public_shape
from lamella.ir.program import Equation, Value, for_sizes
from lamella.ir.spec import numpy_dtype
from lamella.layers.base import Layer
from lamella.layers.core import InputLayer
from lamella.layers.making import call_parameters
from lamella.layers.naming import first_free
from lamella.names import snake_case
from lamella.tree import leaves, map_leaves

Config = dict[str, Any]


# ---- to plain data ----


def serialize(model: Any) -> Config:
    """The layers and operations of a model's graph with their calls, its inputs and its outputs."""
    return _Description(model).config()


class _Description:
    """The state of describing a graph.

    Attributes:
        parts: the layers and the equations that call none, in Keras's order.
        places: for each free dimension the input that has it, and the axis.
        dtypes: the dtype of each input, by the id of its declaration.
        described: the description of each listed operation, by the id of its equation.
        names: for each used value [layer or operation, number of the call, index of the output].
        labels: the name of each layer and operation, by id.
    """

    def __init__(self, model: Any) -> None:
        self.model, self.graph = model, model._graph
        self.parts: list[Any] = model._in_keras_order()
        self.places: dict[str, tuple[str, int]] = {}
        self.dtypes: dict[int, str] = {}
        for layer, value in zip(model._declarations, self.graph.inputs, strict=True):
            self.dtypes[id(layer)] = value.dtype
            for axis, dim in enumerate(value.shape):
                if isinstance(dim, Dim):
                    self.places.setdefault(str(dim), (layer.name, axis))
        self.described = self._operations()
        listed = set(map(id, self.parts))
        # a broadcast is listed as an operation only if a layer takes its result
        self.parts += [e for e in self.graph.equations if id(e) in self.described and id(e) not in listed]
        self.names: dict[Value, list[Any]] = {}
        self.labels = self._named()

    def _operations(self) -> dict[int, operations.SerializedOperation]:
        """The listed operations: those that outputs depend on after constants are inlined."""
        found: dict[int, operations.SerializedOperation] = {}
        needed = set(self.graph.outputs)
        for equation in reversed(self.graph.equations):
            if equation.op is CALL:
                needed.update(equation.inputs)
            elif not needed.isdisjoint(equation.outputs):
                found[id(equation)] = operations.serialize(equation, self.places)
                needed.update(leaf for leaf in leaves(found[id(equation)].arguments) if isinstance(leaf, Declared))
        return found

    def _named(self) -> dict[int, str]:
        """A name per layer and operation, by id; also fills in the names of their outputs."""
        labels = {id(layer): name for name, layer in self.model._nodes.items()}
        taken = set(labels.values())
        for part in self.parts:
            if id(part) in self.described:
                labels[id(part)] = first_free(snake_case(self.described[id(part)].class_name), taken)
                taken.add(labels[id(part)])
        for layer, value in zip(self.model._declarations, self.graph.inputs, strict=True):
            self.names[value] = [labels[id(layer)], 0, 0]
        calls: dict[int, int] = {}
        results = {next(leaves(made)): made for layer in self.graph.layers for _, made in layer._calls}
        for equation in self.graph.equations:
            owner = equation
            if equation.op is CALL:
                owner = equation.attrs["layer"]
                calls[id(owner)] = calls.get(id(owner), -1) + 1
            elif id(equation) not in self.described:
                continue
            made = results.get(equation.outputs[0], list(equation.outputs))
            for i, value in enumerate(sorted_leaves(made)):
                self.names[value] = [labels[id(owner)], calls.get(id(owner), 0), i]
        return labels

    def config(self) -> Config:
        nodes: dict[int, list[Config]] = {}
        for equation in self.graph.calls:
            nodes.setdefault(id(equation.attrs["layer"]), []).append(self._call(equation))
        entries: list[Config] = []
        for part in self.parts:
            if isinstance(part, Layer):
                entry = serialization.serialize(part)
                entry.pop("build_config", None)  # its calls build it
                inbound = nodes.get(id(part), [])
                if id(part) in self.dtypes:
                    entry["config"]["dtype"] = self.dtypes[id(part)]
            elif id(part) in self.described:
                module, class_name, config, arguments = self.described[id(part)]
                config = {"name": self.labels[id(part)], **config}
                entry = {"module": module, "class_name": class_name, "config": config, "registered_name": class_name}
                inbound = [{"args": self._plain(arguments), "kwargs": {}}]
            else:
                continue
            entry["name"] = self.labels[id(part)]
            entry["inbound_nodes"] = inbound
            entries.append(entry)
        model = self.model
        return {
            "layers": entries,
            "input_layers": map_leaves(lambda value: self.names[value], model._inputs),
            "output_layers": map_leaves(self._end, model._outputs),
        }

    def _end(self, value: Declared) -> list[Any]:
        """The name of an output; only here Keras counts the graph of a functional model as its first call."""
        name, number, place = self.names[value]
        return [name, number + _counted_from(self.model._nodes.get(name)), place]

    def _call(self, equation: Equation) -> Config:
        args, kwargs = _with_keywords(equation)
        node = {"args": self._plain(list(args)), "kwargs": self._plain(kwargs)}
        if isinstance(kwargs.get("training"), bool):
            node["training"] = kwargs["training"]  # Keras writes it for every call, and ignores it
        return node

    def _plain(self, value: Any) -> Any:
        if isinstance(value, Declared):
            if operations.is_constant(value):
                return self._plain(operations.number_of(value))
            shape = list(public_shape(value.shape))
            config = {"shape": shape, "dtype": value.dtype, "keras_history": self.names[value]}
            return {"class_name": "__keras_tensor__", "config": config}
        if isinstance(value, list | tuple):
            return [self._plain(item) for item in value]
        if isinstance(value, dict):
            return {key: self._plain(item) for key, item in value.items()}
        if isinstance(value, slice):
            config = {"start": value.start, "stop": value.stop, "step": value.step}
            return {"class_name": "__slice__", "config": config}
        if isinstance(value, np.ndarray) and value.ndim:
            return {"class_name": "__numpy__", "config": {"value": value.tolist(), "dtype": value.dtype.name}}
        return serialization.plain(value.item() if isinstance(value, np.ndarray) else value)


def _with_keywords(equation: Equation) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of a call; those after an omitted one are passed by keyword."""
    args, kwargs = equation.attrs["arguments"]
    names = list(call_parameters(type(equation.attrs["layer"])))[1:]
    kept = list(itertools.takewhile(lambda item: item is not None, args))
    behind = zip(names[len(kept) :], args[len(kept) :], strict=False)
    return kept, {**{name: item for name, item in behind if item is not None}, **kwargs}


def _counted_from(owner: Any) -> int:
    return int(isinstance(getattr(owner, "_graph", None), Graph))


# ---- back ----


def made(cls: type[Any], config: Mapping[str, Any]) -> Any:
    """Return the model of class `cls` that a configuration describes."""
    inputs, outputs, layers = declared(config)
    named = [layer._named for layer in layers]
    for layer, entry in zip(
        layers, [e for e in config["layers"] if not operations.is_operation(e.get("module"))], strict=True
    ):
        layer.name, layer._named = entry["name"], True  # the name in the file is kept
    model: Any = cls(inputs=inputs, outputs=outputs, name=config.get("name"), trainable=config.get("trainable", True))
    for layer, flag in zip(layers, named, strict=True):
        layer._named = flag
    if model._graph is not None:
        model._nodes = {layer.name: layer for layer in layers if model._nodes.get(layer.name) is layer}
    return model


def declared(config: Mapping[str, Any]) -> tuple[Any, Any, list[Layer]]:
    """Return the inputs and outputs of the graph that a configuration describes, and its layers in their order.

    Raises:
        ArgumentError: a call refers to a value that does not exist, or depends on itself.
    """
    made: dict[str, Any] = {}
    for entry in config["layers"]:
        made[entry["name"]] = (
            entry if operations.is_operation(entry.get("module")) else serialization.deserialize(entry)
        )
    values = {(name, 0): [owner.value()] for name, owner in made.items() if isinstance(owner, InputLayer)}
    nodes = {(entry["name"], i): node for entry in config["layers"] for i, node in enumerate(entry["inbound_nodes"])}

    def value(history: Any) -> Declared:
        name, number, place = history
        outputs = values.get((name, number), [])
        if not 0 <= place < len(outputs):
            raise ArgumentError(f"the value {history} is used, but no call returns it.")
        return outputs[place]

    def end(history: Any) -> Declared:
        name, number, place = history
        return value([name, number - _counted_from(made[name]), place])

    for name, number in _in_order(nodes, values):
        node, owner = nodes[name, number], made[name]
        args, kwargs = _with_values(node["args"], value), _with_values(node["kwargs"], value)
        if not isinstance(owner, Mapping) and not is_declared((args, kwargs)):
            raise ArgumentError(f"{name!r} is called without an input: {str(node['args'])[:60]}.")
        if isinstance(owner, Mapping):
            given = _with_values(owner["config"], value)
            outputs = operations.applied(owner["module"], owner["class_name"], given, args, kwargs)
        else:
            kwargs = {word: item for word, item in kwargs.items() if item is not None and word != "training"}
            fixed = {"training": node["training"]} if "training" in node else {}
            outputs = owner(*args, **kwargs, **fixed)
        values[name, number] = list(sorted_leaves(outputs))
    layers = [owner for owner in made.values() if isinstance(owner, Layer)]
    return _ends(config["input_layers"], value), _ends(config["output_layers"], end), layers


Call = tuple[str, int]


def _in_order(nodes: Mapping[Call, Config], given: Container[Call]) -> Iterator[Call]:
    """The calls in topological order; of several that are ready, the one that is listed first.

    Raises:
        ArgumentError: a call depends on itself, or on one that is not listed.
    """
    places = {call: place for place, call in enumerate(nodes)}
    missing: dict[Call, int] = {}
    dependents: dict[Call, list[Call]] = {}
    for call, node in nodes.items():
        name, number = call
        needed = {(made, i) for made, i, _ in _histories((node["args"], node["kwargs"]))}
        if number:
            needed.add((name, number - 1))  # a layer's calls keep their order
        waiting = [other for other in needed if other not in given]
        unknown = next((other for other in waiting if other not in nodes), None)
        if unknown is not None:
            raise ArgumentError(
                f"{name!r} is called with the output of call {unknown[1]} of {unknown[0]!r}, which does not exist."
            )
        missing[call] = len(waiting)
        for other in waiting:
            dependents.setdefault(other, []).append(call)
    ready = [(places[call], call) for call, count in missing.items() if not count]
    while ready:
        _, call = heapq.heappop(ready)
        yield call
        del missing[call]
        for other in dependents.get(call, ()):
            missing[other] -= 1
            if not missing[other]:
                heapq.heappush(ready, (places[other], other))
    if missing:
        raise ArgumentError(
            f"the calls of {next(iter(missing))[0]!r} and others depend on themselves: the graph has a cycle."
        )


def _histories(value: Any) -> Iterator[Any]:
    """The values that the arguments of a call refer to."""
    if isinstance(value, list | tuple):
        for item in value:
            yield from _histories(item)
    elif isinstance(value, dict):
        if value.get("class_name") == "__keras_tensor__":
            yield value["config"]["keras_history"]
        else:
            for item in value.values():
                yield from _histories(item)


def _with_values(part: Any, value: Callable[[Any], Declared]) -> Any:
    """The arguments of a call with values in place of their descriptions."""
    if isinstance(part, list | tuple):
        return [_with_values(item, value) for item in part]
    if isinstance(part, operations.Body):
        return for_sizes(part.program, _with_values(part.sizes, value))
    if not isinstance(part, dict):
        return part
    if "class_name" not in part or "config" not in part:
        return {key: _with_values(item, value) for key, item in part.items()}
    name, config = part["class_name"], part["config"]
    if name == "__keras_tensor__":
        return value(config["keras_history"])
    if name == "__slice__":
        return slice(*(_with_values(config.get(word), value) for word in ("start", "stop", "step")))
    if name == "__ellipsis__":
        return ...
    if name in ("__numpy__", "__tensor__"):
        return np.asarray(config["value"], numpy_dtype(config["dtype"]))
    if name == "__dim__":
        return operations.dim_from(config, lambda made, axis: value([made, 0, 0]).shape[axis])
    return serialization.deserialize(part)


def _ends(part: Any, value: Callable[[Any], Any]) -> Any:
    """The structure of the inputs or outputs of a graph, with values in place of their names."""
    if isinstance(part, dict):
        return {key: _ends(item, value) for key, item in part.items()}
    if _is_history(part):
        return value(part)
    return type(part)(_ends(item, value) for item in part)


def _is_history(part: Any) -> bool:
    """Whether an entry names a value: layer or operation, number of the call, index of the output."""
    return isinstance(part, list | tuple) and len(part) == 3 and isinstance(part[0], str)

"""Models as graphs: each is built by one function, of Keras's layers and of lamella's alike.

A builder takes a `Library`, which notes every layer that is made. The two libraries list a model's weights in different
orders, so weights are drawn, and gradients named, by the number of their layer and their place within it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from . import draw

ROWS, BATCH = 6, 4
"""Rows of the data, and of a batch in `fit`: the last batch of an epoch is shorter."""

SAMPLED = 96
"""Of a larger gradient that many entries are recorded."""


@dataclasses.dataclass(frozen=True)
class Given:
    """What is drawn for an input: standard normals, integers from 1 up to `below`, or truth values.

    Attributes:
        shape: of a row.
        below: what integers are below; 0 for floats, 2 for truth values.
        dtype: of the input.
        padded: whether rows end in zeros.
    """

    shape: tuple[int, ...]
    below: int = 0
    dtype: str = "float32"
    padded: bool = False

    def drawn(self, random: np.random.RandomState) -> np.ndarray:
        """The input, for `ROWS` rows."""
        shape = (ROWS, *self.shape)
        if self.padded:
            x = random.randint(1, self.below, shape) if self.below else random.standard_normal(shape)
            x[~draw.mask(random, "right", ROWS, self.shape[0])[::-1]] = 0
        elif self.dtype == "bool":
            x = random.uniform(size=shape) < 0.7
            x[..., 0] = True  # something is left to attend to
        else:
            x = random.randint(0, self.below, shape) if self.below else random.standard_normal(shape)
        return x.astype(self.dtype)


def floats(*shape: int, padded: bool = False) -> Given:
    """Standard normals; where `padded`, rows end in steps of zeros."""
    return Given(shape, padded=padded)


def words(below: int, length: int, padded: bool = True) -> Given:
    """Codes of words; where `padded`, rows end in zeros."""
    return Given((length,), below, "int32", padded)


def codes(below: int) -> Given:
    """One code in a row."""
    return Given((1,), below, "int32")


def flags(*shape: int) -> Given:
    """Truth values, the first of the last axis true."""
    return Given(shape, 2, "bool")


@dataclasses.dataclass(frozen=True, kw_only=True)
class GraphCase:
    """A model, the data that it is asked with, and how it is trained.

    Attributes:
        id: names the case; the seed of every draw.
        build: makes the model of a `Library`.
        inputs: the structure of what is drawn for the inputs.
        targets: how targets are drawn (`draw.targets`): a kind for all outputs, or in the structure of the outputs.
        sample_weight: how weights of samples are drawn, in either way; None for none.
        compiled: arguments of `compile`, or a function that makes them of a `Library`.
        rate: the learning rate of SGD.
        fast: whether JAX runs it in the fast part of the tests.
        slow: whether both backends run it in the slow part alone.
        one_step: whether it is trained for one step, after which its state is compared, because the steps that follow amplify
            rounding; other cases are trained for two epochs.
    """

    id: str
    build: Callable[[Library], Any]
    inputs: Any
    targets: Any = "normal"
    sample_weight: Any = None
    compiled: Mapping[str, Any] | Callable[[Library], Mapping[str, Any]]
    rate: float
    fast: bool
    slow: bool
    one_step: bool = False


class Table:
    """Cases of a family, gathered by their builders."""

    def __init__(self) -> None:
        self.cases: list[GraphCase] = []

    def graph(
        self,
        inputs: Any,
        targets: Any = "normal",
        *,
        compiled: Any = None,
        sample_weight: Any = None,
        rate: float = 0.05,
        fast: bool = False,
        slow: bool = False,
        one_step: bool = False,
    ) -> Callable[[Callable[[Library], Any]], Callable[[Library], Any]]:
        """Make a case of the builder below it; its name is the case's id."""

        def noted(build: Callable[[Library], Any]) -> Callable[[Library], Any]:
            self.cases.append(
                GraphCase(
                    id=build.__name__.replace("_", "-"),
                    build=build,
                    inputs=inputs,
                    targets=targets,
                    sample_weight=sample_weight,
                    compiled=compiled or {"loss": "mse"},
                    rate=rate,
                    fast=fast,
                    slow=slow,
                    one_step=one_step,
                )
            )
            return build

        return noted


class _Noting:
    """The layers of a library, each noted when it is made."""

    def __init__(self, layers: Any, made: list[Any]) -> None:
        self._layers, self._made = layers, made

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.islower():  # functions, as `concatenate`, whose layers have no weights
            return getattr(self._layers, name)

        def made(*args: Any, **kwargs: Any) -> Any:
            if name == "Bidirectional":  # holds copies of the layer, or a copy and the layer
                self._made.remove(args[0])
            layer = getattr(self._layers, name)(*args, **kwargs)
            self._made.append(layer)
            return layer

        return made


class Library:
    """Keras or lamella, whose layers are noted in the order of their making.

    Attributes:
        made: the layers.
        layers: makes layers, and notes them.
        Layer: the base class of layers, for those of one's own; `noted` notes one that has weights of its own.
    """

    def __init__(self, module: Any) -> None:
        self._module = module
        self.made: list[Any] = []
        self.layers = _Noting(module.layers, self.made)
        self.Layer: Any = module.layers.Layer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)

    def noted(self, layer: Any) -> Any:
        """The layer, noted."""
        self.made.append(layer)
        return layer


def mapped(function: Callable[..., Any], structure: Any, *others: Any) -> Any:
    """The structure with `function` of its leaves, and of those in the same places of others; one leaf is for all."""

    def at(other: Any, key: Any) -> Any:
        return other[key] if isinstance(other, dict | list | tuple) else other

    if isinstance(structure, dict):
        # sorted, as JAX returns dicts: the order of the draws
        return {key: mapped(function, structure[key], *(at(o, key) for o in others)) for key in sorted(structure)}
    if isinstance(structure, list | tuple):
        return [mapped(function, part, *(at(other, i) for other in others)) for i, part in enumerate(structure)]
    return function(structure, *others)


def named(structure: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The leaves of a structure with their places as paths."""
    if isinstance(structure, dict):
        for key in sorted(structure):
            yield from named(structure[key], f"{path}/{key}")
    elif isinstance(structure, list | tuple):
        for i, part in enumerate(structure):
            yield from named(part, f"{path}/{i}")
    else:
        yield path, structure


def built(case: GraphCase, library: Library) -> tuple[Any, dict[int, str]]:
    """The model of a case with drawn weights, compiled; and names of its weights by the ids of their variables."""
    model = case.build(library)
    if not model.built:
        model(drawn_inputs(case))
    names: dict[int, str] = {}
    for number, layer in enumerate(library.made):
        if not layer.weights or id(layer.weights[0]) in names:  # those of a wrapper belong to the layer in it
            continue
        random = draw.generator(f"{case.id}/{number}")
        values = [draw.weight(random, v.name, tuple(v.shape)) for v in layer.weights]
        layer.set_weights(values)
        names |= {id(v): f"{number}/{i}" for i, v in enumerate(layer.weights)}
    forgotten = [v.path for v in model.weights if id(v) not in names]
    assert not forgotten, f"{case.id}: weights of layers that were not noted: {forgotten}"
    compiled = case.compiled(library) if callable(case.compiled) else case.compiled
    model.compile(optimizer=library.optimizers.SGD(case.rate), **compiled)
    return model, names


def drawn_inputs(case: GraphCase) -> Any:
    """The inputs of a case, in their structure."""
    random = draw.generator(f"{case.id}/x")
    return mapped(lambda given: given.drawn(random), case.inputs)


def drawn_targets(case: GraphCase, outputs: Any) -> Any:
    """Targets for outputs, in their structure."""
    random = draw.generator(f"{case.id}/y")
    return mapped(lambda y, kind: draw.targets(random, kind, y.shape), outputs, case.targets)


def drawn_sample_weight(case: GraphCase, outputs: Any) -> Any:
    """Weights of the samples, in the structure of the outputs; None for none."""
    random = draw.generator(f"{case.id}/weight")
    if case.sample_weight is None:
        return None
    return mapped(lambda y, kind: draw.sample_weight(random, kind, y.shape), outputs, case.sample_weight)


def trained(case: GraphCase, model: Any, names: dict[int, str], x: Any, y: Any, sample_weight: Any) -> dict[str, Any]:
    """The logs of training, and the state after one step, by the keys of a recording."""
    rows, epochs = (BATCH, 1) if case.one_step else (ROWS, 2)
    x, y = (mapped(lambda array: array[:rows], given) for given in (x, y))
    history = model.fit(x, y, sample_weight=sample_weight, batch_size=BATCH, epochs=epochs, shuffle=False, verbose=0)
    found = {f"logs/{name}": np.array(values, "float64") for name, values in history.history.items()}
    state = model.non_trainable_variables if case.one_step else []
    return found | {f"state_{names[id(v)]}": np.asarray(v) for v in state if id(v) in names}


def sampled(value: np.ndarray) -> np.ndarray:
    """The array, or entries of it in places that depend on its size alone."""
    if value.size <= SAMPLED:
        return value
    return value.ravel()[np.random.RandomState(value.size).permutation(value.size)[:SAMPLED]]

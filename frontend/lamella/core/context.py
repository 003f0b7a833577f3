"""What holds while layers are traced: which value each variable has, whether it is training, where random keys come from.

A context belongs to one trace of a model, which `tracing` begins. Layers reach it through `current()`; outside a trace
layers compute eagerly.
"""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lamella import host_random, ops
from lamella.core.protocol import LayerLike
from lamella.errors import ShapeError, TraceError
from lamella.ir.program import Program, Value
from lamella.ir.spec import Spec, is_float
from lamella.ir.trace import Trace, as_value, at
from lamella.ops.random_bits import NEW_KEYS
from lamella.stacks import ThreadStack

if TYPE_CHECKING:
    from lamella.core.variable import Variable
    from lamella.ir.types import ArrayLike, Tensor, Tree


class TraceContext:
    """One trace of a model.

    Attributes:
        bindings: the present value of every variable; `assign` replaces it.
        assigned: the variables that were assigned, in order.
        training: whether layers behave as in training; None leaves it to the defaults of their `call`s.
        key: the random key uint32[2], or None where no seed was given.
        step: the step counter uint32[] that random draws depend on.
        losses: penalties added by layers (activity regularization, `add_loss`).
        loss_logs: the losses of a model's outputs, where there are several, by log key.
        path: the names of the layers being called, outermost first.
        compute_dtype: the dtype variables are read in, or None for their own.
        casts: whether inputs and variables are cast to the dtypes that the model and its layers declare.
        build_key: the random key that layers built during this trace draw their weights from.
        initial: the value of every variable when the trace began.
        frozen: ids of the layers that count as not trainable; None asks the layers themselves.
        building_in: the trace to which a variable made during it is added as an input; None where all are bound before.
        rows: in a step, a float vector: 1 for each real row of the batch, 0 for one that fills it up; else None.
        slots: in a step, the optimizer's state as a whole (a loss scale), by name.
        outputs: what each layer of the model returned, for each of its calls, by name; None where that is not asked for.
        metrics: in a step of the user's own, the states of the metrics that the model keeps, by the metric's id; else None.
        results: in such a step, the results of metrics with the metrics that gave them.
        apply_gradients: in a step of the user's own, `(optimizer, [(gradient, variable), ...])`; else None.
    """

    def __init__(
        self,
        bindings: dict[Variable, Value],
        *,
        training: bool | None = False,
        key: Tensor | None = None,
        step: Tensor | None = None,
        build_key: np.ndarray | None = None,
        trace: Trace | None = None,
        frozen: frozenset[int] | None = None,
    ) -> None:
        self.bindings = dict(bindings)
        self.build_key = build_key
        self.building_in = trace
        self.initial = dict(bindings)
        self.frozen = frozen
        self.assigned: dict[Variable, None] = {}
        self.training = training
        self.key = key
        self.step = step
        self.losses: list[Tensor] = []
        self.loss_logs: dict[str, Value] = {}
        self.path: list[str] = []
        self.layers: list[LayerLike] = []
        self._masks: dict[int, tuple[Value, Any]] = {}
        self.rows: Any = None
        self.slots: dict[str, Any] = {}
        self.outputs: dict[str, list[Any]] | None = None
        self.metrics: dict[int, dict[str, Any]] | None = None
        self.results: list[tuple[Any, Any]] = []
        self.apply_gradients: Callable[[Any, list[tuple[Any, Variable]]], None] | None = None
        self.compute_dtype: str | None = None
        self.casts = True
        self.draws: dict[Any, int] = {}

    @property
    def where(self) -> str:
        """The path of the layer being called."""
        return "/".join(self.path)

    def read(self, variable: Variable) -> Value:
        """The value of `variable`, in the compute dtype: the one place where mixed precision casts weights.

        Raises:
            TraceError: the model does not know the variable.
        """
        value = self.bindings.get(variable)
        if value is None and self.building_in is not None:
            self.bindings[variable] = self.initial[variable] = value = self.building_in.input(variable.spec)
        if value is None:
            raise TraceError(
                f"Layer {self.where!r} reads variable {variable.name!r}, which the model does not track: it would not be "
                "trained, nor be an argument of the lowered function. Make it with `self.add_weight(...)`, or assign the "
                "layer that owns it to an attribute of this layer."
            )
        wanted = self.compute_dtype if variable.autocast else None
        if wanted is not None and is_float(value.dtype) and value.dtype != wanted:
            return ops.cast(value, wanted)
        return value

    def assign(self, variable: Variable, value: ArrayLike) -> Value:
        """Give `variable` a new value for the rest of the trace; the program returns the last one."""
        known = self.initial.get(variable)
        new = as_value(ops.cast(value, variable.dtype if known is None else known.dtype))
        if tuple(new.shape) != variable.shape:
            raise ShapeError(
                f"variable {variable.name!r} of layer {self.where!r} has shape {variable.shape}, got {tuple(new.shape)}."
            )
        self.bindings[variable] = new
        self.assigned[variable] = None
        return new

    @contextmanager
    def calling(self, layer: LayerLike) -> Generator[None]:
        """Note that `layer` is being called; its equations are stamped with its path."""
        if self.layers and self.layers[-1] is layer:  # a model's own step calls the model: paths begin within it
            yield
            return
        self.path.append(self.layers[-1].name_of(layer) if self.layers else layer.name)
        self.layers.append(layer)
        try:
            with at(self.where):
                yield
        finally:
            self.layers.pop()
            self.path.pop()

    def record(self, outputs: Tree[Tensor]) -> None:
        """Note what the layer being called returns, where that is asked for and it is a layer of the model itself."""
        if self.outputs is not None and len(self.layers) == 2:
            self.outputs.setdefault(self.path[-1], []).append(outputs)

    @contextmanager
    def within(self, model: LayerLike, path: str = "") -> Generator[None]:
        """Count what is called inside as layers of `model`: their paths begin within it, behind `path` if there is one."""
        self.layers.append(model)
        if path:
            self.path.append(path)
        try:
            yield
        finally:
            self.layers.pop()
            if path:
                self.path.pop()

    def trains(self, layer: LayerLike) -> bool:
        """Whether `layer` counts as trainable in this trace (a compiled model keeps what held when training began)."""
        return layer.trainable if self.frozen is None else id(layer) not in self.frozen

    def mask_of(self, x: object) -> Any:
        """The mask that travels with `x`, or None."""
        found = self._masks.get(id(x))
        return None if found is None else found[1]

    def set_mask(self, x: object, mask: Tensor | None) -> None:
        """Let `mask` (batch, time) travel with the value `x`."""
        if mask is not None and isinstance(x, Value):
            self._masks[id(x)] = (x, as_value(mask))

    def random_key(self, seed: int | None = None, stream: Any = None) -> tuple[Any, Any]:
        """A key for the next draw of the layer being called, and the step.

        The key is a function of the layer's path and of how often it has drawn in this trace, or of `seed` and that count.

        Args:
            seed: taken instead of the path.
            stream: an object whose draws are counted separately, instead of the path.

        Raises:
            TraceError: no seed was given.
        """
        where = self.where
        counted = where if stream is None else stream
        count = self.draws.get(counted, 0)
        self.draws[counted] = count + 1
        if self.key is None:
            raise TraceError(
                f"Layer {where!r} draws random numbers in training, and no seed was given: pass `seed=` (an integer or a "
                "key), or call with `training=False`."
            )
        source = where if seed is None else f"seed {seed}"
        return ops.fold_in.bind(self.key, data=zlib.crc32(f"{source}:{count}".encode())), self.step


_CONTEXTS: ThreadStack[TraceContext | None] = ThreadStack()


def current() -> TraceContext | None:
    """The context of this thread's running trace, or None."""
    return _CONTEXTS.items[-1] if _CONTEXTS.items else None


STEP = np.zeros((), np.uint32)
"""The step of a draw outside of layers."""


def new_key() -> tuple[Any, Any]:
    """The key and the step of a draw without a seed: those of the layer being called, else the next seed of the process."""
    running = current()
    if running is not None:
        return running.random_key()
    return host_random.key_from_seed(host_random.next_seed()), STEP


NEW_KEYS.append(new_key)


@contextmanager
def entered(context: TraceContext | None) -> Generator[TraceContext | None]:
    """Make `context` current inside a `with` block."""
    with _CONTEXTS.pushed(context):
        yield context


class ModelTrace(NamedTuple):
    """A model's trace that is being written.

    Attributes:
        trace: the trace.
        context: its context, current while the trace runs.
        inputs: the program's inputs beside the variables, by name.
        names: the names of all inputs, those of the variables first.
    """

    trace: Trace
    context: TraceContext
    inputs: dict[str, Value]
    names: tuple[str, ...]

    def program(self, outputs: Iterable[tuple[str, ArrayLike]]) -> Program:
        """The finished program of these named outputs."""
        named = list(outputs)
        return self.trace.program([as_value(value) for _, value in named], self.names, [name for name, _ in named])


@contextmanager
def tracing(
    variables: Iterable[tuple[str, Variable]] | None,
    inputs: Mapping[str, Spec],
    *,
    training: bool | None = False,
    frozen: frozenset[int] | None = None,
    build_key: np.ndarray | None = None,
    concrete_inputs: Iterable[Tensor] | None = None,
    draws_without_key: bool = False,
    dtypes: Mapping[Variable, str] | None = None,
) -> Generator[ModelTrace]:
    """Trace a model inside a `with` block, with variables and `inputs` as the inputs of the program.

    Args:
        variables: the named variables, bound to the first inputs; with None a variable becomes an input when it is read.
        inputs: the specs of the other inputs, in order. One called "key" is the random key of the trace, one called "step"
            the step counter, which is 0 without such an input.
        training: whether layers behave as in training; None leaves it to the defaults of their `call`s.
        frozen: ids of the layers that count as not trainable; None asks the layers.
        build_key: the random key that layers built during the trace draw their weights from.
        concrete_inputs: an array for every input, to compute each equation as it is traced.
        draws_without_key: whether layers may draw random numbers where no input is the key: always the same ones.
        dtypes: the dtypes of variables whose values come in another than their own; nothing is cast to declared ones then.
    """
    named = list(variables or ())
    kinds = dtypes or {}
    with Trace(concrete_inputs=concrete_inputs) as trace:
        bindings = {v: trace.input(Spec(v.shape, kinds[v]) if v in kinds else v.spec) for _, v in named}
        given = {name: trace.input(spec) for name, spec in inputs.items()}
        context = TraceContext(
            bindings,
            training=training,
            key=given.get("key", np.zeros(2, np.uint32) if draws_without_key else None),
            step=given.get("step", np.zeros((), np.uint32)),  # a constant where a layer draws, and nowhere else
            build_key=build_key,
            trace=trace if variables is None else None,
            frozen=frozen,
        )
        context.casts = not kinds
        with entered(context):
            yield ModelTrace(trace, context, given, (*[name for name, _ in named], *given))


def __getattr__(name: str) -> Any:
    """The class under its earlier name."""
    if name == "Scope":
        warnings.warn("Scope is called TraceContext now.", DeprecationWarning, stacklevel=2)
        return TraceContext
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

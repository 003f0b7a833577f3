"""From a model to programs, and from programs to the pure function a user asks for."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella import ops, random
from lamella.backend import Backend
from lamella.errors import DTypeError
from lamella.ir.builder import Trace, as_value, at
from lamella.ir.program import Program, Value
from lamella.ir.spec import Rows, Spec, spec_of
from lamella.layers import scope as scoping
from lamella.layers.variable import Variable

if TYPE_CHECKING:
    from lamella.training.model import TrainableModel

KEY = Spec((2,), "uint32")


_CACHED = 64


class Programs(dict[Any, Any]):
    """Compiled functions by what they were compiled for; the oldest goes when there are too many."""

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, value)
        while len(self) > _CACHED:
            self.pop(next(iter(self)), None)


class Forward:
    """The program of a model's call, and which variables it reads and assigns.

    The program's inputs are the variables, then the batch, then a random key where there is one; its outputs the
    prediction, the new values of the assigned variables, then the penalties added by layers where asked for.
    """

    def __init__(
        self, program: Program, variables: Sequence[Variable], assigned: Sequence[int], layer_losses: int, dtype: str
    ) -> None:
        self.program, self.variables, self.dtype = program, tuple(variables), dtype
        self.assigned = tuple(assigned)
        self.layer_losses = layer_losses


def trace_forward(
    model: TrainableModel,
    x: Spec,
    *,
    training: bool,
    keyed: bool,
    losses: bool = False,
    frozen: frozenset[int] | None = None,
    feed: Sequence[Any] | None = None,
) -> Forward:
    """Trace `model` on a batch of `x`.

    Args:
        model: a built model.
        x: the batch's spec, its first dimension as `Rows`.
        training: whether layers behave as in training.
        keyed: whether the program takes a random key.
        losses: whether the penalties (regularizers, activity, `add_loss`) are returned.
        frozen: ids of the layers that count as not trainable; None asks the layers.
        feed: an array for every input, to compute each equation as it is traced.
    """
    named = list(model.named_weights())
    with Trace(feed=feed) as trace:
        inputs = [trace.input(v.spec) for _, v in named]
        batch = trace.input(x)
        key = trace.input(KEY) if keyed else None
        scope = scoping.Scope(
            dict(zip([v for _, v in named], inputs, strict=True)),
            training=training,
            key=key,
            step=np.zeros((), np.uint32),  # a constant where a layer draws, and nowhere else
            frozen=frozen,
        )
        y, _ = call_model(model, scope, batch)
        penalties = penalties_of(model, scope) if losses else []
        position = {id(v): i for i, (_, v) in enumerate(named)}
        outputs = [y, *[scope.bindings[v] for v in scope.assigned], *penalties]
        names = [*[path for path, _ in named], "x", *(["key"] if keyed else [])]
        labels = ["y", *[named[position[id(v)]][0] for v in scope.assigned], *["penalty"] * len(penalties)]
        program = trace.program([as_value(v) for v in outputs], names, labels)
    return Forward(program, [v for _, v in named], [position[id(v)] for v in scope.assigned], len(penalties), x.dtype)


def call_model(model: TrainableModel, scope: scoping.Scope, batch: Value) -> tuple[Value, Value | None]:
    """The prediction of `model` inside a trace, and its mask."""
    scope.layers.append(model)
    try:
        with scoping.entered(scope):
            y = model.call(ops.cast(batch, model.input_dtype), training=scope.training)
            return y, scope.mask_of(y)
    finally:
        scope.layers.pop()


def penalties_of(model: TrainableModel, scope: scoping.Scope) -> list[Value]:
    """What regularizers, activity regularizers and `add_loss` add to the loss, each a scalar."""
    penalties = [as_value(loss) for loss in scope.losses]
    seen: set[int] = set()
    for path, variable in model.named_weights():
        if variable.regularizer is not None and id(variable) not in seen:
            seen.add(id(variable))
            with scoping.entered(scope), at(path.rpartition("/")[0]):
                penalties.append(as_value(variable.regularizer(scope.initial[variable])))
    return penalties


class Lowered:
    """A model as a pure function of its weights: `fn(params, state, x) -> (y, new_state)`.

    `jax.jit`, `jax.grad`, `jax.vmap`, optax, `shard_map` and `jax.export` take it as they take a hand-written function. It
    keeps nothing of the model's weights: later training does not change it, and what it is given may be donated.

    Attributes:
        backend: the backend it runs on.
        input_shape: the shape of a batch, None for the number of rows.
        training: True or False where `lower(training=...)` fixed it, else None.
    """

    def __init__(
        self, model: TrainableModel, backend: Backend, *, training: bool | None = None, optimize: bool = True
    ) -> None:
        self.backend = backend
        self.input_shape = model.input_shape
        self.training = training
        self.__name__ = model.name
        self._model = model.snapshot()  # layers added later are not of this function
        self._optimize = optimize
        self._named = list(model.named_weights())
        trained = {id(v) for v in model.trainable_variables}
        self._param_names = [n for n, v in self._named if id(v) in trained]
        self._state_names = [n for n, v in self._named if id(v) not in trained]
        self._frozen = model.frozen_layers()
        self._values = {n: v.numpy() for n, v in self._named}
        self._cache = Programs()
        self._lock = threading.Lock()

    def _arrays(self, names: Sequence[str]) -> dict[str, Any]:
        specs = {n: v.spec for n, v in self._named}
        return {n: self.backend.fresh(self._values[n], specs[n].dtype) for n in names}

    @property
    def params(self) -> dict[str, Any]:
        """The trainable weights as they were at `lower`: {path: array}, fresh arrays at each access."""
        return self._arrays(self._param_names)

    @property
    def state(self) -> dict[str, Any]:
        """The other variables as they were at `lower`: {path: array}, fresh arrays at each access."""
        return self._arrays(self._state_names)

    def init(self, seed: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """A new (params, state), drawn from `seed` as a model with that seed draws its own; `jax.vmap` takes it, too.

        Args:
            seed: an integer, or a traced integer.
        """
        variables = dict(self._named)

        def draw(number: Any) -> list[np.ndarray]:
            key = random.key_from_seed(int(np.asarray(number)))
            return [variables[n].draw(random.fold(key, n)) for n in (*self._param_names, *self._state_names)]

        names = [*self._param_names, *self._state_names]
        arrays = self.backend.host_call(draw, [variables[n].spec for n in names], seed)
        drawn = dict(zip(names, arrays, strict=True))
        return {n: drawn[n] for n in self._param_names}, {n: drawn[n] for n in self._state_names}

    def __call__(
        self,
        params: Mapping[str, Any],
        state: Mapping[str, Any],
        x: Any,
        training: bool | None = None,
        seed: Any = None,
        return_losses: bool = False,
    ) -> Any:
        """The prediction for a batch, and the state afterwards.

        Args:
            params: the trainable weights, as `fn.params`.
            state: the other variables, as `fn.state`.
            x: a batch, `(rows, ...)`.
            training: a Python bool; False unless `lower` fixed it.
            seed: for random layers in training: an int, a traced integer, or a JAX key.
            return_losses: return the sum of the penalties of regularizers as a third result.

        Returns:
            (y, new_state), or (y, new_state, penalty).

        Raises:
            TypeError: `training` is no Python bool (under `jit`, fix it with `lower(backend, training=True)`).
            TraceError: training a model with a random layer without a seed; the layer is named.
            ValueError: keys or shapes do not fit.
        """
        training = self._training(training)
        self._check_keys(params, self._param_names, "params")
        self._check_keys(state, self._state_names, "state")
        x = np.asarray(x) if isinstance(x, list | tuple | int | float) else x
        spec = self._model.check_batch(spec_of(x))
        keyed = training and seed is not None
        forward, run = self._compiled(spec, training, keyed, return_losses)
        values = [params[n] if n in params else state[n] for n, _ in self._named]
        key = [key_of(seed, self.backend)] if keyed else []
        with self.backend.calling(forward.program):
            results = run(*values, x, *key)
        new_state = {n: state[n] for n in self._state_names}
        for index, value in zip(forward.assigned, results[1:], strict=False):
            name = self._named[index][0]
            if name in new_state:
                new_state[name] = value
        if not return_losses:
            return results[0], new_state
        penalties = results[1 + len(forward.assigned) :]
        total: Any = 0.0
        for penalty in penalties:
            total = penalty + total
        return results[0], new_state, total

    def _training(self, training: Any) -> bool:
        if training is None:
            return bool(self.training)
        if not isinstance(training, bool | np.bool_):
            raise TypeError(
                f"`training` is a Python bool, got {type(training).__name__}. Under `jax.jit` fix it when lowering: "
                "`model.lower('jax', training=True)`, or mark it static."
            )
        if self.training is not None and bool(training) != self.training:
            raise ValueError(f"this function was lowered with training={self.training}, it was called with {training}.")
        return bool(training)

    def _check_keys(self, given: Mapping[str, Any], names: Sequence[str], what: str) -> None:
        missing, extra = [n for n in names if n not in given], [n for n in given if n not in names]
        if missing or extra:
            told = [f"missing {missing}" if missing else "", f"unknown {extra}" if extra else ""]
            raise ValueError(f"{what} of {self.__name__!r}: {', '.join(t for t in told if t)}; see `fn.{what}`.")

    def _compiled(self, spec: Spec, training: bool, keyed: bool, losses: bool) -> tuple[Forward, Any]:
        cached = (spec, training, keyed, losses)
        with self._lock:
            if cached not in self._cache:
                forward = trace_forward(
                    self._model, spec, training=training, keyed=keyed, losses=losses, frozen=self._frozen
                )
                with self.backend.scope(forward.program):
                    self._cache[cached] = (forward, self.backend.function(forward.program, optimize=self._optimize))
            return self._cache[cached]

    @property
    def source(self) -> str:
        """The function the backend generated for a batch of 32 rows, as text (NumPy: Python source).

        Raises:
            TypeError: the backend generates none.
        """
        _, run = self._compiled(self._model.batch_spec(32), bool(self.training), bool(self.training), False)
        source = getattr(run, "source", None)
        if source is None:
            raise TypeError(f"backend {self.backend.name!r} generates no source; `model.program()` prints the program.")
        return source

    @property
    def program(self) -> Program:
        """The program for a batch of 32 rows."""
        return self._compiled(self._model.batch_spec(32), bool(self.training), bool(self.training), False)[0].program

    def __repr__(self) -> str:
        return f"<lowered {self.__name__!r} on {self.backend.name}: fn(params, state, x) -> (y, new_state)>"


def key_of(seed: Any, backend: Backend) -> Any:
    """The random key uint32[2] of a seed: an int, a traced or array integer, or a key of the backend's framework.

    Raises:
        DTypeError: it is none of these.
    """
    if isinstance(seed, int | np.integer) and not isinstance(seed, bool):
        return random.key_from_seed(int(seed))
    words = backend.key_words(seed)
    if words is not None:
        return words
    try:
        spec = spec_of(seed)
    except DTypeError:
        spec = None
    if spec == KEY:
        return seed
    if spec is None or spec.shape != () or spec.dtype not in ("int32", "uint32", "int64", "uint64"):
        raise DTypeError(f"a seed is an integer or a key, got {type(seed).__name__ if spec is None else spec}.")
    if isinstance(seed, np.ndarray):
        return random.key_from_seed(int(seed))
    low = ops.cast(seed, "uint32")
    if spec.dtype in ("uint32", "uint64"):
        high = ops.zeros_like(low) if spec.dtype == "uint32" else ops.cast(ops.right_shift(seed, 32), "uint32")
    elif spec.dtype == "int64":
        high = ops.cast(ops.right_shift(seed, 32), "uint32")
    else:
        high = ops.cast(ops.right_shift(seed, 31), "uint32")  # the sign, 32 times
    return ops.stack([high, low])


def rows_spec(shape: Sequence[int | None], dtype: str, rows: int) -> Spec:
    """The spec of a batch with `rows` rows, whose row dimension is known as such."""
    return Spec((Rows(rows), *[int(d) for d in shape[1:] if d is not None]), dtype)

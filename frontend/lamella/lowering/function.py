"""The pure function of a model's weights that `model.lower` returns."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella import compiling, host_random, ops, tree
from lamella.backend_api import Backend
from lamella.compiling import Recent
from lamella.core.protocol import Trainable
from lamella.errors import DTypeError, ShapeError
from lamella.ir.dim import BATCH, symbols_of
from lamella.ir.program import Program
from lamella.ir.spec import Spec, spec_of
from lamella.lowering.forward import FUNCTIONS, KEY, Forward, trace_forward
from lamella.tracebacks import filtered

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, Tensor


class Lowered:
    """A model as a pure function of its weights: `fn(params, state, x) -> (y, new_state)`.

    `x` and `y` have the structures of the model's inputs and outputs: an array, or lists, tuples and dicts of arrays.

    `jax.jit`, `jax.grad`, `jax.vmap`, optax, `shard_map` and `jax.export` take it as they take a hand-written function. It
    keeps nothing of the model's weights: later training does not change it, and what it is given may be donated.

    Attributes:
        backend: the backend it runs on.
        input_shape: the shape of each input of a batch, None for the number of rows.
        training: True or False where `lower(training=...)` fixed it, else None.
    """

    def __init__(
        self, model: Trainable, backend: Backend, *, training: bool | None = None, optimize: bool = True
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
        self._cache: Recent[Any, tuple[Forward, Any]] = Recent(FUNCTIONS)
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

    def init(self, seed: ArrayLike) -> tuple[dict[str, Any], dict[str, Any]]:
        """A new (params, state), drawn from `seed` as a model with that seed draws its own; `jax.vmap` takes it, too.

        Args:
            seed: an integer, a traced integer, or a JAX key.
        """
        variables = dict(self._named)
        names = [*self._param_names, *self._state_names]

        def draw(words: Tensor) -> list[np.ndarray]:
            key = np.asarray(words, np.uint32)
            return [variables[n].draw(host_random.fold(key, n)) for n in names]

        arrays = self.backend.host_call(draw, [variables[n].spec for n in names], key_of(seed, self.backend))
        drawn = dict(zip(names, arrays, strict=True))
        return {n: drawn[n] for n in self._param_names}, {n: drawn[n] for n in self._state_names}

    @filtered
    def __call__(
        self,
        params: Mapping[str, Any],
        state: Mapping[str, Any],
        x: Any,
        training: bool | None = None,
        seed: ArrayLike | None = None,
        return_losses: bool = False,
    ) -> Any:
        """The prediction for a batch, and the state afterwards.

        Args:
            params: the trainable weights, as `fn.params`; in another float dtype they are computed with in that dtype, as in
                a function written by hand.
            state: the other variables, as `fn.state`.
            x: a batch, `(rows, ...)`; of several inputs a structure of them, or a dict by their names.
            training: a Python bool; False unless `lower` fixed it.
            seed: for random layers in training: an int, a traced integer, or a JAX key.
            return_losses: return the sum of the penalties of regularizers as a third result.

        Returns:
            (y, new_state), or (y, new_state, penalty).

        Raises:
            TypeError: `training` is not a Python bool (under `jit`, fix it with `lower(backend, training=True)`).
            TraceError: training a model with a random layer without a seed; the layer is named.
            ValueError: keys or shapes do not fit.
        """
        training = self._training(training)
        self._check_keys(params, self._param_names, "params")
        self._check_keys(state, self._state_names, "state")
        batch, specs = self._batch_of(x)
        keyed = training and seed is not None
        values = [params[n] if n in params else state[n] for n, _ in self._named]
        forward, run = self._compiled(specs, self._dtypes(values), training, keyed, return_losses)
        key = [key_of(seed, self.backend)] if keyed else []
        with self.backend.calling(forward.program):
            results = forward.results(run(*values, *batch, *key))
        new_state = {n: results.assigned.get(n, state[n]) for n in self._state_names}
        if not return_losses:
            return results.prediction, new_state
        total: Any = 0.0
        for penalty in results.penalties:
            total = penalty + total
        return results.prediction, new_state, total

    def _batch_of(self, x: Any) -> tuple[list[Any], Any]:
        """The arrays of a batch, and their specs in the structure of the inputs."""
        declared = self._model.input_spec
        structure = tree.structure(declared)
        found = tree.leaves_up_to(structure, self._model.arranged(x))
        batch = [np.asarray(a) if isinstance(a, list | tuple | int | float) else a for a in found]
        specs = self._model.check_batch(tree.unflatten(structure, [spec_of(a) for a in batch]))
        if not all(isinstance(d, int) for spec in tree.leaves(specs) for d in spec.shape):
            # under `jax.export` with symbolic dimensions
            free = zip(tree.leaves(declared), tree.leaves(specs), strict=True)
            specs = tree.unflatten(structure, [Spec(spec.shape, given.dtype) for spec, given in free])
        return batch, specs

    def _dtypes(self, values: Sequence[Any]) -> tuple[str, ...]:
        """The dtypes of the variables' values, where one is given in half precision and is not kept so; else none."""
        own = tuple([v.dtype for _, v in self._named])
        found = [str(getattr(a, "dtype", "")) for a in values]
        given = tuple([kind if kind in ("float16", "bfloat16") else d for kind, d in zip(found, own, strict=True)])
        return () if given == own else given

    def _training(self, training: Any) -> bool:
        if training is None:
            return bool(self.training)
        if not isinstance(training, bool | np.bool_):
            raise TypeError(
                f"`training` must be a Python bool, got {type(training).__name__}. Under `jax.jit` fix it when lowering: "
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

    def _compiled(
        self, specs: Any, dtypes: tuple[str, ...], training: bool, keyed: bool, losses: bool
    ) -> tuple[Forward, Any]:
        leaves = tuple(tree.leaves(specs))
        cached = (leaves, dtypes, training, keyed, losses)
        with self._lock:
            found = self._cache.get(cached)
            if found is None:
                forward = trace_forward(
                    self._model,
                    specs,
                    training=training,
                    keyed=keyed,
                    losses=losses,
                    frozen=self._frozen,
                    dtypes={v: dtype for (_, v), dtype in zip(self._named, dtypes, strict=False)},
                )
                scope = self.backend.scope(forward.program)
                what = ", ".join(f"{path} {spec}" for path, spec in zip(tree.paths(specs, "x"), leaves, strict=True))
                with compiling.because(self.__name__, f"lowered function for {what}"), scope:
                    found = (forward, self.backend.function(forward.program, optimize=self._optimize))
                self._cache[cached] = found
            return found

    @property
    def source(self) -> str:
        """The function the backend generated for a batch of 32 rows, as text (NumPy: Python source).

        Raises:
            ShapeError: the model leaves more free than the number of rows.
            TypeError: the backend generates none.
        """
        if symbols_of(d for spec in tree.leaves(self._batch) for d in spec.shape):
            raise ShapeError(
                f"the source is that of a batch of known sizes, and {self.__name__!r} takes batches of shape "
                f"{self.input_shape}; `fn.program` is the program for any sizes."
            )
        _, run = self._compiled(self._batch, (), bool(self.training), bool(self.training), False)
        source = getattr(run, "source", None)
        if source is None:
            raise TypeError(f"backend {self.backend.name!r} generates no source; `model.program()` prints the program.")
        return source

    @property
    def program(self) -> Program:
        """The program for a batch of 32 rows; other dimensions that the model leaves free are free in it."""
        training = bool(self.training)
        return trace_forward(self._model, self._batch, training=training, keyed=training, frozen=self._frozen).program

    @property
    def _batch(self) -> Any:
        return tree.map_leaves(lambda spec: spec.at({BATCH: 32}), self._model.input_spec)

    def __repr__(self) -> str:
        return f"<lowered {self.__name__!r} on {self.backend.name}: fn(params, state, x) -> (y, new_state)>"


def key_of(seed: Any, backend: Backend) -> Any:
    """The random key uint32[2] of a seed: an int, a traced or array integer, or a key of the backend's framework.

    Raises:
        DTypeError: it is none of these.
    """
    if isinstance(seed, int | np.integer) and not isinstance(seed, bool):
        return host_random.key_from_seed(int(seed))
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
        raise DTypeError(f"a seed must be an integer or a key, got {type(seed).__name__ if spec is None else spec}.")
    if isinstance(seed, np.ndarray):
        return host_random.key_from_seed(int(seed))
    low = ops.cast(seed, "uint32")
    if spec.dtype in ("uint32", "uint64"):
        high = ops.zeros_like(low) if spec.dtype == "uint32" else ops.cast(ops.right_shift(seed, 32), "uint32")
    elif spec.dtype == "int64":
        high = ops.cast(ops.right_shift(seed, 32), "uint32")
    else:
        high = ops.cast(ops.right_shift(seed, 31), "uint32")  # the sign, 32 times
    return ops.stack([high, low])

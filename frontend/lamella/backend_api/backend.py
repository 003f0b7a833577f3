"""The backend API: what a backend is.

A backend turns programs into functions over its arrays. What it must provide is small: a name and a kernel for every
mandatory primitive. Everything else has a default written here, and may be replaced where the backend knows a faster way
to compute the same numbers:

- `prepare(program)`: passes before compilation; the default simplifies and takes apart the ops without a kernel.
- `compile(program)`: the program as a function `(*arrays) -> tuple of arrays`; the default interprets.
- `asarray`, `numpy`, `owns`: to and from its arrays.
- `runner(step)`: runs chunks of training steps; the default compiles the step program and loops.

`API_VERSION` is the version of this API; docs/backends.md lists every op and member with its requirements.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lamella.backend_api.placement import Index, Layout, Mesh, Placement
from lamella.errors import BackendError, DTypeError
from lamella.ir import interpret
from lamella.ir.program import Equation, Op, Program, as_tuple
from lamella.ir.spec import Spec, numpy_dtype, spec_of
from lamella.ir.trace import constant
from lamella.passes import expand, pool_first, refuse_fused, simplify

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, Tensor

API_VERSION = 1
"""The version of the backend API; it grows when a backend written for the last one would need a change."""

Compiled = Callable[..., Sequence[Any]]


class Backend:
    """What every backend is; subclass it, or pass `name` and `kernels`.

    Args:
        name: the name that users select the backend by; by default the class attribute.
        kernels: a function for every op that the backend computes itself; by default the class attribute.

    Attributes:
        name: the name that users select the backend by.
        api_version: the version of the backend API it was written for.
        kernels: for every op it computes itself `kernel(*arrays, **attributes) -> array`, or a tuple of arrays for an op
            with several outputs. Operands and results are of the backend's arrays; attributes are as in the program.
        dtypes: the names of the dtypes that its arrays have in `array.dtype`, by dtype: `{torch.float32: "float32", ...}`.
            Empty where they are NumPy's, or have their name as `dtype.name`.

    Example:
        >>> from lamella.backend import Backend, load_backend
        >>> twin = Backend("twin", load_backend("numpy").kernels)
        >>> twin.name, twin.api_version == load_backend("numpy").api_version
        ('twin', True)
    """

    name: str = ""
    api_version: int = API_VERSION
    kernels: Mapping[Op, Callable[..., Any]]
    dtypes: Mapping[Any, str] = MappingProxyType({})

    def __init__(self, name: str = "", kernels: Mapping[Op, Callable[..., Any]] | None = None) -> None:
        if name:
            self.name = name
        if kernels is not None:
            self.kernels = kernels

    # ---- programs ----

    def has(self, op: Op) -> bool:
        """Whether the backend computes `op` itself; other ops are taken apart by their definitions."""
        return op is constant or op in self.kernels

    def prepare(self, program: Program) -> Program:
        """The program that will be compiled: simplified, and with kernels for every op.

        Raises:
            BackendError: a mandatory op has no kernel; op and layer are named.
        """
        return simplify(expand(pool_first(simplify(program)), self.has, self.name))

    def compile(self, program: Program) -> Compiled:
        """`program` as a function of its inputs, in order, to the sequence of its outputs.

        The function is pure and may be called from several threads at once; what it returns is the caller's.
        """
        prepared = self.prepare(program)

        def run(*arrays: Any) -> Sequence[Any]:
            return self._owned(interpret.run(prepared, arrays, self.apply), arrays)

        return run

    def apply(self, equation: Equation, operands: Sequence[Tensor]) -> Sequence[Any]:
        """The outputs of one equation on arrays."""
        if equation.op is constant:
            return (self.asarray(equation.attrs["value"], equation.attrs["dtype"]),)
        return as_tuple(self.kernels[equation.op](*operands, **equation.attrs))

    def evaluate(self, op: Op, arrays: Sequence[Tensor], attrs: dict[str, Any]) -> Sequence[Any]:
        """The outputs of `op` on arrays at once: eager ops end here."""
        if op is constant:
            return (self.fresh(attrs["value"], attrs["dtype"]),)
        kernel = self.kernels.get(op, op.definition)
        if kernel is None:
            raise BackendError(f"Backend {self.name!r} has no kernel for the mandatory op {op.name!r}.")
        if op not in self.kernels:
            refuse_fused(attrs, "", self.name)
        specs, found = self.eager_specs(op, arrays, attrs)
        arrays = [self.asarray(a, s.dtype) for a, s in zip(arrays, specs, strict=True)]
        results = as_tuple(kernel(*arrays, **attrs))
        if not arrays and op not in self.kernels:  # NumPy computes a definition without operands
            results = [self.asarray(y, s.dtype) for y, s in zip(results, found, strict=True)]
        return self._owned(results, arrays)

    def eager_specs(
        self, op: Op, arrays: Sequence[Tensor], attrs: Mapping[str, Any]
    ) -> tuple[Sequence[Spec], Sequence[Spec]]:
        """The specs of the operands and of the results of an eager op.

        NumPy stores bfloat16 in float32: beside an array of this backend of bfloat16, a NumPy array counts as one where
        the op does not take float32.

        Raises:
            DTypeError: the op does not take the operands.
        """
        specs = [spec_of(a) for a in arrays]
        try:
            return specs, op.result_specs(specs, attrs)
        except DTypeError:
            if not any(s.dtype == "bfloat16" for s in specs):
                raise
        specs = [
            Spec(s.shape, "bfloat16") if s.dtype == "float32" and not self.owns(a) else s
            for a, s in zip(arrays, specs, strict=True)
        ]
        return specs, op.result_specs(specs, attrs)

    def _owned(self, results: Sequence[Tensor], operands: Sequence[Tensor]) -> tuple[Any, ...]:
        """The results, copied where one shares memory with an operand or with another result."""

        def copy(array: Tensor) -> Tensor:
            return self.fresh(array, spec_of(array).dtype)

        return tuple(own_results(results, operands, self.shares_memory, copy))

    # ---- arrays ----

    def asarray(self, array: ArrayLike, dtype: str | None = None) -> Tensor:
        """An array of this backend with the numbers of `array` (NumPy's or its own), which it may share memory with.

        `dtype` is a name, or None for the dtype of `array`.
        """
        return np.asarray(array, None if dtype is None else numpy_dtype(dtype))

    def asarrays(self, arrays: Sequence[ArrayLike], dtypes: Sequence[str | None]) -> list[Any]:
        """`asarray` of many arrays, which have many shapes: weights, or a state that is to be loaded."""
        return [self.asarray(array, dtype) for array, dtype in zip(arrays, dtypes, strict=True)]

    def argument(self, array: ArrayLike, dtype: str) -> Tensor:
        """What stands for `array` in one call of a compiled program: by default `asarray(array, dtype)`.

        A backend whose calls take NumPy arrays faster than it can make its own arrays may return `array` as it is; the
        call must not keep it.
        """
        return self.asarray(array, dtype)

    def numpy(self, array: Tensor) -> np.ndarray:
        """The numbers of one of the backend's arrays as a NumPy array, which may share its memory; bfloat16 as float32."""
        return np.asarray(array)

    def owns(self, array: object) -> bool:
        """Whether `array` is of the backend's own kind (NumPy arrays belong to the NumPy backend alone)."""
        return False

    def shares_memory(self, array: Tensor, other: Tensor) -> bool:
        """Whether a write into `array` may change `other`: by default where both are NumPy's and overlap.

        A backend whose arrays can be written into answers for them, and has a `fresh` that copies them: then `compile` and
        `evaluate` return arrays that share no memory with operands, whatever views the kernels return.
        """
        return _overlap(array, other)

    def scope(self, program: Program) -> AbstractContextManager[None]:
        """What must be set while `program` is compiled or run for lamella itself (JAX: 64-bit types)."""
        return nullcontext()

    # ---- functions and training ----

    def function(self, program: Program, optimize: bool = True) -> Compiled:
        """`program` as a function that the framework's own transformations may trace (JAX: `jit`, `grad`, `vmap`).

        It takes NumPy arrays as well. With `optimize=False` the program is run as it is written, one step per equation, for
        people who read along.
        """
        run, specs = self.compile(program), program.input_specs

        def function(*arrays: Any) -> Sequence[Any]:
            return run(*[a if self.owns(a) else self.asarray(a, s.dtype) for a, s in zip(arrays, specs, strict=True)])

        return function

    @contextmanager
    def calling(self, program: Program) -> Generator[None]:
        """What must hold while a user calls a lowered function; raise here where it does not (JAX: 64-bit types)."""
        yield

    def fresh(self, array: Any, dtype: str) -> Any:
        """A new array with the numbers of `array` (NumPy's or its own) that is referenced nowhere else and may be donated."""
        return self.asarray(np.array(array), dtype)

    def host_call(
        self, function: Callable[[Any], Sequence[np.ndarray]], specs: Sequence[Spec], argument: Tensor
    ) -> list[Any]:
        """Arrays of `specs` computed by NumPy code on the host; `argument` may be traced where the framework can do it."""
        return [self.asarray(a, s.dtype) for a, s in zip(function(argument), specs, strict=True)]

    def key_words(self, key: Any) -> Any:
        """The words uint32[2] of a random key of the framework's own type; None where it is no such key."""
        return None

    def room(self) -> int | None:
        """How many bytes of a data set may be placed at once, where `Runner.place` copies; None where it does not."""
        return None

    def padded_rows(self, rows: int) -> int:
        """How many rows a step gets for `rows` rows that are fewer than a batch, where no operation mixes rows.

        More than `rows` pay where compiling takes long: nearby sizes then share a program. By default `rows`.
        """
        return rows

    def rows_to_predict(self, rows: int, batch: int) -> int:
        """How many rows a prediction of `rows` rows, fewer than a `batch`, is computed with, where no operation mixes rows.

        As for `padded_rows`; by default `rows`.
        """
        return rows

    def runner(self, step: StepProgram) -> Runner:
        """Who runs chunks of steps; the default compiles the step program and loops over it."""
        return Runner(self, step)

    def supports_optimizer(self, optimizer: object) -> bool:
        """Whether `compile` may take this external optimizer (JAX: an optax transformation)."""
        return False

    def check_optimizer(self, optimizer: Any, params: Mapping[str, Spec]) -> None:
        """Refuse an external optimizer that cannot train weights of these specs; nothing is computed.

        Args:
            optimizer: one that `supports_optimizer` accepts.
            params: the specs of the weights that it will update, by name.

        Raises:
            BackendError: it does not work on such weights, or needs what a training step does not have.
        """

    def optimizer_leaves(self, optimizer: Any, params: Mapping[str, Any]) -> dict[str, Any]:
        """The arrays of an external optimizer's state before its first step, by a path: "foreign/0/mu/params/dense/kernel".

        Args:
            optimizer: one that `supports_optimizer` accepts.
            params: the arrays that it will update, by name.

        Raises:
            BackendError: the framework has no such thing.
        """
        raise BackendError(f"backend {self.name!r} takes no optimizer of another framework.")

    def gradient_transformation(self, initial: Callable[..., Any], step: Callable[..., Any], name: str) -> Any:
        """An update rule as an optimizer of the framework's own kind (JAX: an optax transformation).

        Args:
            initial: `(weights, paths) -> slots`, on lists; a slot is a list, one entry per weight (None where it has none),
                or one array of shape ().
            step: `(weights, gradients, slots, count, paths) -> (changes, slots)`.
            name: the optimizer's name, for messages.

        Raises:
            BackendError: the framework has no such thing.
        """
        raise BackendError(f"backend {self.name!r} has no optimizers.")

    def serialized(self, program: Program, weights: Sequence[np.ndarray]) -> bytes:
        """A prediction as a file's bytes in the framework's own portable format (JAX: StableHLO by `jax.export`).

        Args:
            program: its inputs are the weights, then the batch, or the batches of several named inputs; its outputs the
                predictions, by name where there are several. What is left free is a `Dim`, in shapes and attributes.
            weights: the values of the weights, which the file holds.

        Raises:
            BackendError: the framework has no such format.
        """
        raise BackendError(f"backend {self.name!r} has no portable format.")

    # ---- several devices ----

    def devices(self, kind: str | None = None) -> list[str]:
        """The names of the devices that may make up a mesh, those of every process: "cpu:0" alone by default.

        Args:
            kind: "cpu", "gpu" or "tpu"; None for the kind that programs run on.
        """
        return ["cpu:0"] if kind in (None, "cpu") else []

    def distributed(self, part: Callable[[Index], np.ndarray], spec: Spec, mesh: Mesh, layout: Layout) -> Tensor:
        """An array of `spec`, placed on the devices of a mesh.

        Args:
            part: the numbers of a part of the array; it is asked for the parts of this process's devices alone.
            spec: shape and dtype of the whole array.
            mesh: the devices.
            layout: which axes are split.

        Raises:
            BackendError: the backend computes on one device, and the mesh has several.
        """
        self._require_one(mesh)
        return self.asarray(part(tuple([slice(None) for _ in spec.shape])), spec.dtype)

    def redistributed(self, array: Tensor, mesh: Mesh, layout: Layout) -> Any:
        """One of the backend's arrays in another layout; inside a traced function a constraint on its value.

        Raises:
            BackendError: the backend computes on one device, and the mesh has several.
        """
        self._require_one(mesh)
        return array

    def laid(self, value: ArrayLike, dtype: str, mesh: Mesh, layout: Layout) -> Tensor:
        """An array with the numbers of `value`, NumPy's or of any backend's, in a layout."""
        if self.owns(value):
            return self.redistributed(self.asarray(value, dtype), mesh, layout)
        host = interpret.to_numpy(value)
        return self.distributed(lambda index: host[index], Spec(host.shape, dtype), mesh, layout)

    def _require_one(self, mesh: Mesh) -> None:
        if len(mesh.devices) > 1:
            raise BackendError(
                f"backend {self.name!r} computes on one device, {len(mesh.devices)} need the JAX backend."
            )

    def connect(
        self, address: str | None, count: int | None, index: int | None, *, seconds: int, heartbeat_seconds: int
    ) -> None:
        """Join the processes that compute together; `lamella.processes` knows of them from then on.

        Args:
            address: of the coordinator, "host:port"; None for what the environment says.
            count: how many processes there are; None for what the environment says.
            index: the number of this one; None for what the environment says.
            seconds: how long to wait for the others.
            heartbeat_seconds: after how many seconds of silence a process counts as dead.

        Raises:
            BackendError: the backend knows no other process, or the others were not there in time.
        """
        raise BackendError(f"backend {self.name!r} computes in one process; several need the JAX backend.")

    def __getattr__(self, name: str) -> Any:
        if name == "seam":
            warnings.warn("Backend.seam is Backend.api_version today.", DeprecationWarning, stacklevel=2)
            return self.api_version
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __repr__(self) -> str:
        return f"<lamella backend {self.name!r}>"


class StepProgram(NamedTuple):
    """One step of `fit` or `evaluate`, the same on every backend.

    The program's inputs are the state leaves, then one batch of every data array, then `rows`, a float vector of length
    batch: 1 for a real row, 0 for one that pads a short batch. Its outputs are the new state leaves, in the same order and
    of the same specs; where an external optimizer finishes the step, the gradients and then the loss follow. A leaf whose
    output is its own input value never changes during a run (a frozen weight, the learning rate, the random key).

    Attributes:
        program: the step.
        state_names: a path for every leaf: "params/dense/kernel", "optimizer/m/dense/kernel", "metrics/loss/total", "step".
        data_names: "x", "y", "sample_weight": what a batch consists of.
        gradient_names: for every gradient output the leaf it belongs to; empty unless `external_optimizer` is set.
        external_optimizer: an optimizer of the backend's own framework that turns gradients into updates, or None.
        placement: on which devices the leaves and the rows of a batch are; None for the one that the backend chooses. Only a
            backend that overrides `distributed` gets another.

    Example:
        >>> from lamella.backend import StepProgram
        >>> StepProgram._fields[:3]
        ('program', 'state_names', 'data_names')
    """

    program: Program
    state_names: tuple[str, ...]
    data_names: tuple[str, ...]
    gradient_names: tuple[str, ...] = ()
    external_optimizer: Any = None
    placement: Placement | None = None

    @property
    def foreign_optimizer(self) -> Any:
        """The former name of `external_optimizer`."""
        warnings.warn(
            "StepProgram.foreign_optimizer is StepProgram.external_optimizer today.", DeprecationWarning, stacklevel=2
        )
        return self.external_optimizer

    @property
    def invariant(self) -> tuple[bool, ...]:
        """For every state leaf whether a step returns it as it came."""
        inputs, outputs = self.program.inputs, self.program.outputs
        return tuple(inputs[i] is outputs[i] for i in range(len(self.state_names)))


State = tuple[Any, ...]


class Runner:
    """Runs chunks of steps: the default, one compiled call per step.

    A state is a tuple of the backend's arrays in the order of `step.state_names`, and is never changed in place: when a
    chunk fails or is interrupted, the state before it is still whole.

    Args:
        backend: the backend that compiles the step.
        step: the step program.

    Attributes:
        donated: positions of the leaves whose memory `donating` may reuse: weights and slots of a large state, never
            accumulators, the step, the key or the learning rates. Empty by default.

    Example:
        >>> from lamella.backend import Runner
        >>> sorted(Runner.donated)  # the default runner reuses no memory
        []
    """

    donated: frozenset[int] = frozenset()

    def __init__(self, backend: Backend, step: StepProgram) -> None:
        self.backend = backend
        self.step = step
        with backend.scope(step.program):
            self._run = backend.compile(step.program)

    def load(self, leaves: Sequence[ArrayLike]) -> State:
        """The state of these leaves (NumPy arrays or the backend's own)."""
        dtypes = [s.dtype for s in self.step.program.input_specs[: len(leaves)]]
        with self.backend.scope(self.step.program):
            return tuple(self.backend.asarrays(leaves, dtypes))

    def leaf(self, position: int, value: ArrayLike) -> Tensor:
        """The leaf at a position of the state with other numbers, NumPy's or an array of the backend's own."""
        with self.backend.scope(self.step.program):
            return self.backend.asarray(np.asarray(value), self.step.program.input_specs[position].dtype)

    def wait(self, state: State) -> None:
        """Return when `state` has been computed, on a backend that computes while Python continues."""

    def donating(self, state: State, data: Any, indices: np.ndarray, rows: np.ndarray) -> Callable[[], State]:
        """A function that does what `run` does and may reuse the memory of the leaves `donated`.

        What has to be compiled is compiled before the function is returned, so that little time passes between the moment
        when the old state is gone and the moment when the caller has the new one. The donated leaves must be arrays that
        `load` or a step made, each a different one, and unused elsewhere.

        Args:
            state: as for `run`, but for the donated leaves.
            data: as for `run`.
            indices: as for `run`.
            rows: as for `run`.
        """
        return lambda: self.run(state, data, indices, rows)

    def is_lost(self, state: State) -> bool:
        """Whether a leaf of `state` can no longer be read, because `donating` has reused its memory."""
        return False

    def release(self) -> None:
        """Free the memory that the next `run` can allocate again; called when a training ends."""

    def external_update(
        self, after: list[Any], gradients: Sequence[Any], leaves: Sequence[Any], inputs: Sequence[Any] = ()
    ) -> Sequence[Any]:
        """One step of the external optimizer: put the new weights into `after`, the leaves of the state after a step.

        Args:
            after: the program's state leaves.
            gradients: in the order of `step.gradient_names`, and then the loss.
            leaves: the external optimizer's own state.
            inputs: the program's inputs, for an optimizer that looks at the loss of the batch for other weights.

        Returns:
            Its new state.

        Raises:
            BackendError: the backend has no external optimizers.
        """
        former = getattr(type(self), "foreign_update", None)
        if former is not None:
            warnings.warn(
                f"Backend {self.backend.name!r} writes `Runner.foreign_update`; the method is `external_update` today.",
                DeprecationWarning,
                stacklevel=2,
            )
            return former(self, after, gradients, leaves)
        raise BackendError(f"backend {self.backend.name!r} has no optimizers.")

    def place(self, arrays: Sequence[np.ndarray]) -> Any:
        """Bring the data arrays (rows first) to where the steps run; once for many chunks."""
        return tuple(arrays)

    def place_all(self, arrays: Sequence[np.ndarray]) -> tuple[Tensor, ...]:
        """Bring a data set that is used for many epochs to where the steps run; by default as `place` does.

        The result may have room for more rows, which are never read, so that data sets of nearby sizes share programs.
        """
        return self.place(arrays)

    def run(self, state: State, data: Any, indices: np.ndarray, rows: np.ndarray) -> State:
        """Run one step for every line of `indices` and return the new state.

        Args:
            state: the state before; it stays as it is.
            data: what `place` returned.
            indices: int32 (steps, batch): the rows of the data arrays that make up each batch.
            rows: float (steps, batch): 1 for a real row, 0 for padding.
        """
        count = len(self.step.state_names)
        specs = self.step.program.input_specs
        with self.backend.scope(self.step.program):
            for index, real in zip(indices, rows, strict=True):
                batch = [self.backend.asarray(a[index], s.dtype) for a, s in zip(data, specs[count:-1], strict=True)]
                state = tuple(self._run(*state, *batch, self.backend.asarray(real, specs[-1].dtype))[:count])
        return state


def is_external_optimizer(optimizer: object) -> bool:
    """Return whether an object looks like an optimizer of another framework, with `init` and `update` as optax's have.

    Args:
        optimizer: any object.

    Example:
        >>> import lamella
        >>> from lamella.backend import is_external_optimizer
        >>> is_external_optimizer(lamella.optimizers.Adam())
        False
    """
    if isinstance(optimizer, type):
        return False
    return all(callable(getattr(optimizer, name, None)) for name in ("init", "update"))


def _overlap(array: object, other: object) -> bool:
    arrays = isinstance(array, np.ndarray) and isinstance(other, np.ndarray)
    return arrays and np.may_share_memory(array, other)  # pyright: ignore[reportUnknownArgumentType]


def own_results(
    results: Sequence[Tensor],
    operands: Sequence[Tensor],
    shares_memory: Callable[[Any, Any], bool] = _overlap,
    copy: Callable[[Any], Any] = np.copy,
) -> list[Any]:
    """The results, copied where one shares memory with an operand or with another result."""
    taken = list(operands)
    mine: list[Any] = []
    for result in results:
        own = copy(result) if any(shares_memory(result, x) for x in taken) else result
        taken.append(own)
        mine.append(own)
    return mine

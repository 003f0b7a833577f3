"""The backend: programs as functions of JAX arrays."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from lamella import processes
from lamella.backend_api import Backend, Compiled, Layout, Mesh, Runner, StepProgram, is_external_optimizer
from lamella.backend_api.placement import Index
from lamella.compiling import reason, rounded_up
from lamella.errors import DTypeError
from lamella.ir.dim import symbols_of
from lamella.ir.program import Equation, Op, Program
from lamella.ir.spec import Spec, spec_of
from lamella.passes import expand
from lamella_jax import attention, cache, elementwise, external, lowerings
from lamella_jax.kernels import KERNELS, function_of
from lamella_jax.optax_bridge import gradient_transformation
from lamella_jax.precision import remembered
from lamella_jax.reports import reported
from lamella_jax.runner import JaxRunner

_BFLOAT16 = np.dtype(jnp.bfloat16)


class JaxBackend(Backend):
    """JAX on whatever device it finds: CPU, GPU or TPU."""

    name = "jax"
    kernels = KERNELS

    # ---- programs ----

    def has(self, op: Op) -> bool:
        """Whether the backend computes `op` itself; attention only where a GPU has one kernel for it."""
        return super().has(op) and (op not in attention.KERNELS or attention.is_there())

    def compile(self, program: Program) -> Compiled:
        """`program` as a jitted function of its inputs to a tuple; 64-bit programs run under 64-bit types by themselves."""
        prepared = self.prepare(program)
        compiled = remembered(jax.jit(reported(function_of(prepared, alone=True), reason())))
        if not lowerings.holds_64_bits(prepared):
            return compiled

        def wide(*arrays: Any) -> Sequence[Any]:
            with jax.enable_x64(True):
                return compiled(*arrays)

        return wide

    def function(self, program: Program, optimize: bool = True) -> Compiled:
        """`program` as a pure function that `jax.jit`, `grad`, `vmap`, optax, `shard_map` and `jax.export` may take.

        A program with free dimensions takes arrays of any sizes, `jax.export`'s symbolic dimensions included.

        Raises:
            DTypeError: when it is called: the program holds 64-bit numbers and JAX's 64-bit types are off.
        """
        prepared = self.prepare(program) if optimize else expand(program, self.has, self.name)
        if any(symbols_of(spec.shape) for spec in prepared.input_specs):
            from lamella_jax.export import instantiated

            outputs: Callable[..., Any] = partial(instantiated, prepared)
        else:
            outputs = function_of(prepared)

        def function(*arrays: Any) -> Sequence[Any]:
            with self.calling(prepared):
                specs = prepared.input_specs
                return outputs(*[self._given(a, s) for a, s in zip(arrays, specs, strict=True)])

        return function

    def _given(self, array: Any, spec: Spec) -> Any:
        return array if isinstance(array, jax.Array) else self.asarray(array, spec.dtype)

    @contextmanager
    def calling(self, program: Program) -> Iterator[None]:
        """Refuse to run a 64-bit program with 64-bit types off: JAX would drop to 32 bits, and not say so.

        Raises:
            DTypeError: `program` holds 64-bit numbers and JAX's 64-bit types are off.
        """
        if lowerings.holds_64_bits(program):
            _require_64_bits("this program holds 64-bit numbers")
        yield

    def apply(self, equation: Equation, operands: Sequence[Any]) -> Sequence[Any]:
        """The outputs of one equation."""
        return lowerings.apply(KERNELS, equation, operands)

    def evaluate(self, op: Op, arrays: Sequence[Any], attrs: dict[str, Any]) -> Sequence[Any]:
        """The outputs of `op` on arrays or tracers.

        Raises:
            DTypeError: an operand or a result is of 64 bits and JAX's 64-bit types are off.
        """
        specs, results = self.eager_specs(op, arrays, attrs)
        if not _has_64_bits():
            for spec in (*specs, *results):
                if spec.dtype.endswith("64"):
                    _require_64_bits(f"ops.{op.name} meets {spec}")
        kernel = self.kernels.get(op) or op.definition
        assert kernel is not None  # noqa: S101 - every mandatory op has a lowering
        outputs = kernel(*[self.asarray(a, s.dtype) for a, s in zip(arrays, specs, strict=True)], **attrs)
        return outputs if isinstance(outputs, tuple) else (outputs,)

    # ---- arrays ----

    def asarray(self, array: Any, dtype: str | None = None) -> jax.Array:
        """A JAX array with the numbers of `array`; it never shares memory with a NumPy array."""
        if isinstance(array, jax.Array):
            return array if dtype is None or array.dtype == np.dtype(dtype) else elementwise.convert(array, dtype=dtype)
        host, wanted = _to_place(array, dtype)
        if host.size * wanted.itemsize <= _COPIED_AT_ONCE:
            return jnp.array(host.astype(wanted, copy=False))
        return jax.device_put(_own_copy(host, wanted))

    def own_copy(self, array: Any, dtype: str | None, rows: int) -> np.ndarray:
        """A copy of `array` on the host with room for `rows` rows; those behind its own have no meaning."""
        return _own_copy(*_to_place(array, dtype), rows)

    def asarrays(self, arrays: Sequence[Any], dtypes: Sequence[str | None]) -> list[Any]:
        """`asarray` of many arrays; what comes from NumPy is sent at once (`jnp.array` compiles a program for each shape)."""
        pairs = list(zip(arrays, dtypes, strict=True))
        sent = [_own_copy(*_to_place(a, dtype)) for a, dtype in pairs if not isinstance(a, jax.Array)]
        placed = iter(jax.device_put(sent)) if sent else iter(())
        return [self.asarray(a, dtype) if isinstance(a, jax.Array) else next(placed) for a, dtype in pairs]

    def argument(self, array: Any, dtype: str) -> Any:
        """A NumPy array of the right dtype as it is: a jitted call copies it in a third of the time that `asarray` takes."""
        if type(array) is np.ndarray and array.dtype == dtype:
            return array
        return self.asarray(array, dtype)

    def fresh(self, array: np.ndarray, dtype: str) -> jax.Array:
        """A new array that nothing else holds, of 64 bits where `dtype` says so, in memory of JAX's own."""
        with jax.enable_x64(dtype.endswith("64") or _has_64_bits()):
            made = jax.device_put(np.asarray(array).astype(np.dtype(dtype), copy=False), may_alias=False)
            # until it is there `array` may not change; within a `jit` it is a constant, which is copied at once
            return made if isinstance(made, Tracer) else made.block_until_ready()

    def host_call(
        self, function: Callable[[Any], Sequence[np.ndarray]], specs: Sequence[Spec], argument: Any
    ) -> list[Any]:
        """Arrays of `specs` computed by NumPy code; under `jit` and `vmap` the host is called when the result is needed."""
        if not isinstance(argument, Tracer):
            return super().host_call(function, specs, argument)
        shapes = [jax.ShapeDtypeStruct(lowerings.integers(s.shape), np.dtype(s.dtype)) for s in specs]

        def on_host(value: Any) -> list[np.ndarray]:
            return [np.asarray(a, shape.dtype) for a, shape in zip(function(value), shapes, strict=True)]

        return list(jax.pure_callback(on_host, shapes, argument, vmap_method="sequential"))

    def key_words(self, key: Any) -> Any:
        """The first two words of a key made by `jax.random.key`; None where it is no such key."""
        if not isinstance(key, jax.Array) or not jnp.issubdtype(key.dtype, jax.dtypes.prng_key) or key.shape:
            return None
        return jax.random.key_data(key).ravel()[:2]

    def numpy(self, array: Any) -> np.ndarray:
        """The numbers of a JAX array; bfloat16, which NumPy lacks, comes as float32."""
        if processes.count() > 1 and isinstance(array, jax.Array) and not array.is_fully_addressable:
            from lamella_jax.mesh import gathered

            array = gathered(array)
        host = np.asarray(array)
        return host.astype(np.float32) if host.dtype == _BFLOAT16 else host

    def owns(self, array: Any) -> bool:
        """Whether `array` is a JAX array or tracer."""
        return isinstance(array, jax.Array)

    def scope(self, program: Program) -> AbstractContextManager[None]:
        """JAX's 64-bit types, for this thread, where `program` holds a 64-bit number."""
        return jax.enable_x64(True) if lowerings.holds_64_bits(program) else nullcontext()

    # ---- several devices ----

    def devices(self, kind: str | None = None) -> list[str]:
        """Every device of JAX, including those of other processes."""
        from lamella_jax import mesh

        return mesh.names(kind)

    def distributed(self, part: Callable[[Index], np.ndarray], spec: Spec, mesh: Mesh, layout: Layout) -> Any:
        """A JAX array with a `NamedSharding`."""
        from lamella_jax.mesh import distributed

        with jax.enable_x64(spec.dtype.endswith("64") or _has_64_bits()):
            return distributed(part, spec, mesh, layout)

    def redistributed(self, array: Any, mesh: Mesh, layout: Layout) -> Any:
        """The array by `device_put`, or constrained by `with_sharding_constraint` where it is traced."""
        from lamella_jax.mesh import redistributed

        return redistributed(array, mesh, layout)

    def connect(
        self, address: str | None, count: int | None, index: int | None, *, seconds: int, heartbeat_seconds: int
    ) -> None:
        """Join by `jax.distributed.initialize`."""
        from lamella_jax.connecting import connect

        connect(address, count, index, seconds=seconds, heartbeat_seconds=heartbeat_seconds)

    def serialized(self, program: Program, weights: Sequence[np.ndarray]) -> bytes:
        """An artifact of `jax.export` for CPU, CUDA and TPU; `jax.export.deserialize(data).call(x)` computes it."""
        from lamella_jax.export import serialized  # it takes part in no computation

        return serialized(program, weights)

    # ---- training ----

    def room(self) -> int | None:
        """Half of the device's free memory where it is known, else (on a CPU) 1 GiB."""
        known = jax.local_devices()[0].memory_stats() or {}
        limit = known.get("bytes_limit")
        return 1 << 30 if limit is None else (limit - known.get("bytes_in_use", 0)) // 2

    def padded_rows(self, rows: int) -> int:
        """`rows` rounded up by less than a quarter: XLA compiles for seconds what pads in no time."""
        return rounded_up(rows)

    def rows_to_predict(self, rows: int, batch: int) -> int:
        """The next power of two, at most a batch: a batch of 32 rows or fewer takes six programs."""
        return min(1 << (rows - 1).bit_length(), batch)

    def runner(self, step: StepProgram) -> Runner:
        """Many steps in one dispatch, with the data on the device; or on the devices of a mesh."""
        if step.placement is None:
            return JaxRunner(self, step)
        from lamella_jax.mesh import MeshRunner

        return MeshRunner(self, step)

    def supports_optimizer(self, optimizer: Any) -> bool:
        """Whether it is an optax transformation, which has `init` and `update`."""
        return is_external_optimizer(optimizer)

    def check_optimizer(self, optimizer: Any, params: Mapping[str, Spec]) -> None:
        """Trace one step of an optax transformation on such weights."""
        with jax.enable_x64(any(spec.dtype.endswith("64") for spec in params.values()) or _has_64_bits()):
            external.checked_state(optimizer, params)

    def optimizer_leaves(self, optimizer: Any, params: Mapping[str, Any]) -> dict[str, Any]:
        """The leaves of an optax transformation's first state, in JAX's order."""
        with jax.enable_x64(any(spec_of(a).dtype.endswith("64") for a in params.values()) or _has_64_bits()):
            return external.leaves_by_path(
                external.initial(optimizer, {name: self.asarray(a) for name, a in params.items()})
            )

    def gradient_transformation(self, initial: Callable[..., Any], step: Callable[..., Any], name: str) -> Any:
        """The rule as an `optax.GradientTransformation`; it works under `jax.jit`."""
        return gradient_transformation(initial, step, name)


_COPIED_AT_ONCE = 65536
"""Bytes: JAX copies a smaller NumPy array before it returns, and a larger one some time later."""


def _to_place(array: Any, dtype: str | None) -> tuple[np.ndarray, np.dtype[Any]]:
    """The numbers on the host, and the dtype they are to have on the device; 64 bits only where JAX has them."""
    host = np.asarray(array)
    wanted = host.dtype if dtype is None else np.dtype(dtype)
    if wanted.itemsize == 8 and not _has_64_bits():
        _require_64_bits(f"an array of {wanted.name} was given")
    return host, wanted


def _own_copy(host: np.ndarray, dtype: np.dtype[Any], rows: int | None = None) -> np.ndarray:
    """The numbers that `host` holds now, at an address where JAX on a CPU takes them as they are, without a second copy.

    With `rows` there is room for so many.
    """
    shape = host.shape if rows is None else (rows, *host.shape[1:])
    size = math.prod(shape) * dtype.itemsize
    room = np.empty(size + 64, np.uint8)
    start = -room.ctypes.data % 64
    own = room[start : start + size].view(dtype).reshape(shape)
    np.copyto(own if rows is None else own[: len(host)], host, casting="unsafe")
    return own


def _has_64_bits() -> bool:
    """Whether JAX's 64-bit types are on, in this thread and scope."""
    return jax.dtypes.canonicalize_dtype(np.int64) == np.int64


def _require_64_bits(found: str) -> None:
    """Refuse 64-bit numbers where JAX would make 32-bit ones of them.

    Raises:
        DTypeError: JAX's 64-bit types are off.
    """
    if not _has_64_bits():
        raise DTypeError(
            f"{found}, but JAX's 64-bit types are off here, so that results and gradients would silently be of 32 bits. "
            "Call it, and jax.grad or jax.jit around it, inside `with jax.enable_x64(True):`."
        )


cache.use_what_is_asked_for()

BACKEND = JaxBackend()

__all__ = ["BACKEND", "JaxBackend"]

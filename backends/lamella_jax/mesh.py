"""Arrays and training steps on several devices: JAX's meshes with automatic axes, and GSPMD between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jax import lax
from jax.core import Tracer
from jax.sharding import NamedSharding, PartitionSpec

from lamella import processes
from lamella.backend_api import Layout, Mesh, State, StepProgram
from lamella.compiling import Reason
from lamella.errors import BackendError
from lamella.ir.spec import Spec
from lamella_jax import external, lowerings
from lamella_jax.runner import JaxRunner

if TYPE_CHECKING:
    from lamella.backend_api.placement import Index
    from lamella_jax.backend import JaxBackend

_GATHERED = 4 << 20
"""About how many bytes of rows one dispatch is given."""
_MOST_STEPS = 256


def names(kind: str | None = None) -> list[str]:
    """The names of all devices, "cpu:0"; of those that JAX computes on, or of a kind."""
    try:
        return [f"{d.platform}:{d.id}" for d in jax.devices(kind)]
    except RuntimeError:  # there are none of this kind
        return []


@lru_cache(16)
def mesh_of(mesh: Mesh) -> jax.sharding.Mesh:
    """The mesh as JAX has it; its axes are automatic, so that XLA decides how values between the leaves are split."""
    if jax.process_count() != processes.count():
        raise BackendError(
            f"JAX has joined {jax.process_count()} processes; call `lamella.distribution.initialize()` as well, in each of "
            "them."
        )
    known = {
        f"{d.platform}:{d.id}": d for kind in {n.partition(":")[0] for n in mesh.devices} for d in jax.devices(kind)
    }
    missing = [name for name in mesh.devices if name not in known]
    if missing:
        raise BackendError(f"there is no device {missing[0]!r}; JAX has {', '.join(known)}.")
    devices = np.array([known[name] for name in mesh.devices], object).reshape(mesh.shape)
    return jax.sharding.Mesh(devices, mesh.axes)


def sharding(mesh: Mesh, layout: Layout) -> NamedSharding:
    """The layout as JAX has it."""
    return NamedSharding(mesh_of(mesh), PartitionSpec(*layout))


def distributed(part: Callable[[Index], Any], spec: Spec, mesh: Mesh, layout: Layout) -> jax.Array:
    """An array made of parts, each asked for once by this process, however many of its devices hold it."""
    dtype, made = np.dtype(spec.dtype), dict[Any, np.ndarray]()
    shape = lowerings.integers(spec.shape)

    def own(index: Index | None) -> np.ndarray:
        assert index is not None  # noqa: S101 - JAX's type allows it, for arrays of no kind that is made here
        key = tuple((s.start, s.stop) for s in index)
        if key not in made:
            found = np.asarray(part(index))
            made[key] = found.astype(dtype, copy=found.base is not None)  # JAX on a CPU takes an array as it is
        return made[key]

    return jax.make_array_from_callback(shape, sharding(mesh, layout), own, dtype=dtype)


def redistributed(array: Any, mesh: Mesh, layout: Layout) -> Any:
    """A JAX array in another layout; a constraint where it is traced."""
    wanted = sharding(mesh, layout)
    if isinstance(array, Tracer):
        return lax.with_sharding_constraint(array, wanted)
    if array.sharding.is_equivalent_to(wanted, array.ndim):
        return array
    if jax.process_count() > 1 and array.is_fully_addressable:  # of this process alone
        host = np.asarray(array)
        return distributed(lambda index: host[index], Spec(host.shape, host.dtype.name), mesh, layout)
    return jax.device_put(array, wanted)


def gathered(array: jax.Array) -> np.ndarray:
    """The numbers of an array of which this process has a part only; every process must ask for them."""
    if array.is_fully_replicated:
        return np.asarray(array.addressable_data(0))
    from jax.experimental import multihost_utils

    with _explained():
        return np.asarray(multihost_utils.process_allgather(array, tiled=True))


@contextmanager
def _explained() -> Iterator[None]:
    """Say so where another process is gone.

    Raises:
        BackendError: it is.
    """
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if jax.process_count() == 1:
            raise
        raise BackendError(
            "another process of this run has ended or cannot be reached, so this one exits as well: start all of them again; "
            f"a training with `BackupAndRestore` continues where it was ({' '.join(str(error).split())[:200]})."
        ) from None


class MeshRunner(JaxRunner):
    """Runs steps on the devices of a mesh, with each leaf in its layout and the rows of a batch split among the devices.

    Rows stay on the host. For each dispatch every process gathers, step by step, the rows of the devices that it owns, so
    neither the number of rows nor the order is part of what is compiled.
    """

    def __init__(self, backend: JaxBackend, step: StepProgram) -> None:
        super().__init__(backend, step)
        assert step.placement is not None  # noqa: S101 - what this runner is chosen by
        self._mesh, self._rows, layouts, self._own_rows = step.placement
        # an external optimizer's array for a weight has the layout of the weight
        kept = [self._layout_like(name, layouts) for name in self.external_names]
        self._layouts = (*layouts, *kept)

    def _layout_like(self, name: str, layouts: Sequence[Layout]) -> Layout:
        for i in self._trained:
            if name.endswith(f"/{self.step.state_names[i]}"):
                same = self._external_shapes[self.external_names.index(name)] == self.step.program.input_specs[i].shape
                return layouts[i] if same else ()
        return ()

    def _why(self, key: Any) -> Reason:
        """Why a loop is compiled for `key`: the rows of a chunk differ only in the number of its steps."""
        if not self._programs:
            return self._reason
        return self._reason._replace(cause=f"chunks of {'several steps' if key[0] > 2 else 'one step'}")

    def leaf(self, position: int, value: Any) -> Any:
        """The leaf in its layout."""
        with self.backend.scope(self.step.program):
            return self._laid(position, value)

    def _laid(self, position: int, value: Any) -> Any:
        layout = self._layouts[position]
        spec = self.step.program.input_specs[position] if position < self._count else None
        if isinstance(value, jax.Array):
            return redistributed(self.backend.asarray(value, spec and spec.dtype), self._mesh, layout)
        host = np.asarray(value)
        spec = spec or Spec(host.shape, host.dtype.name)
        return distributed(lambda index: host[index], spec, self._mesh, layout)

    def load(self, leaves: Sequence[Any]) -> State:
        """The state of these leaves, each in its layout."""
        with self.backend.scope(self.step.program):
            placed = [self._laid(i, leaf) for i, leaf in enumerate(leaves)]
            if self._external is not None and len(placed) == self._count:
                params = {self.step.state_names[i]: placed[i] for i in self._trained}
                wanted = [sharding(self._mesh, layout) for layout in self._layouts[self._count :]]
                first = partial(external.initial, self.step.external_optimizer)
                placed += jax.jit(lambda p: jax.tree.leaves(first(p)), out_shardings=wanted)(params)
            return tuple(placed)

    def run(self, state: State, data: Any, indices: np.ndarray, rows: np.ndarray) -> State:
        """Run one step for every line of `indices`; returns at once, while the devices compute."""
        with _explained():
            return super().run(state, data, indices, rows)

    def donating(self, state: State, data: Any, indices: np.ndarray, rows: np.ndarray) -> Callable[[], State]:
        """A function that does what `run` does and reuses the memory of the leaves `donated`."""
        launch = super().donating(state, data, indices, rows)

        def explained() -> State:
            with _explained():
                return launch()

        return explained

    def wait(self, state: State) -> None:
        """Return when the devices have computed `state`."""
        with _explained():
            super().wait(state)

    def place(self, arrays: Sequence[Any]) -> Any:
        """The rows, where they are."""
        return tuple(arrays)

    def place_all(self, arrays: Sequence[Any]) -> Any:
        """The rows, where they are."""
        return tuple(arrays)

    def _parts(self, data: Any, indices: np.ndarray, rows: np.ndarray) -> Iterator[tuple[Any, ...]]:
        """The gathered rows of each dispatch, which real ones there are, and the number of steps."""
        steps, batch = len(indices), self.step.program.input_specs[-1].shape[0]
        specs = self.step.program.input_specs[self._count : -1]
        each = [Spec((batch, *a.shape[1:]), _narrower(a.dtype, s.dtype)) for a, s in zip(data, specs, strict=True)]
        size = sum(int(np.prod(s.shape)) * np.dtype(s.dtype).itemsize for s in each)
        height = min(max(_GATHERED // max(size, 1), 2), _MOST_STEPS)
        if steps <= 2 and not any(key[0] == height for key in self._programs):
            height = 2
        split = (None, self._rows if batch % self._mesh.parts(self._rows) == 0 else None)
        for start in range(0, steps, height):
            lines, present = indices[start : start + height], rows[start : start + height]
            yield (
                tuple([self._gathered(a, lines, height, s, split) for a, s in zip(data, each, strict=True)]),
                (),
                self._gathered(present, None, height, Spec((batch,), self._row_dtype.name), split),
                np.int32(len(lines)),
            )

    def _gathered(
        self, array: np.ndarray, lines: np.ndarray | None, height: int, spec: Spec, split: Layout
    ) -> jax.Array:
        """(height, batch, ...): the rows of `array` that the lines name; those that no step reads are undefined."""

        def part(index: Index) -> np.ndarray:
            chosen = array[:, index[1]] if lines is None else array[lines[:, index[1]]]
            room = np.empty((height, *chosen.shape[1:]), spec.dtype)
            room[: len(chosen)] = chosen
            return room

        if self._own_rows:
            own = part((slice(None), slice(None)))
            return jax.make_array_from_process_local_data(sharding(self._mesh, split), own, (height, *spec.shape))
        return distributed(part, Spec((height, *spec.shape), spec.dtype), self._mesh, split)

    def _batch(self, data: Any, numbers: Any, i: Any) -> list[Any]:
        return [lax.dynamic_index_in_dim(a, i, keepdims=False) for a in data]

    def _step(self, order: Sequence[int], varying: Any, fixed: Any, batch: Sequence[Any], present: Any) -> Any:
        if present.shape[0] % self._mesh.parts(self._rows) == 0:
            split = sharding(self._mesh, (self._rows,))
            batch = [lax.with_sharding_constraint(a, split) for a in batch]
            present = lax.with_sharding_constraint(present, split)
        return self._laid_out(order, super()._step(order, varying, fixed, batch, present))

    def _laid_out(self, order: Sequence[int], leaves: Any) -> Any:
        laid = [sharding(self._mesh, self._layouts[i]) for i in order]
        return tuple([lax.with_sharding_constraint(y, where) for y, where in zip(leaves, laid, strict=True)])


def _narrower(given: np.dtype[Any], wanted: str) -> str:
    """The dtype that rows travel in: what is narrower than the program wants stays so until the loop."""
    return wanted if given.itemsize >= np.dtype(wanted).itemsize else given.name


__all__ = ["MeshRunner", "distributed", "gathered", "mesh_of", "names", "redistributed", "sharding"]

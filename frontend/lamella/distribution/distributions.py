"""The distributions: where weights, what optimizers keep for them, and the rows of a batch lie."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from lamella import processes
from lamella.backend_api import (
    Layout,
    Mesh,
    distribution_in_force,
    distribution_scope,
    load_backend,
    set_distribution_in_force,
    to_numpy,
)
from lamella.core.variable import Variable
from lamella.distribution.layouts import DeviceMesh, LayoutMap, TensorLayout, list_devices
from lamella.distribution.report import Report
from lamella.errors import ArgumentError, unknown_name
from lamella.ir.spec import Spec, spec_of
from lamella.tracebacks import user_level

_BATCH = "batch"


class Distribution:
    """The base: a mesh, along one of whose axes the rows of a batch are split. Subclass it and write `axes_of`.

    Args:
        device_mesh: the devices.
        batch_dim_name: the axis of the mesh along which rows are split; None for its first.
        auto_shard_dataset: whether every process is given all rows, and reads those of its own devices. False says that each
            is given rows of its own, as many as every other, for `fit` and `evaluate`: a batch is then made up of one from
            each process, and `batch_size` is that of one. `predict` takes the same rows everywhere.

    Raises:
        ArgumentError: it is no mesh, or has no such axis.
    """

    def __init__(
        self, device_mesh: DeviceMesh, batch_dim_name: str | None = None, auto_shard_dataset: bool = True
    ) -> None:
        if not isinstance(device_mesh, DeviceMesh):
            raise ArgumentError(f"{type(self).__name__} takes a DeviceMesh, got {device_mesh!r}.")
        name = device_mesh.axis_names[0] if batch_dim_name is None else batch_dim_name
        if name not in device_mesh.axis_names:
            raise unknown_name("mesh axis", name, device_mesh.axis_names)
        self.device_mesh, self.batch_dim_name = device_mesh, name
        self.auto_shard_dataset = bool(auto_shard_dataset)

    # ---- what a subclass decides ----

    def axes_of(self, path: str, shape: tuple[int, ...]) -> Layout:
        """The layout of a weight; () where it is whole on every device."""
        raise NotImplementedError(f"{type(self).__name__} does not say where weights are placed: write `axes_of`.")

    def slot_axes(self, path: str, shape: tuple[int, ...]) -> Layout:
        """The layout of what an optimizer keeps for a weight in an array of another shape."""
        return ()

    # ---- what training asks ----

    @property
    def mesh(self) -> Mesh:
        """The devices, as backends know them."""
        return self.device_mesh.mesh

    @property
    def rows(self) -> str | None:
        """The axis of the mesh along which the rows of a batch are split."""
        return self.batch_dim_name

    @property
    def backend_name(self) -> str:
        """The backend whose devices they are."""
        return self.device_mesh.backend_name

    def layout_of(self, variable: Variable) -> Layout:
        """The layout of a weight.

        Raises:
            ArgumentError: its shape does not divide so, or several expressions match its path.
        """
        axes, shape = self.axes_of(variable.path, variable.shape), variable.shape
        if len(axes) > len(shape):
            raise ArgumentError(
                f"{type(self).__name__}: the layout {axes} is for {len(axes)} axes, and the weight {variable.path!r} has "
                f"shape {shape}."
            )
        for i, name in enumerate(axes):
            if shape[i] % self.mesh.parts(name):
                raise ArgumentError(
                    f"{type(self).__name__}: axis {i} of the weight {variable.path!r}, of size {shape[i]}, does not divide "
                    f"by the {self.mesh.parts(name)} devices of the mesh axis {name!r}; leave that axis whole, with None."
                )
        return axes

    def slot_layout(self, variable: Variable, spec: Spec) -> Layout:
        """The layout of what an optimizer keeps for a weight: the weight's own, where it has its shape."""
        return self.layout_of(variable) if spec.shape == variable.shape else self.slot_axes(variable.path, spec.shape)

    def placed(self, variable: Variable, value: Any) -> Any:
        """An array with the numbers of `value`, in the layout of a weight."""
        return load_backend(self.backend_name).laid(value, variable.dtype, self.mesh, self.layout_of(variable))

    def drawn(self, variable: Variable, key: Any) -> Any:
        """The first value of a weight in its layout, each part drawn for itself where the initializer can."""
        backend = load_backend(self.backend_name)
        return backend.distributed(variable.parts(key), variable.spec, self.mesh, self.layout_of(variable))

    def begins(self, variables: Sequence[Variable]) -> None:
        """Warn of what will hardly be meant; nothing by default."""

    # ---- what Keras's scripts ask ----

    def scope(self) -> AbstractContextManager[None]:
        """A `with` block in which models are built for this distribution.

        >>> import lamella
        >>> with lamella.backend_scope("numpy"):
        ...     one = lamella.distribution.DataParallel()
        >>> with one.scope():
        ...     lamella.distribution.distribution() is one
        True
        """
        return distribution_scope(self)

    @property
    def num_processes(self) -> int:
        """How many processes there are."""
        return processes.count()

    @property
    def num_model_replicas(self) -> int:
        """Into how many parts a batch is split."""
        return self.mesh.parts(self.rows)

    def get_data_layout(self, data_shape: Sequence[int]) -> TensorLayout:
        """The layout of a batch of some shape: split along its rows."""
        return TensorLayout((self.rows, *[None] * (len(data_shape) - 1)), self.device_mesh)

    def get_variable_layout(self, variable: Variable) -> TensorLayout:
        """The layout of a weight."""
        axes = self.layout_of(variable)
        return TensorLayout((*axes, *[None] * (variable.ndim - len(axes))), self.device_mesh)

    def report(self, model: Any) -> Report:
        """Where the weights of a model will lie, and which lie whole everywhere though they might not; nothing is computed.

        Args:
            model: a model whose weights are known.

        Raises:
            ValueError: it is not built, or a weight does not divide.
        """
        model.require_built()
        named = model.named_weights()
        return Report(self.mesh, [(path, v.spec, self.layout_of(v)) for path, v in named], self._remarks(dict(named)))

    def _remarks(self, weights: dict[str, Variable]) -> list[str]:
        return []

    def _content(self) -> tuple[Any, ...]:
        if type(self).__module__ != __name__:
            return (id(self),)  # a subclass of a user's, whose `axes_of` may look at anything
        return type(self), self.mesh, self.rows, self.auto_shard_dataset

    def __eq__(self, other: object) -> bool:
        """Whether both place everything alike; for a user's subclass, whether they are one object."""
        return isinstance(other, Distribution) and self._content() == other._content()

    def __hash__(self) -> int:
        return hash((type(self), self.mesh))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} device_mesh={self.device_mesh}>"


class DataParallel(Distribution):
    """Every device has all weights, and its part of each batch.

    >>> import lamella
    >>> with lamella.backend_scope("numpy"):
    ...     lamella.distribution.DataParallel()
    <DataParallel device_mesh=<DeviceMesh shape=(1,), axis_names=('batch',)>>

    Args:
        device_mesh: the devices; rows are split along the first axis. By default all devices, along "batch".
        devices: the devices by name, in the place of a mesh.
        auto_shard_dataset: False where each process is given rows of its own; see `Distribution`.

    Raises:
        ArgumentError: a device is not there.
    """

    def __init__(
        self, device_mesh: DeviceMesh | None = None, devices: Any = None, auto_shard_dataset: bool = True
    ) -> None:
        super().__init__(_line(device_mesh, devices), None, auto_shard_dataset)

    def axes_of(self, path: str, shape: tuple[int, ...]) -> Layout:
        """Whole, on every device."""
        return ()


class ModelParallel(Distribution):
    """Weights are split as a `LayoutMap` says, rows along one axis of its mesh.

    >>> import lamella
    >>> with lamella.backend_scope("numpy"):
    ...     mesh = lamella.distribution.DeviceMesh((1, 1), ["batch", "model"])
    >>> layouts = lamella.distribution.LayoutMap(mesh)
    >>> layouts[".*kernel"] = (None, "model")
    >>> lamella.distribution.ModelParallel(layout_map=layouts, batch_dim_name="batch").axes_of("dense/kernel", (4, 2))
    (None, 'model')

    Args:
        layout_map: the layouts; a weight that no expression matches is whole on every device.
        batch_dim_name: the axis of the mesh along which rows are split; by default its first.
        auto_shard_dataset: False where each process is given rows of its own; see `Distribution`.

    Raises:
        ArgumentError: it is no `LayoutMap` with a mesh, or the mesh has no such axis.
    """

    def __init__(
        self,
        *,
        layout_map: LayoutMap,
        batch_dim_name: str | None = None,
        auto_shard_dataset: bool = True,
    ) -> None:
        if not isinstance(layout_map, LayoutMap) or layout_map.device_mesh is None:
            raise ArgumentError(f"ModelParallel takes a LayoutMap that has a device_mesh, got {layout_map!r}.")
        super().__init__(layout_map.device_mesh, batch_dim_name, auto_shard_dataset)
        self.layout_map = layout_map

    def axes_of(self, path: str, shape: tuple[int, ...]) -> Layout:
        """What the map says of the path; whole where it says nothing."""
        found = self.layout_map[path]
        return () if found is None else found.axes

    def begins(self, variables: Sequence[Variable]) -> None:
        """Warn of expressions that match no weight: a renamed weight would silently be whole on every device."""
        for key in self._unused(variables):
            warnings.warn(
                f"LayoutMap: {key!r} matches no weight of the model; `distribution.report(model)` lists their paths.",
                stacklevel=user_level(),
            )

    def _unused(self, variables: Sequence[Variable]) -> list[str]:
        used = {key for variable in variables for key in self.layout_map.matches(variable.path)}
        return [key for key in self.layout_map if key not in used]

    def _remarks(self, weights: dict[str, Variable]) -> list[str]:
        lost = [path for path, v in weights.items() if not self.layout_map.matches(v.path)]
        unused = [f"{key!r} matches no weight" for key in self._unused(list(weights.values()))]
        return unused + ([f"no expression matches {', '.join(lost)}"] if lost else [])

    def _content(self) -> tuple[Any, ...]:
        return (*super()._content(), [(key, layout.axes) for key, layout in self.layout_map.items()])

    __hash__ = Distribution.__hash__


class FullySharded(Distribution):
    """Every weight, and what the optimizer keeps for it, is split along its largest axis that divides; rows as well.

    The devices gather a weight where they need it, so each holds its share only.

    >>> import lamella
    >>> with lamella.backend_scope("numpy"):
    ...     sharded = lamella.distribution.FullySharded()
    >>> sharded.axes_of("dense/kernel", (3, 4))
    (None, 'batch')

    Args:
        device_mesh: the devices; rows and weights are split along the first axis. By default all devices, along "batch".
        devices: the devices by name, in the place of a mesh.
        auto_shard_dataset: False where each process is given rows of its own; see `Distribution`.

    Raises:
        ArgumentError: a device is not there.
    """

    def __init__(
        self, device_mesh: DeviceMesh | None = None, devices: Any = None, auto_shard_dataset: bool = True
    ) -> None:
        super().__init__(_line(device_mesh, devices), None, auto_shard_dataset)

    def axes_of(self, path: str, shape: tuple[int, ...]) -> Layout:
        """Split along the largest axis that divides; whole where none does."""
        parts = self.mesh.parts(self.rows)
        dividing = [i for i, size in enumerate(shape) if size and size % parts == 0]
        if not dividing:
            return ()
        chosen = max(dividing, key=lambda i: (shape[i], i))
        return tuple([self.rows if i == chosen else None for i in range(len(shape))])

    def slot_axes(self, path: str, shape: tuple[int, ...]) -> Layout:
        """As for a weight of that shape."""
        return self.axes_of(path, shape)

    def _remarks(self, weights: dict[str, Variable]) -> list[str]:
        whole = [path for path, v in weights.items() if not self.layout_of(v)]
        return [f"no axis of {', '.join(whole)} divides by {self.mesh.parts(self.rows)}"] if whole else []


def _line(device_mesh: DeviceMesh | None, devices: Any) -> DeviceMesh:
    """The mesh given, or all devices, or those given, in a line."""
    if device_mesh is not None:
        return device_mesh
    found = list_devices() if devices is None else list(np.asarray(devices, object).reshape(-1))
    return DeviceMesh((len(found),), [_BATCH], found)


def distribution() -> Any:
    """The distribution of the innermost scope, else the one that was set; None where there is none.

    >>> import lamella
    >>> lamella.distribution.distribution() is None
    True
    """
    return distribution_in_force()


def set_distribution(value: Distribution | None) -> None:
    """Build models for a distribution from now on; those that are built stay as they are.

    >>> import lamella
    >>> lamella.distribution.set_distribution(None)

    Args:
        value: the distribution; None for one device again.

    Raises:
        ArgumentError: it is none.
    """
    if value is not None and not isinstance(value, Distribution):
        raise ArgumentError(f"set_distribution takes a Distribution or None, got {value!r}.")
    set_distribution_in_force(value)


def distribute_tensor(tensor: Any, layout: TensorLayout) -> Any:
    """An array in another layout; inside a function that JAX traces, a constraint on its value.

    >>> import lamella
    >>> import numpy as np
    >>> with lamella.backend_scope("numpy"):
    ...     mesh = lamella.distribution.DeviceMesh((1,), ["batch"])
    >>> lamella.distribution.distribute_tensor(np.ones(2), lamella.distribution.TensorLayout(("batch",), mesh)).tolist()
    [1.0, 1.0]

    Args:
        tensor: an array of NumPy's or of the backend's.
        layout: with a mesh.

    Raises:
        ArgumentError: the layout has no mesh or does not fit the array, or the value is symbolic.
    """
    if not isinstance(layout, TensorLayout) or layout.device_mesh is None:
        raise ArgumentError(f"distribute_tensor takes a TensorLayout that has a device_mesh, got {layout!r}.")
    mesh = layout.device_mesh.mesh
    backend = load_backend(layout.device_mesh.backend_name)
    if not backend.owns(tensor) and hasattr(tensor, "spec") and not isinstance(tensor, Variable):
        raise ArgumentError(
            "distribute_tensor takes arrays, and a model computes with values that have none yet; the layouts of weights and "
            "rows decide there."
        )
    given = tensor.value if isinstance(tensor, Variable) else tensor
    value: Any = given if backend.owns(given) else to_numpy(given)
    spec = spec_of(value)
    if len(layout.axes) > len(spec.shape) or any(
        n % mesh.parts(a) for n, a in zip(spec.shape, layout.axes, strict=False)
    ):
        raise ArgumentError(f"distribute_tensor: an array of shape {spec.shape} does not divide as {layout!r} says.")
    return backend.laid(value, spec.dtype, mesh, layout.axes)

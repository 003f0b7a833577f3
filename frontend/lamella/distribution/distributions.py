"""Distributions: the placement of weights, of the optimizer's slots and of the examples of a batch."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from lamella.ir.types import Tensor

_BATCH = "batch"


class Distribution:
    """The base class of distributions: a mesh, and the axis along which the examples of a batch are split.

    A subclass defines `axes_of`.

    Args:
        device_mesh: the devices.
        batch_dim_name: the axis of the mesh along which examples are split; None for its first axis.
        auto_shard_dataset: whether every process is given all examples, and reads those of its devices. False means
            that every process is given different examples, equally many, for `fit` and `evaluate`: a batch then
            consists of one batch from each process, and `batch_size` is the size of one of them. `predict` takes the
            same examples in all processes.

    Raises:
        ArgumentError: `device_mesh` is not a mesh, or has no such axis.

    Example:
        >>> import lamella
        >>> class Columns(lamella.distribution.Distribution):
        ...     def axes_of(self, path, shape):
        ...         return (None, "batch") if len(shape) == 2 else ()
        >>> with lamella.backend_scope("numpy"):
        ...     columns = Columns(lamella.distribution.DeviceMesh((1,), ["batch"]))
        >>> columns.axes_of("dense/kernel", (3, 4))
        (None, 'batch')
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
        """Return the layout of a weight; `()` if it is replicated on every device.

        Args:
            path: the path of the weight, "dense/kernel".
            shape: its shape.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define where weights are placed: define `axes_of`.")

    def slot_axes(self, path: str, shape: tuple[int, ...]) -> Layout:
        """Return the layout of an optimizer slot whose shape differs from that of its weight.

        Args:
            path: the path of the weight.
            shape: the shape of the slot.
        """
        return ()

    # ---- what training asks ----

    @property
    def mesh(self) -> Mesh:
        """The mesh in the form that backends use."""
        return self.device_mesh.mesh

    @property
    def rows(self) -> str | None:
        """The axis of the mesh along which the examples of a batch are split."""
        return self.batch_dim_name

    @property
    def backend_name(self) -> str:
        """The backend that the devices belong to."""
        return self.device_mesh.backend_name

    def layout_of(self, variable: Variable) -> Layout:
        """Return the layout of a weight.

        Args:
            variable: the weight.

        Raises:
            ArgumentError: its shape is not divisible, or several expressions match its path.
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
                    f"{type(self).__name__}: axis {i} of the weight {variable.path!r}, of size {shape[i]}, is not divisible "
                    f"by the {self.mesh.parts(name)} devices of the mesh axis {name!r}; do not split that axis (None)."
                )
        return axes

    def slot_layout(self, variable: Variable, spec: Spec) -> Layout:
        """Return the layout of an optimizer slot: that of the weight if the shapes are equal.

        Args:
            variable: the weight.
            spec: the spec of the slot.
        """
        return self.layout_of(variable) if spec.shape == variable.shape else self.slot_axes(variable.path, spec.shape)

    def placed(self, variable: Variable, value: Any) -> Any:
        """Return `value` as an array in the layout of a weight.

        Args:
            variable: the weight.
            value: an array.
        """
        return load_backend(self.backend_name).laid(value, variable.dtype, self.mesh, self.layout_of(variable))

    def drawn(self, variable: Variable, key: Any) -> Any:
        """Return the initial value of a weight in its layout; if the initializer supports it, drawn in parts.

        Args:
            variable: the weight.
            key: the random key.
        """
        backend = load_backend(self.backend_name)
        return backend.distributed(variable.parts(key), variable.spec, self.mesh, self.layout_of(variable))

    def begins(self, variables: Sequence[Variable]) -> None:
        """Warn of probable mistakes when training begins; does nothing by default.

        Args:
            variables: the weights of the model.
        """

    # ---- what Keras's scripts ask ----

    def scope(self) -> AbstractContextManager[None]:
        """Return a context manager in which models are built for this distribution.

        Returns:
            The context manager.

        Example:
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
        """The number of processes."""
        return processes.count()

    @property
    def num_model_replicas(self) -> int:
        """The number of parts that a batch is split into."""
        return self.mesh.parts(self.rows)

    def get_data_layout(self, data_shape: Sequence[int]) -> TensorLayout:
        """Return the layout of a batch, which is split along its first axis.

        Args:
            data_shape: the shape of the batch.
        """
        return TensorLayout((self.rows, *[None] * (len(data_shape) - 1)), self.device_mesh)

    def get_variable_layout(self, variable: Variable) -> TensorLayout:
        """Return the layout of a weight as a `TensorLayout`.

        Args:
            variable: the weight.
        """
        axes = self.layout_of(variable)
        return TensorLayout((*axes, *[None] * (variable.ndim - len(axes))), self.device_mesh)

    def report(self, model: Any) -> Report:
        """Return a table of the placement of a model's weights, without computing anything.

        Args:
            model: a model that is built, or whose input shape is known.

        Returns:
            A `Report`.

        Raises:
            ValueError: the model cannot be built, or the shape of a weight is not divisible.
        """
        model.require_built()
        named = model.named_weights()
        return Report(self.mesh, [(path, v.spec, self.layout_of(v)) for path, v in named], self._remarks(dict(named)))

    def _remarks(self, weights: dict[str, Variable]) -> list[str]:
        return []

    def _content(self) -> tuple[Any, ...]:
        if type(self).__module__ != __name__:
            return (id(self),)  # a user-defined subclass, whose `axes_of` may depend on anything
        return type(self), self.mesh, self.rows, self.auto_shard_dataset

    def __eq__(self, other: object) -> bool:
        """Whether both place everything identically; for user-defined subclasses, whether they are one object."""
        return isinstance(other, Distribution) and self._content() == other._content()

    def __hash__(self) -> int:
        return hash((type(self), self.mesh))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} device_mesh={self.device_mesh}>"


class DataParallel(Distribution):
    """Data parallelism: every device has all weights, and computes on its part of each batch.

    Args:
        device_mesh: the devices; examples are split along the first axis. By default all devices, along "batch".
        devices: the names of the devices, as an alternative to a mesh.
        auto_shard_dataset: False if each process is given different examples; see `Distribution`.

    Raises:
        ArgumentError: a device does not exist.

    Example:
        >>> import lamella
        >>> with lamella.backend_scope("numpy"):
        ...     lamella.distribution.DataParallel()
        <DataParallel device_mesh=<DeviceMesh shape=(1,), axis_names=('batch',)>>
    """

    def __init__(
        self, device_mesh: DeviceMesh | None = None, devices: Any = None, auto_shard_dataset: bool = True
    ) -> None:
        super().__init__(_line(device_mesh, devices), None, auto_shard_dataset)

    def axes_of(self, path: str, shape: tuple[int, ...]) -> Layout:
        """Return `()`: weights are replicated on every device.

        Args:
            path: the path of the weight.
            shape: its shape.
        """
        return ()


class ModelParallel(Distribution):
    """Model parallelism: weights are split according to a `LayoutMap`, examples along one axis of its mesh.

    Args:
        layout_map: the layouts; a weight that no expression matches is replicated on every device.
        batch_dim_name: the axis of the mesh along which examples are split; by default its first.
        auto_shard_dataset: False if each process is given different examples; see `Distribution`.

    Raises:
        ArgumentError: `layout_map` is not a `LayoutMap` with a mesh, or the mesh has no such axis.

    Example:
        >>> import lamella
        >>> with lamella.backend_scope("numpy"):
        ...     mesh = lamella.distribution.DeviceMesh((1, 1), ["batch", "model"])
        >>> layouts = lamella.distribution.LayoutMap(mesh)
        >>> layouts[".*kernel"] = (None, "model")
        >>> parallel = lamella.distribution.ModelParallel(layout_map=layouts, batch_dim_name="batch")
        >>> parallel.axes_of("dense/kernel", (4, 2))
        (None, 'model')
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
        """Return the layout that the map has for a path; `()` if it has none.

        Args:
            path: the path of the weight.
            shape: its shape.
        """
        found = self.layout_map[path]
        return () if found is None else found.axes

    def begins(self, variables: Sequence[Variable]) -> None:
        """Warn of expressions that match no weight: a renamed weight would silently be replicated on every device.

        Args:
            variables: the weights of the model.
        """
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
    """Fully sharded data parallelism: weights and optimizer slots are split along their largest divisible axis.

    Examples are split as well. The devices gather a weight when they need it, so each stores its part only.

    Args:
        device_mesh: the devices; examples and weights are split along the first axis. By default all devices, along
            "batch".
        devices: the names of the devices, as an alternative to a mesh.
        auto_shard_dataset: False if each process is given different examples; see `Distribution`.

    Raises:
        ArgumentError: a device does not exist.

    Example:
        >>> import lamella
        >>> with lamella.backend_scope("numpy"):
        ...     sharded = lamella.distribution.FullySharded()
        >>> sharded.axes_of("dense/kernel", (3, 4))
        (None, 'batch')
    """

    def __init__(
        self, device_mesh: DeviceMesh | None = None, devices: Any = None, auto_shard_dataset: bool = True
    ) -> None:
        super().__init__(_line(device_mesh, devices), None, auto_shard_dataset)

    def axes_of(self, path: str, shape: tuple[int, ...]) -> Layout:
        """Return the layout that splits the largest divisible axis; `()` if there is none.

        Args:
            path: the path of the weight.
            shape: its shape.
        """
        parts = self.mesh.parts(self.rows)
        dividing = [i for i, size in enumerate(shape) if size and size % parts == 0]
        if not dividing:
            return ()
        chosen = max(dividing, key=lambda i: (shape[i], i))
        return tuple([self.rows if i == chosen else None for i in range(len(shape))])

    def slot_axes(self, path: str, shape: tuple[int, ...]) -> Layout:
        """Return the same layout as for a weight of that shape.

        Args:
            path: the path of the weight.
            shape: the shape of the slot.
        """
        return self.axes_of(path, shape)

    def _remarks(self, weights: dict[str, Variable]) -> list[str]:
        whole = [path for path, v in weights.items() if not self.layout_of(v)]
        return [f"no axis of {', '.join(whole)} divides by {self.mesh.parts(self.rows)}"] if whole else []


def _line(device_mesh: DeviceMesh | None, devices: Any) -> DeviceMesh:
    """The given mesh, or a mesh of one axis of all devices or of the given ones."""
    if device_mesh is not None:
        return device_mesh
    found = list_devices() if devices is None else list(np.asarray(devices, object).reshape(-1))
    return DeviceMesh((len(found),), [_BATCH], found)


def distribution() -> Any:
    """Return the distribution of the innermost scope, otherwise the one that `set_distribution` set.

    Returns:
        The distribution, or None.

    Example:
        >>> import lamella
        >>> lamella.distribution.distribution() is None
        True
    """
    return distribution_in_force()


def set_distribution(value: Distribution | None) -> None:
    """Set the distribution that models are built for from now on.

    Args:
        value: the distribution; None for one device.

    Raises:
        ArgumentError: `value` is neither a distribution nor None.

    Example:
        >>> import lamella
        >>> lamella.distribution.set_distribution(None)
        >>> lamella.distribution.distribution() is None
        True
    """
    if value is not None and not isinstance(value, Distribution):
        raise ArgumentError(f"set_distribution takes a Distribution or None, got {value!r}.")
    set_distribution_in_force(value)


def distribute_tensor(tensor: Tensor, layout: TensorLayout) -> Tensor:
    """Return an array in another layout; inside a function that JAX traces, constrain the layout of its value.

    Args:
        tensor: an array of NumPy or of the backend, or a `Variable`.
        layout: a layout with a mesh.

    Returns:
        The array, placed on the devices.

    Raises:
        ArgumentError: the layout has no mesh or does not fit the array, or the value is symbolic.

    Example:
        >>> import lamella
        >>> import numpy as np
        >>> with lamella.backend_scope("numpy"):
        ...     mesh = lamella.distribution.DeviceMesh((1,), ["batch"])
        >>> layout = lamella.distribution.TensorLayout(("batch",), mesh)
        >>> lamella.distribution.distribute_tensor(np.ones(2), layout)
        array([1., 1.])
    """
    if not isinstance(layout, TensorLayout) or layout.device_mesh is None:
        raise ArgumentError(f"distribute_tensor takes a TensorLayout that has a device_mesh, got {layout!r}.")
    mesh = layout.device_mesh.mesh
    backend = load_backend(layout.device_mesh.backend_name)
    if not backend.owns(tensor) and hasattr(tensor, "spec") and not isinstance(tensor, Variable):
        raise ArgumentError(
            "distribute_tensor takes arrays, got a symbolic value; inside a model the layouts of weights and examples "
            "determine the placement."
        )
    given = tensor.value if isinstance(tensor, Variable) else tensor
    value: Any = given if backend.owns(given) else to_numpy(given)
    spec = spec_of(value)
    if len(layout.axes) > len(spec.shape) or any(
        n % mesh.parts(a) for n, a in zip(spec.shape, layout.axes, strict=False)
    ):
        raise ArgumentError(f"distribute_tensor: an array of shape {spec.shape} is not divisible as in {layout!r}.")
    return backend.laid(value, spec.dtype, mesh, layout.axes)

"""Meshes of devices, and layouts: which axes of an array are split along which axes of a mesh."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, MutableMapping, Sequence
from typing import Any

import numpy as np

from lamella.backend_api import Layout, Mesh, load_backend
from lamella.errors import ArgumentError, unknown_name


def list_devices(device_type: str | None = None) -> list[str]:
    """Return the names of the devices of all processes, for the current backend.

    Args:
        device_type: "cpu", "gpu" or "tpu"; None for the kind that the backend computes on.

    Returns:
        A list of names.

    Raises:
        ArgumentError: `device_type` is something else.

    Example:
        >>> import lamella
        >>> with lamella.backend_scope("numpy"):
        ...     lamella.distribution.list_devices()
        ['cpu:0']
    """
    if device_type is not None and str(device_type).lower() not in ("cpu", "gpu", "tpu"):
        raise ArgumentError(f"list_devices takes 'cpu', 'gpu' or 'tpu', got {device_type!r}.")
    return load_backend().devices(device_type and device_type.lower())


def get_device_count(device_type: str | None = None) -> int:
    """Return the number of devices.

    Args:
        device_type: "cpu", "gpu" or "tpu"; None for the kind that the backend computes on.

    Returns:
        An integer.

    Raises:
        ArgumentError: `device_type` is something else.

    Example:
        >>> import lamella
        >>> with lamella.backend_scope("numpy"):
        ...     lamella.distribution.get_device_count("cpu")
        1
    """
    return len(list_devices(device_type))


class DeviceMesh:
    """A grid of devices with named axes, such as "batch" for the examples and "model" for parts of weights.

    Args:
        shape: the size of each axis.
        axis_names: the name of each axis.
        devices: the names of the devices, in row-major order; by default all devices.

    Attributes:
        mesh: the mesh in the form that backends use.
        backend_name: the backend that the devices belong to, the current one when the mesh was created.

    Raises:
        ArgumentError: shape, names and devices do not match, or a device does not exist.

    Example:
        >>> import lamella
        >>> with lamella.backend_scope("numpy"):
        ...     lamella.distribution.DeviceMesh((1, 1), ["batch", "model"])
        <DeviceMesh shape=(1, 1), axis_names=('batch', 'model')>
    """

    def __init__(self, shape: Sequence[int], axis_names: Sequence[str], devices: Any = None) -> None:
        sizes, names = tuple(int(n) for n in shape), tuple(axis_names)
        if not sizes or len(sizes) != len(names) or len(set(names)) != len(names) or min(sizes) < 1:
            raise ArgumentError(
                f"DeviceMesh takes a size and a different name for each axis, got shape={sizes} and axis_names={names}."
            )
        backend = load_backend()
        present = backend.devices()
        found = present if devices is None else [str(d) for d in np.asarray(devices, object).reshape(-1)]
        for name in found:
            if name not in present and name not in backend.devices(name.partition(":")[0]):
                alone = f" {backend.name!r} computes on one device, {present[0]!r}; several need the JAX backend."
                raise ArgumentError(
                    f"DeviceMesh: there is no device {name!r};"
                    + (alone if len(present) == 1 else f" the devices are {', '.join(present)}.")
                )
        if math.prod(sizes) != len(found) or len(set(found)) != len(found):
            raise ArgumentError(
                f"DeviceMesh: a mesh of shape {sizes} has {math.prod(sizes)} different devices, got {len(found)}: "
                f"{', '.join(found)}. The {backend.name!r} backend has {len(present)}; JAX divides a processor into N with "
                "XLA_FLAGS=--xla_force_host_platform_device_count=N."
            )
        self.mesh, self.backend_name = Mesh(sizes, names, tuple(found)), backend.name

    @property
    def shape(self) -> tuple[int, ...]:
        """The size of each axis."""
        return self.mesh.shape

    @property
    def axis_names(self) -> tuple[str, ...]:
        """The name of each axis."""
        return self.mesh.axes

    @property
    def devices(self) -> np.ndarray:
        """The names of the devices, in the shape of the mesh."""
        return np.array(self.mesh.devices, object).reshape(self.mesh.shape)

    def __repr__(self) -> str:
        return f"<DeviceMesh shape={self.shape}, axis_names={self.axis_names}>"


class TensorLayout:
    """The axes of an array that are split along axes of a mesh.

    Args:
        axes: for each axis of the array the name of an axis of the mesh, or None if it is not split.
        device_mesh: the mesh; None to take that of a `LayoutMap`.

    Raises:
        ArgumentError: the mesh has no axis of such a name, or an axis is named twice.

    Example:
        >>> import lamella
        >>> lamella.distribution.TensorLayout((None, "model")).axes
        (None, 'model')
    """

    def __init__(self, axes: Sequence[str | None], device_mesh: DeviceMesh | None = None) -> None:
        self.axes: Layout = tuple(axes)
        named = [name for name in self.axes if name is not None]
        if len(set(named)) != len(named):
            raise ArgumentError(f"TensorLayout: each axis of the mesh may split one axis of an array, got {self.axes}.")
        self._mesh: DeviceMesh | None = None
        if device_mesh is not None:
            self.device_mesh = device_mesh

    @property
    def device_mesh(self) -> DeviceMesh | None:
        """The mesh, which can be set once."""
        return self._mesh

    @device_mesh.setter
    def device_mesh(self, mesh: DeviceMesh) -> None:
        if self._mesh is not None:
            raise ArgumentError(f"TensorLayout: it has the mesh {self._mesh!r} already.")
        for name in self.axes:
            if name is not None and name not in mesh.axis_names:
                raise unknown_name("mesh axis", name, mesh.axis_names)
        self._mesh = mesh

    def __repr__(self) -> str:
        return f"<TensorLayout axes={self.axes}, device_mesh={self.device_mesh}>"


class LayoutMap(MutableMapping[str, TensorLayout]):
    """The layouts of weights, by regular expressions for their paths ("dense/kernel").

    A path is first looked up literally, and then compared with every expression, which must match all of it.

    Args:
        device_mesh: the mesh of all layouts.

    Raises:
        ArgumentError: a key is not a regular expression or is set twice, or several expressions match a path.

    Example:
        >>> import lamella
        >>> with lamella.backend_scope("numpy"):
        ...     mesh = lamella.distribution.DeviceMesh((1, 1), ["batch", "model"])
        >>> layouts = lamella.distribution.LayoutMap(mesh)
        >>> layouts["dense.*/kernel"] = (None, "model")
        >>> layouts["dense_1/kernel"].axes
        (None, 'model')
    """

    def __init__(self, device_mesh: DeviceMesh | None = None) -> None:
        self.device_mesh = device_mesh
        self._layouts: dict[str, TensorLayout] = {}

    def __getitem__(self, key: str) -> TensorLayout | None:  # type: ignore[override] - Keras's, which has no KeyError
        """Return the layout of a path; None if no expression matches it.

        Raises:
            ArgumentError: several expressions match.
        """
        if key in self._layouts:
            return self._layouts[key]
        found = self.matches(key)
        if len(found) > 1:
            raise ArgumentError(
                f"LayoutMap: the path {key!r} is matched by {' and '.join(map(repr, found))}; one expression may match it."
            )
        return self._layouts[found[0]] if found else None

    def matches(self, path: str) -> list[str]:
        """Return the keys that match a path.

        Args:
            path: the path of a weight.
        """
        return [path] if path in self._layouts else [key for key in self._layouts if re.fullmatch(key, path)]

    def __setitem__(self, key: str, layout: TensorLayout | Sequence[str | None]) -> None:
        """Add a layout, or its axes.

        Raises:
            ArgumentError: the key is not a regular expression or is set already, or the layout does not fit the mesh.
        """
        if key in self._layouts:
            raise ArgumentError(f"LayoutMap: {key!r} has the layout {self._layouts[key].axes} already.")
        try:
            re.compile(key)
        except re.error as error:
            raise ArgumentError(f"LayoutMap: {key!r} is not a regular expression: {error}.") from None
        layout = layout if isinstance(layout, TensorLayout) else TensorLayout(layout)
        if layout.device_mesh is None and self.device_mesh is not None:
            layout.device_mesh = self.device_mesh
        self._layouts[key] = layout

    def __delitem__(self, key: str) -> None:
        del self._layouts[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._layouts)

    def __len__(self) -> int:
        return len(self._layouts)

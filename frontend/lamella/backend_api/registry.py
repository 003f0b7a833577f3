"""Which backends there are, and which one is in force."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

from lamella.backend_api.backend import API_VERSION, Backend
from lamella.errors import BackendError, did_you_mean
from lamella.ir import interpret
from lamella.ir.spec import register_dtype_loader, register_dtypes
from lamella.stacks import ThreadStack

GROUP = "lamella.backends"
"""The entry-point group in which other distributions announce backends."""

_IN_TREE = {"jax": "lamella_jax", "numpy": "lamella_numpy"}
"""The backends of this distribution, in the order of preference; they load without package metadata."""

_LOADED: dict[str, Backend] = {}
_CHOSEN: dict[str, str] = {}


_SCOPES: ThreadStack[str] = ThreadStack()


def _entry_points() -> dict[str, Any]:
    from importlib import metadata

    return {point.name: point for point in metadata.entry_points(group=GROUP)}


def available_backends() -> list[str]:
    """Return the names of the backends that can be selected.

    Returns:
        A sorted list of names: the backends of lamella whose packages are installed, and those that other packages
            register.

    Example:
        >>> "numpy" in available_backends()
        True
    """
    names = [name for name in _IN_TREE if _installed(name)]
    return sorted({*names, *[n for n in _entry_points() if n not in _IN_TREE], *_LOADED})


def _installed(name: str) -> bool:
    try:
        found = importlib.util.find_spec(_IN_TREE[name]) is not None
        return found and (name != "jax" or importlib.util.find_spec("jax") is not None)
    except (ImportError, ValueError):  # a module blocked in sys.modules
        return False


def register_backend(backend: Backend) -> Backend:
    """Make a backend available under its name in this process, without an entry point.

    Args:
        backend: the backend.

    Returns:
        The same backend.

    Raises:
        BackendError: it was written for another version of the backend API.

    Example:
        >>> from lamella.backend import load_backend, register_backend
        >>> register_backend(load_backend("numpy")).name  # its entry point has registered it before
        'numpy'
    """
    version = _version_of(backend)
    if version != API_VERSION:
        raise BackendError(
            f"Backend {backend.name!r} was written for version {version} of the backend API, this lamella has version "
            f"{API_VERSION}. "
            "Install a release of the backend made for this lamella."
        )
    register_dtypes(backend.dtypes)
    _LOADED[backend.name] = backend
    interpret.register_evaluator(backend)
    return backend


def _version_of(backend: Backend) -> int:
    """The version of the backend API that a backend was written for; `seam` was the attribute's name before."""
    former = inspect.getattr_static(backend, "seam", None)
    if former is None:
        return backend.api_version
    warnings.warn(
        f"Backend {backend.name!r} sets `seam`; the attribute is `api_version` today.", DeprecationWarning, stacklevel=3
    )
    return former


def load_backend(name: str | Backend | None = None) -> Backend:
    """Return a backend by its name, and import it at its first use.

    Args:
        name: the name; None for the current backend. A backend is returned as it is.

    Raises:
        BackendError: the name is unknown, or the backend's package is missing or fails to import.

    Example:
        >>> from lamella.backend import load_backend
        >>> load_backend("numpy").name
        'numpy'
    """
    if isinstance(name, Backend):
        return name
    name = current_backend() if name is None else name
    if name in _LOADED:
        return _LOADED[name]
    if name in _IN_TREE:
        try:
            found = importlib.import_module(_IN_TREE[name]).BACKEND
        except ImportError as error:
            extra = " Install it with `pip install jax optax`, or choose `numpy`." if name == "jax" else ""
            raise BackendError(f"Backend {name!r} is not installed: {error}.{extra}") from None
        return register_backend(found)
    point = _entry_points().get(name)
    if point is None:
        raise BackendError(f"Unknown backend {name!r}: {did_you_mean(name, available_backends())}")
    try:
        found = point.load()
    except Exception as error:  # whatever a third party's package raises while it is imported
        raise BackendError(f"Backend {name!r} ({point.value}) failed to import: {error!r}.") from error
    return register_backend(found)


def default_backend() -> str:
    """Return the name of the backend that is used where none was selected: "jax" where JAX is installed, else "numpy".

    Example:
        >>> from lamella.backend import default_backend
        >>> default_backend() in ("jax", "numpy")
        True
    """
    return next((name for name in _IN_TREE if _installed(name)), "numpy")


def current_backend() -> str:
    """Return the name of the current backend.

    Returns:
        The backend of the innermost `backend_scope`, otherwise the one that `set_backend` or the environment variable
        LAMELLA_BACKEND selected, otherwise the default.

    Example:
        >>> with backend_scope("numpy"):
        ...     current_backend()
        'numpy'
    """
    if _SCOPES.items:
        return _SCOPES.items[-1]
    if "name" in _CHOSEN:
        return _CHOSEN["name"]
    return os.environ.get("LAMELLA_BACKEND") or default_backend()


def set_backend(name: str) -> None:
    """Select the backend that is used from now on, in every thread.

    Args:
        name: the name of the backend, "numpy", "jax" or that of another installed backend.

    Raises:
        BackendError: the backend is unknown or not installed; the selection is unchanged then.

    Example:
        >>> set_backend("tensorflow")
        Traceback (most recent call last):
        ...
        lamella.errors.BackendError: Unknown backend 'tensorflow': ...
    """
    load_backend(name)
    _CHOSEN["name"] = name


@contextmanager
def backend_scope(name: str) -> Generator[Backend]:
    """Use a backend inside a `with` block, in this thread.

    Args:
        name: the name of the backend.

    Raises:
        BackendError: the backend is unknown or not installed.

    Example:
        >>> import lamella
        >>> with lamella.backend_scope("numpy"):
        ...     lamella.config.backend()
        'numpy'
    """
    backend = load_backend(name)
    with _SCOPES.pushed(name):
        yield backend


def backend_of(array: object) -> Backend | None:
    """Return the backend that owns an array, or None for NumPy's arrays and everything else.

    A backend that has not been loaded is loaded where the array's type comes from the package of its name.

    Args:
        array: any object.

    Example:
        >>> import numpy as np
        >>> from lamella.backend import backend_of
        >>> backend_of(np.ones(2)) is None
        True
    """
    for backend in _LOADED.values():
        if backend.owns(array):
            return backend
    loaded = _load_for(array)
    return loaded if loaded is not None and loaded.owns(array) else None


def _load_for(thing: object) -> Backend | None:
    """The backend that is loaded now because the type of `thing`, an array or a dtype, comes from the package of its name."""
    package = type(thing).__module__.partition(".")[0]
    if package in ("builtins", "numpy"):
        return None
    for name in available_backends():
        if name not in _LOADED and package.startswith(name):
            return load_backend(name)
    return None


def check_environment() -> None:
    """Refuse a `LAMELLA_BACKEND` that names no backend when lamella is imported, not at the first use of a backend.

    Raises:
        BackendError: the variable names none; a backend registered by the program itself is chosen with `set_backend`.

    Example:
        >>> from lamella.backend import check_environment
        >>> check_environment()
    """
    name = os.environ.get("LAMELLA_BACKEND")
    if name and name not in _IN_TREE and name not in _entry_points():
        nearest = did_you_mean(name, available_backends())
        raise BackendError(
            f"Unknown backend {name!r}: {nearest} (It is named by the environment variable LAMELLA_BACKEND.)"
        )


def _evaluator_for(operands: Sequence[object]) -> Backend:
    """The backend that computes an op at once: the one that owns an operand, else NumPy's."""
    return next((b for b in map(backend_of, operands) if b is not None), None) or load_backend("numpy")


interpret.register_default(_evaluator_for)
register_dtype_loader(lambda dtype: _load_for(dtype) is not None)

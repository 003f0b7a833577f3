"""The backend of an estimator that goes to another process."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from lamella.backend_api import backend_scope, current_backend


class KeepsBackend:
    """A mixin whose pickles store the current backend, on which models are made after loading.

    The processes of a search therefore compute on the backend that was selected in the first one.
    """

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_backend": current_backend()}  # type: ignore[dict-item]

    def _on_its_backend(self) -> AbstractContextManager[Any]:
        return backend_scope(vars(self).get("_backend") or current_backend())

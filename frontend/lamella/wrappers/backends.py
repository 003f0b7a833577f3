"""The backend of an estimator that goes to another process."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from lamella.backend_api import backend_scope, current_backend


class KeepsBackend:
    """A pickle of the estimator names the backend in force, on which its models are made where it is loaded.

    So the processes of a search compute on the backend that was chosen in the first one.
    """

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_backend": current_backend()}  # type: ignore[dict-item]

    def _on_its_backend(self) -> AbstractContextManager[Any]:
        return backend_scope(vars(self).get("_backend") or current_backend())

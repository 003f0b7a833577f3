"""The logs of every epoch to a server."""

from __future__ import annotations

import json
import warnings
from typing import Any

import numpy as np

from lamella import processes
from lamella.training.history import Callback, Logs

_SECONDS = 10
"""How long a server may take to answer: a run does not stand still for one that hangs."""


class RemoteMonitor(Callback):
    """Posts the logs of every epoch to `root + path`; where that fails, it warns and training continues.

    Args:
        root: the server.
        path: where on the server.
        field: the field of the form that gets the logs as JSON.
        headers: further HTTP headers.
        send_as_json: post JSON ("application/json"), no form.
    """

    def __init__(
        self,
        root: str = "http://localhost:9000",
        path: str = "/publish/epoch/end/",
        field: str = "data",
        headers: dict[str, str] | None = None,
        send_as_json: bool = False,
    ) -> None:
        super().__init__()
        self.root, self.path, self.field = root, path, field
        self.headers, self.send_as_json = headers, send_as_json

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Post the epoch's number and logs."""
        if processes.index():
            return
        from http.client import HTTPException
        from urllib.error import HTTPError
        from urllib.parse import urlencode
        from urllib.request import Request, urlopen

        values: dict[str, Any] = {"epoch": epoch}
        for key, value in (logs or {}).items():
            values[key] = value.item() if isinstance(value, np.ndarray | np.generic) else value
        text = json.dumps(values)
        kind = "application/json" if self.send_as_json else "application/x-www-form-urlencoded"
        body = (text if self.send_as_json else urlencode({self.field: text})).encode()
        try:
            request = Request(self.root + self.path, body, {"Content-Type": kind, **(self.headers or {})})
            urlopen(request, timeout=_SECONDS).close()
        except HTTPError:
            pass  # it was reached; what it thinks of the logs is its own affair
        except (OSError, HTTPException, ValueError) as error:
            warnings.warn(f"RemoteMonitor: could not reach {self.root} ({error}).", stacklevel=2)

"""Sending the logs of every epoch to a server."""

from __future__ import annotations

import json
import warnings
from typing import Any

import numpy as np

from lamella import processes
from lamella.training.history import Callback, Logs

_SECONDS = 10
"""The timeout of a request, so that a server that hangs does not block the run."""


class RemoteMonitor(Callback):
    """Post the logs of every epoch to `root + path`; if that fails, warn and continue.

    Args:
        root: the URL of the server.
        path: the path on the server.
        field: the form field of the logs, in JSON.
        headers: additional HTTP headers.
        send_as_json: whether to post JSON ("application/json") instead of a form.

    Example:
        >>> from lamella.callbacks import RemoteMonitor
        >>> monitor = RemoteMonitor("http://localhost:9000", send_as_json=True)
        >>> monitor.root + monitor.path
        'http://localhost:9000/publish/epoch/end/'
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
        """Post the number and the logs of the epoch."""
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
            pass  # the server was reached; its status is ignored
        except (OSError, HTTPException, ValueError) as error:
            warnings.warn(f"RemoteMonitor: could not reach {self.root} ({error}).", stacklevel=2)

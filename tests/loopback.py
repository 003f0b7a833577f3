"""A small HTTP server on this machine, for tests of downloads: it behaves as it is told, and notes what it was asked for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Server:
    """What the server has, how it behaves, and the header lines of each request."""

    files: dict[str, bytes] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    ranges: bool = True  # whether it can send a part of a file
    version: str = '"1"'  # the ETag
    cut: list[int | None] = field(default_factory=list)  # after how many bytes each answer is interrupted
    announce: bool = True  # whether it says how long a file is
    asked: list[dict[str, str]] = field(default_factory=list)
    port: int = 0

    def address(self, name: str) -> str:
        return f"http://127.0.0.1:{self.port}/{name}"


@contextmanager
def serving(**behavior: object) -> Iterator[Server]:
    """Serve while the block runs."""
    told = Server(**behavior)  # type: ignore[arg-type]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            told.asked.append({"path": self.path, **{name: value for name, value in self.headers.items()}})
            self.close_connection = True
            name = self.path.lstrip("/").partition("?")[0]
            if name in told.redirects:
                return self.head(302, Location=told.redirects[name])
            if name not in told.files:
                return self.head(404)
            self.send(told.files[name])

        def send(self, data: bytes) -> None:
            start, wanted = 0, self.headers.get("Range")
            if wanted and told.ranges and self.headers.get("If-Range", told.version) == told.version:
                start = int(wanted.removeprefix("bytes=").rstrip("-"))
                if start >= len(data):
                    return self.head(416)
            more = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if start else {}
            if told.announce:
                more["Content-Length"] = str(len(data) - start)
            if told.version:
                more["ETag"] = told.version
            self.head(206 if start else 200, **more)
            end = told.cut.pop(0) if told.cut else None
            self.wfile.write(data[start:] if end is None else data[start : start + end])

        def head(self, code: int, **lines: str) -> None:
            self.send_response(code)
            for name, value in {**({"Content-Length": "0"} if code >= 300 else {}), **lines}.items():
                self.send_header(name, value)
            self.send_header("Connection", "close")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        told.port = running.server_port
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield told
        finally:
            running.shutdown()

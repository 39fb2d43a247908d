"""An administrator's calls, over a Unix socket or a port. What it never does: test."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path
from typing import Any


class _UnixConnection(http.client.HTTPConnection):
    """An HTTP connection over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=30)
        self._socket_path = path

    def connect(self) -> None:
        """Connect."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._socket_path))


def connected(target: Path | int) -> http.client.HTTPConnection:
    """Return a connection to a Unix socket or a port."""
    if isinstance(target, Path):
        return _UnixConnection(target)
    return http.client.HTTPConnection("127.0.0.1", target, timeout=30)


def call(
    target: Path | int, method: str, path: str, body: Any = None, headers: list[tuple[str, str]] | None = None
) -> tuple[int, Any]:
    """Send one request and return status and JSON, or the octets where they are none."""
    link = connected(target)
    try:
        octets = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        link.putrequest(method, path)
        for name, value in headers or []:
            link.putheader(name, value)
        link.putheader("Content-Length", str(len(octets)))
        link.endheaders(octets)
        answer = link.getresponse()
        found = answer.read()
        try:
            return answer.status, json.loads(found)
        except ValueError:
            return answer.status, found
    finally:
        link.close()


class Crowd:
    """So many open connections that each worker has some.

    Args:
        target: The sidecar's Unix socket or port.
        headers: What each request carries.
        size: How many; with two workers the odds that one has none are 2 to the power of minus ``size``.
    """

    def __init__(self, target: Path | int, headers: list[tuple[str, str]], size: int = 40) -> None:
        self.links = [connected(target) for _ in range(size)]
        self.headers = dict(headers)

    def statuses(self, path: str = "/verify") -> set[int]:
        """Send one request on each connection and return the statuses."""
        found = set()
        for link in self.links:
            link.request("GET", path, headers=self.headers)
            answer = link.getresponse()
            answer.read()
            found.add(answer.status)
        return found

    def close(self) -> None:
        """Hang up."""
        for link in self.links:
            link.close()

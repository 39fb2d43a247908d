"""A question to the admin listener of a running service."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from rapidjws import _files
from rapidjws.errors import RapidJWSError, error_for

TIMEOUT_S: Final = 10.0
ANSWER_MAX_BYTES: Final = 64 << 20
TOKEN_MAX_BYTES: Final = 4096

Admin = Annotated[
    str | None,
    typer.Option(
        help="A running service's admin listener: unix:/path, a socket's path, or http://host:port."
    ),
]
AdminToken = Annotated[
    Path | None, typer.Option("--admin-token-file", help="The token it asks for, over a port.")
]


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        """Connect."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _connection(address: str) -> http.client.HTTPConnection:
    if address.startswith("unix:"):
        return _UnixConnection(address.removeprefix("unix:"))
    host, mark, port = address.removeprefix("http://").rstrip("/").rpartition(":")
    if mark and host and port.isdecimal() and "/" not in host:
        return http.client.HTTPConnection(host.strip("[]"), int(port), timeout=TIMEOUT_S)
    if "://" in address:
        raise error_for("configuration_invalid", "admin", "unix:/path or http://host:port", address)
    return _UnixConnection(address)


def ask(address: str, name: str, token_file: Path | None) -> dict[str, Any]:
    """Return what a service answers to ``GET /admin/<name>``.

    Args:
        address: ``unix:/path``, a path, or ``http://host:port``.
        name: What is asked for.
        token_file: Holds the token that it wants, or None.

    Raises:
        ConfigurationError: ``configuration_invalid``: it cannot be asked, or does not answer that.
    """
    expected = "a running service's admin listener"
    try:
        headers = {}
        if token_file is not None:
            token = _files.read_trusted(token_file, TOKEN_MAX_BYTES).decode("ascii").strip()
            headers["Authorization"] = f"Bearer {token}"
        link = _connection(address)
        try:
            link.request("GET", f"/admin/{name}", headers=headers)
            answer = link.getresponse()
            octets = answer.read(ANSWER_MAX_BYTES)
        finally:
            link.close()
        if answer.status != 200:
            words = {401: "status 401: it wants --admin-token-file", 404: "status 404: an older version?"}
            found = words.get(answer.status, f"status {answer.status}")
            raise error_for("configuration_invalid", "admin", expected, f"{found} ({address})")
        members = json.loads(octets)
    except RapidJWSError:
        raise
    except (OSError, http.client.HTTPException, ValueError, RecursionError) as fault:
        found = (fault.strerror if isinstance(fault, OSError) else None) or type(fault).__name__
        raise error_for("configuration_invalid", "admin", expected, f"{found} ({address})") from None
    if not isinstance(members, dict):
        raise error_for("configuration_invalid", "admin", expected, "another answer")
    return members

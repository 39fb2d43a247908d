"""A question to the admin listener of a running service."""

from __future__ import annotations

import http.client
import json
import socket
import time
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from rapidjws import _files

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

FAILURES: Final = {
    "admin_address": "no address of an admin listener: unix:/path or http://host:port",
    "admin_token_unreadable": "the file with the token cannot be read",
    "admin_unreachable": "nobody answers; a running service's admin listener is where admin_listen says",
    "admin_timeout": "no answer in time: the service is overloaded, or something else listens there",
    "admin_unauthorized": "the service wants --admin-token-file, or another token in it",
    "admin_unsupported": "the service does not know this question: an older version?",
    "admin_failed": "the service could not answer",
    "admin_malformed": "the answer is not one of this service: another version, or another program",
}
"""Why a running service could not be asked: code -> what it means. With each a command exits with 2."""


class AdminFailed(Exception):
    """A running service could not be asked.

    Attributes:
        code: A key of ``FAILURES``.
        address: Which service.
        found: What was found, in a word or two, or None.
    """

    def __init__(self, code: str, address: str, found: str | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.address = address
        self.found = found

    def __str__(self) -> str:
        found = "" if self.found is None else f"; found {self.found}"
        return f"{self.code}: {FAILURES[self.code]}{found} ({self.address})"

    def as_dict(self) -> dict[str, str | None]:
        """Return the failure as flat values."""
        return {"error": self.code, "address": self.address, "detail": self.found}


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        """Connect."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def connection(address: str, timeout_s: float = TIMEOUT_S) -> http.client.HTTPConnection:
    """Return a connection to an admin listener, not made yet.

    Args:
        address: ``unix:/path``, a path, or ``http://host:port``.
        timeout_s: Longest wait for each step, in seconds.

    Raises:
        AdminFailed: ``admin_address``.
    """
    if address.startswith("unix:"):
        return _UnixConnection(address.removeprefix("unix:"), timeout_s)
    host, mark, port = address.removeprefix("http://").rstrip("/").rpartition(":")
    if mark and host and port.isdecimal() and int(port) <= 0xFFFF and "/" not in host:
        return http.client.HTTPConnection(host.strip("[]"), int(port), timeout=timeout_s)
    if "://" in address:
        raise AdminFailed("admin_address", address)
    return _UnixConnection(address, timeout_s)


def token_headers(address: str, token_file: Path | None) -> dict[str, str]:
    """Return the headers that show the token in a file.

    Raises:
        AdminFailed: ``admin_token_unreadable``.
    """
    if token_file is None:
        return {}
    try:
        token = _files.read_trusted(token_file, TOKEN_MAX_BYTES).decode("ascii").strip()
    except (OSError, ValueError) as fault:
        found = (fault.strerror if isinstance(fault, OSError) else None) or type(fault).__name__
        raise AdminFailed("admin_token_unreadable", address, found) from None
    return {"Authorization": f"Bearer {token}"}


def ask(address: str, name: str, token_file: Path | None, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
    """Return what a service answers to ``GET /admin/<name>``.

    Args:
        address: ``unix:/path``, a path, or ``http://host:port``.
        name: What is asked for, with its query.
        token_file: Holds the token that it wants, or None.
        timeout_s: Longest wait for each step, in seconds.

    Raises:
        AdminFailed: It cannot be asked, or does not answer that.
    """
    status, octets = _exchange(address, "GET", name, None, token_file, timeout_s)
    if status != 200:
        raise _refused(address, status)
    return _members(address, octets)


def act(
    address: str,
    name: str,
    arguments: dict[str, Any],
    token_file: Path | None,
    timeout_s: float = TIMEOUT_S,
) -> tuple[int, dict[str, Any]]:
    """Have a service do something: ``POST /admin/<name>``.

    Args:
        address: ``unix:/path``, a path, or ``http://host:port``.
        name: The action.
        arguments: Its arguments.
        token_file: Holds the token that it wants, or None.
        timeout_s: Longest wait for each step, in seconds.

    Returns:
        200 and its answer where it holds everywhere, 202 where a worker or a store is behind.

    Raises:
        AdminFailed: It cannot be asked, or did not do it.
    """
    status, octets = _exchange(address, "POST", name, json.dumps(arguments), token_file, timeout_s)
    if status in (200, 202):
        return status, _members(address, octets)
    try:
        refusal = _members(address, octets)
    except AdminFailed:
        raise _refused(address, status) from None
    found = refusal.get("detail") or refusal.get("error")
    if status == 404 and found != "not_found":
        raise AdminFailed("admin_failed", address, str(found))
    raise _refused(address, status, found)


def _exchange(
    address: str, method: str, name: str, body: str | None, token_file: Path | None, timeout_s: float
) -> tuple[int, bytes]:
    """Return status and body of one answer; raises AdminFailed."""
    headers = token_headers(address, token_file)
    link = connection(address, timeout_s)
    try:
        link.request(method, f"/admin/{name}", body=body, headers=headers)
        answer = link.getresponse()
        return answer.status, _body(answer, time.monotonic() + timeout_s)
    except TimeoutError:
        raise AdminFailed("admin_timeout", address, f"nothing within {timeout_s:g} s") from None
    except OSError as fault:
        raise AdminFailed("admin_unreachable", address, fault.strerror or type(fault).__name__) from None
    except (http.client.HTTPException, ValueError) as fault:
        raise AdminFailed("admin_malformed", address, type(fault).__name__) from None
    finally:
        link.close()


def _refused(address: str, status: int, why: object = None) -> AdminFailed:
    codes = {401: "admin_unauthorized", 404: "admin_unsupported"}
    found = f"status {status}" if why is None else f"status {status}: {why}"
    return AdminFailed(codes.get(status, "admin_failed"), address, found)


def _members(address: str, octets: bytes) -> dict[str, Any]:
    try:
        members = json.loads(octets)
    except (ValueError, RecursionError):
        members = None
    if not isinstance(members, dict):
        raise AdminFailed("admin_malformed", address, "no JSON object")
    return members


def _body(answer: http.client.HTTPResponse, end_s: float) -> bytes:
    """Return the body of an answer; raises TimeoutError where it comes too slowly."""
    pieces: list[bytes] = []
    size = 0
    while size < ANSWER_MAX_BYTES and (piece := answer.read1(1 << 20)):
        pieces.append(piece)
        size += len(piece)
        if time.monotonic() > end_s:
            raise TimeoutError
    return b"".join(pieces)


def malformed(address: str) -> AdminFailed:
    """Return the failure for an answer whose members are others than expected."""
    return AdminFailed("admin_malformed", address, "other members")

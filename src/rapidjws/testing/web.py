"""A small TLS server for tests that answers as a script says, well or badly, and keeps a request log."""

from __future__ import annotations

import contextlib
import gzip
import socket
import ssl
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from rapidjws._checks import checked

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

REQUEST_MAX_BYTES = 65_536
Certificate = Literal["good", "wrong_host", "expired", "self_signed"]


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """How one answer differs from a good one.

    Args:
        status: The HTTP status.
        headers: Further headers, or others in the place of the good ones.
        body: The body, or None for the good one.
        delay_s: Seconds before the answer.
        silent: Take the request and say nothing.
        drip_s: Seconds between single bytes of the answer.
        cut: Bytes missing at the end of the body, which Content-Length promises.
        chunks: Endless chunks of this many bytes; 0 for none.
        gzip_bomb: A body of this many zero bytes, packed.
        abort: Close without an answer.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    delay_s: float = 0.0
    silent: bool = False
    drip_s: float = 0.0
    cut: int = 0
    chunks: int = 0
    gzip_bomb: int = 0
    abort: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request of the log.

    Attributes:
        at_s: Monotonic seconds.
        line: The request line.
        headers: Names in lower case -> values.
    """

    at_s: float
    line: str = field(repr=False)
    headers: dict[str, str] = field(repr=False)


class TestServer:
    """A server of one document over TLS; needs trustme.

    Args:
        answer: Gives the good body and its headers.
        certificate: Which certificate to show.
        plain: Plain http instead.

    Raises:
        ImportError: trustme is not installed.
    """

    __test__ = False  # no test class of pytest

    @checked
    def __init__(
        self,
        answer: Callable[[], tuple[bytes, dict[str, str]]],
        *,
        certificate: Certificate = "good",
        plain: bool = False,
    ) -> None:
        self._answer = answer
        self.requests: list[Request] = []
        self._script: deque[Fault | None] = deque()
        self._standing: Fault | None = None
        self._context: ssl.SSLContext | None = None
        self.ca_pem = ""
        if not plain:
            self._context, self.ca_pem = _certificates(certificate)
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._socket.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._up = True
        self._accept()

    @property
    def url(self) -> str:
        """Return the document's URL."""
        return f"{'http' if self._context is None else 'https'}://localhost:{self.port}/jwks.json"

    @checked
    def script(self, *faults: Fault | None) -> None:
        """Answer the next requests so, one each; None is a good answer."""
        self._script.extend(faults)

    @checked
    def always(self, fault: Fault | None) -> None:
        """Answer every request so that the script does not cover; None is a good answer."""
        self._standing = fault

    def down(self) -> None:
        """Refuse connections, and cut those that are open, until ``up``."""
        self._up = False
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._drop()

    def up(self) -> None:
        """Listen again, on the same port."""
        self._socket = socket.create_server(("127.0.0.1", self.port), backlog=256)
        self._up = True
        self._accept()

    def close(self) -> None:
        """Stop."""
        if self._up:
            self.down()

    def _drop(self) -> None:
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _accept(self) -> None:
        threading.Thread(target=self._serve, args=(self._socket,), name="test-server", daemon=True).start()

    def _serve(self, listening: socket.socket) -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        try:
            if self._context is not None:
                connection.settimeout(10)
                connection = self._context.wrap_socket(connection, server_side=True)
            self._open.add(connection)
            self._reply(connection)
        except (OSError, ValueError):
            return
        finally:
            self._open.discard(connection)
            connection.close()

    def _reply(self, connection: socket.socket) -> None:
        octets = b""
        while b"\r\n\r\n" not in octets and len(octets) < REQUEST_MAX_BYTES:
            piece = connection.recv(4096)
            if not piece:
                return
            octets += piece
        line, *rest = octets.split(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (row.partition(":") for row in rest)}
        self.requests.append(Request(at_s=time.monotonic(), line=line, headers=headers))
        fault = (self._script.popleft() if self._script else self._standing) or Fault()
        connection.settimeout(None)
        if fault.abort:
            return
        if fault.silent:
            connection.recv(1)
            return
        time.sleep(fault.delay_s)
        self._send(connection, fault, headers)

    def _send(self, connection: socket.socket, fault: Fault, request_headers: dict[str, str]) -> None:
        body, headers = self._answer()
        status = fault.status
        plain = fault.body is None and not (fault.cut or fault.gzip_bomb or fault.chunks)
        if status == 200 and plain and request_headers.get("if-none-match") == headers.get("ETag", ""):
            status, body = 304, b""
        body = body if fault.body is None else fault.body
        if fault.gzip_bomb:
            body, headers["Content-Encoding"] = gzip.compress(bytes(fault.gzip_bomb)), "gzip"
        headers.update({"Content-Length": str(len(body)), **fault.headers})
        if fault.chunks:
            body = b""
            del headers["Content-Length"]
            headers["Transfer-Encoding"] = "chunked"
        rows = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        octets = f"HTTP/1.1 {status} Answer\r\n{rows}\r\n".encode("latin-1") + body[: len(body) - fault.cut]
        if fault.drip_s:
            for at in range(len(octets)):
                connection.sendall(octets[at : at + 1])
                time.sleep(fault.drip_s)
        else:
            connection.sendall(octets)
        chunk = f"{fault.chunks:x}\r\n".encode() + b" " * fault.chunks + b"\r\n"
        while fault.chunks:
            connection.sendall(chunk)


def _certificates(kind: Certificate) -> tuple[ssl.SSLContext, str]:
    """Return a server's context, and the PEM of the authority that clients are to trust."""
    try:
        import trustme
    except ImportError as missing:
        raise ImportError("the test server needs trustme: pip install trustme") from missing
    from datetime import datetime, timedelta, timezone

    authority: Any = trustme.CA()
    signer = trustme.CA() if kind == "self_signed" else authority
    host = "elsewhere.example" if kind == "wrong_host" else "localhost"
    yesterday = datetime.now(timezone.utc) - timedelta(days=1)
    leaf = signer.issue_cert(host, not_after=yesterday if kind == "expired" else None)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(context)
    return context, authority.cert_pem.bytes().decode()

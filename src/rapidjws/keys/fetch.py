"""One fetch over HTTPS: no redirect, no proxy from the environment, no decompression, one deadline for all.

The name is resolved once, its addresses are checked, and the connection goes to the address that was checked.
What it never does: keep a connection, or read past the limit. Source: RFC 9110, RFC 9111.
"""

from __future__ import annotations

import encodings.idna  # noqa: F401 - getaddrinfo's: a fork while a thread loads it would hang the child's
import os
import re
import socket
import ssl
import threading
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlsplit

from rapidjws import _files
from rapidjws._checks import checked
from rapidjws.errors import ConfigurationError, error_for
from rapidjws.keys.credentials import check_files, proxy_headers, request_headers
from rapidjws.keys.fetch_failed import FetchFailed

if TYPE_CHECKING:
    import httpcore2

    from rapidjws.keys.settings import Transport


JWKS_ACCEPTED: Final = "application/jwk-set+json, application/json, */*;q=0.1"
CERTIFICATE_MAX_BYTES: Final = 256 * 1024
AUTHORITIES_MAX_BYTES: Final = 4 * 1024 * 1024
HOST_MAX_CHARS: Final = 253  # RFC 1035 s.2.3.4, in text
HOST: Final = re.compile(r"[a-z0-9._:-]+")  # a stranger's words: nothing else is shown of them


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a server answered.

    Attributes:
        status: 200, or 304 to our ETag.
        headers: Names in lower case -> values.
        body: The octets; empty for 304.
    """

    status: int
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class Fetch(Protocol):
    """A fetch of a document; tests and other transports give their own."""

    def __call__(self, url: str, etag: str | None) -> Answer:
        """Return a 200 or a 304.

        Raises:
            FetchFailed: In every other case.
        """


def resolve(host: str, port: int, deadline: float) -> list[str]:
    """Return a name's addresses, in the resolver's order, within the deadline.

    Raises:
        FetchFailed: ``dns``, ``timeout``; ``internal``: no thread can be had.
    """
    found: list[str] = []

    def look_up() -> None:
        try:
            rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return
        found.extend(dict.fromkeys(str(row[4][0]) for row in rows))

    thread = threading.Thread(target=look_up, name="rapidjws-dns", daemon=True)
    try:
        thread.start()  # getaddrinfo knows no time limit: it is left behind where it takes too long
    except Exception:  # RuntimeError: no more threads; MemoryError
        raise FetchFailed("internal") from None
    thread.join(max(0.0, deadline - monotonic()))
    if thread.is_alive():
        raise FetchFailed("timeout")
    if not found:
        raise FetchFailed("dns")
    return list(found)


class HttpsFetch:
    """A fetch by httpcore2.

    Args:
        transport: Limits and trust.

    Raises:
        ConfigurationError: ``configuration_invalid``: the authorities cannot be read.
    """

    __slots__ = ("_accept", "_context", "_shown", "_transport")

    def __init__(self, transport: Transport, *, accept: str = JWKS_ACCEPTED) -> None:
        import rapidjws.keys.https_network  # noqa: F401 - not where no key set is fetched, and never on a thread

        self._transport, self._accept = transport, accept
        self._context = _tls_context(transport.ca)
        self._shown: _files.Signature | None = None
        if transport.client_certificate is not None:
            try:
                self._show_certificate(transport.client_certificate)
            except FetchFailed:
                expected = "a PEM file of a certificate and its key"
                raise error_for("configuration_invalid", "client_certificate", expected) from None
        check_files(transport)

    def __call__(self, url: str, etag: str | None) -> Answer:
        """Return a 200 or a 304 to our ETag.

        Raises:
            FetchFailed: In every other case.
        """
        import httpcore2

        try:
            with (
                self.opened(monotonic() + self._transport.timeout_s) as pool,
                pool.stream("GET", url, headers=self._request_headers(url, etag)) as response,
            ):
                return self._read(response, etag)
        except FetchFailed:
            raise
        except httpcore2.TimeoutException:
            raise FetchFailed("timeout") from None
        except httpcore2.ProxyError:  # it refused to connect
            raise FetchFailed("proxy") from None
        except httpcore2.ConnectError as fault:
            raise FetchFailed("tls" if is_tls(fault) else "connect") from None
        except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.UnsupportedProtocol) as fault:
            raise FetchFailed("tls" if is_tls(fault) else "protocol") from None
        except (OSError, ValueError) as fault:
            raise FetchFailed("tls" if isinstance(fault, ssl.SSLError) else "connect") from None

    def opened(self, deadline: float) -> httpcore2.ConnectionPool:
        """Return a pool for one request: it resolves once, checks each address, and keeps the deadline.

        Args:
            deadline: Monotonic seconds.
        """
        import httpcore2

        from rapidjws.keys.https_network import CheckedBackend

        if self._transport.client_certificate is not None:
            self._show_certificate(self._transport.client_certificate)
        backend = CheckedBackend(deadline, resolve, refuse_private=self._transport.refuse_private_addresses)
        return httpcore2.ConnectionPool(
            ssl_context=self._context,
            max_connections=1,
            retries=0,
            network_backend=backend,
            proxy=_proxy(self._transport),
        )

    def _show_certificate(self, path: str) -> None:
        """Show the client certificate that is in a file now; a context in use is not changed.

        Raises:
            FetchFailed: ``credential``: it cannot be read, or is none.
        """
        seen = _files.signature(Path(path))
        if seen is not None and seen == self._shown:
            return
        try:
            _files.read_trusted(Path(path), CERTIFICATE_MAX_BYTES)
            context = _tls_context(self._transport.ca)
            context.load_cert_chain(path, password="")  # a key that needs one would ask at the terminal
        except (OSError, ValueError, ConfigurationError):  # ssl.SSLError is an OSError
            raise FetchFailed("credential") from None
        self._context, self._shown = context, seen

    def _request_headers(self, url: str, etag: str | None) -> list[tuple[str, str]]:
        headers = [
            *request_headers(self._transport),
            ("Host", urlsplit(url).netloc),
            ("Accept", self._accept),
            ("Accept-Encoding", "identity"),
            ("User-Agent", "rapidjws"),
            ("Connection", "close"),
        ]
        return headers if etag is None else [*headers, ("If-None-Match", etag)]

    def _read(self, response: httpcore2.Response, etag: str | None) -> Answer:
        """Read status, headers and a bounded body."""
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers
        }
        if response.status == 304 and etag is not None:
            return Answer(status=304, headers=headers, body=b"")
        if response.status != 200:  # a redirect is one of these: never followed
            host = location_host(headers.get("location"))
            raise FetchFailed("status", response.status, headers.get("retry-after"), host)
        if headers.get("content-encoding", "identity").strip().lower() not in ("identity", ""):
            raise FetchFailed("encoding")  # we asked for none, and a bomb is small only while it is packed
        body = bytearray()
        for chunk in response.iter_stream():
            body += chunk
            if len(body) > self._transport.max_bytes:
                raise FetchFailed("too_large")
        return Answer(status=200, headers=headers, body=bytes(body))


def location_host(location: str | None) -> str | None:
    """Return the host that a Location header names, or None where it names none that can be shown."""
    try:
        host = urlsplit(location or "").hostname
    except ValueError:
        return None
    shown = host is not None and len(host) <= HOST_MAX_CHARS and HOST.fullmatch(host) is not None
    return host if shown else None


def _proxy(transport: Transport) -> httpcore2.Proxy | None:
    import httpcore2

    if transport.proxy is None:
        return None
    return httpcore2.Proxy(transport.proxy, headers=proxy_headers(transport))


def is_tls(fault: BaseException) -> bool:
    """Return whether an error is TLS's, or has one among its causes."""
    seen: BaseException | None = fault
    while seen is not None:
        if isinstance(seen, ssl.SSLError):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def _tls_context(ca: str | None) -> ssl.SSLContext:
    if ca is None:
        return ssl.create_default_context()
    try:
        if "-----BEGIN" in ca:
            context = ssl.create_default_context(cadata=ca)
        else:
            _files.read_trusted(Path(ca), AUTHORITIES_MAX_BYTES)  # OpenSSL waits for a FIFO's writer
            context = ssl.create_default_context(cafile=os.fspath(ca))
    except (OSError, ValueError) as fault:  # of an SSLError the words are OpenSSL's
        found = "none" if isinstance(fault, (ssl.SSLError, ValueError)) else fault.strerror
        raise error_for("configuration_invalid", "ca", "PEM certificates", found) from None
    check_authorities(context)
    return context


def check_authorities(context: ssl.SSLContext) -> None:
    """Refuse trust in a certificate that may not certify others (RFC 5280 s.4.2.1.9).

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """
    found = context.cert_store_stats()
    if found["x509_ca"] != found["x509"]:
        expected = "certificates of authorities (CA true) in PEM"
        raise error_for("configuration_invalid", "ca", expected, "a certificate that is no authority")

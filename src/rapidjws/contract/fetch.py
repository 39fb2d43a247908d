"""One document over HTTP with what a lint needs: status, headers, TLS, time. Redirects are not followed."""

from __future__ import annotations

import http.client
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from rapidjws.jose.limits import JWKS_MAX_BYTES

TIMEOUT_S: Final = 10.0
_DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What an address answered.

    Attributes:
        url: The address.
        status: The HTTP status, or 0 where there was no answer.
        headers: The response's headers, names in lower case.
        body: At most one byte more than the JWK Set limit.
        tls: The TLS version, or None for plain http.
        certificate_days: Days until the certificate ends, or None.
        seconds: From the first byte sent to the last one read.
        fault: Why there is no good answer, or None.
    """

    url: str
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    tls: str | None = None
    certificate_days: float | None = None
    seconds: float = 0.0
    fault: str | None = None


Fetch = Callable[[str], Fetched]


def fetch(url: str, *, ca_file: str | None = None, timeout_s: float = TIMEOUT_S) -> Fetched:
    """Fetch an address once; no redirect is followed.

    Args:
        url: http or https.
        ca_file: Certificates to trust beside the system's, PEM: a file, or the text itself.
        timeout_s: Longest wait for each step, seconds.

    Returns:
        The answer, or its absence with a fault; never raises for a bad address.
    """
    start = time.monotonic()
    try:
        parts = urlsplit(url)
        port = parts.port
        if parts.scheme not in ("http", "https") or not parts.hostname:
            return Fetched(url=url, fault="not an http or https address")
        if parts.scheme == "https":
            context = ssl.create_default_context()
            if ca_file is not None and "-----BEGIN" in ca_file:
                context.load_verify_locations(cadata=ca_file)
            elif ca_file is not None:
                context.load_verify_locations(ca_file)
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                parts.hostname, port, timeout=timeout_s, context=context
            )
        else:
            connection = http.client.HTTPConnection(parts.hostname, port, timeout=timeout_s)
        try:
            return _exchange(connection, url, parts.path or "/", parts.query, start)
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, ValueError) as fault:
        text = f"{type(fault).__name__}: {fault}"[:160]
        return Fetched(url=url, seconds=time.monotonic() - start, fault=text)


def _exchange(
    connection: http.client.HTTPConnection, url: str, path: str, query: str, start: float
) -> Fetched:
    """Ask and read one answer."""
    target = f"{path}?{query}" if query else path
    connection.request("GET", target, headers={"Accept": "application/jwk-set+json, application/json"})
    tls, days = None, None
    if isinstance(connection.sock, ssl.SSLSocket):
        tls = connection.sock.version()
        ends = (connection.sock.getpeercert() or {}).get("notAfter")
        if isinstance(ends, str):
            days = (ssl.cert_time_to_seconds(ends) - time.time()) / _DAY_S
    answer = connection.getresponse()
    body = answer.read(JWKS_MAX_BYTES + 1)
    status = answer.status
    return Fetched(
        url=url,
        status=status,
        headers={name.lower(): value for name, value in answer.getheaders()},
        body=body,
        tls=tls,
        certificate_days=days,
        seconds=time.monotonic() - start,
        fault=None if status == 200 else f"status {status}",
    )

"""Policies of an Open Policy Agent server, asked over HTTP or a Unix socket.

Security: only ``true`` permits. No answer in time, another status, nonsense and a full waiting line are
``policy_unavailable``. Source: OPA's REST API, ``POST /v1/data``.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import ssl
from ipaddress import ip_address
from time import monotonic
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import httpcore2
import orjson

from rapidjws import _files
from rapidjws._checks import checked
from rapidjws.authz.facts import Unmet
from rapidjws.authz.opa_batches import ALONE, LATE, OPABatches
from rapidjws.authz.opa_connection import Backend, Deadline
from rapidjws.authz.policy_input import PARTS_DEFAULT, PATH, PolicyInput
from rapidjws.errors import error_for

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from rapidjws.authz.facts import Check, Facts

ANSWER_MAX_BYTES: Final = 64 * 1024
TIMEOUT_MAX_S: Final = 30.0
CACHE_MAX_S: Final = 300.0
FAILURES_MAX: Final = 5
"""Failures in a row after which the server is left alone."""
PAUSE_S: Final = 1.0
"""For how long; then one request tries it again."""
SECRET_MAX_BYTES: Final = 8192

_BEARER: Final = re.compile(rb"[\x21-\x7e]+\Z")
_REFUSED: Final = Unmet("policy_refused", "opa")
_UNAVAILABLE: Final = Unmet("policy_unavailable", "opa")


@checked(under="opa")
class OPAPolicy:
    """A condition as a rule of an OPA server, which must be true; false, or no value, refuses.

    Args:
        url: ``"http://127.0.0.1:8181"``, ``"https://opa.internal"`` or ``"unix:/run/opa.sock"``. Plain http
            to other machines only with ``insecure_allow_http``.
        path: The rule: ``"rapidjws/allow"`` for ``allow`` of ``package rapidjws``. It is given
            ``input.claims``, ``input.header``, ``input.request``, ``input.partner``, ``input.issuer``.
        batch_path: A rule that takes a list of such inputs and gives an object from each one's number to what
            ``path`` is for it. Questions that find every connection busy go to it together; without it each
            waits for a connection of its own.
        timeout_s: Longest wait for an answer, connecting and looking up the name included; above 0 to 30.
        cache_s: For how long the same input gets the same answer without another question, 0 to 300.
        cache_entries: Most inputs that are remembered, by digest.
        connections: Most connections; a question that finds none waits within the time-out.
        claims: Names of the claims it is given; empty for all.
        headers: Names of the headers it is given.
        parts: What it is given of the request: ``"method"``, ``"host"``, ``"path"``.
        authorization_file: A file with a bearer token for the server, which nobody else may read.
        ca: PEM file of the only authorities that are trusted.
        insecure_allow_http: Whether plain http to other machines is allowed.

    Raises:
        ConfigurationError: ``configuration_invalid``. The server is not asked at the start.
    """

    __slots__ = ("_address", "_batch_url", "_batches", "_cache", "_cache_s", "_connections", "_context",
                 "_deadline", "_entries", "_failures", "_headers", "_input", "_open_until", "_pool",
                 "_timeout_s", "_url", "blocking", "header_fields", "reads_host", "reads_method")  # fmt: skip

    def __init__(
        self,
        url: str,
        *,
        path: str,
        batch_path: str | None = None,
        timeout_s: float = 0.5,
        cache_s: float = 0.0,
        cache_entries: int = 4096,
        connections: int = 16,
        claims: Collection[str] = (),
        headers: Collection[str] = (),
        parts: Collection[str] = PARTS_DEFAULT,
        authorization_file: str | None = None,
        ca: str | None = None,
        insecure_allow_http: bool = False,
    ) -> None:
        if not PATH.match(path):
            raise error_for("configuration_invalid", "opa.path", "package/rule", path)
        if batch_path is not None and (not PATH.match(batch_path) or batch_path == path):
            expected = "package/rule, another than path"
            raise error_for("configuration_invalid", "opa.batch_path", expected, batch_path)
        for name, value, top in (("timeout_s", timeout_s, TIMEOUT_MAX_S), ("cache_s", cache_s, CACHE_MAX_S)):
            if not 0 <= value <= top or (name == "timeout_s" and not value):
                raise error_for("configuration_invalid", f"opa.{name}", f"up to {top:g} seconds", value)
        if not 1 <= cache_entries <= 1_000_000 or not 1 <= connections <= 1024:
            raise error_for("configuration_invalid", "opa", "cache_entries and connections from 1 on")
        self._address, base = _address(url, insecure_allow_http=insecure_allow_http)
        self._url = f"{base}/v1/data/{path}"
        self._batch_url = f"{base}/v1/data/{batch_path}"
        self._batches = None if batch_path is None else OPABatches(self._asked_together, connections)
        self._timeout_s, self._cache_s, self._entries = float(timeout_s), float(cache_s), cache_entries
        self._connections = connections
        self._input = PolicyInput("opa", claims, headers, parts)
        self.blocking = True
        self.header_fields = self._input.header_fields
        self.reads_method, self.reads_host = "method" in self._input.parts, "host" in self._input.parts
        self._context = _tls(ca)
        self._headers = {"content-type": "application/json", "accept": "application/json"}
        if authorization_file is not None:
            self._headers["authorization"] = f"Bearer {_secret(authorization_file)}"
        self._cache: dict[bytes, tuple[float, Unmet | None]] = {}
        self._pool: tuple[int, httpcore2.ConnectionPool] | None = None
        self._deadline = Deadline()
        self._failures, self._open_until = 0, 0.0

    def check(self) -> Check:
        """Return the check of a request: false or nothing refuses, and no answer is undecided."""
        given, answer = self._input, self._answer

        def check(facts: Facts) -> Unmet | None:
            found = given.of(facts)
            if isinstance(found, Unmet):
                return found
            try:
                octets = orjson.dumps(found, option=orjson.OPT_SORT_KEYS)
            except (TypeError, ValueError):  # a claim that JSON has no form of for it: an integer of 65 bits
                return _UNAVAILABLE
            return answer(octets)

        return check

    def _answer(self, octets: bytes) -> Unmet | None:
        """Return what the server answers, or answered a moment ago."""
        if not self._cache_s:
            return self._ask(octets)
        digest, now = hashlib.sha256(octets).digest(), monotonic()
        known = self._cache.get(digest)
        if known is not None and now < known[0]:
            return known[1]
        found = self._ask(octets)
        if found is not _UNAVAILABLE:
            if len(self._cache) >= self._entries:
                self._cache.clear()
            self._cache[digest] = (now + self._cache_s, found)
        return found

    def _ask(self, octets: bytes) -> Unmet | None:
        """Return what the server answers within the time-out; not at all while it is left alone."""
        now = monotonic()
        if self._failures >= FAILURES_MAX:
            if now < self._open_until:
                return _UNAVAILABLE
            self._open_until = now + PAUSE_S  # this one tries it, the others go on without
        deadline = now + self._timeout_s
        if self._batches is None:
            return self._asked_alone(octets, deadline)
        found = self._batches.ask(octets, deadline)
        if found is ALONE:  # within what is left of its time
            return self._asked_alone(octets, deadline)
        return _UNAVAILABLE if found is LATE else found

    def _asked_alone(self, octets: bytes, deadline: float) -> Unmet | None:
        """Return what the server answers to one question."""
        try:
            status, value = self._posted(self._url, octets, deadline)
        except Exception:  # no answer, in whatever way
            status, value = 0, None
        if status != 200 or type(value) is not dict or type(value.get("result", False)) is not bool:
            return self._failed()
        self._failures = 0
        return None if value.get("result") is True else _REFUSED

    def _asked_together(self, inputs: Sequence[bytes], deadline: float) -> list[Any]:
        """Return what the server answers to each of several questions; ``ALONE`` where it answers nothing."""
        if len(inputs) == 1:
            return [self._asked_alone(inputs[0], deadline)]
        try:
            status, value = self._posted(self._batch_url, b"[" + b",".join(inputs) + b"]", deadline)
        except Exception:  # no answer, in whatever way
            self._failed()
            return [_UNAVAILABLE] * len(inputs)
        found = value.get("result") if status == 200 and type(value) is dict else None
        if type(found) is not dict:  # one input makes its evaluation fail, or there is no such rule
            return [ALONE] * len(inputs)
        self._failures = 0
        return [self._one_of(found, str(number)) for number in range(len(inputs))]

    @staticmethod
    def _one_of(found: dict[str, Any], number: str) -> Any:
        value = found.get(number)
        if value is True:
            return None
        return _REFUSED if value is False else ALONE

    def _failed(self) -> Unmet:
        self._failures += 1
        self._open_until = monotonic() + PAUSE_S
        return _UNAVAILABLE

    def _posted(self, url: str, given: bytes, deadline: float) -> tuple[int, Any]:
        """Return status and value of an answer to an input; a value of a good status alone."""
        self._deadline.at = deadline
        with self._opened().stream(
            "POST",
            url,
            headers=list(self._headers.items()),
            content=b'{"input":' + given + b"}",
            extensions={"timeout": dict.fromkeys(("connect", "read", "write", "pool"), self._timeout_s)},
        ) as response:
            if response.status != 200:
                return response.status, None
            body = bytearray()
            for part in response.iter_stream():
                body += part
                if len(body) > ANSWER_MAX_BYTES:
                    return response.status, None
        return 200, orjson.loads(body)

    def _opened(self) -> httpcore2.ConnectionPool:
        """Return the connections of this process: those of its parent are not used after a fork."""
        found = self._pool
        if found is None or found[0] != os.getpid():
            pool = httpcore2.ConnectionPool(
                ssl_context=self._context,
                max_connections=self._connections,
                max_keepalive_connections=self._connections,
                keepalive_expiry=30.0,
                network_backend=Backend(self._deadline),
                uds=self._address,
            )
            found = self._pool = (os.getpid(), pool)
        return found[1]

    def close(self) -> None:
        """Close the connections of this process; the next question opens others."""
        found, self._pool = self._pool, None
        if found is not None and found[0] == os.getpid():
            found[1].close()

    def __del__(self) -> None:
        with contextlib.suppress(Exception):  # half made, or the interpreter ends
            self.close()

    def __repr__(self) -> str:
        return f"OPAPolicy({self._url!r})"


def _address(url: str, *, insecure_allow_http: bool) -> tuple[str | None, str]:
    """Return the path of a Unix socket, or None, and the address before the path."""
    expected = "https://host, http://127.0.0.1:8181 or unix:/path"
    if url.startswith("unix:"):
        path = url.removeprefix("unix:")
        if not path.startswith("/") or "\0" in path or len(path) > 100:
            raise error_for("configuration_invalid", "opa.url", expected, url)
        return path, "http://localhost"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if (
        not host or parts.scheme not in ("http", "https") or parts.path not in ("", "/") or parts.query
        or parts.fragment or "@" in parts.netloc or not url.isascii() or not url.isprintable() or port == 0
    ):  # fmt: skip
        raise error_for("configuration_invalid", "opa.url", expected)
    if parts.scheme == "http" and not _is_loopback(host) and not insecure_allow_http:
        raise error_for("configuration_invalid", "opa.url", "https, or insecure_allow_http", parts.scheme)
    return None, url.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _tls(ca: str | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca)
    except (OSError, ValueError):
        raise error_for("configuration_invalid", "opa.ca", "a PEM file of certificates", ca) from None
    found = context.cert_store_stats()
    if found["x509_ca"] != found["x509"]:
        raise error_for("configuration_invalid", "opa.ca", "authorities (CA true) in PEM", ca)
    return context


def _secret(path: str) -> str:
    try:
        octets = _files.read_private(path, SECRET_MAX_BYTES).strip()
    except (OSError, ValueError) as fault:
        actual = getattr(fault, "strerror", None) or type(fault).__name__
        raise error_for("configuration_invalid", "opa.authorization_file", "a private file", actual) from None
    if not _BEARER.match(octets):
        raise error_for("configuration_invalid", "opa.authorization_file", "a token in one word")
    return octets.decode("ascii")

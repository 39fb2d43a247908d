"""The network below one fetch: names resolved once, addresses checked, each step within the deadline.

Loaded where a key set is fetched, and not before: it takes longer than all of a start by files.
"""

from __future__ import annotations

import ssl
from time import monotonic
from typing import TYPE_CHECKING, Any

import httpcore2
from httpcore2 import NetworkBackend, NetworkStream

from rapidjws.keys.addresses import is_public
from rapidjws.keys.fetch_failed import FetchFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class DeadlineStream(NetworkStream):
    """A connection whose reads and writes keep to what is left of the deadline."""

    def __init__(self, inner: NetworkStream, deadline: float) -> None:
        self._inner = inner
        self._deadline = deadline

    def _left_s(self) -> float:
        left_s = self._deadline - monotonic()
        if left_s <= 0:
            raise httpcore2.ReadTimeout("deadline")
        return left_s

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return what came within the deadline."""
        return self._inner.read(max_bytes, self._left_s())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send octets within the deadline."""
        self._inner.write(buffer, self._left_s())

    def close(self) -> None:
        """Close the connection."""
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> NetworkStream:
        """Begin TLS within the deadline."""
        inner = self._inner.start_tls(ssl_context, server_hostname, self._left_s())
        return DeadlineStream(inner, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        """Return what is known of the connection."""
        return self._inner.get_extra_info(info)


class CheckedBackend(NetworkBackend):
    """Resolve once within the deadline, check each address, connect to one that was checked."""

    def __init__(
        self, deadline: float, resolve: Callable[[str, int, float], list[str]], *, refuse_private: bool
    ) -> None:
        self._deadline = deadline
        self._resolve = resolve
        self._refuse_private = refuse_private
        self._inner = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> NetworkStream:
        """Connect to the first address that answers."""
        addresses = self._resolve(host, port, self._deadline)
        if self._refuse_private and not all(map(is_public, addresses)):
            raise FetchFailed("private_address")  # one private address among public ones is DNS rebinding
        fault: Exception = FetchFailed("dns")
        for address in addresses:
            left_s = self._deadline - monotonic()
            if left_s <= 0:
                raise httpcore2.ConnectTimeout("deadline")
            try:
                return DeadlineStream(self._inner.connect_tcp(address, port, left_s), self._deadline)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as failed:
                fault = failed
        raise fault

"""Connections that keep to one deadline a request, look-up of the name and slow answers included."""

from __future__ import annotations

import threading
from ipaddress import ip_address
from time import monotonic
from typing import TYPE_CHECKING, Any

import httpcore2
from httpcore2 import NetworkBackend, NetworkStream

from rapidjws.keys.fetch import resolve

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable


class Deadline(threading.local):
    """The deadline of the request that this thread makes.

    Attributes:
        at: On the monotonic clock, in seconds.
    """

    at = 0.0

    def left_s(self) -> float:
        """Return what is left; raises ReadTimeout where nothing is."""
        left_s = self.at - monotonic()
        if left_s <= 0:
            raise httpcore2.ReadTimeout("deadline")
        return left_s


class _Stream(NetworkStream):
    """A connection whose reads and writes keep to the deadline of the thread that waits."""

    def __init__(self, inner: NetworkStream, deadline: Deadline) -> None:
        self._inner, self._deadline = inner, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._deadline.left_s())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._deadline.left_s())

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> NetworkStream:
        inner = self._inner.start_tls(ssl_context, server_hostname, self._deadline.left_s())
        return _Stream(inner, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class Backend(NetworkBackend):
    """What connects within the deadline of the thread that asks.

    Args:
        deadline: Of each thread.
    """

    def __init__(self, deadline: Deadline) -> None:
        self._deadline, self._inner = deadline, httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> NetworkStream:
        """Return a connection to the first address that takes one."""
        fault: Exception = httpcore2.ConnectError("no address")
        for address in _addresses(host, port, self._deadline.at):
            try:
                inner = self._inner.connect_tcp(address, port, self._deadline.left_s())
                return _Stream(inner, self._deadline)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as failed:
                fault = failed
        raise fault

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> NetworkStream:
        """Return a connection to a Unix socket."""
        inner = self._inner.connect_unix_socket(path, self._deadline.left_s())
        return _Stream(inner, self._deadline)


def _addresses(host: str, port: int, deadline: float) -> list[str]:
    try:
        return [str(ip_address(host.strip("[]")))]
    except ValueError:
        return resolve(host, port, deadline)

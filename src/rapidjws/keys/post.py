"""One POST with a deadline, to an address that the configuration names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import monotonic
from typing import TYPE_CHECKING, Final

from rapidjws.keys.fetch import HttpsFetch, is_tls
from rapidjws.keys.fetch_failed import FetchFailed
from rapidjws.keys.settings import Transport

if TYPE_CHECKING:
    import httpcore2

Post = Callable[[str, Mapping[str, str], bytes], tuple[int, bytes]]
"""A function that posts headers and a body to a URL, and returns status and body or raises FetchFailed."""

ANSWER_MAX_BYTES: Final = 4096


class HttpsPost:
    """A POST by httpcore2: no redirects, no proxies, resolved once, one deadline for all of it.

    Args:
        transport: Limits and trust.
        max_answer_bytes: How much of an answer's body is returned.

    Raises:
        ConfigurationError: ``configuration_invalid``: the authorities cannot be read.
    """

    __slots__ = ("_fetch", "_max_answer_bytes", "_transport")

    def __init__(self, transport: Transport, *, max_answer_bytes: int = ANSWER_MAX_BYTES) -> None:
        self._max_answer_bytes = max_answer_bytes
        self._transport = transport
        self._fetch = HttpsFetch(transport)

    def __call__(self, url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        """Return the status and the first bytes of the answer's body.

        Raises:
            FetchFailed: No answer.
        """
        if not url.startswith("https://") and not self._transport.insecure_allow_http:
            raise FetchFailed("protocol")
        import httpcore2

        try:
            with (
                self._fetch.opened(monotonic() + self._transport.timeout_s) as pool,
                pool.stream("POST", url, headers=dict(headers), content=body) as answer,
            ):
                return answer.status, self._first_bytes(answer)
        except FetchFailed:
            raise
        except httpcore2.TimeoutException:
            raise FetchFailed("timeout") from None
        except (
            httpcore2.NetworkError,
            httpcore2.ProtocolError,
            httpcore2.UnsupportedProtocol,
            OSError,
            ValueError,
        ) as fault:
            raise FetchFailed("tls" if is_tls(fault) else "connect") from None

    def _first_bytes(self, answer: httpcore2.Response) -> bytes:
        """Return the first bytes of a body, and read no more of it."""
        found = bytearray()
        for chunk in answer.iter_stream():
            found += chunk
            if len(found) >= self._max_answer_bytes:
                break
        return bytes(found[: self._max_answer_bytes])

"""What the binding of a token is compared with: facts about one request."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


class SenderRequest(NamedTuple):
    """Facts about a request, none of them trusted yet.

    Attributes:
        token: The token as it came; its digest is ``ath``.
        is_dpop: Whether it came under the scheme ``DPoP``.
        proofs: Each value of the header ``DPoP``.
        method: The method, as it was sent; "" where nobody knows.
        path: The path as it was sent, without its query; None where there is more than one reading.
        query: The query as it was sent, or None where nobody knows.
        hosts: Each value of ``Host`` (HTTP/2: ``:authority``).
        certificates: Each value of the header in which a gateway hands on the client's certificate.
        peer: The address of whoever sent the request to us, ``"unix"`` for a Unix socket, None for unknown.
    """

    token: bytes
    is_dpop: bool = False
    proofs: Sequence[bytes] = ()
    method: str = ""
    path: str | None = None
    query: bytes | None = None
    hosts: Sequence[bytes] = ()
    certificates: Sequence[bytes] = ()
    peer: str | None = None

    def __repr__(self) -> str:
        """Show method and path; all else may hold a token."""
        return f"SenderRequest(method={self.method!r}, path={self.path!r}, is_dpop={self.is_dpop})"

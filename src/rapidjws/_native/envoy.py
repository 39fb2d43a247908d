"""Envoy's CheckRequest and CheckResponse, octets in and out."""

from __future__ import annotations

from rapidjws._native.core import envoy_denied, envoy_permit, envoy_request

TYPE_CHECKING = False  # `typing` costs more than all that is imported here
if TYPE_CHECKING:
    from collections.abc import Callable

    Pairs = tuple[tuple[str, str], ...]
    CheckParts = tuple[list[tuple[bytes, bytes]], bytes, bytes, bytes, bytes, list[str]]

check_request: Callable[
    [bytes, int, tuple[bytes, ...] | None, tuple[bytes, ...], bool], CheckParts | None
] = envoy_request
"""Read a CheckRequest, see ``rj_check_request_read``; None where it is none.

Takes the octets, where the message begins, the lower-case names of the headers that are wanted or None for
all, folded names of headers that only the sidecar may set beside its own, and whether the body is wanted.
Returns the wanted headers by lower-case name, path, method, host, body, and the lower-case names that only
the sidecar may set.
"""

check_permit: Callable[[bytes, Pairs, tuple[str, ...], Pairs, bytes], bytes] = envoy_permit
"""Write the CheckResponse of a permit.

Takes fields of the OkHttpResponse that are written already, headers for the service, each overwriting, names
of headers that are removed, headers for the client, and fields of the CheckResponse itself that are written.
"""

check_denied: Callable[[int, int, Pairs, bytes], bytes] = envoy_denied
"""Write the CheckResponse of a refusal: its gRPC code, its HTTP status, headers and body."""

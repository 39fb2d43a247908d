"""``grpc.health.v1.Health``: whether the sidecar serves, once or whenever that changes.

Source: gRPC health checking protocol, health.proto.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rapidjws._protobuf import spans, unsigned

if TYPE_CHECKING:
    from rapidjws.sidecar.worker_state import WorkerState

CHECK: Final = b"/grpc.health.v1.Health/Check"
WATCH: Final = b"/grpc.health.v1.Health/Watch"

SERVING: Final = 1
NOT_SERVING: Final = 2
SERVICE_UNKNOWN: Final = 3

_SERVICES: Final = (b"", b"envoy.service.auth.v3.Authorization")
"""The server as a whole, and its one service."""


def service_of(octets: bytes, start: int) -> bytes:
    """Return the service that a HealthCheckRequest names.

    Args:
        octets: What ends with the message.
        start: Where it begins.

    Raises:
        ValueError: It is no such message.
    """
    found = [octets[at:end] for number, at, end in spans(octets, start, len(octets)) if number == 1]
    if len(found) > 1:
        raise ValueError("one service expected")
    return found[0] if found else b""


def status_of(service: bytes, state: WorkerState, *, draining: bool) -> int:
    """Return a service's status, as ``/readyz`` has it."""
    if service not in _SERVICES:
        return SERVICE_UNKNOWN
    return SERVING if state.engine.ready and not draining and not state.draining else NOT_SERVING


def response(status: int) -> bytes:
    """Return a HealthCheckResponse."""
    return unsigned(1, status)

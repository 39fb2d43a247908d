"""The details of a gRPC status: ``google.rpc.Status`` with ErrorInfo and RetryInfo, as protocol buffers.

Three small messages, written by hand, so that no generated code has to be installed for them.
"""

from __future__ import annotations

from typing import Final

from rapidjws._protobuf import field, number_field

DOMAIN: Final = "rapidjws"
_TYPE: Final = "type.googleapis.com/google.rpc."


def status_details(status: int, message: str, *, reason: str, retry_s: int | None) -> bytes:
    """Return the value of ``grpc-status-details-bin``.

    Args:
        status: The gRPC status.
        message: Its words.
        reason: The stable code, for ErrorInfo.
        retry_s: When to try again, in whole seconds, for RetryInfo; None for not.
    """
    packed = number_field(1, status) + field(2, message)
    packed += _any("ErrorInfo", field(1, reason) + field(2, DOMAIN))
    if retry_s is not None:
        packed += _any("RetryInfo", field(1, number_field(1, retry_s)))  # a Duration in it
    return packed


def _any(name: str, message: bytes) -> bytes:
    """Return a field ``details`` with a message of a type."""
    return field(3, field(1, _TYPE + name) + field(2, message))

"""The details of a gRPC status: ``google.rpc.Status`` with ErrorInfo and RetryInfo, as protocol buffers.

Three small messages, written by hand, so that no generated code has to be installed for them.
"""

from __future__ import annotations

from typing import Final

DOMAIN: Final = "rapidjws"
_TYPE: Final = "type.googleapis.com/google.rpc."
_VARINT, _BYTES = 0, 2


def status_details(status: int, message: str, *, reason: str, retry_s: int | None) -> bytes:
    """Return the value of ``grpc-status-details-bin``.

    Args:
        status: The gRPC status.
        message: Its words.
        reason: The stable code, for ErrorInfo.
        retry_s: When to try again, in whole seconds, for RetryInfo; None for not.
    """
    packed = _number(1, status) + _text(2, message)
    packed += _any("ErrorInfo", _text(1, reason) + _text(2, DOMAIN))
    if retry_s is not None:
        packed += _any("RetryInfo", _field(1, _number(1, retry_s)))  # a Duration in it
    return packed


def _any(name: str, message: bytes) -> bytes:
    """Return a field ``details`` with a message of a type."""
    return _field(3, _text(1, _TYPE + name) + _field(2, message))


def _text(number: int, text: str) -> bytes:
    return _field(number, text.encode())


def _field(number: int, octets: bytes) -> bytes:
    return bytes([number << 3 | _BYTES]) + _varint(len(octets)) + octets


def _number(number: int, value: int) -> bytes:
    return bytes([number << 3 | _VARINT]) + _varint(value)


def _varint(value: int) -> bytes:
    octets = bytearray()
    while value > 0x7F:
        octets.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*octets, value])

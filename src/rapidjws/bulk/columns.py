"""The columns that a batch comes with: tokens, payloads and times, in the layout that the core reads."""

from __future__ import annotations

from typing import Any, Final

from rapidjws._native import b64url_encode
from rapidjws.bulk.arrow import pa, pc
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jose.numeric_date import moment_ns

_NS_PER: Final = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
_SECOND_NS: Final = 1_000_000_000
NO_MOMENT: Final = -1
"""What stands for a time at which no token can be checked."""


def binary_array(array: Any, place: str) -> Any:
    """Return a column as an array of binary values with offsets; what has that layout is not copied.

    Args:
        array: A pyarrow Array: string or binary, also large, view, fixed-size or dictionary ones; or nulls.
        place: Its name, for the error.

    Raises:
        ConfigurationError: ``configuration_invalid``: a column of another type.
    """
    kind, types = array.type, pa.types
    if isinstance(array, pa.ExtensionArray):
        return binary_array(array.storage, place)
    if types.is_dictionary(kind):
        binary_array(array.dictionary, place)
        return binary_array(array.dictionary_decode(), place)
    if hasattr(types, "is_run_end_encoded") and types.is_run_end_encoded(kind):
        return binary_array(pc.run_end_decode(array), place)
    if (
        types.is_string(kind)
        or types.is_binary(kind)
        or types.is_large_string(kind)
        or types.is_large_binary(kind)
    ):
        return array
    if types.is_string_view(kind):
        return array.cast(pa.large_string())
    if types.is_binary_view(kind):
        return array.cast(pa.large_binary())
    if types.is_fixed_size_binary(kind) or types.is_null(kind):
        return array.cast(pa.binary())
    raise refused_type(place, "a column of strings or binary values", kind)


def refused_type(place: str, expected: str, kind: object) -> Exception:
    """Return the error for a column of another type."""
    return error_for("configuration_invalid", place, expected=expected, actual=str(kind))


def offset_bytes(array: Any) -> int:
    """Return the size of an offset in the layout of :func:`binary_array`'s results."""
    return 8 if pa.types.is_large_string(array.type) or pa.types.is_large_binary(array.type) else 4


def with_payloads(tokens: Any, payloads: Any) -> Any:
    """Return tokens with the payloads that lie beside them put in (RFC 7515 appendix F).

    Where a payload is null the token stays as it is; a token that has a payload of its own and one beside it
    is spoilt, as nobody can tell which was meant.

    Args:
        tokens: Of :func:`binary_array`.
        payloads: The same, of as many.
    """
    whole: list[bytes | None] = []
    for token, payload in zip(tokens, payloads, strict=True):
        octets = octets_of(token)
        if octets is not None and payload.is_valid:
            header, dot, rest = octets.partition(b".")
            own, _, signature = rest.partition(b".")
            encoded = b64url_encode(octets_of(payload) or b"")
            octets = b"" if own or not dot else b".".join((header, encoded, signature))
        whole.append(octets)
    return pa.array(whole, pa.large_binary())


def octets_of(scalar: Any) -> bytes | None:
    """Return the octets of a scalar of binary values, also where they are no UTF-8; None for null."""
    if not scalar.is_valid:
        return None
    octets: bytes = scalar.as_buffer().to_pybytes()
    return octets


def times_ns(array: Any, place: str) -> Any:
    """Return a column of moments as int64, nanoseconds since the epoch; -1 for what is no moment of a check.

    Args:
        array: Timestamps of any unit, or seconds as whole or floating numbers.
        place: Its name, for the error.

    Raises:
        ConfigurationError: ``configuration_invalid``: a column of another type.
    """
    kind, types = array.type, pa.types
    if types.is_null(kind):
        return array.cast(pa.int64())
    if types.is_floating(kind):
        return pa.array([None if one is None else _moment(one) for one in array.to_pylist()], pa.int64())
    if types.is_timestamp(kind):
        numbers, factor = array.cast(pa.int64()), _NS_PER[kind.unit]
    elif types.is_integer(kind):
        numbers, factor = pc.cast(array, pa.int64(), safe=False), _SECOND_NS  # above 2^63: negative
    else:
        raise refused_type(place, "a column of timestamps or of seconds", kind)
    in_range = pc.and_(pc.greater_equal(numbers, 0), pc.less_equal(numbers, (2**63 - 1) // factor))
    return pc.if_else(in_range, pc.multiply(pc.if_else(in_range, numbers, 0), factor), NO_MOMENT)


def _moment(seconds: float) -> int:
    """Return a number of seconds in nanoseconds, as ``Engine.verify`` reads it."""
    try:
        ns = moment_ns(seconds)
    except RapidJWSError:
        return NO_MOMENT
    return ns if 0 <= ns < 2**63 else NO_MOMENT

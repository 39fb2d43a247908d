"""The arguments that every verifier checks alike: algorithms, critical extensions, and limits of size."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rapidjws._checks import is_text
from rapidjws.errors import error_for
from rapidjws.jose import limits
from rapidjws.jose.jwa import ALGORITHM_TABLE
from rapidjws.jose.jws import REGISTERED_NAMES


def checked_algorithms(algorithms: Iterable[str]) -> tuple[str, ...]:
    """Return the caller's algorithms, each once, in the caller's order.

    Raises:
        ConfigurationError: ``configuration_invalid``: none, a string instead of a list, or a name that is not
            in ``ALGORITHMS``.
    """
    if isinstance(algorithms, str):
        raise error_for("configuration_invalid", "algorithms", expected="a list of names", actual="a string")
    names = tuple(dict.fromkeys(names_of(algorithms, "algorithms")))
    if not names:
        raise error_for(
            "configuration_invalid", "algorithms", expected="at least one algorithm", actual="none"
        )
    for index, name in enumerate(names):
        if name not in ALGORITHM_TABLE:
            place = f"algorithms[{index}]"
            raise error_for("configuration_invalid", place, expected=tuple(ALGORITHM_TABLE), actual=str(name))
    return names


def names_of(value: str | Iterable[str], place: str) -> tuple[str, ...]:
    """Return names as a tuple; one string is one name.

    Raises:
        ConfigurationError: ``configuration_invalid``: not text, or an empty name.
    """
    if isinstance(value, (bytes, bytearray, memoryview, Mapping)) or not isinstance(value, Iterable):
        raise error_for("configuration_invalid", place, "a list of names", type(value).__name__)
    names = (value,) if isinstance(value, str) else tuple(value)
    if not all(is_text(name) and name for name in names):
        raise error_for("configuration_invalid", place, expected="non-empty strings")
    return names


def checked_crit(crit: Iterable[str]) -> frozenset[str]:
    """Return the critical extensions that the caller understands.

    Raises:
        ConfigurationError: ``configuration_invalid``: a string instead of a list, or a registered name, which
            ``crit`` must not hold (RFC 7515 s.4.1.11).
    """
    if isinstance(crit, str):
        raise error_for("configuration_invalid", "crit", expected="a list of names", actual="a string")
    names = frozenset(names_of(crit, "crit"))
    for name in sorted(names & REGISTERED_NAMES):
        raise error_for("configuration_invalid", "crit", expected="extensions", actual=name)
    return names


def header_limit(max_header_bytes: object) -> int:
    """Return the largest decoded protected header.

    Raises:
        ConfigurationError: ``configuration_invalid``: not from 1 byte to 16 KiB.
    """
    ceiling = limits.HEADER_CEILING_BYTES
    if type(max_header_bytes) is int and 1 <= max_header_bytes <= ceiling:
        return max_header_bytes
    raise error_for("configuration_invalid", "max_header_bytes", expected=f"1 to {ceiling} bytes")


def token_limit(
    algorithms: Iterable[str], max_token_bytes: object, max_header_bytes: int = limits.HEADER_MAX_BYTES
) -> int:
    """Return the largest token: as given, or the default for these algorithms and this header.

    Raises:
        ConfigurationError: ``configuration_invalid``: not from 1 byte to 256 KiB, or too few for the header.
    """
    header_text = limits.encoded_bytes(max_header_bytes)
    is_raised = max_header_bytes > limits.HEADER_MAX_BYTES
    if is_raised and type(max_token_bytes) is int and max_token_bytes <= header_text:
        expected = f"more than {header_text} bytes, as max_header_bytes is {max_header_bytes}"
        raise error_for("configuration_invalid", "max_token_bytes", expected, max_token_bytes)
    if max_token_bytes is not None:
        ceiling = limits.TOKEN_CEILING_BYTES
        given = max_token_bytes if type(max_token_bytes) is int else 0
        if 1 <= given <= ceiling:
            return given
        raise error_for("configuration_invalid", "max_token_bytes", expected=f"1 to {ceiling} bytes")
    large = any(name.startswith("ML-DSA-") for name in algorithms)
    more = max(0, header_text - limits.encoded_bytes(limits.HEADER_MAX_BYTES))
    return (limits.TOKEN_MAX_BYTES_MLDSA if large else limits.TOKEN_MAX_BYTES) + more

"""A token taken apart strictly, in PyJWT's order and with PyJWT's errors (RFC 7515 s.5.2)."""

from __future__ import annotations

import json
import math
from typing import Any, Final, NamedTuple

from rapidjws import _native
from rapidjws.compat.pyjwt.claims import check_exp, check_iat, check_nbf
from rapidjws.compat.pyjwt.exceptions import DecodeError, InvalidTokenError
from rapidjws.errors import RapidJWSError
from rapidjws.jose import json_text, limits
from rapidjws.jose.jws import join_headers, parse_members

_UNDERSTOOD: Final = frozenset({"b64"})


class Parts(NamedTuple):
    """The parts of a compact token.

    Attributes:
        payload: The decoded payload; empty where ``b64`` is False.
        signing_input: The octets that were signed.
        header: The members of the protected header.
        signature: The decoded signature.
    """

    payload: bytes
    signing_input: bytes
    header: dict[str, Any]
    signature: bytes

    def __repr__(self) -> str:
        """Show sizes, and nothing that could be replayed."""
        return f"{type(self).__name__}(payload_bytes={len(self.payload)})"


def segment(text: bytes, name: str) -> bytes:
    """Decode base64url in its one spelling (RFC 4648 s.3.5).

    Whole padding is let through as PyJWT does, for issuers that write it against RFC 7515 section 2: what was
    signed is the text as it came. Raises DecodeError.
    """
    padding = len(text) - len(text.rstrip(b"="))
    is_whole = padding <= 2 and (not padding or len(text) % 4 == 0)
    octets = _native.b64url_decode(text[: len(text) - padding]) if is_whole else None
    if octets is None:
        raise DecodeError(f"Invalid {name} padding")
    return octets


def split(token: str | bytes) -> Parts:
    """Take a token apart.

    Raises:
        DecodeError: It is no compact token, too large, or its header is no strict JSON object.
    """
    try:
        octets = token.encode("utf-8") if isinstance(token, str) else token
    except UnicodeEncodeError:
        raise DecodeError("Invalid token type. Token must be ASCII text") from None
    if not isinstance(octets, bytes):
        raise DecodeError(f"Invalid token type. Token must be a {bytes}")
    if len(octets) > limits.TOKEN_CEILING_BYTES:
        raise DecodeError(f"Token is larger than {limits.TOKEN_CEILING_BYTES} bytes")
    segments = octets.split(b".")
    if len(segments) < 3:
        raise DecodeError("Not enough segments")
    if len(segments) > 3:  # PyJWT finds the further dot in the payload
        raise DecodeError("Invalid payload padding")
    first, second, third = segments
    header = _members(segment(first, "header"))
    if header.get("b64", True) is False:
        if second:  # RFC 7515 appendix F: the payload is not in the token
            raise DecodeError("Payload segment must be empty when 'b64' is false.")
        payload = b""
    else:
        payload = segment(second, "payload")
    return Parts(payload, octets[: -len(third) - 1], header, segment(third, "crypto"))


def is_whole(token: str | bytes) -> bool:
    """Return whether payload and signature of a token can be decoded."""
    octets = token.encode("ascii", "replace") if isinstance(token, str) else token
    parts = octets.split(b".")
    return len(parts) == 3 and all(_native.b64url_decode(part) is not None for part in parts[1:])


def _members(octets: bytes) -> dict[str, Any]:
    try:
        return parse_members(octets, max_bytes=limits.HEADER_CEILING_BYTES)
    except RapidJWSError as refused:
        if refused.code == "malformed_header":
            raise DecodeError("Invalid header string: must be a json object") from refused
        raise DecodeError(f"Invalid header string: {refused}") from refused


def check_members(header: dict[str, Any]) -> None:
    """Check a header's members by the engine's rules, all but ``alg``, which an application may register.

    Raises:
        InvalidTokenError: A member of the wrong type; ``crit`` that names what is not understood.
    """
    try:
        join_headers({**header, "alg": "RS256"}, None, understood_crit=_UNDERSTOOD)
    except RapidJWSError as refused:
        raise InvalidTokenError(str(refused)) from refused


def _name_infinite_date(payload: bytes) -> None:
    """Refuse NaN and infinity, which JSON does not have (RFC 8259 s.6), by the date they stand for.

    Raises:
        InvalidIssuedAtError: ``iat`` is such.
        DecodeError: ``nbf`` or ``exp`` is.
    """
    try:
        members = json.loads(payload, parse_constant=lambda word: math.inf)
    except (ValueError, RecursionError):
        return
    if isinstance(members, dict):
        for name, check in (("iat", check_iat), ("nbf", check_nbf), ("exp", check_exp)):
            if members.get(name) == math.inf:
                check(math.inf, 0, 0)


def claims_of(payload: bytes) -> dict[str, Any]:
    """Read a payload as a Claims Set.

    Raises:
        DecodeError: No strict JSON object.
    """
    try:
        claims = json_text.loads(
            payload,
            max_bytes=limits.TOKEN_CEILING_BYTES,
            max_depth=limits.JSON_MAX_DEPTH,
            max_members=limits.CLAIMS_MAX_MEMBERS,
            place="claims",
        )
    except (RapidJWSError, ValueError) as refused:
        _name_infinite_date(payload)
        raise DecodeError(f"Invalid payload string: {refused}") from refused
    if not isinstance(claims, dict):
        raise DecodeError("Invalid payload string: must be a json object")
    return claims

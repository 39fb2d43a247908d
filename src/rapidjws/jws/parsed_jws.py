"""A JWS taken apart: Flattened and General JSON Serialization, read strictly (RFC 7515 s.7.2).

What it does: members, their types, their number. What it never does: decode a header, choose a key, or guess
which of two serializations a mixed object means.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from rapidjws import _native
from rapidjws.errors import error_for
from rapidjws.jose import json_text
from rapidjws.jose.limits import JSON_MAX_DEPTH

MEMBERS_MAX: Final = 64
"""Of any one object of the serialization; members that nobody knows are ignored, as the RFC says."""

_JSON_SPACE: Final = b" \t\r\n"
_ONE_SIGNATURE: Final = ("signature", "protected", "header")


class JWSSignature(NamedTuple):
    """One signature as it stands in the token.

    Attributes:
        protected: The protected header in base64url, or None where there is none.
        unprotected: The unprotected header's members, or None where there is none.
        signature: The signature in base64url.
        place: Where it stands, a prefix for places: ``""`` or ``"signatures[1]."``.
    """

    protected: str | None
    unprotected: Mapping[str, Any] | None
    signature: str
    place: str

    def __repr__(self) -> str:
        """Show where it stands, and nothing that could be replayed."""
        return f"{type(self).__name__}(place={self.place!r})"


class ParsedJWS(NamedTuple):
    """A JWS of any serialization.

    Attributes:
        payload: The payload as it stands in the token; None where it is detached.
        parts: The signatures, at least one.
        is_compact: Whether this is the Compact Serialization, where a detached payload is an empty part.
    """

    payload: str | None
    parts: tuple[JWSSignature, ...]
    is_compact: bool = False

    def __repr__(self) -> str:
        """Show its form, and nothing that could be replayed."""
        return f"{type(self).__name__}(parts={len(self.parts)}, is_compact={self.is_compact})"


def looks_like_json(octets: bytes) -> bool:
    """Return whether a token can only be a JSON serialization: its first character opens an object."""
    return octets[:1] == b"{" or octets.lstrip(_JSON_SPACE)[:1] == b"{"


def parse_compact(octets: bytes) -> ParsedJWS | None:
    """Return a token of exactly three parts as a form, or None where it is not one."""
    parts = octets.split(b".", 3)
    if len(parts) != 3 or not octets.isascii():
        return None
    header, payload, signature = (part.decode("ascii") for part in parts)
    return ParsedJWS(payload, (JWSSignature(header, None, signature, ""),), is_compact=True)


def parse_text(token: bytes, *, max_bytes: int) -> dict[str, Any]:
    """Read the text of a JSON serialization strictly.

    Args:
        token: The text in UTF-8; ``looks_like_json`` is true of it.
        max_bytes: Largest text.

    Returns:
        Its members.

    Raises:
        MalformedToken: ``too_large``, ``too_deep``, ``too_many_members``, ``malformed_json`` or
            ``duplicate_member``.
    """
    members: dict[str, Any] = json_text.loads(
        token, max_bytes=max_bytes, max_depth=JSON_MAX_DEPTH, max_members=MEMBERS_MAX, place="token"
    )
    return members


def parse_json(members: Mapping[str, Any], *, max_bytes: int, max_signatures: int) -> ParsedJWS:
    """Take a Flattened or General JSON Serialization apart.

    Args:
        members: Its members; equal member names can be seen in the text only.
        max_bytes: Largest sum of its texts.
        max_signatures: Most signatures.

    Returns:
        The form.

    Raises:
        MalformedToken: ``malformed_token`` or ``too_large``.

    Source: RFC 7515 sections 7.2.1 and 7.2.2.
    """
    for name in members:
        if not isinstance(name, str):  # of a mapping that no JSON text gives
            raise error_for("malformed_token", "token", "members with names", type(name).__name__)
        if "." in name and _begins_compact(name):  # two readers would find two tokens in one text
            raise error_for("malformed_token", "token", "no compact token for a member's name")
    payload = members.get("payload")
    if (payload is None and "payload" in members) or (payload is not None and not isinstance(payload, str)):
        raise error_for("malformed_token", "payload", "a string", type(payload).__name__)
    if "signatures" in members:
        jws = ParsedJWS(payload, _general(members, max_signatures))
    else:
        jws = ParsedJWS(payload, (_part(members, ""),))
    _check_size(jws, max_bytes)
    return jws


def _begins_compact(name: str) -> bool:
    """Return whether a member's name begins as a compact token does: a header, and a dot."""
    header = _native.b64url_decode(name.partition(".")[0].encode("ascii", "replace"))
    return header is not None and header.lstrip(_JSON_SPACE)[:1] == b"{"


def _general(members: Mapping[str, Any], max_signatures: int) -> tuple[JWSSignature, ...]:
    """Return the signatures of a General JSON Serialization."""
    for name in _ONE_SIGNATURE:
        if name in members:  # RFC 7515 s.7.2.2: signatures and the flattened members never stand together
            raise error_for("malformed_token", name, "inside of signatures, or no signatures")
    entries = members["signatures"]
    if not isinstance(entries, list) or not entries:  # RFC 7515 s.7.2.1: an array; an empty one signs nothing
        raise error_for("malformed_token", "signatures", "an array of at least one object")
    if len(entries) > max_signatures:
        raise error_for("too_large", "signatures", f"at most {max_signatures}", len(entries))
    return tuple([_part(entry, f"signatures[{index}].") for index, entry in enumerate(entries)])


def _part(entry: Any, place: str) -> JWSSignature:
    """Return one signature after all that RFC 7515 s.7.2.1 says of its members."""
    if not isinstance(entry, Mapping):
        raise error_for("malformed_token", place.rstrip("."), "an object", type(entry).__name__)
    signature = entry.get("signature")
    if not isinstance(signature, str) or not signature:  # MUST be present
        raise error_for(
            "malformed_token", place + "signature", "a non-empty string", type(signature).__name__
        )
    protected = entry.get("protected")
    if "protected" in entry and (not isinstance(protected, str) or not protected):  # absent where empty
        raise error_for(
            "malformed_token", place + "protected", "a non-empty string", type(protected).__name__
        )
    unprotected = entry.get("header")
    if "header" in entry and (not isinstance(unprotected, Mapping) or not unprotected):  # absent where empty
        raise error_for(
            "malformed_token", place + "header", "an object with members", type(unprotected).__name__
        )
    if protected is None and unprotected is None:  # one of the two MUST be present
        raise error_for("malformed_token", place + "protected", "a header")
    return JWSSignature(protected, unprotected, signature, place)


def _check_size(jws: ParsedJWS, max_bytes: int) -> None:
    """Refuse a parsed token whose texts pass the limit for a token's text."""
    size = len(jws.payload or "") + sum(len(part.protected or "") + len(part.signature) for part in jws.parts)
    if size > max_bytes:
        raise error_for("too_large", "token", f"at most {max_bytes} bytes", size)

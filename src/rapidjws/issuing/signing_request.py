"""What a client of the signing service asks to be signed, read strictly (RFC 7515 s.5.1, RFC 8725 s.3.11).

A JWS Signing Input alone is taken, never a digest: what nobody can read nobody can refuse.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final

from rapidjws import _native
from rapidjws._checks import check_range, checked
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.issuing.token_exchange import refusal
from rapidjws.jose import json_text
from rapidjws.jose.jwa import ALGORITHM_TABLE

HEADER_MAX_BYTES: Final = 4096
PAYLOAD_MAX_BYTES: Final = 32 * 1024
MEMBERS: Final = frozenset({"alg", "kid", "typ", "cty"})
ACCESS_TOKEN_TYP: Final = "at+jwt"
_JSON_SPACE: Final = b" \t\r\n\x00\xef\xbb\xbf\xfe\xff"
"""What stands before the first character of an object for one reader or another: spaces, byte order marks."""


def _refuse(name: str, words: str, found: str | None = None) -> None:
    raise error_for("configuration_invalid", f"signing_clients.{name}", words, found)


@checked(under="signing_clients")
@dataclass(frozen=True, slots=True, kw_only=True)
class SigningClient:
    """What one client may have signed.

    Attributes:
        client_id: One of the token service's clients.
        typ: The exact values of ``typ`` that its headers may have.
        algorithms: By which of the issuer's keys, named by their ``alg``.
        kids: By which keys alone; none for each key that is active. Such a client is refused after a rotation
            until its new key is named.
        max_payload_bytes: Largest JWS Payload.
        may_issue: Whether it may sign tokens of the issuer: a payload with the issuer's ``iss``, and ``typ``
            ``at+jwt``. Such a client can sign any claims.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    client_id: str
    typ: tuple[str, ...]
    algorithms: tuple[str, ...] = ("ES256",)
    kids: tuple[str, ...] = field(default=())
    max_payload_bytes: int = 8192
    may_issue: bool = False

    def __post_init__(self) -> None:
        """Check every setting once."""
        for name in ("typ", "algorithms", "kids"):
            values = getattr(self, name)
            if len(set(values)) != len(values) or not all(values):
                _refuse(name, "names, each once")
        if not self.client_id:
            _refuse("client_id", "a name")
        if not self.typ:  # RFC 8725 s.3.11: else a token of one kind passes for another
            _refuse("typ", "at least one")
        for alg in self.algorithms:
            if alg not in ALGORITHM_TABLE:
                _refuse("algorithms", "algorithms of the issuer", alg)
        if not self.algorithms:
            _refuse("algorithms", "at least one")
        if not self.may_issue and any(_is_access_token(one) for one in self.typ):
            _refuse("typ", f"no {ACCESS_TOKEN_TYP} without may_issue", ACCESS_TOKEN_TYP)
        check_range("signing_clients.max_payload_bytes", self.max_payload_bytes, 1, PAYLOAD_MAX_BYTES)


def checked_header(client: SigningClient, signing_input: bytes, issuer: str) -> dict[str, str]:
    """Return the protected header of a JWS Signing Input that a client may have signed.

    Raises:
        IssuingRefused: ``token_request_refused``, with ``invalid_request``, ``access_denied`` or
            ``payload_too_large``.
    """
    first, dot, last = signing_input.partition(b".")
    header = protected_header(first)
    if header is None:
        raise refusal("header", "a protected header")
    for name in header:
        if name not in MEMBERS:  # b64 and crit too: RFC 7797 changes what is signed
            raise refusal(f"header.{name}" if name in ("b64", "crit") else "header", sorted(MEMBERS))
    for name in ("alg", "kid", "typ"):
        if name not in header:
            raise refusal(f"header.{name}", "a string")
    if not all(isinstance(one, str) for one in header.values()):
        raise refusal("header", "strings")
    if header["alg"] not in client.algorithms:
        raise refusal("header.alg", client.algorithms, "access_denied")
    if header["typ"] not in client.typ:
        raise refusal("header.typ", client.typ, "access_denied")
    if len(last) > (4 * client.max_payload_bytes + 2) // 3:
        raise refusal("payload", f"{client.max_payload_bytes} bytes", "payload_too_large")
    payload = _native.b64url_decode(last)
    if not dot or payload is None:
        raise refusal("payload", "base64url")
    if not client.may_issue and _may_be_of(issuer, payload):
        raise refusal("payload.iss", "another issuer", "access_denied")
    return header


def protected_header(part: bytes) -> dict[str, Any] | None:
    """Return the members of a protected header in base64url, read strictly, or None where it is none."""
    octets = _native.b64url_decode(part)
    if octets is None:
        return None
    try:
        found = json_text.loads(
            octets, max_bytes=HEADER_MAX_BYTES, max_depth=2, max_members=16, place="header"
        )
    except RapidJWSError:
        return None
    return found if isinstance(found, dict) else None


def _is_access_token(typ: str) -> bool:
    """Return whether a ``typ`` is that of access tokens; media types know no case (RFC 9068 s.2.1)."""
    return typ.lower().removeprefix("application/") == ACCESS_TOKEN_TYP


def _may_be_of(issuer: str, payload: bytes) -> bool:
    """Return whether a consumer may read a payload as claims of an issuer, however lenient it is."""
    if payload.lstrip(_JSON_SPACE)[:1] != b"{":
        return False
    pairs: list[tuple[str, Any]] = []

    def keep(found: list[tuple[str, Any]]) -> dict[str, Any]:
        pairs.extend(found)  # of all objects, and each of equal names
        return {}

    try:
        json.loads(payload.decode("utf-8"), object_pairs_hook=keep)
    except (ValueError, RecursionError):  # what one reader refuses another may repair
        return True
    return any(name == "iss" and value == issuer for name, value in pairs)

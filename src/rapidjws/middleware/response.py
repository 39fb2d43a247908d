"""The answers of a middleware: status, RFC 6750 challenge, RFC 9457 problem, warnings, trusted headers.

Nothing of a token is in an answer but its verified names, and only towards the service behind the middleware.
"""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import dataclass
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from rapidjws._authorization_codes import NOT_PERMITTED
from rapidjws._checks import refused
from rapidjws._native import header_text
from rapidjws.errors import CODES, error_for
from rapidjws.jose.scopes import is_scope_token, scopes_of
from rapidjws.jwt.decision import Decision
from rapidjws.sender.dpop_challenge import DPoPChallenge

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rapidjws.verify.result import VerifiedJWS

PREFIX: Final = "x-jws-"
"""All headers whose names begin so are ours: what a client sends under it is removed."""

TRUSTED: Final = (
    "x-jws-status",
    "x-jws-issuer",
    "x-jws-subject",
    "x-jws-subject-encoded",
    "x-jws-scope",
    "x-jws-kid",
    "x-jws-partner",
)
"""Headers for the service behind the middleware; each is always set, empty where nothing was verified."""

_TRUSTED_OCTETS: Final = tuple([name.encode() for name in TRUSTED])

VALUE_MAX_CHARS: Final = 1024
NAMES_KEPT: Final = 512
"""Most names, and most texts of scopes, that are kept as they stand in headers."""

RETRY_AFTER_S: Final = 5
PROBLEM_TYPE: Final = "urn:rapidjws:problem:"
FORBIDDEN: Final = NOT_PERMITTED | {"insufficient_scope", "partner_mismatch"}
"""Codes of good tokens that do not suffice: 403."""


DPOP_ERRORS: Final = {
    "dpop_proof_missing": "invalid_dpop_proof",
    "dpop_proof_invalid": "invalid_dpop_proof",
    "dpop_proof_replayed": "invalid_dpop_proof",
    "dpop_nonce_required": "use_dpop_nonce",
}
"""Code -> what a challenge calls it (RFC 9449 s.12.2); the others are errors of the token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A refusal as HTTP.

    Attributes:
        status: 400, 401, 403, 413 or 503.
        headers: Names in lower case, and values.
        body: A problem document (RFC 9457).
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def checked_realm(realm: str, place: str) -> str:
    """Return a realm that stands in a quoted string as it is.

    Raises:
        ConfigurationError: ``configuration_invalid``, with the place.
    """
    if '"' in realm or "\\" in realm or not (realm.isascii() and realm.isprintable()):
        raise error_for("configuration_invalid", place, expected="plain text")
    return realm


def answer_for(
    decision: Decision,
    *,
    realm: str = "api",
    scheme: str = "Bearer",
    bad_request_status: int = 400,
    dpop: DPoPChallenge | None = None,
    nonce: str | None = None,
) -> Answer | None:
    """Return what a client gets instead of the service's answer, or None where it gets that.

    Args:
        decision: What was decided.
        realm: The ``realm`` of the challenge.
        scheme: Its authentication scheme.
        bad_request_status: For a request with two tokens or half a one; 401 where a gateway asks that takes
            anything but 401 and 403 for a fault of ours (nginx).
        dpop: What a challenge holds about DPoP, where proofs are checked.
        nonce: A new nonce for the next signed request; a 401 gives it out in ``Replay-Nonce``.

    Returns:
        The refusal, or None for a permit.

    Source: RFC 6750 section 3, RFC 9449 sections 7.1 and 9, RFC 9110 sections 10.2.3 and 15.6.4, RFC 9457
    section 3, RFC 8555 section 6.5.1.
    """
    if getattr(decision, "outcome", None) == "permit":
        return None
    _check_decision(decision)
    if type(bad_request_status) is not int or not 400 <= bad_request_status <= 499:
        raise refused("bad_request_status", "400 to 499", bad_request_status)
    if dpop is not None and not isinstance(dpop, DPoPChallenge):
        raise refused("dpop", "a DPoPChallenge, or None", dpop)
    for name, text in (("realm", realm), ("scheme", scheme), ("nonce", "" if nonce is None else nonce)):
        if not isinstance(text, str) or not text.isprintable():
            raise refused(name, "plain text", text)
    code = decision.code
    headers = [("content-type", "application/problem+json"), ("cache-control", "no-store")]
    status, title = _status(decision, bad_request_status)
    if status == 503:
        headers.append(("retry-after", str(RETRY_AFTER_S)))
    if status not in (413, 503):
        headers += _challenges(decision, realm, scheme or "Bearer", dpop)
    if status == 401 and nonce is not None:
        headers.append(("replay-nonce", nonce))
    row = CODES[code]
    problem: dict[str, Any] = {
        "type": PROBLEM_TYPE + code,
        "title": title,
        "status": status,
        "code": code,
        "detail": row.meaning,
    }
    return Answer(status=status, headers=tuple(headers), body=json.dumps(problem).encode())


def _status(decision: Decision, bad_request_status: int) -> tuple[int, str]:
    """Return the status of a refusal, and its phrase."""
    code = decision.code
    if decision.outcome == "indeterminate":
        return 503, "Service Unavailable"
    if code in FORBIDDEN:
        return 403, "Forbidden"
    if code == "too_large" and decision.place == "body":
        return 413, "Content Too Large"
    if code == "malformed_request" and bad_request_status == 400:
        return 400, "Bad Request"
    return 401, "Unauthorized"


def _check_decision(decision: object) -> None:
    if not isinstance(decision, Decision):
        raise refused("decision", "a Decision", decision)


def _challenges(
    decision: Decision, realm: str, scheme: str, dpop: DPoPChallenge | None
) -> list[tuple[str, str]]:
    """Return the headers that say how to ask: DPoP first, and alone where only a proof is wrong."""
    challenge = _challenge(decision, realm, scheme)
    if dpop is None:
        return [("www-authenticate", challenge)]
    of_dpop = f'{_challenge(decision, realm, "DPoP")}, algs="{dpop.algs}"'
    is_only = dpop.is_alone or decision.code in DPOP_ERRORS
    nonce = [] if dpop.nonce is None else [("dpop-nonce", dpop.nonce)]
    return [*nonce, ("www-authenticate", of_dpop if is_only else f"{of_dpop}, {challenge}")]


def _challenge(decision: Decision, realm: str, scheme: str) -> str:
    """Return the challenge; a request without a token gets no error (RFC 6750 s.3.1)."""
    text = f'{scheme} realm="{realm}"'
    code = decision.code
    if code == "missing_token":
        return text
    error = "invalid_token"
    if code in FORBIDDEN:
        error = "insufficient_scope"
    elif code == "malformed_request":
        error = "invalid_request"
    elif scheme == "DPoP":
        error = DPOP_ERRORS.get(code, error)
    text += f', error="{error}", error_description="{code}: {CODES[code].meaning}"'
    due = " ".join(scope for scope in decision.scopes_due if is_scope_token(scope))
    return f'{text}, scope="{due}"' if due else text


def warning_headers(decision: Decision) -> list[tuple[str, str]]:
    """Return a permit's headers for the client: what will be refused, and when (RFC 8594, RFC 9745), and the
    nonce that its next signed request needs (RFC 8555 s.6.5.1).
    """
    headers = [("warning", f'299 rapidjws "{text}"') for text in decision.warnings]
    if decision.nonce is not None:
        headers.append(("replay-nonce", decision.nonce))
    if decision.deprecated_at_s is not None:
        headers.append(("deprecation", f"@{decision.deprecated_at_s}"))
    if decision.sunset_at_s is not None:
        headers.append(("sunset", formatdate(decision.sunset_at_s, usegmt=True)))
    return headers


def trusted_headers(decision: Decision) -> list[tuple[str, str]]:
    """Return the headers that the service may trust; empty ones overwrite what a client made up.

    A value that is not plain printable ASCII is left empty: the claims hold it. A subject of that kind stands
    in ``x-jws-subject-encoded``, see :func:`encoded_subject`.
    """
    _check_decision(decision)
    verified = decision.verified
    if verified is None:
        values = (f"unverified {decision.code}", "", "", "", "", "", plain(decision.partner))
        return list(zip(TRUSTED, values, strict=True))
    is_jwt = verified.issuer is not None  # a Verifier checks no claims
    claims = verified.claims if is_jwt else {}
    subject = plain(claims.get("sub"))
    values = (
        "verified",
        _plain_name(verified.issuer if is_jwt else _signer(verified)),
        subject,
        "" if subject else encoded_subject(claims.get("sub")),
        scopes_text(claims),
        _plain_name(verified.kid),
        _plain_name(decision.partner),
    )
    return list(zip(TRUSTED, values, strict=True))


def trusted_octets(decision: Decision) -> list[tuple[bytes, bytes]]:
    """Return ``trusted_headers`` as octets; what many requests have in common is written once."""
    verified = None if not isinstance(decision, Decision) else decision.verified
    if verified is None or verified.issuer is None:
        return [(name.encode(), value.encode()) for name, value in trusted_headers(decision)]
    claims = verified.claims
    subject = plain(claims.get("sub"))
    values = (
        b"verified",
        _name_octets(verified.issuer),
        subject.encode(),
        b"" if subject else encoded_subject(claims.get("sub")).encode(),
        scopes_text(claims).encode(),
        _name_octets(verified.kid),
        _name_octets(decision.partner),
    )
    return list(zip(_TRUSTED_OCTETS, values, strict=True))


def _signer(verified: VerifiedJWS) -> str | None:
    """Return the name under which a verifier holds the key of the first good signature, or None."""
    return next((one.issuer for one in verified.signatures if one.verdict == "verified"), None)


def plain(value: object) -> str:
    """Return text that arrives in a header as it stands, or nothing: never changed (RFC 9110 s.5.5).

    A receiver drops spaces at its ends, which would make ``" admin"`` another subject.
    """
    return header_text(value, VALUE_MAX_CHARS)


@functools.lru_cache(maxsize=NAMES_KEPT)
def _plain_name(name: str | None) -> str:
    """Return the name of an issuer, a key or a partner as ``plain`` does: few, and each in many requests."""
    return plain(name)


@functools.lru_cache(maxsize=NAMES_KEPT)
def _name_octets(name: str | None) -> bytes:
    return plain(name).encode()


def scopes_text(claims: Mapping[str, Any]) -> str:
    """Return the scopes of a token as they stand in a header; those of one text are sorted once."""
    scope = claims.get("scope")
    if isinstance(scope, str) and len(scope) <= VALUE_MAX_CHARS:
        return _sorted_scopes(scope)
    return plain(" ".join(sorted(scopes_of(claims))))


@functools.lru_cache(maxsize=NAMES_KEPT)
def _sorted_scopes(scope: str) -> str:
    return plain(" ".join(sorted(scopes_of({"scope": scope}))))


def encoded_subject(value: object) -> str:
    """Return a subject that cannot stand in a header as it is, percent-encoded; empty for every other.

    Letters, digits, ``-._~`` stay, all other octets of its UTF-8 are ``%XX`` (RFC 3986 s.2.1). Where that is
    longer than ``VALUE_MAX_CHARS``, ``sha256:`` and the digest of the UTF-8 in hexadecimal stand for it: an
    encoded subject holds no colon.
    """
    if not isinstance(value, str) or not value or plain(value):
        return ""
    octets = value.encode("utf-8", "surrogatepass")
    if len(octets) <= VALUE_MAX_CHARS:
        text = quote(octets, safe="")
        if len(text) <= VALUE_MAX_CHARS:
            return text
    return f"sha256:{hashlib.sha256(octets).hexdigest()}"


def is_ours(name: str) -> bool:
    """Return whether a header's name is ours, in any spelling that a server may fold into it."""
    return name.lower().replace("_", "-").startswith(PREFIX)

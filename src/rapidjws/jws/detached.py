"""A JWS of any serialization against the payload in it or beside it (RFC 7515 s.5.2, appendix F; RFC 7797).

All signatures go to the core in one crossing. What it never does: decode an unencoded payload, or give a
payload out before the caller's policy is met.
"""

from __future__ import annotations

import re
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rapidjws import _native
from rapidjws.errors import error_for
from rapidjws.jose.limits import SIGNATURES_MAX
from rapidjws.jws.signature_checks import (
    SignatureCheck,
    check_agreement,
    check_policy,
    record_status,
    results_of,
    signature_checks_of,
)
from rapidjws.verify.result import VerifiedJSON

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rapidjws.jws.parsed_jws import ParsedJWS
    from rapidjws.jws.signatures import SignaturePolicy
    from rapidjws.verify.pipeline import Snapshot

_COMPACT_UNENCODED: Final = re.compile(r"[\x20-\x2d\x2f-\x7e]*")
"""RFC 7797 s.5.2: space and printable ASCII without the period."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FormRules:
    """What a verifier accepts beyond the Compact Serialization's common case.

    Attributes:
        allow_unprotected_alg: Whether ``alg`` may stand in the unprotected header.
        max_signatures: Most signatures of one token.
    """

    allow_unprotected_alg: bool = False
    max_signatures: int = SIGNATURES_MAX


def verify_form(
    snapshot: Snapshot, jws: ParsedJWS, rules: FormRules, policy: SignaturePolicy, payload: bytes | None
) -> VerifiedJSON:
    """Verify a JWS whose payload is at hand.

    Args:
        snapshot: Keys.
        jws: The token.
        rules: What is accepted.
        policy: Which signatures must be good.
        payload: The detached payload's octets; None where the token holds its payload.

    Raises:
        TokenRefused: Why it is refused.

    Source: RFC 7515 section 5.2; RFC 7797 sections 3 and 5.
    """
    if payload is not None:
        check_is_detached(jws)
    elif jws.payload is None:
        raise error_for("malformed_token", "payload", "a payload, in the token or beside it")
    found, is_encoded = signature_checks_of(snapshot, jws, allow_unprotected_alg=rules.allow_unprotected_alg)
    if payload is None:
        payload, signed = _attached(jws, is_encoded=is_encoded)
    else:
        signed = _native.b64url_encode(payload) if is_encoded else payload
    decide(snapshot, found, signed)
    verified = conclude(snapshot, found, policy)
    verified._payload = payload
    return verified


def check_is_detached(jws: ParsedJWS) -> None:
    """Refuse a token that brings a payload where the caller brings one.

    Raises:
        MalformedToken: ``malformed_token``.
    """
    if jws.payload:  # RFC 7515 appendix F: empty, or no member; two payloads would be two truths
        raise error_for("malformed_token", "payload", "no payload in the token: it is detached")


def _attached(jws: ParsedJWS, *, is_encoded: bool) -> tuple[bytes, bytes]:
    """Return the payload that the token holds, and the octets of it that were signed."""
    text = jws.payload or ""
    if not is_encoded:
        if jws.is_compact and _COMPACT_UNENCODED.fullmatch(text) is None:
            raise error_for("malformed_token", "payload", "printable ASCII without a period")
        try:
            octets = text.encode("utf-8")  # RFC 7797 s.5.3: the octets of the string's UTF-8
        except UnicodeEncodeError:
            raise error_for("malformed_token", "payload", "Unicode without lone surrogates") from None
        return octets, octets
    signed = text.encode("ascii", "replace")  # '?' is no base64url either
    payload = _native.b64url_decode(signed)
    if payload is None:
        raise error_for("malformed_base64url", "payload", expected="strict, unpadded base64url")
    return payload, signed


def decide(snapshot: Snapshot, found: Sequence[SignatureCheck], signed: bytes) -> None:
    """Verify all signatures that are not refused yet: those with native keys in one crossing.

    Args:
        snapshot: Keys.
        found: The signatures; ``error`` is set in those that do not verify.
        signed: The payload as it stands in the signing input.
    """
    octets: list[bytes] = []
    lens = array("I")
    slots = array("I")
    native = []
    for one in found:
        if one.error is not None:
            continue
        if snapshot.slots[one.slot][0].native is None:
            verify_whole(snapshot, one, signed)
            continue
        native.append(one)
        octets += (one.prefix, signed, one.signature)
        lens.extend((len(one.prefix) + len(signed), len(one.signature)))
        slots.append(one.slot)
    verdicts = snapshot.native.verify_signatures(b"".join(octets), lens, slots)
    for one, verdict in zip(native, verdicts, strict=True):
        snapshot.note_table_due(verdict)
        record_status(snapshot, one, verdict & 0xFF)


def verify_whole(snapshot: Snapshot, one: SignatureCheck, signed: bytes) -> None:
    """Verify one signature by its key alone, over the payload as it stands in the signing input."""
    signature = _native.b64url_decode(one.signature)
    if signature is None:
        record_status(snapshot, one, _native.MALFORMED_TOKEN)
        return
    good = snapshot.slots[one.slot][0].verify(one.prefix + signed, signature)
    record_status(snapshot, one, _native.OK if good else _native.SIGNATURE_INVALID)


def conclude(snapshot: Snapshot, found: Sequence[SignatureCheck], policy: SignaturePolicy) -> VerifiedJSON:
    """Make the result where the good signatures fulfil the policy and their signers agree.

    Raises:
        TokenRefused: Why not.
    """
    check_policy(snapshot, found, policy)
    check_agreement(snapshot, found, policy)
    first = next(one for one in found if one.is_good)
    if first.header is None:  # unreachable: what is not refused was read
        raise error_for("internal_error", "detached.conclude")
    verified = VerifiedJSON()
    verified._payload = verified._claims = None
    verified._key, verified.issuer = snapshot.slots[first.slot]
    verified._header = first.header.raw
    verified._results = lambda: results_of(snapshot, found, accepted=True)
    return verified

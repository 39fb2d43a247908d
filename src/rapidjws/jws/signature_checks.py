"""From the parts of a JWS to keys: read each header, choose the key that answers for it (RFC 7515 s.5.2).

A malformed part refuses the token. A signature that is only not acceptable (its algorithm, its key, its
critical extensions) gets its reason and is left to the caller's policy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from rapidjws import _native
from rapidjws.errors import MalformedToken, RapidJWSError, SignaturesRefused, TokenRefused, error_for
from rapidjws.jose.jws import Header, join_headers, parse_members
from rapidjws.jose.limits import encoded_bytes
from rapidjws.jws.signatures import SignaturePolicy, disagreement
from rapidjws.verify.result import SignatureResult

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rapidjws.jws.parsed_jws import JWSSignature, ParsedJWS
    from rapidjws.verify.pipeline import Snapshot


class SignatureCheck:
    """One signature under way.

    Attributes:
        part: As it stands in the token.
        prefix: The protected header as received, and the dot: the beginning of the JWS Signing Input.
        signature: The signature in base64url.
        header: The checked header, or None where it was refused.
        slot: The slot whose key answers, or -1.
        error: Why the signature is refused; None while it is not.
        is_good: True once the signature verified; nothing else makes it so.
        stated: What the header states, checked or not: for words about a refused signature.
    """

    __slots__ = ("error", "header", "is_good", "part", "prefix", "signature", "slot", "stated")

    header: Header | None
    error: RapidJWSError | None
    stated: Mapping[str, Any]

    def __init__(self, part: JWSSignature) -> None:
        self.part = part
        self.prefix = _ascii(part.protected or "", part.place + "protected") + b"."
        self.signature = _ascii(part.signature, part.place + "signature")
        self.header = None
        self.slot = -1
        self.error = None
        self.is_good = False
        self.stated = {}


def _ascii(text: str, place: str) -> bytes:
    try:
        return text.encode("ascii")
    except UnicodeEncodeError:
        raise error_for("malformed_base64url", place, expected="strict, unpadded base64url") from None


def signature_checks_of(
    snapshot: Snapshot, jws: ParsedJWS, *, allow_unprotected_alg: bool
) -> tuple[list[SignatureCheck], bool]:
    """Read every header and choose the keys.

    Args:
        snapshot: Keys and rules.
        jws: The token.
        allow_unprotected_alg: Whether ``alg`` may stand in the unprotected header.

    Returns:
        A candidate a signature, and whether the payload is encoded (False: ``b64`` is false in all of them).

    Raises:
        MalformedToken: A header is malformed.
        HeaderRefused: ``b64_unsupported``: the signatures differ in b64.
    """
    found = []
    encoded: set[bool] = set()
    known = snapshot.known
    for part in jws.parts:
        check = SignatureCheck(part)
        found.append(check)
        if part.unprotected is None and part.protected is not None and part.protected in known:
            row = known[part.protected]
            check.slot, check.header = row.slot, row.header
            encoded.add(row.is_encoded)
            continue
        members = _protected_members(check, snapshot.max_header_bytes)
        encoded.add(members.get("b64") is not False)
        _choose(snapshot, check, members, allow_unprotected_alg)
    if len(encoded) > 1:  # RFC 7797 s.3: the value MUST be the same for all
        raise error_for("b64_unsupported", "signatures", "one b64 for all signatures")
    return found, True in encoded


def _protected_members(check: SignatureCheck, max_bytes: int) -> dict[str, Any]:
    """Return the protected header's members, {} where there is no protected header."""
    part = check.part
    if part.protected is None:
        return {}
    place = part.place + ("protected" if part.place else "header")
    if len(part.protected) > encoded_bytes(max_bytes):
        raise error_for("too_large", place, f"at most {max_bytes} bytes (max_header_bytes)")
    octets = _native.b64url_decode(check.prefix[:-1])
    if octets is None:
        raise error_for("malformed_base64url", place, expected="strict, unpadded base64url")
    try:
        members = parse_members(octets, max_bytes=max_bytes)
    except MalformedToken as refused:
        raise _placed(refused, part.place) from None
    if not members:  # RFC 7515 s.7.2.1: an empty protected header is absent
        raise error_for("malformed_header", place, "a JSON object with members")
    return members


def _choose(
    snapshot: Snapshot, check: SignatureCheck, members: dict[str, Any], allow_unprotected_alg: bool
) -> None:
    """Check the joined header and find its slot; a reason against this signature alone is kept in it."""
    part = check.part
    check.stated = {**(part.unprotected or {}), **members}
    try:
        check.header = join_headers(
            members,
            part.unprotected,
            understood_crit=snapshot.understood_crit,
            allow_unprotected_alg=allow_unprotected_alg,
        )
        check.slot = snapshot.slot_for(check.header)
    except MalformedToken as refused:
        raise _placed(refused, part.place) from None
    except TokenRefused as refused:
        check.error = _placed(refused, part.place)
        if _native.b64url_decode(check.signature) is None:
            raise _malformed_signature(check) from None


def says_unencoded(octets: bytes, max_header_bytes: int) -> bool:
    """Return whether a compact token's header says that its payload is not encoded (RFC 7797)."""
    text = octets.partition(b".")[0]
    header = _native.b64url_decode(text) if len(text) <= encoded_bytes(max_header_bytes) else None
    try:
        return header is not None and parse_members(header, max_bytes=max_header_bytes).get("b64") is False
    except RapidJWSError:
        return False


def _placed(error: RapidJWSError, place: str) -> RapidJWSError:
    """Return an error with its place counted from the token's root."""
    return error_for(error.code, f"{place}{error.place}", error.expected, error.actual)


def _malformed_signature(check: SignatureCheck) -> RapidJWSError:
    place = check.part.place + "signature"
    return error_for("malformed_base64url", place, expected="strict, unpadded base64url")


def record_status(snapshot: Snapshot, check: SignatureCheck, status: int) -> None:
    """Keep why the core refused a signature, or that it did not.

    Raises:
        MalformedToken: ``malformed_base64url``: the signature's text.
        InternalError: ``internal_error``: not a verdict; the token may still be good.
    """
    if status == _native.OK:
        check.is_good = True
        part = check.part
        if part.unprotected is None and part.protected is not None and check.header is not None:
            snapshot.remember(part.protected, check.slot, check.header)
    elif status == _native.SIGNATURE_INVALID:
        key = snapshot.slots[check.slot][0]
        expected = f"{key.alg} by kid {key.jwk.kid!r}"
        check.error = error_for("signature_invalid", check.part.place + "signature", expected)
    elif status == _native.MALFORMED_TOKEN:
        raise _malformed_signature(check)
    else:
        raise error_for("internal_error", "core", actual=_native.STATUS_NAMES.get(status, "undecided"))


def results_of(
    snapshot: Snapshot, found: Sequence[SignatureCheck], *, accepted: bool
) -> tuple[SignatureResult, ...]:
    """Return the result of each signature; headers only of an accepted token."""
    results = []
    for index, one in enumerate(found):
        if one.error is None and not one.is_good:
            results.append(SignatureResult(index=index, verdict="undecided"))
            continue
        if one.error is None:
            key = snapshot.slots[one.slot][0]
            header = one.header.raw if accepted and one.header is not None else None
            results.append(
                SignatureResult(
                    index=index,
                    verdict="verified",
                    alg=key.alg,
                    kid=key.jwk.kid,
                    issuer=key.name,
                    key_thumbprint=key.thumbprint,
                    header=header,
                )
            )
            continue
        stated = one.stated if one.header is None else {"alg": one.header.alg, "kid": one.header.kid}
        alg, kid = stated.get("alg"), stated.get("kid")
        results.append(
            SignatureResult(
                index=index,
                verdict="refused",
                code=one.error.code,
                place=one.error.place,
                alg=alg if isinstance(alg, str) else None,
                kid=kid if isinstance(kid, str) else None,
            )
        )
    return tuple(results)


def check_policy(snapshot: Snapshot, found: Sequence[SignatureCheck], policy: SignaturePolicy) -> None:
    """Refuse where the good signatures do not fulfil the policy.

    Raises:
        TokenRefused: The one signature's own reason; ``signatures_insufficient`` where there are several.
    """
    good = [snapshot.slots[one.slot][0] for one in found if one.error is None and one.is_good]
    if policy.is_met(good, len(found)):
        return
    _refuse(snapshot, found, policy, f"{len(good)} good")


def check_hope(snapshot: Snapshot, found: Sequence[SignatureCheck], policy: SignaturePolicy) -> None:
    """Refuse where the policy cannot be fulfilled any more, even if all that is undecided turns out good.

    Raises:
        TokenRefused: As ``check_policy``.
    """
    left = [snapshot.slots[one.slot][0] for one in found if one.error is None]
    if not policy.is_met(left, len(found)):
        _refuse(snapshot, found, policy, f"at most {len(left)} good")


def _refuse(
    snapshot: Snapshot, found: Sequence[SignatureCheck], policy: SignaturePolicy, actual: str
) -> NoReturn:
    if len(found) == 1 and found[0].error is not None:
        raise found[0].error
    raise _refusal(snapshot, found, "signatures_insufficient", "signatures", str(policy), actual)


def check_agreement(snapshot: Snapshot, found: Sequence[SignatureCheck], policy: SignaturePolicy) -> None:
    """Refuse where two good signatures protect different values of one parameter.

    Raises:
        SignaturesRefused: ``signers_disagree``.
    """
    headers = [one.header.raw for one in found if one.is_good and one.header is not None]
    if len(headers) < 2:
        return
    name = disagreement(headers, policy)
    if name is not None:
        raise _refusal(snapshot, found, "signers_disagree", f"header.{name}", "one value", "two values")


def _refusal(
    snapshot: Snapshot, found: Sequence[SignatureCheck], code: str, place: str, expected: str, actual: str
) -> RapidJWSError:
    error = error_for(code, place, expected, actual)
    if isinstance(error, SignaturesRefused):
        error.signatures = results_of(snapshot, found, accepted=False)
    return error

"""One payload, signatures of several roles: made, added to, and verified against a policy."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from time import time
from typing import Any, Final

from rapidjws._checks import check_range, checked, refused
from rapidjws.attest.policy import RolePolicy, checked_roles, parse_policy
from rapidjws.attest.statement import CONTENT_TYPE, check_artifacts, read_statement, statement_of
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jose.json_text import loads
from rapidjws.jose.jwk import JWK
from rapidjws.jose.jwks import JWKSet
from rapidjws.jose.numeric_date import SECOND_NS, moment_ns
from rapidjws.jws.signatures import any_of
from rapidjws.jws.verifier import Verifier
from rapidjws.signing.json_serialization import Signature, sign_general
from rapidjws.signing.signer import Signer

ENVELOPE_MAX_BYTES: Final = 256 << 10
SIGNATURES_MAX: Final = 16
_OWN_DATES: Final = ("exp", "iat")
"""Protected parameters that are each signer's own: when it signed, and until when that holds."""

Keys = JWKSet | JWK | Collection[JWK]


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class Attestation:
    """What was verified.

    Attributes:
        payload: The octets that all signed.
        roles: The roles whose signatures counted, sorted.
        kids: The kid of the key of each of these roles.
        statement: The in-toto Statement; empty for another payload.
    """

    payload: bytes = field(repr=False)
    roles: tuple[str, ...]
    kids: tuple[str | None, ...]
    statement: Mapping[str, Any] = field(default_factory=dict, repr=False)


def sign_payload(
    payload: bytes,
    signers: Sequence[Signer],
    content_type: str,
    now: float,
    lifetime_s: int | None,
    more: Mapping[str, Any],
) -> dict[str, Any]:
    """Return a General JSON Serialization of a payload, with a ``cty`` and dates in each protected header.

    Raises:
        ConfigurationError: ``configuration_invalid``: one key signs twice, which would count once.
    """
    _check_each_once(signers)
    header: dict[str, Any] = {"cty": content_type, "iat": int(now), **more}
    if lifetime_s is not None:
        check_range("lifetime_s", lifetime_s, 1, 2**31)
        header["exp"] = int(now) + lifetime_s
    return sign_general(payload, [Signature(signer=one, header=header) for one in signers])


def _check_each_once(signers: Sequence[Signer]) -> None:
    """Refuse a key that is given twice, where signers say their public keys."""
    seen: set[str] = set()
    for at, one in enumerate(signers):
        public = getattr(one, "public", None) or getattr(one, "public_jwk", None)
        if isinstance(public, JWK):
            thumbprint = public.thumbprint()
            if thumbprint in seen:
                raise error_for("configuration_invalid", f"signers[{at}]", "each key once", public.kid)
            seen.add(thumbprint)


@checked
def attest(
    artifacts: Sequence[str | os.PathLike[str]],
    signers: Sequence[Signer],
    *,
    predicate_type: str,
    predicate: Mapping[str, Any],
    lifetime_s: int | None = None,
    now: float | None = None,
) -> dict[str, Any]:
    """Sign a Statement about files.

    Args:
        artifacts: Files.
        signers: Who signs; others can add theirs with :func:`add_signature`.
        predicate_type: A URI that says what the predicate is.
        predicate: What is claimed of the files.
        lifetime_s: Seconds until the signatures expire; None for never.
        now: Seconds since the epoch; by default the wall clock.

    Returns:
        A General JWS JSON Serialization, ready for ``json.dumps``.

    Raises:
        ConfigurationError: ``configuration_invalid``.
        OSError: A file cannot be read.

    Source: in-toto Statement v1; RFC 7515 section 7.2.1.
    """
    payload = statement_of(artifacts, predicate_type, predicate)
    return sign_payload(payload, signers, CONTENT_TYPE, time() if now is None else now, lifetime_s, {})


@checked(but=("envelope",))
def add_signature(
    envelope: bytes | str,
    signer: Signer,
    *,
    artifacts: Sequence[str | os.PathLike[str]],
    lifetime_s: int | None = None,
    now: float | None = None,
) -> dict[str, Any]:
    """Return an attestation with one more signature over the same payload.

    The signatures that are there are not verified: what is signed is what the signer checked, the files.

    Args:
        envelope: The attestation.
        signer: Who signs.
        artifacts: The files that the signer vouches for; the Statement must be about each.
        lifetime_s: Seconds until this signature expires; None for never.
        now: Seconds since the epoch; by default the wall clock.

    Raises:
        TokenRefused: It is no attestation, or is about other files.
        OSError: A file cannot be read.
    """
    members = read_envelope(envelope)
    payload = payload_of(members)
    if not artifacts:
        raise error_for("configuration_invalid", "artifacts", "one file or more", "none")
    check_artifacts(read_statement(payload), artifacts)
    more = sign_payload(payload, [signer], CONTENT_TYPE, time() if now is None else now, lifetime_s, {})
    if more["payload"] != members["payload"]:
        raise error_for("malformed_token", "payload", "strict base64url")
    return {"payload": members["payload"], "signatures": [*members["signatures"], *more["signatures"]]}


def read_envelope(envelope: bytes | str) -> dict[str, Any]:
    """Return the members of a General JSON Serialization.

    Raises:
        MalformedToken: It is none.
    """
    if not isinstance(envelope, (bytes, str)):
        raise refused("envelope", "text or bytes", envelope)
    octets = envelope.encode("utf-8", "surrogatepass") if isinstance(envelope, str) else envelope
    found = loads(octets, max_bytes=ENVELOPE_MAX_BYTES, max_depth=8, max_members=64, place="envelope")
    if (
        not isinstance(found, dict)
        or set(found) != {"payload", "signatures"}
        or not isinstance(found["payload"], str)
        or not isinstance(found["signatures"], list)
        or not all(isinstance(one, dict) for one in found["signatures"])
    ):
        raise error_for("malformed_token", "envelope", "a General JWS JSON Serialization")
    if len(found["signatures"]) > SIGNATURES_MAX:
        raise error_for("too_large", "envelope.signatures", f"at most {SIGNATURES_MAX} signatures")
    return found


def payload_of(members: Mapping[str, Any]) -> bytes:
    """Return the payload of an envelope that nobody verified yet."""
    from rapidjws import _native

    text = members["payload"]
    payload = _native.b64url_decode(text.encode("ascii", "replace"))
    if payload is None:
        raise error_for("malformed_base64url", "payload")
    return payload


@checked(but=("envelope", "roles", "policy"))
def verify_attestation(
    envelope: bytes | str,
    artifacts: Sequence[str | os.PathLike[str]],
    *,
    roles: Mapping[str, Keys],
    policy: str | RolePolicy,
    algorithms: Iterable[str],
    predicate_type: str | None = None,
    now: float | None = None,
) -> Attestation:
    """Verify that enough roles signed a Statement about these files.

    Args:
        envelope: The attestation.
        artifacts: The files that are to be used; the Statement must have the digests of each.
        roles: The public keys of each role; no key or kid in two of them.
        policy: ``"2 of build,review,security"``.
        algorithms: The ``alg`` values accepted.
        predicate_type: What the predicate must be, or None for any.
        now: Seconds since the epoch; by default the wall clock.

    Returns:
        What was verified.

    Raises:
        SignatureInvalid: ``signatures_insufficient`` or ``signature_invalid``: too few roles signed.
        TokenRefused: With the code of what else was found; ``claim_mismatch`` for another file.
        ConfigurationError: ``configuration_invalid``.
        OSError: A file cannot be read.
    """
    if not artifacts:
        raise error_for("configuration_invalid", "artifacts", "one file or more", "none")
    found = verify_payload(envelope, CONTENT_TYPE, roles, policy, algorithms, now, {})
    statement = read_statement(found.payload)
    if predicate_type is not None and statement["predicateType"] != predicate_type:
        raise error_for("claim_mismatch", "payload.predicateType", expected=predicate_type)
    check_artifacts(statement, artifacts)
    return Attestation(payload=found.payload, roles=found.roles, kids=found.kids, statement=statement)


def verify_payload(
    envelope: bytes | str,
    content_type: str,
    roles: Mapping[str, Keys],
    policy: str | RolePolicy,
    algorithms: Iterable[str],
    now: float | None,
    demanded: Mapping[str, Any],
) -> Attestation:
    """Verify the signatures of an envelope, and that the roles whose signatures hold now are enough.

    Args:
        envelope: A General JSON Serialization.
        content_type: What ``cty`` must be, in each protected header.
        roles: The keys of each role.
        policy: Which roles are enough.
        algorithms: The ``alg`` values accepted.
        now: Seconds since the epoch, or None.
        demanded: Further protected parameters, and the values that they must have.
    """
    required = policy if isinstance(policy, RolePolicy) else parse_policy(policy)
    keys = checked_roles(roles, required)
    members = read_envelope(envelope)
    verifier = Verifier(
        keys, algorithms=algorithms, max_token_bytes=ENVELOPE_MAX_BYTES, max_signatures=SIGNATURES_MAX
    )
    text = json.dumps(members).encode()
    verified = verifier.verify(text, signatures=any_of(may_differ=_OWN_DATES))
    now_ns = moment_ns(time() if now is None else now)
    signed: dict[str, str | None] = {}
    thumbprints: set[str] = set()
    late: RapidJWSError | None = None
    for one in verified.signatures:
        if one.verdict != "verified" or one.issuer is None or one.header is None:
            continue
        fault = _header_fault(one.header, content_type, demanded, now_ns)
        if fault is not None:
            late = late or fault
        elif one.key_thumbprint not in thumbprints:
            thumbprints.add(one.key_thumbprint or "")
            signed.setdefault(one.issuer, one.kid)
    if not required.is_met([*signed]):
        if late is not None:
            raise late
        raise error_for(
            "signatures_insufficient", "signatures", str(required), ",".join(sorted(signed)) or "none"
        )
    counted = tuple(sorted(set(signed) & required.roles))
    return Attestation(payload=verified.payload, roles=counted, kids=tuple(signed[role] for role in counted))


def _header_fault(
    header: Mapping[str, Any], content_type: str, demanded: Mapping[str, Any], now_ns: int
) -> RapidJWSError | None:
    """Return why a good signature does not count: it is about something else, or does not hold now."""
    for name, value in {"cty": content_type, **demanded}.items():
        if type(header.get(name)) is not type(value) or header.get(name) != value:
            return error_for("claim_mismatch", f"header.{name}", expected=value)
    for name in _OWN_DATES:
        date = header.get(name)
        if name in header and (type(date) is not int or not 0 <= date < 2**40):
            return error_for("malformed_claim", f"header.{name}", expected="whole seconds since the epoch")
    if "exp" in header and now_ns >= header["exp"] * SECOND_NS:
        return error_for("expired", "header.exp")
    if "iat" in header and now_ns + 300 * SECOND_NS < header["iat"] * SECOND_NS:
        return error_for("issued_in_future", "header.iat")
    return None

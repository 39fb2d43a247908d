"""What a signature must cover, checked step by step: content, critical parameters, digest, single use.

Nothing of a message is given out before the last step passed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from time import time_ns
from typing import TYPE_CHECKING, Any, Final

from rapidjws import _native
from rapidjws.errors import error_for
from rapidjws.jose import json_text
from rapidjws.jose.json_pointer import ABSENT
from rapidjws.jose.jws import parse_members
from rapidjws.jose.limits import HEADER_CEILING_BYTES, JSON_MAX_DEPTH
from rapidjws.middleware.body_digest import BodyDigest
from rapidjws.middleware.body_parts import BODY_MEMBERS_MAX, FormField, JSONMember
from rapidjws.middleware.body_replay import BodyReplay
from rapidjws.middleware.request_nonces import RequestNonces
from rapidjws.middleware.signed_request import (
    PayloadBuilder,
    RequestLines,
    SignedData,
    SignedRequest,
    built_payload,
)

if TYPE_CHECKING:
    from rapidjws.jwt.decision import Names
    from rapidjws.verify.result import VerifiedJWS

CritChecks = Mapping[str, Callable[[Any], bool]]
"""Critical header parameter -> what returns True for a value that is accepted."""

_PLAIN_CODINGS: Final = (b"", b"identity")


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyRules:
    """What is verified of a message; see :class:`rapidjws.middleware.SignedBody`."""

    part: JSONMember | FormField | None = None
    digest: BodyDigest | None = None
    payload_of: PayloadBuilder | None = None
    crit_checks: CritChecks | None = None
    crit_optional: Collection[str] = ()
    replay: BodyReplay | None = None
    nonces: RequestNonces | None = None

    def __post_init__(self) -> None:
        """Check that the rules go together."""
        if self.digest is not None and self.payload_of is not None:
            raise error_for("configuration_invalid", "body.digest", expected="a digest, or payload_of")
        if self.part is not None and self.digest is not None:
            raise error_for("configuration_invalid", "body.digest", expected="no digest of a body in itself")
        if self.nonces is not None and not isinstance(self.nonces, RequestNonces):
            raise error_for("configuration_invalid", "body.nonces", "RequestNonces, or None")
        is_covered = self.digest is not None or isinstance(self.payload_of, (RequestLines, SignedData))
        if self.nonces is not None and self.nonces.place == "body" and not is_covered:
            raise error_for(
                "configuration_invalid", "nonces.place", "claims or header, or a digest of the body"
            )
        if self.crit_checks is not None and not isinstance(self.crit_checks, Mapping):
            raise error_for("configuration_invalid", "body.crit_checks", expected="name -> function")
        for name, check in (self.crit_checks or {}).items():
            if not isinstance(name, str) or not name or not callable(check):
                raise error_for("configuration_invalid", "body.crit_checks", expected="name -> function")
        if isinstance(self.crit_optional, str) or not isinstance(self.crit_optional, Collection):
            raise error_for("configuration_invalid", "body.crit_optional", expected="names")
        if any(one not in (self.crit_checks or {}) for one in self.crit_optional):
            raise error_for("configuration_invalid", "body.crit_optional", expected="names of crit_checks")

    @property
    def reads_octets(self) -> bool:
        """Return whether the body's octets must be what the application reads: no content coding."""
        return self.part is not None or self.digest is not None or self.payload_of is not None

    def check_coding(self, headers: Callable[[bytes], Any]) -> None:
        """Refuse a compressed body: the application would read octets that nobody looked at.

        Raises:
            PolicyRefused: ``malformed_request``.
        """
        if self.reads_octets:
            codings = [bytes(one).strip(b" \t").lower() for one in headers(b"content-encoding")]
            if any(one not in _PLAIN_CODINGS for one in codings):
                raise error_for("malformed_request", "header.content-encoding", "no content coding")

    def payload(self, token: bytes, body: bytes, request: RequestFacts) -> bytes | None:
        """Return the detached payload that is built of a request; None where nothing is to be built.

        Raises:
            RapidJWSError: It cannot be built of this request.
        """
        if self.payload_of is None:
            return None
        header = _native.b64url_decode(token.partition(b".")[0])
        if header is None:
            raise error_for("malformed_token", "token", "a compact JWS")
        members = parse_members(header, max_bytes=HEADER_CEILING_BYTES)
        if request.target is None:
            raise error_for("malformed_request", "target", "one reading of the path")
        signed = SignedRequest(
            method=request.method,
            target=request.target,
            body=body,
            unverified_header=members,
            headers=request.headers,
        )
        return built_payload(self.payload_of, signed)

    def check(self, verified: VerifiedJWS, body: bytes, partner: Names = None) -> VerifiedJWS:
        """Return a verified JWS after all that is to be checked beside its signature.

        A nonce is used before the body is: a sender whose body could not be recorded signs it again with a
        new nonce, and a body that was recorded would be refused then.

        Args:
            verified: The JWS.
            body: The octets as they came.
            partner: Whose request it is, to its nonce.

        Raises:
            RapidJWSError: Why it is refused after all.
        """
        self._check_crit(verified)
        nonces, replay = self.nonces, self.replay
        needs_claims = (
            self.digest is not None
            or (replay is not None and replay.identity is not None)
            or (nonces is not None and nonces.place == "claims")
        )
        claims = _claims(verified) if needs_claims else None
        if self.digest is not None:
            self.digest.check(claims, body)
        if nonces is not None:
            nonces.check(_nonce(nonces, verified, claims, body), time_ns(), partner)
        if replay is not None:
            header = json.dumps(verified.header, sort_keys=True).encode()
            signed = len(header).to_bytes(4, "big") + header + verified.payload
            replay.check(verified, claims, signed)
        return verified

    def _check_crit(self, verified: VerifiedJWS) -> None:
        """Refuse a JWS unless each good signature's critical parameters have values that are accepted."""
        for name, check in (self.crit_checks or {}).items():
            for signature in verified.signatures:
                header = signature.header
                if header is None:  # of a signature that is not good
                    continue
                if name not in header and name in self.crit_optional:  # nor in crit: RFC 7515 s.4.1.11
                    continue
                if name not in header or name not in header.get("crit", ()):
                    raise error_for("crit_malformed", f"header.{name}", "this parameter, listed in crit")
                try:
                    accepted = check(header[name])
                except Exception:  # whatever it is: not accepted
                    accepted = False
                if accepted is not True:
                    raise error_for("crit_unsupported", f"header.{name}", "a value that is accepted")


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFacts:
    """What a signature may cover of a request beside its body.

    Attributes:
        method: As it was sent; empty where nobody knows.
        target: Path and query as they were sent; None where there is more than one reading.
        headers: Gives each value of a header by its lower-case name.
    """

    method: str
    target: str | None = field(repr=False)
    headers: Callable[[bytes], Any] = field(repr=False)


def _nonce(nonces: RequestNonces, verified: VerifiedJWS, claims: Any, body: bytes) -> Any:
    """Return the nonce of a verified request, or ``ABSENT`` where one of its signatures has none.

    Two good signatures with two of them were refused before: ``signers_disagree``.
    """
    if nonces.place == "claims":
        return nonces.find(claims)
    if nonces.place == "body":
        return nonces.find(_parsed(body, "body"))
    found = [nonces.find(one.header) for one in verified.signatures if one.header is not None]
    return ABSENT if not found or any(one is ABSENT for one in found) else found[0]


def _claims(verified: VerifiedJWS) -> Any:
    """Return a verified payload as JSON."""
    if verified.issuer is not None:
        try:
            return verified.claims
        except TypeError:  # a Verifier whose keys have a name
            pass
    return _parsed(verified.payload, "claims")


def _parsed(octets: bytes, place: str) -> Any:
    return json_text.loads(
        octets,
        max_bytes=len(octets),
        max_depth=JSON_MAX_DEPTH,
        max_members=BODY_MEMBERS_MAX,
        place=place,
    )

"""Sender-constrained tokens: the claim ``cnf`` (RFC 7800) compared with who sends the token.

It runs on a verified token only, and can turn a permit into a refusal, never the other way round.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from rapidjws._checks import checked, refused
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.sender.client_certificate import ClientCertificate
from rapidjws.sender.dpop import DPoP, Proof
from rapidjws.sender.dpop_challenge import DPoPChallenge
from rapidjws.sender.request import SenderRequest

if TYPE_CHECKING:
    from rapidjws.verify.result import VerifiedJWS
    from rapidjws.verify.snapshot import Token

JKT: Final = "jkt"
X5T: Final = "x5t#S256"
DIGEST_CHARS: Final = 43
"""32 octets in base64url."""


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class SenderConstraints:
    """How tokens that are bound to a sender are checked, for all issuers of an engine.

    A token whose ``cnf`` names what is not checked here is refused, and so is one that is bound twice.

    Args:
        dpop: How DPoP proofs are checked; None refuses tokens that are bound to a DPoP key.
        mtls: Where the client's certificate comes from; None refuses tokens that are bound to one.
        required: Whether a token that is bound to nothing is refused.

    Raises:
        ConfigurationError: ``configuration_invalid``: neither of the two.

    Source: RFC 9449 s.7, RFC 8705 s.3.
    """

    dpop: DPoP | None = None
    mtls: ClientCertificate | None = None
    required: bool = False

    def __post_init__(self) -> None:
        """Check that there is something to check with."""
        if self.dpop is None and self.mtls is None:
            raise error_for("configuration_invalid", "sender", expected="dpop, mtls or both")

    @property
    def blocking(self) -> bool:
        """Return whether a check may wait for another machine."""
        return self.dpop is not None and self.dpop.blocking

    @property
    def is_shared(self) -> bool:
        """Return whether several processes know of one another's proofs."""
        return self.dpop is None or self.dpop.blocking

    @property
    def has_nonces(self) -> bool:
        """Return whether nonces are given out: a refusal of a moment ago is then none of now."""
        return self.dpop is not None and self.dpop.nonces is not None

    def challenge(self, now_ns: int) -> DPoPChallenge | None:
        """Return what a refusal says about DPoP (RFC 9449 s.7.1 and s.9), or None.

        Args:
            now_ns: Nanoseconds since the epoch.
        """
        if self.dpop is None:
            return None
        is_alone = self.required and self.mtls is None
        return DPoPChallenge(self.dpop.challenge_algorithms, self.dpop.nonce(now_ns), is_alone)

    def check(self, request: SenderRequest) -> SenderCheckOf:
        """Return the check of the token of one request, for ``Engine.decide(sender=...)``.

        Args:
            request: Facts about it.

        Raises:
            ConfigurationError: ``configuration_invalid``: something else.
        """
        if not isinstance(request, SenderRequest):
            raise refused("request", "a SenderRequest", request)
        return SenderCheckOf(self, request)

    def _compared(
        self, request: SenderRequest, kind: str | None, value: str, now_ns: int, proved: Proof | None
    ) -> RapidJWSError | None:
        """Return why a token's binding does not fit a request, or None; what is not configured refuses.

        Args:
            request: Facts about it.
            kind: To what the token is bound, as ``binding_of`` has it.
            value: The digest in ``cnf``.
            now_ns: Nanoseconds since the epoch.
            proved: What ``DPoP._verify_one`` found of it, or None.

        Raises:
            PolicyRefused: ``malformed_request``.
        """
        if request.proofs and (len(request.proofs) > 1 or b"," in request.proofs[0]):
            return error_for("malformed_request", "dpop", expected="one proof")  # s.4.3 no. 1
        if kind == JKT:
            if self.dpop is None:
                return error_for("binding_unchecked", "claims.cnf.jkt")
            if not request.is_dpop or not request.proofs or not request.proofs[0].strip(b" \t"):
                return error_for("dpop_proof_missing", "dpop")  # s.7.1: never as a bearer token
            return self.dpop.refusal(request, value, now_ns, proved)
        if request.is_dpop or request.proofs:
            return error_for("token_not_bound", "claims.cnf", expected="jkt, as a proof came with it")
        if kind is None:
            return error_for("token_not_bound", "claims.cnf") if self.required else None
        if self.mtls is None:
            return error_for("binding_unchecked", "claims.cnf.x5t#S256")
        thumbprint = self.mtls.thumbprint(request)
        if thumbprint is None:
            return error_for("client_certificate_missing", "mtls.header")
        if not hmac.compare_digest(thumbprint, value):
            return error_for("binding_mismatch", "claims.cnf.x5t#S256", expected="the client's certificate")
        return None


class SenderCheckOf:
    """The check of the token of one request.

    Args:
        constraints: How.
        request: Facts about the request.
    """

    __slots__ = ("_constraints", "_proved", "_request")

    def __init__(self, constraints: SenderConstraints, request: SenderRequest) -> None:
        self._constraints = constraints
        self._request = request
        self._proved: Proof | None = None

    @property
    def blocking(self) -> bool:
        """Return whether it may wait for another machine."""
        return self._constraints.blocking

    def refusal(self, verified: VerifiedJWS, now_ns: int) -> RapidJWSError | None:
        """Return why the verified token must not be used by who sent it, or None."""
        proved, dpop = self._proved, self._constraints.dpop
        if proved is not None and dpop is not None:  # one good proof came with it: most often it is its own
            cnf = verified.claims.get("cnf")
            value = cnf.get(JKT) if cnf.__class__ is dict and len(cnf) == 1 else None
            if value.__class__ is str and len(value) == DIGEST_CHARS and value.isascii():
                return dpop.refusal(self._request, value, now_ns, proved)
        try:
            kind, value = binding_of(verified.claims)
            return self._constraints._compared(self._request, kind, value, now_ns, proved)
        except RapidJWSError as fault:
            return fault.with_traceback(None)

    def verify_one(self, snapshot: Any, token: Token, now_ns: int) -> Any:
        """Verify the token as ``snapshot.verify_one`` does, and its proof with it where its key is known.

        Args:
            snapshot: Of the engine.
            token: The token.
            now_ns: The moment its dates are compared with, nanoseconds since the epoch.
        """
        request, dpop = self._request, self._constraints.dpop
        if dpop is None or not request.is_dpop or len(request.proofs) != 1:
            return snapshot.verify_one(token, now_ns)
        if token.__class__ is not bytes or token != request.token:
            return snapshot.verify_one(token, now_ns)
        result, self._proved = dpop._verify_one(request, snapshot, request.token, now_ns)
        return result


def binding_of(claims: dict[str, Any]) -> tuple[str | None, str]:
    """Return to what a token is bound, ``"jkt"`` or ``"x5t#S256"``, and the value; None for nothing.

    Args:
        claims: The verified claims.

    Raises:
        ClaimRefused: ``malformed_claim``: ``cnf`` is no object, or its member no digest.
        PolicyRefused: ``bound_twice``; ``binding_unchecked``: another member, alone or beside a known one.
    """
    if "cnf" not in claims:
        return None, ""
    cnf = claims["cnf"]
    if not isinstance(cnf, dict):
        raise error_for("malformed_claim", "claims.cnf", expected="an object", actual=type(cnf).__name__)
    if JKT in cnf and X5T in cnf:
        raise error_for("bound_twice", "claims.cnf", expected="one of jkt and x5t#S256")
    if len(cnf) != 1 or not (JKT in cnf or X5T in cnf):
        raise _unchecked(cnf)
    ((kind, value),) = cnf.items()
    if not isinstance(value, str) or len(value) != DIGEST_CHARS or not value.isascii():
        raise error_for("malformed_claim", f"claims.cnf.{kind}", expected="a SHA-256 digest in base64url")
    return kind, value


def _unchecked(cnf: dict[str, Any]) -> RapidJWSError:
    """Return the refusal of a member that nobody compares: RFC 7800 s.3.1 lets an application demand it."""
    other = next((name for name in cnf if name not in (JKT, X5T)), None)
    place = "claims.cnf" if other is None else f"claims.cnf.{other}"
    return error_for("binding_unchecked", place, expected="one of jkt and x5t#S256, alone")

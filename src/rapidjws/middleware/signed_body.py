"""A signature of the body: the body is the JWS, or a header holds a detached one (RFC 7515 appendix F).

What is verified are the octets as they came, never parsed and written again. What this never does: read them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from rapidjws._checks import checked
from rapidjws.errors import error_for
from rapidjws.jws.parsed_jws import looks_like_json
from rapidjws.jwt.deciding import NO_TOKEN, decide
from rapidjws.jwt.decision import AMBIGUOUS, Decision, DecisionPolicy
from rapidjws.jwt.engine import Engine
from rapidjws.middleware.token_location import is_field_name
from rapidjws.observe.metric_list import DETACHED_VERIFICATIONS
from rapidjws.observe.recorder import MetricRecorder

if TYPE_CHECKING:
    from rapidjws.jws.verifier import Verifier
    from rapidjws.middleware.requests import RequestContext
    from rapidjws.verify.result import VerifiedJWS

SIGNATURE_HEADER: Final = "X-JWS-Signature"
BODY_MAX_BYTES: Final = 1 << 20

_MEDIA_TYPE: Final = re.compile(
    rb"application/(?:[a-z0-9][a-z0-9!#$&^_.+-]{0,126}\+)?(?:jwt|jose(\+json)?)\Z"
)
"""Bodies that are a JWS: ``jose`` and ``jose+json`` (RFC 7515 s.9.2), ``jwt`` (RFC 7519 s.10.3.1), and all
whose suffix says so (RFC 8417 s.7.2), ``secevent+jwt`` (RFC 8935) among them; any other is unsigned."""


def _result(decision: Decision) -> str:
    """Return the word under which a verification of a body is counted."""
    if decision.verified is not None:
        return "ok"
    if decision.code == "signature_invalid":  # another body was signed, or by another key
        return "mismatch"
    return "indeterminate" if decision.verdict == "indeterminate" else "refused"


@checked(under="body", but=("verifier",))
@dataclass(frozen=True, slots=True, kw_only=True)
class SignedBody:
    """How bodies are signed.

    Args:
        verifier: Its keys are the senders'; ``crit=["b64"]`` for unencoded payloads. Or an Engine, for bodies
            that are a JWT.
        signature_header: The header of the detached signature; None where the body itself is the JWS.
        max_bytes: Largest body; of a body that is the JWS, the verifier's ``max_token_bytes`` is a limit too.
        rollout: What becomes of a verdict; None refuses what is not good, or leaves it to the engine's own.
            Of a Verifier's results, a partner's rules on issuers, claims and scopes find none.
        recorder: Counts what verifications come to: ``rapidjws.observe.EngineMetrics(engine).recorder``.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    verifier: Verifier | Engine
    signature_header: str | None = SIGNATURE_HEADER
    max_bytes: int = BODY_MAX_BYTES
    rollout: DecisionPolicy | None = None
    recorder: MetricRecorder | None = None

    def __post_init__(self) -> None:
        """Check every argument once."""
        if self.signature_header is not None:
            if not is_field_name(self.signature_header):
                raise error_for("configuration_invalid", "body.signature_header", "a name of RFC 9110")
            if isinstance(self.verifier, Engine):
                raise error_for("configuration_invalid", "body.verifier", "a Verifier for detached content")
        if not isinstance(self.max_bytes, int) or self.max_bytes < 1:
            raise error_for("configuration_invalid", "body.max_bytes", expected="from 1 on")
        if not callable(getattr(self.verifier, "verify", None)):
            raise error_for("configuration_invalid", "body.verifier", "a Verifier, or an Engine for JWTs")
        if self.rollout is not None and isinstance(self.verifier, Engine):
            self.verifier.expect_retries(self.rollout)

    @property
    def field(self) -> bytes:
        """Return the lower-case name of the header that says what there is to verify."""
        return (self.signature_header or "content-type").lower().encode("ascii")

    @property
    def limit_bytes(self) -> int:
        """Return the largest body that can be verified."""
        if self.signature_header is not None:
            return self.max_bytes
        return min(self.max_bytes, self.verifier._snapshot.max_token_bytes)

    def signature_value(self, values: list[bytes]) -> bytes | None:
        """Return what the header says: the detached signature, or the media type of a JWS.

        Args:
            values: Each value of the header named by ``field``.

        Returns:
            It; None where the request carries no signature; ``AMBIGUOUS`` where there are several.
        """
        if len(values) > 1:  # the service could heed the other one
            return AMBIGUOUS
        value = values[0].strip(b" \t") if values else b""
        if self.signature_header is None:
            kind = value.partition(b";")[0].strip(b" \t").lower()
            return kind if _MEDIA_TYPE.match(kind) else None
        return AMBIGUOUS if b"," in value and not looks_like_json(value) else value or None

    def decide(self, context: RequestContext, body: bytes | None) -> Decision:
        """Verify a body and decide; never raises.

        Args:
            context: What the request says.
            body: The octets as they came; None for more than ``limit_bytes``.
        """
        signature_value = self.signature_value(context.values)
        if self.signature_header is None and body == b"":
            signature_value = AMBIGUOUS if signature_value is AMBIGUOUS else None
        policy = self.rollout
        if policy is None and isinstance(self.verifier, Engine):
            policy = self.verifier.rollout
        verify, retry = partial(self._verify, body), partial(self._verify_as_of, body)
        decision = decide(
            verify, retry, policy, signature_value, context.partner, context.route, None, context.scopes
        )
        if self.recorder is not None and decision.code not in NO_TOKEN:
            partner = "" if policy is None else decision.partner or ""  # else any name that the caller chose
            self.recorder.add(DETACHED_VERIFICATIONS, partner, _result(decision))
        return decision

    def _verify_as_of(
        self, body: bytes | None, signature_value: bytes, as_of_ns: int, now_ns: int
    ) -> VerifiedJWS:
        return self._verify(body, signature_value, None, (as_of_ns, now_ns))

    def _verify(
        self,
        body: bytes | None,
        signature_value: bytes,
        now: float | None,
        as_of: tuple[int, int] | None = None,
    ) -> VerifiedJWS:
        if body is None:
            raise error_for("too_large", "body", f"at most {self.limit_bytes} bytes")
        verifier: Any = self.verifier
        if self.signature_header is not None:
            detached: VerifiedJWS = verifier.verify(signature_value, payload=body)
            return detached
        is_json_type = signature_value.endswith(b"+json")
        if looks_like_json(body) != is_json_type:  # another reader would go by the media type
            raise error_for("malformed_token", "body", expected=signature_value.decode("ascii"))
        attached: VerifiedJWS
        if not isinstance(verifier, Engine):
            attached = verifier.verify(body)
        else:
            attached = verifier.verify(body, now) if as_of is None else verifier._verify_as_of(body, *as_of)
        return attached

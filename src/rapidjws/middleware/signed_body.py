"""A signature of the body: the body or a part of it is the JWS, or a header holds one (RFC 7515 appendix F).

What is verified are the octets as they came, never parsed and written again. What this never does: read them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from time import time_ns
from typing import TYPE_CHECKING, Any, Final

from rapidjws._checks import checked
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jws.parsed_jws import looks_like_json
from rapidjws.jwt.deciding import NO_TOKEN, decide, ruled
from rapidjws.jwt.decision import AMBIGUOUS, Decision, DecisionPolicy, RequestRules
from rapidjws.jwt.engine import Engine
from rapidjws.middleware.body_digest import BodyDigest
from rapidjws.middleware.body_parts import FormField, JSONMember
from rapidjws.middleware.body_replay import BodyReplay
from rapidjws.middleware.body_rules import BodyRules, CritChecks, RequestFacts
from rapidjws.middleware.request_nonces import RequestNonces
from rapidjws.middleware.signed_request import PayloadBuilder
from rapidjws.middleware.token_location import is_field_name
from rapidjws.observe.metric_list import DETACHED_VERIFICATIONS, REQUEST_NONCES
from rapidjws.observe.recorder import MetricRecorder

if TYPE_CHECKING:
    from rapidjws.jws.verifier import Verifier
    from rapidjws.jwt.decision import Names
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


@checked(under="body", but=("verifier", "signature_header", "payload_of", "crit_checks"))
@dataclass(frozen=True, slots=True, kw_only=True)
class SignedBody:
    """How bodies are signed.

    Args:
        verifier: Its keys are the senders'; ``crit=["b64"]`` for unencoded payloads. Or an Engine, for bodies
            that are a JWT.
        signature_header: The header of the signature, or several names of it, of which a request may use one:
            with two of them it is refused. None where the body itself is the JWS.
        scheme: What stands before the JWS in that header, ``"Bearer"``; ``""`` for nothing.
        part: Where in the body its JWS stands, instead of a header: a :class:`JSONMember` or a
            :class:`FormField`. The application gets a body without what that JWS does not cover.
        digest: The claim with a digest of the body; the header then holds a whole JWS.
        payload_of: Builds the detached payload out of the request: :class:`RequestLines`,
            :class:`SignedData`, or a function of a :class:`SignedRequest`.
        crit_checks: Critical header parameter -> a function of its value that returns True where it is
            accepted; the verifier's ``crit`` must name them too. Anything else, an exception too, refuses,
            and nothing of the message is given out before. Each must be there and listed in ``crit``.
        crit_optional: Those of them that a message may leave away; one that is there is checked as any other.
        replay: The demand that each body is used once.
        nonces: The nonces that senders sign: each good answer, and each 401, gives out a new one in
            ``Replay-Nonce``.
        max_bytes: Largest body; of a body that is the JWS, the verifier's ``max_token_bytes`` is a limit too.
        rollout: What becomes of a verdict; None refuses what is not good, or leaves it to the engine's own.
            Of a Verifier's results, a partner's rules on issuers, claims and scopes find none.
        authorizer: Rules after the verdict, which may look at the body; None for the engine's own, or none.
        recorder: Counts what verifications come to: ``rapidjws.observe.EngineMetrics(engine).recorder``.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    verifier: Verifier | Engine
    signature_header: str | tuple[str, ...] | None = SIGNATURE_HEADER
    scheme: str = ""
    part: JSONMember | FormField | None = None
    digest: BodyDigest | None = None
    payload_of: PayloadBuilder | None = None
    crit_checks: CritChecks | None = None
    crit_optional: tuple[str, ...] = ()
    replay: BodyReplay | None = None
    nonces: RequestNonces | None = None
    max_bytes: int = BODY_MAX_BYTES
    rollout: DecisionPolicy | None = None
    recorder: MetricRecorder | None = None
    authorizer: RequestRules | None = None

    def __post_init__(self) -> None:
        """Check every argument once."""
        for name in self._names:
            if not is_field_name(name):
                raise error_for("configuration_invalid", "body.signature_header", "a name of RFC 9110")
        if isinstance(self.signature_header, tuple) and not self._names:
            raise error_for("configuration_invalid", "body.signature_header", "a name of RFC 9110")
        if self.is_detached and isinstance(self.verifier, Engine):
            raise error_for("configuration_invalid", "body.verifier", "a Verifier for detached content")
        if self.crit_checks is not None and not isinstance(self.crit_checks, Mapping):
            raise error_for("configuration_invalid", "body.crit_checks", expected="name -> function")
        if self.payload_of is not None and not callable(self.payload_of):
            raise error_for("configuration_invalid", "body.payload_of", expected="a function")
        if self._names and self.scheme and not self.scheme.isalpha():
            raise error_for("configuration_invalid", "body.scheme", expected="a scheme's name")
        if not self._names and self.part is None and (self.digest or self.payload_of):
            raise error_for("configuration_invalid", "body.signature_header", "the header of the signature")
        self._rules  # noqa: B018  checks that they go together
        if not isinstance(self.max_bytes, int) or self.max_bytes < 1:
            raise error_for("configuration_invalid", "body.max_bytes", expected="from 1 on")
        if not callable(getattr(self.verifier, "verify", None)):
            raise error_for("configuration_invalid", "body.verifier", "a Verifier, or an Engine for JWTs")
        if self.rollout is not None and isinstance(self.verifier, Engine):
            self.verifier.expect_retries(self.rollout)

    @property
    def _names(self) -> tuple[str, ...]:
        """Return the names of the signature's header; none where the body holds it."""
        if self.part is not None or self.signature_header is None:
            return ()
        names = self.signature_header
        return names if isinstance(names, tuple) else (names,)

    @property
    def _rules(self) -> BodyRules:
        return BodyRules(
            part=self.part,
            digest=self.digest,
            payload_of=self.payload_of,
            crit_checks=self.crit_checks,
            crit_optional=self.crit_optional,
            replay=self.replay,
            nonces=self.nonces,
        )

    @property
    def is_detached(self) -> bool:
        """Return whether what is signed stands beside the JWS."""
        return self.payload_of is not None or (bool(self._names) and self.digest is None)

    @property
    def fields(self) -> tuple[bytes, ...]:
        """Return the lower-case names of the headers that say what there is to verify."""
        return tuple(name.lower().encode("ascii") for name in self._names) or (b"content-type",)

    @property
    def field(self) -> bytes:
        """Return the first one of ``fields``."""
        return self.fields[0]

    @property
    def limit_bytes(self) -> int:
        """Return the largest body that can be verified."""
        if self._names or self.part is not None:
            return self.max_bytes
        return min(self.max_bytes, self.verifier._snapshot.max_token_bytes)

    def signature_value(self, values: list[bytes]) -> bytes | None:
        """Return what the header says: the detached signature, or the media type of a JWS.

        Args:
            values: Each value of the headers named by ``fields``.

        Returns:
            It; None where the request carries no signature; ``AMBIGUOUS`` where there are several.
        """
        if len(values) > 1:  # the service could heed the other one
            return AMBIGUOUS
        value = values[0].strip(b" \t") if values else b""
        if self.part is not None:
            return value if value and self.part.fits(value) else None
        if not self._names:
            kind = value.partition(b";")[0].strip(b" \t").lower()
            return kind if _MEDIA_TYPE.match(kind) else None
        if self.scheme and value:
            scheme, _, value = value.partition(b" ")
            if scheme.lower() != self.scheme.lower().encode("ascii"):
                return None
            value = value.strip(b" ") or AMBIGUOUS
            if b" " in value:
                return AMBIGUOUS
        return AMBIGUOUS if b"," in value and not looks_like_json(value) else value or None

    def decide(self, context: RequestContext, body: bytes | None) -> Decision:
        """Verify a body and decide; never raises.

        Args:
            context: What the request says.
            body: The octets as they came; None for more than ``limit_bytes``.
        """
        signature_value = self.signature_value(context.values)
        if not self._names and body == b"":
            signature_value = AMBIGUOUS if signature_value is AMBIGUOUS else None
        policy = self.rollout
        if policy is None and isinstance(self.verifier, Engine):
            policy = self.verifier.rollout
        verify, retry = partial(self._verify, context, body), partial(self._verify_as_of, context, body)
        decision = decide(
            verify,
            retry,
            policy,
            signature_value,
            context.partner,
            context.route,
            None,
            context.scopes,
            partial(self._named_issuers, body) if isinstance(self.verifier, Engine) else None,
        )
        if self.recorder is not None and decision.code not in NO_TOKEN:
            partner = "" if policy is None else decision.partner or ""  # else any name that the caller chose
            self.recorder.add(DETACHED_VERIFICATIONS, partner, _result(decision))
        rules = self.rules
        if rules is not None:
            content = body if self._names else None  # else the payload is what was signed
            decision = ruled(rules, decision, context, context.partner, context.route, None, content)
        return decision if self.nonces is None else self._with_nonce(self.nonces, decision, context.partner)

    def _with_nonce(self, nonces: RequestNonces, decision: Decision, partner: Names) -> Decision:
        """Count what became of a nonce, and give a permit that of the next request (RFC 8555 s.6.5)."""
        if decision.outcome != "permit":
            if decision.code.startswith("nonce_"):
                self._count_nonce(decision.code.removeprefix("nonce_"))
            elif decision.place == "nonces":
                self._count_nonce("unavailable")
            return decision
        self._count_nonce("permitted")
        self._count_nonce("issued")
        return replace(decision, nonce=nonces.issue(time_ns(), partner))

    def _count_nonce(self, result: str) -> None:
        if self.recorder is not None:
            self.recorder.add(REQUEST_NONCES, result)

    @property
    def rules(self) -> RequestRules | None:
        """Return the rules after the verdict: its own, or the engine's."""
        if self.authorizer is None and isinstance(self.verifier, Engine):
            return self.verifier.authorizer
        return self.authorizer

    def _named_issuers(self, body: bytes | None, value: Any, signer: str | None = None) -> tuple[str, ...]:
        """Return the issuers that an unverified JWT of a body names: whose stages count, and nothing more."""
        verifier: Any = self.verifier
        named = () if signer is None else (signer,)
        if body is None:
            return named
        try:
            token = self._token(value, body)
        except RapidJWSError:  # there is no one token: nobody is named
            return named
        return tuple(verifier._named_issuers(token, signer))

    def _token(self, signature_value: bytes, body: bytes) -> bytes:
        """Return the JWS of a request, from where it stands: the part, the header or the body.

        Raises:
            RapidJWSError: There is none, or more than one.
        """
        if self.part is not None:
            return self.part.read(body)[0].encode("ascii")
        return signature_value if self._names else body

    def _verify_as_of(
        self,
        context: RequestContext,
        body: bytes | None,
        signature_value: bytes,
        as_of_ns: int,
        now_ns: int,
    ) -> VerifiedJWS:
        return self._verify(context, body, signature_value, None, (as_of_ns, now_ns))

    def _verify(
        self,
        context: RequestContext,
        body: bytes | None,
        signature_value: bytes,
        now: float | None,
        as_of: tuple[int, int] | None = None,
    ) -> VerifiedJWS:
        if body is None:
            raise error_for("too_large", "body", f"at most {self.limit_bytes} bytes")
        rules = self._rules
        rules.check_coding(context.headers)
        token = self._token(signature_value, body)
        if self.part is None and not self._names:
            is_json_type = signature_value.endswith(b"+json")
            if looks_like_json(body) != is_json_type:  # another reader would go by the media type
                raise error_for("malformed_token", "body", expected=signature_value.decode("ascii"))
        payload: bytes | None = None
        if self.is_detached:
            facts = RequestFacts(method=context.method, target=context.target, headers=context.headers)
            payload = body if self.payload_of is None else rules.payload(token, body, facts)
        return rules.check(self._verified(token, payload, now, as_of), body, context.partner)

    def nonce(self, decision: Decision, partner: Names) -> str | None:
        """Return the nonce for the next request of a partner: a new one with a refusal, or None."""
        if self.nonces is None or decision.outcome != "deny":
            return decision.nonce
        self._count_nonce("issued")
        return self.nonces.issue(time_ns(), partner)

    def _verified(
        self, token: bytes, payload: bytes | None, now: float | None, as_of: tuple[int, int] | None
    ) -> VerifiedJWS:
        """Return a JWS whose signature is good, and its claims where an engine verifies."""
        verifier: Any = self.verifier
        found: VerifiedJWS
        if payload is not None:
            found = verifier.verify(token, payload=payload)
        elif not isinstance(verifier, Engine):
            found = verifier.verify(token)
        else:
            found = verifier.verify(token, now) if as_of is None else verifier._verify_as_of(token, *as_of)
        return found

    def handed_on(self, decision: Decision, body: bytes) -> bytes:
        """Return what an application may read of a body: what was verified, where anything was."""
        if self.part is None or decision.verified is None:
            return body
        return self.part.read(body)[1]

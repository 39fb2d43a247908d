"""The sidecar's answers as octets, with what many of them have in common made once."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

from rapidjws.middleware.response import (
    TRUSTED,
    encoded_subject,
    plain,
    scopes_text,
    trusted_headers,
    warning_headers,
)
from rapidjws.sidecar.connection import PHRASES, head_of
from rapidjws.sidecar.decision_answers import OF_THE_TOKEN, DecisionAnswers

if TYPE_CHECKING:
    from collections.abc import Callable

    from rapidjws.jwt.decision import Decision
    from rapidjws.observe.request_info import IdentifiedHeaders
    from rapidjws.observe.tracing import RequestTrace
    from rapidjws.sidecar.settings import ServerSettings

WARN_S: Final = 60.0
"""How often a fault inside rapidjws is written, in seconds, however many requests meet it."""

_PERMIT: Final = b"%bx-jws-subject: %b\r\nx-jws-subject-encoded: \r\nx-jws-scope: %b\r\n\r\n"
"""The answer that most tokens get: what they have in common, subject and scopes."""

_OK: Final = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n"


class ResponseCache(DecisionAnswers[bytes, tuple[bytes, bytes]]):
    """The answers to ``/verify``.

    Args:
        settings: Realm and scheme of challenges, and the headers of claims.
        warn: Takes a line, once in WARN_S, where requests are not decided for a fault of ours.
        scheme: The scheme of challenges; None for that of tokens.
    """

    __slots__ = ("_has_claims", "_warn", "_warned_s")

    def __init__(
        self,
        settings: ServerSettings,
        warn: Callable[[str], None] = lambda line: None,
        *,
        scheme: str | None = None,
    ) -> None:
        super().__init__(settings, scheme=scheme)
        self._has_claims = bool(settings.claims_out)
        self._warn = warn
        self._warned_s = -WARN_S

    def reply(self, decision: Decision, method: bytes, nonce: str | None = None) -> bytes:
        """Return the whole answer to a request; it gives out a nonce, where there is one."""
        verified = decision.verified
        if verified is None or verified.issuer is None or decision.warnings or nonce is not None:
            return self._other(decision, method, nonce)
        start = self._start_of(decision, verified)
        claims = verified.claims
        subject = plain(claims.get("sub"))
        scopes = scopes_text(claims).encode()
        if subject and not self._has_claims:
            return _PERMIT % (start, subject.encode(), scopes)
        encoded = "" if subject else encoded_subject(claims.get("sub"))
        return b"%bx-jws-subject: %b\r\nx-jws-subject-encoded: %b\r\nx-jws-scope: %b\r\n%b\r\n" % (
            start,
            subject.encode(),
            encoded.encode(),
            scopes,
            head_of(self._claim_headers.headers(decision)) if self._has_claims else b"",
        )

    def _begin(self, decision: Decision) -> bytes:
        return _OK + head_of([one for one in trusted_headers(decision) if one[0] not in OF_THE_TOKEN])

    def _other(self, decision: Decision, method: bytes, nonce: str | None) -> bytes:
        """Return a refusal, or a permit with warnings, without a token or without claims."""
        if decision.code == "internal_error":
            self._warn_of_fault(decision)
        if decision.outcome == "permit":
            ours = trusted_headers(decision)
            if self._has_claims:
                ours = ours + self._claim_headers.headers(decision)
            return _OK + head_of(ours + warning_headers(decision)) + b"\r\n"
        head, body = self._refusal_of(decision, nonce)
        return head if method == b"HEAD" else head + body

    def _warn_of_fault(self, decision: Decision) -> None:
        now_s = monotonic()
        if now_s - self._warned_s >= WARN_S:
            self._warned_s = now_s
            self._warn(
                f"requests are not decided: internal_error, a fault inside rapidjws, at {decision.place}"
            )

    def _refuse(self, decision: Decision, nonce: str | None) -> tuple[bytes, bytes]:
        answer = self._answer(decision, nonce, bad_request_status=401)  # nginx knows 401 and 403 only
        start = b"HTTP/1.1 %d %b\r\ncontent-length: %d\r\n" % (
            answer.status,
            PHRASES[answer.status],
            len(answer.body),
        )
        return start + head_of(answer.headers) + b"\r\n", answer.body


def with_head(
    reply: bytes, decision: Decision, request: IdentifiedHeaders, trace: RequestTrace | None
) -> bytes:
    """Return an answer with our span, for the gateway to hand on, and with the id of its log line, if any."""
    more = [] if trace is None else trace.headers()
    if decision.verified is None:
        more = [*more, ("x-request-id", request.request_id)]
    start, _, rest = reply.partition(b"\r\n")
    return start + b"\r\n" + head_of(more) + rest


assert set(OF_THE_TOKEN) < set(TRUSTED)

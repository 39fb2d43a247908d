"""Envoy's CheckResponses as octets, with what many of them have in common made once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rapidjws._native import check_denied, check_permit
from rapidjws._protobuf import field
from rapidjws.middleware.response import (
    FORBIDDEN,
    encoded_subject,
    plain,
    scopes_text,
    trusted_headers,
    warning_headers,
)
from rapidjws.sidecar.decision_answers import OF_THE_TOKEN, DecisionAnswers
from rapidjws.sidecar.dynamic_metadata import metadata_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rapidjws.jwt.decision import Decision
    from rapidjws.middleware.response import Answer
    from rapidjws.observe.request_info import IdentifiedHeaders
    from rapidjws.observe.tracing import RequestTrace

Pairs = list[tuple[str, str]]

_PERMISSION_DENIED: Final = 7
_UNAUTHENTICATED: Final = 16
_UNAVAILABLE: Final = 14
_RPC_CODES: Final = {401: _UNAUTHENTICATED, 403: _PERMISSION_DENIED, 503: _UNAVAILABLE}
_OK_HEADERS: Final = 2  # OkHttpResponse


def _option(name: str, value: str) -> bytes:
    """Return a HeaderValueOption that overwrites: ``append`` is false, and sent as such."""
    return field(1, field(1, name) + field(2, value)) + field(2, b"")


class CheckResponses(DecisionAnswers[tuple[bytes, frozenset[str]], "Answer"]):
    """The answers to Envoy's checks.

    Args:
        settings: Realm and scheme of challenges, and which claims go to the service as headers, and to
            Envoy's filters as dynamic metadata.
        scheme: The scheme of challenges; None for that of tokens.
    """

    __slots__ = ()

    NOT_ALIKE = frozenset(FORBIDDEN | {"too_large"})
    """As over HTTP; and 413, which is for a body."""

    def reply(
        self,
        decision: Decision,
        removed: list[str],
        request: IdentifiedHeaders | None = None,
        trace: RequestTrace | None = None,
        nonce: str | None = None,
    ) -> bytes:
        """Return the CheckResponse of a decision.

        Args:
            decision: The decision.
            removed: Lower-case names of the request's headers that are ours: removed, or overwritten.
            request: The request's headers, for the id of its log line.
            trace: The request's span, for the service as parent.
            nonce: What the answer gives out for the next signed request, or None.
        """
        if decision.outcome != "permit":
            return self._refusal(decision, request, nonce)
        verified = decision.verified
        if verified is None or verified.issuer is None or decision.warnings or nonce is not None:
            return self._permit(decision, removed, b"", trusted_headers(decision), trace)
        fixed, names = self._start_of(decision, verified)
        claims = verified.claims
        subject, scopes = plain(claims.get("sub")), scopes_text(claims)
        is_bare = not removed and not self._claim_headers and trace is None
        if is_bare and subject and scopes and decision.sunset_at_s is decision.deprecated_at_s is None:
            return check_permit(fixed, (("x-jws-subject", subject), ("x-jws-scope", scopes)), (), (), b"")
        of_token = [("x-jws-subject", subject), ("x-jws-scope", scopes)]
        if not subject:
            of_token.append(("x-jws-subject-encoded", encoded_subject(claims.get("sub"))))
        return self._permit(decision, removed, fixed, of_token, trace, names)

    def _begin(self, decision: Decision) -> tuple[bytes, frozenset[str]]:
        """Return the headers that follow from key, issuer and partner as octets, and their names."""
        made = [one for one in trusted_headers(decision) if one[1] and one[0] not in OF_THE_TOKEN]
        return b"".join([field(_OK_HEADERS, _option(*one)) for one in made]), frozenset(
            one[0] for one in made
        )

    def _permit(
        self,
        decision: Decision,
        removed: list[str],
        fixed: bytes,
        headers: Pairs,
        trace: RequestTrace | None,
        names: Iterable[str] = (),
    ) -> bytes:
        """Return a permit; a header of ours without a value is removed."""
        claim_headers, metadata = self._claim_headers, b""
        if claim_headers:
            headers = headers + claim_headers.headers(decision)
            metadata = metadata_of(claim_headers.values(decision))
        made = [one for one in headers if one[1]]
        gone: tuple[str, ...] = ()
        if removed or claim_headers:  # Envoy's allowed_headers may hide one from the check
            kept = {one[0] for one in made}.union(names)
            gone = tuple(sorted(set(removed).union(claim_headers.names) - kept))
        if trace is not None:
            made += trace.headers()
        return check_permit(fixed, tuple(made), gone, tuple(warning_headers(decision)), metadata)

    def _refusal(self, decision: Decision, request: IdentifiedHeaders | None, nonce: str | None) -> bytes:
        answer = self._refusal_of(decision, nonce)
        named = () if request is None else (("x-request-id", request.request_id),)
        code = _RPC_CODES.get(answer.status, _PERMISSION_DENIED)
        return check_denied(code, answer.status, (*answer.headers, *named), answer.body)

    def _refuse(self, decision: Decision, nonce: str | None) -> Answer:
        return self._answer(decision, nonce)

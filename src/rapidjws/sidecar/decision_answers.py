"""What the answers to decisions have in common, over HTTP and gRPC: beginnings of permits, and refusals."""

from __future__ import annotations

from time import time_ns
from typing import TYPE_CHECKING, ClassVar, Final, Generic, TypeVar

from rapidjws.middleware.response import FORBIDDEN, answer_for

if TYPE_CHECKING:
    from rapidjws.jwt.decision import Decision
    from rapidjws.middleware.response import Answer
    from rapidjws.sidecar.settings import ServerSettings
    from rapidjws.verify.result import VerifiedJWS

Start = TypeVar("Start")
Refusal = TypeVar("Refusal")

KEPT_MAX: Final = 1024
"""Most beginnings of answers that are kept: kids and partners are configured, so there are few."""

OF_THE_TOKEN: Final = ("x-jws-subject", "x-jws-subject-encoded", "x-jws-scope")
"""What differs from token to token; all other trusted headers follow from key, issuer and partner."""


class DecisionAnswers(Generic[Start, Refusal]):
    """Answers to decisions, with what many of them have in common made once.

    Args:
        settings: Realm and scheme of challenges, and the headers of claims.
        scheme: The scheme of challenges; None for that of tokens.
    """

    __slots__ = ("_claim_headers", "_has_nonces", "_permits", "_realm", "_refusals", "_scheme", "_sender")

    NOT_ALIKE: ClassVar[frozenset[str]] = frozenset(FORBIDDEN)
    """Codes whose refusals are not alike: those of 403 name the scopes that are due."""

    def __init__(self, settings: ServerSettings, *, scheme: str | None = None) -> None:
        self._realm = settings.realm
        self._scheme = settings.place.scheme if scheme is None else scheme
        self._sender = settings.sender if scheme is None else None  # a signed body is bound to nobody
        self._has_nonces = False if self._sender is None else self._sender.has_nonces
        self._claim_headers = settings.claims_out
        self._permits: dict[tuple[str | None, str | None, str | None], Start] = {}
        self._refusals: dict[tuple[str, str], Refusal] = {}

    def _start_of(self, decision: Decision, verified: VerifiedJWS) -> Start:
        """Return how every permit of this key, issuer and partner begins."""
        key = (verified.issuer, verified.kid, decision.partner)
        start = self._permits.get(key)
        if start is None:
            start = self._begin(decision)
            if len(self._permits) < KEPT_MAX:
                self._permits[key] = start
        return start

    def _begin(self, decision: Decision) -> Start:
        """Make the beginning of a permit."""
        raise NotImplementedError

    def _refusal_of(self, decision: Decision, nonce: str | None) -> Refusal:
        """Return a refusal, with the nonce for the next request where there is one."""
        key = (decision.outcome, decision.code)
        made = self._refusals.get(key) if nonce is None else None
        if made is None:
            made = self._refuse(decision, nonce)
            is_alike = nonce is None and not self._has_nonces
            if decision.code not in self.NOT_ALIKE and is_alike:
                self._refusals[key] = made
        return made

    def _refuse(self, decision: Decision, nonce: str | None) -> Refusal:
        """Make a refusal."""
        raise NotImplementedError

    def _answer(self, decision: Decision, nonce: str | None, bad_request_status: int = 400) -> Answer:
        """Return status, headers and problem document of a refusal."""
        answer = answer_for(
            decision,
            realm=self._realm,
            scheme=self._scheme,
            bad_request_status=bad_request_status,
            dpop=None if self._sender is None else self._sender.challenge(time_ns()),
            nonce=nonce,
        )
        if answer is None:  # unreachable: it is no permit
            raise AssertionError
        return answer

"""What an engine decides about requests: permit, deny, or not known yet."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from rapidjws._checks import refused
from rapidjws.jwt.deciding import adecide, check_requests, decide, decide_many, ruled
from rapidjws.jwt.decision import AMBIGUOUS
from rapidjws.jwt.introspecting import EngineIntrospection
from rapidjws.jwt.micro_batch import INLINE_US
from rapidjws.verify.worker_pool import call_on_thread

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from rapidjws.jwt.decision import Decision, DecisionPolicy, DecisionRequest, Names, RequestRules
    from rapidjws.verify.pipeline import Snapshot
    from rapidjws.verify.protocols import SenderCheck
    from rapidjws.verify.result import Rejected, VerifiedJWS
    from rapidjws.verify.snapshot import Token
    from rapidjws.verify.verdict_counters import VerdictCounters


class EngineDecisions(EngineIntrospection):
    """The decisions of an engine; each counts as one verdict, under its partner."""

    __slots__ = ()

    if TYPE_CHECKING:
        _counters: VerdictCounters | None
        _snapshot: Snapshot
        rollout: DecisionPolicy | None
        _authorizer: RequestRules | None

        def _verify_uncounted(
            self, token: Token, now: float | None = None, *, wait_s: float = 0.0
        ) -> VerifiedJWS: ...
        def _verify_sent(
            self, sender: SenderCheck, token: Token, now: float | None = None
        ) -> VerifiedJWS: ...
        def _averify_sent(
            self, sender: SenderCheck, token: Token, now: float | None = None
        ) -> Awaitable[VerifiedJWS]: ...
        def _averify_uncounted(
            self, token: Token, now: float | None = None, *, wait_s: float = 0.0
        ) -> Awaitable[VerifiedJWS]: ...
        def _verify_together(
            self, tokens: Sequence[Token], now: float | None
        ) -> list[VerifiedJWS | Rejected]: ...

    @property
    def _may_wait(self) -> bool:
        """Return whether a decision may wait for another machine."""
        rules, post_checks = self._authorizer, self._snapshot.post_checks
        return (rules is not None and rules.blocking) or (post_checks is not None and post_checks.blocking)

    def _is_quick(self, token: bytes | None) -> bool:
        """Return whether a decision keeps a loop for a moment: nothing to wait for, no slow algorithm."""
        if not token or token is AMBIGUOUS:
            return True
        snapshot, introspection = self._snapshot, self._introspection
        if self._may_wait:
            return False
        if introspection is not None and not introspection.is_known(
            token, partial(self._named_issuers, token)
        ):
            return False
        return snapshot.native.cost_of_one_us(token) <= INLINE_US

    @property
    def authorizer(self) -> RequestRules | None:
        """Return the rules that ``decide`` applies after the verdict, or None."""
        return self._authorizer

    @authorizer.setter
    def authorizer(self, rules: RequestRules | None) -> None:
        if rules is not None and not callable(getattr(rules, "apply", None)):
            raise refused("authorizer", "an Authorizer, or an object with apply", rules)
        self._authorizer = rules  # type: ignore[misc]  # a slot of Engine

    def decide(
        self,
        token: Token | None,
        *,
        partner: Names = None,
        route: Names = None,
        scopes: tuple[str, ...] = (),
        now: float | None = None,
        sender: SenderCheck | None = None,
        request: Any = None,
    ) -> Decision:
        """Verify one token, if there is one, and say what to do with the request; never raises.

        Args:
            token: As for ``verify``, or None where the request has none.
            partner: Who is asking, as authenticated by other means than the token; None for unknown, and a
                tuple where a request names several: the strictest stage holds.
            route: The path that is asked for, as it was sent; None where it is not known, and a tuple where a
                request names several: the strictest stage holds.
            scopes: What ``scope`` (RFC 8693 s.4.2) or ``scp`` must hold for this request.
            now: Seconds since the epoch; by default the wall clock.
            sender: Compares what the token is bound to with who sent it: what
                :meth:`rapidjws.sender.SenderConstraints.check` returns. None compares nothing.
            request: Its method and headers, where rules look at them: a ``rapidjws.authz.HTTPRequest``.

        Returns:
            The decision. Without a rollout, what is not good is refused.
        """
        verify: Any = self._verify_uncounted
        verify_as_of: Any = self._verify_as_of
        if self._introspection is not None:
            verify = partial(self._verify_asking, route, sender)
            verify_as_of = partial(self._verify_asking_as_of, route, sender)
        elif sender is not None:
            verify = partial(self._verify_sent, sender)
            if self.rollout is not None:
                verify_as_of = partial(self._verify_as_of, sender=sender)
        decision = decide(
            verify,
            verify_as_of,
            self.rollout,
            token,
            partner,
            route,
            now,
            scopes,
            self._named_issuers,
            self._counters,
        )
        rules = self._authorizer
        return decision if rules is None else ruled(rules, decision, request, partner, route, now)

    def decide_many(
        self,
        requests: Sequence[DecisionRequest],
        *,
        now: float | None = None,
        facts: Sequence[Any] | None = None,
    ) -> list[Decision]:
        """Decide on several requests at once, as ``decide`` does on each; never raises.

        Args:
            requests: Token, partner and route of each request.
            now: Seconds since the epoch, the same for all; by default the wall clock.
            facts: Method and headers of each, where rules look at them: ``rapidjws.authz.HTTPRequest``.

        Returns:
            One decision a request, in order.
        """
        if self._introspection is not None:
            return self._decide_each(requests, now, facts)
        decisions = decide_many(
            self._verify_together,
            self._verify_uncounted,
            self._verify_as_of,
            self.rollout,
            requests,
            now,
            self._named_issuers,
            self._counters,
        )
        rules = self._authorizer
        if rules is None:
            return decisions
        of = facts if facts is not None and len(facts) == len(requests) else (None,) * len(requests)
        return [
            ruled(rules, decision, one, partner, route, now)
            for decision, (_, partner, route), one in zip(decisions, requests, of, strict=True)
        ]

    def _decide_each(
        self, requests: Sequence[DecisionRequest], now: float | None, facts: Sequence[Any] | None
    ) -> list[Decision]:
        """Decide on requests one after the other: each token may be asked for."""
        check_requests(requests)
        of = facts if facts is not None and len(facts) == len(requests) else (None,) * len(requests)
        return [
            self.decide(token, partner=partner, route=route, now=now, request=one)
            for (token, partner, route), one in zip(requests, of, strict=True)
        ]

    async def adecide(
        self,
        token: Token | None,
        *,
        partner: Names = None,
        route: Names = None,
        scopes: tuple[str, ...] = (),
        now: float | None = None,
        sender: SenderCheck | None = None,
        request: Any = None,
    ) -> Decision:
        """Decide as ``decide`` does, verifying together with what else arrives in the same turn of the loop.

        Args:
            token: As for ``decide``.
            partner: As for ``decide``.
            route: As for ``decide``.
            scopes: As for ``decide``.
            now: As for ``decide``.
            sender: As for ``decide``; such a token is verified by itself.
            request: As for ``decide``.

        Returns:
            The decision.
        """
        verify: Any = self._averify_uncounted
        verify_as_of: Any = self._averify_as_of
        if self._introspection is not None:
            verify = partial(self._averify_asking, route, sender)
            verify_as_of = partial(self._averify_asking_as_of, route, sender)
        elif sender is not None:
            verify = partial(self._averify_sent, sender)
            verify_as_of = partial(self._averify_as_of, sender=sender)
        decision = await adecide(
            verify,
            verify_as_of,
            self.rollout,
            token,
            partner,
            route,
            now,
            scopes,
            self._named_issuers,
            self._counters,
        )
        rules = self._authorizer
        if rules is None:
            return decision
        say = partial(ruled, rules, decision, request, partner, route, now)
        return await call_on_thread(say) if rules.blocking else say()

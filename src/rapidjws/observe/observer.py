"""What reads each decision: the log of refusals, and the tracer. Neither can change one."""

from __future__ import annotations

import contextlib
from time import monotonic, perf_counter_ns, time
from typing import TYPE_CHECKING

from rapidjws.jwt.decision import OK
from rapidjws.observe.decision_log import OPEN_ALG_CODES, DecisionLog, security_event, stated_alg
from rapidjws.observe.metric_list import SECURITY_EVENTS, VERIFICATION_DURATION
from rapidjws.observe.tracing import NO_TRACER, RequestTrace, begin_trace, decision_attributes

if TYPE_CHECKING:
    from rapidjws.jwt.decision import Decision
    from rapidjws.jwt.engine import Engine
    from rapidjws.observe.recorder import MetricRecorder
    from rapidjws.observe.request_info import Headers
    from rapidjws.observe.tracing import AttributeValue, Tracer
    from rapidjws.verify.snapshot import Token


class Observer:
    """The readers of the decisions of one middleware, or of one worker.

    Args:
        engine: Decides; None where a Verifier does.
        log: The log of refusals; None for one with the defaults.
        tracer: Makes spans; None for none.
    """

    __slots__ = ("_engine", "is_tracing", "log", "recorder", "tracer")

    def __init__(
        self, engine: Engine | None = None, *, log: DecisionLog | None = None, tracer: Tracer | None = None
    ) -> None:
        self._engine = engine
        self.log = log or DecisionLog(engine)
        self.tracer: Tracer = tracer or NO_TRACER
        self.is_tracing = self.tracer is not NO_TRACER
        """Whether any span is made: else no header is looked at."""
        self.recorder: MetricRecorder | None = None
        """Counts signs of an attack, and remembers exemplars; None where metrics are off."""

    def begin(self, headers: Headers) -> RequestTrace | None:
        """Begin the span of a request whose caller records; None for all others."""
        return begin_trace(self.tracer, headers) if self.is_tracing else None

    def look(self, trace: RequestTrace | None, token: Token | None) -> None:
        """Note what can be seen only before a decision, where there is a span."""
        if trace is not None and self._engine is not None:
            trace.look_in_cache(self._engine, token)

    def abandon(self, trace: RequestTrace | None) -> None:
        """End the span of a request that gets no decision: its client went away."""
        if trace is not None:
            with contextlib.suppress(Exception):
                trace.end({"jws.code": "abandoned"}, failed=True)

    def end(
        self,
        decision: Decision,
        token: Token | None,
        headers: Headers,
        started_ns: int,
        trace: RequestTrace | None,
        batch_size: int | None = None,
    ) -> None:
        """Log a decision where its token was not verified, and end its span; never raises, never waits.

        Args:
            decision: The decision.
            token: The token; it is not kept.
            headers: Gives each value of a request's header by its lower-case name.
            started_ns: When the decision began, by ``perf_counter_ns``.
            trace: The request's span, or None.
            batch_size: How many requests were decided together, or None.
        """
        if decision.code != OK:
            duration_ns = perf_counter_ns() - started_ns
            self.log.note(decision, token=token, headers=headers, duration_ns=duration_ns)
            if decision.code in OPEN_ALG_CODES and self.recorder is not None:
                self._count_sign(decision.code, token)
        if trace is not None:
            try:
                attributes = self._attributes(decision, token)
                if batch_size is not None:
                    attributes["jws.batch_size"] = batch_size
                trace.end(attributes, failed=decision.code == "internal_error")
                self._remember(decision, trace, perf_counter_ns() - started_ns)
            except Exception:  # the verdict stands whatever becomes of its span
                self.log.faults += 1

    def _count_sign(self, code: str, token: Token | None) -> None:
        """Count an algorithm that is a sign of an attack; other signs follow from the codes of verdicts."""
        try:
            sign = security_event(code, stated_alg(token) or "")
            if sign is not None and self.recorder is not None:
                self.recorder.add(
                    SECURITY_EVENTS, sign, self.recorder.configured(self.log.named_issuer(token))
                )
        except Exception:  # the verdict stands whatever becomes of its counts
            self.log.faults += 1

    def _remember(self, decision: Decision, trace: RequestTrace, elapsed_ns: int) -> None:
        """Remember a sampled request as the exemplar of the bucket that counts it."""
        good = decision.verified
        if self.recorder is not None and good is not None:
            self.recorder.sampled(
                VERIFICATION_DURATION,
                good.issuer or "",
                good.alg,
                value=elapsed_ns / 1e9,
                trace_id=trace.trace_id,
                span_id=trace.span_id,
                at_s=time(),
            )

    def _attributes(self, decision: Decision, token: Token | None) -> dict[str, AttributeValue]:
        verified = decision.verified
        if verified is None:
            return decision_attributes(decision, alg=stated_alg(token), issuer=self.log.named_issuer(token))
        found = decision_attributes(decision, alg=verified.alg, issuer=verified.issuer)
        age_s = self._key_age_s(verified.issuer, verified.kid)
        return found if age_s is None else {**found, "jws.key_age_s": age_s}

    def _key_age_s(self, issuer: str | None, kid: str | None) -> float | None:
        """Return since when a rotation brought a key, in seconds; None for one that was there before."""
        if self._engine is None or issuer is None or kid is None:
            return None
        seen_s = self._engine.key_state(issuer).first_seen.get(kid)
        return None if seen_s is None else round(max(0.0, monotonic() - seen_s), 3)

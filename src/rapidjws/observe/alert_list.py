"""The list of alerts: each once, with its expression, severity, cause, runbook and dashboard.

``<300>`` in an expression stands for a duration in seconds, so that a game day can shorten it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

PREFIX: Final = "RapidJWS"
"""Of every alert's name in Prometheus; :mod:`rapidjws.observe.thresholds` has them without it."""

Severity = Literal["page", "ticket", "info"]
Cause = Literal[
    "refusals", "latency", "keys", "rotation", "security", "stores", "clock", "workers", "rollout"
]

BUDGET: Final = 0.001
"""M1: the share of verifications that may end without permit."""

WINDOWS_S: Final = (300, 1800, 3600, 7200, 21_600, 86_400, 259_200)
"""Windows of the burn rates, in seconds."""

EVENTS_MIN: Final = 10
"""Refused or undecided tokens in the long window below which no burn rate alerts: one token is no outage."""

ISSUER_RATIO: Final = (
    'sum by (issuer, verdict) (rate(rapidjws_verifications_total{issuer!="",verdict!="permit"}[WINDOW]))'
    " / on (issuer) group_left () "
    'sum by (issuer) (rate(rapidjws_verifications_total{issuer!=""}[WINDOW]))'
)
"""Tokens that name none of our issuers are nobody's objective: a stranger's noise burns no budget."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert.

    Attributes:
        name: Its name, without the prefix.
        severity: ``page``: somebody is called; ``ticket``: somebody looks during the day; ``info``: nobody.
        cause: What it is grouped by, beside the issuer.
        expression: PromQL, durations as ``<seconds>``.
        for_s: How long it must hold, in seconds.
        summary: What is the matter, with values, as a template of Prometheus.
        runbook: The name that ``rapidjws runbook`` takes.
        dashboard: executive, oncall or debug.
        measure: Which of the ten measures it guards, or None.
        escalate: Whether a second person is called.
    """

    name: str
    severity: Severity
    cause: Cause
    expression: str
    for_s: int = 0
    summary: str
    runbook: str
    dashboard: str = "oncall"
    measure: str | None = None
    escalate: bool = False


def _window(seconds: int) -> str:
    units = ((86_400, "d"), (3600, "h"), (60, "m"))
    return next(f"{seconds // size}{unit}" for size, unit in units if seconds % size == 0)


def burn(factor: float, long_s: int, short_s: int) -> str:
    """Return the expression of a burn rate in a long and a short window."""
    ratio = "rapidjws:verification_errors:ratio_rate{}"
    limit = f"{factor} * {BUDGET}"
    bad = (
        "sum by (issuer, verdict) "
        f'(increase(rapidjws_verifications_total{{issuer!="",verdict!="permit"}}[<{long_s}>]))'
    )
    return (
        f"{ratio.format(_window(long_s))} > {limit}"
        f" and on (issuer, verdict) {ratio.format(_window(short_s))} > {limit}"
        f" and on (issuer, verdict) {bad} >= {EVENTS_MIN}"
    )


def _p95(metric: str, by: str, limit_s: float, window_s: int = 300) -> str:
    """Return the expression for a classic or a native histogram: Prometheus keeps the one it scrapes."""
    classic = f"histogram_quantile(0.95, sum by ({by}, le) (rate({metric}_bucket[<{window_s}>])))"
    native = f"histogram_quantile(0.95, sum by ({by}) (rate({metric}[<{window_s}>])))"
    return f"({classic} or {native}) > {limit_s}"


def _any(selector: str, by: str, window_s: int) -> str:
    """Return the expression of a count that grew, or whose series is new: increase() sees no first value."""
    grown = f"sum by ({by}) (increase({selector}[<{window_s}>]))"
    return f"{grown} > 0 or sum by ({by}) ({selector} unless {selector} offset <{window_s}>) > 0"


def _alert(
    name: str, severity: Severity, cause: Cause, expression: str, summary: str, runbook: str, for_s: int = 0,
    dashboard: str = "oncall", measure: str | None = None, *, escalate: bool = False,
) -> Alert:  # fmt: skip
    return Alert(name=name, severity=severity, cause=cause, expression=expression, for_s=for_s, summary=summary,
                 runbook=runbook, dashboard=dashboard, measure=measure, escalate=escalate)  # fmt: skip


_BURNING: Final = (
    "{{ $labels.issuer }}: {{ $value | humanizePercentage }} of the verifications end with"
    " {{ $labels.verdict }}, the objective is 0.1 %"
)
_LATE: Final = "the 95th percentile is {{ $value | humanizeDuration }}, the objective is"

_REFUSALS: Final = (
    _alert("VerificationBurnFast", "page", "refusals", burn(14.4, 3600, 300),
           _BURNING + "; a month's budget is gone in two days", "verification-failures", measure="M1"),
    _alert("VerificationBurnSlow", "page", "refusals", burn(6, 21_600, 1800),
           _BURNING + "; a month's budget is gone in five days", "verification-failures", measure="M1"),
    _alert("VerificationBurnSustained", "page", "refusals",
           f"rapidjws:verification_errors:ratio_rate5m > 2 * {BUDGET} and on (issuer, verdict) sum by (issuer, verdict)"
           f' (increase(rapidjws_verifications_total{{issuer!="",verdict!="permit"}}[<1800>])) >= {EVENTS_MIN}',
           _BURNING + ", for half an hour: call a second person", "verification-failures", 1800, measure="M1",
           escalate=True),
    _alert("VerificationBurnDay", "ticket", "refusals", burn(3, 86_400, 7200), _BURNING + ", over a day",
           "verification-failures", 900, "executive", "M1"),
    _alert("VerificationBurnDays", "ticket", "refusals", burn(1, 259_200, 21_600), _BURNING + ", over three days",
           "verification-failures", 3600, "executive", "M1"),
    _alert("ClaimFailures", "ticket", "refusals",
           'sum by (issuer) (rate(rapidjws_claim_refusals_total{code!="expired"}[<3600>]))'
           " / on (issuer) sum by (issuer) (rate(rapidjws_verifications_total[<3600>])) > 0.001"
           ' and on (issuer) sum by (issuer) (increase(rapidjws_claim_refusals_total{code!="expired"}[<3600>])) >= 10',
           "{{ $labels.issuer }}: claims of {{ $value | humanizePercentage }} of the tokens are refused, expired ones"
           " not counted", "verification-failures", 900, measure="M5"),
    _alert("DetachedMismatch", "ticket", "refusals",
           _any('rapidjws_detached_verifications_total{result="mismatch"}', "partner", 600),
           "{{ $labels.partner }}: {{ $value | humanize }} bodies are not what was signed",
           "verification-failures", measure="M8"),
)  # fmt: skip

_LATENCY: Final = (
    _alert("LatencyHigh", "page", "latency",
           _p95("rapidjws_verification_duration_seconds", "issuer, alg", 0.01),
           "{{ $labels.issuer }}, {{ $labels.alg }}: " + _LATE + " 10 ms", "latency", 600, "debug", "M2"),
    _alert("JWKSFetchSlow", "ticket", "latency", _p95("rapidjws_jwks_fetch_duration_seconds", "issuer", 0.2),
           "fetches of {{ $labels.issuer }}: " + _LATE + " 200 ms", "jwks-down", 1800, "debug", "M3"),
    _alert("SigningSlow", "ticket", "latency",
           _p95("rapidjws_signing_duration_seconds", "backend, alg", 0.02),
           "signing with {{ $labels.backend }}: " + _LATE + " 20 ms", "latency", 900, "debug", "M7"),
    _alert("LoopLag", "ticket", "latency", "rapidjws_event_loop_lag_seconds > 1",
           "worker {{ $labels.worker }}: its loop was {{ $value | humanizeDuration }} late", "latency", 60, "debug"),
    _alert("TablesOff", "page", "latency",
           "rapidjws_precomputed_tables_off > 0 or increase(rapidjws_precomputed_tables_mismatches_total[<3600>]) > 0",
           "worker {{ $labels.worker }}: libcrypto disagreed with a precomputed table ({{ $value }}), they are off", "latency",
           dashboard="debug"),
)  # fmt: skip

_KEYS: Final = (
    _alert("KeysUnavailable", "page", "keys", "max by (issuer) (rapidjws_jwks_stale) > 0",
           "{{ $labels.issuer }}: no key that may still be used; its tokens get 503", "jwks-down", 60, measure="M4"),
    _alert("NotReady", "page", "keys", "min(rapidjws_ready) < 1",
           "a required issuer has no usable key in a worker: ready is {{ $value }}", "jwks-down", 120),
    _alert("JWKSFetchFailing", "ticket", "keys",
           'sum by (issuer) (increase(rapidjws_jwks_fetches_total{result!="ok"}[<600>])) >= 3 unless on (issuer)'
           ' sum by (issuer) (increase(rapidjws_jwks_fetches_total{result="ok"}[<600>])) > 0',
           "{{ $labels.issuer }}: {{ $value | humanize }} fetches failed in 10 min, none went well; known keys serve"
           " until they are stale", "jwks-down", 60, measure="M4"),
    _alert("JWKSFetchFailures", "ticket", "keys",
           'sum by (issuer) (increase(rapidjws_jwks_fetches_total{result!="ok"}[<86400>]))'
           " / on (issuer) sum by (issuer) (increase(rapidjws_jwks_fetches_total[<86400>])) > 0.001",
           "{{ $labels.issuer }}: {{ $value | humanizePercentage }} of a day's fetches failed, the objective is 0.1 %",
           "jwks-down", 3600, "executive", "M4"),
)  # fmt: skip

_ROTATION: Final = (
    _alert("RotationGoneWrong", "page", "rotation",
           'sum by (issuer) (rate(rapidjws_verifications_total{issuer!="",code="unknown_kid"}[<300>]))'
           ' / on (issuer) sum by (issuer) (rate(rapidjws_verifications_total{issuer!=""}[<300>])) > 0.05'
           ' and on (issuer) sum by (issuer) (increase(rapidjws_verifications_total{code="unknown_kid"}[<300>])) >= 10',
           "{{ $labels.issuer }}: {{ $value | humanizePercentage }} of its tokens name a key that we do not have",
           "rotation-gone-wrong", 60, measure="M6"),
    _alert("RotationLag", "ticket", "rotation",
           _p95("rapidjws_key_first_use_lag_seconds", "issuer", 300, 3600),
           "{{ $labels.issuer }}: {{ $value | humanizeDuration }} from a new key's publication to its first use, the"
           " objective is 5 min", "rotation-gone-wrong", measure="M6"),
    _alert("ChangeLag", "page", "workers", "max by (worker) (rapidjws_change_lag_seconds) > 300",
           "worker {{ $labels.worker }} took a change over after {{ $value | humanizeDuration }}", "cache-flush",
           measure="M6"),
    _alert("UnknownKidFlood", "page", "rotation",
           _any("rapidjws_unknown_kid_floods_total", "issuer", 600),
           "{{ $labels.issuer }}: a flood of tokens that name unknown keys (a hundred or more in a minute,"
           " {{ $value | humanize }} times)",
           "rotation-gone-wrong", measure="M6"),
    _alert("EmergencyRotationSlow", "page", "security",
           'max by (issuer) (rapidjws_emergency_rotation_seconds{drill="false"}) > 1800',
           "{{ $labels.issuer }}: the last emergency rotation took {{ $value | humanizeDuration }}, the objective is"
           " 30 min", "emergency-revoke", measure="M10"),
    _alert("PlannedRotation", "info", "rotation", "max by (issuer) (rapidjws_planned_rotation) > 0",
           "{{ $labels.issuer }}: a rotation is announced ({{ $value }})", "rotation-gone-wrong"),
)  # fmt: skip

_SIGNS: Final = 'event=~"private_key_published|kid_rebound"'
_OTHERS: Final = 'event!~"private_key_published|kid_rebound|replay_detected"'
_SECURITY: Final = (
    _alert("KeyCompromiseSign", "page", "security",
           _any(f"rapidjws_security_events_total{{{_SIGNS}}}", "issuer, event", 600),
           "{{ $labels.issuer }}: {{ $labels.event }}, {{ $value | humanize }} times: a key may be in foreign hands",
           "key-compromise", measure="M10"),
    _alert("RevokedKeyUsed", "ticket", "security",
           _any('rapidjws_verifications_total{code="revoked"}', "issuer", 600),
           "{{ $labels.issuer }}: {{ $value | humanize }} revoked tokens, or tokens of revoked keys, in 10 min",
           "key-compromise"),
    _alert("AttackSigns", "ticket", "security",
           _any(f"rapidjws_security_events_total{{{_OTHERS}}}", "issuer, event", 600),
           "{{ $labels.issuer }}: {{ $labels.event }}, {{ $value | humanize }} times in 10 min", "key-compromise",
           dashboard="debug"),
    _alert("Replay", "page", "security",
           _any('rapidjws_replay_checks_total{result="replayed"}', "issuer", 300) + " or "
           + _any('rapidjws_verifications_total{code="replayed"}', "issuer", 300),
           "{{ $labels.issuer }}: {{ $value | humanize }} tokens were used twice in 5 min", "key-compromise",
           measure="M9"),
)  # fmt: skip

_ISSUING: Final = (
    _alert("IssuerStateFailed", "page", "keys", "max by (issuer) (rapidjws_issuer_state_failed) > 0",
           "{{ $labels.issuer }}: the state of its keys cannot be read ({{ $value }}); after state_max_age_s nothing is"
           " signed", "issuer-down", 60),
    _alert("IssuerWithoutLeader", "page", "rotation", "sum by (issuer) (rapidjws_issuer_leads) < 1",
           "{{ $labels.issuer }}: no process changes its keys ({{ $value }} lead)", "issuer-down", 300),
    _alert("IssuerWithoutNextKey", "ticket", "rotation",
           'sum by (issuer, alg) (rapidjws_issuer_keys{stage="active"}) > 0 unless on (issuer, alg)'
           ' sum by (issuer, alg) (rapidjws_issuer_keys{stage="next"}) > 0',
           "{{ $labels.issuer }}, {{ $labels.alg }}: {{ $value }} active key and none to take its place in an emergency",
           "issuer-down", 300, measure="M10"),
    _alert("IssuerRotationOverdue", "ticket", "rotation",
           "max by (issuer) (rapidjws_issuer_next_rotation_seconds) <= 0",
           "{{ $labels.issuer }}: a rotation is due ({{ $value }} s) and not made", "issuer-down", 900),
    _alert("ConsumersMissing", "ticket", "rotation", "max by (issuer) (rapidjws_consumers_missing) > 0",
           "{{ $labels.issuer }}: {{ $value }} consumers have not confirmed its newest key", "issuer-down", 600,
           measure="M6"),
    _alert("SigningRefused", "page", "latency",
           "sum by (backend, code) (increase(rapidjws_signing_queue_refused_total[<300>])) >= 10",
           "{{ $labels.backend }}: {{ $value | humanize }} requests got no signature in 5 min, {{ $labels.code }}",
           "issuer-down", 60, "debug", "M7"),
    _alert("SigningBackendDown", "page", "latency", "max by (backend) (rapidjws_signing_backend_open) > 0",
           "{{ $labels.backend }} failed and is left alone ({{ $value }})", "issuer-down", 60, "debug", "M7"),
    _alert("SigningQuotaNear", "ticket", "latency",
           "sum by (backend) (rate(rapidjws_signing_calls_total[<300>]))"
           " / on (backend) (sum by (backend) (rapidjws_signing_quota_calls) > 0) > 0.8",
           "{{ $labels.backend }}: {{ $value | humanizePercentage }} of the calls that the queue may make", "issuer-down",
           600, "debug", "M7"),
    _alert("TokensUnavailable", "page", "keys",
           'sum by (result) (increase(rapidjws_token_requests_total{result=~"temporarily_unavailable|server_error"}[<300>]))'
           " >= 3",
           "{{ $value | humanize }} requests for tokens ended with {{ $labels.result }} in 5 min", "issuer-down", 60),
)  # fmt: skip

_BESIDE: Final = (
    _alert("AuditRecordsLost", "page", "stores", _any('rapidjws_audit_records_total{result="lost"}', "result", 300),
           "{{ $value | humanize }} decisions in 5 min have no record in the audit trail", "workers"),
    _alert("AuditNotSealed", "ticket", "stores",
           "sum(increase(rapidjws_audit_checkpoints_unsigned_total[<3600>])) >= 3 or"
           ' sum(increase(rapidjws_audit_timestamps_total{result="failed"}[<3600>])) >= 3 or'
           ' sum(increase(rapidjws_audit_cosignatures_total{result="failed"}[<3600>])) >= 3',
           "checkpoints of the audit trail were not signed, stamped or cosigned {{ $value | humanize }} times in an hour",
           "workers", 300, "debug"),
    _alert("IntrospectionFailing", "page", "keys",
           'sum(increase(rapidjws_introspections_total{result=~"unavailable|not_asked"}[<300>]))'
           " / sum(increase(rapidjws_introspections_total[<300>])) > 0.05"
           ' and sum(increase(rapidjws_introspections_total{result=~"unavailable|not_asked"}[<300>])) >= 10',
           "of {{ $value | humanizePercentage }} of the tokens the authorization server gave no answer", "jwks-down",
           60, "debug"),
    _alert("StatusListsFailing", "ticket", "keys",
           'sum(increase(rapidjws_status_list_fetches_total{result="failed"}[<900>])) >= 3'
           ' unless sum(increase(rapidjws_status_list_fetches_total{result="ok"}[<900>])) > 0',
           "no status list was fetched in 15 min, {{ $value | humanize }} fetches failed", "jwks-down", 60, "debug"),
    _alert("RequestsShed", "page", "latency", "sum(increase(rapidjws_requests_shed_total[<300>])) >= 100",
           "{{ $value | humanize }} requests were answered undecided in 5 min: more come than there is time for",
           "latency", 60),
)  # fmt: skip

_REST: Final = (
    _alert("ReplayStoreDown", "page", "stores", "sum(rate(rapidjws_replay_store_errors_total[<300>])) > 0",
           "the replay store does not answer: {{ $value | humanize }} questions a second", "replay-store-down", 60,
           measure="M9"),
    _alert("ClockImplausible", "page", "clock",
           _any('rapidjws_verifications_total{code="clock_implausible"}', "code", 300),
           "our clock cannot be right: {{ $value | humanize }} tokens could not be judged", "clock-skew"),
    _alert("IssuerClockAhead", "ticket", "clock",
           'max by (issuer) (rapidjws_clock_skew_seconds{stat="max"}) > 30',
           "{{ $labels.issuer }}: its clock is ahead of ours by {{ $value | humanizeDuration }} or more", "clock-skew",
           60),
    _alert("ClockRefusals", "page", "clock",
           'sum by (issuer) (rate(rapidjws_claim_refusals_total{code=~"not_yet_valid|issued_in_future"}[<300>]))'
           ' / on (issuer) sum by (issuer) (rate(rapidjws_verifications_total{issuer!=""}[<300>])) > 0.01',
           "{{ $labels.issuer }}: {{ $value | humanizePercentage }} of its tokens come from the future", "clock-skew",
           60, measure="M5"),
    _alert("WorkerFlapping", "page", "workers", "sum(increase(rapidjws_worker_restarts_total[<900>])) >= 3",
           "workers were started again {{ $value | humanize }} times in 15 min", "workers"),
    _alert("Absent", "page", "workers", "absent(rapidjws_build_info)",
           "no service answers: {{ $value }} series are missing", "workers", 120),
    _alert("ConfigurationRefused", "ticket", "workers", "max by (worker) (rapidjws_config_refused) > 0",
           "worker {{ $labels.worker }} refused the last configuration ({{ $value }}) and goes by the one before",
           "workers", 300),
    _alert("PartnerRefusedWhole", "ticket", "rollout",
           "sum by (partner) (increase(rapidjws_requests_refused_total[<3600>]))"
           " / on (partner) sum by (partner) (increase(rapidjws_requests_total[<3600>])) > 0.99"
           " and on (partner) sum by (partner) (increase(rapidjws_requests_total[<3600>])) >= 50",
           "{{ $labels.partner }}: {{ $value | humanizePercentage }} of its requests were refused in an hour",
           "partner-onboarding", 300),
    _alert("RefusedAfterPromotion", "page", "rollout",
           "(sum by (partner) (rate(rapidjws_requests_refused_total[<300>]))"
           " / on (partner) sum by (partner) (rate(rapidjws_requests_total[<300>]))) > 0.05"
           ' and on (partner) sum by (partner) (increase(rapidjws_requests_let_through_total[<3600>])) >= 10',
           "{{ $labels.partner }}: {{ $value | humanizePercentage }} of its requests are refused, which passed within"
           " the last hour", "enforcement-rollback", 60),
    _alert("Freeze", "info", "rollout", "max(rapidjws_rollout_frozen) > 0", "the rollout is frozen ({{ $value }})",
           "enforcement-rollback"),
)  # fmt: skip

ALERTS: Final[tuple[Alert, ...]] = (
    *_REFUSALS,
    *_LATENCY,
    *_KEYS,
    *_ROTATION,
    *_SECURITY,
    *_ISSUING,
    *_BESIDE,
    *_REST,
)
"""Every alert, grouped by cause."""

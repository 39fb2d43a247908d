"""Conditions in a running service's status that call for a person, each with its runbook.

They are the service's own alerts: the status page and ``rapidjws top`` show them without a Prometheus. A
status is what ``/admin/status.json`` answers; what it leaves out raises no alert.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

Severity = Literal["page", "ticket"]
Status = Mapping[str, Any]

SUCCESS_OBJECTIVE: Final = 0.999
"""M1: the share of requests whose token verifies."""

FAST_BURN: Final = 14.4
"""Error budget spent so many times too fast: a budget of 30 days is gone in two days."""

SLOW_BURN: Final = 6.0
REQUESTS_MIN: Final = 50
"""Requests in a window below which no rate is judged."""

LATENCY_P95_US: Final = 10_000.0
"""M2."""

LAG_MAX_S: Final = 300.0
"""M6: a rotation or a change reaches every worker in this time."""

FETCH_FAILURES_MIN: Final = 3
"""Failed fetches in a row from which an issuer's address counts as down."""

ROTATION_SHARE: Final = 0.05
"""Share of the tokens of 5 minutes that name an unknown kid, above which a rotation went wrong."""

ROTATION_MIN: Final = 10
"""Tokens with unknown kids below which no rotation is judged."""

RESTARTS_MIN: Final = 3
LOOP_LAG_MAX_S: Final = 1.0
SKEW_MAX_S: Final = 30.0
CERTAIN_S: Final = 3600.0
"""Seconds for which a change that hints at a compromise stays an alert."""

SUSPECT_CHANGES: Final = frozenset({"private_key_published", "kid_rebound", "duplicate_kid"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """One condition.

    Attributes:
        name: Its name, as that of the Prometheus alert for the same.
        severity: ``"page"``: somebody is called; ``"ticket"``: somebody looks during the day.
        runbook: The name that ``rapidjws runbook`` takes.
        find: Returns a summary for each thing in a status that meets the condition: ``subject: values``. The
            subject stays while the values change, as it tells the alert from others of the name.
    """

    name: str
    severity: Severity
    runbook: str
    find: Callable[[Status], Iterable[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A condition that is met.

    Attributes:
        name: The name of the threshold.
        severity: Its severity.
        runbook: Its runbook.
        summary: What is the matter, with values.
    """

    name: str
    severity: Severity
    runbook: str
    summary: str

    @property
    def subject(self) -> str:
        """Return what the alert is about; with the name it says which alert goes on and which is another."""
        return self.summary.partition(": ")[0]  # an issuer's name has colons of its own

    def as_dict(self) -> dict[str, str]:
        """Return the alert as flat values."""
        return {
            "name": self.name,
            "severity": self.severity,
            "runbook": self.runbook,
            "summary": self.summary,
        }


def alerts_of(status: Status) -> list[Alert]:
    """Return the alerts that a status calls for, pages first."""
    found = [
        Alert(name=one.name, severity=one.severity, runbook=one.runbook, summary=summary)
        for one in THRESHOLDS
        for summary in one.find(status)
    ]
    return sorted(found, key=lambda alert: alert.severity != "page")


# --- what is read of a status ------------------------------------------------------------------------------


def _window(status: Status, seconds: int) -> Mapping[str, Any]:
    for one in status.get("windows", ()):
        if one["seconds"] == seconds:
            return one  # type: ignore[no-any-return]
    return {}


def _code(window: Mapping[str, Any], code: str) -> int:
    return sum(one["count"] for one in window.get("codes", ()) if one["code"] == code)


def _burn(window: Mapping[str, Any], kind: str) -> float:
    """Return how many times too fast a window spends the error budget by one kind of verdict."""
    requests = window.get("requests", 0)
    if requests < REQUESTS_MIN:
        return 0.0
    return float(window[kind] / requests / (1 - SUCCESS_OBJECTIVE))


def _burning(status: Status, kind: str, factor: float, short: int, long: int) -> str | None:
    """Return the words for a budget that burns in a short and in a long window, or None."""
    burns = [_burn(_window(status, seconds), kind) for seconds in (short, long)]
    if min(burns) <= factor:
        return None
    window = _window(status, long)
    worst = next((one["code"] for one in window["codes"] if one["verdict"] == kind), "-")
    share = window[kind] / window["requests"]
    return f"{share:.1%} of {window['requests']} requests in {long // 60} min, most often {worst}"


# --- the conditions ----------------------------------------------------------------------------------------


def _refused_fast(status: Status) -> Iterable[str]:
    words = _burning(status, "deny", FAST_BURN, 60, 300)
    return [f"tokens are refused: {words}"] if words else []


def _refused_slow(status: Status) -> Iterable[str]:
    if _burning(status, "deny", FAST_BURN, 60, 300):
        return []
    words = _burning(status, "deny", SLOW_BURN, 300, 3600)
    return [f"tokens are refused: {words}"] if words else []


def _undecided(status: Status) -> Iterable[str]:
    words = _burning(status, "indeterminate", FAST_BURN, 60, 300)
    return [f"no verdict: {words}"] if words else []


def _not_ready(status: Status) -> Iterable[str]:
    return [] if status.get("ready", True) else ["not ready: a required issuer has no usable key in a worker"]


def _no_keys(status: Status) -> Iterable[str]:
    for one in status.get("issuers", ()):
        if one.get("code") is not None and one.get("required", True):
            why = f", last failure: {one['failure']}" if one.get("failure") else ""
            yield f"{one['issuer']}: {one['code']}{why}"


def _fetch_fails(status: Status) -> Iterable[str]:
    for one in status.get("issuers", ()):
        if one.get("failures", 0) >= FETCH_FAILURES_MIN:
            left = one.get("stale_in_s")
            until = "" if left is None else f"; the keys in use are stale in {max(left, 0):.0f} s"
            yield f"{one['issuer']}: {one['failures']} fetches failed in a row, {one.get('failure')}{until}"


def _workers_differ(status: Status) -> Iterable[str]:
    for one in status.get("issuers", ()):
        if one.get("differs") and one.get("differs_for_s", 0) > LAG_MAX_S:
            which = ", ".join(map(str, one["differs"]))
            yield f"{one['issuer']}: workers {which} have other keys for {one['differs_for_s']:.0f} s"


def _change_lag(status: Status) -> Iterable[str]:
    for one in status.get("workers", ()):
        if one.get("behind_s", 0) > LAG_MAX_S:
            yield f"worker {one['pid']}: it is behind by a change of {one['behind_s']:.0f} s ago"


def _rotation(status: Status) -> Iterable[str]:
    window = _window(status, 300)
    count = _code(window, "unknown_kid")
    if count >= ROTATION_MIN and count > ROTATION_SHARE * window["requests"]:
        yield f"unknown kids: {count} of {window['requests']} tokens in 5 min name a key that we do not have"


def _flood(status: Status) -> Iterable[str]:
    for issuer, count in sorted(_window(status, 300).get("unknown_kid_floods", {}).items()):
        yield f"{issuer}: a flood of tokens that name unknown keys, {count} times in 5 min"


def _replayed(status: Status) -> Iterable[str]:
    count = _code(_window(status, 300), "replayed")
    return [f"replays: {count} tokens were used twice in 5 min"] if count else []


def _revoked_used(status: Status) -> Iterable[str]:
    count = _code(_window(status, 300), "revoked")
    return [f"revoked: {count} revoked tokens, or tokens of revoked keys, came in 5 min"] if count else []


def _compromise(status: Status) -> Iterable[str]:
    for one in status.get("changes", ()):
        if one["event"] in SUSPECT_CHANGES and status["at_s"] - one["at_s"] < CERTAIN_S:
            yield f"{one.get('issuer')}: {one['event']}, kid {one.get('kid')}"


def _store_down(code: str, words: str) -> Callable[[Status], Iterable[str]]:
    def find(status: Status) -> Iterable[str]:
        count = _code(_window(status, 60), code)
        return [f"{words}: {count} requests in a minute got no verdict"] if count else []

    return find


def _flapping(status: Status) -> Iterable[str]:
    restarts = _window(status, 300).get("restarts", 0)
    return (
        [f"restarts: workers were started again {restarts} times in 5 min"]
        if restarts >= RESTARTS_MIN
        else []
    )


def _loop_lag(status: Status) -> Iterable[str]:
    for one in status.get("workers", ()):
        if one.get("loop_lag_s", 0) > LOOP_LAG_MAX_S:
            yield f"worker {one['pid']}: its loop was {one['loop_lag_s']:.1f} s late"


def _skew(status: Status) -> Iterable[str]:
    for one in status.get("issuers", ()):
        skew = one.get("skew")
        if skew is not None and skew["max_s"] > SKEW_MAX_S:
            yield f"{one['issuer']}: its clock is ahead of ours by {skew['max_s']:.0f} s or more"


def _slow(status: Status) -> Iterable[str]:
    latency = status.get("latency_us", {})
    if latency.get("requests", 0) >= REQUESTS_MIN and latency["p95"] > LATENCY_P95_US:
        yield f"latency: p95 of verification is {latency['p95'] / 1000:.1f} ms, the objective is 10 ms"


def _config_refused(status: Status) -> Iterable[str]:
    refused = [str(one["pid"]) for one in status.get("workers", ()) if one.get("config_refused")]
    return [f"configuration: workers {', '.join(refused)} refused the last one"] if refused else []


def _partner_fails(status: Status) -> Iterable[str]:
    for one in status.get("partners", ()):
        is_judged = one["phase"] == "enforcement" and one.get("recent", 0) >= REQUESTS_MIN
        if is_judged and one["recent_failed"] == one["recent"]:
            yield f"{one['partner']}: all {one['recent']} requests of the last day failed"


THRESHOLDS: Final[tuple[Threshold, ...]] = (
    Threshold(name="NotReady", severity="page", runbook="jwks-down", find=_not_ready),
    Threshold(name="KeysUnavailable", severity="page", runbook="jwks-down", find=_no_keys),
    Threshold(name="JWKSFetchFailing", severity="ticket", runbook="jwks-down", find=_fetch_fails),
    Threshold(
        name="VerificationBurnFast", severity="page", runbook="verification-failures", find=_refused_fast
    ),
    Threshold(
        name="VerificationBurnSlow", severity="ticket", runbook="verification-failures", find=_refused_slow
    ),
    Threshold(name="NoVerdictBurn", severity="page", runbook="jwks-down", find=_undecided),
    Threshold(name="KeysDifferBetweenWorkers", severity="page", runbook="cache-flush", find=_workers_differ),
    Threshold(name="ChangeLag", severity="page", runbook="cache-flush", find=_change_lag),
    Threshold(name="RotationGoneWrong", severity="page", runbook="rotation-gone-wrong", find=_rotation),
    Threshold(name="UnknownKidFlood", severity="page", runbook="rotation-gone-wrong", find=_flood),
    Threshold(name="Replay", severity="page", runbook="key-compromise", find=_replayed),
    Threshold(name="RevokedKeyUsed", severity="ticket", runbook="key-compromise", find=_revoked_used),
    Threshold(name="KeyCompromiseSign", severity="page", runbook="key-compromise", find=_compromise),
    Threshold(
        name="ReplayStoreDown",
        severity="page",
        runbook="replay-store-down",
        find=_store_down("replay_store_unavailable", "the replay store does not answer"),
    ),
    Threshold(
        name="ClockImplausible",
        severity="page",
        runbook="clock-skew",
        find=_store_down("clock_implausible", "this machine's clock cannot be right"),
    ),
    Threshold(name="IssuerClockAhead", severity="ticket", runbook="clock-skew", find=_skew),
    Threshold(name="WorkerFlapping", severity="page", runbook="workers", find=_flapping),
    Threshold(name="LoopLag", severity="ticket", runbook="latency", find=_loop_lag),
    Threshold(name="LatencyHigh", severity="ticket", runbook="latency", find=_slow),
    Threshold(name="ConfigurationRefused", severity="ticket", runbook="workers", find=_config_refused),
    Threshold(
        name="PartnerRefusedWhole", severity="ticket", runbook="partner-onboarding", find=_partner_fails
    ),
)
"""All conditions, in the order in which they are looked at."""

"""The list of metrics: every measured thing once, with its type, unit, labels, measure and target.

The exposition, the reference page, dashboards, alert rules and runbooks are made from it or tested against
it. Labels are configured names and closed sets, never ``kid``, ``sub``, ``jti`` or a path from outside.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX: Final = "rapidjws_"

MetricType = Literal["counter", "gauge", "histogram"]
Merge = Literal["sum", "max", "min", "last"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Buckets:
    """The bounds of a histogram: powers of two of a second, so that a native histogram of schema 0 is exact.

    Attributes:
        first: The power of the smallest bound: -20 is 0.95 microseconds.
        last: The power of the largest bound; what lies above is in the bucket ``+Inf``.
    """

    first: int
    last: int

    @property
    def bounds_s(self) -> tuple[float, ...]:
        """Return the upper bounds, in seconds, without infinity."""
        return tuple(2.0**power for power in range(self.first, self.last + 1))


VERIFICATION: Final = Buckets(first=-20, last=0)
"""0.95 microseconds to 1 second."""

NETWORK: Final = Buckets(first=-10, last=6)
"""1 millisecond to 64 seconds."""

ROTATION: Final = Buckets(first=-4, last=16)
"""62 milliseconds to 18 hours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric.

    Attributes:
        name: The whole name, with prefix and, of a counter, ``_total``.
        type: What Prometheus calls it.
        unit: The unit that the name ends in (before ``_total``), or ``""``.
        labels: Its labels, in order.
        help: What it tells, in a sentence.
        measure: Which of the ten measures it answers, ``"M1"`` to ``"M10"``, or None.
        target: What the measure is judged by, or None.
        buckets: The bounds of a histogram, else None.
        merge: How the values of several workers become one.
    """

    name: str
    type: MetricType
    unit: str = ""
    labels: tuple[str, ...] = ()
    help: str
    measure: str | None = None
    target: str | None = None
    buckets: Buckets | None = None
    merge: Merge = "sum"


def _counter(
    name: str, labels: str, words: str, measure: str | None = None, target: str | None = None, unit: str = ""
) -> Metric:
    return Metric(name=f"{PREFIX}{name}_total", type="counter", unit=unit, labels=tuple(labels.split()),
                  help=words, measure=measure, target=target)  # fmt: skip


def _gauge(
    name: str, labels: str, words: str, measure: str | None = None, target: str | None = None,
    merge: Merge = "sum",
) -> Metric:  # fmt: skip
    unit = next((one for one in ("seconds", "bytes") if name.endswith(f"_{one}")), "")
    return Metric(name=f"{PREFIX}{name}", type="gauge", unit=unit, labels=tuple(labels.split()),
                  help=words, measure=measure, target=target, merge=merge)  # fmt: skip


def _histogram(
    name: str, labels: str, words: str, buckets: Buckets, measure: str | None = None,
    target: str | None = None,
) -> Metric:  # fmt: skip
    return Metric(name=f"{PREFIX}{name}", type="histogram", unit="seconds", labels=tuple(labels.split()),
                  help=words, measure=measure, target=target, buckets=buckets)  # fmt: skip


# --- the ten measures ---------------------------------------------------------------------------------

VERIFICATIONS: Final = _counter(
    "verifications", "issuer partner verdict code",
    "Verdicts on tokens; issuer is the one whose keys were asked, empty where the token names none of ours.",
    "M1", "99.9 % permit; indeterminate is counted apart from deny",
)  # fmt: skip
VERIFICATION_DURATION: Final = _histogram(
    "verification_duration_seconds", "issuer alg",
    "Time from a token to its verdict; of a batch, its window's time shared by its tokens.",
    VERIFICATION, "M2", "95 % below 10 ms",
)  # fmt: skip
JWKS_FETCH_DURATION: Final = _histogram(
    "jwks_fetch_duration_seconds", "issuer result",
    "Time that a fetch of an issuer's JWK Set took.", NETWORK, "M3", "95 % below 200 ms",
)  # fmt: skip
JWKS_FETCHES: Final = _counter(
    "jwks_fetches", "issuer result reason",
    "Fetches of an issuer's JWK Set; reason is empty where it went well.", "M4", "below 0.1 % failed",
)  # fmt: skip
JWKS_AGE: Final = _gauge(
    "jwks_age_seconds", "issuer", "Time since an issuer's keys were fetched, of the worker that lags most.",
    "M4", merge="max",
)  # fmt: skip
JWKS_STALE: Final = _gauge(
    "jwks_stale", "issuer", "1 where a worker has no keys of an issuer that may still be used.",
    "M4", "0", merge="max",
)  # fmt: skip
JWKS_KEYS: Final = _gauge(
    "jwks_keys", "issuer", "Keys of an issuer in use, of the worker that has fewest.", "M4", merge="min"
)
CLAIM_REFUSALS: Final = _counter(
    "claim_refusals", "issuer claim code",
    "Tokens with a good signature whose claims were refused; expired stands apart from invalid.",
    "M5", "below 0.1 % of verifications",
)  # fmt: skip
KEY_FIRST_USE_LAG: Final = _histogram(
    "key_first_use_lag_seconds", "issuer",
    "From the moment a new key was first seen published to the first token that it verified.",
    ROTATION, "M6", "below 5 min",
)  # fmt: skip
CHANGE_LAG: Final = _gauge(
    "change_lag_seconds", "worker",
    "From the call of the last change (reload, revocation, promotion) to where it held in a worker.",
    "M6", "below 5 min", merge="last",
)  # fmt: skip
SIGNING_DURATION: Final = _histogram(
    "signing_duration_seconds", "backend alg result", "Time that a signature took to make.",
    VERIFICATION, "M7", "95 % below 20 ms",
)  # fmt: skip
SIGNING_QUEUE_DEPTH: Final = _gauge(
    "signing_queue_depth", "backend", "Signatures that are asked for and not made yet.", "M7"
)
DETACHED_VERIFICATIONS: Final = _counter(
    "detached_verifications", "partner result",
    "Verifications of signed bodies: ok, mismatch (another body was signed), refused, indeterminate.",
    "M8", "0 mismatches",
)  # fmt: skip
REQUEST_NONCES: Final = _counter(
    "request_nonces", "result",
    "Nonces of signed bodies: issued (with a permit or a 401), and of requests permitted, missing, unknown, "
    "expired, used, unavailable (the store cannot tell).",
)  # fmt: skip
REPLAY_CHECKS: Final = _counter(
    "replay_checks", "issuer result",
    "Uses of tokens that must be used once: first, replayed, unavailable.", "M9", "0 replayed",
)  # fmt: skip
REPLAY_STORE_ERRORS: Final = _counter(
    "replay_store_errors", "", "Questions that the replay store did not answer.", "M9", "0"
)
EMERGENCY_ROTATION: Final = _gauge(
    "emergency_rotation_seconds", "issuer stage drill",
    "Time from the decision of the last emergency. Of a sidecar (admin listener, keys revoke), in_force:"
    " until the revocation held everywhere, replaced: until a new key came into use, first_use: until that"
    " verified a token. Of an issuer, replaced, uploaded, flushed, revoked, confirmed: until that stage was"
    " over.",
    "M10", "below 30 min", merge="max",
)  # fmt: skip

# --- signing and issuing ------------------------------------------------------------------------------

SIGNING_QUEUE_WAIT: Final = _histogram(
    "signing_queue_wait_seconds", "backend", "Time that a request waited until its signer was called.",
    VERIFICATION,
)  # fmt: skip
SIGNING_QUEUE_JOINED: Final = _counter(
    "signing_queue_joined", "backend", "Requests that got the signature of an equal one."
)
SIGNING_QUEUE_REFUSED: Final = _counter(
    "signing_queue_refused", "backend code", "Requests that got no signature, by the error's code."
)
SIGNING_CALLS: Final = _counter(
    "signing_calls", "backend result",
    "Calls of a signer by a queue: ok, failed, slow; held against signing_quota_calls they are its use.",
)  # fmt: skip
SIGNING_QUOTA: Final = _gauge(
    "signing_quota_calls", "backend", "Calls a second that a queue makes of a signer at most; 0 for no bound."
)
SIGNING_BACKEND_OPEN: Final = _gauge(
    "signing_backend_open", "backend", "1 while a queue leaves a signer alone that failed.", merge="max"
)
TOKEN_REQUESTS: Final = _counter(
    "token_requests", "client result",
    "Requests for tokens: ok, or the error of RFC 6749; of clients that were not authenticated without name.",
)  # fmt: skip
ISSUER_KEYS: Final = _gauge("issuer_keys", "issuer alg stage", "Keys of an issuer by stage.", merge="max")
ISSUER_LEADS: Final = _gauge("issuer_leads", "issuer", "1 where this process changes the issuer's keys.")
ISSUER_STATE_FAILED: Final = _gauge(
    "issuer_state_failed", "issuer", "1 while the state of an issuer's keys cannot be read.", merge="max"
)
ISSUER_NEXT_ROTATION: Final = _gauge(
    "issuer_next_rotation_seconds", "issuer", "Time until the schedule replaces a key.", merge="min"
)
CONSUMERS_CONFIRMED: Final = _gauge(
    "consumers_confirmed", "issuer", "Consumers that have the newest key, by the last announcement.",
    merge="max",
)  # fmt: skip
CONSUMERS_MISSING: Final = _gauge(
    "consumers_missing", "issuer", "Consumers that did not confirm the newest key.", merge="max"
)

# --- requests and the rollout -------------------------------------------------------------------------

REQUESTS: Final = _counter(
    "requests", "partner route verdict code", "Requests by what was found in them; route is a configured one."
)
REQUESTS_REFUSED: Final = _counter("requests_refused", "partner route", "Requests that were refused in fact.")
REQUESTS_LET_THROUGH: Final = _counter(
    "requests_let_through", "partner route", "Requests that were permitted although their token was not good."
)
ROLLOUT_PHASE: Final = _gauge(
    "rollout_phase", "partner route phase", "1 for the phase that holds; empty names stand for all.",
    merge="max",
)  # fmt: skip
ROLLOUT_CANARY: Final = _gauge(
    "rollout_canary_percent", "partner route", "Share of requests that a canary enforces, in percent.",
    merge="max",
)  # fmt: skip
ROLLOUT_FROZEN: Final = _gauge(
    "rollout_frozen", "", "1 while the rollout is frozen; alerts may be inhibited by it.", merge="max"
)
PLANNED_ROTATION: Final = _gauge(
    "planned_rotation", "issuer",
    "1 while a rotation of an issuer's keys is announced; alerts may be inhibited by it.", merge="max",
)  # fmt: skip

# --- keys and what is remembered ----------------------------------------------------------------------

UNKNOWN_KIDS: Final = _counter(
    "unknown_kids", "issuer", "Tokens that named a kid which is not among their issuer's keys."
)
UNKNOWN_KID_FLOODS: Final = _counter(
    "unknown_kid_floods",
    "issuer",
    "Minutes in which a worker got 100 tokens of an issuer, or more, with kids it does not have.",
)
CLOCK_SKEW: Final = _gauge(
    "clock_skew_seconds", "issuer stat",
    "iat minus now of verified tokens (p5, median, p95, max), where skew_every is set.", merge="max",
)  # fmt: skip
REVOCATIONS: Final = _gauge("revocations", "", "Revocations that hold.", merge="max")
TOKEN_CACHE_HITS: Final = _counter("token_cache_hits", "", "Tokens whose signature was known to be good.")
TOKEN_CACHE_MISSES: Final = _counter("token_cache_misses", "", "Tokens that the cache did not know.")
TOKEN_CACHE_ENTRIES: Final = _gauge("token_cache_entries", "", "Tokens in the caches of all workers.")
TABLES_KEYS: Final = _gauge("precomputed_tables_keys", "worker", "Keys that have a precomputed table.")
TABLES_BYTES: Final = _gauge("precomputed_tables_bytes", "worker", "Memory that precomputed tables take.")
TABLES_BUDGET: Final = _gauge(
    "precomputed_tables_budget_bytes", "worker", "Memory that they may take: precompute_budget_bytes."
)
TABLES_WANTED: Final = _gauge(
    "precomputed_tables_wanted_bytes",
    "worker",
    "The budget that would do for the largest table of all keys in use.",
)
TABLES_BUILDS: Final = _counter("precomputed_tables_builds", "worker", "Tables that a worker built.")
TABLES_EVICTIONS: Final = _counter(
    "precomputed_tables_evictions", "worker", "Tables that made room for those of keys in more use."
)
TABLES_OFF: Final = _gauge(
    "precomputed_tables_off", "worker", "1 where a worker uses no tables since libcrypto disagreed with one."
)
TABLES_SAMPLES: Final = _counter(
    "precomputed_tables_samples", "worker", "Accepted signatures that libcrypto looked at again."
)
TABLES_MISMATCHES: Final = _counter(
    "precomputed_tables_mismatches", "worker", "Of these, the ones that libcrypto refused: always 0."
)
LIBCRYPTO_FALLBACKS: Final = _counter(
    "libcrypto_fallbacks", "worker",
    "Signatures that an accelerated path left to libcrypto: a degenerate step, or tables switched off.",
)  # fmt: skip

# --- rules after the verdict ---------------------------------------------------------------------------

RULES_NOT_MET: Final = _counter(
    "rules_not_met", "rule code phase",
    "Requests with a verified token that do not meet a rule; refused in phase enforce only.",
)  # fmt: skip

INTROSPECTIONS: Final = _counter(
    "introspections", "result",
    "Tokens that an authorization server was to be asked about: active, inactive or unavailable by its "
    "answer, remembered, or not_asked (breaker, budget, too many).",
)  # fmt: skip
INTROSPECTION_DURATION: Final = _histogram(
    "introspection_duration_seconds", "result", "Time that an authorization server took to answer.", NETWORK
)

STATUS_LIST_FETCHES: Final = _counter(
    "status_list_fetches", "result", "Fetches of status lists: ok, or failed for whatever reason."
)

# --- the service --------------------------------------------------------------------------------------

READY: Final = _gauge("ready", "", "1 where every required issuer has keys.", merge="min")
BUILD_INFO: Final = _gauge(
    "build_info", "version libcrypto python", "1, with the versions in use.", merge="max"
)
WORKERS: Final = _gauge("workers", "", "Workers that serve.")
WORKER_RESTARTS: Final = _counter("worker_restarts", "worker", "How often a worker was started again.")
CONNECTIONS: Final = _gauge("connections", "listener", "Connections that are open.")
EVENT_LOOP_LAG: Final = _gauge(
    "event_loop_lag_seconds", "worker", "How late the event loop came to its last tick.", merge="last"
)
CHANGES: Final = _counter("changes", "worker", "Changes that a worker took over.")
CONFIG_REFUSED: Final = _gauge(
    "config_refused", "worker", "1 where a worker refused the last configuration and goes by the one before.",
    merge="last",
)  # fmt: skip
SECURITY_EVENTS: Final = _counter(
    "security_events", "event issuer", "Signs of an attack or of a compromised key, by the name of the event."
)
LOG_LINES_DROPPED: Final = _counter(
    "log_lines_dropped", "", "Log lines that were left out: more of one code and partner than the limit."
)
AUDIT_RECORDS: Final = _counter(
    "audit_records",
    "result",
    "Decisions that have a record in the audit trail, and those that have none (lost).",
)
AUDIT_UNSIGNED: Final = _counter(
    "audit_checkpoints_unsigned",
    "",
    "Checkpoints of the audit trail that the signer did not sign; the next one signs what they cover.",
)
AUDIT_TIMESTAMPS: Final = _counter(
    "audit_timestamps",
    "result",
    "Time stamps of the audit trail that were stored, and that failed.",
)
AUDIT_COSIGNATURES: Final = _counter(
    "audit_cosignatures",
    "result",
    "Cosignatures of witnesses of the audit trail that were stored, and that failed.",
)
REQUESTS_SHED: Final = _counter(
    "requests_shed", "", "Requests that the sidecar answered 503 undecided: more came than it has time for."
)
SERIES_DROPPED: Final = _counter(
    "series_dropped", "", "Series that found no memory: what they count stands under empty names."
)

METRICS: Final[Mapping[str, Metric]] = MappingProxyType(
    {one.name: one for one in list(globals().values()) if isinstance(one, Metric)}
)
"""Every metric by its name, in the order of this file."""

MEASURES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "M1": "verification success",
        "M2": "verification latency",
        "M3": "JWKS fetch latency",
        "M4": "JWKS fetch failures",
        "M5": "claim failures",
        "M6": "rotation lag",
        "M7": "signing latency",
        "M8": "detached mismatch",
        "M9": "replays",
        "M10": "emergency rotation",
    }
)
"""The ten measures in words."""

"""Every log event once: its name, logger, level, fields, meaning and what to do about it.

The lines, their reference page (``docs/reference/logs.md``) and the tests follow this list.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Final, Literal

OcsfClass = Literal["authentication", "application_lifecycle", "entity_management", "base_event"]

DECISIONS: Final = "decisions"
KEYS: Final = "keys"
REVOCATIONS: Final = "revocations"
STORES: Final = "stores"
CONFIG: Final = "config"
ROLLOUT: Final = "rollout"
SERVICE: Final = "service"
SECURITY: Final = "security"
AUDIT: Final = "audit"

LOGGERS: Final = {
    DECISIONS: "requests whose token was not verified",
    KEYS: "key sources: fetches, key changes, stale sets, clocks",
    REVOCATIONS: "revocations and their store",
    STORES: "the replay store, authorization servers that are asked, and status lists",
    CONFIG: "reloads of the configuration",
    ROLLOUT: "promotions, rollbacks, freezes",
    SERVICE: "start, stop and workers of the sidecar, and the log itself",
    AUDIT: "the audit trail: its disk, and what its start found",
    SECURITY: "signs of an attack, for a SIEM",
    "middleware": "faults inside a middleware or the sidecar, free text",
    "tables": "precomputed tables that are switched off, free text",
}
"""Logger below ``rapidjws`` -> what it is about."""

_REQUEST: Final = (
    "code", "reason", "place", "rule", "outcome", "verdict", "phase", "partner", "attributed_by", "route",
    "kid", "alg", "issuer", "request_id", "trace_id", "duration_us", "unverified_claims",
)  # fmt: skip
_KEY: Final = ("issuer", "source", "kid", "detail", "value", "left_out")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEvent:
    """One kind of log line.

    Attributes:
        name: Its stable name, the field ``event``.
        logger: The logger below ``rapidjws``.
        level: The level of ``logging``.
        meaning: What happened, a phrase; the field ``message``.
        action: What an operator does about it, a sentence; "" for nothing.
        fields: The fields that it may have beside those of every line.
        ocsf_class: Its class with the schema ``ocsf``.
        ocsf_activity: Its ``activity_id`` in that class.
        failed: Whether it is a failure (ECS ``event.outcome``, OCSF ``status_id``); None where neither.
    """

    name: str
    logger: str
    level: int
    meaning: str
    fields: tuple[str, ...]
    action: str = ""
    ocsf_class: OcsfClass = "base_event"
    ocsf_activity: int = 99
    failed: bool | None = None


def _event(name: str, logger: str, level: int, meaning: str, action: str = "", **more: Any) -> LogEvent:
    defaults: dict[str, Any] = {"fields": _KEY if logger == KEYS else ()}
    if logger in (DECISIONS, SECURITY):
        defaults = {"fields": _REQUEST, "ocsf_class": "authentication", "ocsf_activity": 1, "failed": True}
    elif logger in (SERVICE, CONFIG):
        defaults["ocsf_class"] = "application_lifecycle"
    elif logger in (REVOCATIONS, ROLLOUT):
        defaults["ocsf_class"] = "entity_management"
    return LogEvent(
        name=name,
        logger=logger,
        level=level,
        meaning=meaning,
        action=action,
        **{**defaults, **more},
    )


_D, _I, _W, _E = logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR
_CHANGE: Final[dict[str, Any]] = {"ocsf_class": "entity_management", "ocsf_activity": 3}
_STORE: Final = ("detail", "value", "left_out")
_SIGNAL: Final[dict[str, Any]] = {"fields": ("issuer", "detail", "value", "left_out"), "ocsf_activity": 99}

_LIST: Final = (
    # Requests
    _event("token_refused", DECISIONS, _I, "a token was refused", "Look the code up in the error codes."),
    _event("token_indeterminate", DECISIONS, _W, "nothing is known about a token now",
           "Keys or a store cannot be had: look for the event that says which."),
    _event("lines_left_out", DECISIONS, _I, "lines were left out by the rate limit",
           "Nothing; `left_out` is how many. `lines_per_minute` sets the limit.",
           fields=("code", "partner", "left_out", "window_s"), ocsf_class="base_event", ocsf_activity=99,
           failed=None),
    _event("rule_not_met", DECISIONS, _I, "a request does not meet a rule in phase detect or warn",
           "Compare it with the rule; it is refused once the phase is enforce.",
           fields=("rule", "code", "phase", "partner", "route", "left_out"), ocsf_class="authentication",
           ocsf_activity=1, failed=True),
    # Keys
    _event("keys_fetched", KEYS, _D, "a JWK Set was fetched"),
    _event("fetch_failed", KEYS, _W, "a JWK Set could not be fetched; the keys of before hold until stale",
           "See the runbook for a JWKS that is down. For the same reason there is a line every ten minutes;"
           " `left_out` counts those between.", failed=True),
    _event("fetch_recovered", KEYS, _I, "a JWK Set is fetched again; `value` is how long it could not be, in"
           " seconds", failed=False),
    _event("keys_stale", KEYS, _E, "the keys of an issuer are too old to be used: its tokens get 503",
           "Bring the issuer's JWKS address back, or raise `stale_limit_s` knowingly.", failed=True),
    _event("keys_changed", KEYS, _I, "the keys of an issuer changed", **_CHANGE),
    _event("keys_invalidated", KEYS, _I, "the keys of an issuer are fetched again, as somebody asked"),
    _event("key_added", KEYS, _I, "a key came into use", **{**_CHANGE, "ocsf_activity": 1}),
    _event("key_removed", KEYS, _I, "a key went out of use", **{**_CHANGE, "ocsf_activity": 4}),
    _event("key_skipped", KEYS, _W, "a published key is left out",
           "Ask the issuer to publish a correct key."),
    _event("duplicate_kid", KEYS, _W, "a set holds two keys under one kid",
           "Ask the issuer for one kid a key."),
    _event("file_refused", KEYS, _W, "keys are not read from their file; those of before hold",
           "Look at the file's owner, mode and content.", failed=True),
    _event("issuer_lookup_failed", KEYS, _W, "an issuer of the registry could not be looked up",
           "Look at what the registry asks; `detail` says what it came to.", failed=True),
    _event("last_good_used", KEYS, _W, "keys are those of the kept set: the issuer does not answer"),
    _event("last_good_not_written", KEYS, _W, "the last good set could not be kept",
           "Look at the folder of `last_good_file`.", failed=True),
    _event("swap_failed", KEYS, _E, "new keys could not be taken over; it is tried again", failed=True),
    _event("first_use", KEYS, _I, "a new key verified its first token"),
    _event("clock_stepped", KEYS, _W, "the system's clock was set",
           "Look at NTP; `value` is the step in seconds."),
    # Revocations
    _event("revocation_added", REVOCATIONS, _I, "a revocation is in force",
           fields=("kid", "issuer", "thumbprint", "kind", "value"), ocsf_activity=1),
    _event("revocation_lifted", REVOCATIONS, _I, "a revocation is lifted",
           fields=("kid", "issuer", "thumbprint", "kind", "value"), ocsf_activity=4),
    _event("revocation_distributed", REVOCATIONS, _I, "a revocation of another machine is in force here",
           fields=("value",), ocsf_activity=1),
    _event("revocation_unreadable", REVOCATIONS, _W, "an entry of the revocation store is not understood",
           fields=_STORE, failed=True),
    _event("revocations_unreadable", REVOCATIONS, _E, "revocations are not read; those of before hold",
           "Restore the list.", fields=_STORE, failed=True),
    _event("revocations_unreachable", REVOCATIONS, _E, "the revocation store does not answer",
           "Bring the store back.", fields=_STORE, failed=True),
    _event("revocation_stream_lost", REVOCATIONS, _E, "the stream of revocations is gone",
           "Write it back; `on_loss` says what happens meanwhile.", fields=_STORE, failed=True),
    # Stores
    _event("replay_store_failed", STORES, _E, "the replay store does not answer", "Bring the store back.",
           fields=_STORE, failed=True),
    _event("replay_store_full", STORES, _E, "the replay store is full", "Raise `max_entries`.",
           fields=_STORE, failed=True),
    _event("replay_store_evicts", STORES, _W, "the replay store may evict entries",
           "Set noeviction in Redis.",
           fields=_STORE, failed=True),
    _event("replay_breaker_opened", STORES, _W, "the replay store is not asked for a while", fields=_STORE,
           failed=True),
    _event("replay_unchecked", STORES, _W, "a token was accepted without a replay check, as configured",
           fields=("issuer", "left_out"), failed=True),
    # Audit trail
    _event("audit_tail_cut", AUDIT, _W, "what a crash left of a record was cut off the trail's journal",
           "Nothing: such a record was never acknowledged. `value` is how many octets.", fields=_STORE),
    _event("audit_segment_suspect", AUDIT, _E, "a segment of the trail's journal was set aside",
           "Look after the disk (`detail`); all that was not published went to another segment.",
           fields=_STORE, failed=True),
    _event("audit_storage_failed", AUDIT, _E, "the audit trail cannot be written",
           "Give the disk space, or bring it back (`detail`): until then `on_failure` decides.",
           fields=_STORE, failed=True),
    _event("audit_checkpoint_unsigned", AUDIT, _E, "a checkpoint of the audit trail is not signed",
           "Bring the signer back (`detail`): records are taken, and the next checkpoint signs them.",
           fields=_STORE, failed=True),
    _event("audit_timestamped", AUDIT, _I, "a checkpoint has a time stamp",
           "Nothing: `value` is how many records it covers.", fields=_STORE),
    _event("audit_timestamp_failed", AUDIT, _W, "a checkpoint got no time stamp",
           "Look at the authority and at `timestamp_roots` (`detail`); records go on without.",
           fields=_STORE, failed=True),
    _event("audit_witnessed", AUDIT, _I, "a checkpoint has a witness",
           "Nothing: `value` is how many records it covers, `detail` the witness.", fields=_STORE),
    _event("audit_witness_failed", AUDIT, _W, "a witness did not sign a checkpoint",
           "Look at the witness (`detail`); one that signed more records than there are saw another trail.",
           fields=_STORE, failed=True),
    # Introspection
    _event("introspection_failed", STORES, _W, "an authorization server could not be asked about a token",
           "Look at the endpoint and at our credentials; `detail` says what it came to.",
           fields=("issuer", "detail", "left_out"), failed=True),
    _event("introspection_breaker_opened", STORES, _E, "an authorization server is not asked for a while",
           "Bring the endpoint back; `on_failure` says what its tokens get meanwhile.",
           fields=("issuer", "value", "left_out"), failed=True),
    _event("introspection_unchecked", STORES, _W, "a token holds by its signature alone, as configured",
           "Bring the introspection endpoint back.", fields=("issuer", "left_out"), failed=True),
    # Status lists
    _event("status_list_failed", STORES, _W, "a status list could not be had, or is not good",
           "Look at its server; `detail` says why. The list before is used for `stale_limit_s` at most.",
           fields=("issuer", "detail", "left_out"), failed=True),
    _event("status_list_recovered", STORES, _I, "a status list is here again",
           "Nothing: `value` is how many fetches had failed.", fields=("issuer", "value")),
    _event("status_unchecked", STORES, _W, "a token holds by its signature alone, as configured",
           "Bring the status list back.", fields=("issuer", "left_out"), failed=True),
    # Signals
    _event("signal_applied", REVOCATIONS, _I, "a signal revoked or lifted something", **_SIGNAL),
    _event("signal_ignored", REVOCATIONS, _I, "a signal revoked nothing: a replay, or an unknown event",
           **_SIGNAL),
    _event("signal_refused", REVOCATIONS, _W, "what came as a signal is none, or cannot be kept now",
           "Compare the transmitter with the configuration; `detail` is the error code.", **_SIGNAL,
           failed=True),
    _event("signal_poll_failed", REVOCATIONS, _W, "signals could not be fetched", "Look at the transmitter.",
           **_SIGNAL, failed=True),
    # Configuration and rollout
    _event("config_loaded", CONFIG, _I, "the configuration is reloaded", fields=("value",), ocsf_activity=99),
    _event("config_refused", CONFIG, _E, "the configuration is not reloaded; the one before holds",
           "`rapidjws config check FILE` lists what is wrong.", fields=("detail", "left_out"), failed=True),
    _event("rollout_changed", ROLLOUT, _I, "the rollout changed",
           fields=("action", "partner", "route", "before", "after", "by", "why", "forced", "revision"),
           ocsf_activity=3),
    _event("rollout_rolled_back", ROLLOUT, _W, "a guard rail rolled a stage back",
           "See the runbook for a rollback of enforcement.",
           fields=("action", "partner", "route", "before", "after", "by", "why", "forced", "revision"),
           ocsf_activity=3),
    _event("rollout_fault", ROLLOUT, _E, "a file of the rollout cannot be used",
           "Look at the state folder.", fields=("detail",), ocsf_activity=99, failed=True),
    # The service
    _event("service_started", SERVICE, _I, "the sidecar serves",
           fields=("version", "python", "openssl", "workers", "listen"), ocsf_activity=3),
    _event("service_stopped", SERVICE, _I, "the sidecar has stopped", fields=("version", "status"),
           ocsf_activity=4),
    _event("worker_started", SERVICE, _I, "a worker serves", fields=("worker", "worker_pid"),
           ocsf_activity=3),
    _event("worker_ended", SERVICE, _W, "a worker ended and is started again",
           "A worker that ends again and again: see its lines before this one.",
           fields=("worker", "worker_pid", "detail", "restarts"), ocsf_activity=4, failed=True),
    _event("worker_killed", SERVICE, _E, "a worker did not answer and is killed",
           "Look for what blocks its loop.", fields=("worker", "worker_pid", "value"), ocsf_activity=4,
           failed=True),
    _event("alert_started", SERVICE, _W, "a condition of the service's own alerts is met",
           "Follow the runbook that `detail` names; `rapidjws top` shows all of them.", fields=("detail",),
           failed=True),
    _event("alert_ended", SERVICE, _I, "a condition of the service's own alerts is met no longer",
           fields=("detail",)),
    _event("operator_line", SERVICE, _I, "a line for a person", "See `detail`.", fields=("detail",)),
    _event("log_lines_dropped", SERVICE, _W, "log lines were dropped: the destination does not take them",
           "Look at the disk, or at who reads the pipe.", fields=("left_out",), failed=True),
    # Signs of an attack
    _event("algorithm_confusion", SECURITY, _W, "a token tried an algorithm that its key does not serve",
           "Nothing was accepted. A burst from one partner is an attack or a broken client."),
    _event("revoked_key_used", SECURITY, _W, "a token was presented that is revoked",
           "Find the holder of the token: its key or the token is in other hands."),
    _event("replay_detected", SECURITY, _W, "a token was used a second time",
           "Ask the partner whether it repeats requests; else the token was stolen."),
    _event("unknown_kid_flood", SECURITY, _W, "many tokens name keys that nobody published",
           "Fetches stay bounded. Block the sender, or ask the issuer what it signs with; the metric of"
           " verdicts has code and partner. `value` is how many make a flood.", fields=_KEY),
    _event("private_key_published", SECURITY, _E, "a JWK Set holds private key members",
           "The key is compromised: revoke it and tell the issuer; see the runbook for key compromise.",
           fields=_KEY, **_CHANGE),
    _event("kid_rebound", SECURITY, _W, "another key is published under a known kid",
           "Ask the issuer whether it replaced the key; if not, its JWKS address is in other hands.",
           fields=_KEY, **_CHANGE),
)  # fmt: skip

EVENTS: Final[dict[str, LogEvent]] = {event.name: event for event in _LIST}
"""Name -> event."""

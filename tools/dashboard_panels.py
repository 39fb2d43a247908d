"""What the dashboards show: rows of panels, each with its queries; ``tools/dashboards.py`` makes Grafana's JSON of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Source(Enum):
    """Where a panel's queries go."""

    METRICS = "metrics"
    LOGS = "logs"


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One panel: a title, a kind, and pairs of a query and its legend."""

    title: str
    kind: str
    queries: tuple[tuple[str, str], ...]
    description: str
    unit: str = ""
    span: int = 12
    source: Source = Source.METRICS
    exemplars: bool = False
    trace_links: bool = False


@dataclass(frozen=True, kw_only=True)
class Board:
    """One dashboard."""

    name: str
    title: str
    description: str
    since: str
    rows: tuple[tuple[str, tuple[Panel, ...]], ...]


ALL = 'issuer!="",issuer=~"$issuer",partner=~"$partner"'
BAD = f'{ALL},verdict!="permit"'
ISSUER = 'issuer=~"$issuer"'
PARTNER = 'partner=~"$partner"'
RATE = "$__rate_interval"
TOTAL = "rapidjws_verifications_total"
SECONDS = "rapidjws_verification_duration_seconds"
FETCH = "rapidjws_jwks_fetch_duration_seconds"
SIGNING = "rapidjws_signing_duration_seconds"
QUEUE_WAIT = "rapidjws_signing_queue_wait_seconds"

ANNOTATIONS = (
    ("Rotations", f"changes(rapidjws_jwks_keys{{{ISSUER}}}[2m]) > 0", "blue"),
    ("Announced rotations", f"rapidjws_planned_rotation{{{ISSUER}}} > 0", "light-blue"),
    (
        "Promotions and rollbacks",
        "sum by (partner, route, phase) (rapidjws_rollout_phase unless rapidjws_rollout_phase offset 2m) > 0",
        "orange",
    ),
    ("Reloads and other changes", "sum(increase(rapidjws_changes_total[2m])) > 0", "purple"),
)
"""Name, query and colour of what is marked on every graph."""


def _share(window: str, verdict: str) -> str:
    return (
        f'sum(increase({TOTAL}{{{ALL},verdict="{verdict}"}}[{window}]))'
        f" / sum(increase({TOTAL}{{{ALL}}}[{window}])) or vector(0)"
    )


def _quantile(part: float, metric: str, by: str, selector: str, window: str = RATE) -> str:
    """Return a quantile, of a classic or of a native histogram: Prometheus keeps the one it scrapes."""
    groups = f"sum by ({by}, le)" if by else "sum by (le)"
    classic = f"histogram_quantile({part}, {groups} (rate({metric}_bucket{{{selector}}}[{window}])))"
    native = f"histogram_quantile({part}, sum by ({by}) (rate({metric}{{{selector}}}[{window}])))"
    return f"{classic} or {native}"


SUCCESS = Panel(
    title="Verification success, 24 h", kind="stat", unit="percentunit", span=6,
    queries=((_share("24h", "permit"), "permit"),),
    description="M1: the objective is 99.9 %. Tokens that name none of our issuers are left out.",
)  # fmt: skip
BURN = Panel(
    title="Burn rate", kind="graph", unit="x", span=12,
    queries=(
        (f"sum(rate({TOTAL}{{{BAD}}}[1h])) / sum(rate({TOTAL}{{{ALL}}}[1h])) / 0.001 or vector(0)", "1 h"),
        (f"sum(rate({TOTAL}{{{BAD}}}[6h])) / sum(rate({TOTAL}{{{ALL}}}[6h])) / 0.001 or vector(0)", "6 h"),
    ),
    description="How many times too fast the error budget is spent: 14.4 in an hour pages, as 6 in six hours does.",
)  # fmt: skip
ROTATION = Panel(
    title="Rotation state", kind="table", span=12,
    queries=(
        (f"max by (issuer) (rapidjws_planned_rotation{{{ISSUER}}}) or max by (issuer) (0 * rapidjws_jwks_keys{{{ISSUER}}})",
         "announced"),
        (f"min by (issuer) (rapidjws_jwks_keys{{{ISSUER}}})", "keys"),
        (f"max by (issuer) (rapidjws_jwks_stale{{{ISSUER}}})", "stale"),
    ),
    description="Per issuer: whether a rotation is announced, keys in use, and whether they are stale.",
)  # fmt: skip
FAILING = Panel(
    title="Top failing services", kind="table", span=12,
    queries=((f"topk(10, sum by (partner, issuer) (increase({TOTAL}{{{BAD}}}[24h])))", "failed"),),
    description="Partners and issuers with most refused or undecided tokens in 24 h.",
)  # fmt: skip
REASONS = Panel(
    title="Recent failures by reason", kind="graph", unit="reqps", span=12,
    queries=((f"sum by (code, verdict) (rate({TOTAL}{{{BAD}}}[{RATE}]))", "{{code}} ({{verdict}})"),),
    description="The code says what is wrong; `rapidjws runbook verification-failures` says what to do about it.",
)  # fmt: skip
JWKS_ERRORS = Panel(
    title="JWKS errors", kind="graph", span=12,
    queries=(
        (f'sum by (issuer, reason) (increase(rapidjws_jwks_fetches_total{{{ISSUER},result!="ok"}}[5m])) or vector(0)',
         "{{issuer}} {{reason}}"),
    ),
    description="M4: fetches that failed, by issuer and reason.",
)  # fmt: skip
KEY_CHANGES = Panel(
    title="Key change timeline", kind="state", span=12,
    queries=((f"min by (issuer) (rapidjws_jwks_keys{{{ISSUER}}})", "{{issuer}}"),),
    description="Keys of each issuer in use; a step is a rotation, a withdrawal or a wrong set.",
)  # fmt: skip
ALERTS = Panel(
    title="Alerts", kind="table", span=12,
    queries=(('ALERTS{alertname=~"RapidJWS.*",alertstate="firing"} or vector(0)', "alerts"),),
    description="What fires now.",
)  # fmt: skip
VERDICTS = Panel(
    title="Verdicts", kind="graph", unit="reqps", span=12,
    queries=((f"sum by (verdict) (rate({TOTAL}{{{ALL}}}[{RATE}]))", "{{verdict}}"),),
    description="permit, deny, and indeterminate (503: keys or a store cannot be had).",
)  # fmt: skip
LATENCY = Panel(
    title="Verification latency", kind="graph", unit="s", span=12, exemplars=True,
    queries=(
        (_quantile(0.5, SECONDS, "issuer", ISSUER), "p50 {{issuer}}"),
        (_quantile(0.95, SECONDS, "issuer", ISSUER), "p95 {{issuer}}"),
        (_quantile(0.99, SECONDS, "issuer", ISSUER), "p99 {{issuer}}"),
    ),
    description="M2: 95 % below 10 ms. Points lead to traces.",
)  # fmt: skip
WORKERS = Panel(
    title="Workers and restarts", kind="graph", span=12,
    queries=(
        ("sum(rapidjws_workers)", "workers"),
        ("sum(increase(rapidjws_worker_restarts_total[15m])) or vector(0)", "restarts in 15 min"),
    ),
    description="Restarts are a crash, too little memory, or a loop that stood still.",
)  # fmt: skip

EXECUTIVE = Board(
    name="executive", title="Executive", since="now-24h",
    description="Is it well, and how much of the error budget is left.",
    rows=(
        ("Objectives", (
            SUCCESS,
            Panel(title="Undecided, 24 h", kind="stat", unit="percentunit", span=6,
                  queries=((_share("24h", "indeterminate"), "indeterminate"),),
                  description="Tokens that got 503, counted apart from refused ones."),
            Panel(title="Latency, p95", kind="stat", unit="s", span=6,
                  queries=((_quantile(0.95, SECONDS, "", ISSUER, "1h"), "p95"),),
                  description="M2: 95 % below 10 ms."),
            Panel(title="Error budget left, 30 days", kind="stat", unit="percentunit", span=6,
                  queries=((f"1 - sum(increase({TOTAL}{{{BAD}}}[30d])) / sum(increase({TOTAL}{{{ALL}}}[30d])) / 0.001 or vector(1)",
                            "left"),),
                  description="Of one token in a thousand, over 30 days."),
            BURN,
            ROTATION,
        )),
        ("Where", (
            FAILING,
            Panel(title="Rollout", kind="table", span=12,
                  queries=(("max by (partner, route, phase) (rapidjws_rollout_phase) > 0", "phase"),
                           ("max by (partner, route) (rapidjws_rollout_canary_percent) or vector(0)", "canary, percent"),
                           ("max(rapidjws_rollout_frozen)", "frozen")),
                  description="The phase of each partner and route that holds, the share that a canary enforces, and"
                  " whether all of it is frozen."),
        )),
    ),
)  # fmt: skip

ONCALL = Board(
    name="oncall", title="On-call", since="now-3h", description="What is wrong, and since when.",
    rows=(
        ("Now", (
            ALERTS,
            Panel(title="Ready, and configurations refused", kind="state", span=12,
                  queries=(("min(rapidjws_ready)", "ready"),
                           ("max by (worker) (rapidjws_config_refused)", "refused, worker {{worker}}")),
                  description="Not ready: a required issuer has no keys. Refused: a worker goes by the configuration of before."),
            VERDICTS,
            REASONS,
            JWKS_ERRORS,
            Panel(title="Requests", kind="graph", unit="reqps", span=12,
                  queries=((f"sum by (partner, verdict) (rate(rapidjws_requests_total{{{PARTNER}}}[{RATE}]))",
                            "{{partner}} {{verdict}}"),
                           (f"sum by (partner) (rate(rapidjws_requests_refused_total{{{PARTNER}}}[{RATE}])) or vector(0)",
                            "refused {{partner}}"),
                           (f"sum by (partner) (rate(rapidjws_requests_let_through_total{{{PARTNER}}}[{RATE}])) or vector(0)",
                            "let through {{partner}}")),
                  description="By what was found, and what was refused in fact; let through: a phase below enforcement."),
        )),
        ("Keys", (
            KEY_CHANGES,
            ROTATION,
            Panel(title="Rotation lag", kind="graph", unit="s", span=12,
                  queries=(
                      (_quantile(0.95, "rapidjws_key_first_use_lag_seconds", "issuer", ISSUER, "1h"),
                       "first use {{issuer}}"),
                      ("max by (worker) (rapidjws_change_lag_seconds)", "change, worker {{worker}}"),
                  ),
                  description="M6: from publication to first use, and from a change to each worker; below 5 min."),
            Panel(title="Unknown kids", kind="graph", unit="reqps", span=12,
                  queries=((f"sum by (issuer) (rate(rapidjws_unknown_kids_total{{{ISSUER}}}[{RATE}]))", "{{issuer}}"),
                           (f"sum by (issuer) (increase(rapidjws_unknown_kid_floods_total{{{ISSUER}}}[10m])) or vector(0)",
                            "floods in 10 min {{issuer}}")),
                  description="Tokens that name a key we do not have: a rotation gone wrong, or a flood (100 in a minute)."),
        )),
        ("Security and stores", (
            Panel(title="Security events", kind="graph", span=12,
                  queries=(("sum by (event, issuer) (increase(rapidjws_security_events_total[5m])) or vector(0)",
                            "{{event}} {{issuer}}"),),
                  description="Signs of an attack or of a compromised key."),
            Panel(title="Replays and the replay store", kind="graph", span=12,
                  queries=(
                      ("sum by (result) (rate(rapidjws_replay_checks_total[5m])) or vector(0)", "{{result}}"),
                      ("sum(rate(rapidjws_replay_store_errors_total[5m])) or vector(0)", "no answer"),
                  ),
                  description="M9: uses of tokens that are good for one."),
            WORKERS,
            Panel(title="Signed bodies", kind="graph", unit="reqps", span=12,
                  queries=(("sum by (partner, result) (rate(rapidjws_detached_verifications_total[5m])) or vector(0)",
                            "{{partner}} {{result}}"),),
                  description="M8: a mismatch is a body that is not what was signed; there should be none."),
            Panel(title="Emergency rotation", kind="table", unit="s", span=12,
                  queries=((f"max by (issuer, stage, drill) (rapidjws_emergency_rotation_seconds{{{ISSUER}}}) or vector(0)",
                            ""),),
                  description="M10: below 30 min from a revocation's call to each stage; drills stand apart."),
            Panel(title="Revocations", kind="stat", span=12, queries=(("max(rapidjws_revocations)", "in force"),),
                  description="Keys, issuers and tokens that are refused whatever the issuer publishes."),
        )),
        ("Issuing", (
            Panel(title="Keys of our issuers by stage", kind="graph", span=12,
                  queries=((f"max by (issuer, alg, stage) (rapidjws_issuer_keys{{{ISSUER}}}) or vector(0)",
                            "{{issuer}} {{alg}} {{stage}}"),),
                  description="Each algorithm has one active and one next key; removed ones are listed for a while."),
            Panel(title="Leaders, and states that cannot be read", kind="graph", span=12,
                  queries=((f"sum by (issuer) (rapidjws_issuer_leads{{{ISSUER}}}) or vector(0)", "leads {{issuer}}"),
                           (f"max by (issuer) (rapidjws_issuer_state_failed{{{ISSUER}}}) or vector(0)",
                            "fails {{issuer}}")),
                  description="One process leads an issuer; a state that cannot be read ends signing after state_max_age_s."),
            Panel(title="Next rotation of our issuers", kind="stat", unit="s", span=12,
                  queries=((f"min by (issuer) (rapidjws_issuer_next_rotation_seconds{{{ISSUER}}}) or vector(0)",
                            "{{issuer}}"),),
                  description="Time until the schedule replaces a key; 0 for long is one that is not made."),
            Panel(title="Consumers of our keys", kind="graph", span=12,
                  queries=((f"max by (issuer) (rapidjws_consumers_confirmed{{{ISSUER}}}) or vector(0)",
                            "confirmed {{issuer}}"),
                           (f"max by (issuer) (rapidjws_consumers_missing{{{ISSUER}}}) or vector(0)",
                            "missing {{issuer}}")),
                  description="M6: who confirmed the newest key when it was announced."),
            Panel(title="Requests for tokens", kind="graph", unit="reqps", span=24,
                  queries=((f"sum by (client, result) (rate(rapidjws_token_requests_total[{RATE}])) or vector(0)",
                            "{{client}} {{result}}"),),
                  description="By client and error of RFC 6749; clients that were not authenticated have no name."),
        )),
        ("Changes", (
            Panel(title="Key changes, promotions, reloads", kind="logs", span=24, source=Source.LOGS,
                  queries=(('{service_name="rapidjws"} | json | logger=~"rapidjws.(keys|config|rollout|revocations|service)"',
                            ""),),
                  description="What changed, when, by whom."),
        )),
    ),
)  # fmt: skip

DEBUG = Board(
    name="debug", title="Debug", since="now-1h", description="Why it is slow, or why these tokens are refused.",
    rows=(
        ("Latency", (
            LATENCY,
            Panel(title="Latency histograms by service", kind="graph", unit="s", span=12, exemplars=True,
                  queries=((_quantile(0.95, SECONDS, "issuer, alg", ISSUER), "p95 {{issuer}} {{alg}}"),
                           (_quantile(0.5, SECONDS, "issuer, alg", ISSUER), "p50 {{issuer}} {{alg}}")),
                  description="By issuer and algorithm; points lead to traces."),
            Panel(title="Event loop lag", kind="graph", unit="s", span=12,
                  queries=(("max by (worker) (rapidjws_event_loop_lag_seconds)", "worker {{worker}}"),),
                  description="How late a worker's loop is."),
            Panel(title="Precomputed tables", kind="graph", unit="bytes", span=12,
                  queries=(("sum by (worker) (rapidjws_precomputed_tables_bytes)", "used, worker {{worker}}"),
                           ("sum by (worker) (rapidjws_precomputed_tables_budget_bytes)", "budget, worker {{worker}}"),
                           ("sum by (worker) (rapidjws_precomputed_tables_wanted_bytes)", "wanted, worker {{worker}}")),
                  description="Wanted above budget: raise precompute_budget_bytes."),
            Panel(title="Keys with a table, and their checks", kind="graph", span=12,
                  queries=(("sum by (worker) (rapidjws_precomputed_tables_keys)", "keys, worker {{worker}}"),
                           ("sum by (worker) (increase(rapidjws_precomputed_tables_builds_total[1h]))",
                            "built in 1 h, worker {{worker}}"),
                           ("max by (worker) (rapidjws_precomputed_tables_off)", "off, worker {{worker}}"),
                           ("sum(rate(rapidjws_precomputed_tables_samples_total[1h]))", "checked by libcrypto, a second")),
                  description="Off is 1 where libcrypto disagreed with a table: that worker uses none until it is restarted."),
            Panel(title="Tables given up, signatures left to libcrypto", kind="graph", unit="ops", span=12,
                  queries=((f"sum(rate(rapidjws_precomputed_tables_evictions_total[{RATE}])) or vector(0)", "evictions"),
                           (f"sum(rate(rapidjws_libcrypto_fallbacks_total[{RATE}])) or vector(0)", "fallbacks"),
                           ("sum(increase(rapidjws_precomputed_tables_mismatches_total[1h])) or vector(0)", "mismatches, 1 h")),
                  description="Evictions: keys compete for precompute_budget_bytes. Mismatches must stay 0."),
            Panel(title="Signing latency", kind="graph", unit="s", span=12,
                  queries=((f"{_quantile(0.95, SIGNING, 'backend, alg', '')} or vector(0)", "p95 {{backend}} {{alg}}"),
                           ("sum by (backend) (rapidjws_signing_queue_depth) or vector(0)", "waiting {{backend}}")),
                  description="M7: 95 % below 20 ms, of processes that sign through MeasuredSigner."),
            Panel(title="Queue before the signer", kind="graph", unit="s", span=12,
                  queries=((f"{_quantile(0.95, QUEUE_WAIT, 'backend', '')} or vector(0)", "p95 wait {{backend}}"),
                           (f"sum by (backend, code) (rate(rapidjws_signing_queue_refused_total[{RATE}])) or vector(0)",
                            "refused {{backend}} {{code}}"),
                           (f"sum by (backend) (rate(rapidjws_signing_queue_joined_total[{RATE}])) or vector(0)",
                            "joined {{backend}}")),
                  description="M7: waits for a signer, requests a second that got no signature, and those that shared one."),
            Panel(title="Calls of the signer and its quota", kind="graph", unit="reqps", span=12,
                  queries=((f"sum by (backend, result) (rate(rapidjws_signing_calls_total[{RATE}])) or vector(0)",
                            "{{backend}} {{result}}"),
                           ("sum by (backend) (rapidjws_signing_quota_calls) or vector(0)", "quota {{backend}}"),
                           ("max by (backend) (rapidjws_signing_backend_open) or vector(0)", "left alone {{backend}}")),
                  description="Calls near the quota wait; a signer that failed is left alone for open_s."),
            Panel(title="Token cache", kind="graph", unit="reqps", span=12,
                  queries=((f"sum(rate(rapidjws_token_cache_hits_total[{RATE}])) or vector(0)", "hits"),
                           (f"sum(rate(rapidjws_token_cache_misses_total[{RATE}])) or vector(0)", "misses"),
                           ("sum(rapidjws_token_cache_entries) or vector(0)", "entries")),
                  description="Tokens whose signature was known to be good."),
            Panel(title="Audit trail", kind="graph", unit="reqps", span=12,
                  queries=((f"sum by (result) (rate(rapidjws_audit_records_total[{RATE}])) or vector(0)", "{{result}}"),
                           ("sum(increase(rapidjws_audit_checkpoints_unsigned_total[1h])) or vector(0)", "unsigned, 1 h"),
                           ("sum by (result) (increase(rapidjws_audit_timestamps_total[1h])) or vector(0)",
                            "time stamps {{result}}, 1 h"),
                           ("sum by (result) (increase(rapidjws_audit_cosignatures_total[1h])) or vector(0)",
                            "cosignatures {{result}}, 1 h")),
                  description="Decisions with a record and without (lost); checkpoints that lack what seals them."),
            Panel(title="Introspection and status lists", kind="graph", unit="reqps", span=12,
                  queries=((f"sum by (result) (rate(rapidjws_introspections_total[{RATE}])) or vector(0)", "{{result}}"),
                           (f"{_quantile(0.95, 'rapidjws_introspection_duration_seconds', 'result', '')} or vector(0)",
                            "p95 {{result}}"),
                           (f"sum by (result) (rate(rapidjws_status_list_fetches_total[{RATE}])) or vector(0)",
                            "status lists {{result}}")),
                  description="What authorization servers say of tokens, and how long it takes."),
            Panel(title="Rules and nonces", kind="graph", unit="reqps", span=12,
                  queries=((f"sum by (rule, code, phase) (rate(rapidjws_rules_not_met_total[{RATE}])) or vector(0)",
                            "{{rule}} {{code}} ({{phase}})"),
                           (f"sum(rate(rapidjws_request_nonces_total[{RATE}])) or vector(0)", "nonces")),
                  description="Verified tokens that do not meet a rule; refused in phase enforce only."),
            Panel(title="Left undone", kind="graph", span=12,
                  queries=(("sum(increase(rapidjws_requests_shed_total[5m])) or vector(0)", "requests undecided"),
                           ("sum(increase(rapidjws_log_lines_dropped_total[5m])) or vector(0)", "log lines"),
                           ("sum(rapidjws_series_dropped_total) or vector(0)", "series without memory")),
                  description="Requests that were answered 503 for want of time, log lines and series that were left out."),
            Panel(title="Connections", kind="graph", span=12,
                  queries=(("sum by (listener) (rapidjws_connections)", "{{listener}}"),),
                  description="Open connections by listener."),
        )),
        ("Keys", (
            Panel(title="Last JWKS update per issuer", kind="table", unit="s", span=12,
                  queries=((f"max by (issuer) (rapidjws_jwks_age_seconds{{{ISSUER}}})", "age"),),
                  description="Time since the keys were fetched, of the worker that lags most."),
            Panel(title="JWKS fetch latency", kind="graph", unit="s", span=12,
                  queries=((_quantile(0.95, FETCH, "issuer, result", ISSUER), "p95 {{issuer}} {{result}}"),),
                  description="M3: 95 % below 200 ms."),
            Panel(title="Claim refusals", kind="graph", unit="reqps", span=12,
                  queries=((f"sum by (issuer, claim, code) (rate(rapidjws_claim_refusals_total{{{ISSUER}}}[{RATE}]))",
                            "{{issuer}} {{claim}} {{code}}"),),
                  description="M5: good signatures whose claims were refused; expired apart from invalid."),
            Panel(title="Clock skew", kind="graph", unit="s", span=12,
                  queries=((f"max by (issuer, stat) (rapidjws_clock_skew_seconds{{{ISSUER}}})", "{{issuer}} {{stat}}"),),
                  description="iat minus now of verified tokens, where skew_every is set."),
            KEY_CHANGES,
            JWKS_ERRORS,
        )),
        ("Refused tokens", (
            Panel(title="Sample of refused tokens", kind="logs", span=24, source=Source.LOGS, trace_links=True,
                  queries=(('{service_name="rapidjws"} | json | event=~"token_refused|token_indeterminate"'
                            ' | issuer=~"$issuer"', ""),),
                  description="Metadata of refused tokens: code, reason, kid, alg, issuer, partner, route, request and trace;"
                  " never the token."),
        )),
        ("Build", (
            Panel(title="Versions", kind="table", span=24, queries=(("rapidjws_build_info", "build"),),
                  description="Versions in use."),
        )),
    ),
)  # fmt: skip

DASHBOARDS = (EXECUTIVE, ONCALL, DEBUG)

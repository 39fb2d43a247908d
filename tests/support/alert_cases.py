"""What makes each alert fire, and what is near it and must not: series as promtool writes them."""

from __future__ import annotations

from dataclasses import dataclass

Series = dict[str, str]


@dataclass(frozen=True)
class Case:
    """Series with which an alert fires, others with which it does not, and the moment that is looked at."""

    fires: Series
    quiet: Series
    at: str = "90m"


def _v(verdict: str, values: str, code: str = "x", issuer: str = "https://a.example") -> Series:
    labels = f'issuer="{issuer}",partner="p",verdict="{verdict}",code="{code}"'
    return {f"rapidjws_verifications_total{{{labels}}}": values}


def _histogram(name: str, labels: str, low: str, high: str, limits: tuple[str, str]) -> Series:
    bounds = (*limits, "+Inf")
    return {f'rapidjws_{name}_bucket{{{labels},le="{bound}"}}': values
            for bound, values in zip(bounds, (low, high, high), strict=True)}  # fmt: skip


def _one(name: str, fires: str, quiet: str, at: str = "90m") -> Case:
    return Case({f"rapidjws_{name}": fires}, {f"rapidjws_{name}": quiet}, at)


GOOD = _v("permit", "0+1000x6000", "ok")
A = 'issuer="https://a.example"'
PRECISE = ("0.0078125", "0.015625")


def _latency(name: str, labels: str, limits: tuple[str, str]) -> Case:
    return Case(
        _histogram(name, labels, "0+90x200", "0+100x200", limits),
        _histogram(name, labels, "0+99x200", "0+100x200", limits),
    )


CASES: dict[str, Case] = {
    # 16 of 1000 tokens: above 14.4 times the budget; 10 are above 6 times, 1.5 above one
    "VerificationBurnFast": Case({**GOOD, **_v("deny", "0+20x200")}, {**GOOD, **_v("deny", "0+10x200")}),
    "VerificationBurnSlow": Case(
        {**GOOD, **_v("indeterminate", "0+8x600")}, {**GOOD, **_v("indeterminate", "0+4x600")}, "420m"
    ),
    "VerificationBurnSustained": Case(
        {**GOOD, **_v("deny", "0+3x200")}, {**GOOD, **_v("deny", "0+3x15 45+0x200")}
    ),
    "VerificationBurnDay": Case(
        {**GOOD, **_v("deny", "0+4x2000")}, {**GOOD, **_v("deny", "0+2x2000")}, "1560m"
    ),
    "VerificationBurnDays": Case(
        {**GOOD, **_v("deny", "0+2x6000")}, {**GOOD, **_v("deny", "0+0x5000 0+2x10")}, "4905m"
    ),
    "ClaimFailures": Case(
        {**GOOD, f'rapidjws_claim_refusals_total{{{A},claim="aud",code="audience_mismatch"}}': "0+3x200"},
        {**GOOD, f'rapidjws_claim_refusals_total{{{A},claim="exp",code="expired"}}': "0+300x200"},
    ),
    "DetachedMismatch": Case(
        {'rapidjws_detached_verifications_total{partner="p",result="mismatch"}': "_x85 1+0x20"},
        {'rapidjws_detached_verifications_total{partner="p",result="mismatch"}': "1+0x100"},
    ),
    "LatencyHigh": _latency("verification_duration_seconds", f'{A},alg="ES256"', PRECISE),
    "JWKSFetchSlow": _latency("jwks_fetch_duration_seconds", f'{A},result="ok"', ("0.125", "0.5")),
    "SigningSlow": _latency(
        "signing_duration_seconds", 'backend="local",alg="ES256",result="ok"', ("0.015625", "0.03125")
    ),
    "IssuerStateFailed": _one(f"issuer_state_failed{{{A}}}", "1+0x100", "0+0x100"),
    "IssuerWithoutLeader": Case(
        {f'rapidjws_issuer_leads{{{A},instance="{n}"}}': "0+0x100" for n in "ab"},
        {f'rapidjws_issuer_leads{{{A},instance="{n}"}}': f"{n == 'a':d}+0x100" for n in "ab"},
    ),
    "IssuerWithoutNextKey": Case(
        {
            f'rapidjws_issuer_keys{{{A},alg="ES256",stage="active"}}': "1+0x100",
            f'rapidjws_issuer_keys{{{A},alg="RS256",stage="next"}}': "1+0x100",
        },
        {
            f'rapidjws_issuer_keys{{{A},alg="ES256",stage="active"}}': "1+0x100",
            f'rapidjws_issuer_keys{{{A},alg="ES256",stage="next"}}': "1+0x100",
        },
    ),
    "IssuerRotationOverdue": _one(f"issuer_next_rotation_seconds{{{A}}}", "0+0x100", "60+0x100"),
    "ConsumersMissing": _one(f"consumers_missing{{{A}}}", "1+0x100", "0+0x100"),
    "SigningRefused": _one(
        'signing_queue_refused_total{backend="kms",code="signing_late"}', "0+3x100", "0+1x100"
    ),
    "SigningBackendDown": _one('signing_backend_open{backend="kms"}', "1+0x100", "0+0x100"),
    "SigningQuotaNear": Case(
        {
            'rapidjws_signing_calls_total{backend="kms",result="ok"}': "0+5400x100",
            'rapidjws_signing_quota_calls{backend="kms"}': "100+0x100",
        },
        {
            'rapidjws_signing_calls_total{backend="kms",result="ok"}': "0+5400x100",
            'rapidjws_signing_quota_calls{backend="kms"}': "0+0x100",
        },
    ),
    "TokensUnavailable": _one(
        'token_requests_total{client="",result="temporarily_unavailable"}', "0+1x100", "0+0x100"
    ),
    "AuditRecordsLost": Case(
        {'rapidjws_audit_records_total{result="lost"}': "0+1x100"},
        {
            'rapidjws_audit_records_total{result="recorded"}': "0+9x100",
            'rapidjws_audit_records_total{result="lost"}': "7+0x100",
        },
    ),
    "AuditNotSealed": Case(
        {'rapidjws_audit_timestamps_total{result="failed"}': "0+1x100"},
        {
            'rapidjws_audit_timestamps_total{result="stamped"}': "0+1x100",
            'rapidjws_audit_cosignatures_total{result="failed"}': "2+0x100",
        },
    ),
    "IntrospectionFailing": Case(
        {
            'rapidjws_introspections_total{result="active"}': "0+90x100",
            'rapidjws_introspections_total{result="not_asked"}': "0+10x100",
        },
        {
            'rapidjws_introspections_total{result="active"}': "0+99x100",
            'rapidjws_introspections_total{result="unavailable"}': "0+3x100",
        },
    ),
    "StatusListsFailing": Case(
        {'rapidjws_status_list_fetches_total{result="failed"}': "0+1x100"},
        {
            'rapidjws_status_list_fetches_total{result="failed"}': "0+1x100",
            'rapidjws_status_list_fetches_total{result="ok"}': "0+1x100",
        },
    ),
    "RequestsShed": _one("requests_shed_total", "0+50x100", "0+5x100"),
    "LoopLag": _one('event_loop_lag_seconds{worker="0"}', "2+0x100", "0.2+0x100"),
    "TablesOff": _one('precomputed_tables_off{worker="0"}', "1+0x100", "0+0x100"),
    "KeysUnavailable": _one(f"jwks_stale{{{A}}}", "1+0x100", "0+0x100"),
    "NotReady": _one("ready", "0+0x100", "1+0x100"),
    "JWKSFetchFailing": Case(
        {f'rapidjws_jwks_fetches_total{{{A},result="failed",reason="timeout"}}': "0+1x100"},
        {
            f'rapidjws_jwks_fetches_total{{{A},result="failed",reason="timeout"}}': "0+1x100",
            f'rapidjws_jwks_fetches_total{{{A},result="ok",reason=""}}': "0+1x100",
        },
    ),
    "JWKSFetchFailures": Case(
        {
            f'rapidjws_jwks_fetches_total{{{A},result="failed",reason="timeout"}}': "0+1x2000",
            f'rapidjws_jwks_fetches_total{{{A},result="ok",reason=""}}': "0+100x2000",
        },
        {f'rapidjws_jwks_fetches_total{{{A},result="ok",reason=""}}': "0+100x2000"},
        "1605m",
    ),
    "RotationGoneWrong": Case(
        {**GOOD, **_v("deny", "0+100x100", "unknown_kid")}, {**GOOD, **_v("deny", "0+10x100", "unknown_kid")}
    ),
    "RotationLag": Case(
        _histogram("key_first_use_lag_seconds", A, "0+0x100", "0+1x100", ("256", "512")),
        _histogram("key_first_use_lag_seconds", A, "0+1x100", "0+1x100", ("256", "512")),
    ),
    "ChangeLag": _one('change_lag_seconds{worker="1"}', "400+0x100", "0.01+0x100"),
    "UnknownKidFlood": _one(f"unknown_kid_floods_total{{{A}}}", "0+0x85 1+0x20", "1+0x100"),
    "EmergencyRotationSlow": Case(
        {f'rapidjws_emergency_rotation_seconds{{{A},stage="in_force",drill="false"}}': "2000+0x100"},
        {f'rapidjws_emergency_rotation_seconds{{{A},stage="in_force",drill="true"}}': "2000+0x100"},
    ),
    "PlannedRotation": _one(f"planned_rotation{{{A}}}", "1+0x100", "0+0x100"),
    "KeyCompromiseSign": _one(
        f'security_events_total{{event="private_key_published",{A}}}', "_x85 1+0x20", "1+0x100"
    ),
    "RevokedKeyUsed": Case(
        {**GOOD, **_v("deny", "0+1x100", "revoked")}, {**GOOD, **_v("deny", "5+0x100", "revoked")}
    ),
    "AttackSigns": Case(
        {f'rapidjws_security_events_total{{event="algorithm_confusion",{A}}}': "0+1x100"},
        {f'rapidjws_security_events_total{{event="private_key_published",{A}}}': "0+1x100"},
    ),
    "Replay": Case(
        {f'rapidjws_replay_checks_total{{{A},result="replayed"}}': "0+0x88 1+0x20"},
        {f'rapidjws_replay_checks_total{{{A},result="first"}}': "0+10x100"},
    ),
    "ReplayStoreDown": _one("replay_store_errors_total", "0+5x100", "5+0x100"),
    "ClockImplausible": Case(
        {**GOOD, **_v("indeterminate", "0+9x100", "clock_implausible")}, {**GOOD, **_v("deny", "0+9x100")}
    ),
    "IssuerClockAhead": Case(
        {f'rapidjws_clock_skew_seconds{{{A},stat="max"}}': "45+0x100"},
        {f'rapidjws_clock_skew_seconds{{{A},stat="p5"}}': "45+0x100"},
    ),
    "ClockRefusals": Case(
        {**GOOD, f'rapidjws_claim_refusals_total{{{A},claim="iat",code="issued_in_future"}}': "0+50x100"},
        {**GOOD, f'rapidjws_claim_refusals_total{{{A},claim="iat",code="issued_in_future"}}': "0+5x100"},
    ),
    "WorkerFlapping": _one('worker_restarts_total{worker="0"}', "0+1x100", "1+0x100"),
    "Absent": Case(
        {"rapidjws_ready": "1+0x100"},
        {'rapidjws_build_info{version="1",libcrypto="3",python="3.11"}': "1+0x100"},
    ),
    "ConfigurationRefused": _one('config_refused{worker="0"}', "1+0x100", "0+0x100"),
    "PartnerRefusedWhole": Case(
        {
            'rapidjws_requests_total{partner="p",route="/",verdict="deny",code="expired"}': "0+10x100",
            'rapidjws_requests_refused_total{partner="p",route="/"}': "0+10x100",
        },
        {
            'rapidjws_requests_total{partner="p",route="/",verdict="deny",code="expired"}': "0+10x100",
            'rapidjws_requests_refused_total{partner="p",route="/"}': "0+5x100",
        },
    ),
    "RefusedAfterPromotion": Case(
        {
            'rapidjws_requests_total{partner="p",route="/",verdict="deny",code="expired"}': "0+100x100",
            'rapidjws_requests_refused_total{partner="p",route="/"}': "0+0x70 0+20x50",
            'rapidjws_requests_let_through_total{partner="p",route="/"}': "0+20x70 1400+0x50",
        },
        {
            'rapidjws_requests_total{partner="p",route="/",verdict="deny",code="expired"}': "0+100x100",
            'rapidjws_requests_refused_total{partner="p",route="/"}': "0+20x100",
        },
    ),
    "Freeze": _one("rollout_frozen", "1+0x100", "0+0x100"),
}

"""Each metric moves where what it counts happens, and a refused claim is counted by its name."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import tokens
from tables import NAMES, NEED_BYTES, engine_of, use, wait_until

import rapidjws
from rapidjws import Engine, TokenCache, _native
from rapidjws.middleware import SignedBody
from rapidjws.middleware.requests import RequestContext
from rapidjws.observe import EngineMetrics, MeasuredSigner, Reading
from rapidjws.observe import metric_list as metrics
from rapidjws.observe.metric_list import METRICS
from rapidjws.rollout import Partner, Rollout
from rapidjws.signing import LocalSigner
from rapidjws.stores import MemoryReplayStore
from rapidjws.verify.protocols import Event
from rapidjws.verify.verdict_counters import VerdictCounters

URL = "https://issuer.example/jwks"
Before = Callable[[], Reading]


class Service:
    """One worker of a sidecar, in this process, with all that its metrics are made of."""

    def __init__(self) -> None:
        from rapidjws.sidecar.app import SidecarApp
        from rapidjws.sidecar.change_bus import ChangeBus
        from rapidjws.sidecar.metrics import Metrics
        from rapidjws.sidecar.protocol import PublicListener
        from rapidjws.sidecar.settings import ServerSettings
        from rapidjws.sidecar.worker_gauges import WorkerGauges
        from rapidjws.verify.counter_memory import CounterMemory

        issuer = rapidjws.Issuer(
            tokens.ISS,
            keys=[tokens.public("ES256")],
            algorithms=["ES256"],
            audience=tokens.AUD,
            required_claims=("tenant",),
            replay=rapidjws.Replay(store=MemoryReplayStore()),
        )
        self.policy = Rollout([Partner(name="acme", issuers=(tokens.ISS,), required_claims=("contract",))])
        self.policy.promote(by="test", to="enforcement", force=True)
        self.engine = Engine(issuer, rollout=self.policy, skew_every=1, cache=TokenCache(), counters=False)
        self.restarts = [0]
        self.tables: dict[str, Any] = {}
        self.bus, self.memory = ChangeBus(1), CounterMemory(1)
        self.app = SidecarApp(engine=self.engine, rollout=self.policy, tables=lambda: self.tables)
        self.recorder = self.app.recorder
        self.recorder._issuer_of = lambda: {URL: tokens.ISS}
        self.public = PublicListener(self.app, ServerSettings(), self.bus, index=0, seen=self.bus.counters())
        region = self.memory.of_worker(0)
        region.begin()
        self.recorder.attach(region)
        self.public.observer.recorder = self.recorder
        self.policy.defer(self.recorder.count)
        self.engine.count_in(VerdictCounters(region))
        self.gauges = WorkerGauges(self.engine, self.recorder, 0)
        self.metrics = Metrics(self.public, self.memory, self.recorder, lambda: self.restarts)

    def reading(self) -> Reading:
        """Return all samples of this moment."""
        self.public.note_tables()
        return self.metrics.reading()

    def tick(self, now_s: float = 0.0, **connections: int) -> None:
        """Put the gauges, as each worker does from time to time."""
        self.gauges.on_tick(
            now_s, 0.5, {tokens.ISS: SimpleNamespace(good_at_s=time.monotonic())}, connections
        )

    def ask(self, route: str = "/pay", **changes: Any) -> None:
        """Decide on a request."""
        self.engine.decide(token(**changes), route=route)

    def close(self) -> None:
        """Let the memory go."""
        self.bus.close()


def token(**changes: Any) -> str:
    """Return a token that is good now, unless it is changed."""
    made: dict[str, Any] = {"iat": None, "jti": str(time.monotonic_ns()), "tenant": "t", "contract": "c"}
    return tokens.token("ES256", **{**made, **changes})


@pytest.fixture(name="service")
def _service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    pytest.importorskip("httptools", reason="the extra `server` is not installed")
    monkeypatch.setattr(os, "kill", lambda pid, number: None)  # a change wakes its workers: here it is us
    made = Service()
    yield made
    made.close()


def _detached(service: Service) -> None:
    """Decide on a body whose signature is none."""
    verifier = rapidjws.Verifier([tokens.public("ES256")], algorithms=["ES256"])
    body = SignedBody(verifier=verifier, recorder=service.recorder)
    body.decide(RequestContext(values=[b"a..b"], query=b"", partner=None, route=None), b"{}")


def _accelerated(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the accelerated paths have been looked at, found wrong, and been switched off."""
    report = _native.AccelerationReport(sampled=3, mismatches=1, fallbacks=2, off=True)
    monkeypatch.setattr(_native, "acceleration_report", lambda: report)
    service.tick()


def _tables(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have tables of keys, one of which made room for another."""
    status = service.engine.table_status()
    more = dataclasses.replace(
        status, tables=1, used_bytes=2, budget_bytes=3, wanted_bytes=4, built=5, evicted=6
    )
    monkeypatch.setattr(type(service.engine), "table_status", lambda self: more)
    service.tick()


def _dropped(service: Service) -> None:
    """Count under a name that no memory takes."""
    service.recorder._region.place("x" * 70_000, (), "c")  # type: ignore[union-attr]


def _announced(service: Service) -> None:
    service.tables = {
        "issuers": [{"iss": [tokens.ISS, "https://b.example"], "rotation_until": "2999-01-01T00:00:00Z"}]
    }


def _changed(service: Service) -> None:
    service.bus.announce("rollout", time.monotonic_ns() - 10**9)
    service.bus.note_applied(0, service.bus.counters(), config_refused=True)


def _twice(service: Service) -> None:
    once = token()
    service.engine.decide(once)
    service.engine.decide(once)


def _event(**fields: Any) -> Callable[[Service], None]:
    return lambda service: service.recorder(Event(**fields))


def _late(service: Service) -> None:
    service.tick(1.0)
    service.tick(9.0, public=3)


def _replaced(service: Service) -> None:
    service.engine.replace_keys(tokens.ISS, [])
    service.tick()


def _restarted(service: Service) -> None:
    service.restarts[0] += 1


MOVES: dict[str, Callable[..., None]] = {
    "verifications_total": Service.ask,
    "verification_duration_seconds": Service.ask,
    "jwks_fetch_duration_seconds": _event(name="fetch_ended", issuer=URL, value=0.1),
    "jwks_fetches_total": _event(name="fetch_ended", issuer=URL, value=0.1, detail="timeout"),
    "jwks_age_seconds": Service.tick,
    "jwks_stale": _replaced,
    "jwks_keys": _replaced,
    "claim_refusals_total": lambda service: service.ask(exp=1),
    "key_first_use_lag_seconds": _event(name="rotation_lag", issuer=tokens.ISS, value=2.0),
    "change_lag_seconds": _changed,
    "signing_duration_seconds": lambda service: MeasuredSigner(
        LocalSigner(tokens.key("ES256")), service.recorder
    ).sign(b"a.b"),
    "signing_queue_depth": lambda service: MeasuredSigner(
        LocalSigner(tokens.key("ES256")), service.recorder
    )._under_way(2),
    "detached_verifications_total": _detached,
    "replay_checks_total": Service.ask,
    "replay_store_errors_total": _event(name="replay_store_failed"),
    "emergency_rotation_seconds": lambda service: service.recorder.revoked(tokens.ISS, 0.5),
    "requests_total": Service.ask,
    "requests_refused_total": lambda service: service.ask(exp=1),
    "requests_let_through_total": lambda service: (
        service.policy.rollback(by="test", to="detection"),
        service.ask(exp=1),
    ),
    "rollout_phase": lambda service: service.policy.rollback(by="test", to="detection"),
    "rollout_canary_percent": lambda service: (
        service.policy.rollback(by="test", to="detection"),
        service.policy.promote(by="test", to="warning", canary_percent=10, force=True),
    ),
    "rollout_frozen": lambda service: service.policy.freeze(by="test", why="test"),
    "planned_rotation": _announced,
    "unknown_kids_total": lambda service: service.ask(header={"kid": "nobody's"}),
    "unknown_kid_floods_total": _event(name="unknown_kid_flood", issuer=URL),
    "clock_skew_seconds": lambda service: (service.ask(iat=int(time.time()) - 5), service.tick()),
    "revocations": lambda service: service.engine.revoke(kid="old"),
    "token_cache_hits_total": lambda service: (_twice(service), service.tick()),
    "token_cache_misses_total": lambda service: (service.ask(), service.tick()),
    "token_cache_entries": lambda service: (service.ask(), service.tick()),
    "precomputed_tables_keys": _tables,
    "precomputed_tables_bytes": _tables,
    "precomputed_tables_budget_bytes": _tables,
    "precomputed_tables_wanted_bytes": _tables,
    "precomputed_tables_builds_total": _tables,
    "precomputed_tables_evictions_total": _tables,
    "precomputed_tables_off": _accelerated,
    "precomputed_tables_samples_total": _accelerated,
    "precomputed_tables_mismatches_total": _accelerated,
    "libcrypto_fallbacks_total": _accelerated,
    "ready": _replaced,
    "workers": lambda service: service.bus.forget(0),
    "worker_restarts_total": _restarted,
    "connections": _late,
    "event_loop_lag_seconds": _late,
    "changes_total": _changed,
    "config_refused": _changed,
    "security_events_total": _twice,
    "log_lines_dropped_total": lambda service: service.recorder.add(metrics.LOG_LINES_DROPPED, more=2),
    "requests_shed_total": lambda service: service.recorder.add(metrics.REQUESTS_SHED, more=2),
    "audit_records_total": lambda service: service.recorder.add(metrics.AUDIT_RECORDS, "recorded", more=2),
    "audit_checkpoints_unsigned_total": lambda service: service.recorder(
        Event(name="audit_checkpoint_unsigned")
    ),
    "audit_cosignatures_total": lambda service: service.recorder(Event(name="audit_witnessed")),
    "audit_timestamps_total": lambda service: service.recorder(Event(name="audit_timestamp_failed")),
    "introspections_total": lambda service: service.recorder(
        Event(name="introspection_remembered", value=2.0)
    ),
    "introspection_duration_seconds": lambda service: service.recorder(
        Event(name="introspection_ended", detail="active", value=0.02)
    ),
    "request_nonces_total": lambda service: service.recorder.add(metrics.REQUEST_NONCES, "issued", more=2),
    "status_list_fetches_total": lambda service: service.recorder(Event(name="status_list_fetched")),
    "rules_not_met_total": lambda service: service.recorder.add(
        metrics.RULES_NOT_MET, "orders", "insufficient_scope", "enforce", more=2
    ),
    "series_dropped_total": _dropped,
}
"""What makes each metric move."""

STILL = {"build_info"}
"""Metrics that never change while a process runs."""


OF_ISSUERS = {
    *("signing_queue_wait_seconds", "signing_queue_joined_total", "signing_queue_refused_total"),
    *("signing_calls_total", "signing_quota_calls", "signing_backend_open", "token_requests_total"),
    *("issuer_keys", "issuer_leads", "issuer_state_failed", "issuer_next_rotation_seconds"),
    *("consumers_confirmed", "consumers_missing"),
}
"""Metrics of a process that issues, which test_queue_metrics.py moves."""


def test_each_metric_has_what_moves_it() -> None:
    """A metric is in the list only where something moves it."""
    assert {f"{metrics.PREFIX}{name}" for name in {*MOVES, *STILL, *OF_ISSUERS}} == set(METRICS)


@pytest.mark.parametrize("name", MOVES)
def test_a_metric_moves(name: str, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it counts happens once, and its samples are others than before."""
    import inspect

    def samples() -> dict[tuple[str, ...], Any]:
        return {one.labels: one.value for one in service.reading().samples(f"{metrics.PREFIX}{name}")}

    before = samples()
    move = MOVES[name]
    if len(inspect.signature(move).parameters) > 1 and move in (_accelerated, _tables):
        move(service, monkeypatch)
    else:
        move(service)
    assert samples() != before


@pytest.mark.parametrize("many", [False, True])
def test_a_refused_claim_is_counted_by_its_name(many: bool, service: Service) -> None:
    """Missing claims of the issuer's and the partner's rules, and malformed ones, by one call and by many."""
    cases = {
        ("tenant", "missing_claim"): token(tenant=None),
        ("contract", "missing_claim"): token(contract=None),
        ("sub", "malformed_claim"): token(sub=7),
        ("aud", "malformed_claim"): token(aud=[tokens.AUD, 7]),
        ("jti", "missing_claim"): token(jti=None),
        ("exp", "expired"): token(exp=1),
    }
    if many:
        service.engine.decide_many([(one, None, None) for one in cases.values()])
    else:
        for one in cases.values():
            service.engine.decide(one)
    found = {one.labels[1:]: one.value for one in service.reading().samples("rapidjws_claim_refusals_total")}
    assert found == dict.fromkeys(cases, 1)


def test_verify_counts_claims_by_name_as_well() -> None:
    """What ``verify`` and ``verify_many`` refuse has the claim's name too, which is never the token's own."""
    issuer = rapidjws.Issuer(
        tokens.ISS, keys=[tokens.public("ES256")], algorithms=["ES256"], audience=tokens.AUD,
        required_claims=("tenant",),
    )  # fmt: skip
    one = Engine(issuer)
    bad = [token(tenant=None), token(sub=7), token(canary=1, tenant=None)]
    for each in bad:
        with pytest.raises(rapidjws.ClaimRefused):
            one.verify(each)
    one.verify_many(bad)
    samples = EngineMetrics(one).reading().samples("rapidjws_claim_refusals_total")
    assert {sample.labels[1:]: sample.value for sample in samples} == {
        ("tenant", "missing_claim"): 4,
        ("sub", "malformed_claim"): 2,
    }


def test_names_of_claims_are_bounded() -> None:
    """However many names there were, the series are few; the rest counts under an empty name."""
    from rapidjws.verify.verdict_counters import CLAIM_NAMES_MAX

    counters = VerdictCounters()
    for number in range(CLAIM_NAMES_MAX + 10):
        counters.count("nobody", "", "missing_claim", "", 1, f"claims.name{number}")
    counters.count("nobody", "", "missing_claim", "", 1)
    named = [one for one in counters.region.series() if one.name == "claim_refusals_total"]
    assert len(named) == CLAIM_NAMES_MAX + 1
    assert {one.labels[0] for one in named} == {""}


@pytest.mark.skipif(not NEED_BYTES, reason="no tables on this platform")
def test_displaced_tables_are_evictions() -> None:
    """A key in more use takes the place of another's table, and that is counted."""
    one = engine_of(NAMES[:2], tables=1)
    for name, times, evicted in ((NAMES[0], 4, 0), (NAMES[1], 40, 1)):
        use(one, name, times)
        one._precomputed.next_turn_s = 0.0  # pace is held by tests of its own
        wait_until(lambda: not one._precomputed.is_queued)
        assert one.table_status().evicted == evicted


@pytest.mark.parametrize(("counters", "most"), [(True, 1), (False, 1)])
def test_a_refused_payload_is_read_once(counters: bool, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose keys a token asked for is read once at most; never for counts alone where nothing is counted."""
    from rapidjws.verify import key_selection

    reads: list[bytes] = []

    def counting(octets: bytes, max_bytes: int) -> Any:
        reads.append(octets)
        return names_of(octets, max_bytes)

    names_of = key_selection._stated_names
    monkeypatch.setattr(key_selection, "_stated_names", counting)
    issuers = [
        rapidjws.Issuer(iss, keys=[tokens.public("ES256", name)], algorithms=["ES256"], audience=tokens.AUD)
        for iss, name in ((tokens.ISS, "k1"), ("https://other.example", "k2"))
    ]
    one = Engine(*issuers, counters=counters)
    one.revoke(kid="somebody's")  # so that an unknown kid is explained
    cases = {
        "kid of nobody": token(header={"kid": "x"}),
        "kid of another": token(header={"kid": tokens.key("ES256", "k2").kid}),
        "unknown issuer": token(iss="https://stranger.example", header={"kid": None}),
        "alg that is not allowed": token(header={"alg": "EdDSA", "kid": None}),
        "alg none": token(header={"alg": "none"}),
    }
    for what, each in cases.items():
        reads.clear()
        (refused,) = one.verify_many([each])
        assert isinstance(refused, rapidjws.Rejected)
        assert len(reads) <= most, what
        if what == "alg none":
            assert len(reads) == int(counters)
        if counters:
            expected = None if what == "unknown issuer" else tokens.ISS
            assert refused.claimed_issuer in (expected, "https://other.example"), what

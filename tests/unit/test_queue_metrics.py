"""What a signing queue and an issuer count: each request once, each call once, and no more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from issuing_world import START_S, TIMING, CountingMaker, life_cycle
from queued_signers import Backend, Turned, codes, held
from token_world import ORDERS, World, basic

from rapidjws import RapidJWSError
from rapidjws.issuing import (
    Announcer,
    Confirmations,
    Consumer,
    EmergencyLog,
    MemoryStateStore,
    Schedule,
    rotate_in_emergency,
)
from rapidjws.observe import IssuerMetrics, Reading
from rapidjws.signing import SigningQueue
from rapidjws.signing.backend import SignerLimits
from rapidjws.testing import FakeClock

ISS = "https://issuer.example"
P = "rapidjws_"


def metrics() -> IssuerMetrics:
    """Return the metrics of an issuer without keys."""
    return IssuerMetrics(ISS, life_cycle())


def one(reading: Reading, name: str, **labels: str) -> float:
    """Return the sum of a metric's samples."""
    return reading.total(P + name, **labels)


def test_each_request_of_a_queue_is_counted_once() -> None:
    """Waits, joined requests, refusals by code, calls by result, and depth, of a queue by its first name."""
    found, clock, backend = metrics(), Turned(), Backend()
    queue = SigningQueue([backend], depth=2, clock=clock, meter=found.queue(["kms"]), max_age_at_issue_s=60)
    first = held(queue, backend)
    waiting = [queue._enqueue(b"a", "x", 60), queue._enqueue(b"a", "x", 60)]
    assert one(found.reading(), "signing_queue_depth", backend="kms") == 2
    with pytest.raises(RapidJWSError):
        queue.sign(b"b", caller="x")
    clock.turn(7.0)
    backend.leave.set()
    assert [each.result(60) for each in (first, *waiting)]
    queue.close(60)
    reading = found.reading()
    assert one(reading, "signing_queue_joined_total", backend="kms") == 1
    assert one(reading, "signing_queue_refused_total", backend="kms", code="signing_queue_full") == 1
    assert one(reading, "signing_queue_refused_total") == 1
    assert one(reading, "signing_calls_total", backend="kms", result="ok") == 2
    assert one(reading, "signing_queue_depth", backend="kms") == 0
    waits = reading.histogram(f"{P}signing_queue_wait_seconds", backend="kms")
    assert (waits.count, round(waits.sum, 3)) == (2, 7.0)


def test_a_shed_request_and_one_given_up_are_refused() -> None:
    """Who has most loses its newest, and who waits no longer is late: each counts once, under its code."""
    found, backend = metrics(), Backend()
    queue = SigningQueue([backend], depth=2, meter=found.queue(["kms"]), max_age_at_issue_s=60)
    first = held(queue, backend)
    large = [queue._enqueue(octets, "large", 60) for octets in (b"a", b"b")]
    small = queue._enqueue(b"c", "small", 60)
    assert codes(large) == [None, "signing_queue_full"]
    with pytest.raises(RapidJWSError):
        queue.sign(b"first", caller="small", timeout_s=0)  # beside the one that is being signed
    backend.leave.set()
    assert [each.result(60) for each in (first, large[0], small)]
    queue.close(60)
    reading = found.reading()
    assert one(reading, "signing_queue_refused_total", code="signing_queue_full") == 1
    assert one(reading, "signing_queue_refused_total", code="signing_late") == 1
    assert one(reading, "signing_queue_refused_total") == 2


def test_calls_are_counted_by_the_signer_that_was_called() -> None:
    """A failed call counts for the first, a good one for the second; the first one is left alone then."""
    found = metrics()
    first, second = Backend(SignerLimits(per_second=10)), Backend()
    for each in (first, second):
        each.leave.set()
    first.fault = "signer_unavailable"
    queue = SigningQueue([first, second], failures=1, meter=found.queue(["kms", "hsm"]))
    queue.sign(b"a")
    queue.sign(b"b")
    reading = found.reading()
    assert one(reading, "signing_calls_total", backend="kms", result="failed") == 1
    assert one(reading, "signing_calls_total", backend="hsm", result="ok") == 2
    assert one(reading, "signing_backend_open", backend="kms") == 1
    assert one(reading, "signing_backend_open", backend="hsm") == 0
    assert one(reading, "signing_quota_calls", backend="kms") == 9
    assert one(reading, "signing_queue_refused_total") == 0


def test_a_failed_request_counts_by_its_code() -> None:
    """What no signer signs is refused with the last one's code, for each who waited; slow is not ok."""
    found, clock, backend = metrics(), Turned(), Backend()
    backend.leave.set()
    backend.fault = "signer_throttled"
    queue = SigningQueue([backend], clock=clock, meter=found.queue(["kms"]), max_age_at_issue_s=5)
    with pytest.raises(RapidJWSError):
        queue.sign(b"a")
    backend.fault, backend.before = None, lambda: clock.turn(6.0)
    with pytest.raises(RapidJWSError):
        queue.sign(b"b")
    reading = found.reading()
    assert one(reading, "signing_queue_refused_total", code="signer_throttled") == 1
    assert one(reading, "signing_queue_refused_total", code="signing_late") == 1
    assert one(reading, "signing_calls_total", result="slow") == 1


def test_tokens_count_by_client_and_a_stranger_has_no_name() -> None:
    """A token is ok; a refusal has the error, and its client only where it was authenticated."""
    found = metrics()
    world = World(counter=found.token_requested)
    assert world.asserted().status == 200
    assert world.asserted(scope="admin").status == 400
    assert world.ask({"grant_type": "client_credentials"}, basic("test", "wrong" * 8)).status == 401
    assert world.ask({"grant_type": "client_credentials"}, basic("canary", "x")).status == 401
    world.service.issue("a", audience=ORDERS)
    samples = {each.labels: each.value for each in found.reading().samples(f"{P}token_requests_total")}
    assert samples == {("a", "ok"): 1, ("a", "invalid_scope"): 1, ("", "invalid_client"): 2}


class FailingStore(MemoryStateStore):
    """A store that fails when it is told to."""

    is_down = False

    def read(self) -> Any:
        """Return the state, or fail."""
        if self.is_down:
            from rapidjws.errors import error_for

            raise error_for("key_state_unavailable", "test")
        return super().read()


def test_keys_leader_and_the_next_rotation() -> None:
    """Keys by stage, who leads, when the next rotation is due; a state that cannot be read is told."""
    clock, store = FakeClock(START_S), FailingStore()
    schedule = Schedule("every 1 day at 03:00 UTC")
    issuer = life_cycle(clock, store=store, schedule=schedule)
    found = IssuerMetrics(ISS, issuer)
    for _ in range(2):
        issuer.tick()
        clock.advance(TIMING.before_s)
    issuer.tick()
    reading = found.reading()
    assert one(reading, "issuer_keys", issuer=ISS, alg="ES256", stage="active") == 1
    assert one(reading, "issuer_keys", issuer=ISS, alg="ES256", stage="next") == 1
    assert one(reading, "issuer_leads", issuer=ISS) == 1
    due_s = one(reading, "issuer_next_rotation_seconds", issuer=ISS)
    assert 0 < due_s <= 2 * 86400
    other = IssuerMetrics(ISS, life_cycle(clock, store=store))
    assert one(other.reading(), "issuer_leads", issuer=ISS) == 0
    store.is_down = True
    clock.advance(TIMING.state_max_age_s + 1)
    reading = found.reading()
    assert one(reading, "issuer_state_failed", issuer=ISS) == 1
    assert not reading.samples(f"{P}issuer_keys")


def test_the_last_emergency_and_the_last_drill_are_read_from_the_log(tmp_path: Path) -> None:
    """Stages of the newest of each, of this issuer only; failed ones and torn lines count for nothing."""
    clock, maker = FakeClock(START_S), CountingMaker()
    issuer = life_cycle(clock, maker=maker)
    for _ in range(3):
        issuer.tick()
        clock.advance(TIMING.before_s)
    log = EmergencyLog(tmp_path / "emergencies.jsonl")
    found = IssuerMetrics(ISS, issuer, emergencies=log)
    assert not found.reading().samples(f"{P}emergency_rotation_seconds")
    ticks = iter(range(100))
    consumers = [Consumer(name="c", url="https://c.example/hook", secret="s" * 32)]
    announcer = Announcer(ISS, consumers, lambda *_: (200, b'{"status":"known"}'))
    report = rotate_in_emergency(
        issuer, announcer, "es256-0", "leaked", issuer=ISS, wait_s=0, monotonic=lambda: float(next(ticks))
    )
    log.write(report, "leaked", issuer=ISS, decided_at_s=START_S)
    log.write(report, "other", issuer="https://other.example", decided_at_s=START_S)
    log.write(report, "drill", issuer=ISS, decided_at_s=START_S, drill=True)
    with log._path.open("ab") as torn:
        torn.write(b'{"issuer": "' + ISS.encode() + b'", "stages": [{"name')
    stages = {each.labels: each.value for each in found.reading().samples(f"{P}emergency_rotation_seconds")}
    assert stages == {
        (ISS, name, drill): seconds
        for drill in ("true", "false")
        for name, seconds in (("replaced", 1.0), ("confirmed", 2.0))
    }
    line = json.loads((tmp_path / "emergencies.jsonl").read_bytes().splitlines()[0])
    assert (line["kid"], line["successor"], line["why"]) == ("es256-0", "es256-1", "leaked")
    log.write(report, "again", issuer=ISS, decided_at_s=START_S)  # after a torn line
    assert len(log.last(ISS)) == 2


def test_confirmations_are_gauges() -> None:
    """Who confirmed the last announcement and who did not; nothing before the first."""
    found = metrics()
    assert not found.reading().samples(f"{P}consumers_missing")
    found.announced(Confirmations(confirmed={"a": 0.1, "b": 0.2}, missing={"c": "503"}))
    assert one(found.reading(), "consumers_confirmed", issuer=ISS) == 2
    assert one(found.reading(), "consumers_missing", issuer=ISS) == 1


def test_a_failed_stage_is_no_measure(tmp_path: Path) -> None:
    """A stage that failed has no time: the metric shows what was over; of issuers each its own."""
    from rapidjws.issuing import EmergencyReport, EmergencyStage

    log = EmergencyLog(tmp_path / "emergencies.jsonl")
    nobody = Confirmations(confirmed={}, missing={})
    stages = (EmergencyStage("replaced", 0.1, ""), EmergencyStage("revoked", 0.2, "", True))
    report = EmergencyReport(kid="k", successor=None, stages=stages, confirmations=nobody)
    log.write(report, "x", issuer=ISS, decided_at_s=START_S)
    later = EmergencyReport(kid="k", successor=None, stages=(), confirmations=nobody)
    log.write(later, "x", issuer="https://other.example", decided_at_s=START_S)
    (record,) = log.last(ISS)
    assert record.stages == {"replaced": 0.1}

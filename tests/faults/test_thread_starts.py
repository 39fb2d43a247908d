"""Every place that starts a thread or a process, where it cannot be started: right, refused, or later."""

from __future__ import annotations

import ast
import asyncio
import itertools
import json
import os
import time
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import tokens
from issuers import code, now_s, wait_for
from redis_server import OwnRedis
from rollouts import ask, engine, rollout
from thread_faults import NO_THREAD, failing_starts

import rapidjws
from rapidjws.config.load import ConfigFile
from rapidjws.keys import CachedJWKSVerifier, RemoteJWKS
from rapidjws.keys import fetch as fetching
from rapidjws.rollout import GuardRails, Partner, Shadow, StateFolder
from rapidjws.rollout.rollout import first_plan
from rapidjws.stores import RedisRevocations
from rapidjws.testing import FakeIssuer

TESTS = Path(__file__).resolve().parent.parent
SOURCE = Path(next(iter(rapidjws.__path__)))
LIMIT_S = 60.0
ISSUER = FakeIssuer("https://a.example", "ES256", lifetime_s=3600)
FAULTS = [RuntimeError(NO_THREAD), MemoryError()]

STARTS = frozenset(
    "Thread Timer ThreadPoolExecutor ProcessPoolExecutor Process Pool submit to_thread run_in_executor"
    " call_on_thread fork forkpty posix_spawn Popen start_new_thread".split()
)
"""Names of calls that start a thread or a process, or ask for one."""

HERE = "faults/test_thread_starts.py"
SERVED = "faults/test_thread_starts_served.py"
ATTACHED = "faults/test_thread_starts_attached.py"
ISSUING = "faults/test_thread_starts_issuing.py"
OBSERVED = "faults/test_thread_starts_observed.py"
LOOP = "faults/test_partial_failure_loop.py"
ASKING = "faults/test_thread_starts_asking.py"
AUDIT = "faults/test_thread_starts_audit.py"
STORES = ("faults/test_loops_and_stores.py", "test_S15_a_blocking_store_and_no_thread")
TABLE: dict[str, tuple[str, str]] = {
    "EngineIntrospection._averify_asking_as_of call_on_thread": (ASKING, "test_S15_no_thread_to_ask"),
    "StatusListSource._begin Thread": (ASKING, "test_S24_no_thread_for_a_status_list"),
    "PeriodicPoll.on_tick submit": (ASKING, "test_S15_no_thread_to_poll"),
    "Retention._start submit": (AUDIT, "test_S15_no_thread_to_drop_what_is_old"),
    "Schedule.step submit": (AUDIT, "test_S15_no_thread_for_a_time_stamp"),
    "CheckpointSigner.sign submit": (AUDIT, "test_S15_no_thread_to_sign_a_checkpoint"),
    "SignedLogHandler._start Thread": (AUDIT, "test_S15_no_thread_to_sign_logs"),
    "_Pool.executor ThreadPoolExecutor": (LOOP, "test_S15_no_thread_no_waiting"),
    "ahead submit": ("bulk/test_bulk_runs.py", "test_the_next_rows_are_read_meanwhile"),
    "_recorded submit": ("diagnose/test_contract.py", "test_audit_and_rollback_are_rehearsed"),
    "submit submit": (LOOP, "test_S15_a_refused_call_is_run_once"),
    "call_on_thread submit": (LOOP, "test_S15_a_refused_call_is_run_once"),
    "Engine._averify_as_of call_on_thread": STORES,
    "Engine._averify call_on_thread": STORES,
    "Engine._averify submit": (LOOP, "test_S15_no_thread_no_waiting"),
    "_Batch._verify submit": (LOOP, "test_S15_no_thread_no_waiting"),
    "verify_many submit": ("faults/test_partial_failure.py", "test_S14_no_start_of_a_thread_moves_a_result"),
    "SnapshotOwner.aprecompute call_on_thread": (HERE, "test_S15_aprecompute_without_threads"),
    "SnapshotOwner._table_due submit": (
        "faults/test_partial_failure.py",
        "test_S24_no_table_thread_no_fault",
    ),
    "TableBuilder._start Thread": (
        "faults/test_partial_failure.py",
        "test_S24_no_table_thread_no_fault",
    ),
    "verify_async_stream call_on_thread": (HERE, "test_S15_averify_detached_without_threads"),
    "Scheduler._start Thread": (
        "faults/test_refresh_faults.py",
        "test_S24_a_timer_that_cannot_start",
    ),
    "resolve Thread": (HERE, "test_S24_no_thread_for_a_look_up"),
    "FetchSchedule._begin Thread": (HERE, "test_S24_no_thread_for_a_fetch"),
    "start_thread Thread": (HERE, "test_S24_no_thread_for_the_revocations"),  # of rotations as well: ISSUING
    "ConfigFile._look submit": (HERE, "test_S24_no_thread_for_the_configuration"),
    "Rollout._watch submit": (HERE, "test_S24_no_thread_for_an_automatic_rollback"),
    "Shadow._placed Thread": (HERE, "test_S24_no_thread_for_the_shadow"),
    # middlewares and the sidecar
    "Authenticator._adecide call_on_thread": (SERVED, "test_S15_a_signed_body_without_threads"),
    "AdminProtocol._act call_on_thread": (
        "faults/test_decision_faults.py",
        "test_S15_an_admin_action_that_found_no_thread_does_not_run",
    ),
    "_asked_all submit": ("partners/test_regions.py", "test_K_regions_are_asked_without_threads"),
    "WorkerState._observe_on_thread submit": ("unit/test_service_status.py", "test_K_alerts_without_threads"),
    "BodyRequests._decided call_on_thread": ("unit/test_sidecar_bodies.py", "test_without_threads"),
    "_seen submit": ("partners/test_routine.py", "test_K_check_looks_without_threads"),
    "probe_all submit": ("unit/test_service_status.py", "test_K_a_probe_without_threads"),
    "StatusStream._event call_on_thread": (
        "unit/test_service_status.py",
        "test_K_a_stream_without_threads",
    ),
    "Metrics._make call_on_thread": (SERVED, "test_S15_metrics_without_threads"),
    "SidecarProtocol._answer_slowly call_on_thread": (SERVED, "test_S15_a_hook_without_threads"),
    "WorkerState._follow_on_thread submit": (SERVED, "test_S24_no_thread_to_take_changes_over"),
    "PeriodicFlush.on_tick submit": (
        "unit/test_worker_flush.py",
        "test_where_no_thread_can_be_had_a_flush_is_tried_again_when_it_is_due",
    ),
    "_run call_on_thread": ("faults/test_process_limit.py", "test_S14_a_sidecar_at_its_process_limit"),
    "Supervisor._start fork": (SERVED, "test_S24_a_worker_that_cannot_be_started"),
    # who signs and publishes
    "BackendSigner.asign call_on_thread": (ISSUING, "test_S15_a_signature_of_asign_without_a_thread"),
    "SigningQueue._taken_in submit": (ISSUING, "test_S15_a_queue_without_threads_signs_all_the_same"),
    "PublicationApp.__call__ call_on_thread": (ISSUING, "test_S15_a_publication_without_a_thread"),
    "RequestTurns.answered call_on_thread": (ISSUING, "test_S15_an_issuers_answer_without_a_thread"),
    "_on_thread.answered call_on_thread": (ISSUING, "test_S15_an_issuers_answer_without_a_thread"),
    "SharedReadings._read call_on_thread": (ISSUING, "test_S15_a_publication_without_a_thread"),
    "_announce call_on_thread": (ISSUING, "test_S24_an_announcement_without_a_thread_is_named"),
    "_tick call_on_thread": (ISSUING, "test_S24_a_tick_without_a_thread_comes_again"),
    "FileSigner.asign call_on_thread": (ATTACHED, "test_S15_a_signature_of_a_file_key_without_a_thread"),
    # what is attached to an engine
    "Authenticator.aflush call_on_thread": (
        ATTACHED,
        "test_S15_the_last_flush_of_an_application_without_a_thread",
    ),
    "EngineDecisions.adecide call_on_thread": (
        ATTACHED,
        "test_S15_rules_that_ask_another_machine_without_a_thread",
    ),
    "Evidence._flush_planned submit": (ATTACHED, "test_S24_a_planned_flush_without_a_thread"),
    "IssuerFolder._look submit": (ATTACHED, "test_S24_a_folder_of_issuers_is_listed_later"),
    "Lookups._start submit": (ATTACHED, "test_S15_an_issuer_is_not_looked_up_without_a_thread"),
    "ProofKeys.note submit": (ATTACHED, "test_S15_a_key_of_proofs_without_a_thread"),
    "Sequencer._publish_if_due submit": (ATTACHED, "test_S24_a_checkpoint_without_a_thread"),
    "SequencerClient._wake Thread": (ATTACHED, "test_S24_no_thread_sends_records"),
    "SequencerProcess._start fork": (ATTACHED, "test_S24_a_sequencer_process_that_cannot_be_started"),
    "results_of submit": (ATTACHED, "test_S14_pieces_of_bulk_work_without_threads"),
    # logs and traces
    "QueuedWriter._start Thread": (OBSERVED, "test_S15_log_lines_without_a_thread"),
    "OpenTelemetryTracer.close Thread": (OBSERVED, "test_S15_the_end_of_a_tracer_without_a_thread"),
    # tools
    "Testbed.__init__ Thread": (OBSERVED, "test_S15_a_testbed_without_a_thread"),
    "Testbed.start_sidecar Popen": (OBSERVED, "test_S15_a_testbed_without_processes"),
    "Testbed.start_redis Popen": (OBSERVED, "test_S15_a_testbed_without_processes"),
    "Prometheus.__enter__ Popen": (OBSERVED, "test_S15_a_prometheus_without_processes"),
    "Load.__init__ Thread": (OBSERVED, "test_S15_a_load_without_a_thread"),
    "_rotation Thread": (SERVED, "test_S24_no_thread_for_the_checklist"),
}
"""Each start -> the test that makes it fail."""

NOT_SERVED = {"TestServer._accept Thread", "TestServer._serve Thread"}
"""Starts of the server for users' own tests: where they fail, these fail, as they should."""


class _Starts(ast.NodeVisitor):
    """The calls of one file that start something, by the function that they stand in."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self.found: set[str] = set()

    def visit_scope(self, node: Any) -> None:
        """Go into a function or a class."""
        self._names.append(node.name)
        self.generic_visit(node)
        self._names.pop()

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = visit_scope

    def visit_Call(self, node: ast.Call) -> None:
        """Note a call by its name."""
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in STARTS:
            self.found.add(f"{'.'.join(self._names)} {name}")
        self.generic_visit(node)


def test_S15_every_start_has_a_test() -> None:
    """A place that starts a thread or a process has a test in which it cannot; the table holds no other."""
    found: set[str] = set()
    for path in SOURCE.rglob("*.py"):
        visitor = _Starts()
        visitor.visit(ast.parse(path.read_text("utf-8")))
        found |= visitor.found
    assert found == set(TABLE) | NOT_SERVED
    for file, name in TABLE.values():
        tree = ast.parse((TESTS / file).read_text("utf-8"))
        assert name in {one.name for one in tree.body if isinstance(one, ast.FunctionDef)}, (file, name)


# --- the engine ------------------------------------------------------------------------------------------


def test_S15_aprecompute_without_threads() -> None:
    """Without a thread aprecompute is refused at once, and the next call does the work."""
    engine = tokens.engine("ES256")

    async def main() -> None:
        with pytest.raises(rapidjws.InternalError):
            await asyncio.wait_for(engine.aprecompute(), LIMIT_S)
        assert await asyncio.wait_for(engine.aprecompute(), LIMIT_S) == 1

    with failing_starts(lambda number: number == 0):
        asyncio.run(main())


PAYLOAD = bytes(range(256)) * 1024


@pytest.mark.parametrize("pattern", list(itertools.product((False, True), repeat=4)))
@pytest.mark.parametrize("source", ["bytes", "chunks", "asynchronous"])
def test_S15_averify_detached_without_threads(source: str, pattern: tuple[bool, ...]) -> None:
    """Whichever starts fail, each payload gets its own verdict, or internal_error."""
    key = tokens.key("ES256")
    signed = tokens.sign(key, {"alg": "ES256", "kid": key.kid}, PAYLOAD)
    header, _, signature = signed.split(".")
    verifier = rapidjws.Verifier(tokens.public("ES256"), algorithms=["ES256"])
    halves = [PAYLOAD[:100_000], PAYLOAD[100_000:]]

    async def pieces(last: bytes) -> Any:
        yield halves[0]
        yield last

    async def verdict(last: bytes) -> str:
        given: Any = {
            "bytes": halves[0] + last,
            "chunks": [halves[0], last],
            "asynchronous": pieces(last),
        }[source]
        try:
            call = verifier.averify_detached(f"{header}..{signature}", given)
            await asyncio.wait_for(call, LIMIT_S)
        except rapidjws.RapidJWSError as refused:
            return refused.code
        return "ok"

    async def main() -> list[str]:
        return [await verdict(last) for last in (halves[1], b"!" + halves[1][1:], halves[1])]

    with failing_starts(lambda number: pattern[number % 4]) as starts:
        found = asyncio.run(main())
    right = ["ok", "signature_invalid", "ok"]
    assert all(one in (due, "internal_error") for one, due in zip(found, right, strict=True)), found
    if source == "asynchronous" or not starts.failed:
        assert found == right


# --- keys ------------------------------------------------------------------------------------------------


def _answer(url: str, etag: str | None) -> fetching.Answer:
    body = json.dumps({"keys": [tokens.public("ES256").as_dict()]}).encode()
    return fetching.Answer(status=200, headers={}, body=body)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("at", range(3))
def test_S24_no_thread_for_a_fetch(at: int, fault: Exception) -> None:
    """A refresh whose thread cannot be started is a failed one, and the next is made."""
    source = RemoteJWKS("https://issuer.example/jwks.json", fetch=_answer)
    with failing_starts(lambda number: number == at, only="rapidjws-jwks", fault=fault, of=source):
        assert [source.refresh(LIMIT_S) for _ in range(4)] == [number != at for number in range(4)]
    assert source.status().failures == 0


@pytest.mark.parametrize("fault", FAULTS)
def test_S24_no_thread_for_a_look_up(fault: Exception, tmp_path: Path) -> None:
    """A look-up that finds no thread is a failed fetch, for every kind of source."""
    url = "https://localhost:1/jwks.json"
    with failing_starts(lambda _: True, only="rapidjws-dns", fault=fault) as starts:
        with pytest.raises(fetching.FetchFailed) as failed:
            fetching.resolve("localhost", 1, time.monotonic() + LIMIT_S)
        assert failed.value.reason == "internal"
        kept = CachedJWKSVerifier(url, cache_file=tmp_path / "kept.json", algorithms=["ES256"])
        with pytest.raises(rapidjws.KeysUnavailable):
            kept.verify(tokens.token("ES256"))
        source = RemoteJWKS(url)
        assert not source.refresh(LIMIT_S)
        assert source.status().last_failure == kept.last_failure == "internal"
    assert starts.failed >= 3


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("failures", [1, 3])
def test_S24_no_thread_for_the_revocations(failures: int, fault: Exception, tmp_path: Path) -> None:
    """Where nothing can follow the stream that is reported, and tried again until it can."""
    redis = OwnRedis(tmp_path)
    reported: list[rapidjws.Event] = []
    try:
        store = RedisRevocations(redis.url, timeout_s=5, poll_s=0.05, events=reported.append)
        other = RedisRevocations(redis.url, timeout_s=5)
        with failing_starts(
            lambda number: number < failures, only="rapidjws-revocations", fault=fault
        ) as starts:
            rules = rapidjws.Issuer(
                ISSUER.iss, keys=ISSUER.jwks, algorithms=["ES256"], audience=ISSUER.audience
            )
            engine = rapidjws.Engine(rules, revocations=store)
            text = ISSUER.token(ISSUER.claims(now_s(), jti="a"))
            assert code(engine, text) == "ok"
            other.add(rapidjws.Revocation(jti="a"))
            wait_for(lambda: code(engine, text) == "revoked", LIMIT_S)
        assert starts.failed == failures
        assert [one.detail for one in reported if one.name == "revocations_unreachable"] == [
            "no thread"
        ] * failures
    finally:
        redis.stop()


# --- rollout and configuration ---------------------------------------------------------------------------


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("concurrent", [1, 2])
def test_S24_no_thread_for_the_shadow(concurrent: int, asynchronous: bool, fault: Exception) -> None:
    """Whichever starts fail, each token is compared or skipped, once; the next one tries again."""

    async def aincumbent(token: str) -> bool:
        return True

    for pattern in itertools.product((False, True), repeat=3):
        reported: list[str] = []
        shadow = Shadow(
            aincumbent if asynchronous else lambda token: True,
            timeout_s=LIMIT_S,
            per_second=10_000,
            concurrent=concurrent,
        )
        with failing_starts(
            lambda number, pattern=pattern: number < 3 and pattern[number],  # type: ignore[misc]
            only="rapidjws-shadow",
            fault=fault,
        ):
            for _ in range(8):
                shadow.offer("a.b.c", "ok", reported.append)
                assert shadow.wait_idle(LIMIT_S)
        assert len(reported) == 8
        assert set(reported) <= {"agree", "skipped"}
        assert reported[-1] == "agree", pattern


def test_S24_no_loop_for_an_asynchronous_shadow() -> None:
    """Where its event loop cannot be made tokens are skipped, and the next one tries again."""

    async def incumbent(token: str) -> bool:
        return True

    reported: list[str] = []
    shadow = Shadow(incumbent, timeout_s=LIMIT_S)
    with mock.patch.object(asyncio, "new_event_loop", side_effect=OSError("too many open files")):
        shadow.offer("a.b.c", "ok", reported.append)
        assert shadow.wait_idle(LIMIT_S)
        wait_for(lambda: reported == ["skipped"])
    shadow.offer("a.b.c", "ok", reported.append)
    assert shadow.wait_idle(LIMIT_S)
    assert reported == ["skipped", "agree"]


def test_S24_no_thread_for_the_configuration(tmp_path: Path) -> None:
    """A look at the configuration that finds no thread is made again at the next time."""
    path = tmp_path / "rapidjws.json"
    keys = {"keys": [jwk.as_dict() for jwk in ISSUER.jwks.keys]}
    (tmp_path / "jwks.json").write_text(json.dumps(keys))
    issuer = {"jwks_file": "jwks.json", "algorithms": ["ES256"], "audience": "https://api.example"}

    def write(*names: str) -> None:
        fresh = tmp_path / "fresh.json"
        fresh.write_text(json.dumps({"issuers": [{"iss": name, **issuer} for name in names]}))
        os.replace(fresh, path)

    write("https://a.example")
    config = ConfigFile(path)
    with failing_starts(lambda number: number < 3) as starts:
        config.watch(0.02)
        write("https://a.example", "https://b.example")
        wait_for(lambda: len(config.engine.issuers) == 2, LIMIT_S)
    assert starts.failed == 3


def test_S24_no_thread_for_an_automatic_rollback(tmp_path: Path) -> None:
    """A rollback by a guard rail that finds no thread is asked for again, once there is evidence anew."""
    rails = GuardRails(min_evidence=3, automatic_rollback=True, rollback_error_rate=0.5)
    state = StateFolder(tmp_path, first_plan("enforcement"))
    policy = rollout(Partner(name="a"), state=state, guard_rails=rails)
    policy.defer()
    of = engine(policy)
    with failing_starts(lambda number: number == 0) as starts:
        for _ in range(3):
            ask(of, None, "a")
        assert starts.failed == 1
        for _ in range(60):
            if starts.count < 2:
                ask(of, None, "a")
        wait_for(lambda: [one.action for one in policy.history()] == ["automatic_rollback"], LIMIT_S)

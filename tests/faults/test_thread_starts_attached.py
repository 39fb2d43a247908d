"""Threads and processes that cannot be started, in what is attached: registries, rules, the audit trail."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import threading
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tokens
from audit_service import service
from rollouts import NOW_S, engine, good
from thread_faults import failing_starts

import rapidjws
from rapidjws import Issuer, IssuerRegistry
from rapidjws.authz import Authorizer, Rule
from rapidjws.middleware.authenticator import Authenticator
from rapidjws.signing import LocalSigner
from rapidjws.signing.local_keys import FileSigner

LIMIT_S = 60.0
always = partial(failing_starts, lambda _: True)


def test_S15_the_last_flush_of_an_application_without_a_thread() -> None:
    """What the rollout counted is put by on the loop itself, as the server may end at once."""
    flushed: list[int] = []
    one: Any = Authenticator.__new__(Authenticator)
    one._engine = SimpleNamespace(rollout=SimpleNamespace(flush=lambda: flushed.append(1)))
    with always():
        asyncio.run(asyncio.wait_for(one.aflush(), LIMIT_S))
    assert flushed == [1]


def test_S24_a_planned_flush_without_a_thread(tmp_path: Path) -> None:
    """A flush by the clock that finds no thread leaves what is counted to the next one."""
    from rapidjws.rollout import Partner, Rollout, StateFolder
    from rapidjws.rollout.rollout import first_plan

    policy = Rollout([Partner(name="a")], state=StateFolder(tmp_path, first_plan()))
    engine(policy).decide(good(), partner="a", now=NOW_S)
    evidence: Any = policy.evidence
    evidence._due_s = 0.0
    with always() as starts:
        evidence._flush_planned()
    assert starts.failed
    assert evidence._is_new
    policy.flush()
    assert not evidence._is_new


def test_S15_rules_that_ask_another_machine_without_a_thread() -> None:
    """A decision whose rules would wait is an error without a thread; the next one is decided."""
    rules = Authorizer([Rule(name="a", any_token=True)])
    rules.blocking = True
    made = rapidjws.Engine(tokens.issuer(), authorizer=rules)

    async def main() -> Any:
        with always(), pytest.raises(rapidjws.InternalError):
            await asyncio.wait_for(made.adecide(tokens.token(), now=tokens.NOW_S), LIMIT_S)
        return await asyncio.wait_for(made.adecide(tokens.token(), now=tokens.NOW_S), LIMIT_S)

    assert asyncio.run(main()).outcome == "permit"


def test_S15_an_issuer_is_not_looked_up_without_a_thread() -> None:
    """A token of an issuer that cannot be looked up is an outage at once, and the next one is verified."""
    asked: list[str] = []

    def look_up(iss: str) -> Issuer:
        asked.append(iss)
        return tokens.issuer()

    registry = IssuerRegistry(look_up)
    with always():
        assert tokens.code_of(registry, tokens.token()) == "keys_unavailable"
    assert asked == []
    assert tokens.code_of(registry, tokens.token()) in (
        "ok",
        "keys_unavailable",
    )  # a failure is kept for a moment


def test_S24_a_folder_of_issuers_is_listed_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look at the folder that finds no thread is planned anew."""
    from rapidjws.config import issuer_folder

    planned: list[Any] = []
    folder: Any = issuer_folder.IssuerFolder.__new__(issuer_folder.IssuerFolder)
    folder._folder = tmp_path
    monkeypatch.setattr(
        issuer_folder, "scheduler", SimpleNamespace(call_at=lambda *given: planned.append(given))
    )
    with always():
        folder._look()
    assert [call for _, call in planned] == [folder._look]


def test_S15_a_key_of_proofs_without_a_thread() -> None:
    """A table that no thread could build is due again later, and takes no other key's place."""
    from rapidjws.sender.proof_keys import TABLE_DUE, ProofKeys

    keys = ProofKeys(["ES256"], 8)
    key: Any = SimpleNamespace(identity=b"key", count=TABLE_DUE - 1, is_building=False, build=lambda *_: None)
    with always():
        keys.note(b"header", key, b"a.b.c2lnbmF0dXJl")
    assert (key.is_building, key.count, keys._tables) == (False, 0, 0)


def test_S24_a_checkpoint_without_a_thread() -> None:
    """A sequencer without a thread writes its checkpoint itself, and every record is in the trail."""
    with always(), service() as world:
        world.client._thread = threading.Thread(target=world.client._run, name="sender", daemon=True)
        world.client._thread.start()
        for number in range(3):
            assert world.decide(world.token(n=number)).code == "ok"
        assert world.closed().size == 3


@pytest.mark.parametrize("durable", [True, False])
def test_S24_no_thread_sends_records(durable: bool) -> None:
    """Records wait for a thread where none can be had; the next decision starts it, and none is lost."""
    with service(durable=durable, timeout_s=0.05) as world:
        with always() as starts:
            first = world.decide(world.token())
        assert starts.failed
        assert first.code == ("audit_unavailable" if durable else "ok")
        assert world.decide(world.token()).code in ("ok", "audit_unavailable")  # the wait is short here
        assert world.closed().size >= 1


def test_S24_a_signed_log_without_a_thread(tmp_path: Path) -> None:
    """Entries wait where no thread can be had; the next record starts it, and closing signs all."""
    from rapidjws.signedlog import LogSigner, SignedLogHandler

    handler = SignedLogHandler(tmp_path / "log", LocalSigner(tokens.key("ES256", "k")))
    with always() as starts:
        handler.emit(logging.makeLogRecord({"msg": "one"}))
        assert starts.failed
        handler.flush()
    handler.emit(logging.makeLogRecord({"msg": "two"}))
    handler.close()
    again = LogSigner(tmp_path / "log", LocalSigner(tokens.key("ES256", "k")))
    again.sign([])
    assert (again.head.sequence, handler.lost) == (1, 0)


def test_S24_a_sequencer_process_that_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """A supervisor that may start no process says so in a line, and tries again when it is due."""
    from rapidjws.sidecar.sequencer_process import LONGEST_DELAY_S, SequencerProcess

    lines: list[str] = []
    one = SequencerProcess(SimpleNamespace(), lines.append)  # type: ignore[arg-type]

    def refuse() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", refuse)
    one.look_after(10.0, lambda: None)
    one.look_after(10.0 + LONGEST_DELAY_S / 2, lambda: None)
    assert len(lines) == 1
    one.look_after(10.0 + LONGEST_DELAY_S, lambda: None)
    assert len(lines) == 2
    assert "cannot be started" in lines[0]


def test_S14_pieces_of_bulk_work_without_threads() -> None:
    """The calling thread does all pieces itself, each in its place."""
    pytest.importorskip("pyarrow", reason="the extra `bulk` is not installed")
    from rapidjws.verify.pieces import results_of

    with always():
        assert results_of(lambda number: number * 2, 7, 4) == [0, 2, 4, 6, 8, 10, 12]


def test_S15_a_signature_of_a_file_key_without_a_thread(tmp_path: Path) -> None:
    """A signature that finds no thread is an error, and the next one is made."""
    path = tmp_path / "key.json"
    path.write_text(json.dumps(tokens.key("ES256", "k").as_dict(private=True)))
    path.chmod(0o600)
    signer = FileSigner(path)

    async def main() -> bytes:
        with always(), pytest.raises(rapidjws.InternalError):
            await asyncio.wait_for(signer.asign(b"x"), LIMIT_S)
        return await asyncio.wait_for(signer.asign(b"x"), LIMIT_S)

    assert len(asyncio.run(main())) == 64

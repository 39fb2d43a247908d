"""Threads that sign a log or a checkpoint, or drop what is old beside a trail, where none can be had."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from audit_service import log_key, service
from audit_trails import whole
from thread_faults import failing_starts

from rapidjws import RapidJWSError, Verifier
from rapidjws.audit import TrailReader
from rapidjws.audit.checkpoint_signer import CheckpointSigner
from rapidjws.audit.records import RecordTemplate
from rapidjws.audit.retention import DAY_S, Retention
from rapidjws.audit.schedule import RETRY_S
from rapidjws.audit.side_content import packed
from rapidjws.audit.timestamp_schedule import TimestampSchedule
from rapidjws.signedlog import SignedLogHandler, verify_log
from rapidjws.signing import LocalSigner
from rapidjws.testing import FakeClock, make_key


def test_S15_no_thread_to_sign_logs(tmp_path: Path) -> None:
    """What is logged waits for a flush, which signs all of it; the next record tries for a thread again."""
    key = make_key("EdDSA", kid="log-1")
    handler = SignedLogHandler(tmp_path / "log", LocalSigner(key), flush_s=600)
    logger = logging.Logger("orders")
    logger.addHandler(handler)
    with failing_starts(lambda number: number == 0):
        logger.info("first")
        assert handler._thread is None
        handler.flush()
        logger.info("second")
    handler.close()
    assert handler._thread is not None
    assert verify_log(tmp_path / "log", Verifier([key.public()], algorithms=["EdDSA"])).entries == 2


def test_S15_no_thread_to_drop_what_is_old() -> None:
    """The sequencer drops old contents itself, and records stay proved."""
    with service(start=False) as world:
        clock = FakeClock(1_798_761_600.0)
        writer = world.sequencer._writer
        token = world.token(exp=4_000_000_000).encode()
        row = RecordTemplate({"code": "ok", "kind": "decision", "content": "token"})
        moment_us = int(clock.time() * 1_000_000)
        writer.append([row.record(moment_us, token=token)] * 300, [packed(token, None)] * 300)
        writer.publish()
        clock.advance(9 * DAY_S)
        retention = Retention(writer, 7, clock=clock)
        with failing_starts(lambda number: True):
            retention.step()
            assert retention._dropping is None
        writer.publish()
        reader = TrailReader(world.folder, log_key())
        assert not any(reader.contents(0))
        assert reader.check_tree() == []


def test_S15_no_thread_for_a_time_stamp(tmp_path: Path) -> None:
    """The sequencer asks no authority on its own thread: it says so, and tries again later."""
    clock = FakeClock(1_798_761_600.0)
    events: list[Any] = []
    authority: Any = SimpleNamespace()  # which is not asked
    reader = whole(tmp_path, 3)
    schedule = TimestampSchedule(
        tmp_path, reader.key, authority, every_s=3600, events=events.append, clock=clock
    )
    with failing_starts(lambda number: True):
        schedule.step()
        schedule.step()
    assert [(one.name, one.detail) for one in events] == [("audit_timestamp_failed", "no_thread")]
    clock.advance(RETRY_S)
    with failing_starts(lambda number: True):
        schedule.step()
    assert len(events) == 2


def test_S15_no_thread_to_sign_a_checkpoint() -> None:
    """The call is refused at once and leaves nothing behind: the next one signs."""
    signer = CheckpointSigner(lambda: LocalSigner(make_key("ES256")), None)
    with failing_starts(lambda number: number == 0):
        with pytest.raises(RapidJWSError) as refused:
            signer.sign(b"a")
        assert (refused.value.code, refused.value.actual) == ("signer_unavailable", "no thread")
        assert len(signer.sign(b"a")) == 64

"""What a killed worker owed the trail: counted by the sequencer, in a gap record."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from audit_service import service
from audit_trails import writer

from rapidjws.audit import Sequencer, SequencerClient, TrailReader, Verification
from rapidjws.audit.records import RecordContext
from rapidjws.audit.worker_counts import WorkerCount, ended


def row(number: int = 0) -> Any:
    """Return a row of a record."""
    return (RecordContext({"code": "ok", "kind": "decision"}), number, None, None, None, None, None, False)


def killed_worker(folder: Path, work: Any) -> None:
    """Run a worker in a process that is killed once it is through."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL


def turned(sequencer: Sequencer, until: Any) -> None:
    """Let a sequencer turn until something holds."""
    for _ in range(600):
        sequencer.turn(0.02)
        if until():
            return
    raise AssertionError("too long")


@pytest.mark.parametrize("durable", [False, True])
def test_L_a_gap_record_counts_what_a_killed_worker_owed(tmp_path: Path, durable: bool) -> None:
    """Records that wait, and losses not sent yet: after the kill, and where the trail starts later."""
    writer(tmp_path).close()

    def work() -> None:
        client = SequencerClient(tmp_path / "sequencer.sock", durable=durable)
        client._count.keep_in(tmp_path)
        client._thread = object()  # type: ignore[assignment]  # nothing is sent
        if not durable:
            for number in range(5):
                assert client.take(row(number))
        for _ in range(2):
            client.count_lost("late")

    owed = 2 if durable else 7
    killed_worker(tmp_path, work)
    sequencer = Sequencer(writer(tmp_path, durable=durable))
    turned(sequencer, lambda: sequencer.size == 1)
    killed_worker(tmp_path, work)
    sequencer._look_until_s = float("inf")
    turned(sequencer, lambda: sequencer.size == 2)
    sequencer.close()
    assert list(ended(tmp_path)) == []
    reader = TrailReader(tmp_path, sequencer.key)
    gaps = [reader.record(at) for at in range(2)]
    assert [(one["kind"], one["lost"], one["why"]) for one in gaps] == [("gap", owed, "worker_ended")] * 2
    report = Verification(reader).run()
    assert (report.findings, report.lost) == ([], 2 * owed)


def test_L_a_worker_that_lives_and_one_that_ended_in_order_owe_nothing(tmp_path: Path) -> None:
    """A file in use is left alone; what the sequencer took is settled, and the file goes at the end."""
    with service(durable=False) as world:
        for at in range(20):
            world.recorder.note(world.engine.decide(token := world.token(sub=str(at))), token)
        folder = world.folder
        count = world.client._count
        for _ in range(600):
            if count.owed[1] == 20:
                break
            world.stopping.wait(0.02)
        assert list(count.owed) == [20, 20]
        assert len(list((folder / "journal").glob("*.count"))) == 1
        assert list(ended(folder)) == []
        reader = world.closed()
        assert not list((folder / "journal").glob("*.count"))
        assert (reader.size, Verification(reader).run().lost) == (20, 0)


def test_L_a_count_that_cannot_be_kept_goes_on_in_memory(tmp_path: Path) -> None:
    """Without a folder nothing fails; a forked child begins anew and leaves the file."""
    count = WorkerCount()
    count.add()
    count.keep_in(tmp_path / "none")
    assert list(count.owed) == [1, 0]
    (tmp_path / "journal").mkdir()
    count.keep_in(tmp_path)
    count.add()
    assert list(count.owed) == [2, 0]
    files = list((tmp_path / "journal").iterdir())
    assert len(files) == 1
    count.forget()
    assert list(count.owed) == [0, 0]
    assert list(ended(tmp_path)) == [(files[0], 2)]

"""kill -9 of worker, sequencer and supervisor of a sidecar with a durable trail, under load."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import signal
import socket
import threading
import time
from collections import Counter
from pathlib import Path

import orjson
import pytest
from audited_sidecar import KEY, LOG_KEY, answer, audited, sequencer_of
from gates import token
from sidecar_process import Service, alive, until

from rapidjws.audit import Sequencer, TrailReader, TrailWriter, Verification
from rapidjws.signing import LocalSigner

KILLS = int(os.environ.get("RAPIDJWS_AUDIT_KILLS", "1000"))
CALLERS = 4
KINDS = ("worker", "sequencer", "start", "worker", "sequencer", "start", "supervisor")
"""``start`` kills a sequencer that has just got the trail's lock, at a moment of its recovery."""


class Load:
    """Callers that send tokens without pause, and keep which were answered with 200."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._stopping = threading.Event()
        self.answered: list[str] = []
        self.faults: Counter[str] = Counter()
        self._threads = [threading.Thread(target=self._call, args=(at,)) for at in range(CALLERS)]

    def __enter__(self) -> Load:
        for one in self._threads:
            one.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for one in self._threads:
            one.join(60)

    def _call(self, caller: int) -> None:
        number = 0
        while not self._stopping.is_set():
            given = token(jti=f"{os.getpid()}-{caller}-{number}")
            number += 1
            try:
                status = answer(self._port, given)
            except Exception as fault:  # a caller that ended would look like no answers
                status = 0
                self.faults[repr(fault)] += 1
            if status == 200:
                self.answered.append(given)
            else:
                self.faults[str(status)] += 1
                self._stopping.wait(0.02)


def is_free(port: int) -> bool:
    """Return whether nobody listens on a port any more."""
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):
            one.bind(("127.0.0.1", port))
            return True
    return False


def signed(folder: Path) -> int:
    """Return how many records the trail's checkpoint signs."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int((folder / "trail/checkpoint").read_bytes().split(b"\n")[1])
    return 0


def until_it_serves(load: Load, folder: Path) -> None:
    """Wait for answers, and for records: with ``count`` answers do not wait for a trail that takes them."""
    answered, size = len(load.answered), signed(folder)
    until(lambda: len(load.answered) > answered + 5, "no answers")
    until(lambda: signed(folder) > size + 20, "no records")


def kill(pid: int) -> None:
    """Kill a process, where it is still there."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def another(service: Service, folder: Path, first: int) -> int:
    """Return the process that has the trail's lock, where it is another one."""
    found = sequencer_of(service, folder)
    return found if found != first else 0


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize(
    ("durability", "on_failure"), [("durable", "refuse"), ("durable", "count"), ("buffered", "count")]
)
def test_L_nothing_that_was_answered_is_lost_however_often_something_is_killed(
    tmp_path: Path, durability: str, on_failure: str
) -> None:
    """Each request that was answered 200 has a record, or with `count` is counted in a gap; all verifies."""
    source = random.Random(1)
    done: Counter[str] = Counter()
    given = {"timeout_s": 2.0, "durability": durability, "on_failure": on_failure}
    with audited(tmp_path, **given) as (first, port), Load(port) as load:
        service = first
        try:
            while done.total() < KILLS:
                until_it_serves(load, tmp_path)
                kind = KINDS[done.total() % len(KINDS)]
                if kind == "supervisor":
                    left = service.workers()
                    service.process.kill()
                    service.process.wait(60)
                    until(lambda: not any(alive(pid) for pid in left), "workers outlive it")  # noqa: B023
                    until(lambda: is_free(port), "the port is not free")
                    service = Service(tmp_path, ["--config", str(tmp_path / "rapidjws.json")])
                elif kind == "start":
                    before = until(lambda: sequencer_of(service, tmp_path), "no sequencer")  # noqa: B023
                    kill(before)
                    begun = until(lambda: another(service, tmp_path, before), "no other")  # noqa: B023
                    time.sleep(source.random() * 0.1)
                    kill(begun)
                else:
                    sequencer = until(lambda: sequencer_of(service, tmp_path), "no sequencer")  # noqa: B023
                    workers = [pid for pid in service.workers() if pid != sequencer]
                    victim = sequencer if kind == "sequencer" or not workers else source.choice(workers)
                    kill(victim)
                done[kind] += 1
            until_it_serves(load, tmp_path)
        except AssertionError:
            print(
                done,
                service.process.poll(),
                service.workers(),
                load.faults,
                service.log.read_text("utf-8")[-9000:],
            )
            raise
        finally:
            if service is not first:
                service.end()
    writer = TrailWriter(tmp_path / "trail", origin=LOG_KEY.name, signer=LocalSigner(KEY))
    Sequencer(writer).run(lambda: True)  # what workers that ended last owe is counted at the next start
    reader = TrailReader(tmp_path / "trail", LOG_KEY)
    report = Verification(reader).run()
    assert report.findings == []
    bundles = range((reader.size + 255) // 256)
    recorded = {orjson.loads(one).get("token") for at in bundles for one in reader.entries(at)}
    lost = [one for one in load.answered if hashlib.sha256(one.encode()).hexdigest() not in recorded]
    assert len(lost) <= (report.lost if on_failure == "count" else 0)
    assert set(load.faults) <= {"0", "503"}
    print(dict(done), dict(load.faults))
    print(f"{len(load.answered)} answered, {report.size} records, {len(lost)} lost, {report.lost} in gaps")

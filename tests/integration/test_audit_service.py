"""The sidecar with an audit trail: each answer has its record, whatever is killed meanwhile."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
from functools import partial
from pathlib import Path

import pytest
from audited_sidecar import KEY, LOG_KEY, answer, audited, sequencer_of
from gates import forged, get, token
from sidecar_process import Service, until
from timestamp_authority import Authority, serving

import rapidjws
from rapidjws.audit import TrailReader, TrailWriter, Verification
from rapidjws.audit.timestamps import check_timestamps, read_roots
from rapidjws.signing import LocalSigner
from rapidjws.testing import make_key


def another(service: Service, folder: Path, first: int) -> bool:
    """Return whether another process has the trail's lock."""
    return sequencer_of(service, folder) not in (0, first)


@pytest.mark.parametrize("durability", ["durable", "buffered"])
def test_L_a_service_records_what_it_answers(tmp_path: Path, durability: str) -> None:
    """Answers of all workers are in one trail, which verifies again once the service has ended."""
    with audited(tmp_path, durability=durability) as (service, port):
        statuses = [answer(port, given) for given in (token(), forged(), token(), "x.y.z") for _ in range(5)]
        assert statuses == [200] * 5 + [401] * 5 + [200] * 5 + [401] * 5
        assert service.end() == 0
    report = Verification(TrailReader(tmp_path / "trail", LOG_KEY)).run()
    assert (report.findings, report.size, report.agreed) == ([], 20, 20)


def test_L_the_sequencer_leaves_the_sockets_of_the_workers_in_their_place(tmp_path: Path) -> None:
    """A Unix socket is there and answers after the sequencer's start, and after it was started again."""
    admin = tmp_path / "admin.sock"
    with audited(tmp_path, server={"admin_listen": f"unix:{admin}"}) as (service, port):
        first = until(lambda: sequencer_of(service, tmp_path), "no sequencer")
        assert get(admin, [], "/admin/status.json")[0] == 200
        os.kill(first, signal.SIGKILL)
        until(partial(another, service, tmp_path, first), "no other sequencer")
        until(lambda: answer(port, token()) == 200, "no answer")
        assert get(admin, [], "/admin/status.json")[0] == 200


def test_L_what_ends_after_an_upgrade_in_place_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers and sequencer that start again have the code of their siblings, whatever lies there by now."""
    library = tmp_path / "lib"
    package = Path(rapidjws.__file__).parent
    shutil.copytree(package, library / "rapidjws", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setenv("PYTHONPATH", str(library))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    with audited(tmp_path) as (service, port):
        for source in library.rglob("*.py"):
            source.write_text("raise RuntimeError('another version')")
        first = until(lambda: sequencer_of(service, tmp_path), "no sequencer")
        worker = next(pid for pid in service.workers() if pid != first)
        for pid in (first, worker):
            os.kill(pid, signal.SIGKILL)
        service.wait_for(r"worker \d \(process \d+\) serves again")
        until(lambda: answer(port, token()) == 200, "no answer")
        assert "another version" not in service.text()


def test_A7_a_service_does_not_start_on_the_trail_of_another_key(tmp_path: Path) -> None:
    """A trail that this configuration cannot go on with ends the start, with one line that says why."""
    with audited(tmp_path) as (service, _):
        assert service.end() == 0
    (tmp_path / "audit-key.json").write_text(json.dumps(make_key("EdDSA").as_dict(private=True)))
    again = Service(tmp_path, ["--config", str(tmp_path / "rapidjws.json")])
    try:
        assert again.process.wait(60) == 2
    finally:
        again.process.kill()
    lines = again.text().splitlines()
    assert ["audit_trail_invalid" in line for line in lines] == [True], lines


def test_A5_a_service_does_not_serve_before_it_has_its_trail(tmp_path: Path) -> None:
    """While another process writes the trail the service says so once; it serves when that has ended."""
    with audited(tmp_path) as (service, port):
        assert service.end() == 0
    writer = TrailWriter(tmp_path / "trail", origin=LOG_KEY.name, signer=LocalSigner(KEY))
    again = Service(tmp_path, ["--config", str(tmp_path / "rapidjws.json")])
    try:
        again.wait_for("audit_trail_in_use")
        until(lambda: answer(port, token()) == 503, "no answer")
        assert "2 workers" not in again.text()
        writer.close()
        again.wait_for("2 workers")
        assert answer(port, token()) == 200
        assert again.text().count("audit_trail_in_use") == 1
    finally:
        writer.close()
        assert again.end() == 0


def test_A3_nothing_that_was_answered_is_lost_where_the_sequencer_is_killed(tmp_path: Path) -> None:
    """After kill -9 of sequencer and worker, each request that was answered 200 has a record."""
    answered: set[str] = set()
    with audited(tmp_path, timeout_s=1.0) as (service, port):
        for turn in range(3):
            for number in range(8):
                given = token(jti=f"{turn}-{number}")
                if answer(port, given) == 200:
                    answered.add(given)
            first = until(lambda: sequencer_of(service, tmp_path), "no sequencer")
            os.kill(first, signal.SIGKILL)
            while_down = token(jti=f"down-{turn}")
            if answer(port, while_down) == 200:
                answered.add(while_down)
            until(partial(another, service, tmp_path, first), "no other sequencer")
            until(lambda: answer(port, token()) == 200, "no answer")
        service.end()
    reader = TrailReader(tmp_path / "trail", LOG_KEY)
    report = Verification(reader).run()
    assert report.findings == []
    recorded = {reader.record(at)["token"] for at in range(reader.size)}
    assert {hashlib.sha256(one.encode()).hexdigest() for one in answered} <= recorded
    assert len(answered) >= 12  # a busy machine answers some with 503


def test_L_a_service_has_its_trail_stamped(tmp_path: Path) -> None:
    """The sequencer's process asks the authority for a stamp, and any worker's metrics count it."""
    pytest.importorskip("rfc3161_client", reason="the extra `timestamp` is not installed")
    authority = Authority(tmp_path / "authority")
    with (
        serving(authority) as url,
        audited(
            tmp_path,
            timestamp_url=url,
            timestamp_roots=str(authority.roots),
            timestamp_insecure_allow_http=True,
        ) as (service, port),
    ):
        assert answer(port, token()) == 200
        line = b'rapidjws_audit_timestamps_total{result="stamped"} 1'
        until(lambda: line in get(port, [], "/metrics")[2], "no stamp is counted")
        assert service.end() == 0
    found = check_timestamps(TrailReader(tmp_path / "trail", LOG_KEY), read_roots(authority.roots))
    assert (found.stamps, found.size, found.findings) == (1, 1, [])

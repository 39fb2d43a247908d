"""A state folder that is full, or can only be read, under a service: errors, nothing half done, recovery."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from admins import Crowd, call
from gates import bearer, forged, get, token
from sidecar_process import Service, configured, is_good, until
from smtp_server import HOST, Box, OwnSMTP

import rapidjws
from rapidjws.rollout.report.mailing import MailServer, SentLog, send
from rapidjws.rollout.report.notices import Notice

pytest.importorskip("httptools", reason="the extra `server` is not installed")
pytest.importorskip("uvloop", reason="the extra `server` is not installed")

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root on Linux can mount a small disk"
)

DISK_BYTES = 512 << 10
REASONS = {"full": "No space left on device", "read-only": "Read-only file system"}


def _mounted(*words: str) -> None:
    done = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"this machine lets nobody mount: {done.stderr.strip()}")


class Disk:
    """A small disk that can be filled, made read-only, and mended."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mounts = 0

    def spoil(self, how: str) -> None:
        """Fill it to the last octet, or let nobody write any more."""
        if how == "full":
            with (self.folder / "filler").open("wb", buffering=0) as filler:
                for size in (4096, 1):
                    with contextlib.suppress(OSError):
                        while filler.write(bytes(size)):
                            pass
            return
        _mounted("--bind", str(self.folder), str(self.folder))  # files that are open stay as they were
        self.mounts += 1
        _mounted("-o", "remount,bind,ro", str(self.folder))

    def mend(self) -> None:
        """Let it be written again."""
        (self.folder / "filler").unlink(missing_ok=True) if self.mounts == 1 else self.unmount()

    def unmount(self) -> None:
        """Take the last mount away."""
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)
        self.mounts -= 1


@pytest.fixture(name="disk")
def _disk(tmp_path: Path) -> Iterator[Disk]:
    disk = Disk(tmp_path / "state")
    disk.folder.mkdir()
    _mounted("-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=700", "tmpfs", str(disk.folder))
    disk.mounts = 1
    try:
        yield disk
    finally:
        while disk.mounts:
            disk.unmount()


def names(folder: Path) -> set[str]:
    """Return the files that are not a worker's evidence."""
    return {path.name for path in folder.iterdir() if not path.name.startswith("evidence")} - {"filler"}


def served(folder: Path) -> tuple[Service, int, Path]:
    """Start a service whose plan and revocations lie in the folder ``state``."""
    admin = folder / "admin.sock"
    path = configured(folder, "127.0.0.1:0", 2, admin_listen=f"unix:{admin}")
    config = json.loads(path.read_text())
    config["rollout"] = {"state": "state", "phase": "allow_list"}
    config["revocations"] = {"file": "state/revocations.json"}
    path.write_text(json.dumps(config))
    service = Service(folder, ["--config", str(path)])
    port = int(service.wait_for(r"rapidjws serve: 127\.0\.0\.1:(\d+), 2 workers").group(1))
    return service, port, admin


@pytest.mark.parametrize("how", REASONS)
def test_a_disk_that_takes_nothing_changes_nothing_and_all_goes_on_once_it_is_mended(
    disk: Disk, how: str
) -> None:
    """Plan, freeze and evidence say why; a revocation holds all the same; nothing is half done afterwards."""
    service, port, admin = served(disk.folder.parent)
    crowd = Crowd(port, bearer(token(jti="one")))

    def do(action: str, **words: Any) -> tuple[int, Any]:
        return call(admin, "POST", f"/admin/{action}", {"by": "ann", **words})

    def plan() -> Any:
        return call(admin, "GET", "/admin/status")[1]["plan"]

    try:
        assert do("freeze")[0] == do("thaw")[0] == 200
        assert call(admin, "POST", "/admin/revoke", {"jti": "zero"})[0] == 200
        before, files = plan(), names(disk.folder)
        disk.spoil(how)
        for action in ("promote", "rollback", "freeze"):
            status, answer = do(action, **({"force": True} if action == "promote" else {}))
            assert (status, answer["error"]) == (503, "rollout_not_written"), action
            assert REASONS[how] in answer["detail"], action
        assert plan() == before
        status, answer = call(admin, "POST", "/admin/revoke", {"jti": "one"})
        assert (status, answer["stored"], answer["error"]) == (202, False, "revocation_store_unavailable")
        assert REASONS[how] in answer["detail"]
        assert crowd.statuses() == {401}
        service.wait_for(f"the rollout's evidence is not written: {REASONS[how]}")
        assert is_good(port)
        assert get(port, bearer(forged()), "/verify")[0] == 401
        assert names(disk.folder) == files

        disk.mend()
        service.wait_for("over: the rollout's evidence is not written")
        service.wait_for("the store of revocations is back: it has 1 more now")
        status, answer = do("rollback")
        assert status == 200
        assert answer["plan"]["revision"] == before["revision"] + 1
        assert do("promote", force=True)[0] == 200
        lines = [json.loads(line) for line in (disk.folder / "history.jsonl").read_text().splitlines()]
        assert [one["action"] for one in lines] == ["freeze", "thaw", "rollback", "promote"]
        assert [one["revision"] for one in lines] == [1, 2, 3, 4]
        kept = json.loads((disk.folder / "revocations.json").read_text())["revocations"]
        assert {one["jti"] for one in kept} == {"zero", "one"}
        assert crowd.statuses() == {401}
        assert is_good(port)
        until(lambda: not list(disk.folder.glob(".*.tmp")), "what was half written stays")
        assert service.text().count("is killed") == 0
    finally:
        crowd.close()
        assert service.end() == 0


@pytest.mark.parametrize("how", REASONS)
def test_a_service_starts_with_a_plan_on_a_disk_that_takes_nothing(disk: Disk, how: str) -> None:
    """Full, it serves; where it may never write, it says in one line why not; nothing of the plan is lost."""
    service, port, admin = served(disk.folder.parent)
    try:
        assert call(admin, "POST", "/admin/rollback", {"by": "ann"})[0] == 200
    finally:
        assert service.end() == 0
    disk.spoil(how)
    path = disk.folder.parent / "rapidjws.json"
    again = Service(disk.folder.parent, ["--config", str(path)])
    try:
        if how == "full":
            port = int(again.wait_for(r"rapidjws serve: 127\.0\.0\.1:(\d+), 2 workers").group(1))
            assert is_good(port)
        else:
            assert again.process.wait(60) == 2
            assert "is not writable for this user" in again.text()
        assert "Traceback" not in again.text()
    finally:
        again.end()
    disk.mend()
    last = Service(disk.folder.parent, ["--config", str(path)])
    try:
        port = int(last.wait_for(r"rapidjws serve: 127\.0\.0\.1:(\d+), 2 workers").group(1))
        stages = call(admin, "GET", "/admin/status")[1]["plan"]["stages"]
        assert [one["phase"] for one in stages] == ["warning"]
        assert is_good(port)
    finally:
        assert last.end() == 0


@pytest.mark.parametrize("how", REASONS)
@pytest.mark.parametrize("has_sent", [False, True])
def test_no_notice_is_sent_that_cannot_be_written_down(disk: Disk, how: str, has_sent: bool) -> None:
    """A mail that nobody could remember would be sent again; it is sent once the disk is mended, once."""
    notice = Notice(
        partner="a", to="ops@a.example", subject="To a", text="x" * 100, html="<p>x</p>", mark="mark-a"
    )
    log = SentLog(disk.folder / "notices.jsonl")
    if has_sent:  # its last page is full as well
        log.write(notice, "failed", 1)
        with (disk.folder / "notices.jsonl").open("ab") as file:
            file.write(b"\n" * (4096 - file.tell()))
    box = Box()
    with OwnSMTP(box) as own:
        server = MailServer(host=HOST, port=own.port, sender="us@gate.example", security="none", timeout_s=60)
        disk.spoil(how)
        for _ in range(2):
            with pytest.raises(rapidjws.ConfigurationError, match=REASONS[how]):
                send([notice], server, log)
        assert box.mails == []
        disk.mend()
        assert [one.outcome for one in send([notice], server, log)] == ["sent"]
        assert [one.outcome for one in send([notice], server, log)] == ["known"]
    assert len(box.mails) == 1

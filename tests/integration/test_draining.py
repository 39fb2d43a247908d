"""Draining: what was connected or sent before the sidecar, or a worker of it, stopped is answered."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
from pathlib import Path

import pytest
from gates import token
from sidecar_process import WAIT_S, Service, alive, configured, served, until

pytest.importorskip("httptools", reason="the extra `server` is not installed")
pytest.importorskip("uvloop", reason="the extra `server` is not installed")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
REQUEST = b"GET /verify HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %b\r\n\r\n"


def connect(where: int | Path) -> socket.socket:
    """Return a connection to a port of this machine, or to a Unix socket."""
    if isinstance(where, int):
        return socket.create_connection(("127.0.0.1", where), WAIT_S)
    link = socket.socket(socket.AF_UNIX)
    link.settimeout(WAIT_S)
    link.connect(str(where))
    return link


def answer_of(link: socket.socket) -> bytes:
    """Return all that comes until the end; a reset raises."""
    found = b""
    while piece := link.recv(65536):
        found += piece
    return found


def test_sigquit_drains_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """SIGQUIT ends a worker, and the whole sidecar, like SIGTERM: status 0, and no socket stays."""
    admin = tmp_path / "admin.sock"
    with served(tmp_path, admin_listen=f"unix:{admin}") as (service, _):
        worker = service.workers()[0]
        os.kill(worker, signal.SIGQUIT)
        service.wait_for(rf"\(process {worker}\) ended with status 0")
        service.wait_for("serves again")
        pids = service.workers()
        service.process.send_signal(signal.SIGQUIT)
        assert service.process.wait(60) == 0
    assert [pid for pid in pids if alive(pid)] == []
    assert not admin.exists()


@pytest.mark.parametrize("transport", ["tcp", "unix"])
@pytest.mark.parametrize("whole", [True, False])
def test_draining_fails_no_request(tmp_path: Path, transport: str, whole: bool) -> None:
    """What was connected or sent before a worker, or the sidecar, stopped listening is answered, not reset.

    The worker stands still meanwhile, so all of it still waits in the system when SIGTERM comes.
    """
    path = tmp_path / "public.sock"
    with contextlib.ExitStack() as stack:
        if transport == "tcp":
            service, where = stack.enter_context(served(tmp_path, 1))
        else:
            where = path
            service = Service(tmp_path, ["--config", str(configured(tmp_path, f"unix:{path}", 1))])
            stack.callback(service.end)
            service.wait_for("1 workers")
        (worker,) = service.workers()
        octets = REQUEST % token().encode()
        used = [stack.enter_context(connect(where)) for _ in range(8)]
        for link in used:
            link.sendall(octets)
            assert link.recv(65536).startswith(b"HTTP/1.1 200")
        os.kill(worker, signal.SIGSTOP)
        fresh = [stack.enter_context(connect(where)) for _ in range(32)]
        for link in used + fresh:
            link.sendall(octets)
        os.kill(service.process.pid if whole else worker, signal.SIGTERM)
        if whole and transport == "unix":  # nobody new waits for workers that take no more
            until(lambda: not path.exists(), "the socket stays")
        os.kill(worker, signal.SIGCONT)
        answers = [answer_of(link) for link in used + fresh]
        assert [one[:12] for one in answers] == [b"HTTP/1.1 200"] * 40
    assert service.process.returncode == 0


def test_a_sidecar_that_ended_leaves_no_shared_memory_behind(tmp_path: Path) -> None:
    """What its workers share through /dev/shm is there while they serve, and gone with the last of them."""
    with served(tmp_path, 2):
        found = (tmp_path / "state").stat()
        memory = Path("/dev/shm") / f"rapidjws-{found.st_dev:x}-{found.st_ino:x}"
        assert memory.exists()
    assert not memory.exists()

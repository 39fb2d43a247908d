"""The sidecar as a process among processes: signals, taken addresses, killed parents and workers, systemd."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from gates import COMMAND, GONE, bearer, exchange, free_port, get
from sidecar_process import WAIT_S, Service, alive, configured, is_good, served, until

pytest.importorskip("httptools", reason="the extra `server` is not installed")
pytest.importorskip("uvloop", reason="the extra `server` is not installed")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.mark.parametrize("workers", [2, 8])
def test_N1_the_start_line_comes_when_every_worker_serves(tmp_path: Path, workers: int) -> None:
    """Once the line is there each worker answers; SIGTERM drains all, with status 0."""
    with served(tmp_path, workers) as (service, port):
        pids = service.workers()
        assert len(pids) == workers
        assert all(is_good(port) for _ in range(workers))
        assert service.text().count("\n") == 1
    assert service.process.returncode == 0
    assert [pid for pid in pids if alive(pid)] == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


@pytest.mark.parametrize("workers", [2, 8])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_N1_workers_end_when_their_supervisor_is_gone(
    tmp_path: Path, workers: int, number: signal.Signals
) -> None:
    """A killed supervisor, even one that was stopped before, leaves no worker behind, and the port free."""
    with served(tmp_path, workers) as (service, port):
        pids = service.workers()
        service.process.send_signal(number)
        service.process.kill()
        service.process.wait(30)
        until(lambda: not any(alive(pid) for pid in pids), "workers outlive their supervisor")
        until(lambda: is_free(port), "the port is still held")


def is_free(port: int) -> bool:
    """Return whether a port can be bound."""
    with socket.socket() as one, contextlib.suppress(OSError):
        one.bind(("127.0.0.1", port))
        return True
    return False


def test_N1_sighup_reads_the_configuration_again(tmp_path: Path) -> None:
    """SIGHUP, also to the whole group, reloads and ends nobody; a fault in the file changes nothing."""
    with served(tmp_path) as (service, port):
        pids = service.workers()
        path = tmp_path / "rapidjws.json"
        config = json.loads(path.read_text())
        stranger = bearer(GONE.token(GONE.claims(int(time.time()))))
        assert get(port, stranger, "/verify")[0] == 401
        keys = {"keys": [jwk.as_dict() for jwk in GONE.jwks.keys]}
        (tmp_path / "gone.json").write_text(json.dumps(keys))
        config["issuers"].append({**config["issuers"][0], "iss": GONE.iss, "jwks_file": "gone.json"})
        path.write_text(json.dumps(config))
        for pid in (service.process.pid, *pids):  # what a terminal does when it hangs up
            os.kill(pid, signal.SIGHUP)
        until(lambda: all(get(port, stranger, "/verify")[0] == 200 for _ in range(8)), "not reloaded")
        path.write_text("{")
        service.process.send_signal(signal.SIGHUP)
        time.sleep(1.0)
        assert is_good(port)
        assert sorted(service.workers()) == sorted(pids)


def test_N1_an_upgrade_in_place_is_refused_with_a_line(tmp_path: Path) -> None:
    """SIGUSR2 and SIGUSR1 end nobody; the first is answered by a line that says what to do."""
    with served(tmp_path) as (service, port):
        pids = service.workers()
        for number in (signal.SIGUSR2, signal.SIGUSR1):
            for pid in (service.process.pid, *pids):
                os.kill(pid, number)
        service.wait_for("SIGUSR2: no upgrade in place; restart")
        assert is_good(port)
        assert sorted(service.workers()) == sorted(pids)


@pytest.mark.parametrize("workers", [2, 8])
def test_N2_a_second_start_on_the_port_is_refused(tmp_path: Path, workers: int) -> None:
    """The second one names the address and who holds it, ends with 2, and takes no request of the first."""
    with served(tmp_path, workers) as (service, port):
        second = Service(tmp_path, ["--config", str(tmp_path / "rapidjws.json")])
        assert second.process.wait(60) == 2
        held = re.search(rf"127\.0\.0\.1:{port} is in use by process (\d+) \(", second.text())
        assert held
        assert int(held[1]) in {service.process.pid, *service.workers()}
        assert second.text().count("\n") == 1
        assert is_good(port)


def test_N2_another_program_on_the_port(tmp_path: Path) -> None:
    """A port that some other program holds, whether it shares it or not, is refused too."""
    for reuse in (0, 1):
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, reuse)
            other.bind(("127.0.0.1", 0))
            other.listen()
            path = configured(tmp_path, f"127.0.0.1:{other.getsockname()[1]}")
            second = Service(tmp_path, ["--config", str(path)])
            assert second.process.wait(60) == 2
            assert f"is in use by process {os.getpid()} (" in second.text()


def test_N2_a_unix_socket_in_use_is_left_alone_and_a_stale_one_replaced(tmp_path: Path) -> None:
    """A second start does not take the socket from the first; one left by a killed sidecar is replaced."""
    target = tmp_path / "public.sock"
    path = configured(tmp_path, f"unix:{target}", admin_listen=f"unix:{tmp_path / 'admin.sock'}")
    first = Service(tmp_path, ["--config", str(path)])
    try:
        first.wait_for("public.sock, 2 workers")
        second = Service(tmp_path, ["--config", str(path)])
        assert second.process.wait(60) == 2
        assert f"unix:{target} is in use" in second.text()
        assert b" 200 " in exchange(target, b"GET /healthz HTTP/1.0\r\n\r\n")
        pids = first.workers()
    finally:
        first.process.kill()
        first.process.wait(30)
    until(lambda: not any(alive(pid) for pid in pids), "workers outlive their supervisor")
    assert target.is_socket()
    third = Service(tmp_path, ["--config", str(path)])
    third.wait_for("public.sock, 2 workers")
    assert third.end() == 0
    assert not target.exists()
    target.write_text("precious")
    fourth = Service(tmp_path, ["--config", str(path)])
    assert fourth.process.wait(60) == 2
    assert "no socket, and is left alone" in fourth.text()
    assert target.read_text() == "precious"


def test_killed_workers_come_back_with_back_off(tmp_path: Path) -> None:
    """A killed worker is named with its signal, started again, and counted; others serve on."""
    with served(tmp_path) as (service, port):
        delays = []
        for restart in (1, 2, 3):
            victim = min(service.workers())
            os.kill(victim, signal.SIGKILL)
            line = service.wait_for(
                rf"\(process {victim}\) was killed by SIGKILL: started again in (\S+) s \(restart {restart}\)"
            )
            delays.append(float(line[1]))
            assert is_good(port)
            until(lambda count=restart: service.text().count("serves again") == count, "not started again")
        assert delays[0] >= 0.1
        assert len(delays) == 3


def test_a_worker_that_stands_still_is_replaced(tmp_path: Path) -> None:
    """A stopped worker is killed after worker_timeout_s and started again."""
    with served(tmp_path, worker_timeout_s=2.0) as (service, port):
        victim = service.workers()[0]
        os.kill(victim, signal.SIGSTOP)
        service.wait_for(rf"\(process {victim}\) has not answered for 2 s: it is killed")
        service.wait_for(rf"\(process {victim}\) was killed by SIGKILL")
        until(lambda: len(service.workers()) == 2 and victim not in service.workers(), "not replaced")
        until(lambda: quick(port), "does not serve")


def quick(port: int) -> bool:
    """Return whether a good token gets 200 in time; nobody accepts for a worker that stands still."""
    try:
        return is_good(port)
    except OSError:
        return False


def test_N13_a_wrong_configuration_is_said_once_and_before_the_start_line(tmp_path: Path) -> None:
    """However many workers there are, a fault is one line, no start line comes, and the status is 2."""
    path = configured(tmp_path, f"127.0.0.1:{free_port()}", workers=4)
    config = json.loads(path.read_text())
    config["issuers"][0]["jwks_file"] = "absent.json"
    config["issuers"][0]["algorithms"] = ["XS256"]
    path.write_text(json.dumps(config))
    service = Service(tmp_path, ["--config", str(path)])
    assert service.process.wait(60) == 2
    lines = service.text().splitlines()
    assert len(lines) == 2, service.text()
    assert "issuers[0].algorithms" in lines[0]
    assert "issuers[0].jwks_file" in lines[1]
    assert "workers" not in service.text()


def test_a_file_that_breaks_later_does_not_end_the_service(tmp_path: Path) -> None:
    """A worker that must start again while the file is wrong backs off; the others go on, and it returns."""
    with served(tmp_path) as (service, port):
        path = tmp_path / "rapidjws.json"
        whole = path.read_text()
        path.write_text("{")
        os.kill(service.workers()[0], signal.SIGKILL)
        service.wait_for(r"ended with status 78: started again")
        assert is_good(port)
        path.write_text(whole)
        service.wait_for("serves again")
        assert len(service.workers()) == 2
        assert is_good(port)


# --- systemd ------------------------------------------------------------------------------------------------


def messages(link: socket.socket, wanted: str) -> list[str]:
    """Read notifications until one holds this text; return them all."""
    found = []
    end_s = time.monotonic() + WAIT_S
    while not any(wanted in one for one in found):
        left_s = end_s - time.monotonic()
        assert left_s > 0, f"no {wanted} in {found}"
        if select.select([link], [], [], left_s)[0]:
            found.append(link.recv(4096).decode())
    return found


def test_systemd_hears_of_readiness_reload_watchdog_and_end(tmp_path: Path) -> None:
    """READY=1 at the start, RELOADING=1 and READY=1 around a reload, WATCHDOG=1 often, STOPPING=1 last."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        link.bind(str(tmp_path / "notify"))
        environment = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "2000000"}
        path = configured(tmp_path, f"127.0.0.1:{free_port()}")
        service = Service(tmp_path, ["--config", str(path)], env=environment)
        try:
            first = messages(link, "READY=1")
            assert "STATUS=serving 127.0.0.1:" in first[-1]
            assert not any("WATCHDOG" in one for one in first[:-1]) or len(first) > 1
            messages(link, "WATCHDOG=1")
            service.process.send_signal(signal.SIGHUP)
            assert "MONOTONIC_USEC=" in messages(link, "RELOADING=1")[-1]
            messages(link, "READY=1")
            service.process.send_signal(signal.SIGTERM)
            messages(link, "STOPPING=1")
        finally:
            assert service.end() == 0


def test_systemd_hands_over_the_sockets(tmp_path: Path) -> None:
    """A socket that is open already is served, whatever listen says, and stays when the sidecar ends."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        port = held.getsockname()[1]
        path = configured(tmp_path, "127.0.0.1:1")  # no one may bind that here, and no one needs to
        code = (
            "import os, sys; os.dup2(int(sys.argv[1]), 3);"
            "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1', LISTEN_FDNAMES='public');"
            "os.execv(sys.executable, [sys.executable, *sys.argv[2:]])"
        )
        log = (tmp_path / "log").open("wb")
        arguments = [
            sys.executable,
            "-c",
            code,
            str(held.fileno()),
            *COMMAND[1:],
            "serve",
            "--config",
            str(path),
        ]
        with subprocess.Popen(arguments, stderr=log, pass_fds=[held.fileno()]) as process:
            try:
                until(lambda: f"127.0.0.1:{port}, 2 workers" in (tmp_path / "log").read_text(), "not served")
                assert all(is_good(port) for _ in range(8))
            finally:
                process.send_signal(signal.SIGTERM)
                assert process.wait(60) == 0
                log.close()
        with socket.create_connection(("127.0.0.1", port)):  # the manager's socket still listens
            pass

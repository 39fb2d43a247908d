"""A worker's event loop: it reads no file, takes no file lock, and decides in time whatever else is asked."""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from admins import call
from gates import COMMAND, ISSUER, bearer, free_port, get, running, token, write_config, write_keys

pytest.importorskip("httptools", reason="the extra `server` is not installed")
pytest.importorskip("uvloop", reason="the extra `server` is not installed")

HOOK_SECRET = "an issuer's secret, which is long enough"
HOOK = [("Authorization", f"Bearer {HOOK_SECRET}")]
AUDITED = """
import asyncio, os, sys
log = os.open(sys.argv.pop(1), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
def audit(event, args):
    if event == "open" or event.startswith(("fcntl.", "os.", "time.sleep")):
        code = (".py',)", ".pyc',)", ".so',)")
        if asyncio._get_running_loop() is not None and not str(args[:1]).endswith(code):
            os.write(log, f"{event} {args!r}\\n".encode())
sys.addaudithook(audit)
from rapidjws.cli import main
main()
"""
"""Runs the command, and notes what a thread with a running loop opens, locks, renames or sleeps for."""

ROUND_S = 1.0
ROUNDS = 3
PERIOD_S = 0.01


def history(rows: int, hours: int) -> bytes:
    """Return the evidence of a worker that ended, of so many partners' hours."""
    now_s = int(time.time())
    seen = {str(now_s // 3600 - back): [5, 1] for back in range(hours)}
    row = {
        "algs": {},
        "kids": {},
        "other_algs": {},
        "shadow": {},
        "claims": {},
        "skew": {},
        "claim_hours": {},
    }
    row |= {"codes": {"ok": [5 * hours, now_s - 3600 * hours, now_s]}, "hours": seen}
    row |= {"latency": [0] * 40, "refused": hours}
    members = {"taken": [], "sources": {}}
    return json.dumps(
        {**members, "rows": [{"partner": f"p{at}", "route": "", **row} for at in range(rows)]}
    ).encode()


@contextmanager
def sidecar(folder: Path, command: list[str]) -> Iterator[tuple[int, Path]]:
    """Run a sidecar with admin socket and hook, on a folder with a long history; give port and socket."""
    port = free_port()
    write_keys(folder)
    (folder / "hook.txt").write_text(HOOK_SECRET + "\n")
    (folder / "state").mkdir(mode=0o700)
    (folder / "state" / "evidence-archive.json").write_bytes(history(100, 1000))
    common = {"algorithms": ["ES256"], "audience": "https://api.example"}
    path = write_config(
        folder,
        [{"iss": ISSUER.iss, "jwks_file": "jwks.json", **common}],
        rollout={"state": "state", "phase": "enforcement"},
        revocations={"file": "revocations.json"},
        partners=[{"name": "ready", "issuers": [ISSUER.iss]}],
        server={
            "listen": f"127.0.0.1:{port}",
            "workers": 1,
            "admin_listen": f"unix:{folder / 'admin.sock'}",
            "hook_secret_file": "hook.txt",
        },
    )
    with running([*command, "serve", "--config", str(path)], port):
        end_s = time.monotonic() + 60
        while get(port, [], "/readyz")[0] != 200:
            assert time.monotonic() < end_s, "never ready"
            time.sleep(0.05)
        yield port, folder / "admin.sock"


def everything_else(port: int, admin: Path) -> list[Callable[[], Any]]:
    """Return calls of every endpoint but the decision, each with what it may answer."""

    def pipelined() -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=60) as link:
            link.sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n" * 50)
            found = b""
            while found.count(b"HTTP/1.1 200 OK") < 50:
                piece = link.recv(1 << 20)
                assert piece
                found += piece

    def asked(method: str, path: str, body: Any = None) -> Callable[[], Any]:
        return lambda: call(admin, method, f"/admin/{path}", body)

    return [
        pipelined,
        lambda: get(port, [], "/readyz"),
        lambda: get(port, [], "/healthz"),
        lambda: call(port, "POST", "/hooks/jwks-rotated", {}, HOOK),
        asked("GET", "status"),
        asked("POST", "reload"),
        asked("POST", "freeze", {"by": "ann"}),
        asked("POST", "thaw", {"by": "ann"}),
        asked("POST", "revoke", {"jti": "x", "issuer": ISSUER.iss}),
        asked("POST", "unrevoke", {"jti": "x", "issuer": ISSUER.iss}),
    ]


def test_S3_a_loop_opens_no_file_and_takes_no_file_lock(tmp_path: Path) -> None:
    """Whatever is asked for or due, no file is opened, locked or replaced on a worker's loop."""
    log = tmp_path / "audit.log"
    with sidecar(tmp_path, [sys.executable, "-c", AUDITED, str(log)]) as (port, admin):
        end_s = time.monotonic() + 4  # the evidence is written each two seconds
        while time.monotonic() < end_s:
            assert get(port, bearer(token()), "/verify")[0] == 200
            for ask in everything_else(port, admin):
                ask()
        (tmp_path / "jwks.json").touch()
        time.sleep(1)
    evidence = [one.name for one in (tmp_path / "state").glob("evidence-[0-9]*.json")]
    assert evidence, "nothing was written: the test looks at nothing"
    allowed = ("os.kill", "os.putenv", "os.unsetenv")
    lines = [line for line in log.read_text().splitlines() if not line.startswith(allowed)]
    assert lines == []


def test_S3_decisions_keep_their_times_while_all_else_is_asked_for(tmp_path: Path) -> None:
    """The p99 of decisions at a steady rate stays near that of quiet moments of the same run."""
    request = b"GET /verify HTTP/1.1\r\nHost: a\r\nAuthorization: %b\r\n\r\n"
    times: dict[bool, list[list[float]]] = {True: [], False: []}
    with sidecar(tmp_path, COMMAND) as (port, admin):
        octets = request % bearer(token())[0][1].encode()
        hammering, over = threading.Event(), threading.Event()
        faults: list[BaseException] = []
        done = [0]

        def hammer(ask: Callable[[], Any]) -> None:
            while not over.is_set():
                if hammering.wait(0.05):
                    try:
                        ask()
                        done[0] += 1
                    except BaseException as fault:
                        faults.append(fault)
                        return
                    time.sleep(0.05)

        threads = [threading.Thread(target=hammer, args=(ask,)) for ask in everything_else(port, admin)]
        for thread in threads:
            thread.start()
        with socket.create_connection(("127.0.0.1", port), timeout=60) as link:
            for number in range(2 * ROUNDS):
                busy = bool(number % 2)
                (hammering.set if busy else hammering.clear)()
                times[busy].append([])
                end_s = time.monotonic() + ROUND_S
                while (began_s := time.monotonic()) < end_s:
                    link.sendall(octets)
                    assert link.recv(1 << 16).startswith(b"HTTP/1.1 200")
                    taken_s = time.monotonic() - began_s
                    times[busy][-1].append(taken_s)
                    time.sleep(max(0.0, PERIOD_S - taken_s))
        over.set()
        for thread in threads:
            thread.join(60)
    assert not faults
    assert done[0] >= 3 * len(threads)
    quiet, busy_s = (sorted(_p99(one) for one in times[which])[ROUNDS // 2] for which in (False, True))
    print(f"p99 of decisions: quiet {1e3 * quiet:.1f} ms, hammered {1e3 * busy_s:.1f} ms, {done[0]} calls")
    assert busy_s < 5 * quiet + 0.05


def _p99(times: list[float]) -> float:
    return sorted(times)[int(0.99 * (len(times) - 1))]

"""Decisions at a steady rate while every other endpoint of the same worker is hammered: what their p99 gains.

One sidecar with one worker and a long history in its state folder. Quiet and hammered rounds take turns, so
that a busy moment of the machine meets both. A decision's time is taken from the moment that its schedule
named, so one that had to wait behind another counts with its wait.
"""

from __future__ import annotations

import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / place) for place in ("tests/support", "tests/integration", "examples")]

RATE = 100
"""Decisions a second."""

ROUNDS, ROUND_S = 5, 2.0
TIMES_AT_MOST = 6.0
"""The hammered p99 over the quiet one of the same run, or:"""

FLOOR_MS = 10.0
"""a hammered p99 below this needs no ratio."""

REQUEST = b"GET /verify HTTP/1.1\r\nHost: a\r\nAuthorization: %b\r\n\r\n"


def percentile(times: list[float], share: float) -> float:
    """Return the value below which that share of the times lies."""
    return sorted(times)[int(share * (len(times) - 1))]


def decide(link: socket.socket, octets: bytes) -> list[float]:
    """Ask for decisions on a schedule for one round; return how late each answer was, in milliseconds."""
    begin_s, times = time.monotonic(), []
    for number in range(int(RATE * ROUND_S)):
        due_s = begin_s + number / RATE
        time.sleep(max(0.0, due_s - time.monotonic()))
        link.sendall(octets)
        assert link.recv(1 << 16).startswith(b"HTTP/1.1 200")
        times.append(1e3 * (time.monotonic() - due_s))
    return times


@pytest.mark.usefixtures("all_cpus")
def test_hammered_decisions(benchmark: Any, tmp_path: Path) -> None:
    """The p99 of decisions under metrics, health, admin, report and hook requests is bounded."""
    pytest.importorskip("httptools", reason="the extra `server` is not installed")
    from admins import call
    from gates import COMMAND, bearer, token
    from test_sidecar_loop import everything_else, sidecar

    times: dict[bool, list[float]] = {False: [], True: []}
    hammering, over = threading.Event(), threading.Event()
    calls: list[float] = []
    faults: list[BaseException] = []

    def hammer(ask: Any) -> None:
        while not over.is_set():
            if hammering.wait(0.05):
                try:
                    ask()
                except BaseException as fault:
                    faults.append(fault)
                    return
                calls.append(time.monotonic())
                time.sleep(0.05)

    with sidecar(tmp_path, COMMAND) as (port, admin):
        asked = [
            *everything_else(port, admin),
            lambda: call(admin, "GET", "/admin/report"),
            lambda: call(admin, "GET", "/admin/keys"),
        ]
        threads = [threading.Thread(target=hammer, args=(ask,)) for ask in asked]
        for thread in threads:
            thread.start()
        with socket.create_connection(("127.0.0.1", port), timeout=60) as link:
            octets = REQUEST % bearer(token())[0][1].encode()
            decide(link, octets)  # warm
            for number in range(2 * ROUNDS):
                hammered = bool(number % 2)
                (hammering.set if hammered else hammering.clear)()
                times[hammered] += decide(link, octets)
        over.set()
        for thread in threads:
            thread.join(60)
    assert not faults
    quiet, busy = (percentile(times[which], 0.99) for which in (False, True))
    rate = len(calls) / (ROUNDS * ROUND_S)
    benchmark.extra_info.update(quiet_p99_ms=quiet, hammered_p99_ms=busy, ratio=busy / quiet)
    benchmark.pedantic(lambda: None, rounds=1)
    medians = [percentile(times[which], 0.5) for which in (False, True)]
    print(f"{RATE} decisions a second beside {rate:.0f} other calls a second: ", end="")
    print(f"median {medians[0]:.2f} -> {medians[1]:.2f} ms, ", end="")
    print(f"p99 {quiet:.2f} -> {busy:.2f} ms, {busy / quiet:.1f} x")
    assert rate > len(asked)
    assert busy <= max(TIMES_AT_MOST * quiet, FLOOR_MS)

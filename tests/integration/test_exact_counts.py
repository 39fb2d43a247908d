"""Counts over four workers of which two are killed and replaced are exactly what was verified."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable

import pytest
import tokens

import rapidjws
from rapidjws.observe.reading import Reading
from rapidjws.observe.region_samples import RegionSamples
from rapidjws.verify.counter_memory import CounterMemory
from rapidjws.verify.verdict_counters import VerdictCounters

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no fork")

WORKERS = 4
BATCH = 500


def worker(memory: CounterMemory, index: int, verdicts: int, ended: Callable[[], None]) -> int:
    """Fork a worker that verifies so many tokens, one in ten of them expired; it then says so and waits."""
    pid = os.fork()
    if pid:
        return pid
    region = memory.of_worker(index)
    region.begin()
    issuer = rapidjws.Issuer(
        tokens.ISS, keys=[tokens.key("HS256")], algorithms=["HS256"], audience=tokens.AUD
    )
    engine = rapidjws.Engine(issuer, counters=VerdictCounters(region), workers=2)
    good, old = tokens.token("HS256", iat=None), tokens.token("HS256", iat=None, exp=1)
    batch = [*[good] * (BATCH * 9 // 10), *[old] * (BATCH // 10)]
    for _ in range(verdicts // BATCH):
        engine.verify_many(batch)
    ended()
    signal.pause()
    os._exit(0)


@pytest.mark.parametrize("verdicts", [20_000, pytest.param(1_000_000, marks=pytest.mark.long)])
def test_counts_are_exact_over_killed_workers(verdicts: int) -> None:
    """Four workers verify; two are killed after half of their share, and others go on in their place."""
    memory = CounterMemory(WORKERS)
    done, end = os.pipe()
    half = verdicts // WORKERS // 2

    def ended() -> None:
        os.write(end, b".")

    def wait_for(count: int) -> None:
        while count:
            count -= len(os.read(done, count))

    def kill(pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

    tokens.key("HS256")  # before the forks: all have the same
    pids = [worker(memory, index, half if index < 2 else 2 * half, ended) for index in range(WORKERS)]
    wait_for(WORKERS)
    for pid in pids[:2]:
        kill(pid)
    pids[:2] = [worker(memory, index, half, ended) for index in range(2)]
    wait_for(2)
    samples = RegionSamples([memory.of_worker(index) for index in range(WORKERS)])
    reading = Reading(samples.samples(), 0.0)
    for pid in pids:
        kill(pid)
    os.close(done)
    os.close(end)
    name = "rapidjws_verifications_total"
    assert reading.total(name) == verdicts
    assert reading.total(name, issuer=tokens.ISS, code="ok") == verdicts * 9 // 10
    assert reading.total(name, issuer=tokens.ISS, code="expired") == verdicts // 10
    assert reading.total("rapidjws_verification_duration_seconds") == verdicts
    assert reading.total("rapidjws_claim_refusals_total", claim="exp") == verdicts // 10

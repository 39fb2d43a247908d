"""A step of the wall clock is noticed by the sidecar, whatever its keys come from."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from gates import free_port
from sidecar_process import Service, configured, until

from rapidjws.sidecar.clock_watch import ClockWatch
from rapidjws.testing import FakeClock
from rapidjws.verify.protocols import Event

pytest.importorskip("httptools", reason="the extra `server` is not installed")
pytest.importorskip("uvloop", reason="the extra `server` is not installed")

STEPPED = """
import os, time
real = time.time
time.time = lambda: real() + (3600.0 if os.path.exists({path!r}) else 0.0)
from rapidjws.cli import main
main()
"""


@pytest.mark.parametrize("step_s", [-3600.0, 3600.0, 2.5])
def test_a_step_is_told_once(step_s: float) -> None:
    """A step either way is one event with its size; time that passes is none."""
    events: list[Event] = []
    clock = FakeClock()
    watch = ClockWatch(events.append, clock)
    clock.advance(3600.0)
    watch.on_tick()
    assert events == []
    clock.step(step_s)
    watch.on_tick()
    watch.on_tick()
    assert [(event.name, event.value) for event in events] == [("clock_stepped", step_s)]


def test_a_clock_that_is_corrected_bit_by_bit_is_no_step() -> None:
    """What NTP moves in half a second is below a step, however far it goes in all."""
    events: list[Event] = []
    clock = FakeClock()
    watch = ClockWatch(events.append, clock)
    for _ in range(100):
        clock.step(0.5)
        watch.on_tick()
    assert events == []


def test_a_sidecar_without_key_urls_logs_a_step(tmp_path: Path) -> None:
    """With keys in a file, no address and two workers: one line of the log, and one for the operator."""
    config = configured(tmp_path, f"127.0.0.1:{free_port()}")
    flag = tmp_path / "stepped"
    service = Service(
        tmp_path, ["--config", str(config)], [sys.executable, "-c", STEPPED.format(path=str(flag))]
    )
    try:
        service.wait_for("2 workers")
        flag.touch()
        until(
            lambda: [one for one in service.events() if one.get("event") == "clock_stepped"],
            "a line of the log",
        )
        service.wait_for(r"clock was set by \+3600\.0 s")
        assert len([one for one in service.events() if one.get("event") == "clock_stepped"]) == 1
    finally:
        service.end()

"""Threads and processes of logs, traces and game days that cannot be started."""

from __future__ import annotations

import itertools
import json
import logging
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from issuers import wait_for
from thread_faults import NO_THREAD, failing_starts

from rapidjws.config.log_section import tracer_from
from rapidjws.gameday.load import Load
from rapidjws.gameday.prometheus import Prometheus
from rapidjws.gameday.testbed import Testbed
from rapidjws.observe.log_writer import Destination, QueuedWriter
from rapidjws.observe.otel import OpenTelemetryTracer
from rapidjws.observe.tracing import NO_TRACER

LIMIT_S = 60.0
FAULTS = [RuntimeError(NO_THREAD), MemoryError()]
NO_PROCESS = OSError(11, "Resource temporarily unavailable")


# --- logs and traces -------------------------------------------------------------------------------------


def record(text: str) -> logging.LogRecord:
    """Return a record."""
    return logging.LogRecord("rapidjws.x", 20, "f", 1, text, None, None)


def writer_to(path: Path) -> QueuedWriter:
    """Return a writer of texts as lines."""
    return QueuedWriter(
        Destination(str(path)),
        lambda one: one.getMessage().encode() + b"\n",
        max_records=16,
        report=lambda count: record(f"left out {count}"),
    )


@pytest.mark.parametrize("fault", FAULTS)
def test_S15_log_lines_without_a_thread(fault: Exception, tmp_path: Path) -> None:
    """Whichever starts fail, each line is written, once and in order; by who closes where none succeeds."""
    for number, pattern in enumerate(itertools.product((False, True), repeat=4)):
        path = tmp_path / f"log-{number}"
        writer = writer_to(path)
        with failing_starts(
            lambda number, pattern=pattern: pattern[number],  # type: ignore[misc]
            only="rapidjws-log",
            fault=fault,
        ):
            for text in "abc":
                writer.put(record(text))
            writer.close(LIMIT_S)
        assert path.read_text() == "a\nb\nc\n", pattern
        assert writer.dropped == 0


def test_S15_log_lines_without_a_thread_or_room(tmp_path: Path) -> None:
    """What finds no room is counted, and holds up nobody: neither who logs nor who closes."""
    writer = writer_to(tmp_path / "log")
    with (
        failing_starts(lambda _: True, only="rapidjws-log"),
        mock.patch.object(Destination, "takes_a_line", False),
    ):
        for _ in range(20):
            writer.put(record("x"))
        writer.close(LIMIT_S)
    assert writer.dropped == 20
    assert (tmp_path / "log").read_text() == ""


@pytest.mark.parametrize("fault", FAULTS)
def test_S15_the_end_of_a_tracer_without_a_thread(fault: Exception) -> None:
    """An end that finds no thread to send what waits does not wait and raises nothing."""
    provider = mock.Mock()
    tracer = OpenTelemetryTracer(provider)
    with failing_starts(lambda _: True, only="rapidjws-traces", fault=fault) as starts:
        tracer.close()
    assert starts.failed == 1
    assert not provider.shutdown.called
    tracer.close()
    assert provider.shutdown.called


@pytest.mark.parametrize("fault", FAULTS)
def test_S15_a_tracer_without_a_thread(fault: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """A service that finds no thread to send spans starts without them, and says so."""
    with failing_starts(lambda _: True, only="", fault=fault) as starts:
        assert tracer_from({"endpoint": "http://127.0.0.1:9"}) is NO_TRACER
    assert starts.failed >= 1  # a neighbour's fetch may have tried to start one, too
    assert "no spans" in caplog.text


# --- game days -------------------------------------------------------------------------------------------


def is_refused(port: int) -> bool:
    """Return whether nobody listens."""
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except OSError:
        return True
    return False


def ports(bed: Testbed) -> list[int]:
    """Return the ports of a testbed's issuers."""
    return [int(issuer.url.split(":")[2].split("/")[0]) for issuer in bed.issuers.values()]


def started(bed: Testbed) -> subprocess.Popen[bytes]:
    """Give a testbed a process in place of a sidecar."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    bed._processes["sidecar"] = process
    return process


@pytest.mark.parametrize("fault", FAULTS)
def test_S15_a_testbed_without_a_thread(fault: Exception, tmp_path: Path) -> None:
    """A testbed that finds no thread ends what it started, and the fault is seen."""
    bed = Testbed(tmp_path)
    made: list[Any] = []

    def start() -> None:
        made.append(started(bed))

    with (
        mock.patch.object(bed, "start_sidecar", start),
        failing_starts(lambda _: True, only="rapidjws-testbed", fault=fault),
        pytest.raises(type(fault)),
    ):
        bed.__enter__()
    assert [one.poll() is not None for one in made] == [True]
    wait_for(lambda: all(map(is_refused, ports(bed))), LIMIT_S)


@pytest.mark.parametrize("redis", [False, True])
def test_S15_a_testbed_without_processes(redis: bool, tmp_path: Path) -> None:
    """A testbed that finds no process, for Redis or the sidecar, ends its issuers; the fault is seen."""
    bed = Testbed(tmp_path, redis=redis)
    assert json.loads(bed.config.read_text())["issuers"]
    with (
        mock.patch.object(shutil, "which", lambda name: f"/bin/{name}"),
        mock.patch.object(subprocess, "Popen", side_effect=NO_PROCESS) as popen,
        pytest.raises(OSError, match="temporarily unavailable"),
    ):
        bed.__enter__()
    assert popen.call_count == 1
    assert ("redis-server" in popen.call_args.args[0][0]) == redis
    wait_for(lambda: all(map(is_refused, ports(bed))), LIMIT_S)


def test_S15_a_prometheus_without_processes(tmp_path: Path) -> None:
    """A Prometheus that finds no process leaves nothing to end, and the fault is seen."""
    one = Prometheus(tmp_path / "prometheus", "127.0.0.1:9")
    with (
        mock.patch.object(subprocess, "Popen", side_effect=NO_PROCESS),
        pytest.raises(OSError, match="temporarily unavailable"),
    ):
        one.__enter__()
    assert one._process is None
    one.close()


@pytest.mark.parametrize("fault", FAULTS)
def test_S15_a_load_without_a_thread(fault: Exception) -> None:
    """A load that finds no thread sends nothing, and the fault is seen."""
    bed = mock.Mock()
    load = Load(bed)
    with failing_starts(lambda _: True, only="rapidjws-load", fault=fault), pytest.raises(type(fault)):
        load.__enter__()
    assert bed.mock_calls == []

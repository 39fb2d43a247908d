"""Log lines on their way out: who logs never waits, and what is lost is counted."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rapidjws import _files
from rapidjws.observe.log_formats import LINE_MAX_BYTES
from rapidjws.observe.log_writer import WAITING_MAX, Destination, DirectWriter, QueuedWriter
from rapidjws.observe.logs import InstalledLogs, LogHandler, LogSettings, event_record

WAIT_S = 60.0


def made(record: logging.LogRecord) -> bytes:
    """Return a record's text as a line."""
    return record.getMessage().encode() + b"\n"


def record(text: str) -> logging.LogRecord:
    """Return a record."""
    return logging.LogRecord("rapidjws.x", 20, "f", 1, text, None, None)


def left_out(count: int) -> logging.LogRecord:
    """Return the record of what was left out."""
    return record(f"left out {count}")


def until(condition: object, what: str) -> None:
    """Wait until a condition holds."""
    end_s = time.monotonic() + WAIT_S
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end_s, what
        time.sleep(0.01)


class Pipe(Destination):
    """A destination that is the writing end of a pipe."""

    def __init__(self) -> None:
        self.reading, writing = os.pipe()
        self._number = writing
        super().__init__("stderr")

    def _open(self) -> int:
        return self._number

    def read(self, size: int = 1 << 16) -> bytes:
        """Read what was written."""
        return os.read(self.reading, size)

    def fill(self) -> None:
        """Fill the pipe until it takes nothing more."""
        os.set_blocking(self._number, False)
        try:
            while True:
                os.write(self._number, b"x" * 4096)
        except BlockingIOError:
            os.set_blocking(self._number, True)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """Give a pipe."""
    one = Pipe()
    yield one
    os.close(one.reading)


def test_a_pipe_that_nobody_reads_holds_up_nobody(pipe: Pipe) -> None:
    """With the pipe full and the queue full, lines are dropped and counted; then a line tells how many."""
    pipe.fill()
    writer = QueuedWriter(pipe, made, max_records=4, report=left_out)
    for number in range(100):
        writer.put(record(f"line {number}"))  # would hang here
    assert writer.dropped >= 94
    seen = b""
    end_s = time.monotonic() + WAIT_S
    while b"left out" not in seen:
        assert time.monotonic() < end_s
        seen += pipe.read()
    assert b"line 0\n" in seen
    assert int(seen.partition(b"left out ")[2].split()[0]) == writer.dropped
    writer.close()


def test_a_close_does_not_wait_for_a_pipe_that_nobody_reads(pipe: Pipe) -> None:
    """The end of a process is not held up: a bound, and the rest is lost."""
    pipe.fill()
    writer = QueuedWriter(pipe, made, max_records=4, report=left_out)
    writer.put(record("never read"))
    writer.close(timeout_s=0.05)
    pipe.read()
    until(lambda: not writer._thread.is_alive(), "the thread ends by itself")  # type: ignore[union-attr]


def test_a_process_without_a_thread_keeps_some_and_drops_the_rest(pipe: Pipe) -> None:
    """The supervisor writes what there is room for, keeps a bounded rest, and counts what is lost."""
    pipe.fill()
    writer = DirectWriter(pipe, made)
    for number in range(WAITING_MAX + 10):
        writer.put(record(f"line {number}"))
    assert writer.dropped == 10
    while not pipe.takes_a_line:
        pipe.read(4096)
    writer.flush()
    os.set_blocking(pipe.reading, False)
    seen = b""
    while b"line 63" not in seen:
        try:
            seen += pipe.read()
        except BlockingIOError:
            writer.flush()
    assert b"line 0\n" in seen
    writer.close()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_full_disk_costs_lines_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that fails is counted; the next line is tried again."""
    full = os.open("/dev/full", os.O_WRONLY)
    monkeypatch.setattr(_files, "open_log", lambda _: full)
    writer = QueuedWriter(Destination("somewhere"), made, max_records=16, report=left_out)
    for _ in range(3):
        writer.put(record("lost"))
    until(lambda: writer.dropped == 3, "each is counted")
    writer.close()


def test_a_line_that_was_cut_off_spoils_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a write that took half a line the next one begins on a line of its own."""
    destination = Destination(str(tmp_path / "log"))
    whole = os.write
    monkeypatch.setattr(os, "write", lambda to, octets: whole(to, octets[:3]))
    assert not destination.write(b"first\n")
    monkeypatch.undo()
    assert destination.write(b"second\n")
    assert destination.write(b"third\n")
    assert (tmp_path / "log").read_bytes() == b"fir\nsecond\nthird\n"
    destination.close()


def test_a_file_that_was_moved_away_is_opened_anew(tmp_path: Path) -> None:
    """After ``reopen`` lines go to the new file; where it cannot be made they stay with the old one."""
    path = tmp_path / "logs" / "log"
    path.parent.mkdir()
    handler = LogHandler(destination=path)
    handler.handle(event_record("config_loaded", {"value": 1}))
    until(lambda: path.read_bytes().count(b"\n") == 1, "the first line")
    os.rename(path, tmp_path / "logs" / "log.1")
    handler.reopen()
    handler.handle(event_record("config_loaded", {"value": 2}))
    until(lambda: path.exists() and path.read_bytes().count(b"\n") == 1, "the second line")
    os.rename(tmp_path / "logs", tmp_path / "gone")
    handler.reopen()
    handler.handle(event_record("config_loaded", {"value": 3}))
    until(lambda: (tmp_path / "gone" / "log").read_bytes().count(b"\n") == 2, "the third line")
    assert os.stat(tmp_path / "gone" / "log").st_mode & 0o777 == 0o600
    handler.close()


def test_a_file_that_strangers_may_write_to_is_no_log(tmp_path: Path) -> None:
    """A log is opened as all files of an operator are: no link, no FIFO, nobody else's."""
    path = tmp_path / "log"
    path.touch()
    path.chmod(0o666)
    with pytest.raises(OSError, match="others may write"):
        LogHandler(destination=path)
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(OSError, match="regular"):
        LogHandler(destination=tmp_path / "fifo")


def test_many_processes_write_whole_lines_to_one_file(tmp_path: Path) -> None:
    """Each line is one write of at most LINE_MAX_BYTES to a file that each write appends to."""
    path = tmp_path / "log"
    children = []
    for number in range(4):
        child = os.fork()
        if not child:
            handler = LogHandler(destination=path, worker=number, threaded=False)
            for count in range(50):
                handler.handle(event_record("fetch_failed", {"detail": f"{count} " + "é" * 200}))
            os._exit(0)
        children.append(child)
    for child in children:
        assert os.waitpid(child, 0)[1] == 0
    lines = path.read_bytes().splitlines()
    assert len(lines) == 200
    assert {json.loads(one)["worker"] for one in lines} == {0, 1, 2, 3}
    assert max(map(len, lines)) < LINE_MAX_BYTES


def test_a_record_that_makes_no_line_stops_no_other(pipe: Pipe) -> None:
    """A fault of the formatter is counted, and the next record is written."""

    def fragile(one: logging.LogRecord) -> bytes:
        if one.getMessage() == "bad":
            raise ValueError("no line")
        return made(one)

    writer = QueuedWriter(pipe, fragile, max_records=16, report=left_out)
    writer.put(record("bad"))
    writer.put(record("good"))
    until(lambda: b"good\n" in pipe.read(), "the good line")
    assert writer.dropped == 1
    writer.close()


def test_a_forked_child_has_a_thread_of_its_own(tmp_path: Path) -> None:
    """A handler made before a fork writes in the child too, and the parent's lines are not written twice."""
    path = tmp_path / "log"
    handler = LogHandler(destination=path)
    handler.handle(event_record("config_loaded", {"value": 1}))
    until(lambda: path.read_bytes().count(b"\n") == 1, "the parent's line")
    child = os.fork()
    if not child:
        handler.handle(event_record("config_loaded", {"value": 2}))
        handler.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    handler.close()
    assert [json.loads(one)["value"] for one in path.read_bytes().splitlines()] == [1, 2]


def test_without_a_thread_to_be_had_nothing_fails(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system gives no thread the records wait for the next one; nothing is raised."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    writer = QueuedWriter(pipe, made, max_records=16, report=left_out)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        writer.put(record("first"))
    writer.put(record("second"))
    seen = b""
    while b"second" not in seen:
        seen += pipe.read()
    assert seen == b"first\nsecond\n"
    writer.close()


def test_installed_logs_split_the_security_stream(tmp_path: Path) -> None:
    """Security events go to the log and to their own destination; everything else to the log only."""
    settings = LogSettings(
        destination=str(tmp_path / "log"), security_destination=str(tmp_path / "security"), schema="ocsf"
    )
    logs = InstalledLogs(settings, worker=0)
    root = logging.getLogger("rapidjws")
    try:
        assert not root.propagate
        for name in ("kid_rebound", "fetch_failed", "keys_fetched"):
            one = event_record(name, {"issuer": "https://a.example"})
            target = logging.getLogger(one.name)
            if target.isEnabledFor(one.levelno):
                target.handle(one)
    finally:
        logs.close()
    events = {
        name: [
            json.loads(one)["metadata"]["event_code"] for one in (tmp_path / name).read_text().splitlines()
        ]
        for name in ("log", "security")
    }
    assert events == {"log": ["kid_rebound", "fetch_failed"], "security": ["kid_rebound"]}
    assert root.propagate
    assert root.level == logging.NOTSET


def test_lines_of_the_exporter_of_spans_are_of_the_log_too(tmp_path: Path) -> None:
    """What OpenTelemetry warns of becomes a JSON line, once; its chatter does not, and all is put back."""
    other = logging.getLogger("opentelemetry")
    before = other.level, other.propagate, list(other.handlers)
    logs = InstalledLogs(LogSettings(destination=str(tmp_path / "log"), level="debug"), worker=0)
    try:
        logging.getLogger("opentelemetry.exporter.otlp").warning("the collector does not answer: %s", "503")
        logging.getLogger("opentelemetry.sdk").info("chatter")
        assert logs.dropped == 0
    finally:
        logs.close()
    (line,) = [json.loads(one) for one in (tmp_path / "log").read_text().splitlines()]
    assert line["level"] == "warning"
    assert "the collector does not answer: 503" in json.dumps(line)
    assert (other.level, other.propagate, list(other.handlers)) == before

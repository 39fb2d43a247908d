"""What the writer of a trail says in the log: of the list of events, with its fields."""

from __future__ import annotations

import errno
import logging
from pathlib import Path

import pytest
from audit_trails import entry, filled, killed, writer

from rapidjws import RapidJWSError
from rapidjws.audit import disk
from rapidjws.observe.event_log import EventLog


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, int, str]]:
    """Return the lines of the trail's logger: event, level, message."""
    found = [one for one in caplog.records if one.name == "rapidjws.audit"]
    return [(one.getMessage().partition(":")[0], one.levelno, one.getMessage()) for one in found]


def test_L_a_cut_tail_is_a_line_of_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A start that cuts off what a crash left of a record says so, with the number of octets."""
    killed(filled(tmp_path, 3))
    (segment,) = (tmp_path / "journal").iterdir()
    with segment.open("ab") as file:
        file.write(b"torn")
    writer(tmp_path, events=EventLog()).close()
    assert lines(caplog) == [("audit_tail_cut", logging.WARNING, "audit_tail_cut: value=4")]


def test_L_a_fault_of_the_disk_is_a_line_of_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed fsync names the segment that was set aside, and that nothing can be written."""
    made = writer(tmp_path, events=EventLog())

    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, "I/O error")

    with monkeypatch.context() as patched:
        patched.setattr(disk, "sync_data", fail)
        with pytest.raises(RapidJWSError):
            made.append([entry(0)])
    made.append([entry(0)])
    made.close()
    assert [(name, level) for name, level, _ in lines(caplog)] == [
        ("audit_segment_suspect", logging.ERROR), ("audit_storage_failed", logging.ERROR),
    ]  # fmt: skip
    assert all('detail="EIO"' in text for _, _, text in lines(caplog))

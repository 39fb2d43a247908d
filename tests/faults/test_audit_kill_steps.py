"""kill -9 of the writer of a trail at each step it takes on its disk: nothing acknowledged is lost."""

from __future__ import annotations

import os
import shutil
import signal
import struct
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from audit_trails import ORIGIN, entry, numbers, signer, writer

from rapidjws.audit import NoteKey, TrailReader, disk, journal, trail_writer

STEPS: Final = ("mkdir", "open", "write", "fsync", "replace", "unlink", "ftruncate")
"""What of the system changes a disk."""

_NUMBER: Final = struct.Struct(">Q")
STEPS_MAX: Final = 5000


def kill_at(number: int) -> None:
    """Have this process killed at its so-manieth step on the disk; half of what it writes is written."""
    left = [number]

    def wrapped(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            if name == "open" and not given[1] & os.O_CREAT:
                return real(*given, **named)
            left[0] -= 1
            if left[0] == 0:
                if name == "write":
                    real(given[0], bytes(given[1])[: len(given[1]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*given, **named)

        return call

    for name in STEPS:
        setattr(os, name, wrapped(name, getattr(os, name)))


def in_child(work: Callable[[Callable[[int], None]], None], step: int) -> tuple[int, bool]:
    """Run in a child that is killed at a step; return what it acknowledged, and whether it came to its end.

    Args:
        work: Is given what acknowledges a size.
        step: At which step on the disk the child is killed.
    """
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            acknowledge = os.write
            kill_at(step)
            work(lambda size: acknowledge(theirs, _NUMBER.pack(size)))
            os._exit(0)
        finally:
            os._exit(1)
    os.close(theirs)
    with os.fdopen(ours, "rb") as heard:
        octets = heard.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, -signal.SIGKILL)
    sizes = [one for (one,) in _NUMBER.iter_unpack(octets)]
    return max(sizes, default=0), status == 0


def used(folder: Path) -> Callable[[Callable[[int], None]], None]:
    """Return a run of a sequencer's writer: begun, fed, published, rotated, closed."""

    def work(acknowledge: Callable[[int], None]) -> None:
        made = writer(folder)
        for number in range(6):
            added = [entry(made.size + at) for at in range(60)]
            made.append(added, [b"token"] * len(added))
            acknowledge(made.size)
            if number % 2:
                made.publish()
        made.close()

    return work


def begun(folder: Path) -> Callable[[Callable[[int], None]], None]:
    """Return a start of a writer that goes on for one record more."""

    def work(acknowledge: Callable[[int], None]) -> None:
        made = writer(folder)
        acknowledge(made.size)
        made.append([entry(made.size)], [b"token"])
        acknowledge(made.size)

    return work


def check(folder: Path, acknowledged: int) -> int:
    """Check that a trail opens, verifies, and has what was acknowledged; return its size."""
    made = writer(folder)
    assert made.size >= acknowledged
    made.close()
    reader = TrailReader(folder, NoteKey(ORIGIN, signer().public, "EdDSA"))
    assert reader.check_tree() == []
    assert list(folder.rglob(".*")) == []
    assert numbers(reader) == list(range(reader.size))
    return reader.size


@pytest.fixture(autouse=True)
def _short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trail_writer, "ROTATE_BYTES", 20_000)
    for module in (journal, trail_writer):
        monkeypatch.setattr(module, "SPARE_BYTES", 64 << 10)
    monkeypatch.setattr(journal, "SPARE_PART_BYTES", 16 << 10)
    for module, name in ((os, "fsync"), (disk, "_fdatasync")):  # a kill loses nothing that the system has
        monkeypatch.setattr(module, name, lambda descriptor: None)


@pytest.fixture
def trails(tmp_path: Path) -> Iterator[Path]:
    """Give a folder for trails, in memory where there is one: a killed writer leaves the same in either."""
    memory = Path("/dev/shm")
    signer()  # the children's key is this process's, whichever test comes first
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else tmp_path) as made:
        yield Path(made)


def test_A3_a_writer_that_is_killed_at_any_step_loses_nothing(trails: Path) -> None:
    """A writer is killed at each of its steps in turn; a second one finds all that was acknowledged."""
    sizes, spared = [], 0
    for step in range(1, STEPS_MAX):
        folder = trails / str(step)
        acknowledged, is_whole = in_child(used(folder), step)
        spared += any(path.stat().st_size == 64 << 10 for path in (folder / "journal").glob("*.log"))
        sizes.append(check(folder, acknowledged))
        shutil.rmtree(folder)
        if is_whole:
            break
    assert sizes[-1] == 360
    assert len(set(sizes)) > 6
    assert spared > 20  # segments that overwrite zeros are among them
    assert len(sizes) > 60


@pytest.mark.parametrize(("name", "step"), [("begun", 3), ("published", 60), ("rotated", 110)])
def test_A3_a_start_that_is_killed_at_any_step_loses_nothing(trails: Path, name: str, step: int) -> None:
    """After a kill the next start is killed too, at each of its steps in turn; a third one finds all."""
    acknowledged, _ = in_child(used(trails / name), step)
    for number in range(1, STEPS_MAX):
        folder = trails / f"{name}-{number}"
        shutil.copytree(trails / name, folder)
        more, is_whole = in_child(begun(folder), number)
        check(folder, max(acknowledged, more))
        shutil.rmtree(folder)
        if is_whole:
            break
    assert number > 10

"""Evidence beside the plan: one file a living worker, one archive of all others, nothing counted twice."""

from __future__ import annotations

import fcntl
import gc
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from counting import KEY, bad, files, seen, worker
from processes import PACKAGE, SUPPORT, run_python

from rapidjws.rollout.counters import ROWS_KEPT_S
from rapidjws.rollout.evidence import Evidence
from rapidjws.rollout.evidence_files import ARCHIVE, EvidenceFiles


def test_ended_workers_become_one_archive(tmp_path: Path) -> None:
    """However many workers come and go, their files end in one archive, and every request is counted once."""
    for _ in range(20):
        worker(tmp_path, 3)
        gc.collect()
        EvidenceFiles(tmp_path).compact()
        assert len(files(tmp_path)) == 0
    living = worker(tmp_path, 5)
    EvidenceFiles(tmp_path).compact()
    assert len(files(tmp_path)) == 1
    assert seen(tmp_path) == 65
    living.count(KEY, bad())
    living.flush()
    assert seen(tmp_path) == 66


def test_workers_compact_by_themselves(tmp_path: Path) -> None:
    """A new worker takes in what ended ones left, without anybody asking."""
    code = "from counting import *; one = worker(Path(os.environ['FOLDER']), 1)"
    for _ in range(3):
        run_python(code, FOLDER=str(tmp_path))
    assert len(files(tmp_path)) == 1  # the last one's, put by at its end
    assert seen(tmp_path) == 3


def test_crash_between_archive_and_removal_counts_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files that the archive took in but a crash left behind are not counted again, then or later."""
    both = [worker(tmp_path, count) for count in (2, 3)]
    both.clear()
    gc.collect()
    left = os.unlink

    def crash(path: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "unlink", crash)
    with pytest.raises(KeyboardInterrupt):
        EvidenceFiles(tmp_path).compact()
    monkeypatch.setattr(os, "unlink", left)
    assert len(files(tmp_path)) == 2
    assert seen(tmp_path) == 5
    worker(tmp_path, 1)
    gc.collect()
    EvidenceFiles(tmp_path).compact()
    assert files(tmp_path) == []
    assert seen(tmp_path) == 6
    EvidenceFiles(tmp_path).compact()
    assert seen(tmp_path) == 6


def test_crash_before_the_archive_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash before the new archive stands leaves the files, and its leftovers are removed later."""
    worker(tmp_path, 4)
    gc.collect()
    replace = os.replace

    def crash(*names: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        EvidenceFiles(tmp_path).compact()
    monkeypatch.setattr(os, "replace", replace)
    (tmp_path / f".{ARCHIVE}.0.tmp").touch()  # as a killed process leaves it
    assert seen(tmp_path) == 4
    EvidenceFiles(tmp_path).compact()
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".tmp"] == []
    assert seen(tmp_path) == 4


def test_file_taken_for_a_leftover_is_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that another removes before its writer could lock it costs no count."""
    flock, others = fcntl.flock, [EvidenceFiles(tmp_path)]

    def late(descriptor: object, mode: int) -> None:
        if others:
            others.pop().compact()
        flock(descriptor, mode)  # type: ignore[call-overload]

    monkeypatch.setattr(fcntl, "flock", late)
    worker(tmp_path, 3)
    assert others == []
    assert seen(tmp_path) == 3


def test_living_worker_is_never_taken(tmp_path: Path) -> None:
    """The file of a worker in another process is left to it until it ends, however it ends."""
    code = """
import sys
from counting import *
one = worker(Path(sys.argv[1]), 1)
print("there", flush=True)
sys.stdin.read()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (PACKAGE, SUPPORT)))},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"there\n"
        EvidenceFiles(tmp_path).compact()
        assert len(files(tmp_path)) == 1
        assert not (tmp_path / ARCHIVE).exists()
    finally:
        process.kill()
        process.communicate()
    EvidenceFiles(tmp_path).compact()
    assert files(tmp_path) == []
    assert seen(tmp_path) == 1


def test_forked_child_does_not_hold_its_parents_file(tmp_path: Path) -> None:
    """The file of a parent that ended is taken in although its forked child lives on."""
    code = """
from counting import *
from rapidjws.rollout.evidence_files import EvidenceFiles
folder = Path(os.environ["FOLDER"])
one = worker(folder, 1)
inside, outside = os.pipe()
hears, tells = os.pipe()
if os.fork() == 0:
    os.close(outside)
    os.write(tells, b"!")
    os.read(inside, 1)  # until the parent lets go
    os._exit(0)
os.read(hears, 1)
del one
EvidenceFiles(folder).compact()
print(len(files(folder)))
os.close(outside)
os.wait()
"""
    assert run_python(code, FOLDER=str(tmp_path)) == "0\n"


def test_concurrent_compactions_agree(tmp_path: Path) -> None:
    """Processes that count, end and compact at once lose nothing and count nothing twice."""
    from concurrent.futures import ThreadPoolExecutor

    code = """
from counting import *
folder = Path(os.environ["FOLDER"])
for _ in range(30):
    one = worker(folder, 1)
    one.count(KEY, bad())
    one.flush()
    assert one.rows()[KEY].codes["missing_token"][0] >= 2
"""
    with ThreadPoolExecutor(3) as many:
        for run in [many.submit(run_python, code, FOLDER=str(tmp_path)) for _ in range(3)]:
            run.result()
    EvidenceFiles(tmp_path).compact()
    assert files(tmp_path) == []
    assert seen(tmp_path) == 180


def test_damaged_files_stop_nothing(tmp_path: Path) -> None:
    """A damaged archive is put aside, a damaged worker's file left out; the others still count."""
    worker(tmp_path, 2)
    gc.collect()
    for text in ("", "{", "[" * 100_000, "[]", '{"rows": [{}], "sources": {}, "taken": []}'):
        (tmp_path / ARCHIVE).write_text(text)
        (tmp_path / "evidence-1-x.json").write_text(text)
        assert seen(tmp_path) == 2
    EvidenceFiles(tmp_path).compact()
    assert len(list(tmp_path.glob("*.bad"))) == 2, "the archive and the worker's file"
    assert seen(tmp_path) == 2
    assert files(tmp_path) == []


def test_old_rows_are_forgotten(tmp_path: Path) -> None:
    """What was seen last long ago leaves the archive; what is newer stays."""
    import time

    worker(tmp_path, 2, int(time.time()) - ROWS_KEPT_S - 3600)
    gc.collect()
    EvidenceFiles(tmp_path).compact()
    assert json.loads((tmp_path / ARCHIVE).read_bytes())["rows"] == []
    worker(tmp_path, 2, int(time.time()) - ROWS_KEPT_S + 3600)
    gc.collect()
    EvidenceFiles(tmp_path).compact()
    assert seen(tmp_path) == 2


def test_full_disk_stops_nothing(tmp_path: Path) -> None:
    """Counts that cannot be put by are counted on, and put by later."""
    gone = tmp_path / "gone"
    gone.mkdir()
    one = Evidence(gone)
    gone.rmdir()
    one.count(KEY, bad())
    one.flush()
    gone.mkdir()
    one.flush()
    assert seen(gone) == 1

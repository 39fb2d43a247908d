"""Faults of the audit trail's disk and process: nothing that was acknowledged is lost."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from audit_trails import ORIGIN, entry, filled, flip, killed, signer

from rapidjws import RapidJWSError, _files
from rapidjws.audit import NoteKey, TrailReader, disk, journal, trail_writer
from rapidjws.audit.trail_writer import TrailWriter
from rapidjws.verify.protocols import Event


class FaultyDisk:
    """A disk whose calls fail, once each is asked to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.writes: list[int] = []
        self.syncs: list[int] = []
        self.creates: list[int] = []
        self.synced: list[int] = []
        self._patch(monkeypatch, "write_all", self.writes)
        self._patch(monkeypatch, "sync_data", self.syncs, disk)
        self._patch(monkeypatch, "create", self.creates)

    def _patch(
        self, monkeypatch: pytest.MonkeyPatch, name: str, faults: list[int], module: ModuleType = _files
    ) -> None:
        real = getattr(module, name)

        def call(*given: object, **named: object) -> object:
            if name == "sync_data":
                self.synced.append(given[0])  # type: ignore[arg-type]
            if faults:
                number = faults.pop(0)
                if name == "write_all" and len(given[1]) > 4:  # type: ignore[arg-type]
                    os.write(given[0], given[1][:4])  # type: ignore[arg-type, index]
                raise OSError(number, os.strerror(number))
            return real(*given, **named)

        monkeypatch.setattr(module, name, call)


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> FaultyDisk:
    """Return the disk of a test."""
    return FaultyDisk(monkeypatch)


def numbers(folder: Path) -> list[int]:
    """Return the records of a trail whose writer was killed, once another one opened and closed it."""
    again = filled(folder)
    again.close()
    reader = TrailReader(folder, again.key)
    assert reader.check_tree() == []
    return [reader.record(at)["n"] for at in range(reader.size)]


def refused(made: TrailWriter, number: int) -> str:
    """Return the code by which a writer refuses a record."""
    with pytest.raises(RapidJWSError) as fault:
        made.append([entry(number)])
    return fault.value.code


def test_A1_a_full_disk_refuses_and_goes_on_once_there_is_room(tmp_path: Path, faulty: FaultyDisk) -> None:
    """A full disk refuses the record, keeps no part of it, and the same segment takes the next one."""
    made = filled(tmp_path, 3)
    faulty.writes[:] = [errno.ENOSPC]
    assert refused(made, 3) == "audit_unavailable"
    assert made.size == 3
    made.append([entry(4)])
    killed(made)
    assert numbers(tmp_path) == [0, 1, 2, 4]
    assert not list((tmp_path / "journal").glob("*.suspect"))


@pytest.mark.parametrize("durable", [True, False])
def test_A2_a_failed_write_begins_another_segment(tmp_path: Path, faulty: FaultyDisk, durable: bool) -> None:
    """EIO sets the segment aside; the record goes to another one, with all that was not synced."""
    events: list[Event] = []
    made = filled(tmp_path, 300, 3, durable=durable, events=events.append)
    faulty.writes[:] = [errno.EIO]
    made.append([entry(303)])
    made.append([entry(304)])
    killed(made)
    assert numbers(tmp_path) == list(range(305))
    assert [(one.name, one.detail) for one in events] == [("audit_segment_suspect", "EIO")]
    assert len(list((tmp_path / "journal").glob("*.suspect"))) == 1


def test_A2_a_failed_sync_is_never_tried_again_on_its_file(tmp_path: Path, faulty: FaultyDisk) -> None:
    """After fsync failed, the descriptor is never synced again; what it held goes to another file."""
    made = filled(tmp_path, 3)
    first = made._segment
    assert first is not None
    descriptor = first._descriptor
    spare = os.open(tmp_path, os.O_RDONLY)  # so that the number is not given to the next file
    faulty.synced.clear()
    faulty.syncs[:] = [errno.EIO]
    made.append([entry(3)])
    assert first._descriptor == -1
    assert faulty.synced[0] == descriptor
    assert made._segment is not first
    suspect = next((tmp_path / "journal").glob("*.suspect"))
    suspect.write_bytes(b"lost")  # whatever the disk made of it
    made.append([entry(4)])
    killed(made)
    os.close(spare)
    assert numbers(tmp_path) == [0, 1, 2, 3, 4]


def test_A2_where_the_other_file_fails_too_the_record_is_refused(tmp_path: Path, faulty: FaultyDisk) -> None:
    """Where a second file cannot be had, the record is refused, and the next one tries again."""
    made = filled(tmp_path, 3)
    faulty.syncs[:] = [errno.EIO]
    faulty.creates[:] = [errno.EIO, errno.ENOSPC]
    assert refused(made, 3) == "audit_unavailable"
    assert refused(made, 3) == "audit_unavailable"
    made.append([entry(5)])
    killed(made)
    assert numbers(tmp_path) == [0, 1, 2, 5]


def test_A2_a_buffered_group_whose_sync_fails_is_written_again(tmp_path: Path, faulty: FaultyDisk) -> None:
    """What was buffered when its sync failed is in the next segment."""
    made = filled(tmp_path, 270, 40, durable=False)
    faulty.syncs[:] = [errno.EIO]
    made.publish()
    killed(made)
    assert numbers(tmp_path) == list(range(310))


@pytest.mark.parametrize("cut", [1, 4, 20, 46])
def test_A3_a_torn_tail_is_cut_to_the_last_whole_record(tmp_path: Path, cut: int) -> None:
    """A record that a crash cut off is left out, said, and the chain goes on after the last whole one."""
    made = filled(tmp_path, 300, 2)
    segment = max((tmp_path / "journal").iterdir())
    killed(made)
    octets = segment.read_bytes()
    segment.write_bytes(octets[:-cut])
    events: list[Event] = []
    again = filled(tmp_path, events=events.append)
    assert again.size == 301
    assert [one.name for one in events] == ["audit_tail_cut"]
    again.append([entry(900)])
    killed(again)
    assert numbers(tmp_path) == [*range(301), 900]


def busy(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Leave a killed trail of 310 records whose segment overwrites zeros; return the segment."""
    monkeypatch.setattr(journal, "SPARE_BYTES", 1 << 20)
    monkeypatch.setattr(trail_writer, "SPARE_BYTES", 1 << 20)
    made = filled(folder, 200)
    made.publish()
    made.append([entry(200 + at) for at in range(60)])
    made.publish()
    made.append([entry(260 + at) for at in range(50)])
    segment = max((folder / "journal").glob("*.log"))
    assert segment.stat().st_size == 1 << 20
    killed(made)
    return segment


def test_A3_zeros_that_no_record_was_written_over_are_no_torn_tail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A segment that ends in zeros is whole; after a power loss half a record in it is cut, and said."""
    segment = busy(tmp_path / "a", monkeypatch)
    octets = segment.read_bytes()
    end = len(octets.rstrip(b"\0"))
    for torn, size in ((octets, 310), (octets[: end - 20] + bytes((1 << 20) - end + 20), 309)):
        segment.write_bytes(torn)
        events: list[Event] = []
        again = filled(shutil.copytree(tmp_path / "a", tmp_path / str(size)), events=events.append)
        assert [one.name for one in events] == ["audit_tail_cut"] * (size < 310)
        killed(again)
        assert numbers(tmp_path / str(size)) == list(range(size))


def test_A7_a_bit_in_zeros_that_are_not_written_yet_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who flips a bit behind the last record has altered the journal."""
    segment = busy(tmp_path, monkeypatch)
    reader = TrailReader(tmp_path, NoteKey(ORIGIN, signer().public, "EdDSA"))
    assert reader.check_tree() == []
    flip(segment, 8 * (1 << 20) - 1)
    found = reader.check_tree()
    assert [(one.code, one.place.partition(":")[0]) for one in found] == [
        ("journal_altered", f"journal/{segment.name}")
    ]


def test_A1_a_disk_that_is_nearly_full_is_not_filled_with_zeros(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where less than many times their size is left, no zeros are written ahead."""
    monkeypatch.setattr(journal, "SPARE_OF_FREE", 1 << 40)
    (tmp_path / "journal").mkdir()
    assert journal.spare_file(tmp_path) is None
    assert list((tmp_path / "journal").iterdir()) == []


def test_A4_tiles_that_a_power_loss_took_are_made_again(tmp_path: Path) -> None:
    """Tiles that were never on the disk, and a checkpoint of before, follow from the journal."""
    made = filled(tmp_path, 700)
    old = (tmp_path / "checkpoint").read_bytes()
    made.publish()
    killed(made)
    for path in (tmp_path / "tile").rglob("*"):
        if path.is_file():
            path.write_bytes(b"")
    (tmp_path / "checkpoint").write_bytes(old)
    assert numbers(tmp_path) == list(range(700))


def test_A6_a_segment_that_is_moved_or_cut_from_outside_is_replaced(tmp_path: Path) -> None:
    """A rotation by another program is seen, and nothing is written to where nobody looks."""
    for harm in (lambda path: path.rename(path.with_suffix(".1")), lambda path: os.truncate(path, 10)):
        events: list[Event] = []
        made = filled(tmp_path, 5, events=events.append)
        assert made._segment is not None
        harm(made._segment.path)
        made.publish()
        assert [(one.name, one.detail) for one in events] == [("audit_segment_suspect", "replaced")]
        made.append([entry(made.size)])
        killed(made)
        for path in (tmp_path / "journal").iterdir():
            if not path.name.endswith(".log"):
                path.unlink()
    assert numbers(tmp_path) == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11][: len(numbers(tmp_path))]


def test_A7_a_trail_whose_tail_was_cut_is_not_continued(tmp_path: Path) -> None:
    """A journal that ends before the signed checkpoint is refused, not quietly begun again."""
    made = filled(tmp_path, 5)
    made.publish()
    segment = max((tmp_path / "journal").iterdir())
    killed(made)
    octets = segment.read_bytes()
    segment.write_bytes(octets[:-40])
    with pytest.raises(RapidJWSError) as fault:
        filled(tmp_path)
    assert fault.value.code == "audit_trail_invalid"


def test_A7_an_older_trail_in_the_place_of_a_longer_one_is_found_by_a_checkpoint(tmp_path: Path) -> None:
    """A whole trail put back from an older copy does not fit a checkpoint that somebody has kept."""
    from rapidjws.audit import Checkpoint

    key = NoteKey(ORIGIN, signer().public, "EdDSA")
    made = filled(tmp_path / "long", 9)
    made.close()
    kept = Checkpoint.opened((tmp_path / "long/checkpoint").read_bytes(), [key])
    short = filled(tmp_path / "short", 5)
    short.close()
    with pytest.raises(RapidJWSError) as fault:
        TrailReader(tmp_path / "short", key).prove_consistency(kept)
    assert fault.value.code == "audit_trail_invalid"


def test_A5_two_sequencers_of_one_folder_are_refused(tmp_path: Path) -> None:
    """A second writer of a folder is refused, and the first goes on."""
    made = filled(tmp_path, 1)
    with pytest.raises(RapidJWSError) as fault:
        filled(tmp_path)
    assert fault.value.code == "audit_trail_in_use"
    made.append([entry(1)])
    made.close()
    assert numbers(tmp_path) == [0, 1]


KILLED = """
import sys
sys.path[:0] = sys.argv[3:]
from audit_trails import ORIGIN, entry
from rapidjws import JWK
from rapidjws.audit import TrailWriter
from rapidjws.signing import LocalSigner
key = JWK.from_json(open(sys.argv[2]).read(), private=True)
made = TrailWriter(sys.argv[1], origin=ORIGIN, signer=LocalSigner(key))
print(made.size, flush=True)
while True:
    first = made.append([entry(made.size + at) for at in range(7)])
    print(first + 7, flush=True)
    if first % 3 == 0:
        made.publish()
"""


def kill_once(folder: Path, key_file: Path, lines: int) -> int:
    """Start a writer, kill it after some lines, and return how many records it had acknowledged."""
    command = [
        sys.executable,
        "-c",
        KILLED,
        str(folder),
        str(key_file),
        str(Path(__file__).parents[1] / "support"),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(lines)]
        process.send_signal(signal.SIGKILL)
        said += process.stdout.readlines()
    return max(int(one) for one in said if one.endswith("\n"))


def test_A3_kill_9_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """A writer that is killed at any moment leaves all it acknowledged, and a trail that is whole."""
    from rapidjws.testing import make_key

    key = make_key("EdDSA")
    key_file = tmp_path / "key.json"
    key_file.write_text(__import__("json").dumps(key.as_dict(private=True)))
    key_file.chmod(0o600)
    from rapidjws.signing import LocalSigner

    for lines in (1, 9, 30):
        acknowledged = kill_once(tmp_path / "trail", key_file, lines)
        with_key = TrailWriter(tmp_path / "trail", origin=ORIGIN, signer=LocalSigner(key))
        assert with_key.size >= acknowledged
        with_key.close()
        reader = TrailReader(tmp_path / "trail", with_key.key)
        assert reader.check_tree() == []
        assert [reader.record(at)["n"] for at in range(reader.size)] == list(range(reader.size))

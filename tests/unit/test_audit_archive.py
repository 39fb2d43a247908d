"""A trail in Parquet, in a folder and in S3: stored whole, restored as signed, or refused by file."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from audit_service import log_key, service
from audit_trails import ORIGIN, flip, signer, whole, writer

from rapidjws import RapidJWSError
from rapidjws.audit import ContentKeys, ErasureRequest, TrailReader, Verification
from rapidjws.audit.notes import NoteKey
from rapidjws.errors import error_for
from rapidjws.signing import LocalSigner
from rapidjws.testing import make_key

pyarrow = pytest.importorskip("pyarrow", reason="the extra `bulk` is not installed")

from pyarrow import parquet  # noqa: E402

from rapidjws.audit import archive, segment_files  # noqa: E402
from rapidjws.audit.archive_stores import FolderStore, S3Store, store_at  # noqa: E402

KEY = NoteKey(ORIGIN, signer().public, "EdDSA")


@pytest.fixture(autouse=True)
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a segment have 512 records."""
    monkeypatch.setattr(archive, "SEGMENT_RECORDS", 512)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Give S3 by moto, with a bucket that has Object Lock."""
    moto = pytest.importorskip("moto", reason="moto absent: pip install 'moto[s3]'")
    import boto3

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with moto.mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="trails", ObjectLockEnabledForBucket=True)
        yield client


def code_of(call: Any, *given: Any, **named: Any) -> RapidJWSError:
    """Return what a call refuses."""
    with pytest.raises(RapidJWSError) as refused:
        call(*given, **named)
    return refused.value


def files_of(folder: Path) -> dict[str, bytes]:
    """Return what a folder holds."""
    return {
        one.relative_to(folder).as_posix(): one.read_bytes() for one in folder.rglob("*") if one.is_file()
    }


@pytest.mark.parametrize("size", [0, 3, 512, 1300])
def test_L_an_archive_gives_the_trail_again(tmp_path: Path, size: int) -> None:
    """A trail that was stored and restored has the same records, tiles, checkpoint and root."""
    reader = whole(tmp_path / "trail", size)
    store = FolderStore(tmp_path / "archive")
    report = archive.seal(reader, store)
    assert report.added == -(-size // 512) + 1
    assert archive.seal(reader, store).added == 0
    archive.restore(store, KEY, tmp_path / "again")
    again = TrailReader(tmp_path / "again", KEY)
    assert again.note == reader.note
    assert again.check_tree() == []
    before, after = files_of(tmp_path / "trail" / "tile"), files_of(tmp_path / "again" / "tile")
    assert {name: before.get(name) for name in after} == after
    assert code_of(archive.restore, store, KEY, tmp_path / "again").code == "configuration_invalid"
    if size:
        again.prove(size - 1).verify(KEY)


class Failing(FolderStore):
    """A store that fails after some reads, and counts them."""

    def __init__(self, folder: Path, good: int) -> None:
        super().__init__(folder)
        self.reads = 0
        self._good = good

    def read(self, name: str) -> bytes:
        """Return an object, or fail."""
        self.reads += 1
        if self.reads > self._good:
            raise error_for("audit_unavailable", name, actual="ConnectionError")
        return super().read(name)


def test_L_a_restoration_that_was_interrupted_goes_on(tmp_path: Path) -> None:
    """The next run reads what is missing alone, and ends with the trail that one run gives."""
    archive.seal(whole(tmp_path / "trail", 1300), FolderStore(tmp_path / "archive"))
    archive.restore(FolderStore(tmp_path / "archive"), KEY, tmp_path / "whole")
    again, forming = tmp_path / "again", tmp_path / "again.restoring"
    for good in (2, 1, 2):  # the checkpoint, and a segment or none
        store = Failing(tmp_path / "archive", good)
        assert code_of(archive.restore, store, KEY, again).code == "audit_unavailable"
        assert not again.exists()
    tile = forming / "tile/entries/000"
    octets = tile.read_bytes()
    tile.write_bytes(octets[:-9])  # a run that a power failure ended: this segment is read again
    last = Failing(tmp_path / "archive", 99)
    report = archive.restore(last, KEY, again)
    assert (report.added, report.present, last.reads) == (2, 1, 3)
    assert files_of(again) == files_of(tmp_path / "whole")
    assert not forming.exists()
    assert TrailReader(again, KEY).check_tree() == []


def test_L_what_is_left_of_another_restoration_is_not_used(tmp_path: Path) -> None:
    """Records that were altered meanwhile, or of another log, give no trail under the signed root."""
    archive.seal(whole(tmp_path / "trail", 1300), FolderStore(tmp_path / "archive"))
    again, forming = tmp_path / "again", tmp_path / "again.restoring"
    store = Failing(tmp_path / "archive", 2)
    assert code_of(archive.restore, store, KEY, again).code == "audit_unavailable"
    flip(forming / "tile/entries/000", 99)
    fault = code_of(archive.restore, FolderStore(tmp_path / "archive"), KEY, again)
    assert fault.code == "audit_trail_invalid"
    assert not forming.exists()
    assert not again.exists()
    forming.mkdir(mode=0o700)
    (forming / "restored").write_text("another.example\nsegments/1 512")
    (forming / "stranger").write_text("x")
    archive.restore(FolderStore(tmp_path / "archive"), KEY, again)
    assert not (again / "stranger").exists()


def test_L_an_archive_grows_with_its_trail(tmp_path: Path) -> None:
    """Later runs store what is new; without the newest checkpoint the one before is what there is."""
    store = FolderStore(tmp_path / "archive")
    for size in (100, 500, 700):
        folder = tmp_path / f"trail-{size}"
        archive.seal(whole(folder, size), store)
    assert len(store.names("segments")) == 4
    (tmp_path / "archive" / "checkpoints" / f"{700:016d}").unlink()
    archive.restore(store, KEY, tmp_path / "again")
    assert TrailReader(tmp_path / "again", KEY).size == 500


def test_L_segments_have_statistics(tmp_path: Path) -> None:
    """Each row group has the least and greatest time, issuer, partner and code."""
    with service() as world:
        for number in range(3):
            token = world.token(n=number)
            world.recorder.note_durably(world.engine.decide(token, partner=f"p{number}"), token)
        world.decide("x.y.z")
        reader = world.closed()
        store = FolderStore(tmp_path)
        assert code_of(archive.seal, reader, store).place == "plain_contents"
        assert store.names("segments") == []
        archive.seal(reader, store, plain_contents=True)
    file = parquet.ParquetFile(tmp_path / store.names("segments")[0])
    group = file.metadata.row_group(0)
    found = {group.column(at).path_in_schema: group.column(at).statistics for at in range(group.num_columns)}
    assert (found["partner"].min, found["partner"].max) == ("p0", "p2")
    assert (found["code"].min, found["code"].max) == ("malformed_base64url", "ok")
    assert found["time"].min <= found["time"].max
    assert found["issuer"].null_count == 1
    assert found["entry"] is None
    assert found["content"] is None


def test_L_contents_in_clear_go_only_where_that_is_asked_for(tmp_path: Path) -> None:
    """Left out they are counted; encrypted ones go, and the erasure of a key reaches the archive."""
    keys = ContentKeys(tmp_path / "keys", bytes(32))
    with service() as world:
        token = world.token()
        world.decide(token)
        reader = world.closed()
        store = FolderStore(tmp_path / "plain")
        archive.seal(reader, store, plain_contents=False)
        assert not any(token.encode() in octets for octets in files_of(tmp_path / "plain").values())
        archive.restore(store, log_key(), tmp_path / "copy")
        report = Verification(TrailReader(tmp_path / "copy", log_key())).run()
        assert (report.is_good, dict(report.not_verified_again)) == (True, {"left out of this copy": 1})
    with service(keys=keys) as world:
        world.decide(world.token())
        record = ErasureRequest(months=(_month(world),), reason="all")
        store = FolderStore(tmp_path / "sealed")
        world.sequencer._writer.publish()
        archive.seal(TrailReader(world.folder, log_key()), store)
        world.client.erase(record)
        archive.seal(world.closed(), store)
        archive.restore(store, log_key(), tmp_path / "erased")
        report = Verification(TrailReader(tmp_path / "erased", log_key()), keys=keys).run()
        assert report.is_good
        assert report.not_verified_again["erased, as the log says"] == 1


def _month(world: Any) -> str:
    from time import time

    from rapidjws.audit.content_keys import month_of

    return month_of(int(time() * 1_000_000))


def test_L_s3_objects_are_locked_and_never_replaced(tmp_path: Path, s3: Any) -> None:
    """Objects go by conditional put under a lock, an interrupted run goes on, and the archive verifies."""
    reader = whole(tmp_path / "trail", 1300)
    store = S3Store("s3://trails/gateway1", lock_days=30, client=s3)
    puts: list[str] = []
    put = store._client.put_object

    def failing(**given: Any) -> Any:
        puts.append(given["Key"])
        if len(puts) == 3:
            raise OSError("connection reset")
        return put(**given)

    store._client.put_object = failing
    assert code_of(archive.seal, reader, store).code == "audit_unavailable"
    assert store.names("checkpoints") == []
    assert code_of(archive.restore, store, KEY, tmp_path / "early").code == "audit_trail_invalid"
    assert not (tmp_path / "early").exists()
    report = archive.seal(reader, store)
    assert (report.added, report.present) == (2, 2)
    assert puts[-1] == f"gateway1/checkpoints/{1300:016d}"
    assert s3.head_object(Bucket="trails", Key=puts[0])["ObjectLockMode"] == "COMPLIANCE"
    assert store.add(store.names("segments")[0], b"another content") is False
    version = s3.list_object_versions(Bucket="trails", Prefix=puts[0])["Versions"][0]["VersionId"]
    with pytest.raises(Exception, match="AccessDenied"):
        s3.delete_object(Bucket="trails", Key=puts[0], VersionId=version)
    archive.restore(store, KEY, tmp_path / "again")
    assert TrailReader(tmp_path / "again", KEY).check_tree() == []


def test_L_the_commands_verify_an_archive_in_s3(tmp_path: Path, s3: Any) -> None:
    """``audit seal``, ``verify`` and ``restore`` take an address in S3."""
    from typer.testing import CliRunner

    from rapidjws.cli.app import app

    whole(tmp_path / "trail", 600)
    address = "s3://trails/a/b"

    def run(*words: str) -> Any:
        return CliRunner().invoke(app, ["audit", *words, "--key", KEY.text])

    done = run("seal", str(tmp_path / "trail"), address, "--lock-days", "1")
    assert (done.exit_code, "600 records, 3 objects stored" in done.output) == (0, True), done.output
    done = run("verify", address)
    assert (done.exit_code, done.output.splitlines()[-1]) == (0, "good"), done.output
    assert run("restore", address, str(tmp_path / "again")).exit_code == 0
    assert run("restore", address, str(tmp_path / "again")).exit_code == 2
    assert run("verify", "s3://trails/none").exit_code == 1
    assert run("verify", "s3://absent/none").exit_code == 1
    assert run("verify", "s3://").exit_code == 2
    assert run("seal", str(tmp_path / "trail"), "s3://trails/x", "--lock-mode", "FOREVER").exit_code == 2


def spoiled(folder: Path, kind: str) -> str:
    """Spoil a file of an archive of 1300 records; return what the error's place begins with."""
    first, second, _ = sorted((folder / "segments").iterdir())
    if kind == "cut":
        second.write_bytes(second.read_bytes()[:-100])
    elif kind == "missing":
        second.unlink()
    elif kind == "empty":
        second.write_bytes(b"")
    elif kind == "columns":
        parquet.write_table(pyarrow.table({"token": ["a"]}), second)
    elif kind == "swapped":
        shutil.copy(first, second)
    elif kind == "text":
        second.write_text("PAR1" + "x" * 500 + "PAR1")
    if kind.startswith("own-"):  # whole, under its own digest
        if kind == "own-columns":
            parquet.write_table(pyarrow.table({"token": ["a"]}), second)
        else:
            second.write_text("PAR1" + "x" * 500 + "PAR1")
        begin, _, end = second.name.split(".")
        second = second.rename(
            second.with_name(f"{begin}.{hashlib.sha256(second.read_bytes()).hexdigest()}.{end}")
        )
    if kind == "missing":
        return f"segments/{second.name.partition('.')[0]}:"
    return f"segments/{second.name}:"


@pytest.mark.parametrize(
    "kind", ["cut", "missing", "empty", "columns", "swapped", "text", "own-columns", "own-text"]
)
def test_L_a_spoiled_archive_names_the_file_and_writes_nothing(tmp_path: Path, kind: str) -> None:
    """A file that is cut, missing, another or has other columns is named, and no trail is written."""
    store = FolderStore(tmp_path / "archive")
    archive.seal(whole(tmp_path / "trail", 1300), store)
    place = spoiled(store.folder, kind)
    fault = code_of(archive.restore, store, KEY, tmp_path / "again")
    assert (fault.code, str(fault.place).startswith(place)) == ("audit_trail_invalid", True), fault
    assert sorted(one.name for one in tmp_path.iterdir()) == ["archive", "trail"]


def test_L_another_trail_or_key_is_refused(tmp_path: Path) -> None:
    """An archive of another tree or another key, and a trail that was altered, are refused."""
    store = FolderStore(tmp_path / "archive")
    reader = whole(tmp_path / "trail", 600)
    archive.seal(reader, store)
    other = NoteKey(ORIGIN, LocalSigner(make_key("EdDSA")).public, "EdDSA")
    fault = code_of(archive.restore, store, other, tmp_path / "again")
    assert (fault.code, str(fault.place)) == ("audit_trail_invalid", f"checkpoints/{600:016d}:0")

    made = writer(tmp_path / "second")
    made.append([json.dumps({"kind": "decision", "n": 7, "time_us": 2}).replace(" ", "").encode()] * 700)
    made.close()
    before = files_of(store.folder)
    fault = code_of(archive.seal, TrailReader(tmp_path / "second", KEY), store)
    assert (fault.code, str(fault.place)) == ("audit_trail_invalid", f"checkpoints/{600:016d}:0")
    flip(tmp_path / "trail" / "tile/entries/001", 800)
    empty = FolderStore(tmp_path / "empty")
    fault = code_of(archive.seal, reader, empty)
    assert (fault.code, str(fault.place)) == ("audit_trail_invalid", "tile/entries/001:0")
    assert empty.names("segments") == []
    assert files_of(store.folder) == before


def test_L_an_object_that_was_altered_or_named_outside_is_refused(tmp_path: Path) -> None:
    """Keys and policies have the digest of their name, and no name leads out of the folder."""
    with service() as world:
        world.decide(None)
        reader = world.closed()
        store = FolderStore(tmp_path / "archive")
        archive.seal(reader, store, plain_contents=True)
    name = store.names("objects")[0]
    flip(store.folder / name, 9)
    fault = code_of(archive.restore, store, log_key(), tmp_path / "again")
    assert (fault.code, str(fault.place)) == ("audit_trail_invalid", f"{name}:0")
    flip(store.folder / name, 9)
    store.names = lambda under: (
        [f"{under}/../../x"] if under == "objects" else FolderStore.names(store, under)
    )  # type: ignore[method-assign]
    (tmp_path / "x").write_text("x")
    assert code_of(archive.restore, store, log_key(), tmp_path / "again").code == "audit_trail_invalid"


def test_L_an_address_is_checked() -> None:
    """An address without a bucket, and settings of a lock out of range, are refused."""
    for given in (
        {"address": "s3://"},
        {"address": "s3:///x"},
        {"address": "s3://b", "lock_days": -1},
        {"address": "s3://b", "lock_mode": "NONE"},
    ):
        assert code_of(store_at, **given).code == "configuration_invalid"
    named = f"segments/{0:016d}-{5:016d}.{hashlib.sha256(b'x').hexdigest()}.parquet"
    assert segment_files.segment_name(0, 5, b"x") == named


def test_L_a_segment_written_anew_is_refused(tmp_path: Path) -> None:
    """A good Parquet file with another record does not have the root that is signed: nothing is written."""
    store = FolderStore(tmp_path / "archive")
    archive.seal(whole(tmp_path / "trail", 5), store)
    (name,) = store.names("segments")
    segment = segment_files.read_segment_file(store.read(name), name, ORIGIN, 0, 5)
    segment.entries[2] = segment.entries[2].replace(b'"n":2', b'"n":7')
    octets = segment_files.segment_octets(segment, ORIGIN)
    (store.folder / name).unlink()
    (store.folder / segment_files.segment_name(0, 5, octets)).write_bytes(octets)
    assert code_of(archive.restore, store, KEY, tmp_path / "again").code == "audit_trail_invalid"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["archive", "trail"]

"""Files that are trusted are opened in one way, files that must last are written in one way."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from faulty_system import Killed, calls_of, faulty
from processes import run_python

import rapidjws
from rapidjws import _files, _locks
from rapidjws.config.read import load_config
from rapidjws.keys import Answer, CachedJWKSVerifier, FileJWKS, RemoteJWKS, last_good
from rapidjws.rollout import StateFolder
from rapidjws.rollout.rollout import first_plan
from rapidjws.testing import FakeIssuer

ISSUER = FakeIssuer("https://a.example", "ES256")
SET = json.dumps({"keys": [key.as_dict() for key in ISSUER.jwks.keys]}).encode()
URL = "https://a.example/jwks.json"
ROOT_ONLY = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away"
)


def no_fetch(url: str, etag: str | None) -> Any:
    """Stand in for an issuer that is down."""
    from rapidjws.keys import FetchFailed

    raise FetchFailed("unreachable")


def keep(path: Path, **changes: Any) -> None:
    """Keep a good set, fetched now."""
    last_good.write(path, URL, last_good.LastGood(SET, changes.get("etag"), changes.get("at_s", time.time())))


def remote_has_keys(path: Path) -> bool:
    """Return whether a start during an outage finds keys in the file."""
    return RemoteJWKS(URL, last_good=path, fetch=no_fetch).ready


def kept_has_keys(path: Path) -> bool:
    """Return whether a cold start during an outage finds keys in the file."""
    verifier = CachedJWKSVerifier(URL, cache_file=path, algorithms=["ES256"], fetch=no_fetch)
    try:
        verifier._current()
    except rapidjws.KeysUnavailable:
        return False
    return True


def file_has_keys(path: Path) -> bool:
    """Return whether a JWK Set file is taken."""
    return FileJWKS(path).ready


KEPT: dict[str, Callable[[Path], bool]] = {"remote": remote_has_keys, "kept": kept_has_keys}


@pytest.mark.parametrize("reader", KEPT)
def test_S7_a_kept_set_is_a_regular_file_of_ours(tmp_path: Path, reader: str) -> None:
    """A FIFO does not hang a start, and neither a link nor a folder nor a huge file is read."""
    path, has_keys = tmp_path / "kept.json", KEPT[reader]
    keep(path)
    assert has_keys(path)
    link = tmp_path / "link.json"
    link.symlink_to(path)
    assert not has_keys(link)
    os.mkfifo(tmp_path / "fifo")
    started = time.monotonic()
    assert not has_keys(tmp_path / "fifo")
    assert time.monotonic() - started < 10
    assert not has_keys(tmp_path)
    assert not has_keys(Path("/dev/zero"))
    path.write_bytes(path.read_bytes() + b" " * (2 << 20))
    assert not has_keys(path)


@pytest.mark.parametrize("reader", KEPT)
@pytest.mark.parametrize("mode", [0o620, 0o602, 0o660, 0o606, 0o666])
def test_T6_a_kept_set_that_others_may_write_is_not_used(tmp_path: Path, reader: str, mode: int) -> None:
    """Neither the group nor the world may write to a kept set."""
    path = tmp_path / "kept.json"
    keep(path)
    path.chmod(mode)
    assert not KEPT[reader](path)
    path.chmod(0o644)
    assert KEPT[reader](path)


@ROOT_ONLY
@pytest.mark.parametrize("reader", KEPT)
def test_S7_a_kept_set_of_another_user_is_not_used(tmp_path: Path, reader: str) -> None:
    """A kept set must belong to this user or to root, whoever reads it."""
    path = tmp_path / "kept.json"
    keep(path)
    os.chown(path, 12345, 12345)
    assert not KEPT[reader](path)


@pytest.mark.parametrize("reader", KEPT)
@pytest.mark.parametrize(
    ("ahead_s", "is_used"), [(-10, True), (0, True), (50, True), (70, False), (3600, False)]
)
def test_T6_a_kept_set_from_the_future_is_not_used(
    tmp_path: Path, reader: str, ahead_s: int, is_used: bool
) -> None:
    """A set may come from a clock a minute ahead, and not from one an hour ahead."""
    keep(tmp_path / "kept.json", at_s=time.time() + ahead_s)
    assert KEPT[reader](tmp_path / "kept.json") is is_used


def test_T6_an_adopted_set_is_not_confirmed_by_a_304(tmp_path: Path) -> None:
    """After a kept set is adopted the next fetch asks without an ETag: only what was fetched is confirmed."""
    asked: list[str | None] = []

    def fetch(url: str, etag: str | None) -> Any:
        asked.append(etag)
        return no_fetch(url, etag)

    keep(tmp_path / "kept.json", etag='"planted"')
    source = RemoteJWKS(URL, last_good=tmp_path / "kept.json", fetch=fetch)
    assert source.ready
    source.refresh(5)
    assert asked[0] is None


def test_a_relative_name_of_a_kept_set_means_the_folder_of_its_making(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that changes its working directory later leaves no file there, and finds the one it made."""
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "ours")
    source = RemoteJWKS(URL, last_good="kept.json", fetch=lambda *_: Answer(status=200, headers={}, body=SET))
    monkeypatch.chdir(tmp_path / "theirs")
    assert source.refresh(60)
    assert [path.name for path in (tmp_path / "ours").iterdir()] == ["kept.json"]
    assert list((tmp_path / "theirs").iterdir()) == []


@pytest.mark.parametrize(("mode", "is_read"), [(0o644, True), (0o600, True), (0o646, False), (0o602, False)])
def test_S7_a_named_file_must_not_be_everybodys(tmp_path: Path, mode: int, is_read: bool) -> None:
    """A JWK Set or a configuration that the world may write to is refused, with words on what to do."""
    path = tmp_path / "keys.json"
    path.write_bytes(SET)
    path.chmod(mode)
    assert file_has_keys(path) is is_read
    (tmp_path / "config.json").write_text('{"issuer": []}')
    (tmp_path / "config.json").chmod(mode)
    if not is_read:
        with pytest.raises(rapidjws.ConfigurationError, match="chmod go-w"):
            load_config(tmp_path / "config.json")


def test_S7_a_named_file_may_lie_behind_links_of_ours(tmp_path: Path) -> None:
    """Links made by this user or root are followed, as Kubernetes mounts a configuration; loops are not."""
    (tmp_path / "..2026").mkdir()
    (tmp_path / "..2026" / "keys.json").write_bytes(SET)
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / "keys.json").symlink_to("..data/keys.json")
    assert file_has_keys(tmp_path / "keys.json")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(_files.FileRefused) as refused:
        _files.read_trusted(tmp_path / "loop", 10)
    assert refused.value.reason == "link"


@ROOT_ONLY
def test_S7_a_named_file_put_there_by_a_stranger_is_refused(tmp_path: Path) -> None:
    """Where anybody may put files, only ours are read and only our links followed."""
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    path, link = shared / "keys.json", shared / "link.json"
    path.write_bytes(SET)
    assert file_has_keys(path)
    os.chown(path, 12345, 12345)
    assert not file_has_keys(path)
    shared.chmod(0o755)
    assert file_has_keys(path), "its folder's owner put it there"
    os.chown(path, 0, 0)
    link.symlink_to(path)
    os.chown(link, 12345, 12345, follow_symlinks=False)
    assert not file_has_keys(link)


def test_S7_sizes_are_bounded_at_the_bound(tmp_path: Path) -> None:
    """A file of exactly the bound is read, one octet more is refused, and so is one that grows meanwhile."""
    path = tmp_path / "file"
    for size, is_read in ((9, True), (10, True), (11, False)):
        path.write_bytes(b"x" * size)
        if is_read:
            assert len(_files.read_trusted(path, 10)) == size
        else:
            with pytest.raises(_files.FileRefused, match="larger than 10"):
                _files.read_trusted(path, 10)
    with faulty() as system:
        real = system.call

        def grow(name: str, call: Any, *words: Any, **named: Any) -> Any:
            found = real(name, call, *words, **named)
            if name == "fstat" and system.trace.count("fstat") == 2:
                with path.open("ab") as file:
                    file.write(b"x" * 100)
            return found

        path.write_bytes(b"x")
        system.call = grow  # type: ignore[method-assign]
        with pytest.raises(_files.FileRefused):
            _files.read_trusted(path, 10)


# --- writing ---------------------------------------------------------------------------------------------


def test_S7_a_file_is_on_the_disk_before_it_is_seen(tmp_path: Path) -> None:
    """Written, synced, renamed, and the folder synced, in this order."""
    calls = calls_of(lambda: _files.replace(tmp_path / "file", b"new"))
    order = [name for name in calls if name in ("write", "fsync", "replace")]
    assert order == ["write", "fsync", "replace", "fsync"]
    order = [name for name in calls_of(lambda: _files.append_line(tmp_path / "log", b"x")) if name[0] in "wf"]
    assert order.index("write") < order.index("fsync")


WRITERS: dict[str, Callable[[Path], None]] = {
    "replace": lambda path: _files.replace(path, b"new" * 10),
    "append": lambda path: _files.append_line(path, b"new"),
    "output": lambda path: _files.write_output(path, b"new"),
}
AFTER = {"replace": b"new" * 10, "append": b"old\nnew\n", "output": b"new"}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("fault", ["kill", "kill after", "short", "ENOSPC", "EIO", "EINTR", "EDQUOT"])
def test_S7_each_call_of_a_write_may_fail(tmp_path: Path, writer: str, fault: str) -> None:
    """Whichever call fails, the old content or the new is there, whole; a repeat makes it the new one."""
    path = tmp_path / "file"
    path.write_bytes(b"old\n")
    for at in range(len(calls_of(lambda: WRITERS[writer](path)))):
        path.write_bytes(b"old\n")
        try:
            with faulty(at, fault):
                WRITERS[writer](path)
        except (OSError, Killed):
            left = path.read_bytes()
            assert left in (b"old\n", AFTER[writer]) or (writer == "append" and left.startswith(b"old\n"))
            if left == b"old\n":
                WRITERS[writer](path)
        assert path.read_bytes().startswith(AFTER[writer][:4])
        for leftover in tmp_path.glob(".file.*.tmp"):
            assert fault.startswith("kill")
            leftover.unlink()


def test_S7_short_writes_are_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that takes one octet at a time gets them all; one that takes none is an error."""
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, octets: write(descriptor, bytes(octets)[:1]))
    _files.replace(tmp_path / "file", b"x" * 1000)
    assert (tmp_path / "file").read_bytes() == b"x" * 1000
    monkeypatch.setattr(os, "write", lambda descriptor, octets: 0)
    with pytest.raises(OSError, match="nothing was written"):
        _files.replace(tmp_path / "file", b"y")
    assert (tmp_path / "file").read_bytes() == b"x" * 1000


def test_S7_a_folder_that_cannot_be_synced_is_reported_but_where_it_never_can(tmp_path: Path) -> None:
    """EIO of the folder is an error; a file system that syncs no folder is none."""
    last = len(calls_of(lambda: _files.replace(tmp_path / "file", b"x"))) - 2
    for name, is_reported in (("EIO", True), ("EINVAL", False), ("ENOTSUP", False)):
        with faulty(last, name) as system:
            if is_reported:
                with pytest.raises(OSError, match="EIO"):
                    _files.replace(tmp_path / "file", name.encode())
            else:
                _files.replace(tmp_path / "file", name.encode())
            assert system.trace[last] == "fsync"


def test_S7_a_lock_is_let_go_for_forked_children_as_well(tmp_path: Path) -> None:
    """A child that was forked while a lock was held does not hold it for its life."""
    out = run_python(
        """
        from rapidjws import _locks
        hears, tells = os.pipe()
        path = os.environ["LOCK"]
        with _locks.locked(path):
            child = os.fork()
            if child == 0:
                os.close(tells)
                os.read(hears, 1)
                os._exit(0)
        with _locks.locked(path, wait=False):
            print("free")
        os.close(tells)
        os.waitpid(child, 0)
        """,
        LOCK=str(tmp_path / "lock"),
    )
    assert out == "free\n"


def test_S7_a_lock_that_another_holds_is_waited_for_or_refused(tmp_path: Path) -> None:
    """Sharing excludes changing, and a change that must not wait says so."""
    path = tmp_path / "lock"
    with _locks.locked(path, shared=True):
        with _locks.locked(path, shared=True, wait=False):
            pass
        with pytest.raises(BlockingIOError), _locks.locked(path, wait=False):
            pass
    done = threading.Event()

    def wait() -> None:
        with _locks.locked(path):
            done.set()

    with _locks.locked(path):
        thread = threading.Thread(target=wait)
        thread.start()
        assert not done.wait(0.2)
    assert done.wait(30)
    thread.join()


@ROOT_ONLY
def test_S7_what_root_writes_belongs_to_the_folders_owner(tmp_path: Path) -> None:
    """A rollback made by an administrator can be read by the service whose folder it is."""
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    os.chown(folder, 12345, 12345)
    StateFolder(folder, first_plan())
    assert {path.stat().st_uid for path in folder.iterdir()} == {12345}


def test_S7_outputs_keep_their_kind_and_mode(tmp_path: Path) -> None:
    """A user's file is replaced with its mode, behind a link too; a pipe is written to."""
    path = tmp_path / "out"
    path.write_bytes(b"old")
    path.chmod(0o640)
    (tmp_path / "link").symlink_to(path)
    _files.write_output(tmp_path / "link", b"new")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new", 0o640)
    assert (tmp_path / "link").is_symlink()
    hears, tells = os.pipe()
    _files.write_output(f"/dev/fd/{tells}", b"piped")
    assert os.read(hears, 10) == b"piped"
    os.close(hears)
    os.close(tells)

"""The logging handler that signs: nothing is lost silently by a flush, a fork, an exit, or a full disk."""

from __future__ import annotations

import errno
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rapidjws import RapidJWSError, Verifier, _files
from rapidjws.signedlog import LogReport, LogSigner, SignedLogHandler, verify_log
from rapidjws.signing import LocalSigner
from rapidjws.testing import make_key

KEY = make_key("EdDSA", kid="log-1")
LIMIT_S = 60.0


def verified(folder: Path) -> LogReport:
    """Return what a folder holds."""
    return verify_log(folder, Verifier([KEY.public()], algorithms=["EdDSA"]))


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Callable[..., tuple[logging.Logger, SignedLogHandler]]]:
    """Give what makes a logger with a handler, which is closed in the end."""
    handlers: list[SignedLogHandler] = []

    def make(**settings: Any) -> tuple[logging.Logger, SignedLogHandler]:
        handler = SignedLogHandler(tmp_path / "log", LocalSigner(KEY), **{"flush_s": 600, **settings})
        logger = logging.Logger("orders")
        logger.addHandler(handler)
        handlers.append(handler)
        return logger, handler

    yield make
    for handler in handlers:
        handler._close_s = 0.0
        handler.close()


class FullDisk:
    """A disk that takes nothing while it is full."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_full = True
        self._write = _files.replace
        monkeypatch.setattr(_files, "replace", self._replace)

    def _replace(self, path: Any, octets: bytes, **how: Any) -> None:
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        self._write(path, octets, **how)


def test_L_records_are_entries_that_are_signed(tmp_path: Path, made: Any) -> None:
    """Each record is one entry with all its lines, in its order, and a flush signs what came."""
    logger, handler = made()
    logger.info("first\nof two lines")
    logger.info("second %s", "ä\udcff")
    handler.flush()
    assert verified(tmp_path / "log").entries == 2
    text = (tmp_path / "log" / "0000000000.log").read_bytes()
    assert text == "first\nof two lines\nsecond ä\\udcff\n".encode()
    logger.info("x" * (2 << 20))
    handler.close()
    assert verified(tmp_path / "log").entries == 3


def test_L_a_thread_signs_within_its_time(tmp_path: Path, made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is logged is signed without a flush once its time is over, or a bundle is full."""
    signed = threading.Event()
    write = LogSigner._write

    def watched(self: LogSigner, entries: list[bytes], **named: Any) -> None:
        write(self, entries, **named)
        signed.set()

    monkeypatch.setattr(LogSigner, "_write", watched)
    for settings, count in (({"flush_s": 0.01}, 1), ({"bundle_lines": 3}, 3)):
        logger, _ = made(**settings)
        for number in range(count):
            logger.info("%d", number)
        assert signed.wait(LIMIT_S)
        signed.clear()
    assert verified(tmp_path / "log").entries == 4


def test_L_a_full_disk_loses_nothing_that_fits(
    tmp_path: Path, made: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Entries wait for a full disk, and past the bound they are counted; stderr says why."""
    logger, handler = made(queue_lines=5)
    disk = FullDisk(monkeypatch)
    for number in range(8):
        logger.info("%d", number)
        handler.flush()
    said = capfd.readouterr().err
    assert said.count("No space left on device; entries wait") <= 8
    assert "5 entries wait; more are dropped and counted" in said
    assert handler.lost == 3
    disk.is_full = False
    handler.flush()
    report = verified(tmp_path / "log")
    assert (report.entries, report.lost) == (5, 3)
    logger.info("again")
    handler.flush()
    report = verified(tmp_path / "log")
    assert (report.entries, report.lost) == (6, 3)


def test_L_a_fault_between_bundles_signs_no_entry_twice(
    tmp_path: Path, made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Entries of bundles that were written before the disk was full are not signed again."""
    logger, handler = made()
    logger.info(json.dumps({"time": 200}))
    handler.flush()
    write = LogSigner._write
    written: list[int] = []

    def second_fails(self: LogSigner, entries: list[bytes], **named: Any) -> None:
        written.append(len(entries))
        if len(written) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, entries, **named)

    monkeypatch.setattr(LogSigner, "_write", second_fails)
    for time_s in (300, 50):  # the late one has a bundle of its own
        logger.info(json.dumps({"time": time_s}))
    handler.flush()
    assert verified(tmp_path / "log").entries == 2
    handler.flush()
    assert (verified(tmp_path / "log").entries, written) == (3, [1, 1, 1])


def test_L_what_cannot_be_signed_at_the_end_is_told(
    tmp_path: Path, made: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A handler that is closed while the disk is full ends in its time, and says how many were not signed."""
    logger, handler = made(close_s=0.2)
    FullDisk(monkeypatch)
    logger.info("one")
    handler.close()
    assert "1 entries were not signed, 0 dropped" in capfd.readouterr().err
    logger.info("after")  # starts nothing


def test_L_a_signer_that_fails_is_tried_again(tmp_path: Path, made: Any) -> None:
    """Entries wait for a signer that does not answer."""
    logger, handler = made()
    good = handler._bundles._signer

    class Failing:
        """A signer that is down."""

        alg, kid, public = good.alg, good.kid, good.public

        def sign(self, _: bytes) -> bytes:
            raise RapidJWSError("signer_unavailable", "kms")

    handler._bundles._signer = Failing()
    logger.info("one")
    handler.flush()
    handler._bundles._signer = good
    handler.flush()
    assert verified(tmp_path / "log").entries == 1


def test_L_what_the_signing_logs_is_not_signed(tmp_path: Path, made: Any) -> None:
    """A signer that logs does not feed its own log for ever."""
    logger, handler = made()
    good = handler._bundles._signer

    class Talking:
        """A signer that logs each signature."""

        alg, kid, public = good.alg, good.kid, good.public

        def sign(self, octets: bytes) -> bytes:
            logger.info("signing")
            return bytes(good.sign(octets))

    handler._bundles._signer = Talking()
    logger.info("one")
    handler.flush()
    handler.flush()
    assert verified(tmp_path / "log").entries == 1


SCRIPT = """
import logging, os, sys
from rapidjws import JWK
from rapidjws.signedlog import SignedLogHandler
from rapidjws.signing import LocalSigner
handler = SignedLogHandler(sys.argv[1], LocalSigner(JWK.from_json(sys.argv[2], private=True)), flush_s=600)
logger = logging.getLogger("orders")
logger.addHandler(handler)
logger.warning("parent before")
children = []
for number in range(3):
    child = os.fork()
    if not child:
        logger.warning("child %d", number)
        logging.shutdown()
        os._exit(0)
    children.append(child)
for child in children:
    assert os.waitpid(child, 0)[1] == 0
logger.warning("parent after")
"""


def test_L_forked_children_and_an_exit_sign_what_they_logged(tmp_path: Path) -> None:
    """Children sign their own records into the chain, not the parent's; an exit signs what waits."""
    key = json.dumps(KEY.as_dict(private=True))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "log"), key],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert verified(tmp_path / "log").entries == 5
    lines = b"".join(path.read_bytes() for path in (tmp_path / "log").glob("*.log")).decode().split("\n")
    assert sorted(filter(None, lines)) == ["child 0", "child 1", "child 2", "parent after", "parent before"]


def test_L_two_processes_share_a_chain(tmp_path: Path, made: Any) -> None:
    """A folder that another signs into at the moment is tried again."""
    from rapidjws import _locks

    logger, handler = made()
    (tmp_path / "log").mkdir()
    logger.info("one")
    with _locks.locked(tmp_path / "log" / ".lock"):
        handler.flush()
        assert not list((tmp_path / "log").glob("*.jws"))
    handler.flush()
    assert verified(tmp_path / "log").entries == 1


@pytest.mark.parametrize(
    ("setting", "value"), [("flush_s", 0), ("queue_lines", 0), ("close_s", -1), ("bundle_lines", 0)]
)
def test_L_a_setting_of_the_handler_is_checked(tmp_path: Path, setting: str, value: int) -> None:
    """A setting out of its range is refused by its name."""
    with pytest.raises(RapidJWSError) as refused:
        SignedLogHandler(tmp_path, LocalSigner(KEY), **{setting: value})
    assert (refused.value.code, setting in str(refused.value.place)) == ("configuration_invalid", True)

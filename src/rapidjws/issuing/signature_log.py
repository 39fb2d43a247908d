"""The audit of signatures in a file: one line of JSON each, written before the signature leaves."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from rapidjws import _files
from rapidjws._checks import checked
from rapidjws.errors import error_for
from rapidjws.issuing.active_signer import SignatureRecord


class SignatureLog:
    """A file that only grows, for ``TokenService(audit=...)``; one that was moved away is made anew.

    A line has ``at``, ``who``, ``kid``, ``alg``, ``digest``, ``request_id`` and ``result``. It is handed to
    the system, not forced to the disk: a power cut may lose the last lines.

    Args:
        path: The file; mode 0600 where it is made.
        clock: Seconds since the epoch.
    """

    __slots__ = ("_clock", "_descriptor", "_file", "_lock", "_path")

    @checked
    def __init__(self, path: str | Path, *, clock: Callable[[], float] = time.time) -> None:
        self._path = Path(path)
        self._clock = clock
        self._lock = threading.Lock()
        self._descriptor = -1
        self._file: tuple[int, int] | None = None

    @checked
    def __call__(self, record: SignatureRecord) -> None:
        """Write one record.

        Raises:
            DependencyUnavailable: ``audit_unavailable``.
        """
        line = json.dumps({"at": round(self._clock(), 3), **asdict(record)}).encode() + b"\n"
        try:
            with self._lock:
                _files.write_all(self._opened(), line)
        except (OSError, ValueError) as fault:  # ValueError: a name that no file can have
            why = fault.strerror if isinstance(fault, OSError) else "not a file's name"
            raise error_for("audit_unavailable", "audit", "a file to write", why) from None

    def _opened(self) -> int:
        """Return the descriptor of the file that has the name now."""
        try:
            found = os.stat(self._path)
        except FileNotFoundError:
            found = None
        if found is None or (found.st_dev, found.st_ino) != self._file:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1
            self._descriptor = _files.open_log(self._path)
            made = os.fstat(self._descriptor)
            self._file = (made.st_dev, made.st_ino)
        return self._descriptor

"""A logging handler that signs what a process logs: bundles in a folder, as ``rapidjws sign-log`` makes them.

Entries wait in memory until a thread signs them; what a bundle's disk or signer refuses waits on. Past the
bound entries are dropped and counted in the next manifest: ``verify-log`` says how many were lost.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
from time import monotonic
from typing import Final

from rapidjws._checks import check_range, checked, refused
from rapidjws._scheduler import scheduler
from rapidjws.errors import RapidJWSError
from rapidjws.signedlog.bundles import LogSigner
from rapidjws.signedlog.entries import ENTRY_MAX_BYTES
from rapidjws.signing.signer import Signer

RETRY_S: Final = 0.05
"""Pause where another process signs into the folder at the moment."""

_CUT: Final = b"... (cut)\n"


class SignedLogHandler(logging.Handler):
    """A handler that signs log records into a folder of bundles.

    A forked child signs what it logs itself into the same chain. ``logging.shutdown``, which Python calls at
    its exit, signs what waits; a killed process loses what it logged within ``flush_s``.

    Args:
        folder: The bundles, made where it is not there.
        signer: Signs manifests.
        level: Lower ones are not taken.
        bundle_lines: Most entries of a bundle.
        flush_s: Longest time that an entry waits to be signed, in seconds.
        queue_lines: Most entries that wait; past them they are dropped and counted.
        close_s: Longest time that ``close`` tries, in seconds.

    Attributes:
        lost: How many entries were dropped so far.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    @checked(under="signed_log")
    def __init__(
        self,
        folder: str | os.PathLike[str],
        signer: Signer,
        *,
        level: int = logging.NOTSET,
        bundle_lines: int = 10_000,
        flush_s: float = 1.0,
        queue_lines: int = 100_000,
        close_s: float = 5.0,
    ) -> None:
        check_range("signed_log.flush_s", flush_s, 0.01, 3600)
        check_range("signed_log.queue_lines", queue_lines, 1, 10**7)
        check_range("signed_log.close_s", close_s, 0, 3600)
        super().__init__(level)
        self._bundles = LogSigner(folder, signer, bundle_lines=bundle_lines)
        self._flush_s, self._max, self._close_s = flush_s, queue_lines, close_s
        self._bundle_lines = bundle_lines
        self._begin()
        self.lost = 0
        scheduler.members.add(self)

    def _begin(self) -> None:
        self._entries: list[bytes] = []
        self._uncounted = 0  # dropped, and in no manifest yet
        self._due = threading.Condition()
        self._signing = threading.Lock()
        self._signer_thread = 0
        self._thread: threading.Thread | None = None
        self._is_closing = False
        self._complaint = ""

    def after_fork(self) -> None:
        """Begin anew in a forked child: what waits is the parent's to sign."""
        self._begin()

    # --- what logs ---------------------------------------------------------------------------------------

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record; what the signing itself logs is left out."""
        if not isinstance(record, logging.LogRecord):
            raise refused("record", "a LogRecord", record)
        if threading.get_ident() == self._signer_thread:
            return
        try:
            entry = self.format(record).encode("utf-8", "backslashreplace") + b"\n"
        except Exception:  # as every handler of logging does
            self.handleError(record)
            return
        if len(entry) > ENTRY_MAX_BYTES:
            entry = entry[: ENTRY_MAX_BYTES - len(_CUT)] + _CUT
        with self._due:
            if len(self._entries) >= self._max:
                self._uncounted += 1
                self.lost += 1
                words = f"{self._max} entries wait; more are dropped and counted"
            else:
                self._entries.append(entry)
                words = ""
            if self._thread is None and not self._is_closing:
                self._start()
            elif len(self._entries) == self._bundle_lines:
                self._due.notify()
        if words:
            self._complain(words)

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name="rapidjws-signed-log", daemon=True)
        with contextlib.suppress(RuntimeError, MemoryError):  # flush and close sign without one
            thread.start()
            self._thread = thread

    def flush(self) -> None:
        """Sign all that waits now; what cannot be signed waits on, and a line on stderr says so."""
        self._sign_all()

    def close(self) -> None:
        """Sign all that waits, for ``close_s`` at most, and take no more; stderr has what is left."""
        with self._due:
            self._is_closing = True
            self._due.notify()
            thread = self._thread
        end_s = monotonic() + self._close_s
        if thread is not None and thread is not threading.current_thread():
            thread.join(self._close_s)
        while not self._sign_all() and monotonic() < end_s:
            with self._due:
                self._due.wait(RETRY_S)
        if self._entries or self._uncounted:
            self._complaint = ""
            self._complain(f"{len(self._entries)} entries were not signed, {self._uncounted} dropped")
        super().close()

    # --- the thread --------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._due:
                if not self._is_closing and len(self._entries) < self._bundle_lines:
                    self._due.wait(self._flush_s)
                is_closing = self._is_closing
            done = self._sign_all()
            if is_closing:
                return
            if not done:
                with self._due:
                    if not self._is_closing:
                        self._due.wait(max(self._flush_s, RETRY_S))

    def _sign_all(self) -> bool:
        """Sign all that waits; return whether nothing is left."""
        with self._signing:
            self._signer_thread = threading.get_ident()
            try:
                while self._entries:
                    if not self._sign_some():
                        return False
            finally:
                self._signer_thread = 0
        return True

    def _sign_some(self) -> bool:
        """Sign a bundle's entries; return whether that was possible."""
        entries, lost = self._entries[: self._bundle_lines], self._uncounted
        before = self._bundles.signed
        try:
            self._bundles.sign(entries, lost=lost)
        except (RapidJWSError, OSError) as fault:
            words = fault.strerror if isinstance(fault, OSError) else str(fault)
            self._complain(f"not signed: {words}; entries wait")
        signed = self._bundles.signed - before
        with self._due:
            del self._entries[:signed]
            if signed:
                self._uncounted -= lost
        if signed == len(entries):
            self._complaint = ""
        return signed == len(entries)

    def _complain(self, words: str) -> None:
        """Write one line to stderr, once for each reason: the log itself is what fails."""
        if words != self._complaint:
            self._complaint = words
            with contextlib.suppress(Exception):
                print(f"rapidjws signed log {self._bundles.folder}: {words}", file=sys.stderr, flush=True)

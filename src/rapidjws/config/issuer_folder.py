"""A folder with a file an issuer, which a registry looks issuers up in.

The name of a file follows from the issuer's name by percent-encoding (RFC 3986 s.2.1), so no token leads to a
file of another name or in another folder. What a file holds counts where its ``iss`` is that very name.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from rapidjws import _files
from rapidjws._checks import refused
from rapidjws._scheduler import scheduler
from rapidjws.config import schema
from rapidjws.config.read import parsed
from rapidjws.errors import error_for
from rapidjws.verify.worker_pool import Task, submit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from rapidjws.jwt.issuer import Issuer

SUFFIX: Final = ".toml"
NAME_MAX_CHARS: Final = 200
"""Longest encoded name of a file; a longer one is its digest."""

POLL_S: Final = 1.0
"""A file that comes or goes is noticed after so many seconds."""

REMEMBERED_MAX: Final = 65_536
"""Most issuers whose files are not read again while they stay as they are."""


def issuer_file_name(iss: str) -> str:
    """Return the name of an issuer's file: its ``iss`` percent-encoded, or ``sha256-`` and hex where long.

    >>> issuer_file_name("https://acme.example")
    'https%3A%2F%2Facme.example.toml'
    """
    if not isinstance(iss, str):
        raise refused("iss", "a text", iss)
    encoded = quote(iss, safe="", errors="surrogatepass")
    if len(encoded) > NAME_MAX_CHARS:
        encoded = f"sha256-{sha256(iss.encode('utf-8', 'surrogatepass')).hexdigest()}"
    return encoded + SUFFIX


class IssuerFolder:
    """The look-up of a registry in a folder.

    Args:
        folder: The folder; each file is a table as those of ``issuers``.
        build: Makes an issuer of a file's text, its table and the folder that its paths are relative to.

    Raises:
        ConfigurationError: ``configuration_invalid``: no folder that can be listed.
    """

    def __init__(self, folder: Path, build: Callable[[schema.Text, dict[str, Any], Path], Issuer]) -> None:
        self._folder = folder
        self._build = build
        self._known: OrderedDict[str, tuple[_files.Signature, Issuer]] = OrderedDict()
        self._lock = threading.Lock()
        self._names: frozenset[str] | None = None
        self._listed: tuple[_files.Signature | None, float] = (None, 0.0)
        try:
            self._list()
        except OSError as fault:
            raise error_for(
                "configuration_invalid", "folder", "a folder that can be listed", fault.strerror
            ) from None
        scheduler.members.add(self)
        self._look_later()

    def knows(self, iss: str) -> bool:
        """Return False where the folder has no file for an issuer; never waits."""
        names = self._names
        return names is None or issuer_file_name(iss) in names

    def __call__(self, iss: str) -> Issuer | None:
        """Return the issuer of a name, or None where it has no file; reads files.

        Raises:
            ConfigurationError: ``configuration_invalid``: the file is no issuer's, or another one's.
            OSError: The folder cannot be read.
        """
        path = self._folder / issuer_file_name(iss)
        signature = _files.signature(path)
        if signature is None:
            os.stat(self._folder)  # a folder that is gone is an outage
            if os.path.lexists(path):
                raise error_for("configuration_invalid", path.name, "a file that can be read")
            return None
        with self._lock:
            known = self._known.get(iss)
        if known is not None and known[0] == signature:
            return known[1]
        issuer = self._build(*read_issuer_file(path, iss), self._folder)
        with self._lock:
            self._known[iss] = (signature, issuer)
            self._known.move_to_end(iss)
            while len(self._known) > REMEMBERED_MAX:
                self._known.popitem(last=False)
        return issuer

    def _list(self) -> None:
        """Read the names of the folder's files where it changed, or may have within the clock's step.

        Raises:
            OSError: It cannot be read.
        """
        signature, listed_s = _files.signature(self._folder), time.time()
        is_old = signature is not None and self._listed[1] - signature[0] / 1e9 > 2 * POLL_S
        if is_old and signature == self._listed[0] and self._names is not None:
            return
        self._names = frozenset(name for name in os.listdir(self._folder) if name.endswith(SUFFIX))
        self._listed = (signature, listed_s)

    def _look_later(self) -> None:
        scheduler.call_at(time.monotonic() + POLL_S, self._look)

    def _look(self) -> None:
        """Have a thread list the folder: the timer's own waits for nothing."""
        task = Task(self._look_now)
        if not submit(task) and task.take_back() is not None:
            self._look_later()

    def _look_now(self) -> None:
        try:
            self._list()
        except OSError:  # not known: each look-up says so
            self._names = None
        finally:
            self._look_later()

    def after_fork(self) -> None:
        """Make the lock anew, and go on looking, in a forked child."""
        self._lock = threading.Lock()
        self._look_later()


def read_issuer_file(path: Path, iss: str | None = None) -> tuple[schema.Text, dict[str, Any]]:
    """Return the text and the table of an issuer's file.

    Args:
        path: The file.
        iss: Whose file it must be; None for the one that its own name says.

    Raises:
        ConfigurationError: ``configuration_invalid``, with file, line and setting.
    """
    text, table = parsed(path)
    for fault in schema.issuer_faults((), table):
        text.refuse(*fault)
    named = table.get("iss", f"spiffe://{table.get('trust_domain')}")
    named = named[0] if isinstance(named, list) and len(named) == 1 else named
    if not isinstance(named, str) or (iss is not None and named != iss):
        text.refuse(("iss",), "the one name that the file is named by", str(named))
    if issuer_file_name(named) != path.name:
        text.refuse(("iss",), f"a file named {issuer_file_name(named)}", path.name)
    return text, table


def folder_faults(folder: Path) -> Iterator[str]:
    """Yield what is wrong with the files of a folder, as lines; reads all of them."""
    for name in sorted(os.listdir(folder)):
        if name.endswith(SUFFIX):
            try:
                read_issuer_file(folder / name)
            except Exception as fault:
                yield str(getattr(fault, "place", None) or name)

"""The last good set on disk: written atomically, checked when read, never older than allowed.

Prefork workers and the next start share it, so a cold start during an outage has keys. The check finds
damage; against whoever may write the file only the file's permissions help, and a file that others may write
is not read.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import tempfile
from pathlib import Path
from typing import Any, Final, NamedTuple

VERSION: Final = 1
SLACK_BYTES: Final = 4096


class LastGood(NamedTuple):
    """Hold what was kept.

    Attributes:
        body: The JWK Set as it was fetched.
        etag: Its ETag, or None.
        fetched_at_s: Seconds since the epoch.
    """

    body: bytes
    etag: str | None
    fetched_at_s: float


def _digest(url: str, kept: dict[str, Any]) -> str:
    text = json.dumps([url, kept["body"], kept["etag"], kept["fetched_at_s"]])
    return hashlib.sha256(text.encode()).hexdigest()


def write_atomically(path: Path, octets: bytes) -> None:
    """Replace a file whole or not at all, on disk before it is seen.

    Raises:
        OSError: The old file stays.
    """
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(octets)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    if hasattr(os, "O_DIRECTORY"):
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def write(path: Path, url: str, kept: LastGood) -> None:
    """Keep a set for its URL.

    Raises:
        OSError: It could not be written; what was there stays.
    """
    fields: dict[str, Any] = {
        "version": VERSION,
        "url": url,
        "etag": kept.etag,
        "fetched_at_s": kept.fetched_at_s,
        "body": kept.body.decode("utf-8"),
    }
    write_atomically(path, json.dumps({**fields, "sha256": _digest(url, fields)}).encode())


def read(
    path: Path, url: str, *, now_s: float, max_age_s: float, max_bytes: int, is_ours: bool = False
) -> LastGood | None:
    """Return what was kept for a URL, or None where there is nothing fit for use.

    Args:
        path: The file.
        url: It must be of this URL.
        now_s: Seconds since the epoch.
        max_age_s: Oldest set used; one from the future is not used either.
        max_bytes: Largest set.
        is_ours: Whether the file must be this user's, or root's: it may lie where others may put files.
    """
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            if os.name == "posix" and found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                return None  # others could have put keys of theirs in
            if is_ours and os.name == "posix" and found.st_uid not in (0, os.geteuid()):
                return None  # or a file of theirs
            octets = file.read(2 * max_bytes + SLACK_BYTES)
        fields = json.loads(octets)
        whole = fields["version"] == VERSION and fields["sha256"] == _digest(url, fields)
        if not whole or fields["url"] != url or not -60 <= now_s - fields["fetched_at_s"] <= max_age_s:
            return None
        return LastGood(fields["body"].encode("utf-8"), fields["etag"], float(fields["fetched_at_s"]))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None

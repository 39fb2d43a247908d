"""The last good set on disk: written atomically, checked when read, never older than allowed.

Prefork workers and the next start share it, so a cold start during an outage has keys. The check finds
damage; against whoever may write the file only the file's permissions help, and a file that others may write
is not read.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from rapidjws import _files

if TYPE_CHECKING:
    from pathlib import Path

VERSION: Final = 1
SLACK_BYTES: Final = 4096
SLACK_S: Final = 60
"""A set may come from this many seconds ahead: clocks of machines differ."""


class LastGood(NamedTuple):
    """What was kept.

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
    _files.replace(path, json.dumps({**fields, "sha256": _digest(url, fields)}).encode())


def read(
    path: Path, url: str, *, now_s: float, max_age_s: float, max_bytes: int, is_ours: bool = True
) -> LastGood | None:
    """Return what was kept for a URL, or None where there is nothing fit for use.

    Args:
        path: The file.
        url: It must be of this URL.
        now_s: Seconds since the epoch.
        max_age_s: Oldest set used; one from the future is not used either.
        max_bytes: Largest set.
        is_ours: Whether the file must be this user's, or root's, and no link: it may lie where others may
            put files. False for one that came with the code.
    """
    try:
        fields = json.loads(_files.read_trusted(path, 2 * max_bytes + SLACK_BYTES, own=is_ours))
        whole = fields["version"] == VERSION and fields["sha256"] == _digest(url, fields)
        if isinstance(fields["version"], bool) or not isinstance(fields["etag"], (str, type(None))):
            return None
        if not whole or fields["url"] != url or not -SLACK_S <= now_s - fields["fetched_at_s"] <= max_age_s:
            return None
        return LastGood(fields["body"].encode("utf-8"), fields["etag"], float(fields["fetched_at_s"]))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
        return None

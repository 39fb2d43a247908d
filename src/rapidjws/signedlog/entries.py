"""Entries of a log: lines, or the blocks of journald's export format, with the time that each states."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any, BinaryIO, Final

from rapidjws.errors import error_for

ENTRY_MAX_BYTES: Final = 1 << 20
_TIME_NAMES: Final = ("@timestamp", "timestamp", "time", "ts", "__REALTIME_TIMESTAMP")
_JOURNAL_TIME: Final = b"__REALTIME_TIMESTAMP="


def lines(file: BinaryIO, *, at_end: bool) -> Iterator[bytes]:
    """Yield the lines of a file with what ends them.

    Args:
        file: Where it is to be read from.
        at_end: Whether a last line without an end is one; else it is still being written.

    Raises:
        ConfigurationError: ``configuration_invalid``: a line is too long.
    """
    while line := file.readline(ENTRY_MAX_BYTES + 1):
        if len(line) > ENTRY_MAX_BYTES:
            raise _too_long()
        if line.endswith(b"\n") or at_end:
            yield line


def journal_entries(file: BinaryIO, *, at_end: bool) -> Iterator[bytes]:
    """Yield the entries of journald's export format, each with the empty line that ends it.

    Args:
        file: Where it is to be read from.
        at_end: Whether a last entry without an end is one.

    Source: systemd, Journal Export Formats.
    """
    entry = b""
    while line := file.readline(ENTRY_MAX_BYTES + 1):
        entry += line
        if line == b"\n":
            yield entry
            entry = b""
        elif line.endswith(b"\n") and b"=" not in line:  # a binary field: its length, its octets, a newline
            size = file.read(8)
            count = int.from_bytes(size, "little")
            if count > ENTRY_MAX_BYTES:
                raise _too_long()
            entry += size + file.read(count + 1)
        if len(entry) > ENTRY_MAX_BYTES:
            raise _too_long()
    if entry and at_end:
        yield entry


def _too_long() -> Exception:
    return error_for("configuration_invalid", "entry", f"at most {ENTRY_MAX_BYTES} bytes", "more")


def stated_time_us(entry: bytes) -> int | None:
    """Return the time that an entry states, in microseconds since the epoch, or None."""
    for line in entry.splitlines() if b"\n" in entry[:-1] else ():
        if line.startswith(_JOURNAL_TIME) and line[len(_JOURNAL_TIME) :].isdigit():
            return int(line[len(_JOURNAL_TIME) :])
    if not entry.startswith(b"{"):
        return None
    try:
        members = json.loads(entry)
        for name in _TIME_NAMES:
            if isinstance(members, dict) and members.get(name) is not None:
                return _moment_us(name, members[name])
    except (ValueError, OverflowError, RecursionError):
        return None
    return None


def _moment_us(name: str, value: Any) -> int | None:
    if name.startswith("__"):
        return int(value)
    if isinstance(value, str):
        return round(datetime.fromisoformat(value.replace("Z", "+00:00")).timestamp() * 1_000_000)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return round(value * 1_000_000) if is_number else None

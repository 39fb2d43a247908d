"""Log lines read again: of the schemas ``plain``, ``ecs`` and ``ocsf``, in one form.

What is no line of ours is counted and left out; a file is read as a stream, whatever its size.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from rapidjws._inputs import open_input
from rapidjws.observe.log_events import EVENTS
from rapidjws.observe.log_fields import FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

READ_MAX_BYTES: Final = 65_536
"""Longest line that is looked at; ours are far shorter."""

_ECS: Final = {known.ecs: name for name, known in FIELDS.items() if known.ecs}


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One line.

    Attributes:
        at_s: When, seconds since the epoch.
        event: The event, a key of ``EVENTS``.
        fields: Its fields, by the names of ``FIELDS``.
    """

    at_s: float
    event: str
    fields: dict[str, Any] = field(default_factory=dict)


class LogReader:
    """Reads log files, and counts what cannot be read.

    Attributes:
        lines: Lines that were read.
        foreign: Lines among them that are none of ours.
    """

    __slots__ = ("foreign", "lines")

    def __init__(self) -> None:
        self.lines = 0
        self.foreign = 0

    def read(self, path: Path, since_s: float, until_s: float) -> Iterator[LogLine]:
        """Yield the lines of a file, or of a packed one (``.gz``), that lie between two moments.

        Raises:
            OSError: It cannot be read, or never ends: a device, a pipe that no shell handed over.
        """
        with open(open_input(path), "rb") as file:
            opened: Any = gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file
            yield from self.parse(iter(lambda: opened.readline(READ_MAX_BYTES), b""), since_s, until_s)

    def parse(self, lines: Iterable[bytes], since_s: float, until_s: float) -> Iterator[LogLine]:
        """Yield those of some lines that are ours and lie between two moments."""
        for octets in lines:
            self.lines += 1
            found = line_of(octets)
            if found is None:
                self.foreign += 1
            elif since_s <= found.at_s <= until_s:
                yield found


def line_of(octets: bytes) -> LogLine | None:
    """Return a line of any of the three schemas, or None where it is none."""
    begin = octets.find(b"{")  # a collector may have put a time or a name in front
    if begin < 0:
        return None
    try:
        members = json.loads(octets[begin:])
        if "event.action" in members:
            return _ecs(members)
        if "metadata" in members:
            return _ocsf(members)
        return _made(seconds_of(members["time"]), members["event"], members)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
        return None


def _made(at_s: float, event: object, members: dict[str, Any]) -> LogLine | None:
    if event not in EVENTS:
        return None
    kept = {name: value for name, value in members.items() if name in FIELDS or name == "worker"}
    return LogLine(at_s=at_s, event=str(event), fields=kept)


def _ecs(members: dict[str, Any]) -> LogLine | None:
    named = {_ECS.get(name, name.removeprefix("rapidjws.")): value for name, value in members.items()}
    return _made(seconds_of(members["@timestamp"]), members["event.action"], named)


def _ocsf(members: dict[str, Any]) -> LogLine | None:
    named = dict(members.get("unmapped", {}))
    for name, ours in (("status_code", "code"), ("status_detail", "reason")):
        if name in members:
            named[ours] = members[name]
    return _made(float(members["time"]) / 1000, members["metadata"]["event_code"], named)


def seconds_of(text: str) -> float:
    """Return seconds since the epoch of an RFC 3339 time; one without an offset is UTC.

    Raises:
        ValueError: It is no time.
        OverflowError: It is beyond the calendar.
    """
    found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return (found if found.tzinfo else found.replace(tzinfo=timezone.utc)).timestamp()

"""The record of emergencies in a file: one line of JSON each, and the last of them for metrics."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rapidjws import _files
from rapidjws._checks import checked
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.issuing.emergency import EmergencyReport

LINES_MAX_BYTES: Final = 256 * 1024
"""Of the end of the file, what is read for the last records."""


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class EmergencyRecord:
    """The last emergency, or drill of one.

    Attributes:
        stages: Name of a stage -> seconds from the decision until it was over.
        drill: Whether it was a drill.
    """

    stages: dict[str, float]
    drill: bool


class EmergencyLog:
    """A file that only grows, with a line for each emergency and each drill.

    A line has ``at`` (when it was decided), ``issuer``, ``kid``, ``successor``, ``why``, ``drill``,
    ``stages``, ``confirmed`` and ``missing``; it is on the disk when ``write`` returns.

    Args:
        path: The file; mode 0600 where it is made.
        clock: Seconds since the epoch.
    """

    __slots__ = ("_clock", "_path")

    @checked
    def __init__(self, path: str | Path, *, clock: Callable[[], float] = time.time) -> None:
        self._path = Path(path)
        self._clock = clock

    @checked
    def write(
        self, report: EmergencyReport, why: str, *, issuer: str, decided_at_s: float, drill: bool = False
    ) -> None:
        """Write one record.

        Args:
            report: What was done.
            why: Why.
            issuer: The ``iss``.
            decided_at_s: When it was decided, in seconds since the epoch.
            drill: Whether it was a drill.

        Raises:
            DependencyUnavailable: ``audit_unavailable``: the emergency itself stays done.
        """
        line = {
            "at": round(decided_at_s, 3),
            "issuer": issuer,
            "kid": report.kid,
            "successor": report.successor,
            "why": why,
            "drill": drill,
            "stages": [one._asdict() for one in report.stages],
            "confirmed": report.confirmations.confirmed,
            "missing": report.confirmations.missing,
        }
        try:
            _files.append_line(self._path, json.dumps(line).encode())
        except (OSError, ValueError) as fault:
            raise _unwritable(fault) from None

    @checked
    def last(self, issuer: str) -> tuple[EmergencyRecord, ...]:
        """Return the last emergency and the last drill of an issuer, where there are any; it never raises."""
        try:
            octets = _files.read_end(self._path, LINES_MAX_BYTES)
        except (OSError, ValueError):
            return ()
        found: dict[bool, EmergencyRecord] = {}
        for line in reversed(octets.split(b"\n")):
            record = _record(line, issuer)
            if record is not None:
                found.setdefault(record.drill, record)
            if len(found) == 2:
                break
        return tuple(found.values())


def _record(line: bytes, issuer: str) -> EmergencyRecord | None:
    """Return what a line says of an issuer; None where it is none of ours, or cut off."""
    try:
        whole: Any = json.loads(line)
        if whole["issuer"] != issuer:
            return None
        stages = {str(one["name"]): float(one["seconds"]) for one in whole["stages"] if not one["failed"]}
        return EmergencyRecord(stages=stages, drill=whole["drill"] is True)
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _unwritable(fault: Exception) -> RapidJWSError:
    why = fault.strerror if isinstance(fault, OSError) else "not a file's name"
    return error_for("audit_unavailable", "emergency_file", "a file to write", why)

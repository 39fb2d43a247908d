"""Where the log goes and how it looks: the settings, and a handler that never holds up who logs."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from rapidjws._checks import check_range, checked, is_text
from rapidjws._loggers import ROOT, logger
from rapidjws.errors import error_for
from rapidjws.observe.log_events import EVENTS, SECURITY
from rapidjws.observe.log_fields import log_fields
from rapidjws.observe.log_formats import ATTRIBUTE, SCHEMAS, JSONLines
from rapidjws.observe.log_writer import NOWHERE, STDERR, Destination, DirectWriter, QueuedWriter

LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
LINES_PER_MINUTE: Final = 60
LINES_PER_MINUTE_MAX: Final = 1_000_000
QUEUE_LINES: Final = 8192

OTHERS: Final = ("opentelemetry",)
"""Loggers of libraries whose warnings become lines of the sidecar's log as well: the exporter of spans."""
CLAIMS_MAX: Final = 16
CLAIM_NAME: Final = re.compile(r"[!-~]{1,64}\Z")


@checked(under="logs")
@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """Where log lines go and how they look.

    Args:
        schema: ``"plain"``, ``"ecs"`` or ``"ocsf"``.
        level: ``"debug"``, ``"info"``, ``"warning"`` or ``"error"``: the least that is written.
        destination: ``"stderr"``, ``"none"``, or a file that lines are appended to.
        security_destination: Where security events go as well; None for the log only.
        claims: Claims whose values may stand in a line about a refused token, unverified.
        lines_per_minute: Most lines a minute for each code and partner, and for each event and issuer.
        queue_lines: Most lines that wait for the destination.
        operator_lines: Whether the sidecar writes its lines for a person, ``rapidjws serve: ...``, to
            standard error as well.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    schema: Literal["plain", "ecs", "ocsf"] = "plain"
    level: Literal["debug", "info", "warning", "error"] = "info"
    destination: str = STDERR
    security_destination: str | None = None
    claims: tuple[str, ...] = ()
    lines_per_minute: int = LINES_PER_MINUTE
    queue_lines: int = QUEUE_LINES
    operator_lines: bool = True

    def __post_init__(self) -> None:
        """Check every argument once."""
        if self.schema not in SCHEMAS:
            raise error_for("configuration_invalid", "logs.schema", SCHEMAS, self.schema)
        if self.level not in LEVELS:
            raise error_for("configuration_invalid", "logs.level", tuple(LEVELS), self.level)
        for place in ("destination", "security_destination"):
            if getattr(self, place) == "":
                raise error_for("configuration_invalid", f"logs.{place}", "stderr, none, or a file")
        if len(self.claims) > CLAIMS_MAX or not all(CLAIM_NAME.match(name) for name in self.claims):
            expected = f"up to {CLAIMS_MAX} names of claims, in visible ASCII"
            raise error_for("configuration_invalid", "logs.claims", expected)
        check_range("logs.lines_per_minute", self.lines_per_minute, 1, LINES_PER_MINUTE_MAX)
        check_range("logs.queue_lines", self.queue_lines, 16, 1 << 20)


class LogHandler(logging.Handler):
    """A handler of :mod:`logging` that writes JSON lines by a thread of its own.

    For applications: ``logging.getLogger("rapidjws").addHandler(LogHandler(destination="jws.log"))``.
    Records of other loggers become lines of free text.

    Args:
        schema: ``"plain"``, ``"ecs"`` or ``"ocsf"``.
        destination: ``"stderr"`` or a file, opened now and anew by :meth:`reopen`.
        queue_lines: Most records that wait for the destination.
        worker: A worker's number, for its lines.
        threaded: False for a process that forks: lines are written at once where there is room for them.

    Raises:
        ConfigurationError: ``configuration_invalid``.
        OSError: The file cannot be opened, or must not be trusted.
    """

    @checked
    def __init__(
        self,
        *,
        schema: str = "plain",
        destination: str | Path = STDERR,
        queue_lines: int = QUEUE_LINES,
        worker: int | None = None,
        threaded: bool = True,
    ) -> None:
        if schema not in SCHEMAS:
            raise error_for("configuration_invalid", "schema", SCHEMAS, schema)
        if not str(destination) or not is_text(str(destination)):
            raise error_for("configuration_invalid", "destination", "stderr, or a file")
        check_range("queue_lines", queue_lines, 16, 1 << 20)
        super().__init__()
        lines = JSONLines(schema, worker=worker)
        self.setFormatter(lines)
        opened = Destination(str(destination))

        def make_line(record: logging.LogRecord) -> bytes:
            return lines.format(record).encode("ascii") + b"\n"

        self._writer: DirectWriter | QueuedWriter = (
            QueuedWriter(opened, make_line, max_records=queue_lines, report=_left_out)
            if threaded
            else DirectWriter(opened, make_line)
        )

    @property
    def dropped(self) -> int:
        """Return how many records were left out so far."""
        return self._writer.dropped

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record; never waits, never raises."""
        try:
            if getattr(record, ATTRIBUTE, None) is None:
                _freeze(record)
            self._writer.put(record)
        except Exception:  # a fault of the log is nobody else's
            self._writer.dropped += 1

    def flush(self) -> None:
        """Write what waits, where this process writes at once."""
        if isinstance(self._writer, DirectWriter):
            self._writer.flush()

    def reopen(self) -> None:
        """Open the file anew after it was moved away (rotation)."""
        self._writer.reopen()

    def close(self) -> None:
        """Write what waits, within a second, and close the file."""
        super().close()
        self._writer.close()


def _freeze(record: logging.LogRecord) -> None:
    """Make the text of a record now: its arguments may change before the thread reads them."""
    record.msg, record.args = record.getMessage(), None


def event_record(name: str, fields: dict[str, object]) -> logging.LogRecord:
    """Return the record of an event, for a handler."""
    event = EVENTS[name]
    return logging.makeLogRecord(
        {
            "name": f"{ROOT}.{event.logger}",
            "levelno": event.level,
            "levelname": logging.getLevelName(event.level),
            "msg": event.meaning,
            ATTRIBUTE: {"event": name, **log_fields(fields)},
        }
    )


def _left_out(count: int) -> logging.LogRecord:
    return event_record("log_lines_dropped", {"left_out": count})


class InstalledLogs:
    """The handlers of one process of the sidecar, below the logger ``rapidjws``.

    Args:
        settings: Where lines go and how they look.
        worker: The worker's number, or None for the supervisor, which writes without a thread.

    Raises:
        OSError: A file cannot be opened, or must not be trusted.
    """

    def __init__(self, settings: LogSettings, *, worker: int | None = None) -> None:
        self._placed: list[tuple[logging.Logger, LogHandler]] = []
        root = logging.getLogger(ROOT)
        self._before = [(at, at.level, at.propagate) for at in map(logging.getLogger, (ROOT, *OTHERS))]
        for at, _, _ in self._before:
            at.setLevel(
                LEVELS[settings.level] if at is root else max(logging.WARNING, LEVELS[settings.level])
            )
            at.propagate = False
        wanted = [(root, settings.destination), (logger(SECURITY), settings.security_destination)]
        try:
            for at, destination in wanted:
                if destination not in (None, NOWHERE):
                    handler = LogHandler(
                        schema=settings.schema,
                        destination=str(destination),
                        queue_lines=settings.queue_lines,
                        worker=worker,
                        threaded=worker is not None,
                    )
                    for each in (at, *map(logging.getLogger, OTHERS)) if at is root else (at,):
                        each.addHandler(handler)
                        self._placed.append((each, handler))
        except OSError:
            self.close()
            raise

    @property
    def _handlers(self) -> list[LogHandler]:
        return list(dict.fromkeys(handler for _, handler in self._placed))

    @property
    def dropped(self) -> int:
        """Return how many lines were left out so far, because a destination did not take them."""
        return sum(handler.dropped for handler in self._handlers)

    def reopen(self) -> None:
        """Open all files anew."""
        for handler in self._handlers:
            handler.reopen()

    def flush(self) -> None:
        """Write what waits for room."""
        for handler in self._handlers:
            handler.flush()

    def remove(self) -> None:
        """Take the handlers away without a word to their files: they are another process's."""
        for at, handler in self._placed:
            at.removeHandler(handler)
        self._placed = []

    def close(self) -> None:
        """Write what waits, within a second each, and put the loggers back as they were."""
        handlers = self._handlers
        self.remove()
        for handler in handlers:
            handler.close()
        for at, level, propagate in self._before:
            at.setLevel(level)
            at.propagate = propagate

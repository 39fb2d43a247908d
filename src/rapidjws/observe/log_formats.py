"""Log records as JSON lines: ``plain``, ECS (Elastic Common Schema) or OCSF (Open Cybersecurity Schema).

One JSON text a line in ASCII, at most ``LINE_MAX_BYTES``, so that one write to a pipe is whole (PIPE_BUF) and
no value can begin a line of its own.
"""

from __future__ import annotations

import json
import logging
import os
import traceback
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from rapidjws._version import __version__
from rapidjws.observe.log_events import EVENTS, LogEvent
from rapidjws.observe.log_fields import BASE_FIELDS, FIELDS, LogValue, log_fields, log_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SCHEMAS: Final = ("plain", "ecs", "ocsf")
LINE_MAX_BYTES: Final = 4096
"""Longest line with its line end; POSIX lets one write of so much to a pipe be whole (Linux: PIPE_BUF)."""

ATTRIBUTE: Final = "rapidjws"
"""The attribute of a ``LogRecord`` that holds an event's fields."""

ECS_VERSION: Final = "8.11"
OCSF_VERSION: Final = "1.5.0"
TEXT_EVENT: Final = "text"
"""The event of a record that is free text."""

_SHORT_CHARS: Final = 48
_STACK_FRAMES: Final = 8
_LEVELS: Final = {10: "debug", 20: "info", 30: "warning", 40: "error", 50: "error"}
_SEVERITIES: Final = {10: 1, 20: 1, 30: 3, 40: 4, 50: 5}  # OCSF: informational, medium, high, critical
_SEVERITY_NAMES: Final = {1: "Informational", 3: "Medium", 4: "High", 5: "Critical"}
_CLASSES: Final = {  # OCSF: class -> its category, its number, and their names
    "authentication": (3, 3002, "Identity & Access Management", "Authentication"),
    "entity_management": (3, 3004, "Identity & Access Management", "Entity Management"),
    "application_lifecycle": (6, 6002, "Application Activity", "Application Lifecycle"),
    "base_event": (0, 0, "Uncategorized", "Base Event"),
}
_ECS_CATEGORIES: Final = {
    "authentication": (["authentication"], ["denied"]),
    "entity_management": (["configuration", "iam"], ["change"]),
    "application_lifecycle": (["process"], ["info"]),
    "base_event": ([], ["info"]),
}
_TEXT: Final = LogEvent(
    name=TEXT_EVENT, logger="", level=logging.INFO, meaning="a message", fields=("detail", "error", "stack")
)


def event_of(record: logging.LogRecord) -> tuple[LogEvent, dict[str, LogValue]]:
    """Return the event of a record and its fields; those of free text where it is no event of ours."""
    fields = getattr(record, ATTRIBUTE, None)
    event = EVENTS.get(str(fields.get("event"))) if isinstance(fields, dict) else None
    if event is not None and isinstance(fields, dict):
        return event, {name: value for name, value in fields.items() if name != "event"}
    try:
        text = record.getMessage()
    except Exception as fault:  # arguments that do not fit their text
        text = f"a message that cannot be formatted ({type(fault).__name__})"
    found: dict[str, object] = {"detail": text, **_exception(record)}
    return _TEXT, log_fields(found)


def _exception(record: logging.LogRecord) -> dict[str, object]:
    """Return what is shown of an exception: its type and where, never its text, which may hold anything."""
    if not record.exc_info or record.exc_info[0] is None:
        return {}
    kind, _, trace = record.exc_info
    frames = traceback.extract_tb(trace)[-_STACK_FRAMES:]
    stack = " < ".join(f"{os.path.basename(one.filename)}:{one.lineno} {one.name}" for one in frames[::-1])
    return {"error": kind.__name__, "stack": stack}


class JSONLines(logging.Formatter):
    """Records as JSON lines.

    Args:
        schema: ``"plain"``, ``"ecs"`` or ``"ocsf"``.
        worker: The worker's number, or None outside of a sidecar's worker.
    """

    def __init__(self, schema: str = "plain", *, worker: int | None = None) -> None:
        super().__init__()
        self._make: Callable[[Line], dict[str, Any]] = {"plain": plain, "ecs": ecs, "ocsf": ocsf}[schema]
        self._worker = worker

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record, without its line end."""
        event, fields = event_of(record)
        base: dict[str, LogValue] = {"pid": record.process}
        if self._worker is not None:
            base["worker"] = self._worker
        line = Line(record, event, base, fields)
        for shortened in (fields, _short(fields), {}):
            line.fields = shortened
            text = json.dumps(self._make(line), ensure_ascii=True, separators=(",", ":"))
            if len(text) < LINE_MAX_BYTES:
                return text
        raise ValueError("a line without fields is short")


class Line:
    """What a line is made of: a record, its event, and the fields."""

    __slots__ = ("base", "event", "fields", "record")

    def __init__(
        self,
        record: logging.LogRecord,
        event: LogEvent,
        base: Mapping[str, LogValue],
        fields: Mapping[str, LogValue],
    ) -> None:
        self.record = record
        self.event = event
        self.base = base
        self.fields = fields

    @property
    def time(self) -> str:
        """Return when, RFC 3339 in UTC."""
        moment = datetime.fromtimestamp(self.record.created, timezone.utc)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    @property
    def level(self) -> str:
        """Return the level's name."""
        return _LEVELS.get(self.record.levelno, "info")

    @property
    def message(self) -> str:
        """Return what happened."""
        if self.event is _TEXT:
            return str(self.fields.get("detail", _TEXT.meaning))
        return self.event.meaning


def _short(fields: Mapping[str, LogValue]) -> dict[str, LogValue]:
    """Return fields whose texts are cut, so that a line of foreign text in many octets has room."""
    kept = {name: value for name, value in fields.items() if name not in ("unverified_claims", "stack")}
    return {
        name: log_text(value, _SHORT_CHARS) if isinstance(value, str) else value
        for name, value in kept.items()
    }


def plain(line: Line) -> dict[str, Any]:
    """Return a line of the schema ``plain``."""
    return {
        "time": line.time,
        "level": line.level,
        "logger": line.record.name,
        "event": line.event.name,
        "message": line.message,
        **line.base,
        **{name: value for name, value in line.fields.items() if line.event is not _TEXT or name != "detail"},
    }


def ecs(line: Line) -> dict[str, Any]:
    """Return a line in the Elastic Common Schema: dotted names, own fields below ``rapidjws``."""
    categories, types = _ECS_CATEGORIES[line.event.ocsf_class]
    is_alert = line.record.name == "rapidjws.security"
    found: dict[str, Any] = {
        "@timestamp": line.time,
        "log.level": line.level,
        "message": line.message,
        "ecs.version": ECS_VERSION,
        "log.logger": line.record.name,
        "service.name": "rapidjws",
        "event.dataset": line.record.name,
        "event.kind": "alert" if is_alert else "event",
        "event.action": line.event.name,
        "event.category": categories,
        "event.type": types,
    }
    if line.event.failed is not None:
        found["event.outcome"] = "failure" if line.event.failed else "success"
    for name, value in {**line.base, **line.fields}.items():
        known = FIELDS.get(name) or BASE_FIELDS[name]
        found[known.ecs or f"rapidjws.{name}"] = value
    duration_us = line.fields.get("duration_us")
    if isinstance(duration_us, (int, float)):
        found["event.duration"] = int(duration_us * 1000)  # ECS: nanoseconds
    return found


def ocsf(line: Line) -> dict[str, Any]:
    """Return a line in OCSF: class 3002 for tokens, 3004 for keys and the rollout, 6002 for the service."""
    event, fields = line.event, dict(line.fields)
    category, number, category_name, class_name = _CLASSES[event.ocsf_class]
    severity = _SEVERITIES.get(line.record.levelno, 1)
    metadata: dict[str, Any] = {
        "version": OCSF_VERSION,
        "product": {"name": "rapidjws", "vendor_name": "rapidjws", "version": __version__},
        "log_name": line.record.name,
        "event_code": event.name,
    }
    trace_id = fields.pop("trace_id", None)
    if trace_id is not None:
        metadata["correlation_uid"] = trace_id
    found: dict[str, Any] = {
        "class_uid": number,
        "class_name": class_name,
        "category_uid": category,
        "category_name": category_name,
        "activity_id": event.ocsf_activity,
        "type_uid": number * 100 + event.ocsf_activity,
        "severity_id": severity,
        "severity": _SEVERITY_NAMES[severity],
        "time": int(line.record.created * 1000),
        "message": line.message,
        "metadata": metadata,
    }
    if event.failed is not None:
        found |= (
            {"status_id": 2, "status": "Failure"} if event.failed else {"status_id": 1, "status": "Success"}
        )
    _ocsf_parts(event, fields, found)
    if event is _TEXT:
        fields.pop("detail", None)
    rest = {**line.base, **fields}
    if rest:
        found["unmapped"] = rest
    return found


def _ocsf_parts(event: LogEvent, fields: dict[str, LogValue], found: dict[str, Any]) -> None:
    """Move what OCSF has a place for from the fields to the event."""
    code, detail = fields.pop("code", None), fields.pop("reason", None)
    if code is not None:
        found["status_code"] = code
    if detail is not None:
        found["status_detail"] = detail
    duration_us = fields.get("duration_us")
    if isinstance(duration_us, (int, float)):
        found["duration"] = int(duration_us / 1000)
    if event.ocsf_class == "authentication":
        found["auth_protocol"], found["auth_protocol_id"] = "JWS", 99
        found["service"] = {"name": "rapidjws", "version": __version__}
        found["user"] = {"name": str(fields.get("partner") or "unknown"), "type_id": 0, "type": "Unknown"}
        found["is_remote"] = True
        request: dict[str, Any] = {}
        if fields.get("request_id") is not None:
            request["uid"] = fields.pop("request_id")
        if fields.get("route"):
            request["url"] = {"path": fields.pop("route")}
        if request:
            found["http_request"] = request
    elif event.ocsf_class == "entity_management":
        name = fields.get("kid") or fields.get("thumbprint") or fields.get("issuer") or fields.get("partner")
        found["entity"] = {"name": str(name or event.logger), "type": event.logger}
    elif event.ocsf_class == "application_lifecycle":
        found["app"] = {"name": "rapidjws", "vendor_name": "rapidjws", "version": __version__}

"""The text of docs/reference/logs.md, from the lists of events, fields and spans."""

from __future__ import annotations

import json
import logging

from rapidjws.observe.log_events import EVENTS, LOGGERS, SECURITY, LogEvent
from rapidjws.observe.log_fields import BASE_FIELDS, FIELDS, Field
from rapidjws.observe.log_formats import LINE_MAX_BYTES, OCSF_VERSION, SCHEMAS, JSONLines
from rapidjws.observe.logs import event_record
from rapidjws.observe.tracing import ATTRIBUTES, SPANS

HEAD = f"""# Logs, security events and spans

Made by `tools/reference.py` from the lists in `rapidjws/observe`; do not edit it here. How to use them:
[Logs](../how-to/logs.md), [Security events](../how-to/security-events.md), [Traces](../how-to/traces.md).

A line is one JSON object in ASCII, shorter than {LINE_MAX_BYTES} bytes, written by one call. No
line holds a token, a signature, a payload, or a claim that `logs.claims` does not name. What a stranger chose
(`kid`, `alg`, `route`) is bounded and printable.
"""
SAMPLE = {
    "code": "key_alg_mismatch", "reason": "not_allowed", "place": "header.alg", "outcome": "deny",
    "verdict": "deny", "phase": "enforcement", "partner": "shop", "attributed_by": "gateway",
    "route": "/orders", "kid": "2026-11", "alg": "HS256", "issuer": "https://issuer.example",
    "request_id": "3f9c1a", "trace_id": "0af7651916cd43dd8448eb211c80319c", "duration_us": 41.7,
}  # fmt: skip
MOMENT_S = 1_796_000_000.0


def sample(schema: str, name: str = "algorithm_confusion") -> str:
    """Return the sample line of a schema."""
    record = event_record(name, dict(SAMPLE))
    record.created, record.process = MOMENT_S, 4711
    return json.dumps(json.loads(JSONLines(schema, worker=0).format(record)), indent=2)


def row(event: LogEvent) -> str:
    """Return the table row of an event."""
    fields = ", ".join(f"`{one}`" for one in event.fields)
    level = logging.getLevelName(event.level).lower()
    return f"| `{event.name}` | {level} | {event.meaning} | {event.action or '-'} | {fields} |"


def field_row(name: str, one: Field) -> str:
    """Return the table row of a field."""
    return f"| `{name}` | `{one.ecs or 'rapidjws.' + name}` | {one.meaning} |"


def page() -> str:
    """Return the whole page."""
    lines = [HEAD, "## Loggers", "", "| logger | what it is about |", "| --- | --- |"]
    lines += [f"| `rapidjws.{name}` | {meaning} |" for name, meaning in LOGGERS.items()]
    lines += ["", "## Events", ""]
    for name in LOGGERS:
        events = [event for event in EVENTS.values() if event.logger == name]
        if events and name != SECURITY:
            lines += [f"### `rapidjws.{name}`", "", *TABLE, *(row(event) for event in events), ""]
    lines += ["## Security events", "", *TABLE]
    lines += [row(event) for event in EVENTS.values() if event.logger == SECURITY]
    lines += ["", "## Fields", "", "| field | in ECS | meaning |", "| --- | --- | --- |"]
    lines += [field_row(name, one) for name, one in {**BASE_FIELDS, **FIELDS}.items()]
    lines += [
        "",
        f"In OCSF {OCSF_VERSION} a line about a token is of class 3002 (Authentication), one about keys,",
        "revocations or the rollout of class 3004 (Entity Management), one about the service of class 6002",
        "(Application Lifecycle), and all others of the base class. `unmapped` holds what has no place.",
        "",
        "## Sample lines",
        "",
        "Each is one line when it is written.",
    ]
    for schema in SCHEMAS:
        lines += ["", f'`schema = "{schema}"`:', "", "```json", sample(schema), "```"]
    lines += ["", "## Spans", "", "| span | what it covers |", "| --- | --- |"]
    lines += [f"| `{name}` | {meaning} |" for name, meaning in SPANS.items()]
    lines += ["", "| attribute | meaning |", "| --- | --- |"]
    lines += [f"| `{name}` | {meaning} |" for name, meaning in ATTRIBUTES.items()]
    return "\n".join(lines) + "\n"


TABLE = ["| event | level | what happened | what to do | fields |", "| --- | --- | --- | --- | --- |"]

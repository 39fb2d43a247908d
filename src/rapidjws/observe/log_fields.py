"""Every field of a log line once: its meaning and its name in ECS; and how foreign text becomes a value.

Values are scalars, bounded, on one line and without what could be replayed: a stranger chose many of them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from rapidjws.escaping import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LogValue = str | int | float | bool | None
TEXT_MAX_CHARS: Final = 128
"""Longest text of a field, in characters, where the field has no other limit."""
REDACTED: Final = "(redacted)"

_JOSE: Final = re.compile(r"eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)*")  # base64url of a JSON object, `{"`
_SECRET_MIN_CHARS: Final = 8


class Field(NamedTuple):
    """What a field means.

    Attributes:
        meaning: A phrase, with the unit.
        ecs: Its name in ECS; "" for ``rapidjws.<name>``.
        max_chars: Longest text.
    """

    meaning: str
    ecs: str = ""
    max_chars: int = TEXT_MAX_CHARS


BASE_FIELDS: Final = {
    "time": Field("when, RFC 3339 in UTC with milliseconds", "@timestamp"),
    "level": Field("`debug`, `info`, `warning` or `error`", "log.level"),
    "logger": Field("the logger, `rapidjws.decisions`", "log.logger"),
    "event": Field("the event's stable name", "event.action"),
    "message": Field("what happened, in words", "message"),
    "pid": Field("process id", "process.pid"),
    "worker": Field("the worker's number, from 0 on; only in a worker"),
}
"""Fields of every line."""

FIELDS: Final = {
    "code": Field("error code of the refusal", "error.code"),
    "reason": Field("one of eleven reasons that the code belongs to", "event.reason"),
    "place": Field("where in the token it was found", max_chars=80),
    "rule": Field("the rule that is not met, `default` where none applies"),
    "outcome": Field("what the request gets: `permit`, `deny` or `indeterminate`"),
    "verdict": Field("the verdict on the token itself: `deny` or `indeterminate`"),
    "phase": Field("rollout phase that was applied, or the phase of the rule"),
    "partner": Field("the partner that the request is attributed to"),
    "attributed_by": Field("what it was attributed by"),
    "route": Field("path that was asked for, without its query", "url.path", 256),
    "kid": Field("`kid` in the token's header, or the key's; a stranger may have chosen it", max_chars=80),
    "alg": Field("`alg` in the token's header; a stranger may have chosen it", max_chars=32),
    "issuer": Field("configured issuer that a token names (not proven), or of a source", max_chars=256),
    "source": Field("address, without its query, or path of the key source", max_chars=256),
    "request_id": Field("X-Request-Id of the request, or one that was made", "http.request.id"),
    "trace_id": Field("trace id of the request's `traceparent`", "trace.id"),
    "duration_us": Field("time that the decision took, in microseconds"),
    "left_out": Field("lines like this one that the rate limit left out since the last one"),
    "unverified_claims": Field("claims named by `claims`, as JSON text; not verified", max_chars=512),
    "window_s": Field("length of the window that `left_out` is of, in seconds"),
    "detail": Field("why, a stable word or a short sentence", max_chars=256),
    "value": Field("the event's number: seconds, keys, entries or an HTTP status"),
    "thumbprint": Field("RFC 7638 thumbprint of a key"),
    "kind": Field("what is revoked: `key`, `issuer`, `token`, `subject`, `session`, `issued_before`"),
    "action": Field("`promote`, `rollback`, `automatic_rollback`, `freeze` or `thaw`"),
    "before": Field("what held before"),
    "after": Field("what holds now"),
    "by": Field("who changed it"),
    "why": Field("the reason given", max_chars=256),
    "forced": Field("whether a guard rail was overridden"),
    "revision": Field("revision of the rollout's plan"),
    "version": Field("version of rapidjws", "service.version"),
    "python": Field("version of Python"),
    "openssl": Field("version of libcrypto"),
    "workers": Field("worker processes"),
    "listen": Field("public address"),
    "status": Field("exit status"),
    "worker_pid": Field("process id of the worker that the line is about"),
    "restarts": Field("restarts of workers so far"),
    "error": Field("type of an exception; never its text", "error.type"),
    "stack": Field("its stack: file, line and function of each frame", "error.stack_trace", 1024),
}  # fmt: skip
"""Fields that some lines have."""


def log_text(value: object, max_chars: int = TEXT_MAX_CHARS) -> str:
    """Return a value as bounded text on one line, without anything that looks like a JWS."""
    return _JOSE.sub(REDACTED, printable(value, max_chars))


def log_value(value: object, max_chars: int = TEXT_MAX_CHARS) -> LogValue:
    """Return a scalar as it is, and anything else as :func:`log_text`."""
    if value is None or isinstance(value, (bool, int)):
        return value if value is None or isinstance(value, bool) or abs(value) < 1 << 63 else log_text(value)
    if isinstance(value, float):
        return value if value - value == 0 else None  # JSON has no infinity and no NaN
    return log_text(value, max_chars)


def log_fields(values: Mapping[str, object]) -> dict[str, LogValue]:
    """Return the fields of a line: those that are not None, each in its bounds.

    Args:
        values: Field -> value; names are keys of ``FIELDS`` or ``BASE_FIELDS``.
    """
    found = {}
    for name, value in values.items():
        if value is not None:
            known = FIELDS.get(name) or BASE_FIELDS[name]
            found[name] = log_value(value, known.max_chars)
    return found


def secrets_of(token: bytes | None) -> tuple[str, ...]:
    """Return the pieces of a token that no line may hold: it, its payload, its signature."""
    if not token:
        return ()
    parts = [token, *token.split(b".")[1:]]
    return tuple(part.decode("latin-1") for part in parts if len(part) >= _SECRET_MIN_CHARS)


def without_secrets(values: Mapping[str, object], secrets: Iterable[str]) -> dict[str, object]:
    """Return values in whose texts each of these pieces is replaced."""
    found: dict[str, object] = {}
    for name, value in values.items():
        if isinstance(value, str):
            for secret in secrets:
                value = value.replace(secret, REDACTED)
        found[name] = value
    return found

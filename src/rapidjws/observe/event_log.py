"""The log of what happens around the keys: a listener to the engine's events."""

from __future__ import annotations

import json
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from rapidjws._checks import check_range, checked
from rapidjws._loggers import logger
from rapidjws._scheduler import scheduler
from rapidjws.observe.line_limits import LineLimits
from rapidjws.observe.log_events import EVENTS, LOGGERS
from rapidjws.observe.log_fields import log_fields
from rapidjws.observe.log_formats import ATTRIBUTE
from rapidjws.observe.logs import LINES_PER_MINUTE, LINES_PER_MINUTE_MAX
from rapidjws.observe.repeated_faults import RepeatedFaults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from rapidjws.verify.protocols import Event
    from rapidjws.verify.revocations import Revocation

NAMES: Final = {
    "fetch_ok": "keys_fetched",
    "rotation_lag": "first_use",
    "revocation_enforced": "revocation_distributed",
}
"""Events that have another name in the log."""

GOING_ON: Final = {"fetch_failed": 150.0, "revocations_unreachable": 15.0, "revocations_unreadable": 15.0}
"""Events of what a timer tries again -> seconds without one after which it has ended."""

_ENDS: Final = {
    "fetch_ok": "fetch_failed",
}

_LOGS: Final = {name: logger(name) for name in LOGGERS}
_NOT_LOGGED: Final = frozenset({"revocations_enforced"})  # each revocation has a line of its own


def write_event(name: str, fields: dict[str, object]) -> None:
    """Write one event of the list to its logger.

    Args:
        name: A key of ``EVENTS``.
        fields: Field -> value; None is left out.
    """
    event = EVENTS[name]
    log = _LOGS[event.logger]
    if log.isEnabledFor(event.level):
        kept = log_fields(fields)
        words = " ".join(f"{field}={json.dumps(value)}" for field, value in kept.items())
        log.log(event.level, "%s: %s", name, words, extra={ATTRIBUTE: {"event": name, **kept}})


class EventLog:
    """Log events; hand it to an engine and its key sources as ``events``.

    Args:
        issuer_of: Returns the issuers of key sources by name: an event about a source then names its issuer,
            as metrics do, and the source beside it.
        lines_per_minute: Most lines a minute for each event and issuer.
        clock: Monotonic seconds.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    @checked
    def __init__(
        self,
        issuer_of: Callable[[], Mapping[str, str]] = dict,
        *,
        lines_per_minute: int = LINES_PER_MINUTE,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        check_range("lines_per_minute", lines_per_minute, 1, LINES_PER_MINUTE_MAX)
        self._issuer_of = issuer_of
        self._limits = LineLimits(lines_per_minute, clock)
        self._faults = RepeatedFaults(clock)
        self._revocations: Callable[[], Iterable[Revocation]] | None = None
        self._revoked: frozenset[Revocation] = frozenset()
        scheduler.members.add(self)

    def after_fork(self) -> None:
        """Make the lock anew in a forked child."""
        self._limits.after_fork()
        self._faults.after_fork()

    def follow_revocations(self, listed: Callable[[], Iterable[Revocation]]) -> None:
        """Write each revocation that comes and goes from now on.

        Args:
            listed: Returns those that hold, ``Engine.revocations``.
        """
        self._revocations, self._revoked = listed, frozenset(listed())

    def __call__(self, event: Event, /) -> None:
        """Take one event."""
        self.write_left_out()
        if event.name == "revocations_enforced":
            self._write_revocations(event.value)
        name = NAMES.get(event.name, event.name)
        self._write_end(event)
        if event.name in _NOT_LOGGED or name not in EVENTS:
            return
        left_out: int | None = 0
        if name in GOING_ON:
            left_out = self._faults.seen((name, event.issuer), event.detail, GOING_ON[name])
            if left_out is None:
                return
        log = _LOGS[EVENTS[name].logger]
        if log.isEnabledFor(EVENTS[name].level) and self._limits.allow((name, event.issuer)):
            write_event(name, {**self._fields_of(event), "left_out": left_out or None})

    def _write_end(self, event: Event) -> None:
        """Write that keys are fetched again, where they could not be; other faults end in silence."""
        fault = _ENDS.get(event.name)
        ended = None if fault is None else self._faults.ended((fault, event.issuer))
        if ended is not None and fault == "fetch_failed":
            fields = {**self._fields_of(event), "detail": None, "value": round(ended.lasted_s, 3)}
            write_event("fetch_recovered", {**fields, "left_out": ended.left_out or None})

    def write_left_out(self) -> None:
        """Write how many lines were left out in the minute that ended; call it from time to time."""
        for kind, count in self._limits.ended():
            name, issuer = kind if isinstance(kind, tuple) else ("lines_left_out", None)
            if name in EVENTS:
                write_event(name, {**self._whose(issuer), "left_out": count})

    def _write_revocations(self, taken_s: float | None) -> None:
        if self._revocations is None:
            return
        before, self._revoked = self._revoked, frozenset(self._revocations())
        for name, changed in (
            ("revocation_added", self._revoked - before),
            ("revocation_lifted", before - self._revoked),
        ):
            for one in changed:
                write_event(name, {**_revocation_fields(one), "value": taken_s})

    def _fields_of(self, event: Event) -> dict[str, object]:
        value: Any = event.value
        if isinstance(value, float):
            value = round(value, 6)
        return {**self._whose(event.issuer), "kid": event.kid, "value": value, "detail": event.detail}

    def _whose(self, named: str | None) -> dict[str, object]:
        """Return the fields of what an event calls its issuer: an ``iss``, or a source's name."""
        if named is None:
            return {"issuer": None}
        shown = named.partition("?")[0]  # a query may hold a secret
        issuer = self._issuer_of().get(named)
        return {"issuer": issuer, "source": shown} if issuer else {"issuer": shown}


def _revocation_fields(one: Revocation) -> dict[str, object]:
    """Return what a revocation is of; a ``jti``, ``sub`` or ``sid`` is a token's, and left out."""
    if one.jti is not None:
        kind = "token"
    elif one.sub is not None or one.sid is not None:
        kind = "session" if one.sub is None else "subject"
    elif one.kid is not None or one.thumbprint is not None:
        kind = "key"
    else:
        kind = "issuer" if one.issued_before is None else "issued_before"
    return {"kid": one.kid, "thumbprint": one.thumbprint, "issuer": one.issuer, "kind": kind}

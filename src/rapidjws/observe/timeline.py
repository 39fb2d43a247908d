"""One line of time for an incident: what logs, the rollout's history and a running service tell, in order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from rapidjws.observe.log_events import DECISIONS, EVENTS, SECURITY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rapidjws.observe.log_reader import LogLine

KINDS: Final = {
    "alert": "alerts",
    "refusal": "refused tokens",
    "attack": "signs of an attack",
    "fetch": "fetch failures",
    "key": "key changes",
    "cache": "cache invalidations",
    "revocation": "revocations",
    "promotion": "changes of the rollout",
    "configuration": "reloads",
    "store": "stores",
    "restart": "starts and ends",
    "other": "other events",
}
"""Kinds of entries, in the order in which they are shown, and what they are about."""

ENTRIES_MAX: Final = 20_000
"""Most entries of a timeline; what comes beyond them is counted."""

SAME_S: Final = 5.0
"""Seconds within which two sources tell of one thing."""

_KINDS_OF: Final = {
    "alert_started": "alert", "alert_ended": "alert",
    "fetch_failed": "fetch", "fetch_recovered": "fetch", "file_refused": "fetch",
    "issuer_lookup_failed": "fetch",
    "keys_stale": "cache", "keys_invalidated": "cache", "last_good_used": "cache", "swap_failed": "cache",
    "last_good_not_written": "store",
    "revocation_added": "revocation", "revocation_lifted": "revocation",
    "revocation_distributed": "revocation",
    "signal_applied": "revocation", "signal_ignored": "revocation", "signal_refused": "refusal",
    "signal_poll_failed": "fetch", "introspection_failed": "fetch",
    "introspection_breaker_opened": "fetch", "introspection_unchecked": "fetch",
    "status_list_failed": "fetch", "status_list_recovered": "fetch", "status_unchecked": "fetch",
    "audit_tail_cut": "store", "audit_segment_suspect": "store", "audit_storage_failed": "store",
    "audit_checkpoint_unsigned": "store", "audit_witnessed": "store", "audit_witness_failed": "store",
    "audit_timestamped": "store", "audit_timestamp_failed": "store",
    "revocations_unreadable": "store", "revocations_unreachable": "store", "revocation_stream_lost": "store",
    "revocation_unreadable": "store", "replay_store_failed": "store", "replay_store_full": "store",
    "replay_store_evicts": "store", "replay_breaker_opened": "store", "replay_unchecked": "store",
    "rollout_changed": "promotion", "rollout_rolled_back": "promotion", "rollout_fault": "store",
    "promote": "promotion", "rollback": "promotion", "freeze": "promotion", "thaw": "promotion",
    "automatic_rollback": "promotion",
    "config_loaded": "configuration", "config_refused": "configuration",
    "service_started": "restart", "service_stopped": "restart", "worker_started": "restart",
    "worker_ended": "restart", "worker_killed": "restart",
    "lines_left_out": "refusal",
}  # fmt: skip

_KEY_EVENTS: Final = ("key", "kid_", "first_use", "private_key", "duplicate_kid")


@dataclass(slots=True, kw_only=True)
class Entry:
    """What happened, once or several times within a step of the timeline.

    Attributes:
        at_s: When first, seconds since the epoch.
        kind: A key of ``KINDS``.
        what: A code or an event.
        whom: Of whom: issuer, partner, route, worker.
        detail: More, in words.
        count: How often.
        last_s: When last.
        workers: The workers that reported it.
        source: ``"log"``, ``"history"``, ``"evidence"`` or ``"service"``.
    """

    at_s: float
    kind: str
    what: str
    whom: str = ""
    detail: str = ""
    count: int = 1
    last_s: float = 0.0
    workers: set[int] = field(default_factory=set)
    source: str = "log"

    def as_dict(self) -> dict[str, Any]:
        """Return the entry as JSON values."""
        names = ("at_s", "last_s", "kind", "what", "whom", "detail", "count", "source")
        return {**{name: getattr(self, name) for name in names}, "workers": sorted(self.workers)}


class Timeline:
    """Entries between two moments, put together as they are added.

    Args:
        since_s: From when on, seconds since the epoch.
        until_s: Until when.
        step_s: Seconds within which the same is counted, not listed again; by default a hundredth of the
            time, from one second to one hour.
    """

    __slots__ = ("_entries", "_signs", "left_out", "since_s", "step_s", "until_s")

    def __init__(self, since_s: float, until_s: float, step_s: float | None = None) -> None:
        self.since_s = since_s
        self.until_s = until_s
        self.step_s = step_s or min(3600.0, max(1.0, (until_s - since_s) / 100))
        self.left_out = 0
        self._entries: dict[tuple[object, ...], Entry] = {}
        self._signs: set[tuple[float, str, str]] = set()

    def add(self, entry: Entry) -> None:
        """Add an entry: to one that says the same within the step, or as a new one."""
        if not self.since_s <= entry.at_s <= self.until_s:
            return
        step = int((entry.at_s - self.since_s) / self.step_s)
        key = (step, entry.kind, entry.what, entry.whom, entry.detail, entry.source)
        known = self._entries.get(key)
        entry.last_s = max(entry.last_s, entry.at_s)
        if known is not None:
            known.count += entry.count
            known.at_s, known.last_s = min(known.at_s, entry.at_s), max(known.last_s, entry.last_s)
            known.workers |= entry.workers
        elif len(self._entries) < ENTRIES_MAX:
            self._entries[key] = entry
        else:
            self.left_out += entry.count

    def add_lines(self, lines: Iterable[LogLine]) -> None:
        """Add what the lines of one log tell.

        A sign of an attack is in the service's log and in that for a SIEM: of the second file it is left out.
        """
        before = self._signs
        signs: set[tuple[float, str, str]] = set()
        for line in lines:
            if EVENTS[line.event].logger == SECURITY:
                sign = (line.at_s, line.event, repr(sorted(line.fields.items())))
                if sign in before:
                    continue
                if len(signs) < ENTRIES_MAX:
                    signs.add(sign)
            entry = entry_of_line(line)
            if entry is not None:
                self.add(entry)
        self._signs = before | signs

    def add_changes(self, changes: Iterable[Mapping[str, Any]], source: str) -> None:
        """Add changes as a service's status, or a rollout's history, has them, but what a log holds already.

        Args:
            changes: With ``event``, ``at_s`` and what else there is.
            source: Where they come from.
        """
        for one in changes:
            entry = _entry_of_change(one, source)
            if not any(_is_same(known, entry) for known in self._entries.values()):
                self.add(entry)

    def add_evidence(self, partner: str, code: str, count: int, first_s: float, last_s: float) -> None:
        """Add what the evidence of a rollout knows of refused tokens, where no log tells of them.

        Args:
            partner: Whose they were, or "" for nobody's.
            code: Why they were refused.
            count: How many there were.
            first_s: When the first one came, seconds since the epoch.
            last_s: When the last one came.
        """
        for known in self._entries.values():
            is_logged = known.source == "log" and (known.kind, known.what) == ("refusal", code)
            if is_logged and partner in ("", *known.whom.split()):
                return
        whole = Entry(at_s=first_s, last_s=last_s, kind="refusal", what=code, whom=partner, source="evidence")
        if first_s >= self.since_s and last_s <= self.until_s:
            whole.count = count
        elif first_s >= self.since_s:
            whole.last_s, whole.detail = first_s, f"the first of {count}"
        else:
            whole.at_s, whole.detail = last_s, f"the last of {count}"
        self.add(whole)

    def entries(self) -> list[Entry]:
        """Return the entries in the order of time."""
        order = list(KINDS)
        return sorted(self._entries.values(), key=lambda one: (one.at_s, order.index(one.kind), one.what))


def kind_of(event: str) -> str:
    """Return the kind of an event."""
    known = _KINDS_OF.get(event)
    if known is not None:
        return known
    logger = EVENTS[event].logger if event in EVENTS else ""
    if logger == DECISIONS:
        return "refusal"
    if event.startswith(_KEY_EVENTS) and event not in ("kid_rebound", "private_key_published"):
        return "key"
    return "attack" if logger == SECURITY else "other"


def entry_of_line(line: LogLine) -> Entry | None:
    """Return the entry of a log line; None for what says that nothing happened."""
    if line.event in ("keys_fetched", "log_lines_dropped"):
        return None
    fields = line.fields
    kind = kind_of(line.event)
    whom = _whom(fields)
    left_out = fields.get("left_out")
    more = left_out if isinstance(left_out, int) and left_out > 0 else 0
    worker = {fields["worker"]} if isinstance(fields.get("worker"), int) else set()
    if kind == "refusal":
        count = more if line.event == "lines_left_out" else 1
        code = str(fields.get("code") or line.event)
        return Entry(at_s=line.at_s, kind=kind, what=code, whom=whom, count=max(count, 1), workers=worker)
    names = (
        "action",
        "before",
        "after",
        "kid",
        "thumbprint",
        "kind",
        "detail",
        "code",
        "why",
        "by",
        "version",
    )
    detail = ", ".join(f"{name} {fields[name]}" for name in names if fields.get(name) not in (None, ""))
    return Entry(
        at_s=line.at_s, kind=kind, what=line.event, whom=whom, detail=detail, count=1 + more, workers=worker
    )


def _whom(fields: Mapping[str, Any]) -> str:
    names = ("partner", "issuer", "route")
    shown = [str(fields[name]) for name in names if fields.get(name)]
    if not shown and isinstance(fields.get("worker_pid"), int):
        shown = [f"worker {fields.get('worker', '')} (process {fields['worker_pid']})"]
    return " ".join(shown)


def _entry_of_change(one: Mapping[str, Any], source: str) -> Entry:
    names = ("kid", "detail", "by", "why")
    detail = ", ".join(f"{name} {one[name]}" for name in names if one.get(name))
    return Entry(
        at_s=float(one["at_s"]), kind=kind_of(str(one["event"])), what=str(one["event"]), whom=_whom(one),
        detail=detail, count=int(one.get("count", 1)), last_s=float(one.get("last_s", one["at_s"])),
        source=source,
    )  # fmt: skip


def _is_same(known: Entry, entry: Entry) -> bool:
    close = known.at_s - SAME_S <= entry.at_s <= known.last_s + SAME_S and known.source != entry.source
    if not close or known.kind != entry.kind:
        return False
    reported = known.what == entry.what or (entry.kind == "promotion" and entry.what in known.detail)
    return reported and set(entry.whom.split()) <= {*known.whom.split(), *entry.whom.split()[:1]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """How long it took, as far as the entries tell; None where they do not.

    Attributes:
        first_sign_s: The first entry that shows trouble, seconds since the epoch.
        detected_s: The first alert.
        acted_s: The first change by a person at or after the first sign.
        recovered_s: The last entry that shows trouble.
    """

    first_sign_s: float | None = None
    detected_s: float | None = None
    acted_s: float | None = None
    recovered_s: float | None = None

    def as_dict(self) -> dict[str, float | None]:
        """Return the times as JSON values."""
        return {name: getattr(self, name) for name in self.__slots__}


_TROUBLE: Final = frozenset({"refusal", "fetch", "attack", "store"})
_ENDS: Final = frozenset({"worker_ended", "worker_killed", "config_refused", "keys_stale", "swap_failed"})
_AUTOMATIC: Final = ("rollout_rolled_back", "automatic_rollback")
_ACTIONS: Final = frozenset({"revocation", "promotion", "configuration"})


def times_of(entries: Iterable[Entry]) -> Times:
    """Return when trouble began, was detected, acted upon and over."""
    listed = sorted(entries, key=lambda one: one.at_s)
    trouble = [one for one in listed if one.kind in _TROUBLE or one.what in _ENDS]
    if not trouble:
        return Times()
    first_s = trouble[0].at_s
    alerts = [one.at_s for one in listed if one.what == "alert_started" and one.at_s >= first_s - SAME_S]
    by_people = [one for one in listed if one.kind in _ACTIONS and one.what not in (*_ENDS, *_AUTOMATIC)]
    acts = [one.at_s for one in by_people if one.at_s >= first_s]
    return Times(
        first_sign_s=first_s,
        detected_s=alerts[0] if alerts else None,
        acted_s=acts[0] if acts else None,
        recovered_s=max(one.last_s for one in trouble),
    )

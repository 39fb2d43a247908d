"""Two versions of the rules on the same recorded requests: which of them would be decided otherwise."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from rapidjws.authz.authorization import Permit
from rapidjws.errors import RapidJWSError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rapidjws.authz.authorization import Authorization
    from rapidjws.authz.authorizer import Authorizer
    from rapidjws.cli.authz_evidence import RecordedRequest
    from rapidjws.cli.authz_replay import Replay
    from rapidjws.jwt.decision import Decision

PERMIT: Final = "permit"
SHOWN_MAX: Final = 1000
"""Most changed requests that a report lists; all are counted."""

KINDS: Final = ("newly_refused", "newly_permitted", "other_reason", "same", "undecided", "unreadable")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedRequest:
    """A request that two versions of the rules decide in different ways.

    Attributes:
        name: Where it stands.
        path: Its path as it was recorded.
        partner: Whose it was.
        old: ``"permit"``, or the code that refuses.
        old_rule: The rule that refuses, or None.
        new: As ``old``.
        new_rule: As ``old_rule``.
    """

    name: str
    path: str | None
    partner: str | None
    old: str
    old_rule: str | None
    new: str
    new_rule: str | None

    @property
    def kind(self) -> str:
        """Return which of ``KINDS`` this is."""
        if (self.old == PERMIT) == (self.new == PERMIT):
            return "other_reason"
        return "newly_refused" if self.old == PERMIT else "newly_permitted"


@dataclass(slots=True, kw_only=True)
class DiffReport:
    """What came of all requests.

    Attributes:
        counts: Kind -> how many requests.
        changed: The first that are decided otherwise.
        old_unmet: Rule -> how many requests do not meet it, whatever its phase, by the old rules.
        new_unmet: The same by the new rules.
        old_applied: Rule -> to how many requests it applies, by the old rules; each rule is there.
        new_applied: The same by the new rules.
        reasons: Why requests are undecided or unreadable -> how many.
    """

    counts: Counter[str] = field(default_factory=Counter)
    changed: list[ChangedRequest] = field(default_factory=list)
    old_unmet: Counter[str] = field(default_factory=Counter)
    new_unmet: Counter[str] = field(default_factory=Counter)
    old_applied: Counter[str] = field(default_factory=Counter)
    new_applied: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def unused(self) -> tuple[str, ...]:
        """Return the rules that apply to no request that was compared: of them nothing is known."""
        names = sorted({*self.old_applied, *self.new_applied})
        return tuple(one for one in names if not (self.old_applied[one] or self.new_applied[one]))

    def rules(self) -> dict[str, dict[str, int]]:
        """Return for each rule how many requests do not meet it, and to how many it applies."""
        names = {*self.old_applied, *self.new_applied, *self.old_unmet, *self.new_unmet}
        return {
            one: {
                "old": self.old_unmet[one],
                "new": self.new_unmet[one],
                "old_applied": self.old_applied[one],
                "new_applied": self.new_applied[one],
            }
            for one in sorted(names)
        }

    @property
    def outcomes_changed(self) -> int:
        """Return how many requests one version permits and the other does not."""
        return self.counts["newly_refused"] + self.counts["newly_permitted"]

    @property
    def compared(self) -> int:
        """Return how many requests both versions decided."""
        return sum(self.counts.values()) - self.counts["undecided"] - self.counts["unreadable"]

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        names = ("name", "kind", "path", "partner", "old", "old_rule", "new", "new_rule")
        return {
            "requests": sum(self.counts.values()),
            **{kind: self.counts[kind] for kind in KINDS},
            "reasons": dict(self.reasons),
            "rules": self.rules(),
            "unused_rules": list(self.unused),
            "changed": [{name: getattr(one, name) for name in names} for one in self.changed],
        }


def compare(
    old: Authorizer, new: Authorizer, requests: Iterable[RecordedRequest], replay: Replay
) -> DiffReport:
    """Return what two versions of the rules decide about recorded requests.

    A request of which a part was not recorded that a rule reads is undecided: it counts as neither.

    Args:
        old: The rules of before.
        new: Those that are to come.
        requests: The requests.
        replay: Makes tokens with their claims.
    """
    report = DiffReport()
    report.old_applied.update(dict.fromkeys((rule.name for rule in old.rules), 0))
    report.new_applied.update(dict.fromkeys((rule.name for rule in new.rules), 0))
    for one in requests:
        decision, why = _decided(one, replay)
        if decision is None:
            _count(report, "unreadable", why)
            continue
        missing = _missing(old, decision, one) or _missing(new, decision, one)
        if missing is not None:
            _count(report, "undecided", f"{missing} not recorded")
            continue
        before = old.authorize(decision, one.request, now=one.at_s)
        after = new.authorize(decision, one.request, now=one.at_s)
        report.old_applied.update(old.examine(decision, one.request, now=one.at_s).keys())
        report.new_applied.update(new.examine(decision, one.request, now=one.at_s).keys())
        report.old_unmet.update(result.rule for result in before.unmet)
        report.new_unmet.update(result.rule for result in after.unmet)
        changed = _changed(one, before, after)
        report.counts["same" if changed is None else changed.kind] += 1
        if changed is not None and len(report.changed) < SHOWN_MAX:
            report.changed.append(changed)
    return report


def _decided(one: RecordedRequest, replay: Replay) -> tuple[Decision | None, str]:
    """Return the decision on a token with the recorded claims, or None and why there is none."""
    if one.unreadable is not None:
        return None, one.unreadable
    try:
        decision = replay.decision(one.claims, one.partner, one.at_s)
    except RapidJWSError as fault:  # an issuer's name that none could have
        return None, fault.code
    return (None if decision.verified is None else decision), decision.code


def _count(report: DiffReport, kind: str, why: str) -> None:
    report.counts[kind] += 1
    report.reasons[why] += 1


def _missing(rules: Authorizer, decision: Decision, one: RecordedRequest) -> str | None:
    """Return what a rule that applies reads of a request and was not recorded, or None."""
    if not one.missing:
        return None
    applied = rules.examine(decision, one.request, now=one.at_s)
    read: set[str] = set()
    for rule in rules.rules:
        if rule.name in applied:
            read |= {"method"} if rule.reads_method else set()
            read |= {"host"} if rule.reads_host else set()
            read |= {"headers"} if rule.header_fields - {b"host"} else set()
    return next(iter(sorted(read & one.missing)), None)


def _changed(one: RecordedRequest, before: Authorization, after: Authorization) -> ChangedRequest | None:
    found = [
        (PERMIT, None) if isinstance(answer, Permit) else (answer.code, answer.rule)
        for answer in (before, after)
    ]
    if found[0] == found[1]:
        return None
    path = one.request.path
    return ChangedRequest(
        name=one.name,
        path=path if isinstance(path, str) else None,
        partner=one.partner,
        old=found[0][0],
        old_rule=found[0][1],
        new=found[1][0],
        new_rule=found[1][1],
    )

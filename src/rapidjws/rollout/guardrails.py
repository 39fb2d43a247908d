"""Guard rails: how much evidence a promotion needs, and when enforcement takes itself back.

What this never does: count a caller that nobody authenticated, so that a stranger's bad tokens can neither
stop a promotion for long nor switch verification off.
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final, Literal

from rapidjws._checks import checked
from rapidjws.errors import RapidJWSError, error_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rapidjws.rollout.counters import WindowCounts


DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Objection:
    """What a promotion lacks.

    Attributes:
        rule: ``"evidence"`` or ``"error_rate"``.
        expected: What is needed.
        actual: What there is, and how much is missing.
        until_s: When it may be met, seconds since the epoch; None where nothing tells.
        when: What that moment rests on.
    """

    rule: Literal["evidence", "error_rate"]
    expected: str
    actual: str
    until_s: int | None
    when: str

    @property
    def until(self) -> str:
        """Return in words when it may be met."""
        return self.when if self.until_s is None else f"{_day(self.until_s)} {self.when}"

    def as_dict(self) -> dict[str, str | int | None]:
        """Return it as flat values."""
        return asdict(self)


def held_error(objections: Sequence[Objection], place: str) -> RapidJWSError:
    """Return the error of a promotion that the guard rails hold: the first of what it lacks.

    Args:
        objections: What it lacks, at least one thing.
        place: Whose promotion it is, in words.
    """
    first = objections[0]
    more = f" (and {len(objections) - 1} more)" if len(objections) > 1 else ""
    actual = f"{first.actual}; {first.until}{more}"
    return error_for("guard_rails_not_met", place, f"{first.expected} (or --force)", actual)


def _span(seconds: int) -> str:
    days, rest = divmod(seconds, DAY_S)
    if days and not rest:
        return f"{days} days" if days > 1 else "a day"
    return "an hour" if seconds == 3600 else f"{seconds / 3600:g} hours"


def _day(when_s: int) -> str:
    """Return a moment's day; one beyond the calendar is far."""
    return time.strftime("%Y-%m-%d", time.gmtime(when_s)) if when_s < 253_402_300_800 else "9999"


@checked(under="guard_rails")
@dataclass(frozen=True, slots=True, kw_only=True)
class GuardRails:
    """Bound what a promotion may rest on.

    Args:
        max_error_rate: The largest share of requests, 0 to 1, that the next phase may refuse.
        min_evidence: The fewest requests that the share is taken over.
        window_s: How far back requests count, in seconds.
        automatic_rollback: Whether a partner whose requests are refused above ``rollback_error_rate`` goes
            back one phase by itself. Only requests whose partner the gateway names are counted, not those
            that are attributed by their issuer: whoever saw an old token can send it again. Leave it off
            where a stranger can name himself a partner.
        rollback_error_rate: See ``automatic_rollback``.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    max_error_rate: float = 0.01
    min_evidence: int = 1000
    window_s: int = 7 * 86_400
    automatic_rollback: bool = False
    rollback_error_rate: float = 0.2

    def __post_init__(self) -> None:
        """Check every argument once."""
        for place in ("max_error_rate", "rollback_error_rate"):
            rate = getattr(self, place)
            if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not math.isfinite(rate):
                raise error_for("configuration_invalid", f"guard_rails.{place}", expected="0 to 1")
            if not 0 <= rate <= 1:
                raise error_for("configuration_invalid", f"guard_rails.{place}", "0 to 1", rate)
        for place, least in (("min_evidence", 0), ("window_s", 3600)):
            number = getattr(self, place)
            if isinstance(number, bool) or not isinstance(number, int) or number < least:
                raise error_for("configuration_invalid", f"guard_rails.{place}", f"from {least} on")

    def objections(self, window: WindowCounts, *, last_day: int, now_s: int) -> tuple[Objection, ...]:
        """Return what a promotion still lacks; nothing where it may be.

        Args:
            window: What was seen within ``window_s``.
            last_day: Requests of the last day, for an estimate of when there are enough.
            now_s: Seconds since the epoch.
        """
        found: list[Objection] = []
        span = _span(self.window_s)
        if window.total < self.min_evidence:
            missing = self.min_evidence - window.total
            until_s = now_s + math.ceil(missing * DAY_S / last_day) if last_day else None
            found.append(
                Objection(
                    rule="evidence",
                    expected=f"evidence: {self.min_evidence} in {span}",
                    actual=f"{window.total}, {missing} missing",
                    until_s=until_s,
                    when="none in the last day" if until_s is None else "at the pace of the last day",
                )
            )
        if window.total and window.failed / window.total > self.max_error_rate:
            found.append(
                Objection(
                    rule="error_rate",
                    expected=f"error rate: at most {self.max_error_rate:.2%} in {span}",
                    actual=f"{window.failed} of {window.total} ({window.failed / window.total:.2%})",
                    until_s=window.last_failed_s + self.window_s,
                    when="if no more fail",
                )
            )
        return tuple(found)

    def asks_for_rollback(self, window: WindowCounts) -> bool:
        """Return whether so many of an enforced partner's requests are refused that it goes back."""
        if not self.automatic_rollback or window.total < max(1, self.min_evidence):
            return False
        return window.failed / window.total > self.rollback_error_rate

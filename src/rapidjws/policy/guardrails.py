"""Guard rails: how much evidence a promotion needs, and when enforcement takes itself back.

What this never does: count a caller that nobody authenticated, so that a stranger's bad tokens can neither
stop a promotion for long nor switch verification off.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rapidjws.errors import error_for

if TYPE_CHECKING:
    from rapidjws.policy.rows import Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardRails:
    """Bound what a promotion may rest on.

    Args:
        max_error_rate: The largest share of requests, 0 to 1, that the next phase may refuse.
        min_evidence: The fewest requests that the share is taken over.
        window_s: How far back requests count, in seconds.
        automatic_rollback: Whether a partner whose requests are refused above ``rollback_error_rate`` goes
            back one phase by itself. Only partners that the gateway authenticates are counted: leave it off
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

    def objection(self, tally: Tally) -> str | None:
        """Return why a promotion must not be, or None."""
        if tally.total < self.min_evidence:
            return f"evidence: {tally.total} requests, {self.min_evidence} needed"
        rate = tally.failed / tally.total if tally.total else 0.0
        if rate > self.max_error_rate:
            return f"error rate: {rate:.4f}, at most {self.max_error_rate:.4f}"
        return None

    def asks_for_rollback(self, tally: Tally) -> bool:
        """Return whether so many of an enforced partner's requests are refused that it goes back."""
        if not self.automatic_rollback or tally.total < max(1, self.min_evidence):
            return False
        return tally.failed / tally.total > self.rollback_error_rate

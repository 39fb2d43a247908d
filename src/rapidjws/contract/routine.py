"""The weekly and monthly look: what about keys and traffic wants attention before it is an incident."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

Level = Literal["error", "warning", "note"]
ORDER: Final[dict[Level, int]] = {"error": 0, "warning": 1, "note": 2}
DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """From where on something wants attention.

    Attributes:
        rotate_days: Age from which a newest key should have a successor, in days.
        expires_days: Days before the end of a key or certificate at which it is named.
        unused_days: Days without a token of a key from which it counts as unused.
        period_days: The period that is looked at, in days: 7 or 30.
        lifetime: The first span of ``LIFETIMES`` that is too long, by its index.
    """

    rotate_days: float = 90.0
    expires_days: float = 21.0
    unused_days: float = 30.0
    period_days: int = 7
    lifetime: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutineFinding:
    """One thing that was found.

    Attributes:
        level: ``"error"``: mend it now; ``"warning"``: plan it; ``"note"``: to know.
        area: ``"keys"``, ``"rotation"``, ``"jwks"``, ``"use"``, ``"lifetimes"``, ``"clock"``, ``"errors"`` or
            ``"service"``.
        subject: The issuer or partner.
        code: A stable word.
        text: One sentence with values.
    """

    level: Level
    area: str
    subject: str
    code: str
    text: str

    def as_dict(self) -> dict[str, Any]:
        """Return the finding as flat values."""
        return {name: getattr(self, name) for name in self.__slots__}


def in_order(found: Iterable[RoutineFinding]) -> list[RoutineFinding]:
    """Return findings, errors first, by subject within a level."""
    return sorted(found, key=lambda one: (ORDER[one.level], one.subject, one.area, one.code))


def days(seconds: float) -> str:
    """Return a time in days, in words."""
    return f"{seconds / DAY_S:.0f} days" if abs(seconds) >= 2 * DAY_S else f"{seconds / 3600:.0f} h"

"""What a diagnosis gives: every check, the causes by rank, and the engine's own verdict. Plain values.

What it never holds: a token, a signature, a payload or key bytes, unless the caller asked for the token.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from rapidjws._checks import checked, refused
from rapidjws.diagnose.values import Cause, Check
from rapidjws.errors import CODES, Outcome, RapidJWSError, error_for

if TYPE_CHECKING:
    from rich.console import Console

_INDENT_MAX: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A whole diagnosis.

    Attributes:
        code: The engine's refusal, a key of ``CODES``; None where the engine accepts the token.
        place: Where the engine refused, or None.
        message: The engine's words; empty where it accepts.
        checks: Every check, room by room.
        causes: Explanations, the most probable first; empty where nothing is wrong.
        token: The token with everything replayable left out, or whole where the caller asked for it.
        now: Seconds since the epoch that the token was judged at.
    """

    code: str | None
    place: str | None
    message: str
    checks: tuple[Check, ...]
    causes: tuple[Cause, ...]
    token: str
    now: float

    @property
    def accepted(self) -> bool:
        """Return True where the engine accepts the token."""
        return self.code is None

    @property
    def outcome(self) -> Outcome | Literal["permit"]:
        """Return ``"permit"``, ``"deny"`` or ``"indeterminate"``."""
        return "permit" if self.code is None else CODES[self.code].outcome

    @property
    def probable_cause(self) -> Cause | None:
        """Return the most probable cause, or None where nothing is wrong."""
        return self.causes[0] if self.causes else None

    @property
    def escalate_to_partner(self) -> bool:
        """Return whether the probable cause is the partner's to mend."""
        return bool(self.causes) and self.causes[0].escalate == "partner"

    def error(self) -> RapidJWSError | None:
        """Return the engine's refusal as an exception, or None."""
        return None if self.code is None else error_for(self.code, self.place)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            "outcome": self.outcome,
            "code": self.code,
            "place": self.place,
            "message": self.message,
            "probable_cause": self.causes[0].as_dict() if self.causes else None,
            "escalate_to_partner": self.escalate_to_partner,
            "other_causes": [cause.as_dict() for cause in self.causes[1:]],
            "checks": [check.as_dict() for check in self.checks],
            "token": self.token,
            "now": self.now,
        }

    @checked
    def to_json(self, *, indent: int | None = 2) -> str:
        """Return the report as JSON text.

        Args:
            indent: Spaces a level, 0 to 64; None for one line.

        Raises:
            ConfigurationError: ``configuration_invalid``.
        """
        if indent is not None and not 0 <= indent <= _INDENT_MAX:
            raise refused("indent", f"0 to {_INDENT_MAX}", indent)
        return json.dumps(self.as_dict(), indent=indent)

    def to_markdown(self) -> str:
        """Return the report as Markdown to paste into a ticket."""
        from rapidjws.diagnose.render_markdown import markdown

        return markdown(self)

    def to_terminal(self, console: Console | None = None) -> None:
        """Print the report in colour. Needs the extra ``cli`` (rich)."""
        from rapidjws.diagnose.render_terminal import show

        if console is not None and not callable(getattr(console, "print", None)):
            raise refused("console", "a rich.console.Console", console)
        show(self, console)

    def __str__(self) -> str:
        return self.to_markdown()

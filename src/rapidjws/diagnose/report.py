"""What a diagnosis gives: every check, the causes by rank, and the engine's own verdict. Plain values.

What it never holds: a token, a signature, a payload or key bytes, unless the caller asked for the token.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from rapidjws._checks import checked, refused
from rapidjws.diagnose.report_values import ReportValues
from rapidjws.errors import RapidJWSError, error_for

if TYPE_CHECKING:
    from rich.console import Console

_INDENT_MAX: Final = 64


class Report(ReportValues):
    """A whole diagnosis, with its attributes as ``ReportValues`` has them, and the forms it is shown in."""

    __slots__ = ()

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

"""The small values of a diagnosis: a check, a cause, and the closed sets of words they use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

from rapidjws.errors import SafeValue

Section = Literal["structure", "header", "key", "signature", "claims", "body"]
Status = Literal["ok", "fail", "warn", "info", "skip"]
Escalation = Literal["partner", "operator", "security", "client"]

SECTIONS: Final[tuple[Section, ...]] = ("structure", "header", "key", "signature", "claims", "body")
PROVEN: Final = 90
"""From this weight on a trial verification showed the cause: with it undone, the signature is good."""
EXPLAINED: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at.

    Attributes:
        part: Which part of the token or its surroundings.
        name: A stable word for the check.
        status: ``"ok"``, ``"fail"``, ``"warn"``, ``"info"``, or ``"skip"`` where it could not be made.
        text: One sentence.
        expected: What would have passed.
        actual: What was found.
    """

    part: Section
    name: str
    status: Status
    text: str
    expected: SafeValue = None
    actual: SafeValue = None

    def as_dict(self) -> dict[str, Any]:
        """Return the check as flat values."""
        return {
            "part": self.part,
            "name": self.name,
            "status": self.status,
            "text": self.text,
            "expected": list(self.expected) if isinstance(self.expected, tuple) else self.expected,
            "actual": list(self.actual) if isinstance(self.actual, tuple) else self.actual,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One explanation of a refusal, with what to do about it.

    Attributes:
        id: A stable word: a key of ``CAUSES``, or the error code where nothing more is known.
        title: What went wrong, in one sentence.
        fix: What to do.
        escalate: Who must act: ``"partner"``, ``"client"``, ``"operator"`` (us) or ``"security"``.
        evidence: What the explanation rests on.
        weight: 0 to 100: the rank among others; from ``PROVEN`` on a trial verification showed the cause.
        is_proven: Whether a trial verification or the octets themselves show it; else it is only possible.
    """

    id: str
    title: str
    fix: str
    escalate: Escalation
    evidence: str
    weight: int
    is_proven: bool = False

    @property
    def certainty(self) -> str:
        """Return ``"proven"`` or ``"possible"``."""
        return "proven" if self.is_proven else "possible"

    def as_dict(self) -> dict[str, Any]:
        """Return the cause as flat values."""
        return {
            "id": self.id,
            "title": self.title,
            "fix": self.fix,
            "escalate": self.escalate,
            "evidence": self.evidence,
            "certainty": self.certainty,
        }


@dataclass(frozen=True, slots=True)
class CauseText:
    """One row of the table of causes: its id, who must act, what happened, what to do."""

    id: str
    escalate: Escalation
    title: str
    fix: str

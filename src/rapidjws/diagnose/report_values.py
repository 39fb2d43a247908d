"""The values of a diagnosis: every check, the causes by rank, and the engine's own verdict.

Security: no token, signature, payload or key bytes, unless the caller asked for the token.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rapidjws.diagnose.values import Cause, Check
from rapidjws.errors import CODES, Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportValues:
    """The values of a diagnosis.

    Attributes:
        code: The engine's refusal, a key of ``CODES``; None where the engine accepts the token.
        place: Where the engine refused, or None.
        message: The engine's words; empty where it accepts.
        checks: Every check, section by section.
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

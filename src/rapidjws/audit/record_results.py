"""Which records a verification looks at again, and what it found of some in a row."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from rapidjws._checks import checked
from rapidjws.audit.bundle_check import FINDINGS_MAX, Finding

SECOND_US: Final = 1_000_000


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which records a verification looks at again.

    Args:
        since_us: From this moment on, microseconds since the epoch.
        until_us: Before this moment.
        issuer: Of this issuer.
        partner: Of this partner.
    """

    since_us: int | None = None
    until_us: int | None = None
    issuer: str | None = None
    partner: str | None = None

    @checked
    def takes(self, record: dict[str, Any]) -> bool:
        """Say whether a record is one of them."""
        return self.takes_time(record.get("time_us", 0)) and self.takes_shape(record)

    def takes_time(self, time_us: int) -> bool:
        """Say whether a record of this time may be one of them."""
        return (self.since_us is None or time_us >= self.since_us) and (
            self.until_us is None or time_us < self.until_us
        )

    def takes_shape(self, record: dict[str, Any]) -> bool:
        """Say whether a record of this issuer and partner may be one of them."""
        return (self.issuer is None or record.get("issuer") == self.issuer) and (
            self.partner is None or record.get("partner") == self.partner
        )

    @property
    def has_times(self) -> bool:
        """Return whether the time of a record matters."""
        return self.since_us is not None or self.until_us is not None


@dataclass(slots=True, kw_only=True)
class RecordResults:
    """What a verification of some records in a row found.

    Attributes:
        records: How many were looked at.
        agreed: How many tokens gave the same verdict again.
        not_verified_again: Why others were not looked at again -> how many.
        lost: How many decisions gap records stand for.
        findings: What is not as it was decided.
        first_us: The time of the first decision.
        last_us: The time of the last one.
    """

    records: int = 0
    agreed: int = 0
    not_verified_again: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    findings: list[Finding] = field(default_factory=list)
    first_us: int | None = None
    last_us: int | None = None

    def find(self, code: str, place: str, record: int | None = None, **more: str | None) -> None:
        """Add what was found."""
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(Finding(code=code, place=place, record=record, **more))

    def pass_time(self, time_us: int) -> None:
        """Note a decision's time, and where the clock stepped back."""
        if self.last_us is None:
            self.first_us = time_us
        elif time_us < self.last_us - SECOND_US:
            self.step_back()
        self.last_us = time_us

    def step_back(self) -> None:
        """Count a clock that stepped back."""
        self.not_verified_again["clock stepped back (noted only)"] += 1

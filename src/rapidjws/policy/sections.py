"""The rollout's part of the configuration file: the sections ``rollout`` and ``partners``."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

from rapidjws.errors import error_for
from rapidjws.policy.guardrails import GuardRails
from rapidjws.policy.partner import Partner
from rapidjws.policy.rollout import Rollout, first_plan
from rapidjws.policy.stages import checked_phase
from rapidjws.policy.state import MemoryState, PlanState, StateFolder

_RAILS: Final = ("max_error_rate", "min_evidence", "window_s", "automatic_rollback", "rollback_error_rate")
_LISTS: Final = ("issuers", "algorithms", "required_claims", "scopes")


def moment_s(place: str, text: str) -> int:
    """Return a moment out of ``2027-01-31`` (its first second, UTC) or ``2027-01-31T12:00:00+01:00``.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise error_for("configuration_invalid", place, expected="a date, 2027-01-31", actual=text) from None
    if found.tzinfo is None:
        found = found.replace(tzinfo=timezone.utc)
    return int(found.timestamp())


def partner_from(section: dict[str, Any]) -> Partner:
    """Return a partner out of its table.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """
    settings = dict(section)
    for name in _LISTS:
        if isinstance(settings.get(name), str):
            settings[name] = [settings[name]]
    if "allow_listed_until" in settings:
        until = settings.pop("allow_listed_until")
        settings["allow_listed_until_s"] = moment_s("partner.allow_listed_until", until)
    retiring = settings.pop("retiring", [])
    dates = {}
    for entry in [retiring] if isinstance(retiring, str) else retiring:
        alg, _, date = entry.partition(" ")
        dates[alg] = moment_s("partner.retiring", date)
    return Partner(**settings, retiring=dates)


def rollout_from(
    section: dict[str, Any], partners: list[dict[str, Any]], *, folder: Path, issuer_leeway_s: int
) -> Rollout:
    """Return the rollout of a configuration file; without a section ``rollout``, enforcement.

    Args:
        section: The table ``rollout``.
        partners: The tables ``partners``; one named ``default`` holds for callers that are no partner.
        folder: What paths are relative to.
        issuer_leeway_s: The smallest leeway of the issuers.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """
    until = section.get("enforce_on")
    enforce_on_s = None if until is None else moment_s("rollout.enforce_on", until)
    phase = checked_phase(section.get("phase", "enforcement"))
    initial = first_plan(phase, enforce_on_s=enforce_on_s)
    kept = section.get("state")
    state: PlanState = MemoryState(initial) if kept is None else StateFolder(folder / kept, initial)
    made = [partner_from(one) for one in partners]
    return Rollout(
        [one for one in made if one.name != "default"],
        default=next((one for one in made if one.name == "default"), None),
        state=state,
        guard_rails=GuardRails(**{name: section[name] for name in _RAILS if name in section}),
        issuer_leeway_s=issuer_leeway_s,
    )

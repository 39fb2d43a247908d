"""The rollout's part of the configuration file: the sections ``rollout`` and ``partners``."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rapidjws.config.moments import moment_s
from rapidjws.errors import error_for
from rapidjws.jose.limits import LEEWAY_DEFAULT_S
from rapidjws.keys.discovery import metadata_urls
from rapidjws.rollout.guardrails import GuardRails
from rapidjws.rollout.partner import Partner
from rapidjws.rollout.plan import PHASES, checked_phase
from rapidjws.rollout.rollout import Rollout, first_plan
from rapidjws.rollout.shadow import Shadow
from rapidjws.rollout.state import PLAN_FILE, MemoryState, PlanState, StateFolder, read_plan
from rapidjws.verify.key_selection import SPIFFE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rapidjws.config.read import LoadedConfig

_RAILS: Final = ("max_error_rate", "min_evidence", "window_s", "automatic_rollback", "rollback_error_rate")
_ADDRESSES: Final = ("jwks_url", "certificates_url", "pem_url", "spiffe_bundle_url")
_PATHS: Final = ("jwks_file", "pem_path")
_LISTS: Final = ("issuers", "algorithms", "required_claims", "scopes")


def shadow_from(section: dict[str, Any]) -> Shadow | None:
    """Return the comparison that a table ``shadow`` asks for, or None where it is empty.

    Raises:
        ConfigurationError: ``configuration_invalid``: among others, the incumbent cannot be imported.
    """
    if not section:
        return None
    settings = dict(section)
    module, _, name = str(settings.pop("incumbent", "")).partition(":")
    try:
        incumbent = getattr(import_module(module), name)
    except Exception as fault:  # it is somebody else's module: whatever it raises, it cannot be had
        expected = "module:callable"
        raise error_for("configuration_invalid", "shadow.incumbent", expected, type(fault).__name__) from None
    return Shadow(incumbent, **settings)


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
    section: dict[str, Any],
    partners: list[dict[str, Any]],
    *,
    folder: Path,
    issuer_leeway_s: int,
    shadow: Shadow | None = None,
    key_sources: Mapping[str, str] | None = None,
    partners_named: bool = False,
    for_reading: bool = False,
) -> Rollout:
    """Return the rollout of a configuration file; without a section ``rollout``, enforcement.

    Args:
        section: The table ``rollout``.
        partners: The tables ``partners``; one named ``default`` holds for callers that are no partner.
        folder: What paths are relative to.
        issuer_leeway_s: The smallest leeway of the issuers.
        shadow: A comparison with an incumbent, or None.
        key_sources: JWK Set URL -> ``iss``.
        partners_named: Whether the gateway names the partner of each request.
        for_reading: Whether nobody is promoted by it: a plan that lacks a way to attribute requests can then
            be looked at, and taken back.

    Raises:
        ConfigurationError: ``configuration_invalid``, ``attribution_missing``.
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
        shadow=shadow,
        key_sources=key_sources,
        unattributed=section.get("unattributed", "strictest" if for_reading else None),
        partners_named=partners_named,
        case_insensitive_routes=section.get("case_insensitive_routes", False),
    )


def rollout_of(loaded: LoadedConfig, *, shadow: Shadow | None = None, for_reading: bool = False) -> Rollout:
    """Return the rollout of a configuration, out of all its sections that have to do with it.

    Args:
        loaded: The configuration.
        shadow: A comparison with an incumbent, or None.
        for_reading: Whether nobody is promoted by it: then nothing need tell whose a request is.

    Raises:
        ConfigurationError: ``configuration_invalid``, ``attribution_missing``.
    """
    return rollout_from(
        loaded.section("rollout"),
        loaded.tables.get("partners") or [],
        folder=loaded.folder,
        issuer_leeway_s=min(
            (one.get("leeway_s", LEEWAY_DEFAULT_S) for one in loaded.issuers), default=LEEWAY_DEFAULT_S
        ),
        shadow=shadow,
        key_sources=key_sources_of(loaded.issuers, loaded.folder),
        partners_named="partner_header" in loaded.section("server"),
        for_reading=for_reading,
    )


def phase_not_in_force(section: Mapping[str, Any], *, folder: Path) -> str | None:
    """Return in words that a configured phase is stricter than the plan that is kept, or None.

    ``phase`` begins a rollout, and promotions go on from there: who writes a stricter one into the file later
    would believe it in force.

    Args:
        section: The table ``rollout``.
        folder: What paths are relative to.
    """
    kept, phase = section.get("state"), section.get("phase")
    found = _kept_phase(section, folder)
    if phase is None or found is None:
        return None
    if PHASES.index(checked_phase(phase)) <= PHASES.index(found):
        return None
    return (
        f"rollout.phase says {phase}, but only begins a rollout: {kept} holds {found} for everyone; "
        f"'rapidjws rollout promote' makes it stricter"
    )


def lenient_phase(section: Mapping[str, Any], *, folder: Path) -> str | None:
    """Return in words that requests without a good token pass, or None where they are refused.

    Args:
        section: The table ``rollout``.
        folder: What paths are relative to.
    """
    phase = _kept_phase(section, folder) or section.get("phase", "enforcement")
    if phase not in ("detection", "warning"):
        return None
    return f"phase {phase} for everyone: requests without a good token pass as unverified"


def _kept_phase(section: Mapping[str, Any], folder: Path) -> str | None:
    """Return the phase that the kept plan has for everyone; None where no plan can be read."""
    kept = section.get("state")
    if kept is None:
        return None
    try:
        return read_plan(folder / kept / PLAN_FILE)[0].find(None, None)[1].phase_for(None)
    except Exception:  # there is none yet, or the start will say what is wrong with it
        return None


def key_sources_of(issuers: list[dict[str, Any]], folder: Path) -> dict[str, str]:
    """Return what the events of each key source call it -> the ``iss`` it serves, of the tables ``issuers``.

    Args:
        issuers: The tables.
        folder: What their paths are relative to.
    """
    found: dict[str, str] = {}
    for one in issuers:
        name = issuer_name(one)
        found |= {one[kind]: name for kind in _ADDRESSES if kind in one}
        found |= {str(folder / one[kind]): name for kind in _PATHS if kind in one}
        if one.get("discover") is True and name:
            found[metadata_urls(name)[0]] = name
    return found


def issuer_name(table: Mapping[str, Any]) -> str:
    """Return the name of an issuer of its table: the first of its names, or "" where none is compared."""
    return next(iter(issuer_names(table)), "")


def issuer_names(table: Mapping[str, Any]) -> tuple[str, ...]:
    """Return each name of an issuer of its table, whether one text or a list; none where none is compared."""
    if "iss" not in table and "trust_domain" in table:
        return (f"{SPIFFE}{table['trust_domain']}",)
    iss = table.get("iss") or ()
    return (iss,) if isinstance(iss, str) else tuple(map(str, iss)) if isinstance(iss, list) else ()

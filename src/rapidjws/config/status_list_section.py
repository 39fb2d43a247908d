"""The section ``status_lists``: the lists that say which tokens are valid now; a draft."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rapidjws.config.introspection_section import authorities
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jose.limits import TOKEN_CEILING_BYTES
from rapidjws.keys.settings import Transport
from rapidjws.statuslist.status_list_source import StatusListSource
from rapidjws.statuslist.status_lists import StatusLists
from rapidjws.verify.protocols import no_events

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from rapidjws.config.read import LoadedConfig
    from rapidjws.jwt.issuer import Issuer
    from rapidjws.verify.protocols import EventListener

TIMEOUT_S: Final = 5.0
_OF_LIST: Final = ("refresh_s", "stale_limit_s", "max_age_s", "max_list_bytes", "leeway_s")
_TRANSPORT: Final = ("timeout_s", "ca", "refuse_private_addresses", "insecure_allow_http")
_OF_ISSUER: Final = ("url", "issuer", "keys", "algorithms")
"""Arguments of a list that its line in ``lists`` decides."""


def status_lists_of(
    loaded: LoadedConfig, issuers: Iterable[Issuer], events: EventListener = no_events
) -> StatusLists | None:
    """Return the status lists of a configuration, or None.

    Args:
        loaded: The configuration.
        issuers: Its issuers.
        events: Listener.

    Raises:
        ConfigurationError: ``configuration_invalid``, with file, line and setting.
    """
    section = loaded.section("status_lists")
    if not section:
        return None
    try:
        return status_lists_from(section, loaded.folder, list(issuers), events)
    except RapidJWSError as fault:
        loaded.text.refuse(("status_lists", fault.place or ""), str(fault.expected), None)


def status_lists_from(
    section: dict[str, Any], folder: Path, issuers: list[Issuer], events: EventListener = no_events
) -> StatusLists:
    """Return what a table ``status_lists`` asks for; nothing is fetched here.

    Args:
        section: The table.
        folder: What paths are relative to.
        issuers: The configured issuers.
        events: Listener.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """
    named = section.get("lists") or {}
    if not named:
        raise error_for("configuration_invalid", "lists", expected="the URL of each list, with its issuer")
    given: dict[str, Any] = {name: section[name] for name in _TRANSPORT if name in section}
    if "ca" in given:
        given["ca"] = authorities(given["ca"], folder)
    fetching: dict[str, Any] = {"timeout_s": TIMEOUT_S, "max_bytes": TOKEN_CEILING_BYTES + 2, **given}
    transport = Transport(**fetching)
    settings: dict[str, Any] = {name: section[name] for name in _OF_LIST if name in section}
    if "state_dir" in section:
        settings["state_dir"] = str(folder / section["state_dir"])
    sources = [
        _source(url, iss, issuers, transport=transport, events=events, **settings)
        for url, iss in named.items()
    ]
    more = {name: section[name] for name in ("required", "on_failure") if name in section}
    return StatusLists(*sources, events=events, **more)


def _source(url: str, iss: Any, issuers: list[Issuer], **settings: Any) -> StatusListSource:
    signer = next((one for one in issuers if iss in one.names), None)
    if signer is None:
        raise error_for("configuration_invalid", "lists", "configured issuers", str(iss))
    try:
        return StatusListSource(
            url, issuer=signer.name, keys=signer.keys, algorithms=signer.algorithms, **settings
        )
    except RapidJWSError as fault:
        if fault.place not in _OF_ISSUER:
            raise
        raise error_for("configuration_invalid", "lists", fault.expected, fault.actual) from None

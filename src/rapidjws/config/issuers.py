"""The tables ``issuers`` as the engine takes them: rules, key sources, protection against replay."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from rapidjws.config import schema
from rapidjws.config.claim_tables import claim_rules_of
from rapidjws.config.key_sources import key_source_from, picked, place_of
from rapidjws.config.moments import moment_s
from rapidjws.config.stores import replay_from, replay_store_from
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jose.claim_rules import NOT_CHECKED
from rapidjws.jwt.issuer import Issuer
from rapidjws.jwt.tenants import ANY_TENANT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from rapidjws.config.read import LoadedConfig
    from rapidjws.config.schema import Text
    from rapidjws.jose.jwks import JWKSet
    from rapidjws.jwt.replay_rule import Replay
    from rapidjws.verify.protocols import EventListener, KeySource, ReplayStore

_SOURCE_FIELDS: Final = {
    **schema.SOURCE_FIELDS,
    **schema.TRANSPORT_FIELDS,
    **schema.FRESHNESS_FIELDS,
    **schema.UNKNOWN_FIELDS,
}


class IssuerBuilder:
    """Issuers out of their tables; all that are replayed share one store.

    Args:
        replay: The table ``replay``.
        events: Listener.
        timed: Whether it gets the questions to a replay store in memory, for spans.
    """

    def __init__(self, replay: dict[str, Any], events: EventListener, *, timed: bool = False) -> None:
        self._timed = timed
        self._replay = replay
        self._events = events
        self._replay_store: ReplayStore | None = None

    def build(
        self, loaded: LoadedConfig, known: Mapping[str, KeySource]
    ) -> tuple[list[Issuer], dict[str, KeySource]]:
        """Return the issuers of a configuration, and their sources by what identifies these.

        Args:
            loaded: The configuration.
            known: The sources of before: one whose settings stay is used again.

        Raises:
            ConfigurationError: ``configuration_invalid``, with file, line and setting.
        """
        issuers: list[Issuer] = []
        taken: set[str] = set()
        sources: dict[str, KeySource] = {}
        for number, settings in enumerate(loaded.issuers):
            try:
                identity = source_identity(settings)
                source = known.get(identity) or key_source_from(settings, loaded.folder, self._events)
                sources[identity] = source
                issuers.append(issuer_from(settings, source, self._replay_of(settings)))
                if not taken.isdisjoint(issuers[-1].names):
                    raise error_for("configuration_invalid", "iss", "each iss once")
                taken.update(issuers[-1].names)
            except RapidJWSError as fault:
                place = (fault.place or "").partition("[")[0].replace("replay.", "replay_")
                loaded.text.refuse(("issuers", number, place_of(place, settings)), str(fault.expected))
        return issuers, sources

    def build_one(self, text: Text, settings: dict[str, Any], folder: Path) -> Issuer:
        """Return the issuer of a file of its own.

        Args:
            text: The file's text, to say where something stands.
            settings: Its table.
            folder: What paths in it are relative to.

        Raises:
            ConfigurationError: ``configuration_invalid``, with file, line and setting.
        """
        try:
            source = key_source_from(settings, folder, self._events)
            return issuer_from(settings, source, self._replay_of(settings))
        except RapidJWSError as fault:
            place = (fault.place or "").partition("[")[0].replace("replay.", "replay_")
            text.refuse((place_of(place, settings),), str(fault.expected))

    def _replay_of(self, settings: dict[str, Any]) -> Replay | None:
        if not settings.get("replay", False):
            return None
        if self._replay_store is None:
            self._replay_store = replay_store_from(self._replay, self._events, timed=self._timed)
        return replay_from(settings, self._replay_store)


def issuer_from(settings: dict[str, Any], source: KeySource | JWKSet, replay: Replay | None) -> Issuer:
    """Return an issuer out of its table.

    Args:
        settings: The table.
        source: Its keys.
        replay: How its tokens are refused a second time, or None.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """
    issuer = issuer_of(rules_of(settings), keys=source, replay=replay)
    if "rotation_until" in settings:
        moment_s("rotation_until", settings["rotation_until"])
    return issuer


def source_identity(settings: dict[str, Any]) -> str:
    """Return what two tables have in common where one key source serves both."""
    return json.dumps([settings.get("iss"), picked(settings, _SOURCE_FIELDS)], sort_keys=True)


def rules_of(settings: dict[str, Any]) -> dict[str, Any]:
    """Return a table's rules as :class:`Issuer` takes them.

    A file has no ``None`` and no ``NOT_CHECKED``, and a text in it may stand for a list of one.
    """
    rules = picked(settings, schema.RULE_FIELDS)
    for name, kind in schema.RULE_FIELDS.items():
        if kind == schema.TEXTS and isinstance(rules.get(name), str):
            rules[name] = [rules[name]]
    if not rules.pop("check_iss", True) or ("trust_domain" in rules and "iss" not in rules):
        rules["iss"] = None
    if not rules.pop("check_audience", True):
        rules["audience"] = NOT_CHECKED
    if rules.pop("any_tenant", False):
        rules["tenants"] = ANY_TENANT
    if "claims" in rules:
        rules["claims"] = claim_rules_of(rules["claims"])
    return rules


def issuer_of(rules: dict[str, Any], **more: Any) -> Issuer:
    """Return the issuer of a table's rules, by its profile where it names one."""
    profile = rules.pop("profile", None)
    if profile is None:
        return Issuer(**rules, **more)
    return Issuer.profile(profile, **rules, **more)

"""The configuration's JSON Schema: names and types from the schema, defaults from the constructors."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final

from rapidjws.audit.settings import AuditSettings
from rapidjws.authz.authorizer import Authorizer
from rapidjws.config import schema
from rapidjws.config.introspection_section import TIMEOUT_S
from rapidjws.config.key_sources import LAST_GOOD_MAX_AGE_S
from rapidjws.config.setting_words import WORDS
from rapidjws.config.signal_section import SignalSettings
from rapidjws.config.status_list_section import TIMEOUT_S as STATUS_LIST_TIMEOUT_S
from rapidjws.introspection import Introspection, IntrospectionClient, IntrospectionLimits
from rapidjws.jwt.engine import Engine
from rapidjws.jwt.issuer import Issuer
from rapidjws.jwt.registry import IssuerRegistry
from rapidjws.jwt.replay_rule import Replay
from rapidjws.keys.settings import Freshness, Transport, UnknownKids
from rapidjws.middleware.claim_headers import ENCODINGS, HEADERS_MAX
from rapidjws.middleware.token_location import TokenLocation
from rapidjws.observe.logs import LogSettings
from rapidjws.observe.otel import TraceSettings
from rapidjws.rollout.guardrails import GuardRails
from rapidjws.rollout.report.mailing import MailServer
from rapidjws.rollout.shadow import Shadow
from rapidjws.sender import ClientCertificate, DPoP, DPoPNonces
from rapidjws.sidecar.body_settings import BodySettings
from rapidjws.sidecar.settings import ServerSettings
from rapidjws.statuslist import StatusLists, StatusListSource
from rapidjws.stores import RedisRevocations
from rapidjws.stores.replay import MemoryReplayStore
from rapidjws.stores.replay_redis import RedisReplayStore

if TYPE_CHECKING:
    from collections.abc import Callable

_TYPES: Final[dict[str, dict[str, Any]]] = {
    schema.TEXT: {"type": "string"},
    schema.TEXTS: {
        "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
    },
    schema.WHOLE: {"type": "integer"},
    schema.NUMBER: {"type": "number"},
    schema.SWITCH: {"type": "boolean"},
    schema.DATE: {"type": "string"},
    schema.RULES: {"type": "array", "items": {"type": "object", "required": ["name"]}},
    schema.CLAIMS: {"type": "object"},
    schema.CLAIM_HEADERS: {
        "type": "object",
        "maxProperties": HEADERS_MAX,
        "additionalProperties": {
            "anyOf": [
                {"type": "string"},
                {
                    "type": "object",
                    "properties": {"header": {"type": "string"}, "encoding": {"enum": list(ENCODINGS)}},
                    "required": ["header"],
                    "additionalProperties": False,
                },
            ],
        },
    },
}
_MAKERS: Final[dict[str, tuple[Callable[..., Any], ...]]] = {
    "engine": (Engine,),
    "revocations": (RedisRevocations,),
    "replay": (MemoryReplayStore, RedisReplayStore),
    "registry": (IssuerRegistry,),
    "rollout": (GuardRails,),
    "shadow": (Shadow,),
    "authz": (Authorizer,),
    "logs": (LogSettings,),
    "traces": (TraceSettings,),
    "audit": (AuditSettings,),
    "notices": (MailServer,),
    "server": (ServerSettings, TokenLocation),
    "server.body": (BodySettings,),
    "dpop": (DPoP, DPoPNonces),
    "mtls": (ClientCertificate,),
    "introspection": (Introspection, IntrospectionClient, IntrospectionLimits),
    "signals": (SignalSettings,),
    "status_lists": (StatusListSource, StatusLists),
    "issuers": (Issuer, Transport, Freshness, UnknownKids, Replay),
}
UNITS: Final = {"_s": "seconds", "_us": "microseconds", "_bytes": "bytes", "_percent": "percent"}
_NAMED: Final[dict[str, dict[str, str]]] = {
    "server": {"header": "token_header", "scheme": "token_scheme"},
    "dpop": {
        "period_s": "nonce_period_s",
        "required": "nonce_required",
        "on_failure": "replay_on_failure",
    },
    "introspection": {"auth": "client_auth"},
    "issuers": {"identity": "replay_identity", "on_failure": "replay_on_failure"},
}
"""A constructor's argument -> the setting that fills it, where it has another name."""

_CHOSEN: Final[dict[str, dict[str, Any]]] = {
    "engine": {"cache_entries": 0},
    "observability": {"metrics": True, "exemplars": True},
    "introspection": {
        "timeout_s": TIMEOUT_S,
        "refuse_private_addresses": False,
        "insecure_allow_http": False,
    },
    "status_lists": {
        "timeout_s": STATUS_LIST_TIMEOUT_S,
        "refuse_private_addresses": False,
        "insecure_allow_http": False,
    },
    "rollout": {"phase": "enforcement", "case_insensitive_routes": False},
    "issuers": {
        "check_iss": True,
        "check_audience": True,
        "discover": False,
        "any_tenant": False,
        "replay": False,
        "last_good_max_age_s": LAST_GOOD_MAX_AGE_S,
    },
}
"""Defaults that the reading of the file has, and no constructor."""


def unit_of(name: str) -> str | None:
    """Return the unit of a setting, from the end of its name; None where it has none."""
    return next((word for end, word in UNITS.items() if name.endswith(end)), None)


def defaults_of(section: str) -> dict[str, Any]:
    """Return the defaults of a section's settings that are plain values."""
    found: dict[str, Any] = dict(_CHOSEN.get(section, {}))
    for maker in _MAKERS.get(section, ()):
        for name, one in inspect.signature(maker).parameters.items():
            value = list(one.default) if isinstance(one.default, tuple) else one.default
            if isinstance(value, (bool, int, float, str)) or (isinstance(value, list) and value):
                found[_NAMED.get(section, {}).get(name, name)] = value
    return {name: value for name, value in found.items() if name in schema.TABLES[section]}


def _table(section: str, fields: dict[str, str], required: tuple[str, ...] = ()) -> dict[str, Any]:
    defaults = defaults_of(section)
    properties: dict[str, Any] = {}
    for name, kind in fields.items():
        one = properties[name] = dict(_TYPES[kind])
        words, unit = WORDS[section][name], unit_of(name)
        allowed = "; ".join(part for part in (words.allowed, unit and f"in {unit}") if part)
        one["description"] = f"{words.meaning} ({allowed})" if allowed else words.meaning
        if name in defaults:
            one["default"] = defaults[name]
    table: dict[str, Any] = {"type": "object", "additionalProperties": False, "properties": properties}
    return {**table, "required": list(required)} if required else table


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a configuration file."""
    properties = {name: _table(name, fields) for name, fields in schema.SECTIONS.items()}
    properties["server"]["properties"]["body"] = properties.pop("server.body")
    properties["registry"]["required"] = ["folder"]
    issuer = _table("issuers", schema.ISSUER, ("algorithms",))
    unchecked = {"properties": {"check_iss": {"const": False}}, "required": ["check_iss"]}
    issuer["anyOf"] = [{"required": ["iss"]}, unchecked, {"required": ["trust_domain"]}]
    issuer["oneOf"] = [
        {"required": [name], "properties": {name: {"const": True}}}
        if name == "discover"
        else {"required": [name]}
        for name in schema.SOURCES
    ]
    properties["issuers"] = {"type": "array", "minItems": 1, "items": issuer}
    partner = _table("partners", schema.PARTNER, ("name",))
    properties["partners"] = {"type": "array", "items": partner}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "rapidjws configuration",
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        "anyOf": [{"required": ["issuers"]}, {"required": ["registry"]}],
    }

"""The configuration's JSON Schema: names and types from the schema, defaults from the constructors."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final

from rapidjws.engine.engine import Engine
from rapidjws.engine.issuer import Issuer
from rapidjws.gateway.settings import ServerSettings
from rapidjws.keys.settings import Freshness, Transport, UnknownKids
from rapidjws.policy import schema
from rapidjws.policy.guardrails import GuardRails
from rapidjws.policy.shadow import Shadow

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
}
_MAKERS: Final[dict[str, tuple[Callable[..., Any], ...]]] = {
    "engine": (Engine,),
    "rollout": (GuardRails,),
    "shadow": (Shadow,),
    "server": (ServerSettings,),
    "issuers": (Issuer, Transport, Freshness, UnknownKids),
}
UNITS: Final = {"_s": "seconds", "_us": "microseconds", "_bytes": "bytes", "_percent": "percent"}


def _defaults(section: str) -> dict[str, Any]:
    """Return the defaults of a section's settings that are plain values."""
    found: dict[str, Any] = {}
    for maker in _MAKERS.get(section, ()):
        for name, one in inspect.signature(maker).parameters.items():
            value = list(one.default) if isinstance(one.default, tuple) else one.default
            if isinstance(value, (bool, int, float, str)) or (isinstance(value, list) and value):
                found[name] = value
    return found


def _table(section: str, fields: dict[str, str], required: tuple[str, ...] = ()) -> dict[str, Any]:
    defaults = _defaults(section)
    properties: dict[str, Any] = {}
    for name, kind in fields.items():
        one = properties[name] = dict(_TYPES[kind])
        unit = next((word for end, word in UNITS.items() if name.endswith(end)), None)
        if unit is not None:
            one["description"] = f"In {unit}."
        if name in defaults:
            one["default"] = defaults[name]
    table: dict[str, Any] = {"type": "object", "additionalProperties": False, "properties": properties}
    return {**table, "required": list(required)} if required else table


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a configuration file."""
    properties = {name: _table(name, fields) for name, fields in schema.SECTIONS.items()}
    issuer = _table("issuers", schema.ISSUER, ("iss", "algorithms"))
    issuer["oneOf"] = [{"required": ["jwks_url"]}, {"required": ["jwks_file"]}]
    properties["issuers"] = {"type": "array", "minItems": 1, "items": issuer}
    partner = _table("partners", schema.PARTNER, ("name",))
    properties["partners"] = {"type": "array", "items": partner}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "rapidjws configuration",
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        "required": ["issuers"],
    }

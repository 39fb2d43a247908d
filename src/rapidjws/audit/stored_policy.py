"""What a decision rested on, as JSON in side storage: public keys, an engine's key table, and its policy.

Each is named by its digest. An engine is made of them again to verify a token years later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

import orjson

from rapidjws.audit.objects import OBJECTS
from rapidjws.audit.records import canonical, digest
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jose.claim_rules import NOT_CHECKED, NotChecked
from rapidjws.jose.jwk import JWK
from rapidjws.jose.jwks import JWKSet
from rapidjws.jwt.engine import Engine
from rapidjws.jwt.issuer import Issuer

if TYPE_CHECKING:
    from collections.abc import Callable

_ELSEWHERE: Final = ("iss", "keys", "claims", "replay", "required", "show_claims")
_PLAIN: Final = tuple(
    one.name for one in fields(Issuer) if one.init and one.name not in _ELSEWHERE and one.name[0] != "_"
)
"""What an issuer is made of, but its names, its keys and what changes no verdict on a token alone."""

NOT_COMPARED: Final = {"not compared": True}
NOT_STORED: Final = "not stored"
"""Stands for a rule that is a function, or another object that JSON has no form for."""


class StoredPolicy:
    """What the decisions of one snapshot of an engine rest on.

    Attributes:
        policy: The digest of the policy.
        generation: The digest of the key table.
        objects: Digest -> the JSON, of keys, table and policy.
    """

    __slots__ = ("generation", "objects", "policy")

    def __init__(self, engine: Engine) -> None:
        snapshot = engine._snapshot
        self.objects: dict[str, bytes] = {}
        keys: dict[str, list[str]] = {}
        for prepared, iss in snapshot.slots:
            named = keys.setdefault(iss or "", [])
            if prepared.jwk.kty != "oct":  # a secret is never stored
                found = self._store(prepared.jwk.as_dict())
                if found not in named:
                    named.append(found)
        self.generation = self._store({"kind": "key table", "issuers": keys})
        self.policy = self._store({
            "kind": "policy",
            "issuers": [_rules_of(issuer) for issuer in engine.issuers],
            "max_header_bytes": snapshot.max_header_bytes,
            "max_token_bytes": snapshot.max_token_bytes,
        })  # fmt: skip

    def _store(self, value: Any) -> str:
        octets = canonical(value)
        name = digest(octets)
        self.objects[name] = octets
        return name


def _rules_of(issuer: Issuer) -> dict[str, Any]:
    found: dict[str, Any] = {name: _json(getattr(issuer, name)) for name in _PLAIN}
    found["iss"] = list(issuer.names)
    found["replay"] = issuer.replay is not None
    found["claims"] = {name: _json(rule) for name, rule in issuer.claims.items()}
    return found


def _json(value: Any) -> Any:
    if isinstance(value, NotChecked):
        return NOT_COMPARED
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, (tuple, list)):
        return [_json(one) for one in value]
    if isinstance(value, (set, frozenset)):
        return sorted((_json(one) for one in value), key=str)
    return {NOT_STORED: type(value).__name__}


def engine_of(policy: bytes, table: bytes, key: Callable[[str], bytes]) -> Engine:
    """Return an engine of stored keys and a stored policy.

    Args:
        policy: The policy's JSON.
        table: The key table's JSON.
        key: Gives a key's JSON by its digest.

    Raises:
        ConfigurationError: ``audit_trail_invalid``: they do not make an engine, or not all was stored.
    """
    try:
        rules, keys = orjson.loads(policy), orjson.loads(table)["issuers"]
        issuers = []
        for one in rules["issuers"]:
            settings = {name: _value(one[name], name) for name in _PLAIN}
            names = one["iss"]
            claims = {name: _value(rule, name) for name, rule in one["claims"].items()}
            jwks = [JWK.from_json(key(name)) for name in _keys_of(one, keys)]
            if not jwks:
                continue
            iss = names or None
            issuers.append(Issuer(iss, keys=JWKSet(jwks), claims=claims, **settings))
        return Engine(
            *issuers,
            counters=False,
            max_token_bytes=rules["max_token_bytes"],
            max_header_bytes=rules["max_header_bytes"],
        )
    except (RapidJWSError, ValueError, KeyError, TypeError, AttributeError) as fault:
        if isinstance(fault, RapidJWSError) and str(fault.place).startswith(f"{OBJECTS}/"):
            raise
        raise error_for(
            "audit_trail_invalid", "policy", "a policy and keys that are whole", str(fault)
        ) from None


def _keys_of(rules: Mapping[str, Any], keys: Mapping[str, list[str]]) -> list[str]:
    spiffe = rules["trust_domain"]
    name = f"spiffe://{spiffe}" if spiffe is not None else (rules["iss"] or [""])[0]
    return keys.get(name, [])


def _value(value: Any, name: str) -> Any:
    if value == NOT_COMPARED:
        return NOT_CHECKED
    if isinstance(value, dict) and NOT_STORED in value:
        raise error_for(
            "audit_trail_invalid", f"policy.{name}", "a rule that JSON can hold", value[NOT_STORED]
        )
    return tuple(value) if isinstance(value, list) else value

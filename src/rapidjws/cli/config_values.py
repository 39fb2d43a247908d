"""What is wrong with the values of a configuration: each section goes through the constructor it is for."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from rapidjws.cli.section_values import section_checks
from rapidjws.config import schema
from rapidjws.config.issuers import issuer_of, rules_of
from rapidjws.config.key_sources import check_source, picked
from rapidjws.config.moments import moment_s
from rapidjws.config.named_files import check_certificates
from rapidjws.config.sections import issuer_names, partner_from, rollout_from
from rapidjws.config.stores import replay_from
from rapidjws.errors import RapidJWSError
from rapidjws.jose.jwks import JWKSet
from rapidjws.jwt.issuer import Issuer
from rapidjws.keys.settings import Freshness, UnknownKids, positive_s
from rapidjws.middleware.claim_headers import ClaimHeaders
from rapidjws.stores.replay import MemoryReplayStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Check = Callable[[dict[str, Any]], object]

_NAMES: Final = {
    "url": "jwks_url",
    "template": "pem_url",
    "issuer": "iss",
    "kids": "pem_kids",
    "admin_token": "admin_token_file",
    "hook_secret": "hook_secret_file",
    "header": "token_header",
    "scheme": "token_scheme",
    "cookie": "token_cookie",
    "password": "password_file",
    "allow_listed_until_s": "allow_listed_until",
    "identity": "replay_identity",
    "on_failure": "replay_on_failure",
    "max_entries": "cache_entries",
    "auth": "client_auth",
    "answers": "signed_by",
}
"""What a constructor calls a setting -> what the file calls it, where that is another name."""

_STAND_INS: Final[dict[str, Any]] = {
    "iss": "https://issuer.example",
    "algorithms": ["ES256"],
    "jwks_url": "https://issuer.example/jwks.json",
    "name": "partner",
    "host": "mail.example",
    "endpoint": "http://127.0.0.1:4318",
    "sender": "gateway@mail.example",
    "external_origins": "https://api.example",
    "trusted_peers": "127.0.0.1",
    "incumbent": "json:loads",
}
"""What takes the place of a needed setting that was refused, so that the others are checked as well."""


def value_faults(
    tables: dict[str, Any], broken: set[Any], folder: Path, check_server: Check, *, files: bool, notices: bool
) -> Iterator[schema.Fault]:
    """Yield what the constructors refuse, of the tables whose names and types are good.

    Args:
        tables: All tables.
        broken: Paths of tables whose names or types are wrong, which are passed over.
        folder: What paths are relative to.
        check_server: Raises what is wrong with the table ``server``; reads the files that it names.
        files: Whether files and modules are looked at.
        notices: Whether the files of ``notices`` are.
    """
    yield from _issuer_faults(tables.get("issuers"), broken)
    partners = tables.get("partners")
    good = []
    for number, partner in enumerate(partners if isinstance(partners, list) else ()):
        if ("partners", number) not in broken:
            refused = list(_refused(("partners", number), partner_from, partner, schema.PARTNER))
            yield from refused
            good += [] if refused else [partner]
    server = tables.get("server", {})
    if ("server",) not in broken and "claim_headers" in server:
        refused = list(_claim_header_faults(server["claim_headers"]))
        yield from refused
        if refused:  # each is yielded already, at its own line
            server = {name: value for name, value in server.items() if name != "claim_headers"}
            tables = {**tables, "server": server}
    checked = {} if ("server",) in broken else server
    checks = section_checks(folder, checked, check_server, tables, files=files, notices=files and notices)
    for name, each in checks.items():
        if (name,) not in broken and tables.get(name):
            for check in each:
                yield from _refused((name,), check, tables[name], schema.SECTIONS[name])
    if not {("dpop",), ("replay",), ("server",), ("server.body",)} & broken:
        yield from _unshared_uses(tables, server)
    if ("rollout",) not in broken and ("server",) not in broken:
        section = {name: value for name, value in tables.get("rollout", {}).items() if name != "state"}
        make = partial(
            rollout_from,
            partners=good,
            folder=folder,
            issuer_leeway_s=0,
            partners_named="partner_header" in server,
        )
        yield from _refused(("rollout",), make, section, schema.SECTIONS["rollout"])


def _unshared_uses(tables: dict[str, Any], server: dict[str, Any]) -> Iterator[schema.Fault]:
    """Yield that each worker would take a DPoP proof, or a signed body, once."""
    workers = server.get("workers", 1)
    if workers <= 1 or "redis" in tables.get("replay", {}):
        return
    if tables.get("dpop"):
        yield ("server", "workers"), "1, or replay.redis beside dpop", str(workers)
        return
    for name in ("replay_identity", "nonce_secrets_file"):
        if name in tables.get("server.body", {}):
            yield ("server", "workers"), f"1, or replay.redis beside server.body.{name}", str(workers)
            return


def _issuer_faults(issuers: Any, broken: set[Any]) -> Iterator[schema.Fault]:
    seen: set[Any] = set()
    for number, issuer in enumerate(issuers if isinstance(issuers, list) else ()):
        if ("issuers", number) in broken:
            continue
        names = issuer_names(issuer) or (None,)
        for iss in names:
            if iss is not None and iss in seen:
                at = "trust_domain" if "iss" not in issuer else "iss"
                yield ("issuers", number, at), "each iss once", iss
        if seen and None in {*seen, *names}:
            yield ("issuers", number), "one issuer alone, as one has check_iss = false", None
        seen.update(names)
        for check in (_rules, _transport, _freshness, _unknown_kids, _replay, _last_good, _announced):
            yield from _refused(("issuers", number), check, issuer, schema.ISSUER)


def _claim_header_faults(settings: dict[str, Any]) -> Iterator[schema.Fault]:
    """Yield what is wrong with each header of a claim by itself."""
    for claim, given in settings.items():
        try:
            ClaimHeaders({claim: given})
        except RapidJWSError as fault:
            yield ("server", "claim_headers", claim), _words(fault.expected), _text(fault.actual)


def _refused(
    path: tuple[str | int, ...], make: Check, table: dict[str, Any], fields: dict[str, str]
) -> Iterator[schema.Fault]:
    """Yield what a constructor refuses of a table: one setting after the other, each left out after it."""
    rest, refused = dict(table), set[str]()
    while True:
        try:
            make(rest)
        except RapidJWSError as fault:
            name, expected = _setting_of(fault.place or "", fields), _words(fault.expected)
            if name is not None and name not in table:  # a default that another setting does not go with
                other = next((word for word in re.findall(r"\w+", expected) if word in table), None)
                name, expected = (name, expected) if other is None else (other, f"{name} {expected}")
            if name in refused:
                return  # it lacks what was left out
            yield (path if name is None else (*path, name)), expected, _text(fault.actual)
            if name is None or name not in rest:
                return
            refused.add(name)
            del rest[name]
            if name in _STAND_INS:
                rest[name] = _STAND_INS[name]
        except (TypeError, ValueError, OSError, OverflowError, ImportError) as fault:
            missing = re.findall(r"'(\w+)'", str(fault)) if " missing " in str(fault) else []
            for name in missing if not refused else ():
                yield (*path, name), "a value", "none"
            if not refused and not missing:  # else: the constructor needs what was left out
                yield path, "values that fit", str(fault)
            return
        else:
            return


def _setting_of(place: str, fields: dict[str, str]) -> str | None:
    """Return the setting that an error's place names, as the file calls it."""
    for part in reversed(place.replace("[", ".").split(".")):
        for name in (part, _NAMES.get(part, "")):
            if name in fields:
                return name
    return None


def _words(expected: object) -> str:
    """Return what is allowed in words, a choice of several as a list."""
    if isinstance(expected, (tuple, list)) and expected:
        *some, last = map(str, expected)
        return f"{', '.join(some)} or {last}" if some else last
    return str(expected or "another value")


def _text(value: object) -> str | None:
    return None if value is None else str(value)


# --- issuers -----------------------------------------------------------------------------------------


def _rules(table: dict[str, Any]) -> object:
    return issuer_of(rules_of(table), keys=JWKSet(keys=()))


def _transport(table: dict[str, Any]) -> None:
    if "-----BEGIN" in table.get("ca", ""):
        check_certificates(table["ca"])
    check_source(table)


def _freshness(table: dict[str, Any]) -> object:
    return Freshness(**picked(table, schema.FRESHNESS_FIELDS))


def _unknown_kids(table: dict[str, Any]) -> object:
    return UnknownKids(**picked(table, schema.UNKNOWN_FIELDS))


def _replay(table: dict[str, Any]) -> object:
    made = replay_from(table, MemoryReplayStore(1))
    if not table.get("replay", False):
        return made
    rules = {name: table[name] for name in ("exp_required", "max_age_s") if name in table}
    return Issuer("x", keys=JWKSet(keys=()), algorithms=["ES256"], replay=made, **rules)


def _announced(table: dict[str, Any]) -> None:
    if "rotation_until" in table:
        moment_s("rotation_until", table["rotation_until"])


def _last_good(table: dict[str, Any]) -> None:
    if "last_good_max_age_s" in table:
        positive_s("last_good_max_age_s", table["last_good_max_age_s"])

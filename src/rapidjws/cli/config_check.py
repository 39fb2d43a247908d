"""All that is wrong with a configuration file, found without serving it, fetching keys or making a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rapidjws.engine.engine import Engine
from rapidjws.engine.issuer import Issuer
from rapidjws.errors import RapidJWSError
from rapidjws.jose.jwks import JWKSet
from rapidjws.keys.settings import Freshness, Transport, UnknownKids
from rapidjws.policy import schema
from rapidjws.policy.config import parse_file
from rapidjws.policy.locate import line_of
from rapidjws.policy.sections import partner_from, rollout_from

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PLACES = {"url": "jwks_url"}
_ANY_KEY = (  # the base point of P-256: an engine needs some key, and verifies nothing here
    b'{"keys": [{"kty": "EC", "crv": "P-256", "x": "axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY",'
    b' "y": "T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU"}]}'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong with a configuration.

    Attributes:
        line: On which line, from 1 on; None where that cannot be told.
        key: The setting, ``issuers[0].leeway_s``.
        expected: What is allowed.
        found: What stands there, or None.
    """

    line: int | None
    key: str
    expected: str
    found: str | None

    def __str__(self) -> str:
        """Return it as one line."""
        where = "" if self.line is None else f"{self.line}: "
        found = "" if self.found is None else f", found {self.found}"
        return f"{where}{self.key}: {self.expected} expected{found}"


def problems_of(path: Path, check_server: Callable[[dict[str, Any]], object]) -> list[Problem]:
    """Return all that is wrong with a file, in the order of its lines; nothing where it is good.

    Args:
        path: The file.
        check_server: Raises what is wrong with the table ``server``.
    """
    try:
        text, tables = parse_file(path)
    except RapidJWSError as fault:
        return [
            Problem(
                line=None,
                key=fault.place or path.name,
                expected=str(fault.expected),
                found=_text(fault.actual),
            )
        ]
    found = list(schema.faults(tables))
    broken = {fault[0][:2] if fault[0][0] in ("issuers", "partners") else fault[0][:1] for fault in found}
    found += _value_faults(tables, broken, path.parent, check_server)
    problems = [
        Problem(
            line=line_of(text.text, where, is_json=text.is_json),
            key=_dotted(where),
            expected=expected,
            found=actual,
        )
        for where, expected, actual in found
    ]
    return sorted(problems, key=lambda one: one.line or 0)


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _dotted(path: tuple[str | int, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


def _value_faults(
    tables: dict[str, Any], broken: set[Any], folder: Path, check_server: Callable[[dict[str, Any]], object]
) -> Iterator[schema.Fault]:
    """Yield what the constructors refuse, of the tables whose names and types are good."""
    issuers = tables.get("issuers")
    seen: set[Any] = set()
    for number, issuer in enumerate(issuers if isinstance(issuers, list) else ()):
        if ("issuers", number) in broken:
            continue
        if issuer["iss"] in seen:
            yield ("issuers", number, "iss"), "each iss once", issuer["iss"]
        seen.add(issuer["iss"])
        for check in (_rules, _transport, _freshness, _unknown_kids):
            yield from _refused(("issuers", number), check, issuer)
        if "jwks_file" in issuer and not (folder / issuer["jwks_file"]).is_file():
            yield ("issuers", number, "jwks_file"), "a file that is there", issuer["jwks_file"]
    partners = tables.get("partners")
    good = []
    for number, partner in enumerate(partners if isinstance(partners, list) else ()):
        if ("partners", number) not in broken:
            refused = list(_refused(("partners", number), partner_from, partner))
            yield from refused
            good += [] if refused else [partner]
    server = tables.get("server", {})
    if ("server",) not in broken:
        yield from _refused(("server",), check_server, server)
    if ("rollout",) not in broken and ("server",) not in broken:
        section = {name: value for name, value in tables.get("rollout", {}).items() if name != "state"}
        named = "partner_header" in server
        make = lambda table: rollout_from(table, good, folder=folder, issuer_leeway_s=0, partners_named=named)  # noqa: E731
        yield from _refused(("rollout",), make, section)
    if ("engine",) not in broken:
        yield from _refused(("engine",), _engine, tables.get("engine", {}))


def _refused(
    path: tuple[str | int, ...], make: Callable[[Any], object], table: Any
) -> Iterator[schema.Fault]:
    """Yield what a constructor refuses of a table."""
    try:
        make(table)
    except RapidJWSError as fault:
        place = (fault.place or "").rpartition(".")[2].partition("[")[0]
        name = _PLACES.get(place, place)
        yield (
            (*path, name) if name in table or name in schema.ISSUER else path,
            str(fault.expected),
            _text(fault.actual),
        )
    except (TypeError, ValueError, OSError) as fault:
        yield path, "values that fit", str(fault)


def _picked(table: dict[str, Any], fields: dict[str, str]) -> dict[str, Any]:
    return {name: table[name] for name in fields if name in table}


def _rules(table: dict[str, Any]) -> object:
    return Issuer(**_picked(table, schema.RULE_FIELDS), keys=JWKSet(keys=()))


def _transport(table: dict[str, Any]) -> object:
    transport = Transport(**_picked(table, schema.TRANSPORT_FIELDS))
    return transport.check_url(table["jwks_url"]) if "jwks_url" in table else transport


def _freshness(table: dict[str, Any]) -> object:
    return Freshness(**_picked(table, schema.FRESHNESS_FIELDS))


def _unknown_kids(table: dict[str, Any]) -> object:
    return UnknownKids(**_picked(table, schema.UNKNOWN_FIELDS))


def _engine(table: dict[str, Any]) -> object:
    settings = {name: value for name, value in table.items() if name != "cache_entries"}
    issuer = Issuer("https://issuer.example", keys=JWKSet.from_json(_ANY_KEY), algorithms=["ES256"])
    return Engine(issuer, **settings)

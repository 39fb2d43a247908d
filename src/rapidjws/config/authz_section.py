"""The section ``authz`` of the configuration file: rules after the verdict, a table each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rapidjws.authz.amounts import Limit
from rapidjws.authz.authorizer import Authorizer
from rapidjws.authz.claim_conditions import Roles
from rapidjws.authz.delegation import Delegation
from rapidjws.authz.rule import Rule
from rapidjws.authz.signers import Signers
from rapidjws.authz.time_window import TimeWindow
from rapidjws.config.authz_policies import ENGINES, FILES, policies_from
from rapidjws.config.claim_tables import claim_faults, claim_rules_of
from rapidjws.config.moments import moment_s
from rapidjws.errors import RapidJWSError, error_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rapidjws.authz.authorizer import RuleListener
    from rapidjws.config.locate import Path as KeyPath

    Fault = tuple[KeyPath, str, str | None]

TEXT: Final = "text"
TEXTS: Final = "a text, or a list of texts"
TEXT_TABLE: Final = "a table of texts"
TABLE: Final = "a table"
TABLES: Final = "a table, or a list of tables"
SWITCH: Final = "true or false"
DATE: Final = "a date"

RULE: Final[dict[str, str]] = {
    "name": TEXT,
    "phase": TEXT,
    "routes": TEXTS,
    "partners": TEXTS,
    "issuers": TEXTS,
    "methods": TEXTS,
    "hosts": TEXTS,
    "scopes": TEXTS,
    "scopes_any": TEXTS,
    "roles": TABLES,
    "claims": TABLE,
    "claim_equals": TEXT_TABLE,
    "claim_contains": TEXT_TABLE,
    "hours": TABLES,
    "not_before": DATE,
    "not_after": DATE,
    "limits": TABLES,
    "act": TABLE,
    "signers": TABLE,
    "cel": TEXTS,
    "opa": TABLES,
    "rego": TABLES,
    "cedar": TABLES,
    "any_token": SWITCH,
}
"""The settings of a rule, each with its type."""

_MAKERS: Final[dict[str, Any]] = {
    "roles": Roles,
    "hours": TimeWindow,
    "limits": Limit,
    "act": Delegation,
    "signers": Signers,
}
_PLACES: Final = {"limit": "limits", "time_window": "hours"}
"""What a constructor calls itself -> the setting, where that is another name."""


def rule_from(table: dict[str, Any], folder: Path | None = None) -> Rule:
    """Return a rule out of its table.

    Args:
        table: The table.
        folder: What the paths of policy files are relative to; None where these are not looked at, and the
            rule is always undecided.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """
    settings = dict(table)
    for name, kind in RULE.items():
        value = settings.get(name)
        if (kind == TEXTS and isinstance(value, str)) or (kind == TABLES and isinstance(value, dict)):
            settings[name] = [value]
    if "claims" in settings:
        settings["claims"] = claim_rules_of(settings["claims"])
    for name in ("not_before", "not_after"):
        if name in settings:
            settings[f"{name}_s"] = moment_s(f"rule.{name}", settings.pop(name))
    policies = policies_from(settings, folder)
    if policies:
        settings["policies"] = policies
    for name, maker in _MAKERS.items():
        if name in settings:
            settings[name] = _made(name, maker, settings[name])
    return Rule(**settings)


def _made(name: str, maker: Any, value: Any) -> Any:
    """Return what a table, or a list of them, stands for."""
    if isinstance(value, list):
        return [_made(name, maker, one) for one in value]
    given = {key: [one] if isinstance(one, str) and key in _LISTS else one for key, one in value.items()}
    try:
        return maker(**given)
    except TypeError as fault:  # a name that it does not take, or one that it needs
        raise error_for("configuration_invalid", f"{name}", str(fault).partition(") ")[2]) from None


_LISTS: Final = frozenset({"all_of", "any_of", "days", "units", "actors", "prior_actors", "actor_issuers"})


def authorizer_from(
    section: dict[str, Any], listener: RuleListener | None = None, folder: Path | None = None
) -> Authorizer | None:
    """Return the rules of a table ``authz``, or None where there is no such table.

    Args:
        section: The table.
        listener: Hears of each rule that a request does not meet.
        folder: As for ``rule_from``.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """
    if not section:
        return None
    try:
        rules = [rule_from(one, folder) for one in section.get("rules", [])]
    except ImportError as missing:
        raise error_for("configuration_invalid", "authz.rules", str(missing)) from None
    more = {name: section[name] for name in ("default", "phase") if name in section}
    return Authorizer(rules, listener=listener, **more)


def rule_faults(path: KeyPath, rules: Any) -> Iterator[Fault]:
    """Yield what is wrong with tables of rules, rule by rule."""
    names: dict[str, int] = {}
    for number, table in enumerate(rules):
        at: KeyPath = (*path, number)
        found = list(_shape_faults(at, table))
        if not found:
            found = list(_value_faults(at, table))
        yield from found
        name = table.get("name")
        if isinstance(name, str) and name in names:
            yield (*at, "name"), "each name once", name
        names[str(name)] = number


def _shape_faults(path: KeyPath, table: dict[str, Any]) -> Iterator[Fault]:
    """Yield what is wrong with names and types."""
    for name, value in table.items():
        if name not in RULE:
            yield (*path, name), f"one of {', '.join(RULE)}", "an unknown setting"
        elif not _fits(value, RULE[name]):
            yield (*path, name), RULE[name], type(value).__name__
    if "name" not in table:
        yield (*path, "name"), "a value", "nothing"
    yield from claim_faults(path, table.get("claims"))


def _fits(value: Any, kind: str) -> bool:
    if kind == TEXT:
        return isinstance(value, str)
    if kind == SWITCH:
        return isinstance(value, bool)
    if kind == TEXTS:
        texts = [value] if isinstance(value, str) else value
        return isinstance(texts, list) and bool(texts) and all(isinstance(one, str) for one in texts)
    if kind == TABLE:
        return isinstance(value, dict) and bool(value)
    if kind == TEXT_TABLE:
        return isinstance(value, dict) and bool(value) and all(isinstance(one, str) for one in value.values())
    if kind == TABLES:
        tables = [value] if isinstance(value, dict) else value
        return isinstance(tables, list) and bool(tables) and all(isinstance(one, dict) for one in tables)
    return True  # dates are read by what takes them


def policy_file_faults(section: Any, folder: Path) -> Iterator[Fault]:
    """Yield what is wrong with the files that the rules of a section ``authz`` name.

    Args:
        section: The section; tables and values of another type than they must have are passed over.
        folder: What paths are relative to.
    """
    rules = section.get("rules") if isinstance(section, dict) else None
    for number, table in enumerate(rules if isinstance(rules, list) else ()):
        path = ("authz", "rules", number)
        if isinstance(table, dict) and _names_files(table) and not list(_shape_faults(path, table)):
            yield from _value_faults(path, table, folder)


def _names_files(table: dict[str, Any]) -> bool:
    tables = [(name, table[name]) for name in ENGINES if name in table]
    return any(
        key in one
        for name, found in tables
        for one in (found if isinstance(found, list) else [found])
        for key in FILES[name]
        if isinstance(one, dict)
    )


def _value_faults(path: KeyPath, table: dict[str, Any], folder: Path | None = None) -> Iterator[Fault]:
    try:
        rule_from(table, folder)
    except ImportError as missing:
        yield path, str(missing), None
    except RapidJWSError as fault:
        kind, _, rest = (fault.place or "").partition(".")
        name = rest.partition(".")[0].partition("[")[0] if kind == "rule" else _PLACES.get(kind, kind)
        where = (*path, name) if name in table else path
        yield where, str(fault.expected), None if fault.actual is None else str(fault.actual)

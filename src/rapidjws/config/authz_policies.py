"""Policies of a rule: CEL, OPA, Rego, Cedar; each engine is loaded only where it is named."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from rapidjws import _files
from rapidjws.errors import error_for

if TYPE_CHECKING:
    from pathlib import Path

    from rapidjws.authz.facts import Check, Facts, Unmet
    from rapidjws.authz.rule import Policy

POLICY_MAX_BYTES: Final = 1024 * 1024
ENGINES: Final = ("opa", "rego", "cedar")
LISTS: Final = frozenset({"claims", "headers", "parts"})
FILES: Final = {"rego": ("file",), "cedar": ("file", "entities_file"), "opa": ("authorization_file", "ca")}
"""Settings that name files."""


class UnreadPolicy:
    """A policy whose file is not looked at: nothing is decided by it."""

    blocking = False
    header_fields: frozenset[bytes] = frozenset()
    reads_method = reads_host = False

    def check(self) -> Check:
        """Return a check that is always undecided."""
        from rapidjws.authz.facts import Unmet

        unavailable = Unmet("policy_unavailable", "file")

        def check(facts: Facts) -> Unmet | None:
            return unavailable

        return check


def policies_from(settings: dict[str, Any], folder: Path | None) -> list[Policy]:
    """Take the policies out of a rule's table, and return them.

    Args:
        settings: The table; loses the settings that are policies.
        folder: What paths are relative to; None where files are not looked at.

    Raises:
        ConfigurationError: ``configuration_invalid``.
        ImportError: The engine is not installed.
    """
    found: list[Policy] = []
    expressions = settings.pop("cel", None)
    if expressions is not None:
        from rapidjws.authz.expression import Expression  # the extra cel

        found += [Expression(one) for one in expressions]
    for name in ENGINES:
        for table in settings.pop(name, ()):
            found.append(_policy(name, dict(table), folder))
    return found


def _policy(name: str, table: dict[str, Any], folder: Path | None) -> Policy:
    for key in LISTS & table.keys():
        table[key] = [table[key]] if isinstance(table[key], str) else table[key]
    named = [key for key in FILES[name] if key in table]
    for key in named:
        if not isinstance(table[key], str):
            raise error_for("configuration_invalid", name, f"{key}: a text")
    if name != "opa" and ("file" in table) == ("source" in table):
        raise error_for("configuration_invalid", name, "file, or source")
    if named and folder is None:
        return UnreadPolicy()
    for key in named:
        path = os.path.join(folder or "", table.pop(key))
        if name == "opa":
            table[key] = path
        else:
            table["source" if key == "file" else "entities"] = _read(path, name)
    try:
        made: Policy = _maker(name)(**table)
    except TypeError as fault:  # a name that it does not take, or one that it needs
        raise error_for("configuration_invalid", name, str(fault).partition(") ")[2]) from None
    return made


def _maker(name: str) -> Any:
    if name == "opa":
        from rapidjws.authz.opa import OPAPolicy

        return OPAPolicy
    if name == "rego":
        from rapidjws.authz.rego import RegoPolicy  # the extra rego

        return RegoPolicy
    from rapidjws.authz.cedar import CedarPolicy  # the extra cedar

    return CedarPolicy


def _read(path: str, name: str) -> str:
    try:
        return _files.read_trusted(path, POLICY_MAX_BYTES).decode("utf-8")
    except (OSError, ValueError) as fault:  # no UTF-8 among them
        actual = getattr(fault, "strerror", None) or type(fault).__name__
        raise error_for("configuration_invalid", name, "a policy file that may be trusted", actual) from None

"""What holds of a configuration, setting by setting, and what another one would change; secrets stay apart.

A password in an address is replaced before tables leave a process: what takes its place tells two passwords
apart and costs much to try against a list of them.
"""

from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from rapidjws.config import schema

if TYPE_CHECKING:
    from collections.abc import Mapping

REDACTED: Final = "(redacted)"
ROUNDS: Final = 200_000
_ADDRESSES: Final = (("revocations", "redis"), ("replay", "redis"))
_NAMED_BY: Final = {"issuers": "iss", "partners": "name"}

Kind = Literal["added", "removed", "changed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One setting that differs.

    Attributes:
        kind: ``"added"``, ``"removed"`` or ``"changed"``.
        setting: Which, ``issuers[https://a.example].leeway_s``.
        before: What holds, or None.
        after: What would hold, or None.
        needs: ``"reload"`` or ``"restart"``.
    """

    kind: Kind
    setting: str
    before: Any
    after: Any
    needs: Literal["reload", "restart"]


def without_secrets(tables: Mapping[str, Any], salt: bytes | None = None) -> dict[str, Any]:
    """Return tables whose addresses hold no password.

    Args:
        tables: The configuration.
        salt: What makes passwords comparable with those of tables treated with the same one; None leaves
            nothing of them.
    """
    found = copy.deepcopy(dict(tables))
    for section, name in _ADDRESSES:
        table = found.get(section)
        if isinstance(table, dict) and isinstance(table.get(name), str):
            table[name] = _redacted(table[name], salt)
    return found


def _redacted(url: str, salt: bytes | None) -> str:
    """Return an address with its user, password and query replaced."""
    scheme, mark, rest = url.partition("://")
    if not mark:
        return url if "@" not in url and "?" not in url else REDACTED
    user, at, host = rest.rpartition("@")
    host, query_mark, query = host.partition("?")
    if not at and not query_mark:
        return url
    word = REDACTED
    if salt is not None:
        secret = f"{user}\0{query}".encode("utf-8", "surrogatepass")
        word = f"({hashlib.pbkdf2_hmac('sha256', secret, salt, ROUNDS, 16).hex()})"
    return f"{scheme}://{word if at else ''}{at}{host}{query_mark}{word if query_mark else ''}"


def settings_of(tables: Mapping[str, Any], defaults: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return setting -> value, defaults filled in; issuers by their iss and partners by their name.

    ``notices`` is left out: a service does not read it.

    Args:
        tables: The configuration.
        defaults: Section -> setting -> value.
    """
    found: dict[str, Any] = {}
    for section in schema.SECTIONS:
        if section == "notices":
            continue
        filled = {**defaults.get(section, {}), **tables.get(section, {})}
        found |= {f"{section}.{name}": _plain(section, name, value) for name, value in filled.items()}
    for section, name_of in _NAMED_BY.items():
        for table in tables.get(section, ()):
            filled = {**defaults.get(section, {}), **table}
            names = filled.pop(name_of, "")
            start = f"{section}[{', '.join(names) if isinstance(names, list) else names}]"
            found[start] = True
            found |= {f"{start}.{name}": _plain(section, name, value) for name, value in filled.items()}
    return found


def _plain(section: str, name: str, value: Any) -> Any:
    """Return a value in one form, however the file writes it."""
    kind = schema.TABLES[section].get(name)
    if kind == schema.TEXTS and isinstance(value, str):
        return [value]
    return str(value) if kind == schema.DATE else value


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """Return what differs between two results of :func:`settings_of`, in the order of their names.

    Of an issuer or partner that comes or goes as a whole only that is named.
    """
    found: list[Difference] = []
    whole = ""
    for setting in sorted({*before, *after}):
        old, new = before.get(setting), after.get(setting)
        if (setting in before and setting in after and old == new) or (whole and setting.startswith(whole)):
            continue
        kind: Kind = "added" if setting not in before else "removed" if setting not in after else "changed"
        if setting.endswith("]") and kind != "changed":
            whole = f"{setting}."
        needs: Literal["reload", "restart"] = "reload" if setting.startswith("issuers[") else "restart"
        found.append(Difference(kind=kind, setting=setting, before=old, after=new, needs=needs))
    return found

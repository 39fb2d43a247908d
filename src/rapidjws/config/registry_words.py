"""The settings of the table ``registry``: their types, their words, and what may not stand beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rapidjws.config.words import Words

if TYPE_CHECKING:
    from collections.abc import Iterator

_NUMBER: Final = "a number"
_WHOLE: Final = "a whole number"

FIELDS: Final = {
    "folder": "text",
    "max_issuers": _WHOLE,
    "lookup_timeout_s": _NUMBER,
    "refresh_s": _NUMBER,
    "stale_limit_s": _NUMBER,
    "unknown_ttl_s": _NUMBER,
    "unknown_per_minute": _WHOLE,
}
"""Setting -> its type, in the words of ``schema``."""

REGISTRY: Final = {
    "folder": Words("folder with a file an issuer, named by its percent-encoded `iss`", default="required"),
    "max_issuers": Words("most issuers in memory whose tokens verify", "1 to 1000000"),
    "lookup_timeout_s": Words("longest wait for an issuer and its first keys", "0 to 60"),
    "refresh_s": Words("after how long an issuer's file is looked at again", "0.1 to 3600"),
    "stale_limit_s": Words("how long an issuer is used while look-ups fail", "`refresh_s` to 2592000"),
    "unknown_ttl_s": Words("how long it is remembered that an issuer has no file", "0 to 86400"),
    "unknown_per_minute": Words("look-ups a minute that may find nothing", "1 to 1000000"),
}  # fmt: skip


def registry_faults(found: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """Yield what is missing in the table, or stands beside it and has no effect.

    Args:
        found: All tables of a file.
    """
    registry = found.get("registry")
    if isinstance(registry, dict):
        if "folder" not in registry:
            yield ("registry", "folder"), "a value", "nothing"
        if isinstance(found.get("engine"), dict) and found["engine"].get("cache_entries"):
            yield ("engine", "cache_entries"), "nothing, as there is a registry", "a value"

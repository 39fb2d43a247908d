"""The part of the configuration file about the audit trail: the section ``audit``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pathlib import Path

    from rapidjws.audit.settings import AuditSettings

PATHS: Final = (
    "folder", "key_file", "pkcs11_pin_file", "content_keys", "content_key_file", "timestamp_roots",
    "timestamp_ca", "witness_ca",
)  # fmt: skip
LISTS: Final = ("partners", "routes", "content", "claims", "kms_regions", "witnesses")


def audit_settings_from(section: dict[str, Any], folder: Path, *, files: bool = True) -> AuditSettings | None:
    """Return the settings of a table ``audit``; None without one.

    Args:
        section: The table.
        folder: What paths are relative to.
        files: Whether the key is looked at as well.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """
    if not section:
        return None
    from rapidjws.audit.settings import AuditSettings  # not where there is no trail: a start is sooner

    settings = dict(section)
    for name in PATHS:
        if settings.get(name):
            settings[name] = str((folder / settings[name]).absolute())
    for name in LISTS:
        if name in settings:
            value = settings[name]
            settings[name] = (value,) if isinstance(value, str) else tuple(value)
    made = AuditSettings(**settings)
    if files:
        made.check_files()
    return made

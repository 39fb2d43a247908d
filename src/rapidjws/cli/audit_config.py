"""The section ``audit`` of a configuration file, for the commands about the trail that it names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rapidjws.cli.audit_erase import fail

if TYPE_CHECKING:
    from pathlib import Path

    from rapidjws.audit.settings import AuditSettings


def configured(config: Path) -> AuditSettings:
    """Return the settings of the trail of a configuration; exit 2 where it has none.

    Raises:
        ConfigurationError: The file, or ``configuration_invalid``.
    """
    from rapidjws.config.audit_section import audit_settings_from
    from rapidjws.config.read import load_config

    loaded = load_config(config, check=False)
    settings = audit_settings_from(loaded.section("audit"), loaded.folder)
    if settings is None:
        fail(f"{config}: no section audit")
    return settings

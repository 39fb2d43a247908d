"""The part of the configuration file about what an operator sees: the section ``logs``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rapidjws._loggers import logger
from rapidjws.observe.log_writer import NOWHERE, STDERR
from rapidjws.observe.logs import LogSettings
from rapidjws.observe.otel import TraceSettings, check_installed, otlp_tracer
from rapidjws.observe.tracing import NO_TRACER

if TYPE_CHECKING:
    from pathlib import Path

    from rapidjws.observe.tracing import Tracer

_log: Final = logger("middleware")

DESTINATIONS: Final = ("destination", "security_destination")
"""Settings that may name a file."""


def is_log_file(value: object) -> bool:
    """Return whether a destination is a file."""
    return isinstance(value, str) and value not in ("", STDERR, NOWHERE)


def tracer_from(section: dict[str, Any] | None) -> Tracer:
    """Return the tracer that a table ``traces`` asks for.

    Returns:
        One that records nothing without a table, and where no thread can be had to send spans: a service
        that cannot be traced verifies all the same.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """
    if not section:
        return NO_TRACER
    settings = TraceSettings(**section)
    try:
        return otlp_tracer(settings)
    except (RuntimeError, MemoryError) as fault:
        _log.warning("no spans until the next start: no thread to send them (%s)", type(fault).__name__)
        return NO_TRACER


def trace_settings_from(section: dict[str, Any]) -> TraceSettings:
    """Return the settings of a table ``traces``; raises ConfigurationError, also without the extra."""
    check_installed()
    return TraceSettings(**section)


def log_settings_from(section: dict[str, Any], folder: Path) -> LogSettings:
    """Return the settings of a table ``logs``.

    Args:
        section: The table.
        folder: What paths are relative to.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """
    settings = dict(section)
    claims = settings.get("claims")
    if claims is not None:
        settings["claims"] = (claims,) if isinstance(claims, str) else tuple(claims)
    for name in DESTINATIONS:
        if is_log_file(settings.get(name)):
            settings[name] = str((folder / settings[name]).absolute())
    return LogSettings(**settings)

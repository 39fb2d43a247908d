"""The service behind ``rapidjws serve``: from a configuration file to workers that decide, and its exit code.

Knows nothing of how a command line is read, whose library costs a start a tenth of a second.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rapidjws.cli.config_check import problems_in
from rapidjws.cli.output import complain
from rapidjws.config.audit_section import audit_settings_from
from rapidjws.config.load import sender_of
from rapidjws.config.log_section import log_settings_from
from rapidjws.config.read import load_config
from rapidjws.config.sections import lenient_phase, phase_not_in_force
from rapidjws.errors import RapidJWSError
from rapidjws.sidecar.app import app_from
from rapidjws.sidecar.server import serve as serve_workers
from rapidjws.sidecar.settings import absolute_address, settings_from

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rapidjws.config.read import LoadedConfig
    from rapidjws.sidecar.settings import ServerSettings
    from rapidjws.verify.precomputed import PrecomputedKeys

WRONG: Final = 2
"""Exit code of a configuration that is not served, and of workers that all ended."""

_OPTIONS: Final = ("config", "listen", "workers")
_DIGITS_MAX: Final = 9


def plain_options(arguments: Sequence[str]) -> dict[str, Any] | None:
    """Return the options of ``rapidjws serve``, or None where the library for command lines is to look.

    Args:
        arguments: What follows ``serve``: each option once, with a value of its own.
    """
    given: dict[str, Any] = {}
    rest = list(arguments)
    while rest:
        word, equals, value = rest.pop(0).partition("=")
        name = word.removeprefix("--")
        if name == word or name not in _OPTIONS or name in given:
            return None
        if not equals:
            if not rest:
                return None
            value = rest.pop(0)
        if not value or value.startswith("-"):
            return None
        given[name] = value
    workers = given.get("workers", "1")
    if "config" not in given or not (workers.isascii() and workers.isdigit() and len(workers) <= _DIGITS_MAX):
        return None
    if "workers" in given:
        given["workers"] = int(workers)
    return {**given, "config": Path(given["config"])}


def run_service(config: Path, listen: str | None = None, workers: int | None = None) -> int:
    """Decide for a gateway until SIGTERM.

    Args:
        config: Configuration file.
        listen: ``host:port`` or ``unix:/path``, instead of the file's.
        workers: Processes, instead of the file's.

    Returns:
        The exit code: 0 after draining, 2 on a wrong configuration.
    """
    given: dict[str, Any] = {}
    if listen is not None:
        given["listen"] = absolute_address(listen, Path())
    if workers is not None:
        given["workers"] = workers
    try:
        loaded = load_config(config, check=False, server=given)
        if _complain_of_problems(loaded):
            return WRONG
        for notice in (phase_not_in_force, lenient_phase):
            words = notice(loaded.section("rollout"), folder=loaded.folder)
            if words is not None:
                print(f"rapidjws serve: {words}", file=sys.stderr, flush=True)
        settings = _server_settings(loaded)
        logs = log_settings_from(loaded.section("logs"), loaded.folder)
        audit = audit_settings_from(loaded.section("audit"), loaded.folder)
        tables = _shared_tables(loaded) if settings.workers > 1 else None  # kept while there are workers
        status = serve_workers(settings, partial(app_from, loaded), logs, audit)
        del tables
        return WRONG if status else 0
    except RapidJWSError as refused:
        complain("serve", refused)
    except OSError as fault:
        complain("serve", fault.strerror or fault)
    return WRONG


def _server_settings(loaded: LoadedConfig) -> ServerSettings:
    """Return how requests are served; what few configurations ask for is imported where one does."""
    body = None
    if bodies := loaded.section("server.body"):
        from rapidjws.sidecar.body_settings import body_settings_from

        body = body_settings_from(bodies, loaded.folder)
    return settings_from(loaded.section("server"), loaded.folder, sender_of(loaded), body)


def _shared_tables(loaded: LoadedConfig) -> PrecomputedKeys:
    """Build tables that several workers share; one worker alone builds its own beside the traffic."""
    from rapidjws.sidecar.shared_tables import build_shared_tables

    return build_shared_tables(loaded)


def _complain_of_problems(loaded: LoadedConfig) -> bool:
    """Write what is wrong with a configuration and all it names, a line each, before anything is forked."""
    problems = problems_in(loaded, lambda table: settings_from(table, loaded.folder))
    for one in problems:
        complain("serve", f"{loaded.path}:{one}")
    return bool(problems)

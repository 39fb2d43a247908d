"""The sections ``dpop`` and ``mtls``: how tokens that are bound to a sender are checked."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from rapidjws import _files
from rapidjws.config.stores import replay_store_from
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.sender.client_certificate import ClientCertificate
from rapidjws.sender.constraints import SenderConstraints
from rapidjws.sender.dpop import DPoP
from rapidjws.sender.dpop_nonce import DPoPNonces
from rapidjws.verify.protocols import no_events

if TYPE_CHECKING:
    from pathlib import Path

    from rapidjws.config.read import LoadedConfig
    from rapidjws.verify.protocols import EventListener

SECRETS_MAX_BYTES: Final = 16 * 1024
_NONCES: Final = {"nonce_period_s": "period_s", "nonce_required": "required"}


def sender_constraints_of(
    loaded: LoadedConfig, events: EventListener = no_events
) -> SenderConstraints | None:
    """Return the checks that a configuration asks for, or None where it has neither section.

    Args:
        loaded: The configuration.
        events: Listener of the replay store.

    Raises:
        ConfigurationError: ``configuration_invalid``, with file, line and setting.
    """
    made: dict[str, Any] = {}
    for name in ("dpop", "mtls"):
        section = loaded.section(name)
        if not section:
            continue
        try:
            made[name] = (
                client_certificate_from(section)
                if name == "mtls"
                else dpop_from(section, loaded.folder, loaded.section("replay"), events)
            )
        except RapidJWSError as fault:
            place = (fault.place or "").rpartition(".")[2]
            loaded.text.refuse((name, place), str(fault.expected), None)
    return SenderConstraints(**made) if made else None


def dpop_from(
    section: dict[str, Any],
    folder: Path,
    replay: dict[str, Any] | None = None,
    events: EventListener = no_events,
    *,
    files: bool = True,
) -> DPoP:
    """Return the checks of a table ``dpop``.

    Args:
        section: The table.
        folder: What paths are relative to.
        replay: The table ``replay``: where proofs are remembered.
        events: Listener.
        files: Whether the secrets are read; False is for a check alone, with random ones in their place.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """
    settings = dict(section)
    if "external_origins" not in settings:
        raise error_for("configuration_invalid", "dpop.external_origins", expected="a value")
    if isinstance(settings.get("algorithms"), str):
        settings["algorithms"] = [settings["algorithms"]]
    kept = settings.pop("nonce_secrets_file", None)
    of_nonces = {mine: settings.pop(name) for name, mine in _NONCES.items() if name in settings}
    if kept is None and of_nonces:
        name = next(name for name in _NONCES if _NONCES[name] in of_nonces)
        raise error_for("configuration_invalid", f"dpop.{name}", expected="nonce_secrets_file beside it")
    if kept is not None:
        secrets = secrets_in(folder / kept, "dpop.nonce_secrets_file") if files else [os.urandom(32)]
        settings["nonces"] = DPoPNonces(secrets=secrets, **of_nonces)
    settings["replay"] = replay_store_from(replay or {}, events)
    if "replay_on_failure" in settings:
        settings["on_failure"] = settings.pop("replay_on_failure")
    return DPoP(**settings)


def client_certificate_from(section: dict[str, Any]) -> ClientCertificate:
    """Return where a table ``mtls`` says that certificates come from; raises ConfigurationError.

    Args:
        section: The table.
    """
    if "trusted_peers" not in section:
        raise error_for("configuration_invalid", "mtls.trusted_peers", expected="a value")
    return ClientCertificate(**section)


def secrets_in(path: Path, place: str) -> list[bytes]:
    """Return the secrets in a file, one a line; raises ConfigurationError with the place."""
    try:
        lines = _files.read_trusted(path, SECRETS_MAX_BYTES).splitlines()
    except (OSError, ValueError) as fault:
        found = (fault.strerror if isinstance(fault, OSError) else None) or type(fault).__name__
        raise error_for("configuration_invalid", place, "a file to read", found) from None
    return [line.strip() for line in lines if line.strip()]

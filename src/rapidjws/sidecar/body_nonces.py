"""The nonces of ``server.body``: their secrets in a file, and where a signed request holds one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rapidjws.config.senders import secrets_in
from rapidjws.middleware.request_nonces import RequestNonces
from rapidjws.sender.dpop_nonce import SECRET_MIN_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from rapidjws.verify.protocols import ReplayStore

NONCE_RULES: Final = ("place", "member", "lifetime_s", "required", "on_failure")
"""Arguments of ``RequestNonces`` that are settings, named so behind ``nonce_``."""


def nonces_of(
    secrets: Path | None, rules: Mapping[str, Any], store: ReplayStore, *, reads_file: bool = True
) -> RequestNonces | None:
    """Return the nonces that settings ask for, or None.

    Args:
        secrets: The file of the secrets, or None for no nonces.
        rules: Each of ``NONCE_RULES``.
        store: Where uses are recorded.
        reads_file: Whether the secrets are read; False checks all else.

    Raises:
        ConfigurationError: ``configuration_invalid``, with the place in ``nonces``.
    """
    if secrets is None:
        return None
    found = secrets_in(secrets, "nonces.secrets") if reads_file else [bytes(SECRET_MIN_BYTES)]
    return RequestNonces(secrets=found, store=store, **rules)

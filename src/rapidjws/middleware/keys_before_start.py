"""Waiting for keys where a protocol has no startup event: who starts the server calls for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rapidjws.middleware.startup import READY_TIMEOUT_S

if TYPE_CHECKING:
    from rapidjws.middleware.authenticator import Authenticator


class KeysBeforeStart:
    """A middleware whose protocol has no startup event: who starts the server waits for keys."""

    _authenticator: Authenticator[Any]

    def wait_ready(self, timeout_s: float = READY_TIMEOUT_S) -> bool:
        """Wait, within a bound, until each required issuer has keys: before the server starts.

        Args:
            timeout_s: Longest wait, in seconds, from 0 to 3600; past it a warning names who has no keys.

        Returns:
            Whether every required issuer has keys.

        Raises:
            ConfigurationError: ``configuration_invalid``: no such bound.
        """
        return self._authenticator.wait_for_keys(timeout_s)

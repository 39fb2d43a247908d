"""Keys from a file, read again when it changes; a bad file changes nothing."""

from __future__ import annotations

from pathlib import Path

from rapidjws import _files
from rapidjws._checks import checked
from rapidjws.errors import RapidJWSError
from rapidjws.keys.polled import PolledSource
from rapidjws.verify.key_set_file import read_key_set
from rapidjws.verify.protocols import Clock, EventListener, no_events


class FileJWKS(PolledSource):
    """Bring an issuer's keys from a JWK Set file; give it to ``Issuer(keys=...)``.

    Args:
        path: The file.
        poll_s: How often it is looked at, in seconds.
        events: Listener.
        clock: Both times.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    @checked
    def __init__(
        self,
        path: str | Path,
        *,
        poll_s: float = 1.0,
        events: EventListener = no_events,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(path, poll_s, events, clock)
        self._seen: _files.Signature | None = None
        self.reload()

    def reload(self) -> bool:
        """Read the file where it changed; return whether the set in use is what it holds."""
        try:
            seen = _files.signature(self.path)
            if seen is not None and seen == self._seen and not self._is_behind:
                return True
            keys = read_key_set(self.path)
        except (OSError, ValueError, RapidJWSError) as fault:  # ValueError: no name that a folder can hold
            word = fault.code if isinstance(fault, RapidJWSError) else _word(fault)
            self._emit("file_refused", detail=word)
            self._answered()
            return False
        if keys.keys:
            self._seen = seen
            with self._lock:
                self._publish_keys(keys)
        else:
            self._tell_skipped(keys)
            self._emit("file_refused", detail="no_usable_key")
        self._answered()
        return bool(keys.keys)


def _word(fault: Exception) -> str:
    """Return why a file was not read, in a stable word."""
    reason = fault.reason if isinstance(fault, _files.FileRefused) else "unreadable"
    return "jwks_too_large" if reason == "too_large" else reason

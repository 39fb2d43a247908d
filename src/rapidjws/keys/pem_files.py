"""Keys from PEM and certificate files, or a folder of them, read again as they change."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from rapidjws import _files
from rapidjws._checks import checked
from rapidjws.errors import KeyRefused, RapidJWSError, error_for
from rapidjws.jose.jwk import JWK
from rapidjws.jose.jwks import JWKSet
from rapidjws.jose.limits import JWK_MAX_BYTES, JWKS_STATIC_MAX_KEYS
from rapidjws.keys.polled import PolledSource
from rapidjws.verify.protocols import Clock, EventListener, no_events

SUFFIXES: Final = frozenset({".pem", ".crt", ".cer", ".cert", ".pub", ".key", ".der"})
"""Files of a folder that are read; their name without this is the kid."""


class PEMFiles(PolledSource):
    """Bring an issuer's keys from a PEM file, or a folder of them; give it to ``Issuer(keys=...)``.

    A file that turns bad changes nothing while it is there; one that goes takes its key with it. Certificates
    are wrappings here: their dates and names are not checked.

    Args:
        path: A file with one public key or certificate, or a folder of such files: ``.pem``, ``.crt``,
            ``.cer``, ``.cert``, ``.pub``, ``.key``, ``.der``. Hidden files are passed over.
        kid: ``"name"``: the file's name without its suffix; ``"any"``: keys answer for any kid. By default
            ``"any"`` for a file and ``"name"`` for a folder.
        poll_s: How often it is looked at, in seconds.
        events: Listener.
        clock: Both times.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    @checked(but=("kid",))
    def __init__(
        self,
        path: str | Path,
        *,
        kid: Literal["name", "any"] | None = None,
        poll_s: float = 1.0,
        events: EventListener = no_events,
        clock: Clock | None = None,
    ) -> None:
        if kid not in (None, "name", "any"):
            raise error_for("configuration_invalid", "kid", expected=("name", "any"), actual=str(kid))
        super().__init__(path, poll_s, events, clock)
        self._kid = kid
        self._seen: dict[Path, _files.Signature | None] = {}
        self._good: dict[Path, JWK] = {}
        self.reload()

    def reload(self) -> bool:
        """Read what changed; return whether the keys in use are those of the files."""
        try:
            whole = self._reload()
        except (OSError, ValueError) as fault:  # ValueError: no name that a folder can hold
            self._emit("file_refused", detail=_word(fault))
            whole = False
        self._answered()
        return whole

    def _reload(self) -> bool:
        names, is_folder = self._names()
        seen = {name: _files.signature(name) for name in names}
        if seen == self._seen and self._state.keys is not None and not self._is_behind:
            return True
        by_name = (self._kid or ("name" if is_folder else "any")) == "name"
        good: dict[Path, JWK] = {}
        whole = True
        for name in names:
            known = self._good.get(name)
            if known is not None and seen[name] is not None and seen[name] == self._seen.get(name):
                good[name] = known
                continue
            try:
                good[name] = _read(name, name.stem if by_name else None)
            except (OSError, ValueError, RapidJWSError) as fault:
                whole = False
                self._emit("file_refused", kid=name.stem if by_name else None, detail=_word(fault))
                if known is not None:
                    good[name] = known
        self._seen, self._good = seen if whole else {}, good
        if not good:
            if whole:
                self._emit("file_refused", detail="no_usable_key")
            return False
        keys = JWKSet(good.values()) if by_name else JWKSet.given(good.values())
        with self._lock:
            self._publish_keys(keys)
        return whole

    def _names(self) -> tuple[list[Path], bool]:
        """Return the files, and whether they are those of a folder."""
        if not self.path.is_dir():
            return [self.path], False
        names = sorted(
            one
            for one in self.path.iterdir()
            if one.suffix.lower() in SUFFIXES and not one.name.startswith(".")
        )
        if len(names) > JWKS_STATIC_MAX_KEYS:
            raise _files.FileRefused("too_large", str(self.path), f"more than {JWKS_STATIC_MAX_KEYS} files")
        return names, True


def _read(name: Path, kid: str | None) -> JWK:
    """Return the one key of a file.

    Raises:
        OSError: It cannot be read, or must not be trusted.
        KeyRefused: It holds no public key, or several.
    """
    octets = _files.read_trusted(name, JWK_MAX_BYTES)
    if name.suffix.lower() == ".der" or octets[:1] == b"\x30":
        return JWK.from_der(octets, kid=kid)
    return JWK.from_pem(octets, kid=kid)


def _word(fault: Exception) -> str:
    """Return why a file was not read, in a stable word."""
    if isinstance(fault, KeyRefused):
        return fault.code
    return fault.reason if isinstance(fault, _files.FileRefused) else "unreadable"

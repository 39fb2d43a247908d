"""Keys that encrypt what is stored beside records (AES-256-GCM): one a month or a subject, each in a file.

A key's file is wrapped under the operator's key and named by a keyed hash of what the key is for. Whoever
removes the file has erased all that the key encrypts; digests and proofs stay.
"""

from __future__ import annotations

import base64
import hmac
import os
import re
from collections.abc import Callable
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path
from typing import Final

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from rapidjws import _files
from rapidjws._checks import check_range, checked
from rapidjws._native import b64url_decode
from rapidjws.errors import CODES, error_for
from rapidjws.jwt.decision import OK

KEY_BYTES: Final = 32
NAME_BYTES: Final = 16
ID_BYTES: Final = 8
HOUR_BYTES: Final = 4
NONCE_BYTES: Final = 12
MAGIC: Final = b"rapidjws content key 1\n"
FILE_BYTES: Final = len(MAGIC) + ID_BYTES + NONCE_BYTES + KEY_BYTES + 16
SEALED_HEAD: Final = NAME_BYTES + ID_BYTES + HOUR_BYTES + NONCE_BYTES
MONTH: Final = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")
HOUR_US: Final = 3_600_000_000
PER: Final = ("month", "subject")
Read = Callable[[bytes], "tuple[bytes, bytes] | None"]
"""Gives the id and the key of a name, or None where it is gone."""

_SIGNED: Final = frozenset({"claims", "policy", "authorization"})
"""Reasons of refusals whose signature was good."""


def month_of(time_us: int) -> str:
    """Return the month of a moment in UTC, as ``2027-01``."""
    return datetime.fromtimestamp(time_us / 1_000_000, timezone.utc).strftime("%Y-%m")


def is_signed(code: str) -> bool:
    """Say whether a decision's code is given only after the signature was good: nobody else can cause it."""
    return code == OK or (code in CODES and CODES[code].reason in _SIGNED and code != "revoked")


def subject_of(token: bytes) -> tuple[str, str] | None:
    """Return issuer and subject that a token states, or None; nothing of it is verified here."""
    parts = token.split(b".", 2)
    octets = b64url_decode(parts[1]) if len(parts) == 3 else None
    try:
        found = orjson.loads(octets or b"0")
    except ValueError:
        return None
    if not isinstance(found, dict) or not isinstance(found.get("sub"), str):
        return None
    iss = found.get("iss")
    return (iss if isinstance(iss, str) else "", found["sub"])


@checked
def read_operator_key(path: str | os.PathLike[str]) -> bytes:
    """Return the 32 octets of the operator's key: 64 hexadecimal digits, or a JWK of type ``oct``.

    Raises:
        ConfigurationError: ``configuration_invalid``: no such key, or others may read it.
    """
    try:
        octets = _files.read_private(path, 4096).strip()
        if octets.startswith(b"{"):
            found = orjson.loads(octets)
            text = str(found["k"]) if found.get("kty") == "oct" else ""
            key = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        else:
            key = bytes.fromhex(octets.decode("ascii"))
    except (OSError, ValueError, KeyError) as fault:
        actual = getattr(fault, "strerror", None) or "another content"
        raise error_for("configuration_invalid", str(path), "a key of 32 octets", actual) from None
    if len(key) != KEY_BYTES:
        raise error_for("configuration_invalid", str(path), "a key of 32 octets", len(key))
    return key


class ContentKeys:
    """The keys of a trail's contents.

    Args:
        folder: Where their files lie: not in the trail, so that a copy of it holds no keys.
        operator_key: 32 octets under which the files are wrapped.
        per: ``"month"``: one key a month (UTC); ``"subject"``: one for each issuer and subject whose token
            had a good signature, and the month's for all else.

    Attributes:
        folder: Where their files lie.
        per: What each is for.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    @checked(under="audit")
    def __init__(self, folder: str | os.PathLike[str], operator_key: bytes, *, per: str = "month") -> None:
        if len(operator_key) != KEY_BYTES:
            raise error_for("configuration_invalid", "operator_key", "32 octets", len(operator_key))
        self._check(per)
        self.folder = Path(folder)
        self.per = per
        self._naming = hmac.digest(operator_key, b"name", "sha256")
        self._wrapping = AESGCM(hmac.digest(operator_key, b"wrap", "sha256"))
        self._made = lru_cache(4096)(self._key)
        self._ciphers = lru_cache(4096)(self._cipher)

    @staticmethod
    def _check(per: str) -> None:
        """Check what a key is for; raises ConfigurationError."""
        if per not in PER:
            raise error_for("configuration_invalid", "audit.content_key_per", "month or subject", per)

    def _name(self, *words: str) -> bytes:
        text = "\0".join(f"{len(one)}:{one}" for one in words)
        return hmac.digest(self._naming, text.encode("utf-8", "replace"), "sha256")[:NAME_BYTES]

    def _month_name(self, month: str) -> bytes:
        """Return the name of a month's key."""
        return self._name("month", month)

    def _subject_name(self, issuer: str, subject: str) -> bytes:
        """Return the name of a subject's key."""
        return self._name("subject", issuer, subject)

    def _path(self, name: bytes) -> Path:
        shown = name.hex()
        return self.folder / shown[:2] / shown

    # --- keys --------------------------------------------------------------------------------------------

    def _stored(self, name: bytes) -> tuple[bytes, bytes] | None:
        """Return id and octets of a key, or None where there is none.

        Raises:
            OSError: It cannot be read.
            ConfigurationError: ``configuration_invalid``: another operator key, or no key.
        """
        try:
            octets = _files.read_trusted(self._path(name), FILE_BYTES, own=True)
        except FileNotFoundError:
            return None
        if len(octets) < FILE_BYTES:  # killed before anything was encrypted under it
            return None
        at = len(MAGIC)
        key_id, nonce = octets[at : at + ID_BYTES], octets[at + ID_BYTES : at + ID_BYTES + NONCE_BYTES]
        try:
            key = self._wrapping.decrypt(nonce, octets[at + ID_BYTES + NONCE_BYTES :], MAGIC + name + key_id)
        except InvalidTag:
            raise error_for(
                "configuration_invalid", str(self._path(name)), "a key under this operator key"
            ) from None
        return key_id, key

    def _key(self, name: bytes) -> tuple[bytes, bytes]:
        """Return id and octets of a key, made and on the disk where there is none; raises as ``_stored``."""
        found = self._stored(name)
        if found is not None:
            return found
        key_id, nonce, key = os.urandom(ID_BYTES), os.urandom(NONCE_BYTES), os.urandom(KEY_BYTES)
        octets = MAGIC + key_id + nonce + self._wrapping.encrypt(nonce, key, MAGIC + name + key_id)
        path = self._path(name)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            _files.write_new(path, octets)
        except FileExistsError:
            found = self._stored(name)
            if found is not None:
                return found
            _files.replace(path, octets)
        _files.sync_folder(path)
        _files.sync_folder(path.parent)
        return key_id, key

    @staticmethod
    def _cipher(key: bytes, hour: int) -> AESGCM:
        """Return the cipher of an hour: no key sees as many records as random nonces allow (2^32)."""
        return AESGCM(hour_key(key, hour.to_bytes(HOUR_BYTES, "big")))

    # --- contents ----------------------------------------------------------------------------------------

    @checked
    def seal(self, plain: bytes, time_us: int, code: str, token: bytes | None) -> bytes:
        """Return content encrypted; raises as ``_stored``.

        Args:
            plain: The content.
            time_us: The time of its record.
            code: The decision's code.
            token: The token, whose subject's key is taken with ``per="subject"``.
        """
        check_range("time_us", time_us, 0, 1 << 53)
        subject = None
        if self.per == "subject" and token is not None and is_signed(code):
            subject = subject_of(token)
        name = self._month_name(month_of(time_us)) if subject is None else self._subject_name(*subject)
        key_id, key = self._made(name)
        hour = time_us // HOUR_US
        nonce = os.urandom(NONCE_BYTES)
        head = name + key_id + hour.to_bytes(HOUR_BYTES, "big")
        return head + nonce + self._ciphers(key, hour).encrypt(nonce, plain, head)

    @checked
    def opened(self, sealed: bytes, place: str) -> bytes | None:
        """Return content in clear, or None where its key is gone.

        Raises:
            ConfigurationError: ``audit_trail_invalid``: it was altered, or another key encrypted it.
        """
        return self._opened(sealed, place, self._read)

    def _opened(self, sealed: bytes, place: str, read: Read) -> bytes | None:
        """Return content in clear by keys that a function gives, as :meth:`opened` does."""
        if len(sealed) < SEALED_HEAD + 16:
            raise error_for("audit_trail_invalid", place, "encrypted content", len(sealed))
        name, key_id = sealed[:NAME_BYTES], sealed[NAME_BYTES : NAME_BYTES + ID_BYTES]
        found = read(name)
        if found is None or found[0] != key_id:
            return None
        end = NAME_BYTES + ID_BYTES + HOUR_BYTES
        hour = int.from_bytes(sealed[end - HOUR_BYTES : end], "big")
        try:
            cipher = self._ciphers(found[1], hour)
            return cipher.decrypt(sealed[end:SEALED_HEAD], sealed[SEALED_HEAD:], sealed[:end])
        except InvalidTag:
            raise error_for(
                "audit_trail_invalid", place, "content as it was encrypted", "other octets"
            ) from None

    def _read(self, name: bytes) -> tuple[bytes, bytes] | None:
        try:
            found = self._stored(name)
        except OSError as fault:
            raise error_for("audit_unavailable", str(self._path(name)), actual=fault.strerror) from None
        return found

    # --- erasing -----------------------------------------------------------------------------------------

    def _ids(self, names: list[bytes]) -> list[str]:
        """Return the ids of those keys that there are; raises ConfigurationError."""
        return [found[0].hex() for found in map(self._read, names) if found is not None]

    def _read_again(self) -> None:
        """Forget what was read, so that files that were removed from outside are seen."""
        self._made.cache_clear()

    def _remove(self, names: list[bytes]) -> None:
        """Remove keys for good; raises OSError."""
        for name in names:
            path = self._path(name)
            if path.exists():
                _files.remove(path)
                _files.sync_folder(path)
        self._made.cache_clear()
        self._ciphers.cache_clear()


def hour_key(key: bytes, hour: bytes) -> bytes:
    """Return the key of an hour, which is given as it stands before the content."""
    return hmac.digest(key, b"hour" + hour, "sha256")


def key_id_of(sealed: bytes) -> str:
    """Return the id of the key that encrypts content."""
    return sealed[NAME_BYTES : NAME_BYTES + ID_BYTES].hex()

"""Signers of this process whose keys come from a file or the environment: JWK, PEM, encrypted PEM."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rapidjws import _files
from rapidjws._checks import checked
from rapidjws._secret_frames import keeps_secrets
from rapidjws.errors import error_for
from rapidjws.jose.jwk import JWK
from rapidjws.signing.backend import SignerLimits
from rapidjws.signing.signer import LocalSigner
from rapidjws.verify.worker_pool import call_on_thread

if TYPE_CHECKING:
    from rapidjws.signing.signer import Signer

KEY_MAX_BYTES: Final = 64 * 1024
_ENCRYPTED: Final = (b"-----BEGIN ENCRYPTED PRIVATE KEY-----", b"Proc-Type: 4,ENCRYPTED")
LOCAL_LIMITS: Final = SignerLimits(is_remote=False)


@keeps_secrets
@checked
def private_key_from(
    octets: bytes, *, passphrase: bytes | None = None, kid: str | None = None, alg: str | None = None
) -> JWK:
    """Read a private key: a JWK, PEM, or PEM under a passphrase (PKCS#8, or OpenSSL's own).

    Args:
        octets: The text.
        passphrase: For encrypted PEM; an error where the key is not encrypted.
        kid: The name of a key in PEM; a JWK has its own.
        alg: The algorithm of a key in PEM; a JWK may have its own.

    Raises:
        KeyRefused: ``key_malformed`` and the others of ``JWK``; nothing of the key is in any message.
    """
    if octets.lstrip()[:1] == b"{":
        if passphrase is not None or kid is not None:
            raise error_for("key_malformed", "key", "PEM, for a passphrase or a kid", "a JWK")
        return JWK.from_json(octets, private=True)
    is_encrypted = any(one in octets for one in _ENCRYPTED)
    if is_encrypted != (passphrase is not None):
        words = "a passphrase" if is_encrypted else "no passphrase"
        raise error_for("key_malformed", "key", words, "encrypted PEM" if is_encrypted else "plain PEM")
    if is_encrypted:
        octets = _decrypted(octets, passphrase)
        return JWK.from_der(octets, kid=kid, alg=alg, private=True)
    return JWK.from_pem(octets, kid=kid, alg=alg, private=True)


def _decrypted(octets: bytes, passphrase: bytes | None) -> bytes:
    """Return the PKCS#8 of an encrypted key."""
    from cryptography.hazmat.primitives import serialization

    kinds = serialization
    try:
        private = kinds.load_pem_private_key(octets, passphrase)
        return private.private_bytes(kinds.Encoding.DER, kinds.PrivateFormat.PKCS8, kinds.NoEncryption())
    except Exception:  # its text may quote what it read
        raise error_for("key_malformed", "key", "an encrypted key, and its passphrase") from None


@keeps_secrets
@checked
def signer_from_environment(
    name: str,
    *,
    alg: str | None = None,
    kid: str | None = None,
    passphrase_name: str | None = None,
    environment: Mapping[str, str] = os.environ,
) -> LocalSigner:
    """Return a signer whose key is in an environment variable, as containers hand secrets over.

    Anybody who can read this process's environment has the key, and so have its children: a file is better.

    Args:
        name: The variable.
        alg: As :class:`LocalSigner`.
        kid: The name of a key in PEM.
        passphrase_name: The variable with its passphrase, or None.
        environment: Where variables are looked up.

    Raises:
        ConfigurationError: ``configuration_invalid``: no such variable.
        KeyRefused: The key cannot be used.
    """
    found = [environment.get(one) for one in (name, passphrase_name) if one is not None]
    if not all(found):
        raise error_for("configuration_invalid", name, "an environment variable that is set")
    passphrase = str(found[1]).encode() if passphrase_name is not None else None
    key = private_key_from(str(found[0]).encode(), passphrase=passphrase, kid=kid, alg=alg)
    return LocalSigner(key, alg)


class FileSigner:
    """A signer whose key is a file that only its owner may read; ``reload`` takes up another key.

    Args:
        path: A JWK or PEM, mode 0600.
        alg: As :class:`LocalSigner`.
        kid: The name of a key in PEM; None for its thumbprint.
        passphrase_file: File with the passphrase of encrypted PEM, mode 0600; one line end at its end is
            left away.

    Raises:
        KeyRefused: ``key_readable_by_others``: the mode of a file; or the key cannot be used.
        DependencyUnavailable: ``key_state_unavailable``: a file cannot be read.
    """

    __slots__ = ("_alg", "_kid", "_lock", "_passphrase_file", "_path", "_seen", "_signer")

    @keeps_secrets
    @checked
    def __init__(
        self,
        path: str | Path,
        *,
        alg: str | None = None,
        kid: str | None = None,
        passphrase_file: str | Path | None = None,
    ) -> None:
        self._path, self._passphrase_file = Path(path), passphrase_file
        self._alg, self._kid = alg, kid
        self._lock = threading.Lock()
        self._seen: Any = None
        _secret(self._path)  # a name that cannot be one of a file is refused here
        self._seen = _files.signature(self._path)
        self._signer = self._read()

    @property
    def alg(self) -> str:
        """Return the registered algorithm name."""
        return self._signer.alg

    @property
    def kid(self) -> str | None:
        """Return the key's kid."""
        return self._signer.kid

    @property
    def public_jwk(self) -> JWK:
        """Return the public key."""
        return self._signer.public

    @property
    def limits(self) -> SignerLimits:
        """Return that it has none."""
        return LOCAL_LIMITS

    def signer(self) -> Signer:
        """Return the signer of this moment: one key, whatever is reloaded meanwhile."""
        return self._signer

    @checked
    def sign(self, signing_input: bytes) -> bytes:
        """Return the JWS Signature over the octets."""
        return self._signer.sign(signing_input)

    @checked
    async def asign(self, signing_input: bytes) -> bytes:
        """Return the JWS Signature, made on a thread."""
        sign: Callable[[], bytes] = lambda: self._signer.sign(signing_input)  # noqa: E731
        return await call_on_thread(sign)

    @keeps_secrets
    def reload(self) -> bool:
        """Read the file again where it changed; a key that cannot be used leaves the old one in place.

        A token names the kid of its header: take ``signer()`` once for each.

        Returns:
            Whether another key signs now.

        Raises:
            KeyRefused, DependencyUnavailable: As the constructor; the old key goes on signing.
        """
        with self._lock:
            seen = _files.signature(self._path)
            if seen == self._seen:
                return False
            fresh = self._read()
            self._seen = seen
            before, self._signer = self._signer, fresh
            return before.public.thumbprint() != fresh.public.thumbprint()

    def _read(self) -> LocalSigner:
        passphrase = None
        if self._passphrase_file is not None:
            passphrase = _secret(self._passphrase_file).removesuffix(b"\n").removesuffix(b"\r")
        octets = _secret(self._path)
        key = private_key_from(octets, passphrase=passphrase, kid=self._kid, alg=self._alg)
        if key.kid is None:
            key = JWK.from_json({**key.as_dict(private=True), "kid": key.thumbprint()}, private=True)
        return LocalSigner(key, self._alg)

    def __repr__(self) -> str:
        signer = getattr(self, "_signer", None)  # none while it is made
        return f"FileSigner(alg={getattr(signer, 'alg', None)!r}, kid={getattr(signer, 'kid', None)!r})"

    def __reduce__(self) -> Any:
        raise TypeError("a FileSigner holds a private key and cannot be pickled")


def _secret(path: str | Path) -> bytes:
    """Return the octets of a file with a secret."""
    try:
        return _files.read_private(path, KEY_MAX_BYTES)
    except _files.FileRefused as refused:
        raise error_for("key_readable_by_others", "key", refused.strerror) from None
    except (OSError, ValueError) as fault:  # ValueError: a name with a NUL, or one that is no text
        why = fault.strerror if isinstance(fault, OSError) else "not a file's name"
        raise error_for("key_state_unavailable", "key", "a file with a key", why) from None

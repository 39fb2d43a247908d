"""Who signs: a small Protocol, and the signer whose key is in this process (RFC 7518 s.3)."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Any, Final, Protocol

from rapidjws._checks import checked
from rapidjws.errors import error_for
from rapidjws.jose import pyca_keys
from rapidjws.jose.jwa import ALGORITHM_TABLE
from rapidjws.jose.jwk import JWK

if TYPE_CHECKING:
    from collections.abc import Callable


class Signer(Protocol):
    """One key and one algorithm that sign octets, wherever the key lives."""

    @property
    def alg(self) -> str:
        """Return the registered algorithm name."""

    @property
    def kid(self) -> str | None:
        """Return the key's kid for the header, or None."""

    def sign(self, signing_input: bytes) -> bytes:
        """Return the JWS Signature: R || S for ECDSA."""


class SignerWrapper:
    """What observes another signer and lets it sign: its algorithm and kid are those of the signer.

    Args:
        signer: Makes the signatures.
    """

    __slots__ = ("_signer",)

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    @property
    def alg(self) -> str:
        """Return the registered algorithm name."""
        return self._signer.alg

    @property
    def kid(self) -> str | None:
        """Return the key's kid for the header, or None."""
        return self._signer.kid


class LocalSigner:
    """A signer with a private JWK, or a shared secret, in this process's memory.

    Args:
        key: A private key (``JWK.from_json(..., private=True)``) or an ``oct`` key.
        alg: The algorithm; may be left out where the key names one or serves one only.

    Raises:
        KeyRefused: ``key_malformed``: no private half; ``key_alg_mismatch``: the key does not serve ``alg``.
    """

    __slots__ = ("_sign", "alg", "kid", "public")

    @checked
    def __init__(self, key: JWK, alg: str | None = None) -> None:
        names = key.algorithms
        if alg is None and len(names) == 1:
            alg = names[0]
        if alg not in names:
            raise error_for("key_alg_mismatch", "alg", expected=names, actual=alg)
        self.alg: str = alg
        self.kid: str | None = key.kid
        self.public: JWK = key.public()
        self._sign = _signing_function(key, alg)

    @checked
    def sign(self, signing_input: bytes) -> bytes:
        """Return the JWS Signature over the octets."""
        return self._sign(signing_input)

    def __repr__(self) -> str:
        return f"LocalSigner(alg={self.alg!r}, kid={self.kid!r})"

    def __reduce__(self) -> Any:
        raise TypeError("a LocalSigner holds a private key and cannot be pickled")


_HASHES: Final = {"sha256": "SHA256", "sha384": "SHA384", "sha512": "SHA512"}


def _signing_function(key: JWK, alg: str) -> Callable[[bytes], bytes]:
    """Return the function that signs octets with this key."""
    row = ALGORITHM_TABLE[alg]
    if row.kind == "hmac":
        secret, digest = key.material[0], str(row.digest)
        return lambda octets: hmac.digest(secret, octets, digest)
    if not key.is_private:
        raise error_for("key_malformed", "key", expected="a private key", actual="a public key")
    private = pyca_keys.private_key(key)
    if row.kind in ("eddsa", "mldsa"):
        return lambda octets: bytes(private.sign(octets))
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding

    digest_class = getattr(hashes, _HASHES[str(row.digest)])
    if row.kind == "rsa_pkcs1":
        return lambda octets: bytes(private.sign(octets, padding.PKCS1v15(), digest_class()))
    if row.kind == "rsa_pss":
        salt_bytes = hashlib.new(str(row.digest)).digest_size  # RFC 7518 s.3.5: as long as the digest
        pss = padding.PSS(padding.MGF1(digest_class()), salt_bytes)
        return lambda octets: bytes(private.sign(octets, pss, digest_class()))
    field_bytes = (row.signature_bytes or 0) // 2
    ecdsa = ec.ECDSA(digest_class())
    return lambda octets: _raw_ecdsa(private.sign(octets, ecdsa), field_bytes)


def _raw_ecdsa(der: bytes, field_bytes: int) -> bytes:
    """Return R || S (RFC 7518 s.3.4) of a signature that libcrypto has just written in DER."""
    at = 3 if der[1] < 0x80 else 4  # X.690 s.8.1.3: a length above 127 takes a byte more
    end = at + 1 + der[at]
    r, s = der[at + 1 : end], der[end + 2 :]
    return r[-field_bytes:].rjust(field_bytes, b"\0") + s[-field_bytes:].rjust(field_bytes, b"\0")

"""EdDSA: Ed25519 and Ed448 with key objects of pyca/cryptography (RFC 8037 s.3.1)."""

from __future__ import annotations

from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey, Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
    load_ssh_public_key,
)

from rapidjws.compat.pyjwt.algorithm import Algorithm, jwk_form, jwk_members
from rapidjws.compat.pyjwt.exceptions import InvalidKeyError
from rapidjws.compat.pyjwt.types import JWKDict
from rapidjws.compat.pyjwt.utils import base64url_decode, base64url_encode, force_bytes

_PRIVATE: Final[dict[str, Any]] = {"Ed25519": Ed25519PrivateKey, "Ed448": Ed448PrivateKey}
_PUBLIC: Final[dict[str, Any]] = {"Ed25519": Ed25519PublicKey, "Ed448": Ed448PublicKey}


class OKPAlgorithm(Algorithm):
    """EdDSA with either curve, as the key says.

    Args:
        kwargs: Ignored, as PyJWT does.
    """

    _crypto_key_types = (Ed25519PrivateKey, Ed25519PublicKey, Ed448PrivateKey, Ed448PublicKey)

    def __init__(self, **kwargs: Any) -> None:
        pass

    def prepare_key(self, key: Any) -> Any:
        """Return a key object: itself, or what PEM or SSH text holds.

        Raises:
            InvalidKeyError: No key of these curves.
            ValueError: A text that holds no key.
        """
        loaded: Any = key
        if isinstance(key, (str, bytes)):
            text = key.decode("utf-8") if isinstance(key, bytes) else key
            octets = force_bytes(key)
            if "-----BEGIN PUBLIC" in text:
                loaded = load_pem_public_key(octets)
            elif "-----BEGIN PRIVATE" in text:
                loaded = load_pem_private_key(octets, password=None)
            elif text.startswith("ssh-"):
                loaded = load_ssh_public_key(octets)
            else:
                raise InvalidKeyError("Not a public or private key")
        self.check_crypto_key_type(loaded)
        return loaded

    def sign(self, msg: str | bytes, key: Any) -> bytes:
        """Return the signature."""
        return bytes(key.sign(force_bytes(msg)))

    def verify(self, msg: str | bytes, key: Any, sig: str | bytes) -> bool:
        """Return whether a signature is the key's."""
        public = key.public_key() if isinstance(key, (Ed25519PrivateKey, Ed448PrivateKey)) else key
        try:
            public.verify(force_bytes(sig), force_bytes(msg))
        except InvalidSignature:
            return False
        return True

    @staticmethod
    def to_jwk(key_obj: Any, as_dict: bool = False) -> JWKDict | str:
        """Return a key as a JWK; raises InvalidKeyError for another object."""
        crv, is_private = _curve_of(key_obj)
        public = key_obj.public_key() if is_private else key_obj
        members = {"x": base64url_encode(_raw(public)).decode(), "kty": "OKP", "crv": crv}
        if is_private:
            d = key_obj.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
            members["d"] = base64url_encode(d).decode()
        return jwk_form(members, as_dict)

    @staticmethod
    def from_jwk(jwk: str | JWKDict) -> Any:
        """Return the key object of a JWK; raises InvalidKeyError."""
        members = jwk_members(jwk, "OKP", "Not an Octet Key Pair")
        crv = members.get("crv")
        if not isinstance(crv, str) or crv not in _PUBLIC:
            raise InvalidKeyError(f"Invalid curve: {crv}")
        if "x" not in members:
            raise InvalidKeyError('OKP should have "x" parameter')
        x = base64url_decode(members["x"])
        try:
            if "d" not in members:
                return _PUBLIC[crv].from_public_bytes(x)
            private = _PRIVATE[crv].from_private_bytes(base64url_decode(members["d"]))
        except ValueError as fault:
            raise InvalidKeyError("Invalid key parameter") from fault
        if _raw(private.public_key()) != x:
            raise InvalidKeyError("Public key does not match private key")
        return private


def _raw(public: Any) -> bytes:
    return bytes(public.public_bytes(Encoding.Raw, PublicFormat.Raw))


def _curve_of(key: Any) -> tuple[str, bool]:
    """Return the curve of a key object, and whether it is private."""
    for is_private, kinds in ((True, _PRIVATE), (False, _PUBLIC)):
        for crv, kind in kinds.items():
            if isinstance(key, kind):
                return crv, is_private
    raise InvalidKeyError("Not a public or private key")

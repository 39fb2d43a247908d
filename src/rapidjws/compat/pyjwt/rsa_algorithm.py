"""RS256 to RS512 and PS256 to PS512 with key objects of pyca/cryptography (RFC 7518 s.3.3, s.3.5)."""

from __future__ import annotations

from typing import Any, ClassVar

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import (
    RSAPrivateKey,
    RSAPrivateNumbers,
    RSAPublicKey,
    RSAPublicNumbers,
    rsa_crt_dmp1,
    rsa_crt_dmq1,
    rsa_crt_iqmp,
    rsa_recover_prime_factors,
)
from cryptography.hazmat.primitives.serialization import (
    load_pem_private_key,
    load_pem_public_key,
    load_ssh_public_key,
)

from rapidjws.compat.pyjwt.algorithm import Algorithm, jwk_form, jwk_members
from rapidjws.compat.pyjwt.exceptions import InvalidKeyError
from rapidjws.compat.pyjwt.types import JWKDict
from rapidjws.compat.pyjwt.utils import force_bytes, from_base64url_uint, to_base64url_uint

_CRT = ("p", "q", "dp", "dq", "qi")


class RSAAlgorithm(Algorithm):
    """RSASSA-PKCS1-v1_5 with one hash.

    Args:
        hash_alg: A hash of pyca/cryptography.
    """

    SHA256: ClassVar[type[hashes.HashAlgorithm]] = hashes.SHA256
    SHA384: ClassVar[type[hashes.HashAlgorithm]] = hashes.SHA384
    SHA512: ClassVar[type[hashes.HashAlgorithm]] = hashes.SHA512
    _crypto_key_types = (RSAPrivateKey, RSAPublicKey)
    _MIN_KEY_SIZE: ClassVar[int] = 2048

    def __init__(self, hash_alg: type[hashes.HashAlgorithm]) -> None:
        self.hash_alg = hash_alg

    def check_key_length(self, key: RSAPrivateKey | RSAPublicKey) -> str | None:
        """Return words for a modulus of less than 2048 bits (RFC 7518 s.3.3), or None."""
        if key.key_size >= self._MIN_KEY_SIZE:
            return None
        return (
            f"The RSA key is {key.key_size} bits long, which is below the minimum recommended size of "
            f"{self._MIN_KEY_SIZE} bits. See NIST SP 800-131A."
        )

    def prepare_key(self, key: Any) -> Any:
        """Return a key object: itself, or what PEM or SSH text holds.

        Raises:
            InvalidKeyError: No RSA key.
            TypeError: Neither a key object nor text.
        """
        if isinstance(key, self._crypto_key_types):
            return key
        if not isinstance(key, (bytes, str)):
            raise TypeError("Expecting a PEM-formatted key.")
        text = force_bytes(key)
        loaded: Any
        try:
            loaded = (
                load_ssh_public_key(text)
                if text.startswith(b"ssh-rsa")
                else load_pem_private_key(text, password=None)
            )
        except ValueError:
            try:
                loaded = load_pem_public_key(text)
            except (ValueError, UnsupportedAlgorithm):
                raise InvalidKeyError("Could not parse the provided public key.") from None
        self.check_crypto_key_type(loaded)
        return loaded

    @staticmethod
    def to_jwk(key_obj: Any, as_dict: bool = False) -> JWKDict | str:
        """Return a key as a JWK; raises InvalidKeyError for another object."""
        if isinstance(key_obj, RSAPrivateKey) or hasattr(key_obj, "private_numbers"):
            private = key_obj.private_numbers()
            numbers = {
                "n": private.public_numbers.n,
                "e": private.public_numbers.e,
                "d": private.d,
                "p": private.p,
                "q": private.q,
                "dp": private.dmp1,
                "dq": private.dmq1,
                "qi": private.iqmp,
            }
            operation = "sign"
        elif hasattr(key_obj, "verify"):
            public = key_obj.public_numbers()
            numbers, operation = {"n": public.n, "e": public.e}, "verify"
        else:
            raise InvalidKeyError("Not a public or private key")
        encoded = {name: to_base64url_uint(number).decode() for name, number in numbers.items()}
        return jwk_form({"kty": "RSA", "key_ops": [operation], **encoded}, as_dict)

    @staticmethod
    def from_jwk(jwk: str | JWKDict) -> Any:
        """Return the key object of a JWK; raises InvalidKeyError."""
        members = jwk_members(jwk, "RSA", "Not an RSA key")
        if "n" not in members or "e" not in members:
            raise InvalidKeyError("Not a public or private key")
        public = RSAPublicNumbers(from_base64url_uint(members["e"]), from_base64url_uint(members["n"]))
        return _private_key(members, public) if "d" in members else public.public_key()

    def sign(self, msg: bytes, key: RSAPrivateKey) -> bytes:
        """Return the signature."""
        return key.sign(msg, self._padding(), self.hash_alg())

    def verify(self, msg: bytes, key: Any, sig: bytes) -> bool:
        """Return whether a signature is the key's."""
        public = key.public_key() if isinstance(key, RSAPrivateKey) else key
        try:
            public.verify(sig, msg, self._padding(), self.hash_alg())
        except InvalidSignature:
            return False
        return True

    def _padding(self) -> Any:
        return padding.PKCS1v15()


class RSAPSSAlgorithm(RSAAlgorithm):
    """RSASSA-PSS with a salt as long as the digest (RFC 7518 s.3.5)."""

    def _padding(self) -> Any:
        return padding.PSS(mgf=padding.MGF1(self.hash_alg()), salt_length=self.hash_alg().digest_size)


def _private_key(members: JWKDict, public: RSAPublicNumbers) -> RSAPrivateKey:
    """Return the private key of a JWK: with all five further numbers, or with none of them."""
    if "oth" in members:  # RFC 7518 s.6.3.2.7
        raise InvalidKeyError("Unsupported RSA private key: > 2 primes not supported")
    there = [name for name in _CRT if name in members]
    if there and len(there) < len(_CRT):  # RFC 7518 s.6.3.2
        raise InvalidKeyError("RSA key must include all parameters if any are present besides d")
    d = from_base64url_uint(members["d"])
    if there:
        p, q, dmp1, dmq1, iqmp = (from_base64url_uint(members[name]) for name in _CRT)
    else:
        p, q = rsa_recover_prime_factors(public.n, d, public.e)
        dmp1, dmq1, iqmp = rsa_crt_dmp1(d, p), rsa_crt_dmq1(d, q), rsa_crt_iqmp(p, q)
    numbers = RSAPrivateNumbers(p=p, q=q, d=d, dmp1=dmp1, dmq1=dmq1, iqmp=iqmp, public_numbers=public)
    return numbers.private_key()

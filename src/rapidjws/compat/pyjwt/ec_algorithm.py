"""ES256, ES256K, ES384 and ES512 with key objects of pyca/cryptography (RFC 7518 s.3.4, RFC 8812 s.3.2)."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256K1,
    SECP256R1,
    SECP384R1,
    SECP521R1,
    EllipticCurve,
    EllipticCurvePrivateKey,
    EllipticCurvePrivateNumbers,
    EllipticCurvePublicKey,
    EllipticCurvePublicNumbers,
)
from cryptography.hazmat.primitives.serialization import (
    load_pem_private_key,
    load_pem_public_key,
    load_ssh_public_key,
)

from rapidjws.compat.pyjwt.algorithm import Algorithm, jwk_form, jwk_members
from rapidjws.compat.pyjwt.exceptions import InvalidKeyError
from rapidjws.compat.pyjwt.types import JWKDict
from rapidjws.compat.pyjwt.utils import (
    base64url_decode,
    der_to_raw_signature,
    force_bytes,
    raw_to_der_signature,
    to_base64url_uint,
)

_CURVES: Final[dict[str, type[EllipticCurve]]] = {
    "P-256": SECP256R1,
    "P-384": SECP384R1,
    "P-521": SECP521R1,
    "secp256k1": SECP256K1,
}


class ECAlgorithm(Algorithm):
    """ECDSA with one hash, and one curve where that is given.

    Args:
        hash_alg: A hash of pyca/cryptography.
        expected_curve: The curve whose keys it takes, or None for any.
    """

    SHA256: ClassVar[type[hashes.HashAlgorithm]] = hashes.SHA256
    SHA384: ClassVar[type[hashes.HashAlgorithm]] = hashes.SHA384
    SHA512: ClassVar[type[hashes.HashAlgorithm]] = hashes.SHA512
    _crypto_key_types = (EllipticCurvePrivateKey, EllipticCurvePublicKey)

    def __init__(
        self, hash_alg: type[hashes.HashAlgorithm], expected_curve: type[EllipticCurve] | None = None
    ) -> None:
        self.hash_alg = hash_alg
        self.expected_curve = expected_curve

    def _validate_curve(self, key: Any) -> None:
        if self.expected_curve is not None and not isinstance(key.curve, self.expected_curve):
            raise InvalidKeyError(
                f"The key's curve '{key.curve.name}' does not match the expected curve "
                f"'{self.expected_curve.name}' for this algorithm"
            )

    def prepare_key(self, key: Any) -> Any:
        """Return a key object: itself, or what PEM or SSH text holds.

        Raises:
            InvalidKeyError: No key of the curve.
            ValueError: A text that holds no key.
            TypeError: Neither a key object nor text.
        """
        if not isinstance(key, self._crypto_key_types):
            if not isinstance(key, (bytes, str)):
                raise TypeError("Expecting a PEM-formatted key.")
            key = self._load(force_bytes(key))
            self.check_crypto_key_type(key)
        self._validate_curve(key)
        return key

    @staticmethod
    def _load(text: bytes) -> Any:
        try:
            return load_ssh_public_key(text) if text.startswith(b"ecdsa-sha2-") else load_pem_public_key(text)
        except ValueError:
            return load_pem_private_key(text, password=None)

    def sign(self, msg: bytes, key: EllipticCurvePrivateKey) -> bytes:
        """Return the signature, R || S."""
        return der_to_raw_signature(key.sign(msg, ECDSA(self.hash_alg())), key.curve)

    def verify(self, msg: bytes, key: Any, sig: bytes) -> bool:
        """Return whether a signature, R || S, is the key's."""
        public = key.public_key() if isinstance(key, EllipticCurvePrivateKey) else key
        try:
            public.verify(raw_to_der_signature(sig, key.curve), msg, ECDSA(self.hash_alg()))
        except (InvalidSignature, ValueError):
            return False
        return True

    @staticmethod
    def to_jwk(key_obj: Any, as_dict: bool = False) -> JWKDict | str:
        """Return a key as a JWK; raises InvalidKeyError for another object or curve."""
        is_private = isinstance(key_obj, EllipticCurvePrivateKey)
        if not is_private and not isinstance(key_obj, EllipticCurvePublicKey):
            raise InvalidKeyError("Not a public or private key")
        crv = next((name for name, kind in _CURVES.items() if isinstance(key_obj.curve, kind)), None)
        if crv is None:
            raise InvalidKeyError(f"Invalid curve: {key_obj.curve}")
        bits = key_obj.curve.key_size
        public = (key_obj.public_key() if is_private else key_obj).public_numbers()
        numbers = {"x": public.x, "y": public.y}
        if is_private:
            numbers["d"] = key_obj.private_numbers().private_value
        encoded = {
            name: to_base64url_uint(number, bit_length=bits).decode() for name, number in numbers.items()
        }
        return jwk_form({"kty": "EC", "crv": crv, **encoded}, as_dict)

    @staticmethod
    def from_jwk(jwk: str | JWKDict) -> Any:
        """Return the key object of a JWK; raises InvalidKeyError, or ValueError for no point of the curve."""
        members = jwk_members(jwk, "EC", "Not an Elliptic curve key")
        if "x" not in members or "y" not in members:
            raise InvalidKeyError("Not an Elliptic curve key")
        x, y = base64url_decode(members["x"]), base64url_decode(members["y"])
        crv = members.get("crv")
        curve = _CURVES.get(crv) if isinstance(crv, str) else None
        if curve is None:
            raise InvalidKeyError(f"Invalid curve: {crv}")
        size = (curve().key_size + 7) // 8
        if len(x) != size or len(y) != size:  # RFC 7518 s.6.2.1.2: the full length
            raise InvalidKeyError(f"Coords should be {size} bytes for curve {crv}")
        point = EllipticCurvePublicNumbers(int.from_bytes(x, "big"), int.from_bytes(y, "big"), curve())
        if "d" not in members:
            return point.public_key()
        d = base64url_decode(members["d"])
        if len(d) != size:  # RFC 7518 s.6.2.2.1
            raise InvalidKeyError(f"D should be {size} bytes for curve {crv}")
        return EllipticCurvePrivateNumbers(int.from_bytes(d, "big"), point).private_key()

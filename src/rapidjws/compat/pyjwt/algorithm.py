"""What an algorithm is to PyJWT: the base class that applications register their own with, and ``none``."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import Any, ClassVar, NoReturn

from cryptography.hazmat.primitives import hashes

from rapidjws.compat.pyjwt.exceptions import InvalidKeyError
from rapidjws.compat.pyjwt.types import JWKDict


class Algorithm(ABC):
    """One algorithm that signs and verifies octets."""

    _crypto_key_types: ClassVar[tuple[type, ...] | None] = None
    engine_name: str | None = None
    """The algorithm of the engine that verifies for it, where it is one of the algorithms built in here."""

    def compute_hash_digest(self, bytestr: bytes) -> bytes:
        """Return the digest of octets by the algorithm's hash; raises NotImplementedError without one."""
        hash_alg = getattr(self, "hash_alg", None)
        if hash_alg is None:
            raise NotImplementedError
        if isinstance(hash_alg, type) and issubclass(hash_alg, hashes.HashAlgorithm):
            digest = hashes.Hash(hash_alg())
            digest.update(bytestr)
            return digest.finalize()
        return bytes(hash_alg(bytestr).digest())

    def check_crypto_key_type(self, key: Any) -> None:
        """Refuse a key object of another kind.

        Raises:
            InvalidKeyError: It is of another kind.
            ValueError: The algorithm takes no key objects.
        """
        if self._crypto_key_types is None:
            raise ValueError("This method is for algorithms whose keys are objects of pyca/cryptography.")
        if not isinstance(key, self._crypto_key_types):
            expected = ", ".join(kind.__name__ for kind in self._crypto_key_types)
            raise InvalidKeyError(
                f"Expected one of {expected}, got: {type(key).__name__}. "
                f"Invalid Key type for {type(self).__name__}"
            )

    @abstractmethod
    def prepare_key(self, key: Any) -> Any:
        """Return a key in the form that ``sign`` and ``verify`` take."""

    @abstractmethod
    def sign(self, msg: bytes, key: Any) -> bytes:
        """Return the signature of octets."""

    @abstractmethod
    def verify(self, msg: bytes, key: Any, sig: bytes) -> bool:
        """Return whether a signature is the key's."""

    @staticmethod
    @abstractmethod
    def to_jwk(key_obj: Any, as_dict: bool = False) -> JWKDict | str:
        """Return a key as a JWK: JSON text, or its members."""

    @staticmethod
    @abstractmethod
    def from_jwk(jwk: str | JWKDict) -> Any:
        """Return the key of a JWK."""

    def check_key_length(self, key: Any) -> str | None:
        """Return words for a key that is too short, or None."""
        return None


class NoneAlgorithm(Algorithm):
    """The name of ``none``, for code that imports it: it signs and accepts nothing (RFC 8725 s.3.2)."""

    def prepare_key(self, key: str | None) -> None:
        """Refuse any key."""
        if key not in ("", None):
            raise InvalidKeyError('When alg = "none", key value must be None.')

    def sign(self, msg: bytes, key: None) -> bytes:
        """Refuse to make an unsigned token."""
        raise NotImplementedError("Algorithm not supported")

    def verify(self, msg: bytes, key: None, sig: bytes) -> bool:
        """Accept nothing."""
        return False

    @staticmethod
    def to_jwk(key_obj: Any, as_dict: bool = False) -> NoReturn:
        """Refuse: there is no such key."""
        raise NotImplementedError

    @staticmethod
    def from_jwk(jwk: str | JWKDict) -> NoReturn:
        """Refuse: there is no such key."""
        raise NotImplementedError


def jwk_members(jwk: Any, kty: str, words: str) -> JWKDict:
    """Return the members of a JWK given as JSON text or as a dict.

    Args:
        jwk: The JWK.
        kty: The type that is due.
        words: The message for another type.

    Raises:
        InvalidKeyError: It is neither, or of another type.
    """
    members = jwk
    if isinstance(jwk, str):
        try:
            members = json.loads(jwk)
        except (ValueError, RecursionError):
            members = None
    if not isinstance(members, dict):
        raise InvalidKeyError("Key is not valid JSON")
    if members.get("kty") != kty:
        raise InvalidKeyError(words)
    return members


def jwk_form(members: JWKDict, as_dict: bool) -> JWKDict | str:
    """Return a JWK's members as they are, or as JSON text."""
    return members if as_dict else json.dumps(members)

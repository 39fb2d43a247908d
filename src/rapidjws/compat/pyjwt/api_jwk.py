"""``PyJWK`` and ``PyJWKSet``: keys from JSON Web Keys (RFC 7517)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any, Final

from rapidjws.compat.pyjwt.algorithms import BUILT_IN
from rapidjws.compat.pyjwt.exceptions import InvalidKeyError, PyJWKError, PyJWKSetError, PyJWTError
from rapidjws.compat.pyjwt.types import JWKDict

_BY_TYPE: Final = {"RSA": "RS256", "oct": "HS256"}
_BY_CURVE: Final = {
    "EC": {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "secp256k1": "ES256K"},
    "OKP": {"Ed25519": "EdDSA"},
}


class PyJWK:
    """One key, bound to one algorithm.

    Args:
        jwk_data: The members of the JWK.
        algorithm: Its algorithm; by default its ``alg``, or what its type and curve say.

    Attributes:
        algorithm_name: The algorithm.
        Algorithm: The algorithm's object.
        key: The key in that object's form.

    Raises:
        InvalidKeyError: The type or the curve is absent or unknown, or the members hold no key.
        PyJWKError: The algorithm is unknown.
    """

    def __init__(self, jwk_data: JWKDict, algorithm: str | None = None) -> None:
        self._jwk_data = jwk_data
        kty = jwk_data.get("kty")
        if not kty:
            raise InvalidKeyError("kty is not found")
        name = algorithm or jwk_data.get("alg") or _name_for(kty, jwk_data.get("crv"))
        self.algorithm_name: str = name
        found = BUILT_IN.get(name) if isinstance(name, str) else None
        if found is None:
            raise PyJWKError(f"Unable to find an algorithm for key: {name!r}")
        self.Algorithm = found
        try:
            self.key: Any = found.from_jwk(jwk_data)
        except (KeyError, TypeError, ValueError, OverflowError) as fault:
            raise InvalidKeyError(f"Unable to construct key from JWK: {type(fault).__name__}") from fault

    @staticmethod
    def from_dict(obj: JWKDict, algorithm: str | None = None) -> PyJWK:
        """Return the key of a JWK's members."""
        return PyJWK(obj, algorithm)

    @staticmethod
    def from_json(data: str, algorithm: str | None = None) -> PyJWK:
        """Return the key of a JWK's JSON text."""
        return PyJWK.from_dict(json.loads(data), algorithm)

    @property
    def key_type(self) -> str | None:
        """Return ``kty``."""
        return self._jwk_data.get("kty")

    @property
    def key_id(self) -> str | None:
        """Return ``kid``."""
        return self._jwk_data.get("kid")

    @property
    def public_key_use(self) -> str | None:
        """Return ``use``."""
        return self._jwk_data.get("use")


def _name_for(kty: Any, crv: Any) -> str:
    """Return the algorithm of a key that names none."""
    if kty in _BY_TYPE:
        return _BY_TYPE[kty]
    if kty not in _BY_CURVE:
        raise InvalidKeyError(f"Unsupported kty: {kty}")
    if not crv:
        if kty == "EC":
            return "ES256"
        raise InvalidKeyError("crv is not found")
    if not isinstance(crv, str) or crv not in _BY_CURVE[kty]:
        raise InvalidKeyError(f"Unsupported crv: {crv}")
    return _BY_CURVE[kty][crv]


class PyJWKSet:
    """The usable keys of a JWK Set; those that are not usable are left out.

    Args:
        keys: The members of each JWK.

    Raises:
        PyJWKSetError: None is usable.
    """

    def __init__(self, keys: list[JWKDict]) -> None:
        self.keys: list[PyJWK] = []
        if not keys:
            raise PyJWKSetError("The JWK Set did not contain any keys")
        if not isinstance(keys, list):
            raise PyJWKSetError("Invalid JWK Set value")
        for key in keys:
            if isinstance(key, dict):
                try:
                    self.keys.append(PyJWK(key))
                except PyJWTError:
                    continue
        if not self.keys:
            raise PyJWKSetError(
                "The JWK Set did not contain any usable keys. Perhaps 'cryptography' is not installed?"
            )

    @staticmethod
    def from_dict(obj: dict[str, Any]) -> PyJWKSet:
        """Return the set of a JWK Set's members."""
        return PyJWKSet(obj.get("keys", []))

    @staticmethod
    def from_json(data: str) -> PyJWKSet:
        """Return the set of a JWK Set's JSON text."""
        return PyJWKSet.from_dict(json.loads(data))

    def __getitem__(self, kid: str) -> PyJWK:
        """Return the first key of a name; raises KeyError."""
        for key in self.keys:
            if key.key_id == kid:
                return key
        raise KeyError(f"keyset has no key for kid: {kid}")

    def __iter__(self) -> Iterator[PyJWK]:
        return iter(self.keys)


class PyJWTSetWithTimestamp:
    """A JWK Set with the time it came, on the monotonic clock."""

    def __init__(self, jwk_set: PyJWKSet) -> None:
        self.jwk_set = jwk_set
        self.timestamp = time.monotonic()

    def get_jwk_set(self) -> PyJWKSet:
        """Return the set."""
        return self.jwk_set

    def get_timestamp(self) -> float:
        """Return when it came, in seconds."""
        return self.timestamp

"""The algorithms of ``jwt.algorithms``, and the table of those built in. ``none`` is not among them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256K1,
    SECP256R1,
    SECP384R1,
    SECP521R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey, Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from rapidjws.compat.pyjwt.algorithm import Algorithm, NoneAlgorithm
from rapidjws.compat.pyjwt.ec_algorithm import ECAlgorithm
from rapidjws.compat.pyjwt.hmac_algorithm import HMACAlgorithm
from rapidjws.compat.pyjwt.okp_algorithm import OKPAlgorithm
from rapidjws.compat.pyjwt.rsa_algorithm import RSAAlgorithm, RSAPSSAlgorithm

__all__ = [
    "Algorithm",
    "AllowedECKeys",
    "AllowedKeys",
    "AllowedOKPKeys",
    "AllowedPrivateKeys",
    "AllowedPublicKeys",
    "AllowedRSAKeys",
    "BUILT_IN",
    "ECAlgorithm",
    "HMACAlgorithm",
    "NoneAlgorithm",
    "OKPAlgorithm",
    "RSAAlgorithm",
    "RSAPSSAlgorithm",
    "get_default_algorithms",
    "has_crypto",
    "requires_cryptography",
]

AllowedRSAKeys: TypeAlias = RSAPrivateKey | RSAPublicKey
AllowedECKeys: TypeAlias = EllipticCurvePrivateKey | EllipticCurvePublicKey
AllowedOKPKeys: TypeAlias = Ed25519PrivateKey | Ed25519PublicKey | Ed448PrivateKey | Ed448PublicKey
AllowedKeys: TypeAlias = AllowedRSAKeys | AllowedECKeys | AllowedOKPKeys
AllowedPrivateKeys: TypeAlias = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey | Ed448PrivateKey
AllowedPublicKeys: TypeAlias = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey | Ed448PublicKey

has_crypto: Final = True
"""Whether pyca/cryptography is there: rapidjws depends on it."""

requires_cryptography: Final = frozenset(
    "RS256 RS384 RS512 ES256 ES256K ES384 ES521 ES512 PS256 PS384 PS512 EdDSA".split()
)
"""The algorithms that PyJWT has only with pyca/cryptography."""


def get_default_algorithms() -> dict[str, Algorithm]:
    """Return a new table of the algorithms built in: PyJWT's without ``none``.

    ``ES521`` is ES512 under the name that early releases of PyJWT gave it.
    """
    found: dict[str, Algorithm] = {
        "HS256": HMACAlgorithm(HMACAlgorithm.SHA256),
        "HS384": HMACAlgorithm(HMACAlgorithm.SHA384),
        "HS512": HMACAlgorithm(HMACAlgorithm.SHA512),
        "RS256": RSAAlgorithm(RSAAlgorithm.SHA256),
        "RS384": RSAAlgorithm(RSAAlgorithm.SHA384),
        "RS512": RSAAlgorithm(RSAAlgorithm.SHA512),
        "ES256": ECAlgorithm(ECAlgorithm.SHA256, SECP256R1),
        "ES256K": ECAlgorithm(ECAlgorithm.SHA256, SECP256K1),
        "ES384": ECAlgorithm(ECAlgorithm.SHA384, SECP384R1),
        "ES521": ECAlgorithm(ECAlgorithm.SHA512, SECP521R1),
        "ES512": ECAlgorithm(ECAlgorithm.SHA512, SECP521R1),
        "PS256": RSAPSSAlgorithm(RSAPSSAlgorithm.SHA256),
        "PS384": RSAPSSAlgorithm(RSAPSSAlgorithm.SHA384),
        "PS512": RSAPSSAlgorithm(RSAPSSAlgorithm.SHA512),
        "EdDSA": OKPAlgorithm(),
    }
    for name, algorithm in found.items():
        algorithm.engine_name = "ES512" if name == "ES521" else name
    return found


BUILT_IN: Final[Mapping[str, Algorithm]] = MappingProxyType(get_default_algorithms())
"""The algorithms that the engine verifies for: these very objects."""

"""The interface of PyJWT 2.x over the engine: ``import rapidjws.compat.pyjwt as jwt``.

It is a first step of a migration: names, arguments, results, warnings and exceptions are PyJWT's. Where it is
stricter on purpose, a table in the documentation says so. New code uses ``Engine``, which knows issuers, key
rotation and outages. Nothing here imports PyJWT.
"""

from rapidjws.compat.pyjwt import algorithms, exceptions, types, utils, warnings
from rapidjws.compat.pyjwt.api_jwk import PyJWK, PyJWKSet
from rapidjws.compat.pyjwt.api_jws import (
    PyJWS,
    get_algorithm_by_name,
    get_unverified_header,
    register_algorithm,
    unregister_algorithm,
)
from rapidjws.compat.pyjwt.api_jwt import PyJWT, decode, decode_complete, encode
from rapidjws.compat.pyjwt.exceptions import (
    DecodeError,
    ExpiredSignatureError,
    ImmatureSignatureError,
    InvalidAlgorithmError,
    InvalidAudienceError,
    InvalidIssuedAtError,
    InvalidIssuerError,
    InvalidJTIError,
    InvalidKeyError,
    InvalidSignatureError,
    InvalidSubjectError,
    InvalidTokenError,
    MissingCryptographyError,
    MissingRequiredClaimError,
    PyJWKClientConnectionError,
    PyJWKClientError,
    PyJWKError,
    PyJWKSetError,
    PyJWTError,
)
from rapidjws.compat.pyjwt.jwks_client import PyJWKClient
from rapidjws.compat.pyjwt.version import __version__
from rapidjws.compat.pyjwt.warnings import InsecureKeyLengthWarning, RemovedInPyjwt3Warning

__all__ = [
    "DecodeError",
    "ExpiredSignatureError",
    "ImmatureSignatureError",
    "InsecureKeyLengthWarning",
    "InvalidAlgorithmError",
    "InvalidAudienceError",
    "InvalidIssuedAtError",
    "InvalidIssuerError",
    "InvalidJTIError",
    "InvalidKeyError",
    "InvalidSignatureError",
    "InvalidSubjectError",
    "InvalidTokenError",
    "MissingCryptographyError",
    "MissingRequiredClaimError",
    "PyJWK",
    "PyJWKClient",
    "PyJWKClientConnectionError",
    "PyJWKClientError",
    "PyJWKError",
    "PyJWKSet",
    "PyJWKSetError",
    "PyJWS",
    "PyJWT",
    "PyJWTError",
    "RemovedInPyjwt3Warning",
    "__version__",
    "algorithms",
    "decode",
    "decode_complete",
    "encode",
    "exceptions",
    "get_algorithm_by_name",
    "get_unverified_header",
    "register_algorithm",
    "types",
    "unregister_algorithm",
    "utils",
    "warnings",
]

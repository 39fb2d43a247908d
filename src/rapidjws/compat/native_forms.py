"""What each name of PyJWT, python-jose and Authlib becomes in the native form; one line a name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple


class NativeForm(NamedTuple):
    """What a name becomes.

    Attributes:
        form: The code to write.
        what: What to know about it.
    """

    form: str
    what: str


_ENGINE: Final = (
    'engine = Engine(Issuer("https://issuer.example", keys=..., algorithms=["ES256"], audience="..."))'
)
_VERIFY: Final = NativeForm(
    "engine.verify(token).claims",
    f"one engine for the process, made at the start: {_ENGINE}",
)
_SIGN: Final = NativeForm(
    'JWTBuilder(LocalSigner(key), iss="...", audience="...").sign(claims)',
    "from rapidjws.signing; writes iat, exp and jti itself",
)
_LOOK: Final = NativeForm(
    "diagnose(token, engine), or the command rapidjws decode",
    "an engine reads the header itself; nothing is to be decided by what is not verified",
)
_REMOTE: Final = NativeForm(
    'Issuer(..., keys=RemoteJWKS("https://issuer.example/jwks.json"))',
    "from rapidjws.keys; fetched beside the traffic, no request waits",
)
_KEY_OF_TOKEN: Final = NativeForm("engine.verify(token)", "the engine chooses the issuer's key by kid itself")
_JWK: Final = NativeForm(
    "JWK.from_json(members)", "or Issuer(keys=members): a dict, JSON or PEM text is read"
)
_JWKS: Final = NativeForm("JWKSet.from_json(members)", "or Issuer(keys=members)")
_JWS: Final = NativeForm("Verifier(keys, algorithms=[...]).verify(token).payload", "any octets, no claims")
_JWS_SIGN: Final = NativeForm("sign_compact(payload, LocalSigner(key))", "from rapidjws.signing")
_CLAIMS: Final = NativeForm(
    "engine.verify(token).claims", "claims are checked by the engine, before anybody can read them"
)
_OWN_ALGORITHM: Final = NativeForm("none", "algorithms are those of ALGORITHMS; keep this call on compat")
_NO_JWE: Final = NativeForm("none", "encryption is not in rapidjws: keep this call")
_REFUSED: Final = "raised by engine.verify; compare error.code"


def _refused(name: str, codes: str = "") -> NativeForm:
    return NativeForm(f"except {name}", f"{_REFUSED}: {codes}" if codes else _REFUSED)


_ERRORS: Final = {
    "PyJWTError": _refused("RapidJWSError"),
    "InvalidTokenError": _refused("TokenRefused"),
    "DecodeError": _refused("MalformedToken"),
    "InvalidSignatureError": _refused("SignatureInvalid"),
    "ExpiredSignatureError": _refused("ClaimRefused", "expired"),
    "ImmatureSignatureError": _refused("ClaimRefused", "not_yet_valid, issued_in_future"),
    "InvalidAudienceError": _refused("ClaimRefused", "audience_mismatch"),
    "InvalidIssuerError": _refused("ClaimRefused", "issuer_mismatch"),
    "InvalidIssuedAtError": _refused("ClaimRefused", "invalid_claim_type"),
    "MissingRequiredClaimError": _refused("ClaimRefused", "missing_claim"),
    "InvalidAlgorithmError": _refused("HeaderRefused"),
    "InvalidKeyError": _refused("KeyRefused"),
    "PyJWKClientError": _refused("(KeysUnavailable, UnknownKey)"),
    "PyJWKClientConnectionError": _refused("KeysUnavailable", "answer 503"),
}
_PYJWT: Final = {
    "decode": _VERIFY,
    "decode_complete": _VERIFY,
    "encode": _SIGN,
    "get_unverified_header": _LOOK,
    "PyJWKClient": _REMOTE,
    "PyJWKClient().get_signing_key_from_jwt": _KEY_OF_TOKEN,
    "PyJWKClient().get_signing_key": _KEY_OF_TOKEN,
    "PyJWKClient().get_signing_keys": _REMOTE,
    "PyJWKClient().get_jwk_set": _REMOTE,
    "PyJWK": _JWK,
    "PyJWK.from_dict": _JWK,
    "PyJWK.from_json": _JWK,
    "PyJWKSet": _JWKS,
    "PyJWKSet.from_dict": _JWKS,
    "PyJWKSet.from_json": _JWKS,
    "PyJWT": _VERIFY,
    "PyJWT().decode": _VERIFY,
    "PyJWT().decode_complete": _VERIFY,
    "PyJWT().encode": _SIGN,
    "PyJWS": _JWS,
    "PyJWS().decode": _JWS,
    "PyJWS().decode_complete": _JWS,
    "PyJWS().encode": _JWS_SIGN,
    "PyJWS().get_unverified_header": _LOOK,
    "register_algorithm": _OWN_ALGORITHM,
    "unregister_algorithm": _OWN_ALGORITHM,
    "get_algorithm_by_name": _OWN_ALGORITHM,
    **{
        f"algorithms.{name}.{method}": _JWK
        for name in ("RSAAlgorithm", "ECAlgorithm", "HMACAlgorithm", "OKPAlgorithm", "RSAPSSAlgorithm")
        for method in ("from_jwk", "to_jwk")
    },
    **_ERRORS,
    **{f"exceptions.{name}": form for name, form in _ERRORS.items()},
}
_PYTHON_JOSE: Final = {
    "jwt.decode": _VERIFY,
    "jwt.encode": _SIGN,
    "jwt.get_unverified_header": _LOOK,
    "jwt.get_unverified_headers": _LOOK,
    "jwt.get_unverified_claims": _LOOK,
    "jws.verify": _JWS,
    "jws.sign": _JWS_SIGN,
    "jws.get_unverified_header": _LOOK,
    "jws.get_unverified_headers": _LOOK,
    "jws.get_unverified_claims": _LOOK,
    "jwk.construct": _JWK,
    "jwe.encrypt": _NO_JWE,
    "jwe.decrypt": _NO_JWE,
    "JWTError": _refused("TokenRefused"),
    "JWSError": _refused("TokenRefused"),
    "JOSEError": _refused("RapidJWSError"),
    "ExpiredSignatureError": _refused("ClaimRefused", "expired"),
}
_PYTHON_JOSE_ERRORS: Final = {
    "JWTClaimsError": _refused("ClaimRefused"),
    "JWTError": _refused("TokenRefused"),
    "JWSError": _refused("TokenRefused"),
    "JWSSignatureError": _refused("SignatureInvalid"),
    "JWSAlgorithmError": _refused("HeaderRefused"),
    "JWKError": _refused("KeyRefused"),
    "JOSEError": _refused("RapidJWSError"),
    "ExpiredSignatureError": _refused("ClaimRefused", "expired"),
}
_AUTHLIB: Final = {
    "jwt.decode": _VERIFY,
    "jwt.encode": _SIGN,
    "JsonWebToken": _VERIFY,
    "JsonWebToken().decode": _VERIFY,
    "JsonWebToken().encode": _SIGN,
    "jwt.decode().validate": _CLAIMS,
    "JsonWebToken().decode().validate": _CLAIMS,
    "JsonWebKey.import_key": _JWK,
    "JsonWebKey.import_key_set": _JWKS,
    "KeySet": _JWKS,
    **{f"{name}.import_key": _JWK for name in ("RSAKey", "ECKey", "OctKey", "OKPKey")},
    "JsonWebSignature": _JWS,
    "JsonWebSignature().deserialize": _JWS,
    "JsonWebSignature().deserialize_compact": _JWS,
    "JsonWebSignature().deserialize_json": _JWS,
    "JsonWebSignature().serialize": _JWS_SIGN,
    "JsonWebSignature().serialize_compact": _JWS_SIGN,
    "JsonWebEncryption": _NO_JWE,
}
_AUTHLIB_ERRORS: Final = {
    "JoseError": _refused("RapidJWSError"),
    "DecodeError": _refused("MalformedToken"),
    "BadSignatureError": _refused("SignatureInvalid"),
    "ExpiredTokenError": _refused("ClaimRefused", "expired"),
    "InvalidTokenError": _refused("ClaimRefused", "not_yet_valid, issued_in_future"),
    "InvalidClaimError": _refused("ClaimRefused"),
    "MissingClaimError": _refused("ClaimRefused", "missing_claim"),
}

LIBRARIES: Final[Mapping[str, str]] = MappingProxyType(
    {"jwt": "PyJWT", "jose": "python-jose", "authlib.jose": "Authlib"}
)
"""The package that is imported -> the library."""

FORMS: Final[Mapping[str, NativeForm]] = MappingProxyType(
    {
        **{f"jwt.{name}": form for name, form in _PYJWT.items()},
        **{f"jose.{name}": form for name, form in _PYTHON_JOSE.items()},
        **{f"jose.exceptions.{name}": form for name, form in _PYTHON_JOSE_ERRORS.items()},
        **{f"authlib.jose.{name}": form for name, form in _AUTHLIB.items()},
        **{f"authlib.jose.errors.{name}": form for name, form in _AUTHLIB_ERRORS.items()},
    }
)
"""Where a name comes from, with ``()`` for an object that a class makes -> what it becomes."""

SAME_AS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "jwt.api_jwt.": "jwt.",
        "jwt.api_jws.": "jwt.PyJWS().",
        "jwt.api_jwk.": "jwt.",
        "jwt.jwks_client.": "jwt.",
        "authlib.jose.rfc7519.": "authlib.jose.",
        "authlib.jose.rfc7515.": "authlib.jose.",
        "authlib.jose.rfc7517.": "authlib.jose.",
    }
)
"""Modules whose names are found elsewhere as well."""


def form_of(origin: str) -> NativeForm | None:
    """Return what the name of an origin becomes, or None for one that is not in the table."""
    return FORMS.get(canonical(origin))


def canonical(origin: str) -> str:
    """Return the origin of a name as the table has it."""
    for prefix, other in SAME_AS.items():
        if origin.startswith(prefix):
            return canonical(other + origin[len(prefix) :])
    return origin


def library_of(origin: str) -> str | None:
    """Return the library that an origin belongs to, or None."""
    return next(
        (
            name
            for package, name in LIBRARIES.items()
            if origin == package or origin.startswith(f"{package}.")
        ),
        None,
    )

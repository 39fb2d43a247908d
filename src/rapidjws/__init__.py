"""Verify JSON Web Signatures: a native engine with preloaded keys, batched outside the GIL."""

from typing import TYPE_CHECKING

from rapidjws import _native as _native  # at once: a binary that does not fit is told here
from rapidjws._lazy import lazy_names
from rapidjws._version import __version__
from rapidjws.diagnose.face import diagnose  # after its package, whose name it takes

if TYPE_CHECKING:
    from rapidjws.engine.backends import Backends, backends
    from rapidjws.engine.cache import TokenCache
    from rapidjws.engine.decision import Decision
    from rapidjws.engine.engine import Engine
    from rapidjws.engine.guard import Replay
    from rapidjws.engine.issuer import NOT_CHECKED, Issuer
    from rapidjws.engine.raw import verify_raw
    from rapidjws.engine.result import Rejected, SignatureResult, VerifiedJWS
    from rapidjws.engine.revocations import Revocation
    from rapidjws.engine.seams import Event
    from rapidjws.engine.signatures import SignaturePolicy, all_of, any_of, at_least, signers
    from rapidjws.engine.verifier import Verifier
    from rapidjws.errors import (
        CODES,
        ClaimRefused,
        ConfigurationError,
        DependencyUnavailable,
        HeaderRefused,
        InternalError,
        KeyRefused,
        KeySetRefused,
        KeysUnavailable,
        MalformedToken,
        PolicyRefused,
        RapidJWSError,
        SignatureInvalid,
        SignaturesRefused,
        TokenRefused,
        Unavailable,
        UnknownKey,
    )
    from rapidjws.jose.jwa import ALGORITHMS
    from rapidjws.jose.jwk import JWK
    from rapidjws.jose.jwks import JWKSet
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "rapidjws.engine.backends": ("Backends", "backends"),
            "rapidjws.engine.cache": ("TokenCache",),
            "rapidjws.engine.decision": ("Decision",),
            "rapidjws.engine.engine": ("Engine",),
            "rapidjws.engine.guard": ("Replay",),
            "rapidjws.engine.issuer": ("NOT_CHECKED", "Issuer"),
            "rapidjws.engine.raw": ("verify_raw",),
            "rapidjws.engine.result": ("Rejected", "SignatureResult", "VerifiedJWS"),
            "rapidjws.engine.revocations": ("Revocation",),
            "rapidjws.engine.seams": ("Event",),
            "rapidjws.engine.signatures": (
                "SignaturePolicy",
                "all_of",
                "any_of",
                "at_least",
                "signers",
            ),
            "rapidjws.engine.verifier": ("Verifier",),
            "rapidjws.errors": (
                "CODES",
                "ClaimRefused",
                "ConfigurationError",
                "DependencyUnavailable",
                "HeaderRefused",
                "InternalError",
                "KeyRefused",
                "KeySetRefused",
                "KeysUnavailable",
                "MalformedToken",
                "PolicyRefused",
                "RapidJWSError",
                "SignatureInvalid",
                "SignaturesRefused",
                "TokenRefused",
                "Unavailable",
                "UnknownKey",
            ),
            "rapidjws.jose.jwa": ("ALGORITHMS",),
            "rapidjws.jose.jwk": ("JWK",),
            "rapidjws.jose.jwks": ("JWKSet",),
        },
    )

__all__ = [
    "ALGORITHMS",
    "Backends",
    "CODES",
    "ClaimRefused",
    "ConfigurationError",
    "Decision",
    "DependencyUnavailable",
    "Engine",
    "Event",
    "HeaderRefused",
    "InternalError",
    "Issuer",
    "JWK",
    "JWKSet",
    "KeyRefused",
    "KeySetRefused",
    "KeysUnavailable",
    "MalformedToken",
    "NOT_CHECKED",
    "PolicyRefused",
    "RapidJWSError",
    "Rejected",
    "Replay",
    "Revocation",
    "SignatureInvalid",
    "SignaturePolicy",
    "SignatureResult",
    "SignaturesRefused",
    "TokenCache",
    "TokenRefused",
    "Unavailable",
    "UnknownKey",
    "VerifiedJWS",
    "Verifier",
    "__version__",
    "all_of",
    "any_of",
    "at_least",
    "backends",
    "diagnose",
    "signers",
    "verify_raw",
]

"""JSON Web Signature verification: a native engine with preloaded keys, batched outside the GIL."""

from rapidjws import _native as _native  # at once: a binary that does not fit is refused here
from rapidjws._lazy import lazy_names
from rapidjws._version import __version__
from rapidjws.diagnose.face import diagnose  # after its package, whose name it takes

TYPE_CHECKING = False  # `typing` costs more than all that is imported here
if TYPE_CHECKING:
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
    from rapidjws.jose.claim_rules import (
        ABSENT,
        NOT_CHECKED,
        PRESENT,
        Contains,
        ContainsAny,
        ContainsOnly,
        OneOf,
        Pattern,
        Prefix,
    )
    from rapidjws.jose.jwa import ALGORITHMS
    from rapidjws.jose.jwk import JWK
    from rapidjws.jose.jwks import JWKSet
    from rapidjws.jws.signatures import SignaturePolicy, all_of, any_of, at_least, signers
    from rapidjws.jws.verifier import Verifier
    from rapidjws.jwt.cache import TokenCache
    from rapidjws.jwt.decision import Decision
    from rapidjws.jwt.engine import Engine
    from rapidjws.jwt.issuer import Issuer
    from rapidjws.jwt.registry import IssuerRegistry
    from rapidjws.jwt.replay_rule import Replay
    from rapidjws.jwt.tenants import ANY_TENANT
    from rapidjws.verify.backends import Backends, backends
    from rapidjws.verify.protocols import Event
    from rapidjws.verify.raw import verify_raw
    from rapidjws.verify.result import Rejected, SignatureResult, VerifiedJWS
    from rapidjws.verify.revocations import Revocation
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "rapidjws.verify.backends": ("Backends", "backends"),
            "rapidjws.jwt.cache": ("TokenCache",),
            "rapidjws.jwt.decision": ("Decision",),
            "rapidjws.jwt.engine": ("Engine",),
            "rapidjws.jwt.replay_rule": ("Replay",),
            "rapidjws.jwt.registry": ("IssuerRegistry",),
            "rapidjws.jwt.issuer": ("Issuer",),
            "rapidjws.verify.raw": ("verify_raw",),
            "rapidjws.verify.result": ("Rejected", "SignatureResult", "VerifiedJWS"),
            "rapidjws.verify.revocations": ("Revocation",),
            "rapidjws.verify.protocols": ("Event",),
            "rapidjws.jws.signatures": (
                "SignaturePolicy",
                "all_of",
                "any_of",
                "at_least",
                "signers",
            ),
            "rapidjws.jws.verifier": ("Verifier",),
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
            "rapidjws.jose.claim_rules": (
                "ABSENT",
                "NOT_CHECKED",
                "PRESENT",
                "Contains",
                "ContainsAny",
                "ContainsOnly",
                "OneOf",
                "Pattern",
                "Prefix",
            ),
            "rapidjws.jwt.tenants": ("ANY_TENANT",),
            "rapidjws.jose.jwa": ("ALGORITHMS",),
            "rapidjws.jose.jwk": ("JWK",),
            "rapidjws.jose.jwks": ("JWKSet",),
        },
    )

__all__ = [
    "ABSENT",
    "ALGORITHMS",
    "ANY_TENANT",
    "Backends",
    "CODES",
    "ClaimRefused",
    "ConfigurationError",
    "Contains",
    "ContainsAny",
    "ContainsOnly",
    "Decision",
    "DependencyUnavailable",
    "Engine",
    "Event",
    "HeaderRefused",
    "InternalError",
    "Issuer",
    "IssuerRegistry",
    "JWK",
    "JWKSet",
    "KeyRefused",
    "KeySetRefused",
    "KeysUnavailable",
    "MalformedToken",
    "NOT_CHECKED",
    "OneOf",
    "PRESENT",
    "Pattern",
    "PolicyRefused",
    "Prefix",
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

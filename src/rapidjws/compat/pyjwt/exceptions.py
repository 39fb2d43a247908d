"""The errors of PyJWT 2.x, by name and place in the tree.

PyJWTError
├── InvalidTokenError
│   ├── DecodeError
│   │   └── InvalidSignatureError
│   ├── ExpiredSignatureError, ImmatureSignatureError, InvalidIssuedAtError
│   ├── InvalidAudienceError, InvalidIssuerError, InvalidSubjectError, InvalidJTIError
│   ├── InvalidAlgorithmError
│   └── MissingRequiredClaimError
├── InvalidKeyError
├── PyJWKError
│   └── MissingCryptographyError
├── PyJWKSetError
└── PyJWKClientError
    └── PyJWKClientConnectionError

An error that the engine found has the engine's own error, with its stable code, as ``__cause__``.
"""

from __future__ import annotations


class PyJWTError(Exception):
    """The root of these errors."""


class InvalidTokenError(PyJWTError):
    """A token that is not accepted."""


class DecodeError(InvalidTokenError):
    """A token that cannot be read."""


class InvalidSignatureError(DecodeError):
    """A signature that the key did not make."""


class ExpiredSignatureError(InvalidTokenError):
    """A token past its ``exp``."""


class InvalidAudienceError(InvalidTokenError):
    """A token for another audience."""


class InvalidIssuerError(InvalidTokenError):
    """A token of another issuer."""


class InvalidIssuedAtError(InvalidTokenError):
    """An ``iat`` that is no number."""


class ImmatureSignatureError(InvalidTokenError):
    """A token before its ``nbf`` or ``iat``."""


class InvalidKeyError(PyJWTError):
    """A key that does not serve the algorithm."""


class InvalidAlgorithmError(InvalidTokenError):
    """An algorithm that is unknown or not allowed."""


class MissingRequiredClaimError(InvalidTokenError):
    """A required claim that is not there.

    Args:
        claim: Its name.
    """

    def __init__(self, claim: str) -> None:
        super().__init__(claim)
        self.claim = claim

    def __str__(self) -> str:
        return f'Token is missing the "{self.claim}" claim'


class PyJWKError(PyJWTError):
    """A JWK that names no algorithm known here."""


class MissingCryptographyError(PyJWKError):
    """The absence of pyca/cryptography; never raised here, which depends on it."""


class PyJWKSetError(PyJWTError):
    """A JWK Set without a usable key."""


class PyJWKClientError(PyJWTError):
    """A failure to get a signing key."""


class PyJWKClientConnectionError(PyJWKClientError):
    """A failure to reach the address of a JWK Set."""


class InvalidSubjectError(InvalidTokenError):
    """A ``sub`` that is no string, or another one."""


class InvalidJTIError(InvalidTokenError):
    """A ``jti`` that is no string."""

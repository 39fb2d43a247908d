"""The words for what the core refused: it gives a status, this gives the code and the place."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from rapidjws import _native
from rapidjws.errors import RapidJWSError, error_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rapidjws.verify.key_table import PreparedKey

_PARTS: Final = ("header", "payload", "signature")

REFUSING_STATUSES: Final = frozenset(
    {
        "too_large",
        "signature_invalid",
        "malformed_json",
        "duplicate_member",
        "too_deep",
        "too_many_members",
        "malformed_claim",
        "missing_claim",
        "expired",
        "not_yet_valid",
        "issued_in_future",
        "too_old",
        "issuer_mismatch",
        "audience_mismatch",
        "claim_mismatch",
    }
)
"""Statuses of the core that are error codes as well; every other status is ``internal_error``."""


KEYS_ASKED: Final = frozenset(
    {"unknown_key", "not_allowed", "unsupported", "signature", "unavailable", "policy"}
)
"""Reasons for which an issuer's keys or rules were looked at."""


def malformed(octets: bytes) -> RapidJWSError:
    """Say which part of a malformed compact token is at fault, and how."""
    parts = octets.split(b".", 3)
    if len(parts) != len(_PARTS):
        found = f"{len(parts)} parts" if len(parts) < len(_PARTS) else "more than three parts"
        return error_for("malformed_token", "token", expected="three parts between two dots", actual=found)
    for name, part in zip(_PARTS, parts, strict=True):
        if not part and name != "payload":
            return error_for(
                "malformed_token", name, expected="at least one character", actual="an empty part"
            )
        if _native.b64url_decode(part) is None:
            return error_for("malformed_base64url", name, expected="strict, unpadded base64url")
    return error_for("malformed_token", "token")


def not_by_key(key: PreparedKey, issuer: str | None) -> RapidJWSError:
    """Return the error for a signature that does not verify by a key of an issuer's."""
    refused = error_for("signature_invalid", "signature", expected=f"{key.alg} by kid {key.jwk.kid!r}")
    refused.claimed_issuer = issuer
    return refused


def with_issuer(error: RapidJWSError, issuer: str | None) -> RapidJWSError:
    """Return an error that says under whose key the signature verified before something else was refused."""
    error.issuer = issuer
    return error


@contextlib.contextmanager
def proven_issuer(issuer: str | None) -> Iterator[None]:
    """Have refusals raised within say under whose key the signature verified."""
    try:
        yield
    except RapidJWSError as refused:
        refused.issuer = issuer
        raise

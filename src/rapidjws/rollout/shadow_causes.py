"""What an incumbent's answer means beside our code: the same, a disagreement, or no verdict at all.

What this never does: read the text of an exception, which may quote the token.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from rapidjws.errors import CODES
from rapidjws.jwt.decision import OK
from rapidjws.rollout.measures import safe_name

if TYPE_CHECKING:
    from collections.abc import Mapping

Causes = tuple[str, ...]

_MALFORMED: Final = tuple(code for code, row in CODES.items() if row.reason in ("malformed", "too_large"))
_NO_KEY: Final = tuple(code for code, row in CODES.items() if row.reason == "unknown_key")
_ALGORITHM: Final = ("algorithm_not_allowed", "key_alg_mismatch", "unsupported_algorithm")

CAUSES: Final[Mapping[str, Causes]] = MappingProxyType(
    {
        "DecodeError": (*_MALFORMED, *_NO_KEY, "crit_unsupported", "b64_unsupported", "typ_mismatch"),
        "ExpiredSignatureError": ("expired",),
        "ImmatureSignatureError": ("not_yet_valid", "issued_in_future"),
        "InvalidAlgorithmError": _ALGORITHM,
        "InvalidAudienceError": ("audience_mismatch",),
        "InvalidIssuedAtError": ("issued_in_future", "malformed_claim"),
        "InvalidIssuerError": ("issuer_mismatch", "unknown_issuer"),
        "InvalidSignatureError": ("signature_invalid",),
        "InvalidSubjectError": ("malformed_claim",),
        "InvalidJTIError": ("malformed_claim",),
        "MissingRequiredClaimError": ("missing_claim",),
        "PyJWKClientConnectionError": (),
        "PyJWKClientError": _NO_KEY,
        "PyJWKSetError": _NO_KEY,
    }
)
"""Names of exception classes -> our codes for the same; empty for an outage. PyJWT's are here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What an incumbent made of a token.

    Attributes:
        kind: ``"accepts"``, ``"refuses"`` or ``"failed"``: it gave no verdict.
        cause: The name of what it raised or returned, safe to show.
        codes: Our codes that mean the same, or None where nobody knows.
    """

    kind: str
    cause: str = ""
    codes: Causes | None = None


def verdict_of(
    answer: object, *, raised: bool = False, causes: Mapping[str, Causes] | None = None
) -> Verdict:
    """Return what an answer means.

    Args:
        answer: What the incumbent returned, or what it raised.
        raised: Whether it was raised.
        causes: Names of exception classes -> our codes, before ``CAUSES``.
    """
    if not raised:
        if answer is None or answer is False:
            return Verdict(kind="refuses", cause="returned_nothing")
        return Verdict(kind="accepts")
    cause = safe_name(type(answer).__name__).replace(" ", "_")
    codes: Causes | None = None
    for base in type(answer).__mro__:
        for table in (causes or {}, CAUSES):
            if codes is None and base.__name__ in table:
                codes = table[base.__name__]
    outage = codes == () or isinstance(answer, (OSError, MemoryError)) or not isinstance(answer, Exception)
    return Verdict(kind="failed" if outage else "refuses", cause=cause, codes=codes)


def outcome_of(ours: str, theirs: Verdict) -> str:
    """Return the outcome of a comparison in words: what, our code, and their cause where it matters.

    Args:
        ours: ``"ok"``, or our code.
        theirs: The incumbent's verdict.
    """
    if theirs.kind == "failed":
        return f"failed {theirs.cause}"
    if theirs.kind == "accepts":
        return "agree" if ours == OK else f"theirs_accepts {ours}"
    if ours == OK:
        return f"ours_accepts {theirs.cause}"
    same = theirs.codes is not None and ours in theirs.codes
    return "agree" if same else f"causes_differ {ours} {theirs.cause}"

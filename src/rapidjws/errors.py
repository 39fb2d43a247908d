"""The error tree, and the one table of error codes. Imports two plain modules of this package.

    RapidJWSError                 everything this package raises on purpose
    ├── TokenRefused              the token is at fault: deny
    │   ├── MalformedToken          its shape: parts, base64url, JSON, sizes
    │   ├── HeaderRefused           its JOSE Header: alg, typ, crit, b64
    │   ├── UnknownKey              no key of ours answers for it
    │   ├── SignatureInvalid        the signature does not verify
    │   │   └── SignaturesRefused     of several signatures, not the ones that are due
    │   ├── ClaimRefused            a claim is missing, wrong or out of its time
    │   └── PolicyRefused           absent, replayed, revoked or out of place
    ├── KeyRefused                one key is not fit for use
    ├── KeySetRefused             a whole JWK Set is not fit for use
    ├── Unavailable               nothing is known about the token yet: indeterminate
    │   ├── KeysUnavailable         no keys, or keys past their stale limit
    │   └── DependencyUnavailable   replay or revocation store, or clock
    ├── ConfigurationError        the operator's settings contradict themselves
    │   ├── RolloutRefused          a change of the rollout is not made: guard rails, frozen, no such step
    │   └── IssuingRefused          a change of an issuer's keys is not made: too early, frozen, no such key
    └── InternalError             a fault of this package: indeterminate, never a permit

Every error carries a stable ``code`` out of ``CODES``; class, reason, outcome and the operator's words follow
from it. No error ever carries a token, a signature, a payload or key bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal

from rapidjws._area_codes import AREA_ROWS
from rapidjws._shown import SafeValue as SafeValue
from rapidjws._shown import bounded, shown, shown_place

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Reason = Literal[
    "malformed", "too_large", "unsupported", "not_allowed", "unknown_key",
    "signature", "claims", "policy", "authorization", "unavailable", "configuration",
]  # fmt: skip
Outcome = Literal["deny", "indeterminate"]

MESSAGE_MAX_CHARS: Final = 256  # longest message, whatever the values are


class RapidJWSError(Exception):
    """What was expected, what was found, and where. Build instances with :func:`error_for`.

    Args:
        code: A key of ``CODES``.
        place: Where it was found: ``"header.crit[0]"``, ``"claims.exp"``, ``"keys[3].n"``, ``"token"``.
        expected: A safe value, or words for one; never token, signature, payload or key bytes.
        actual: The same of what was found.
    """

    __slots__ = ("actual", "claimed_issuer", "code", "expected", "issuer", "place")

    def __init__(
        self, code: str, place: str | None = None, expected: SafeValue = None, actual: SafeValue = None
    ) -> None:
        super().__init__()
        self.code = code
        self.place = place
        self.expected, self.actual = expected, actual
        self.issuer: str | None = None  # under whose key the signature verified, if it did
        self.claimed_issuer: str | None = None  # whose keys were used: anybody can name it

    @property
    def info(self) -> Code:
        """Return the table row of this error's code."""
        return CODES[self.code]

    @property
    def reason(self) -> Reason:
        """Return the reason that this code belongs to."""
        return CODES[self.code].reason

    @property
    def outcome(self) -> Outcome:
        """Return ``"deny"``, or ``"indeterminate"`` where the token may still be good; never a permit."""
        return CODES[self.code].outcome

    def as_dict(self) -> dict[str, SafeValue]:
        """Return the error as flat values fit for a structured log."""
        seen = {"expected": bounded(self.expected), "actual": bounded(self.actual)}
        return {"code": self.code, "reason": self.reason, "outcome": self.outcome, "place": self.place} | seen

    def __str__(self) -> str:
        where = "" if self.place is None else f" at {shown_place(self.place)}"
        text = f"{self.code}{where}: {CODES[self.code].meaning}"
        if self.expected is not None:
            text += f"; expected {shown(self.expected)}"
        if self.actual is not None:
            text += f"{';' if self.expected is None else ','} found {shown(self.actual)}"
        return text if len(text) <= MESSAGE_MAX_CHARS else f"{text[: MESSAGE_MAX_CHARS - 3]}..."

    def __repr__(self) -> str:
        parts = [f"code={self.code!r}"]
        if self.place is not None:
            parts.append(f"place={shown_place(self.place)!r}")
        seen = {"expected": self.expected, "actual": self.actual}
        parts += [f"{name}={shown(value)}" for name, value in seen.items() if value is not None]
        return f"{type(self).__name__}({', '.join(parts)})"

    def __reduce__(self) -> tuple[Callable[..., RapidJWSError], tuple[SafeValue, ...]]:
        return error_for, (self.code, self.place, self.expected, self.actual)


class TokenRefused(RapidJWSError):
    """The token is at fault."""

    __slots__ = ()


class MalformedToken(TokenRefused):
    """The token's shape is wrong."""

    __slots__ = ()


class HeaderRefused(TokenRefused):
    """The JOSE Header asks for what is not supported or not allowed."""

    __slots__ = ()


class UnknownKey(TokenRefused):
    """No key of ours answers for this token."""

    __slots__ = ()


class SignatureInvalid(TokenRefused):
    """The signature does not verify."""

    __slots__ = ()


class SignaturesRefused(SignatureInvalid):
    """Of several signatures not the ones that are due; ``signatures`` holds a result for each."""

    signatures: tuple[Any, ...] = ()


class ClaimRefused(TokenRefused):
    """A claim is missing, of the wrong type, wrong, or out of its time."""

    __slots__ = ()


class PolicyRefused(TokenRefused):
    """The token is absent, replayed, revoked, or not good for this partner."""

    __slots__ = ()


class KeyRefused(RapidJWSError):
    """One key is not fit for use."""

    __slots__ = ()


class KeySetRefused(RapidJWSError):
    """A whole JWK Set is not fit for use."""

    __slots__ = ()


class Unavailable(RapidJWSError):
    """Something needed for a verdict cannot be had now; the token may still be good."""

    __slots__ = ()


class KeysUnavailable(Unavailable):
    """There are no keys, or none fresh enough."""

    __slots__ = ()


class DependencyUnavailable(Unavailable):
    """The replay store or the clock cannot be relied on."""

    __slots__ = ()


class ConfigurationError(RapidJWSError):
    """The settings contradict themselves or a limit."""

    __slots__ = ()


class RolloutRefused(ConfigurationError):
    """A change of the rollout is not made."""

    __slots__ = ()


class IssuingRefused(ConfigurationError):
    """A change of an issuer's keys is not made."""

    __slots__ = ()


class InternalError(RapidJWSError):
    """A fault of this package."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Code:
    """One row of ``CODES``: all that is known about an error code."""

    code: str
    error: type[RapidJWSError]
    reason: Reason
    meaning: str
    cause: str
    fix: str
    escalate: bool = False

    @property
    def outcome(self) -> Outcome:
        """Return ``"indeterminate"`` for an outage or a fault of ours, else ``"deny"``."""
        return "indeterminate" if issubclass(self.error, (Unavailable, InternalError)) else "deny"


_ISSUER_BUG = "Ask the issuer to correct its tokens; nothing on this side makes such a token good."
_ISSUER_KEY = "Ask the issuer to publish a correct key; until then this key is left out."
_UPGRADE = "Use an algorithm of the list, or keep such tokens away from this verifier."

# Each row: code, class, reason, meaning, cause, fix, escalate.
_ROWS: Final = (
    # The token's shape
    Code("malformed_token", MalformedToken, "malformed", "not a JWS in the expected serialization",
         "A cut-off, doubled or wrong header value; an opaque or encrypted token.",
         "Check what the client sends; a compact JWS has three parts and two dots."),
    Code("malformed_base64url", MalformedToken, "malformed", "a part is not strict, unpadded base64url",
         "Padding, whitespace, '+' or '/', or bits left over in the last character.", _ISSUER_BUG),
    Code("malformed_header", MalformedToken, "malformed", "the protected header is not a valid JOSE Header",
         "Not a JSON object, or a registered member of the wrong type.", _ISSUER_BUG),
    Code("malformed_json", MalformedToken, "malformed", "not a JSON text in UTF-8",
         "Truncated or hand-made JSON, a byte order mark, bad UTF-8, a lone surrogate, NaN.", _ISSUER_BUG),
    Code("malformed_claims", MalformedToken, "malformed", "the payload is not a JWT Claims Set",
         "The payload is not a JSON object.", "Use the JWS interface for payloads that are not claims."),
    Code("malformed_claim", ClaimRefused, "claims", "a registered claim has the wrong type or range",
         "A date sent as text or in milliseconds, a null, a number past the year 9999.", _ISSUER_BUG),
    Code("too_large", MalformedToken, "too_large", "a size limit is passed",
         "An attack, or a token that carries far more than an identity.",
         "Make the token smaller, or raise the limit knowingly."),
    Code("too_deep", MalformedToken, "too_large", "JSON is nested past the depth limit",
         "An attack on parsers, or a structured document used as claims.", "Flatten the claims."),
    Code("too_many_members", MalformedToken, "too_large", "JSON has more members than the limit",
         "An attack on hash tables, or a bulk document used as claims.", "Send fewer members."),
    Code("duplicate_member", MalformedToken, "malformed", "a member name stands twice in one JSON object",
         "Two parsers could read two different values: an attack, or a broken encoder.", _ISSUER_BUG),
    # The header
    Code("unsupported_algorithm", HeaderRefused, "unsupported", "the algorithm is not implemented here",
         "An unregistered, encryption or 'none' algorithm.", _UPGRADE),
    Code("algorithm_not_allowed", HeaderRefused, "not_allowed", "the algorithm is not among the caller's",
         "The issuer changed its algorithm, or a downgrade is tried.",
         "Add the algorithm to the issuer's list only if the issuer announced it."),
    Code("key_alg_mismatch", HeaderRefused, "not_allowed", "the key does not serve the header's algorithm",
         "The key's alg, kty or crv disagree with the header: algorithm confusion, or a wrong kid.",
         "Compare the header's alg and kid with the published JWK."),
    Code("typ_mismatch", HeaderRefused, "not_allowed", "the token is of another type",
         "An ID token sent where an access token is due, or the like.", "Send the right kind of token."),
    Code("crit_unsupported", HeaderRefused, "unsupported", "a critical header extension is not understood",
         "The issuer demands what is not implemented here.", "Register it knowingly, or go without."),
    Code("crit_malformed", HeaderRefused, "malformed", "crit breaks the rules of RFC 7515 section 4.1.11",
         "Empty, doubled, absent or registered names in crit.", _ISSUER_BUG),
    Code("b64_unsupported", HeaderRefused, "unsupported", "b64 is used outside the rules of RFC 7797",
         "b64 is not listed in crit, or unencoded payloads are not asked for.", _ISSUER_BUG),
    Code("chain_refused", HeaderRefused, "not_allowed", "x5c is no chain to a pinned root by the policy",
         "Another authority, dates, or an extension.", "Compare it with the roots and the policy."),
    Code("unprotected_parameter", HeaderRefused, "not_allowed", "a parameter that must be protected is not",
         "alg, crit or b64 in the unprotected header.", "Ask the issuer to protect it; alg can be allowed."),
    # The key for a token
    Code("unknown_kid", UnknownKey, "unknown_key", "no key with this kid",
         "A rotation not seen yet, a token of another issuer, or a made-up kid.",
         "Wait one refresh; then compare the kid with the issuer's JWK Set."),
    Code("missing_kid", UnknownKey, "unknown_key", "the header names no kid where one is required",
         "The issuer does not set kid.", "Ask the issuer to set kid, or do not require it."),
    Code("ambiguous_key", UnknownKey, "unknown_key", "more than one key fits",
         "No kid in the header, or a kid that the set holds twice.", "Use one kid a key."),
    Code("unknown_issuer", UnknownKey, "unknown_key", "no such issuer is configured",
         "Another system, or another spelling (slash, case, port).", "Compare iss letter by letter."),
    Code("no_suitable_key", UnknownKey, "unknown_key", "no key fits the header's algorithm",
         "The set holds keys of other types only.", "Check the issuer's JWK Set."),
    # The signature
    Code("signature_invalid", SignatureInvalid, "signature", "the signature does not verify under this key",
         "A changed token, a forgery, or a key replaced under the same kid.",
         "If all tokens of an issuer fail, refresh its keys; single ones are to be refused."),
    Code("signatures_insufficient", SignaturesRefused, "signature", "not the good signatures that are due",
         "A signature that fails, or a signer who is missing.", "Look at the result of each signature."),
    Code("signers_disagree", SignaturesRefused, "signature", "signers protect different values for one name",
         "Signatures over one payload that say different things about it.",
         "Ask the signers to agree, or name the parameter in may_differ."),
    # The claims
    Code("expired", ClaimRefused, "claims", "the token has expired",
         "An old token, or clocks that differ by more than the leeway.", "Get a new token; check clocks."),
    Code("not_yet_valid", ClaimRefused, "claims", "the token is not valid yet",
         "Used too early, or clocks that differ by more than the leeway.", "Check the clocks."),
    Code("issued_in_future", ClaimRefused, "claims", "the token was issued in the future",
         "Clocks that differ by more than the leeway.", "Check the clocks."),
    Code("too_old", ClaimRefused, "claims", "the token is older than allowed",
         "iat lies further back than the maximal age.", "Get a new token."),
    Code("issuer_mismatch", ClaimRefused, "claims", "the token is from another issuer",
         "Another issuer, or another spelling (slash, case, port).", "Compare iss letter by letter."),
    Code("audience_mismatch", ClaimRefused, "claims", "the token is not meant for this audience",
         "A token for another service, or no audience configured.", "Compare aud with those configured."),
    Code("claim_mismatch", ClaimRefused, "claims", "a claim is not what the issuer's rules allow",
         "A token of another kind, tenant or client.", "Compare it with claims, profile and tenants."),
    Code("claim_check_failed", ClaimRefused, "claims", "the caller's function for a claim raised an error",
         "A fault in that function, or a value it does not expect.", "Mend the function.", escalate=True),
    Code("missing_claim", ClaimRefused, "claims", "a required claim is missing or null",
         "The issuer leaves it out.", "Ask the issuer to send it, or stop requiring it."),
    # What the token meets beyond itself
    Code("missing_token", PolicyRefused, "policy", "the request carries no token",
         "A client that does not sign, or a proxy that strips the header.", "Send it where it belongs."),
    Code("malformed_request", PolicyRefused, "malformed", "the request does not carry one token in one way",
         "The header twice or empty, or another token in the query.", "Send one, where it belongs."),
    Code("partner_mismatch", PolicyRefused, "policy", "the token's issuer does not belong to this partner",
         "A token of another, or an issuer not entered.", "Compare its issuers with iss.", escalate=True),
    Code("insufficient_scope", PolicyRefused, "policy", "the token lacks a required scope",
         "A token for other purposes.", "Ask for one with the scope."),
    Code("replayed", PolicyRefused, "policy", "the token was used before",
         "A copied token, or a client that sends one twice.", "Get a new token for each use.", escalate=True),
    Code("revoked", PolicyRefused, "policy", "the token, its key or its session is revoked",
         "An explicit revocation.", "Sign in again.", escalate=True),
    Code("keys_unavailable", KeysUnavailable, "unavailable", "the issuer has no keys loaded",
         "The JWK Set was never fetched with success.", "Check network, URL and TLS.", escalate=True),
    Code("keys_stale", KeysUnavailable, "unavailable", "the issuer's keys are past their stale limit",
         "The JWK Set could not be refreshed for too long.", "Check network, URL and TLS.", escalate=True),
    Code("replay_store_unavailable", DependencyUnavailable, "unavailable", "the replay store does not answer",
         "The store is down, slow, full or read-only.", "Restore the store.", escalate=True),
    Code("revocation_store_unavailable", DependencyUnavailable, "unavailable",
         "the revocation store does not answer", "An unwritable file, or Redis is down; it holds here only.",
         "Restore the store and revoke again.", escalate=True),
    Code("clock_implausible", DependencyUnavailable, "unavailable", "the clock cannot be right",
         "The machine's clock reads earlier than this package was built.", "Set the clock.", escalate=True),
    Code("key_malformed", KeyRefused, "malformed", "not a well-formed key",
         "A missing member, a wrong length, a point off its curve, a broken encoding.", _ISSUER_KEY),
    Code("key_unsupported", KeyRefused, "unsupported", "a key of a kind not supported here",
         "An unregistered type, curve or algorithm, or a key for encryption.",
         "Nothing, if the key is meant for another purpose."),
    Code("key_weak", KeyRefused, "not_allowed", "a key below the required strength",
         "Too short, a known-weak generator, a small-order point, or a public text used as a secret.",
         "Replace the key.", escalate=True),
    Code("key_private", KeyRefused, "not_allowed", "a private or secret key where a public one is due",
         "The issuer publishes its private key, or the wrong file is configured.",
         "Treat the key as compromised: replace it.", escalate=True),
    Code("key_use_mismatch", KeyRefused, "not_allowed", "a key not meant for this operation",
         "use or key_ops name another purpose.", "Nothing, if the key is meant for another purpose."),
    Code("certificate_refused", KeyRefused, "not_allowed", "a certificate that must not be used",
         "It is outside of its dates.", "Ask the issuer to publish a current one."),
    Code("duplicate_kid", KeyRefused, "malformed", "a kid that stands twice in one set",
         "Two keys under one name; neither is used.", "Ask the issuer to give each key its own kid."),
    Code("mixed_key_set", KeySetRefused, "not_allowed", "a set mixes symmetric and asymmetric keys",
         "A secret among public keys invites algorithm confusion.", "Keep them apart.", escalate=True),
    Code("jwks_malformed", KeySetRefused, "malformed", "not a JWK Set",
         "An error page, truncated JSON, or no array named keys.", "Check the URL and what it answers."),
    Code("jwks_too_large", KeySetRefused, "too_large", "a JWK Set past its size or key limit",
         "The wrong document, or an attack.", "Check the URL; raise the limit knowingly."),
    Code("configuration_invalid", ConfigurationError, "configuration", "a setting is not valid",
         "A value out of range, of the wrong type, or against another one.", "Correct the named setting."),
    Code("attribution_missing", ConfigurationError, "configuration", "nothing tells whose a request is",
         "Whoever left the token away would leave a stricter stage, and nobody wrote that this is meant.",
         "Set server.partner_header (or name partners by partner_of), or rollout.unattributed."),
    Code("internal_error", InternalError, "unavailable", "a fault inside rapidjws",
         "A bug, memory exhaustion, or a failing libcrypto.", "Report it with its place.", escalate=True),
)  # fmt: skip

_CHANGES: Final = tuple(Code(code, globals()[name], *rest) for code, name, *rest in AREA_ROWS)  # type: ignore[arg-type]

CODES: Final[Mapping[str, Code]] = MappingProxyType({row.code: row for row in (*_ROWS, *_CHANGES)})
"""Every error code, once: class, reason, outcome and the operator's words. Documentation is made from it."""


def error_for(
    code: str, place: str | None = None, expected: SafeValue = None, actual: SafeValue = None
) -> RapidJWSError:
    """Build the error of a code, a key of ``CODES``.

    Args:
        code: Which.
        place: Where it was found, or None.
        expected: A safe value, or words.
        actual: As ``expected``; never token, signature, payload or key bytes.

    Returns:
        An instance of the code's class, ready to raise.

    Raises:
        KeyError: No such code.
    """
    return CODES[code].error(code, place, expected, actual)

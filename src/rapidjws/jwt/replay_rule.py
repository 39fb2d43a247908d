"""The rule that a token is used once: what stands for one token, and for how long its use is remembered."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal

from rapidjws._checks import checked
from rapidjws.errors import error_for
from rapidjws.jose.numeric_date import SECOND_NS, NumericDate, numeric_dates
from rapidjws.verify.protocols import ReplayStore

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rapidjws.verify.result import VerifiedJWS

JTI_MAX_BYTES: Final = 4096
"""Longest ``jti`` that is hashed, in bytes of UTF-8; a longer one is refused."""


@checked(but=("identity", "on_failure"))
@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """The demand that each token of an issuer is used once.

    Args:
        store: Where uses are recorded.
        identity: ``"jti"`` refuses tokens without one; ``"jti_or_digest"`` takes the digest of the signing
            input for them.
        on_failure: ``"deny"`` refuses while the store cannot tell; ``"accept"`` lets pass and says so.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    store: ReplayStore
    identity: Literal["jti", "jti_or_digest"] = "jti"
    on_failure: Literal["deny", "accept"] = "deny"

    def __post_init__(self) -> None:
        """Check the choices."""
        if self.identity not in ("jti", "jti_or_digest"):
            raise error_for("configuration_invalid", "replay.identity", expected=("jti", "jti_or_digest"))
        if self.on_failure not in ("deny", "accept"):
            raise error_for("configuration_invalid", "replay.on_failure", expected=("deny", "accept"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRule:
    """What an issuer's replay check needs beside the token.

    Attributes:
        replay: The issuer's choice.
        leeway_s: The issuer's leeway: an entry outlives ``exp`` by it, and by the widest of a partner.
        max_age_s: The oldest ``iat``: bounds entries of tokens without ``exp``.
        before: The narrowest rule that this engine had for the issuer, where this one is wider: what was
            recorded under it is forgotten when it ended. None where nothing was wider.
        since_ns: Since when this one is the wider, nanoseconds since the epoch.
    """

    replay: Replay
    leeway_s: int
    max_age_s: int | None
    before: ReplayRule | None = None
    since_ns: int = 0


def replay_key(iss: str, claims: Mapping[str, Any], verified: VerifiedJWS, *, digest: bool) -> bytes:
    """Return 32 bytes that stand for one token of one issuer and sender.

    Args:
        iss: The verified issuer.
        claims: The verified claims.
        verified: The token.
        digest: Whether a token without ``jti`` is known by its signing input.

    Raises:
        ClaimRefused: ``missing_claim``, ``malformed_claim``.
        MalformedToken: ``too_large``.
    """
    import hashlib

    jti = claims.get("jti")
    if jti is None:
        if not digest:
            raise error_for("missing_claim", "claims.jti", expected="a jti, as tokens are used once")
        # the signature is left out: an ECDSA signature has a second spelling
        return hashlib.sha256(b"input\0" + verified._signing_input()).digest()
    if not isinstance(jti, str):
        raise error_for("malformed_claim", "claims.jti", expected="a string", actual=type(jti).__name__)
    octets = jti.encode("utf-8", "surrogatepass")
    if not 0 < len(octets) <= JTI_MAX_BYTES:
        raise error_for("too_large", "claims.jti", expected=f"1 to {JTI_MAX_BYTES} bytes", actual=len(octets))
    sender = claims.get("client_id", claims.get("azp"))
    cnf = claims.get("cnf")
    bound_to = cnf.get("jkt") if isinstance(cnf, dict) else None
    total = hashlib.sha256(b"jti\0")
    for part in (iss, sender, bound_to):
        piece = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else b""
        total.update(len(piece).to_bytes(4, "big") + piece)
    total.update(octets)
    return total.digest()


def widened(old: ReplayRule, new: ReplayRule, now_ns: int) -> ReplayRule:
    """Return a new rule of an issuer that remembers what the old one, and those before it, ended earlier.

    Args:
        old: The rule until now.
        new: The rule from now on.
        now_ns: Nanoseconds since the epoch.
    """
    known = old.before or old
    ages_s = [one.max_age_s for one in (old, known) if one.max_age_s is not None]
    least = ReplayRule(
        replay=old.replay,
        leeway_s=min(old.leeway_s, known.leeway_s),
        max_age_s=min(ages_s) if ages_s else None,
    )
    if not _is_wider(new, least):
        return new
    since_ns = now_ns if _is_wider(new, old) or old.before is None else old.since_ns
    return replace(new, before=least, since_ns=since_ns)


def _is_wider(one: ReplayRule, other: ReplayRule) -> bool:
    """Return whether a rule accepts tokens for longer than another one."""
    is_older = other.max_age_s is not None and (one.max_age_s is None or one.max_age_s > other.max_age_s)
    return one.leeway_s > other.leeway_s or is_older


def _ends_ns(verified: VerifiedJWS, rule: ReplayRule) -> tuple[int | None, NumericDate | None]:
    """Return when a token ends without leeway, and when it was issued."""
    dates = numeric_dates(verified.claims, lambda: verified.payload)
    exp, iat = dates.get("exp"), dates.get("iat")
    ends_ns = [] if exp is None else [exp.ceil_ns]
    if rule.max_age_s is not None and iat is not None:
        ends_ns.append(iat.ceil_ns + rule.max_age_s * SECOND_NS)
    return min(ends_ns, default=None), iat


def may_be_forgotten(verified: VerifiedJWS, rule: ReplayRule, retry_s: int, now_ns: int) -> bool:
    """Return whether a use may have been recorded before a rule was widened, and forgotten since."""
    before = rule.before
    if before is None:
        return False
    end_ns, iat = _ends_ns(verified, before)
    if end_ns is None or now_ns < end_ns + (before.leeway_s + retry_s) * SECOND_NS:
        return False
    return iat is None or iat.floor_ns < rule.since_ns + rule.leeway_s * SECOND_NS


def life_s(verified: VerifiedJWS, rule: ReplayRule, retry_s: int, now_ns: int) -> int:
    """Return for how many seconds from now an entry must live: longer than anybody accepts its token.

    Args:
        verified: The token.
        rule: Its issuer's rule.
        retry_s: The most by which a partner's leeway goes beyond the issuer's.
        now_ns: The present moment, whatever moment the token's dates were compared with.
    """
    end_ns, _ = _ends_ns(verified, rule)
    left_ns = 86_400 * SECOND_NS if end_ns is None else end_ns - now_ns
    return max(1, -(-left_ns // SECOND_NS) + rule.leeway_s + retry_s + 1)

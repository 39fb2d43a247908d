"""One partner: whose tokens it may send, by which algorithms until when, and what they must hold.

The partner's rules come after the issuer's and only narrow them, but for the leeway, which may be wider too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from rapidjws._checks import checked
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jose import limits
from rapidjws.jose.jwa import ALGORITHM_TABLE
from rapidjws.jose.numeric_date import SECOND_NS, numeric_dates
from rapidjws.jose.scopes import is_scope_token, scopes_objection

if TYPE_CHECKING:
    from rapidjws.verify.result import VerifiedJWS

_NAME: Final = re.compile(r"[A-Za-z0-9._@:/-]{1,128}\Z")
_ADDRESS: Final = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?\Z"
)
"""One addr-spec (RFC 5322 s.3.4.1), no quotes, comments or display name: it can name one mailbox only."""


def checked_address(place: str, value: object) -> str:
    """Return a mail address.

    Raises:
        ConfigurationError: ``configuration_invalid``: not one plain address.
    """
    if not isinstance(value, str) or not _ADDRESS.match(value):
        raise error_for("configuration_invalid", place, expected="a mail address, name@host")
    return value


def checked_when_s(place: str, value: object) -> int:
    """Return a moment.

    Raises:
        ConfigurationError: ``configuration_invalid``: not whole seconds since the epoch.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= limits.NUMERIC_DATE_MAX_S:
        raise error_for("configuration_invalid", place, expected="whole seconds since the epoch")
    return value


def _texts(place: str, values: Iterable[str]) -> tuple[str, ...]:
    texts = () if isinstance(values, str) else tuple(values)
    if isinstance(values, str) or not all(isinstance(text, str) and text for text in texts):
        raise error_for("configuration_invalid", place, expected="a list of non-empty strings")
    return texts


@checked(under="partner")
@dataclass(frozen=True, slots=True, kw_only=True)
class Partner:
    """One partner.

    Args:
        name: How the gateway names it: up to 128 letters, digits and ``._@:/-``.
        issuers: The ``iss`` it may use; empty for each issuer of the engine. Any of an issuer's names stands
            for all of them, a tenant's for the tokens that state it.
        algorithms: The ``alg`` it may use; empty for all that its issuer may.
        retiring: Algorithm -> the moment, in seconds since the epoch, from which on it is refused.
        leeway_s: Clock difference forgiven, whole seconds, instead of the issuer's; None for the issuer's.
        required_claims: Claims that must be there and not null.
        scopes: Values that ``scope`` (RFC 8693 s.4.2) or ``scp`` must hold.
        contact: Mail address of its technical contact, or None.
        allow_listed_until_s: Until when it is let through in the phase ``allow_list``, or None.

    Raises:
        ConfigurationError: ``configuration_invalid``, with the place of the argument.
    """

    name: str
    issuers: Iterable[str] = ()
    algorithms: Iterable[str] = ()
    retiring: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    leeway_s: int | None = None
    required_claims: Iterable[str] = ()
    scopes: Iterable[str] = ()
    contact: str | None = None
    allow_listed_until_s: int | None = None

    def __post_init__(self) -> None:
        """Check every argument once."""
        if not isinstance(self.name, str) or not _NAME.match(self.name):
            raise error_for("configuration_invalid", "partner.name", expected="letters, digits and ._@:/-")
        put = object.__setattr__
        for place in ("issuers", "algorithms", "required_claims", "scopes"):
            put(self, place, _texts(f"partner.{place}", getattr(self, place)))
        if not all(map(is_scope_token, self.scopes)):
            raise error_for("configuration_invalid", "partner.scopes", "scope-tokens of RFC 6749: no spaces")
        for place, algorithms in (("algorithms", self.algorithms), ("retiring", self.retiring)):
            for alg in algorithms:
                if alg not in ALGORITHM_TABLE:
                    known = tuple(ALGORITHM_TABLE)
                    raise error_for("configuration_invalid", f"partner.{place}", known, actual=str(alg))
        retiring = {
            alg: checked_when_s(f"partner.retiring.{alg}", when_s) for alg, when_s in self.retiring.items()
        }
        put(self, "retiring", MappingProxyType(retiring))
        if self.allow_listed_until_s is not None:
            checked_when_s("partner.allow_listed_until_s", self.allow_listed_until_s)
        if self.leeway_s is not None and (
            not isinstance(self.leeway_s, int)
            or isinstance(self.leeway_s, bool)
            or not 0 <= self.leeway_s <= limits.LEEWAY_MAX_S
        ):
            raise error_for(
                "configuration_invalid", "partner.leeway_s", expected=f"0 to {limits.LEEWAY_MAX_S}"
            )
        if self.contact is not None:
            checked_address("partner.contact", self.contact)

    def is_allow_listed(self, now_s: int) -> bool:
        """Return whether it is let through in the phase ``allow_list``; on its end date no more."""
        return self.allow_listed_until_s is not None and now_s < self.allow_listed_until_s

    @property
    def reads_claims(self) -> bool:
        """Return whether its rules look at more of a token than issuer and algorithm."""
        return self.leeway_s is not None or bool(self.required_claims or self.scopes)

    def objection(self, verified: VerifiedJWS, now_ns: int) -> RapidJWSError | None:
        """Return why a verified token is not good for this partner, or None."""
        refused = self.objection_to_alg(verified, now_ns)
        if refused is not None:
            return refused
        if self.leeway_s is not None:
            late = _outside(verified, self.leeway_s, now_ns)
            if late is not None:
                return late
        if self.required_claims or self.scopes:
            return self._missing(verified.claims)
        return None

    def objection_to_alg(self, verified: VerifiedJWS, now_ns: int) -> RapidJWSError | None:
        """Return why issuer or algorithm of a verified token are not this partner's, or None."""
        issuers = tuple(self.issuers)
        if issuers and verified.issuer not in issuers and set(issuers).isdisjoint(verified._issuer_names):
            return error_for("partner_mismatch", "claims.iss", expected=issuers)
        alg = verified.alg
        until_s = self.retiring.get(alg)
        if until_s is not None:
            if now_ns >= until_s * SECOND_NS:
                return error_for("algorithm_not_allowed", "header.alg", "a successor", f"{alg}, retired")
        elif self.algorithms and alg not in self.algorithms:
            return error_for("algorithm_not_allowed", "header.alg", tuple(self.algorithms), alg)
        return None

    def warning(self, alg: str) -> tuple[str, int] | None:
        """Return a sentence about a retiring algorithm and the moment it ends, or None."""
        until_s = self.retiring.get(alg)
        return None if until_s is None else (f"algorithm {alg} is accepted for a limited time only", until_s)

    def _missing(self, claims: Mapping[str, Any]) -> RapidJWSError | None:
        for name in self.required_claims:
            if claims.get(name) is None:
                return error_for("missing_claim", f"claims.{name}")
        return scopes_objection(claims, self.scopes)


def _outside(verified: VerifiedJWS, leeway_s: int, now_ns: int) -> RapidJWSError | None:
    """Refuse times outside of the partner's own leeway, where it is narrower than the issuer's."""
    dates = numeric_dates(verified.claims, lambda: verified.payload)
    exp, nbf, iat = dates.get("exp"), dates.get("nbf"), dates.get("iat")
    leeway_ns = leeway_s * SECOND_NS
    if exp is not None and not now_ns < exp.ceil_ns + leeway_ns:
        return error_for("expired", "claims.exp", expected=f"leeway {leeway_s} s")
    if nbf is not None and not now_ns + leeway_ns >= nbf.ceil_ns:
        return error_for("not_yet_valid", "claims.nbf", expected=f"leeway {leeway_s} s")
    if iat is not None and not iat.ceil_ns <= now_ns + leeway_ns:
        return error_for("issued_in_future", "claims.iat", expected=f"leeway {leeway_s} s")
    return None

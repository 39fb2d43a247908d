"""Which slot answers for a header, by the rules of issuers and names (RFC 7515 s.6, RFC 8725 s.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from rapidjws import _native
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jose import limits
from rapidjws.jose.json_text import loads
from rapidjws.jose.jws import check_typ

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rapidjws.jose.issuer_names import IssuerNumbers
    from rapidjws.jose.jws import Header
    from rapidjws.verify.rules import Rules
    from rapidjws.verify.slot_table import KeyTable


SPIFFE: Final = "spiffe://"


class IssuerKeyTable(Protocol):
    """Keys with the rules of their issuers, as a snapshot holds them."""

    @property
    def table(self) -> KeyTable:
        """Return the keys."""

    @property
    def rules(self) -> Sequence[Rules]:
        """Return the rules of each issuer, in the table's order."""

    @property
    def issuers(self) -> IssuerNumbers:
        """Return the number of each issuer, by each ``iss`` of it."""

    @property
    def routes_by_iss(self) -> bool:
        """Return whether ``iss`` decides between issuers before any kid."""

    @property
    def max_token_bytes(self) -> int:
        """Return the size of the largest token."""


def check_crit(own: Rules, header: Header) -> None:
    """Refuse critical extensions that an issuer's rules do not understand.

    Raises:
        HeaderRefused: ``crit_unsupported``.
    """
    for index, name in enumerate(header.crit):
        if name not in own.crit:  # RFC 7515 s.4.1.11: understood by this issuer's rules, not another's
            raise error_for("crit_unsupported", f"header.crit[{index}]", tuple(sorted(own.crit)), name)


def choose(table: KeyTable, rules: Sequence[Rules], issuer: int, header: Header) -> int:
    """Return the slot of one issuer that answers for a header, after the issuer's rules for headers.

    Raises:
        TokenRefused: As ``KeyTable.choose``; ``crit_unsupported``; ``typ_mismatch``.
    """
    own = rules[issuer]
    check_crit(own, header)
    slot = table.choose(header, issuer, require_kid=own.require_kid)
    if own.typ:
        check_typ(header, own.typ, required=own.typ_required)
    return slot


def slots_to_try(table: KeyTable, own: Rules, issuer: int, header: Header) -> tuple[int, ...]:
    """Return the slots that are tried for a header without kid; none where none are to be, or one fits.

    Raises:
        TokenRefused: ``crit_unsupported``, ``typ_mismatch``; ``ambiguous_key``: more keys fit than are tried.
    """
    keys = table.issuers[issuer]
    if not own.try_keys or header.alg not in keys.algorithms:
        return ()
    fitting = keys.without_kid(header)
    if len(fitting) < 2:
        return ()
    if len(fitting) > own.try_keys:
        raise error_for("ambiguous_key", "header.kid", f"at most {own.try_keys} keys that fit", len(fitting))
    check_crit(own, header)
    if own.typ:
        check_typ(header, own.typ, required=own.typ_required)
    return tuple(table.offsets[issuer] + position for position in fitting)


def choose_any(table: KeyTable, rules: Sequence[Rules], issuers: IssuerNumbers, header: Header) -> int:
    """Return the one slot that answers for a header where nothing but the header says whose key is due.

    Keys that were given under several names: a protected ``iss`` that names one is answered by its keys only;
    else by the one key that fits kid and algorithm, whoever's it is.

    Raises:
        TokenRefused: As ``choose``; ``unknown_issuer``.
    """
    if len(rules) == 1:
        return choose(table, rules, 0, header)
    iss = header.raw.get("iss")
    if isinstance(iss, str):
        named = issuers.get(iss)
        if named is None:
            raise error_for("unknown_issuer", "header.iss", actual=iss)
        return choose(table, rules, named, header)
    having = range(len(rules)) if header.kid is None else table.issuers_with(header.kid)
    slots, refused = [], error_for("unknown_kid", "header.kid", actual=header.kid)
    for issuer in having:
        try:
            slots.append(choose(table, rules, issuer, header))
        except RapidJWSError as error:
            if error.code == "ambiguous_key":
                raise
            refused = error
    if len(slots) > 1:
        raise error_for("ambiguous_key", "header.kid", expected="one key", actual=len(slots))
    if not slots:
        raise refused.with_traceback(None)
    return slots[0]


def _stated_names(octets: bytes, max_bytes: int) -> tuple[str | None, str | None]:
    """Return the ``iss`` that a token's payload states, and the trust domain of its ``sub``.

    Raises:
        MalformedToken: As ``unverified_iss``.
    """
    payload = _native.b64url_decode(octets.split(b".")[1])
    if payload is None:
        raise error_for("malformed_base64url", "payload")
    claims = loads(
        payload,
        max_bytes=max_bytes,
        max_depth=limits.JSON_MAX_DEPTH,
        max_members=limits.CLAIMS_MAX_MEMBERS,
        place="payload",
    )
    if not isinstance(claims, dict):
        return None, None
    iss, sub = claims.get("iss"), claims.get("sub")
    domain = None
    if isinstance(sub, str) and sub.startswith(SPIFFE):
        domain = SPIFFE + sub.removeprefix(SPIFFE).partition("/")[0]
    if iss is None:  # a JWT-SVID needs none
        return domain, None
    return (iss, domain) if isinstance(iss, str) else (None, None)


def unverified_iss(octets: bytes, max_bytes: int) -> str | None:
    """Return the ``iss`` that a token's payload states, without one the trust domain of its ``sub``.

    It only chooses which issuer's key to try.

    Raises:
        MalformedToken: ``malformed_base64url``, or as the payload is no JSON object of at most ``max_bytes``.
    """
    return _stated_names(octets, max_bytes)[0]


def unverified_issuer(snapshot: IssuerKeyTable, octets: bytes) -> tuple[str | None, int | None]:
    """Return the name that leads to a token's issuer, and the issuer's number; None where nobody has it.

    What a SPIFFE server puts into ``iss`` may be nobody's name: where no issuer owns it, the trust domain of
    ``sub`` leads to the issuer. An ``iss`` that an issuer owns leads to that issuer, whatever ``sub`` is.

    Raises:
        MalformedToken: As ``unverified_iss``.
    """
    iss, domain = _stated_names(octets, snapshot.max_token_bytes)
    number = snapshot.issuers.get(iss)
    if number is None and domain is not None:
        by_domain = snapshot.issuers.get(domain)
        if by_domain is not None:
            return domain, by_domain
    return iss, number


def issuer_for(snapshot: IssuerKeyTable, header: Header, octets: bytes) -> tuple[int, str | None]:
    """Return the issuer whose keys to try, and the unverified name where that had to decide."""
    if len(snapshot.rules) == 1:
        return 0, None
    if not snapshot.rules:  # of a registry, whose configured issuers went after the token was led here
        raise _claimed("", error_for("unknown_issuer", "claims.iss"))
    having: Sequence[int] = range(len(snapshot.rules))
    if not snapshot.routes_by_iss and header.kid is not None:
        having = snapshot.table.issuers_with(header.kid)
        if not having:
            raise error_for("unknown_kid", "header.kid", actual=header.kid)
        if len(having) == 1:
            return having[0], None
    iss, number = unverified_issuer(snapshot, octets)
    if iss is None or number is None:
        raise _claimed("", error_for("unknown_issuer", "claims.iss", actual=iss))
    if number not in having:
        claimed = snapshot.rules[number].iss or ""
        raise _claimed(claimed, error_for("unknown_kid", "header.kid", actual=header.kid))
    return number, iss


def _claimed(iss: str, refused: RapidJWSError) -> RapidJWSError:
    """Return an error that says which configured issuer the token names, "" for none of them."""
    refused.claimed_issuer = iss
    return refused


def claimed_issuer(snapshot: IssuerKeyTable, octets: bytes) -> str | None:
    """Return the configured issuer that an unverified token names, or the only one; never raises."""
    if len(snapshot.rules) == 1:
        return snapshot.rules[0].iss
    try:
        _, number = unverified_issuer(snapshot, octets)
    except (RapidJWSError, IndexError):  # a JWS whose payload is no JSON names nobody
        return None
    return None if number is None else snapshot.rules[number].iss

"""The names of issuers: what an unverified token states, and names that are not an issuer's first one."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from rapidjws.jose.issuer_names import is_template
from rapidjws.verify.key_selection import unverified_issuer
from rapidjws.verify.rules import numbers_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rapidjws.jwt.issuer import Issuer
    from rapidjws.verify.pipeline import Snapshot
    from rapidjws.verify.snapshot import Token


def named_issuers(snapshot: Snapshot, token: Token) -> tuple[str, ...]:
    """Return the issuers that an unverified token names, by ``iss`` or by a kid of a configured one.

    Nothing is proven by it: it is for choosing the stricter of several stages, and for counting claims.

    Args:
        snapshot: Whose keys and limits are in force.
        token: The token; whatever is wrong with it, it then names nobody.
    """
    named: list[str | None] = []
    with contextlib.suppress(Exception):
        octets = snapshot.octets(token).replace(b"=", b"")  # padded or not: they name the same
        with contextlib.suppress(Exception):
            kid = snapshot._split(octets[: octets.index(b".")]).kid
            if kid is not None:
                named += [snapshot.rules[number].iss for number in snapshot.table.issuers_with(kid)]
        iss, number = unverified_issuer(snapshot, octets)
        named += (
            [iss] if number is None else [snapshot.rules[number].iss, iss, *_other_issuers(snapshot, number)]
        )
    return tuple(dict.fromkeys(iss for iss in named if iss is not None))


def names_of_signer(snapshot: Snapshot, token: Token, issuer: str) -> tuple[str, ...]:
    """Return the names that hold for a refused token whose signature is an issuer's.

    Args:
        snapshot: Whose rules are in force.
        token: The token.
        issuer: The issuer's first name, or its template; the names of no other issuer are returned.
    """
    names: tuple[str, ...] = (issuer,)
    with contextlib.suppress(Exception):
        iss, number = unverified_issuer(snapshot, snapshot.octets(token).replace(b"=", b""))
        if number is not None and iss is not None and snapshot.rules[number].iss == issuer:
            names = (issuer, iss) if is_template(issuer) else (issuer, *_other_issuers(snapshot, number))
    return names


def _other_issuers(snapshot: Snapshot, number: int) -> tuple[str, ...]:
    """Return the names of an issuer after its first one."""
    policy = snapshot.rules[number].policy
    return () if policy is None else policy.other_issuers


def other_names(named: Iterable[str], issuers: Mapping[str, Issuer]) -> frozenset[str]:
    """Return the names that are not the first one of an issuer, but another one, or fit its template.

    Args:
        named: The names.
        issuers: The issuers by their first names.
    """
    others = [name for name in named if name not in issuers]
    numbers = numbers_of([issuer.rules() for issuer in issuers.values()]) if others else ()
    return frozenset(name for name in others if name in numbers)

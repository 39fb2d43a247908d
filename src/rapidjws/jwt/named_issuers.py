"""The issuers that an unverified token names: whose stages count, and nothing more."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from rapidjws.verify.key_selection import unverified_iss

if TYPE_CHECKING:
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
        iss = unverified_iss(octets, snapshot.max_token_bytes)
        number = snapshot.issuers.get(iss)
        named.append(iss if number is None else snapshot.rules[number].iss)
    return tuple(dict.fromkeys(iss for iss in named if iss is not None))

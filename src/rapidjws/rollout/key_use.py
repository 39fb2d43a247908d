"""Who uses which key, from the evidence of verifications: for the overlap of a rotation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rapidjws.rollout.counters import Row, RowKey
from rapidjws.rollout.request_metrics import KEY_CHARS


@dataclass(frozen=True, slots=True)
class KeyUse:
    """Good tokens of one partner under one route that verified under a key.

    Attributes:
        partner: The partner, ``""`` where none was attributed.
        route: The route, ``""`` for those without a name.
        count: How many.
        first_s: When the first was seen, in seconds since the epoch.
        last_s: When the last was seen.
    """

    partner: str
    route: str
    count: int
    first_s: int
    last_s: int


def key_uses(rows: Mapping[RowKey, Row], thumbprint: str) -> list[KeyUse]:
    """Return who uses a key, the last user first.

    Args:
        rows: ``Evidence(folder).rows()``.
        thumbprint: The key's RFC 7638 thumbprint; evidence counts under its beginning.
    """
    found = []
    for (partner, route), row in rows.items():
        seen = row.keys.get(thumbprint[:KEY_CHARS])
        if seen is not None:
            count, first_s, last_s = seen
            found.append(KeyUse(partner, route, int(count), int(first_s), int(last_s)))
    return sorted(found, key=lambda one: (-one.last_s, one.partner, one.route))

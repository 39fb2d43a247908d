"""Known headers of issuers that a change of keys did not touch: they stay known in the next snapshot.

A header stays known only where a token with it would be led to the same key of the same issuer as before: the
rules of all issuers and the revocations are those of before, and the issuer's keys are the very same.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Protocol

from rapidjws import _native

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from rapidjws.verify.key_availability import KeyAvailability
    from rapidjws.verify.revocations import Revocations
    from rapidjws.verify.rules import Rules
    from rapidjws.verify.slot_table import KeyTable


class SnapshotKeys(Protocol):
    """What a snapshot tells about its keys."""

    @property
    def table(self) -> KeyTable:
        """Return the keys."""

    @property
    def rules(self) -> Sequence[Rules]:
        """Return the rules of each issuer."""

    @property
    def routes_by_iss(self) -> bool:
        """Return whether ``iss`` decides between issuers before any kid."""

    @property
    def key_availability(self) -> KeyAvailability | None:
        """Return what stands around the keys."""

    @property
    def native(self) -> _native.NativeTables:
        """Return the core's tables."""


def carry_headers(before: SnapshotKeys, now: SnapshotKeys) -> int:
    """Let headers stay known whose keys a change did not touch.

    Args:
        before: The snapshot before the change.
        now: The one after it, which nobody uses yet.

    Returns:
        How many headers stay known.
    """
    if len(now.rules) < 2 or tuple(before.rules) != tuple(now.rules):
        return 0  # of one issuer, what changed is its own; with other rules, another one may own a name
    if any(rule.policy is None for rule in now.rules) or _revoked(before) is not _revoked(now):
        return 0
    with_issuer = array("I", [_native.SLOT_NONE]) * len(before.table.slots)
    alone = array("I", with_issuer)
    more_alone = before.routes_by_iss or not now.routes_by_iss
    chains = _chains(before), _chains(now)
    for number, keys in enumerate(now.table.issuers):
        if keys is not before.table.issuers[number] or number in chains[0] or number in chains[1]:
            continue
        first, first_before = now.table.offsets[number], before.table.offsets[number]
        for position, key in enumerate(keys.prepared):
            with_issuer[first_before + position] = first + position
            kid = key.jwk.kid  # a header alone decides where the kid is one issuer's only
            if more_alone and kid is not None and now.table.issuers_with(kid) == (number,):
                alone[first_before + position] = first + position
    return now.native.headers.carry(before.native.headers, with_issuer, alone)


def _revoked(snapshot: SnapshotKeys) -> Revocations | None:
    """Return the revocations of keys, or None for none."""
    around = snapshot.key_availability
    return around.revocations if around is not None and around.revocations.on_keys else None


def _chains(snapshot: SnapshotKeys) -> Container[int]:
    """Return the numbers of issuers whose keys come in the headers of tokens."""
    around = snapshot.key_availability
    return () if around is None else around.chains

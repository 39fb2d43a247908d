"""A column of tokens (Apache Arrow's layout) against one snapshot, for bulk verification.

The core decides almost every token where it lies. What it leaves open is completed here, one by one, by the
same steps as for a single token. Whatever nobody decided reads as refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rapidjws import _native
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.verify.result import Rejected, VerifiedJWS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rapidjws.verify.pipeline import Snapshot
    from rapidjws.verify.snapshot_owner import SnapshotOwner

PLAIN_BITS: Final = 0x1FF
"""Of a verdict: its status, and whether anything else is to do."""

PLAIN_OK: Final = _native.OK
"""What these bits are where the core accepted a token, and nothing else is to do."""

_OWN_FAULTS: Final = (RapidJWSError, MemoryError, RuntimeError, ValueError)


def snapshot_of(owner: SnapshotOwner) -> Snapshot:
    """Return the keys and rules of this moment, for a whole batch."""
    return owner._snapshot


def checks_claims(owner: SnapshotOwner) -> bool:
    """Return whether claims are checked, as an Engine does, or payloads are opaque."""
    return owner._snapshot.rules[0].policy is not None


def verify_column(
    snapshot: Snapshot,
    column: _native.TokenColumn,
    verdicts: memoryview,
    claims: Sequence[_native.ClaimMemory],
    now_ns: int,
) -> None:
    """Verify a column of tokens outside the GIL.

    Args:
        snapshot: Keys and rules.
        column: The tokens.
        verdicts: A ``memoryview`` of format ``Q``, one a token; all are written, or the call raises.
        claims: Where claims of accepted tokens go.
        now_ns: Nanoseconds since the epoch, where the column has no times.
    """
    _native.verify_column(snapshot.latest().native, column, verdicts, claims, now_ns)


def completed(snapshot: Snapshot, octets: bytes, verdict: int, now_ns: int) -> VerifiedJWS | Rejected:
    """Return the result of one token, doing what the core left open about it.

    Args:
        snapshot: Keys and rules; the same as before.
        octets: The token.
        verdict: The core's.
        now_ns: The moment of its check.
    """
    try:
        if verdict & 0xFF == _native.OK:
            snapshot.note_table_due(verdict)
            return snapshot.accept(octets, verdict >> 9)
        found = snapshot.complete_verdict(octets, verdict, now_ns)
    except _OWN_FAULTS as fault:
        return Rejected(error_for("internal_error", type(fault).__name__))
    return Rejected(found) if isinstance(found, RapidJWSError) else found


def checked_after(snapshot: Snapshot, result: VerifiedJWS, now_ns: int) -> VerifiedJWS | Rejected:
    """Return a result after the checks that follow a verification: revocation, replay."""
    try:
        return result if snapshot.post_checks is None else snapshot.post_checks.run(result, now_ns)
    except RapidJWSError as fault:
        return Rejected(fault.with_traceback(None))
    except Exception as fault:  # a store's; no token that it was asked about is accepted
        return Rejected(error_for("internal_error", type(fault).__name__))

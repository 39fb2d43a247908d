"""An emergency rotation: one key out of use everywhere, the next one in its place, and the timeline of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rapidjws._checks import check_range, checked
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.issuing.announcement import Announcer, Confirmations
from rapidjws.issuing.life_cycle import KeyLifeCycle
from rapidjws.issuing.state import SigningKey
from rapidjws.signing.presigned import PresignedPool
from rapidjws.signing.signer import Signer
from rapidjws.verify.protocols import RevocationStore
from rapidjws.verify.revocations import Revocation


class EmergencyStage(NamedTuple):
    """A step that was taken.

    Attributes:
        name: ``"replaced"``, ``"uploaded"``, ``"flushed"``, ``"revoked"`` or ``"confirmed"``.
        seconds: Since the decision.
        detail: What happened, in words.
        failed: Whether it did not succeed; later steps are taken all the same.
    """

    name: str
    seconds: float
    detail: str
    failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EmergencyReport:
    """What an emergency rotation did.

    Attributes:
        kid: The key that is out of use.
        successor: The key that signs in its place; None where it did not sign.
        stages: The steps, in their order.
        confirmations: Which consumers have the new keys.
    """

    kid: str
    successor: str | None
    stages: tuple[EmergencyStage, ...]
    confirmations: Confirmations

    @property
    def is_complete(self) -> bool:
        """Return whether every step succeeded."""
        return not any(one.failed for one in self.stages)


@checked
def rotate_in_emergency(
    life_cycle: KeyLifeCycle,
    announcer: Announcer,
    kid: str,
    why: str,
    *,
    issuer: str,
    revocations: RevocationStore | None = None,
    signer_for: Callable[[SigningKey], Signer] | None = None,
    pools: Sequence[PresignedPool] = (),
    wait_s: float = 60.0,
    monotonic: Callable[[], float] = time.monotonic,
) -> EmergencyReport:
    """Taint a key, let the next one sign, revoke it for all engines, and follow the consumers.

    A next key that caches may not know yet signs as well: in an emergency, tokens that are refused for a
    while are better than a key that a stranger has. What comes after the replacement is tried whatever fails.

    Args:
        life_cycle: The issuer's keys.
        announcer: Tells the consumers.
        kid: The key.
        why: For the record.
        issuer: The ``iss``, for the revocation.
        revocations: Where engines read revocations, or None.
        signer_for: Gives the new key's signer, which signs the announcement; None for no signature.
        pools: Tokens signed ahead, which are dropped; the new key's signer fills them again.
        wait_s: Longest wait for the consumers, in seconds.
        monotonic: Gives seconds that never run backwards.

    Raises:
        IssuingRefused: ``key_not_found``, ``no_next_key``, ``key_state_changed``: nothing was changed.
        DependencyUnavailable: ``issuing_clock``, ``key_state_unavailable``, ``key_state_unreadable``.
    """
    check_range("wait_s", wait_s, 0, 86400)
    begun_s = monotonic()
    key = life_cycle.state().key(kid)
    if key.stage == "removed":
        raise error_for("key_not_found", "kid", "a key that is not removed", kid)
    words = _replace(life_cycle, kid, why)
    successor = next(iter(life_cycle.state().in_stage("active", key.alg)), None)
    stages = [EmergencyStage("replaced", monotonic() - begun_s, words)]
    if life_cycle.copy.is_kept:
        stages.append(_upload(life_cycle, begun_s, monotonic))
    signer = None if signer_for is None or successor is None else _signer(signer_for, successor)
    if pools:
        stages.append(_flush(pools, signer, begun_s, monotonic))
    if revocations is not None:
        stages.append(_revoke(revocations, issuer, kid, begun_s, monotonic))
    confirmations = Confirmations(confirmed={}, missing={})
    if successor is not None:
        confirmations = announcer.announce(successor.kid, signer=signer, withdrawn=kid, wait_s=wait_s)
        after_s = monotonic() - begun_s
        stages.append(confirmed_stage(confirmations, after_s, is_revoked=revocations is not None))
    return EmergencyReport(
        kid=kid,
        successor=successor.kid if successor is not None and key.stage == "active" else None,
        stages=tuple(stages),
        confirmations=confirmations,
    )


def _upload(life_cycle: KeyLifeCycle, begun_s: float, monotonic: Callable[[], float]) -> EmergencyStage:
    """Write the copy of what is published."""
    failed = life_cycle.copy.follow(life_cycle.state())
    detail = "the copy of the JWK Set" if failed is None else failed
    return EmergencyStage("uploaded", monotonic() - begun_s, detail, failed is not None)


def _flush(
    pools: Sequence[PresignedPool], signer: Signer | None, begun_s: float, monotonic: Callable[[], float]
) -> EmergencyStage:
    """Drop the tokens that were signed ahead."""
    for one in pools:
        one.drop(signer)
    return EmergencyStage("flushed", monotonic() - begun_s, f"{len(pools)} pools of tokens")


def confirmed_stage(
    confirmations: Confirmations, after_s: float, *, is_revoked: bool, of: str = ""
) -> EmergencyStage:
    """Return how many consumers have confirmed; where none is named, that is no success by itself.

    Args:
        confirmations: Who has.
        after_s: How long it took, in seconds.
        is_revoked: Whether engines learn of it from a store of revocations as well.
        of: What they confirm, behind their number.
    """
    count = len(confirmations.confirmed)
    total = count + len(confirmations.missing)
    if not total:
        where = "the store of revocations alone reaches them" if is_revoked else "caches go on until they end"
        return EmergencyStage("confirmed", after_s, f"no consumers are named: {where}", not is_revoked)
    return EmergencyStage(
        "confirmed", after_s, f"{count} of {total} consumers{of}", bool(confirmations.missing)
    )


def _replace(life_cycle: KeyLifeCycle, kid: str, why: str) -> str:
    """Taint the key, and return what signs now, in words."""
    try:
        life_cycle.taint(kid, why)
    except RapidJWSError as refused:
        life_cycle.taint(kid, why, unready=True)  # what keeps this from being done is raised here again
        if refused.code != "key_not_ready":
            return f"out of the JWK Set; the next key does not sign here: {refused.code}"
        return "the next key signs, which some caches may not know yet"
    return "out of the JWK Set; if it signed, the next key signs now"


def _revoke(
    store: RevocationStore, issuer: str, kid: str, begun_s: float, monotonic: Callable[[], float]
) -> EmergencyStage:
    try:
        store.add(Revocation(issuer=issuer, kid=kid))
    except RapidJWSError as failed:
        return EmergencyStage("revoked", monotonic() - begun_s, failed.code, True)
    return EmergencyStage("revoked", monotonic() - begun_s, "in the store of revocations")


def _signer(signer_for: Callable[[SigningKey], Signer], key: SigningKey) -> Signer | None:
    """Return the signer, or None where it fails: the secret alone then authenticates."""
    try:
        return signer_for(key)
    except RapidJWSError:
        return None

"""The revocations of an engine: what holds here, and what a store beyond this process says."""

from __future__ import annotations

import contextlib
from time import monotonic
from typing import TYPE_CHECKING

from rapidjws._checks import checked
from rapidjws.errors import RapidJWSError
from rapidjws.verify.protocols import Event, emit
from rapidjws.verify.revocations import Revocation, Revocations
from rapidjws.verify.snapshot_owner import SnapshotOwner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rapidjws.verify.protocols import EventListener, RevocationStore


class RevokingKeys(SnapshotOwner):
    """The part of an engine that revokes; see :class:`Engine` for the arguments."""

    __slots__ = ("_events", "_is_lost", "_revocations", "_store", "_unsent")
    _events: EventListener
    _store: RevocationStore | None
    _revocations: Revocations

    def _load_revocations(self, store: RevocationStore | None) -> None:
        """Begin with what a store has."""
        self._store = store
        self._unsent: tuple[Revocation, ...] = ()  # hold here, but the store does not have them (yet)
        self._revocations = Revocations(() if store is None else store.load())
        self._is_lost = False  # the store lost its list, and its owner chose to refuse meanwhile

    def _rebuild(self) -> None:
        """Swap in a snapshot of everything as it is now; the caller holds ``_change``."""
        raise NotImplementedError

    def revoke(
        self,
        *,
        kid: str | None = None,
        thumbprint: str | None = None,
        issuer: str | None = None,
        jti: str | None = None,
        issued_before: int | None = None,
        sub: str | None = None,
        sid: str | None = None,
    ) -> Revocation:
        """Refuse from the next call on, on every thread, what a key, an issuer or a token stands for.

        Args:
            kid: The key of this name, of ``issuer`` or of all.
            thumbprint: The key with this RFC 7638 SHA-256 thumbprint, whatever its kid.
            issuer: Narrows the others to this ``iss``; alone it revokes the whole issuer. The first name of
                an issuer, or its template, stands for all of them; another name, or a tenant's, is revoked
                for the tokens that state it.
            jti: The token of this ``jti``.
            issued_before: Tokens whose ``iat`` lies before, in seconds since the epoch; beside ``sub`` those
                of that subject only.
            sub: Tokens of this subject of ``issuer``.
            sid: Tokens of this session of ``issuer``.

        Returns:
            The revocation, for ``unrevoke``.

        Raises:
            ConfigurationError: ``configuration_invalid``.
            DependencyUnavailable: ``revocation_store_unavailable``: it holds here, but was not kept or sent.
        """
        revocation = Revocation(
            kid=kid,
            thumbprint=thumbprint,
            issuer=issuer,
            jti=jti,
            issued_before=issued_before,
            sub=sub,
            sid=sid,
        )
        with self._change:
            self._unsent = (*self._unsent, revocation)
            self._set_revocations(lambda listed: (*listed, revocation))
        if self._store is not None:
            self._store.add(revocation)
        self._forget_unsent(revocation)
        self._take_over_revocations()
        return revocation

    @checked
    def unrevoke(self, revocation: Revocation) -> bool:
        """Lift a revocation.

        Args:
            revocation: As it was returned or listed.

        Returns:
            Whether it was there.

        Raises:
            DependencyUnavailable: ``revocation_store_unavailable``: nothing is lifted.
        """
        was_there = revocation in self._revocations.listed
        if self._store is not None:  # first: what it still has would come back, here and elsewhere
            self._store.remove(revocation)
        self._forget_unsent(revocation)
        self._set_revocations(lambda listed: [one for one in listed if one != revocation])
        self._take_over_revocations()
        return was_there

    def _forget_unsent(self, revocation: Revocation) -> None:
        with self._change:
            self._unsent = tuple(one for one in self._unsent if one != revocation)

    def _hold_unsent(self, revocations: tuple[Revocation, ...]) -> None:
        """Refuse what is revoked though the store does not have it (yet), and no more what was so before.

        What is no longer among them holds until the store says that it does not.

        Args:
            revocations: All of these, whoever asked for them.

        Raises:
            DependencyUnavailable: ``revocation_store_unavailable``: nothing is changed.
        """
        with self._change:
            listed = self._revocations.listed
            if self._store is not None and any(one not in revocations for one in self._unsent):
                listed = tuple(self._store.load())
            self._unsent = revocations
            self._set_revocations(lambda _: (*listed, *revocations))

    def _take_over_revocations(self) -> None:
        """Go by what the store says after a change of ours: others may have changed it before or since."""
        with contextlib.suppress(RapidJWSError):  # what was changed here holds here until the store is back
            self._revocations_changed()

    def revocations(self) -> tuple[Revocation, ...]:
        """Return all revocations that hold."""
        return self._revocations.listed

    def _revocations_changed(self) -> None:
        """Take over what the store has now; called by it when others changed the list."""
        store = self._store
        if store is not None:
            with self._change:
                listed = store.load()
                self._is_lost = getattr(store, "is_lost", False) is True
                self._set_revocations(lambda _: (*listed, *self._unsent))

    def _set_revocations(self, change: Callable[[tuple[Revocation, ...]], Iterable[Revocation]]) -> None:
        started = monotonic()
        with self._change:
            before = self._revocations
            self._revocations = Revocations(change(before.listed))
            try:
                self._rebuild()
            except BaseException:
                self._revocations = before  # what did not come into force is news still
                raise
        taken_s = monotonic() - started
        emit(self._events, Event(name="revocations_enforced", value=taken_s))

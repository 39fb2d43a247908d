"""The protocols of the engine: what it needs of key sources, replay stores, revocation stores and listeners.

The engine imports none of those who fulfil these; they are handed in. None of them waits on the
verification path.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from concurrent.futures import Future

    from rapidjws.errors import RapidJWSError
    from rapidjws.jose.jwks import JWKSet
    from rapidjws.verify.result import Rejected, VerifiedJWS
    from rapidjws.verify.revocations import Revocation


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened around the keys; never anything secret or replayable.

    Attributes:
        name: A stable name: ``"keys_changed"``, ``"kid_rebound"``, ``"fetch_failed"`` and so on.
        issuer: The ``iss`` or the source's URL, or None.
        kid: The key's name, or None.
        value: A number with its unit in the name's description: seconds, keys, bytes.
        detail: A stable word, or None.
    """

    name: str
    issuer: str | None = None
    kid: str | None = None
    value: float | None = None
    detail: str | None = None


class EventListener(Protocol):
    """A listener to events; called outside of the verification path, on whatever thread it happened."""

    def __call__(self, event: Event, /) -> None:
        """Take one event."""


class Clock(Protocol):
    """Both times: the wall clock for tokens, the monotonic one for ages and windows."""

    def time(self) -> float:
        """Return seconds since the epoch."""

    def monotonic(self) -> float:
        """Return seconds that never run backwards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyState:
    """What a source has now.

    Attributes:
        keys: The keys to use, or None where there are none to be used.
        code: Why there are none: ``"keys_unavailable"`` or ``"keys_stale"``.
        first_seen: kid -> monotonic seconds at which a rotation brought it.
    """

    keys: JWKSet | None
    code: str = "keys_unavailable"
    first_seen: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))


@runtime_checkable
class KeySource(Protocol):
    """A source of an issuer's keys as they change."""

    def state(self) -> KeyState:
        """Return what there is now; never waits."""

    def subscribe(self, changed: Callable[[], None]) -> None:
        """Call a bound method after each change; it is held weakly."""

    def unknown_kid(self, kid: str) -> float | None:
        """Take note that a token named a kid that is not in the set; never waits.

        Where all signatures by a key fail, the text is ``signatures fail: `` and its kid: a set with another
        key under the same kid, or without one, may be there.

        Returns:
            Seconds until a refresh starts that may bring it, or None where none will for this kid.
        """

    def next_answer(self) -> Future[None]:
        """Return a future of the caller's own, done when the next refresh ended, well or not."""


class SenderCheck(Protocol):
    """The check of whether a token may be used by who sent it (RFC 7800 ``cnf``), for one request."""

    @property
    def blocking(self) -> bool:
        """Return whether it may wait for another machine."""

    def refusal(self, verified: VerifiedJWS, now_ns: int) -> RapidJWSError | None:
        """Return why a verified token must not be used by who sent it, or None; a use is recorded then."""


class PostCheck(Protocol):
    """The checks of a token whose signature and claims are good already: revocation, replay.

    Attributes:
        blocking: Whether they may wait for another machine; then asyncio uses a thread.
    """

    blocking: bool

    def run(self, verified: VerifiedJWS, now_ns: int, sender: SenderCheck | None = None) -> VerifiedJWS:
        """Return the token.

        Raises:
            RapidJWSError: Why it is refused after all.
        """

    def run_all(self, results: list[VerifiedJWS | Rejected], now_ns: int) -> list[VerifiedJWS | Rejected]:
        """Check a batch in place, and return it."""

    def refusal_without_store(self, verified: VerifiedJWS) -> RapidJWSError | None:
        """Return what refuses a token before any store is asked; nothing is recorded."""


class ReplayStore(Protocol):
    """A memory of what was used, exactly once.

    It may also have ``withdraw(keys)``, which takes back uses for which ``record`` last returned None, and
    those alone: their tokens were refused, and their clients may send them again.

    Attributes:
        blocking: Whether ``record`` may wait for another machine; then asyncio uses a thread.
    """

    @property
    def blocking(self) -> bool:
        """Return whether ``record`` may wait."""

    def record(self, entries: Sequence[tuple[bytes, int]]) -> Sequence[bool | None]:
        """Record uses, each an all-or-nothing insert.

        Args:
            entries: 32-byte keys, each with the whole seconds that its entry must live.

        Returns:
            One an entry: True for the first use, False for a later one, None where the store cannot tell.
        """


def take_back(store: ReplayStore, keys: Sequence[bytes]) -> None:
    """Have a store that can take back uses that were refused as it could not tell."""
    withdraw = getattr(store, "withdraw", None)
    if withdraw is not None:
        with contextlib.suppress(Exception):  # as good as unconfirmed, and refused already
            withdraw(keys)


class RevocationStore(Protocol):
    """A store of revocations beyond this process, which brings those of others."""

    def load(self) -> Sequence[Revocation]:
        """Return all that hold now.

        Raises:
            DependencyUnavailable: ``revocation_store_unavailable``.
        """

    def add(self, revocation: Revocation) -> None:
        """Keep one, and tell others.

        Raises:
            DependencyUnavailable: ``revocation_store_unavailable``.
        """

    def remove(self, revocation: Revocation) -> None:
        """Lift one, and tell others.

        Raises:
            DependencyUnavailable: ``revocation_store_unavailable``.
        """

    def subscribe(self, changed: Callable[[], None]) -> None:
        """Call a bound method when others changed the list; it is held weakly."""


def no_events(event: Event, /) -> None:
    """Listen to nothing."""


def emit(recorder: EventListener, event: Event) -> None:
    """Hand an event to a listener; a listener's fault is not ours and stops nothing."""
    try:
        recorder(event)
    except Exception:
        return


def all_of(*listeners: EventListener) -> EventListener:
    """Return a listener that hands each event to several; one's fault keeps nothing from the others."""

    def listen(event: Event, /) -> None:
        for one in listeners:
            emit(one, event)

    return listen

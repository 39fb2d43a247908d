"""What stands around a snapshot: issuers without keys, revoked keys, keys awaited after a rotation.

Only the slow path reads this: a header that was not met before, or a refusal.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Final

from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jose.certificate_names import marks_of_header
from rapidjws.verify.kid_floods import FLOOD, KidFloods
from rapidjws.verify.protocols import Event, emit, no_events
from rapidjws.verify.revocations import Revocations

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rapidjws.jose.jws import Header
    from rapidjws.verify.chains import ChainSnapshot, ChainSource
    from rapidjws.verify.key_table import PreparedKey
    from rapidjws.verify.protocols import EventListener

FAILING: Final = "signatures fail: "
"""Before a kid in the place of an unknown one: all signatures by its key fail."""

FAILING_MIN: Final = 3
"""Bad signatures by one key, without a good one between them, that ask for its set once more."""


@dataclass(slots=True, kw_only=True)
class KeyAvailability:
    """The availability of one snapshot's keys: issuers without keys, revoked keys, keys awaited.

    Attributes:
        unavailable: Issuer number -> code, for issuers that have no keys to be used now.
        revocations: Those that hold.
        removed: Issuer number -> its revoked keys.
        unknown_kid: Called with (iss, kid) when a kid is not known; never waits.
        awaited: (iss, kid) -> monotonic seconds of a new key's first sight, until it first accepts.
        accepted: Those of them that accepted: they are not awaited again after the next swap.
        events: Listener.
        chains: Issuer number -> source, where keys come in the headers of tokens.
        newest: Gives the engine's snapshot as it is by now.
        floods: Counts tokens with unknown kids; every snapshot of an engine has the same.
        failing: Slot -> bad signatures without a good one between them, and uses at the last one.
    """

    unavailable: Mapping[int, str] = field(default_factory=dict)
    revocations: Revocations = field(default_factory=Revocations)
    removed: Mapping[int, tuple[PreparedKey, ...]] = field(default_factory=dict)
    unknown_kid: Callable[[str, str], object] | None = None
    awaited: dict[tuple[str | None, str | None], float] = field(default_factory=dict)
    accepted: set[tuple[str | None, str | None]] = field(default_factory=set)
    events: EventListener = no_events
    chains: Mapping[int, ChainSource] = field(default_factory=dict)
    failing: dict[int, tuple[int, int]] = field(default_factory=dict)
    floods: KidFloods = field(default_factory=KidFloods)
    newest: Callable[[], ChainSnapshot] | None = None

    @property
    def routes_by_iss(self) -> bool:
        """Return whether a kid that only one issuer has is not enough to know whose token it is."""
        return bool(self.unavailable) or self.revocations.on_keys or bool(self.chains)

    def explain(self, refused: RapidJWSError, header: Header, number: int, iss: str | None) -> RapidJWSError:
        """Return why there is really no key: an outage, a revocation, or nothing but an unknown kid."""
        code = self.unavailable.get(number)
        if code is not None:
            return error_for(code, "issuer.keys", actual=iss)
        if self.revocations.on_keys and self._is_revoked(header, number, iss):
            return error_for("revoked", "header.kid", actual=header.kid)
        if refused.code == "unknown_kid" and iss is not None and self.floods.note(iss, monotonic()):
            emit(self.events, Event(name="unknown_kid_flood", issuer=iss, value=FLOOD))
        named = header.kid or next(iter(marks_of_header(header.raw)), None)
        if refused.code == "unknown_kid" and named is not None and iss is not None and self.unknown_kid:
            self.unknown_kid(iss, named)
        return refused

    def signature_failed(self, slot: int, uses: int, iss: str | None, kid: str | None) -> None:
        """Take note of a bad signature by a key: where all fail, the set in use may be an old one.

        Args:
            slot: The key's number.
            uses: How often the key accepted: where that changed, the key is the issuer's still.
            iss: The issuer.
            kid: The key's kid, or None.
        """
        count, before = self.failing.get(slot, (0, uses))
        count = count + 1 if before == uses else 1
        if count >= FAILING_MIN and iss is not None and self.unknown_kid:
            count = 0
            self.unknown_kid(iss, f"{FAILING}{kid or ''}")  # within the limits for unknown kids
        self.failing[slot] = (count, uses)

    def check_kid(self, iss: str | None, kid: str) -> None:
        """Refuse a kid that is revoked by name, where a key without kid would answer for it.

        Raises:
            PolicyRefused: ``revoked``.
        """
        if self.revocations.names_kid(iss, kid):
            raise error_for("revoked", "header.kid", actual=kid)

    def _is_revoked(self, header: Header, number: int, iss: str | None) -> bool:
        if self.revocations.names_kid(iss, header.kid):
            return True
        return any(
            key.alg == header.alg and header.kid in (None, key.jwk.kid)
            for key in self.removed.get(number, ())
        )

    def first_accepted(self, iss: str | None, kid: str | None) -> None:
        """Measure the rotation lag where this key was awaited: first seen in the set -> first accepted."""
        seen = self.awaited.pop((iss, kid), None)
        if seen is not None:
            self.accepted.add((iss, kid))
            lag_s = max(0.0, monotonic() - seen)
            emit(self.events, Event(name="rotation_lag", issuer=iss, kid=kid, value=lag_s))

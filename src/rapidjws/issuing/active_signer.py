"""Signers of the keys that are active now, kept from one signature to the next."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

from rapidjws._checks import checked
from rapidjws.issuing.key_maker import KeyMaker, LocalKeyMaker
from rapidjws.issuing.life_cycle import KeyLifeCycle
from rapidjws.issuing.state import SigningKey
from rapidjws.signing.signer import Signer

Wrap = Callable[[Signer, SigningKey], Signer]
KEPT_MAX: Final = 16


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureRecord:
    """One signing operation, for the audit: nothing of it can be used again.

    Attributes:
        who: The client that the signature was made for.
        kid: The key.
        alg: The algorithm.
        digest: SHA-256 of the JWS Signing Input, in hexadecimal.
        request_id: Of the request, or empty.
        result: ``"ok"`` or the code of the error.
    """

    who: str
    kid: str | None
    alg: str
    digest: str
    request_id: str
    result: str


class SignatureAudit(Protocol):
    """A taker of records, before the signature leaves; whatever it raises keeps the signature back."""

    def __call__(self, record: SignatureRecord, /) -> None:
        """Take one record."""


@runtime_checkable
class Closable(Protocol):
    """A signer that holds sessions of a device."""

    def close(self) -> None:
        """End the sessions that are free."""


class ActiveSigner:
    """The signer of an issuer's active key: a new one at each rotation.

    Args:
        life_cycle: Says which key is active; asked at each signature.
        maker: Makes signers.
        wrap: Puts something around a new signer, such as a ``SigningQueue``; None for nothing.
    """

    __slots__ = ("_lock", "_maker", "_signers", "_wrap", "life_cycle")

    @checked
    def __init__(self, life_cycle: KeyLifeCycle, maker: KeyMaker, *, wrap: Wrap | None = None) -> None:
        self.life_cycle = life_cycle
        self._maker = maker
        self._wrap = wrap
        self._signers: dict[str, tuple[str, Signer, Signer]] = {}  # kid -> alg, as it is used, as it was made
        self._lock = threading.Lock()

    @property
    def is_local(self) -> bool:
        """Return whether the keys are in this process, so that a signature waits for nobody."""
        return isinstance(self._maker, LocalKeyMaker)

    @checked
    def signer(self, audience: str | None = None, *, key: SigningKey | None = None) -> Signer:
        """Return the signer that signs now for an audience.

        Args:
            audience: For whom.
            key: The key that signs now, where the life cycle was asked already.

        Raises:
            DependencyUnavailable: ``no_signing_key``, ``key_state_unavailable``.
            KeyRefused: ``key_readable_by_others``, ``key_malformed``.
        """
        if key is None:
            key = self.life_cycle.signing_key(audience)
        found = self._signers.get(key.kid)
        if found is not None:
            return found[1]
        bare = self._maker.signer(key)
        made = bare if self._wrap is None else self._wrap(bare, key)
        with self._lock:
            before = [one[2] for one in self._signers.values() if one[0] == key.alg]
            while len(self._signers) >= KEPT_MAX:  # those of keys that were retired
                self._signers.pop(next(iter(self._signers)))
            kept = self._signers.setdefault(key.kid, (key.alg, made, bare))[1]
        for one in before:  # a device has sessions for the key that signs now, not for all that ever did
            if isinstance(one, Closable) and one is not bare:
                one.close()
        return kept

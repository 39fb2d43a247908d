"""Tokens signed ahead for claims that are known."""

from __future__ import annotations

import json
import os
import secrets
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from rapidjws._checks import check_range, checked
from rapidjws.errors import error_for
from rapidjws.signing.compact import sign_compact
from rapidjws.signing.signer import Signer

_OURS = ("iat", "exp", "jti")
_TRIES = 3
_pools: weakref.WeakSet[PresignedPool] = weakref.WeakSet()


class PresignedPool:
    """Short-lived tokens signed ahead, each given once and only for exactly its claims.

    Args:
        signer: Signs.
        lifetime_s: From ``iat`` to ``exp``, in seconds.
        least_left_s: A token with less left is not given.
        size: Tokens held for one set of claims.
        claims_max: Most sets of claims.
        clock: Seconds since the epoch.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    @checked
    def __init__(
        self,
        signer: Signer,
        *,
        lifetime_s: int = 60,
        least_left_s: int = 20,
        size: int = 8,
        claims_max: int = 100,
        clock: Callable[[], float] = time.time,
    ) -> None:
        check_range("lifetime_s", lifetime_s, 1, 3600)
        check_range("least_left_s", least_left_s, 0, lifetime_s - 1)
        check_range("size", size, 1, 10_000)
        check_range("claims_max", claims_max, 1, 100_000)
        self._signer = signer
        self._lifetime_s, self._least_left_s = lifetime_s, least_left_s
        self._size, self._claims_max = size, claims_max
        self._clock = clock
        self._generation = 0
        self._restart()
        _pools.add(self)

    def _restart(self) -> None:
        """Begin with no token: at the start, and in a forked child, whose parent gives those it holds."""
        self._lock = threading.Lock()
        self._tokens: dict[str, deque[tuple[int, str]]] = {}
        self._generation += 1

    @checked
    def take(self, claims: Mapping[str, Any]) -> str:
        """Return a token for these claims, out of the pool or signed now; raises what the signer raises.

        Raises:
            DependencyUnavailable: ``signing_late``: the pool was dropped each time that a token was signed.
        """
        name = _name(claims)
        with self._lock:
            held = self._tokens.get(name)
            while held:
                expires_at, token = held.popleft()
                if self._least_left_s <= expires_at - self._clock() <= self._lifetime_s:
                    return token
        for _ in range(_TRIES):
            generation, signer = self._generation, self._signer
            token = self._signed(name, signer)[1]
            with self._lock:
                if generation == self._generation:  # else its key may be the one that was withdrawn
                    return token
        raise error_for("signing_late", "presigned_pool")

    @checked
    def refill(self, claims: Mapping[str, Any]) -> int:
        """Sign what lacks for these claims, and return how many were added; raises what the signer raises."""
        name = _name(claims)
        added = 0
        with self._lock:
            if name not in self._tokens and len(self._tokens) >= self._claims_max:
                raise error_for("configuration_invalid", "claims", f"at most {self._claims_max} sets")
            generation, signer = self._generation, self._signer
            held = self._tokens.setdefault(name, deque())
            while held and held[0][0] - self._clock() < self._least_left_s:
                held.popleft()
            lacking = self._size - len(held)
        for _ in range(lacking):
            made = self._signed(name, signer)
            with self._lock:
                if generation != self._generation or len(held) >= self._size:
                    break
                held.append(made)
                added += 1
        return added

    @checked
    def drop(self, signer: Signer | None = None) -> None:
        """Forget all tokens, at a rotation or revocation; a new signer signs from now on."""
        with self._lock:
            self._generation += 1
            self._tokens.clear()
            self._signer = signer or self._signer

    def _signed(self, name: str, signer: Signer) -> tuple[int, str]:
        now = int(self._clock())
        claims = json.loads(name)
        claims |= {"iat": now, "exp": now + self._lifetime_s, "jti": secrets.token_urlsafe(16)}
        payload = json.dumps(claims, separators=(",", ":")).encode()
        return claims["exp"], sign_compact(payload, signer, header={"typ": "JWT"})

    def __repr__(self) -> str:
        return f"PresignedPool(alg={self._signer.alg!r}, kid={self._signer.kid!r})"

    def __reduce__(self) -> Any:
        raise TypeError("a PresignedPool holds tokens and cannot be pickled")


def _name(claims: Mapping[str, Any]) -> str:
    """Return the claims as one text; the pool gives those of time and id itself."""
    if any(name in claims for name in _OURS):
        raise error_for("configuration_invalid", "claims", "no " + ", ".join(_OURS))
    if not _has_text_names(claims):
        raise error_for("configuration_invalid", "claims", "names that are texts")
    try:
        return json.dumps(dict(claims), sort_keys=True, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise error_for("configuration_invalid", "claims", "values that JSON can hold") from None


def _has_text_names(value: object) -> bool:
    """Say whether every member's name is a text: JSON would make one of any other, and two names alike."""
    todo: list[Any] = [value]
    while todo:
        one = todo.pop()
        if isinstance(one, Mapping):
            if not all(isinstance(name, str) for name in one):
                return False
            todo += one.values()
        elif isinstance(one, (list, tuple)):
            todo += one
        if len(todo) > 100_000:  # no token is so large; or it holds itself
            return False
    return True


def _after_fork() -> None:
    for one in list(_pools):
        one._restart()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

"""A verifier for code that starts cold and may be frozen between calls: a kept set, fetched when due.

It has no thread and no timer: what is due is fetched within a call, once, in bounded time. Where nothing is
due nothing is loaded that a fetch needs. For a server that stays up use ``RemoteJWKS``.
"""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rapidjws._checks import checked, refused
from rapidjws._scheduler import SystemClock
from rapidjws.errors import RapidJWSError, UnknownKey, error_for
from rapidjws.jose.jwks import JWKSet
from rapidjws.jws.verifier import Verifier
from rapidjws.keys import last_good
from rapidjws.keys.settings import Transport, positive_s
from rapidjws.verify.arguments import checked_algorithms, checked_crit
from rapidjws.verify.protocols import Clock

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rapidjws.jws.verifier import JSONToken
    from rapidjws.keys.fetch import Fetch
    from rapidjws.verify.result import VerifiedJWS
    from rapidjws.verify.snapshot import Token

MAX_AGE_S: Final = 3600.0
STALE_LIMIT_S: Final = 86_400.0
RETRY_S: Final = 30.0
PAUSE_MIN_S: Final = 0.1
"""First pause of ``wait_ready`` after a fetch that failed; it doubles up to the longest one."""

PAUSE_MAX_S: Final = 2.0


class CachedJWKSVerifier:
    """A verifier with a sender's JWK Set that is kept in a file; hand it to ``verify_webhook``.

    Args:
        url: The https URL of the set.
        cache_file: The file that keeps it, as ``RemoteJWKS(last_good=...)`` does; written anew each time.
            One of another user is not read, so it may lie in ``/tmp``.
        algorithms: The ``alg`` values accepted; required.
        shipped: A file of the same form that came with the code and is never written, or None.
        crit: As for ``Verifier``: ``"b64"`` accepts unencoded payloads.
        max_age_s: Age from which on the set is fetched again before it is used.
        stale_limit_s: Age from which on a set that cannot be fetched is not used, the shipped one included.
        retry_s: Shortest time between two fetches, whatever asks for them: unknown kids, failures.
        transport: Limits and trust of a fetch; its ``timeout_s`` is the longest that a call waits.
        clock: Both times.
        fetch: Another way to fetch.

    Attributes:
        last_failure: Why the last fetch failed, as ``SourceStatus.last_failure``, or None.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    @checked(but=("algorithms", "crit", "fetch"))
    def __init__(
        self,
        url: str,
        *,
        cache_file: str | Path,
        algorithms: Iterable[str],
        shipped: str | Path | None = None,
        crit: Iterable[str] = (),
        max_age_s: float = MAX_AGE_S,
        stale_limit_s: float = STALE_LIMIT_S,
        retry_s: float = RETRY_S,
        transport: Transport | None = None,
        clock: Clock | None = None,
        fetch: Fetch | None = None,
    ) -> None:
        if fetch is not None and not callable(fetch):
            raise refused("fetch", "a function (Fetch) or None", fetch)
        for place, value in (
            ("max_age_s", max_age_s),
            ("stale_limit_s", stale_limit_s),
            ("retry_s", retry_s),
        ):
            positive_s(place, value)
        if max_age_s > stale_limit_s:
            raise error_for("configuration_invalid", "stale_limit_s", expected="at least max_age_s")
        self._transport = transport or Transport()
        self.url = self._transport.check_url(url)
        self._kept = Path(cache_file)
        self._shipped = None if shipped is None else Path(shipped)
        self._algorithms = checked_algorithms(algorithms)
        self._crit = tuple(checked_crit(crit))
        self._max_age_s, self._stale_limit_s, self._retry_s = max_age_s, stale_limit_s, retry_s
        self._clock: Clock = clock or SystemClock()
        self._fetch = fetch
        self._lock = threading.Lock()
        self._verifier: Verifier | None = None
        self._fetched_at_s = 0.0
        self._tried_at: float | None = None
        self.last_failure: str | None = None

    def verify(
        self, token: Token | JSONToken, *, payload: bytes | bytearray | memoryview | None = None
    ) -> VerifiedJWS:
        """Verify one token, after a fetch where one is due; a kid that is not in the set may cause one.

        Args:
            token: As for ``Verifier.verify``.
            payload: As for ``Verifier.verify``.

        Returns:
            The verified JWS.

        Raises:
            TokenRefused: As ``Verifier.verify``.
            KeysUnavailable: ``keys_unavailable``: there is no set, kept or to be fetched; ``keys_stale``: it
                is past its limit, and cannot be fetched.
        """
        verifier = self._current()
        try:
            return verifier.verify(token, payload=payload)
        except UnknownKey as refused:
            if refused.code != "unknown_kid" or not self._renew(verifier):
                raise
        return self._current().verify(token, payload=payload)

    def refresh(self) -> bool:
        """Fetch now, whatever is due: for the step that ships the code, or keeps the set warm.

        Returns:
            Whether the set was fetched, and kept as far as the file can be written.
        """
        with self._lock:
            return self._fetch_now()

    @property
    def ready(self) -> bool:
        """Return whether there are keys that may be used now, kept or fetched before; fetches nothing."""
        with self._lock:
            if self._verifier is None:
                self._adopt()
            return self._verifier is not None and self._age_s() < self._stale_limit_s

    def wait_ready(self, timeout_s: float) -> bool:
        """Fetch until there are keys, within a bound: before the first request, in the start of a function.

        Args:
            timeout_s: Longest wait, in seconds, from 0 to 3600; 0 looks at the kept sets alone. A ``fetch``
                of your own that is under way may take longer.

        Returns:
            Whether there are keys that may be used now.

        Raises:
            ConfigurationError: ``configuration_invalid``: no such bound.
        """
        from rapidjws.verify.ready_waiters import checked_timeout_s  # loads futures: not before it is needed

        end_s = time.monotonic() + checked_timeout_s(timeout_s)
        pause_s = PAUSE_MIN_S
        while not self.ready:
            left_s = end_s - time.monotonic()
            if left_s <= 0:
                return False
            with self._lock:
                is_fetched = self._fetch_now(min(left_s, self._transport.timeout_s))
            if not is_fetched:
                left_s = end_s - time.monotonic()
                time.sleep(max(0.0, min(pause_s, left_s)))
                pause_s = min(2 * pause_s, PAUSE_MAX_S)
        return True

    def _current(self) -> Verifier:
        """Return a verifier with keys that may be used now.

        Raises:
            KeysUnavailable: There are none.
        """
        with self._lock:
            if self._verifier is None:
                self._adopt()
            if self._age_s() >= self._max_age_s and self._may_try():
                self._fetch_now()
            if self._verifier is None:
                raise error_for("keys_unavailable", "keys")
            if self._age_s() >= self._stale_limit_s:
                raise error_for("keys_stale", "keys", f"at most {int(self._stale_limit_s)} s old")
            return self._verifier

    def _renew(self, used: Verifier) -> bool:
        """Return whether there are other keys than those that were used, fetching where that is allowed."""
        with self._lock:
            return self._verifier is not used or (self._may_try() and self._fetch_now())

    def _age_s(self) -> float:
        """Return the set's age; one from the future, by a clock that stepped back, counts as old."""
        age_s = self._clock.time() - self._fetched_at_s
        return age_s if age_s >= -last_good.SLACK_S else float("inf")

    def _may_try(self) -> bool:
        return self._tried_at is None or self._clock.monotonic() - self._tried_at >= self._retry_s

    def _adopt(self) -> None:
        """Take the newer one of the kept sets that are whole, of this URL, and not too old."""
        read = partial(
            last_good.read,
            url=self.url,
            now_s=self._clock.time(),
            max_age_s=self._stale_limit_s,
            max_bytes=self._transport.max_bytes,
        )
        found = [read(self._kept)]
        if self._shipped is not None:  # whoever shipped the code could as well have changed it
            found.append(read(self._shipped, is_ours=False))
        for one in sorted((one for one in found if one is not None), key=lambda one: -one.fetched_at_s):
            if self._apply(one.body, one.fetched_at_s):
                return

    def _apply(self, body: bytes, fetched_at_s: float) -> bool:
        """Use a set, unless it is none or has no usable key."""
        limits = {"max_keys": self._transport.max_keys, "max_bytes": self._transport.max_bytes}
        try:
            keys = JWKSet.from_json(body, fetched=True, **limits)
            if not keys.keys:
                return False
            self._verifier = Verifier(keys, algorithms=self._algorithms, crit=self._crit)
        except RapidJWSError:
            return False
        self._fetched_at_s = fetched_at_s
        return True

    def _fetch_now(self, timeout_s: float | None = None) -> bool:
        from rapidjws.keys.fetch import HttpsFetch  # loads TLS: not before it is needed
        from rapidjws.keys.fetch_failed import FetchFailed

        self._tried_at = self._clock.monotonic()
        try:
            fetch = self._fetch
            if fetch is None and timeout_s is not None:
                fetch = HttpsFetch(replace(self._transport, timeout_s=timeout_s))
            elif fetch is None:
                fetch = self._fetch = HttpsFetch(self._transport)
            answer = fetch(self.url, None)
        except FetchFailed as failed:
            self.last_failure = failed.detail
            return False
        fetched_at_s = self._clock.time()
        if not self._apply(answer.body, fetched_at_s):
            self.last_failure = "document"
            return False
        self.last_failure = None
        try:
            last_good.write(self._kept, self.url, last_good.LastGood(answer.body, None, fetched_at_s))
        except (OSError, UnicodeDecodeError):
            self.last_failure = "not_written"  # a read-only place: the next start fetches again
        return True

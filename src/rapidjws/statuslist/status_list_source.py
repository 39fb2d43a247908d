"""One status list token behind its URL, fetched again before it ages; a draft.

Verification reads the list and never waits for a fetch. Security: the URL is configured, none comes from a
token. A list that is older than the one in use is refused, so nobody brings a lifted revocation back.
Source: draft-ietf-oauth-status-list sections 5.1, 8.1 and 8.3.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from rapidjws._checks import check_range, checked
from rapidjws._scheduler import SystemClock, scheduler
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jose.claim_rules import NOT_CHECKED
from rapidjws.jose.jwa import ALGORITHM_TABLE
from rapidjws.jose.limits import TOKEN_CEILING_BYTES
from rapidjws.jose.numeric_date import SECOND_NS, numeric_dates
from rapidjws.jwt.engine import Engine
from rapidjws.jwt.issuer import Issuer
from rapidjws.keys.fetch import Fetch, HttpsFetch
from rapidjws.keys.fetch_failed import FetchFailed
from rapidjws.keys.headers import etag_of
from rapidjws.keys.settings import Transport
from rapidjws.statuslist.newest_seen import NewestSeen
from rapidjws.statuslist.status_list import StatusList, StatusListRefused, status_list_of
from rapidjws.verify.arguments import checked_algorithms
from rapidjws.verify.given_keys import Keys
from rapidjws.verify.protocols import Clock, Event, EventListener, KeySource, emit, no_events

if TYPE_CHECKING:
    from rapidjws.verify.result import VerifiedJWS

MEDIA_TYPE: Final = "application/statuslist+jwt"
RETRY_S: Final = 2.0
"""The pause after a first failure; it doubles up to ``refresh_s``."""
LEAST_LIFE_S: Final = 5.0
"""The shortest life that a server's ``ttl`` can ask for."""


@checked(but=("keys", "algorithms"))
class StatusListSource:
    """A status list kept fresh behind its URL.

    Args:
        url: Where it is, https; also the ``uri`` in tokens and the ``sub`` of the list.
        issuer: Whose tokens may point to it.
        keys: Public keys of who signs it, or a source of them.
        algorithms: The ``alg`` values it may have; no symmetric one.
        refresh_s: Longest time between two fetches, 5 to 86 400 seconds; the list's ``ttl`` shortens it.
        stale_limit_s: How long a list is used after that where none can be fetched, 0 to 86 400 seconds, and
            never beyond its ``exp``.
        max_age_s: Oldest ``iat``, whole seconds, 60 to 31 622 400.
        max_list_bytes: The most octets that a list may grow to, 1 to 67 108 864.
        leeway_s: Clock difference forgiven, whole seconds, 0 to 300.
        state_dir: A folder that keeps the newest ``iat`` over a restart: an older list stays refused. Where
            its file cannot be read or written no list is taken. None keeps none.
        transport: Deadline, authorities, addresses.
        events: Listener: ``status_list_failed``, ``status_list_recovered``; of each fetch
            ``status_list_fetched`` (``detail``: why it failed, or None).
        clock: Both times.
        fetch: Another way to fetch.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    def __init__(
        self,
        url: str,
        *,
        issuer: str,
        keys: Keys | KeySource,
        algorithms: Iterable[str],
        refresh_s: float = 60.0,
        stale_limit_s: float = 300.0,
        max_age_s: int = 86_400,
        max_list_bytes: int = 4 * 1024 * 1024,
        leeway_s: int = 10,
        state_dir: str | None = None,
        transport: Transport | None = None,
        events: EventListener = no_events,
        clock: Clock | None = None,
        fetch: Fetch | None = None,
    ) -> None:
        transport = Transport(max_bytes=TOKEN_CEILING_BYTES + 2) if transport is None else transport
        self.url = transport.check_url(url)
        if not issuer:
            raise error_for("configuration_invalid", "issuer", expected="a value")
        check_range("refresh_s", refresh_s, 5, 86_400)
        check_range("stale_limit_s", stale_limit_s, 0, 86_400)
        check_range("max_age_s", max_age_s, 60, 31_622_400)
        check_range("max_list_bytes", max_list_bytes, 1, 64 * 1024 * 1024)
        check_range("leeway_s", leeway_s, 0, 300)
        names = checked_algorithms(algorithms)
        shared = next((name for name in names if ALGORITHM_TABLE[name].kty == "oct"), None)
        if shared is not None:  # section 5.1 no. 2
            raise error_for("configuration_invalid", "algorithms", "asymmetric algorithms", shared)
        self.issuer = issuer
        self._newest = None if state_dir is None else NewestSeen(state_dir, self.url)
        self._refresh_s, self._stale_limit_s = refresh_s, stale_limit_s
        self._max_age_s, self._max_list_bytes = max_age_s, max_list_bytes
        rules = Issuer.profile(
            "status_list", None, keys=keys, algorithms=names, audience=NOT_CHECKED, leeway_s=leeway_s,
            max_age_s=max_age_s,
        )  # fmt: skip
        self._engine = Engine(rules, workers=1, counters=False, max_token_bytes=TOKEN_CEILING_BYTES)
        self._leeway_s = leeway_s
        self._fetch: Fetch = fetch or HttpsFetch(transport, accept=f"{MEDIA_TYPE}, */*;q=0.1")
        self._events = events
        self._clock: Clock = clock or SystemClock()
        self._list: StatusList | None = None
        self._iat_ns = 0
        self._good_until_s = 0.0  # wall clock
        self._stale_at_s = 0.0  # monotonic
        self._etag: str | None = None
        self._life_s = refresh_s
        self._failures = 0
        self._started = self._under_way = False
        self._lock = threading.Lock()
        scheduler.members.add(self)

    # --- what verification reads --------------------------------------------------------------------------

    def current(self) -> StatusList | None:
        """Return the list that holds now, or None; never waits."""
        found = self._list
        if found is None or self._clock.monotonic() >= self._stale_at_s:
            return None
        return found if self._clock.time() < self._good_until_s else None

    # --- the schedule -------------------------------------------------------------------------------------

    def start(self) -> None:
        """Fetch the list, now and from time to time."""
        with self._lock:
            if self._started:
                return
            self._started = True
        scheduler.call_at(self._clock.monotonic(), self._begin)

    def after_fork(self) -> None:
        """Make the lock anew, and fetch again, in a forked child."""
        self._lock, self._under_way = threading.Lock(), False
        if self._started:
            scheduler.call_at(self._clock.monotonic(), self._begin)

    def _begin(self) -> None:
        """Fetch on a thread; the timer waits for nobody."""
        with self._lock:
            if self._under_way:
                return
            self._under_way = True
        try:
            threading.Thread(target=self._run, name="rapidjws-status-list", daemon=True).start()
        except Exception:  # RuntimeError: no more threads; MemoryError: again later
            self._ended("internal")

    def _run(self) -> None:
        try:
            self.refresh()
        finally:
            with self._lock:
                self._under_way = False
            pause_s = min(RETRY_S * 2 ** min(self._failures - 1, 16), self._refresh_s)
            scheduler.call_at(
                self._clock.monotonic() + (pause_s if self._failures else self._life_s), self._begin
            )

    def refresh(self) -> bool:
        """Fetch the list once; return whether a list that holds came of it."""
        reason: str | None = None
        try:
            self._fetched()
        except FetchFailed as failed:
            reason = failed.reason
        except StatusListRefused as refused:
            reason = refused.reason
        except RapidJWSError as refused:
            reason = refused.code
        except Exception:  # another way to fetch may raise whatever it likes: the list in use goes on
            reason = "internal"
        self._report(reason)
        return reason is None

    def _ended(self, reason: str) -> None:
        """End a fetch that could not begin, and try again later."""
        with self._lock:
            self._under_way = False
        self._report(reason)
        scheduler.call_at(self._clock.monotonic() + RETRY_S, self._begin)

    def _report(self, reason: str | None) -> None:
        emit(self._events, Event(name="status_list_fetched", issuer=self.url, detail=reason))
        if reason is None:
            if self._failures:
                emit(self._events, Event(name="status_list_recovered", issuer=self.url, value=self._failures))
            self._failures = 0
        else:
            self._failures += 1
            emit(self._events, Event(name="status_list_failed", issuer=self.url, detail=reason))

    # --- what is fetched ----------------------------------------------------------------------------------

    def _fetched(self) -> None:
        answer = self._fetch(self.url, self._etag if self._list is not None else None)
        now_s = self._clock.monotonic()
        if answer.status == 304:
            self._stale_at_s = now_s + self._life_s + self._stale_limit_s
            return
        verified = self._engine.verify(answer.body.strip(), self._clock.time())
        self._take(verified, now_s)
        self._etag = etag_of(answer.headers)

    def _take(self, verified: VerifiedJWS, now_s: float) -> None:
        """Put the list of a verified token in place, where it is this one, and not older than that in use."""
        claims = verified.claims
        if claims.get("sub") != self.url:  # section 8.3: the list of another URL, or of another issuer
            raise StatusListRefused("other_list")
        if claims.get("iss", self.issuer) != self.issuer:
            raise StatusListRefused("other_issuer")
        life_s = self._stated_life_s(claims)
        dates = numeric_dates(claims, lambda: verified.payload, ("exp", "iat"))
        iat, exp = dates.get("iat"), dates.get("exp")
        if iat is None or iat.floor_ns < self._iat_ns:
            raise StatusListRefused("older")
        found = status_list_of(claims.get("status_list"), self._max_list_bytes)
        self._remember(iat.floor_ns)
        ends_ns = iat.ceil_ns + self._max_age_s * SECOND_NS
        if exp is not None:
            ends_ns = min(ends_ns, exp.floor_ns)
        with self._lock:
            self._iat_ns, self._life_s = iat.floor_ns, life_s
            self._good_until_s = ends_ns / SECOND_NS + self._leeway_s
            self._stale_at_s = now_s + life_s + self._stale_limit_s
            self._list = found

    def _remember(self, iat_ns: int) -> None:
        """Keep the time of a list over a restart; refuse one that is older than what was ever believed."""
        if self._newest is None:
            return
        try:
            seen_ns = self._newest.iat_ns()
            if iat_ns > seen_ns:
                self._newest.put(iat_ns)
        except (OSError, ValueError):
            raise StatusListRefused("state_unavailable") from None
        if iat_ns < seen_ns:
            raise StatusListRefused("older")

    def _stated_life_s(self, claims: dict[str, Any]) -> float:
        """Return how long a list is fresh: its ``ttl``, within our limits."""
        ttl = claims.get("ttl", self._refresh_s)
        if ttl.__class__ not in (int, float) or not ttl > 0:
            raise StatusListRefused("malformed")
        return max(LEAST_LIFE_S, min(float(ttl), self._refresh_s))

    def __repr__(self) -> str:
        return f"StatusListSource({self.url!r}, issuer={self.issuer!r})"

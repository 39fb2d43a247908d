"""A JWK Set behind a URL (RFC 7517 s.5)."""

from __future__ import annotations

from pathlib import Path

from rapidjws._checks import checked
from rapidjws.jose.jwks import JWKSet
from rapidjws.keys.fetch import Fetch
from rapidjws.keys.fetched import FetchedKeys
from rapidjws.keys.settings import Freshness, Transport, UnknownKids
from rapidjws.verify.protocols import Clock, EventListener, no_events


class RemoteJWKS(FetchedKeys):
    """Bring an issuer's keys from its JWK Set URL; give it to ``Issuer(keys=...)``.

    Args:
        url: An https URL.
        freshness: Lives, refreshes, stale limit and back-off.
        unknown_kids: What a kid that is not in the set may cause.
        transport: Limits and trust of a fetch.
        last_good: File that keeps the last good set for a start during an outage; None keeps none. A relative
            path is relative to the working directory of this moment.
        last_good_max_age_s: Oldest kept set used, in seconds.
        events: Listener.
        clock: Both times.
        fetch: Another way to fetch.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    @checked
    def __init__(
        self,
        url: str,
        *,
        freshness: Freshness | None = None,
        unknown_kids: UnknownKids | None = None,
        transport: Transport | None = None,
        last_good: str | Path | None = None,
        last_good_max_age_s: float = 86_400.0,
        events: EventListener = no_events,
        clock: Clock | None = None,
        fetch: Fetch | None = None,
    ) -> None:
        super().__init__(
            url,
            freshness=freshness,
            unknown_kids=unknown_kids,
            transport=transport,
            last_good=last_good,
            last_good_max_age_s=last_good_max_age_s,
            events=events,
            clock=clock,
            fetch=fetch,
        )

    def _parse(self, body: bytes) -> JWKSet:
        return JWKSet.from_json(
            body, fetched=True, max_keys=self._transport.max_keys, max_bytes=self._transport.max_bytes
        )

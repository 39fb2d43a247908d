"""Certificates by kid behind a URL, as Firebase and Google publish them."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from rapidjws._checks import checked
from rapidjws.jose.documents import CERTIFICATE_MAP
from rapidjws.jose.jwks import JWKSet
from rapidjws.keys.certificate_map import keys_of_map
from rapidjws.keys.fetch import Fetch
from rapidjws.keys.fetched import FetchedKeys
from rapidjws.keys.settings import Freshness, Transport, UnknownKids
from rapidjws.verify.protocols import Clock, EventListener, no_events


class RemoteCertificates(FetchedKeys):
    """Bring an issuer's keys from a JSON object of kid -> certificate; give it to ``Issuer(keys=...)``.

    A certificate outside of its dates is not used. Nothing else of it is checked: HTTPS vouches for the map.

    Args:
        url: An https URL.
        freshness: Lives, refreshes, stale limit and back-off.
        unknown_kids: What a kid that is not known may cause.
        transport: Limits and trust of a fetch.
        last_good: File that keeps what was fetched last for a start during an outage; None keeps none.
        last_good_max_age_s: Oldest kept keys used, in seconds.
        events: Listener.
        clock: Both times.
        fetch: Another way to fetch.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    document: ClassVar[str] = CERTIFICATE_MAP

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
        return keys_of_map(
            body,
            max_bytes=self._transport.max_bytes,
            max_keys=self._transport.max_keys,
            now_s=self._clock.time(),
        )

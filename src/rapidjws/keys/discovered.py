"""A JWK Set whose address the issuer's metadata name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from rapidjws._checks import checked
from rapidjws.keys.discovery import (
    checked_issuer,
    checked_origins,
    jwks_uri_of,
    metadata_urls,
)
from rapidjws.keys.fetch import Answer, Fetch
from rapidjws.keys.fetch_failed import FetchFailed
from rapidjws.keys.headers import stated_life_s
from rapidjws.keys.remote import RemoteJWKS
from rapidjws.keys.settings import Freshness, Transport, UnknownKids
from rapidjws.verify.protocols import Clock, EventListener, no_events

METADATA_MIN_S: Final = 300.0
METADATA_MAX_S: Final = 3600.0
"""How long an address is used before the metadata are read again, in seconds."""


class DiscoveredJWKS(RemoteJWKS):
    """Bring an issuer's keys by discovery; give it to ``Issuer(keys=...)``, or use ``Issuer.discover``.

    Metadata are read with the first fetch, not at construction. They are read again once they are old, and
    whenever the key set's address fails, a kid is unknown, or a change was announced.

    Args:
        issuer: The issuer's https URL, exactly as in ``iss`` and in the metadata.
        jwks_origins: Origins (``https://HOST``) where the key set may lie beside the issuer's own.
        freshness: Lives, refreshes, stale limit and back-off.
        unknown_kids: What a kid that is not in the set may cause.
        transport: Limits and trust of a fetch.
        last_good: File that keeps the last good set for a start during an outage; None keeps none.
        last_good_max_age_s: Oldest kept set used, in seconds.
        events: Listener.
        clock: Both times.
        fetch: Another way to fetch.

    Raises:
        ConfigurationError: ``configuration_invalid``.

    Source: OpenID Connect Discovery 1.0 s.4, RFC 8414 s.3.
    """

    @checked
    def __init__(
        self,
        issuer: str,
        *,
        jwks_origins: Iterable[str] = (),
        freshness: Freshness | None = None,
        unknown_kids: UnknownKids | None = None,
        transport: Transport | None = None,
        last_good: str | Path | None = None,
        last_good_max_age_s: float = 86_400.0,
        events: EventListener = no_events,
        clock: Clock | None = None,
        fetch: Fetch | None = None,
    ) -> None:
        rules = transport or Transport()
        self.issuer = checked_issuer(issuer, rules)
        self._origins = checked_origins(jwks_origins, rules)
        self._places = metadata_urls(issuer)
        self._address: str | None = None
        self._read_until = 0.0
        super().__init__(
            self._places[0],
            freshness=freshness,
            unknown_kids=unknown_kids,
            transport=rules,
            last_good=last_good,
            last_good_max_age_s=last_good_max_age_s,
            events=events,
            clock=clock,
            fetch=fetch,
        )

    @property
    def jwks_uri(self) -> str | None:
        """Return the key set's address as the metadata named it last, or None before."""
        return self._address

    def probe(self) -> Answer:
        """Fetch the metadata and the keys now, and use nothing of them."""
        return self._fetch(self._discovered()[0], None)

    def _bring(self, requested: Mapping[int, str], etag: str | None) -> Answer:
        before = self._address
        is_read_now = (
            before is None
            or bool(requested)
            or self._failures > 0
            or self._announced
            or self._clock.monotonic() >= self._read_until
        )
        if is_read_now:
            self._announced = False
            self._discover(before)
        address = self._address
        assert address is not None
        try:
            return self._fetch(address, etag if address == before else None)
        except FetchFailed:
            if is_read_now:
                raise
            self._discover(address)  # it may have moved
            if self._address == address:
                raise
        return self._fetch(str(self._address), None)

    def _discover(self, before: str | None) -> None:
        """Read the metadata; while they cannot be had, an address that they named before still holds."""
        try:
            self._address, life_s = self._discovered()
        except FetchFailed as failed:
            if before is None or failed.reason in ("discovery", "document"):
                raise
            return
        self._read_until = self._clock.monotonic() + life_s
        if before is not None and before != self._address:
            self._emit("jwks_moved")

    def _discovered(self) -> tuple[str, float]:
        """Return the key set's address, and for how long it may be used, in seconds."""
        fault: FetchFailed | None = None
        for place in self._places:
            try:
                answer = self._fetch(place, None)
            except FetchFailed as failed:
                fault = fault or failed
                if failed.status is None:  # no answer at all: another address of the same host has none
                    break
                continue
            address = jwks_uri_of(
                answer.body,
                self.issuer,
                max_bytes=self._transport.max_bytes,
                transport=self._transport,
                origins=self._origins,
            )
            stated_s = stated_life_s(answer.headers)
            life_s = METADATA_MAX_S if stated_s is None else stated_s
            return address, min(max(life_s, METADATA_MIN_S), METADATA_MAX_S)
        assert fault is not None
        raise fault

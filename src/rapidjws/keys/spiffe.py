"""The JWT keys of a SPIFFE bundle (SPIFFE Trust Domain and Bundle s.4, JWT-SVID)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar, Final

from rapidjws._checks import checked
from rapidjws.errors import error_for
from rapidjws.jose import json_text
from rapidjws.jose.documents import kind_of_value
from rapidjws.jose.jwks import JWKSet
from rapidjws.jose.limits import JSON_MAX_DEPTH, JWK_MAX_MEMBERS
from rapidjws.jose.spiffe_id import TRUST_DOMAIN
from rapidjws.keys.fetch import Answer, Fetch
from rapidjws.keys.fetched import FetchedKeys
from rapidjws.keys.settings import Freshness, Transport, UnknownKids
from rapidjws.verify.protocols import Clock, EventListener, no_events

JWT_SVID: Final = "jwt-svid"


class SpiffeBundle(FetchedKeys):
    """Bring the keys of a trust domain's JWT-SVIDs from its bundle endpoint (``https_web``).

    Keys of ``use: jwt-svid`` are used, and no others; ``spiffe_refresh_hint`` says how often it is fetched,
    within ``freshness``. Use it by ``Issuer.spiffe``.

    Args:
        url: The https URL of the bundle.
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

    document: ClassVar[str] = "a JWK Set"

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
        limits = {"max_bytes": self._transport.max_bytes, "max_keys": self._transport.max_keys}
        return bundle_keys(body, **limits)

    def _life_s(self, answer: Answer) -> float | None:
        hint = refresh_hint_s(answer.body) if answer.status == 200 else None
        return super()._life_s(answer) if hint is None else hint


def bundle_keys(body: bytes, *, max_bytes: int, max_keys: int) -> JWKSet:
    """Return the keys of a bundle that verify JWT-SVIDs.

    Raises:
        KeySetRefused: jwks_malformed, jwks_too_large.
        MalformedToken: The text is no JSON, or beyond its limits.

    Source: SPIFFE Trust Domain and Bundle s.4.1, s.4.2.
    """
    found = _parsed(body, max_bytes)
    entries = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(entries, list):
        raise error_for("jwks_malformed", "bundle", "a SPIFFE bundle", f"{kind_of_value(found)}")
    if len(entries) > max_keys:
        raise error_for("jwks_too_large", "bundle.keys", f"at most {max_keys} keys", len(entries))
    chosen = []
    for entry in entries:  # s.4.2.2: kid is set
        if isinstance(entry, dict) and entry.get("use") == JWT_SVID and "kid" in entry:
            chosen.append({**entry, "use": "sig"})
    return JWKSet.from_json(
        json.dumps({"keys": chosen}), fetched=True, max_keys=max_keys, max_bytes=4 * max_bytes
    )


def refresh_hint_s(body: bytes) -> float | None:
    """Return the seconds of ``spiffe_refresh_hint``, or None where a bundle has none."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    hint = found.get("spiffe_refresh_hint") if isinstance(found, dict) else None
    if not isinstance(hint, int) or isinstance(hint, bool) or hint < 0:
        return None
    return float(min(hint, 10**9))


def _parsed(body: bytes, max_bytes: int) -> Any:
    return json_text.loads(
        body, max_bytes=max_bytes, max_depth=JSON_MAX_DEPTH, max_members=JWK_MAX_MEMBERS, place="bundle"
    )


def checked_trust_domain(name: str) -> str:
    """Return a trust domain as in ``spiffe://TRUST-DOMAIN/path``.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """
    if TRUST_DOMAIN.fullmatch(name) is None:
        raise error_for(
            "configuration_invalid", "trust_domain", "lower-case letters, digits, '.', '-', '_'", name
        )
    return name

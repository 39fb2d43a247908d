"""One PEM text a kid at a URL template, as the load balancers of AWS publish their keys."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import ClassVar, Final
from urllib.parse import quote, urlsplit

from rapidjws._checks import checked
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jose.jwks import JWKSet
from rapidjws.keys.certificate_map import keys_of_map, keys_of_texts
from rapidjws.keys.fetch import Answer, Fetch
from rapidjws.keys.fetch_failed import FetchFailed
from rapidjws.keys.fetched import FetchedKeys
from rapidjws.keys.settings import Freshness, Transport, UnknownKids
from rapidjws.verify.key_availability import FAILING
from rapidjws.verify.protocols import Clock, EventListener, no_events

KID: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_~=+:-]|\.(?!\.)){0,127}")
"""Kids that may be asked for: no slash, no percent sign, no two dots, whatever a token says."""

NEW_KIDS_MAX: Final = 8
"""Most kids that one refresh asks for the first time."""

COOLDOWN_S: Final = 2.0
BUDGET: Final = 60
"""By default: each key's first fetch is one for an unknown kid, so pauses are shorter than for a set."""

_MISSING: Final = (403, 404, 410)
_PLACE: Final = "{kid}"


class RemotePEM(FetchedKeys):
    """Bring an issuer's keys from one URL a kid; give it to ``Issuer(keys=...)``.

    A key is fetched once a token names its kid, within the limits for unknown kids, and again as a set is.

    Args:
        template: An https URL with ``{kid}`` in its path, and nowhere else.
        kids: Kids that are fetched from the start.
        freshness: Lives, refreshes, stale limit and back-off.
        unknown_kids: What a kid that is not known may cause; by default 60 fetches one after the other,
            2 seconds apart at least.
        transport: Limits and trust of a fetch.
        last_good: File that keeps what was fetched last for a start during an outage; None keeps none.
        last_good_max_age_s: Oldest kept keys used, in seconds.
        events: Listener.
        clock: Both times.
        fetch: Another way to fetch.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    document: ClassVar[str] = "PEM text"
    on_demand: ClassVar[bool] = True

    @checked
    def __init__(
        self,
        template: str,
        *,
        kids: Iterable[str] = (),
        freshness: Freshness | None = None,
        unknown_kids: UnknownKids | None = None,
        transport: Transport | None = None,
        last_good: str | Path | None = None,
        last_good_max_age_s: float = 86_400.0,
        events: EventListener = no_events,
        clock: Clock | None = None,
        fetch: Fetch | None = None,
    ) -> None:
        checked_template(template, transport or Transport())
        self.template = template
        self._texts: dict[str, str] = {}
        self._first = checked_kids(kids)
        super().__init__(
            template.replace(_PLACE, "KID"),
            freshness=freshness,
            unknown_kids=unknown_kids or UnknownKids(cooldown_s=COOLDOWN_S, budget=BUDGET),
            transport=transport,
            last_good=last_good,
            last_good_max_age_s=last_good_max_age_s,
            events=events,
            clock=clock,
            fetch=fetch,
        )
        self.name = self.url = template
        with self._lock:
            if self._state.keys is None:
                self._publish_keys(JWKSet())

    @checked
    def url_of(self, kid: str) -> str | None:
        """Return the address of a kid's key, or None where no address may be made of it."""
        return self.template.replace(_PLACE, quote(kid, safe="")) if KID.fullmatch(kid) else None

    def unknown_kid(self, kid: str) -> float | None:
        """Take note of a kid; one of which no address is made causes nothing."""
        named = kid.removeprefix(FAILING)
        is_named = KID.fullmatch(named) is not None
        return super().unknown_kid(kid) if is_named and (named == kid or named in self._held) else None

    def probe(self) -> Answer:
        """Fetch the known keys now, and use nothing of them."""
        return self._answer(self._fetched([*self._held_kids(), *self._first]))

    def _held_kids(self) -> list[str]:
        return [key.kid for key in self._held if key.kid is not None]

    def _bring(self, requested: Mapping[int, str], etag: str | None) -> Answer:
        known = [*self._held_kids(), *self._first]
        new = [kid for kid in requested.values() if kid not in known and not kid.startswith(FAILING)]
        if not known and not new:
            self._limiter.forget_refresh()
        free = max(0, self._transport.max_keys - len(set(known)))
        return self._answer(self._fetched([*known, *new[: min(NEW_KIDS_MAX, free)]]))

    def _fetched(self, kids: Iterable[str]) -> dict[str, str]:
        """Fetch the text of each kid; one that is gone is left out, any other fault ends the fetch."""
        found: dict[str, str] = {}
        end_s = self._clock.monotonic() + 2 * self._transport.timeout_s
        for kid in dict.fromkeys(kids):
            url = self.url_of(kid)
            if url is None:
                continue
            if self._clock.monotonic() >= end_s:
                raise FetchFailed("timeout")
            try:
                body = self._fetch(url, None).body
            except FetchFailed as failed:
                if failed.status in _MISSING:
                    continue
                raise
            found[kid] = self._text(kid, body)
        return found

    def _text(self, kid: str, body: bytes) -> str:
        try:
            text = body.decode("ascii")
            keys_of_texts({kid: text}, now_s=None)
        except (ValueError, RapidJWSError) as refused:
            fault = error_for("key_malformed", "pem") if isinstance(refused, ValueError) else refused
            raise FetchFailed("document", found=self._mistaken(body, fault)) from None
        if "-----BEGIN " not in text:
            raise FetchFailed("document", found=self._mistaken(body, error_for("key_malformed", "pem")))
        return text

    @staticmethod
    def _answer(texts: Mapping[str, str]) -> Answer:
        return Answer(status=200, headers={}, body=json.dumps(texts).encode())

    def _parse(self, body: bytes) -> JWKSet:
        if body == b"{}":
            return JWKSet()
        return keys_of_map(
            body,
            max_bytes=self._transport.max_bytes * self._transport.max_keys,
            max_keys=self._transport.max_keys,
            now_s=self._clock.time(),
        )


def checked_kids(kids: Iterable[str]) -> tuple[str, ...]:
    """Return kids of which addresses can be made.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """
    found = tuple(kids)
    for kid in found:
        if KID.fullmatch(kid) is None:
            raise error_for("configuration_invalid", "kids", "letters, digits and -_.~=+: each", kid)
    return found


def checked_template(template: str, transport: Transport) -> str:
    """Return a URL template that names the kid once, in its path.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """
    expected = "an https URL with {kid} once, in its path"
    if template.count(_PLACE) != 1 or template.replace(_PLACE, "").strip("{}") != template.replace(
        _PLACE, ""
    ):
        raise error_for("configuration_invalid", "template", expected)
    if "{" in template.replace(_PLACE, "") or "}" in template.replace(_PLACE, ""):
        raise error_for("configuration_invalid", "template", expected)
    try:
        parts = urlsplit(transport.check_url(template.replace(_PLACE, "KID")))
    except RapidJWSError as refused:
        raise error_for("configuration_invalid", "template", refused.expected or expected) from None
    if _PLACE not in urlsplit(template).path or not parts.path.startswith("/"):
        raise error_for("configuration_invalid", "template", expected)
    return template

"""Announcements of key changes to consumers, at their ``/hooks/jwks-rotated``, until each has the keys."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from rapidjws._checks import check_range, checked
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.issuing.life_cycle import KeyLifeCycle
from rapidjws.issuing.state import SigningKey
from rapidjws.keys.fetch_failed import FetchFailed
from rapidjws.signing.compact import sign_compact
from rapidjws.signing.signer import Signer

if TYPE_CHECKING:
    from rapidjws.keys.post import Post

SIGNATURE_HEADER: Final = "X-JWS-Signature"
PAUSE_S: Final = 0.1
SECRET_MIN_CHARS: Final = 32
CONSUMERS_MAX: Final = 1000
CHANNEL_NAME: Final = "redis"


@checked(under="consumers")
@dataclass(frozen=True, slots=True, kw_only=True)
class Consumer:
    """A service that verifies this issuer's tokens.

    Attributes:
        name: What it is called in reports.
        url: Its ``/hooks/jwks-rotated``.
        secret: The bearer secret of its hook, 32 characters or more.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    name: str
    url: str
    secret: str = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) < SECRET_MIN_CHARS or not self.secret.isprintable():
            raise error_for("configuration_invalid", "consumers.secret", f"{SECRET_MIN_CHARS} characters")
        if not self.url.startswith(("https://", "http://")):
            raise error_for("configuration_invalid", "consumers.url", "the URL of its /hooks/jwks-rotated")


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmations:
    """Who has the keys of a change.

    Attributes:
        confirmed: Name of a consumer -> seconds until it confirmed.
        missing: Name -> the last thing that was heard: an HTTP status, or why there was no answer.
    """

    confirmed: dict[str, float]
    missing: dict[str, str]


class RotationChannel(Protocol):
    """A channel that many consumers follow: ``RedisRotations``."""

    def announce(self, issuer: str, kid: str, withdrawn: str | None = None) -> int:
        """Publish a rotation, and return how many listen."""

    def confirmed(self, issuer: str, kid: str, withdrawn: str | None = None) -> Mapping[str, float]:
        """Return who has the keys of an announcement."""


class Announcer:
    """One issuer's announcements: POST requests with a bearer secret and a signature over the body.

    Args:
        issuer: The ``iss``.
        consumers: Who gets them.
        post: Makes the requests: ``rapidjws.keys.post.HttpsPost``.
        channel: What others follow, or None.
        monotonic: Gives seconds that never run backwards.
        sleep: Waits so many seconds between two rounds.

    Raises:
        ConfigurationError: ``configuration_invalid``: two consumers of one name.
    """

    __slots__ = ("_channel", "_consumers", "_issuer", "_monotonic", "_post", "_sleep")

    @checked(but=("post",))
    def __init__(
        self,
        issuer: str,
        consumers: Sequence[Consumer],
        post: Post,
        *,
        channel: RotationChannel | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not callable(post):
            raise error_for("configuration_invalid", "post", "a function", type(post).__name__)
        names = [one.name for one in consumers]
        if len(set(names)) < len(names) or len(names) > CONSUMERS_MAX:
            raise error_for("configuration_invalid", "consumers", f"up to {CONSUMERS_MAX}, each name once")
        self._issuer = issuer
        self._consumers = tuple(consumers)
        self._post = post
        self._channel = channel
        self._monotonic = monotonic
        self._sleep = sleep

    @checked
    def announce(
        self, kid: str, *, signer: Signer | None = None, withdrawn: str | None = None, wait_s: float = 0.0
    ) -> Confirmations:
        """Post to all consumers, and again until each has the key, or the time is over.

        Args:
            kid: The key that they are to have.
            signer: Signs the body into the header ``X-JWS-Signature``; None to send the secret alone.
            withdrawn: A key that they must have no more, or None.
            wait_s: Longest time in seconds; 0 for one round.

        Returns:
            Who confirmed. One that fails stops no other.
        """
        check_range("wait_s", wait_s, 0, 86400)
        members = {"issuer": self._issuer, "kid": kid, "withdrawn": withdrawn}
        body = json.dumps({name: value for name, value in members.items() if value is not None}).encode()
        headers = {"content-type": "application/json"}
        if signer is not None:
            headers[SIGNATURE_HEADER] = sign_compact(body, signer, detached=True)
        begun_s = self._monotonic()
        confirmed: dict[str, float] = {}
        heard: dict[str, str] = {}
        while True:
            for one in self._consumers:
                if one.name not in confirmed:
                    heard[one.name] = self._ask(one, headers, body)
                    if heard[one.name] == "confirmed":
                        confirmed[one.name] = self._monotonic() - begun_s
            missing = {name: word for name, word in heard.items() if name not in confirmed}
            missing |= self._heard(kid, withdrawn, confirmed, self._monotonic() - begun_s)
            if not missing or self._monotonic() - begun_s >= wait_s:
                return Confirmations(confirmed=confirmed, missing=missing)
            self._sleep(PAUSE_S)

    def _heard(
        self, kid: str, withdrawn: str | None, confirmed: dict[str, float], after_s: float
    ) -> dict[str, str]:
        """Publish on the channel, note who confirmed there, and return what is missing."""
        if self._channel is None:
            return {}
        try:
            listening = self._channel.announce(self._issuer, kid, withdrawn)
            names = self._channel.confirmed(self._issuer, kid, withdrawn)
        except RapidJWSError as failed:
            return {CHANNEL_NAME: failed.code}
        for name in names:
            confirmed.setdefault(f"{CHANNEL_NAME}:{name}", after_s)
        left = listening - len(names)
        return {CHANNEL_NAME: f"{left} of {listening}"} if left > 0 else {}

    @checked
    def announce_newest(
        self, life_cycle: KeyLifeCycle, signer_for: Callable[[SigningKey], Signer], *, wait_s: float = 0.0
    ) -> tuple[str, Confirmations] | None:
        """Announce the key that was published last, signed by the active one; None where none is published.

        Args:
            life_cycle: The keys.
            signer_for: Gives a key's signer: ``KeyMaker.signer``.
            wait_s: Longest time in seconds; 0 for one round.

        Raises:
            DependencyUnavailable: ``key_state_unavailable``, ``key_state_unreadable``, and what the signer
                raises.
        """
        state = life_cycle.state()
        newest = max(state.published(), key=lambda one: one.published_at_s, default=None)
        if newest is None:
            return None
        active = state.in_stage("active")
        signer = signer_for(active[0]) if active else None
        return newest.kid, self.announce(newest.kid, signer=signer, wait_s=wait_s)

    def _ask(self, one: Consumer, headers: dict[str, str], body: bytes) -> str:
        """Return ``"confirmed"``, or what was heard instead."""
        try:
            status, answer = self._post(one.url, {**headers, "authorization": f"Bearer {one.secret}"}, body)
        except FetchFailed as failed:
            return failed.reason
        try:
            is_known = status == 200 and json.loads(answer).get("status") == "known"
        except (ValueError, AttributeError, RecursionError):
            is_known = False
        return "confirmed" if is_known else str(status)

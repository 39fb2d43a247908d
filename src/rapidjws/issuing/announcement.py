"""Announcements of key changes to consumers, at their ``/hooks/jwks-rotated``, until each has the keys."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from rapidjws._checks import check_range, checked
from rapidjws.errors import error_for
from rapidjws.keys.fetch_failed import FetchFailed
from rapidjws.signing.compact import sign_compact
from rapidjws.signing.signer import Signer

if TYPE_CHECKING:
    from rapidjws.keys.post import Post

SIGNATURE_HEADER: Final = "X-JWS-Signature"
PAUSE_S: Final = 0.1
SECRET_MIN_CHARS: Final = 32
CONSUMERS_MAX: Final = 1000


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


class Announcer:
    """One issuer's announcements: POST requests with a bearer secret and a signature over the body.

    Args:
        issuer: The ``iss``.
        consumers: Who gets them.
        post: Makes the requests: ``rapidjws.keys.post.HttpsPost``.
        monotonic: Gives seconds that never run backwards.
        sleep: Waits so many seconds between two rounds.

    Raises:
        ConfigurationError: ``configuration_invalid``: two consumers of one name.
    """

    __slots__ = ("_consumers", "_issuer", "_monotonic", "_post", "_sleep")

    @checked(but=("post",))
    def __init__(
        self,
        issuer: str,
        consumers: Sequence[Consumer],
        post: Post,
        *,
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
            if not missing or self._monotonic() - begun_s >= wait_s:
                return Confirmations(confirmed=confirmed, missing=missing)
            self._sleep(PAUSE_S)

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

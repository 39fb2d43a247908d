"""Security Event Tokens fetched from a transmitter that keeps them (RFC 8936)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from rapidjws._checks import check_range, checked
from rapidjws.errors import RapidJWSError, Unavailable, error_for
from rapidjws.jose import json_text
from rapidjws.keys.fetch_failed import FetchFailed
from rapidjws.keys.post import HttpsPost
from rapidjws.keys.settings import Transport
from rapidjws.signals.receiver import SignalReceiver

Post = Callable[[str, Mapping[str, str], bytes], tuple[int, bytes]]

ANSWER_MAX_BYTES: Final = 1024 * 1024
_HEADERS: Final = {"content-type": "application/json", "accept": "application/json"}


class SETPoller:
    """A client that polls for tokens, gives them to a receiver, and acknowledges those it took.

    Args:
        url: The transmitter's polling endpoint.
        receiver: Takes the tokens.
        authorization: The value of Authorization, or None.
        max_events: Most tokens of one answer, 1 to 1000.
        post: Sends a request; by default over HTTPS with one deadline.

    Raises:
        ConfigurationError: ``configuration_invalid``.

    Source: RFC 8936 section 2.
    """

    @checked
    def __init__(
        self,
        url: str,
        receiver: SignalReceiver,
        *,
        authorization: str | None = None,
        max_events: int = 100,
        post: Post | None = None,
    ) -> None:
        if not url.startswith(("https://", "http://")):
            raise error_for("configuration_invalid", "url", expected="https://")
        check_range("max_events", max_events, 1, 1000)
        self._url = url
        self._receiver = receiver
        self._headers = {**_HEADERS, **({} if authorization is None else {"authorization": authorization})}
        self._max_events = max_events
        self._post = post or HttpsPost(Transport(), max_answer_bytes=ANSWER_MAX_BYTES)
        self._acks: list[str] = []
        self._errors: dict[str, dict[str, str]] = {}

    def poll(self) -> bool:
        """Fetch tokens once, and hand them to the receiver.

        Each is acknowledged with the next request: as taken, or with why it was refused. One that cannot be
        verified or kept now is not acknowledged, and comes again.

        Returns:
            Whether the transmitter has more.

        Raises:
            FetchFailed: No answer, or none of RFC 8936; nothing was taken.
        """
        request: dict[str, Any] = {"maxEvents": self._max_events, "returnImmediately": True}
        acks, errors = list(self._acks), dict(self._errors)
        if acks:
            request["ack"] = acks
        if errors:
            request["setErrs"] = errors
        status, body = self._post(self._url, self._headers, json.dumps(request).encode())
        found = _answer(status, body)
        self._acks = self._acks[len(acks) :]
        for jti in errors:
            self._errors.pop(jti, None)
        for jti, token in list(found["sets"].items())[: self._max_events]:
            self._receive(jti, token)
        return found.get("moreAvailable") is True

    def _receive(self, jti: str, token: Any) -> None:
        try:
            if not isinstance(token, str):
                raise error_for("malformed_token", "sets")
            self._receiver.receive(token)
        except Unavailable:
            return  # it comes again
        except RapidJWSError as refused:
            self._errors[jti] = {"err": "invalid_request", "description": refused.code}
        else:
            self._acks.append(jti)


def _answer(status: int, body: bytes) -> dict[str, Any]:
    """Return an answer's object; raises FetchFailed for anything else."""
    limits: dict[str, int] = {"max_bytes": ANSWER_MAX_BYTES, "max_depth": 8, "max_members": 2000}
    try:
        found = json_text.loads(body, place="sets", **limits) if status == 200 else None
    except RapidJWSError:
        found = None
    if not isinstance(found, dict) or not isinstance(found.get("sets", {}), dict):
        raise FetchFailed("document") if status == 200 else FetchFailed("status", status)
    return {"sets": {}, **found}

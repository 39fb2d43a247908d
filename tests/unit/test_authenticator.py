"""An asynchronous middleware keeps the loop for short work only: slow work runs on another thread."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest

import rapidjws
from rapidjws.middleware import Authenticator
from rapidjws.middleware.requests import RequestContext
from rapidjws.stores import MemoryReplayStore
from rapidjws.testing import FakeIssuer


class Watched(MemoryReplayStore):
    """The thread on which a token is recorded: that of its verification."""

    def __init__(self, *, blocking: bool) -> None:
        super().__init__()
        self.blocking = blocking  # type: ignore[misc]
        self.threads: list[int] = []

    def record(self, entries: Sequence[tuple[bytes, int]]) -> list[bool | None]:
        """Record as ever."""
        self.threads.append(threading.get_ident())
        return super().record(entries)


@pytest.mark.parametrize(
    ("alg", "blocking", "inline"),
    [("ES256", False, True), ("ES256", True, False), ("ES256K", False, False)],
    ids=["short", "a store to ask", "a slow algorithm"],
)
def test_only_short_work_is_done_in_the_loop(alg: str, blocking: bool, inline: bool) -> None:
    """A short verification stays in the loop; a slow one, or one that asks a store, leaves it free."""
    issuer = FakeIssuer("https://a.example", alg)
    store = Watched(blocking=blocking)
    named: dict[str, Any] = {"algorithms": [alg], "audience": issuer.audience}
    trusted = rapidjws.Issuer(issuer.iss, keys=issuer.jwks, replay=rapidjws.Replay(store=store), **named)
    authenticator: Authenticator[Any] = Authenticator(engine=rapidjws.Engine(trusted))
    known = issuer.token(issuer.claims(int(time.time()), jti="0"))  # its header tells the cost from now on
    assert authenticator.decide(RequestContext([b"Bearer " + known.encode()], b"", None, "/")).code == "ok"
    store.threads.clear()
    token = issuer.token(issuer.claims(int(time.time()), jti="1"))
    asked = RequestContext([b"Bearer " + token.encode()], b"", None, "/")

    async def both() -> list[str]:
        return [(await authenticator.adecide(asked)).code for _ in range(2)]

    assert asyncio.run(both()) == ["ok", "replayed"]
    assert [thread == threading.get_ident() for thread in store.threads] == [inline, inline]


@pytest.mark.parametrize(
    "values", [[], [b"Basic a"], [b"Bearer a", b"Bearer b"], [b"Bearer x"], [b"Bearer " + b"a" * 99_999]]
)
def test_asynchronous_and_plain_decisions_agree_on_what_is_no_token(values: list[bytes]) -> None:
    """What is missing, malformed or too large gets the same code from both."""
    issuer = FakeIssuer("https://a.example", "ES256")
    authenticator: Authenticator[Any] = Authenticator(
        engine=rapidjws.Engine(
            rapidjws.Issuer(issuer.iss, keys=issuer.jwks, algorithms=["ES256"], audience=issuer.audience)
        )
    )
    asked = RequestContext(values, b"", None, "/")
    assert asyncio.run(authenticator.adecide(asked)).evidence == authenticator.decide(asked).evidence

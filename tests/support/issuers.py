"""An engine on a misbehaving issuer, with its events, for the fault tests."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from rapidjws import Engine, Event
from rapidjws import Issuer as Rules
from rapidjws.errors import RapidJWSError
from rapidjws.keys import Freshness, RemoteJWKS, Transport, UnknownKids
from rapidjws.testing import Fault, FaultyIssuerServer

needs_proc = pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="this system has no /proc")


def now_s() -> int:
    """Return the wall clock in whole seconds."""
    return int(time.time())


def wait_for(condition: Callable[[], Any], bound_s: float = 60.0) -> Any:
    """Return what a condition gives once it gives something, or fail after the bound."""
    end = time.monotonic() + bound_s
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.005)
    raise AssertionError("it did not happen within the bound")


def code(engine: Engine, token: str) -> str:
    """Return "ok" or the code of the refusal."""
    try:
        engine.verify(token)
    except RapidJWSError as refused:
        return refused.code
    return "ok"


class Setup:
    """An issuer, a source on it, an engine on that, and their events.

    Args:
        issuer: The issuer.
        fresh: Settings of Freshness.
        unknown: Settings of UnknownKids.
        trust: Settings of Transport.
        engine: Settings of the engine.
        source: Settings of the source.
    """

    def __init__(
        self,
        issuer: FaultyIssuerServer,
        *,
        fresh: dict[str, Any] | None = None,
        unknown: dict[str, Any] | None = None,
        trust: dict[str, Any] | None = None,
        engine: dict[str, Any] | None = None,
        source: dict[str, Any] | None = None,
    ) -> None:
        self.issuer = issuer
        self.events: list[Event] = []
        self.source = RemoteJWKS(
            issuer.url,
            freshness=Freshness(**(fresh or {})),
            unknown_kids=UnknownKids(**(unknown or {})),
            transport=Transport(**{"ca": issuer.ca_pem or None, "timeout_s": 2.0, **(trust or {})}),
            events=self.events.append,
            **(source or {}),
        )
        rules = Rules(issuer.iss, keys=self.source, algorithms=["ES256", "EdDSA"], audience=issuer.audience)
        self.engine = Engine(rules, events=self.events.append, **(engine or {}))

    def ready(self) -> Setup:
        """Return self once the first set is there."""
        wait_for(lambda: self.engine.ready and not self.source._fetch_in_progress)
        return self

    def token(self, **changes: Any) -> str:
        """Return a good token by the issuer's present key."""
        return self.issuer.token(self.issuer.claims(now_s(), **changes))

    def code(self, token: str, **settings: Any) -> str:
        """Return "ok" or the code of the refusal."""
        try:
            self.engine.verify(token, **settings)
        except RapidJWSError as refused:
            return refused.code
        return "ok"

    def reported(self, name: str) -> list[Event]:
        """Return the events of a name."""
        return [event for event in list(self.events) if event.name == name]

    def fails_with(self, word: str, bound_s: float = 60.0) -> Event:
        """Return the event of a failed fetch once there is one of this word."""
        found = wait_for(
            lambda: [event for event in self.reported("fetch_failed") if event.detail == word], bound_s
        )
        return found[0]


@contextmanager
def setup(
    *script: Fault, issuer: dict[str, Any] | None = None, published: Any = None, **settings: Any
) -> Iterator[Setup]:
    """Give an issuer that serves, at first as scripted, with an engine on it."""
    with FaultyIssuerServer(**(issuer or {})) as serving:
        serving.script(*script)
        if published is not None:
            serving.published = published(serving.published)
        yield Setup(serving, **settings)

"""Good arguments for the public callables of signals; see ``public_recipes``."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable
from typing import Any

from tokens import AUD, ISS, key, public, sign

from rapidjws import Engine, Issuer
from rapidjws.signals import SignalReceiver, TokenRevocationHook
from rapidjws.stores import MemoryReplayStore

Recipe = dict[str, Any]


@functools.cache
def receiver() -> SignalReceiver:
    """Return a receiver."""
    return SignalReceiver(**arguments())


def arguments() -> Recipe:
    """Return what a receiver is made of."""
    issuer = Issuer(ISS, keys=public("ES256"), algorithms=["ES256"], audience=AUD)
    signals = Issuer.profile("security_event", ISS, keys=public("ES256"), algorithms=["ES256"], audience=AUD)
    return {
        "tokens": Engine(signals, workers=1),
        "engine": Engine(issuer, workers=1),
        "replay": MemoryReplayStore(),
    }


@functools.cache
def signal() -> str:
    """Return a signal that is good now, and revokes nothing."""
    claims = {
        "iss": ISS,
        "aud": AUD,
        "iat": int(time.time()),
        "jti": "1",
        "events": {"https://e.example": {}},
    }
    return sign(key("ES256"), {"typ": "secevent+jwt", "alg": "ES256"}, json.dumps(claims).encode())


def poller() -> Recipe:
    """Return what a poller is made of."""
    answer = (200, b'{"sets": {}}')
    return {"url": "https://idp.example/poll", "receiver": receiver(), "post": lambda *_: answer}


def hook() -> TokenRevocationHook:
    """Return a hook."""
    return TokenRevocationHook(receiver()._engine, secret="s" * 32)


OWNERS: dict[str, Callable[[], Any]] = {
    "TokenRevocationHook": hook,
    "SignalReceiver": receiver,
}
RECIPES: dict[str, Callable[[], Recipe]] = {
    "SignalReceiver": arguments,
    "SignalReceiver.push": lambda: {
        "method": "POST",
        "content_type": "application/secevent+jwt",
        "body": b"a.b.c",
    },
    "SignalReceiver.logout": lambda: {"method": "POST", "content_type": "text/plain", "body": b""},
    "SignalReceiver.receive": lambda: {"token": signal()},
    "SETPoller": poller,
    "TokenRevocationHook": lambda: {"engine": receiver()._engine, "secret": "s" * 32},
    "TokenRevocationHook.handle": lambda: {"method": "POST", "content_type": "text/plain", "body": b""},
}

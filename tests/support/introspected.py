"""An introspection endpoint without a network, and engines that ask it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from rapidjws import Engine, Issuer
from rapidjws.introspection import Introspection, IntrospectionClient
from rapidjws.testing import FakeIssuer

ISSUER = FakeIssuer("https://as.example", "ES256", lifetime_s=86_400)
OTHER = FakeIssuer("https://other.example", "ES256", lifetime_s=86_400)
URL = "https://as.example/introspect"
WAIT_S = 60
OPAQUE = "2YotnFZFEjr1zCsicMWpAA"


class Server:
    """An introspection endpoint without a network: gives the answers that it was made with."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers) or [{"active": True}]
        self.requests: list[tuple[str, dict[str, str], dict[str, list[str]]]] = []

    def __call__(self, url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        """Take one request; the last answer is given again."""
        self.requests.append((url, dict(headers), parse_qs(body.decode())))
        answer = self.answers[min(len(self.requests), len(self.answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, tuple):
            return answer
        return 200, answer if isinstance(answer, bytes) else json.dumps(answer).encode()

    @property
    def count(self) -> int:
        """Return how many requests came."""
        return len(self.requests)


def client_of(server: Any, **settings: Any) -> IntrospectionClient:
    """Return a client of a server."""
    defaults: dict[str, Any] = {"client_id": "gw", "client_secret": "s3cret"}
    return IntrospectionClient(URL, post=server, **{**defaults, **settings})


def engine_of(
    server: Any, *, client: dict[str, Any] | None = None, rules: Any = None, **settings: Any
) -> Engine:
    """Return an engine of two issuers that asks a server about the tokens of the first."""
    issuers = [
        Issuer(one.iss, keys=one.jwks, algorithms=["ES256"], audience=one.audience, **(rules or {}))
        for one in (ISSUER, OTHER)
    ]
    introspection = Introspection(client_of(server, **(client or {})), **{"issuers": ISSUER.iss, **settings})
    return Engine(*issuers, workers=1, introspection=introspection)


def access(by: FakeIssuer = ISSUER, **changes: Any) -> str:
    """Return an access token."""
    return by.token(by.claims(int(time.time()) - 5, **changes))


def opaque_engine(server: Any, **settings: Any) -> Engine:
    """Return an engine that takes opaque tokens."""
    return engine_of(server, **{"issuers": (), "opaque_issuer": ISSUER.iss, **settings})

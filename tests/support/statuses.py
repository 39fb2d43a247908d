"""Status lists for tests: their tokens, and an engine whose tokens point to them."""

from __future__ import annotations

import time
import zlib
from base64 import urlsafe_b64encode
from typing import Any

from rapidjws import Engine, Issuer
from rapidjws.keys.fetch import Answer
from rapidjws.keys.fetch_failed import FetchFailed
from rapidjws.statuslist import StatusLists, StatusListSource
from rapidjws.testing import FakeIssuer

ISSUER = FakeIssuer("https://as.example", "ES256")
OTHER = FakeIssuer("https://other.example", "ES256")
URL = "https://as.example/statuslists/1"


class FakeClock:
    """Both times, moved by hand; it starts at the present."""

    def __init__(self) -> None:
        self.now_s = time.time()

    def time(self) -> float:
        """Return seconds since the epoch."""
        return self.now_s

    def monotonic(self) -> float:
        """Return the same, as nothing steps here."""
        return self.now_s


def packed(statuses: list[int], bits: int) -> str:
    """Return statuses as the draft packs, compresses and encodes them."""
    octets = bytearray(-(-len(statuses) * bits // 8))
    for index, status in enumerate(statuses):
        at = index * bits
        octets[at // 8] |= status << at % 8
    return encoded(bytes(octets))


def encoded(octets: bytes) -> str:
    """Return octets compressed, in base64url."""
    return urlsafe_b64encode(zlib.compress(octets, 9)).rstrip(b"=").decode()


def listed(
    statuses: list[int] | None = None,
    *,
    bits: int = 2,
    by: FakeIssuer = ISSUER,
    header: dict[str, Any] | None = None,
    **changes: Any,
) -> bytes:
    """Return a status list token; a claim of None is left away."""
    now_s = int(time.time())
    listed_claim = {"bits": bits, "lst": packed([0, 1, 2, 3] if statuses is None else statuses, bits)}
    claims = {
        "sub": URL,
        "iat": now_s,
        "exp": now_s + 7200,
        "ttl": 60,
        "status_list": listed_claim,
        **changes,
    }
    kept = {name: value for name, value in claims.items() if value is not None}
    return by.token(kept, header=header or {"typ": "statuslist+jwt"}).encode()


class Served:
    """What the server of a list answers: octets, a fault, or nothing."""

    def __init__(self, body: bytes | None) -> None:
        self.body = body
        self.headers: dict[str, str] = {}
        self.asked: list[tuple[str, str | None]] = []

    def __call__(self, url: str, etag: str | None) -> Answer:
        """Answer a fetch."""
        self.asked.append((url, etag))
        if self.body is None:
            raise FetchFailed("timeout")
        if etag is not None and etag == self.headers.get("etag"):
            return Answer(status=304, headers=self.headers, body=b"")
        return Answer(status=200, headers=self.headers, body=self.body)


def source(served: Served, **settings: Any) -> StatusListSource:
    """Return a source of the list at ``URL``; nothing is fetched until it is asked to."""
    made = {"issuer": ISSUER.iss, "keys": ISSUER.jwks, "algorithms": ["ES256"], "fetch": served, **settings}
    return StatusListSource(URL, **made)


class Held(StatusLists):
    """Status lists that a test fetches by itself."""

    def start(self) -> None:
        """Fetch nothing."""


def engine(one: StatusListSource, **settings: Any) -> Engine:
    """Return an engine whose tokens point to a list."""
    issuers = [
        Issuer(one.iss, keys=one.jwks, algorithms=["ES256"], audience="https://api.example")
        for one in (ISSUER, OTHER)
    ]
    return Engine(*issuers, workers=1, status_lists=Held(one, **settings))


def token(status: Any = None, *, by: FakeIssuer = ISSUER, **claims: Any) -> str:
    """Return a token with a claim ``status``, or without one where it is None."""
    return by.token(by.claims(int(time.time()), aud="https://api.example", status=status, **claims))


def at(index: Any, uri: Any = URL) -> dict[str, Any]:
    """Return the claim ``status`` of a token that points to a place of a list."""
    return {"status_list": {"idx": index, "uri": uri}}

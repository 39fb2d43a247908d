"""A token service with a clock, clients of each method, and what was audited."""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from issuing_world import TIMING, CountingMaker, life_cycle, pair

from rapidjws import Engine, Issuer, JWKSet
from rapidjws.issuing import (
    ActiveSigner,
    Document,
    GatewayCertificate,
    Publication,
    SignatureRecord,
    TokenClient,
    TokenService,
)
from rapidjws.issuing.client_authentication import ASSERTION_TYPE
from rapidjws.signing import LocalSigner, sign_compact
from rapidjws.stores import MemoryReplayStore
from rapidjws.testing import FakeClock

ISS = "https://issuer.example"
ENDPOINT = f"{ISS}/token"
START_S = float(int(time.time()))
FORM = ("content-type", "application/x-www-form-urlencoded")
ORDERS, STOCK = "https://orders.example", "https://stock.example"
SECRET = "x" * 40
GATEWAY = GatewayCertificate(header="Client-Cert", form="rfc9440", gateways=["10.0.0.0/8"])
KEY = pair("ES256", 900)
OTHER = pair("ES256", 901)


class World:
    """A token service with a clock, a client of each method, and what was audited."""

    def __init__(self, *more: TokenClient, **settings: Any) -> None:
        self.clock = FakeClock(START_S)
        maker = CountingMaker()
        self.keys = life_cycle(self.clock, maker=maker)
        self.keys.tick()
        self.clock.advance(TIMING.before_s)
        self.keys.tick()
        self.records: list[SignatureRecord] = []
        clients = [
            TokenClient(
                client_id="a", audiences=[ORDERS, STOCK], scopes=["read", "write"], keys=KEY.public()
            ),
            TokenClient(client_id="b", audiences=[ORDERS], keys=OTHER.public()),
            TokenClient(
                client_id="test", audiences=[ORDERS], authentication="client_secret_basic", secret=SECRET
            ),
            *more,
        ]
        given: dict[str, Any] = {
            "issuer": ISS,
            "token_endpoint": ENDPOINT,
            "clients": clients,
            "replay": MemoryReplayStore(clock=self.clock),
            "clock": self.clock,
            "audit": self.records.append,
        }
        self.active = ActiveSigner(self.keys, maker)
        self.service = TokenService(self.active, **(given | settings))
        self.publication = Publication(self.keys, ISS)

    def assertion(self, signer: Any = None, *, header: Mapping[str, Any] | None = None, **claims: Any) -> str:
        """Return a client's assertion; None leaves a claim out."""
        now = int(self.clock.time())
        whole = {"iss": "a", "sub": "a", "aud": ENDPOINT, "jti": base64.b64encode(make_jti()).decode(),
                 "iat": now, "exp": now + 60} | claims  # fmt: skip
        payload = json.dumps({name: value for name, value in whole.items() if value is not None}).encode()
        return sign_compact(payload, signer or LocalSigner(KEY, "ES256"), header=header)

    def ask(
        self, form: Mapping[str, Any] | str, *headers: tuple[str, str], peer: str | None = None
    ) -> Document:
        """Post a form."""
        body = form if isinstance(form, str) else urlencode(form, doseq=True)
        return self.service.handle("POST", [FORM, *headers], body.encode(), peer=peer)

    def asserted(self, assertion: str | None = None, **form: Any) -> Document:
        """Ask for a token with an assertion of the client a."""
        whole = {
            "grant_type": "client_credentials",
            "audience": ORDERS,
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": assertion or self.assertion(),
        } | form
        return self.ask({name: value for name, value in whole.items() if value is not None})

    def verified(self, answered: Document, audience: str = ORDERS) -> dict[str, Any]:
        """Verify the token of an answer by the published keys."""
        assert answered.status == 200, answered.body
        engine = Engine(
            Issuer(ISS, keys=JWKSet.from_json(json.dumps(self.publication.jwks()).encode()),
                   algorithms=["ES256"], audience=audience, typ="at+jwt")
        )  # fmt: skip
        claims: dict[str, Any] = engine.verify(
            json.loads(answered.body)["access_token"], self.clock.time()
        ).claims
        return claims


def make_jti() -> bytes:
    """Return a fresh jti."""
    return secrets.token_bytes(12)


def error_of(answered: Document) -> tuple[int, str]:
    """Return status and error."""
    assert answered.headers["cache-control"] == "no-store"
    return answered.status, json.loads(answered.body)["error"]


def basic(name: str = "test", secret: str = SECRET) -> tuple[str, str]:
    """Return an Authorization header."""
    return "authorization", "Basic " + base64.b64encode(f"{quote(name)}:{quote(secret)}".encode()).decode()

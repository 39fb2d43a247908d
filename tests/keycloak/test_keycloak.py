"""A real Keycloak: discovery, access, ID and logout tokens, and a rotation; run by ``make test-keycloak``."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from keycloak_server import AUDIENCE, Keycloak, installed

from rapidjws import Contains, Engine, Issuer, RapidJWSError
from rapidjws.keys import DiscoveredJWKS, Transport, UnknownKids
from rapidjws.middleware import FormField, verify_webhook

pytestmark = [pytest.mark.keycloak, pytest.mark.long, pytest.mark.timeout(1200)]

Posted = queue.Queue[tuple[bytes, dict[str, str]]]


@pytest.fixture(name="posted", scope="module")
def _posted() -> Iterator[tuple[Posted, str]]:
    """Return what a server of the client gets, and its address."""
    found: Posted = queue.Queue()

    class Client(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.put((body, dict(self.headers.items())))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Client)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield found, f"http://127.0.0.1:{server.server_port}/logout"
    server.shutdown()
    server.server_close()


@pytest.fixture(name="keycloak", scope="module")
def _keycloak(tmp_path_factory: pytest.TempPathFactory, posted: tuple[Posted, str]) -> Iterator[Keycloak]:
    server = Keycloak(installed(), tmp_path_factory.mktemp("keycloak"), posted[1])
    yield server
    server.close()


def _source(keycloak: Keycloak) -> DiscoveredJWKS:
    transport = Transport(ca=keycloak.ca_pem, timeout_s=30)
    return DiscoveredJWKS(keycloak.iss, transport=transport, unknown_kids=UnknownKids(cooldown_s=0.5))


def _access(keycloak: Keycloak) -> Engine:
    """Return an engine with the rules of the page on Keycloak."""
    rules = {"typ": "Bearer", "azp": "web", "/realm_access/roles": Contains("admin")}
    issuer = Issuer(
        keycloak.iss, keys=_source(keycloak), algorithms=["RS256"], audience=AUDIENCE, claims=rules
    )
    engine = Engine(issuer)
    assert engine.wait_ready(60)
    return engine


def _profile(keycloak: Keycloak, name: Any) -> Engine:
    engine = Engine(
        Issuer.profile(name, keycloak.iss, keys=_source(keycloak), algorithms=["RS256"], audience="web")
    )
    assert engine.wait_ready(60)
    return engine


def _code(engine: Engine, token: str) -> str:
    try:
        engine.verify(token, wait_s=20)
    except RapidJWSError as refused:
        return refused.code
    return "ok"


def test_access_tokens(keycloak: Keycloak) -> None:
    """A user with the role passes by the set's signing key; every other token of the realm is refused."""
    engine = _access(keycloak)
    mine = keycloak.tokens("jo")
    claims = engine.verify(mine["access_token"]).claims
    assert claims["preferred_username"] == "jo"
    assert AUDIENCE in claims["aud"]
    assert _code(engine, keycloak.tokens("al")["access_token"]) == "claim_mismatch"
    assert _code(engine, keycloak.tokens("jo", "other")["access_token"]) == "claim_mismatch"
    assert _code(engine, mine["id_token"]) == "audience_mismatch"
    assert _code(engine, mine["refresh_token"]) == "algorithm_not_allowed"
    head, _, signature = mine["access_token"].rpartition(".")
    assert _code(engine, f"{head}.{signature[::-1]}") in ("signature_invalid", "malformed_base64url")


def test_id_tokens(keycloak: Keycloak) -> None:
    """An ID token passes as one, with its access token; an access token does not."""
    engine = _profile(keycloak, "id_token")
    mine, other = keycloak.tokens("jo"), keycloak.tokens("al")
    verified = engine.verify_id_token(mine["id_token"], nonce=None, access_token=mine["access_token"])
    assert verified.claims["azp"] == "web"
    with pytest.raises(RapidJWSError, match="at_hash"):
        engine.verify_id_token(mine["id_token"], nonce=None, access_token=other["access_token"])
    assert _code(engine, mine["access_token"]) == "audience_mismatch"
    assert _code(engine, keycloak.tokens("jo", "other")["id_token"]) == "audience_mismatch"


def test_logout_tokens(keycloak: Keycloak, posted: tuple[Posted, str]) -> None:
    """The logout token that Keycloak posts to a client passes as one; an ID token in its place does not."""
    mine = keycloak.tokens("jo")
    keycloak.log_out("jo")
    body, headers = posted[0].get(timeout=60)
    engine = _profile(keycloak, "logout_token")
    form: dict[str, Any] = {"signature_header": None, "part": FormField(name="logout_token")}
    decision = verify_webhook(engine, body=body, headers=headers, **form)  # type: ignore[arg-type]
    assert (decision.outcome, decision.code) == ("permit", "ok")
    assert decision.verified is not None
    assert (
        decision.verified.claims["sub"]
        == _profile(keycloak, "id_token").verify(mine["id_token"]).claims["sub"]
    )
    forged = f"logout_token={mine['id_token']}".encode()
    assert verify_webhook(engine, body=forged, headers=headers, **form).outcome == "deny"  # type: ignore[arg-type]


def test_a_rotation(keycloak: Keycloak) -> None:
    """Tokens of the next key are verified within moments, those of the one before still are."""
    engine = _access(keycloak)
    before = keycloak.tokens("jo")["access_token"]
    keycloak.rotate()
    after = keycloak.tokens("jo")["access_token"]
    assert engine.verify(after, wait_s=20).kid != engine.verify(before).kid

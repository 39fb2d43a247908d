"""A real OpenID provider: access, ID and logout tokens, discovery, and rotations under load."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from oidc_provider import AUDIENCE, Provider, installed

from rapidjws import Engine, Event, Issuer
from rapidjws.errors import RapidJWSError
from rapidjws.keys import DiscoveredJWKS, RemoteJWKS, Transport, UnknownKids
from rapidjws.middleware import BodyReplay, FormField, verify_webhook
from rapidjws.stores import MemoryReplayStore


@pytest.fixture(name="provider")
def _provider(tmp_path: Path) -> Iterator[Provider]:
    provider = Provider(installed(), tmp_path)
    yield provider
    provider.close()


def test_rotation_of_a_real_provider_under_load(provider: Provider) -> None:
    """While threads verify, the provider rotates: no old token is refused, new ones are within moments."""
    events: list[Event] = []
    source = RemoteJWKS(
        f"{provider.iss}/jwks",
        transport=Transport(ca=provider.ca_pem, timeout_s=10),
        unknown_kids=UnknownKids(cooldown_s=0.5),
    )
    rules = Issuer(provider.iss, keys=source, algorithms=["ES256"], audience=AUDIENCE, typ="at+jwt")
    engine = Engine(rules, events=events.append)
    tokens = [provider.token() for _ in range(5)]
    assert engine.verify(tokens[0], wait_s=10).claims["client_id"] == "gateway-test"
    stop, refused, counts = threading.Event(), list[str](), [0, 0]

    def load(number: int) -> None:
        while not stop.is_set():
            for token in list(tokens):
                try:
                    engine.verify(token, wait_s=10)
                    counts[number] += 1
                except RapidJWSError as fault:
                    refused.append(fault.code)

    threads = [threading.Thread(target=load, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            time.sleep(0.7)
            provider.rotate(keep=4)
            tokens += [provider.token() for _ in range(3)]
    finally:
        time.sleep(1.0)
        stop.set()
        for thread in threads:
            thread.join()
    assert refused == []
    assert min(counts) > 100
    assert {event.kid for event in events if event.name == "rotation_lag"} == {
        f"provider-{number}" for number in (2, 3, 4)
    }
    fetches = provider.rotate(keep=0)
    assert fetches <= 1 + 3 + 1
    assert source.refresh()
    codes = set()
    for token in tokens:
        try:
            engine.verify(token)
        except RapidJWSError as fault:
            codes.add(fault.code)
    assert codes == {"unknown_kid"}


class LogoutReceiver:
    """A client's back-channel logout address: it keeps what was posted, and answers 200."""

    def __init__(self) -> None:
        self.posts: list[tuple[dict[str, str], bytes]] = []
        posts = self.posts

        class Handler(BaseHTTPRequestHandler):
            """Keeps each request."""

            def do_POST(self) -> None:
                posts.append((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *values: Any) -> None:
                """Print nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/logout"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def close(self) -> None:
        """Stop it."""
        self._server.shutdown()
        self._thread.join(60)
        self._server.server_close()


def verdict(engine: Engine, token: str, wait_s: float = 0.0) -> str:
    """Return "ok" or the code of the refusal."""
    try:
        engine.verify(token, wait_s=wait_s)
    except RapidJWSError as refused:
        return refused.code
    return "ok"


def engines_of(provider: Provider, source: DiscoveredJWKS) -> dict[str, Engine]:
    """Return an engine for each kind of token of the client ``web``."""
    names = {"id_token": "web", "access_token": AUDIENCE, "logout_token": "web"}
    return {
        kind: Engine(
            Issuer.profile(kind, provider.iss, keys=source, algorithms=["ES256"], audience=audience),  # type: ignore[arg-type]
            workers=1,
        )
        for kind, audience in names.items()
    }


def log_out(
    engine: Engine, headers: dict[str, str], body: bytes, store: MemoryReplayStore
) -> tuple[str, Any]:
    """Return the code and the session of a posted logout token."""
    decision = verify_webhook(
        engine,
        body=body,
        headers=headers,
        signature_header=None,
        part=FormField(name="logout_token"),
        replay=BodyReplay(store=store),
    )
    return decision.code, decision.verified and decision.verified.claims["sid"]


@pytest.fixture(name="receiver")
def _receiver() -> Iterator[LogoutReceiver]:
    receiver = LogoutReceiver()
    yield receiver
    receiver.close()


def test_every_kind_of_token_by_discovery(tmp_path: Path, receiver: LogoutReceiver) -> None:
    """ID, access and logout tokens of a real sign-in verify over a rotation, and none passes as another."""
    provider = Provider(installed(), tmp_path, receiver.url)
    try:
        source = DiscoveredJWKS(
            provider.iss,
            transport=Transport(ca=provider.ca_pem, timeout_s=10),
            unknown_kids=UnknownKids(cooldown_s=0.5),
        )
        engines = engines_of(provider, source)
        answer = provider.sign_in("n-0S6_WzA2Mj")
        verified = engines["id_token"].verify_id_token(answer["id_token"], nonce="n-0S6_WzA2Mj", wait_s=20)
        sid = verified.claims["sid"]
        assert (verified.claims["sub"], verified.claims["aud"]) == ("jo", "web")
        assert source.jwks_uri == f"{provider.iss}/jwks"
        with pytest.raises(RapidJWSError, match=r"claim_mismatch at claims\.nonce"):
            engines["id_token"].verify_id_token(answer["id_token"], nonce="other")
        provider.log_out("jo", sid)
        ((headers, body),) = receiver.posts
        judge, store = engines["logout_token"], MemoryReplayStore()
        assert log_out(judge, headers, body, store) == ("ok", sid)
        forged, other = body[:-4] + b"AAAA", f"logout_token={answer['id_token']}".encode()
        codes = [log_out(judge, headers, one, store)[0] for one in (body, forged, other)]
        assert codes == ["replayed", "signature_invalid", "missing_claim"]
        tokens = {kind: answer[kind] for kind in ("id_token", "access_token")}
        tokens["logout_token"] = body.decode().partition("=")[2]
        found = {
            (kind, as_kind): verdict(engine, token, 10)
            for kind, token in tokens.items()
            for as_kind, engine in engines.items()
        }
        assert {pair for pair, code in found.items() if code == "ok"} == {(kind, kind) for kind in tokens}
        provider.rotate(keep=1)
        newer = provider.sign_in("2")
        for kind in ("id_token", "access_token"):
            assert verdict(engines[kind], newer[kind], 20) == "ok"
        assert {verdict(engines[kind], token) for kind, token in tokens.items()} == {"ok"}
        provider.rotate(keep=0)
        assert source.refresh()
        assert {verdict(engines[kind], token) for kind, token in tokens.items()} == {"unknown_kid"}
    finally:
        provider.close()

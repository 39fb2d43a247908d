"""Signals and introspection in two sidecars that share their revocations, by the configuration alone."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import pytest
from gates import ISSUER, bearer, free_port, get, token, write_config, write_keys
from served import ask
from sidecar_process import Service, until

from rapidjws.jwt.profiles import LOGOUT_EVENT

SECRET = "a secret of the transmitter, long enough"
CAEP = "https://schemas.openid.net/secevent/caep/event-type/session-revoked"
SETS = [("Content-Type", "application/secevent+jwt"), ("Authorization", f"Bearer {SECRET}")]


class Server:
    """An authorization server on this machine: introspection, and signals to be polled."""

    def __init__(self) -> None:
        server = self
        self.inactive: set[str] = set()
        self.sets: dict[str, str] = {}
        self.acked: list[str] = []
        self.authorizations: set[str | None] = set()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                server.authorizations.add(self.headers["Authorization"])
                found = json.dumps(server.answer(self.path, body)).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(found)))
                self.end_headers()
                self.wfile.write(found)

            def log_message(self, *words: Any) -> None:
                """Write nothing."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.http.serve_forever)
        self.thread.start()

    @property
    def url(self) -> str:
        """Return where it listens."""
        return f"http://127.0.0.1:{self.http.server_address[1]}"

    def answer(self, path: str, body: bytes) -> dict[str, Any]:
        """Return the answer to one request."""
        if path == "/poll":
            acks = json.loads(body).get("ack", [])
            self.acked += acks
            for jti in acks:
                self.sets.pop(jti, None)
            return {"sets": dict(self.sets)}
        (value,) = parse_qs(body.decode())["token"]
        if value in self.inactive or value.startswith("made-up"):
            return {"active": False}
        return {"active": True, "sub": "opaque-user", "scope": "read", "aud": "https://api.example"}

    def close(self) -> None:
        """End it."""
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Run the authorization server."""
    made = Server()
    yield made
    made.close()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, server: Server) -> Iterator[list[tuple[Service, int]]]:
    """Run two sidecars on one file of revocations; the second polls."""
    shared = tmp_path_factory.mktemp("shared")
    services: list[tuple[Service, int]] = []
    try:
        for number in range(2):
            folder = tmp_path_factory.mktemp("sidecar")
            write_keys(folder)
            for name in ("secret", "client"):
                (folder / name).write_text(SECRET)
                (folder / name).chmod(0o600)
            port = free_port()
            polls = {"poll_url": f"{server.url}/poll", "poll_s": 0.1, "insecure_allow_http": True}
            issuer = {"iss": ISSUER.iss, "jwks_file": "jwks.json", "algorithms": ["ES256"]}
            path = write_config(
                folder,
                [{**issuer, "audience": "https://api.example"}],
                revocations={"file": str(shared / "revoked.json")},
                signals={"issuers": [ISSUER.iss], "audience": "https://api.example", "secret_file": "secret",
                         "revocation_path": "/revoked", "revocation_secret_file": "client",
                         "logout_path": "/backchannel-logout", **(polls if number else {})},
                introspection={"url": f"{server.url}/introspect", "client_id": "gateway", "cache_s": 0,
                               "client_secret_file": "client", "insecure_allow_http": True, "timeout_s": 30,
                               "issuers": [ISSUER.iss], "opaque_issuer": ISSUER.iss},
                server={"listen": f"127.0.0.1:{port}", "workers": 1},
            )  # fmt: skip
            services.append((Service(folder, ["--config", str(path)]), port))
        for service, port in services:
            service.wait_for(rf"rapidjws serve: 127\.0\.0\.1:{port}, 1 workers?")
        yield services
    finally:
        for service, _ in services:
            service.end()


def event(**changes: Any) -> bytes:
    """Return a Security Event Token that ends what its subject has."""
    now_s = int(time.time())
    subject = {"format": "iss_sub", "iss": ISSUER.iss, "sub": changes.pop("sub", "user-1")}
    made = ISSUER.claims(now_s, jti=f"set-{time.perf_counter_ns()}", sub_id=subject, events={CAEP: {}})
    claims = {name: value for name, value in {**made, **changes}.items() if name not in ("sub", "exp")}
    return ISSUER.token(claims, header={"typ": "secevent+jwt"}).encode()


def status(port: int, value: str) -> int:
    """Return what a token gets."""
    return int(get(port, bearer(value), "/verify")[0])


def old(**changes: Any) -> str:
    """Return a token that was issued a moment before."""
    return token(iat=int(time.time()) - 30, **changes)


def test_a_pushed_signal_holds_in_both_processes(pair: list[tuple[Service, int]]) -> None:
    """202 comes once it holds where it was pushed; the other sidecar reads the shared file. It is logged."""
    (one, first), (_, second) = pair
    value, other = old(sub="user-1"), old(sub="user-9")
    assert [status(port, value) for port in (first, second)] == [200, 200]
    pushed = event()
    assert ask(first, "/signals", SETS, pushed, method="POST").status == 202
    assert status(first, value) == 401
    until(lambda: status(second, value) == 401, "the other process does not know")
    assert [status(port, other) for port in (first, second)] == [200, 200]
    assert ask(first, "/signals", SETS, pushed, method="POST").status == 202
    until(lambda: {"signal_applied", "signal_ignored"} <= {e["event"] for e in one.events()}, "no line")


def test_what_is_no_signal_for_us_is_refused(pair: list[tuple[Service, int]]) -> None:
    """No secret, another method, audience or token, and a GET revoke nothing; the code is logged."""
    (service, port), _ = pair
    value = old(sub="user-2")
    good = event(sub="user-2")
    assert ask(port, "/signals", SETS[:1], good, method="POST").status == 401
    assert ask(port, "/signals", [SETS[0], ("Authorization", "Bearer x")], good, method="POST").status == 401
    assert ask(port, "/signals", SETS[1:], good, method="POST").status == 400
    assert ask(port, "/signals", SETS, method="GET").status == 405
    for body in (
        event(sub="user-2", aud="https://other.example"),
        good[:-8] + b"AAAAAAAA",
        old().encode(),
        b"",
    ):
        assert ask(port, "/signals", SETS, body, method="POST").status == 400
    assert status(port, value) == 200
    until(lambda: any(e["event"] == "signal_refused" for e in service.events()), "no line")


def test_a_logout_ends_a_session(pair: list[tuple[Service, int]]) -> None:
    """The back-channel logout URI takes a form, and needs no secret but the signature."""
    (_, port), _ = pair
    value = old(sub="user-3", sid="s-3")
    assert status(port, value) == 200
    claims = ISSUER.claims(int(time.time()), jti="logout-1", sid="s-3", events={LOGOUT_EVENT: {}})
    logout = ISSUER.token(claims, header={"typ": "logout+jwt"})
    form = [("Content-Type", "application/x-www-form-urlencoded")]
    path = "/backchannel-logout"
    assert ask(port, path, form, f"logout_token={logout}".encode(), method="POST").status == 200
    assert status(port, value) == 401
    assert ask(port, path, form, b"logout_token=x", method="POST").status == 400


def test_a_token_that_its_server_revoked_is_refused_in_both_processes(
    pair: list[tuple[Service, int]], record_property: Any
) -> None:
    """The authorization server posts the token (RFC 7009): 200 comes once it is refused there."""
    (_, first), (_, second) = pair
    form = [("Content-Type", "application/x-www-form-urlencoded"), ("Authorization", f"Bearer {SECRET}")]
    value, kept = old(sub="user-6", jti="r-1"), old(sub="user-6", jti="r-2")
    assert [status(port, value) for port in (first, second)] == [200, 200]
    assert ask(first, "/revoked", form[:1], f"token={value}".encode(), method="POST").status == 401
    assert ask(first, "/revoked", form, method="GET").status == 405
    assert ask(first, "/revoked", form, b"token=", method="POST").status == 400
    assert [status(port, value) for port in (first, second)] == [200, 200]
    assert ask(first, "/revoked", form, f"token={value}".encode(), method="POST").status == 200
    begun_s = time.monotonic()
    assert status(first, value) == 401
    until(lambda: status(second, value) == 401, "the other process does not know")
    took_s = time.monotonic() - begun_s
    record_property("enforced_s", took_s)
    print(f"\nfrom the event to the other process: {took_s:.3f} s")
    assert [status(port, kept) for port in (first, second)] == [200, 200]


def test_signals_are_polled_and_acknowledged(pair: list[tuple[Service, int]], server: Server) -> None:
    """A transmitter's signals are fetched from time to time, and acknowledged with the next poll."""
    _, (_, port) = pair
    value = old(sub="user-4")
    assert status(port, value) == 200
    server.sets["kept-1"] = event(sub="user-4", jti="kept-1").decode()
    until(lambda: status(port, value) == 401, "nothing was polled")
    until(lambda: "kept-1" in server.acked, "it was not acknowledged")


def test_tokens_are_introspected(pair: list[tuple[Service, int]], server: Server) -> None:
    """An opaque token gets what its server answers, a JWS a second opinion; without a cache each asks."""
    (_, port), _ = pair
    found, headers, _ = get(port, bearer("2YotnFZFEjr1zCsicMWpAA"), "/verify")
    assert found == 200
    assert {name.lower(): one for name, one in dict(headers).items()}["x-jws-subject"] == "opaque-user"
    assert status(port, "made-up-1") == 401
    value = old(sub="user-5")
    assert status(port, value) == 200
    server.inactive.add(value)
    assert status(port, value) == 401
    assert any(one and one.startswith("Basic ") for one in server.authorizations)
    text = get(port, [], "/metrics")[2].decode()
    for result in ("active", "inactive"):
        assert f'rapidjws_introspections_total{{result="{result}"}}' in text
    assert "rapidjws_introspection_duration_seconds_count" in text

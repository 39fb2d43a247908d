"""The sidecar by itself and behind real gateways: good and bad tokens, outage, hostile clients."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gates import COMMAND, Service, envoy_config, free_port, get, nginx_config, program, running, write_config

from rapidjws.policy import Rollout, StateFolder
from rapidjws.policy.rollout import first_plan
from rapidjws.testing import FakeIssuer

pytest.importorskip("httptools", reason="the extra `server` is not installed")
pytest.importorskip("uvloop", reason="the extra `server` is not installed")

ISSUER = FakeIssuer("https://a.example", "ES256", lifetime_s=3600)
GONE = FakeIssuer("https://gone.example", "ES256")
SPOOFED = [("X-JWS-Subject", "admin"), ("X-JWS-Status", "verified"), ("X-JWS-Issuer", "https://evil.example")]


def token(of: FakeIssuer = ISSUER, header: dict[str, Any] | None = None, **changes: Any) -> str:
    """Return a token that is good now."""
    return of.token(of.claims(int(time.time()), **changes), header=header)


def bearer(text: str) -> list[tuple[str, str]]:
    """Return the header that carries a token."""
    return [("Authorization", f"Bearer {text}")]


def forged() -> str:
    """Return a token under another one's signature."""
    return token().rpartition(".")[0] + "." + token(sub="x").rpartition(".")[2]


CASES: list[tuple[str, list[tuple[str, str]], int]] = [
    ("good", bearer(token(sub="ann")), 200),
    ("forged", bearer(forged()), 401),
    ("expired", bearer(token(exp=1_700_000_000)), 401),
    ("missing", [], 401),
    ("unknown kid", bearer(token(header={"kid": "made-up"})), 401),
    ("two tokens", bearer(token()) + bearer(forged()), 401),
    ("outage", bearer(token(GONE)), 503),
]


class Sidecar:
    """Hold a running sidecar."""

    def __init__(self, port: int, folder: Path, process: subprocess.Popen[bytes]) -> None:
        self.port = port
        self.process = process
        self.state = StateFolder(folder / "state", first_plan())


@pytest.fixture(scope="module")
def sidecar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    """Start a sidecar with two workers; one of its issuers cannot be reached."""
    folder = tmp_path_factory.mktemp("sidecar")
    (folder / "jwks.json").write_text(json.dumps({"keys": [jwk.as_dict() for jwk in ISSUER.jwks.keys]}))
    port = free_port()
    common = {"algorithms": ["ES256"], "audience": "https://api.example"}
    gone_url = f"https://127.0.0.1:{free_port()}/jwks"
    path = write_config(
        folder,
        [
            {"iss": ISSUER.iss, "jwks_file": "jwks.json", **common},
            {"iss": GONE.iss, "jwks_url": gone_url, "required": False, **common},
        ],
        rollout={"state": "state", "phase": "enforcement"},
        server={
            "listen": f"127.0.0.1:{port}",
            "workers": 2,
            "header_timeout_s": 1.5,
            "partner_header": "X-Partner",
        },
        partners=[{"name": "ready", "issuers": [ISSUER.iss]}],
    )
    with running([*COMMAND, "serve", "--config", str(path)], port) as process:
        end_s = time.monotonic() + 20
        while get(port, [], "/readyz")[0] != 200 and time.monotonic() < end_s:
            time.sleep(0.1)
        yield Sidecar(port, folder, process)


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """Start an API."""
    one = Service()
    yield one
    one.close()


@pytest.fixture(scope="module")
def nginx(sidecar: Sidecar, service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Start nginx with auth_request."""
    command, port, folder = program("nginx"), free_port(), tmp_path_factory.mktemp("nginx")
    (folder / "nginx.conf").write_text(nginx_config(folder, port, service.port, sidecar.port))
    with running([command, "-p", str(folder), "-c", str(folder / "nginx.conf")], port):
        yield port


@pytest.fixture(scope="module")
def envoy(sidecar: Sidecar, service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Start Envoy with ext_authz over HTTP."""
    command, port, folder = program("envoy"), free_port(), tmp_path_factory.mktemp("envoy")
    path = folder / "envoy.json"
    path.write_text(json.dumps(envoy_config(port, service.port, sidecar.port)))
    options = ["--log-level", "error", "--concurrency", "1", "--disable-hot-restart"]
    with running([command, "-c", str(path), *options], port):
        yield port


@pytest.fixture(params=["nginx", "envoy"])
def gate(request: pytest.FixtureRequest) -> int:
    """Give each gateway's port."""
    return int(request.getfixturevalue(request.param))


@pytest.mark.parametrize(("headers", "status"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_sidecar_decides(sidecar: Sidecar, headers: list[tuple[str, str]], status: int) -> None:
    """Each kind of token gets its status, a challenge where it is refused, and Retry-After in an outage."""
    found, answer, body = get(sidecar.port, headers, "/verify")
    assert found == status
    assert ("www-authenticate" in answer) == (status == 401)
    assert ("retry-after" in answer) == (status == 503)
    assert (body == b"") == (status == 200)
    if status == 200:
        assert (answer["x-jws-subject"], answer["x-jws-partner"]) == ("ann", "ready")


@pytest.mark.parametrize(("headers", "status"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_gateway_decides(gate: int, service: Service, headers: list[tuple[str, str]], status: int) -> None:
    """Behind each gateway each kind of token gets its status, and only the good one reaches the service."""
    before = len(service.seen)
    found = get(gate, [*headers, *SPOOFED])[0]
    assert found == status or (found == 400 and len(headers) == 2)  # nginx refuses two tokens by itself
    assert len(service.seen) - before == (status == 200)
    if status == 200:
        inner = service.seen[-1]
        assert (inner["x-jws-subject"], inner["x-jws-issuer"]) == ("ann", ISSUER.iss)
        assert inner["x-jws-status"] == "verified"


def test_promotion_and_rollback_hold_at_once_behind_gateways(
    gate: int, sidecar: Sidecar, service: Service
) -> None:
    """A rollback lets the next request through unsigned, without any trusted name on it."""
    admin = Rollout(state=sidecar.state)
    assert get(gate, SPOOFED)[0] == 401
    try:
        admin.rollback(by="ann", to="warning")
        for _ in range(6):  # both workers
            status, answer, _ = get(gate, SPOOFED)
            assert status == 200
            assert "missing_token" in answer["warning"]
            inner = service.seen[-1]
            assert inner.get("x-jws-subject", "") == inner.get("x-jws-issuer", "") == ""
            assert inner["x-jws-status"] == "unverified missing_token"
    finally:
        admin.promote(by="ann", to="enforcement", force=True)
    for _ in range(6):
        assert get(gate, [])[0] == 401


def test_route_of_each_gateway_is_heeded(gate: int, sidecar: Sidecar) -> None:
    """A stage of one route holds for that route only, and for no other spelling of a stricter one."""
    admin = Rollout(state=sidecar.state)
    admin.rollback(by="ann", route="/open", to="detection")
    try:
        assert get(gate, [], "/open/x?y=1")[0] == 200
        assert get(gate, [], "/other")[0] == 401
        assert get(gate, [("X-Original-URI", "/open"), ("X-Forwarded-Uri", "/open")], "/other")[0] == 401
        assert get(gate, [], "/open/%2e%2e/other")[0] == 401
    finally:
        admin.promote(by="ann", route="/open", to="enforcement", force=True)


def test_health_readiness_and_counters(sidecar: Sidecar) -> None:
    """The sidecar says that it lives, that it is ready, and what it counted; other paths are unknown."""
    assert get(sidecar.port, [], "/healthz")[0] == 200
    assert get(sidecar.port, [], "/readyz")[0] == 200
    get(sidecar.port, [], "/verify")
    time.sleep(3)
    text = get(sidecar.port, [], "/metrics")[2].decode()
    assert 'code="missing_token",verdict="deny"' in text
    assert "rapidjws_ready 1" in text
    assert get(sidecar.port, [], "/")[0] == get(sidecar.port, [], "/verifyx")[0] == 404


def exchange(port: int, octets: bytes, wait_s: float = 5.0) -> bytes:
    """Send octets and return all that comes back until the connection closes or nothing comes."""
    with socket.create_connection(("127.0.0.1", port), wait_s) as link:
        link.settimeout(wait_s)
        found = b""
        try:
            link.sendall(octets)
            while piece := link.recv(65536):
                found += piece
        except (TimeoutError, ConnectionError):
            pass
        return found


def test_hostile_clients_leave_it_serving(sidecar: Sidecar) -> None:
    """Huge heads and bodies, garbage, double lengths and slow clients are cut off; others are served."""
    port = sidecar.port
    assert exchange(port, b"GET /verify HTTP/1.1\r\nX: " + b"a" * (1 << 20)).startswith(b"HTTP/1.1 431")
    many = b"".join(b"X-%d: %s\r\n" % (n, b"a" * 1000) for n in range(1000))
    assert exchange(port, b"GET /verify HTTP/1.1\r\n" + many).startswith(b"HTTP/1.1 431")
    body = b"POST /verify HTTP/1.1\r\nContent-Length: 999999\r\n\r\n" + b"a" * 200_000
    assert exchange(port, body).startswith(b"HTTP/1.1 413")
    assert exchange(port, b"\x16\x03\x01 not http\r\n\r\n").startswith(b"HTTP/1.1 400")
    both = b"POST /verify HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    assert b" 200 " not in exchange(port, both)
    started_s = time.monotonic()
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(50)]
    for one in slow:
        one.sendall(b"GET /verify HTTP/1.1\r\nAuthoriz")
    assert get(port, bearer(token()), "/verify")[0] == 200
    for one in slow:
        one.settimeout(10)
        with contextlib.suppress(ConnectionError):
            assert one.recv(10) == b""
        one.close()
    assert time.monotonic() - started_s < 10
    assert get(port, bearer(token()), "/verify")[0] == 200


def test_pipelined_requests_are_answered_in_order(sidecar: Sidecar) -> None:
    """Requests sent in one piece get their answers in order, and garbage after them ends the connection."""
    good = b"GET /verify HTTP/1.1\r\nAuthorization: Bearer %s\r\n\r\n" % token().encode()
    bad = b"GET /verify HTTP/1.1\r\n\r\n"
    found = exchange(sidecar.port, good + bad + good + b"\0garbage\r\n\r\n")
    assert re.findall(rb"HTTP/1\.1 (\d+) ", found) == [b"200", b"401", b"200", b"400"]


def test_drain_finishes_what_began(tmp_path: Path) -> None:
    """After SIGTERM idle connections close, a request under way is answered, and the exit status is 0."""
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [jwk.as_dict() for jwk in ISSUER.jwks.keys]}))
    port = free_port()
    issuers = [
        {
            "iss": ISSUER.iss,
            "algorithms": ["ES256"],
            "jwks_file": "jwks.json",
            "audience": "https://api.example",
        }
    ]
    path = write_config(tmp_path, issuers, server={"listen": f"127.0.0.1:{port}"})
    with running([*COMMAND, "serve", "--config", str(path)], port) as process:
        time.sleep(1.0)
        idle = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        idle.request("GET", "/healthz")
        idle.getresponse().read()
        busy = socket.create_connection(("127.0.0.1", port), 10)
        busy.sendall(b"GET /verify HTTP/1.1\r\nAuthorization: Bearer ")
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert idle.sock.recv(1) == b""
        busy.sendall(token().encode() + b"\r\n\r\n")
        assert busy.recv(65536).startswith(b"HTTP/1.1 200")
        assert process.wait(15) == 0
        busy.close()
        idle.close()


def test_wrong_configuration_ends_with_2(tmp_path: Path) -> None:
    """A configuration that is refused says where and ends, rather than restarting workers for ever."""
    issuer = {"iss": "x", "algorithms": ["ES256"], "jwks_file": "absent.json", "leeway_s": -1}
    path = write_config(tmp_path, [issuer], server={"listen": "127.0.0.1:0"})
    ended = subprocess.run(
        [*COMMAND, "serve", "--config", str(path)], capture_output=True, timeout=60, check=False
    )
    assert ended.returncode == 2
    assert b"leeway_s" in ended.stderr
    path = write_config(tmp_path, [], server={"listen": "nowhere"})
    ended = subprocess.run(
        [*COMMAND, "serve", "--config", str(path)], capture_output=True, timeout=60, check=False
    )
    assert ended.returncode == 2

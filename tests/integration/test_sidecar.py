"""The sidecar by itself: good and bad tokens, outage, hostile clients."""

from __future__ import annotations

import contextlib
import http.client
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from gates import (
    COMMAND,
    ISSUER,
    Sidecar,
    bearer,
    exchange,
    free_port,
    get,
    kinds,
    running,
    serving,
    token,
    write_config,
    write_keys,
)

pytest.importorskip("httptools", reason="the extra `server` is not installed")
pytest.importorskip("uvloop", reason="the extra `server` is not installed")

CASES = kinds()


@pytest.fixture(scope="module")
def sidecar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    """Start a sidecar with two workers; one of its issuers cannot be reached."""
    with serving(tmp_path_factory.mktemp("sidecar"), header_timeout_s=1.5, partner_header="X-Partner") as one:
        yield one


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


def test_health_readiness_and_counters(sidecar: Sidecar) -> None:
    """The sidecar says that it lives, that it is ready, and what it counted; other paths are unknown."""
    assert get(sidecar.port, [], "/healthz")[0] == 200
    assert get(sidecar.port, [], "/readyz")[0] == 200
    get(sidecar.port, [], "/verify")
    time.sleep(3)
    text = get(sidecar.port, [], "/metrics")[2].decode()
    assert 'verdict="deny",code="missing_token"' in text
    assert "rapidjws_ready 1" in text
    assert get(sidecar.port, [], "/")[0] == get(sidecar.port, [], "/verifyx")[0] == 404


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


def test_pipelined_requests_of_all_kinds_keep_their_order(sidecar: Sidecar) -> None:
    """Decided together or answered at once, each request of a piece gets its own answer in its place."""
    good = b"GET /verify HTTP/1.1\r\nAuthorization: Bearer %s\r\n\r\n" % token(sub="ann").encode()
    other = b"GET /verify HTTP/1.1\r\nAuthorization: Bearer %s\r\n\r\n" % token(sub="bob").encode()
    bad, health = b"GET /verify HTTP/1.1\r\n\r\n", b"GET /healthz HTTP/1.1\r\n\r\n"
    last = b"GET /nowhere HTTP/1.1\r\nConnection: close\r\n\r\n"
    found = exchange(sidecar.port, (health + good + health + bad + other) * 30 + last + good * 3)
    statuses = re.findall(rb"HTTP/1\.1 (\d+) ", found)
    assert statuses == [b"200", b"200", b"200", b"401", b"200"] * 30 + [b"404"]
    said = re.findall(rb"x-jws-subject: (\w+)|(alive)", found)
    assert [subject or alive for subject, alive in said] == [b"alive", b"ann", b"alive", b"bob"] * 30


def test_an_upgrade_is_answered_and_ends_the_connection(sidecar: Sidecar) -> None:
    """A request that asks for another protocol is answered as what it is, after those before it."""
    bad = b"GET /verify HTTP/1.1\r\n\r\n"
    upgrade = b"GET /verify HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    found = exchange(sidecar.port, bad + upgrade + bad)
    assert re.findall(rb"HTTP/1\.1 (\d+) ", found) == [b"401", b"401"]


def test_drain_finishes_what_began(tmp_path: Path) -> None:
    """After SIGTERM idle connections close, a request under way is answered, and the exit status is 0."""
    write_keys(tmp_path)
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
    for option in ("--workers=0", "--listen="):  # an empty value is no default
        ended = subprocess.run(
            [*COMMAND, "serve", "--config", str(path), option], capture_output=True, timeout=60, check=False
        )
        assert ended.returncode == 2
        assert f"server.{option[2:].partition('=')[0]}".encode() in ended.stderr
    path = write_config(tmp_path, [], server={"listen": "nowhere"})
    ended = subprocess.run(
        [*COMMAND, "serve", "--config", str(path)], capture_output=True, timeout=60, check=False
    )
    assert ended.returncode == 2

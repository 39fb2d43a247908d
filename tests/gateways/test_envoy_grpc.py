"""A real Envoy in front of each of the sidecar's gRPC servers: verdicts, names, octets, load, failures."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from gates import (
    ISSUER,
    SPOOFED,
    Service,
    Sidecar,
    bearer,
    forged,
    free_port,
    get,
    kinds,
    serving,
    started,
    token,
)
from sidecar_process import children_of

pytest.importorskip("httptools", reason="the extra `server` is not installed")
pytest.importorskip("uvloop", reason="the extra `server` is not installed")
pytestmark = pytest.mark.gateways


WAIT_S = 60.0


class Front(NamedTuple):
    """An Envoy and the sidecar behind it."""

    port: int
    sidecar: Sidecar


@pytest.fixture(name="front", scope="module", params=["grpcio", "ngh2"])
def _front(
    request: pytest.FixtureRequest, service: Service, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Front]:
    """Start a sidecar of two workers and Envoy."""
    pytest.importorskip("grpc" if request.param == "grpcio" else "ngh2", reason="the extra `envoy` is absent")
    folder, grpc = tmp_path_factory.mktemp("front"), free_port()
    named = {"grpc_listen": f"127.0.0.1:{grpc}", "grpc_server": request.param}
    with serving(folder, claim_headers={"tid": "X-Tenant"}, **named) as sidecar:
        address, own = f"127.0.0.1:{sidecar.port}", tmp_path_factory.mktemp("envoy")
        with started("envoy-grpc", own, service=service.port, sidecar=address, grpc=grpc) as port:
            yield Front(port, sidecar)


def test_each_kind_of_token(front: Front, service: Service) -> None:
    """Every kind of request gets its status, and the service what was verified and nothing made up."""
    for name, headers, status in kinds():
        before = len(service.seen)
        found = get(front.port, [*headers, *SPOOFED, ("X-Tenant", "evil"), ("x_tenant", "evil")])[0]
        assert found == status or (found == 400 and len(headers) == 2), name
        assert len(service.seen) - before == (status == 200), name
    get(front.port, [*bearer(token(sub="ann", tid="acme")), *SPOOFED, ("X-Tenant", "evil")])
    inner = service.seen[-1]
    names = ("x-jws-subject", "x-jws-issuer", "x-jws-status", "x-tenant", "x-jws-role")
    assert [inner.get(name) for name in names] == ["ann", ISSUER.iss, "verified", "acme", None]


@pytest.mark.parametrize("odd", [b"caf\xe9", b"caf\xc3\xa9", b"\xff\xfe", b"a\tb"], ids=repr)
def test_octets_that_are_no_text_refuse_no_good_token(odd: bytes, front: Front) -> None:
    """A header of a client that is not UTF-8 is none of ours: its good token passes."""
    with socket.create_connection(("127.0.0.1", front.port), 60) as link:
        head = b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Note: " + odd
        link.sendall(head + b"\r\nAuthorization: Bearer " + token().encode() + b"\r\n\r\n")
        assert link.recv(12) == b"HTTP/1.1 200"


def test_many_at_a_time_get_their_own_answers(front: Front, service: Service) -> None:
    """Requests that Envoy sends over one connection at once each get the answer to their own token."""
    wrong: list[Any] = []

    def ask(number: int) -> None:
        link = http.client.HTTPConnection("127.0.0.1", front.port, timeout=60)
        with contextlib.closing(link):
            for at in range(40):
                good = (at + number) % 3
                sent = token(sub=f"u{number}-{at}") if good else forged()
                link.request("GET", f"/{number}/{at}", headers=dict(bearer(sent)))
                answer = link.getresponse()
                answer.read()
                if answer.status != (200 if good else 401):
                    wrong.append((number, at, answer.status))

    before = len(service.seen)
    threads = [threading.Thread(target=ask, args=(number,)) for number in range(12)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert wrong == []
    subjects = [one["x-jws-subject"] for one in service.seen[before:]]
    assert len(subjects) == len(set(subjects)) == 320


def test_a_hanging_sidecar_lets_nothing_pass(front: Front) -> None:
    """While no worker answers, Envoy says 503; when they go on, so do requests."""
    processes = [*children_of(front.sidecar.process.pid), front.sidecar.process.pid]
    for pid in processes:
        os.kill(pid, signal.SIGSTOP)
    try:
        assert get(front.port, bearer(token()))[0] == 503
    finally:
        for pid in processes:
            os.kill(pid, signal.SIGCONT)
    end_s = time.monotonic() + WAIT_S
    while get(front.port, bearer(token()))[0] != 200:
        assert time.monotonic() < end_s

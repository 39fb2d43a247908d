"""A policy of an OPA server: only true permits, and no fault of the server lets anybody through."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from certified import CertifiedKey
from opa_server import PolicyServer, plain, policy_server
from rollouts import NOW_S, engine, good
from rules import said

import rapidjws
import rapidjws.authz.opa as opa_module
from rapidjws.authz import Authorizer, HTTPRequest, Rule
from rapidjws.authz.facts import Unmet
from rapidjws.authz.opa import FAILURES_MAX, OPAPolicy

LONG_S = 30.0


@pytest.fixture
def server() -> Iterator[PolicyServer]:
    """Yield a server that answers true."""
    with policy_server() as found:
        yield found


def policy(server: PolicyServer, **settings: Any) -> OPAPolicy:
    """Return a policy of the server that has time."""
    return OPAPolicy(server.url, path="a/allow", **{"timeout_s": LONG_S, **settings})


def code(one: OPAPolicy, request: HTTPRequest | None = None, **claims: Any) -> str:
    """Return what a rule with the policy says of a request, and close its connections."""
    try:
        return said([{"name": "r", "policies": [one]}], request, **claims)
    finally:
        one.close()


ANSWERS: list[tuple[bytes, bytes, str]] = [
    (b"200 OK", b'{"result": true}', "ok"),
    (b"200 OK", b'{"decision_id": "x", "result": true}', "ok"),
    (b"200 OK", b'{"result": false}', "policy_refused"),
    (b"200 OK", b"{}", "policy_refused"),
    *((b"200 OK", body, "policy_unavailable") for body in (
        b"", b"true", b"[]", b"null", b'{"result": 1}', b'{"result": "true"}', b'{"result": null}',
        b'{"result": {"allow": true}}', b'{"result": [true]}', b'{"result": true', b"\xff", b"<html>",
        b'{"result": true}' + b" " * 70_000,
    )),
    *((status, b'{"result": true}', "policy_unavailable") for status in (
        b"201 Created", b"204 No Content", b"301 Moved", b"400 Bad", b"401 No", b"404 None", b"500 Broken",
    )),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "expected"), ANSWERS)
def test_only_true_permits(server: PolicyServer, status: bytes, body: bytes, expected: str) -> None:
    """False and no value refuse; another status, another value and nonsense are undecided."""
    server.answer = plain(body, status, b"location: http://127.0.0.1:1/\r\n")
    assert code(policy(server)) == expected


def test_the_input_is_what_was_asked_for_and_no_more(server: PolicyServer) -> None:
    """Claims and headers by name, one spelling of the path, and no token."""
    request = HTTPRequest(
        method="get",
        path="/%61?q=1",
        host="api.example",
        headers={"X-Tenant": "acme", "Authorization": "Bearer x"},
    )
    one = policy(
        server, claims=["tid", "none"], headers=["X-Tenant", "x-none"], parts=["method", "host", "path"]
    )
    assert code(one, request, tid="acme", secret="s") == "ok"
    (found,) = server.inputs
    assert found == {
        "claims": {"tid": "acme"},
        "header": {"x-tenant": "acme"},
        "request": {"method": "GET", "host": "api.example", "path": "/a"},
        "partner": "",
        "issuer": found["issuer"],
    }
    assert (one.header_fields, one.reads_method, one.reads_host) == ({b"x-tenant", b"x-none"}, True, True)


def test_an_ambiguous_request_is_not_asked_about(server: PolicyServer) -> None:
    """Where a part has no one reading the server is left out, and the request refused."""
    for request in (HTTPRequest(path="/a"), HTTPRequest(method="GET", path="/a/../b")):
        assert code(policy(server), request) == "ambiguous_request"
    twice = HTTPRequest(method="GET", path="/", headers={"x-a": ("1", "2")})
    assert code(policy(server, headers=["x-a"]), twice) == "ambiguous_request"
    assert code(policy(server), n=2**70) == "policy_unavailable"
    assert server.inputs == []


def closed(connection: socket.socket, _: Any) -> bool:
    """Close without an answer."""
    return False


def cut(connection: socket.socket, _: Any) -> bool:
    """Close within the answer."""
    connection.sendall(b'HTTP/1.1 200 OK\r\ncontent-length: 16\r\n\r\n{"result": tru')
    return False


@pytest.mark.parametrize("answer", [closed, cut])
def test_a_connection_that_ends_is_undecided(server: PolicyServer, answer: Callable[..., bool]) -> None:
    """Half an answer is none."""
    server.answer = answer
    assert code(policy(server)) == "policy_unavailable"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the library's own socket
def test_nobody_there_is_undecided(tmp_path: Path) -> None:
    """A port or a socket where nobody listens, and a name that there is not."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert code(OPAPolicy(f"http://127.0.0.1:{port}", path="a")) == "policy_unavailable"
    assert code(OPAPolicy(f"unix:{tmp_path}/none.sock", path="a")) == "policy_unavailable"
    assert code(OPAPolicy("https://none.invalid", path="a")) == "policy_unavailable"


def test_an_answer_that_drips_ends_at_the_time_out(server: PolicyServer) -> None:
    """Each octet in time does not make the whole in time: the deadline is one."""
    stopped = threading.Event()

    def drip(connection: socket.socket, _: Any) -> bool:
        for octet in b'HTTP/1.1 200 OK\r\ncontent-length: 16\r\n\r\n{"result": true}':
            connection.sendall(bytes([octet]))
            if stopped.wait(0.05):
                break
        return False

    server.answer = drip
    assert code(policy(server, timeout_s=0.4)) == "policy_unavailable"
    stopped.set()


def test_after_failures_in_a_row_the_server_is_left_alone(
    server: PolicyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that fails is not asked for a while; then one request tries it, and a good answer ends it."""
    clock = [1000.0]
    monkeypatch.setattr(opa_module, "monotonic", lambda: clock[0])
    monkeypatch.setattr("rapidjws.authz.opa_connection.monotonic", lambda: clock[0])
    server.answer = plain(b"", b"500 Broken")
    one = policy(server)
    for _ in range(FAILURES_MAX + 4):
        assert code(one) == "policy_unavailable"
    assert len(server.inputs) == FAILURES_MAX
    clock[0] += 1.5
    assert [code(one), code(one)] == ["policy_unavailable"] * 2
    assert len(server.inputs) == FAILURES_MAX + 1
    clock[0] += 1.5
    server.answer = plain(b'{"result": false}')
    assert [code(one), code(one)] == ["policy_refused"] * 2
    assert len(server.inputs) == FAILURES_MAX + 3


def test_a_request_asks_once_whatever_the_answer(server: PolicyServer) -> None:
    """A refusal is not asked about again for its reason: another answer would count, and cost its time."""
    for status, body, expected in ANSWERS[:1] + ANSWERS[2:5]:
        server.answer = plain(body, status)
        server.inputs.clear()
        assert code(policy(server)) == expected
        assert len(server.inputs) == 1


def test_a_policy_that_changes_its_mind_permits_nobody() -> None:
    """A condition that refuses, and does not when it is asked why, is a fault and no permit."""

    class Fickle:
        blocking = False
        header_fields: frozenset[bytes] = frozenset()
        reads_method = reads_host = False

        def check(self) -> Any:
            asked: list[int] = []
            return lambda _: asked.append(1) or (Unmet("policy_refused", "a") if len(asked) % 2 else None)

    assert said([{"name": "r", "policies": [Fickle()]}]) == "internal_error"


def test_answers_are_remembered_for_a_bounded_time(
    server: PolicyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same input within the time is not asked about again; another, or later, is; failures never last."""
    clock = [1000.0]
    monkeypatch.setattr(opa_module, "monotonic", lambda: clock[0])
    monkeypatch.setattr("rapidjws.authz.opa_connection.monotonic", lambda: clock[0])
    one = policy(server, cache_s=2.0, cache_entries=2, claims=["tid"])
    assert [code(one, tid="a", jti=str(number)) for number in range(3)] == ["ok"] * 3
    assert len(server.inputs) == 1
    server.answer = plain(b'{"result": false}')
    assert [code(one, tid="a"), code(one, tid="b"), code(one, tid="b")] == ["ok", *["policy_refused"] * 2]
    assert len(server.inputs) == 2
    clock[0] += 2.0
    assert code(one, tid="a") == "policy_refused"
    server.answer = plain(b"", b"500 Broken")
    assert code(one, tid="c") == "policy_unavailable"
    server.answer = plain(b'{"result": true}')
    assert code(one, tid="c") == "ok"
    assert len(one._cache) <= 2


def test_connections_are_used_again(server: PolicyServer) -> None:
    """Many questions of one thread take one connection."""
    one = policy(server)
    rules = Authorizer([Rule(name="r", policies=[one])], listener=lambda *_: None)
    decision = engine().decide(good(), now=NOW_S)
    for _ in range(5):
        assert rules.authorize(decision, HTTPRequest(method="GET", path="/")).code == "ok"
    assert (len(server.inputs), server.connections) == (5, 1)
    one.close()


def test_nothing_waits_on_the_loop(server: PolicyServer) -> None:
    """From asyncio the server is asked on a thread, and the loop goes on meanwhile."""
    asked, answered = threading.Event(), threading.Event()

    def slow(connection: socket.socket, given: Any) -> bool:
        asked.set()
        assert answered.wait(60)
        return plain(b'{"result": true}')(connection, given)

    server.answer = slow
    one = policy(server)
    deciding = engine()
    deciding.authorizer = Authorizer([Rule(name="r", policies=[one])])

    async def run() -> str:
        task = asyncio.ensure_future(
            deciding.adecide(good(), now=NOW_S, route="/", request=HTTPRequest(method="GET", path="/"))
        )
        while not asked.is_set() and not task.done():
            await asyncio.sleep(0.01)
        answered.set()  # only a loop that goes on comes here
        return (await asyncio.wait_for(task, 60)).code

    assert asyncio.run(run()) == "ok"
    one.close()


BAD: list[dict[str, Any]] = [
    {"url": "http://opa.example:8181"}, {"url": "ftp://127.0.0.1"}, {"url": "127.0.0.1:8181"}, {"url": ""},
    {"url": "http://"}, {"url": "http://127.0.0.1:0"}, {"url": "http://127.0.0.1:99999"},
    {"url": "http://u:p@127.0.0.1"}, {"url": "http://127.0.0.1/v1/data"}, {"url": "http://127.0.0.1?a"},
    {"url": "http://127.0.0.1#a"}, {"url": "unix:opa.sock"}, {"url": "unix:/" + "a" * 200},
    {"path": ""}, {"path": "/a"}, {"path": "a/../b"}, {"path": "a/b/"}, {"path": "a b"}, {"path": "a\n"},
    {"timeout_s": 0}, {"timeout_s": 31}, {"timeout_s": float("nan")}, {"cache_s": -1}, {"cache_s": 301},
    {"cache_entries": 0}, {"connections": 0}, {"claims": [""]}, {"headers": ["a b"]}, {"parts": ["query"]},
    {"authorization_file": "/none"}, {"ca": "/none"},
]  # fmt: skip


@pytest.mark.parametrize("settings", BAD)
def test_what_cannot_be_meant_is_an_error_at_the_start(settings: dict[str, Any]) -> None:
    """A wrong address, path, limit or file is refused before any request."""
    given = {"url": "http://127.0.0.1:8181", "path": "a/allow", **settings}
    with pytest.raises(rapidjws.ConfigurationError):
        OPAPolicy(given.pop("url"), **given)


def test_a_certificate_that_is_no_authority_is_refused(tmp_path: Path) -> None:
    """Trust is put in authorities only."""
    path = tmp_path / "ca.pem"
    path.write_text(CertifiedKey().pem)
    with pytest.raises(rapidjws.ConfigurationError, match="authorities"):
        OPAPolicy("https://127.0.0.1:8181", path="a/allow", ca=str(path))


def test_a_bearer_token_comes_from_a_private_file(tmp_path: Path) -> None:
    """A file that others can read is refused, and the token is shown nowhere."""
    path = tmp_path / "token"
    path.write_text("secret-token\n")
    path.chmod(0o644)
    given: dict[str, Any] = {"path": "a", "authorization_file": str(path)}
    with pytest.raises(rapidjws.ConfigurationError):
        OPAPolicy("http://127.0.0.1:8181", **given)
    path.chmod(0o600)
    one = OPAPolicy("http://127.0.0.1:8181", **given)
    assert one._headers["authorization"] == "Bearer secret-token"
    assert "secret" not in repr(one)

"""Questions to an OPA server that go together: an answer to each, by its number, and none is another's."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opa_server import PolicyServer, policy_server
from rollouts import NOW_S, engine, good

from rapidjws import ConfigurationError
from rapidjws.authz import Authorizer, HTTPRequest, Rule
from rapidjws.authz.opa import FAILURES_MAX, OPAPolicy
from rapidjws.authz.opa_batches import BATCH_MAX, LATE, OPABatches

LONG_S = 30.0


class Together:
    """A server whose first question waits until others do; what it answers to a list is the test's."""

    def __init__(self, server: PolicyServer, each: Callable[[list[Any]], tuple[bytes, Any]]) -> None:
        self.server, self.each, self.held, self.go = server, each, threading.Event(), threading.Event()
        server.answer = self._answer

    def _answer(self, connection: socket.socket, given: Any) -> bool:
        if isinstance(given, list):
            status, value = self.each(given)
        else:
            if not self.held.is_set():
                self.held.set()
                assert self.go.wait(60)
            status, value = b"200 OK", {"result": given["header"]["x-n"] == "yes"}
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        connection.sendall(b"HTTP/1.1 %b\r\ncontent-length: %d\r\n\r\n" % (status, len(body)) + body)
        return True

    def codes(self, headers: list[str], **settings: Any) -> list[str]:
        """Return the codes of requests that all wait behind a first one."""
        one = OPAPolicy(
            self.server.url, path="a/allow", batch_path="a/each", connections=1, headers=["x-n"],
            **{"timeout_s": LONG_S, **settings},
        )  # fmt: skip
        rules = Authorizer([Rule(name="r", policies=[one])], listener=lambda *_: None)
        decision, found = engine().decide(good(), now=NOW_S), [""] * (len(headers) + 1)

        def decide(number: int, header: str) -> None:
            request = HTTPRequest(method="GET", path="/", headers={"x-n": header})
            found[number] = rules.authorize(decision, request).code

        threads = [threading.Thread(target=decide, args=(0, "yes"))]
        threads[0].start()
        assert self.held.wait(60)
        for number, header in enumerate(headers, 1):
            threads.append(threading.Thread(target=decide, args=(number, header)))
            threads[-1].start()
        batches = one._batches
        assert batches is not None
        while len(batches._waiting) < len(headers):
            time.sleep(0.001)
        self.go.set()
        for thread in threads:
            thread.join(60)
        assert (batches._asking, len(batches._waiting)) == (0, 0)
        one.close()
        return found


@pytest.fixture
def server() -> Iterator[PolicyServer]:
    """Yield a server."""
    with policy_server() as found:
        yield found


def right(given: list[Any]) -> tuple[bytes, Any]:
    """Answer as the rule would."""
    return b"200 OK", {"result": {str(n): one["header"]["x-n"] == "yes" for n, one in enumerate(given)}}


def test_each_has_its_own_answer(server: PolicyServer) -> None:
    """Those that wait go in one question, and true and false come to whom they are meant for."""
    headers = ["yes", "no", "yes", "no", "no"]
    codes = Together(server, right).codes(headers)
    assert codes[1:] == ["ok" if one == "yes" else "policy_refused" for one in headers]
    assert [type(one) for one in server.inputs] == [dict, list]
    assert (len(server.inputs[1]), server.connections) == (5, 1)


def test_many_go_in_bounded_questions(server: PolicyServer) -> None:
    """More than fit into one go in several, and none is left out."""
    headers = ["yes", "no"] * (BATCH_MAX // 2 + 3)
    codes = Together(server, right).codes(headers)
    assert codes[1:] == ["ok" if one == "yes" else "policy_refused" for one in headers]
    assert max(len(one) for one in server.inputs if isinstance(one, list)) == BATCH_MAX


WRONG: list[tuple[bytes, Any]] = [
    (b"500 Internal Server Error", {"code": "internal_error"}), (b"404 Not Found", {}), (b"200 OK", {}),
    (b"200 OK", {"result": [True, True, True]}), (b"200 OK", {"result": True}), (b"200 OK", {"result": {}}),
    (b"200 OK", {"result": {"1": True, "3": True}}),
    (b"200 OK", {"result": {"0": 1, "1": "true", "2": [True]}}),
    (b"200 OK", {"result": {"0": None, "01": True, "-1": True, "2.0": True}}),
]  # fmt: skip


@pytest.mark.parametrize(("status", "value"), WRONG)
def test_who_has_no_answer_asks_alone(server: PolicyServer, status: bytes, value: Any) -> None:
    """An input that makes the evaluation of all fail costs the others only time: each asks by itself."""
    codes = Together(server, lambda _: (status, value)).codes(["no", "no", "no"])
    result = value.get("result")
    permitted = [isinstance(result, dict) and result.get(str(n)) is True for n in range(3)]
    expected = ["ok" if one else "policy_refused" for one in permitted]
    assert sorted(codes[1:]) == sorted(expected)


@pytest.mark.parametrize(
    "body", [b"", b"nonsense", b'{"result": {"0": true', b'{"result":{"0":true,"1":true}}' * 2]
)
def test_nonsense_permits_nobody(server: PolicyServer, body: bytes) -> None:
    """What is no answer at all is undecided for each."""
    codes = Together(server, lambda _: (b"200 OK", body)).codes(["no", "no"])
    assert codes[1:] == ["policy_unavailable"] * 2


def test_a_question_with_little_time_cuts_nobody_short() -> None:
    """What is sent has the deadline of the latest question; an older one returns at its own."""
    sent: list[float] = []
    held, go = threading.Event(), threading.Event()

    def send(inputs: Any, deadline: float) -> list[bytes]:
        sent.append(deadline)
        if len(sent) == 1:
            held.set()
            assert go.wait(60)
        return list(inputs)

    batches = OPABatches(send, 1)
    now, found = time.monotonic(), {}

    def ask(name: bytes, deadline: float) -> None:
        found[name] = batches.ask(name, deadline)

    threads = [threading.Thread(target=ask, args=(b"first", now + 500))]
    threads[0].start()
    assert held.wait(60)
    assert batches.ask(b"late", now) is LATE
    for name, deadline in ((b"old", now + 1000), (b"new", now + 2000)):
        before = len(batches._waiting)
        threads.append(threading.Thread(target=ask, args=(name, deadline)))
        threads[-1].start()
        while len(batches._waiting) == before:
            time.sleep(0.001)
    go.set()
    for thread in threads:
        thread.join(60)
    assert found == {b"first": b"first", b"old": b"old", b"new": b"new"}
    assert sent == [now + 500, now + 2000]


@pytest.mark.parametrize("answers", [[], [None, None], [None, None, None]])
def test_another_number_of_answers_is_none(answers: list[Any]) -> None:
    """An answer too few or too many permits nobody, and the next question is asked."""
    batches = OPABatches(lambda *_: answers, 1)
    assert batches.ask(b"{}", time.monotonic() + LONG_S) is LATE
    assert batches._asking == 0


def test_a_server_that_fails_is_left_alone(server: PolicyServer) -> None:
    """With batches too."""
    server.answer = lambda *_: False
    one = OPAPolicy(server.url, path="a/allow", batch_path="a/each", timeout_s=LONG_S)
    check = one.check()
    rules = Authorizer([Rule(name="r", policies=[one])], listener=lambda *_: None)
    decision = engine().decide(good(), now=NOW_S)
    request = HTTPRequest(method="GET", path="/")
    codes = {rules.authorize(decision, request).code for _ in range(FAILURES_MAX + 3)}
    assert (codes, len(server.inputs), callable(check)) == ({"policy_unavailable"}, FAILURES_MAX, True)
    one.close()


@pytest.mark.parametrize("path", ["", "/a", "a/allow", "a/../b"])
def test_a_wrong_rule_is_an_error_at_the_start(path: str) -> None:
    """No path, or the one of single questions."""
    with pytest.raises(ConfigurationError, match="batch_path"):
        OPAPolicy("http://127.0.0.1:8181", path="a/allow", batch_path=path)

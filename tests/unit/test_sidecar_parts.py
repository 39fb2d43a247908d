"""The sidecar's parts: settings that are refused, the change bus, and answers made of kept pieces."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import Any

import pytest
from rollouts import ISSUER, NOW_S, OTHER, ask, engine, forged, good, rollout

from rapidjws import ConfigurationError
from rapidjws.jwt.decision import Decision
from rapidjws.middleware.response import answer_for, trusted_headers, warning_headers
from rapidjws.rollout import Partner
from rapidjws.sidecar.settings import ServerSettings

pytest.importorskip("httptools", reason="the extra `server` is not installed")
SECRET = "s" * 32


@pytest.mark.parametrize(
    ("found", "place"),
    [
        ({"admin_listen": "127.0.0.1:1"}, "server.admin_token"),
        ({"admin_listen": "127.0.0.1:1", "admin_token": SECRET[1:]}, "server.admin_token"),
        ({"admin_listen": "127.0.0.1:1", "admin_token": SECRET + "\n"}, "server.admin_token"),
        ({"hook_secret": ""}, "server.hook_secret"),
        ({"admin_listen": "nowhere"}, "server.admin_listen"),
        ({"grpc_listen": "127.0.0.1:70000"}, "server.grpc_listen"),
        ({"grpc_listen": "unix:/x", "workers": 2}, "server.grpc_listen"),
        ({"listen": "unix:/x", "admin_listen": "unix:/x"}, "server.listen"),
        ({"listen": "127.0.0.1:1", "grpc_listen": "127.0.0.1:1"}, "server.listen"),
    ],
)
def test_unsafe_settings_are_refused(found: dict[str, Any], place: str) -> None:
    """A listener without its secret, a short secret and one address for two listeners are refused."""
    with pytest.raises(ConfigurationError) as refused:
        ServerSettings(**found)
    assert refused.value.place == place


def test_settings_show_no_secret() -> None:
    """The secrets are not in the settings' text."""
    assert SECRET not in repr(ServerSettings(admin_token=SECRET, hook_secret=SECRET))


def test_board_tells_workers_apart() -> None:
    """A change is seen by kind, taken over by each worker in its time, and waited for by who asked."""
    from rapidjws.sidecar.change_bus import ChangeBus

    change_bus = ChangeBus(2)
    seen = change_bus.counters()
    change_bus.begin(0, seen)
    assert change_bus.changed(seen, change_bus.counters()) == set()
    change_bus.forget(0)  # so that nobody is signalled here
    assert change_bus.workers() == []
    changes = change_bus.announce("config", time.monotonic_ns())
    now = change_bus.counters()
    assert (changes, change_bus.changed(seen, now)) == (1, {"config"})
    assert change_bus.wait(changes, 0.0)
    change_bus.note_applied(1, seen)
    assert not change_bus.wait(changes, 0.0)
    change_bus.note_applied(1, now)
    assert change_bus.wait(changes, 0.0)
    (worker,) = change_bus.workers()
    assert (worker.pid, worker.changes) == (os.getpid(), 1)
    assert 0 <= worker.lag_s <= worker.longest_lag_s < 60
    change_bus.begin(1, seen)  # it loaded before the change
    assert not change_bus.wait(changes, 0.0)
    change_bus.close()


def parts(octets: bytes) -> tuple[bytes, set[bytes], bytes]:
    """Return the status line, the header lines and the body of an answer."""
    head, _, body = octets.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    return first, set(lines), body


def test_replies_are_those_of_the_other_middlewares() -> None:
    """Each kind of decision gives the status, headers and body that every middleware answers."""
    from rapidjws.sidecar.response_cache import ResponseCache

    settings = ServerSettings(realm="shop")
    replies = ResponseCache(settings)
    one = engine(rollout(Partner(name="ready"), Partner(name="poor", scopes=["pay"])))
    mild = engine(rollout(phase="warning"))
    decisions = [
        ask(one, good(sub="ann", scope="b a")),
        ask(one, good(sub="bob"), "ready"),
        ask(one, good(sub="käthe", scope="\N{SNOWMAN}")),
        ask(one, good(OTHER, sub="eve")),
        ask(one, good(), "poor"),
        ask(one, forged()),
        ask(one, None),
        ask(one, good(), now=NOW_S + 9999),
        ask(mild, None),
        ask(mild, forged()),
    ]
    assert {one.outcome for one in decisions} == {"permit", "deny"}
    for decision in decisions * 2:
        first, lines, body = parts(replies.reply(decision, b"GET"))
        answer = answer_for(decision, realm="shop", bad_request_status=401)
        if answer is None:
            headers = [*trusted_headers(decision), *warning_headers(decision)]
            expected: tuple[int, bytes] = (200, b"")
        else:
            headers, expected = list(answer.headers), (answer.status, answer.body)
        assert (int(first.split()[1]), body) == expected
        assert lines == {f"{name}: {value}".encode() for name, value in headers} | {
            b"content-length: %d" % len(body)
        }
        assert parts(replies.reply(decision, b"HEAD"))[2] == b""
    assert ISSUER.iss != OTHER.iss


def test_a_fault_inside_is_written_however_many_requests_meet_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a line in the log nobody could tell why each request gets 503; one a minute is enough."""
    from rapidjws.sidecar import response_cache as replies_module

    now_s = [1000.0]
    monkeypatch.setattr(replies_module, "monotonic", lambda: now_s[0])
    lines: list[str] = []
    replies = replies_module.ResponseCache(ServerSettings(), lines.append)
    faulty = Decision(outcome="indeterminate", code="internal_error", place="AttributeError")
    for outcome in ("indeterminate", "permit", "indeterminate"):
        replies.reply(replace(faulty, outcome=outcome), b"GET")
    assert len(lines) == 1
    assert "AttributeError" in lines[0]
    replies.reply(Decision(outcome="deny", code="expired"), b"GET")
    now_s[0] += replies_module.WARN_S
    replies.reply(faulty, b"GET")
    assert len(lines) == 2

"""The log of refusals: each is written, within limits, and nothing that could be replayed is in it."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from rapidjws.errors import CODES, RapidJWSError
from rapidjws.jwt.decision import AMBIGUOUS, Decision
from rapidjws.observe.decision_log import DecisionLog
from rapidjws.observe.event_log import EventLog
from rapidjws.observe.log_formats import SCHEMAS, JSONLines
from rapidjws.verify.kid_floods import FLOOD
from rapidjws.verify.protocols import Event
from rapidjws.verify.revocations import Revocation

Seen = list[dict[str, Any]]


class Lines(logging.Handler):
    """The lines of each schema."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: Seen = []
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Format a record in each schema."""
        self.lines.append(json.loads(JSONLines("plain").format(record)))
        self.texts += [record.getMessage(), *(JSONLines(schema).format(record) for schema in SCHEMAS)]

    def events(self, *names: str) -> Seen:
        """Return the lines of some events."""
        return [one for one in self.lines if one["event"] in names]


@pytest.fixture
def seen() -> Iterator[Lines]:
    """Give what is logged at DEBUG."""
    root, lines = logging.getLogger("rapidjws"), Lines()
    root.addHandler(lines)
    root.setLevel(logging.DEBUG)
    yield lines
    root.setLevel(logging.NOTSET)
    root.removeHandler(lines)


def b64(value: object) -> str:
    """Return base64url of a JSON text."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def token(header: object, claims: object | None = None, signature: str = "c2lnbmF0dXJl") -> str:
    """Return a token that nobody signed."""
    return f"{b64(header)}.{b64(claims or {'sub': 'canary-sub'})}.{signature}"


class Clock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        """Return seconds."""
        return self.now_s


def refused(code: str, **more: Any) -> Decision:
    """Return a decision against a token."""
    return Decision(outcome=CODES[code].outcome, code=code, **more)


def test_a_refusal_has_all_its_fields(seen: Lines) -> None:
    """Code, reason, kid, alg, partner, route without its query, phase, ids and duration are in the line."""
    headers = {b"x-request-id": [b"req-1"], b"traceparent": [b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01"]}
    DecisionLog().note(
        refused("expired", partner="acme", route="/pay?token=abc", phase="warning", place="claims.exp"),
        token=token({"alg": "ES256", "kid": "k1"}),
        headers=lambda name: headers.get(name, []),
        duration_ns=1_500,
    )
    (one,) = seen.lines
    expected = {
        "event": "token_refused", "level": "info", "code": "expired", "reason": "claims", "kid": "k1",
        "alg": "ES256", "partner": "acme", "route": "/pay", "phase": "warning", "place": "claims.exp",
        "request_id": "req-1", "trace_id": "a" * 32, "duration_us": 1.5, "outcome": "deny",
        "verdict": "deny",
    }  # fmt: skip
    assert {name: one.get(name) for name in expected} == expected


def test_an_acceptance_is_not_logged_and_a_request_let_through_is(seen: Lines) -> None:
    """What is let through although its token was refused has a line with the verdict beside the outcome."""
    log = DecisionLog()
    log.note(Decision(outcome="permit", code="expired", phase="detection"))
    (one,) = seen.lines
    assert (one["outcome"], one["verdict"]) == ("permit", "deny")
    good = refused("expired")
    object.__setattr__(good, "code", "ok")
    log.note(good)
    assert len(seen.lines) == 1


def test_indeterminate_is_a_warning(seen: Lines) -> None:
    """An outage is distinguished from a refusal, by event and level."""
    DecisionLog().note(refused("keys_stale"))
    assert [(one["event"], one["level"]) for one in seen.lines] == [("token_indeterminate", "warning")]


def test_every_code_has_a_line(seen: Lines) -> None:
    """No code of a decision is left out."""
    log = DecisionLog()
    for code in CODES:
        log.note(refused(code))
    assert {one["code"] for one in seen.events("token_refused", "token_indeterminate")} == set(CODES)
    assert log.faults == 0


def test_lines_are_limited_by_code_and_partner_and_counted(seen: Lines) -> None:
    """Of one kind so many a minute are written; the next minute begins with how many were left out."""
    clock = Clock()
    log = DecisionLog(lines_per_minute=3, clock=clock)
    for _ in range(10):
        log.note(refused("expired", partner="a"))
    for _ in range(2):
        log.note(refused("expired", partner="b"))
        log.note(refused("not_yet_valid", partner="a"))
    assert len(seen.lines) == 3 + 2 + 2
    seen.lines.clear()
    clock.now_s += 59
    log.note(refused("expired", partner="a"))
    assert seen.lines == []
    clock.now_s += 1
    log.note(refused("expired", partner="a"))
    first, second = seen.lines
    assert (first["event"], first["left_out"], first["code"], first["partner"]) == (
        "lines_left_out", 8, "expired", "a",
    )  # fmt: skip
    assert second["event"] == "token_refused"


def test_kinds_are_bounded(seen: Lines) -> None:
    """A stranger who chooses partner names takes no memory beyond a bound, and his lines share one limit."""
    log = DecisionLog(lines_per_minute=1, clock=Clock())
    for number in range(6000):
        log.note(refused("expired", partner=f"p{number}"))
    assert len(log._limits._seen) <= 4097
    assert len(seen.lines) <= 4097


SECRET_PAYLOAD = {
    "sub": "canary-sub",
    "kid": "canary-kid",
    "email": "canary@example.org",
    "scope": "canary-scope",
}


@pytest.mark.parametrize("header", [{"alg": "ES256", "kid": "k"}, {"alg": "none"}, [], {"kid": "k"}])
def test_no_line_holds_anything_of_a_token(seen: Lines, header: object) -> None:
    """The token, its parts and its claims are in no line at DEBUG, wherever else the request repeats them."""
    text = token(header, SECRET_PAYLOAD, "Y2FuYXJ5LXNpZ25hdHVyZQ")
    _, payload, signature = text.split(".")
    log = DecisionLog()
    places = (text, payload, signature, f"/a/{text}", f"/x?access_token={text}", f"x.{signature}.y")
    headers = {b"x-request-id": [signature.encode()], b"traceparent": [text.encode()]}
    for code in ("expired", "unsupported_algorithm", "unknown_kid", "keys_stale"):
        for place in places:
            for given in (text, text.encode(), f"{payload}.{text}"):
                log.note(
                    refused(code, partner=place, route=place, place=place),
                    token=given,
                    headers=lambda name: headers.get(name, []),
                )
        log.note(refused(code, route=f"/a/{text}"), token=AMBIGUOUS)  # which of them, nobody knows
    assert log.faults == 0
    assert seen.texts
    whole = "\n".join(seen.texts)
    for piece in (payload, signature, "canary-sub", "canary-kid", "canary@", "canary-scope"):
        assert piece not in whole


def test_listed_claims_are_shown_and_others_are_not(seen: Lines) -> None:
    """Only claims that the configuration names, bounded, scalars, and marked as not verified."""
    claims = {"sub": "canary-sub", "client_id": "app" * 100, "n": 5, "groups": ["canary"]}
    DecisionLog(claims=("client_id", "n", "groups")).note(
        refused("expired"), token=token({"alg": "A"}, claims)
    )
    (one,) = seen.lines
    assert json.loads(one["unverified_claims"]) == {"client_id": ("app" * 100)[:64], "n": 5}
    assert "canary" not in "".join(seen.texts)


@pytest.mark.parametrize("given", [None, AMBIGUOUS, b"", "a", "a.b", b"\xff.\xff.\xff", "{}", "\ud800.a.b"])
def test_whatever_the_token_is_a_line_is_written(seen: Lines, given: Any) -> None:
    """What is no token has a line without kid and alg."""
    log = DecisionLog(claims=("sub",))
    log.note(refused("malformed_token"), token=given)
    (one,) = seen.lines
    assert not {"kid", "alg", "unverified_claims"} & set(one)
    assert log.faults == 0


def test_a_kid_is_bounded_and_printable(seen: Lines) -> None:
    """A kid of a stranger is one short line whatever it holds."""
    DecisionLog().note(refused("unknown_kid"), token=token({"alg": "A\n" * 99, "kid": "k\u202e\n" * 90}))
    (one,) = seen.lines
    assert one["kid"].isprintable()
    assert one["alg"].isprintable()
    assert len(one["alg"]) < 240


@pytest.mark.parametrize(
    ("code", "alg", "event"),
    [
        ("key_alg_mismatch", "HS256", "algorithm_confusion"),
        ("algorithm_not_allowed", "HS512", "algorithm_confusion"),
        ("unsupported_algorithm", "none", "algorithm_confusion"),
        ("unsupported_algorithm", "NoNe", "algorithm_confusion"),
        ("algorithm_not_allowed", "PS256", None),
        ("revoked", "ES256", "revoked_key_used"),
        ("replayed", "ES256", "replay_detected"),
        ("expired", "ES256", None),
    ],
)
def test_signs_of_an_attack_have_a_line_of_their_own(
    seen: Lines, code: str, alg: str, event: str | None
) -> None:
    """They go to the logger for a SIEM beside the ordinary line; an algorithm that is new is none."""
    DecisionLog().note(refused(code), token=token({"alg": alg}))
    assert [one["event"] for one in seen.lines if one["logger"] == "rapidjws.security"] == [event] * (
        event is not None
    )


def test_unknown_kids_are_no_sign_by_themselves(seen: Lines) -> None:
    """A flood is found where keys are looked up; the log of decisions counts nothing beside it."""
    log = DecisionLog()
    for _ in range(3 * FLOOD):
        log.note(refused("unknown_kid", partner="a"))
    assert seen.events("unknown_kid_flood") == []


def test_a_fault_of_the_log_changes_nothing(seen: Lines) -> None:
    """Whatever fails in it is counted and goes no further: the verdict stands."""
    log = DecisionLog()

    def broken(_: bytes) -> list[bytes]:
        raise OSError("no headers")

    decision = refused("expired")
    log.note(decision, headers=broken)
    assert log.faults == 1
    assert (decision.outcome, decision.code) == ("deny", "expired")


def test_a_limit_must_be_a_number_in_range() -> None:
    """No limit of lines is none."""
    with pytest.raises(RapidJWSError):
        DecisionLog(lines_per_minute=0)


# --- events of keys and stores ---------------------------------------------------------------------------


def test_events_become_lines_and_what_is_no_event_of_the_log_does_not(seen: Lines) -> None:
    """Names, levels and fields follow the list; a source's query is left out."""
    log = EventLog()
    log(
        Event(name="fetch_failed", issuer="https://a.example/jwks?secret=canary", detail="connect", value=503)
    )
    log(Event(name="fetch_ok", issuer="https://a.example/jwks", value=0.01234567, detail="200"))
    log(Event(name="rotation_lag", issuer="https://a.example", kid="k", value=2.0))
    log(Event(name="no_such_event"))
    assert [one["event"] for one in seen.lines] == ["fetch_failed", "keys_fetched", "first_use"]
    assert seen.lines[0]["issuer"] == "https://a.example/jwks"
    assert seen.lines[1]["value"] == 0.012346


def test_events_are_limited_by_issuer(seen: Lines) -> None:
    """A file that is refused all the time has a few lines; the next minute says how many were left out."""
    clock = Clock()
    log = EventLog(lines_per_minute=2, clock=clock)
    for _ in range(5):
        log(Event(name="file_refused", issuer="https://a.example"))
        log(Event(name="file_refused", issuer="https://b.example"))
    assert len(seen.lines) == 4
    clock.now_s += 60
    log.write_left_out()
    assert [(one["issuer"], one["left_out"]) for one in seen.lines[4:]] == [
        ("https://a.example", 3), ("https://b.example", 3),
    ]  # fmt: skip


def test_each_revocation_has_a_line_without_the_token_it_is_of(seen: Lines) -> None:
    """Those that come and those that go; a jti is part of a token and stays out."""
    listed = [Revocation(kid="old", issuer="https://a.example")]
    log = EventLog()
    log.follow_revocations(lambda: tuple(listed))
    listed.append(Revocation(jti="canary-jti", issuer="https://a.example"))
    log(Event(name="revocations_enforced", value=0.5))
    del listed[0]
    log(Event(name="revocations_enforced", value=0.5))
    log(Event(name="revocations_enforced", value=0.5))
    assert [(one["event"], one["kind"]) for one in seen.lines] == [
        ("revocation_added", "token"), ("revocation_lifted", "key"),
    ]  # fmt: skip
    assert "canary" not in "".join(seen.texts)


def test_security_events_of_keys(seen: Lines) -> None:
    """A private key in a JWK Set and a kid that names another key are for the SIEM."""
    log = EventLog()
    log(Event(name="private_key_published", issuer="https://a.example", kid="k", detail="key_private"))
    log(Event(name="kid_rebound", issuer="https://a.example", kid="k"))
    assert [(one["logger"], one["level"]) for one in seen.lines] == [
        ("rapidjws.security", "error"), ("rapidjws.security", "warning"),
    ]  # fmt: skip

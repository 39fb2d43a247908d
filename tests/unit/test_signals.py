"""Signals that revoke: events and logout tokens, taken once, from whoever may speak of a subject alone."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from rapidjws import ConfigurationError, Engine, Issuer, TokenRefused
from rapidjws.errors import DependencyUnavailable, RapidJWSError
from rapidjws.jwt.profiles import LOGOUT_EVENT
from rapidjws.keys import FetchFailed
from rapidjws.signals import SETPoller, SignalReceiver
from rapidjws.stores import MemoryReplayStore, RevocationFile
from rapidjws.testing import FakeIssuer

SETS = "application/secevent+jwt"
FORM = "application/x-www-form-urlencoded"
CAEP = "https://schemas.openid.net/secevent/caep/event-type/"
RISC = "https://schemas.openid.net/secevent/risc/event-type/"
ISSUER = FakeIssuer("https://idp.example", "ES256", lifetime_s=86_400)
OTHER = FakeIssuer("https://other.example", "ES256", lifetime_s=86_400)
SUBJECT = {"format": "iss_sub", "iss": ISSUER.iss, "sub": "user-1"}


def engine_of(**settings: Any) -> Engine:
    """Return an engine of access tokens of both issuers."""
    rules = [
        Issuer(one.iss, keys=one.jwks, algorithms=["ES256"], audience=one.audience) for one in (ISSUER, OTHER)
    ]
    return Engine(*rules, workers=1, **settings)


def signals(profile: str = "security_event") -> Engine:
    """Return an engine of signals."""
    rules: list[Any] = [
        Issuer.profile(profile, one.iss, keys=one.jwks, algorithms=["ES256"], audience="https://api.example")  # type: ignore[arg-type]
        for one in (ISSUER, OTHER)
    ]
    return Engine(*rules, workers=1)


def receiver(engine: Engine, profile: str = "security_event", **settings: Any) -> SignalReceiver:
    """Return a receiver."""
    return SignalReceiver(
        signals(profile), engine, **{"replay": MemoryReplayStore(max_entries=100), **settings}
    )


def event_token(name: str, event: Any = None, *, by: FakeIssuer = ISSUER, **changes: Any) -> bytes:
    """Return a Security Event Token with one event."""
    now_s = int(time.time())
    claims = by.claims(now_s, sub=None, exp=None, jti=f"set-{time.perf_counter_ns()}", sub_id=SUBJECT)
    claims = {**claims, "events": {name: {} if event is None else event}, **changes}
    kept = {key: value for key, value in claims.items() if value is not None}
    return by.token(kept, header={"typ": "secevent+jwt"}).encode()


def logout_token(**changes: Any) -> str:
    """Return a logout token."""
    now_s = int(time.time())
    claims = ISSUER.claims(now_s, jti=f"logout-{time.perf_counter_ns()}", events={LOGOUT_EVENT: {}})
    kept = {key: value for key, value in {**claims, **changes}.items() if value is not None}
    return ISSUER.token(kept, header={"typ": "logout+jwt"})


def access(by: FakeIssuer = ISSUER, **changes: Any) -> str:
    """Return an access token that was issued a while ago."""
    return by.token(by.claims(int(time.time()) - 30, **{"sid": "s-1", **changes}))


def code(engine: Engine, token: str) -> str:
    """Return what a token comes to."""
    return engine.decide(token).code


SESSION = {"format": "complex", "session": {"format": "opaque", "id": "s-1"}, "user": SUBJECT}


@pytest.mark.parametrize(
    ("name", "changes", "again"),
    [
        (f"{CAEP}session-revoked", {}, "ok"),
        (f"{CAEP}session-revoked", {"sub_id": SESSION}, "ok"),
        (f"{CAEP}credential-change", {}, "ok"),
        (f"{RISC}sessions-revoked", {}, "ok"),
        (f"{RISC}credential-compromise", {}, "ok"),
        (f"{RISC}account-disabled", {}, "revoked"),
        (f"{RISC}account-purged", {}, "revoked"),
        (f"{RISC}account-disabled", {"sub_id": {"format": "opaque", "id": "user-1"}}, "revoked"),
        (f"{RISC}account-disabled", {"sub_id": None, "sub": "user-1"}, "revoked"),
        (f"{RISC}account-disabled", {"sub_id": SESSION}, "revoked"),
    ],
)
def test_each_event_revokes_what_it_names(name: str, changes: dict[str, Any], again: str) -> None:
    """Tokens of the subject or session are refused at once; of a later session only where the account is."""
    engine = engine_of()
    token, later = access(), access(iat=int(time.time()) + 20, sid="s-2")
    assert code(engine, token) == code(engine, later) == "ok"
    assert receiver(engine).push("POST", SETS, event_token(name, **changes)) == (202, b"")
    assert code(engine, token) == "revoked"
    assert code(engine, later) == again
    assert code(engine, access(sub="user-2", sid="s-3")) == "ok"
    assert code(engine, access(OTHER)) == "ok"


def test_an_account_is_enabled_again() -> None:
    """account-enabled lifts what account-disabled revoked; a replay of the latter does nothing."""
    engine = engine_of()
    one, disabled = receiver(engine), event_token(f"{RISC}account-disabled")
    assert one.push("POST", SETS, disabled)[0] == 202
    assert code(engine, access()) == "revoked"
    assert one.push("POST", SETS, event_token(f"{RISC}account-enabled"))[0] == 202
    assert code(engine, access()) == "ok"
    assert one.push("POST", SETS, disabled) == (202, b"")
    assert one.receive(disabled) is False
    assert code(engine, access()) == "ok"


def test_an_enabling_that_comes_late_or_twice_lifts_nothing() -> None:
    """What enabled an account before it was disabled, and one token that says both, leave it disabled."""
    engine, now_s = engine_of(), int(time.time())
    one = receiver(engine)
    assert one.push("POST", SETS, event_token(f"{RISC}account-disabled", iat=now_s - 10))[0] == 202
    assert one.push("POST", SETS, event_token(f"{RISC}account-enabled", toe=now_s - 20))[0] == 202
    assert code(engine, access()) == "revoked"
    both = {f"{RISC}account-enabled": {}, f"{RISC}account-disabled": {}}
    assert one.push("POST", SETS, event_token("x", events=both))[0] == 202
    assert code(engine, access()) == "revoked"
    assert one.push("POST", SETS, event_token(f"{RISC}account-enabled"))[0] == 202
    assert code(engine, access()) == "ok"


def test_a_signal_older_than_its_jti_is_remembered_is_refused() -> None:
    """After 30 days its jti is forgotten: sent again, it would lift what was revoked since."""
    engine, now_s = engine_of(), int(time.time())
    one = receiver(engine)
    assert one.push("POST", SETS, event_token(f"{RISC}account-disabled", iat=now_s - 29 * 86_400))[0] == 202
    old = event_token(f"{RISC}account-enabled", iat=now_s - 30 * 86_400)
    status, body = one.push("POST", SETS, old)
    assert (status, json.loads(body)["description"]) == (400, "too_old")
    assert code(engine, access()) == "revoked"


@pytest.mark.parametrize(
    "token",
    [
        event_token("https://example.com/unknown-event"),
        event_token(f"{CAEP}session-revoked", sub_id={"format": "email", "email": "a@b.example"}),
        event_token(f"{CAEP}session-revoked", sub_id={**SUBJECT, "iss": OTHER.iss}),
        event_token(f"{CAEP}session-revoked", by=OTHER),
        event_token(f"{CAEP}session-revoked", sub_id="user-1"),
        event_token(f"{CAEP}session-revoked", sub_id={**SUBJECT, "sub": ""}),
        event_token(f"{CAEP}session-revoked", sub_id={**SUBJECT, "sub": 7}),
        event_token(f"{CAEP}session-revoked", sub_id={**SUBJECT, "sub": "x" * 2000}),
    ],
    ids=lambda one: None,
)
def test_what_is_not_known_revokes_nothing(token: bytes) -> None:
    """Unknown events and subjects, and subjects of another issuer, are taken and do nothing."""
    engine = engine_of()
    assert receiver(engine).push("POST", SETS, token) == (202, b"")
    assert engine.revocations() == ()


def refused_tokens() -> dict[str, bytes]:
    """Return tokens that are no signals for this receiver."""
    name = f"{RISC}account-disabled"
    good = event_token(name)
    now_s = int(time.time())
    return {
        "forged": good[:-8] + b"AAAAAAAA",
        "audience": event_token(name, aud="https://elsewhere.example"),
        "issuer": event_token(name, iss="https://nobody.example"),
        "no jti": event_token(name, jti=None),
        "no events": event_token(name, events=None),
        "empty events": event_token(name, events={}),
        "a logout token": event_token(LOGOUT_EVENT),
        "an access token": ISSUER.token(ISSUER.claims(now_s, jti="x", events={name: {}})).encode(),
        "future": event_token(name, iat=now_s + 86_400),
        "no token": b"",
        "text": b"\xff\xfe",
    }


def test_what_is_no_signal_is_refused_and_revokes_nothing() -> None:
    """Forged, misaddressed, of another kind or malformed: 400 with an error of RFC 8935, and no effect."""
    engine = engine_of()
    one = receiver(engine)
    for name, token in refused_tokens().items():
        status, body = one.push("POST", SETS, token)
        assert status == 400, name
        assert json.loads(body)["err"] in (
            "invalid_request",
            "invalid_key",
            "invalid_issuer",
            "invalid_audience",
        )
    assert json.loads(one.push("POST", SETS, refused_tokens()["audience"])[1])["err"] == "invalid_audience"
    assert engine.revocations() == ()


def test_who_pushes_is_asked_for_the_secret() -> None:
    """Method, media type and bearer secret are checked before anything is verified."""
    engine, token = engine_of(), event_token(f"{RISC}account-disabled")
    one = receiver(engine, secret="s" * 32)
    assert one.push("GET", SETS, token)[0] == 405
    assert one.push("POST", SETS, token)[0] == 401
    assert one.push("POST", SETS, token, "Bearer wrong")[0] == 401
    assert one.push("POST", SETS, token, f"Basic {'s' * 32}")[0] == 401
    assert one.push("POST", "application/json", token, f"Bearer {'s' * 32}")[0] == 400
    assert engine.revocations() == ()
    assert one.push("POST", SETS, token, f"Bearer {'s' * 32}") == (202, b"")


def test_a_logout_ends_the_session_or_all_of_the_subject() -> None:
    """With sid only that session ends; without one all that the subject began before."""
    engine = engine_of()
    one = receiver(engine, "logout_token")

    def logout(token: str, kind: str = FORM) -> int:
        return one.logout("POST", kind, urlencode({"logout_token": token}).encode())[0]

    assert logout(logout_token(sid="s-1")) == 200
    assert code(engine, access()) == "revoked"
    assert code(engine, access(sid="s-2")) == "ok"
    assert logout(logout_token()) == 200
    assert code(engine, access(sid="s-2")) == "revoked"
    assert code(engine, access(sid="s-2", iat=int(time.time()) + 20)) == "ok"
    assert code(engine, access(sid="s-2", sub="user-2")) == "ok"
    before = engine.revocations()
    assert logout(logout_token(nonce="n")) == 400
    assert logout(logout_token(sub=None)) == 400
    assert logout(logout_token(events={})) == 400
    assert logout(access()) == 400
    assert logout(logout_token(), "application/json") == 400
    assert one.logout("POST", FORM, b"logout_token=a&logout_token=b")[0] == 400
    assert one.logout("GET", FORM, b"")[0] == 405
    assert engine.revocations() == before


class Down(MemoryReplayStore):
    """A replay store that cannot tell."""

    def record(self, entries: Any) -> list[bool | None]:
        """Return that nothing is known."""
        return [None for _ in entries]


def test_what_cannot_be_kept_is_sent_again(tmp_path: Path) -> None:
    """A store that is down gives 503; the same signal then revokes, and is no replay."""
    token = event_token(f"{RISC}account-disabled")
    assert receiver(engine_of(), replay=Down()).push("POST", SETS, token)[0] == 503
    store = RevocationFile(tmp_path / "revocations.json")
    engine = engine_of(revocations=store)
    one = receiver(engine)
    working = store.add

    def fails(_: Any) -> None:
        raise DependencyUnavailable("revocation_store_unavailable")

    store.add = fails  # type: ignore[method-assign]
    assert one.push("POST", SETS, token)[0] == 503
    store.add = working  # type: ignore[method-assign]
    assert one.push("POST", SETS, token) == (202, b"")
    assert [found.sub for found in store.load()] == ["user-1"]


def test_an_event_reaches_another_engine_by_the_store(tmp_path: Path) -> None:
    """Another process that shares the file refuses the subject's tokens within a few looks at it."""
    path = tmp_path / "revocations.json"
    here, there = (engine_of(revocations=RevocationFile(path, poll_s=0.05)) for _ in range(2))
    assert receiver(here).receive(event_token(f"{RISC}account-disabled"))
    end_s = time.monotonic() + 60
    while code(there, access()) == "ok" and time.monotonic() < end_s:
        time.sleep(0.02)
    assert code(there, access()) == "revoked"


def test_tokens_are_polled_acknowledged_and_refused() -> None:
    """What was taken is acknowledged with the next request, what was refused is named, and no more."""
    engine = engine_of()
    good, bad = event_token(f"{RISC}account-disabled", jti="a"), refused_tokens()["audience"]
    answers: list[tuple[int, Any]] = [
        (200, {"sets": {"a": good.decode(), "b": bad.decode(), "c": 7}, "moreAvailable": True}),
        (200, {"sets": {}}),
        (200, {}),
    ]
    sent: list[dict[str, Any]] = []

    def post(url: str, headers: Any, body: bytes) -> tuple[int, bytes]:
        assert (url, headers["authorization"]) == ("https://idp.example/poll", "Bearer t")
        sent.append(json.loads(body))
        status, answer = answers.pop(0)
        return status, json.dumps(answer).encode()

    poller = SETPoller("https://idp.example/poll", receiver(engine), authorization="Bearer t", post=post)
    assert poller.poll() is True
    assert code(engine, access()) == "revoked"
    assert poller.poll() is False
    assert sent[1]["ack"] == ["a"]
    assert set(sent[1]["setErrs"]) == {"b", "c"}
    poller.poll()
    assert "ack" not in sent[2]
    assert "setErrs" not in sent[2]


@pytest.mark.parametrize(
    "answer", [(500, b"{}"), (200, b"[]"), (200, b"x"), (200, b'{"sets": []}'), (204, b"")]
)
def test_an_answer_that_is_none_takes_nothing(answer: tuple[int, bytes]) -> None:
    """A transmitter that answers nonsense is an error, and nothing is lost."""
    poller = SETPoller("https://idp.example/poll", receiver(engine_of()), post=lambda *_: answer)
    with pytest.raises(FetchFailed):
        poller.poll()


def test_an_operators_slip_is_an_error_at_construction() -> None:
    """An engine of access tokens is no engine of signals; names must be those of its issuers."""
    engine = engine_of()
    for settings in (
        {"tokens": engine},
        {"tokens": engine_of()},
        {"secret": "short"},
        {"speaks_for": {"https://nobody.example": ISSUER.iss}},
        {"speaks_for": "x"},
    ):
        tokens = settings.pop("tokens", None) or signals()
        with pytest.raises(ConfigurationError):
            SignalReceiver(tokens, engine, replay=MemoryReplayStore(), **settings)  # type: ignore[arg-type]
    with pytest.raises(RapidJWSError):
        engine.revoke(sub="user-1")
    with pytest.raises(RapidJWSError):
        engine.revoke(sub="user-1", sid="s", issuer=ISSUER.iss)


def test_a_transmitter_speaks_for_those_that_are_named() -> None:
    """Another issuer's subjects are revoked only where the configuration lets it speak of them."""
    engine = engine_of()
    one = receiver(engine, speaks_for={OTHER.iss: ISSUER.iss})
    assert one.receive(event_token(f"{RISC}account-disabled", by=OTHER))
    assert code(engine, access()) == "revoked"
    engine = engine_of()
    assert receiver(engine, speaks_for={OTHER.iss: ISSUER.iss}).receive(
        event_token(f"{RISC}account-disabled")
    )
    assert engine.revocations() == ()
    with pytest.raises(TokenRefused):
        one.receive("a.b.c")

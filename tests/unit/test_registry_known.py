"""Known headers of a registry in the core: a hint whose engine to ask, which no text or thread misleads."""

from __future__ import annotations

import gc
import json
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from looked_up import AUD, NOW_S, A, B, World, code

from rapidjws import Issuer, IssuerRegistry, _native
from rapidjws.jwt.registry import IssuerRegistry as Registry
from rapidjws.signing import LocalSigner, sign_compact
from rapidjws.testing import make_key


@pytest.fixture(name="slow_calls")
def _slow_calls(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return the tokens that Python was asked about."""
    found: list[Any] = []
    before = Registry._verify

    def counted(self: Registry, token: Any, now: Any = None, *, wait_s: float = 0.0) -> Any:
        found.append(token)
        return before(self, token, now, wait_s=wait_s)

    monkeypatch.setattr(Registry, "_verify", counted)
    return found


@pytest.mark.parametrize("form", [str, str.encode])
def test_iss_of_somebody_else_before_the_issuers_own_misleads_nobody(
    form: Callable[[str], Any], slow_calls: list[Any]
) -> None:
    """Where issuers share a header, the one named within another member is not the token's issuer."""
    world = World()
    engine = IssuerRegistry(world.look_up)
    for _ in range(3):
        assert [code(engine, form(world.token(name))) for name in (A, B)] == ["ok", "ok"]
    slow_calls.clear()
    rest = {"aud": AUD, "exp": NOW_S + 60, "sub": "user-1"}
    for name, other in ((A, B), (B, A), (A, "https://c.example")):
        for before in (
            {"act": {"iss": other}},
            {"note": "iss", "x": "\n" * 300},
            {"n": '"iss":"' + other + '"'},
        ):
            claims = {**before, "iss": name, **rest}
            good = sign_compact(json.dumps(claims).encode(), LocalSigner(world.keys[name]))
            assert engine.verify(form(good), NOW_S).issuer == name
    assert slow_calls == []
    for name, other in ((A, B), (B, A)):
        for signer in (name, other):
            claims = {"act": {"iss": signer}, "iss": name, **rest}
            token = sign_compact(json.dumps(claims).encode(), LocalSigner(world.keys[signer]))
            assert code(engine, form(token)) == ("ok" if signer == name else "signature_invalid")


@pytest.mark.parametrize("kid", ["1", None])
def test_a_token_past_the_limit_is_too_large_for_a_registry_that_knows_its_header(kid: str | None) -> None:
    """Of a token past the limit nothing is read, and characters outside of ASCII find no issuer."""
    world = World(kid)
    engine = IssuerRegistry(world.look_up, max_token_bytes=2000)
    assert code(engine, type("Text", (str,), {})(world.token(A))) == "ok"
    for _ in range(3):
        assert [code(engine, world.token(name)) for name in (A, B)] == ["ok", "ok"]
    token = world.token(A)
    for other in (type("Text", (str,), {})(token), bytearray(token.encode()), memoryview(token.encode())):
        assert code(engine, other) == "ok"
    assert code(engine, token + "A" * 2000) == "too_large"
    assert code(engine, (token + "A" * 2000).encode()) == "too_large"
    assert code(engine, token[:-1] + "\N{DEGREE SIGN}") == "malformed_token"
    assert code(engine, token[:-1] + "\ud800") == "malformed_token"


def test_the_engines_of_issuers_that_left_are_let_go() -> None:
    """What is known of headers keeps no engine whose issuer made way for others or was forgotten."""
    keys = {f"https://{number}.example": make_key("ES256", kid=f"k{number}") for number in range(400)}

    def look_up(name: str) -> Issuer:
        return Issuer(name, keys=keys[name].public(), algorithms=["ES256"], audience=AUD)

    engine = IssuerRegistry(look_up, max_issuers=4)
    engines: list[weakref.ref[Any]] = []
    for name, key in keys.items():
        made = {"iss": name, "aud": AUD, "exp": NOW_S + 60}
        assert code(engine, sign_compact(json.dumps(made).encode(), LocalSigner(key))) == "ok"
        entry = engine._table.get(name)
        assert entry is not None
        assert entry.engine is not None
        engines.append(weakref.ref(entry.engine))
    engine._hints.clear()
    del entry
    gc.collect()
    assert sum(engine() is not None for engine in engines) < 200


def test_no_other_object_stands_for_known_headers() -> None:
    """The core takes what it knows of headers from a table of its own kind only, of engines only."""
    world = World()
    engine = IssuerRegistry(world.look_up)
    verified = engine.verify(world.token(A), NOW_S)
    for wrong in ({}, object(), engine, _native.NativeEngine()):
        with pytest.raises(TypeError):
            engine._set_known(wrong)  # type: ignore[arg-type]
    table = _native.known_headers(None, 10)
    for arguments in (
        (object(), engine, verified, False),
        (world.token(A), object(), verified, False),
        (world.token(A), engine, object(), False),
        (world.token(A), engine, verified),
    ):
        with pytest.raises(TypeError):
            table.put(*arguments)  # type: ignore[arg-type]
    for number in range(20):
        assert table.put(f"h{number}.p.s", engine, verified, False) is (number < 10)
    assert table.put("no header", engine, verified, False)
    assert len(table) == 10
    for count in (0, -1):
        with pytest.raises(ValueError, match="from 1"):
            _native.known_headers(None, count)


@pytest.mark.tsan
@pytest.mark.parametrize("kid", ["1", None])
def test_no_thread_meets_the_keys_of_another_issuer(kid: str | None) -> None:
    """Threads verify while issuers are forgotten, revoked and configured: no key signs for another issuer."""
    world = World(kid)
    engine = IssuerRegistry(world.look_up, max_issuers=2, lookup_timeout_s=60, unknown_per_minute=100_000)
    good = [world.token(name) for name in (A, B)] * 2
    bad = [world.token(A, B), world.token(B, A), world.token(A, "https://b.example", act={"iss": B})]
    ended, accepted, wrong = threading.Event(), [0], list[str]()

    def verify() -> None:
        while not ended.is_set():
            for token in good:
                accepted[0] += code(engine, token) == "ok"
            wrong.extend(token for token in bad if code(engine, token) == "ok")

    threads = [threading.Thread(target=verify) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(150):
        engine.forget((A, B, None)[number % 3])
        revoked = engine.revoke(issuer=A)
        wrong.extend(token for token in [good[0]] if code(engine, token) == "ok")
        assert engine.unrevoke(revoked)
        engine.replace_issuers(*([world.issuers[B]] if number % 5 == 0 else []))
    ended.set()
    for thread in threads:
        thread.join(60)
    assert (wrong, accepted[0] > 0) == ([], True)
    assert [code(engine, token) for token in good] == ["ok"] * 4


def test_a_look_up_that_ended_meanwhile_is_not_made_again() -> None:
    """Who found no entry, and asks for a look-up as another one has just ended, gets what that brought."""
    world = World()
    engine = IssuerRegistry(world.look_up)
    assert code(engine, world.token(A)) == "ok"
    entry = engine._table.get(A)
    pending = engine._lookups.request(A, is_known=True)
    assert not isinstance(pending, tuple)
    assert (pending.done(), pending.result(60)) == (True, entry)
    assert world.lookups == [A]

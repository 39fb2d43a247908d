"""The core's own types as Python meets them: misuse is an error, never a crash, and nothing is lost."""

from __future__ import annotations

import gc
import inspect
import threading
import weakref
from typing import Any

import pytest
import tokens
from tokens import NOW_S

import rapidjws
from rapidjws import _native
from rapidjws.jose.limits import NUMERIC_DATE_MAX_S
from rapidjws.verify.result import VerifiedCompact


def test_verify_says_what_it_takes() -> None:
    """Signature and words are there for whoever asks Python."""
    parameters = inspect.signature(rapidjws.Engine.verify).parameters
    assert [(one.name, one.default, one.kind.name) for one in parameters.values()][1:] == [
        ("token", inspect.Parameter.empty, "POSITIONAL_OR_KEYWORD"),
        ("now", None, "POSITIONAL_OR_KEYWORD"),
        ("wait_s", 0.0, "KEYWORD_ONLY"),
    ]
    assert "Raises:" in (rapidjws.Engine.verify.__doc__ or "")


def test_every_way_to_call() -> None:
    """Arguments may stand by place or by name; what does not fit is a TypeError."""
    engine, token = tokens.engine("HS256"), tokens.token("HS256")
    for verified in (
        engine.verify(token, NOW_S),
        engine.verify(token, now=NOW_S),
        engine.verify(token=token, now=NOW_S),
        engine.verify(now=NOW_S, token=token),
        engine.verify(token, now=NOW_S, wait_s=0.0),
        engine.verify(token, wait_s=0.1, now=NOW_S),
        engine.verify(token.encode(), float(NOW_S)),
        engine.verify(bytearray(token.encode()), NOW_S),
    ):
        assert verified.claims["iss"] == tokens.ISS
    for arguments, named in (
        ((), {}),
        ((), {"now": NOW_S}),
        ((token, NOW_S, 0.0), {}),
        ((token, NOW_S), {"now": NOW_S}),
        ((token,), {"nwo": NOW_S}),
        ((token,), {"token": token}),
    ):
        with pytest.raises(TypeError):
            engine.verify(*arguments, **named)  # type: ignore[arg-type, call-overload]


@pytest.mark.parametrize(
    "now", [float("nan"), float("inf"), -1, -0.001, NOW_S * 1000, 1e16, 10**30, True, "soon", b"1", [NOW_S]]
)
def test_a_time_that_is_none(now: Any) -> None:
    """A time outside of any calendar is the caller's mistake, not a verdict, and the message names it."""
    engine, token = tokens.engine("HS256"), tokens.token("HS256")
    for ask in (engine.verify, lambda one, at: engine.verify_many([one], at)):
        with pytest.raises(rapidjws.ConfigurationError) as refused:
            ask(token, now)
        assert (refused.value.code, refused.value.place) == ("configuration_invalid", "now")
    assert engine.decide(token, now=now).outcome != "permit"
    assert engine.decide_many([(token, None, None)], now=now)[0].outcome != "permit"


@pytest.mark.parametrize("call", ["verify_one", "verify_list", "verify_sent", "recheck"])
def test_the_core_takes_a_time_in_nanoseconds_only(call: str) -> None:
    """Beyond 64 bits a time is exact as well; what is no time is refused before anything else."""
    engine = tokens.engine("HS256")
    token = tokens.token("HS256", exp=NUMERIC_DATE_MAX_S, iat=None).encode()
    engine.verify(token, NOW_S)
    snapshot: Any = engine._snapshot
    calls = {
        "verify_one": lambda ns: snapshot.verify_one(token, ns),
        "verify_list": lambda ns: snapshot.verify_list([token], ns, True)[0],
        "verify_sent": lambda ns: snapshot.verify_sent(token, ns, b"", bytes(24), b"")[0],
        "recheck": lambda ns: snapshot.recheck(token, ns, 0),
    }
    end_ns = (NUMERIC_DATE_MAX_S + 60) * 10**9
    for ns, is_good in ((2**63 - 1, True), (2**63, True), (end_ns - 1, True), (end_ns, False)):
        assert (calls[call](ns).__class__ is VerifiedCompact) == is_good, ns
    for wrong, error in ((-1, ValueError), (-(2**64), ValueError), (1.5, TypeError), ("1", TypeError)):
        with pytest.raises(error):
            calls[call](wrong)


def test_what_is_not_bound_verifies_nothing() -> None:
    """A snapshot without tables refuses each call, and is bound once only."""
    empty = _native.NativeSnapshot()
    for call in (
        lambda: empty.verify_one("a.b.c", 1),
        lambda: empty.verify_list([], 1, True),
        lambda: empty.verify_sent(b"a.b.c", 1, b"a.b.c", bytes(24), b""),
        lambda: empty.recheck(b"a.b.c", 1, 0),
    ):
        with pytest.raises(RuntimeError):
            call()
    snapshot = tokens.engine("HS256")._snapshot
    with pytest.raises(RuntimeError):
        snapshot.attach(snapshot.native.address, type(snapshot), (), bytes, 0, True, None)
    with pytest.raises(RuntimeError):
        empty.attach(0, type(snapshot), (), bytes, 0, True, None)
    with pytest.raises(AttributeError):
        _native.NativeEngine().verify("a.b.c", 1)


def test_an_engine_is_collected() -> None:
    """An engine and its snapshot go when nobody holds them, also where they hold each other."""

    class Kept(rapidjws.Engine):
        """An engine that holds itself."""

    engine = Kept(
        rapidjws.Issuer(tokens.ISS, keys=[tokens.key("HS256")], algorithms=["HS256"], audience=tokens.AUD)
    )
    engine.itself = engine  # type: ignore[attr-defined]
    verified = engine.verify(tokens.token("HS256"), NOW_S)
    gone = weakref.ref(engine)
    del engine
    gc.collect()
    assert gone() is None
    assert verified.claims["iss"] == tokens.ISS


def test_swaps_while_threads_verify() -> None:
    """A snapshot swapped in the middle of calls is never freed under one of them."""
    engine = tokens.engine("HS256")
    token, stop = tokens.token("HS256"), threading.Event()
    wrong: list[object] = []

    def ask() -> None:
        while not stop.is_set():
            try:
                if engine.verify(token, NOW_S).claims["iss"] != tokens.ISS:
                    wrong.append("claims")
            except rapidjws.RapidJWSError as refused:
                wrong.append(refused)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(300):
        engine.replace_keys(tokens.ISS, [tokens.key("HS256")])
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []

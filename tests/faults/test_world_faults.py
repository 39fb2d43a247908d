"""F26 to F33: odd numbers, clocks that step, addresses, descriptors, and who must not suffer from whom."""

from __future__ import annotations

import asyncio
import gc
import math
import os
import time
from typing import Any

import pytest
from issuers import needs_proc, now_s, setup, wait_for

from rapidjws import ConfigurationError, Engine, JWKSet
from rapidjws import Issuer as Rules
from rapidjws.errors import RapidJWSError
from rapidjws.keys import Answer, FetchFailed, Freshness, RemoteJWKS, Transport, UnknownKids
from rapidjws.keys.addresses import is_public
from rapidjws.keys.headers import etag_of, retry_after_s, stated_life_s
from rapidjws.testing import FakeClock, FakeIssuer, Fault, FaultyIssuerServer

RETRIES: dict[str, Any] = {"retry_min_s": 0.05, "retry_max_s": 0.1}


def _body(keys: JWKSet) -> bytes:
    import json

    return json.dumps(keys.as_dict()).encode()


@pytest.mark.parametrize(
    ("control", "life_s"),
    [
        ("max-age=0", 60),
        ("max-age=1" + "0" * 18, 300),
        ("max-age=" + "9" * 399, 300),
        ("max-age=-5", 60),
        ("max-age=NaN", 300),
        ("no-store", 60),
        ("no-cache, max-age=900", 60),
        ("public, max-age=120", 120),
        ("s-maxage=70", 300),
        ('max-age="200"', 200),
        ("", 300),
    ],
)
def test_F26_lives_are_clamped(control: str, life_s: float) -> None:
    """No header makes a set live shorter or longer than the limits."""
    assert Freshness().clamp(stated_life_s({"cache-control": control})) == life_s


def test_F26_age_etag_and_retry_after_are_read_strictly() -> None:
    """Age shortens a life; what cannot be read counts as nothing."""
    assert stated_life_s({"cache-control": "max-age=300", "age": "100"}) == 200
    assert stated_life_s({"cache-control": "max-age=300", "age": "9" * 300}) == 0
    assert stated_life_s({"cache-control": "max-age=300", "age": "-1e9"}) == 300
    assert etag_of({"etag": '"a"'}) == '"a"'
    assert etag_of({"etag": "a" * 600}) is None
    assert retry_after_s("120", 0) == 120
    assert retry_after_s("Thu, 01 Jan 1970 00:01:00 GMT", 0) == 60
    assert retry_after_s("Thu, 01 Jan 1970 00:01:00 GMT", 1e6) == 0
    assert retry_after_s("soon", 0) is None
    assert retry_after_s("9" * 300, 0) == 1e9


@pytest.mark.parametrize("value", [math.nan, math.inf, -1, 0, "60", True, None])
@pytest.mark.parametrize(
    ("made", "name"),
    [(Freshness, name) for name in ("default_ttl_s", "max_ttl_s", "stale_limit_s", "retry_max_s")]
    + [(UnknownKids, "cooldown_s"), (Transport, "timeout_s")],
)
def test_F26_settings_are_finite(made: Any, name: str, value: Any) -> None:
    """A setting that is not a finite number above zero is refused when it is configured."""
    with pytest.raises(ConfigurationError):
        made(**{name: value})


class ScriptedFetch:
    """A fetch of what the test says, counted."""

    def __init__(self, issuer: FakeIssuer) -> None:
        self.issuer = issuer
        self.count = 0

    def __call__(self, url: str, etag: str | None) -> Answer:
        """Answer with the issuer's keys."""
        self.count += 1
        return Answer(status=200, headers={}, body=_body(self.issuer.jwks))


@pytest.mark.parametrize("step_s", [-86_400.0, 86_400.0])
def test_F27_F28_a_wall_clock_that_steps_changes_no_age(step_s: float) -> None:
    """Ages are monotonic: a step of the wall clock causes neither a fetch nor a stale set; it is reported."""
    events: list[Any] = []
    clock, fetch = FakeClock(), ScriptedFetch(FakeIssuer("https://a.example", "ES256"))
    source = RemoteJWKS("https://a.example/", clock=clock, fetch=fetch, events=events.append)
    source.start()
    wait_for(lambda: source.ready and not source._fetch_in_progress)
    before = source.status()
    clock.step(step_s)
    source.poll()
    source.clock_stepped(step_s)
    assert source.status() == before
    assert fetch.count == 1
    assert [event.value for event in events if event.name == "clock_stepped"] == [step_s]
    clock.advance(241)
    source.poll()
    wait_for(lambda: fetch.count == 2)


def test_F28_tokens_expire_rightly_after_a_step_forward() -> None:
    """Token times follow the wall clock that is given."""
    with setup() as at:
        at.ready()
        token = at.token()
        assert at.engine.verify(token, now=now_s() + 100)
        with pytest.raises(RapidJWSError, match="expired"):
            at.engine.verify(token, now=now_s() + 86_400)


def test_F29_a_clock_at_1970(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock earlier than this release refuses time checks in every way in: indeterminate."""
    from rapidjws.jose import limits, numeric_date

    with setup() as at:  # this machine's clock is right: a release a thousand years from now makes it early
        assert at.ready().engine.verify(at.token())
        for module in (numeric_date, limits):
            monkeypatch.setattr(module, "CLOCK_FLOOR_S", now_s() + 31_556_952_000)
        at.issuer.rotate()
        assert at.source.refresh()
        token = at.token()
        assert at.engine.verify(token, now=now_s())
        for call in (
            lambda: at.engine.verify(token),
            lambda: at.engine.verify(token, now=None),
            lambda: at.engine.verify(token, wait_s=0.1),
            lambda: at.engine.verify_many([token]),
            lambda: asyncio.run(at.engine.averify(token)),
        ):
            with pytest.raises(RapidJWSError) as refused:
                call()
            assert (refused.value.code, refused.value.outcome) == ("clock_implausible", "indeterminate")


@pytest.mark.parametrize("exp", [2**63, 1e308, -1, "1", 1.5, True, None, [], 2**53 + 1])
def test_F30_odd_expirations(exp: Any) -> None:
    """An exp out of range, of another type, or past is refused."""
    with setup() as at:
        at.ready()
        claims = {**at.issuer.claims(now_s()), "exp": exp}
        assert at.code(at.issuer.token(claims)) in ("malformed_claim", "expired", "missing_claim")


def test_F31_proxy_variables_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy is taken from the environment."""
    for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with setup() as at:
        assert at.ready().code(at.token()) == "ok"


def test_F31_private_addresses_by_option(monkeypatch: pytest.MonkeyPatch) -> None:
    """One private address among a name's addresses stops the fetch before anything is connected."""
    import socket

    connected: list[Any] = []

    def resolve(_: Any, port: Any, *__: Any, **___: Any) -> Any:
        return [(0, 0, 0, "", (one, port)) for one in ("93.184.216.34", "169.254.169.254")]

    def connect(address: Any, *_: Any, **__: Any) -> Any:
        connected.append(address[1])  # the port: a source of another test may still retry on its own
        raise OSError("no network in this test")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket, "create_connection", connect)
    with setup(trust={"refuse_private_addresses": True}, fresh=RETRIES) as at:
        at.fails_with("private_address")
        assert at.issuer.requests == []
        assert not [port for port in connected if f":{port}/" in at.issuer.url]


def test_F31_the_address_that_was_checked_is_the_one_connected(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name is resolved once a fetch: what it says afterwards does not matter."""
    import socket

    asked: list[Any] = []
    real = socket.getaddrinfo

    def resolve(host: Any, port: Any, *rest: Any, **named: Any) -> Any:
        asked.append((host, port))  # the port tells this source from one of another test that still retries
        return real(host, port, *rest, **named)

    with setup() as at:
        at.ready()
        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        assert at.source.refresh()
        assert [host for host, port in asked if f":{port}/" in at.issuer.url].count("localhost") == 1


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "::1", "fe80::1%eth0",
     "fc00::1", "::ffff:10.0.0.1", "0.0.0.0", "224.0.0.1", "100.64.0.1"],
)  # fmt: skip
def test_F31_what_is_private(address: str) -> None:
    """Loopback, private, link-local, shared, multicast and mapped addresses are not public."""
    assert not is_public(address)
    assert is_public("93.184.216.34")
    assert is_public("2606:2800:220:1::1")


@needs_proc
def test_F32_no_file_descriptors_and_broken_pipes() -> None:
    """Without descriptors, or with the connection cut, the fetch fails cleanly and verification goes on."""
    import resource

    with setup(fresh=RETRIES) as at:
        at.ready()
        token = at.token()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
            at.source.invalidate()
            wait_for(lambda: at.reported("fetch_failed"))
            assert at.code(token) == "ok"
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        wait_for(lambda: at.source.status().failures == 0)
        at.events.clear()
        at.issuer.always(Fault(abort=True))
        at.source.invalidate()
        at.fails_with("protocol")
        assert at.code(token) == "ok"


@needs_proc
def test_F32_descriptors_do_not_grow() -> None:
    """Good and bad fetches leave no descriptor open."""
    with setup(fresh=RETRIES) as at:
        at.ready()
        gc.collect()
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(10):
            at.issuer.script(Fault(abort=True), Fault(status=500), None)
            at.source._invalidated_at = None
            at.source.refresh()
            wait_for(lambda: at.source.status().failures == 0)
        gc.collect()
        wait_for(lambda: len(os.listdir("/proc/self/fd")) <= before + 4)


def test_F33_one_issuer_down_while_another_works() -> None:
    """An issuer that hangs delays neither the fetches nor the verdicts of another."""
    with FaultyIssuerServer("https://a.example") as down, setup() as at:
        down.always(Fault(silent=True))
        hanging = RemoteJWKS(down.url, transport=Transport(ca=down.ca_pem, timeout_s=30))
        at.ready()
        rules = [
            Rules(down.iss, keys=hanging, algorithms=["ES256"], audience=down.audience, required=False),
            Rules(at.issuer.iss, keys=at.source, algorithms=["ES256"], audience=at.issuer.audience),
        ]
        engine = Engine(*rules)
        assert engine.ready
        wait_for(lambda: down.requests)
        at.issuer.rotate()
        started = time.monotonic()
        assert at.source.refresh()
        assert engine.verify(at.token()).issuer == at.issuer.iss
        assert time.monotonic() - started < 20
        with pytest.raises(RapidJWSError) as refused:
            engine.verify(down.token(down.claims(now_s())))
        assert refused.value.code == "keys_unavailable"


def test_F23_a_fetch_that_raises_anything() -> None:
    """A transport of the caller's own may raise what it likes: it is a failed fetch."""

    def broken(url: str, etag: str | None) -> Answer:
        raise RecursionError

    source = RemoteJWKS("https://a.example/", fetch=broken)
    source.start()
    wait_for(lambda: source.status().last_failure == "internal")
    assert isinstance(FetchFailed("status", 500), Exception)

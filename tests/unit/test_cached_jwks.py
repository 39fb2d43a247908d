"""Keys for code that starts cold: kept and shipped sets, what is fetched when, and what an outage leaves."""

from __future__ import annotations

import json
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from processes import run_python

import rapidjws
from rapidjws.keys import CachedJWKSVerifier, RemoteJWKS, Transport, last_good
from rapidjws.middleware import verify_webhook
from rapidjws.signing import LocalSigner, sign_compact
from rapidjws.testing import Fault, FaultyIssuerServer, make_key
from rapidjws.testing.clock import FakeClock

PAID = b'{"event": "paid"}'


class World:
    """A sender with a JWK Set behind TLS, a place for its set, and a clock."""

    def __init__(self, sender: FaultyIssuerServer, folder: Path) -> None:
        self.sender = sender
        self.kept = folder / "sender.json"
        self.clock = FakeClock()

    def start(self, **settings: Any) -> CachedJWKSVerifier:
        """Return the verifier of a process that starts now."""
        named: dict[str, Any] = {"cache_file": self.kept, "algorithms": ["ES256"], "clock": self.clock}
        transport = Transport(ca=self.sender.ca_pem, timeout_s=20)
        return CachedJWKSVerifier(self.sender.url, **{"transport": transport, **named, **settings})

    def signature(self) -> str:
        """Return a detached signature of the sender's present key."""
        return sign_compact(PAID, self.sender.signers["ES256"], detached=True)

    def code(self, verifier: CachedJWKSVerifier, signature: str | None = None) -> str:
        """Return the code of a webhook."""
        headers = {"X-JWS-Signature": self.signature() if signature is None else signature}
        return verify_webhook(verifier, body=PAID, headers=headers).code

    @property
    def fetches(self) -> int:
        """Return how often the set was asked for."""
        return len(self.sender.requests)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Serve a sender's set."""
    with FaultyIssuerServer("https://sender.example", "ES256") as sender:
        yield World(sender, tmp_path)


def test_first_start_fetches_and_later_ones_do_not(world: World) -> None:
    """The set is fetched once, kept for its owner alone, and the next start reads it without the network."""
    assert world.code(world.start()) == "ok"
    assert world.fetches == 1
    assert stat.S_IMODE(world.kept.stat().st_mode) & 0o077 == 0
    world.sender.server.down()
    assert world.code(world.start()) == "ok"
    assert world.code(world.start(), "a..b") != "ok"


def test_a_function_waits_for_keys_before_traffic(world: World) -> None:
    """Within the bound the keys are fetched, once; a kept set needs no fetch; without any it says so."""
    world.sender.server.down()
    verifier = world.start()
    assert not verifier.ready
    assert not verifier.wait_ready(0)
    assert not verifier.wait_ready(0.15)
    assert verifier.last_failure is not None
    up = threading.Timer(0.2, world.sender.server.up)
    up.start()
    assert verifier.wait_ready(60)
    up.join()
    assert verifier.ready
    assert world.fetches == 1
    assert world.code(verifier) == "ok"
    world.sender.server.down()
    assert world.start().wait_ready(0)
    world.clock.advance(200_000)
    assert not verifier.ready
    with pytest.raises(rapidjws.ConfigurationError, match="timeout_s"):
        verifier.wait_ready(-1)


def test_kept_set_is_the_one_of_a_server_that_stays_up(world: World) -> None:
    """A set that RemoteJWKS kept serves a cold start."""
    source = RemoteJWKS(world.sender.url, last_good=world.kept, transport=Transport(ca=world.sender.ca_pem))
    assert source.refresh(wait_s=60)
    world.sender.server.down()
    assert world.code(world.start()) == "ok"


def test_shipped_set_serves_the_first_start_and_is_never_written(world: World, tmp_path: Path) -> None:
    """A set that came with the code is enough for a verdict; the newer of the two sets counts."""
    shipped = tmp_path / "shipped.json"
    assert world.start(cache_file=shipped).refresh()
    before = shipped.read_bytes()
    world.clock.advance(10)
    verifier = world.start(shipped=shipped)
    assert world.code(verifier) == "ok"
    assert world.fetches == 1
    world.sender.rotate(keep=0)
    assert verifier.refresh()
    assert shipped.read_bytes() == before
    world.sender.server.down()
    assert world.code(world.start(shipped=shipped)) == "ok"  # by the kept one


def test_old_set_is_fetched_again_before_it_is_used(world: World) -> None:
    """Past its age a set is renewed within the call, and a key that was taken away is refused."""
    old = world.signature()
    verifier = world.start(max_age_s=600)
    assert world.code(verifier, old) == "ok"
    world.sender.rotate(keep=0)
    world.clock.advance(599)
    assert (world.code(verifier, old), world.fetches) == ("ok", 1)
    world.clock.advance(1)
    assert (world.code(verifier, old), world.fetches) == ("unknown_kid", 2)
    assert world.code(verifier) == "ok"


def test_outage_is_bridged_up_to_the_limit(world: World) -> None:
    """While the sender cannot be asked the old set serves, up to its limit; then nothing is known."""
    verifier = world.start(max_age_s=600, stale_limit_s=1200)
    assert world.code(verifier) == "ok"
    world.sender.server.down()
    world.clock.advance(700)
    assert world.code(verifier) == "ok"
    assert verifier.last_failure == "connect"
    world.clock.advance(501)
    decision = verify_webhook(verifier, body=PAID, headers={"X-JWS-Signature": world.signature()})
    assert (decision.outcome, decision.code) == ("indeterminate", "keys_stale")
    assert world.code(world.start(max_age_s=600, stale_limit_s=1200)) == "keys_unavailable"
    world.sender.server.up()
    world.clock.advance(60)
    assert world.code(verifier) == "ok"


def test_unknown_kids_fetch_once_in_a_while(world: World) -> None:
    """A new key is seen at once; made-up kids cost one fetch in the retry time, however many there are."""
    verifier = world.start(retry_s=30)
    assert world.code(verifier) == "ok"
    world.clock.advance(30)
    world.sender.rotate()
    assert (world.code(verifier), world.fetches) == ("ok", 2)
    elsewhere = make_key("ES256", kid="made-up")
    bad = sign_compact(PAID, LocalSigner(elsewhere), detached=True)
    for _ in range(5):
        assert world.code(verifier, bad) == "unknown_kid"
    assert world.fetches == 2
    world.clock.advance(30)
    for _ in range(5):
        assert world.code(verifier, bad) == "unknown_kid"
    assert world.fetches == 3


@pytest.mark.parametrize(
    "fault", [Fault(status=500), Fault(body=b"{}"), Fault(body=b'{"keys": []}'), Fault(abort=True)]
)
def test_bad_answers_never_replace_a_good_set(world: World, fault: Fault) -> None:
    """An answer that is no set, or none with a usable key, leaves the old one in use and on disk."""
    verifier = world.start(max_age_s=600)
    assert world.code(verifier) == "ok"
    before = world.kept.read_bytes()
    world.sender.always(fault)
    world.clock.advance(600)
    assert world.code(verifier) == "ok"
    assert verifier.last_failure is not None
    assert world.kept.read_bytes() == before


def test_kept_file_that_is_not_ours_is_not_used(world: World) -> None:
    """A file of another URL, one that was changed, and one that others may write are fetched anew."""
    assert world.start().refresh()
    whole = world.kept.read_bytes()
    kept = last_good.LastGood(json.dumps({"keys": world.sender.published}).encode(), None, world.clock.time())
    last_good.write(world.kept, "https://other.example/jwks.json", kept)
    assert (world.code(world.start()), world.fetches) == ("ok", 2)
    world.kept.write_bytes(whole.replace(b"ES256", b"ES255"))
    assert (world.code(world.start()), world.fetches) == ("ok", 3)
    os.chmod(world.kept, 0o666)
    assert (world.code(world.start()), world.fetches) == ("ok", 4)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")
def test_kept_file_of_another_user_is_not_used(world: World, tmp_path: Path) -> None:
    """A file that somebody else put in a shared place is fetched anew; a shipped one may be anyone's."""
    assert world.start().refresh()
    os.chown(world.kept, 12345, 12345)
    assert (world.code(world.start()), world.fetches) == ("ok", 2)
    os.chown(world.kept, 12345, 12345)
    other = tmp_path / "other.json"
    assert (world.code(world.start(cache_file=other, shipped=world.kept)), world.fetches) == ("ok", 2)


def test_place_that_cannot_be_written_is_no_obstacle(world: World, tmp_path: Path) -> None:
    """Without a place for the set each start fetches, and verifies."""
    nowhere = world.start(cache_file=tmp_path / "absent" / "sender.json")
    assert world.code(nowhere) == "ok"
    assert nowhere.last_failure == "not_written"


def test_clock_that_went_back_makes_a_set_old(world: World) -> None:
    """A set from the future is fetched again, not trusted for ever."""
    verifier = world.start()
    assert world.code(verifier) == "ok"
    world.clock.step(-7200)
    world.clock.advance(40)
    assert (world.code(verifier), world.fetches) == ("ok", 2)


@pytest.mark.parametrize("wrong", [
    {"max_age_s": 0}, {"stale_limit_s": 10}, {"retry_s": float("nan")}, {"algorithms": []}, {"crit": ["alg"]},
])  # fmt: skip
def test_wrong_settings_are_reported_at_once(world: World, wrong: dict[str, Any]) -> None:
    """A setting that makes no sense is refused when the verifier is made, not at the first webhook."""
    with pytest.raises(rapidjws.ConfigurationError):
        world.start(**wrong)
    with pytest.raises(rapidjws.ConfigurationError):
        CachedJWKSVerifier("http://sender.example/jwks.json", cache_file=world.kept, algorithms=["ES256"])


def test_verdict_from_a_kept_set_loads_nothing_for_the_network(world: World) -> None:
    """From import to verdict neither TLS nor an event loop nor another middleware is loaded."""
    assert world.start(clock=None).refresh()
    loaded = run_python(
        f"""
        import sys
        from rapidjws.middleware import verify_webhook
        from rapidjws.keys import CachedJWKSVerifier
        verifier = CachedJWKSVerifier({world.sender.url!r}, cache_file={str(world.kept)!r},
            algorithms=["ES256"])
        headers = {{"X-JWS-Signature": {world.signature()!r}}}
        decision = verify_webhook(verifier, body={PAID!r}, headers=headers)
        assert decision.code == "ok", decision
        print(*sorted(sys.modules))
        """,
        bare=True,
    ).split()
    heavy = {"asyncio", "cryptography", "email", "http", "httpcore2", "socket", "ssl"}
    assert heavy & set(loaded) == set()
    middlewares = {name for name in loaded if name.startswith("rapidjws.middleware.")}
    assert middlewares == {"rapidjws.middleware.webhook"}

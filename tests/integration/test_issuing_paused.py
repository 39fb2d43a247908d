"""Two issuers with one Redis, of which the leader stands still for longer than its lease, or dies."""

from __future__ import annotations

import base64
import json
import signal
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode

import pytest
from issue_process import IssueServer
from redis_server import OwnRedis
from typer.testing import CliRunner

from rapidjws import Verifier
from rapidjws.cli.app import app
from rapidjws.issuing import RedisStateStore
from rapidjws.jose.jwks import JWKSet

pytest.importorskip("httptools", reason="httptools absent: pip install 'rapidjws[server]'")

TIMES = """\
jwks_max_age_s = 1
token_lifetime_s = 60
clock_skew_s = 0.25
state_max_age_s = 0.1
publish_slack_s = 0.6
publish_before_s = 1.6
"""
SECRET = "paused-client-secret-0123456789abcdef"


class Pair:
    """Two issuers that share a Redis and a folder of keys."""

    def __init__(self, folder: Path, redis: OwnRedis) -> None:
        self.redis = redis
        (folder / "keys").mkdir()
        secret = folder / "client.secret"
        secret.touch(mode=0o600)
        secret.write_text(SECRET)
        self.configs = [folder / f"issuer{number}.toml" for number in range(2)]
        for one in self.configs:
            one.write_text(
                f'[issuing]\nissuer = "https://issuer.example"\nredis = "{redis.url}"\nkey_folder = "keys"\n'
                f'lease_s = 1\n{TIMES}[publication]\nlisten = "127.0.0.1:0"\ntick_s = 0.05\n'
                "[token]\nlifetime_s = 30\ninsecure_allow_basic = true\n"
                '[[clients]]\nclient_id = "a"\nauthentication = "client_secret_basic"\n'
                'secret_file = "client.secret"\naudiences = ["b"]\n'
            )
        self.store = RedisStateStore(redis.url, timeout_s=10)
        self.servers: list[IssueServer] = []
        self.addresses: list[str] = []

    def start(self) -> None:
        """Start both, the first of which leads, and wait until a key signs and one is next."""
        for number, one in enumerate(self.configs):
            self.servers.append(IssueServer(one))
            self.addresses.append(self.servers[number].address())
            until(lambda: self.state().keys)
        until(lambda: len(self.state().keys) == 2)

    def state(self) -> Any:
        """Return the state as Redis has it."""
        return self.store.read()

    def active(self) -> str:
        """Return the kid of the key that signs."""
        return str(self.state().in_stage("active")[0].kid)

    def token(self, at: int) -> str | None:
        """Return a token of an issuer, or None where it gives none."""
        body = urlencode({"grant_type": "client_credentials"}).encode()
        request = urllib.request.Request(f"http://{self.addresses[at]}/token", body)
        basic = base64.b64encode(f"a:{SECRET}".encode()).decode()
        request.add_header("Authorization", f"Basic {basic}")
        try:
            with urllib.request.urlopen(request, timeout=60) as answered:
                return str(json.load(answered)["access_token"])
        except HTTPError as refused:
            with refused:
                return None

    def keys(self, at: int) -> JWKSet:
        """Return what an issuer publishes."""
        with urllib.request.urlopen(
            f"http://{self.addresses[at]}/.well-known/jwks.json", timeout=60
        ) as found:
            return JWKSet.from_json(found.read())

    def leads(self, holder: str) -> bool:
        """Return whether somebody else than a holder leads now."""
        lease = self.state().lease
        return lease is not None and lease.holder != holder

    def promote(self) -> None:
        """Have the next key sign, once it may."""
        words = ["issue", "promote", "--config", str(self.configs[1])]
        until(lambda: CliRunner().invoke(app, words).exit_code == 0)

    def end(self) -> None:
        """End both."""
        for one in self.servers:
            one.process.send_signal(signal.SIGCONT)
            one.end()


def until(condition: Callable[[], Any]) -> None:
    """Wait for a condition."""
    end_s = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.05)


def kid_of(token: str) -> str:
    """Return the kid of a token."""
    head = token.partition(".")[0]
    return str(json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"])


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """Give two issuers, the first of which leads."""
    redis = OwnRedis(tmp_path)
    made = Pair(tmp_path, redis)
    try:
        made.start()
        yield made
    finally:
        made.end()
        redis.stop()


def test_a_leader_that_stood_still_signs_and_publishes_nothing_old(pair: Pair) -> None:
    """What it is asked while it stands still is answered by the keys that are good when it goes on."""
    before, old = pair.state(), pair.active()
    first = pair.servers[0].process
    first.send_signal(signal.SIGSTOP)
    answers: dict[str, Any] = {}
    asking = [
        threading.Thread(target=lambda: answers.setdefault("token", pair.token(0))),
        threading.Thread(target=lambda: answers.setdefault("keys", pair.keys(0))),
    ]
    for one in asking:
        one.start()
    until(lambda: pair.leads(before.lease.holder))
    pair.promote()
    until(lambda: len(pair.state().in_stage("next")) == 1)
    assert pair.token(1) is not None
    now, then = pair.active(), pair.state()
    assert now != old
    first.send_signal(signal.SIGCONT)
    for one in asking:
        one.join(60)
    assert {one.kid for one in then.published()} == {one.kid for one in answers["keys"].keys}
    assert answers["token"] is None or kid_of(answers["token"]) == now
    token = pair.token(0)
    assert token is not None
    assert kid_of(token) == now
    Verifier(list(pair.keys(0).keys), algorithms=["ES256"]).verify(token)
    time.sleep(0.5)  # several looks at what is due by both
    after = pair.state()
    assert [one.kid for one in after.keys] == [one.kid for one in then.keys]
    assert after.lease.term == then.lease.term == before.lease.term + 1
    assert after.revision >= then.revision


def test_a_leader_that_is_killed_is_followed(pair: Pair) -> None:
    """Once its lease has ended another one leads, signs by the same key and rotates; the first comes back."""
    before, old = pair.state(), pair.active()
    pair.servers[0].process.kill()
    pair.servers[0].end()
    token = pair.token(1)
    assert token is not None
    assert kid_of(token) == old
    until(lambda: pair.leads(before.lease.holder))
    pair.promote()
    until(lambda: kid_of(pair.token(1) or token) == pair.active() != old)
    pair.servers[0] = IssueServer(pair.configs[0])
    pair.addresses[0] = pair.servers[0].address()
    found = pair.token(0)
    assert found is not None
    assert kid_of(found) == pair.active()
    assert old in {one.kid for one in pair.keys(0).keys}
    assert pair.state().lease.term == before.lease.term + 1

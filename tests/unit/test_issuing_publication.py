"""What an issuer publishes, and how consumers are told: documents, caching, a server, the hook."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from issuing_world import START_S, TIMING, CountingMaker, life_cycle

from rapidjws import JWKSet, RapidJWSError, Verifier
from rapidjws.issuing import (
    Announcer,
    Consumer,
    IssuingState,
    KeyLifeCycle,
    MemoryStateStore,
    Publication,
    PublicationApp,
    Schedule,
)
from rapidjws.keys import RotatedHook
from rapidjws.keys.fetch import FetchFailed
from rapidjws.middleware import verify_webhook
from rapidjws.signing import LocalSigner
from rapidjws.testing import FakeClock
from rapidjws.verify.protocols import KeyState

ISS = "https://issuer.example"
SECRET = "s" * 32
JWKS = "/.well-known/jwks.json"


def rotated(**settings: Any) -> tuple[FakeClock, KeyLifeCycle]:
    """Return an issuer with a retired, an active and a next key."""
    clock = FakeClock(START_S)
    issuer = life_cycle(clock, **settings)
    for _ in range(2):
        issuer.tick()
        clock.advance(TIMING.before_s)
    issuer.promote()
    issuer.tick()
    return clock, issuer


def max_age_of(publication: Publication) -> int:
    """Return the max-age that is sent now."""
    control = publication.handle("GET", JWKS).headers["cache-control"]
    return int(control.partition("max-age=")[2].partition(",")[0])


def test_the_set_is_made_of_the_state_at_each_request() -> None:
    """Each request shows the stages of its moment; retired keys say until when, tainted ones are listed."""
    clock, issuer = rotated()
    publication = Publication(issuer, ISS)
    keys = publication.jwks()["keys"]
    assert [(one["kid"], "exp" in one) for one in keys] == [
        ("es256-1", False), ("es256-2", False), ("es256-0", True)
    ]  # fmt: skip
    assert keys[2]["exp"] == int(clock.time() + TIMING.after_s)
    assert all(one["use"] == "sig" and one["alg"] == "ES256" and "d" not in one for one in keys)
    assert len(JWKSet.from_json(publication.handle("GET", JWKS).body).keys) == 3
    issuer.taint("es256-0", "leaked")
    after = publication.jwks()
    assert [one["kid"] for one in after["keys"]] == ["es256-1", "es256-2"]
    assert after["revoked"] == [{"kid": "es256-0", "revoked_at": int(clock.time())}]
    assert "leaked" not in json.dumps(after)


def test_caches_may_keep_the_set_for_less_and_less_ahead_of_a_change() -> None:
    """max-age is the configured one far from a change, ends at the change, and is never below a second."""
    clock, issuer = rotated(schedule=Schedule("every 1 hour"))
    publication = Publication(issuer, ISS)
    assert max_age_of(publication) == 300
    clock.advance(3500)
    assert max_age_of(publication) == 100
    clock.advance(99.5)
    assert max_age_of(publication) == 1


def test_an_etag_changes_with_the_keys_alone() -> None:
    """A cache that has the set gets 304 without a body; after a change it gets the new one."""
    clock, issuer = rotated()
    publication = Publication(issuer, ISS)
    etag = publication.handle("GET", JWKS).headers["etag"]
    clock.advance(1)
    for given in (etag, f'"x", W/{etag}', "*"):
        answered = publication.handle("GET", JWKS, [("if-none-match", given)])
        assert (answered.status, answered.body) == (304, b"")
        assert "max-age" in answered.headers["cache-control"]
    assert publication.handle("GET", JWKS, [("if-none-match", '"x"')]).status == 200
    issuer.taint("es256-0", "x")
    assert publication.handle("GET", JWKS, [("if-none-match", etag)]).status == 200


def test_the_metadata_stands_where_the_standards_say() -> None:
    """OpenID Connect puts it behind the issuer's path, RFC 8414 before it; other paths are refused."""
    _, issuer = rotated()
    publication = Publication(issuer, f"{ISS}/tenant", metadata={"token_endpoint": f"{ISS}/token"})
    for path in (
        "/tenant/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server/tenant",
    ):
        found = json.loads(publication.handle("GET", path).body)
        assert found["issuer"] == f"{ISS}/tenant"
        assert found["jwks_uri"] == f"{ISS}/tenant{JWKS}"
        assert found["token_endpoint"] == f"{ISS}/token"
    assert publication.handle("GET", f"/tenant{JWKS}").status == 200
    assert publication.handle("GET", JWKS).status == 404
    assert publication.handle("POST", f"/tenant{JWKS}").status == 405
    assert set(publication.documents()) == {
        f"/tenant{JWKS}", "/tenant/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server/tenant",
    }  # fmt: skip
    for wrong in ("http://a.example", "https://", "https://a.example?x"):
        with pytest.raises(RapidJWSError):
            Publication(issuer, wrong)


def test_the_set_is_published_whatever_the_clock_says() -> None:
    """An issuer whose clock is off, or whose store tells no time, publishes the set for its longest time."""

    class Dated(MemoryStateStore):
        """A store whose clock is another day's."""

        is_off = False

        def time_s(self) -> float | None:
            """Return its time."""
            return 1.0 if self.is_off else None

    store = Dated()
    _, issuer = rotated(store=store, schedule=Schedule("every 400 seconds"))
    publication = Publication(issuer, ISS)
    known = publication.handle("GET", JWKS)
    store.is_off = True
    answered = publication.handle("GET", JWKS)
    assert (answered.status, answered.body) == (200, known.body)
    assert answered.headers["cache-control"] == "public, max-age=300, must-revalidate"


def test_no_set_is_published_that_may_be_too_old() -> None:
    """While the store fails the last set is served while it is fresh enough, then 503 with Retry-After."""

    class Failing(MemoryStateStore):
        """A store that can be switched off."""

        fails = False

        def read(self) -> IssuingState:
            """Return the state, or fail."""
            if self.fails:
                raise RapidJWSError("key_state_unavailable")
            return super().read()

    store = Failing()
    clock, issuer = rotated(store=store)
    publication = Publication(issuer, ISS)
    publication.handle("GET", JWKS)
    store.fails = True
    clock.advance(TIMING.state_max_age_s)
    assert publication.handle("GET", JWKS).status == 200
    clock.advance(0.01)
    answered = publication.handle("GET", JWKS)
    assert (answered.status, answered.headers["retry-after"]) == (503, "1")
    assert answered.headers["cache-control"] == "no-store"


def test_an_asgi_server_gets_the_same_answers() -> None:
    """The ASGI application answers GET and HEAD, and its lifespan."""
    _, issuer = rotated()
    publication = Publication(issuer, ISS)
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": ("lifespan.startup", "lifespan.shutdown")[len(sent) > 0]}

    async def run() -> None:
        app = PublicationApp(publication)
        await app({"type": "lifespan"}, receive, send)
        for method in ("GET", "HEAD"):
            scope = {"type": "http", "method": method, "path": JWKS, "headers": []}
            await app(scope, receive, send)

    asyncio.run(run())
    assert [one["type"] for one in sent[:2]] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert [one["status"] for one in sent[2::2]] == [200, 200]
    assert sent[3]["body"] == publication.handle("GET", JWKS).body
    assert sent[5]["body"] == b""


class Source:
    """A consumer's source of keys, which has what it fetched last."""

    def __init__(self, publication: Publication) -> None:
        self._publication = publication
        self.keys: JWKSet | None = None

    def invalidate(self) -> None:
        """Fetch."""
        self.keys = JWKSet.from_json(self._publication.handle("GET", JWKS).body)

    def state(self) -> KeyState:
        """Return what it has."""
        return KeyState(keys=self.keys)

    def subscribe(self, changed: Any) -> None:
        """Do nothing."""

    def unknown_kid(self, kid: str) -> None:
        """Do nothing."""

    def next_answer(self) -> Any:
        """Return nothing."""


def test_consumers_are_told_and_confirm_what_they_have() -> None:
    """The hook fetches, then says that it has the key and the withdrawn one no more; who fails is named."""
    _, issuer = rotated()
    publication = Publication(issuer, ISS)
    source = Source(publication)
    hook = RotatedHook({ISS: source}, secret=SECRET)
    statuses: list[int] = []
    seen: list[tuple[dict[str, str], bytes]] = []

    def post(url: str, headers: Any, body: bytes) -> tuple[int, bytes]:
        if "down" in url:
            raise FetchFailed("connect")
        status, answer = hook.handle("POST", headers["authorization"], body)
        statuses.append(status)
        seen.append((dict(headers), body))
        return status, answer

    consumers = [Consumer(name=name, url=f"https://{name}.example/h", secret=secret)
                 for name, secret in (("up", SECRET), ("down", SECRET), ("wrong", "w" * 32))]  # fmt: skip
    ticks = iter(range(1000))
    announcer = Announcer(ISS, consumers, post, monotonic=lambda: float(next(ticks)), sleep=lambda _: None)
    signing = issuer.signing_key()
    maker = CountingMaker()
    maker.make("ES256")
    maker.make("ES256")
    signer: LocalSigner = maker.signer(signing)
    answered = announcer.announce("es256-2", signer=signer, wait_s=20)
    assert set(answered.confirmed) == {"up"}
    assert answered.missing == {"down": "connect", "wrong": "401"}
    assert (statuses[0], 200 in statuses) == (202, True)
    headers, body = seen[0]
    verifier = Verifier(signing.public(), algorithms=["ES256"])
    shown = {"x-jws-signature": headers["X-JWS-Signature"]}
    assert verify_webhook(verifier, body=body, headers=shown).outcome == "permit"
    assert verify_webhook(verifier, body=body + b" ", headers=shown).outcome == "deny"
    assert SECRET not in repr(consumers)
    issuer.taint("es256-0", "x")
    fresh = Announcer(ISS, consumers[:1], post, monotonic=lambda: float(next(ticks)), sleep=lambda _: None)
    assert fresh.announce("es256-2", withdrawn="es256-0").missing == {"up": "202"}
    assert fresh.announce("es256-2", withdrawn="es256-0").missing == {}


def test_the_hook_tells_of_keys_beside_their_issuer_only() -> None:
    """Without an issuer, or with values that are no texts, nothing is told of keys."""
    _, issuer = rotated()
    source = Source(Publication(issuer, ISS))
    source.invalidate()
    hook = RotatedHook({ISS: source}, secret=SECRET)
    bearer = f"Bearer {SECRET}"
    assert hook.handle("POST", bearer, b'{"kid":"es256-1"}')[0] == 202
    assert hook.handle("POST", bearer, b'{"issuer":"%s","kid":1}' % ISS.encode())[0] == 400
    assert hook.handle("POST", bearer, b'{"issuer":"%s","kid":"es256-1"}' % ISS.encode())[0] == 200
    assert hook.handle("POST", bearer, b'{"issuer":"%s","kid":"es256-9"}' % ISS.encode())[0] == 202
    assert hook.handle("POST", None, b'{"issuer":"%s","kid":"es256-1"}' % ISS.encode())[0] == 401


CONFIG = """\
[issuing]
issuer = "https://issuer.example"
state_file = "keys.json"
key_folder = "keys"
[publication]
listen = "127.0.0.1:0"
tick_s = 0.05
"""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """Give the address of `rapidjws issue serve`, which makes its first key."""
    pytest.importorskip("httptools", reason="httptools absent: pip install 'rapidjws[server]'")
    (tmp_path / "keys").mkdir()
    (tmp_path / "issuing.toml").write_text(CONFIG)
    command = [
        sys.executable,
        "-c",
        "from rapidjws.cli import main; main()",
        "issue",
        "serve",
        "--config",
        str(tmp_path / "issuing.toml"),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ)
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(2)]
    yield next(line.split()[-1] for line in lines if line.startswith("listening"))
    process.terminate()
    assert process.wait(60) == 0
    process.stdout.close()


def test_the_server_publishes_and_leads(served: str) -> None:
    """A real client gets the set with its key, 304 for its ETag, 404 elsewhere; SIGTERM ends it well."""
    url = f"http://{served}{JWKS}"
    with urlopen(url, timeout=60) as answered:
        assert len(json.load(answered)["keys"]) == 1
        etag = answered.headers["etag"]
    with pytest.raises(HTTPError) as unchanged:
        urlopen(Request(url, headers={"if-none-match": etag}), timeout=60)
    assert unchanged.value.code == 304
    unchanged.value.close()
    with pytest.raises(HTTPError) as absent:
        urlopen(f"http://{served}/else", timeout=60)
    assert absent.value.code == 404
    absent.value.close()

"""A change of one issuer's keys leaves the known headers of the others, and nothing that the change ended."""

from __future__ import annotations

import json
import threading
from concurrent.futures import Future
from typing import Any

import pytest

from rapidjws import Engine, Issuer, RapidJWSError
from rapidjws.jose.jwks import JWKSet
from rapidjws.signing import LocalSigner, sign_compact
from rapidjws.testing import make_key
from rapidjws.verify.pipeline import Snapshot
from rapidjws.verify.protocols import KeyState

NOW_S = 1_800_000_000
AUD = "https://api.example"
A, B, C = (f"https://{name}.example" for name in "abc")


class Source:
    """A key source whose keys a test sets; None for an outage."""

    name = "test"

    def __init__(self, *keys: Any) -> None:
        self._listeners: list[Any] = []
        self._state = KeyState(keys=JWKSet([key.public() for key in keys]))

    def state(self) -> KeyState:
        """Return the keys."""
        return self._state

    def subscribe(self, listener: Any) -> None:
        """Call a listener after each change."""
        self._listeners.append(listener)

    def unknown_kid(self, kid: str) -> None:
        """Fetch nothing."""

    def next_answer(self) -> Future[None]:
        """Return what never ends: there is no refresh."""
        return Future()

    def give(self, *keys: Any) -> None:
        """Have these keys from now on; without any there are none to be used."""
        self._state = KeyState(keys=JWKSet([key.public() for key in keys]) if keys else None)
        for listener in self._listeners:
            listener()


def issuer(name: str, source: Any, **settings: Any) -> Issuer:
    """Return an issuer."""
    return Issuer(name, keys=source, algorithms=["ES256"], **{"audience": AUD, **settings})


def token(iss: str, key: Any, **header: Any) -> str:
    """Return a token."""
    claims = {"iss": iss, "aud": AUD, "exp": NOW_S + 60}
    return sign_compact(json.dumps(claims).encode(), LocalSigner(key), header=header or None)


def code(engine: Engine, text: str) -> str:
    """Return "ok", or the code of the refusal."""
    try:
        engine.verify(text, NOW_S)
    except RapidJWSError as refused:
        return refused.code
    return "ok"


@pytest.fixture(name="new_headers")
def _new_headers(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Return the tokens whose header was met as for the first time."""
    found: list[bytes] = []
    before = Snapshot._verify_new_header

    def counted(self: Snapshot, octets: bytes, *others: Any) -> Any:
        found.append(octets)
        return before(self, octets, *others)

    monkeypatch.setattr(Snapshot, "_verify_new_header", counted)
    return found


class World:
    """Three issuers whose keys come from sources.

    Args:
        kid: The kid of every key, or None for one each.
    """

    def __init__(self, kid: str | None) -> None:
        self.keys = {name: make_key("ES256", kid=kid or f"of-{name[8]}") for name in (A, B, C)}
        self.sources = {name: Source(key) for name, key in self.keys.items()}
        self.engine = Engine(*(issuer(name, source) for name, source in self.sources.items()))
        for _ in range(2):
            self.verify()

    def verify(self, *names: str) -> None:
        """Verify a token of each issuer."""
        for name in names or (A, B, C):
            assert code(self.engine, token(name, self.keys[name])) == "ok"


@pytest.mark.parametrize("kid", ["1", None])
def test_the_headers_of_the_others_stay_known(kid: str | None, new_headers: list[bytes]) -> None:
    """One issuer's keys change: its own header is new once, those of the others are not."""
    world = World(kid)
    new_headers.clear()
    old = world.keys[B]
    world.keys[B] = make_key("ES256", kid=kid or "other")
    world.sources[B].give(world.keys[B])
    world.verify(A, C)
    assert new_headers == []
    world.verify()
    assert len(new_headers) == 1
    assert code(world.engine, token(B, old)) == ("unknown_kid" if kid is None else "signature_invalid")
    for name in (A, B, C):
        for other in {A, B, C} - {name}:
            assert code(world.engine, token(name, world.keys[other])) != "ok"


def test_a_kid_that_a_second_issuer_has_now_is_decided_by_iss(new_headers: list[bytes]) -> None:
    """A header that was one issuer's alone is forgotten where another one's keys have its kid."""
    world = World(None)
    world.keys[B] = make_key("ES256", kid="of-a")
    world.sources[B].give(world.keys[B])
    new_headers.clear()
    world.verify(C)
    assert new_headers == []
    for _ in range(2):
        world.verify()
    assert code(world.engine, token(A, world.keys[B])) == "signature_invalid"
    assert code(world.engine, token(B, world.keys[A])) == "signature_invalid"
    world.keys[B] = make_key("ES256", kid="of-b")
    world.sources[B].give(world.keys[B])
    new_headers.clear()
    world.verify(A, C)
    assert new_headers == []
    world.verify()


@pytest.mark.parametrize("kid", ["1", None])
def test_a_key_that_left_leaves_no_header(kid: str | None) -> None:
    """A key that is gone, and one that came in its place, are what the next call knows."""
    world = World(kid)
    first, second = world.keys[A], make_key("ES256", kid="second")
    world.sources[A].give(first, second)
    for key in (first, second):
        assert code(world.engine, token(A, key)) == "ok"
    world.sources[A].give(second)
    assert code(world.engine, token(A, first)) == "unknown_kid"
    assert code(world.engine, token(A, second)) == "ok"
    world.verify(B, C)


@pytest.mark.parametrize("kid", ["1", None])
def test_a_revocation_holds_at_once_and_through_later_changes(
    kid: str | None, new_headers: list[bytes]
) -> None:
    """A revoked key's header is forgotten; a change elsewhere, before or after its end, changes nothing."""
    world = World(kid)
    revoked = world.engine.revoke(issuer=A, kid=world.keys[A].kid)
    assert code(world.engine, token(A, world.keys[A])) == "revoked"
    world.verify(B, C)
    world.keys[B] = make_key("ES256", kid="rotated")
    world.sources[B].give(world.keys[B])
    assert code(world.engine, token(A, world.keys[A])) == "revoked"
    new_headers.clear()
    world.verify(C)
    assert new_headers == []
    world.verify(B)
    assert world.engine.unrevoke(revoked)
    world.verify()


@pytest.mark.parametrize("is_shared", [False, True])
def test_a_name_that_is_revoked_is_refused_where_a_key_without_kid_answered(is_shared: bool) -> None:
    """A revoked kid that a key without one answered for is refused, known header or not."""
    nameless, other = make_key("ES256"), make_key("ES256", kid=None if is_shared else "b")
    engine = Engine(issuer(A, nameless.public()), issuer(B, other.public()))
    text = token(A, nameless, kid="stated")
    assert [code(engine, text) for _ in range(2)] == ["ok", "ok"]
    engine.revoke(issuer=A, kid="stated")
    assert code(engine, text) == "revoked"
    engine.replace_keys(B, make_key("ES256", kid="stated").public())
    assert code(engine, text) == "revoked"


def test_an_outage_of_another_issuer_stays_an_outage() -> None:
    """Where an issuer has no keys, its tokens are undecided, also under a header that is another one's."""
    world = World(None)
    world.sources[B].give()
    assert code(world.engine, token(B, world.keys[A])) == "keys_unavailable"
    assert code(world.engine, token(B, world.keys[B])) == "keys_unavailable"
    world.verify(A, C)
    world.sources[B].give(world.keys[B])
    world.verify()


def test_other_rules_know_no_header_of_before(new_headers: list[bytes]) -> None:
    """Where an issuer's rules change, every header is looked at again."""
    world = World(None)
    world.engine.replace_issuers(
        *(
            issuer(name, source, **({"typ": "JOSE"} if name == A else {}))
            for name, source in world.sources.items()
        )
    )
    assert code(world.engine, token(A, world.keys[A])) == "typ_mismatch"
    new_headers.clear()
    world.verify(B, C)
    assert len(new_headers) == 2


@pytest.mark.tsan
@pytest.mark.parametrize("kid", ["1", None])
def test_changes_under_traffic_bring_no_key_to_another_issuer(kid: str | None) -> None:
    """Threads verify while one issuer's keys change: the others' tokens verify, forged ones never."""
    world = World(kid)
    other = make_key("ES256", kid=kid or "of-a")
    good = [token(name, world.keys[name]) for name in (A, C)]
    bad = [token(A, world.keys[C]), token(C, world.keys[A]), token(A, other), token(C, other)]
    ended, faults = threading.Event(), list[str]()

    def verify() -> None:
        while not ended.is_set():
            faults.extend(text for text in good if code(world.engine, text) != "ok")
            faults.extend(text for text in bad if code(world.engine, text) == "ok")

    threads = [threading.Thread(target=verify) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(200):
        world.sources[B].give(*((other,), (world.keys[B],), ())[number % 3])
    ended.set()
    for thread in threads:
        thread.join(60)
    assert faults == []

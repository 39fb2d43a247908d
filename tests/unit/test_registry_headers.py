"""What the core knows of a registry's headers: whose engine it asks without Python, and when it must not."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from looked_up import AUD, NOW_S, A, B, World, code

from rapidjws import Issuer, IssuerRegistry, RapidJWSError, VerifiedJWS
from rapidjws.jwt.registry import IssuerRegistry as Registry
from rapidjws.jwt.registry_entries import Entry, close_all
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


@pytest.mark.parametrize("kid", ["1", None])
@pytest.mark.parametrize("form", [str, str.encode])
def test_known_issuers_are_asked_without_python(
    kid: str | None, form: Callable[[str], Any], slow_calls: list[Any]
) -> None:
    """Once tokens verified, others with their header need no Python, whether issuers share it or not."""
    world = World(kid)
    engine = IssuerRegistry(world.look_up)
    for _ in range(3):
        for name in (A, B):
            assert engine.verify(form(world.token(name)), NOW_S).issuer == name
    slow_calls.clear()
    for number in range(5):
        for name in (A, B):
            token = form(world.token(name, sub=f"user-{number}"))
            assert engine.verify(token, NOW_S).claims["sub"] == f"user-{number}"
    assert slow_calls == []
    assert world.lookups == [A, B]


@pytest.mark.parametrize("kid", ["1", None])
def test_a_known_header_verifies_for_no_other_issuer(kid: str | None) -> None:
    """A key of one issuer signs for no other, whatever headers are known and however iss is spelled."""
    world = World(kid)
    engine = IssuerRegistry(world.look_up)
    for _ in range(3):
        assert [code(engine, world.token(name)) for name in (A, B)] == ["ok", "ok"]
        assert code(engine, world.token(A, B)) != "ok"
        assert code(engine, world.token(B, A)) != "ok"
        assert code(engine, world.token("https://c.example", A)) == "unknown_issuer"
        assert code(engine, world.token(A, exp=NOW_S - 600)) == "expired"
        assert code(engine, world.token(A, aud="other")) == "audience_mismatch"
        assert code(engine, world.token(A, iss=None)) == "unknown_issuer"
        assert code(engine, world.token(A)[:-4] + "AAAA") == "signature_invalid"
    escaped = json.dumps({"iss": B, "aud": AUD, "exp": NOW_S + 60}).replace("//b", "//\\u0062")
    signed = sign_compact(escaped.encode(), LocalSigner(world.keys[B]))
    assert engine.verify(signed, NOW_S).issuer == B
    assert code(engine, sign_compact(escaped.encode(), LocalSigner(world.keys[A]))) != "ok"


@pytest.mark.parametrize("kid", ["1", None])
def test_a_revocation_holds_from_the_next_call_on(kid: str | None) -> None:
    """While anything is revoked the core asks Python; lifted, it asks the issuers again."""
    world = World(kid)
    engine = IssuerRegistry(world.look_up)
    for _ in range(3):
        assert [code(engine, world.token(name)) for name in (A, B)] == ["ok", "ok"]
    revoked = engine.revoke(issuer=A)
    assert [code(engine, world.token(name)) for name in (A, B)] == ["revoked", "ok"]
    of_token = engine.revoke(issuer=B, jti="j")
    assert code(engine, world.token(B, jti="j")) == "revoked"
    assert engine.unrevoke(revoked)
    assert engine.unrevoke(of_token)
    for _ in range(3):
        assert [code(engine, world.token(name, jti="j")) for name in (A, B)] == ["ok", "ok"]
    assert engine._headers


@pytest.mark.parametrize("kid", ["1", None])
def test_an_issuer_that_is_forgotten_or_due_is_looked_up(kid: str | None) -> None:
    """What the core knows ends with the issuer's entry, and at the time when it is due."""
    world = World(kid)
    engine = IssuerRegistry(world.look_up)
    for _ in range(3):
        assert [code(engine, world.token(name)) for name in (A, B)] == ["ok", "ok"]
    del world.issuers[A]
    engine.forget(A)
    assert [code(engine, world.token(name)) for name in (A, B)] == ["unknown_issuer", "ok"]
    entry = engine._table.get(B)
    assert entry is not None
    entry.be_due_in(0.0)
    before = len(world.lookups)
    assert code(engine, world.token(B)) == "ok"
    engine.wait_ready(5)
    assert world.lookups[before:] in ([B], [])  # the look-up runs beside the traffic


def test_an_issuer_that_the_core_asks_is_in_use() -> None:
    """An issuer whose tokens need no Python keeps its place: others leave the memory before it."""
    world = World(None)
    engine = IssuerRegistry(world.look_up)
    for _ in range(3):
        assert code(engine, world.token(A)) == "ok"
    entry = engine._table.get(A)
    assert entry is not None
    entry.is_used = False
    assert code(engine, world.token(A)) == "ok"
    assert entry.is_used


def test_what_the_core_knows_of_a_shared_header_is_bounded() -> None:
    """Issuers that came and went leave nothing behind a header for good."""
    key = make_key("ES256", kid="1")

    def look_up(name: str) -> Issuer:
        return Issuer(name, keys=key.public(), algorithms=["ES256"], audience=AUD)

    engine = IssuerRegistry(look_up, max_issuers=4)
    for number in range(200):
        made = {"iss": f"https://{number}.example", "aud": AUD, "exp": NOW_S + 60}
        token = sign_compact(json.dumps(made).encode(), LocalSigner(key))
        assert code(engine, token) == "ok"
        assert engine._headers is not None
        assert len(engine._headers) <= engine._table.most_headers + 1
    assert engine.registry_status().evicted > 0


def _svid(world: World, **claims: Any) -> str:
    """Return a token of the trust domain ``td``, whose key is that of A."""
    made = {"aud": AUD, "exp": NOW_S + 60, "sub": "spiffe://td/x", **claims}
    return sign_compact(json.dumps(made).encode(), LocalSigner(world.keys[A]))


@pytest.mark.parametrize("kid", ["1", None])
@pytest.mark.parametrize("form", [str, str.encode])
def test_a_trust_domain_signs_for_no_iss_of_another(kid: str | None, form: Callable[[str], Any]) -> None:
    """The key of a trust domain, whose engine compares no iss, accepts no other, known header or not."""
    world = World(kid)
    world.issuers[A] = Issuer.spiffe("td", keys=world.keys[A].public(), audience=AUD)
    world.issuers["spiffe://td"] = world.issuers.pop(A)
    engine = IssuerRegistry(world.look_up)
    for _ in range(3):
        assert engine.verify(form(_svid(world)), NOW_S).issuer == "spiffe://td"
        assert asyncio.run(engine.averify(form(_svid(world)), NOW_S)).issuer == "spiffe://td"
        assert code(engine, _svid(world, iss="spiffe://td")) == "ok"
        for iss, expected in (
            (B, {"signature_invalid", "unknown_kid"}),
            ("https://c.example", {"unknown_issuer"}),
        ):
            stated = form(_svid(world, iss=iss))
            assert code(engine, stated) in expected
            assert engine.decide(stated, now=NOW_S).code in expected
            with pytest.raises(RapidJWSError) as refused:
                asyncio.run(engine.averify(stated, NOW_S))
            assert refused.value.code in expected
        assert code(engine, world.token(B)) == "ok"


def test_a_name_that_becomes_a_trust_domain_loses_its_known_headers() -> None:
    """An issuer that compared iss, and is looked up again as one that does not, leads no header any more."""
    world = World()
    name = "spiffe://td"
    world.issuers[name] = Issuer(name, keys=world.keys[A].public(), algorithms=["ES256"], audience=AUD)
    engine = IssuerRegistry(world.look_up)
    before = None
    for _ in range(3):
        assert code(engine, _svid(world, iss=name)) == "ok"
        before = engine._table.get(name)
    world.issuers[name] = Issuer.spiffe("td", keys=world.keys[A].public(), audience=AUD)
    made = engine._made(name, world.issuers[name])
    assert made is not before
    engine.forget(name)
    for _ in range(3):
        assert code(engine, _svid(world)) == "ok"
        assert code(engine, _svid(world, iss="https://c.example")) == "unknown_issuer"


def test_a_look_up_that_ends_after_its_issuer_was_configured_verifies_nothing() -> None:
    """What is configured wins also over a look-up that was under way, for its tokens and for later ones."""
    world, other = World(), World()
    begun, ends = threading.Event(), threading.Event()

    def look_up(name: str) -> Issuer | None:
        begun.set()
        assert ends.wait(60)
        return world.look_up(name)

    engine = IssuerRegistry(look_up, lookup_timeout_s=60)
    found: list[str] = []
    waiting = threading.Thread(target=lambda: found.append(code(engine, world.token(A))))
    waiting.start()
    assert begun.wait(60)
    engine.replace_issuers(other.issuers[A])
    ends.set()
    waiting.join(60)
    assert found == ["signature_invalid"]
    for _ in range(3):
        assert code(engine, world.token(A)) == "signature_invalid"
        assert code(engine, other.token(A)) == "ok"
    assert engine.registry_status().issuers == 0


def test_an_entry_that_closes_while_it_is_renewed_is_asked_no_more() -> None:
    """A look-up that ends as its issuer is forgotten lets the core ask the engine no longer."""
    world = World()
    engine = IssuerRegistry(world.look_up)
    assert [code(engine, world.token(A)) for _ in range(3)] == ["ok"] * 3
    entry = engine._table.get(A)
    assert entry is not None
    times: list[float] = []

    class Closing:
        """An engine whose entry closes between two steps of the renewal."""

        def _set_due(self, seconds: float) -> None:
            times.append(seconds)
            if len(times) == 1:
                entry.engine = None

    entry.engine = Closing()  # type: ignore[assignment]
    entry.be_due_in(60.0)
    assert times == [60.0, 0.0]


def test_headers_stay_unknown_where_something_is_revoked_meanwhile() -> None:
    """Renewing what is known of headers beside a revocation leaves nothing for the core to ask."""
    engine = IssuerRegistry(World().look_up)

    class Listed:
        """A list that is empty when it is first asked."""

        asked = 0

        @property
        def listed(self) -> tuple[int, ...]:
            self.asked += 1
            return () if self.asked == 1 else (1,)

    engine._revocations = Listed()  # type: ignore[assignment]
    engine._renew_headers()
    assert engine._headers is None


class Unconfigured(IssuerRegistry):
    """A registry whose configured issuers go between the choice of who verifies and the verification."""

    __slots__ = ()

    def _awaited(self, octets: bytes, end_s: float) -> Any:
        found = super()._awaited(octets, end_s)
        self.replace_issuers()
        return found

    def _grouped(self, tokens: Any) -> Any:
        found = super()._grouped(tokens)
        self.replace_issuers()
        return found


@pytest.mark.parametrize("kid", ["1", None])
def test_an_issuer_that_goes_after_it_was_chosen_is_unknown(kid: str | None) -> None:
    """Where no configured issuer is left meanwhile, a token is refused with its code."""
    world = World(kid)
    for refused in (
        lambda engine: code(engine, world.token(A)),
        lambda engine: engine.verify_many([world.token(A)], NOW_S)[0].code,
        lambda engine: engine.decide(world.token(A), now=NOW_S).code,
    ):
        assert refused(Unconfigured(world.look_up, world.issuers[A])) == "unknown_issuer"


class Leaving(IssuerRegistry):
    """A registry whose issuers make way for others between their choice for a batch and the next step.

    Args:
        forgets: Whether they are forgotten, in place of making way.
    """

    __slots__ = ("forgets",)

    def _entry_or_pending(self, octets: bytes) -> Any:
        return self._after(super()._entry_or_pending(octets))

    def _awaited(self, octets: bytes, end_s: float) -> Any:
        found = super()._awaited(octets, end_s)
        self._after(found and found[0])
        return found

    def _after(self, found: Any) -> Any:
        if isinstance(found, Entry) and self.forgets:
            self.forget()
        elif isinstance(found, Entry):
            close_all([found])
        return found


@pytest.mark.parametrize("is_known", [False, True])
def test_an_issuer_that_makes_way_within_a_batch_still_verifies_its_tokens(is_known: bool) -> None:
    """Its engine was chosen: making way for others refuses no token, and being forgotten is an outage."""
    world = World()
    engine = Leaving(world.look_up)
    for forgets, expected in ((False, {"ok"}), (True, {"ok", "keys_unavailable"})):
        engine.forgets = True
        engine.forget()
        if is_known:
            IssuerRegistry.verify(engine, world.token(A), NOW_S)
        engine.forgets = forgets
        (found,) = engine.verify_many([world.token(A)], NOW_S)
        assert ("ok" if isinstance(found, VerifiedJWS) else found.code) in expected

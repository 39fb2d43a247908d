"""A SPIFFE trust domain beside other issuers: neither's keys verify tokens of the other's name."""

from __future__ import annotations

import itertools
import json
from concurrent.futures import Future
from typing import Any

import pytest

from rapidjws import Engine, Issuer, RapidJWSError, Rejected
from rapidjws.jose.jwks import JWKSet
from rapidjws.signing import LocalSigner, sign_compact
from rapidjws.testing import make_key
from rapidjws.verify.protocols import KeyState

NOW_S = 1_800_000_000
AUD = "api"
OTHER = "https://other.example"
TENANTS = "https://login.example/{tid}/v2.0"
WORKLOAD = "spiffe://td/web"


class ListedKeys:
    """A key source that notes which kids were not there."""

    def __init__(self, key: Any) -> None:
        self._state = KeyState(keys=JWKSet([key.public()]))
        self.unknown: list[str] = []

    def state(self) -> KeyState:
        """Return the keys."""
        return self._state

    def subscribe(self, changed: Any) -> None:
        """Change nothing."""

    def unknown_kid(self, kid: str) -> None:
        """Note a kid that is not there."""
        self.unknown.append(kid)

    def next_answer(self) -> Future[None]:
        """Return what never ends: there is no refresh."""
        return Future()


def token(key: Any, **claims: Any) -> str:
    """Return a token."""
    made = {"aud": AUD, "exp": NOW_S + 60, **claims}
    return sign_compact(json.dumps(made).encode(), LocalSigner(key))


def code(engine: Engine, text: str) -> str:
    """Return the issuer of a token, or the code of the refusal; the same alone, in a batch and decided."""
    try:
        found = str(engine.verify(text, NOW_S).issuer)
    except RapidJWSError as refused:
        found = refused.code
    (one,) = engine.verify_many([text], NOW_S)
    assert found == (one.code if isinstance(one, Rejected) else one.issuer)
    assert engine.decide(text, now=NOW_S).code == ("ok" if "://" in found else found)
    return found


@pytest.mark.parametrize("kids", [("a", "b", "c"), ("1", "1", "1")])
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_no_key_verifies_a_token_of_another_name(kids: tuple[str, ...], order: tuple[int, ...]) -> None:
    """An iss that another issuer owns, by its name or a template, passes under that issuer's keys alone."""
    td, other, tenants = (make_key("ES256", kid=kid) for kid in kids)
    issuers = (
        Issuer.spiffe("td", keys=td.public(), audience=AUD),
        Issuer(OTHER, keys=other.public(), algorithms=["ES256"], audience=AUD),
        Issuer(TENANTS, keys=tenants.public(), algorithms=["ES256"], audience=AUD, tenants=["t1"]),
    )
    engine = Engine(*(issuers[at] for at in order))
    tenant = TENANTS.replace("{tid}", "t1")
    for _ in range(3):
        assert code(engine, token(td, sub=WORKLOAD)) == "spiffe://td"
        assert code(engine, token(td, sub=WORKLOAD, iss="spiffe://td")) == "spiffe://td"
        assert code(engine, token(other, sub=WORKLOAD, iss=OTHER)) == OTHER
        assert code(engine, token(tenants, sub=WORKLOAD, iss=tenant, tid="t1")).startswith(
            "https://login.example/"
        )
        for key, claims in (
            (td, {"iss": OTHER}),
            (td, {"iss": tenant, "tid": "t1"}),
            (other, {}),
            (other, {"iss": "spiffe://td"}),
            (tenants, {"iss": OTHER}),
            (tenants, {}),
        ):
            assert "://" not in code(engine, token(key, sub=WORKLOAD, **claims))


@pytest.mark.parametrize("kids", [("a", "b"), ("1", "1"), (None, None)])
@pytest.mark.parametrize("is_revoking", [False, True])
def test_what_a_server_puts_into_iss_is_nobodys_name(kids: tuple[str | None, ...], is_revoking: bool) -> None:
    """An iss that no issuer owns, as SPIRE may write it, refuses no workload; a foreign domain does.

    With kids that issuers share, without any, and where revoked keys have iss decide before kids.
    """
    td, other = (make_key("ES256", kid=kid) for kid in kids)
    engine = Engine(
        Issuer.spiffe("td", keys=td.public(), audience=AUD),
        Issuer.spiffe("td2", keys=other.public(), audience=AUD),
        Issuer(OTHER, keys=other.public(), algorithms=["ES256"], audience=AUD),
    )
    if is_revoking:
        engine.revoke(kid="of-nobody")
    alone = kids == ("a", "b") and not is_revoking
    foreign = "issuer_mismatch" if alone else "unknown_kid" if kids[0] == "a" else "signature_invalid"
    for _ in range(3):
        for iss in ("https://spire.example", "spiffe://elsewhere", ""):
            assert code(engine, token(td, sub=WORKLOAD, iss=iss)) == "spiffe://td"
            if kids[0] != "a":
                assert code(engine, token(other, sub="spiffe://td2/web", iss=iss)) == "spiffe://td2"
                assert code(engine, token(other, sub=WORKLOAD, iss=iss)) == "signature_invalid"
                assert code(engine, token(td, sub="spiffe://elsewhere/web", iss=iss)) == "unknown_issuer"
                assert code(engine, token(other, sub="spiffe://td3/web", iss=iss)) == "unknown_issuer"
        for named in ("spiffe://td2", OTHER):
            assert code(engine, token(td, sub=WORKLOAD, iss=named)) == foreign
        assert code(engine, token(td, sub="spiffe://td2/web")) == foreign
        if kids[0] != "a":  # its own key, and a name that is not the subject's
            assert code(engine, token(other, sub=WORKLOAD, iss="spiffe://td2")) == "issuer_mismatch"
            assert code(engine, token(other, sub=WORKLOAD, iss=OTHER)) == OTHER


def test_a_new_key_is_fetched_for_an_iss_that_is_nobodys_name() -> None:
    """A kid that a trust domain does not have yet has its bundle fetched, whatever stands in iss."""
    old, new, other = (make_key("ES256", kid=kid) for kid in ("1", "2", "1"))
    sources = {name: ListedKeys(key) for name, key in (("td", old), ("td2", other))}
    engine = Engine(*(Issuer.spiffe(name, keys=keys, audience=AUD) for name, keys in sources.items()))
    for iss in (None, "https://spire.example"):
        text = token(new, sub=WORKLOAD, **({} if iss is None else {"iss": iss}))
        assert code(engine, text) == "unknown_kid"
        assert set(sources["td"].unknown) == {"2"}
        assert not sources["td2"].unknown
        assert engine._snapshot.unverified_issuer_and_kid(text.encode()) == ("spiffe://td", "2")
        assert engine._named_issuers(text)[0] == "spiffe://td"
        sources["td"].unknown.clear()

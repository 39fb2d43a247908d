"""An issuer with several names, or a template: what is said of a name holds for the tokens that state it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from introspected import ISSUER, Server, client_of

from rapidjws import Engine, Issuer, IssuerRegistry, RapidJWSError, Rejected
from rapidjws.authz import Authorizer, Rule
from rapidjws.introspection import Introspection
from rapidjws.jwt.decision import Decision
from rapidjws.rollout import Partner, Rollout
from rapidjws.statuslist import StatusLists, StatusListSource

OTHER = "https://other.example"
TEMPLATE = "https://{tid}.example/v2"
TENANTS = {"https://a.example/v2": "a", "https://b.example/v2": "b"}
LISTED = "https://lists.example/1"
WAYS: dict[str, Callable[[Engine, str], Any]] = {
    "verify": lambda engine, one: engine.verify(one),
    "averify": lambda engine, one: asyncio.run(engine.averify(one)),
    "verify_many": lambda engine, one: engine.verify_many([one])[0],
    "decide": lambda engine, one: engine.decide(one),
}


def engine(iss: Any = (ISSUER.iss, OTHER), **settings: Any) -> Engine:
    """Return an engine of one issuer with these names."""
    more = {"tenants": list(TENANTS.values())} if iss == TEMPLATE else {}
    given = iss if isinstance(iss, str) else list(iss)
    issuer = Issuer(given, keys=ISSUER.jwks, algorithms=["ES256"], audience=ISSUER.audience, **more)
    return Engine(issuer, workers=1, **settings)


def token(iss: str, **claims: Any) -> str:
    """Return a token that states a name."""
    tenant = {"tid": TENANTS[iss]} if iss in TENANTS else {}
    return ISSUER.token({**ISSUER.claims(int(time.time()) - 5), "iss": iss, **tenant, **claims})


def code(way: str, asked: Engine, one: str) -> str:
    """Return the code of a refusal, or ``ok``."""
    try:
        found = WAYS[way](asked, one)
    except RapidJWSError as refused:
        return refused.code
    return found.code if isinstance(found, (Rejected, Decision)) else "ok"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "what",
    [
        {},
        {"kid": ISSUER.jwks.keys[0].kid},
        {"thumbprint": ISSUER.jwks.keys[0].thumbprint()},
        {"jti": "t-1"},
        {"sub": "user-1"},
        {"sid": "s-1"},
        {"issued_before": int(time.time()) + 10_000},
    ],
    ids=lambda what: next(iter(what), "issuer"),
)
@pytest.mark.parametrize(
    ("names", "named", "rest"),
    [((ISSUER.iss, OTHER), OTHER, ISSUER.iss), (TEMPLATE, "https://b.example/v2", "https://a.example/v2")],
)
def test_a_revocation_under_another_name_holds_for_tokens_that_state_it(
    way: str, what: dict[str, Any], names: Any, named: str, rest: str
) -> None:
    """A second name and a tenant under a template are revoked; what states another one is not."""
    asked = engine(names)
    claims = {"jti": "t-1", "sub": "user-1", "sid": "s-1"}
    mine, theirs = token(named, **claims), token(rest, **claims)
    assert [code(way, asked, one) for one in (mine, theirs)] == ["ok", "ok"]
    revoked = asked.revoke(issuer=named, **what)
    assert [code(way, asked, one) for one in (mine, theirs)] == ["revoked", "ok"]
    asked.replace_issuers(*asked.issuers)
    assert code(way, asked, mine) == "revoked"
    asked.unrevoke(revoked)
    assert code(way, asked, mine) == "ok"


def test_a_revocation_under_the_first_name_holds_for_all_of_them() -> None:
    """The first name is the issuer's here: revoked by it, no token of the issuer is accepted."""
    for names, first in (((ISSUER.iss, OTHER), ISSUER.iss), (TEMPLATE, TEMPLATE)):
        asked = engine(names)
        asked.revoke(issuer=first)
        stated = TENANTS if names == TEMPLATE else names
        assert {code("verify", asked, token(one)) for one in stated} == {"revoked"}


def test_a_configured_issuer_of_a_registry_is_revoked_under_another_name() -> None:
    """A registry goes by the stated name for issuers that are there always."""
    issuer = engine().issuers[0]
    asked = IssuerRegistry(lambda iss: None, issuer, workers=1)
    assert code("verify", asked, token(OTHER)) == "ok"
    asked.revoke(issuer=OTHER)
    assert [code("verify", asked, token(one)) for one in (OTHER, ISSUER.iss)] == ["revoked", "ok"]


@pytest.mark.parametrize("named", [ISSUER.iss, OTHER])
def test_a_second_opinion_is_due_under_either_name(named: str) -> None:
    """Asked under any name of an issuer is of all of its tokens."""
    server = Server({"active": False})
    asked = engine(introspection=Introspection(client_of(server), issuers=named))
    assert {asked.decide(token(iss)).code for iss in (ISSUER.iss, OTHER)} == {"token_inactive"}
    fresh = token(OTHER, jti="fresh")
    assert asked._named_issuers(fresh) == (ISSUER.iss, OTHER)
    assert asked.introspection is not None
    opinion = asked.introspection.check(fresh, None, None, lambda: asked._named_issuers(fresh))
    assert opinion is not None
    assert opinion.blocking


@pytest.mark.parametrize("named", [ISSUER.iss, OTHER])
def test_a_rule_holds_under_either_name(named: str) -> None:
    """A rule for an issuer under any of its names is one for all of its tokens."""
    rules = [Rule(name="pay", issuers=[named], scopes=["pay"])]
    asked = engine(authorizer=Authorizer(rules, default="permit"))
    found = {asked.decide(token(iss), request=None).code for iss in (ISSUER.iss, OTHER)}
    assert found == {"insufficient_scope"}


def test_a_tenant_stands_for_no_other_tenant() -> None:
    """Rules, second opinions and partners of a tenant are about the tokens that state it."""
    one, other = TENANTS
    rules = [Rule(name="pay", issuers=[one], scopes=["pay"])]
    asked = engine(TEMPLATE, authorizer=Authorizer(rules, default="permit"))
    assert [asked.decide(token(iss)).code for iss in (one, other)] == ["insufficient_scope", "ok"]
    opinion = Introspection(client_of(Server({"active": False})), issuers=one)
    asked = engine(TEMPLATE, introspection=opinion)
    assert [asked.decide(token(iss)).code for iss in (one, other)] == ["token_inactive", "ok"]


PARTNERED: list[tuple[Any, str, list[str], list[str]]] = [
    ((ISSUER.iss, OTHER), ISSUER.iss, [ISSUER.iss, OTHER], []),
    ((ISSUER.iss, OTHER), OTHER, [ISSUER.iss, OTHER], []),
    ((OTHER, ISSUER.iss), OTHER, [ISSUER.iss, OTHER], []),
    (TEMPLATE, TEMPLATE, list(TENANTS), []),
    (TEMPLATE, "https://b.example/v2", ["https://b.example/v2"], ["https://a.example/v2"]),
]
"""The names of an issuer, the one that a partner has, and the ``iss`` that it may use and may not."""


@pytest.mark.parametrize("named_by_gateway", [True, False])
@pytest.mark.parametrize(("names", "named", "good", "bad"), PARTNERED)
def test_a_partner_may_use_its_issuer_under_every_name(
    names: Any, named: str, good: list[str], bad: list[str], named_by_gateway: bool
) -> None:
    """Configured with any name of an issuer it holds for all of them; with a tenant, for no other tenant."""
    partners = [Partner(name="shop", issuers=[named]), Partner(name="rest", issuers=["https://rest.example"])]
    rollout = Rollout(partners, unattributed="strictest")
    asked = engine(names, rollout=rollout)
    who = "shop" if named_by_gateway else None
    for _ in range(2):
        for iss in good:
            found = asked.decide(token(iss), partner=who)
            assert (found.code, found.partner) == ("ok", "shop")
            assert found.attributed_by == ("gateway" if named_by_gateway else "issuer")
            late = asked.decide(token(iss, exp=int(time.time()) - 9_000), partner=who)
            assert (late.code, late.partner) == ("expired", "shop")
            (batch,) = asked.decide_many([(token(iss), who, None)])
            assert (batch.code, batch.partner) == ("ok", "shop")
            assert asked.decide(token(iss), partner="rest").code == "partner_mismatch"
        for iss in bad:
            found = asked.decide(token(iss), partner=who)
            assert found.code == ("partner_mismatch" if named_by_gateway else "ok")
            assert found.partner == who
            (batch,) = asked.decide_many([(token(iss), who, None)])
            assert (batch.code, batch.partner) == (found.code, who)


def test_an_iss_that_nobody_compares_is_no_name() -> None:
    """A workload's server writes what it likes into iss: it makes no partner's token of it."""
    key = ISSUER.jwks
    issuer = Issuer.spiffe("td", keys=key, audience=ISSUER.audience)
    rollout = Rollout([Partner(name="shop", issuers=[OTHER])], unattributed="strictest")
    asked = Engine(issuer, workers=1, rollout=rollout)
    one = token(OTHER, sub="spiffe://td/web")
    assert [asked.decide(one, partner=who).code for who in ("shop", None)] == ["partner_mismatch", "ok"]
    assert asked.decide(one).partner is None


@pytest.mark.parametrize("named", [ISSUER.iss, OTHER])
def test_a_status_list_holds_under_either_name(named: str) -> None:
    """The status of a token that states the list's issuer is looked up."""

    def never(url: str, etag: str | None = None) -> Any:
        raise AssertionError

    source = StatusListSource(LISTED, issuer=named, keys=ISSUER.jwks, algorithms=["ES256"], fetch=never)
    lists = StatusLists(source)
    refused = lists.refusal(ISSUER.iss, {"iss": OTHER, "status": {"status_list": {"idx": 0, "uri": LISTED}}})
    assert refused is not None
    assert refused.code == "status_list_unavailable"
    assert lists.refusal(ISSUER.iss, {"iss": ISSUER.iss}) is None

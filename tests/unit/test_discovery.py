"""Discovery of a key set's address: whose metadata, which origins, and when they are read again."""

from __future__ import annotations

import time
from typing import Any

import pytest
from web import Web

from rapidjws import ConfigurationError, Engine, Issuer
from rapidjws.keys import DiscoveredJWKS, FetchFailed, Freshness, Transport, UnknownKids
from rapidjws.testing import FakeIssuer
from rapidjws.verify.protocols import Event

ISS = "https://login.example/realms/shop"
OIDC = f"{ISS}/.well-known/openid-configuration"
OAUTH = "https://login.example/.well-known/oauth-authorization-server/realms/shop"
KEYS = "https://login.example/keys"
OTHER = "https://keys.example/jwks"
WAIT_S = 60.0


@pytest.fixture(name="issuer", scope="module")
def _issuer() -> FakeIssuer:
    return FakeIssuer(ISS, "ES256")


def _jwks(issuer: FakeIssuer) -> dict[str, Any]:
    return issuer.jwks.as_dict()


def _web(issuer: FakeIssuer, at: str = OIDC, metadata: dict[str, Any] | None = None) -> Web:
    found = {"issuer": ISS, "jwks_uri": KEYS, **(metadata or {})}
    return Web({at: found, KEYS: _jwks(issuer), OTHER: _jwks(issuer)})


def _source(web: Web, **settings: Any) -> DiscoveredJWKS:
    settings.setdefault("freshness", Freshness(retry_min_s=0.001, retry_max_s=0.002))
    return DiscoveredJWKS(settings.pop("issuer", ISS), fetch=web, **settings)


@pytest.mark.parametrize("place", [OIDC, OAUTH])
def test_an_address_is_discovered(issuer: FakeIssuer, place: str) -> None:
    """The key set is found by OpenID Connect Discovery, or by RFC 8414 where that has nothing."""
    web = _web(issuer, place)
    source = _source(web)
    assert web.asked == []  # nothing is fetched at construction
    engine = Engine(Issuer(ISS, keys=source, algorithms=["ES256"], audience=issuer.audience))
    assert engine.wait_ready(WAIT_S)
    assert engine.verify(issuer.token(issuer.claims(int(time.time())))).claims["iss"] == ISS
    assert source.jwks_uri == KEYS
    assert web.asked == ([OIDC, KEYS] if place == OIDC else [OIDC, OAUTH, KEYS])


@pytest.mark.parametrize("iss", ["https://login.example", "https://login.example/"])
def test_a_slash_at_the_end_is_kept_in_the_issuer_alone(issuer: FakeIssuer, iss: str) -> None:
    """An issuer with a slash at its end has its metadata at one slash, and must say so to the letter."""
    web = Web({"https://login.example/.well-known/openid-configuration": {"issuer": iss, "jwks_uri": KEYS},
               KEYS: _jwks(issuer)})  # fmt: skip
    assert _source(web, issuer=iss).refresh(WAIT_S)
    assert not _source(web, issuer=iss.rstrip("/") if iss.endswith("/") else iss + "/").refresh(WAIT_S)


@pytest.mark.parametrize(
    ("metadata", "failure"),
    [
        ({"issuer": ISS + "/"}, "discovery: metadata of another issuer"),
        ({"issuer": ISS.upper()}, "discovery: metadata of another issuer"),
        ({"issuer": None}, "discovery: metadata of another issuer"),
        ({"issuer": [ISS]}, "discovery: metadata of another issuer"),
        ({"jwks_uri": OTHER}, "discovery: jwks_uri of an origin that is not in jwks_origins"),
        ({"jwks_uri": "https://login.example:444/keys"},
         "discovery: jwks_uri of an origin that is not in jwks_origins"),
        ({"jwks_uri": "https://login.example:0/keys"}, "discovery: jwks_uri is no https address"),
        ({"jwks_uri": "https://login.example.evil.example/keys"},
         "discovery: jwks_uri of an origin that is not in jwks_origins"),
        ({"jwks_uri": "http://login.example/keys"}, "discovery: jwks_uri is no https address"),
        ({"jwks_uri": "https://login.example@evil.example/keys"}, "discovery: jwks_uri is no https address"),
        ({"jwks_uri": "file:///etc/passwd"}, "discovery: jwks_uri is no https address"),
        ({"jwks_uri": 7}, "discovery: jwks_uri is no https address"),
    ],
)  # fmt: skip
def test_other_metadata_are_refused_by_name(issuer: FakeIssuer, metadata: Any, failure: str) -> None:
    """Metadata of another issuer, or that lead to another origin, are not followed."""
    web = _web(issuer, metadata=metadata)
    source = _source(web)
    assert not source.refresh(WAIT_S)
    assert source.status().last_failure == failure
    assert set(web.asked) == {OIDC}


@pytest.mark.parametrize(
    ("page", "failure"),
    [
        ({"keys": []}, "document: a JWK Set, not a discovery document with jwks_uri"),
        ({"issuer": ISS}, "document: another JSON object, not a discovery document with jwks_uri"),
        ("<!doctype html><title>Sign in</title>", "document: an HTML login page, not a discovery document"),
        ("[]", "document: a JSON array, not a discovery document with jwks_uri"),
        ('{"issuer": 1, "issuer": 2}', "document: damaged JSON, not a discovery document"),
    ],
)
def test_metadata_that_are_none_are_named(issuer: FakeIssuer, page: Any, failure: str) -> None:
    """What lies at the metadata's address instead is named."""
    web = _web(issuer)
    web.pages[OIDC] = page
    source = _source(web)
    assert not source.refresh(WAIT_S)
    assert source.status().last_failure == failure


def test_origins_of_the_list_are_followed(issuer: FakeIssuer) -> None:
    """A key set of another origin is fetched where the configuration lists that origin."""
    web = _web(issuer, metadata={"jwks_uri": OTHER})
    source = _source(web, jwks_origins=["https://keys.example:443"])
    assert source.refresh(WAIT_S)
    assert web.asked == [OIDC, OTHER]


def test_an_address_that_fails_is_discovered_again(issuer: FakeIssuer) -> None:
    """Where the key set's address fails, the metadata are read again at once, and the new address is used."""
    events: list[Event] = []
    web = _web(issuer)
    source = _source(web, jwks_origins=["https://keys.example"], events=events.append)
    assert source.refresh(WAIT_S)
    web.pages[OIDC] = {"issuer": ISS, "jwks_uri": OTHER}
    del web.pages[KEYS]
    web.asked.clear()
    source._announced = False
    source._bring({}, None)
    assert web.asked == [KEYS, OIDC, OTHER]
    assert source.jwks_uri == OTHER
    assert [event.name for event in events if event.name == "jwks_moved"] == ["jwks_moved"]


def test_an_address_that_moved_is_found_for_an_unknown_kid(issuer: FakeIssuer) -> None:
    """An old address that still answers hides no new one: an unknown kid reads the metadata again."""
    web = _web(issuer)
    source = _source(web, jwks_origins=["https://keys.example"], unknown_kids=UnknownKids(cooldown_s=0.001))
    assert source.refresh(WAIT_S)
    new = FakeIssuer(ISS, "ES256")
    web.pages[OIDC] = {"issuer": ISS, "jwks_uri": OTHER}
    web.pages[OTHER] = _jwks(new)
    kid = next(iter(new.jwks)).kid
    assert kid is not None
    answered = source.next_answer()
    assert source.unknown_kid(kid) is not None
    answered.result(WAIT_S)
    assert kid in (source.state().keys or ())


def test_metadata_that_are_away_leave_the_known_address(issuer: FakeIssuer) -> None:
    """An outage of the metadata alone stops no refresh of the keys; wrong metadata do, and the keys stay."""
    web = _web(issuer)
    source = _source(web)
    assert source.refresh(WAIT_S)
    web.pages[OIDC] = FetchFailed("status", 503)
    assert source.refresh(WAIT_S)
    web.pages[OIDC] = {"issuer": "https://evil.example", "jwks_uri": "https://evil.example/keys"}
    assert not source.refresh(0.2)
    assert source.state().keys is not None
    assert "https://evil.example/keys" not in web.asked


@pytest.mark.parametrize(
    "settings",
    [
        {"issuer": "http://login.example"},
        {"issuer": "login.example"},
        {"issuer": "https://login.example?tenant=a"},
        {"issuer": "https://login.example#a"},
        {"jwks_origins": ["keys.example"]},
        {"jwks_origins": ["https://keys.example/jwks"]},
        {"jwks_origins": "https://keys.example"},
    ],
    ids=str,
)
def test_settings_are_checked_at_construction(settings: dict[str, Any]) -> None:
    """An issuer that has no metadata, and an origin that is none, are errors at construction."""
    with pytest.raises(ConfigurationError):
        _source(Web(), **settings)


def test_an_issuer_is_made_by_discovery(issuer: FakeIssuer) -> None:
    """Issuer.discover makes an issuer whose keys are discovered; its algorithms are RS256 unless named."""
    made = Issuer.discover(ISS, algorithms=["ES256"], audience=issuer.audience, transport=Transport())
    assert isinstance(made.keys, DiscoveredJWKS)
    assert made.keys.issuer == made.iss == ISS
    assert tuple(Issuer.discover("https://accounts.google.com").algorithms) == ("RS256",)
    with pytest.raises(ConfigurationError):
        Issuer.discover("accounts.google.com")

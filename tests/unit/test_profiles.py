"""Kinds of token: each passes under its own profile and under no other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest
from tokens import AUD, ISS, NOW_S

from rapidjws import (
    ABSENT,
    NOT_CHECKED,
    PRESENT,
    ConfigurationError,
    ContainsOnly,
    Engine,
    Issuer,
    RapidJWSError,
    diagnose,
)
from rapidjws.config.load import ConfigFile
from rapidjws.jose.claim_rules import AuthorizedParty
from rapidjws.jwt.profiles import LOGOUT_EVENT, PROFILES, ProfileName
from rapidjws.signing import LocalSigner, sign_compact
from rapidjws.testing import FakeIssuer, make_key

KEY = make_key("HS256", kid="k")
COMMON = {"iss": ISS, "aud": AUD, "iat": NOW_S}
TOKENS: dict[str, tuple[str | None, dict[str, Any]]] = {
    "access_token": (
        "at+jwt",
        {**COMMON, "exp": NOW_S + 60, "sub": "s", "client_id": "c", "jti": "1", "scope": "read"},
    ),
    "id_token": (
        None,
        {**COMMON, "exp": NOW_S + 60, "sub": "s", "nonce": "n", "at_hash": "x", "auth_time": NOW_S},
    ),
    "logout_token": (
        "logout+jwt",
        {**COMMON, "exp": NOW_S + 60, "sub": "s", "sid": "d", "jti": "1", "events": {LOGOUT_EVENT: {}}},
    ),
    "security_event": (
        "secevent+jwt",
        {**COMMON, "jti": "1", "events": {"https://schemas.example/account-purged": {}}},
    ),
    "introspection_response": (
        "token-introspection+jwt",
        {**COMMON, "token_introspection": {"active": True}},
    ),
    "status_list": (
        "statuslist+jwt",
        {**COMMON, "exp": NOW_S + 60, "sub": f"{ISS}/lists/1", "status_list": {"bits": 1, "lst": "eNrbuRgA"}},
    ),
}  # fmt: skip


def signed(typ: str | None, claims: dict[str, Any]) -> str:
    """Return a token with this typ."""
    header = {} if typ is None else {"typ": typ}
    return sign_compact(json.dumps(claims).encode(), LocalSigner(KEY), header=header)


def engine_of(profile: Any, **settings: Any) -> Engine:
    """Return an engine for one kind of token."""
    rules = {"keys": KEY, "algorithms": ["HS256"], "audience": AUD, **settings}
    return Engine(Issuer.profile(profile, ISS, **rules), workers=1)


def verdict(engine: Engine, token: str) -> str:
    """Return "ok", or the code of the refusal; the second verification takes the core's way."""
    found = set()
    for _ in range(2):
        try:
            engine.verify(token, NOW_S)
            found.add("ok")
        except RapidJWSError as refused:
            found.add(refused.code)
    (one,) = found
    return one


def test_there_is_a_token_for_each_profile() -> None:
    """The matrix has every profile."""
    assert set(TOKENS) == set(PROFILES) == set(get_args(ProfileName))


@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize("profile", TOKENS)
def test_no_kind_of_token_passes_as_another(profile: str, token: str) -> None:
    """A token passes under its own profile only, also where its typ is missing or says ``JWT``."""
    typ, claims = TOKENS[token]
    if profile == token:
        assert verdict(engine_of(profile), signed(typ, claims)) == "ok"
        return
    assert verdict(engine_of(profile), signed(typ, claims)) == "typ_mismatch" or typ is None
    for other in (typ, None, "JWT", "jwt"):
        assert verdict(engine_of(profile), signed(other, claims)) != "ok", other


@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize("profile", TOKENS)
def test_claims_tell_most_kinds_apart_even_where_typ_is_given_up(profile: str, token: str) -> None:
    """An issuer that names no typ still cannot pass an ID token or an event as an access token."""
    typ, claims = TOKENS[token]
    found = verdict(engine_of(profile, typ=None), signed(typ, claims))
    assert (found == "ok") is (profile == token)


@pytest.mark.parametrize(
    ("profile", "without"),
    [(name, claim) for name, claims in (
        ("access_token", ("iss", "exp", "aud", "sub", "client_id", "iat", "jti")),
        ("id_token", ("iss", "sub", "aud", "exp", "iat")),
        ("logout_token", ("iss", "aud", "iat", "jti", "exp", "events")),
        ("security_event", ("iss", "iat", "jti", "events")),
    ) for claim in claims],
)  # fmt: skip
def test_required_claims(profile: str, without: str) -> None:
    """Each claim that the specification requires is required."""
    typ, claims = TOKENS[profile]
    left = {name: value for name, value in claims.items() if name != without}
    assert verdict(engine_of(profile), signed(typ, left)) == "missing_claim"


@pytest.mark.parametrize(
    ("profile", "change"),
    [
        ("access_token", {"nonce": "n"}),
        ("access_token", {"events": {}}),
        ("id_token", {"events": {LOGOUT_EVENT: {}}}),
        ("logout_token", {"nonce": "n"}),
        ("logout_token", {"nonce": None}),
        ("logout_token", {"events": {"x": {}}}),
        ("logout_token", {"events": {LOGOUT_EVENT: None}}),
        ("logout_token", {"events": {LOGOUT_EVENT: []}}),
        ("logout_token", {"events": [LOGOUT_EVENT]}),
        ("security_event", {"events": {}}),
        ("security_event", {"events": {"x": {}, LOGOUT_EVENT: {}}}),
        ("security_event", {"events": "x"}),
    ],
)
def test_what_a_kind_must_not_have(profile: str, change: dict[str, Any]) -> None:
    """A claim of another kind, or events of the wrong shape, are refused."""
    typ, claims = TOKENS[profile]
    assert verdict(engine_of(profile), signed(typ, {**claims, **change})) in (
        "claim_mismatch",
        "missing_claim",
    )


def test_a_logout_token_has_sub_or_sid() -> None:
    """One of the two is enough."""
    typ, claims = TOKENS["logout_token"]
    for name in ("sub", "sid"):
        left = {key: value for key, value in claims.items() if key != name}
        assert verdict(engine_of("logout_token"), signed(typ, left)) == "ok"
    left = {key: value for key, value in claims.items() if key not in ("sub", "sid")}
    assert verdict(engine_of("logout_token"), signed(typ, left)) == "missing_claim"


def test_what_the_caller_sets_holds() -> None:
    """Own rules are added, an own rule for the same claim and an own typ take the profile's place."""
    typ, claims = TOKENS["access_token"]
    engine = engine_of(
        "access_token", typ=["at+jwt", "JWT"], claims={"nonce": PRESENT}, required_claims=["scope"]
    )
    assert verdict(engine, signed("JWT", {**claims, "nonce": "n"})) == "ok"
    assert verdict(engine, signed(typ, claims)) == "missing_claim"
    assert verdict(engine, signed(None, {**claims, "nonce": "n"})) == "typ_mismatch"
    assert verdict(engine, signed(typ, {**claims, "nonce": "n", "scope": None})) == "missing_claim"
    assert verdict(engine, signed(typ, {**claims, "nonce": "n", "at_hash": "x"})) == "claim_mismatch"
    assert (
        verdict(engine_of("access_token", audience=NOT_CHECKED), signed(typ, {**claims, "aud": "x"})) == "ok"
    )


def test_typ_is_a_list() -> None:
    """One of several types passes, compared as media types; none passes only where that is written."""
    for settings, wanted in (
        ({"typ": ["a+jwt", "b+jwt"]}, {"a+jwt": True, "application/B+JWT": True, "c": False, None: False}),
        ({"typ": ["a+jwt"], "typ_required": False}, {"a+jwt": True, "c": False, None: True}),
    ):  # fmt: skip
        engine = Engine(Issuer(ISS, keys=KEY, algorithms=["HS256"], audience=AUD, **settings), workers=1)
        for typ, passes in wanted.items():
            found = verdict(engine, signed(typ, {**COMMON, "exp": NOW_S + 60}))
            assert found == ("ok" if passes else "typ_mismatch"), typ
    with pytest.raises(ConfigurationError, match="typ_required"):
        Issuer(ISS, keys=KEY, algorithms=["HS256"], typ_required=False)


@pytest.mark.parametrize(
    ("profile", "settings", "place"),
    [
        ("jwt", {}, "profile"),
        (None, {}, "profile"),
        ("access_token", {"audience": ()}, "audience"),
        ("id_token", {"audience": []}, "audience"),
        ("logout_token", {"audience": ""}, "audience"),
        ("access_token", {"claims": 5}, "claims"),
        ("access_token", {"claims": {"nonce": {}}}, "claims"),
    ],
)
def test_a_profile_that_means_nothing(profile: Any, settings: Any, place: str) -> None:
    """Another name, no audience where one is due, or bad rules are configuration errors."""
    with pytest.raises(ConfigurationError, match=place):
        engine_of(profile, **settings)


def test_rules_of_a_profile_are_seen() -> None:
    """The issuer shows what it checks."""
    issuer = Issuer.profile("id_token", ISS, keys=KEY, algorithms=["HS256"], audience=AUD)
    own = {"events": ABSENT, "client_id": ABSENT, "scope": ABSENT, "status_list": ABSENT}
    assert issuer.claims == {**own, "azp": AuthorizedParty(AUD), "aud": ContainsOnly(AUD)}
    assert issuer.typ == "JWT"
    assert issuer.required_claims == ("iss", "sub", "aud", "iat")


@pytest.mark.parametrize(
    ("audience", "change", "wanted"),
    [
        (AUD, {"aud": AUD}, "ok"),
        (AUD, {"aud": [AUD]}, "ok"),
        (AUD, {"aud": [AUD], "azp": AUD}, "ok"),
        (AUD, {"aud": [AUD, "other"]}, "missing_claim"),
        (AUD, {"aud": ["other", AUD]}, "missing_claim"),
        (AUD, {"aud": [AUD, AUD]}, "missing_claim"),
        (AUD, {"aud": [AUD, "a", "b"], "azp": None}, "missing_claim"),
        (AUD, {"aud": [AUD, "other"], "azp": AUD}, "claim_mismatch"),
        (AUD, {"aud": [AUD, AUD], "azp": AUD}, "ok"),
        ([AUD, "app"], {"aud": [AUD, "app"], "azp": AUD}, "ok"),
        ([AUD, "app"], {"aud": ["app", AUD, "other"], "azp": AUD}, "claim_mismatch"),
        (AUD, {"aud": [AUD, "other"], "azp": "other"}, "claim_mismatch"),
        (AUD, {"aud": AUD, "azp": "other"}, "claim_mismatch"),
        (AUD, {"aud": AUD, "azp": ""}, "claim_mismatch"),
        (AUD, {"aud": AUD, "azp": [AUD]}, "claim_mismatch"),
        (AUD, {"aud": AUD, "azp": {"0": AUD}}, "claim_mismatch"),
        (AUD, {"aud": AUD, "azp": None}, "missing_claim"),
        ([AUD, "app"], {"aud": AUD, "azp": "app"}, "ok"),
        ([AUD, "app"], {"aud": [AUD, "app"]}, "missing_claim"),
        ([AUD, "app"], {"aud": "app", "azp": "other"}, "claim_mismatch"),
        (NOT_CHECKED, {"aud": "any", "azp": "any"}, "ok"),
        (NOT_CHECKED, {"aud": ["any", "other"]}, "missing_claim"),
        (NOT_CHECKED, {"aud": ["any", "other"], "azp": "any"}, "ok"),
    ],
)
def test_the_authorized_party_of_an_id_token(audience: Any, change: dict[str, Any], wanted: str) -> None:
    """Several audiences need an azp, and an azp is one of ours (OpenID Connect Core 3.1.3.7)."""
    claims = {**TOKENS["id_token"][1], **change}
    assert verdict(engine_of("id_token", audience=audience), signed(None, claims)) == wanted


def test_the_authorized_party_is_configured_where_it_is_no_audience() -> None:
    """A rule for azp names other clients, and NOT_CHECKED takes the profile's away."""
    claims = {**TOKENS["id_token"][1], "aud": [AUD, "other"]}
    named = engine_of("id_token", audience=[AUD, "other"], claims={"azp": {"web", "app"}})
    for azp, wanted in (("web", "ok"), ("app", "ok"), (AUD, "claim_mismatch"), (None, "missing_claim")):
        assert verdict(named, signed(None, {**claims, "azp": azp})) == wanted
    assert verdict(named, signed(None, claims)) == "missing_claim"
    unchecked = engine_of("id_token", audience=[AUD, "other"], claims={"azp": NOT_CHECKED})
    for change in ({}, {"azp": "anybody"}):
        assert verdict(unchecked, signed(None, {**claims, **change})) == "ok"
    assert verdict(unchecked, signed(None, {**claims, "scope": "read"})) == "claim_mismatch"


def test_further_audiences_of_an_id_token_must_be_trusted(tmp_path: Path) -> None:
    """An audience that the client does not trust refuses (OpenID Connect Core 3.1.3.7 step 3)."""
    claims = {**TOKENS["id_token"][1], "aud": [AUD, "other"], "azp": AUD}
    with pytest.raises(RapidJWSError) as refused:
        engine_of("id_token").verify(signed(None, claims), NOW_S)
    found = (refused.value.code, refused.value.place, refused.value.expected)
    assert found == ("claim_mismatch", "claims.aud", f'nothing but "{AUD}"')
    trusting = engine_of("id_token", claims={"aud": ContainsOnly(AUD, "other")})
    assert verdict(trusting, signed(None, claims)) == "ok"
    assert verdict(trusting, signed(None, {**claims, "aud": [AUD, "third"]})) == "claim_mismatch"
    assert verdict(trusting, signed(None, {**claims, "aud": ["other"]})) == "audience_mismatch"
    unchecked = engine_of("id_token", claims={"aud": NOT_CHECKED})
    assert verdict(unchecked, signed(None, claims)) == "ok"
    assert verdict(unchecked, signed(None, {**claims, "aud": ["other"]})) == "audience_mismatch"
    provider = FakeIssuer(ISS, "ES256", audience=AUD)
    (tmp_path / "keys.json").write_text(json.dumps(provider.jwks.as_dict()))
    path = tmp_path / "rapidjws.toml"
    path.write_text(
        f'[[issuers]]\niss = "{ISS}"\nalgorithms = ["ES256"]\naudience = "{AUD}"\nprofile = "id_token"\n'
        f'jwks_file = "keys.json"\n[issuers.claims]\naud = {{ contains_only = ["{AUD}", "other"] }}\n'
    )
    engine = ConfigFile(path).engine
    assert verdict(engine, provider.token(claims)) == "ok"
    assert verdict(engine, provider.token({**claims, "aud": [AUD, "third"]})) == "claim_mismatch"


@pytest.mark.parametrize("escaped", ["az\\u0070", "\\u0061zp"])
def test_an_escaped_azp_is_the_same_claim(escaped: str) -> None:
    """The name of the claim may be spelled with escapes: it is compared all the same."""
    text = json.dumps({**TOKENS["id_token"][1], "azp": "other"}).replace("azp", escaped)
    token = sign_compact(text.encode(), LocalSigner(KEY))
    assert verdict(engine_of("id_token"), token) == "claim_mismatch"


@pytest.mark.parametrize(
    ("line", "wanted"),
    [("", "missing_claim"), ("azp = { checked = false }", "ok"), ('azp = ["web"]', "missing_claim")],
)
def test_a_configuration_takes_a_rule_away(tmp_path: Path, line: str, wanted: str) -> None:
    """``{ checked = false }`` says in a file what NOT_CHECKED says in Python."""
    provider = FakeIssuer(ISS, "ES256", audience=AUD)
    (tmp_path / "keys.json").write_text(json.dumps(provider.jwks.as_dict()))
    path = tmp_path / "rapidjws.toml"
    path.write_text(
        f'[[issuers]]\niss = "{ISS}"\nalgorithms = ["ES256"]\naudience = ["{AUD}", "other"]\n'
        f'profile = "id_token"\njwks_file = "keys.json"\n[issuers.claims]\n{line}\n'
    )
    claims = {**TOKENS["id_token"][1], "aud": [AUD, "other"]}
    assert verdict(ConfigFile(path).engine, provider.token(claims)) == wanted


def test_a_diagnosis_knows_alternatives() -> None:
    """A claim that may be missing because of another one is no cause of a refusal, nor a failed check."""
    for profile in ("id_token", "logout_token"):
        typ, claims = TOKENS[profile]
        claims = {name: value for name, value in claims.items() if name != "sid"}
        report = diagnose(signed(typ, {**claims, "exp": 5}), engine_of(profile), now=NOW_S)
        assert report.code == "expired"
        failed = {check.name for check in report.checks if check.status == "fail"}
        assert failed == {"exp"}, profile

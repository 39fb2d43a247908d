"""One issuer with several names, and templates whose variable is a claim."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tokens import AUD, NOW_S

from rapidjws import ANY_TENANT, JWK, ConfigurationError, Engine, Issuer, RapidJWSError
from rapidjws.signing import LocalSigner, sign_compact
from rapidjws.testing import make_key

KEY = make_key("HS256", kid="k")
OTHER_KEY = make_key("HS256", kid="k")
TEMPLATE = "https://login.example/{tid}/v2.0"


def token(iss: object, key: JWK = KEY, **claims: object) -> str:
    """Return a token of this ``iss``."""
    members = {"iss": iss, "aud": AUD, "exp": NOW_S + 60, **claims}
    return sign_compact(json.dumps(members).encode(), LocalSigner(key))


def issuer(iss: Any, key: JWK = KEY, **settings: Any) -> Issuer:
    """Return an issuer."""
    return Issuer(iss, keys=key, algorithms=["HS256"], audience=AUD, **settings)


def verdict(engine: Engine, text: str) -> str:
    """Return the issuer's name, or the code of the refusal; the second time the header is known."""
    found = []
    for _ in range(2):
        try:
            found.append(str(engine.verify(text, NOW_S).issuer))
        except RapidJWSError as refused:
            found.append(refused.code)
    assert found[0] == found[1]
    return found[0]


@pytest.mark.parametrize("alone", [True, False])
def test_several_names_are_one_issuer(alone: bool) -> None:
    """Each name passes, the result carries the first, and no other spelling does."""
    names = ["https://accounts.google.com", "accounts.google.com"]
    others = () if alone else (issuer("https://b.example", OTHER_KEY),)
    engine = Engine(issuer(names), *others, workers=1)
    for name in names:
        assert verdict(engine, token(name)) == names[0]
    wrong = "issuer_mismatch" if alone else "unknown_issuer"
    for name in ("accounts.google.com/", "http://accounts.google.com", "Accounts.google.com"):
        assert verdict(engine, token(name)) == wrong
    if not alone:
        assert verdict(engine, token("https://b.example", OTHER_KEY)) == "https://b.example"
        assert verdict(engine, token("accounts.google.com", OTHER_KEY)) == "signature_invalid"
        assert verdict(engine, token("https://b.example")) == "signature_invalid"


HOSTILE = ["", "a/b", "a/../b", "a%2Fb", "a b", "é", "a\x00", "{tid}", "a?x", "a#x", "a@b", "a" * 129, "a\\b"]


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("tenants", [["one", "two"], ANY_TENANT, lambda tid: tid in ("one", "two")])
def test_a_template_compares_its_variable_with_the_claim(tenants: Any, alone: bool) -> None:
    """``iss`` must be the template with the claim's value in it, and the tenant one that is allowed."""
    others = () if alone else (issuer("https://b.example", OTHER_KEY),)
    engine = Engine(issuer(TEMPLATE, tenants=tenants), *others, workers=1)
    for tenant in ("one", "two"):
        assert verdict(engine, token(f"https://login.example/{tenant}/v2.0", tid=tenant)) == TEMPLATE
    assert verdict(engine, token("https://login.example/one/v2.0", tid="two")) == "issuer_mismatch"
    assert verdict(engine, token("https://login.example/one/v2.0")) == "missing_claim"
    assert verdict(engine, token("https://login.example/one/v2.0", tid=1)) == "issuer_mismatch"
    assert verdict(engine, token("https://login.example/one/v2.0", tid=["one"])) == "issuer_mismatch"
    third = "ok" if tenants is ANY_TENANT else "claim_mismatch"
    found = verdict(engine, token("https://login.example/three/v2.0", tid="three"))
    assert found == (TEMPLATE if third == "ok" else third)
    wrong = "issuer_mismatch" if alone else "unknown_issuer"
    for tenant in HOSTILE:
        assert verdict(engine, token(f"https://login.example/{tenant}/v2.0", tid=tenant)) == wrong, tenant
    for iss in ("https://login.example/one/v2.0/", "https://login.example//v2.0", "https://login.example/v2.0",
                TEMPLATE, "xhttps://login.example/one/v2.0"):  # fmt: skip
        assert verdict(engine, token(iss, tid="one")) == wrong, iss


def test_an_escaped_tenant_is_the_tenant() -> None:
    """JSON's escapes change neither what matches nor what does not."""
    engine = Engine(issuer(TEMPLATE, tenants=["one"]), workers=1)
    text = '{{"iss": "https:\\/\\/login.example\\/one/v2.0", "tid": "{}", "aud": "{}", "exp": {}}}'
    good, bad = (text.format(tid, AUD, NOW_S + 60).encode() for tid in ("\\u006fne", "\\u006fn"))
    assert verdict(engine, sign_compact(good, LocalSigner(KEY))) == TEMPLATE
    assert verdict(engine, sign_compact(bad, LocalSigner(KEY))) == "issuer_mismatch"


@pytest.mark.parametrize(
    ("iss", "settings", "place"),
    [
        (TEMPLATE, {}, "tenants"),
        (TEMPLATE, {"tenants": []}, "tenants"),
        (TEMPLATE, {"tenants": ["a/b"]}, r"tenants\[0\]"),
        (TEMPLATE, {"tenants": ["a", "b c"]}, r"tenants\[1\]"),
        (TEMPLATE, {"tenants": 5}, "tenants"),
        ("https://a.example", {"tenants": ["a"]}, "tenants"),
        ("https://a.example/{}", {"tenants": ANY_TENANT}, "iss"),
        ("https://a.example/{tid", {"tenants": ANY_TENANT}, "iss"),
        ("https://a.example/tid}", {"tenants": ANY_TENANT}, "iss"),
        ("https://a.example/{a}/{b}", {"tenants": ANY_TENANT}, "iss"),
        ("https://a.example/{iss}", {"tenants": ANY_TENANT}, "iss"),
        ("{tid}", {"tenants": ANY_TENANT}, "iss"),
        ([TEMPLATE, "https://a.example"], {"tenants": ANY_TENANT}, "iss"),
        ([], {}, "iss"),
        (["a", "a"], {}, "iss"),
        (["a", ""], {}, "iss"),
        (["a", 5], {}, "iss"),
        (b"a", {}, "iss"),
        ({"a": 1}, {}, "iss"),
    ],
)
def test_names_that_mean_nothing_are_configuration_errors(iss: Any, settings: Any, place: str) -> None:
    """A template without its claim, a tenant that cannot be one, a name twice: refused with the place."""
    with pytest.raises(ConfigurationError, match=place):
        issuer(iss, **settings)


def test_no_name_twice_in_one_engine() -> None:
    """Two issuers share no name, as a token of it could be of either."""
    with pytest.raises(ConfigurationError, match="issuers"):
        Engine(issuer(["a", "b"]), issuer(["c", "b"], OTHER_KEY))


def test_no_template_twice_under_two_variables() -> None:
    """Two templates that differ in the variable's name only are the same names."""
    second = issuer("https://login.example/{org}/v2.0", OTHER_KEY, tenants=["a"])
    with pytest.raises(ConfigurationError, match="each iss once"):
        Engine(issuer(TEMPLATE, tenants=["a"]), second, workers=1)


def test_names_are_listed() -> None:
    """``iss`` and ``name`` are the first, ``names`` all."""
    one = issuer(["a", "b"])
    assert (one.iss, one.name, one.names) == ("a", "a", ("a", "b"))
    assert (issuer(None).iss, issuer(None).name, issuer(None).names) == (None, "", ())

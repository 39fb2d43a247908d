"""Keys out of certificates and PEM texts: maps, one address a kid, files, folders and SPIFFE bundles."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from certified import CertifiedKey
from issuers import wait_for
from web import Web

from rapidjws import ConfigurationError, Engine, Issuer, RapidJWSError
from rapidjws.keys import (
    FetchFailed,
    Freshness,
    PEMFiles,
    RemoteCertificates,
    RemotePEM,
    SpiffeBundle,
    UnknownKids,
)
from rapidjws.verify.protocols import Event

ISS = "https://securetoken.example/shop"
URL = "https://keys.example/x509"
TEMPLATE = "https://keys.example/elb/{kid}"
WAIT_S = 60.0
NOW = int(time.time())
CLAIMS = {"iss": ISS, "aud": "shop", "sub": "u", "exp": NOW + 36_000, "iat": NOW}
QUICK = Freshness(retry_min_s=0.001, retry_max_s=0.002)


def _engine(source: Any) -> Engine:
    return Engine(Issuer(ISS, keys=source, algorithms=["ES256"], audience="shop"))


def _code(engine: Engine, token: str) -> str:
    try:
        engine.verify(token)
    except RapidJWSError as refused:
        return refused.code
    return "ok"


def test_a_certificate_map_brings_keys_by_kid() -> None:
    """A JSON object of kid -> certificate serves tokens by kid; those beyond their dates are left out."""
    good, old, early = CertifiedKey(), CertifiedKey(days=(-9, -1)), CertifiedKey(days=(1, 9))
    page = {"a": good.pem, "old": old.pem, "early": early.pem, "broken": "-----BEGIN CERTIFICATE-----"}
    events: list[Event] = []
    source = RemoteCertificates(URL, fetch=Web({URL: page}), events=events.append)
    engine = _engine(source)
    assert engine.wait_ready(WAIT_S)
    assert _code(engine, good.token(CLAIMS, kid="a")) == "ok"
    for kid, key in (("old", old), ("early", early), ("broken", good), ("b", good)):
        assert _code(engine, key.token(CLAIMS, kid=kid)) == "unknown_kid"
    assert _code(engine, old.token(CLAIMS, kid="a")) == "signature_invalid"
    skipped = {event.kid: event.detail for event in events if event.name == "key_skipped"}
    assert skipped == {
        "old": "certificate_refused",
        "early": "certificate_refused",
        "broken": "key_malformed",
    }
    assert source.status().kids == ("a",)


def test_a_certificate_map_is_kept_for_a_start_in_an_outage(tmp_path: Path) -> None:
    """Certificate maps have a last good file as JWK Sets have."""
    key = CertifiedKey()
    assert RemoteCertificates(URL, fetch=Web({URL: {"a": key.pem}}), last_good=tmp_path / "k").refresh(WAIT_S)
    engine = _engine(RemoteCertificates(URL, fetch=Web(), last_good=tmp_path / "k", freshness=QUICK))
    assert _code(engine, key.token(CLAIMS, kid="a")) == "ok"


def test_a_pem_a_kid_is_fetched_once_a_token_names_it() -> None:
    """A key at a URL template is fetched when its kid is first seen; the engine is ready before that."""
    key = CertifiedKey()
    web = Web({"https://keys.example/elb/a-1": key.public_pem})
    source = RemotePEM(TEMPLATE, fetch=web, freshness=QUICK, unknown_kids=UnknownKids(cooldown_s=0.001))
    engine = _engine(source)
    assert engine.wait_ready(WAIT_S)
    assert engine.verify(key.token(CLAIMS, kid="a-1"), wait_s=30).claims["sub"] == "u"
    assert web.asked == ["https://keys.example/elb/a-1"]
    assert source.refresh(WAIT_S)
    assert source.status().kids == ("a-1",)
    del web.pages["https://keys.example/elb/a-1"]
    assert source.refresh(WAIT_S)
    assert source.status().kids == ()


def test_the_first_kid_waits_for_no_cool_down() -> None:
    """With default limits, the first token is answered after one fetch."""
    key = CertifiedKey()
    source = RemotePEM(TEMPLATE, fetch=Web({"https://keys.example/elb/a": key.public_pem}))
    engine = _engine(source)
    assert engine.wait_ready(WAIT_S)
    wait_for(lambda: source.status().fetches == 1 and not source._fetch_in_progress)
    assert engine.verify(key.token(CLAIMS, kid="a"), wait_s=30).claims["sub"] == "u"


@pytest.mark.parametrize(
    "kid",
    ["../admin", "a/b", "a%2fb", "..", "a..b", ".", "", "a?b", "a#b", "@evil.example", "a\\b", "\u2025",
     "a" * 129, "a b", "a\nb", "//evil.example/", "a;b", "a&b", "{kid}"],
)  # fmt: skip
def test_no_kid_reaches_another_address(kid: str) -> None:
    """A kid beyond the alphabet makes no address and causes no fetch, whatever its token says."""
    web = Web()
    source = RemotePEM(TEMPLATE, fetch=web)
    assert source.url_of(kid) is None
    assert source.unknown_kid(kid) is None
    engine = _engine(source)
    assert engine.wait_ready(WAIT_S)
    assert _code(engine, CertifiedKey().token(CLAIMS, kid=kid)) == "unknown_kid"
    assert source._limiter.due is None
    assert web.asked == []


def test_a_kid_is_percent_encoded() -> None:
    """Characters that mean something in a URL are encoded; the address stays below the template's."""
    source = RemotePEM(TEMPLATE, fetch=Web())
    assert source.url_of("a+b=:c") == "https://keys.example/elb/a%2Bb%3D%3Ac"


def test_a_flood_of_kids_asks_for_a_few() -> None:
    """One refresh asks for a few new kids, however many tokens named one."""
    web = Web()
    source = RemotePEM(TEMPLATE, fetch=web)
    source._bring({number: f"kid{number}" for number in range(64)}, None)
    assert len(web.asked) == 8


def test_a_login_page_where_a_pem_is_due_fails_the_fetch() -> None:
    """What is no PEM text is named, and what was known stays."""
    key = CertifiedKey()
    web = Web({"https://keys.example/elb/a": key.public_pem})
    source = RemotePEM(TEMPLATE, fetch=web, kids=["a"], freshness=QUICK)
    assert source.refresh(WAIT_S)
    web.pages["https://keys.example/elb/a"] = "<html>Sign in</html>"
    with pytest.raises(FetchFailed) as failed:
        source._bring({}, None)
    assert failed.value.detail == "document: an HTML login page, not PEM text"
    assert source.status().kids == ("a",)


@pytest.mark.parametrize(
    "template",
    ["https://keys.example/", "https://{kid}.example/k", "https://keys.example/{kid}/{kid}",
     "https://keys.example/?k={kid}", "http://keys.example/{kid}", "https://keys.example/{kid}{x}", "{kid}"],
)  # fmt: skip
def test_templates_are_checked(template: str) -> None:
    """A template names the kid once, in its path, at an https address."""
    with pytest.raises(ConfigurationError):
        RemotePEM(template)


def test_files_of_a_folder_are_keys_by_name(tmp_path: Path) -> None:
    """A folder's files are keys by name; new ones are taken, gone ones go, bad ones change nothing."""
    one, two = CertifiedKey(), CertifiedKey()
    (tmp_path / "one.pem").write_text(one.pem)
    (tmp_path / ".hidden.pem").write_text(two.pem)
    (tmp_path / "README").write_text("keys")
    source = PEMFiles(tmp_path)
    engine = _engine(source)
    assert _code(engine, one.token(CLAIMS, kid="one")) == "ok"
    assert _code(engine, one.token(CLAIMS, kid=".hidden")) == "unknown_kid"
    (tmp_path / "two.der").write_bytes(two.der)
    (tmp_path / "one.pem").write_text("half")
    assert not source.reload()
    assert _code(engine, one.token(CLAIMS, kid="one")) == "ok"
    assert _code(engine, two.token(CLAIMS, kid="two")) == "ok"
    (tmp_path / "one.pem").unlink()
    assert source.reload()
    assert _code(engine, one.token(CLAIMS, kid="one")) == "unknown_kid"


def test_a_file_answers_for_any_kid_or_for_its_name(tmp_path: Path) -> None:
    """One file is a key for any kid by default, and for its name alone where that is asked for."""
    key = CertifiedKey()
    path = tmp_path / "partner.crt"
    path.write_text(key.pem)
    anybody = _engine(PEMFiles(path))
    assert [_code(anybody, key.token(CLAIMS, kid=kid)) for kid in (None, "x")] == ["ok", "ok"]
    named = _engine(PEMFiles(path, kid="name"))
    assert [_code(named, key.token(CLAIMS, kid=kid)) for kid in ("partner", "x")] == ["ok", "unknown_kid"]


def test_a_folder_is_followed(tmp_path: Path) -> None:
    """A file that appears is taken without a call."""
    (tmp_path / "a.pem").write_text(CertifiedKey().pem)
    engine = _engine(PEMFiles(tmp_path, poll_s=0.01))
    key = CertifiedKey()
    (tmp_path / "b.pem").write_text(key.public_pem)
    wait_for(lambda: _code(engine, key.token(CLAIMS, kid="b")) == "ok")


def _jwk(key: CertifiedKey, **members: Any) -> dict[str, Any]:
    from rapidjws import JWK

    return {**JWK.from_pem(key.pem).as_dict(), **members}


def test_a_spiffe_bundle_brings_its_jwt_keys() -> None:
    """Keys of use jwt-svid with a kid are used; x509-svid, sig and keys without a kid are not."""
    key, other = CertifiedKey(), CertifiedKey()
    entries = [
        _jwk(key, use="jwt-svid", kid="a"),
        _jwk(other, use="x509-svid", kid="b"),
        _jwk(other, use="sig", kid="c"),
        _jwk(other, use="jwt-svid"),
        _jwk(other, kid="d"),
    ]
    page = {"keys": entries, "spiffe_sequence": 12, "spiffe_refresh_hint": 120}
    source = SpiffeBundle(URL, fetch=Web({URL: page}))
    assert source.refresh(WAIT_S)
    assert source.status().kids == ("a",)
    assert 60 < (source.status().fresh_for_s or 0) <= 120


@pytest.mark.parametrize("page", [{"keys": 1}, {"jwks_uri": "x"}, "[]"])
def test_what_is_no_bundle_is_refused(page: Any) -> None:
    """Another document is refused and named."""
    source = SpiffeBundle(URL, fetch=Web({URL: page}))
    assert not source.refresh(0.5)
    assert (source.status().last_failure or "").startswith("document: ")


def test_outages_end_at_the_stale_limit() -> None:
    """A source that cannot be refreshed serves its keys up to the stale limit, and then none."""
    key = CertifiedKey()
    web = Web({URL: {"a": key.pem}})
    lives = {"min_ttl_s": 0.01, "max_ttl_s": 0.02, "default_ttl_s": 0.01, "stale_limit_s": 0.3}
    fresh = Freshness(**lives, retry_min_s=0.01, retry_max_s=0.02)
    engine = _engine(RemoteCertificates(URL, fetch=web, freshness=fresh))
    assert engine.wait_ready(WAIT_S)
    web.pages[URL] = FetchFailed("connect")
    wait_for(lambda: _code(engine, key.token(CLAIMS, kid="a")) == "keys_stale")


SVID = {"sub": "spiffe://a.example/shop/web", "aud": "api", "exp": NOW + 36_000}


def _svid_engine(*domains: tuple[str, CertifiedKey]) -> Engine:
    issuers = []
    for domain, key in domains:
        page = {"keys": [_jwk(key, use="jwt-svid", kid="1")]}
        source = SpiffeBundle(URL, fetch=Web({URL: page}))
        issuers.append(Issuer.spiffe(domain, keys=source, audience="api"))
    engine = Engine(*issuers)
    assert engine.wait_ready(WAIT_S)
    return engine


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, "ok"),
        ({"iss": "https://spire.example"}, "ok"),
        ({"sub": "spiffe://b.example/shop/web"}, "issuer_mismatch"),
        ({"sub": "spiffe://a.example.evil.example/x"}, "issuer_mismatch"),
        ({"sub": "spiffe://a.example"}, "issuer_mismatch"),
        ({"sub": "SPIFFE://a.example/x"}, "issuer_mismatch"),
        ({"sub": "spiffe://a.example/.x/..y/..."}, "ok"),
        ({"sub": "spiffe://a.example/"}, "issuer_mismatch"),
        ({"sub": "spiffe://a.example/shop/"}, "issuer_mismatch"),
        ({"sub": "spiffe://a.example//shop"}, "issuer_mismatch"),
        ({"sub": "spiffe://a.example/web/../admin"}, "issuer_mismatch"),
        ({"sub": "spiffe://a.example/./web"}, "issuer_mismatch"),
        ({"sub": "spiffe://a.example/web/.."}, "issuer_mismatch"),
        ({"sub": "spiffe://a.example/web%2f.."}, "issuer_mismatch"),
        ({"sub": "spiffe://a.example/web?x"}, "issuer_mismatch"),
        ({"sub": "spiffe://a.example/web\n"}, "issuer_mismatch"),
        ({"sub": "spiffe://a.example/w\u00e4b"}, "issuer_mismatch"),
        ({"sub": "spiffe://a.example/" + "a" * 2030}, "issuer_mismatch"),
        ({"sub": "u"}, "issuer_mismatch"),
        ({"sub": None}, "malformed_claim"),
        ({"aud": "other"}, "audience_mismatch"),
        ({"exp": NOW - 300}, "expired"),
    ],
)
def test_an_svid_is_of_the_trust_domain_of_its_sub(changes: dict[str, Any], code: str) -> None:
    """A JWT-SVID needs no iss; its subject must lie in the trust domain, to the letter."""
    key = CertifiedKey()
    engine = _svid_engine(("a.example", key))
    token = key.token({**SVID, **changes}, kid="1")
    assert [_code(engine, token) for _ in range(2)] == [code] * 2


def test_trust_domains_with_the_same_kid() -> None:
    """Each trust domain is answered by its own keys, though they share a kid."""
    one, two = CertifiedKey(), CertifiedKey()
    engine = _svid_engine(("a.example", one), ("b.example", two))
    of_b = {**SVID, "sub": "spiffe://b.example/x"}
    for _ in range(2):
        assert _code(engine, one.token(SVID, kid="1")) == "ok"
        assert _code(engine, two.token(of_b, kid="1")) == "ok"
        assert _code(engine, one.token(of_b, kid="1")) == "signature_invalid"
        assert _code(engine, one.token({**SVID, "sub": "spiffe://c.example/x"}, kid="1")) == "unknown_issuer"


@pytest.mark.parametrize("settings", [{"trust_domain": "A.example"}, {"trust_domain": ""}, {"audience": ()}])
def test_a_trust_domain_is_checked(settings: dict[str, Any]) -> None:
    """A trust domain is a name in lower case, and an audience is needed."""
    key = CertifiedKey()
    arguments = {"trust_domain": "a.example", "audience": "api", **settings}
    with pytest.raises(ConfigurationError):
        Issuer.spiffe(**arguments, keys=[key.public_pem])

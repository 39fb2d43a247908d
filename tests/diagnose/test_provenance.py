"""Which provider and which profile a token looks like; hostile words are like none, and reach no terminal."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from broken_world import b64, dumps

from rapidjws.diagnose.decode import NOT_VERIFIED, decode

pytest.importorskip("typer", reason="the extra `cli` is not installed")

from typer.testing import CliRunner

from rapidjws.cli.app import app


def token_of(header: dict[str, Any], claims: dict[str, Any]) -> str:
    """Return a token with these members and no good signature."""
    return f"{b64(dumps({'alg': 'ES256', **header}))}.{b64(dumps(claims))}.AAAA"


PROVIDERS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("Google", {}, {"iss": "https://accounts.google.com"}),
    ("Google", {}, {"iss": "accounts.google.com"}),
    ("Firebase", {}, {"iss": "https://securetoken.google.com/my-project"}),
    ("Microsoft Entra ID (v2.0)", {}, {"iss": "https://login.microsoftonline.com/72f988bf/v2.0"}),
    ("Microsoft Entra ID (v1.0)", {}, {"iss": "https://sts.windows.net/72f988bf/"}),
    ("Microsoft Entra External ID or B2C", {}, {"iss": "https://shop.b2clogin.com/72f988bf/v2.0/"}),
    ("Auth0", {}, {"iss": "https://shop.eu.auth0.com/"}),
    ("Okta", {}, {"iss": "https://dev-1.okta.com/oauth2/default"}),
    ("Amazon Cognito", {}, {"iss": "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_abc"}),
    ("Keycloak", {}, {"iss": "https://id.example/realms/shop"}),
    ("Keycloak", {}, {"iss": "http://localhost:8080/auth/realms/shop"}),
    ("GitHub Actions", {}, {"iss": "https://token.actions.githubusercontent.com"}),
    ("GitLab", {}, {"iss": "https://gitlab.com"}),
    ("GitLab", {}, {"iss": "https://git.example", "project_path": "a/b", "namespace_path": "a"}),
    ("Kubernetes", {}, {"iss": "https://kubernetes.default.svc.cluster.local"}),
    ("Kubernetes", {}, {"iss": "https://oidc.example", "kubernetes.io": {"namespace": "a"}}),
    ("SPIFFE", {}, {"sub": "spiffe://example.org/web"}),
    ("Apple ID", {}, {"iss": "https://appleid.apple.com"}),
    ("Apple App Store Server", {"x5c": ["a"]}, {"notificationType": "TEST"}),
    ("AWS Application Load Balancer", {"signer": "arn:aws:elasticloadbalancing:eu-west-1:1:x"}, {}),
    ("Cloudflare Access", {}, {"iss": "https://team.cloudflareaccess.com"}),
    ("Vault or OpenBao", {}, {"iss": "https://vault.example:8200/v1/identity/oidc"}),
    ("UK Open Banking", {"crit": ["http://openbanking.org.uk/iat"]}, {}),
    ("Plaid", {}, {"request_body_sha256": "00"}),
    ("TrueLayer", {"tl_version": "2"}, {}),
]
NO_PROVIDER: list[dict[str, Any]] = [
    {"iss": "https://accounts.google.com.evil.example"},
    {"iss": "https://evil.example/accounts.google.com"},
    {"iss": "https://notokta.com/"},
    {"iss": "https://evil.example#.auth0.com/"},
    {"iss": "https://login.microsoftonline.com.evil.example/x/v2.0"},
    {"iss": "https://appleid.apple.com\n"},
    {"iss": ["https://accounts.google.com"]},
    {"iss": None, "sub": 5},
    {},
]


@pytest.mark.parametrize(("name", "header", "claims"), PROVIDERS)
def test_a_provider_is_named(name: str, header: dict[str, Any], claims: dict[str, Any]) -> None:
    """A token with a provider's members looks like that provider."""
    found = decode(token_of(header, claims)).provider
    assert found is not None
    assert found.name == name


@pytest.mark.parametrize("claims", NO_PROVIDER)
def test_what_only_resembles_a_provider_is_none(claims: dict[str, Any]) -> None:
    """Another host, path, type or line end is not taken for a provider."""
    assert decode(token_of({}, claims)).provider is None


LOGOUT = {"http://schemas.openid.net/event/backchannel-logout": {}}
PROFILES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("access token (RFC 9068)", {"typ": "at+jwt"}, {"iss": "a", "nonce": "x", "sub": "s"}),
    ("access token (RFC 9068)", {"typ": "application/AT+JWT"}, {}),
    ("access token", {}, {"iss": "a", "scope": "read"}),
    ("access token", {}, {"token_use": "access"}),
    ("access token", {}, {"typ": "Bearer"}),
    ("ID token (OpenID Connect Core)", {}, {"iss": "a", "sub": "s", "nonce": "n"}),
    ("ID token (OpenID Connect Core)", {}, {"iss": "a", "sub": "s", "at_hash": "n"}),
    ("ID token (OpenID Connect Core)", {}, {"token_use": "id", "roles": []}),
    ("refresh token", {}, {"typ": "Refresh", "scope": "a"}),
    ("logout token (OpenID Connect Back-Channel Logout)", {"typ": "logout+jwt"}, {}),
    ("logout token (OpenID Connect Back-Channel Logout)", {}, {"events": LOGOUT}),
    ("security event token (RFC 8417)", {"typ": "secevent+jwt"}, {}),
    ("security event token (RFC 8417)", {}, {"events": {"https://x": {}}}),
    ("DPoP proof (RFC 9449)", {"typ": "dpop+jwt"}, {}),
    ("DPoP proof (RFC 9449)", {}, {"htm": "GET", "htu": "https://a"}),
    ("verifiable credential", {"typ": "vc+jwt"}, {}),
    ("verifiable credential", {}, {"vc": {}}),
    ("verifiable presentation", {}, {"vp": {}}),
    ("SD-JWT credential (RFC 9901)", {"typ": "dc+sd-jwt"}, {}),
    ("JWT-SVID", {}, {"sub": "spiffe://example.org/web"}),
    ("service account token", {}, {"kubernetes.io": {}}),
    ("client assertion (RFC 7523)", {}, {"iss": "c", "sub": "c", "aud": "a", "jti": "j", "exp": 1}),
]


@pytest.mark.parametrize(("name", "header", "claims"), PROFILES)
def test_a_profile_is_named(name: str, header: dict[str, Any], claims: dict[str, Any]) -> None:
    """A token with a profile's type or claims looks like that profile."""
    found = decode(token_of(header, claims)).profile
    assert found is not None
    assert found.name == name


@pytest.mark.parametrize(
    "claims", [{"events": []}, {"events": {}}, {"typ": 5}, {"typ": ["ID"]}, {"a": 1}, {}]
)
def test_no_profile_is_guessed(claims: dict[str, Any]) -> None:
    """Claims that tell nothing are like no profile."""
    assert decode(token_of({"typ": 5}, claims)).profile is None


def test_the_command_shows_both_below_its_first_line() -> None:
    """The first line says that nothing is verified; then come provider and profile, in fixed words only."""
    text = token_of({"typ": "at+jwt"}, {"iss": "https://accounts.google.com", "sub": "\x1b[31m\u202e"})
    shown = CliRunner().invoke(app, ["decode", "-"], input=text).output
    assert shown.startswith(NOT_VERIFIED)
    assert "provider: looks like Google, by claims.iss" in shown
    assert "profile: looks like access token (RFC 9068), by header.typ" in shown
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    members = json.loads(CliRunner().invoke(app, ["decode", "-", "--json"], input=text).output)
    assert next(iter(members)) == "verified"
    assert members["provider"] == {"name": "Google", "why": "claims.iss"}
    assert members["profile"]["name"] == "access token (RFC 9068)"


def test_a_long_name_takes_no_time() -> None:
    """An issuer of hostile length is looked at in bounded time."""
    begun = time.process_time()
    for iss in (
        "https://" + "a." * 100_000,
        "https://" + "a-" * 100_000 + "auth0.com",
        "https://a/v1/" * 20_000,
    ):
        decode(token_of({}, {"iss": iss}))
    assert time.process_time() - begun < 60

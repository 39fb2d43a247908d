"""Which provider a token looks like it comes from, and which profile it follows; from unverified words only.

Anybody can write these words: what is returned says where to look in the documentation, and nothing more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from rapidjws.diagnose.formats import purpose


class Likeness(NamedTuple):
    """What a token looks like.

    Attributes:
        name: The provider or the profile.
        why: By which member, in fixed words.
    """

    name: str
    why: str


_HOST: Final = r"https://(?:[a-z0-9-]+\.)*"
_END: Final = r"(?::\d+)?(?:/.*)?"
_BY_ISS: Final = (
    ("Google", r"(?:https://)?accounts\.google\.com"),
    ("Firebase", r"https://(?:securetoken|session\.firebase)\.google\.com/.+"),
    ("Google Kubernetes Engine", r"https://container\.googleapis\.com/.+"),
    ("Microsoft Entra ID (v2.0)", r"https://login\.(?:microsoftonline\.(?:com|us)|partner\.microsoftonline\.cn)/.+/v2\.0"),
    ("Microsoft Entra ID (v1.0)", r"https://sts\.(?:windows\.net|chinacloudapi\.cn)/.+"),
    ("Microsoft Entra External ID or B2C", _HOST + r"(?:b2clogin|ciamlogin)\.com" + _END),
    ("Auth0", _HOST + r"auth0\.com" + _END),
    ("Okta", _HOST + r"(?:okta|oktapreview|okta-emea)\.com" + _END),
    ("Amazon Cognito", r"https://cognito-idp\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?/.+"),
    ("Amazon EKS", r"https://oidc\.eks\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?/.+"),
    ("GitHub Actions", r"https://token\.actions\.(?:githubusercontent\.com|[a-z0-9-]+\.ghe\.com)(?:/.*)?"),
    ("Apple ID", r"https://appleid\.apple\.com"),
    ("Cloudflare Access", _HOST + r"cloudflareaccess\.com" + _END),
    ("CircleCI", r"https://oidc\.circleci\.com/.+"),
    ("Bitbucket Pipelines", r"https://api\.bitbucket\.org/.+/pipelines-config/identity/oidc"),
    ("HCP Terraform", r"https://app\.terraform\.io"),
    ("Slack", r"https://slack\.com"),
    ("LINE", r"https://access\.line\.me"),
    ("Twitch", r"https://id\.twitch\.tv/oauth2"),
    ("Salesforce", _HOST + r"(?:salesforce|force)\.com" + _END),
    ("Supabase", _HOST + r"supabase\.(?:co|in)/auth/v1"),
    ("Clerk", _HOST + r"clerk\.accounts\.dev"),
    ("OneLogin", _HOST + r"onelogin\.com" + _END),
    ("Ping Identity", r"https://auth\.pingone\.[a-z.]+/.+"),
    ("Keycloak", r"https?://[^/]+(?:/auth)?/realms/[^/]+"),
    ("Vault or OpenBao", r"https?://[^/]+/v1/(?:.+/)?identity/oidc(?:/.*)?"),
    ("Kubernetes", r"(?:https://)?kubernetes(?:\.default(?:\.svc.*)?|/serviceaccount)"),
)  # fmt: skip
_COMPILED: Final = tuple((name, re.compile(pattern)) for name, pattern in _BY_ISS)
_ISS_MAX_CHARS: Final = 512
_OPEN_BANKING: Final = "http://openbanking.org.uk/"
_APP_STORE: Final = frozenset({"notificationType", "transactionId", "originalTransactionId", "bundleId"})
_ACCESS_MEMBERS: Final = ("scope", "scp", "roles", "permissions", "entitlements")


def provider(header: Mapping[str, Any], claims: Mapping[str, Any]) -> Likeness | None:
    """Return the provider that a token looks like, or None."""
    return next(_providers(header, claims), None)


def _providers(header: Mapping[str, Any], claims: Mapping[str, Any]) -> Iterator[Likeness]:
    """Yield the providers that the members name, the surest first."""
    crit = header.get("crit")
    if _text(header, "signer").startswith("arn:aws:elasticloadbalancing:"):
        yield Likeness("AWS Application Load Balancer", "header.signer")
    if any(str(name).startswith(_OPEN_BANKING) for name in (crit if isinstance(crit, list) else ())):
        yield Likeness("UK Open Banking", "header.crit")
    if "tl_version" in header:
        yield Likeness("TrueLayer", "header.tl_version")
    if isinstance(header.get("x5c"), list) and _APP_STORE & claims.keys():
        yield Likeness("Apple App Store Server", "header.x5c and an App Store claim")
    if "request_body_sha256" in claims:
        yield Likeness("Plaid", "claims.request_body_sha256")
    if _text(claims, "sub").startswith("spiffe://"):
        yield Likeness("SPIFFE", "claims.sub")
    iss = _text(claims, "iss")[:_ISS_MAX_CHARS]
    if "kubernetes.io" in claims:
        yield Likeness("Kubernetes", "claims['kubernetes.io']")
    if "project_path" in claims and "namespace_path" in claims:
        yield Likeness("GitLab", "claims.project_path")
    yield from (Likeness(name, "claims.iss") for name, pattern in _COMPILED if pattern.fullmatch(iss))
    if iss == "https://gitlab.com":
        yield Likeness("GitLab", "claims.iss")


def profile(header: Mapping[str, Any], claims: Mapping[str, Any]) -> Likeness | None:
    """Return the profile that a token looks like, or None."""
    return next(_profiles(header, claims), None)


def _profiles(header: Mapping[str, Any], claims: Mapping[str, Any]) -> Iterator[Likeness]:
    """Yield the profiles that the members name: ``typ`` first, then what only one profile has."""
    typ = _text(header, "typ").lower().removeprefix("application/")
    if typ == "at+jwt":
        yield Likeness("access token (RFC 9068)", "header.typ")
    if typ in ("vc+jwt", "vc+ld+jwt") or "vc" in claims:
        yield Likeness("verifiable credential", "header.typ" if "vc" not in claims else "claims.vc")
    if typ in ("vp+jwt", "vp+ld+jwt") or "vp" in claims:
        yield Likeness("verifiable presentation", "header.typ" if "vp" not in claims else "claims.vp")
    if typ == "passport":
        yield Likeness("PASSporT (RFC 8225)", "header.typ")
    if typ == "jwt-svid" or _text(claims, "sub").startswith("spiffe://"):
        yield Likeness("JWT-SVID", "header.typ" if typ == "jwt-svid" else "claims.sub")
    found = purpose(dict(header), dict(claims))
    if found is not None and found[0] in _PURPOSE_NAMES:
        yield Likeness(_PURPOSE_NAMES[found[0]], "header.typ" if typ.endswith("+jwt") else "claims")
    if isinstance(claims.get("events"), dict) and claims["events"]:
        yield Likeness("security event token (RFC 8417)", "claims.events")
    yield from _by_claims(claims)


_PURPOSE_NAMES: Final = {
    "dpop_proof": "DPoP proof (RFC 9449)",
    "logout_token": "logout token (OpenID Connect Back-Channel Logout)",
    "security_event": "security event token (RFC 8417)",
    "sd_jwt": "SD-JWT credential (RFC 9901)",
}
_KIND_CLAIMS: Final = {
    ("token_use", "id"): "ID token (OpenID Connect Core)",
    ("token_use", "access"): "access token",
    ("typ", "ID"): "ID token (OpenID Connect Core)",
    ("typ", "Bearer"): "access token",
    ("typ", "Refresh"): "refresh token",
    ("typ", "Offline"): "refresh token",
    ("typ", "Logout"): "logout token (OpenID Connect Back-Channel Logout)",
}
"""What Cognito and Keycloak write into a claim of their own."""


def _by_claims(claims: Mapping[str, Any]) -> Iterator[Likeness]:
    """Yield the profiles that claims alone tell."""
    for (name, value), words in _KIND_CLAIMS.items():
        if claims.get(name) == value:
            yield Likeness(words, f"claims.{name}")
    hashes = next((name for name in ("nonce", "at_hash", "c_hash") if name in claims), None)
    if hashes is not None and "iss" in claims and "sub" in claims:
        yield Likeness("ID token (OpenID Connect Core)", f"claims.{hashes}")
    if "kubernetes.io" in claims:
        yield Likeness("service account token", "claims['kubernetes.io']")
    allows = next((name for name in _ACCESS_MEMBERS if name in claims), None)
    if allows is not None:
        yield Likeness("access token", f"claims.{allows}")
    iss = claims.get("iss")
    if isinstance(iss, str) and iss == claims.get("sub") and {"aud", "jti", "exp"} <= claims.keys():
        yield Likeness("client assertion (RFC 7523)", "claims.iss and claims.sub, which are equal")


def _text(members: Mapping[str, Any], name: str) -> str:
    """Return a member that is text, or an empty text."""
    value = members.get(name)
    return value if isinstance(value, str) else ""

"""The checks behind the rows of ``lint_rows``: each looks at one issuer's table, or at the whole file."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_network
from typing import Any, Final

from rapidjws.jwt.profiles import PROFILES
from rapidjws.sender.dpop import DPOP_ALGORITHMS

Table = dict[str, Any]
Place = tuple["str | int", ...]
Verdict = tuple["bool | None", Place, str]
"""Whether it holds (None: it is not asked here), the setting that decided, and what stands there."""

Check = Callable[[Table, Table], Verdict]

HMAC: Final = frozenset({"HS256", "HS384", "HS512"})
FAPI_ALGORITHMS: Final = frozenset({"PS256", "ES256", "EdDSA", "Ed25519"})
CLAIMS: Final = frozenset({"iss", "aud", "sub", "client_id", "iat", "jti"})
LEEWAY_S: Final = 60
STALE_LIMIT_S: Final = 21_600
WIDE_BITS: Final = 8
"""A network of this many fixed bits or fewer is everybody."""


def _texts(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(value)


def _profile(issuer: Table) -> Any:
    return PROFILES.get(issuer.get("profile", ""))


def is_access_token(issuer: Table) -> bool:
    """Return whether an issuer's tokens are declared to be access tokens of RFC 9068."""
    return issuer.get("profile") == "access_token" or "at+jwt" in _texts(issuer.get("typ"))


def is_of_another_kind(issuer: Table) -> bool:
    """Return whether an issuer's tokens are declared to be of another kind."""
    return "trust_domain" in issuer or issuer.get("profile", "access_token") != "access_token"


def always(issuer: Table, tables: Table) -> Verdict:
    """Hold, whatever is configured."""
    return True, (), "always"


def one_kind_of_key(issuer: Table, tables: Table) -> Verdict:
    """Compare the algorithms with each other."""
    names = set(_texts(issuer["algorithms"]))
    shared = sorted(names & HMAC)
    return not shared or not names - HMAC, ("algorithms",), ", ".join(shared or sorted(names))


def asymmetric(issuer: Table, tables: Table) -> Verdict:
    """Ask that no algorithm is one of shared secrets."""
    names = sorted(HMAC.intersection(_texts(issuer["algorithms"])))
    return not names, ("algorithms",), ", ".join(names or _texts(issuer["algorithms"]))


def fapi_algorithms(issuer: Table, tables: Table) -> Verdict:
    """Ask that each algorithm is one of FAPI 2.0."""
    names = [one for one in _texts(issuer["algorithms"]) if one not in FAPI_ALGORITHMS]
    return not names, ("algorithms",), ", ".join(names or _texts(issuer["algorithms"]))


def dpop_algorithms(issuer: Table, tables: Table) -> Verdict:
    """Ask that each algorithm of proofs is one of FAPI 2.0."""
    if "dpop" not in tables:
        return None, ("dpop",), "no DPoP"
    given = _texts(tables["dpop"].get("algorithms", DPOP_ALGORITHMS))
    names = [one for one in given if one not in FAPI_ALGORITHMS]
    return not names, ("dpop", "algorithms"), ", ".join(names or given)


def issuer_is_compared(issuer: Table, tables: Table) -> Verdict:
    """Ask for an ``iss`` that is compared, of known tenants."""
    if "trust_domain" in issuer:
        return True, ("trust_domain",), "sub is compared with the trust domain"
    if issuer.get("check_iss") is False:
        return False, ("check_iss",), "check_iss = false"
    if issuer.get("any_tenant") is True:
        return False, ("any_tenant",), "any_tenant = true"
    return True, ("iss",), "compared"


def audience_is_compared(issuer: Table, tables: Table) -> Verdict:
    """Ask for an ``aud`` that is compared."""
    if issuer.get("check_audience") is False:
        return False, ("check_audience",), "check_audience = false"
    if not _texts(issuer.get("audience")):
        return False, ("audience",), "no audience: tokens without aud are accepted"
    return True, ("audience",), "compared"


def has_type(issuer: Table, tables: Table) -> Verdict:
    """Ask for a ``typ`` that tokens must have; ``JWT`` says nothing."""
    profile = _profile(issuer)
    types = _texts(issuer["typ"]) if "typ" in issuer else () if profile is None else profile.typ
    required = issuer.get("typ_required", True if profile is None else profile.typ_required)
    named = [one for one in types if one.lower().removeprefix("application/") != "jwt"]
    if not types:
        return False, ("typ",), "any typ is accepted"
    if len(named) < len(types) or not required:
        return False, ("typ",) if "typ" in issuer else ("profile",), "typ JWT, or none, is accepted"
    return True, ("typ",) if "typ" in issuer else ("profile",), ", ".join(types)


def kinds_apart(issuer: Table, tables: Table) -> Verdict:
    """Ask for anything that tells kinds of token apart."""
    for name in ("profile", "typ", "claims", "required_claims", "trust_domain"):
        if issuer.get(name):
            return True, (name,), name
    return False, ("profile",), "nothing tells access tokens from others of this issuer"


def has_claims(issuer: Table, tables: Table) -> Verdict:
    """Ask for the claims of an access token."""
    profile = _profile(issuer)
    required = set(_texts(issuer["required_claims"])) if "required_claims" in issuer else set()
    if "required_claims" not in issuer and profile is not None:
        required = set(profile.required)
    compared = {"iss"} if issuer_is_compared(issuer, tables)[0] else set()
    compared |= {"aud"} if audience_is_compared(issuer, tables)[0] else set()
    missing = sorted(CLAIMS - required - compared)
    if issuer.get("exp_required") is False:
        return False, ("exp_required",), "exp_required = false"
    words = f"not required: {', '.join(missing)}" if missing else "required"
    return not missing, ("required_claims",) if "required_claims" in issuer else ("profile",), words


def expiry_is_required(issuer: Table, tables: Table) -> Verdict:
    """Ask that a token without ``exp`` is refused."""
    profile = _profile(issuer)
    if profile is not None and not profile.exp_required and "exp_required" not in issuer:
        return None, ("profile",), "events have no end"
    holds = issuer.get("exp_required") is not False
    return holds, ("exp_required",), "required" if holds else "exp_required = false"


def clock_tolerance(issuer: Table, tables: Table) -> Verdict:
    """Ask for 10 to 60 seconds."""
    found = issuer.get("leeway_s", LEEWAY_S)
    return 10 <= found <= 60, ("leeway_s",), f"{found} s"


def bound_to_senders(issuer: Table, tables: Table) -> Verdict:
    """Ask for tokens that are bound, and for something that compares them with their senders."""
    if "dpop" not in tables and "mtls" not in tables:
        return False, ("cnf",), "neither [dpop] nor [mtls]"
    found = issuer.get("cnf", "unchecked")
    return found == "required", ("cnf",), f"cnf = {found}"


def permissions_are_checked(issuer: Table, tables: Table) -> Verdict:
    """Ask for rules that are enforced, or for scopes of each partner."""
    section = tables.get("authz") or {}
    if section.get("rules"):
        phases = {one.get("phase", section.get("phase", "enforce")) for one in section["rules"]}
        if "enforce" in phases:
            return True, ("authz", "rules"), f"{len(section['rules'])} rules"
        return False, ("authz", "phase"), f"rules that refuse nobody: {', '.join(sorted(phases))}"
    partners = tables.get("partners") or []
    if partners and all(one.get("scopes") for one in partners):
        return True, ("partners", 0, "scopes"), "scopes of each partner"
    return False, ("authz",), "no rules, and not each partner has scopes"


def revocation_is_known(issuer: Table, tables: Table) -> Verdict:
    """Ask for revocations, or a second opinion."""
    for name in ("revocations", "introspection"):
        if tables.get(name):
            return True, (name,), name
    return False, ("revocations",), "nothing can revoke a token"


def dpop_replay(issuer: Table, tables: Table) -> Verdict:
    """Ask that a proof is refused where nobody knows whether it was used; workers share the store anyway."""
    if "dpop" not in tables:
        return None, ("dpop",), "no DPoP"
    failure = tables["dpop"].get("replay_on_failure", "deny")
    return failure == "deny", ("dpop", "replay_on_failure"), f"replay_on_failure = {failure}"


def forwarded_certificate(issuer: Table, tables: Table) -> Verdict:
    """Ask that the header with the client's certificate is believed from few."""
    if "mtls" not in tables:
        return None, ("mtls",), "no mutual TLS"
    wide = [one for one in _texts(tables["mtls"].get("trusted_peers")) if _is_wide(one)]
    return not wide, ("mtls", "trusted_peers"), ", ".join(wide) if wide else "named peers"


def forwarded_request(issuer: Table, tables: Table) -> Verdict:
    """Ask that the header which names the client's path is one that the gateway is known to overwrite."""
    if "server" not in tables or not {"authz", "dpop", "introspection"} & tables.keys():
        return None, ("server",), "nothing depends on the path, or there is no sidecar"
    if "route_headers" in tables["server"]:
        found = _texts(tables["server"]["route_headers"])
        return len(found) <= 1, ("server", "route_headers"), ", ".join(found) or "no header"
    return False, ("server", "route_headers"), "by default two headers, and a gateway sets one at most"


def _is_wide(peer: str) -> bool:
    return peer != "unix" and ip_network(peer).prefixlen < WIDE_BITS


def fetched_over_tls(issuer: Table, tables: Table) -> Verdict:
    """Ask that keys come over TLS, or from a file."""
    if issuer.get("insecure_allow_http") is True:
        return False, ("insecure_allow_http",), "insecure_allow_http = true"
    for name in ("jwks_url", "certificates_url", "pem_url", "spiffe_bundle_url"):
        if name in issuer:
            return str(issuer[name]).lower().startswith("https:"), (name,), "https"
    return True, (), "no fetch, or discovery over https"


def stale_keys(issuer: Table, tables: Table) -> Verdict:
    """Ask that keys that cannot be fetched again end."""
    found = issuer.get("stale_limit_s", STALE_LIMIT_S)
    return found <= STALE_LIMIT_S, ("stale_limit_s",), f"{found} s"


def token_in_header(issuer: Table, tables: Table) -> Verdict:
    """Ask that no cookie carries a token."""
    found = (tables.get("server") or {}).get("token_cookie")
    return found is None, ("server", "token_cookie"), "in a header" if found is None else f"cookie {found}"

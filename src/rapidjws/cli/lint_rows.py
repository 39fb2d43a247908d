"""What best current practice asks of a configuration: one row a requirement, with the setting that mends it.

Rows that the engine holds whatever is configured are there as well: the table is read by auditors.
Sources: RFC 8725 and draft-ietf-oauth-rfc8725bis, RFC 9068, RFC 9700, FAPI 2.0 Security Profile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from rapidjws.cli.lint_checks import (
    Check,
    always,
    asymmetric,
    audience_is_compared,
    bound_to_senders,
    clock_tolerance,
    dpop_algorithms,
    dpop_replay,
    expiry_is_required,
    fapi_algorithms,
    fetched_over_tls,
    forwarded_certificate,
    forwarded_request,
    has_claims,
    has_type,
    is_access_token,
    is_of_another_kind,
    issuer_is_compared,
    kinds_apart,
    one_kind_of_key,
    permissions_are_checked,
    revocation_is_known,
    stale_keys,
    token_in_header,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

SPECIFICATIONS: Final = {
    "rfc8725": "RFC 8725",
    "rfc9068": "RFC 9068",
    "rfc9700": "RFC 9700",
    "fapi2": "FAPI 2.0",
}
BIS: Final = "bis-09"
"""The draft whose sections stand in rows about the revision of RFC 8725."""
HOLDS, FAILS, NOT_APPLICABLE = "holds", "fails", "not applicable"
ERROR, WARNING, NOTE = "error", "warning", "note"


class Row(NamedTuple):
    """A requirement.

    Attributes:
        name: Stable, for SARIF and exceptions.
        source: A key of ``SPECIFICATIONS``.
        section: Where it stands.
        level: What breaking it is: an error (MUST), a warning (SHOULD), a note.
        asks: What is asked for.
        mend: The setting that mends it, and how.
        check: Looks at an issuer's table, or at the whole file.
        each: Whether it is asked of each issuer.
    """

    name: str
    source: str
    section: str
    level: str
    asks: str
    mend: str
    check: Check
    each: bool = True


_AUDIENCE = 'audience = ["https://api.example"], the names that tokens use for this service'

ROWS: Final = (
    Row("rfc8725-algorithms", "rfc8725", "3.1", ERROR, "algorithms are listed, one for a key",
        "always: algorithms is required", always),
    Row("rfc8725-one-kind-of-key", "rfc8725", "3.1", ERROR, "no shared secrets beside public keys",
        "algorithms without HS256, HS384 and HS512, or with these alone", one_kind_of_key),
    Row("rfc8725-none", "rfc8725", "3.2", ERROR, "alg none, in any case of letters, is refused",
        "always: it is not implemented", always),
    Row("rfc8725-all-signatures", "rfc8725", "3.3", ERROR, "each cryptographic operation is validated",
        "always", always),
    Row("rfc8725-inputs", "rfc8725", "3.4", ERROR, "points of a key lie on its curve", "always", always),
    Row("rfc8725-key-sizes", "rfc8725", "3.5", ERROR, "keys have enough entropy",
        "always: HMAC keys of the digest's size, RSA of 2048 bits on", always),
    Row("rfc8725-utf8", "rfc8725", "3.7", ERROR, "JSON is UTF-8 alone", "always", always),
    Row("rfc8725-issuer", "rfc8725", "3.8", ERROR, "iss is compared",
        'iss = "https://issuer.example" instead of check_iss = false', issuer_is_compared),
    Row("rfc8725-audience", "rfc8725", "3.9", ERROR, "aud is compared", _AUDIENCE, audience_is_compared),
    Row("rfc8725-received-claims", "rfc8725", "3.10", ERROR, "no address or key in a header is followed",
        "always: jku, x5u and jwk are never used, kid only chooses", always),
    Row("rfc8725-typ", "rfc8725", "3.11", WARNING, "the kind of token stands in typ",
        'profile = "access_token", or typ = "at+jwt"', has_type),
    Row("rfc8725-kinds-apart", "rfc8725", "3.12", WARNING, "tokens of one kind do not pass for another",
        'profile = "access_token", or typ, claims or required_claims that tell them apart', kinds_apart),
    Row("rfc8725bis-iterations", "rfc8725", f"3.13 ({BIS})", WARNING,
        "no token says how often something is hashed", "always: encrypted tokens are refused", always),
    Row("rfc8725bis-format", "rfc8725", f"3.14 ({BIS})", ERROR,
        "a token is base64url with dots, and nothing else", "always", always),
    Row("rfc8725bis-decompression", "rfc8725", f"3.15 ({BIS})", WARNING,
        "nothing is decompressed", "always: encrypted tokens are refused", always),
    Row("rfc9068-typ", "rfc9068", "4", ERROR, "typ at+jwt is required",
        'profile = "access_token" without a typ of its own', has_type),
    Row("rfc9068-claims", "rfc9068", "2.2", ERROR, "iss, exp, aud, sub, client_id, iat and jti are there",
        'profile = "access_token", and exp_required not false', has_claims),
    Row("rfc9068-audience", "rfc9068", "4", ERROR, "aud names us", _AUDIENCE, audience_is_compared),
    Row("rfc9068-issuer", "rfc9068", "4", ERROR, "iss is exactly that of the authorization server",
        'iss = "https://issuer.example" instead of check_iss = false', issuer_is_compared),
    Row("rfc9068-asymmetric", "rfc9068", "2.1", WARNING, "signed by an asymmetric algorithm",
        'algorithms = ["ES256"]', asymmetric),
    Row("rfc9068-scopes", "rfc9068", "4", WARNING, "scopes, roles or claims are compared with the request",
        "[[authz.rules]] with scopes, or scopes of [[partners]]", permissions_are_checked, each=False),
    Row("rfc9700-sender-constrained", "rfc9700", "2.2.1", WARNING, "tokens are bound to who sends them",
        'cnf = "required" of the issuer, and [dpop] or [mtls]', bound_to_senders),
    Row("rfc9700-audience", "rfc9700", "2.3", WARNING, "access tokens are good for this service alone",
        _AUDIENCE, audience_is_compared),
    Row("rfc9700-privileges", "rfc9700", "2.3", WARNING, "what a token permits is compared with the request",
        "[[authz.rules]] with scopes, or scopes of [[partners]]", permissions_are_checked, each=False),
    Row("rfc9700-dpop-replay", "rfc9700", "4.10.1", ERROR, "a DPoP proof is good once",
        'replay_on_failure = "deny" in [dpop]', dpop_replay, each=False),
    Row("rfc9700-forwarded-certificate", "rfc9700", "4.13", ERROR,
        "the certificate that a gateway hands on is believed from gateways alone",
        'trusted_peers = ["10.0.0.7"], the addresses of the gateways, not of everybody',
        forwarded_certificate, each=False),
    Row("rfc9700-forwarded-request", "rfc9700", "4.13", WARNING,
        "the client's path stands in the one header that the gateway overwrites",
        'route_headers = ["X-Original-URI"] in [server], or [] where the path follows prefix (Envoy)',
        forwarded_request, each=False),
    Row("rfc9700-tls", "rfc9700", "2.6", ERROR, "keys come over TLS",
        "jwks_url with https, and no insecure_allow_http", fetched_over_tls),
    Row("rfc9700-query", "rfc9700", "4.3.2", ERROR, "no token in a query", "always", always),
    Row("fapi2-algorithms", "fapi2", "5.4.1", ERROR, "PS256, ES256 and EdDSA alone",
        'algorithms = ["ES256"]', fapi_algorithms),
    Row("fapi2-dpop-algorithms", "fapi2", "5.4.1", ERROR, "PS256, ES256 and EdDSA alone for DPoP proofs",
        'algorithms = ["ES256"] in [dpop]', dpop_algorithms, each=False),
    Row("fapi2-none", "fapi2", "5.4.1", ERROR, "alg none is refused",
        "always: it is not implemented", always),
    Row("fapi2-header-keys", "fapi2", "5.4.2", WARNING, "x5u and jku are not used", "always", always),
    Row("fapi2-duplicate-kids", "fapi2", "5.4.3", ERROR, "of keys with one kid the one that fits is used",
        "always: by kty, crv, use and alg", always),
    Row("fapi2-key-sizes", "fapi2", "5.4.1", ERROR, "RSA keys of 2048 bits on, curves of 224 bits on",
        "always", always),
    Row("fapi2-header", "fapi2", "5.3.4", ERROR, "tokens come in a header, never in a query",
        "no token_cookie in [server]", token_in_header, each=False),
    Row("fapi2-valid", "fapi2", "5.3.4", ERROR, "validity, integrity and expiry are checked",
        "exp_required not false", expiry_is_required),
    Row("fapi2-revocation", "fapi2", "5.3.4", ERROR, "the revocation status is checked",
        'file = "revocations.json" in [revocations], or [introspection]', revocation_is_known, each=False),
    Row("fapi2-authorization", "fapi2", "5.3.4", ERROR, "what a token permits is enough for the request",
        "[[authz.rules]] with scopes, or scopes of [[partners]]", permissions_are_checked, each=False),
    Row("fapi2-sender-constrained", "fapi2", "5.3.4", ERROR, "tokens are bound by mutual TLS or DPoP",
        'cnf = "required" of the issuer, and [dpop] or [mtls]', bound_to_senders),
    Row("fapi2-audience", "fapi2", "5.3.4", ERROR, "aud names us", _AUDIENCE, audience_is_compared),
    Row("fapi2-clock", "fapi2", "5.3.2.1", ERROR,
        "clocks that are 10 seconds ahead are forgiven, none beyond 60",
        "leeway_s = 60, or 10 to 60", clock_tolerance),
    Row("fapi2-tls", "fapi2", "5.2.1", ERROR, "keys come over TLS",
        "jwks_url with https, and no insecure_allow_http", fetched_over_tls),
    Row("fapi2-keys", "fapi2", "6.8", WARNING, "a key that was taken away is not used for long",
        "stale_limit_s = 21600 or less", stale_keys),
)  # fmt: skip


class Finding(NamedTuple):
    """What came of a requirement.

    Attributes:
        row: The requirement.
        status: ``HOLDS``, ``FAILS`` or ``NOT_APPLICABLE``.
        level: Of a failure.
        issuer: Of which issuer, by its number in the file, or None for the whole file.
        setting: The path of the setting that decided, or of the table where it is missing.
        found: What stands there, in words.
    """

    row: Row
    status: str
    level: str
    issuer: int | None
    setting: tuple[str | int, ...]
    found: str


def findings_in(tables: dict[str, Any], sources: Iterable[str], *, demanded: bool) -> list[Finding]:
    """Return what comes of each requirement, in the order of ``ROWS``.

    Args:
        tables: A configuration's tables, which have no faults.
        sources: Keys of ``SPECIFICATIONS``.
        demanded: Whether somebody named the specifications; else FAPI 2.0 gives notes alone, and so does RFC
            9068 for issuers whose tokens are not declared to be of its kind.
    """
    wanted = frozenset(sources)
    issuers = tables.get("issuers") or []
    found = []
    for row in ROWS:
        if row.source not in wanted:
            continue
        if row.check is always or not row.each:
            found.append(_finding(row, {}, tables, None, demanded=demanded))
        else:
            found += [
                _finding(row, issuer, tables, number, demanded=demanded)
                for number, issuer in enumerate(issuers)
            ]
    return found


def _finding(
    row: Row, issuer: dict[str, Any], tables: dict[str, Any], number: int | None, *, demanded: bool
) -> Finding:
    holds, setting, words = row.check(issuer, tables)
    if number is not None and row.source in ("rfc9068", "fapi2") and is_of_another_kind(issuer):
        holds, words = None, "tokens of another kind"
    status = NOT_APPLICABLE if holds is None else HOLDS if holds else FAILS
    is_chosen = demanded or row.source in ("rfc8725", "rfc9700")
    if row.source == "rfc9068" and number is not None:
        is_chosen = is_chosen or is_access_token(issuer)
    place: tuple[str | int, ...] = setting if number is None else ("issuers", number, *setting)
    return Finding(row, status, row.level if is_chosen else NOTE, number, place, words)

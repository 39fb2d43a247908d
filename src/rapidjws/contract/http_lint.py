"""How a partner's key address behaves: TLS, cache headers, its TTL against the rotation plan (RFC 9111)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from rapidjws.jose.lint import Finding, Level, lint_jwks

if TYPE_CHECKING:
    from rapidjws.contract.fetch import Fetched

SLOW_S: Final = 2.0
CERTIFICATE_WARN_DAYS: Final = 14
TTL_MOST_S: Final = 86_400
TTL_LEAST_S: Final = 60
_MAX_AGE: Final = re.compile(r"(?:^|[,\s])max-age\s*=\s*\"?(\d{1,10})", re.IGNORECASE)
_TYPES: Final = ("application/jwk-set+json", "application/json")


def lint_address(got: Fetched, publish_before_use_s: int) -> tuple[Finding, ...]:
    """Check one answer of a key address.

    Args:
        got: What a fetch gave.
        publish_before_use_s: How long a new key is published before it signs, seconds.

    Returns:
        The findings, those of the document included; errors first.
    """
    found: list[Finding] = []

    def note(level: Level, place: str, code: str, text: str) -> None:
        found.append(Finding(level=level, place=place, code=code, text=text))

    if not got.url.startswith("https://"):
        note("error", "url", "no_tls", "keys come over plain http: anybody on the way can replace them")
    elif got.tls is not None and got.tls not in ("TLSv1.2", "TLSv1.3"):
        note("error", "tls", "old_tls", f"{got.tls}; TLS 1.2 is the least")
    if got.certificate_days is not None and got.certificate_days < CERTIFICATE_WARN_DAYS:
        note("warning", "tls", "certificate_ends", f"the certificate ends in {got.certificate_days:.0f} days")
    if got.fault is not None:
        redirect = got.status in (301, 302, 303, 307, 308)
        text = "it redirects; name the last address" if redirect else got.fault
        note("error", "status", "redirect" if redirect else "no_answer", text)
        return tuple(found)
    kind = got.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in _TYPES:
        note("warning", "content-type", "content_type", f"{kind or 'none'}; due is {_TYPES[0]}")
    if got.seconds > SLOW_S:
        note("warning", "time", "slow", f"{got.seconds:.1f} s for one fetch")
    _lint_caching(got, publish_before_use_s, note)
    found += lint_jwks(got.body)
    order: dict[Level, int] = {"error": 0, "warning": 1, "note": 2}
    return tuple(sorted(found, key=lambda finding: order[finding.level]))


def _lint_caching(got: Fetched, publish_before_use_s: int, note: object) -> None:
    """Check the cache headers."""
    assert callable(note)
    control = got.headers.get("cache-control", "")
    match = _MAX_AGE.search(control)
    if "no-store" in control.lower():
        note("warning", "cache-control", "no_store", "no-store makes every verifier fetch at every start")
    elif match is None:
        note("warning", "cache-control", "no_max_age", "no max-age: each verifier guesses how long keys live")
    else:
        ttl_s = int(match[1])
        if ttl_s > publish_before_use_s:
            text = f"max-age {ttl_s} s; a new key is published {publish_before_use_s} s before use"
            note("error", "cache-control", "ttl_past_rotation", f"{text}: its first tokens will be refused")
        if ttl_s > TTL_MOST_S:
            note("warning", "cache-control", "long_ttl", f"{ttl_s} s: a revoked key lives on as long")
        elif ttl_s < TTL_LEAST_S:
            note("warning", "cache-control", "short_ttl", f"{ttl_s} s: every verifier fetches all the time")
    if "etag" not in got.headers and "last-modified" not in got.headers:
        note("note", "etag", "no_validator", "neither ETag nor Last-Modified: every fetch is a whole one")

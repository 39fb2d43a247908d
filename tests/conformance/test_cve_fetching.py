"""Faults of other libraries about getting keys over a network. Ids as registered."""

from __future__ import annotations

import base64
import time
from typing import Any

import pytest
from cve_rows import row
from issuers import setup, wait_for

from rapidjws import ConfigurationError
from rapidjws.keys import RemoteJWKS, Transport
from rapidjws.testing import Fault

QUICK: dict[str, Any] = {"retry_min_s": 0.05, "retry_max_s": 0.1}
ASKED = 10_000
COOLDOWN_S = 1.0


@row("CVE-2026-48522")
@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://issuer.example/jwks.json",
        'data:application/json,{"keys":[]}',
        "http://issuer.example/jwks.json",
        "HTTP://issuer.example/jwks.json",
        " file:///etc/passwd",
        "jar:https://issuer.example!/jwks.json",
        "//issuer.example/jwks.json",
        "",
    ],
)
def test_only_https_is_a_source(row_id: str, url: str) -> None:
    """Any other scheme is refused when the source is made, before anything is opened."""
    with pytest.raises(ConfigurationError):
        RemoteJWKS(url, fetch=lambda *_: pytest.fail(f"{row_id}: it fetched"))


@row("CVE-2026-102267")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "target", ["http://issuer.example/", "https://other.example/", "https://127.0.0.1/", "http://169.254.169.254/"]
)  # fmt: skip
def test_no_redirect_is_followed(row_id: str, status: int, target: str) -> None:
    """A redirect fails the fetch, and the old keys stay."""
    with setup(fresh=QUICK) as at:
        token = at.ready().token()
        at.issuer.script(Fault(status=status, headers={"Location": target}))
        assert not at.source.refresh(), row_id
        assert at.fails_with("status")
        assert at.code(token) == "ok"


@row("CVE-2026-48524")
@pytest.mark.parametrize("status", [200, 500])
def test_random_kids_cause_one_fetch_and_no_loss(row_id: str, status: int) -> None:
    """However many kids nobody has, one fetch is made a cool-down; where it fails, the keys stay."""
    with setup(unknown={"cooldown_s": COOLDOWN_S}) as at:
        token = at.ready().token()
        at.issuer.script(*[Fault(status=status)] * ASKED)
        before, started = len(at.issuer.requests), time.monotonic()
        tail = token.partition(".")[2]
        for number in range(ASKED):
            assert at.code(f"{_header(number)}.{tail}") == "unknown_kid", row_id
        wait_for(lambda: len(at.issuer.requests) > before)
        assert at.code(token) == "ok"
        most = 2 + (time.monotonic() - started) / COOLDOWN_S
        assert len(at.issuer.requests) - before <= most


def _header(number: int) -> str:
    header = f'{{"alg":"ES256","kid":"nobody-{number}"}}'.encode()
    return base64.urlsafe_b64encode(header).rstrip(b"=").decode()


@row("CVE-2026-31837")
def test_an_outage_has_no_default_keys(row_id: str) -> None:
    """With the issuer down from the start there is no key at all, and every token is refused."""
    with setup(*[Fault(abort=True)] * 100, fresh=QUICK) as at:
        at.fails_with("protocol")
        assert at.code(at.token()) == "keys_unavailable", row_id
        assert at.source.status().kids == ()
        assert not at.engine.ready


@row("CVE-2026-82955")
@pytest.mark.parametrize("certificate", ["wrong_host", "expired", "self_signed"])
def test_tls_is_always_verified(row_id: str, certificate: str) -> None:
    """A certificate that does not prove the host fails the fetch, and no setting turns that off."""
    with setup(issuer={"certificate": certificate}, fresh=QUICK) as at:
        at.fails_with("tls")
        assert at.code(at.token()) == "keys_unavailable", row_id
        assert at.issuer.requests == []
    assert [name for name in Transport.__slots__ if "insecure" in name] == ["insecure_allow_http"]

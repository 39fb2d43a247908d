"""What a configuration would change, setting by setting, and what of its secrets is left."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rapidjws.config.effective import differences, settings_of, without_secrets

SALT = b"s" * 16
ISSUER: dict[str, Any] = {
    "iss": "https://a.example",
    "algorithms": "ES256",
    "jwks_url": "https://a.example/k",
}


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://h:1/0", "redis://h:1/0"),
        ("redis://u:hidden@h:1/0", "redis://(redacted)@h:1/0"),
        ("redis://u:hid@den@h:1/0", "redis://(redacted)@h:1/0"),
        ("redis://h:1/0?password=hidden", "redis://h:1/0?(redacted)"),
        ("redis://:hidden@h?password=hidden", "redis://(redacted)@h?(redacted)"),
        ("u:hidden@h", "(redacted)"),
        ("h?password=hidden", "(redacted)"),
    ],
)
def test_N10_no_password_is_left(url: str, shown: str) -> None:
    """Users, passwords and queries of addresses go; the tables that were given stay as they are."""
    tables = {"replay": {"redis": url}, "revocations": {"redis": url}, "issuers": [ISSUER]}
    for salt in (None, SALT):
        found = without_secrets(tables, salt)
        assert "hid" not in json.dumps(found) or "hid" not in url
    assert without_secrets(tables)["replay"]["redis"] == shown
    assert tables["replay"]["redis"] == url


def test_N10_passwords_are_compared_under_one_salt() -> None:
    """Two passwords differ, one is the same as itself, and under another salt nothing is."""
    one, other = ({"replay": {"redis": f"redis://u:{word}@h"}} for word in ("a", "b"))
    assert without_secrets(one, SALT) == without_secrets(one, SALT)
    assert without_secrets(one, SALT) != without_secrets(other, SALT)
    assert without_secrets(one, SALT) != without_secrets(one, b"t" * 16)


def changes(before: dict[str, Any], after: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return kind, setting and what it needs of each difference."""
    defaults = {"issuers": {"leeway_s": 60}, "server": {"workers": 1}}
    found = differences(settings_of(before, defaults), settings_of(after, defaults))
    return [(one.kind, one.setting, one.needs) for one in found]


def test_N10_a_default_that_is_written_out_changes_nothing() -> None:
    """Values are compared as they hold: defaults, a text for a list of one, dates of TOML's own."""
    written = {"issuers": [{**ISSUER, "algorithms": ["ES256"], "leeway_s": 60}], "server": {"workers": 1}}
    assert changes({"issuers": [ISSUER]}, written) == []
    assert changes({"notices": {"host": "a"}}, {"notices": {"host": "b"}}) == []


def test_N10_issuers_are_known_by_their_iss() -> None:
    """Another order changes nothing; one that comes or goes is one line; what changes needs a reload."""
    other = {**ISSUER, "iss": "https://b.example"}
    assert changes({"issuers": [ISSUER, other]}, {"issuers": [other, ISSUER]}) == []
    assert changes({"issuers": [ISSUER]}, {"issuers": [other]}) == [
        ("removed", "issuers[https://a.example]", "reload"),
        ("added", "issuers[https://b.example]", "reload"),
    ]
    assert changes({"issuers": [ISSUER]}, {"issuers": [{**ISSUER, "typ": "at+jwt", "leeway_s": 5}]}) == [
        ("changed", "issuers[https://a.example].leeway_s", "reload"),
        ("added", "issuers[https://a.example].typ", "reload"),
    ]
    assert changes({"server": {"workers": 2}}, {}) == [("changed", "server.workers", "restart")]

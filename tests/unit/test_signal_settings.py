"""The sections signals and introspection: each slip is an error with file, line and setting."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rapidjws.config.introspection_section import introspection_of
from rapidjws.config.load import ConfigFile
from rapidjws.config.read import load_config
from rapidjws.config.signal_section import signals_of
from rapidjws.errors import ConfigurationError
from rapidjws.testing import FakeIssuer

ISSUER = FakeIssuer("https://a.example", "ES256")
SIGNALS: dict[str, Any] = {"issuers": ISSUER.iss, "audience": "https://api.example"}
ASKED: dict[str, Any] = {
    "url": "https://a.example/introspect",
    "client_id": "gateway",
    "client_secret_file": "secret",
    "issuers": ISSUER.iss,
}


def written(folder: Path, **sections: Any) -> Path:
    """Write a configuration, the files that it names, and return its path."""
    (folder / "jwks.json").write_text(json.dumps({"keys": [one.as_dict() for one in ISSUER.jwks.keys]}))
    for name, text in (("secret", "x" * 32), ("short", "x"), ("key.json", "{}")):
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)
    issuer = {"iss": ISSUER.iss, "jwks_file": "jwks.json", "algorithms": ["ES256"], "check_audience": False}
    path = folder / "rapidjws.json"
    path.write_text(json.dumps({"issuers": [issuer], **sections}))
    return path


def built(folder: Path, **sections: Any) -> ConfigFile:
    """Build what both sections ask for."""
    loaded = load_config(written(folder, **sections))
    made = ConfigFile(loaded.path, loaded=loaded)
    signals_of(loaded, made.engine)
    return made


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("issuers", {"issuers": None}),
        ("issuers", {"issuers": "https://other.example"}),
        ("audience", {"audience": None}),
        ("push_path", {"push_path": "signals"}),
        ("push_path", {"push_path": "/metrics"}),
        ("push_path", {"push_path": "/a?b"}),
        ("logout_path", {"logout_path": "/signals"}),
        ("secret_file", {"secret_file": "short"}),
        ("secret_file", {"secret_file": "nowhere"}),
        ("poll_url", {"poll_url": "http://a.example/poll"}),
        ("poll_s", {"poll_s": 0}),
        ("ca", {"ca": "x.pem"}),
        ("poll_authorization_file", {"poll_authorization_file": "secret"}),
        ("poll_urls", {"poll_urls": "x"}),
        ("revocation_secret_file", {"revocation_path": "/revoked"}),
        ("revocation_secret_file", {"revocation_secret_file": "secret"}),
        ("revocation_secret_file", {"revocation_path": "/revoked", "revocation_secret_file": "short"}),
        ("revocation_path", {"revocation_path": "/signals", "revocation_secret_file": "secret"}),
        ("revocation_path", {"revocation_path": "/readyz", "revocation_secret_file": "secret"}),
    ],
)
def test_a_slip_in_signals_names_the_setting(tmp_path: Path, name: str, changes: dict[str, Any]) -> None:
    """A missing value, an issuer that nobody configured, a path that is taken, a file that is not there."""
    table = {key: value for key, value in {**SIGNALS, **changes}.items() if value is not None}
    with pytest.raises(ConfigurationError, match=rf"signals\.{name}\b"):
        built(tmp_path, signals=table)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("url", {"url": None}),
        ("url", {"url": "http://a.example/introspect"}),
        ("client_id", {"client_id": None}),
        ("client_secret_file", {"client_secret_file": None}),
        ("client_secret_file", {"client_secret_file": "nowhere"}),
        ("client_auth", {"client_auth": "digest"}),
        ("client_key_file", {"client_key_file": "key.json"}),
        ("client_key_file", {"client_key_file": "key.json", "client_secret_file": None,
                             "client_auth": "private_key_jwt"}),
        ("issuers", {"issuers": None}),
        ("issuers", {"issuers": "https://other.example"}),
        ("signed_by", {"signed_by": "https://other.example"}),
        ("routes", {"routes": "x"}),
        ("on_failure", {"on_failure": "accept"}),
        ("cache_s", {"cache_s": 3601}),
        ("timeout_s", {"timeout_s": 0}),
        ("urls", {"urls": "x"}),
    ],
)  # fmt: skip
def test_a_slip_in_introspection_names_the_setting(
    tmp_path: Path, name: str, changes: dict[str, Any]
) -> None:
    """Whom we ask, who we are and what we ask about are checked before anything is served."""
    table = {key: value for key, value in {**ASKED, **changes}.items() if value is not None}
    with pytest.raises(ConfigurationError, match=rf"introspection\.{name}\b"):
        built(tmp_path, introspection=table)


def test_several_workers_share_what_signals_revoke(tmp_path: Path) -> None:
    """Without a store of revocations and of replays each worker would know of its own signals alone."""
    shared = {"revocations": {"redis": "redis://127.0.0.1:9"}, "replay": {"redis": "redis://127.0.0.1:9"}}
    for left_out in ("revocations", "replay"):
        rest = {name: table for name, table in shared.items() if name != left_out}
        path = written(tmp_path, signals=SIGNALS, server={"workers": 2}, **rest)
        loaded = load_config(path)
        with pytest.raises(ConfigurationError, match=f"{left_out}.redis"):
            signals_of(loaded, ConfigFile(written(tmp_path)).engine)


def test_good_sections_are_built(tmp_path: Path) -> None:
    """Both sections, and signed answers by the keys of a configured issuer."""
    made = built(tmp_path, signals=SIGNALS, introspection={**ASKED, "signed_by": ISSUER.iss})
    assert made.engine.introspection is not None
    loaded = load_config(written(tmp_path))
    assert introspection_of(loaded, made.engine.issuers) is None
    assert signals_of(loaded, made.engine) is None

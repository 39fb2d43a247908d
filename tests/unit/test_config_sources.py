"""Key sources of the configuration file: each by its setting, and every slip refused at its line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from certified import CertifiedKey

from rapidjws import ConfigurationError
from rapidjws.cli.config_check import problems_of
from rapidjws.config.load import ConfigFile, build_service
from rapidjws.config.read import load_config
from rapidjws.keys import DiscoveredJWKS, PEMFiles, RemoteCertificates, RemotePEM, SpiffeBundle

HEAD = '[[issuers]]\niss = "https://login.example"\nalgorithms = ["ES256"]\nrequired = false\n'


def _file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "rapidjws.toml"
    path.write_text(HEAD + text)
    return path


def _source(tmp_path: Path, text: str) -> Any:
    return ConfigFile(_file(tmp_path, text)).engine.source_of("https://login.example")


@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [
        ("discover = true\n", DiscoveredJWKS, "https://login.example/.well-known/openid-configuration"),
        ('certificates_url = "https://k.example/x"\n', RemoteCertificates, "https://k.example/x"),
        ('pem_url = "https://k.example/{kid}"\npem_kids = "a"\n', RemotePEM, "https://k.example/{kid}"),
        ('spiffe_bundle_url = "https://k.example/b"\n', SpiffeBundle, "https://k.example/b"),
    ],
)
def test_a_source_by_its_setting(
    tmp_path: Path, text: str, kind: type, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each setting makes its source, with the same limits as any."""
    monkeypatch.setattr("rapidjws.keys.fetched.FetchedKeys.start", lambda self: None)
    source = _source(tmp_path, text + "timeout_s = 1.5\nstale_limit_s = 900\ncooldown_s = 7\n")
    assert type(source) is kind
    assert source.name == name
    assert source._transport.timeout_s == 1.5
    assert source.freshness.stale_limit_s == 900


def test_pem_files_of_a_folder(tmp_path: Path) -> None:
    """A folder of PEM files beside the configuration is a source."""
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "a.pem").write_text(CertifiedKey().pem)
    source = _source(tmp_path, 'pem_path = "keys"\n')
    assert isinstance(source, PEMFiles)
    assert [key.kid for key in source.state().keys or ()] == ["a"]


def test_credentials_are_files_beside_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files of headers are relative to the configuration's folder, and read at each fetch."""
    monkeypatch.setattr("rapidjws.keys.fetched.FetchedKeys.start", lambda self: None)
    (tmp_path / "token").write_text("eyJ.a.b\n")
    (tmp_path / "key").write_text("k-1")
    text = 'discover = true\nproxy = "http://proxy.example:3128"\nauthorization_file = "token"\n'
    source = _source(tmp_path, text + 'header_files = ["X-Api-Key: key"]\n')
    assert source._transport.proxy == "http://proxy.example:3128"
    assert source._transport.authorization_file == str(tmp_path / "token")
    assert source._transport.header_files == {"X-Api-Key": str(tmp_path / "key")}


@pytest.mark.parametrize(
    ("text", "place", "expected"),
    [
        ("", "issuers[0]", "one of jwks_url, jwks_file, discover"),
        ("discover = false\n", "issuers[0]", "one of jwks_url, jwks_file, discover"),
        ('discover = true\njwks_url = "https://k.example/"\n', "issuers[0]", "one of jwks_url, jwks_file"),
        ('jwks_url = "https://k.example/"\njwks_origins = "x"\n', "jwks_origins", "discover beside it"),
        ('discover = true\npem_kid = "any"\n', "pem_kid", "pem_path beside it"),
        ('discover = true\njwks_origins = "l.example"\n', "jwks_origins", "https://HOST each"),
        ('certificates_url = "http://k.example/"\n', "certificates_url", "https"),
        ('pem_url = "https://k.example/"\n', "pem_url", "{kid}"),
        ('pem_path = "a.pem"\npem_kid = "each"\n', "pem_kid", "name"),
        ('discover = true\nproxy = "proxy"\n', "proxy", "http://HOST:PORT"),
        ('discover = true\nproxy = "http://p:1"\nrefuse_private_addresses = true\n',
         "refuse_private_addresses", "no proxy"),
        ('discover = true\nproxy_authorization_file = "f"\n', "proxy_authorization_file", "proxy beside it"),
        ('discover = true\nauthorization_file = "none"\n', "authorization_file", "a readable file"),
        ('discover = true\nheader_files = "Host: f"\n', "header_files", "further headers"),
        ('discover = true\nheader_files = "X-A"\n', "header_files", "Name: file"),
    ],
)  # fmt: skip
def test_a_slip_is_refused_at_its_place(tmp_path: Path, text: str, place: str, expected: str) -> None:
    """A start refuses what nobody would read or could use, and `config check` lists the same."""
    path = _file(tmp_path, text)
    with pytest.raises(ConfigurationError) as refused:
        ConfigFile(path)
    assert place in (refused.value.place or "")
    assert expected in str(refused.value.expected)
    listed = [str(problem) for problem in problems_of(path, lambda _: None)]
    assert any(place in one for one in listed), listed


def test_a_reload_tells_the_rollout_whose_sources_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An escalation names the partner of a source that a reload brought, of whatever kind; old ones go."""
    monkeypatch.setattr("rapidjws.keys.fetched.FetchedKeys.start", lambda self: None)
    path = _file(tmp_path, 'jwks_url = "https://k.example/old"\n')
    service = build_service(load_config(path))
    assert service.rollout.key_sources == {"https://k.example/old": "https://login.example"}
    service.rollout.key_sources["https://own.example"] = "https://own.example"
    path.write_text(HEAD + 'certificates_url = "https://k.example/new"\n')
    service.config.reload()
    assert service.rollout.key_sources == {
        "https://k.example/new": "https://login.example",
        "https://own.example": "https://own.example",
    }
    path.write_text(HEAD + "jwks_url = 1\n")
    with pytest.raises(ConfigurationError):
        service.config.reload()
    assert "https://k.example/new" in service.rollout.key_sources

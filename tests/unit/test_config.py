"""One file for all issuers: names, types, lines in messages, hot reload whole or not at all; its commands."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from issuers import wait_for
from typer.testing import CliRunner, Result

from rapidjws import NOT_CHECKED, ConfigurationError
from rapidjws.cli.app import app
from rapidjws.config.load import ConfigFile
from rapidjws.errors import RapidJWSError
from rapidjws.testing import FakeIssuer, FaultyIssuerServer

A = FakeIssuer("https://a.example", "ES256")
B = FakeIssuer("https://b.example", "ES256")


def write_keys(folder: Path) -> None:
    """Put both issuers' sets beside the configuration."""
    for name, issuer in (("a", A), ("b", B)):
        (folder / f"{name}.json").write_text(json.dumps(issuer.jwks.as_dict()))


GOOD = """\
# two issuers
[engine]
workers = 1
cache_entries = 100

[revocations]
file = "revocations.json"

[[issuers]]
iss = "https://a.example"
algorithms = ["ES256"]
audience = "https://api.example"
jwks_file = "a.json"

[[issuers]]
iss = "https://b.example"
algorithms = ["ES256"]
audience = ["https://api.example"]
jwks_file = "b.json"
replay = true
"""


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    write_keys(tmp_path)
    path = tmp_path / "rapidjws.toml"
    path.write_text(GOOD)
    return path


def code(config: ConfigFile, issuer: FakeIssuer, **claims: Any) -> str:
    """Return "ok" or the code of the refusal of a good token."""
    try:
        config.engine.verify(issuer.token(issuer.claims(int(time.time()), **claims)))
    except RapidJWSError as refused:
        return refused.code
    return "ok"


def as_json() -> dict[str, Any]:
    """Return the good configuration as the object a JSON file holds."""
    rules = {"algorithms": ["ES256"], "audience": "https://api.example"}
    return {
        "engine": {"workers": 1},
        "issuers": [
            {"iss": A.iss, "jwks_file": "a.json", **rules},
            {"iss": B.iss, "jwks_file": "b.json", **rules, "replay": True},
        ],
    }


def test_toml_and_json_build_the_same(path: Path) -> None:
    """Both forms make an engine that verifies, with replay where it was asked for."""
    other = path.with_suffix(".json")
    other.write_text(json.dumps(as_json(), indent=1))
    for one in (path, other):
        config = ConfigFile(one)
        assert code(config, A, jti="x") == code(config, A, jti="x") == "ok"
        assert [code(config, B, jti="x"), code(config, B, jti="x")] == ["ok", "replayed"]
        assert code(config, B) == "missing_claim"


WRONG: list[tuple[str, str, str]] = [
    ("workers = 1", "wrokers = 1", "rapidjws.toml:3: engine.wrokers"),
    ("workers = 1", 'workers = "1"', "rapidjws.toml:3: engine.workers"),
    ("workers = 1", "workers = 0", "rapidjws.toml:3: engine.workers"),
    ("cache_entries = 100", "cache_entries = true", "rapidjws.toml:4: engine.cache_entries"),
    ("[revocations]", "[revocation]", "rapidjws.toml:6: revocation"),
    ('jwks_file = "b.json"', 'jwks_url = "http://b.example/"', "rapidjws.toml:19: issuers[1].jwks_url"),
    ('jwks_file = "b.json"', "", "rapidjws.toml:15: issuers[1]"),
    ('jwks_file = "a.json"', 'jwks_file = "a.json"\nleeway_s = -1', "rapidjws.toml:14: issuers[0].leeway_s"),
    ('iss = "https://b.example"', 'iss = "https://a.example"', "rapidjws.toml:16: issuers[1].iss"),
    ('iss = "https://b.example"', "", "rapidjws.toml:15: issuers[1].iss"),
    ('algorithms = ["ES256"]', 'algorithms = ["XX256"]', "rapidjws.toml:11: issuers[0].algorithms"),
    ("replay = true", 'replay = true\nreplay_identity = "x"', "rapidjws.toml:21: issuers[1].replay_identity"),
    ("replay = true", "replay = ", "rapidjws.toml"),
]


@pytest.mark.parametrize(("good", "bad", "where"), WRONG, ids=[where for *_, where in WRONG])
def test_a_wrong_setting_is_named_with_its_line(path: Path, good: str, bad: str, where: str) -> None:
    """Each kind of mistake says file, line and setting, and what was expected."""
    path.write_text(GOOD.replace(good, bad, 1))
    with pytest.raises(ConfigurationError) as refused:
        ConfigFile(path)
    assert refused.value.code == "configuration_invalid"
    assert (refused.value.place or "").startswith(where)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda found: found["issuers"][1].update(leeway_s="x"), "c.json:22: issuers[1].leeway_s"),
        (lambda found: found["issuers"][0].update(jwks="x"), "c.json:13: issuers[0].jwks"),
        (lambda found: found.update(issuers=[]), "c.json:5: issuers"),
        (lambda found: found.update(issuers=7), "c.json:5: issuers"),
        (lambda found: found["engine"].update(workers=1.5), "c.json:3: engine.workers"),
    ],
)
def test_lines_of_json(tmp_path: Path, change: Any, where: str) -> None:
    """JSON files get their lines as well."""
    write_keys(tmp_path)
    found = as_json()
    change(found)
    path = tmp_path / "c.json"
    path.write_text(json.dumps(found, indent=1))
    with pytest.raises(ConfigurationError) as refused:
        ConfigFile(path)
    assert refused.value.place == where


@pytest.mark.parametrize("text", ["", "[", '{"a": 1, "a": 2}', "\x00", "[[issuers]]"])
def test_files_that_are_none(tmp_path: Path, text: str) -> None:
    """What cannot be read, or names a thing twice, is refused."""
    for name in ("c.toml", "c.json"):
        (tmp_path / name).write_text(text)
        with pytest.raises(ConfigurationError):
            ConfigFile(tmp_path / name)
    with pytest.raises(ConfigurationError):
        ConfigFile(tmp_path / "absent.toml")


def test_reload_is_whole_or_not_at_all(path: Path) -> None:
    """A bad file changes nothing; a good one swaps issuers and keeps unchanged sources."""
    config = ConfigFile(path)
    source = config.engine.source_of(A.iss)
    path.write_text(GOOD.replace('algorithms = ["ES256"]', "algorithms = []", 1))
    with pytest.raises(ConfigurationError):
        config.reload()
    assert code(config, A) == "ok"
    path.write_text(GOOD.replace("workers = 1", "workers = 2"))
    with pytest.raises(ConfigurationError, match="restart"):
        config.reload()
    path.write_text(GOOD.partition('[[issuers]]\niss = "https://b')[0])
    config.reload()
    assert [one.iss for one in config.engine.issuers] == [A.iss]
    assert config.engine.source_of(A.iss) is source
    assert code(config, A) == "ok"


def test_the_file_is_watched(path: Path) -> None:
    """A changed file is taken over by itself, and a bad one is reported and ignored."""
    events: list[Any] = []
    config = ConfigFile(path, events=events.append)
    config.watch(0.02)
    path.write_text("nonsense")
    wait_for(lambda: [event for event in events if event.name == "config_refused"])
    assert code(config, A) == "ok"
    path.write_text(GOOD.partition('[[issuers]]\niss = "https://b')[0])
    wait_for(lambda: len(config.engine.issuers) == 1)


def test_a_key_file_is_followed(path: Path) -> None:
    """Keys in a file change under traffic; a bad file changes nothing."""
    config = ConfigFile(path)
    keys = path.with_name("a.json")
    keys.write_text("{")
    source = config.engine.source_of(A.iss)
    assert source is not None
    assert not source.reload()  # type: ignore[attr-defined]
    assert code(config, A) == "ok"
    keys.write_text(json.dumps(FakeIssuer("https://a.example/2", "ES256").jwks.as_dict()))
    assert source.reload()  # type: ignore[attr-defined]
    assert code(config, A) == "unknown_kid"


# --- the commands ----------------------------------------------------------------------------------------


def run(*words: object) -> Result:
    """Run one command line."""
    return CliRunner().invoke(app, [str(word) for word in words])


def test_keys_revoke_status_unrevoke(path: Path) -> None:
    """A revocation by command is kept, shown, enforced by engines on the file, and lifted."""
    config = ConfigFile(path)
    kid = A.jwks.keys[0].kid
    assert run("keys", "revoke", "--config", path, "--kid", kid, "--issuer", A.iss).exit_code == 0
    wait_for(lambda: code(config, A) == "revoked")
    shown = run("keys", "status", "--config", path)
    assert shown.exit_code == 0
    assert str(kid) in shown.output
    assert "revoked:" in shown.output
    assert run("keys", "unrevoke", "--config", path, "--kid", kid, "--issuer", A.iss).exit_code == 0
    assert run("keys", "unrevoke", "--config", path, "--kid", kid, "--issuer", A.iss).exit_code == 2
    wait_for(lambda: code(config, A) == "ok")
    assert run("keys", "revoke", "--config", path).exit_code == 2
    assert run("keys", "status", "--config", path.with_name("absent.toml")).exit_code == 2


def test_keys_status_and_refresh_of_a_url(tmp_path: Path) -> None:
    """Fetched keys are shown with their age; an issuer that is down makes the exit code say so."""
    with FaultyIssuerServer() as issuer:
        (tmp_path / "ca.pem").write_text(issuer.ca_pem)
        path = tmp_path / "c.json"
        one = {"iss": issuer.iss, "algorithms": ["ES256"], "jwks_url": issuer.url, "ca": "ca.pem"}
        path.write_text(json.dumps({"issuers": [one]}))
        shown = run("keys", "status", "--config", path, "--json")
        assert shown.exit_code == 0
        assert json.loads(shown.stdout)["kids"] == [issuer.jwks.keys[0].kid]
        fetched = run("keys", "refresh", "--config", path, "--json")
        assert fetched.exit_code == 0
        assert json.loads(fetched.stdout)["answered"] is True
        assert "a running service keeps its own keys" in fetched.stderr
        assert run("keys", "revoke", "--config", path, "--kid", "x").exit_code == 2
        issuer.server.down()
        assert run("keys", "refresh", "--config", path, "--wait", "1").exit_code == 1
        assert run("keys", "status", "--config", path, "--wait", "1").exit_code == 1


def test_verify_with_a_url(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The verify command fetches a JWK Set by https, and says why it could not."""
    with FaultyIssuerServer() as issuer:
        (tmp_path / "ca.pem").write_text(issuer.ca_pem)
        token = issuer.token(issuer.claims(int(time.time())))
        untrusted = run("verify", token, "--jwks", issuer.url, "--alg", "ES256")
        assert untrusted.exit_code == 2
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        assert run("verify", token, "--jwks", issuer.url, "--alg", "ES256").exit_code == 0
        assert run("verify", token, "--jwks", "http://localhost:1/", "--alg", "ES256").exit_code == 2


WITHOUT_NAMES = """\
[engine]
max_header_bytes = 4096

[[issuers]]
check_iss = false
check_audience = false
algorithms = ["ES256"]
jwks_file = "a.json"
"""


def test_N12_what_is_not_compared_is_written_in_the_file(tmp_path: Path) -> None:
    """check_iss and check_audience say what None and NOT_CHECKED say in Python; true is the default."""
    write_keys(tmp_path)
    path = tmp_path / "rapidjws.toml"
    path.write_text(WITHOUT_NAMES)
    config = ConfigFile(path)
    (issuer,) = config.engine.issuers
    assert (issuer.iss, issuer.audience) == (None, NOT_CHECKED)
    now_s = int(time.time())
    for names in ({"iss": None, "aud": None}, {"iss": "https://other.example", "aud": "anybody"}):
        assert config.engine.verify(A.token({**A.claims(now_s), **names} if names["iss"] else
                                            {"exp": now_s + 60})).alg == "ES256"  # fmt: skip
    config.reload()
    path.write_text(WITHOUT_NAMES.replace("check_audience = false\n", ""))
    strict = ConfigFile(path)
    with pytest.raises(RapidJWSError) as refused:
        strict.engine.verify(A.token(A.claims(now_s)))
    assert refused.value.code == "audience_mismatch"


@pytest.mark.parametrize(
    ("good", "bad", "where"),
    [
        ("check_iss = false\n", 'check_iss = false\niss = "https://a.example"\n', "toml:6:"),
        ("check_iss = false\n", "check_iss = true\n", "iss"),
        ("check_iss = false\n", "", "iss"),
        ("check_iss = false\n", 'check_iss = "false"\n', "toml:5:"),
        ("check_audience = false\n", 'check_audience = false\naudience = ["x"]\n', "toml:7:"),
        ("check_audience = false\n", "check_audience = 0\n", "toml:6:"),
        ("max_header_bytes = 4096", 'max_header_bytes = "4096"', "toml:2:"),
        ("max_header_bytes = 4096", "max_header_bytes = 16385", "toml:2:"),
    ],
)
def test_S13_N12_a_value_that_nobody_compares_is_refused(
    tmp_path: Path, good: str, bad: str, where: str
) -> None:
    """A name beside the choice not to compare it is a slip; so is the choice in another type."""
    write_keys(tmp_path)
    path = tmp_path / "rapidjws.toml"
    assert good in WITHOUT_NAMES
    path.write_text(WITHOUT_NAMES.replace(good, bad))
    with pytest.raises(ConfigurationError) as refused:
        ConfigFile(path)
    assert where in str(refused.value)
    setting = bad.partition(" ")[0] if where != "iss" else "iss"
    shown = run("config", "check", path)
    assert shown.exit_code != 0
    assert setting.split("_")[-1] in str(refused.value)

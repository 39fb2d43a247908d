"""``rapidjws config``: all that is wrong at once, what holds, a file to begin with, a schema for editors."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from rapidjws.cli.app import app
from rapidjws.config import schema
from rapidjws.config.effective import differences, settings_of
from rapidjws.config.load import ConfigFile
from rapidjws.rollout import StateFolder
from rapidjws.rollout.rollout import first_plan

BAD = """\
[[issuers]]
iss = "https://a.example"
algorithms = ["none"]
jwks_url = "http://a.example/jwks"

[[issuers]]
iss = "https://a.example"
algorithms = ["ES256"]
jwks_url = "https://a.example/jwks"
leeway_s = -1
stale_limit_s = 1

[server]
listen = "nowhere"
lisen = "127.0.0.1:1"

[engine]
workers = "many"

[rollout]
phase = "chaos"

[[partners]]
name = "a"
leeway_s = true
"""


def run(*arguments: Any) -> tuple[int, str]:
    """Run a command; return its status and what it wrote."""
    found = CliRunner().invoke(app, ["config", *map(str, arguments)])
    return found.exit_code, found.output


def test_N10_check_lists_all_that_is_wrong(tmp_path: Path) -> None:
    """Each fault has its line, its setting and what is allowed; nothing is made or fetched."""
    path = tmp_path / "c.toml"
    path.write_text(BAD)
    status, text = run("check", path)
    found = re.findall(r"c\.toml:(\d+): ([\w.\[\]]+): (?=.*expected)", text)
    assert status == 1
    assert found == [
        ("3", "issuers[0].algorithms"),
        ("4", "issuers[0].jwks_url"),
        ("7", "issuers[1].iss"),
        ("10", "issuers[1].leeway_s"),
        ("11", "issuers[1].stale_limit_s"),
        ("15", "server.lisen"),
        ("18", "engine.workers"),
        ("25", "partners[0].leeway_s"),
    ], text
    path.write_text(BAD.replace('lisen = "127.0.0.1:1"\n', ""))
    text = run("check", path)[1]
    assert "c.toml:14: server.listen: host:port or unix:/path expected" in text
    assert re.search(r"c\.toml:\d+: rollout", text)
    assert [one.name for one in tmp_path.iterdir()] == ["c.toml"]


@pytest.mark.parametrize("text", ["x = [", "", "{}", "[[issuers]]", "issuers = 7", 'issuers = ["a"]'])
def test_N10_check_of_what_is_no_configuration(text: str, tmp_path: Path) -> None:
    """It is one line and status 1, never a traceback."""
    (tmp_path / "c.toml").write_text(text)
    status, shown = run("check", tmp_path / "c.toml")
    assert (status, "expected" in shown, "Traceback" in shown) == (1, True, False)
    assert run("check", tmp_path / "absent.toml")[0] == 1


def test_N10_init_writes_what_passes_check_and_overwrites_nothing(tmp_path: Path) -> None:
    """The file to begin with is good as it is; a second call leaves it alone."""
    path = tmp_path / "c.toml"
    assert run("init", path)[0] == 0
    assert run("check", path) == (0, f"{path}: good\n")
    path.write_text("mine")
    assert run("init", path)[0] == 2
    assert path.read_text() == "mine"


def test_N10_show_fills_in_defaults_and_keeps_secrets(tmp_path: Path) -> None:
    """What holds is JSON, with defaults, without the passwords of addresses or what secret files hold."""
    path = tmp_path / "c.toml"
    run("init", path)
    (tmp_path / "hook.txt").write_text("S" * 40)
    more = 'hook_secret_file = "hook.txt"\n[replay]\nredis = "redis://u:hidden@h:1/0"\n'
    path.write_text(path.read_text() + more)
    status, text = run("show", path)
    shown = json.loads(text)
    assert status == 0
    assert ("hidden" in text, "S" * 40 in text) == (False, False)
    assert shown["replay"]["redis"] == "redis://(redacted)@h:1/0"
    assert (shown["issuers"][0]["leeway_s"], shown["server"]["drain_s"]) == (60, 10.0)


def test_show_refuses_what_check_refuses(tmp_path: Path) -> None:
    """A file that would not be served has no settings that hold: each fault is named instead."""
    path = tmp_path / "c.toml"
    path.write_text(BAD)
    status, text = run("show", path)
    assert status == 1
    assert f"{path}:3: issuers[0].algorithms: " in text
    assert '"issuers": [' not in text


def test_show_has_only_settings_that_a_file_may_have(tmp_path: Path) -> None:
    """What show prints of each section could be written into a file."""
    path = tmp_path / "c.toml"
    run("init", path)
    shown = json.loads(run("show", path)[1])
    shown["server.body"] = shown["server"].pop("body")
    for section, fields in schema.SECTIONS.items():
        assert set(shown[section]) <= set(fields)
    assert set(shown["issuers"][0]) <= set(schema.ISSUER)


@pytest.mark.parametrize("setting", ["algorithms", "audience", "required_claims", "crit"])
def test_a_text_stands_for_a_list_of_one(setting: str, tmp_path: Path) -> None:
    """An issuer's lists may be one text; the rules are those of the list."""
    rules = {"iss": "https://a.example", "algorithms": ["ES256"], "jwks_url": "https://a.example/jwks"}
    value = {"algorithms": "ES256"}.get(setting, "word")
    found = []
    for written in (value, [value]):
        path = tmp_path / "c.json"
        path.write_text(json.dumps({"issuers": [{**rules, setting: written}]}))
        assert run("check", path) == (0, f"{path}: good\n")
        found.append(getattr(ConfigFile(path).engine.issuers[0], setting))
    assert found[0] == found[1]


def test_N10_schema_has_every_setting() -> None:
    """Each section and setting of the file is in the JSON Schema, and nothing else is allowed."""
    found = json.loads(run("schema")[1])["properties"]
    found["server.body"] = found["server"]["properties"].pop("body")
    tables = {name: found[name] for name in schema.SECTIONS}
    assert {name: set(one["properties"]) for name, one in tables.items()} == {
        name: set(fields) for name, fields in schema.SECTIONS.items()
    }
    assert set(found["issuers"]["items"]["properties"]) == set(schema.ISSUER)
    assert set(found["partners"]["items"]["properties"]) == set(schema.PARTNER)
    assert all(one["additionalProperties"] is False for one in tables.values())


@pytest.mark.parametrize(
    ("phase", "reported"), [("detection", False), ("warning", False), ("enforcement", True)]
)
def test_serve_tells_of_a_phase_that_is_not_in_force(
    phase: str, reported: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``phase`` begins a rollout: one that was made stricter in the file alone is reported at each start."""
    text = """
[[issuers]]
iss = "https://a.example"
algorithms = ["ES256"]
jwks_url = "https://a.example/jwks"

[rollout]
state = "state"
phase = "PHASE"
"""
    path = tmp_path / "c.toml"
    path.write_text(text.replace("PHASE", phase))
    monkeypatch.setattr("rapidjws.cli.service.serve_workers", lambda settings, load, logs, audit: 0)
    begun = CliRunner().invoke(app, ["serve", "--config", str(path)]).output
    assert "rollout.phase says" not in begun  # it begins so
    lenient = f"phase {phase} for everyone: requests without a good token pass"
    assert (lenient in begun) is (phase != "enforcement")
    StateFolder(tmp_path / "state", first_plan("warning"))
    found = CliRunner().invoke(app, ["serve", "--config", str(path)])
    assert found.exit_code == 0
    assert ("holds warning for everyone" in " ".join(found.output.split())) is reported
    assert "phase warning for everyone: requests without a good token pass" in found.output
    StateFolder(tmp_path / "other", first_plan("enforcement"))
    path.write_text(text.replace("PHASE", phase).replace('"state"', '"other"'))
    assert CliRunner().invoke(app, ["serve", "--config", str(path)]).output == ""
    (tmp_path / "other" / "plan.json").write_text("{")
    assert CliRunner().invoke(app, ["serve", "--config", str(path)]).output == begun


SEVERAL_NAMES = """\
[[issuers]]
iss = ["https://a.example", "https://b.example"]
algorithms = ["ES256"]
discover = true
check_audience = false

[[issuers]]
trust_domain = "a.example"
spiffe_bundle_url = "https://a.example/bundle"
algorithms = ["ES256"]
audience = ["api"]

[[issuers]]
trust_domain = "b.example"
spiffe_bundle_url = "https://b.example/bundle"
algorithms = ["ES256"]
audience = ["api"]

[signals]
issuers = ["https://a.example"]
audience = ["https://api.example"]

[introspection]
url = "https://a.example/introspect"
client_id = "gateway"
client_secret_file = "/etc/hostname"
issuers = ["https://b.example"]
"""


def test_issuers_of_several_names_and_of_trust_domains(tmp_path: Path) -> None:
    """An issuer may have several names, also beside trust domains; a name that stands twice is found."""
    path = tmp_path / "c.toml"
    path.write_text(SEVERAL_NAMES)
    assert run("check", path) == (0, f"{path}: good\n")
    path.write_text(SEVERAL_NAMES.replace("b.example", "a.example"))
    status, text = run("check", path)
    found = re.findall(r"c\.toml:(\d+): ([\w.\[\]]+): each (?:iss|name) once", text.replace("\n", " "))
    assert (status, found) == (1, [("2", "issuers[0].iss"), ("14", "issuers[2].trust_domain")]), text


def test_settings_of_an_issuer_are_named_by_all_its_names(tmp_path: Path) -> None:
    """What changed of an issuer of several names stands under these, as they are written."""
    tables = [
        {"issuers": [{"iss": ["https://a.example", "https://b.example"], "leeway_s": at}]} for at in (1, 2)
    ]
    (found,) = differences(*[settings_of(one, {}) for one in tables])
    assert found.setting == "issuers[https://a.example, https://b.example].leeway_s"

"""``rapidjws config check`` over the whole schema: each setting with what it must refuse."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from settings import GOOD, REFUSED, TABLES, WRONG_TYPE, changed, toml, written
from typer.testing import CliRunner

from rapidjws.cli.app import app
from rapidjws.cli.config_check import problems_of
from rapidjws.sidecar.settings import settings_from

KEYS = [(section, key) for section, fields in TABLES.items() for key in fields]


def check(path: Path, *options: str) -> tuple[int, str]:
    """Check a file; return the status and what was written."""
    found = CliRunner().invoke(app, ["config", "check", str(path), *options])
    assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
    return found.exit_code, found.output


def listed(path: Path) -> tuple[int, str]:
    """Return what the command would, without building the command line: the walk asks some thousand times."""
    found = problems_of(path, lambda table: settings_from(table, path.parent))
    return int(bool(found)), "".join(f"{path}:{one}\n" for one in found)


def line_and_key(tables: dict[str, Any], section: str, key: str) -> tuple[str, str]:
    """Return where a setting stands, as a message must say it."""
    lines = toml(tables).splitlines()
    start = next(at for at, line in enumerate(lines) if line.strip("[]") == section)
    line = next(at for at in range(start, len(lines)) if lines[at].startswith(f'"{key}" = ')) + 1
    dotted = f"{section}[0].{key}" if isinstance(GOOD[section], list) else f"{section}.{key}"
    return str(line), dotted


def assert_named(folder: Path, section: str, key: str, values: list[Any]) -> None:
    """Assert that each value is refused with line, setting and what is allowed."""
    for value in values:
        tables = changed(section, key, value)
        path = written(folder, tables)
        status, text = listed(path)
        line, dotted = line_and_key(tables, section, key)
        assert status == 1, f"{key} = {value!r} is good"
        wanted = rf"^{re.escape(str(path))}:{line}: {re.escape(dotted)}(?:[.[][^:]*)?: \S.* expected"
        assert re.search(wanted, text, re.MULTILINE), f"{key} = {value!r} gives {text}"


def test_N10_the_good_configuration_is_good(tmp_path: Path) -> None:
    """What the walk changes passes as it is, with every section of the schema in it."""
    assert set(GOOD) == set(TABLES)
    path = written(tmp_path, GOOD)
    assert check(path) == (0, f"{path}: good\n")


def test_N10_the_walk_has_every_setting() -> None:
    """A setting that is added to the schema needs values that it refuses, or the word that it takes any."""
    assert {section: set(fields) for section, fields in REFUSED.items()} == {
        section: set(fields) for section, fields in TABLES.items()
    }


@pytest.mark.parametrize(("section", "key"), KEYS)
def test_N10_a_value_of_another_type_is_named(section: str, key: str, tmp_path: Path) -> None:
    """A value of a wrong type is refused with line and setting."""
    assert_named(tmp_path, section, key, WRONG_TYPE[TABLES[section][key]])


@pytest.mark.parametrize(("section", "key"), KEYS)
def test_N10_a_value_out_of_range_is_named(section: str, key: str, tmp_path: Path) -> None:
    """A value of the right type that means nothing is refused with line and setting."""
    assert_named(tmp_path, section, key, REFUSED[section][key])


@pytest.mark.parametrize(("section", "key"), KEYS)
def test_N10_an_unknown_neighbour_is_named(section: str, key: str, tmp_path: Path) -> None:
    """A misspelt setting is refused, and the one that was meant is among those named."""
    tables = changed(section, f"{key}x", 1)
    status, text = listed(written(tmp_path, tables))
    line, dotted = line_and_key(tables, section, f"{key}x")
    assert status == 1
    named = re.search(rf"c\.toml:{line}: {re.escape(dotted)}: one of (.*) expected", text)
    assert named, text
    assert key in named[1].split(", ")


def test_each_header_of_a_claim_is_named_at_its_line(tmp_path: Path) -> None:
    """Several slips in one table are all there, each with its line and claim, whatever its name."""
    path = tmp_path / "c.toml"
    table = (
        '[server.claim_headers]\ntid = "X-Tenant"\n"/a/b" = "Host"\n"https://x.example/c" = "X Y"\n'
        'd = { header = "X-D", encoding = "hex" }\n'
    )
    path.write_text(toml({"issuers": GOOD["issuers"]}) + "\n" + table)
    start = path.read_text().splitlines().index("[server.claim_headers]") + 1
    status, text = listed(path)
    found = re.findall(r"c\.toml:(\d+): server\.claim_headers\.(\S+): .* expected", text)
    assert status == 1
    assert found == [(str(start + 2), "/a/b"), (str(start + 3), "https://x.example/c"), (str(start + 4), "d")]


def test_N10_all_errors_at_once(tmp_path: Path) -> None:
    """One wrong value in each section, and two in one: each has its line."""
    tables: dict[str, Any] = {**GOOD, "server": {"listen": "nowhere", "workers": 0, "drain_s": 0}}
    tables["engine"] = {"micro_batch_us": -1, "skew_every": -1}
    tables["notices"] = {**GOOD["notices"], "port": 0, "security": "ssl"}
    tables["shadow"] = {"incumbent": "x", "sample": 2}
    tables["partners"] = [{"name": "a b", "leeway_s": -1}]
    tables["issuers"] = [{**GOOD["issuers"][0], "exp_required": False, "algorithms": []}]
    status, text = check(written(tmp_path, tables))
    assert status == 1
    found = set(re.findall(r"c\.toml:\d+: ([\w.\[\]]+): ", text))
    assert found == {
        "server.listen", "server.workers", "server.drain_s", "engine.micro_batch_us", "engine.skew_every",
        "notices.port", "notices.security", "shadow.incumbent", "shadow.sample", "partners[0].name",
        "partners[0].leeway_s", "issuers[0].algorithms", "issuers[0].replay",
    }, text  # fmt: skip


def test_N10_hostile_values_are_escaped(tmp_path: Path) -> None:
    """Escapes in names and values of a file never reach the terminal."""
    tables = changed("issuers", "algorithms", ["\u001b[2J\u202e"])
    tables["server"]["\u001b]0;x\u0007"] = 1
    tables["partners"][0]["retiring"] = ["\u001b[31m 2027-01-31"]
    tables["\u009b"] = {}
    status, text = check(written(tmp_path, tables))
    assert status == 1
    assert text.count("expected") >= 4
    assert all(line.isprintable() for line in text.splitlines())


def test_N10_nothing_is_looked_at_for_another_machine(tmp_path: Path) -> None:
    """With --ignore-files the names of files, folders, sockets and modules are not looked at."""
    tables = changed("issuers", "jwks_file", "absent")
    tables["issuers"][0]["ca"] = "absent"
    tables["server"] |= {"admin_listen": "0.0.0.0:1", "admin_token_file": "absent"}
    tables["rollout"]["state"] = "c.toml"
    tables["shadow"]["incumbent"] = "no_such_module_here:f"
    tables["notices"] |= {"password_file": "absent", "username": "u", "templates": "absent", "ca": "absent"}
    path = written(tmp_path, tables)
    assert check(path)[0] == 1
    assert check(path, "--ignore-files") == (0, f"{path}: good\n")


@pytest.mark.parametrize(("key", "value"), [("nonce_period_s", 9), ("nonce_period_s", 86_401)])
@pytest.mark.parametrize("secrets", [True, False])
def test_a_value_beside_a_file_is_looked_at_for_another_machine(
    key: str, value: int, secrets: bool, tmp_path: Path
) -> None:
    """With --ignore-files the secrets are not read; what stands beside their file is checked all the same."""
    tables = changed("dpop", key, value)
    tables["dpop"]["nonce_secrets_file"] = "absent"
    if not secrets:
        del tables["dpop"]["nonce_secrets_file"]
    status, text = check(written(tmp_path, tables), "--ignore-files")
    assert (status, f"dpop.{key}: " in text) == (1, True), text

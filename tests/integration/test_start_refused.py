"""A start with a file or folder that cannot be used: refused by the supervisor, before a worker is forked."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gates import free_port
from sidecar_process import Service, configured

from rapidjws.cli.config_check import problems_of
from rapidjws.sidecar.settings import settings_from

Break = Callable[[Path, dict[str, Any]], None]


def _broken_revocations(folder: Path, config: dict[str, Any]) -> None:
    (folder / "revoked.json").write_text('{"revocations": [')
    config["revocations"] = {"file": "revoked.json"}


def _unknown_revocation(folder: Path, config: dict[str, Any]) -> None:
    (folder / "revoked.json").write_text('{"revocations": [{"planet": "x"}]}')
    config["revocations"] = {"file": "revoked.json"}


def _no_folder_for_revocations(folder: Path, config: dict[str, Any]) -> None:
    config["revocations"] = {"file": "absent/revoked.json"}


def _no_keys(folder: Path, config: dict[str, Any]) -> None:
    (folder / "jwks.json").unlink()


def _broken_keys(folder: Path, config: dict[str, Any]) -> None:
    (folder / "jwks.json").write_text("{")


def _empty_keys(folder: Path, config: dict[str, Any]) -> None:
    (folder / "jwks.json").write_text('{"keys": []}')


def _state_is_a_file(folder: Path, config: dict[str, Any]) -> None:
    (folder / "state").write_text("")


def _broken_plan(folder: Path, config: dict[str, Any]) -> None:
    (folder / "state").mkdir()
    (folder / "state" / "plan.json").write_text("{")


def _no_socket_folder(folder: Path, config: dict[str, Any]) -> None:
    config["server"]["admin_listen"] = "unix:absent/admin.sock"


def _no_secret(folder: Path, config: dict[str, Any]) -> None:
    config["server"]["hook_secret_file"] = "absent"


def _no_authorities(folder: Path, config: dict[str, Any]) -> None:
    (folder / "ca.pem").write_text("no certificate")
    config["issuers"][0]["ca"] = "ca.pem"


CASES: list[tuple[Break, str]] = [
    (_broken_revocations, "revocations.file"),
    (_unknown_revocation, "revocations.file"),
    (_no_folder_for_revocations, "revocations.file"),
    (_no_keys, "issuers[0].jwks_file"),
    (_broken_keys, "issuers[0].jwks_file"),
    (_empty_keys, "issuers[0].jwks_file"),
    (_state_is_a_file, "rollout.state"),
    (_broken_plan, "rollout.state"),
    (_no_socket_folder, "server.admin_listen"),
    (_no_secret, "server.hook_secret_file"),
    (_no_authorities, "issuers[0].ca"),
]
IDS = [one.__name__.strip("_") for one, _ in CASES]


def broken(folder: Path, damage: Break) -> Path:
    """Write a configuration, and damage what it names."""
    path = configured(folder, f"127.0.0.1:{free_port()}")
    config = json.loads(path.read_text())
    damage(folder, config)
    path.write_text(json.dumps(config, indent=1))
    return path


def problems(path: Path) -> list[str]:
    """Return what ``rapidjws config check`` lists."""
    return [str(one) for one in problems_of(path, lambda table: settings_from(table, path.parent))]


@pytest.mark.parametrize(("damage", "key"), CASES, ids=IDS)
def test_N10_check_names_the_file_that_cannot_be_used(damage: Break, key: str, tmp_path: Path) -> None:
    """One line with the file's line, the setting, what is expected and what was found; nothing is made."""
    path = broken(tmp_path, damage)
    before = sorted(tmp_path.rglob("*"))
    found = problems(path)
    assert len(found) == 1, found
    assert f": {key}: " in found[0]
    assert " expected, found " in found[0]
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("damage", "key"), [CASES[0], CASES[3], CASES[6], CASES[8]], ids=[IDS[at] for at in (0, 3, 6, 8)]
)
def test_N10_a_start_is_refused_once_and_for_all(damage: Break, key: str, tmp_path: Path) -> None:
    """The service ends with 2 and one line that names the setting: no worker is started again and again."""
    path = broken(tmp_path, damage)
    service = Service(tmp_path, ["--config", str(path)])
    try:
        assert service.process.wait(90) == 2
    finally:
        service.process.kill()
    lines = service.text().splitlines()
    assert len(lines) == 1, lines
    assert f"{path}:" in lines[0]
    assert f": {key}: " in lines[0]


def test_N10_a_folder_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """State, kept keys and sockets need a folder to write to; a list that another program writes does not."""
    (tmp_path / "revoked.json").write_text('{"revocations": []}')
    (tmp_path / "locked").mkdir()

    def damage(folder: Path, config: dict[str, Any]) -> None:
        config["rollout"]["state"] = "locked"
        config["issuers"][0]["last_good_file"] = "locked/kept.json"
        config["server"]["admin_listen"] = "unix:locked/admin.sock"
        config["revocations"] = {"file": "revoked.json"}

    real = os.access
    locked = (tmp_path / "locked", tmp_path)
    monkeypatch.setattr(os, "access", lambda path, mode: path not in locked and real(path, mode))
    found = problems(broken(tmp_path, damage))
    assert [one.split(": ")[1] for one in found] == [
        "issuers[0].last_good_file", "rollout.state", "server.admin_listen",
    ]  # fmt: skip
    assert all("not writable" in one for one in found)

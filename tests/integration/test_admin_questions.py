"""What a running ``rapidjws serve`` says of its configuration and its keys, asked by the command line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from admins import call
from gates import ISSUER, free_port
from sidecar_process import Service, configured
from typer.testing import CliRunner

from rapidjws.cli.app import app
from rapidjws.testing import FaultyIssuerServer

pytest.importorskip("httptools", reason="the extra `server` is not installed")
pytest.importorskip("uvloop", reason="the extra `server` is not installed")

SECRET = "an administrator's secret, long enough"


def run(*words: object) -> tuple[int, str]:
    """Run a command; return its status and all it wrote."""
    found = CliRunner().invoke(app, list(map(str, words)), env={"COLUMNS": "200"})
    assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
    return found.exit_code, found.output


@contextmanager
def running(folder: Path, change: Any, workers: int = 2) -> Iterator[Path]:
    """Run a sidecar of a changed configuration; give the configuration."""
    path = configured(folder, f"127.0.0.1:{free_port()}", workers, admin_listen="unix:admin.sock")
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config, indent=1))
    service = Service(folder, ["--config", str(path)])
    try:
        service.wait_for(rf"{workers} workers")
        yield path
    finally:
        service.end()


def test_N10_check_against_a_running_service(tmp_path: Path) -> None:
    """What a file would change is named with before, after and what it needs; passwords are never shown."""
    (tmp_path / "token.txt").write_text(SECRET)

    def change(config: dict[str, Any]) -> None:
        config["replay"] = {"redis": "redis://u:hunter2@127.0.0.1:1/0?x=hidden"}
        config["issuers"][0]["audience"] = ["https://api.example"]

    with running(tmp_path, change) as path:
        socket = tmp_path / "admin.sock"
        status, text = run("config", "check", path, "--admin", socket)
        assert (status, text) == (0, f"{path}: good\nthe running service has all of it\n")
        shown = call(socket, "GET", "/admin/config")[1]
        assert "hunter2" not in json.dumps(shown)
        assert "hidden" not in json.dumps(shown)
        config = json.loads(path.read_text())
        config["replay"]["redis"] = "redis://u:swordfish@127.0.0.1:1/0?x=hidden"
        config["issuers"][0]["leeway_s"] = 30
        config["issuers"][0]["audience"] = "https://api.example"  # the same in another form
        config["issuers"].append({**config["issuers"][0], "iss": "https://new.example"})
        config["partners"] = [{"name": "other", "scopes": ["a"]}]
        config["server"]["workers"] = 4
        other = tmp_path / "other.json"
        other.write_text(json.dumps(config))
        status, text = run("config", "check", other, "--admin", f"unix:{socket}")
        assert status == 3, text
        redacted = "redis://(redacted)@127.0.0.1:1/0?(redacted)"
        assert text.splitlines() == [
            f"{other}: good",
            f"changed issuers[{ISSUER.iss}].leeway_s: 60 -> 30 (reload)",
            "added issuers[https://new.example]: true (reload)",
            "added partners[other]: true (restart)",
            "removed partners[ready]: true (restart)",
            f'changed replay.redis: "{redacted}" -> "{redacted}" (restart)',
            "changed server.workers: 2 -> 4 (restart)",
            "6 settings would change, 4 of them with a restart only",
        ]
        other.write_text("{}")
        assert run("config", "check", other, "--admin", socket)[0] == 1
        assert run("config", "check", path, "--admin", f"http://127.0.0.1:{free_port()}")[0] == 2
    status, text = run("config", "check", path, "--admin", socket)
    assert status == 2
    assert "a running service's admin listener" in text
    assert "No such file or directory (/" in text


def test_N10_a_reload_is_seen_by_check(tmp_path: Path) -> None:
    """After a reload the service has what the file says; over a port it wants its token."""
    port = free_port()
    (tmp_path / "token.txt").write_text(SECRET)

    def change(config: dict[str, Any]) -> None:
        config["server"] |= {"admin_listen": f"127.0.0.1:{port}", "admin_token_file": "token.txt"}

    with running(tmp_path, change, workers=1) as path:
        admin = ("--admin", f"http://127.0.0.1:{port}")
        token = ("--admin-token-file", tmp_path / "token.txt")
        status, text = run("config", "check", path, *admin)
        assert (status, "wants --admin-token-file" in text) == (2, True)
        config = json.loads(path.read_text())
        config["issuers"][0]["leeway_s"] = 30
        path.write_text(json.dumps(config))
        bearer = [("Authorization", f"Bearer {SECRET}")]
        assert call(port, "POST", "/admin/reload", {}, bearer)[0] == 200
        assert run("config", "check", path, *admin, *token)[0] == 0


def test_N13_keys_status_of_a_running_service(tmp_path: Path) -> None:
    """The keys that a worker uses are shown with their ages; nothing is fetched for it."""
    with FaultyIssuerServer() as issuer:

        def change(config: dict[str, Any]) -> None:
            (tmp_path / "ca.pem").write_text(issuer.ca_pem)
            fetched = {"iss": issuer.iss, "jwks_url": issuer.url, "ca": "ca.pem", "algorithms": ["ES256"]}
            gone = {**fetched, "iss": "https://gone.example", "required": False}
            gone["jwks_url"] = f"https://127.0.0.1:{free_port()}/jwks"
            config["issuers"] += [fetched, gone]

        with running(tmp_path, change, workers=1) as path:
            fetches = call(tmp_path / "admin.sock", "GET", "/admin/keys")[1]["issuers"][1]["fetches"]
            status, text = run("keys", "status", "--admin", tmp_path / "admin.sock", "--json")
            rows = {row["issuer"]: row for row in map(json.loads, text.splitlines())}
            assert status == 0, text
            assert rows[ISSUER.iss]["kids"]
            fetched = rows[issuer.iss]
            assert (fetched["kids"], fetched["code"]) == ([issuer.published[0]["kid"]], None)
            assert 0 <= fetched["age_s"] < 600
            assert 0 < fetched["stale_in_s"] <= 6 * 3600
            assert fetched["fetches"] == fetches
            assert rows["https://gone.example"]["code"] == "keys_unavailable"
            assert rows["https://gone.example"]["failure"]
            status, text = run("keys", "status", "--admin", f"unix:{tmp_path}/admin.sock")
            assert status == 0
            assert re.match(r"worker \d+\n", text)
            assert "None" not in text
            assert re.search(rf"{re.escape(issuer.iss)}\s+\S+\s+\d+\.\d\s+\d+\.\d\s+ok", text)
            assert re.search(r"https://gone\.example\s+none\s+-\s+-\s+keys_unavailable", text)
            assert call(tmp_path / "admin.sock", "POST", "/admin/keys", {})[0] == 405
        assert run("keys", "status", "--admin", tmp_path / "admin.sock")[0] == 2
    assert run("keys", "status")[0] == 2
    assert run("keys", "status", "--config", path, "--admin", "x")[0] == 2

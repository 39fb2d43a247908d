"""Admin actions and the hook: who may, what holds at once in every worker, and what the public side knows."""

from __future__ import annotations

import json
import os
import signal
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from admins import Crowd, call, connected
from gates import ISSUER, Sidecar, bearer, free_port, get, serving, token
from typer.testing import CliRunner

from rapidjws.cli.app import app
from rapidjws.testing import FaultyIssuerServer

pytest.importorskip("httptools", reason="the extra `server` is not installed")
pytest.importorskip("uvloop", reason="the extra `server` is not installed")

SECRET = "an administrator's secret, long enough"
HOOK_SECRET = "an issuer's secret, which is long enough"
ACTIONS = ("promote", "rollback", "freeze", "thaw", "revoke", "unrevoke", "reload", "status")
LAG_MAX_S = 5.0
"""Generous: what was measured is printed."""


class AdminClient:
    """A sidecar and its admin socket."""

    def __init__(self, sidecar: Sidecar, socket: Path) -> None:
        self.sidecar = sidecar
        self.socket = socket

    def do(self, action: str, **found: Any) -> tuple[int, Any]:
        """Ask for an action."""
        return call(self.socket, "POST", f"/admin/{action}", found)

    def status(self) -> Any:
        """Return what the admin side says of itself."""
        return call(self.socket, "GET", "/admin/status")[1]


@pytest.fixture(scope="module")
def admin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdminClient]:
    """Start a sidecar with two workers, an admin socket and a hook."""
    folder = tmp_path_factory.mktemp("a")
    (folder / "hook.txt").write_text(HOOK_SECRET + "\n")
    with serving(
        folder,
        {"revocations": {"file": "revocations.json"}},
        admin_listen=f"unix:{folder / 'admin.sock'}",
        hook_secret_file="hook.txt",
    ) as sidecar:
        one = AdminClient(sidecar, folder / "admin.sock")
        wait_until(lambda: len(one.status()["workers"]) == 2)
        yield one


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    end_s = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end_s, "it never happened"
        time.sleep(0.05)


@pytest.fixture
def crowd(admin: AdminClient) -> Iterator[Crowd]:
    """Hold connections to every worker that send a good token."""
    one = Crowd(admin.sidecar.port, bearer(token(jti="one")))
    yield one
    one.close()


def enforced(answer: tuple[int, Any]) -> None:
    """Assert that every worker took a change over, and print after how long."""
    status, found = answer
    assert status == 200, found
    lags_s = [worker["lag_s"] for worker in found["workers"]]
    print("from the call to each worker, ms:", [round(1000 * one, 3) for one in lags_s])
    assert len(lags_s) == 2
    assert len({worker["changes"] for worker in found["workers"]}) == 1
    assert max(lags_s) < LAG_MAX_S


def test_revocation_holds_in_each_worker_on_the_next_call(admin: AdminClient, crowd: Crowd) -> None:
    """Once the call returns, no connection of any worker gets the revoked token through; lifted, all do."""
    assert crowd.statuses() == {200}
    enforced(admin.do("revoke", issuer=ISSUER.iss, jti="one"))
    assert crowd.statuses() == {401}
    assert get(admin.sidecar.port, bearer(token(jti="two")), "/verify")[0] == 200
    enforced(admin.do("unrevoke", issuer=ISSUER.iss, jti="one"))
    assert crowd.statuses() == {200}
    assert admin.do("unrevoke", issuer=ISSUER.iss, jti="one")[0] == 404


def test_a_revocation_by_command_is_measured(admin: AdminClient, crowd: Crowd) -> None:
    """``keys revoke --config`` returns when every worker refuses, and M10 says after how long."""
    config = admin.sidecar.folder / "rapidjws.json"
    named = ["--config", str(config), "--issuer", ISSUER.iss, "--jti", "one"]
    assert CliRunner().invoke(app, ["keys", "revoke", "--drill", *named]).exit_code == 0
    assert crowd.statuses() == {401}
    scraped = get(admin.sidecar.port, [], "/metrics")[2].decode()
    name = "rapidjws_emergency_rotation_seconds"
    labels = f'{{issuer="{ISSUER.iss}",stage="in_force",drill="true"}}'
    assert f"{name}{labels}" in scraped
    assert CliRunner().invoke(app, ["keys", "unrevoke", *named]).exit_code == 0
    assert crowd.statuses() == {200}


def test_phases_hold_in_each_worker_on_the_next_call(admin: AdminClient) -> None:
    """Rollback, promotion, freeze and thaw hold at once on every connection, and the history names who."""
    unsigned = Crowd(admin.sidecar.port, [])
    try:
        assert unsigned.statuses() == {401}
        enforced(admin.do("rollback", by="ann", to="detection", why="a test"))
        assert unsigned.statuses() == {200}
        enforced(admin.do("freeze", by="ann"))
        assert admin.do("promote", by="ann", to="enforcement", force=True)[0] == 409
        assert unsigned.statuses() == {200}
        enforced(admin.do("thaw", by="ann"))
        enforced(admin.do("promote", by="bob", to="enforcement", force=True))
        assert unsigned.statuses() == {401}
    finally:
        unsigned.close()
    done = [(one.action, one.by) for one in admin.sidecar.rollout.history()[-4:]]
    assert done == [("rollback", "ann"), ("freeze", "ann"), ("thaw", "ann"), ("promote", "bob")]


def test_reload_holds_in_each_worker_and_a_bad_file_changes_nothing(admin: AdminClient, crowd: Crowd) -> None:
    """A reload takes the file's issuers over everywhere; a file that is refused leaves all as it was."""
    path = admin.sidecar.folder / "rapidjws.json"
    before = path.read_text()
    config = json.loads(before)
    config["issuers"][0]["audience"] = "https://other.example"
    try:
        path.write_text(json.dumps(config))
        enforced(admin.do("reload"))
        assert crowd.statuses() == {401}
        path.write_text(before.replace("ES256", "none"))
        status, found = admin.do("reload")
        assert (status, found["error"]) == (409, "configuration_invalid")
        assert crowd.statuses() == {401}
    finally:
        path.write_text(before)
        enforced(admin.do("reload"))
    assert crowd.statuses() == {200}


def test_a_restarted_worker_takes_part(admin: AdminClient) -> None:
    """A worker that was killed comes back, knows what holds, and is waited for again."""
    enforced(admin.do("revoke", issuer=ISSUER.iss, jti="three"))
    before = {worker["pid"] for worker in admin.status()["workers"]}
    os.kill(min(before), signal.SIGKILL)
    end_s = time.monotonic() + 60
    while True:
        try:
            pids = {worker["pid"] for worker in admin.status()["workers"]}
        except OSError:  # it was the one that had taken the call
            pids = set()
        if len(pids) == 2 and min(before) not in pids:
            break
        assert time.monotonic() < end_s, "never came back"
        time.sleep(0.05)
    crowd = Crowd(admin.sidecar.port, bearer(token(jti="three")))
    try:
        assert crowd.statuses() == {401}
        enforced(admin.do("unrevoke", issuer=ISSUER.iss, jti="three"))
        assert crowd.statuses() == {200}
    finally:
        crowd.close()


def test_lag_is_counted(admin: AdminClient) -> None:
    """The counters say of each worker how many changes it took over, and how long the last one took."""
    enforced(admin.do("freeze", by="ann"))
    enforced(admin.do("thaw", by="ann"))
    text = get(admin.sidecar.port, [], "/metrics")[2].decode()
    for worker in admin.status()["workers"]:
        assert f'rapidjws_change_lag_seconds{{worker="{worker["index"]}"}}' in text
        assert f'rapidjws_changes_total{{worker="{worker["index"]}"}} {worker["changes"]}' in text


@pytest.mark.parametrize("action", ACTIONS)
def test_public_side_knows_no_admin_path(admin: AdminClient, action: str) -> None:
    """On the public listener an admin path is any other unknown one, whatever comes with it."""
    for method in ("GET", "POST"):
        assert call(admin.sidecar.port, method, f"/admin/{action}", {}, bearer(SECRET))[0] == 404


def test_socket_is_its_owners(admin: AdminClient) -> None:
    """Nobody but its owner may open the admin socket."""
    found = os.stat(admin.socket)
    assert stat.S_ISSOCK(found.st_mode)
    assert stat.S_IMODE(found.st_mode) == 0o600


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/admin/promote", None, 405),
        ("POST", "/admin/status", None, 405),
        ("POST", "/admin/", None, 405),
        ("POST", "/admin/shutdown", None, 404),
        ("GET", "/verify", None, 404),
        ("GET", "/metrics", None, 404),
        ("POST", "/admin/promote", b"{", 400),
        ("POST", "/admin/promote", [], 400),
        ("POST", "/admin/promote", {"by": 7}, 400),
        ("POST", "/admin/promote", {"to": "chaos"}, 400),
        ("POST", "/admin/promote", {"canary_percent": True}, 400),
        ("POST", "/admin/promote", {"force": "yes"}, 400),
        ("POST", "/admin/promote", {"partner": "stranger"}, 409),
        ("POST", "/admin/rollback", {"force": True}, 400),
        ("POST", "/admin/revoke", {}, 409),
        ("POST", "/admin/revoke", {"kid": ""}, 409),
        ("POST", "/admin/revoke", {"issued_before": "now"}, 400),
        ("POST", "/admin/reload", {"path": "x"}, 400),
        ("POST", "/admin/promote", b"[" * 60_000, 400),
        ("POST", "/admin/promote", b" " * 70_000, 413),
    ],
)
def test_wrong_calls_change_nothing(
    admin: AdminClient, method: str, path: str, body: Any, status: int
) -> None:
    """Another method, path, argument or type is refused, and nothing is different afterwards."""
    before = admin.status()
    assert call(admin.socket, method, path, body)[0] == status
    after = admin.status()
    assert (after["plan"], after["revocations"]) == (before["plan"], before["revocations"])


def test_two_calls_at_once_end_the_connection(admin: AdminClient) -> None:
    """An admin connection does one thing at a time."""
    link = connected(admin.socket)
    link.connect()
    link.sock.sendall(b"GET /admin/status HTTP/1.1\r\n\r\n" * 3)
    found = b""
    while piece := link.sock.recv(65536):
        found += piece
    link.close()
    assert found.count(b"HTTP/1.1 ") <= 1


@pytest.mark.parametrize(
    "headers",
    [
        [],
        bearer(""),
        bearer(SECRET[:-1]),
        bearer(SECRET + "x"),
        [("Authorization", f"Basic {SECRET}")],
        bearer(SECRET) + bearer(SECRET),
        [("X-Token", SECRET)],
    ],
    ids=["none", "empty", "short", "long", "other scheme", "twice", "other header"],
)
def test_token_is_needed_on_a_port(tmp_path: Path, headers: list[tuple[str, str]]) -> None:
    """Over TCP nothing is done, and nothing shown, without the token; with it, it is."""
    (tmp_path / "token").write_text(SECRET)
    port = free_port()
    with serving(tmp_path, workers=1, admin_listen=f"127.0.0.1:{port}", admin_token_file="token") as sidecar:
        for action in ACTIONS:
            for method in ("GET", "POST"):
                assert call(port, method, f"/admin/{action}", {}, headers) == (401, {"error": "unauthorized"})
        assert sidecar.rollout.history() == ()
        assert call(port, "POST", "/admin/freeze", {"by": "ann"}, bearer(SECRET))[0] == 200
        assert sidecar.rollout.history()[-1].by == "ann"


def test_workers_without_a_common_place_refuse(tmp_path: Path) -> None:
    """What could hold in one worker only is refused, and the answer names what is missing."""
    path = tmp_path / "admin.sock"
    with serving(tmp_path, {"rollout": {"phase": "enforcement"}}, admin_listen=f"unix:{path}"):
        status, found = call(path, "POST", "/admin/rollback", {"to": "detection"})
        assert (status, found["error"].partition(":")[0]) == (409, "rollout.state")
        status, found = call(path, "POST", "/admin/revoke", {"issuer": ISSUER.iss})
        assert (status, found["error"].partition(":")[0]) == (409, "revocations")


def test_hook_fetches_in_every_worker(tmp_path: Path) -> None:
    """The hook's caller makes each worker fetch the issuer's keys at once; nobody else does."""
    (tmp_path / "hook.txt").write_text(HOOK_SECRET)
    with FaultyIssuerServer("https://rotating.example", "ES256", plain=True, lifetime_s=3600) as issuer:
        rules = {"iss": issuer.iss, "algorithms": ["ES256"], "audience": "https://api.example"}
        issuers = [{**rules, "jwks_url": issuer.url, "insecure_allow_http": True}]
        with serving(tmp_path, {"issuers": issuers, "partners": []}, hook_secret_file="hook.txt") as sidecar:
            port, path = sidecar.port, "/hooks/jwks-rotated"
            end_s = time.monotonic() + 60
            while len(issuer.requests) < 2:  # each worker's own first fetch
                assert time.monotonic() < end_s
                time.sleep(0.05)
            before = len(issuer.requests)
            for headers in ([], bearer("x" * 40), bearer(HOOK_SECRET) + bearer(HOOK_SECRET)):
                assert call(port, "POST", path, None, headers)[0] == 401
            assert call(port, "GET", path, None, bearer(HOOK_SECRET))[0] == 405
            assert call(port, "POST", path, {"issuer": "https://x.example"}, bearer(HOOK_SECRET))[0] == 404
            time.sleep(0.5)
            assert len(issuer.requests) == before
            issuer.rotate()
            assert call(port, "POST", path, {"issuer": issuer.iss}, bearer(HOOK_SECRET))[0] == 202
            while len(issuer.requests) < before + 2:
                assert time.monotonic() < end_s, "not in every worker"
                time.sleep(0.05)
            crowd = Crowd(port, bearer(token(issuer)))
            while crowd.statuses() != {200}:
                assert time.monotonic() < end_s, "the new key never came"
                time.sleep(0.1)
            crowd.close()


def test_hook_is_not_there_unless_configured(tmp_path: Path) -> None:
    """Without a secret in the configuration the hook's path is unknown."""
    with serving(tmp_path, workers=1) as sidecar:
        assert call(sidecar.port, "POST", "/hooks/jwks-rotated", None, bearer(HOOK_SECRET))[0] == 404

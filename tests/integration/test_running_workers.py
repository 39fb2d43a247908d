"""What commands say of a running service's workers: their keys, a key, the rollout, and why they cannot."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from admins import call
from gates import ISSUER, bearer, free_port, get, token
from sidecar_process import Service, configured, until
from typer.testing import CliRunner

from rapidjws.cli.app import app
from rapidjws.testing import FaultyIssuerServer

pytest.importorskip("httptools", reason="the extra `server` is not installed")
pytest.importorskip("uvloop", reason="the extra `server` is not installed")

SECRET = "an issuer's secret, which is long enough"


def run(*words: object) -> tuple[int, str]:
    """Run a command; return its status and all it wrote."""
    found = CliRunner().invoke(app, list(map(str, words)), env={"COLUMNS": "200"})
    assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
    return found.exit_code, found.output


def run_until_good(*words: object) -> tuple[int, str]:
    """Run a command until it ends with 0: what one worker knows of another may be a moment old."""
    runs: list[tuple[int, str]] = []

    def good() -> bool:
        runs.append(run(*words))
        return runs[-1][0] == 0

    until(good, "the workers agree")
    return runs[-1]


class Running:
    """A sidecar of two workers with an issuer whose keys are fetched."""

    def __init__(self, folder: Path, issuer: FaultyIssuerServer) -> None:
        self.issuer = issuer
        self.port = free_port()
        self.admin = folder / "admin.sock"
        (folder / "ca.pem").write_text(issuer.ca_pem)
        (folder / "hook.txt").write_text(SECRET)
        server = {"admin_listen": "unix:admin.sock", "hook_secret_file": "hook.txt", "worker_timeout_s": 300}
        self.config = configured(folder, f"127.0.0.1:{self.port}", 2, **server)
        config = json.loads(self.config.read_text())
        fetched = {"iss": issuer.iss, "jwks_url": issuer.url, "ca": "ca.pem", "algorithms": ["ES256"]}
        config["issuers"].append(fetched)
        self.config.write_text(json.dumps(config))
        self.service = Service(folder, ["--config", str(self.config)])
        self.service.wait_for("2 workers")
        until(self.has_keys, "both workers report that they have the keys of each issuer")

    def keys(self) -> Any:
        """Return what the service says of its keys."""
        return call(self.admin, "GET", "/admin/keys")[1]

    def has_keys(self) -> bool:
        """Return whether both workers have keys of each issuer; a slow one may report before its fetch."""
        reports = self.keys()["workers"]
        return len(reports) == 2 and all(row["kids"] for report in reports for row in report["issuers"])

    def known_to_the_other(self) -> int:
        """Return the process of a worker whose keys the other one knows of."""
        known: list[int] = []

        def seen() -> bool:
            found = self.keys()
            for report in found["workers"]:
                if report["pid"] != found["worker"] and all(row["kids"] for row in report["issuers"]):
                    known.append(report["pid"])
            return bool(known)

        until(seen, "a worker knows of the other's keys")
        return known[0]

    def announce(self) -> None:
        """Say that keys rotated; a worker that sleeps does not answer, so another one is asked."""

        def reported() -> bool:
            link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
            with contextlib.suppress(TimeoutError), contextlib.closing(link):
                link.request("POST", "/hooks/jwks-rotated", "{}", dict(bearer(SECRET)))
                return link.getresponse().status == 202
            return False

        until(reported, "a worker takes the news")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Run the sidecar."""
    with FaultyIssuerServer() as issuer:
        one = Running(tmp_path_factory.mktemp("running"), issuer)
        yield one
        one.service.end()


def kids(published: list[dict[str, Any]]) -> list[str]:
    """Return the kids of what an issuer publishes."""
    return [jwk["kid"] for jwk in published]


def test_K_all_workers_have_the_same_keys(running: Running) -> None:
    """Each worker's keys are shown with age and next refresh; a fresh fetch that agrees changes nothing."""
    before = running.keys()["issuers"][1]["fetches"]
    status, text = run_until_good("keys", "status", "--admin", running.admin)
    assert status == 0, text
    assert "all 2 workers have the same keys" in text
    for pid in running.service.workers():
        assert f"{pid} " in text
    status, text = run_until_good("keys", "status", "--admin", running.admin, "--json")
    row = [json.loads(line) for line in text.splitlines()][1]
    assert (status, row["differs"], row["fresh"]["fault"]) == (0, [], None)
    assert row["fresh"]["key_set"] == row["key_set"]
    assert {one["pid"] for one in row["workers"]} == set(running.service.workers())
    assert row["keys"][0]["thumbprint"]
    assert 0 <= row["next_refresh_s"] < row["stale_in_s"]
    assert row["fetches"] == before


def test_K_a_key_is_looked_for_in_each_worker(running: Running) -> None:
    """A key that every worker uses and a fresh fetch holds is available; one that none has is unknown."""
    (kid,) = kids(running.issuer.published)
    admin = ("--admin", f"unix:{running.admin}")
    status, text = run_until_good("diagnose", "key", "--kid", kid, *admin)
    assert status == 0, text
    assert text.count(": in use") == 2
    assert f"{running.issuer.iss}: available" in text
    status, text = run("diagnose", "key", "--kid", "nobody", *admin, "--format", "json")
    assert status == 1, text
    assert {one["state"] for one in json.loads(text)} == {"unknown"}
    assert run("diagnose", "key", *admin)[0] == 2
    assert run("diagnose", "key", "--kid", kid, *admin, "--issuer", "https://nobody.example")[0] == 2
    assert run("diagnose", "key", "--kid", kid, *admin, "--fresh", "x")[0] == 2
    assert run("diagnose", "key", "--kid", ISSUER.jwks.keys[0].kid, *admin)[0] == 0


def test_K_a_worker_that_lags_is_named(running: Running) -> None:
    """A worker that did not take a rotation over is named with what it lacks, by both commands."""
    asleep = running.known_to_the_other()
    (old,) = kids(running.issuer.published)
    os.kill(asleep, signal.SIGSTOP)
    try:
        running.issuer.rotate()
        new = next(kid for kid in kids(running.issuer.published) if kid != old)
        stale = run("diagnose", "key", "--kid", new, "--admin", running.admin)
        running.announce()
        until(lambda: new in running.keys()["issuers"][1]["kids"], "the other worker has the new key")
        status, text = run("keys", "status", "--admin", running.admin)
        assert status == 1, text
        assert f"worker {asleep} differs for {running.issuer.iss}: missing {new}" in text
        assert (
            f"worker {asleep} has other keys of {running.issuer.iss} than a fresh fetch: missing {new}"
            in text
        )
        status, text = run("diagnose", "key", "--kid", new, "--admin", running.admin)
        assert status == 1, text
        assert f"worker {asleep}: absent" in text
        assert "differs from the others" in text
        assert "available" in text
    finally:
        os.kill(asleep, signal.SIGCONT)
    assert stale[0] == 1
    assert "stale_cache" in stale[1]
    until(lambda: not running.keys()["differs"], "the worker that slept has the new key too")


def test_K_an_issuer_that_is_down_is_no_difference(running: Running) -> None:
    """Where no fresh set can be had, the workers' keys are shown with why, and hold."""
    running.issuer.server.down()
    try:
        status, text = run_until_good("keys", "status", "--admin", running.admin)
    finally:
        running.issuer.server.up()
    assert status == 0, text
    assert f"no fresh keys of {running.issuer.iss}: connect" in text


def test_K_a_rollout_report_of_a_running_service(running: Running) -> None:
    """The report counts what was not written yet, of all workers, as the file's report does later."""
    for _ in range(20):
        get(running.port, [*bearer(token()), ("X-Partner", "ready")], "/verify")

    def requests() -> int:
        status, text = run("rollout", "report", "--admin", running.admin, "--json")
        assert status in (0, 1), text
        return sum(one["requests"] for one in json.loads(text)["partners"])

    until(lambda: requests() >= 20, "all requests are counted")
    status, text = run("rollout", "report", "--admin", running.admin)
    assert (status, "ready" in text) == (0, True)
    assert (
        run("rollout", "report", "--admin", running.admin, "--html", running.config.parent / "a.html")[0] == 0
    )
    assert "<html" in (running.config.parent / "a.html").read_text()
    assert run("rollout", "report")[0] == 2


@contextlib.contextmanager
def listening(answer: bytes | None) -> Iterator[int]:
    """Listen on a port, and answer each connection so, or never."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        stop = threading.Event()

        def serve() -> None:
            while not stop.is_set():
                with contextlib.suppress(OSError):
                    link, _ = server.accept()
                    link.recv(65536)
                    if answer is None:
                        stop.wait(60)
                    else:
                        link.sendall(answer)
                    link.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        stop.set()
        server.shutdown(socket.SHUT_RDWR)
        thread.join(60)


def answer_of(status: int, body: bytes = b"{}") -> bytes:
    """Return an HTTP answer."""
    return b"HTTP/1.1 %d x\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (answer_of(401), "admin_unauthorized"),
        (answer_of(404), "admin_unsupported"),
        (answer_of(500), "admin_failed"),
        (answer_of(200, b"[]"), "admin_malformed"),
        (answer_of(200, b"{"), "admin_malformed"),
        (
            answer_of(200, b'{"worker": 1, "ready": true, "issuers": [], "revocations": []}'),
            "admin_malformed",
        ),
        (b"SSH-2.0-x\r\n", "admin_malformed"),
        (b"", "admin_unreachable"),
        (None, "admin_timeout"),
    ],
    ids=["token", "old", "fault", "array", "cut", "other version", "another program", "hangs up", "silent"],
)
@pytest.mark.parametrize(
    "words",
    [("keys", "status"), ("diagnose", "key", "--kid", "a"), ("rollout", "report")],
    ids=["keys", "key", "report"],
)
def test_K_why_a_service_cannot_be_asked(
    words: tuple[str, ...], answer: bytes | None, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each way in which a service fails to answer has a code of its own, and exit status 2."""
    from rapidjws.cli import admin_client

    monkeypatch.setattr(admin_client.ask, "__defaults__", (0.3,))
    with listening(answer) as port:
        status, text = run(*words, "--admin", f"http://127.0.0.1:{port}")
    assert status == 2, text
    assert f" {code}: " in text


def test_K_wrong_addresses_and_tokens(tmp_path: Path) -> None:
    """Nobody there, an address that is none, and a token that cannot be read are distinguished."""
    nobody = f"http://127.0.0.1:{free_port()}"
    assert "admin_unreachable" in run("keys", "status", "--admin", nobody)[1]
    assert "admin_unreachable" in run("keys", "status", "--admin", tmp_path / "none.sock")[1]
    assert "admin_address" in run("keys", "status", "--admin", "ftp://a.example/x")[1]
    missing = ("--admin-token-file", tmp_path / "none")
    assert "admin_token_unreadable" in run("keys", "status", "--admin", nobody, *missing)[1]


def test_K_an_answer_that_trickles_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that never ends is given up in time, not read for ever."""
    from rapidjws.cli.admin_client import AdminFailed, ask

    with socket.create_server(("127.0.0.1", 0)) as server:
        stop = threading.Event()

        def drip() -> None:
            link, _ = server.accept()
            with contextlib.suppress(OSError):
                link.sendall(b"HTTP/1.1 200 x\r\ncontent-length: 100000\r\n\r\n")
                while not stop.wait(0.05):
                    link.sendall(b" ")
            link.close()

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        begun_s = time.monotonic()
        with pytest.raises(AdminFailed) as failed:
            ask(f"http://127.0.0.1:{server.getsockname()[1]}", "keys", None, 0.5)
        assert failed.value.code == "admin_timeout"
        assert time.monotonic() - begun_s < 60
        stop.set()
        thread.join(60)

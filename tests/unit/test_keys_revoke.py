"""``rapidjws keys revoke``: the running service first, the store where that does not answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from rapidjws.cli.app import app
from rapidjws.stores import RevocationFile
from rapidjws.testing import FakeIssuer

ISSUER = FakeIssuer("https://issuer.example", "ES256")
TOKEN = "an administrator's secret, long enough"


class Listener:
    """An admin listener that answers as it is told, and keeps what it was asked."""

    def __init__(self) -> None:
        self.answer: tuple[int, bytes] = 200, b'{"workers": [1, 2]}'
        self.asked: list[tuple[str, str | None, Any]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            """One answer a request."""

            def do_POST(self) -> None:
                """Keep what is asked."""
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.asked.append((self.path, self.headers["Authorization"], json.loads(body)))
                self.send_response(outer.answer[0])
                self.send_header("Content-Length", str(len(outer.answer[1])))
                self.end_headers()
                self.wfile.write(outer.answer[1])

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    """Answer as an admin listener."""
    one = Listener()
    yield one
    one.close()


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., Path]:
    """Return what writes a configuration with a store, and an admin listener where one is named."""

    def write(admin: str | None = None, *, revocations: bool = True) -> Path:
        (tmp_path / "jwks.json").write_text(json.dumps(ISSUER.jwks.as_dict()))
        (tmp_path / "token.txt").write_text(TOKEN)
        issuer = {"iss": ISSUER.iss, "jwks_file": "jwks.json", "algorithms": ["ES256"]}
        server = {} if admin is None else {"admin_listen": admin, "admin_token_file": "token.txt"}
        found: dict[str, Any] = {"issuers": [issuer], "server": {"listen": "127.0.0.1:0", **server}}
        if revocations:
            found["revocations"] = {"file": "revocations.json"}
        (tmp_path / "rapidjws.json").write_text(json.dumps(found))
        return tmp_path / "rapidjws.json"

    return write


def run(*words: object) -> Result:
    """Run ``rapidjws keys``."""
    return CliRunner().invoke(app, ["keys", *map(str, words)])


def stored(config: Path) -> list[str | None]:
    """Return the kids that the store has."""
    return [one.kid for one in RevocationFile(config.with_name("revocations.json")).load()]


def test_the_running_service_is_asked_first(listener: Listener, config: Callable[..., Path]) -> None:
    """A revocation goes to admin_listen of the configuration with its token, and is measured there."""
    path = config(listener.address)
    done = run("revoke", "--config", path, "--kid", "k", "--issuer", ISSUER.iss, "--drill")
    assert done.exit_code == 0
    assert json.loads(done.stdout) == {
        "revoked": {"issuer": ISSUER.iss, "kid": "k"},
        "by": "service",
        "workers": 2,
    }
    asked = {"issuer": ISSUER.iss, "kid": "k", "drill": True}
    assert listener.asked == [("/admin/revoke", f"Bearer {TOKEN}", asked)]
    assert stored(path) == []
    assert run("unrevoke", "--config", path, "--kid", "k", "--issuer", ISSUER.iss).exit_code == 0
    assert listener.asked[1][0] == "/admin/unrevoke"


@pytest.mark.parametrize(
    "answer",
    [
        (401, b'{"error": "unauthorized"}'),
        (404, b'{"error": "not_found"}'),
        (409, b'{"error": "configuration_invalid", "detail": "x"}'),
        (503, b'{"error": "revocation_store_unavailable", "detail": "x"}'),
        (500, b"<html>"),
        (200, b"[1]"),
        (200, b"[" * 100_000),
    ],
)
def test_where_the_service_does_not_do_it_the_store_is_written(
    listener: Listener, config: Callable[..., Path], answer: tuple[int, bytes]
) -> None:
    """A service that refuses or answers nonsense keeps nobody from revoking, and why is said."""
    listener.answer = answer
    path = config(listener.address)
    done = run("revoke", "--config", path, "--kid", "k")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["by"] == "store"
    assert "written to the store alone" in done.stderr
    assert stored(path) == ["k"]


def test_nobody_listens(config: Callable[..., Path]) -> None:
    """Without a running service the store is written, and with a listener configured that is said."""
    quiet = run("revoke", "--config", config(), "--kid", "a")
    assert (quiet.exit_code, quiet.stderr) == (0, "")
    path = config("unix:admin.sock")
    spoken = run("revoke", "--config", path, "--kid", "b")
    assert spoken.exit_code == 0
    assert "admin_unreachable" in spoken.stderr
    assert stored(path) == ["a", "b"]
    lifted = run("unrevoke", "--config", path, "--kid", "c")
    assert lifted.exit_code == 2
    assert "no such revocation" in lifted.stderr


@pytest.mark.parametrize(
    "answer", [b'{"stored": false, "detail": "no disk", "workers": []}', b'{"workers": [1]}']
)
def test_what_is_behind_is_said(listener: Listener, config: Callable[..., Path], answer: bytes) -> None:
    """A revocation that a worker or the store does not have yet ends with exit code 1."""
    listener.answer = 202, answer
    done = run("revoke", "--config", config(listener.address), "--kid", "k")
    assert done.exit_code == 1
    assert ("no disk" if b"disk" in answer else "a worker is behind") in done.stderr


def test_admin_alone(listener: Listener, config: Callable[..., Path]) -> None:
    """With --admin and no configuration only the service is asked; what it refuses is not done."""
    admin = f"http://{listener.address}"
    assert run("revoke", "--admin", admin, "--kid", "k").exit_code == 0
    listener.answer = 409, b'{"error": "the workers share no store"}'
    refused = run("revoke", "--admin", admin, "--kid", "k")
    assert refused.exit_code == 2
    assert "share no store" in refused.stderr
    assert run("revoke", "--kid", "k").exit_code == 2
    assert run("revoke", "--admin", admin).exit_code == 2
    assert len(listener.asked) == 2
    assert run("revoke", "--config", config(revocations=False), "--kid", "k").exit_code == 2

"""`rapidjws issue announce` against a real HTTP server with the consumers' hook behind it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from rapidjws import JWKSet
from rapidjws.cli.app import app
from rapidjws.keys import RotatedHook
from rapidjws.verify.protocols import KeyState

ISS = "https://issuer.example"
SECRET = "0123456789abcdef0123456789abcdef"


class ExportedSet:
    """A source that reads the exported file when it is invalidated."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._keys: JWKSet | None = None

    def invalidate(self) -> None:
        """Read the file."""
        octets = self._path.read_bytes()
        self._keys = JWKSet.from_json(octets) if b"kid" in octets else None

    def state(self) -> KeyState:
        """Return what was read."""
        return KeyState(keys=self._keys)

    def subscribe(self, changed: Any) -> None:
        """Do nothing."""

    def unknown_kid(self, kid: str) -> None:
        """Do nothing."""

    def next_answer(self) -> Any:
        """Return nothing."""


@pytest.fixture
def consumer(tmp_path: Path) -> Iterator[str]:
    """Give the URL of a consumer's hook; its source is the file that the issuer exports."""
    exported = tmp_path / "web" / ".well-known" / "jwks.json"
    exported.parent.mkdir(parents=True)
    exported.write_text('{"keys":[]}')
    hook = RotatedHook({ISS: ExportedSet(exported)}, secret=SECRET)

    class Handler(BaseHTTPRequestHandler):
        """The hook over HTTP."""

        def do_POST(self) -> None:
            """Hand the request on."""
            body = self.rfile.read(int(self.headers["content-length"]))
            status, answer = hook.handle("POST", self.headers["authorization"], body)
            self.send_response(status)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hooks/jwks-rotated"
    server.shutdown()
    thread.join(60)
    server.server_close()


def test_consumers_confirm_over_http(tmp_path: Path, consumer: str) -> None:
    """A consumer confirms once it has the key; http without the operator's word for it is refused."""
    (tmp_path / "keys").mkdir()
    secret = tmp_path / "orders.secret"
    secret.write_text(f"{SECRET}\n")
    secret.chmod(0o600)
    config = tmp_path / "issuing.toml"
    text = (
        f'[issuing]\nissuer = "{ISS}"\nstate_file = "keys.json"\nkey_folder = "keys"\n'
        f'[[consumers]]\nname = "orders"\nurl = "{consumer}"\nsecret_file = "orders.secret"\n'
    )
    runner = CliRunner()

    def run(*words: str) -> tuple[int, str]:
        result = runner.invoke(app, ["issue", *words, "--config", str(config)])
        return result.exit_code, result.output

    config.write_text(text)
    status, shown = run("check")
    assert (status, "issuing.toml:7" in shown) == (2, True), shown
    config.write_text(f"{text}insecure_allow_http = true\n")
    run("tick")
    status, shown = run("announce", "--wait", "0")
    assert (status, "orders has not answered" in shown) == (1, True), shown
    assert run("export", "--folder", str(tmp_path / "web"))[0] == 0
    status, shown = run("announce", "--wait", "60")
    assert (status, shown.startswith("orders has ")) == (0, True), shown
    secret.chmod(0o644)
    status, shown = run("check")
    assert (status, "issuing.toml:8" in shown, SECRET in shown) == (2, True, False), shown

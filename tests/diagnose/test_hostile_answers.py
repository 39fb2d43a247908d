"""Hostile values in the answers of an admin address: no command prints or obeys them (S26)."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("typer", reason="the extra `cli` is not installed")

from test_hostile_output import CANARIES, TOGETHER, hold, run

HUGE = (10**400, -1, 1e308, float("nan"))
"""Where a number is expected."""


def status(text: str, number: Any = 1) -> dict[str, Any]:
    """Return a status with a foreign text wherever one is shown, and a number wherever one is."""
    codes = [{"code": text, "verdict": text, "count": 1}]
    window = {"seconds": 300, "requests": 2, "covered_s": 300, "permit": 1, "deny": 1, "indeterminate": 0}
    windows = [{**window, "refused": 1, "codes": codes}] * 3
    partner = {"partner": text, "phase": text, "ready": True, "recent": 1, "recent_failed": 1}
    worker = {"index": text, "pid": text, "started_s": number, "restarts": 1, "connections": 1}
    change = dict.fromkeys(("issuer", "partner", "route", "kid", "detail", "by", "why"), text)
    change |= {"event": "key_added", "at_s": number, "last_s": number, "count": 2}
    issuer = {"issuer": text, "code": text, "differs": [text], "keys": [{"kid": text}], "failure": text}
    alert = dict.fromkeys(("severity", "name", "summary", "runbook"), text)
    return {
        "health": text,
        "ready": True,
        "at_s": number,
        "plan": {"frozen": True},
        "series": [{"requests": 1.0}],
        "latency_us": {"p50": 1, "p95": 1, "p99": 1},
        "windows": windows,
        "alerts": [{**alert, "since_s": number}],
        "issuers": [{**issuer, "age_s": number, "next_refresh_s": 1, "stale_in_s": 1}],
        "changes": [change, {**change, "event": text}],
        "partners": [{**partner, "refused_tomorrow": True, "why": text}],
        "workers": [{**worker, "loop_lag_s": 0.1, "change_lag_s": 0.1}],
    }


def keys(text: str) -> dict[str, Any]:
    """Return what a service answers of its keys."""
    row = {
        "issuer": text,
        "kids": [text],
        "key_set": text,
        "code": text,
        "failure": text,
        "age_s": 1,
        "stale_in_s": 1,
        "keys": [{"kid": text, "thumbprint": text}],
    }
    other = {"pid": text, "code": text, "missing": [text], "extra": [text], "replaced": [text]}
    return {
        "worker": 1,
        "issuers": [row],
        "workers": [{"pid": text, "issuers": [row]}],
        "differs": {text: [other]},
        "fresh": {text: {"fault": text, "key_set": text, "keys": []}},
        "revocations": [{"kid": text, text: text}],
    }


class _Answers(BaseHTTPRequestHandler):
    """Answers every question of a command as its server says."""

    def do_GET(self) -> None:
        """Answer."""
        code, octets = self.server.answer  # type: ignore[attr-defined]
        self.send_response_only(code)
        self.send_header("Content-Length", str(len(octets)))
        self.end_headers()
        self.wfile.write(octets)

    do_POST = do_GET

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    """Serve answers that a test chooses."""
    with HTTPServer(("127.0.0.1", 0), _Answers) as made:
        threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield made
        made.shutdown()


def answers(server: HTTPServer, value: Any, code: int = 200) -> str:
    """Have the server give an answer from now on; return its address."""
    octets = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else json.dumps(value).encode()
    server.answer = (code, octets)  # type: ignore[attr-defined]
    return f"http://127.0.0.1:{server.server_address[1]}"


def questions(admin: str, folder: Path) -> list[tuple[str, ...]]:
    """Return the commands that ask a running service."""
    config = folder / "config.toml"
    config.write_text(
        '[[issuers]]\niss = "https://a.example"\njwks_url = "https://a.example/jwks"\n'
        'algorithms = ["ES256"]\naudience = "me"\n[rollout]\nstate = "state"\n',
        "utf-8",
    )
    (folder / "state").mkdir(mode=0o700, exist_ok=True)
    named = ("--admin", admin)
    return [
        ("top", "--once", *named),
        ("top", "--json", *named),
        ("incident", "timeline", *named),
        ("incident", "timeline", *named, "-f", "markdown", "--plot", str(folder / "plot.svg")),
        ("incident", "timeline", *named, "-f", "json"),
        ("check", "--config", str(config), *named, "--timeout", "0.1"),
        ("keys", "status", *named),
        ("keys", "status", *named, "--json"),
        ("keys", "status", *named, "--fresh"),
        ("keys", "revoke", *named, "--kid", "k"),
        ("keys", "unrevoke", *named, "--kid", "k"),
        ("diagnose", "key", "--kid", "k", *named),
        ("config", "check", str(config), *named),
        ("rollout", "status", "--config", str(config), *named),
    ]


@pytest.mark.parametrize("name", [*TOGETHER, "html", "markdown"])
def test_S26_answers_of_a_service(server: HTTPServer, name: str, tmp_path: Path) -> None:
    """What a service answers is shown harmlessly by every command that asks one, or refused."""
    text = {**CANARIES, **TOGETHER}[name]
    given: list[tuple[Any, int]] = [
        (status(text), 200),
        (keys(text), 200),
        ({"detail": text, "error": text, "stored": False, "workers": text}, 202),
        ({"detail": text, "error": text}, 409),
        ({"detail": text, "error": text}, 404),
        ({text: text, "phases": {text: text}, "settings": {text: text}, "worker": text}, 200),
        (text, 200),
        ([text], 200),
    ]
    for value, code in given:
        admin = answers(server, value, code)
        for words in questions(admin, tmp_path):
            output = run(name, *words)
            if "markdown" in words and words[0] == "incident":
                prose = re.sub(r"\\.", "", re.sub(r"`[^`\n]*`", "", output))
                assert not re.search(r"\]\(http|<script|<img|://evil", prose), output
    picture = (tmp_path / "plot.svg").read_text("utf-8")
    hold(picture, name)
    assert not re.search(r"<(?:script|img|a|image|foreignObject)\b", picture)


@pytest.mark.parametrize("number", [*HUGE, None, "1", True, [], {}], ids=lambda one: str(one)[:9])
def test_S25_numbers_in_answers_of_a_service(server: HTTPServer, number: Any, tmp_path: Path) -> None:
    """A number that no service says is shown, or one line says that the answer is none; never a traceback."""
    admin = answers(server, status("a", number))
    for words in questions(admin, tmp_path):
        run("number", *words)

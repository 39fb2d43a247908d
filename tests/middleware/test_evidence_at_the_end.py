"""Evidence at the end of a server that leaves SIGTERM to the system: the application can handle it."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from gates import free_port
from rollouts import ISSUER

SERVERS = {
    "waitress": "from waitress import serve\nserve(app, host='127.0.0.1', port=port)",
    "cheroot": "from cheroot import wsgi\nwsgi.Server(('127.0.0.1', port), app).safe_start()",
    "wsgiref": "from wsgiref.simple_server import make_server\n"
    "make_server('127.0.0.1', port, app).serve_forever()",
}
APP = """\
import signal, sys
import rapidjws
import rapidjws.rollout.evidence as evidence
from pathlib import Path
from rapidjws.middleware import WSGIMiddleware
from rapidjws.rollout import Partner, Rollout, StateFolder
from rapidjws.rollout.rollout import first_plan

evidence.FLUSH_S = 600.0  # nothing but the end writes
port, iss = int(sys.argv[1]), sys.argv[2]
keys = rapidjws.JWKSet.from_json(Path("jwks.json").read_bytes())
state = StateFolder("state", first_plan("detection"))
rollout = Rollout([Partner(name="a", issuers=[iss])], state=state)
issuer = rapidjws.Issuer(iss, keys=keys, algorithms=["ES256"], audience="https://api.example")

def hello(environ, start_response):
    start_response("200 OK", [])
    return [b""]

app = WSGIMiddleware(hello, engine=rapidjws.Engine(issuer, rollout=rollout))
"""
HANDLED = "signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))\n"


def _answer_to_its_end(port: int, head: bytes) -> bytes:
    """Return the octets of an answer, up to the close of its connection; none where nobody listens.

    wsgiref swallows what a handler of signals raises while it writes, and closes after that.
    """
    octets = b""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=60) as link:
        link.sendall(head)
        while some := link.recv(65536):
            octets += some
    return octets


@pytest.mark.parametrize("name", SERVERS)
def test_evidence_is_written_where_the_application_handles_sigterm(name: str, tmp_path: Path) -> None:
    """SystemExit out of a handler ends these servers in order; exit handlers write what was counted."""
    if name != "wsgiref":
        pytest.importorskip(name, reason=f"{name} is not installed")
    (tmp_path / "jwks.json").write_text(json.dumps(ISSUER.jwks.as_dict()))
    (tmp_path / "app.py").write_text(APP + HANDLED + SERVERS[name])
    port = free_port()
    process = subprocess.Popen([sys.executable, "app.py", str(port), ISSUER.iss], cwd=tmp_path)
    try:
        token = ISSUER.token(ISSUER.claims(int(time.time())))
        head = f"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
        end_s = time.monotonic() + 60
        while not _answer_to_its_end(port, head.encode()).startswith(b"HTTP/1."):
            assert time.monotonic() < end_s, "it never listened"
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    finally:
        process.kill()
        process.wait()
    rows = [
        row
        for file in tmp_path.glob("state/evidence-*.json")
        for row in json.loads(file.read_bytes())["rows"]
    ]
    assert len(rows) == 1

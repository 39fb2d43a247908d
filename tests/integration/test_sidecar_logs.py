"""The log of a running sidecar: what is in it, what never is, and that nobody waits for it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

from gates import COMMAND, ISSUER, bearer, forged, free_port, get, token, write_config, write_keys
from sidecar_process import Service, until

CANARY = "canary-7f3d"


def configured(folder: Path, logs: dict[str, Any], workers: int = 2) -> tuple[Path, int]:
    """Write a configuration with a section ``logs``; return it and the port."""
    write_keys(folder)
    issuer = {"iss": ISSUER.iss, "jwks_file": "jwks.json", "algorithms": ["ES256"]}
    port = free_port()
    server = {"listen": f"127.0.0.1:{port}", "workers": workers}
    path = write_config(folder, [{**issuer, "audience": "https://api.example"}], server=server, logs=logs)
    return path, port


def lines_of(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a log."""
    return [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []


def test_a_log_tells_what_happened_and_never_holds_a_token(tmp_path: Path) -> None:
    """At DEBUG: start, refusals with their request's id, a rotation, stop; no piece of any token."""
    log, security = tmp_path / "jws.log", tmp_path / "security.log"
    logs = {"destination": "jws.log", "security_destination": "security.log", "level": "debug"}
    config, port = configured(tmp_path, {**logs, "operator_lines": False})
    service = Service(tmp_path, ["--config", str(config)])
    none = token(sub=CANARY, header={"alg": "none", "kid": "k"})
    bad = token(sub=CANARY).rpartition(".")[0] + "." + forged().rpartition(".")[2]
    good = token(sub=CANARY)
    try:
        until(lambda: any(one["event"] == "service_started" for one in lines_of(log)), "it serves")
        for text in (good, bad, none, f"{bad}.{bad}"):
            headers = [*bearer(text), ("X-Request-Id", "req-1"), ("X-Original-URI", f"/a?token={text}")]
            get(port, headers, "/verify")
        until(lambda: sum(one["event"] == "token_refused" for one in lines_of(log)) == 3, "three refusals")
        os.rename(log, tmp_path / "jws.log.1")
        service.process.send_signal(signal.SIGHUP)
        get(port, [], "/verify")
        until(lambda: any(one["event"] == "config_loaded" for one in lines_of(log)), "the new file is used")
    finally:
        assert service.end() == 0
    before, after = lines_of(tmp_path / "jws.log.1"), lines_of(log)
    (start,) = (one for one in before if one["event"] == "service_started")
    assert {"version", "python", "openssl", "workers", "listen"} <= set(start)
    refused = [one for one in before if one["event"] == "token_refused"]
    assert {one["request_id"] for one in refused} >= {"req-1"}
    assert {one["code"] for one in refused} >= {"signature_invalid"}
    assert [one["event"] for one in lines_of(security)] == ["algorithm_confusion"]
    assert after[-1]["event"] == "service_stopped"
    written = b"".join(path.read_bytes() for path in (log, security, tmp_path / "jws.log.1", service.log))
    for text in (good, bad, none):
        for piece in (CANARY, text, *text.split(".")[1:]):
            assert piece.encode() not in written
    assert service.text() == ""


def test_a_pipe_that_nobody_reads_delays_no_verdict(tmp_path: Path) -> None:
    """With standard error full, requests are answered, refusals stay refusals, and the sidecar ends."""
    config, port = configured(tmp_path, {"lines_per_minute": 1_000_000, "queue_lines": 16}, workers=1)
    reading, writing = os.pipe()
    process = subprocess.Popen([*COMMAND, "serve", "--config", str(config)], stderr=writing)
    os.close(writing)
    try:
        seen = b""
        while b"service_started" not in seen:
            seen += os.read(reading, 4096)
        text = forged()
        for _ in range(600):  # some 300 bytes each: far more than a pipe and the queue hold
            assert get(port, bearer(text), "/verify")[0] == 401
        assert get(port, bearer(token()), "/verify")[0] == 200
        process.terminate()
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        os.close(reading)

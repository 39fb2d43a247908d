"""The image's probe and file, the systemd units, and the files for gateways: tried without them."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from gates import serving

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
PROBE = DEPLOY / "image/probe.py"
pytestmark = pytest.mark.source_tree


def probe(*words: object) -> subprocess.CompletedProcess[str]:
    """Run the probe as the image does, without the site's packages."""
    return subprocess.run(
        [sys.executable, "-IS", str(PROBE), *map(str, words)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_probe_of_a_running_sidecar(tmp_path: Path) -> None:
    """It ends with 0 for an answer of 200 only, over a Unix socket."""
    pytest.importorskip("uvloop", reason="the extra `server` is not installed")
    path = tmp_path / "verify.sock"
    with serving(tmp_path, listen=f"unix:{path}"):
        assert probe(path, "/healthz").returncode == 0
        assert probe(path, "/readyz").returncode == 0
        refused = probe(path, "/verify")
        assert (refused.returncode, "401" in refused.stderr) == (1, True)
    assert probe(path, "/healthz").returncode == 1


@contextmanager
def answering(octets: bytes) -> Iterator[int]:
    """Answer one connection with some octets, and close it."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            link, _ = server.accept()
            with link:
                link.recv(1024)
                link.sendall(octets)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        thread.join(30)


@pytest.mark.parametrize(
    ("octets", "status"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", 0),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", 1),
        (b"HTTP/1.1 2000 OK\r\n\r\n", 1),
        (b"200 OK\r\n", 1),
        (b"garbage", 1),
        (b"", 1),
    ],
)
def test_the_probe_believes_200_only(octets: bytes, status: int) -> None:
    """Another answer, nonsense and silence are no health."""
    with answering(octets) as port:
        assert probe(f"127.0.0.1:{port}", "/healthz").returncode == status


@pytest.mark.parametrize("words", [[], ["127.0.0.1:1"], ["127.0.0.1:1", "healthz"]])
def test_the_probe_refuses_wrong_words(words: list[str]) -> None:
    """A slip in a manifest is told from a sidecar that is down."""
    assert probe(*words).returncode == 2


def test_the_image_runs_without_privilege() -> None:
    """The last stage has a numeric user other than root, no compiler, and exec forms."""
    last = (DEPLOY / "image/Dockerfile").read_text("utf-8").rpartition("\nFROM ")[2]
    words = {line.split(" ", 1)[0]: line.split(" ", 1)[1] for line in last.splitlines() if " " in line}
    assert words["USER"] == "65532:65532"
    assert words["ENTRYPOINT"] == '["rapidjws"]'
    assert words["CMD"].startswith('["serve"')
    assert "gcc" not in last


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze absent")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    """``systemd-analyze verify`` has nothing to say of the service and its socket."""
    text = (DEPLOY / "systemd/rapidjws.service").read_text("utf-8")
    (tmp_path / "rapidjws.service").write_text(text.replace("/opt/rapidjws/bin/rapidjws", "/bin/true"))
    shutil.copy(DEPLOY / "systemd/rapidjws.socket", tmp_path)
    paths = [tmp_path / "rapidjws.service", tmp_path / "rapidjws.socket"]
    words = ["systemd-analyze", "verify", "--recursive-errors=no", *map(str, paths)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    found = [line for line in (done.stdout + done.stderr).splitlines() if "rapidjws" in line]
    assert found == []
    assert done.returncode == 0


def _texts(value: Any) -> Iterator[tuple[str, Any]]:
    for name, one in value.items() if isinstance(value, dict) else enumerate(value):
        yield str(name), one
        if isinstance(one, (dict, list)):
            yield from _texts(one)


@pytest.mark.parametrize("path", sorted((DEPLOY / "gateways").glob("*.yaml")), ids=lambda path: path.name)
def test_no_gateway_lets_pass_what_nobody_decided(path: Path) -> None:
    """Each file says that a sidecar that is gone lets nothing pass, in the words of its gateway."""
    closed = {"failOpen": False, "failure_mode_allow": False, "allow_degradation": False}
    documents = [one for one in yaml.safe_load_all(path.read_text("utf-8")) if one]
    pairs = [pair for document in documents for pair in _texts(document)]
    said = [(name, value) for name, value in pairs if name in closed]
    assert all(closed[name] is value for name, value in said)
    assert (
        said or path.name == "gateway-api.yaml"
    )  # which has no such word: an error is 5xx by its definition
    assert "/verify" in path.read_text("utf-8") or path.name == "contour.yaml"

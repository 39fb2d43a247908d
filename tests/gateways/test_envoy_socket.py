"""Envoy by the native sidecar, over a Unix socket: each kind of token, a sidecar that hangs or is gone."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from gates import SPOOFED, Service, Sidecar, bearer, free_port, get, kinds, program, running, serving, token
from sidecar_process import children_of

pytestmark = [
    pytest.mark.gateways,
    pytest.mark.source_tree,
    pytest.mark.skipif(program("envoy") is None, reason="envoy absent: `make gateways` installs it"),
]
pytest.importorskip("uvloop", reason="the extra `server` is not installed")

CONFIG = Path(__file__).resolve().parents[2] / "deploy/gateways/envoy-socket.yaml"
WAIT_S = 60.0
ENVOY_OWN_LIMIT_S = 0.2


@pytest.fixture(name="beside", scope="module")
def _beside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    folder = tmp_path_factory.mktemp("pod")
    with serving(folder, listen=f"unix:{folder}/verify.sock", listen_mode="0660") as sidecar:
        yield sidecar


def written(folder: Path, socket: Path, port: int, service: int) -> Path:
    """Write Envoy's file with the ports and the socket of this test."""
    text = CONFIG.read_text("utf-8").replace("/run/rapidjws/verify.sock", str(socket))
    text = text.replace("address: 0.0.0.0, port_value: 8080", f"address: 127.0.0.1, port_value: {port}")
    path = folder / "envoy.yaml"
    path.write_text(text.replace("port_value: 9000", f"port_value: {service}"))
    return path


@pytest.fixture(name="envoy", scope="module")
def _envoy(beside: Sidecar, service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    folder, port = tmp_path_factory.mktemp("envoy"), free_port()
    path = written(folder, beside.folder / "verify.sock", port, service.port)
    words = [str(program("envoy")), "-c", str(path), "--use-dynamic-base-id", "--log-level", "error"]
    checked = subprocess.run(
        [*words, "--mode", "validate"], capture_output=True, text=True, timeout=60, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    with running(words, port, cwd=folder):
        yield port


def test_each_kind_of_token_over_the_socket(envoy: int, service: Service) -> None:
    """Every kind of request gets its status, and the service sees no header that a client made up."""
    for name, headers, status in kinds():
        service.seen.clear()
        assert get(envoy, [*headers, *SPOOFED])[0] == status, name
        assert [one["x-jws-status"] for one in service.seen] == ["verified"] * (status == 200)
        assert not any("x-jws-role" in one or "x_jws_subject" in one for one in service.seen)


def test_the_socket_is_its_groups(beside: Sidecar) -> None:
    """A container with the pod's group may ask, and nobody else."""
    assert stat.S_IMODE((beside.folder / "verify.sock").stat().st_mode) == 0o660


def test_a_sidecar_that_hangs_costs_no_more_than_its_limit(
    envoy: int, beside: Sidecar, service: Service
) -> None:
    """Requests get 503 while the sidecar stands still, none reaches the service, until it goes on."""
    processes = [*children_of(beside.process.pid), beside.process.pid]
    service.seen.clear()
    for pid in processes:
        os.kill(pid, signal.SIGSTOP)
    try:
        assert [get(envoy, bearer(token()))[0] for _ in range(3)] == [503] * 3
        assert service.seen == []
    finally:
        for pid in processes:
            os.kill(pid, signal.SIGCONT)
    end_s = time.monotonic() + WAIT_S
    while get(envoy, bearer(token()))[0] != 200:
        assert time.monotonic() < end_s


def test_envoys_limit_is_below_its_own() -> None:
    """The time limit in the file is shorter than Envoy's own, so that it is the one that holds."""
    (line,) = [line for line in CONFIG.read_text("utf-8").splitlines() if "server_uri" in line]
    assert float(line.partition("timeout: ")[2].rstrip("s }")) < ENVOY_OWN_LIMIT_S


def test_no_sidecar_is_503(service: Service, tmp_path: Path) -> None:
    """Without a sidecar nothing passes."""
    port = free_port()
    path = written(tmp_path, tmp_path / "nobody.sock", port, service.port)
    words = [str(program("envoy")), "-c", str(path), "--use-dynamic-base-id", "--log-level", "off"]
    service.seen.clear()
    with running(words, port, cwd=tmp_path):
        assert get(port, bearer(token()))[0] == 503
    assert service.seen == []

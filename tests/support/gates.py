"""Real gateways and the sidecar, started for tests with the configurations of the examples.

What it never does: test.
"""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from gateway import COMMAND, GATEWAYS, WAIT_S, Service, bearer, free_port, get, program, running
from gateway import gateway as run_gateway

from rapidjws.rollout import Partner, Rollout, StateFolder
from rapidjws.rollout.rollout import first_plan
from rapidjws.testing import FakeIssuer

__all__ = [
    "COMMAND",
    "GATEWAYS",
    "ISSUER",
    "SPOOFED",
    "Service",
    "Sidecar",
    "bearer",
    "exchange",
    "forged",
    "free_port",
    "get",
    "kinds",
    "running",
    "serving",
    "started",
    "token",
    "write_config",
    "write_keys",
]

ISSUER = FakeIssuer("https://a.example", "ES256", lifetime_s=7200)
GONE = FakeIssuer("https://gone.example", "ES256", lifetime_s=7200)
SPOOFED = [
    ("X-JWS-Subject", "admin"),
    ("X-JWS-Status", "verified"),
    ("X-JWS-Issuer", "https://evil.example"),
    ("x_jws_subject", "admin"),
    ("X_JWS_Issuer", "https://evil.example"),
    ("X-JWS-Role", "admin"),
]
"""What a client makes up under our names, in both spellings, and under a name that we do not even use."""


def token(of: FakeIssuer = ISSUER, header: dict[str, Any] | None = None, **changes: Any) -> str:
    """Return a token that is good now."""
    return of.token(of.claims(int(time.time()), **changes), header=header)


def forged() -> str:
    """Return a token under another one's signature."""
    return token().rpartition(".")[0] + "." + token(sub="x").rpartition(".")[2]


def kinds() -> list[tuple[str, list[tuple[str, str]], int]]:
    """Return a request of each kind, with the status that it must get at every middleware."""
    return [
        ("good", bearer(token(sub="ann")), 200),
        ("forged", bearer(forged()), 401),
        ("expired", bearer(token(exp=1_700_000_000)), 401),
        ("missing", [], 401),
        ("unknown kid", bearer(token(header={"kid": "made-up"})), 401),
        ("two tokens", bearer(token()) + bearer(forged()), 401),
        ("outage", bearer(token(GONE)), 503),
    ]


def write_config(folder: Path, issuers: list[dict[str, Any]], **sections: Any) -> Path:
    """Write a configuration file."""
    path = folder / "rapidjws.json"
    path.write_text(json.dumps({"issuers": issuers, **sections}))
    return path


def write_keys(folder: Path) -> None:
    """Write the keys of ISSUER."""
    (folder / "jwks.json").write_text(json.dumps({"keys": [jwk.as_dict() for jwk in ISSUER.jwks.keys]}))


NOBODY: list[tuple[str, str]] = []
WHOLE = 16
"""Answers alike, each over a connection of its own, after which every worker has most likely been asked."""

LOOKED_S = 1.0
"""After so long each worker has looked at the plan again, which it does several times a second."""


class Sidecar:
    """A running sidecar."""

    def __init__(self, port: int, folder: Path, process: subprocess.Popen[bytes]) -> None:
        self.port = port
        self.folder = folder
        self.process = process
        self.rollout = Rollout(
            [Partner(name="ready")], state=StateFolder(folder / "state", first_plan()), partners_named=True
        )

    def hold(self, status: int, headers: list[tuple[str, str]] = NOBODY, path: str = "/verify") -> None:
        """Wait until each worker answers so: it looks at the plan beside its loop, a moment later."""
        end_s, count = time.monotonic() + WAIT_S, 0
        named = [("X-Original-URI", "/")] if path == "/verify" else []  # server.body needs a path
        while count < 2 * WHOLE:
            count = count + 1 if get(self.port, [*headers, *named], path)[0] == status else 0
            if count == WHOLE:
                time.sleep(LOOKED_S)  # on a busy machine one worker may take all connections for a while
            assert time.monotonic() < end_s, f"never {status}"


@contextmanager
def serving(folder: Path, sections: dict[str, Any] | None = None, **server: Any) -> Iterator[Sidecar]:
    """Run a sidecar of two workers until it is ready; one of its issuers cannot be reached.

    Args:
        folder: For its configuration and state.
        sections: More sections of the configuration.
        server: More settings of the section server.
    """
    write_keys(folder)
    port = free_port()
    common = {"algorithms": ["ES256"], "audience": "https://api.example"}
    gone_url = f"https://127.0.0.1:{free_port()}/jwks"
    issuers = [
        {"iss": ISSUER.iss, "jwks_file": "jwks.json", **common},
        {"iss": GONE.iss, "jwks_url": gone_url, "required": False, **common},
    ]
    found = {
        "issuers": issuers,
        "rollout": {"state": "state", "phase": "enforcement"},
        "server": {"listen": f"127.0.0.1:{port}", "workers": 2, **server},
        "partners": [{"name": "ready", "issuers": [ISSUER.iss]}],
        **(sections or {}),
    }
    path = write_config(folder, **found)
    listen = found["server"]["listen"]
    target = Path(listen.removeprefix("unix:")) if listen.startswith("unix:") else port
    with running([*COMMAND, "serve", "--config", str(path)], target) as process:
        end_s = time.monotonic() + WAIT_S
        while get(target, [], "/readyz")[0] != 200:
            assert time.monotonic() < end_s, "never ready"
            time.sleep(0.1)
        yield Sidecar(port, folder, process)


@contextmanager
def started(name: str, folder: Path, *, service: int, sidecar: str, grpc: int = 0) -> Iterator[int]:
    """Run a gateway in front of a service and give its port; skip where its program is absent."""
    if program(GATEWAYS[name].program) is None:
        pytest.skip(f"{GATEWAYS[name].program} absent: `make gateways` installs it where it can be had")
    with run_gateway(name, folder, service=service, sidecar=sidecar, grpc=grpc) as port:
        yield port


def exchange(target: int | Path, octets: bytes, wait_s: float = 20.0) -> bytes:
    """Send octets to a port or Unix socket; return what comes back until it closes or nothing comes."""
    family = socket.AF_UNIX if isinstance(target, Path) else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as link:
        link.settimeout(wait_s)
        link.connect(str(target) if isinstance(target, Path) else ("127.0.0.1", target))
        found = b""
        try:
            link.sendall(octets)
            while piece := link.recv(65536):
                found += piece
        except (TimeoutError, ConnectionError):
            pass
        return found

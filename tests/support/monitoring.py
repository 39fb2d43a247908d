"""A real Prometheus and Alertmanager for tests; absent, a test is skipped with one clear line."""

from __future__ import annotations

import shutil
import socket

import pytest

ALERTMANAGER = "prometheus-alertmanager"


def program(name: str) -> str:
    """Return the path of a program, or skip."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} absent: `make gateways` installs it where it can be had")
    return found


def free_port() -> int:
    """Return a port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        port: int = one.getsockname()[1]
        return port

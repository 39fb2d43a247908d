"""A Redis of the test's own, on a free port; absent, the test is skipped with one clear line."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

ABSENT = "redis-server absent: apt-get install redis-server"


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


class OwnRedis:
    """A redis-server of its own until stopped.

    Args:
        folder: Where it may write.
        settings: Further command line words.
    """

    def __init__(self, folder: Path, *settings: str) -> None:
        binary = shutil.which("redis-server")
        if binary is None:
            pytest.skip(ABSENT)
        pytest.importorskip("redis", reason="redis absent: pip install redis")
        self.port = free_port()
        self._command = [binary, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
                         "--dir", str(folder), "--daemonize", "no",
                         "--repl-diskless-sync-delay", "0", *settings]  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        """Return the URL of database 0."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start, and wait until it answers."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(500):
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1) as probe:
                    probe.sendall(b"PING\r\n")
                    if probe.recv(16).startswith(b"+PONG"):
                        return
            except OSError:
                time.sleep(0.02)
        raise AssertionError("redis-server did not start")

    def stop(self) -> None:
        """End it, and wait for its end."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self, *, on: bool) -> None:
        """Stop it in its tracks, or let it go on."""
        import signal

        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP if on else signal.SIGCONT)

    def has_replica(self) -> bool:
        """Return whether a replica confirms what is written."""
        with socket.create_connection(("127.0.0.1", self.port), 5) as wire:
            wire.sendall(b"SET warm 1\r\nWAIT 1 1000\r\n")
            found = b""
            while found.count(b"\r\n") < 2:
                found += wire.recv(4096) or b"\r\n"
        return found.endswith(b":1\r\n")

    def command(self, *words: str) -> bytes:
        """Send one command, and return what comes first."""
        with socket.create_connection(("127.0.0.1", self.port), 5) as wire:
            wire.sendall(" ".join(words).encode() + b"\r\n")
            return wire.recv(4096)

"""A ``rapidjws serve`` in a process of its own, its workers, and what it wrote."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from gates import COMMAND, ISSUER, bearer, free_port, get, token, write_config, write_keys

WAIT_S = 90.0


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait until a condition holds, and return what it gave."""
    end_s = time.monotonic() + WAIT_S
    while not (found := condition()):
        assert time.monotonic() < end_s, what
        time.sleep(0.02)
    return found


class Service:
    """A ``rapidjws serve`` in a process of its own, with what it wrote."""

    def __init__(
        self, folder: Path, arguments: list[str], command: list[str] | None = None, **popen: Any
    ) -> None:
        self.log = folder / f"log{len(list(folder.glob('log*')))}"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([*(command or COMMAND), "serve", *arguments], stderr=log, **popen)

    def text(self) -> str:
        """Return what it wrote for a person so far: all but the lines of its log."""
        lines = self.log.read_text("utf-8").splitlines(keepends=True)
        return "".join(line for line in lines if not line.startswith("{"))

    def events(self) -> list[dict[str, Any]]:
        """Return the lines of its log so far, those that are whole."""
        lines = self.log.read_text("utf-8").splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Wait for a line of its log."""
        found = until(
            lambda: re.search(pattern, self.text()) or (self.process.poll() is not None and "ended"), pattern
        )
        assert not isinstance(found, str), f"ended before {pattern!r}: {self.text()}"
        return found

    def workers(self) -> list[int]:
        """Return the process ids of its workers."""
        return children_of(self.process.pid)

    def end(self) -> int:
        """End it, and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(60)
        finally:
            self.process.kill()


def children_of(pid: int) -> list[int]:
    """Return the children of a process."""
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid: int) -> bool:
    """Return whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def configured(folder: Path, listen: str, workers: int = 2, **server: Any) -> Path:
    """Write a configuration with one issuer whose keys lie in a file."""
    write_keys(folder)
    issuer = {
        "iss": ISSUER.iss,
        "jwks_file": "jwks.json",
        "algorithms": ["ES256"],
        "audience": "https://api.example",
    }
    return write_config(
        folder,
        [issuer],
        rollout={"state": "state", "phase": "enforcement"},
        partners=[{"name": "ready", "issuers": [ISSUER.iss]}],
        server={"listen": listen, "workers": workers, "drain_s": 10.0, **server},
    )


@contextlib.contextmanager
def served(folder: Path, workers: int = 2, **server: Any) -> Iterator[tuple[Service, int]]:
    """Run a sidecar until it says that it serves; give it and its port."""
    port = free_port()
    service = Service(folder, ["--config", str(configured(folder, f"127.0.0.1:{port}", workers, **server))])
    try:
        service.wait_for(rf"rapidjws serve: 127\.0\.0\.1:{port}, {workers} workers")
        yield service, port
    finally:
        service.end()


def is_good(port: int) -> bool:
    """Return whether a good token gets 200."""
    return get(port, bearer(token()), "/verify")[0] == 200

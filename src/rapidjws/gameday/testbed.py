"""A service for exercises: a sidecar of its own, issuers that can fail, and a Redis where one is needed.

Nothing of a running service is touched: the configuration is copied into a folder; issuers, ports, stores and
state of its own.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rapidjws import _files
from rapidjws.errors import error_for
from rapidjws.gameday.adapt import adapted
from rapidjws.testing import FaultyIssuerServer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

READY_S: Final = 60.0
PROGRAM: Final = (sys.executable, "-c", "from rapidjws.cli import main; main()")


def free_port() -> int:
    """Return a port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        port: int = one.getsockname()[1]
        return port


def wait_until(condition: Callable[[], Any], what: str, wait_s: float = READY_S) -> Any:
    """Wait until a condition holds, and return what it gave.

    Raises:
        InternalError: ``internal_error``: it never held.
    """
    end_s = time.monotonic() + wait_s
    while not (found := condition()):
        if time.monotonic() > end_s:
            raise error_for("internal_error", "gameday", what, "not within the time")
        time.sleep(0.05)
    return found


class Testbed:
    """A sidecar of its own; a context manager.

    Args:
        folder: For its files; short, as a Unix socket lies in it.
        tables: The configuration to exercise with; None for a small one of our own.
        edit: Changes the configuration once it is adapted, before the start.
        redis: Whether uses of tokens are remembered in a Redis of its own.
    """

    __test__ = False

    def __init__(
        self,
        folder: Path,
        tables: Mapping[str, Any] | None = None,
        *,
        edit: Callable[[dict[str, Any]], None] | None = None,
        redis: bool = False,
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self.redis_port = free_port() if redis else 0
        self.issuers: dict[str, FaultyIssuerServer] = {}
        self.withheld: list[dict[str, Any]] = []
        """Keys that the first issuer signs with and does not publish yet."""
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._closing = threading.Event()
        _files.replace(folder / "hook-secret", secrets.token_hex(24).encode(), sync=False)
        self.tables = adapted(tables, self._serve_issuer, port=self.port, redis_port=self.redis_port)
        if edit is not None:
            edit(self.tables)
        self.write_config(self.tables)
        self._watcher = threading.Thread(target=self._watch, name="rapidjws-testbed", daemon=True)

    def _serve_issuer(self, table: Mapping[str, Any]) -> str:
        audience = table.get("audience")
        audience = audience[0] if isinstance(audience, list) else audience
        iss = table.get("iss", "https://issuer.example")
        issuer = FaultyIssuerServer(iss, *table["algorithms"], audience=audience, lifetime_s=3600, plain=True)
        self.issuers[iss] = issuer
        return issuer.url

    # --- files and addresses -----------------------------------------------------------------------------

    @property
    def issuer(self) -> FaultyIssuerServer:
        """Return the first issuer."""
        return next(iter(self.issuers.values()))

    @property
    def config(self) -> Path:
        """Return the configuration file."""
        return self.folder / "rapidjws.json"

    @property
    def admin(self) -> Path:
        """Return the admin socket."""
        return self.folder / "admin.sock"

    def write_config(self, tables: Mapping[str, Any], name: str = "rapidjws.json") -> Path:
        """Write a configuration, whole or not at all."""
        path = self.folder / name
        _files.replace(path, json.dumps(tables, indent=2, default=str).encode(), sync=False)
        return path

    # --- processes ---------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start Redis, where one is needed, and the sidecar; wait until it serves."""
        if self.redis_port:
            self.start_redis()
        self.start_sidecar()
        self._watcher.start()

    def start_sidecar(self) -> None:
        """Start the sidecar, and wait until it serves."""
        with (self.folder / "sidecar.log").open("ab") as log:
            self._processes["sidecar"] = subprocess.Popen(
                [*PROGRAM, "serve", "--config", str(self.config)], stdout=log, stderr=log
            )
        wait_until(lambda: self.get("/healthz")[0] == 200, "the sidecar serves")

    def start_redis(self) -> None:
        """Start Redis, and wait until it answers.

        Raises:
            ConfigurationError: ``configuration_invalid``: there is no redis-server.
        """
        binary = shutil.which("redis-server")
        if binary is None:
            raise error_for(
                "configuration_invalid", "gameday", "redis-server to be installed", "no such program"
            )
        words = [
            binary,
            "--port",
            str(self.redis_port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--dir",
            str(self.folder),
        ]
        self._processes["redis"] = subprocess.Popen(
            words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_until(self._redis_answers, "Redis answers")

    def _redis_answers(self) -> bool:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self.redis_port), 1) as link,
        ):
            link.sendall(b"PING\r\n")
            return link.recv(16).startswith(b"+PONG")
        return False

    def stop(self, name: str, number: signal.Signals = signal.SIGTERM) -> None:
        """End ``"sidecar"`` or ``"redis"``, and wait for its end."""
        process = self._processes.pop(name, None)
        if process is not None:
            process.send_signal(number)
            try:
                process.wait(READY_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def restart(self) -> None:
        """Start the sidecar again."""
        self.stop("sidecar")
        self.start_sidecar()

    def workers(self) -> list[int]:
        """Return the process ids of the sidecar's workers."""
        pid = self._processes["sidecar"].pid
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def is_ready(self) -> bool:
        """Return whether each worker has fetched the first issuer's keys, and says that it is ready."""
        if len(self.issuer.requests) < max(1, len(self.workers())) or self.get("/readyz")[0] != 200:
            return False
        return re.search(rb"^rapidjws_ready 1(?:\.0)?$", self.get("/metrics")[1], re.MULTILINE) is not None

    def _watch(self) -> None:
        """Do what scripts of a runbook ask for: files named ``*.wanted`` stand until it is done."""
        actions = {"restart": self.restart, "redis": self.start_redis}
        while not self._closing.wait(0.05):
            for name, act in actions.items():
                wanted = self.folder / f"{name}.wanted"
                if wanted.exists():
                    with contextlib.suppress(Exception):
                        act()
                    wanted.unlink(missing_ok=True)

    # --- requests ----------------------------------------------------------------------------------------

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
        """Send one request to the sidecar; status 0 where it does not answer."""
        return self._request("GET", path, headers)

    def post(self, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
        """Send one request without a body to the sidecar, as :meth:`get` does."""
        return self._request("POST", path, headers)

    def run(self, *words: str) -> int:
        """Run a command of this program; return its exit status."""
        command = [*PROGRAM, *words]
        return subprocess.run(command, cwd=self.folder, capture_output=True, check=False).returncode

    def _request(self, method: str, path: str, headers: Mapping[str, str] | None) -> tuple[int, bytes]:
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            link.request(method, path, headers=dict(headers or {}))
            answer = link.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            return 0, b""
        finally:
            link.close()

    def ask(self, token: str, partner: str | None = None) -> int:
        """Return the status that a token gets."""
        named = {} if partner is None else {"X-Partner": partner}
        return self.get("/verify", {"Authorization": f"Bearer {token}", **named})[0]

    def token(self, issuer: FaultyIssuerServer | None = None, *, ahead_s: int = 0, **changes: Any) -> str:
        """Return a token that is good now, used once."""
        one = issuer or self.issuer
        claims = {"jti": secrets.token_hex(8), **changes}
        return one.token(one.claims(int(time.time()) + ahead_s, **claims))

    def close(self) -> None:
        """End everything."""
        self._closing.set()
        for name in list(self._processes):
            self.stop(name)
        for issuer in self.issuers.values():
            issuer.close()

    def __enter__(self) -> Testbed:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

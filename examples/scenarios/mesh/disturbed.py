"""What stands between consumers and issuers, what befalls issuers, and what is counted of it."""

from __future__ import annotations

import random
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import world

ASKED_S: Final = 1.0
"""How long the balancer waits for an issuer before it asks another one, in seconds."""
ROUNDS: Final = 2
PAUSED_S: Final = 3.0
"""How long a paused issuer stands still, in seconds: longer than the leader's lease."""


@dataclass
class Result:
    """What was measured."""

    accepted: Counter[str] = field(default_factory=Counter)
    refused: list[tuple[str, str]] = field(default_factory=list)
    """Name of a consumer, and what it answered."""
    failed: Counter[str] = field(default_factory=Counter)
    fetch_ms: list[float] = field(default_factory=list)
    rotations: int = 0
    lag_s: list[float] = field(default_factory=list)
    kills: int = 0
    pauses: int = 0
    fights: int = 0
    """Promotions that two made at the same moment, of which one alone must succeed."""

    @property
    def total(self) -> int:
        """Return how many verifications there were."""
        return self.accepted.total() + len(self.refused) + self.failed.total()


class Balancer:
    """One address before several issuers: the next one answers where one does not.

    Args:
        issuers: Who publishes.
        result: Where times are kept.
    """

    def __init__(self, issuers: Sequence[world.Issuer], result: Result) -> None:
        class Handler(BaseHTTPRequestHandler):
            """Hands a GET on."""

            def do_GET(self) -> None:
                """Ask one issuer after the other."""
                begun_s = time.perf_counter()
                for one in random.sample(list(issuers), len(issuers)) * ROUNDS:
                    try:
                        url = f"http://127.0.0.1:{one.port}{self.path}"
                        with urllib.request.urlopen(url, timeout=ASKED_S) as answered:
                            body = answered.read()
                            kept = answered.headers.get("cache-control", "")
                    except (OSError, world.http.client.HTTPException):
                        continue
                    result.fetch_ms.append((time.perf_counter() - begun_s) * 1000)
                    self.send_response(200)
                    self.send_header("content-type", "application/jwk-set+json")
                    self.send_header("cache-control", kept)
                    self.send_header("content-length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                    return
                self.send_error(503)

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        class Server(ThreadingHTTPServer):
            """A server whose clients may go away."""

            request_queue_size = 128

            def handle_error(self, *_: Any) -> None:
                """Say nothing of those that did."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1})
        self._thread.start()

    def close(self) -> None:
        """End."""
        self._server.shutdown()
        self._thread.join(20)
        self._server.server_close()


class Faults:
    """Kills and stops of a random issuer at random moments, one at a time.

    Args:
        kill_every_s: Time between two kills; None for none.
        pause_every_s: Time between two stops; None for none.
    """

    def __init__(self, kill_every_s: float | None, pause_every_s: float | None) -> None:
        self._every_s = {"kill": kill_every_s, "pause": pause_every_s}
        now_s = time.monotonic()
        self._due_s = {what: now_s + every_s for what, every_s in self._every_s.items() if every_s}
        self._out: tuple[float, world.Issuer, str] | None = None

    def step(self, made: Sequence[world.Issuer], result: Result) -> None:
        """Do what is due."""
        now_s = time.monotonic()
        for what, due_s in tuple(self._due_s.items()):
            if now_s < due_s or self._out is not None:
                continue
            one = random.choice(list(made))
            if what == "kill":
                one.kill()
                result.kills += 1
                self._out = (now_s + random.uniform(0.2, 2), one, what)
            else:
                one.pause()
                result.pauses += 1
                self._out = (now_s + PAUSED_S, one, what)
            self._due_s[what] = now_s + random.uniform(0.5, 1.5) * (self._every_s[what] or 1)
        if self._out is not None and now_s >= self._out[0]:
            self.mend()

    def mend(self) -> None:
        """Bring the issuer back that is away."""
        if self._out is None:
            return
        _, one, what = self._out
        self._out = None
        if what == "kill":
            one.start()
        else:
            one.go_on()

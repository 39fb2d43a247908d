"""An emergency rotation with four sidecars and three foreign consumers: when no tainted token is accepted."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "examples" / "scenarios" / "mesh")]

import world  # noqa: E402

SIDECARS: Final = 4
OURS_S: Final = 2.0
MAX_AGE_S: Final = 3.0
"""How long foreign consumers keep a JWK Set."""

FOREIGN_S: Final = 60.0
SETTINGS: Final = (
    'state_file = "state.json"\nkey_folder = "keys"\njwks_max_age_s = 3\ntoken_lifetime_s = 60\n'
    "clock_skew_s = 0\nstate_max_age_s = 0.5\npublish_slack_s = 0.5\npublish_before_s = 3.5\n"
)


class Poller:
    """Sends one token to a consumer again and again, and notes when it was accepted last.

    Args:
        consumer: Who is asked.
        token: The token.
    """

    def __init__(self, consumer: world.Consumer, token: str) -> None:
        self.consumer, self._token = consumer, token
        self.accepted_s = 0.0
        self.refused_s: float | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._ended.wait(0.005):
            asked_s = time.monotonic()
            if self.consumer.accepts(self._token):
                self.accepted_s, self.refused_s = asked_s, None  # by when it was asked: it was accepted then
            elif self.refused_s is None:
                self.refused_s = time.monotonic()

    def end(self) -> None:
        """Ask no more."""
        self._ended.set()
        self._thread.join(60)


@contextlib.contextmanager
def consumers(
    folder: Path, issuer: world.Issuer, redis_url: str
) -> Iterator[tuple[list[world.Consumer], list[world.Consumer]]]:
    """Give our consumers and the foreign ones."""
    url = f"http://127.0.0.1:{issuer.port}{world.JWKS_PATH}"
    with contextlib.ExitStack() as stack:
        ours: list[world.Consumer] = []
        for number in range(SIDECARS):
            port = stack.enter_context(world.sidecar(folder / f"sidecar{number}", url, redis_url))
            ours.append(world.HttpConsumer(f"sidecar {number}", port, "/verify"))
        node = world.JoseConsumer(url, MAX_AGE_S, folder)
        stack.callback(node.close)
        envoy = stack.enter_context(world.envoy(folder, issuer.port, MAX_AGE_S))
        yield ours, [world.PyJwtConsumer(url, MAX_AGE_S), node, world.HttpConsumer("Envoy jwt_authn", envoy)]


def test_an_emergency_reaches_every_consumer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From the decision on, ours accept no tainted token after 2 s; foreign ones as their caches end."""
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(world.redis(tmp_path))
        settings = f'{SETTINGS}revocations_redis = "{url}"\n'
        issuer = world.Issuer(tmp_path / "issuer", settings, world.free_port(), {})
        stack.callback(issuer.stop)
        issuer.start()
        ours, foreign = stack.enter_context(consumers(tmp_path, issuer, url))
        token = world.until(issuer.token, "no token")
        for one in (*ours, *foreign):
            world.until(lambda one=one: one.accepts(token), f"{one.name} never accepted a token")
        world.until(lambda: len(issuer.keys() or ()) == 2, "no next key")
        time.sleep(MAX_AGE_S + 1)  # the next key is ready, and known
        pollers = [Poller(one, token) for one in (*ours, *foreign)]
        kid = next(one["kid"] for one in issuer.keys() or ())
        words = ["issue", "emergency", "--kid", kid, "--why", "drill", "--config", str(issuer.config)]
        called_s = time.time()
        done = subprocess.run([*world.COMMAND, *words], capture_output=True, text=True, check=False)
        line = (issuer.config.parent / "emergencies.jsonl").read_text().splitlines()[-1]
        decided_s: float = json.loads(line)["at"]
        begun_s = time.monotonic() - (time.time() - decided_s)
        end_s = begun_s + FOREIGN_S
        while time.monotonic() < end_s and any(
            one.refused_s is None or time.monotonic() - one.refused_s < 2 * MAX_AGE_S for one in pollers
        ):
            time.sleep(0.1)
        for one in pollers:
            one.end()
        found = {one.consumer.name: max(0.0, one.accepted_s - begun_s) for one in pollers}
        fresh = world.until(issuer.token, "no token after the emergency")
        with capsys.disabled():
            print(f"\n{done.stdout.rstrip()}\nthe command started {decided_s - called_s:.2f} s before")
            for name, seconds in found.items():
                print(f"{name:18} last accepted {seconds:6.2f} s after the decision")
        assert all(one.accepts(fresh) for one in (*ours, *foreign)), "a good token of the next key is refused"
        assert done.returncode == 0, done.stdout + done.stderr
        assert all(one.refused_s is not None for one in pollers)
        assert all(found[one.name] < OURS_S for one in ours)

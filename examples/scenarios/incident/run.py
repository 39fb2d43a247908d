"""After a rotation in the wrong order consumers refuse good tokens: found, held against the caches, mended.

A flood of unknown kids has used up what may be fetched for them; then a key signs that caches cannot know.

    python examples/scenarios/incident/run.py
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any, Final

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "mesh")]

import world
from gateway import COMMAND

SECRET: Final = "scenario-hook-secret-0123456789abcdef"
SETTINGS: Final = (
    'state_file = "state.json"\nkey_folder = "keys"\njwks_max_age_s = 300\ntoken_lifetime_s = 60\n'
    "clock_skew_s = 0\nstate_max_age_s = 0.5\npublish_slack_s = 0.5\nlease_s = 2\n"
)
STRICT: Final = {"cooldown_s": 300, "budget": 1, "budget_period_s": 300, "min_ttl_s": 300}
"""How the consumer asks for unknown kids: once in five minutes."""


def rapidjws(*words: str) -> str:
    """Run a command, and return what it printed."""
    done = subprocess.run([*COMMAND, *words], capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{words}: {done.stdout}{done.stderr}")
    return done.stdout


def failing_kid(log: Path) -> str | None:
    """Return the kid that most refusals of the log name, once they name one more than once."""
    counts: Counter[str] = Counter()
    for line in log.read_text().splitlines():
        if not line.startswith("{"):
            continue
        with contextlib.suppress(ValueError):
            row = json.loads(line)
            if "unknown_kid" in json.dumps(row) and row.get("kid"):
                counts[str(row["kid"])] += 1
    kid, count = counts.most_common(1)[0] if counts else (None, 0)
    return kid if count > 1 else None  # those of a flood stand there once each


def jwks_age_s(port: int) -> float:
    """Return how old the consumer's keys are, of its metrics."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answered:
        text = answered.read().decode()
    found = re.search(r"^rapidjws_jwks_age_seconds\{[^}]*\} (\S+)", text, re.MULTILINE)
    return float(found.group(1)) if found else float("nan")


def invalidate(port: int) -> None:
    """Have the consumer fetch the keys at once, by its control plane."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/hooks/jwks-rotated", json.dumps({"issuer": world.ISS}).encode()
    )
    request.add_header("Authorization", f"Bearer {SECRET}")
    urllib.request.urlopen(request, timeout=20).close()


def run(folder: Path, requests: int) -> dict[str, Any]:
    """Break it, find it, mend it; return what was measured."""
    secret = folder / "hook.secret"
    secret.touch(mode=0o600)
    secret.write_text(SECRET)
    found: dict[str, Any] = {}
    with contextlib.ExitStack() as stack:
        issuer = world.Issuer(folder / "issuer", SETTINGS, world.free_port(), {})
        stack.callback(issuer.stop)
        # the first key of an issuer waits until caches may know it; here it has been there for long
        rapidjws("issue", "tick", "--config", str(issuer.config))
        state = json.loads((folder / "issuer" / "state.json").read_text())
        for one in state["keys"]:
            one["published_at_s"] -= 3600
        (folder / "issuer" / "state.json").write_text(json.dumps(state))
        issuer.start()
        url = f"http://127.0.0.1:{issuer.port}{world.JWKS_PATH}"
        before = world.until(issuer.token, "no token")
        port = stack.enter_context(world.sidecar(folder / "sidecar", url, None, secret, settings=STRICT))
        consumer = world.HttpConsumer("sidecar", port, "/verify")
        world.until(lambda: consumer.accepts(before), "never accepted")
        header = before.split(".")[0]
        for number in range(3):  # a flood uses up what unknown kids may fetch
            flood = world.with_kid(header, f"made-up-{number}") + before[len(header) :]
            consumer.accepts(flood)
        log = folder / "sidecar" / "sidecar.log"
        token = before
        for _ in range(2):  # the first time the next key is known; the second time it is a minute old
            world.until(lambda: len(issuer.keys() or ()) == 2, "no next key")
            old = str(json.loads(world.decoded(token))["kid"])
            broken_s = time.monotonic()
            words = ("--kid", old, "--why", "rotated by hand", "--unready", "--config", str(issuer.config))
            rapidjws("issue", "taint", *words)
            token = world.until(lambda last=token: _other(issuer.token(), last), "no token of the new key")
        after = token
        refused = sum(not consumer.accepts(after) for _ in range(requests))
        found["refused"], found["requests"] = refused, requests
        kid = world.until(lambda: failing_kid(log), "no refusal in the log")
        found["kid"] = kid
        lines = rapidjws("issue", "status", "--json", "--config", str(issuer.config)).splitlines()
        status = [json.loads(line) for line in lines]
        found["published"] = next((one["since"] for one in status if one["kid"] == kid), None)
        found["jwks_age_s"] = jwks_age_s(port)
        found["named_s"] = time.monotonic() - broken_s
        invalidate(port)
        world.until(lambda: consumer.accepts(after), "never recovered")
        found["recovered_s"] = time.monotonic() - broken_s
        found["timeline"] = rapidjws(
            "incident", "timeline", "--since", "10m", "--log", str(log), "--format", "markdown"
        )
    return found


def _other(token: str | None, before: str) -> str | None:
    """Return a token whose header is another one."""
    return token if token is not None and token.split(".")[0] != before.split(".")[0] else None


def main(arguments: list[str] | None = None) -> int:
    """Run it, and print what an operator writes down: exit 0 when the cause was named and mended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=200, help="requests after the rotation")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="rapidjws-incident-") as name:
        found = run(Path(name), given.requests)
    print(f"failure spike    {found['refused']} of {found['requests']} requests refused")
    print(f"failing kid      {found['kid']}, in the issuer's state since {found['published']}")
    print(f"caches' age      {found['jwks_age_s']:.1f} s: older than the rotation")
    print(f"time to name     {found['named_s']:.2f} s")
    print(f"time to recover  {found['recovered_s']:.2f} s, which is the rotation lag of this consumer")
    print(found["timeline"])
    return 0 if found["published"] and found["refused"] else 1


if __name__ == "__main__":
    sys.exit(main())

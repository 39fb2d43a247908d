"""A function that verifies partners' webhooks: a burst with cold and warm starts, forged ones among them.

python examples/scenarios/serverless/run.py --cold 6 --warm 2000
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from rapidjws.signing import LocalSigner, sign_compact
from rapidjws.testing import make_key

FUNCTION: Final = Path(__file__).with_name("function.py")
FORGED: Final = 0.2
"""Share of webhooks that another key signed, or whose body is another one."""


class Partner:
    """A partner that publishes its key and sends webhooks."""

    def __init__(self) -> None:
        key, stranger = make_key("ES256", kid="partner-1"), make_key("ES256", kid="partner-1")
        self._signer, self._stranger = LocalSigner(key), LocalSigner(stranger)
        body = json.dumps({"keys": [key.public().as_dict()]}).encode()
        partner = self
        self.fetches = 0

        class Handler(BaseHTTPRequestHandler):
            """The partner's JWK Set."""

            def do_GET(self) -> None:
                """Answer."""
                partner.fetches += 1
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/jwks.json"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def webhook(self, number: int, *, forged: bool) -> dict[str, Any]:
        """Return an event."""
        body = json.dumps({"event": "paid", "order": number})
        signer = self._stranger if forged and number % 2 else self._signer
        signature = sign_compact(body.encode(), signer, detached=True, b64=False)
        if forged and not number % 2:
            body = body.replace("paid", "sent")
        return {"body": body, "headers": {"X-JWS-Signature": signature}}

    def close(self) -> None:
        """End."""
        self._server.shutdown()
        self._thread.join(20)
        self._server.server_close()


@dataclass
class Result:
    """What was measured; times in milliseconds."""

    cold_ms: list[float] = field(default_factory=list)
    warm_ms: list[float] = field(default_factory=list)
    wrong: Counter[str] = field(default_factory=Counter)
    forged: int = 0
    good: int = 0
    misses: int = 0


def quantile(values: list[float], share: float) -> float:
    """Return a quantile."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


def instance(
    partner: Partner, cache: Path, events: list[tuple[dict[str, Any], bool]], result: Result
) -> None:
    """Start an instance, whose first event is a cold one, and send it events."""
    environment = {**os.environ, "JWKS_URL": partner.url, "JWKS_CACHE": str(cache)}
    begun_s = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, str(FUNCTION)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        bufsize=1, env=environment,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        for number, (event, forged) in enumerate(events):
            process.stdin.write(json.dumps(event) + "\n")
            process.stdin.flush()
            answer = json.loads(process.stdout.readline())
            if number == 0:
                result.cold_ms.append((time.perf_counter() - begun_s) * 1000)
            else:
                result.warm_ms.append(answer["ms"])
            wanted = 401 if forged else 204
            result.forged += forged
            result.good += not forged
            if answer["statusCode"] != wanted:
                result.wrong[f"{wanted} was {answer['statusCode']}"] += 1
        process.stdin.close()


def measure(cold: int, warm: int) -> Result:
    """Start so many instances, one after the other, and share the warm events among them.

    Args:
        cold: Instances; every second one finds the keys of the one before, as on the same host.
        warm: Events beside the first of each.
    """
    chance = random.Random(4711)
    result = Result()
    partner = Partner()
    try:
        with tempfile.TemporaryDirectory(prefix="rapidjws-serverless-") as name:
            for at in range(cold):
                flags = [False, *(chance.random() < FORGED for _ in range(warm // cold))]
                events = [(partner.webhook(number, forged=one), one) for number, one in enumerate(flags)]
                instance(partner, Path(name) / f"host{at // 2}.json", events, result)
            result.misses = partner.fetches
    finally:
        partner.close()
    return result


def main(arguments: list[str] | None = None) -> int:
    """Measure, and print a table: exit 0 when every webhook got its answer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cold", type=int, default=6, help="instances that start")
    parser.add_argument("--warm", type=int, default=2000, help="webhooks that they answer beside their first")
    given = parser.parse_args(arguments)
    result = measure(given.cold, given.warm)
    print(f"cold start      {len(result.cold_ms)}, p50 {quantile(result.cold_ms, 0.5):.0f} ms, "
          f"p95 {quantile(result.cold_ms, 0.95):.0f} ms, with the start of Python")  # fmt: skip
    print(f"warm            {len(result.warm_ms)}, p50 {quantile(result.warm_ms, 0.5):.3f} ms, "
          f"p95 {quantile(result.warm_ms, 0.95):.3f} ms")  # fmt: skip
    print(f"webhooks        {result.good} good, {result.forged} forged, wrong answers {dict(result.wrong)}")
    print(f"cache misses    {result.misses} fetches of the JWK Set for {len(result.cold_ms)} cold starts")
    return 1 if result.wrong else 0


if __name__ == "__main__":
    sys.exit(main())

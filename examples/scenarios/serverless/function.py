"""A function that verifies a partner's signed webhooks; keys are kept in a file between cold starts."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

from rapidjws.keys import CachedJWKSVerifier
from rapidjws.keys.settings import Transport
from rapidjws.middleware import verify_webhook

sender = CachedJWKSVerifier(
    os.environ["JWKS_URL"],
    cache_file=os.environ["JWKS_CACHE"],
    algorithms=["ES256"],
    crit=["b64"],
    max_age_s=float(os.environ.get("JWKS_MAX_AGE_S", "60")),
    transport=Transport(insecure_allow_http=True),  # the scenario's server has no certificate
)


def handler(event: dict[str, Any]) -> dict[str, int]:
    """Answer one event: 204 for a good one, 401 for a bad one, 503 where the keys cannot be had."""
    decision = verify_webhook(sender, body=event["body"].encode(), headers=event["headers"])
    return {"statusCode": {"permit": 204, "deny": 401, "indeterminate": 503}[decision.outcome]}


def main() -> None:
    """Stand for the runtime: one event a line, one answer a line, with the time that it took."""
    for line in sys.stdin:
        begun_s = time.perf_counter()
        answer = handler(json.loads(line))
        print(json.dumps({**answer, "ms": (time.perf_counter() - begun_s) * 1000}), flush=True)


if __name__ == "__main__":
    main()

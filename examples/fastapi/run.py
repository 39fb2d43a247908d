"""Run the API under uvicorn and send it requests of every kind: python examples/fastapi/run.py"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from gateway import bearer, free_port, get, running

from rapidjws.testing import FakeIssuer


def main() -> int:
    """Print what each request got; return 0 where all is as it should be."""
    shop = FakeIssuer("https://shop.example", "ES256", audience="https://api.example")
    now_s, port, wrong = int(time.time()), free_port(), 0
    good = shop.token(shop.claims(now_s, sub="ann", scope="orders"))
    poor = shop.token(shop.claims(now_s, sub="eve", scope="news"))
    late = shop.token(shop.claims(1_700_000_000, sub="ann", scope="orders"))
    mixed = good.rpartition(".")[0] + "." + poor.rpartition(".")[2]
    with tempfile.TemporaryDirectory() as made:
        jwks = Path(made) / "jwks.json"
        jwks.write_text(json.dumps({"keys": [key.as_dict() for key in shop.jwks.keys]}))
        options = ["--app-dir", str(HERE), "--port", str(port), "--log-level", "error"]
        command = [sys.executable, "-m", "uvicorn", "app:app", *options]
        with running(command, port, env={**os.environ, "JWKS": str(jwks)}):
            for what, path, headers, expected in [
                ("no token, open route", "/health", [], 200),
                ("good", "/orders", bearer(good), 200),
                ("without the scope", "/orders", bearer(poor), 403),
                ("expired", "/orders", bearer(late), 401),
                ("forged", "/orders", bearer(mixed), 401),
                ("missing", "/orders", [], 401),
            ]:
                status, answer, body = get(port, headers, path)
                wrong += status != expected
                print(f"{what:21} {status} {answer.get('www-authenticate', body.decode())}")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
